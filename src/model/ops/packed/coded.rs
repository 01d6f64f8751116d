//! Codes of 4 and 8 bits times inputs in fixed point: sums of whole numbers, scaled group by group.
//!
//! An output's sum grows by `(sum(code * x) * scale) * x_scale` group by group and then, block by block, by `least * sum(x)`:
//! one order, however many rows there are.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::simd::Simd;
use super::product::{CODES, Job, place, settle_all};
use super::tall::{Numbers, SIDE};
use super::{BLOCK, Code, PANEL, View};

/// Shows the pairs of codes in a word of each output, each as a word of two numbers of 16 bits, with its place in the block.
macro_rules! each_pair {
    ($S:ident, $code:expr, $word:expr, $codes:expr, $see:ident) => {
        if $code == Code::Four {
            $see!($word * 4, $S::nibbles::<0>, $codes);
            $see!($word * 4 + 1, $S::nibbles::<4>, $codes);
            $see!($word * 4 + 2, $S::nibbles::<8>, $codes);
            $see!($word * 4 + 3, $S::nibbles::<12>, $codes);
        } else {
            $see!($word * 2, $S::low_bytes, $codes);
            $see!($word * 2 + 1, $S::high_bytes, $codes);
        }
    };
}
pub(super) use each_pair;

/// Adds a group to `sum`: its sum of whole numbers in the scales of its codes and inputs, then its least, where it has one, for the
/// sum of its inputs.
#[inline(always)]
fn grown<S: Simd>(code: Code, sum: S::V, part: S::I, [scale, least]: [S::V; 2], [x_scale, x_sum]: [f32; 2]) -> S::V {
    let sum = S::mul_add(S::mul(S::whole(part), scale), S::splat(x_scale), sum);
    if code.has_least() { S::mul_add(least, S::splat(x_sum), sum) } else { sum }
}

/// The outputs of rows `row..row + M` and `N` vectors of outputs: codes become numbers in registers.
///
/// # Safety
/// The rows and panels must exist.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Sums are kept in registers where they are named by plain places alone.
pub(super) unsafe fn tile<S: Simd, const M: usize, const N: usize, const CODE: usize>(
    job: Job<'_>,
    row: usize,
    vector: usize,
) {
    let code = CODES[CODE];
    let View { blocks, words, .. } = job.view;
    let (size, groups) = (code.words(), code.groups());
    let per_group = size / PANEL / groups;
    // SAFETY: the caller's promise: rows, panels and blocks exist.
    unsafe {
        let mut acc = [[S::splat(0.0); N]; M];
        for block in 0..blocks {
            let x = job.fixed.numbers(row, block);
            for group in 0..groups {
                let mut part = [[S::no_words(); N]; M];
                for word in group * per_group..(group + 1) * per_group {
                    let mut codes = [S::no_words(); N];
                    for (n, codes) in codes.iter_mut().enumerate() {
                        let (panel, lane) = place::<S>(vector + n);
                        *codes = S::load_words(words.add((panel * blocks + block) * size + word * PANEL + lane));
                    }
                    macro_rules! add {
                        ($pair:expr, $turned:expr, $codes:expr) => {
                            for n in 0..N {
                                let w = $turned($codes[n]);
                                for m in 0..M {
                                    let x = S::splat_pair(x.add(m * BLOCK + 2 * ($pair)));
                                    part[m][n] = S::dot_pairs(part[m][n], w, x);
                                }
                            }
                        };
                    }
                    each_pair!(S, code, word, codes, add);
                }
                for n in 0..N {
                    let (panel, lane) = place::<S>(vector + n);
                    let scales =
                        [job.view.scale::<S>(panel, block, group, lane), job.view.scale::<S>(panel, block, 1, lane)];
                    for m in 0..M {
                        acc[m][n] = grown::<S>(code, acc[m][n], part[m][n], scales, job.fixed.scales(row + m, block));
                    }
                }
            }
        }
        settle_all::<S, M, N>(job, row, vector, acc);
    }
}

/// Turns a block's codes of a panel's lanes from `lane` on into pairs in `numbers`, from `first` on.
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
        let words = view.words.add((panel * view.blocks + block) * code.words() + lane);
        for word in 0..code.words() / PANEL {
            let codes = S::load_words(words.add(word * PANEL));
            macro_rules! put {
                ($pair:expr, $turned:expr, $codes:expr) => {
                    S::store_words(numbers.words[$pair].as_mut_ptr().add(first), $turned($codes));
                };
            }
            each_pair!(S, code, word, codes, put);
        }
        for which in 0..2 {
            let scale = view.scale::<S>(panel, block, which, lane);
            S::store(numbers.scales[which].as_mut_ptr().add(first), scale);
        }
    }
}

/// Adds a block to the sums of rows `row..row + M`, `N` vectors of outputs from `first` on; rows of sums are [`SIDE`] apart.
///
/// # Safety
/// The rows, the block and the sums must exist.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Sums are kept in registers where they are named by plain places alone.
pub(super) unsafe fn step<S: Simd, const M: usize, const N: usize, const CODE: usize>(
    job: Job<'_>,
    row: usize,
    block: usize,
    numbers: &Numbers,
    first: usize,
    sums: *mut f32,
) {
    let code = CODES[CODE];
    let groups = code.groups();
    let per_group = BLOCK / 2 / groups;
    // SAFETY: the caller's promise.
    unsafe {
        let x = job.fixed.numbers(row, block);
        for group in 0..groups {
            let mut part = [[S::no_words(); N]; M];
            for pair in group * per_group..(group + 1) * per_group {
                let mut w = [S::no_words(); N];
                for n in 0..N {
                    w[n] = S::load_words(numbers.words[pair].as_ptr().add(first + n * S::LANES));
                }
                for m in 0..M {
                    let x = S::splat_pair(x.add(m * BLOCK + 2 * pair));
                    for n in 0..N {
                        part[m][n] = S::dot_pairs(part[m][n], w[n], x);
                    }
                }
            }
            for m in 0..M {
                for n in 0..N {
                    let scales = [
                        S::load(numbers.scales[group].as_ptr().add(first + n * S::LANES)),
                        S::load(numbers.scales[1].as_ptr().add(first + n * S::LANES)),
                    ];
                    let at = sums.add(m * SIDE + n * S::LANES);
                    S::store(at, grown::<S>(code, S::load(at), part[m][n], scales, job.fixed.scales(row + m, block)));
                }
            }
        }
    }
}
