//! A weight file, mapped: bytes that are read once and given back.
//!
//! What is read of a map stays resident beside what was made of it, so a process that has its weights in memory would seem to hold
//! them twice. Pages that have been read are given back; the system keeps them as cache while it has room, and reads them
//! again where somebody looks again.

#![allow(unsafe_code)] // mapping a file, and giving pages of the map back

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;

use super::SourceError;

/// The bytes of a file.
pub(super) struct Mapped(Mmap);

impl Mapped {
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        let file = File::open(path).map_err(|e| SourceError::io(path, e))?;
        // SAFETY: the map is only read, as bytes, and every access is bounds-checked against its length. Another process
        // that cuts the file short meanwhile would end this one by a signal, as with every program that maps its weights.
        unsafe { Mmap::map(&file) }.map(Self).map_err(|e| SourceError::io(path, e))
    }

    /// Gives the pages of `bytes` back to the system.
    pub(super) fn give_back(&self, bytes: Range<usize>) {
        let bytes = bytes.start.min(self.0.len())..bytes.end.min(self.0.len());
        #[cfg(unix)]
        // SAFETY: the map is shared with the file and never written, so a page that is given back and looked at again is
        // read from the file again: the bytes stay what they are for whoever holds a slice of them. What is refused is kept.
        let _ = unsafe { self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, bytes.start, bytes.len()) };
        #[cfg(not(unix))]
        let _ = bytes;
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
