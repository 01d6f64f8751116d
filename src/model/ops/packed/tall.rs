//! Many rows times packed weights: codes are turned into numbers once for all of them, in the first-level cache.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::rows::height;
use super::super::simd::Simd;
use super::product::{CODES, Job, settle};
use super::{BLOCK, PANEL, coded, halves};

/// Rows that a task takes where there are many: its inputs, sums and numbers of a block stay in the first-level cache (32 KiB).
pub(super) const ROWS: usize = 64;
/// Outputs that many rows are multiplied with at once: four panels.
pub(super) const SIDE: usize = 4 * PANEL;

/// A block's weights of [`SIDE`] outputs.
#[repr(align(64))]
pub(super) struct Numbers {
    /// `[BLOCK, SIDE]` numbers in `f32`, or `[BLOCK / 2, SIDE]` pairs of codes.
    pub words: [[u32; SIDE]; BLOCK],
    /// The two scales of each output's codes.
    pub scales: [[f32; SIDE]; 2],
}

/// Sums of rows, `[ROWS, SIDE]`.
#[repr(align(64))]
struct Sums([[f32; SIDE]; ROWS]);

/// Panels `from..to` of many rows, at most [`ROWS`]: four panels and a block at a time, whose codes become numbers once for all rows.
/// The order of every sum is that of a few rows.
///
/// # Panics
/// When there are more rows: a mistake of the caller.
///
/// # Safety
/// The rows and panels must exist.
#[inline(always)]
pub(super) unsafe fn tall<S: Simd, const CODE: usize>(
    job: Job<'_>,
    rows: std::ops::Range<usize>,
    from: usize,
    to: usize,
) {
    assert!(rows.len() <= ROWS, "more rows than there are sums");
    let mut sums = Sums([[0.0; SIDE]; ROWS]);
    let mut numbers = Numbers { words: [[0; SIDE]; BLOCK], scales: [[0.0; SIDE]; 2] };
    for side in (from..to).step_by(4) {
        sums.0[..rows.len()].fill([0.0; SIDE]);
        for block in 0..job.view.blocks {
            // SAFETY: the caller's promise: rows, panels and blocks exist; vectors come in fours or, of fewer lanes, in twos.
            unsafe {
                spread::<S, CODE>(job, side, block, &mut numbers);
                let mut row = rows.start;
                while row < rows.end {
                    let height = height(rows.end - row, if S::LANES == 16 { 6 } else { 4 });
                    let own = &mut sums.0[row - rows.start..];
                    match height {
                        6 => step::<S, 6, 4, CODE>(job, row, block, &numbers, own),
                        5 => step::<S, 5, 4, CODE>(job, row, block, &numbers, own),
                        4 if S::LANES == 16 => step::<S, 4, 4, CODE>(job, row, block, &numbers, own),
                        4 => step::<S, 4, 2, CODE>(job, row, block, &numbers, own),
                        3 if S::LANES == 16 => step::<S, 3, 4, CODE>(job, row, block, &numbers, own),
                        3 => step::<S, 3, 2, CODE>(job, row, block, &numbers, own),
                        2 => step::<S, 2, 2, CODE>(job, row, block, &numbers, own),
                        _ => step::<S, 1, 2, CODE>(job, row, block, &numbers, own),
                    }
                    row += height;
                }
            }
        }
        for (row, sums) in rows.clone().zip(&sums.0) {
            for (vector, sums) in sums.chunks_exact(S::LANES).enumerate() {
                // SAFETY: the caller's promise; a chunk is a vector.
                unsafe { settle::<S>(job, row, side * PANEL + vector * S::LANES, S::load(sums.as_ptr())) };
            }
        }
    }
}

/// Turns a block of four panels into numbers.
///
/// # Safety
/// The panels and the block must exist.
#[inline(always)]
unsafe fn spread<S: Simd, const CODE: usize>(job: Job<'_>, side: usize, block: usize, numbers: &mut Numbers) {
    for panel in 0..4 {
        for lane in (0..PANEL).step_by(S::LANES) {
            // SAFETY: the caller's promise.
            unsafe {
                if CODES[CODE].is_coded() {
                    coded::spread::<S, CODE>(job.view, side + panel, block, lane, numbers, panel * PANEL + lane);
                } else {
                    halves::spread::<S, CODE>(job.view, side + panel, block, lane, numbers, panel * PANEL + lane);
                }
            }
        }
    }
}

/// Adds a block to the sums of rows `row..row + M` and four panels, `N` vectors at a time.
///
/// # Safety
/// The rows and the block must exist, and `sums` have `M` rows.
#[inline(always)]
unsafe fn step<S: Simd, const M: usize, const N: usize, const CODE: usize>(
    job: Job<'_>,
    row: usize,
    block: usize,
    numbers: &Numbers,
    sums: &mut [[f32; SIDE]],
) {
    assert!(sums.len() >= M, "more rows than there are sums");
    for first in (0..SIDE).step_by(N * S::LANES) {
        let sums = sums.as_mut_ptr().cast::<f32>().wrapping_add(first);
        // SAFETY: the caller's promise; there are sums of `M` rows.
        unsafe {
            if CODES[CODE].is_coded() {
                coded::step::<S, M, N, CODE>(job, row, block, numbers, first, sums);
            } else {
                halves::step::<S, M, N>(job, row, block, numbers, first, sums);
            }
        }
    }
}
