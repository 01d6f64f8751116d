//! A panel's weights as `f32`, in their places in a matrix.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::simd::Simd;
use super::coded::each_pair;
use super::{BLOCK, Code, PANEL, Target, View};
use crate::multiversion;

/// Turns the 32 codes of a block into numbers, for one vector of lanes, and shows each to `see`, with its place in the block.
///
/// # Safety
/// `words` must be a block's, from the vector's first lane on.
#[inline(always)]
pub(super) unsafe fn each_code<S: Simd>(code: Code, words: *const u32, mut see: impl FnMut(usize, S::V)) {
    // SAFETY: the caller's promise.
    unsafe {
        for word in 0..code.words() / PANEL {
            let codes = S::load_words(words.add(word * PANEL));
            macro_rules! show {
                ($pair:expr, $turned:expr, $codes:expr) => {
                    let pair = $turned($codes);
                    see(2 * ($pair), S::lower(pair));
                    see(2 * ($pair) + 1, S::upper(pair));
                };
            }
            each_pair!(S, code, word, codes, show);
        }
    }
}

multiversion! {
    /// Writes a panel's first `lanes` outputs as `f32` into columns from `first` on, one input a row.
    pub(super) fn expand<S>(view: View, panel: usize, out: Target, first: usize, lanes: usize) {
        let each = view.code.words();
        for block in 0..view.blocks {
            for vector in 0..PANEL / S::LANES {
                let lane = vector * S::LANES;
                if lane >= lanes {
                    continue;
                }
                // SAFETY: panel and block exist, and `transposed` has checked the room of the result.
                unsafe {
                    let put = |i: usize, v: S::V| {
                        let to = out.y.at((block * BLOCK + i) * out.stride + first + lane);
                        if lanes - lane >= S::LANES {
                            S::store(to, v);
                        } else {
                            let mut part = [0f32; PANEL];
                            S::store(part.as_mut_ptr(), v);
                            std::ptr::copy_nonoverlapping(part.as_ptr(), to, lanes - lane);
                        }
                    };
                    let words = view.words.add((panel * view.blocks + block) * each);
                    match view.code {
                        Code::Four | Code::Eight => {
                            let scale = view.scale::<S>(panel, block, 0, lane);
                            let least = view.scale::<S>(panel, block, 1, lane);
                            each_code::<S>(view.code, words.add(lane), |i, c| put(i, S::mul_add(c, scale, least)));
                        }
                        Code::EightBy16 => {
                            let scales = [view.scale::<S>(panel, block, 0, lane), view.scale::<S>(panel, block, 1, lane)];
                            each_code::<S>(view.code, words.add(lane), |i, c| put(i, S::mul(c, scales[i / 16])));
                        }
                        Code::Bf16 | Code::F16 => {
                            let halves = words.cast::<u16>().add(lane);
                            for i in 0..BLOCK {
                                put(i, half::<S>(view.code, halves.add(i * PANEL)));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A vector of half-precision numbers.
///
/// # Safety
/// They must be there.
#[inline(always)]
pub(super) unsafe fn half<S: Simd>(code: Code, at: *const u16) -> S::V {
    // SAFETY: the caller's promise.
    unsafe { if code == Code::Bf16 { S::load_bf16(at) } else { S::load_f16(at) } }
}
