//! The page headers of a parquet column, read for the sizes they declare.
//!
//! A reader makes room for as much as a header says before it unpacks anything, and a header is four bytes that anybody
//! can write. So much of Thrift's compact protocol is read here as finds those sizes
//! (`parquet.thrift`, `PageHeader`: 1 type, 2 uncompressed size, 3 compressed size, then what is passed over).

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

/// Follows the pages from `start` over `len` bytes.
///
/// # Errors
/// When a header cannot be read, or a size is out of all proportion.
pub(super) fn check(file: &File, start: u64, len: u64) -> Result<(), String> {
    let mut file = file.try_clone().map_err(|e| e.to_string())?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    let end = start.checked_add(len).filter(|&end| end <= size).ok_or("it lies beyond the end of the file")?;
    let mut at = start;
    let mut unpacked = 0u64;
    while at < end {
        file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
        let mut thrift = Thrift { bytes: BufReader::with_capacity(PIECE.min(512), &file), read: 0 };
        // What has no header is the reader's to complain of: it stops there too.
        let Some((wide, packed)) = thrift.sizes() else { break };
        if !(0..=PAGE).contains(&wide) || packed < 0 {
            return Err(format!("a page says it unpacks to {wide} bytes"));
        }
        unpacked += wide as u64;
        let next = at + thrift.read + packed as u64;
        at = next;
    }
    if unpacked > ALWAYS.max(len.saturating_mul(RATIO)) {
        return Err(format!("{len} bytes say they unpack to {unpacked}"));
    }
    Ok(())
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

    /// Reads a page header to its end; returns the uncompressed and the compressed size.
    fn sizes(&mut self) -> Option<(i64, i64)> {
        let (mut wide, mut packed) = (None, None);
        let mut field = 0i64;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0F;
            if kind == 0 {
                return Some((wide?, packed?));
            }
            field = match head >> 4 {
                0 => self.zigzag()?,
                step => field + i64::from(step),
            };
            match field {
                2 if kind == 5 => wide = Some(self.zigzag()?),
                3 if kind == 5 => packed = Some(self.zigzag()?),
                _ => self.pass(kind, DEEP)?,
            }
        }
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
            12 => loop {
                let head = self.byte()?;
                if head & 0x0F == 0 {
                    break;
                }
                if head >> 4 == 0 {
                    self.zigzag()?;
                }
                self.pass(head & 0x0F, deep)?;
            },
            _ => return None,
        }
        Some(())
    }
}
