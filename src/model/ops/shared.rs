//! A result that tasks share.

#![allow(unsafe_code)] // What each task writes lies scattered over the result, which slices cannot express.

/// Where the numbers of a result lie, for tasks of one call that each write some of their own.
#[derive(Clone, Copy)]
pub(super) struct Shared(*mut f32);

// SAFETY: what is written through it is for the writer to answer for: no two tasks touch the same number.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// A result's numbers.
    pub fn of(result: &mut [f32]) -> Self {
        Self(result.as_mut_ptr())
    }

    /// Where number `at` lies; looking there is for the caller to answer for.
    #[inline(always)]
    #[allow(clippy::inline_always)] // Kernels ask for it.
    pub fn at(self, at: usize) -> *mut f32 {
        self.0.wrapping_add(at)
    }

    /// The `len` numbers at `at`.
    ///
    /// # Safety
    /// They must lie within the result, and no one else may hold them.
    pub unsafe fn part<'a>(self, at: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(at), len) }
    }
}
