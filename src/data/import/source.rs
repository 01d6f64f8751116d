//! Where the bytes come from: a file or memory, gzip unpacked on the way, never more than a bound.
//!
//! A file is opened as often as a reader needs it (to find the encoding, to look at the first rows, to read), so that no
//! reader has to hold it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::{Fault, ImportError};

/// What a compressed file may unpack to in any case, in bytes.
const ALWAYS: u64 = 64 << 20;
/// What it may unpack to beyond that, as a multiple of its size. Text with much repetition reaches 50; gzip ends at 1032.
const RATIO: u64 = 200;
/// What is read from a pipe, which can be read but once and is held in memory, in bytes.
const PIPE: u64 = 1 << 30;
/// The size of the pieces that are read, in bytes.
pub(super) const PIECE: usize = 1 << 16;

/// A file's bytes, wherever they are.
pub(super) struct Source<'a> {
    name: String,
    place: Place<'a>,
    /// Whether the bytes are packed with gzip.
    pub(super) compressed: bool,
}

enum Place<'a> {
    File(&'a Path),
    Held(Vec<u8>),
    Lent(&'a [u8]),
}

impl<'a> Source<'a> {
    /// Looks at the file at `path`; what is not a plain file (a pipe) is read into memory.
    pub(super) fn of_file(path: &'a Path) -> Result<Self, ImportError> {
        let name = path.display().to_string();
        let io = |source| ImportError::Io { file: name.clone(), source };
        let file = File::open(path).map_err(io)?;
        let kind = file.metadata().map_err(io)?;
        if kind.is_dir() {
            return Err(io(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let place = if kind.is_file() {
            Place::File(path)
        } else {
            let mut held = Vec::new();
            file.take(PIPE + 1).read_to_end(&mut held).map_err(io)?;
            if held.len() as u64 > PIPE {
                return Err(io(io::Error::other("a pipe holds more than 1 GiB: write it to a file first")));
            }
            Place::Held(held)
        };
        Self::new(name, place)
    }

    /// Takes bytes that are in memory; `name` stands for them in messages.
    pub(super) fn of_bytes(name: &str, bytes: &'a [u8]) -> Result<Self, ImportError> {
        Self::new(name.to_owned(), Place::Lent(bytes))
    }

    fn new(name: String, place: Place<'a>) -> Result<Self, ImportError> {
        let mut source = Self { name, place, compressed: false };
        source.compressed = source.start(2)? == [0x1F, 0x8B];
        Ok(source)
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The file's own path, where it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self.place {
            Place::File(path) => Some(path),
            _ => None,
        }
    }

    /// Its size as it lies there, in bytes.
    fn packed_len(&self) -> u64 {
        match &self.place {
            Place::File(path) => path.metadata().map_or(0, |about| about.len()),
            Place::Held(bytes) => bytes.len() as u64,
            Place::Lent(bytes) => bytes.len() as u64,
        }
    }

    /// Opens it from the beginning, unpacked.
    pub(super) fn open(&self) -> Result<Box<dyn Read + '_>, ImportError> {
        let packed: Box<dyn Read + '_> = match &self.place {
            Place::File(path) => Box::new(File::open(path).map_err(|e| self.fails(e))?),
            Place::Held(bytes) => Box::new(bytes.as_slice()),
            Place::Lent(bytes) => Box::new(*bytes),
        };
        if self.compressed {
            let limit = ALWAYS.max(self.packed_len().saturating_mul(RATIO));
            let unpacked = MultiGzDecoder::new(BufReader::with_capacity(PIECE, packed));
            Ok(Box::new(Bounded { unpacked, left: limit, limit }))
        } else {
            Ok(packed)
        }
    }

    /// Its first bytes, unpacked, at most `len`.
    pub(super) fn start(&self, len: u64) -> Result<Vec<u8>, ImportError> {
        let mut bytes = Vec::new();
        self.open()?.take(len).read_to_end(&mut bytes).map_err(|e| self.fails(e))?;
        Ok(bytes)
    }

    /// As a file that can be read at any place, unpacked: a copy without a name where it has to be.
    pub(super) fn seekable(&self) -> Result<File, ImportError> {
        if let (Place::File(path), false) = (&self.place, self.compressed) {
            return File::open(path).map_err(|e| self.fails(e));
        }
        let mut copy = tempfile::tempfile().map_err(|e| self.fails(e))?;
        io::copy(&mut self.open()?, &mut copy).map_err(|e| self.fails(e))?;
        copy.flush().and_then(|()| copy.seek(SeekFrom::Start(0))).map_err(|e| self.fails(e))?;
        Ok(copy)
    }

    /// Says that reading failed.
    pub(super) fn fails(&self, error: io::Error) -> ImportError {
        let file = self.name.clone();
        if let Some(Overflow(limit)) = error.get_ref().and_then(|e| e.downcast_ref::<Overflow>()) {
            let ratio = limit / self.packed_len().max(1);
            let advice = "unpack it first if that is meant";
            return ImportError::Bomb { file, limit: limit >> 20, ratio, advice };
        }
        let damaged = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
        if self.compressed && damaged.contains(&error.kind()) {
            return ImportError::Damaged { file, format: "gzip", reason: error.to_string() };
        }
        ImportError::Io { file, source: error }
    }

    /// As [`Source::fails`], for those that end with a fault.
    pub(super) fn fault(&self, error: io::Error) -> Fault {
        Fault::Import(self.fails(error))
    }
}

/// Says that a bound, in bytes, was passed.
#[derive(Debug, thiserror::Error)]
#[error("unpacks to more than {0} bytes")]
struct Overflow(u64);

/// Passes on what comes out of gzip until it is too much.
struct Bounded<R> {
    unpacked: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.unpacked.read(into)?;
        self.left = self.left.checked_sub(len as u64).ok_or_else(|| io::Error::other(Overflow(self.limit)))?;
        Ok(len)
    }
}

/// A buffered reader over anything.
pub(super) type Stream<'a> = Box<dyn BufRead + 'a>;

/// Bytes as a stream.
pub(super) fn stream_of(bytes: Vec<u8>) -> Stream<'static> {
    Box::new(Cursor::new(bytes))
}
