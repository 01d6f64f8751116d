//! Half-precision weights times inputs in `f32`: numbers are widened, exactly, and multiplied.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::simd::Simd;
use super::expand::half;
use super::product::{CODES, Job, place, settle_all};
use super::tall::{Numbers, SIDE};
use super::{BLOCK, PANEL, View};

/// The outputs of rows `row..row + M` and `N` vectors of outputs: numbers are widened in registers.
///
/// # Safety
/// The rows and panels must exist.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const M: usize, const N: usize, const CODE: usize>(
    job: Job<'_>,
    row: usize,
    vector: usize,
) {
    let code = CODES[CODE];
    let View { blocks, words, .. } = job.view;
    // SAFETY: the caller's promise: rows, panels and blocks exist.
    unsafe {
        let x = job.x.data.as_ptr().add(row * job.x.stride);
        let mut acc = [[S::splat(0.0); N]; M];
        for block in 0..blocks {
            for i in 0..BLOCK {
                let x = x.add(block * BLOCK + i);
                for n in 0..N {
                    let (panel, lane) = place::<S>(vector + n);
                    let at = words.add((panel * blocks + block) * code.words()).cast::<u16>().add(i * PANEL + lane);
                    let w = half::<S>(code, at);
                    for (m, acc) in acc.iter_mut().enumerate() {
                        acc[n] = S::mul_add(w, S::splat(*x.add(m * job.x.stride)), acc[n]);
                    }
                }
            }
        }
        settle_all::<S, M, N>(job, row, vector, acc);
    }
}

/// Widens a block of a panel's lanes from `lane` on into `numbers`, from `first` on.
///
/// # Safety
/// The panel and the block must exist, and `first` leave room for a vector.
#[inline(always)]
pub(super) unsafe fn spread<S: Simd, const CODE: usize>(
    view: View,
    panel: usize,
    block: usize,
    lane: usize,
    numbers: &mut Numbers,
    first: usize,
) {
    let code = CODES[CODE];
    // SAFETY: the caller's promise.
    unsafe {
        let words = view.words.add((panel * view.blocks + block) * code.words()).cast::<u16>().add(lane);
        for (i, numbers) in numbers.words.iter_mut().enumerate() {
            S::store(numbers.as_mut_ptr().add(first).cast(), half::<S>(code, words.add(i * PANEL)));
        }
    }
}

/// Adds a block to the sums of rows `row..row + M`, `N` vectors of outputs from `first` on; rows of sums are [`SIDE`] apart.
///
/// # Safety
/// The rows, the block and the sums must exist.
#[inline(always)]
pub(super) unsafe fn step<S: Simd, const M: usize, const N: usize>(
    job: Job<'_>,
    row: usize,
    block: usize,
    numbers: &Numbers,
    first: usize,
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let x = job.x.data.as_ptr().add(row * job.x.stride + block * BLOCK);
        let mut acc = [[S::splat(0.0); N]; M];
        for (m, acc) in acc.iter_mut().enumerate() {
            for (n, acc) in acc.iter_mut().enumerate() {
                *acc = S::load(sums.add(m * SIDE + n * S::LANES));
            }
        }
        for (i, numbers) in numbers.words.iter().enumerate() {
            let w: [S::V; N] = std::array::from_fn(|n| S::load(numbers.as_ptr().add(first + n * S::LANES).cast()));
            for (m, acc) in acc.iter_mut().enumerate() {
                let x = S::splat(*x.add(m * job.x.stride + i));
                for (acc, w) in acc.iter_mut().zip(w) {
                    *acc = S::mul_add(w, x, *acc);
                }
            }
        }
        for (m, acc) in acc.into_iter().enumerate() {
            for (n, acc) in acc.into_iter().enumerate() {
                S::store(sums.add(m * SIDE + n * S::LANES), acc);
            }
        }
    }
}
