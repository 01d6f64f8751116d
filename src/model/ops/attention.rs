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

/// Queries a task takes at once; bounds the scores it holds.
const QUERIES: usize = 64;

/// A pointer that tasks share, each writing elements of its own.
#[derive(Clone, Copy)]
struct Target(*mut f32);
// SAFETY: see the functions below: no two tasks touch the same element.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// The element must lie in the buffer.
    unsafe fn at(self, at: usize) -> *mut f32 {
        unsafe { self.0.add(at) }
    }

    /// # Safety
    /// The view's elements must lie in the buffer and belong to the calling task alone.
    unsafe fn view<'a>(self, at: usize, rows: usize, cols: usize, stride: usize) -> MatMut<'a> {
        unsafe { MatMut::from_raw(self.0.add(at), rows, cols, stride) }
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
    let (out, lse) = (Target(out.as_mut_ptr()), Target(lse.as_mut_ptr()));
    let share = shape.heads / shape.kv_heads;
    (0..segments.len() * shape.heads).into_par_iter().for_each(|task| {
        let (segment, head) = (segments[task / shape.heads], task % shape.heads);
        let prefix = segment.prefix.map(|p| segments[p]);
        let before = prefix.map_or(0, |p| p.len);
        let group = head / share;
        scratch::with(QUERIES.min(segment.len) * (before + segment.len), |scores| {
            for first in (0..segment.len).step_by(QUERIES) {
                let n = QUERIES.min(segment.len - first);
                let own = first + n;
                let width = before + own;
                let scores = &mut scores[..n * width];
                let q = view(qkv, segment.start + first, n, wide, head * dim, dim);
                if let Some(p) = prefix {
                    let k = view(qkv, p.start, p.len, wide, shape.key(group), dim);
                    gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(scores, n, before, width));
                }
                let k = view(qkv, segment.start, own, wide, shape.key(group), dim);
                gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(&mut scores[before..], n, own, width));
                for i in 0..n {
                    let position = before + first + i;
                    let row = &mut scores[i * width..(i + 1) * width];
                    let sum = softmax(row, shape.first(position), position + 1);
                    // SAFETY: this task alone writes this head's column of this segment's rows.
                    unsafe { *lse.at((segment.start + first + i) * shape.heads + head) = sum };
                }
                let at = (segment.start + first) * narrow + head * dim;
                let v = view(qkv, segment.start, own, wide, shape.value(group), dim);
                // SAFETY: this task alone writes this head's columns of this segment's rows.
                gemm_here(1.0, Mat::new(&scores[before..], n, own, width), v, 0.0, unsafe {
                    out.view(at, n, dim, narrow)
                });
                if let Some(p) = prefix {
                    let v = view(qkv, p.start, p.len, wide, shape.value(group), dim);
                    // SAFETY: as above.
                    gemm_here(1.0, Mat::new(scores, n, before, width), v, 1.0, unsafe { out.view(at, n, dim, narrow) });
                }
            }
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
    let target = Target(gradient.as_mut_ptr());
    let share = shape.heads / shape.kv_heads;
    // What each task owes its segment's prefix, gradients of k and v, `[prefix, head_dim]` each.
    let longest = segments.iter().filter_map(|s| Some(segments[s.prefix?].len)).max().unwrap_or(0);
    let (tasks, each) = (segments.len() * shape.kv_heads, (2 * longest * dim).max(1));
    scratch::with(tasks * each, |owed| {
        owed.par_chunks_exact_mut(each).enumerate().for_each(|(task, owed)| {
            let (segment, group) = (segments[task / shape.kv_heads], task % shape.kv_heads);
            let prefix = segment.prefix.map(|p| segments[p]);
            let before = prefix.map_or(0, |p| p.len);
            let (owed_key, owed_value) = owed.split_at_mut(each / 2);
            let room = QUERIES.min(segment.len) * (before + segment.len);
            scratch::with(2 * room, |both| {
                let (p, ds) = both.split_at_mut(room);
                let key_at = segment.start * wide + shape.key(group);
                let value_at = segment.start * wide + shape.value(group);
                for head in group * share..(group + 1) * share {
                    for first in (0..segment.len).step_by(QUERIES) {
                        let n = QUERIES.min(segment.len - first);
                        let own = first + n;
                        let width = before + own;
                        let (p, ds) = (&mut p[..n * width], &mut ds[..n * width]);
                        let q = view(qkv, segment.start + first, n, wide, head * dim, dim);
                        let d = view(d_out, segment.start + first, n, narrow, head * dim, dim);
                        let k = view(qkv, segment.start, own, wide, shape.key(group), dim);
                        let v = view(qkv, segment.start, own, wide, shape.value(group), dim);
                        gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(&mut p[before..], n, own, width));
                        gemm_here(1.0, d, v.t(), 0.0, MatMut::new(&mut ds[before..], n, own, width));
                        if let Some(prefix) = prefix {
                            let k = view(qkv, prefix.start, before, wide, shape.key(group), dim);
                            let v = view(qkv, prefix.start, before, wide, shape.value(group), dim);
                            gemm_here(shape.scale, q, k.t(), 0.0, MatMut::new(p, n, before, width));
                            gemm_here(1.0, d, v.t(), 0.0, MatMut::new(ds, n, before, width));
                        }
                        for i in 0..n {
                            let row = segment.start + first + i;
                            let at = row * narrow + head * dim;
                            let along = inner(&out[at..at + dim], &d_out[at..at + dim]);
                            let position = before + first + i;
                            let (p, ds) = (&mut p[i * width..(i + 1) * width], &mut ds[i * width..(i + 1) * width]);
                            let lse = lse[row * shape.heads + head];
                            softmax_backward(p, ds, shape.first(position), position + 1, lse, along, shape.scale);
                        }
                        let (own_p, own_ds) =
                            (Mat::new(&p[before..], n, own, width), Mat::new(&ds[before..], n, own, width));
                        let q_at = (segment.start + first) * wide + head * dim;
                        // The first product of all into these rows overwrites: of each head for q, of the group's first
                        // head for k and v, whose later blocks reach further than the earlier ones did.
                        // SAFETY: this task alone writes this group's columns of this segment's rows.
                        unsafe {
                            gemm_here(1.0, own_ds, k, 0.0, target.view(q_at, n, dim, wide));
                            let fresh = if head == group * share { first } else { own };
                            for (at, left, right) in [(key_at, own_ds, q), (value_at, own_p, d)] {
                                for row in fresh..own {
                                    target.at(at + row * wide).write_bytes(0, dim);
                                }
                                gemm_here(1.0, left.t(), right, 1.0, target.view(at, own, dim, wide));
                            }
                        }
                        if let Some(prefix) = prefix {
                            let (pre_p, pre_ds) = (Mat::new(p, n, before, width), Mat::new(ds, n, before, width));
                            let k = view(qkv, prefix.start, before, wide, shape.key(group), dim);
                            // SAFETY: as above.
                            gemm_here(1.0, pre_ds, k, 1.0, unsafe { target.view(q_at, n, dim, wide) });
                            // The task's first product overwrites what the room held before.
                            let keep = if head == group * share && first == 0 { 0.0 } else { 1.0 };
                            gemm_here(1.0, pre_ds.t(), q, keep, MatMut::new(owed_key, before, dim, dim));
                            gemm_here(1.0, pre_p.t(), d, keep, MatMut::new(owed_value, before, dim, dim));
                        }
                    }
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
    let mut covered = vec![false; rows];
    for segment in segments {
        if let Some(p) = segment.prefix {
            assert!(segments[p].prefix.is_none(), "a prefix of a prefix");
        }
        for row in &mut covered[segment.start..segment.start + segment.len] {
            assert!(!*row, "segments that overlap");
            *row = true;
        }
    }
}
