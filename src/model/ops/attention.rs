//! Causal attention over packed segments, forward and backward.
//!
//! Rows of different lengths lie one behind the other without padding; a [`Segment`] says where one begins and ends,
//! and queries see keys of their own segment only (block-diagonal). A segment may stand on a *prefix*, another segment
//! whose keys and values all its queries see as well: a prefix that several rows share is computed once, and its
//! gradient is the sum over the rows, which is exactly what separate rows would have given.
#![allow(unsafe_code)] // tasks write disjoint rows and columns of one matrix, which slices cannot express

use rayon::prelude::*;

use super::gemm::{Mat, MatMut, gemm_here};
use super::norm::inner;
use super::scratch;
use super::shared::Shared;
use super::simd::{exp, exponentials};
use crate::multiversion;

/// A stretch of packed rows that belongs to one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First packed row.
    pub start: usize,
    pub len: usize,
    /// Index of the segment that this one continues; that one has no prefix itself.
    pub prefix: Option<usize>,
}

/// The shape of one attention: `q|k|v` rows of `(heads + 2 * kv_heads) * head_dim` floats.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Factor on the scores.
    pub scale: f32,
    /// How many tokens a query may look back on, itself included.
    pub window: Option<usize>,
}

impl Shape {
    fn row(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    fn out(&self) -> usize {
        self.heads * self.head_dim
    }

    fn key(&self, group: usize) -> usize {
        (self.heads + group) * self.head_dim
    }

    fn value(&self, group: usize) -> usize {
        (self.heads + self.kv_heads + group) * self.head_dim
    }

    /// First key a query at `position` sees.
    fn first(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

/// Most tokens a task takes at once, and about the most rows of scores: queries of all heads that share keys go together, so that
/// keys and values are laid out for a product once for all of them.
const QUERIES: usize = 64;
const ROWS: usize = 192;

/// Tokens whose queries go together where so many heads share keys.
fn queries(share: usize) -> usize {
    (ROWS / share / 8 * 8).clamp(8, QUERIES)
}

/// Floats that a thread holds while it computes the attention of sequences of `length` tokens, forward or backward.
#[must_use]
pub fn thread_room(shape: Shape, length: usize) -> usize {
    let share = shape.heads / shape.kv_heads.max(1);
    queries(share.max(1)).min(length) * share * (2 * length + 3 * shape.head_dim)
}

impl Shared {
    /// # Safety
    /// The view's elements must lie in the buffer and belong to the calling task alone.
    unsafe fn view<'a>(self, at: usize, rows: usize, cols: usize, stride: usize) -> MatMut<'a> {
        unsafe { MatMut::from_raw(self.at(at), rows, cols, stride) }
    }

    /// Writes rows of `width` numbers to columns from `first` on of rows from `start` on, which are `stride` apart.
    ///
    /// # Safety
    /// They must lie in the buffer and belong to the calling task alone.
    unsafe fn spread(self, start: usize, stride: usize, first: usize, width: usize, from: &[f32]) {
        for (i, row) in from.chunks_exact(width).enumerate() {
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), self.at((start + i) * stride + first), width) };
        }
    }
}

/// Copies columns `[first, first + width)` of rows from `start` on, which are `stride` apart, one row behind the other.
fn collect(from: &[f32], start: usize, stride: usize, first: usize, width: usize, to: &mut [f32]) {
    for (i, to) in to.chunks_exact_mut(width).enumerate() {
        to.copy_from_slice(&from[(start + i) * stride + first..][..width]);
    }
}

multiversion! {
    /// Turns scores into probabilities over `[first, end)` of a row and returns the log of their sum.
    fn softmax<S>(row: &mut [f32], first: usize, end: usize) -> f32 {
        row[..first].fill(0.0);
        row[end..].fill(0.0);
        let seen = &mut row[first..end];
        let (top, sum) = exponentials::<S>(seen);
        let inverse = 1.0 / sum;
        for x in seen.iter_mut() {
            *x *= inverse;
        }
        top + sum.ln()
    }
}

multiversion! {
    /// From scores and `dp = do · v` to probabilities and the gradient of scores (before the scale's factor is taken
    /// out): `ds = p * (dp - do · o) * scale`.
    fn softmax_backward<S>(p: &mut [f32], ds: &mut [f32], first: usize, end: usize, lse: f32, along: f32, scale: f32) {
        p[..first].fill(0.0);
        ds[..first].fill(0.0);
        p[end..].fill(0.0);
        ds[end..].fill(0.0);
        for (p, ds) in p[first..end].iter_mut().zip(&mut ds[first..end]) {
            *p = exp::<S>(*p - lse);
            *ds = *p * (*ds - along) * scale;
        }
    }
}

/// `out = softmax(scale * q k^T) v` for each segment and head. `qkv` is `[rows, (heads + 2 kv_heads) * head_dim]`,
/// `out` `[rows, heads * head_dim]`; `lse` `[rows, heads]` takes the log-sum-exp of the scores for the backward.
///
/// # Panics
/// When a buffer is too short for the segments: a mistake of the caller.
pub fn forward(shape: Shape, segments: &[Segment], qkv: &[f32], out: &mut [f32], lse: &mut [f32]) {
    check(shape, segments, qkv.len(), out.len(), lse.len());
    let (wide, narrow, dim) = (shape.row(), shape.out(), shape.head_dim);
    let (out, lse) = (Shared::of(out), Shared::of(lse));
    let share = shape.heads / shape.kv_heads;
    let tall = queries(share);
    let blocks = segments.iter().map(|s| s.len.div_ceil(tall)).max().unwrap_or(0);
    (0..segments.len() * shape.kv_heads * blocks).into_par_iter().for_each(|task| {
        let (of, first) = (task / blocks, task % blocks * tall);
        let (segment, group) = (segments[of / shape.kv_heads], of % shape.kv_heads);
        if first >= segment.len {
            return;
        }
        let prefix = segment.prefix.map(|p| segments[p]);
        let before = prefix.map_or(0, |p| p.len);
        let n = tall.min(segment.len - first);
        let (own, rows, start) = (first + n, n * share, segment.start + first);
        let width = before + own;
        scratch::with(rows * (2 * dim + width), |room| {
            let (q, room) = room.split_at_mut(rows * dim);
            let (mixed, scores) = room.split_at_mut(rows * dim);
            collect(qkv, start, wide, group * share * dim, share * dim, q);
            let q = Mat::full(q, rows, dim);
            if let Some(p) = prefix {
                let k = view(qkv, p.start, p.len, wide, shape.key(group), dim);
                gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(scores, rows, before, width));
            }
            let k = view(qkv, segment.start, own, wide, shape.key(group), dim);
            gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(&mut scores[before..], rows, own, width));
            for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
                let (i, head) = (row / share, group * share + row % share);
                let position = before + first + i;
                let sum = softmax(scores, shape.first(position), position + 1);
                // SAFETY: this task alone writes its heads' columns of its rows.
                unsafe { *lse.at((start + i) * shape.heads + head) = sum };
            }
            let v = view(qkv, segment.start, own, wide, shape.value(group), dim);
            let own_scores = Mat::new(&scores[before..], rows, own, width);
            gemm_here(1.0, own_scores, v, 0.0, MatMut::full(mixed, rows, dim));
            if let Some(p) = prefix {
                let v = view(qkv, p.start, p.len, wide, shape.value(group), dim);
                gemm_here(1.0, Mat::new(scores, rows, before, width), v, 1.0, MatMut::full(mixed, rows, dim));
            }
            // SAFETY: as above.
            unsafe { out.spread(start, narrow, group * share * dim, share * dim, mixed) };
        });
    });
}

/// The backward of [`forward`]: `gradient`, shaped as `qkv`, is overwritten with the gradient of q, k and v.
///
/// # Panics
/// When a buffer is too short for the segments: a mistake of the caller.
pub fn backward(
    shape: Shape,
    segments: &[Segment],
    qkv: &[f32],
    out: &[f32],
    lse: &[f32],
    d_out: &[f32],
    gradient: &mut [f32],
) {
    check(shape, segments, qkv.len().min(gradient.len()), out.len().min(d_out.len()), lse.len());
    let (wide, narrow, dim) = (shape.row(), shape.out(), shape.head_dim);
    let target = Shared::of(gradient);
    let share = shape.heads / shape.kv_heads;
    let tall = queries(share);
    // What each task owes its segment's prefix, gradients of k and v, `[prefix, head_dim]` each.
    let longest = segments.iter().filter_map(|s| Some(segments[s.prefix?].len)).max().unwrap_or(0);
    let (tasks, each) = (segments.len() * shape.kv_heads, (2 * longest * dim).max(1));
    scratch::with(tasks * each, |owed| {
        owed.par_chunks_exact_mut(each).enumerate().for_each(|(task, owed)| {
            let (segment, group) = (segments[task / shape.kv_heads], task % shape.kv_heads);
            let prefix = segment.prefix.map(|p| segments[p]);
            let before = prefix.map_or(0, |p| p.len);
            let (owed_key, owed_value) = owed.split_at_mut(each / 2);
            let most = tall.min(segment.len) * share;
            scratch::with(most * (2 * (before + segment.len) + 3 * dim), |room| {
                let (q, room) = room.split_at_mut(most * dim);
                let (d, room) = room.split_at_mut(most * dim);
                let (dq, room) = room.split_at_mut(most * dim);
                let (p, ds) = room.split_at_mut(room.len() / 2);
                let key_at = segment.start * wide + shape.key(group);
                let value_at = segment.start * wide + shape.value(group);
                for first in (0..segment.len).step_by(tall) {
                    let n = tall.min(segment.len - first);
                    let (own, rows, start) = (first + n, n * share, segment.start + first);
                    let width = before + own;
                    let (p, ds) = (&mut p[..rows * width], &mut ds[..rows * width]);
                    let (q, d, dq) = (&mut q[..rows * dim], &mut d[..rows * dim], &mut dq[..rows * dim]);
                    collect(qkv, start, wide, group * share * dim, share * dim, q);
                    collect(d_out, start, narrow, group * share * dim, share * dim, d);
                    let (q, d) = (Mat::full(q, rows, dim), Mat::full(d, rows, dim));
                    let k = view(qkv, segment.start, own, wide, shape.key(group), dim);
                    let v = view(qkv, segment.start, own, wide, shape.value(group), dim);
                    gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(&mut p[before..], rows, own, width));
                    gemm_here(1.0, d, v.t(), 0.0, MatMut::new(&mut ds[before..], rows, own, width));
                    if let Some(prefix) = prefix {
                        let k = view(qkv, prefix.start, before, wide, shape.key(group), dim);
                        let v = view(qkv, prefix.start, before, wide, shape.value(group), dim);
                        gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(p, rows, before, width));
                        gemm_here(1.0, d, v.t(), 0.0, MatMut::new(ds, rows, before, width));
                    }
                    for (row, (p, ds)) in p.chunks_exact_mut(width).zip(ds.chunks_exact_mut(width)).enumerate() {
                        let (i, head) = (row / share, group * share + row % share);
                        let at = (start + i) * narrow + head * dim;
                        let along = inner(&out[at..at + dim], &d_out[at..at + dim]);
                        let position = before + first + i;
                        let lse = lse[(start + i) * shape.heads + head];
                        softmax_backward(p, ds, shape.first(position), position + 1, lse, along, shape.scale);
                    }
                    let (own_p, own_ds) =
                        (Mat::new(&p[before..], rows, own, width), Mat::new(&ds[before..], rows, own, width));
                    gemm_here(1.0, own_ds, k, 0.0, MatMut::full(dq, rows, dim));
                    // Each block reaches `n` rows further than the one before it.
                    // SAFETY: this task alone writes this group's columns of this segment's rows.
                    unsafe {
                        for (at, left, right) in [(key_at, own_ds, q), (value_at, own_p, d)] {
                            for row in first..own {
                                target.at(at + row * wide).write_bytes(0, dim);
                            }
                            gemm_here(1.0, left.t(), right, 1.0, target.view(at, own, dim, wide));
                        }
                    }
                    if let Some(prefix) = prefix {
                        let (pre_p, pre_ds) = (Mat::new(p, rows, before, width), Mat::new(ds, rows, before, width));
                        let k = view(qkv, prefix.start, before, wide, shape.key(group), dim);
                        gemm_here(1.0, pre_ds, k, 1.0, MatMut::full(dq, rows, dim));
                        // The task's first product overwrites what the room held before.
                        let keep = if first == 0 { 0.0 } else { 1.0 };
                        gemm_here(1.0, pre_ds.t(), q, keep, MatMut::new(owed_key, before, dim, dim));
                        gemm_here(1.0, pre_p.t(), d, keep, MatMut::new(owed_value, before, dim, dim));
                    }
                    // SAFETY: as above.
                    unsafe { target.spread(start, wide, group * share * dim, share * dim, dq) };
                }
            });
        });
        // In the order of the segments, whatever order the tasks ran in: resume is exact.
        for (task, owed) in owed.chunks_exact(each).enumerate() {
            let segment = segments[task / shape.kv_heads];
            let Some(prefix) = segment.prefix.filter(|_| segment.len > 0).map(|p| segments[p]) else { continue };
            let (group, (key, value)) = (task % shape.kv_heads, owed.split_at(each / 2));
            for row in 0..prefix.len {
                let at = (prefix.start + row) * wide;
                for (at, sums) in [(at + shape.key(group), key), (at + shape.value(group), value)] {
                    for (g, s) in gradient[at..at + dim].iter_mut().zip(&sums[row * dim..(row + 1) * dim]) {
                        *g += s;
                    }
                }
            }
        }
    });
}

/// Columns `[first, first + cols)` of rows `start..start + rows`, the rows being `stride` long.
fn view(data: &[f32], start: usize, rows: usize, stride: usize, first: usize, cols: usize) -> Mat<'_> {
    Mat::new(&data[start * stride + first..], rows, cols, stride)
}

fn check(shape: Shape, segments: &[Segment], qkv: usize, out: usize, lse: usize) {
    let rows = segments.iter().map(|s| s.start + s.len).max().unwrap_or(0);
    assert!(
        qkv >= rows * shape.row() && out >= rows * shape.out() && lse >= rows * shape.heads,
        "attention over {rows} rows with shorter buffers"
    );
    let prefixes = segments.iter().filter_map(|s| s.prefix);
    for prefix in prefixes {
        assert!(segments[prefix].prefix.is_none(), "a prefix of a prefix");
    }
    scratch::with(rows, |covered| {
        covered.fill(0.0);
        for segment in segments {
            for row in &mut covered[segment.start..segment.start + segment.len] {
                assert!(*row < 1.0, "segments that overlap");
                *row = 1.0;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::fixture::numbers;

    /// Result and gradient by the definition, in `f64`.
    fn exact(shape: Shape, segments: &[Segment], qkv: &[f32], d_out: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (wide, narrow, dim) = (shape.row(), shape.out(), shape.head_dim);
        let rows = d_out.len() / narrow;
        let (mut out, mut gradient) = (vec![0f64; rows * narrow], vec![0f64; rows * wide]);
        let get = |at: usize, e: usize| f64::from(qkv[at + e]);
        for segment in segments {
            let before: Vec<usize> = segment
                .prefix
                .map_or(Vec::new(), |p| (segments[p].start..segments[p].start + segments[p].len).collect());
            for (i, head) in (0..segment.len).flat_map(|i| (0..shape.heads).map(move |head| (i, head))) {
                let row = segment.start + i;
                let mut seen = before.clone();
                seen.extend(segment.start..=row);
                seen.drain(..shape.first(before.len() + i));
                let (group, q) = (head * shape.kv_heads / shape.heads, row * wide + head * dim);
                let (key, value) = (|j: usize| j * wide + shape.key(group), |j: usize| j * wide + shape.value(group));
                let score =
                    |&j: &usize| (0..dim).map(|e| get(q, e) * get(key(j), e)).sum::<f64>() * f64::from(shape.scale);
                let weights: Vec<f64> = seen.iter().map(|j| score(j).exp()).collect();
                let total: f64 = weights.iter().sum();
                let (at, d) = (row * narrow + head * dim, |e: usize| f64::from(d_out[row * narrow + head * dim + e]));
                let d_weight = |j: usize| (0..dim).map(|e| d(e) * get(value(j), e)).sum::<f64>();
                let along: f64 = seen.iter().zip(&weights).map(|(&j, w)| w / total * d_weight(j)).sum();
                for (&j, w) in seen.iter().zip(&weights) {
                    let p = w / total;
                    let ds = p * (d_weight(j) - along) * f64::from(shape.scale);
                    for e in 0..dim {
                        out[at + e] += p * get(value(j), e);
                        gradient[q + e] += ds * get(key(j), e);
                        gradient[key(j) + e] += ds * get(q, e);
                        gradient[value(j) + e] += p * d(e);
                    }
                }
            }
        }
        (out, gradient)
    }

    #[test]
    fn heads_that_share_keys_or_do_not_have_the_definitions_result_and_gradient() {
        let of = |start, len, prefix| Segment { start, len, prefix };
        // Several blocks of queries, behind a beginning that is shared and without one.
        let segments = [of(0, 50, None), of(50, 100, Some(0)), of(150, 9, Some(0)), of(159, 70, None)];
        for (heads, kv_heads, window) in [(8, 1, None), (3, 3, None), (6, 2, Some(40)), (10, 2, None)] {
            let shape = Shape { heads, kv_heads, head_dim: 8, scale: 0.35, window };
            let rows = 229;
            let (qkv, d_out) = (numbers(rows * shape.row(), 1), numbers(rows * shape.out(), 2));
            let (mut out, mut lse) = (vec![f32::NAN; rows * shape.out()], vec![f32::NAN; rows * heads]);
            let mut gradient = vec![f32::NAN; rows * shape.row()];
            forward(shape, &segments, &qkv, &mut out, &mut lse);
            backward(shape, &segments, &qkv, &out, &lse, &d_out, &mut gradient);
            let (wanted, slope) = exact(shape, &segments, &qkv, &d_out);
            let worst = |found: &[f32], wanted: &[f64]| {
                let apart = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - b).abs() / (1.0 + b.abs()));
                apart.fold(0.0, |worst: f64, apart| if apart <= worst { worst } else { apart })
            };
            assert!(worst(&out, &wanted) < 1e-5, "{heads} heads on {kv_heads}: {}", worst(&out, &wanted));
            assert!(worst(&gradient, &slope) < 1e-5, "{heads} heads on {kv_heads}: {}", worst(&gradient, &slope));
        }
    }
}
