//! Many rows times packed weights: codes are turned into numbers once for all of them, in the first-level cache.

#![allow(unsafe_code)] // Sums of a task's own; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::rows::height;
use super::super::simd::Simd;
use super::expand::{each_code, half};
use super::product::{CODES, Job, place, settle};
use super::{BLOCK, Code, PANEL, View};

/// Rows that a task takes where there are many: its inputs, sums and numbers of a block stay in the first-level cache (32 KiB).
pub(super) const ROWS: usize = 64;
/// Outputs that many rows are multiplied with at once: four panels.
const SIDE: usize = 4 * PANEL;

/// A block's weights of `SIDE` outputs, codes not yet scaled: `[BLOCK, SIDE]`.
type Numbers = [[f32; SIDE]; BLOCK];

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
    let mut sums = [[0f32; SIDE]; ROWS];
    let mut numbers: Numbers = [[0.0; SIDE]; BLOCK];
    for side in (from..to).step_by(4) {
        sums.fill([0.0; SIDE]);
        for block in 0..job.view.blocks {
            // SAFETY: the caller's promise: rows, panels and blocks exist; vectors come in fours or, of fewer lanes, in twos.
            unsafe {
                spread::<S, CODE>(job.view, side, block, &mut numbers);
                let mut row = rows.start;
                while row < rows.end {
                    let height = height(rows.end - row, if S::LANES == 16 { 6 } else { 3 });
                    let own = &mut sums[row - rows.start..];
                    match height {
                        6 => step::<S, 6, 4, CODE>(job, row, side, block, &numbers, own),
                        5 => step::<S, 5, 4, CODE>(job, row, side, block, &numbers, own),
                        4 => step::<S, 4, 4, CODE>(job, row, side, block, &numbers, own),
                        3 if S::LANES == 16 => step::<S, 3, 4, CODE>(job, row, side, block, &numbers, own),
                        3 => step::<S, 3, 2, CODE>(job, row, side, block, &numbers, own),
                        2 => step::<S, 2, 2, CODE>(job, row, side, block, &numbers, own),
                        _ => step::<S, 1, 2, CODE>(job, row, side, block, &numbers, own),
                    }
                    row += height;
                }
            }
        }
        for (row, sums) in rows.clone().zip(&sums) {
            for (vector, sums) in sums.chunks_exact(S::LANES).enumerate() {
                // SAFETY: the caller's promise; a chunk is a vector.
                unsafe { settle::<S>(job, row, side * PANEL + vector * S::LANES, S::load(sums.as_ptr())) };
            }
        }
    }
}

/// Turns a block's codes of four panels into numbers.
///
/// # Safety
/// The panels and the block must exist.
#[inline(always)]
unsafe fn spread<S: Simd, const CODE: usize>(view: View, side: usize, block: usize, numbers: &mut Numbers) {
    let code = CODES[CODE];
    for panel in 0..4 {
        for lane in (0..PANEL).step_by(S::LANES) {
            let first = panel * PANEL + lane;
            // SAFETY: the caller's promise; a row of numbers has room for four panels.
            unsafe {
                let words = view.words.add(((side + panel) * view.blocks + block) * code.words());
                if matches!(code, Code::Bf16 | Code::F16) {
                    for (i, numbers) in numbers.iter_mut().enumerate() {
                        let w = half::<S>(code, words.cast::<u16>().add(i * PANEL + lane));
                        S::store(numbers.as_mut_ptr().add(first), w);
                    }
                } else {
                    each_code::<S>(code, words.add(lane), |i, w| S::store(numbers[i].as_mut_ptr().add(first), w));
                }
            }
        }
    }
}

/// Adds a block to the sums of rows `row..row + M` and four panels, `N` vectors at a time.
///
/// # Safety
/// The rows, panels and the block must exist, and `sums` have `M` rows.
#[inline(always)]
unsafe fn step<S: Simd, const M: usize, const N: usize, const CODE: usize>(
    job: Job<'_>,
    row: usize,
    side: usize,
    block: usize,
    numbers: &Numbers,
    sums: &mut [[f32; SIDE]],
) {
    let code = CODES[CODE];
    let groups = if code == Code::EightBy16 { 2 } else { 1 };
    for first in (0..SIDE).step_by(N * S::LANES) {
        // SAFETY: the caller's promise.
        unsafe {
            let x = job.x.data.as_ptr().add(row * job.x.stride + block * BLOCK);
            let at = |m: usize, n: usize| sums.as_ptr().add(m).cast::<f32>().add(first + n * S::LANES);
            let mut acc = [[S::splat(0.0); N]; M];
            let plain = matches!(code, Code::Bf16 | Code::F16);
            if plain {
                for (m, acc) in acc.iter_mut().enumerate() {
                    for (n, acc) in acc.iter_mut().enumerate() {
                        *acc = S::load(at(m, n));
                    }
                }
            }
            for group in 0..groups {
                let mut part = acc;
                #[allow(clippy::needless_range_loop)] // the inputs are read at the same place
                for i in group * BLOCK / groups..(group + 1) * BLOCK / groups {
                    let w: [S::V; N] = std::array::from_fn(|n| S::load(numbers[i].as_ptr().add(first + n * S::LANES)));
                    for (m, part) in part.iter_mut().enumerate() {
                        let x = S::splat(*x.add(m * job.x.stride + i));
                        for (part, w) in part.iter_mut().zip(w) {
                            *part = S::mul_add(w, x, *part);
                        }
                    }
                }
                for n in 0..N {
                    let (panel, lane) = place::<S>(first / S::LANES + n);
                    let panel = side + panel;
                    for (m, part) in part.iter().enumerate() {
                        let to = sums.as_mut_ptr().add(m).cast::<f32>().add(first + n * S::LANES);
                        if plain {
                            S::store(to, part[n]);
                            continue;
                        }
                        let scale = job.view.scale::<S>(panel, block, group, lane);
                        let mut sum = S::mul_add(part[n], scale, S::load(to));
                        if code != Code::EightBy16 {
                            let least = job.view.scale::<S>(panel, block, 1, lane);
                            let inputs = S::splat(*job.sums.as_ptr().add((row + m) * job.view.blocks + block));
                            sum = S::mul_add(least, inputs, sum);
                        }
                        S::store(to, sum);
                    }
                }
            }
        }
    }
}
