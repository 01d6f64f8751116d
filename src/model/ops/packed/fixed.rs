//! Inputs of coded weights as whole numbers of 16 bits, 32 of them with a scale.
//!
//! Codes are whole numbers, so that a block's `sum(code * x)` is one of whole numbers as well if its inputs are: processors multiply
//! and add twice as many of 16 bits as there are `f32` in a vector, and the sum is exact in any order. An input is off by at most
//! about `1 / 65,534` of the largest of its block; for the largest itself that is to a rounding to `bf16` as 1 is to 128.

#![allow(unsafe_code)] // Tasks write disjoint rows, which slices cannot express where they lie block by block.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use rayon::prelude::*;

use super::super::rows::Rows;
use super::super::scratch;
use super::super::simd::Simd;
use super::BLOCK;
use crate::multiversion;

/// The largest whole number: both signs have it.
const MOST: f32 = 32_767.0;
/// Blocks with nothing of this size count as zeros: not far below it a scale would be no normal number.
const LEAST: f32 = 1e-30;
/// Numbers from which on threads share the work.
const ALONE: usize = 1 << 14;

/// Inputs of a product in fixed point, block by block, as pointers that tasks share.
#[derive(Clone, Copy)]
pub(super) struct Fixed {
    rows: usize,
    /// `[blocks, rows, BLOCK]`
    numbers: *mut i16,
    /// `[blocks, rows, 2]`: a scale, and the sum of the inputs.
    scales: *mut f32,
}

// SAFETY: written by tasks that have rows of their own, and read only then.
unsafe impl Send for Fixed {}
// SAFETY: as above.
unsafe impl Sync for Fixed {}

/// Rounds rows of the second from one number up to another, of so many blocks each, into the first.
pub(super) type Fill = fn(Fixed, Rows<'_>, usize, usize, usize);

impl Fixed {
    /// No inputs: for weights that are no codes.
    pub(super) fn none() -> Self {
        Self { rows: 0, numbers: std::ptr::null_mut(), scales: std::ptr::null_mut() }
    }

    /// Lends the inputs `x`, the first `inputs` of each row, in fixed point.
    pub(super) fn with<R>(x: Rows<'_>, inputs: usize, work: impl FnOnce(Self) -> R) -> R {
        Self::by(fill, x, inputs, work)
    }

    /// [`Fixed::with`], rounded by `fill`.
    pub(super) fn by<R>(fill: Fill, x: Rows<'_>, inputs: usize, work: impl FnOnce(Self) -> R) -> R {
        let blocks = inputs / BLOCK;
        let size = x.rows * blocks;
        // Two numbers of 16 bits in the room of one `f32`; each row of a block begins a line of the cache.
        scratch::with(size * (BLOCK / 2 + 2), |room| {
            let (numbers, scales) = room.split_at_mut(size * BLOCK / 2);
            let fixed = Self { rows: x.rows, numbers: numbers.as_mut_ptr().cast(), scales: scales.as_mut_ptr() };
            let stretch =
                if x.rows * inputs <= ALONE { x.rows.max(1) } else { x.rows.div_ceil(rayon::current_num_threads()) };
            if stretch >= x.rows {
                fill(fixed, x, 0, x.rows, blocks);
            } else {
                (0..x.rows.div_ceil(stretch)).into_par_iter().with_max_len(1).for_each(|nth| {
                    fill(fixed, x, nth * stretch, x.rows.min((nth + 1) * stretch), blocks);
                });
            }
            work(fixed)
        })
    }

    /// The numbers of a row's block; the next row's lie [`BLOCK`] on.
    ///
    /// # Safety
    /// The row and the block must exist.
    #[inline(always)]
    pub(super) unsafe fn numbers(self, row: usize, block: usize) -> *const i16 {
        // SAFETY: the caller's promise.
        unsafe { self.numbers.add((block * self.rows + row) * BLOCK) }
    }

    /// What the numbers of a row's block are multiplied with to be its inputs, and the sum of these.
    ///
    /// # Safety
    /// The row and the block must exist.
    #[inline(always)]
    pub(super) unsafe fn scales(self, row: usize, block: usize) -> [f32; 2] {
        // SAFETY: the caller's promise.
        unsafe { *self.scales.add((block * self.rows + row) * 2).cast() }
    }
}

/// What numbers up to `largest` are multiplied with to become whole, and what undoes it.
#[inline(always)]
fn scale_of(largest: f32) -> (f32, f32) {
    if largest < LEAST { (0.0, 0.0) } else { (MOST / largest, largest / MOST) }
}

multiversion! {
    fn fill<S>(fixed: Fixed, x: Rows<'_>, from: usize, to: usize, blocks: usize) {
        rounded::<S>(fixed, x, from, to, blocks);
    }
}

/// A [`Fill`] at a level.
#[inline(always)]
pub(super) fn rounded<S: Simd>(fixed: Fixed, x: Rows<'_>, from: usize, to: usize, blocks: usize) {
    for row in from..to {
        for (block, x) in x.data[row * x.stride..][..blocks * BLOCK].as_chunks::<BLOCK>().0.iter().enumerate() {
            let at = block * fixed.rows + row;
            // SAFETY: rows and blocks exist, and no other task writes this row.
            unsafe {
                let mut largest = S::splat(0.0);
                for i in (0..BLOCK).step_by(S::LANES) {
                    largest = S::larger(S::load(x.as_ptr().add(i)), largest);
                }
                let (inverse, scale) = scale_of(S::largest(largest));
                let mut sums = S::splat(0.0);
                for i in (0..BLOCK).step_by(S::LANES) {
                    let x = S::mul(S::load(x.as_ptr().add(i)), S::splat(inverse));
                    sums = S::add(sums, S::store_whole(fixed.numbers.add(at * BLOCK + i), x));
                }
                // Whole numbers far below 2^24, exact in any order; infinity and what is no number make it none.
                let sum = S::sums([sums; 4])[0];
                let scale = if sum.is_nan() { f32::NAN } else { scale };
                fixed.scales.add(at * 2).cast::<[f32; 2]>().write_unaligned([scale, sum * scale]);
            }
        }
    }
}
