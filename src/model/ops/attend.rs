//! Attention for inference: new tokens' queries over the cached keys of their own sequence.
//!
//! A query's numbers depend on its sequence and position alone. Scores are sums along the head ([`narrow`](super::narrow)),
//! weights are summed in lanes by the key's place in the sequence, and values are added in the order of the keys; keys
//! that a query beside it sees and it does not take part with weight 0, which changes no sum. So queries are tiled in
//! registers as their number allows, and neither batch nor the prompt's split shows in a result.

#![allow(unsafe_code)] // Tasks write disjoint parts of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use rayon::prelude::*;

use super::attention::Shape;
use super::narrow::product_here;
use super::packed::PANEL;
use super::rows::Rows;
use super::scratch;
use super::shared::Shared;
use super::simd::{Simd, exp};
use crate::multiversion;

/// Queries a task takes through keys and values together.
const TILE: usize = 6;
/// Lanes in which weights are summed, at every level; key ranges begin at multiples of it.
const LANES: usize = PANEL;

/// New tokens of one sequence, and what it has seen, themselves included.
pub struct Sequence<'a> {
    /// First row of q|k|v and of the result.
    pub row: usize,
    /// Rows of q|k|v: the newest tokens of the sequence.
    pub tokens: usize,
    /// For each key/value head its keys, sixteen tokens to a panel, `[seen / PANEL rounded up, head_dim, PANEL]`, and its values,
    /// `[seen, head_dim]`; `seen >= tokens`.
    pub heads: Vec<(&'a [f32], &'a [f32])>,
}

struct Task<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    /// Position of the sequence's first new token.
    start: usize,
    row: usize,
    group: usize,
    /// Queries, numbered token by token and within a token by head of the group.
    queries: std::ops::Range<usize>,
}

/// Fills `out`, `[rows, heads * head_dim]`, for every row of `qkv`, `[rows, (heads + 2 * kv_heads) * head_dim]`.
///
/// # Panics
/// When a sequence's rows lie outside of `qkv` or `out`, or its keys are too few: a mistake of the caller.
pub fn attend(shape: Shape, sequences: &[Sequence<'_>], qkv: &[f32], out: &mut [f32]) {
    let Shape { heads, kv_heads, head_dim: dim, .. } = shape;
    let per_group = heads / kv_heads;
    let (wide, width) = ((heads + 2 * kv_heads) * dim, heads * dim);
    let mut tasks = Vec::new();
    let mut next = 0;
    for s in sequences {
        assert!(s.row >= next && s.heads.len() == kv_heads, "sequences overlap or lack heads");
        next = s.row + s.tokens;
        assert!(next * width <= out.len() && next * wide <= qkv.len(), "a sequence's rows lie outside of q|k|v");
        for (group, &(keys, values)) in s.heads.iter().enumerate() {
            let seen = values.len() / dim;
            assert!(seen >= s.tokens && keys.len() == seen.next_multiple_of(PANEL) * dim, "fewer keys than tokens");
            let queries = s.tokens * per_group;
            tasks.extend((0..queries).step_by(TILE).map(|first| Task {
                keys,
                values,
                start: seen - s.tokens,
                row: s.row,
                group,
                queries: first..queries.min(first + TILE),
            }));
        }
    }
    let target = Shared::of(out);
    let run = |task: &Task<'_>| one(shape, per_group, task, qkv, target);
    let work: usize = tasks.iter().map(|t| t.queries.len() * t.keys.len()).sum();
    if work < 1 << 15 {
        tasks.iter().for_each(run);
    } else {
        tasks.par_iter().for_each(run);
    }
}

/// One tile of queries of one head group.
fn one(shape: Shape, per_group: usize, task: &Task<'_>, qkv: &[f32], out: Shared) {
    let Shape { heads, kv_heads, head_dim: dim, scale, window } = shape;
    let (wide, width) = ((heads + 2 * kv_heads) * dim, heads * dim);
    let count = task.queries.len();
    let place = |q: usize| (task.row + q / per_group, (task.group * per_group + q % per_group) * dim);
    let position = |q: usize| task.start + q / per_group;
    let first_of = |position: usize| window.map_or(0, |window| (position + 1).saturating_sub(window));
    let low = first_of(position(task.queries.start)) / LANES * LANES;
    let high = position(task.queries.end - 1) + 1;
    let stride = (high - low).next_multiple_of(LANES);
    scratch::with(count * (dim + stride), |room| {
        let (queries, scores) = room.split_at_mut(count * dim);
        for (q, query) in task.queries.clone().zip(queries.chunks_exact_mut(dim)) {
            let (row, column) = place(q);
            for (to, x) in query.iter_mut().zip(&qkv[row * wide + column..][..dim]) {
                *to = x * scale;
            }
        }
        let keys = &task.keys[low * dim..(low + stride) * dim];
        product_here(Rows { data: queries, rows: count, stride: dim }, dim, keys, scores, stride);
        let mut sums = [1.0; TILE];
        for ((q, scores), sum) in task.queries.clone().zip(scores.chunks_exact_mut(stride)).zip(&mut sums) {
            let (first, last) = (first_of(position(q)), position(q));
            scores[..first - low].fill(0.0);
            scores[last + 1 - low..].fill(0.0);
            exponentiate(&mut scores[first - low..=last - low]);
            *sum = sum_lanes(scores);
        }
        // SAFETY: `place` gives heads of this task's queries only, within the rows that `attend` has checked.
        let mut results =
            task.queries.clone().map(|q| unsafe { out.part(place(q).0 * width + place(q).1, dim) }).collect::<Vec<_>>();
        mix(scores, stride, &task.values[low * dim..high * dim], dim, &mut results);
        for (result, sum) in results.iter_mut().zip(sums) {
            result.iter_mut().for_each(|x| *x /= sum);
        }
    });
}

multiversion! {
    /// `e^(x - max)` in place.
    fn exponentiate<S>(x: &mut [f32]) {
        let mut most = [f32::NEG_INFINITY; LANES];
        let (whole, rest) = x.as_chunks::<LANES>();
        for x in whole {
            for (most, &x) in most.iter_mut().zip(x) {
                *most = if x > *most { x } else { *most };
            }
        }
        let max = most.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &x| if x > max { x } else { max });
        for x in x.iter_mut() {
            *x = exp::<S>(*x - max);
        }
    }
}

multiversion! {
    /// The sum, in [`LANES`] lanes; zeros behind the last number change nothing.
    fn sum_lanes<S>(x: &[f32]) -> f32 {
        let mut lanes = [0f32; LANES];
        for x in x.chunks_exact(LANES) {
            for (lane, x) in lanes.iter_mut().zip(x) {
                *lane += x;
            }
        }
        lanes.iter().sum()
    }
}

multiversion! {
    /// `out[i] = sum(weights[i][j] * values[j])`, added in the order of `j`; rows of `weights` are `stride` apart.
    fn mix<S>(weights: &[f32], stride: usize, values: &[f32], dim: usize, out: &mut [&mut [f32]]) {
        match out.len() {
            1 => mix_rows::<S, 1>(weights, stride, values, dim, out),
            2 => mix_rows::<S, 2>(weights, stride, values, dim, out),
            3 => mix_rows::<S, 3>(weights, stride, values, dim, out),
            4 => mix_rows::<S, 4>(weights, stride, values, dim, out),
            5 => mix_rows::<S, 5>(weights, stride, values, dim, out),
            _ => mix_rows::<S, TILE>(weights, stride, values, dim, out),
        }
    }
}

#[inline(always)]
fn mix_rows<S: Simd, const M: usize>(
    weights: &[f32],
    stride: usize,
    values: &[f32],
    dim: usize,
    out: &mut [&mut [f32]],
) {
    let mut at = 0;
    // As many accumulators as the registers hold.
    if S::LANES == 16 {
        while at + 4 * S::LANES <= dim {
            mix_columns::<S, M, 4>(weights, stride, values, dim, at, out);
            at += 4 * S::LANES;
        }
    }
    if S::LANES >= 8 {
        while at + 2 * S::LANES <= dim {
            mix_columns::<S, M, 2>(weights, stride, values, dim, at, out);
            at += 2 * S::LANES;
        }
    }
    while at + S::LANES <= dim {
        mix_columns::<S, M, 1>(weights, stride, values, dim, at, out);
        at += S::LANES;
    }
    for at in at..dim {
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (value, weight) in values.chunks_exact(dim).zip(&weights[i * stride..]) {
                sum = S::fma(*weight, value[at], sum);
            }
            out[at] = sum;
        }
    }
}

/// Columns `at..at + C * S::LANES` of all results.
#[inline(always)]
fn mix_columns<S: Simd, const M: usize, const C: usize>(
    weights: &[f32],
    stride: usize,
    values: &[f32],
    dim: usize,
    at: usize,
    out: &mut [&mut [f32]],
) {
    let keys = values.len() / dim;
    assert!(out.len() == M && weights.len() >= (M - 1) * stride + keys && at + C * S::LANES <= dim);
    let mut acc = [[S::splat(0.0); C]; M];
    // SAFETY: `j < keys`, so rows of `values` and `weights` are read within the lengths asserted above; `out`'s slices
    // are `dim` long, which slicing checks.
    unsafe {
        for j in 0..keys {
            let value = values.as_ptr().add(j * dim + at);
            let mut columns = [S::splat(0.0); C];
            for (c, column) in columns.iter_mut().enumerate() {
                *column = S::load(value.add(c * S::LANES));
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let weight = S::splat(*weights.as_ptr().add(i * stride + j));
                for (acc, column) in acc.iter_mut().zip(columns) {
                    *acc = S::mul_add(weight, column, *acc);
                }
            }
        }
        for (acc, out) in acc.iter().zip(out.iter_mut()) {
            let out = out[at..at + C * S::LANES].as_mut_ptr();
            for (c, acc) in acc.iter().enumerate() {
                S::store(out.add(c * S::LANES), *acc);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32).map(|i| ((i.wrapping_mul(2_654_435_761) ^ seed) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// The definition, in `f64`.
    fn exact(shape: Shape, q: &[f32], keys: &[f32], values: &[f32], position: usize) -> Vec<f64> {
        let dim = shape.head_dim;
        let first = shape.window.map_or(0, |w| (position + 1).saturating_sub(w));
        let score = |j: usize| -> f64 {
            let s: f64 = q.iter().zip(&keys[j * dim..]).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
            (s * f64::from(shape.scale)).exp()
        };
        let total: f64 = (first..=position).map(score).sum();
        let mixed = |d: usize| (first..=position).map(|j| score(j) * f64::from(values[j * dim + d])).sum::<f64>();
        (0..dim).map(|d| mixed(d) / total).collect()
    }

    /// Keys, `[tokens, dim]`, as a cache keeps them; what no token has is no number that may be seen in a result.
    fn panels(keys: &[f32], dim: usize) -> Vec<f32> {
        let mut panels = vec![f32::NAN; (keys.len() / dim).next_multiple_of(PANEL) * dim];
        for (token, key) in keys.chunks_exact(dim).enumerate() {
            for (d, x) in key.iter().enumerate() {
                panels[(token / PANEL * dim + d) * PANEL + token % PANEL] = *x;
            }
        }
        panels
    }

    #[test]
    fn attention_is_right_and_the_same_bit_for_bit_in_any_company() {
        for (head_dim, window) in [(64, None), (20, Some(9)), (80, Some(33))] {
            let shape = Shape { heads: 6, kv_heads: 2, head_dim, scale: 0.3, window };
            let (wide, width, seen) = (10 * head_dim, 6 * head_dim, 75);
            let qkv = numbers(seen * wide, 3);
            let keys: Vec<_> = (0..2).map(|h| numbers(seen * head_dim, 10 + h)).collect();
            let values: Vec<_> = (0..2).map(|h| numbers(seen * head_dim, 20 + h)).collect();
            // The tokens `from..to` as the newest of a sequence that has seen `to`.
            let run = |from: usize, to: usize| {
                let laid: Vec<_> = keys.iter().map(|keys| panels(&keys[..to * head_dim], head_dim)).collect();
                let heads = laid.iter().zip(&values).map(|(k, v)| (&k[..], &v[..to * head_dim])).collect();
                let mut out = vec![0.0; (to - from) * width];
                let sequence = Sequence { row: 0, tokens: to - from, heads };
                attend(shape, &[sequence], &qkv[from * wide..to * wide], &mut out);
                out
            };
            let whole = run(0, seen);
            for split in [1, 2, 5, 16, 40] {
                let parts: Vec<f32> =
                    (0..seen).step_by(split).flat_map(|from| run(from, seen.min(from + split))).collect();
                assert!(parts == whole, "heads of {head_dim} in steps of {split}");
            }
            for position in [0, 8, 9, 40, 74] {
                for head in 0..6 {
                    let q = &qkv[position * wide + head * head_dim..][..head_dim];
                    let right = exact(shape, q, &keys[head / 3], &values[head / 3], position);
                    for (d, right) in right.iter().enumerate() {
                        let got = f64::from(whole[position * width + head * head_dim + d]);
                        assert!((got - right).abs() < 1e-5, "position {position} head {head}");
                    }
                }
            }
        }
    }
}
