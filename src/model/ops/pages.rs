//! Large buffers that lie in large pages.
//!
//! A page is made when it is first touched. In pages of 4 KiB the first step of a training touches hundreds of thousands, and
//! half of that step is the system making them; in pages of 2 MiB it is a few hundred. Linux gives those to who asks
//! (`madvise(2)`, `MADV_HUGEPAGE`) and only where a buffer covers them whole, so nothing grows by it.
//!
//! Buffers also begin where a line of the cache does, if the program runs on [`Aligned`]. The C library's large ones begin 16
//! bytes past a page, where every vector of 64 bytes lies across two lines: products whose operands are read where they lie then
//! took a quarter to a half longer.

#![allow(unsafe_code)] // an allocator is an unsafe trait; memory of the system's is asked for and given back by address

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Bytes under which a buffer is left alone: a page of 2 MiB would not fit it.
const LARGE: usize = 2 << 20;

/// Bytes from which on a buffer is aligned to a line of the cache, of [`LINE`] bytes.
const SOME: usize = 1 << 10;
/// A line of the cache, in bytes.
pub const LINE: usize = 64;
/// What every mapping is aligned to at least, in bytes.
const PAGE: usize = 4096;

/// Bytes from which on a buffer is a mapping of its own.
const ALONE: usize = 256 << 10;

/// The system's allocator, but that buffers of a kibibyte begin at a line of the cache. Those of 256 KiB are mappings of their own:
/// zeros among them are untouched until they are written, and what is freed is given back at once. A training's buffers change
/// with the lengths of its packs; among one another they would leave holes that nothing fits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aligned;

/// Whether memory of this layout is a mapping of its own.
fn mapped(layout: Layout) -> bool {
    layout.size() >= ALONE && layout.align() <= PAGE
}

/// The layout that is asked of the system.
fn raised(layout: Layout) -> Layout {
    if layout.size() < SOME { layout } else { layout.align_to(LINE).unwrap_or(layout) }
}

// SAFETY: which of the two ways memory came and goes depends on the layout alone, which is the same both times; a mapping is as
// long as was asked for, zeroed, and aligned to a page.
unsafe impl GlobalAlloc for Aligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !mapped(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(raised(layout)) };
        }
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the system chooses where, so that nothing that is mapped is touched.
        unsafe { mmap_anonymous(ptr::null_mut(), layout.size(), access, flags) }
            .map_or(ptr::null_mut(), <*mut c_void>::cast)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: the memory came from `alloc` with this layout.
        unsafe {
            if mapped(layout) {
                // An error would leave the memory as it is, which nobody uses.
                let _ = munmap(at.cast(), layout.size());
            } else {
                System.dealloc(at, raised(layout));
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { if mapped(layout) { self.alloc(layout) } else { System.alloc_zeroed(raised(layout)) } }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: the alignment is one, and `size` fits it.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (mapped(layout), mapped(wanted)) {
                (true, true) => remap(at, layout, wanted),
                (false, false) if raised(layout).align() == raised(wanted).align() => {
                    System.realloc(at, raised(layout), size)
                }
                _ => moved(at, layout, wanted),
            }
        }
    }
}

/// Memory of another layout with the same bytes in it.
///
/// # Safety
/// As for `GlobalAlloc::realloc`.
unsafe fn moved(at: *mut u8, layout: Layout, wanted: Layout) -> *mut u8 {
    // SAFETY: the caller's promise; the two do not overlap, as both are there at once.
    unsafe {
        let to = Aligned.alloc(wanted);
        if !to.is_null() {
            ptr::copy_nonoverlapping(at, to, layout.size().min(wanted.size()));
            Aligned.dealloc(at, layout);
        }
        to
    }
}

/// [`moved`], of one mapping to another, without copying.
#[cfg(target_os = "linux")]
unsafe fn remap(at: *mut u8, layout: Layout, wanted: Layout) -> *mut u8 {
    use rustix::mm::{MremapFlags, mremap};
    // SAFETY: the caller's promise; where the system moves the mapping, the old one is gone.
    unsafe { mremap(at.cast(), layout.size(), wanted.size(), MremapFlags::MAYMOVE) }
        .map_or(ptr::null_mut(), <*mut c_void>::cast)
}

#[cfg(not(target_os = "linux"))]
unsafe fn remap(at: *mut u8, layout: Layout, wanted: Layout) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { moved(at, layout, wanted) }
}

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

    // Rounded outwards: where a program does not run on `Aligned`, a large buffer begins a few bytes past its mapping. Where pages
    // are larger than this, the call may be refused, and nothing is lost.
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
    fn memory_of_every_size_is_aligned_zero_where_asked_and_keeps_its_bytes_when_it_grows_or_shrinks() {
        let sizes = [1, 100, SOME - 1, SOME, 70_000, ALONE - 1, ALONE, ALONE + 1, 3 * ALONE + 5, 16 * LARGE];
        let aligned = |at: *mut u8, size: usize, align: usize| {
            assert!(!at.is_null());
            let wanted = if size >= ALONE {
                PAGE
            } else if size >= SOME {
                LINE
            } else {
                8
            };
            assert!((at as usize).is_multiple_of(wanted.max(align)), "{size} bytes at {at:?}");
        };
        let crossings = sizes.into_iter().flat_map(|from| sizes.into_iter().map(move |to| (from, to)));
        let aligns = |(from, to)| [8, LINE, PAGE, 2 * PAGE].map(|align| (from, to, align));
        for (from, to, align) in crossings.flat_map(aligns) {
            let layout = Layout::from_size_align(from, align).unwrap();
            // SAFETY: every access lies within the size that was asked for last.
            unsafe {
                let at = Aligned.alloc_zeroed(layout);
                aligned(at, from, align);
                let bytes = std::slice::from_raw_parts_mut(at, from);
                assert!(bytes.iter().all(|&byte| byte == 0));
                bytes[from / 2] = 3;
                bytes[from - 1] = 7;
                let at = Aligned.realloc(at, layout, to);
                aligned(at, to, align);
                let bytes = std::slice::from_raw_parts_mut(at, to);
                let kept = |i: usize, byte: u8| i >= to || bytes[i] == byte;
                assert!(kept(from - 1, 7) && (from / 2 == from - 1 || kept(from / 2, 3)), "{from} to {to}");
                bytes.fill(9);
                Aligned.dealloc(at, Layout::from_size_align(to, align).unwrap());
            }
        }
    }

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
