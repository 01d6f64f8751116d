//! Rows times packed weights: tiles of a few rows and vectors of outputs, whose sums stay in registers.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use rayon::prelude::*;

use super::super::rows::{Rows, height};
use super::super::shared::Shared;
use super::super::simd::Simd;
use super::fixed::Fixed;
use super::tall::{ROWS, tall};
use super::{Code, PANEL, Panels, Target, View, coded, halves, padded};
use crate::multiversion;

/// Bytes of codes a task keeps in the second-level cache while rows pass by it.
const BLOCK_BYTES: usize = 192 << 10;
/// Rows from which on codes are turned into numbers once for all of them rather than in registers for a few.
const TALL: usize = 5;
/// Multiplications under which waking another thread costs more than it gains.
const ALONE: usize = 1 << 16;

/// The whole of one product, as pointers that tasks share.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub x: Rows<'a>,
    /// The inputs in fixed point, where the weights are codes.
    pub fixed: Fixed,
    pub view: View,
    outputs: usize,
    bias: &'a [f32],
    out: Target,
}

/// `y = x w^T + bias`, rows of `y` `y_stride` apart; columns in parallel over the current pool. `bias` is `[outputs]` or empty.
///
/// # Panics
/// When a slice is too short for the shapes given: a mistake of the caller, not of any input.
pub fn product(x: Rows<'_>, w: &Panels, bias: &[f32], y: &mut [f32], y_stride: usize) {
    let outputs = w.outputs;
    if x.rows == 0 || outputs == 0 {
        return;
    }
    x.check(w.inputs, outputs, y, y_stride);
    assert!(bias.is_empty() || bias.len() >= outputs, "the bias is shorter than its shape");
    let out = Target { y: Shared::of(y), stride: y_stride };
    let run = |fixed| share(Job { x, fixed, view: w.view(), outputs, bias, out }, w);
    if w.code.is_coded() { Fixed::with(x, w.inputs, run) } else { run(Fixed::none()) }
}

/// Shares a product out among threads.
fn share(job: Job<'_>, w: &Panels) {
    let (x, inputs, outputs) = (job.x, w.inputs, w.outputs);
    let panels = padded(outputs);
    if x.rows * inputs * outputs <= ALONE {
        return columns(job, 0..x.rows, 0, panels);
    }
    let threads = rayon::current_num_threads();
    let kept = (BLOCK_BYTES * panels / w.bytes().max(1)).max(4);
    let blocks = panels.div_ceil(kept).next_multiple_of(threads);
    let width = panels.div_ceil(blocks).next_multiple_of(4).min(panels);
    // Panels come in fours, which few of them do not share out evenly: many rows make up for it.
    let height = x.rows.div_ceil(x.rows.div_ceil(ROWS));
    let stretches = x.rows.div_ceil(height);
    (0..panels.div_ceil(width) * stretches).into_par_iter().with_max_len(1).for_each(|task| {
        let (block, stretch) = (task / stretches, task % stretches);
        let rows = stretch * height..x.rows.min((stretch + 1) * height);
        columns(job, rows, block * width, panels.min((block + 1) * width));
    });
}

multiversion! {
    /// Computes panels `from..to` of `rows`. A matrix has a multiple of four panels, and so has each task.
    fn columns<S, whole>(job: Job<'_>, rows: std::ops::Range<usize>, from: usize, to: usize) {
        // SAFETY: `product` has checked the shapes, and the rows and panels exist.
        unsafe { some::<S>(job, rows, from, to) };
    }
}

/// [`columns`] at a level.
///
/// # Safety
/// The rows and panels must exist.
#[inline(always)]
unsafe fn some<S: Simd>(job: Job<'_>, rows: std::ops::Range<usize>, from: usize, to: usize) {
    if rows.len() >= TALL {
        let mut first = rows.start;
        while first < rows.end {
            let some = first..rows.end.min(first + ROWS);
            first = some.end;
            // SAFETY: the caller's promise.
            unsafe {
                match job.view.code {
                    Code::Four => tall::<S, 0>(job, some, from, to),
                    Code::Eight => tall::<S, 1>(job, some, from, to),
                    Code::EightBy16 => tall::<S, 2>(job, some, from, to),
                    Code::Bf16 => tall::<S, 3>(job, some, from, to),
                    Code::F16 => tall::<S, 4>(job, some, from, to),
                }
            }
        }
        return;
    }
    // As many rows at once as the registers hold accumulators for: two for each vector of a coded product.
    let most = if S::LANES == 16 { 4 } else { 3 };
    let mut row = rows.start;
    while row < rows.end {
        let height = height(rows.end - row, most);
        // SAFETY: the caller's promise.
        unsafe {
            match height {
                1 if S::LANES == 16 => strip::<S, 1, 4>(job, row, from, to),
                2 if S::LANES == 16 => strip::<S, 2, 4>(job, row, from, to),
                3 if S::LANES == 16 => strip::<S, 3, 4>(job, row, from, to),
                4 if S::LANES == 16 => strip::<S, 4, 4>(job, row, from, to),
                1 => strip::<S, 1, 2>(job, row, from, to),
                2 => strip::<S, 2, 2>(job, row, from, to),
                _ => strip::<S, 3, 2>(job, row, from, to),
            }
        }
        row += height;
    }
}

/// Rows `row..row + M` of panels `from..to`, `N` vectors of outputs at a time.
///
/// # Safety
/// The rows and panels must exist.
#[inline(always)]
unsafe fn strip<S: Simd, const M: usize, const N: usize>(job: Job<'_>, row: usize, from: usize, to: usize) {
    let each = PANEL / S::LANES;
    for vector in (from * each..to * each).step_by(N) {
        // SAFETY: the caller's promise.
        unsafe {
            match job.view.code {
                Code::Four => coded::tile::<S, M, N, 0>(job, row, vector),
                Code::Eight => coded::tile::<S, M, N, 1>(job, row, vector),
                Code::EightBy16 => coded::tile::<S, M, N, 2>(job, row, vector),
                Code::Bf16 => halves::tile::<S, M, N, 3>(job, row, vector),
                Code::F16 => halves::tile::<S, M, N, 4>(job, row, vector),
            }
        }
    }
}

pub(super) const CODES: [Code; 5] = [Code::Four, Code::Eight, Code::EightBy16, Code::Bf16, Code::F16];

/// Where a vector of outputs lies: its panel and its first lane there.
#[inline(always)]
pub(super) fn place<S: Simd>(vector: usize) -> (usize, usize) {
    let each = PANEL / S::LANES;
    (vector / each, vector % each * S::LANES)
}

/// [`settle`] for a tile's sums.
///
/// # Safety
/// As [`strip`].
#[inline(always)]
pub(super) unsafe fn settle_all<S: Simd, const M: usize, const N: usize>(
    job: Job<'_>,
    row: usize,
    vector: usize,
    sums: [[S::V; N]; M],
) {
    for (m, sums) in sums.into_iter().enumerate() {
        for (n, sums) in sums.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { settle::<S>(job, row + m, (vector + n) * S::LANES, sums) };
        }
    }
}

/// Puts the sums of the outputs from `first` on, as many of them as there are, where they belong.
#[inline(always)]
pub(super) unsafe fn settle<S: Simd>(job: Job<'_>, row: usize, first: usize, sums: S::V) {
    if first >= job.outputs {
        return;
    }
    let count = S::LANES.min(job.outputs - first);
    // SAFETY: the caller's promise; `count` outputs are left.
    unsafe {
        let y = job.out.y.at(row * job.out.stride + first);
        if job.bias.is_empty() && count == S::LANES {
            return S::store(y, sums);
        }
        let mut part = [0f32; PANEL];
        S::store(part.as_mut_ptr(), sums);
        let y = std::slice::from_raw_parts_mut(y, count);
        for (i, (y, sum)) in y.iter_mut().zip(part).enumerate() {
            *y = if job.bias.is_empty() { sum } else { sum + job.bias[first + i] };
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "x86_64")]
    use super::super::super::simd;
    use super::super::super::simd::Base;
    use super::super::fixed::rounded;
    use super::super::{BLOCK, Unpacked};
    use super::*;

    /// Runs a level, which this machine might not choose, over each row alone or all rows at once.
    fn at<S: Simd>(x: Rows<'_>, w: &Panels, together: bool) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.rows * w.outputs];
        let out = Target { y: Shared::of(&mut y), stride: w.outputs };
        let run = |fixed| {
            let job = Job { x, fixed, view: w.view(), outputs: w.outputs, bias: &[], out };
            let each = if together { x.rows } else { 1 };
            for first in (0..x.rows).step_by(each) {
                // SAFETY: the rows and panels are there, and the level's instructions, too.
                unsafe { some::<S>(job, first..first + each, 0, padded(w.outputs)) };
            }
        };
        if w.code.is_coded() {
            Fixed::by(rounded::<S>, x, w.inputs, run);
        } else {
            run(Fixed::none());
        }
        y
    }

    type At = fn(Rows<'_>, &Panels, bool) -> Vec<f32>;

    /// The levels that this machine has.
    fn levels() -> Vec<(&'static str, At)> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut))]
        let mut levels = vec![("base", at::<Base> as At)];
        #[cfg(target_arch = "x86_64")]
        {
            if simd::level() >= simd::Level::Avx2 {
                levels.push(("avx2", at::<simd::Avx2>));
            }
            if simd::level() == simd::Level::Avx512 {
                levels.push(("avx512", at::<simd::Avx512>));
            }
            if simd::vnni() {
                levels.push(("avx512 vnni", at::<simd::Avx512Vnni>));
            }
        }
        levels
    }

    fn bits(y: &[f32]) -> Vec<u32> {
        y.iter().map(|y| y.to_bits()).collect()
    }

    /// Some packed matrix.
    fn packed(code: Code, outputs: usize, inputs: usize) -> Panels {
        let fill = |output: usize, row: &mut Unpacked| {
            let code_at = |i: usize| ((i * 7 + output * 3) % if code == Code::Four { 16 } else { 256 }) as u8 as i8;
            row.codes.extend((0..inputs).map(code_at));
            row.scales.extend([[0.25, -1.5], [0.1, 0.7]].into_iter().cycle().take(inputs / BLOCK));
            row.halves.extend((0..inputs).map(|i| match code {
                Code::F16 => half::f16::from_f32(i as f32 / 64.0 - 0.5).to_bits(),
                _ => half::bf16::from_f32(i as f32 / 64.0 - output as f32).to_bits(),
            }));
            Ok(())
        };
        Panels::pack(code, outputs, inputs, &fill).unwrap()
    }

    /// Inputs whose blocks are of very different size, one of them nothing.
    fn inputs_of(len: usize) -> Vec<f32> {
        let size = |block: usize| [1.0, 0.0, 3e-4, 250.0, 0.02][block % 5];
        (0..len).map(|i| ((i * 31 % 101) as f32 / 50.0 - 1.0) * size(i / BLOCK)).collect()
    }

    #[test]
    fn many_rows_at_once_are_bit_for_bit_the_rows_alone() {
        let (outputs, inputs) = (70, 64);
        let x = inputs_of(ROWS * inputs);
        for rows in [1, 2, 3, 4, 5, 6, 7, 8, 13, 35, ROWS] {
            let x = Rows { data: &x, rows, stride: inputs };
            for code in CODES {
                let w = packed(code, outputs, inputs);
                for (level, at) in levels() {
                    assert!(bits(&at(x, &w, false)) == bits(&at(x, &w, true)), "{code:?}, {level}, {rows} rows");
                }
            }
        }
    }

    #[test]
    fn a_small_matrix_takes_any_number_of_rows() {
        // So small that no other thread is woken for it.
        let (outputs, inputs) = (16, 32);
        for code in CODES {
            let w = packed(code, outputs, inputs);
            for rows in [4, 5, 7, 63, 64, 65, 67, 128] {
                let x = inputs_of(rows * inputs);
                let mut together = vec![f32::NAN; rows * outputs];
                product(Rows { data: &x, rows, stride: inputs }, &w, &[], &mut together, outputs);
                for (x, together) in x.chunks_exact(inputs).zip(together.chunks_exact(outputs)) {
                    let mut alone = vec![f32::NAN; outputs];
                    product(Rows { data: x, rows: 1, stride: inputs }, &w, &[], &mut alone, outputs);
                    assert!(alone == together, "{code:?}, {rows} rows");
                }
            }
        }
    }

    #[test]
    fn every_level_is_as_near_to_the_exact_product_as_its_inputs_allow() {
        let (outputs, inputs, rows) = (37, 320, 3);
        let x = inputs_of(rows * inputs);
        let x = Rows { data: &x, rows, stride: inputs };
        for code in CODES {
            let w = packed(code, outputs, inputs);
            let mut found: Vec<_> = levels().into_iter().map(|(level, at)| (level, at(x, &w, false))).collect();
            let mut chosen = vec![0f32; rows * outputs];
            product(x, &w, &[], &mut chosen, outputs);
            found.push(("chosen", chosen));
            let mut weights = vec![0f32; inputs];
            for output in 0..outputs {
                w.row(output, &mut weights);
                for row in 0..rows {
                    let (mut exact, mut bound) = (0.0, 0.0);
                    for (w, x) in
                        weights.as_chunks::<BLOCK>().0.iter().zip(x.data[row * inputs..].as_chunks::<BLOCK>().0)
                    {
                        let largest = x.iter().fold(0f32, |most, x| most.max(x.abs()));
                        for (w, x) in w.iter().zip(x) {
                            let (w, x) = (f64::from(*w), f64::from(*x));
                            exact += w * x;
                            // Half a step of the fixed point, and what sums of so many in `f32` are off by.
                            let step = if code.is_coded() { f64::from(largest) / 65_534.0 } else { 0.0 };
                            bound += w.abs() * (step + x.abs() * 4e-6) + 2e-7;
                        }
                    }
                    for (level, y) in &found {
                        let off = (f64::from(y[row * outputs + output]) - exact).abs();
                        assert!(off <= bound, "{code:?} {level}: off by {off}, {bound} allowed, of {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_block_is_rounded_by_its_own_largest_input_whatever_its_size() {
        let (outputs, inputs) = (16, BLOCK);
        for size in [1.0, 3e-4, 250.0, 1e30, 1e-20, 2e-30, 5e-31, 1e-38, 0.0] {
            let mut x: Vec<f32> = (0..inputs).map(|i| ((i * 31 % 101) as f32 / 50.0 - 1.0) * size).collect();
            for outlier in [1.0, -40.0] {
                x[11] = outlier * size;
                let largest = x.iter().fold(0f32, |most, x| most.max(x.abs()));
                for code in [Code::Four, Code::Eight, Code::EightBy16] {
                    let w = packed(code, outputs, inputs);
                    let mut weights = vec![0f32; inputs];
                    for (level, at) in levels() {
                        let y = at(Rows { data: &x, rows: 1, stride: inputs }, &w, false);
                        for (output, y) in y.iter().enumerate() {
                            w.row(output, &mut weights);
                            let exact: f64 = weights.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                            let all: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
                            // Half a step, and a little for the rounding of scales and sums; what is next to nothing counts as that.
                            let bound =
                                all * f64::from(largest) * if largest < 1e-30 { 1.0 } else { 1.0 / 65_534.0 + 1e-6 };
                            let off = (f64::from(*y) - exact).abs();
                            assert!(off <= bound, "{code:?} {level} {size} {outlier}: off by {off}, {bound} allowed");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn codes_give_the_same_numbers_at_every_level_that_rounds_alike() {
        let (outputs, inputs, rows) = (70, 128, 6);
        let x = inputs_of(rows * inputs);
        let x = Rows { data: &x, rows, stride: inputs };
        for code in [Code::Four, Code::Eight, Code::EightBy16] {
            let w = packed(code, outputs, inputs);
            let fused: Vec<_> = levels().into_iter().filter(|(level, _)| *level != "base").collect();
            for pair in fused.windows(2) {
                let ((narrow, at), (wide, at_wide)) = (pair[0], pair[1]);
                assert!(bits(&at(x, &w, true)) == bits(&at_wide(x, &w, true)), "{code:?}: {narrow} and {wide}");
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none_and_harms_no_other_row() {
        let (outputs, inputs, rows) = (20, 64, 7);
        for code in CODES {
            let w = packed(code, outputs, inputs);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = inputs_of(rows * inputs);
                let sound: Vec<_> = levels().into_iter().map(|(_, at)| at).collect();
                let before = |at: &At, x: &[f32]| at(Rows { data: x, rows, stride: inputs }, &w, true);
                let want: Vec<_> = sound.iter().map(|at| before(at, &x)).collect();
                x[3 * inputs + 5] = bad;
                for (at, want) in sound.iter().zip(&want) {
                    for together in [false, true] {
                        let got = at(Rows { data: &x, rows, stride: inputs }, &w, together);
                        for (row, (got, want)) in got.chunks(outputs).zip(want.chunks(outputs)).enumerate() {
                            if row == 3 {
                                assert!(got.iter().all(|y| !y.is_finite()), "{code:?}, {bad}");
                            } else {
                                assert!(bits(got) == bits(want), "{code:?}, {bad}, row {row}");
                            }
                        }
                    }
                }
            }
        }
    }
}
