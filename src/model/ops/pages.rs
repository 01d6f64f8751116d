//! Large buffers that lie in large pages.
//!
//! A page is made when it is first touched. In pages of 4 KiB the first step of a training touches hundreds of thousands, and
//! half of that step is the system making them; in pages of 2 MiB it is a few hundred. Linux gives those to who asks
//! (`madvise(2)`, `MADV_HUGEPAGE`) and only where a buffer covers them whole, so nothing grows by it.

#![allow(unsafe_code)] // one call of the system, which changes no byte

/// Bytes under which a buffer is left alone: a page of 2 MiB would not fit it.
const LARGE: usize = 2 << 20;

/// `len` zeros, in large pages where the system has some. Untouched until they are written.
#[must_use]
pub fn zeros<T: Copy + Default>(len: usize) -> Vec<T> {
    let buffer = vec![T::default(); len];
    if size_of_val(buffer.as_slice()) >= LARGE {
        enlarge(&buffer);
    }
    buffer
}

#[cfg(target_os = "linux")]
fn enlarge<T>(buffer: &[T]) {
    use rustix::mm::{Advice, madvise};

    /// What addresses are rounded to, outwards: a mapping of its own, which the allocator makes for a large buffer, begins a few
    /// bytes before it. Where pages are larger than this, the call may be refused, and nothing is lost.
    const PAGE: usize = 4096;
    let first = buffer.as_ptr() as usize / PAGE * PAGE;
    let end = (buffer.as_ptr() as usize + size_of_val(buffer)).next_multiple_of(PAGE);
    // SAFETY: the advice changes how pages of this process are made, not what is in them, those of neighbours included.
    let _ = unsafe { madvise(first as *mut std::ffi::c_void, end - first, Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn enlarge<T>(_: &[T]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_every_size_are_zeros_that_can_be_written() {
        for len in [0, 1, 1000, LARGE / 4 - 1, LARGE / 4, LARGE + 12_345] {
            let mut buffer = zeros::<f32>(len);
            assert!(buffer.len() == len && buffer.iter().all(|&x| x == 0.0));
            buffer.fill(1.5);
            assert!(buffer.iter().all(|&x| x.to_bits() == 1.5f32.to_bits()));
        }
    }
}
