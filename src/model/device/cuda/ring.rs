//! Page-locked memory that writes to a GPU go through, part after part.
//!
//! When a part is full it is marked in the stream, and when its turn comes again the mark is waited for. So a write waits only
//! where three parts' worth of others, all asked for behind what the part held, are still to be copied: the GPU has work enough then.

use std::ffi::{c_int, c_uint};
use std::ptr;

use super::driver::Open;
use super::library::{Driver, Handle};
use crate::model::device::DeviceError;

/// Bytes of a part, and so of the longest write that goes through it.
pub(super) const PART: usize = 4 << 20;
const PARTS: usize = 4;
/// `CU_EVENT_DISABLE_TIMING`
const WITHOUT_TIME: c_uint = 2;

/// Whose turn it is.
#[derive(Clone, Copy, Default)]
struct Turn {
    part: usize,
    /// Bytes of it that are used.
    used: usize,
}

impl Turn {
    /// Where the next `bytes` bytes lie, [`PART`] at most; and where they begin a part the one that is left and the one that is
    /// entered.
    fn place(&mut self, bytes: usize) -> (usize, Option<[usize; 2]>) {
        let is_full = self.used + bytes > PART;
        let turned = is_full.then(|| [self.part, (self.part + 1) % PARTS]);
        if let Some([_, entered]) = turned {
            *self = Self { part: entered, used: 0 };
        }
        let at = self.part * PART + self.used;
        self.used += bytes.next_multiple_of(64);
        (at, turned)
    }
}

/// See the module's words.
pub(super) struct Ring {
    start: *mut u8,
    turn: Turn,
    /// Each part's mark.
    marks: [Handle; PARTS],
}

// SAFETY: used under a lock.
unsafe impl Send for Ring {}

impl Ring {
    /// # Errors
    /// When the driver has no such memory, or refuses.
    pub fn new(open: &Open) -> Result<Self, DeviceError> {
        let driver = open.bound()?;
        let mut ring =
            Self { start: open.page_locked(PARTS * PART)?, turn: Turn::default(), marks: [ptr::null_mut(); PARTS] };
        for nth in 0..PARTS {
            // SAFETY: written.
            let code: c_int = unsafe { (driver.event_create)(&raw mut ring.marks[nth], WITHOUT_TIME) };
            if let Err(error) = driver.check(code, "make a mark for writes") {
                ring.close(&driver);
                return Err(error);
            }
        }
        Ok(ring)
    }

    /// Holds `bytes`, [`PART`] of them at most, until a copy from where it returns is done, which is to be asked for before the next
    /// call.
    ///
    /// # Errors
    /// When the driver refuses, or work asked for earlier has failed.
    pub fn hold(&mut self, driver: &Driver, stream: Handle, bytes: &[u8]) -> Result<*const u8, DeviceError> {
        let mut turn = self.turn;
        let (at, turned) = turn.place(bytes.len());
        if let Some([left, entered]) = turned {
            // SAFETY: the marks live as long as the ring. One that was never made counts as reached.
            unsafe {
                driver.check((driver.event_record)(self.marks[left], stream), "mark what is copied")?;
                driver.check((driver.event_wait)(self.marks[entered]), "carry out what was asked of it")?;
            }
        }
        self.turn = turn;
        // SAFETY: the bytes lie within the part, and what was copied from there before has been waited for.
        unsafe {
            let to = self.start.add(at);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            Ok(to)
        }
    }

    /// Gives everything back, when all work is done.
    pub fn close(&mut self, driver: &Driver) {
        for mark in
            std::mem::replace(&mut self.marks, [ptr::null_mut(); PARTS]).into_iter().filter(|mark| !mark.is_null())
        {
            // SAFETY: not used again.
            unsafe { (driver.event_destroy)(mark) };
        }
        // SAFETY: not used again.
        unsafe { (driver.free_host)(self.start.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_entered_again_only_behind_its_mark_and_no_write_lies_in_two() {
        let mut turn = Turn::default();
        // What each part holds that has not been waited for, and whether it is marked.
        let (mut held, mut marked) = (vec![Vec::<[usize; 2]>::new(); PARTS], [true; PARTS]);
        let sizes = [1, 63, 64, 65, 1 << 20, PART, PART - 1, 3 << 19, 3 << 19, 3 << 19, 1000];
        for &bytes in sizes.iter().cycle().take(200) {
            let (at, turned) = turn.place(bytes);
            if let Some([left, entered]) = turned {
                marked[left] = true;
                assert!(marked[entered], "nothing to wait for");
                held[entered].clear();
            }
            let part = at / PART;
            assert_eq!((at + bytes - 1) / PART, part, "{bytes} bytes at {at} lie in two parts");
            assert!(at.is_multiple_of(64));
            for &[from, to] in &held[part] {
                assert!(at >= to || at + bytes <= from, "{bytes} bytes at {at} on what is still to be copied");
            }
            held[part].push([at, at + bytes]);
            marked[part] = false;
        }
    }
}
