//! The page headers of a parquet column, read for the sizes they declare.
//!
//! A reader makes room for as much as a header says before it unpacks anything, and a header is four bytes that anybody
//! can write. So much of Thrift's compact protocol is read here as finds those sizes
//! (`parquet.thrift`, `PageHeader`: 1 type, 2 uncompressed size, 3 compressed size, 5 and 8 a
//! data page's header and 7 a dictionary's, each of which begins with its number of values; others are passed over).

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::source::PIECE;

/// The most that one page may unpack to, in bytes. Writers aim at 1 MiB; a page holds at least one value.
const PAGE: i64 = 128 << 20;
/// The most that one column of a row group may unpack to, as a multiple of its size and in any case, in bytes.
const RATIO: u64 = 1000;
const ALWAYS: u64 = 64 << 20;
/// How deep the structs of a header may lie; parquet needs three.
const DEEP: u8 = 8;

// Types of fields in the compact protocol.
const END: u8 = 0;
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Follows the pages from `start` over `len` bytes; returns how many values they say they hold, nulls included.
///
/// # Errors
/// When a size is out of all proportion.
pub(super) fn check(file: &File, start: u64, len: u64) -> Result<i64, String> {
    let mut file = file.try_clone().map_err(|e| e.to_string())?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    let end = start.checked_add(len).filter(|&end| end <= size).ok_or("it lies beyond the end of the file")?;
    let mut at = start;
    let (mut unpacked, mut held) = (0u64, 0i64);
    while at < end {
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        let mut thrift = Thrift { bytes: BufReader::with_capacity(PIECE.min(512), &file), read: 0 };
        // What has no header is the reader's to complain of: it stops there too.
        let Some(Sizes { wide, packed, values, listed }) = thrift.sizes() else { break };
        if !(0..=PAGE).contains(&wide) || packed < 0 {
            return Err(format!("a page says it unpacks to {wide} bytes"));
        }
        // The shortest value there is takes a byte.
        if !(0..=wide).contains(&listed) {
            return Err(format!("a dictionary of {wide} bytes says it holds {listed} values"));
        }
        held = held.saturating_add(values.max(0));
        unpacked += wide as u64;
        let next = at + thrift.read + packed as u64;
        at = next;
    }
    if unpacked > ALWAYS.max(len.saturating_mul(RATIO)) {
        return Err(format!("{len} bytes say they unpack to {unpacked}"));
    }
    Ok(held)
}

/// What a page's header says of it.
struct Sizes {
    /// Bytes when unpacked.
    wide: i64,
    /// Bytes as it lies there.
    packed: i64,
    /// Values of a data page; 0 where it is none.
    values: i64,
    /// Values of a dictionary; 0 where it is none.
    listed: i64,
}

/// So much of the compact protocol as passes over a struct.
struct Thrift<R> {
    bytes: R,
    read: u64,
}

impl<R: Read> Thrift<R> {
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.bytes.read_exact(&mut byte).ok()?;
        self.read += 1;
        let [byte] = byte;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Reads a page header to its end.
    fn sizes(&mut self) -> Option<Sizes> {
        let (mut wide, mut packed, mut values, mut listed) = (None, None, 0, 0);
        let mut field = 0;
        loop {
            match (self.field(&mut field)?, field) {
                (END, _) => return Some(Sizes { wide: wide?, packed: packed?, values, listed }),
                (I32, 2) => wide = Some(self.zigzag()?),
                (I32, 3) => packed = Some(self.zigzag()?),
                (STRUCT, 5 | 8) => values = self.first()?,
                (STRUCT, 7) => listed = self.first()?,
                (kind, _) => self.pass(kind, DEEP)?,
            }
        }
    }

    /// Reads a struct to its end; returns its first field where that is a number, or else 0.
    fn first(&mut self) -> Option<i64> {
        let mut first = 0;
        let mut field = 0;
        loop {
            match (self.field(&mut field)?, field) {
                (END, _) => return Some(first),
                (I32, 1) => first = self.zigzag()?,
                (kind, _) => self.pass(kind, DEEP)?,
            }
        }
    }

    /// Reads what begins a field: adds to its number and returns its type, which is [`END`] at the struct's end.
    fn field(&mut self, number: &mut i64) -> Option<u8> {
        let head = self.byte()?;
        let kind = head & 0x0F;
        if kind != END {
            *number = match head >> 4 {
                0 => self.zigzag()?,
                step => number.checked_add(i64::from(step))?,
            };
        }
        Some(kind)
    }

    fn pass(&mut self, kind: u8, deep: u8) -> Option<()> {
        let deep = deep.checked_sub(1)?;
        match kind {
            // A boolean's value is its type.
            1 | 2 => {}
            3 => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            7 => (0..8).try_for_each(|_| self.byte().map(drop))?,
            8 => {
                let len = self.varint()?;
                (0..len).try_for_each(|_| self.byte().map(drop))?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let len = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                // Within a list a boolean takes a byte.
                let kind = if matches!(head & 0x0F, 1 | 2) { 3 } else { head & 0x0F };
                (0..len).try_for_each(|_| self.pass(kind, deep))?;
            }
            STRUCT => {
                let mut field = 0;
                loop {
                    match self.field(&mut field)? {
                        END => break,
                        kind => self.pass(kind, deep)?,
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }
}
