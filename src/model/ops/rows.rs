//! Matrix products whose rows do not know of one another: `y[m, n] = x[m, k] · w[n, k]^T`, for inference.
//!
//! A general matrix product splits its sums as its shape suggests, so a row's result changes with the rows beside it.
//! Here every output is one sum with one order: vectors along `k`, one accumulator of lanes, the rest of `k` last, the
//! lanes added by halving. Rows and columns are then tiled in registers as their number allows, which changes speed and
//! nothing else. At one or two rows the time is that of reading `w` once; at many it is that of the arithmetic, and what will be
//! read next is asked for meanwhile, so that it need not be waited for.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use rayon::prelude::*;

use super::pages;
use super::scratch;
use super::simd::Simd;
use crate::multiversion;

/// Bytes of `w` a task keeps in the second-level cache while rows pass by it, or sixteen columns where those are more: all of `x`
/// passes by each task.
const BLOCK_BYTES: usize = 192 << 10;
/// Most of `k` that rows go through together: a tile's rows of `x` and columns of `w` are then about what the first-level cache
/// holds. What a tile has summed up so far is kept in between.
const DEEP: usize = 768;
/// Rows up to which `k` is not divided: so few need no cache for `x`.
const FEW: usize = 4;
/// Most rows of a tile, at any level.
const TALLEST: usize = 8;
/// Most numbers of a vector, at any level.
const WIDEST: usize = 16;
/// Tiles of rows that share in asking for the next columns.
const ASKING: usize = 4;
/// Multiplications under which waking another thread costs more than it gains.
const ALONE: usize = 1 << 16;

/// Rows to multiply: `rows` times `inputs` numbers, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub stride: usize,
}

impl Rows<'_> {
    /// Checks that each row holds `inputs` numbers and each of as many rows of `y`, `y_stride` apart, `outputs`: all that products
    /// do by pointer rests on it.
    ///
    /// # Panics
    /// When they do not.
    pub(super) fn check(self, inputs: usize, outputs: usize, y: &[f32], y_stride: usize) {
        let Some(last) = self.rows.checked_sub(1) else { return };
        assert!(self.stride >= inputs && self.data.len() >= last * self.stride + inputs, "x is shorter than its shape");
        assert!(y_stride >= outputs && y.len() >= last * y_stride + outputs, "y is shorter than its shape");
    }
}

/// A linear layer's weight, `[outputs, inputs]`, and its bias, `[outputs]` or empty.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub inputs: usize,
    pub outputs: usize,
}

/// The whole of one product, as pointers that tasks share.
#[derive(Clone, Copy)]
struct Job {
    x: *const f32,
    x_stride: usize,
    rows: usize,
    w: *const f32,
    inputs: usize,
    bias: Option<*const f32>,
    y: *mut f32,
    y_stride: usize,
    /// Numbers of `k` in a stretch, whole vectors unless it is all of them.
    deep: usize,
    /// Room for a tile's sums of each of a task's columns, where `k` has more than one stretch.
    kept: *mut f32,
}

// SAFETY: tasks read `x`, `w` and `bias`, and each writes columns of `y` that no other task touches.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    /// Checks that the slices hold the shapes.
    fn new(x: Rows<'_>, layer: Layer<'_>, y: &mut [f32], y_stride: usize) -> Self {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        x.check(inputs, outputs, y, y_stride);
        assert!(layer.weight.len() >= outputs * inputs, "the weight is shorter than its shape");
        assert!(layer.bias.is_empty() || layer.bias.len() >= outputs, "the bias is shorter than its shape");
        Self {
            x: x.data.as_ptr(),
            x_stride: x.stride,
            rows: x.rows,
            w: layer.weight.as_ptr(),
            inputs,
            bias: if layer.bias.is_empty() { None } else { Some(layer.bias.as_ptr()) },
            y: y.as_mut_ptr(),
            y_stride,
            deep: if x.rows <= FEW || inputs <= DEEP {
                inputs
            } else {
                inputs.div_ceil(inputs.div_ceil(DEEP)).next_multiple_of(WIDEST)
            },
            kept: std::ptr::null_mut(),
        }
    }
}

/// `y = x w^T + bias`, rows of `y` `y_stride` apart; columns in parallel over the current pool.
///
/// # Panics
/// When a slice is too short for the shapes given: a mistake of the caller, not of any input.
pub fn product(x: Rows<'_>, layer: Layer<'_>, y: &mut [f32], y_stride: usize) {
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let job = Job::new(x, layer, y, y_stride);
    if x.rows * inputs * outputs <= ALONE {
        if x.rows > 0 && outputs > 0 {
            task(job, 0, outputs, 0);
        }
        return;
    }
    let threads = rayon::current_num_threads();
    let blocks = outputs.div_ceil((BLOCK_BYTES / (4 * inputs.max(1))).max(16)).next_multiple_of(threads);
    let width = outputs.div_ceil(blocks).next_multiple_of(8);
    (0..outputs.div_ceil(width)).into_par_iter().with_max_len(1).for_each(|block| {
        let (from, to) = (block * width, outputs.min((block + 1) * width));
        task(job, from, to, outputs.min(to + width) - to);
    });
}

/// [`columns`], with room for what it keeps.
fn task(job: Job, from: usize, to: usize, next: usize) {
    if job.deep >= job.inputs {
        return columns(job, from, to, next);
    }
    scratch::with((to - from) * TALLEST * WIDEST, |room| {
        columns(Job { kept: room.as_mut_ptr(), ..job }, from, to, next);
    });
}

multiversion! {
    /// Computes columns `from..to` of all rows, and asks for the `next` columns behind them meanwhile.
    fn columns<S>(job: Job, from: usize, to: usize, next: usize) {
        let most = most_rows::<S>();
        // Two rows read faster than software asks: the processor sees by itself what comes next.
        let asking = if job.rows > 2 { job.rows.div_ceil(most).min(ASKING) } else { 0 };
        let (mut row, mut nth) = (0, 0);
        while row < job.rows {
            let height = height(job.rows - row, most);
            let mut ahead = Ahead { at: job.w, each: 0 };
            if nth < asking {
                let share = next * job.inputs / asking;
                ahead = Ahead { at: job.w.wrapping_add(to * job.inputs + nth * share), each: share / (to - from) };
            }
            // SAFETY: `product` has checked the shapes, `row + height <= rows` and `to <= outputs`.
            unsafe {
                match height {
                    1 => strip::<S, 1, 8>(job, row, from, to, ahead),
                    2 if S::LANES == 16 => strip::<S, 2, 8>(job, row, from, to, ahead),
                    2 => strip::<S, 2, 4>(job, row, from, to, ahead),
                    3 => strip::<S, 3, 4>(job, row, from, to, ahead),
                    4 => strip::<S, 4, 4>(job, row, from, to, ahead),
                    5 => strip::<S, 5, 4>(job, row, from, to, ahead),
                    6 => strip::<S, 6, 4>(job, row, from, to, ahead),
                    7 => strip::<S, 7, 3>(job, row, from, to, ahead),
                    _ => strip::<S, 8, 3>(job, row, from, to, ahead),
                }
            }
            row += height;
            nth += 1;
        }
    }
}

/// Rows of the next tile where so many are left: tiles are of nearly equal height, 10 rows 5 and 5 rather than 8 and 2.
#[inline(always)]
pub(super) fn height(left: usize, most: usize) -> usize {
    left.div_ceil(left.div_ceil(most))
}

/// Rows in the tallest tile: as many as the registers hold accumulators for.
#[inline(always)]
fn most_rows<S: Simd>() -> usize {
    match S::LANES {
        16 => TALLEST,
        8 => 3,
        _ => 2,
    }
}

/// Where the numbers lie that will be read next, and how many of them to ask for with each column that is computed.
#[derive(Clone, Copy)]
struct Ahead {
    at: *const f32,
    each: usize,
}

/// Numbers in a line of the cache.
const LINE: usize = pages::LINE / size_of::<f32>();

/// Rows `row..row + M` of columns `from..to`, `N` columns at a time.
#[inline(always)]
unsafe fn strip<S: Simd, const M: usize, const N: usize>(job: Job, row: usize, from: usize, to: usize, ahead: Ahead) {
    // Numbers to ask for with each vector of `k`.
    let step = if ahead.each == 0 { 0 } else { ahead.each * N * S::LANES / job.inputs };
    // SAFETY: the caller's promise.
    unsafe {
        match step.div_ceil(LINE) {
            0 => tiles::<S, M, N, 0>(job, row, from, to, ahead, step),
            1 => tiles::<S, M, N, 1>(job, row, from, to, ahead, step),
            2 => tiles::<S, M, N, 2>(job, row, from, to, ahead, step),
            _ => tiles::<S, M, N, 4>(job, row, from, to, ahead, step),
        }
    }
}

/// [`strip`], with `P` lines asked for with each vector of `k`.
#[inline(always)]
unsafe fn tiles<S: Simd, const M: usize, const N: usize, const P: usize>(
    job: Job,
    row: usize,
    from: usize,
    to: usize,
    ahead: Ahead,
    step: usize,
) {
    let mut begun = 0;
    while begun < job.inputs || begun == 0 {
        let k = (begun, job.inputs.min(begun + job.deep));
        let (mut column, mut next) = (from, ahead.at.wrapping_add(begun / S::LANES * step));
        // SAFETY: the caller's promise; the room holds sums of all columns.
        unsafe {
            while column + N <= to {
                let kept = job.kept.wrapping_add((column - from) * M * S::LANES);
                tile::<S, M, N, P>(job, (row, column), k, kept, next, step);
                next = next.wrapping_add(ahead.each * N);
                column += N;
            }
            while column < to {
                let kept = job.kept.wrapping_add((column - from) * M * S::LANES);
                tile::<S, M, 1, 0>(job, (row, column), k, kept, next, 0);
                column += 1;
            }
        }
        begun += job.deep.max(1);
    }
}

/// A stretch of `k` of the outputs of `M` rows and `N` columns, whose sums are `kept` between stretches; with each vector of `k`,
/// `P` lines at `next` are asked for, `step` numbers on each time.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const N: usize, const P: usize>(
    job: Job,
    (row, column): (usize, usize),
    (begin, end): (usize, usize),
    kept: *mut f32,
    mut next: *const f32,
    step: usize,
) {
    // SAFETY: the caller's promise: the rows and columns lie within the product's shapes.
    unsafe {
        let x = job.x.add(row * job.x_stride);
        let w = job.w.add(column * job.inputs);
        let mut acc = [[S::splat(0.0); N]; M];
        if begin > 0 {
            for (m, acc) in acc.iter_mut().enumerate() {
                for (n, acc) in acc.iter_mut().enumerate() {
                    *acc = S::load(kept.add((m * N + n) * S::LANES));
                }
            }
        }
        let mut i = begin;
        while i + S::LANES <= end {
            let mut columns = [S::splat(0.0); N];
            for (n, c) in columns.iter_mut().enumerate() {
                *c = S::load(w.add(n * job.inputs + i));
            }
            if P > 0 {
                for line in 0..P {
                    S::prefetch(next.wrapping_add(line * LINE));
                }
                next = next.wrapping_add(step);
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let r = S::load(x.add(m * job.x_stride + i));
                for (acc, c) in acc.iter_mut().zip(columns) {
                    *acc = S::mul_add(r, c, *acc);
                }
            }
            i += S::LANES;
        }
        if end < job.inputs {
            for (m, acc) in acc.iter().enumerate() {
                for (n, acc) in acc.iter().enumerate() {
                    S::store(kept.add((m * N + n) * S::LANES), *acc);
                }
            }
            return;
        }
        if i < job.inputs {
            let rest = job.inputs - i;
            for (m, acc) in acc.iter_mut().enumerate() {
                let r = S::load_part(x.add(m * job.x_stride + i), rest);
                for (n, acc) in acc.iter_mut().enumerate() {
                    *acc = S::mul_add(r, S::load_part(w.add(n * job.inputs + i), rest), *acc);
                }
            }
        }
        for first in (0..M * N).step_by(4) {
            let of = |i: usize| if first + i < M * N { acc[(first + i) / N][(first + i) % N] } else { acc[0][0] };
            let sums = S::sums([of(0), of(1), of(2), of(3)]);
            for (i, sum) in sums.into_iter().enumerate().take(M * N - first) {
                let (m, n) = ((first + i) / N, (first + i) % N);
                let y = job.y.add((row + m) * job.y_stride + column + n);
                *y = job.bias.map_or(sum, |bias| sum + *bias.add(column + n));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without pattern in `-1..1`.
    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .take(n)
        .collect()
    }

    #[test]
    fn a_row_is_the_same_bit_for_bit_in_any_company() {
        // 2048 and 1000 inputs go in stretches.
        for (inputs, outputs) in [(576, 160), (2048, 40), (1000, 75), (100, 37), (16, 1), (7, 9), (1, 3)] {
            let (x, w, b) = (numbers(67 * inputs, 1), numbers(outputs * inputs, 2), numbers(outputs, 3));
            let layer = Layer { weight: &w, bias: &b, inputs, outputs };
            let run = |from: usize, rows: usize| {
                let mut y = vec![0.5; rows * (outputs + 3)];
                let x = Rows { data: &x[from * inputs..], rows, stride: inputs };
                product(x, layer, &mut y, outputs + 3);
                y
            };
            let alone: Vec<f32> = (0..67).flat_map(|row| run(row, 1)).collect();
            for company in [2, 3, 4, 5, 6, 7, 8, 12, 20, 33, 67] {
                for from in (0..=67 - company).step_by(11) {
                    let width = outputs + 3;
                    assert_eq!(
                        run(from, company),
                        alone[from * width..(from + company) * width],
                        "{company} rows from {from}, {inputs} to {outputs}"
                    );
                }
            }
        }
    }

    #[test]
    fn products_are_right_and_leave_the_columns_beside_them_alone() {
        let (inputs, outputs, rows) = (300, 21, 13);
        let (x, w, b) = (numbers(rows * inputs, 4), numbers(outputs * inputs, 5), numbers(outputs, 6));
        let mut y = vec![7.0; rows * 30];
        let layer = Layer { weight: &w, bias: &b, inputs, outputs };
        product(Rows { data: &x, rows, stride: inputs }, layer, &mut y, 30);
        for row in 0..rows {
            for column in 0..30 {
                let got = f64::from(y[row * 30 + column]);
                if column >= outputs {
                    assert!((got - 7.0).abs() < f64::EPSILON);
                    continue;
                }
                let (x, w) = (&x[row * inputs..][..inputs], &w[column * inputs..][..inputs]);
                let exact: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                assert!((got - exact - f64::from(b[column])).abs() < 2e-5);
            }
        }
    }
}
