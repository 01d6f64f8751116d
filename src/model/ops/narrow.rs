//! Matrix products along few numbers, for inference: what an adapter's `B` adds to a result, and a query's scores over its keys.
//!
//! Where the inner length is 16 or 64, adding up the lanes of a vector costs more than the multiplications did. Here outputs lie
//! side by side in a vector instead, sixteen to a panel, and each sum runs along `k` from its first number to its last. That order
//! knows nothing of the rows and columns beside it, as that of [`rows`](super::rows) does not.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use std::ops::Range;

use rayon::prelude::*;

use super::gemm::Mat;
use super::gemm::pack::{View, pack};
use super::packed::PANEL;
use super::pages;
use super::rows::{Layer, Rows, height};
use super::scratch;
use super::shared::Shared;
use super::simd::Simd;
use crate::multiversion;

/// Bytes of a task's panels: they stay in the first-level cache while rows pass by.
const BLOCK_BYTES: usize = 32 << 10;
/// Panels of a weight that are asked for ahead of the one that is laid out.
const AHEAD: usize = 3;
/// Numbers in a line of the cache.
const LINE: usize = pages::LINE / size_of::<f32>();
/// Multiplications under which waking another thread costs more than it gains.
const ALONE: usize = 1 << 14;

/// One product, as pointers.
#[derive(Clone, Copy)]
struct Job {
    x: *const f32,
    x_stride: usize,
    rows: usize,
    depth: usize,
    /// Panel after panel, `[depth, PANEL]` each; what fills up the last one may be anything.
    panels: *const f32,
    columns: usize,
    y: *mut f32,
    y_stride: usize,
    /// `y = y + factor * sum`, or the sum alone.
    factor: Option<f32>,
}

/// A layer without a bias, the rows it is multiplied with, and the column of the result where its outputs begin.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub x: Rows<'a>,
    pub layer: Layer<'a>,
    pub column: usize,
}

/// `y = y + factor * x w^T` for each of `pieces`, whose columns do not overlap, rows of `y` `y_stride` apart; in parallel over the
/// current pool.
///
/// # Panics
/// When a slice is too short for the shapes given: a mistake of the caller, not of any input.
pub fn add(pieces: &[Piece<'_>], y: &mut [f32], y_stride: usize, factor: f32) {
    let work: usize = pieces.iter().map(|p| p.x.rows * p.layer.inputs * p.layer.outputs).sum();
    let outputs: usize = pieces.iter().map(|p| p.layer.outputs).sum();
    let threads = if work <= ALONE { 1 } else { rayon::current_num_threads() };
    let share = outputs.div_ceil(threads);
    let mut tasks = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let Piece { x, layer, column } = *piece;
        if x.rows == 0 || layer.inputs == 0 {
            continue;
        }
        let (depth, end) = (layer.inputs, column + layer.outputs);
        x.check(depth, end, y, y_stride);
        assert!(layer.weight.len() >= depth * layer.outputs, "the weight is shorter than its shape");
        assert!(layer.bias.is_empty(), "a bias is added elsewhere");
        let apart = |other: &Piece<'_>| other.column + other.layer.outputs <= column || end <= other.column;
        assert!(pieces[..i].iter().all(apart), "two pieces of the same columns");
        let width = share.min((BLOCK_BYTES / (4 * depth)).max(PANEL)).next_multiple_of(PANEL);
        tasks.extend((0..layer.outputs).step_by(width).map(|from| (*piece, from..layer.outputs.min(from + width))));
    }
    let out = Shared::of(y);
    let task = |(piece, outputs): (Piece<'_>, Range<usize>)| {
        let Piece { x, layer, column } = piece;
        let (depth, columns) = (layer.inputs, outputs.len());
        scratch::with(depth * columns.next_multiple_of(PANEL), |room| {
            let w = Mat::full(layer.weight, layer.outputs, depth).t();
            lay_out(View::of(w).from(0, outputs.start), depth, columns, room);
            multiply(Job {
                x: x.data.as_ptr(),
                x_stride: x.stride,
                rows: x.rows,
                depth,
                panels: room.as_ptr(),
                columns,
                y: out.at(column + outputs.start),
                y_stride,
                factor: Some(factor),
            });
        });
    };
    if threads == 1 {
        tasks.into_iter().for_each(task);
    } else {
        tasks.into_par_iter().with_max_len(1).for_each(task);
    }
}

/// `y = x p^T` on this thread, for whole `panels`, `[_, x's columns, PANEL]`, and rows of `y` `y_stride` apart.
///
/// # Panics
/// As [`add`].
pub fn product_here(x: Rows<'_>, depth: usize, panels: &[f32], y: &mut [f32], y_stride: usize) {
    let columns = panels.len().checked_div(depth).unwrap_or(0);
    if x.rows == 0 || columns == 0 {
        return;
    }
    assert!(columns.is_multiple_of(PANEL) && panels.len() == columns * depth, "panels that are not whole");
    x.check(depth, columns, y, y_stride);
    multiply(Job {
        x: x.data.as_ptr(),
        x_stride: x.stride,
        rows: x.rows,
        depth,
        panels: panels.as_ptr(),
        columns,
        y: y.as_mut_ptr(),
        y_stride,
        factor: None,
    });
}

multiversion! {
    /// Fills `room` with panels of `columns` columns of `w`, which the caller has checked.
    fn lay_out<S>(w: View, depth: usize, columns: usize, room: &mut [f32]) {
        assert!(room.len() >= depth * columns.next_multiple_of(PANEL));
        // SAFETY: the room was asserted, and the rows and columns lie within `w`.
        unsafe { panels::<S>(w, depth, columns, room.as_mut_ptr()) };
    }
}

/// [`lay_out`] at a level.
///
/// # Safety
/// The columns must lie within `w`, and the room hold them in whole panels.
#[inline(always)]
unsafe fn panels<S: Simd>(w: View, depth: usize, columns: usize, room: *mut f32) {
    for first in (0..columns).step_by(PANEL) {
        // A weight is read once, and too short for the processor to see by itself what comes next.
        let ahead = w.from(0, first + AHEAD * PANEL).at;
        for line in 0..PANEL * depth / LINE {
            S::prefetch(ahead.wrapping_add(line * LINE));
        }
        // SAFETY: the caller's promise.
        unsafe {
            let columns = PANEL.min(columns - first);
            pack::<S>(w.from(0, first), depth, columns, (PANEL, PANEL), false, room.add(first * depth));
        }
    }
}

multiversion! {
    fn multiply<S>(job: Job) {
        all::<S>(job);
    }
}

/// All rows and columns.
#[inline(always)]
fn all<S: Simd>(job: Job) {
    // As many sums as registers hold.
    let (most, vectors) = if S::LANES == 16 { (6, 4) } else { (4, 2) };
    let mut row = 0;
    while row < job.rows {
        let height = height(job.rows - row, most);
        let mut column = 0;
        while column < job.columns {
            let width = match (job.columns - column).div_ceil(S::LANES).min(vectors) {
                3 => 2,
                width => width,
            };
            // SAFETY: rows, columns and panels are those of the job, which its maker has checked.
            unsafe {
                match (height, width) {
                    (1, 4) => tile::<S, 1, 4>(job, row, column),
                    (2, 4) => tile::<S, 2, 4>(job, row, column),
                    (3, 4) => tile::<S, 3, 4>(job, row, column),
                    (4, 4) => tile::<S, 4, 4>(job, row, column),
                    (5, 4) => tile::<S, 5, 4>(job, row, column),
                    (6, 4) => tile::<S, 6, 4>(job, row, column),
                    (1, 2) => tile::<S, 1, 2>(job, row, column),
                    (2, 2) => tile::<S, 2, 2>(job, row, column),
                    (3, 2) => tile::<S, 3, 2>(job, row, column),
                    (4, 2) => tile::<S, 4, 2>(job, row, column),
                    (5, 2) => tile::<S, 5, 2>(job, row, column),
                    (6, 2) => tile::<S, 6, 2>(job, row, column),
                    (1, _) => tile::<S, 1, 1>(job, row, column),
                    (2, _) => tile::<S, 2, 1>(job, row, column),
                    (3, _) => tile::<S, 3, 1>(job, row, column),
                    (4, _) => tile::<S, 4, 1>(job, row, column),
                    (5, _) => tile::<S, 5, 1>(job, row, column),
                    _ => tile::<S, 6, 1>(job, row, column),
                }
            }
            column += width * S::LANES;
        }
        row += height;
    }
}

/// `M` rows and `N` vectors of columns.
///
/// # Safety
/// The rows must exist, and the columns but for those that fill up the last vector.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Sums stay in registers only where every access to them is plain to see.
unsafe fn tile<S: Simd, const M: usize, const N: usize>(job: Job, row: usize, column: usize) {
    // SAFETY: the caller's promise; panels are whole.
    unsafe {
        let mut at = [job.panels; N];
        for n in 0..N {
            let column = column + n * S::LANES;
            at[n] = job.panels.add(column / PANEL * PANEL * job.depth + column % PANEL);
        }
        let x = job.x.add(row * job.x_stride);
        let mut sums = [[S::splat(0.0); N]; M];
        for k in 0..job.depth {
            let mut right = [S::splat(0.0); N];
            for n in 0..N {
                right[n] = S::load(at[n].add(k * PANEL));
            }
            for m in 0..M {
                let left = S::splat(*x.add(m * job.x_stride + k));
                for n in 0..N {
                    sums[m][n] = S::mul_add(left, right[n], sums[m][n]);
                }
            }
        }
        let y = job.y.add(row * job.y_stride + column);
        if column + N * S::LANES <= job.columns {
            if let Some(factor) = job.factor {
                // All are read before one is written: rows of `y` may lie a multiple of a page apart, and reading what seems to have
                // been written just now has to wait.
                for m in 0..M {
                    for n in 0..N {
                        let before = S::load(y.add(m * job.y_stride + n * S::LANES));
                        sums[m][n] = S::mul_add(S::splat(factor), sums[m][n], before);
                    }
                }
            }
            for m in 0..M {
                for n in 0..N {
                    S::store(y.add(m * job.y_stride + n * S::LANES), sums[m][n]);
                }
            }
            return;
        }
        // A copy: what is asked for by a number that is not known beforehand must lie in memory.
        let mut done = [[[0f32; PANEL]; N]; M];
        for m in 0..M {
            for n in 0..N {
                S::store(done[m][n].as_mut_ptr(), sums[m][n]);
            }
        }
        for m in 0..M {
            for n in 0..N {
                let count = job.columns.saturating_sub(column + n * S::LANES).min(S::LANES);
                for i in 0..count {
                    let y = y.add(m * job.y_stride + n * S::LANES + i);
                    *y = match job.factor {
                        Some(factor) => S::fma(factor, done[m][n][i], *y),
                        None => done[m][n][i],
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::fixture::numbers;

    #[test]
    fn what_is_added_is_right_the_same_in_any_company_and_only_where_it_belongs() {
        // Ranks of whole vectors and not, outputs that fill panels and not, and one large enough to be shared among threads.
        for (depth, outputs) in [(16, [48, 16]), (8, [37, 5]), (3, [1, 70]), (64, [700, 33]), (1, [20, 18])] {
            let (rows, width, stride) = (13, outputs[0] + outputs[1] + 7, depth + 2);
            let x = numbers(rows * stride, 1);
            let w = outputs.map(|outputs| numbers(outputs * depth, outputs));
            let before = numbers(rows * width, 3);
            // The second layer's columns come first, with some between the two and behind them.
            let column = [outputs[1] + 4, 1];
            let run = |from: usize, rows: usize| {
                let mut y = before[from * width..(from + rows) * width].to_vec();
                let x = Rows { data: &x[from * stride..], rows, stride };
                let piece = |i: usize| Piece {
                    x,
                    layer: Layer { weight: &w[i], bias: &[], inputs: depth, outputs: outputs[i] },
                    column: column[i],
                };
                add(&[piece(0), piece(1)], &mut y, width, 0.3);
                y
            };
            let all = run(0, rows);
            for company in [1, 2, 5, 6, 7, 11] {
                for from in 0..=rows - company {
                    assert!(run(from, company) == all[from * width..(from + company) * width], "{company} from {from}");
                }
            }
            for row in 0..rows {
                for at in 0..width {
                    let (got, before) = (f64::from(all[row * width + at]), f64::from(before[row * width + at]));
                    let here = (0..2).find(|&i| (column[i]..column[i] + outputs[i]).contains(&at));
                    let sum = here.map_or(0.0, |i| {
                        let w = &w[i][(at - column[i]) * depth..][..depth];
                        let x = &x[row * stride..];
                        w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>()
                    });
                    assert!((got - before - 0.3 * sum).abs() < 1e-5, "{depth} to {outputs:?}, row {row}, column {at}");
                    assert!(here.is_some() || got.to_bits() == before.to_bits(), "column {at} is nobody's");
                }
            }
        }
    }

    #[test]
    fn every_level_computes_the_same_sums() {
        let (depth, columns, rows) = (20, 70, 9);
        let (x, w, before) = (numbers(rows * depth, 1), numbers(columns * depth, 2), numbers(rows * columns, 3));
        let mut found: Vec<(&str, Vec<f32>)> = Vec::new();
        macro_rules! at {
            ($level:ty, $name:literal) => {{
                let mut room = vec![0f32; depth * columns.next_multiple_of(PANEL)];
                let mut y = before.clone();
                let job = Job {
                    x: x.as_ptr(),
                    x_stride: depth,
                    rows,
                    depth,
                    panels: room.as_ptr(),
                    columns,
                    y: y.as_mut_ptr(),
                    y_stride: columns,
                    factor: Some(2.0),
                };
                let w = View::of(Mat::full(&w, columns, depth).t());
                // SAFETY: the room holds whole panels of all columns, and the level's instructions are there.
                unsafe { panels::<$level>(w, depth, columns, room.as_mut_ptr()) };
                all::<$level>(job);
                found.push(($name, y));
            }};
        }
        at!(crate::model::ops::simd::Base, "base");
        #[cfg(target_arch = "x86_64")]
        {
            use crate::model::ops::simd::{Avx2, Avx512, Level, level};
            if level() >= Level::Avx2 {
                at!(Avx2, "avx2");
            }
            if level() == Level::Avx512 {
                at!(Avx512, "avx512");
            }
        }
        for (level, y) in found {
            for (at, y) in y.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let (x, w) = (&x[row * depth..][..depth], &w[column * depth..][..depth]);
                let sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                assert!((f64::from(*y) - f64::from(before[at]) - 2.0 * sum).abs() < 1e-5, "{level}: {row}, {column}");
            }
        }
    }
}
