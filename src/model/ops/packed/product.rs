//! Rows times packed weights: tiles of a few rows and vectors of outputs, whose sums stay in registers.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use rayon::prelude::*;

use super::super::rows::{Rows, height};
use super::super::simd::Simd;
use super::expand::half;
use super::tall::{ROWS, tall};
use super::{BLOCK, Code, PANEL, Panels, Target, View, padded};
use crate::multiversion;

/// Bytes of codes a task keeps in the second-level cache while rows pass by it.
const BLOCK_BYTES: usize = 192 << 10;
/// Rows from which on codes are turned into numbers once for all of them rather than in registers for a few.
const TALL: usize = 8;
/// Multiplications under which waking another thread costs more than it gains.
const ALONE: usize = 1 << 16;

/// The whole of one product, as pointers that tasks share.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub x: Rows<'a>,
    /// Sums of each row's inputs, group by group: `[rows, blocks]`.
    pub sums: &'a [f32],
    pub view: View,
    outputs: usize,
    bias: &'a [f32],
    out: Target,
}

/// Sums over the inputs of each block, where the codes have a least that they are multiplied with.
fn block_sums(code: Code, x: Rows<'_>, inputs: usize) -> Vec<f32> {
    if !matches!(code, Code::Four | Code::Eight) {
        return Vec::new();
    }
    let mut sums = Vec::with_capacity(x.rows * inputs / BLOCK);
    for row in 0..x.rows {
        for block in x.data[row * x.stride..][..inputs].as_chunks::<BLOCK>().0 {
            // Four sums side by side, an order of its own that no row shares with another.
            let mut parts = [0f32; 8];
            for eight in block.as_chunks::<8>().0 {
                for (part, x) in parts.iter_mut().zip(eight) {
                    *part += x;
                }
            }
            sums.push(parts.iter().sum());
        }
    }
    sums
}

/// `y = x w^T + bias`, rows of `y` `y_stride` apart; columns in parallel over the current pool. `bias` is `[outputs]` or empty.
///
/// # Panics
/// When a slice is too short for the shapes given: a mistake of the caller, not of any input.
pub fn product(x: Rows<'_>, w: &Panels, bias: &[f32], y: &mut [f32], y_stride: usize) {
    let (inputs, outputs, last) = (w.inputs, w.outputs, x.rows.saturating_sub(1));
    if x.rows == 0 || outputs == 0 {
        return;
    }
    assert!(x.stride >= inputs && x.data.len() >= last * x.stride + inputs, "x is shorter than its shape");
    assert!(bias.is_empty() || bias.len() >= outputs, "the bias is shorter than its shape");
    assert!(y_stride >= outputs && y.len() >= last * y_stride + outputs, "y is shorter than its shape");
    let sums = block_sums(w.code, x, inputs);
    let out = Target { y: y.as_mut_ptr(), stride: y_stride };
    let job = Job { x, sums: &sums, view: w.view(), outputs, bias, out };
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
    fn columns<S>(job: Job<'_>, rows: std::ops::Range<usize>, from: usize, to: usize) {
        if rows.len() >= TALL {
            let mut first = rows.start;
            while first < rows.end {
                let some = first..rows.end.min(first + ROWS);
                first = some.end;
                // SAFETY: `product` has checked the shapes, and the rows and panels exist.
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
        let half = matches!(job.view.code, Code::Bf16 | Code::F16);
        let most = match (S::LANES, half) {
            (16, true) => 6,
            (16, false) => 4,
            _ => 3,
        };
        let mut row = rows.start;
        while row < rows.end {
            let height = height(rows.end - row, most);
            // SAFETY: `product` has checked the shapes, and the rows and panels exist.
            unsafe {
                match height {
                    1 if S::LANES == 16 => strip::<S, 1, 4>(job, row, from, to),
                    2 if S::LANES == 16 => strip::<S, 2, 4>(job, row, from, to),
                    3 if S::LANES == 16 => strip::<S, 3, 4>(job, row, from, to),
                    4 if S::LANES == 16 => strip::<S, 4, 4>(job, row, from, to),
                    5 if S::LANES == 16 => halves::<S, 5>(job, row, from, to),
                    6 if S::LANES == 16 => halves::<S, 6>(job, row, from, to),
                    1 => strip::<S, 1, 2>(job, row, from, to),
                    2 => strip::<S, 2, 2>(job, row, from, to),
                    _ => strip::<S, 3, 2>(job, row, from, to),
                }
            }
            row += height;
        }
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
                Code::Four => tile::<S, M, N, 0>(job, row, vector),
                Code::Eight => tile::<S, M, N, 1>(job, row, vector),
                Code::EightBy16 => tile::<S, M, N, 2>(job, row, vector),
                Code::Bf16 => tile::<S, M, N, 3>(job, row, vector),
                Code::F16 => tile::<S, M, N, 4>(job, row, vector),
            }
        }
    }
}

/// As [`strip`], for half-precision numbers alone.
///
/// # Safety
/// As [`strip`].
#[inline(always)]
unsafe fn halves<S: Simd, const M: usize>(job: Job<'_>, row: usize, from: usize, to: usize) {
    let each = PANEL / S::LANES;
    for vector in (from * each..to * each).step_by(4) {
        // SAFETY: the caller's promise.
        unsafe {
            match job.view.code {
                Code::Bf16 => tile::<S, M, 4, 3>(job, row, vector),
                _ => tile::<S, M, 4, 4>(job, row, vector),
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

/// The outputs of rows `row..row + M` and `N` vectors of outputs, so many that their sums need not wait for one another.
///
/// # Safety
/// As [`strip`].
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const N: usize, const CODE: usize>(job: Job<'_>, row: usize, vector: usize) {
    let code = CODES[CODE];
    let View { blocks, words, .. } = job.view;
    let size = code.words();
    // SAFETY: the caller's promise: rows, panels and blocks exist.
    unsafe {
        let x = job.x.data.as_ptr().add(row * job.x.stride);
        let mut acc = [[S::splat(0.0); N]; M];
        for block in 0..blocks {
            let x = x.add(block * BLOCK);
            if matches!(code, Code::Bf16 | Code::F16) {
                for i in 0..BLOCK {
                    for n in 0..N {
                        let (panel, lane) = place::<S>(vector + n);
                        let at = words.add((panel * blocks + block) * size).cast::<u16>().add(i * PANEL + lane);
                        let w = half::<S>(code, at);
                        for (m, acc) in acc.iter_mut().enumerate() {
                            acc[n] = S::mul_add(w, S::splat(*x.add(m * job.x.stride + i)), acc[n]);
                        }
                    }
                }
                continue;
            }
            let groups = if code == Code::EightBy16 { 2 } else { 1 };
            let per_group = size / PANEL / groups;
            for group in 0..groups {
                let mut part = [[S::splat(0.0); N]; M];
                for word in group * per_group..(group + 1) * per_group {
                    let mut codes: [S::I; N] = [S::load_words(words); N];
                    for (n, codes) in codes.iter_mut().enumerate() {
                        let (panel, lane) = place::<S>(vector + n);
                        *codes = S::load_words(words.add((panel * blocks + block) * size + word * PANEL + lane));
                    }
                    macro_rules! take {
                        ($i:expr, $turn:expr) => {
                            for (n, codes) in codes.iter().enumerate() {
                                let w = $turn(*codes);
                                for (m, part) in part.iter_mut().enumerate() {
                                    part[n] = S::mul_add(w, S::splat(*x.add(m * job.x.stride + $i)), part[n]);
                                }
                            }
                        };
                    }
                    if code == Code::Four {
                        let i = word * 8;
                        take!(i, S::nibble::<0>);
                        take!(i + 1, S::nibble::<4>);
                        take!(i + 2, S::nibble::<8>);
                        take!(i + 3, S::nibble::<12>);
                        take!(i + 4, S::nibble::<16>);
                        take!(i + 5, S::nibble::<20>);
                        take!(i + 6, S::nibble::<24>);
                        take!(i + 7, S::nibble::<28>);
                    } else {
                        let i = word * 4;
                        take!(i, S::byte::<24>);
                        take!(i + 1, S::byte::<16>);
                        take!(i + 2, S::byte::<8>);
                        take!(i + 3, S::byte::<0>);
                    }
                }
                for n in 0..N {
                    let (panel, lane) = place::<S>(vector + n);
                    let scale = job.view.scale::<S>(panel, block, group, lane);
                    for (acc, part) in acc.iter_mut().zip(part) {
                        acc[n] = S::mul_add(part[n], scale, acc[n]);
                    }
                    if code != Code::EightBy16 {
                        let least = job.view.scale::<S>(panel, block, 1, lane);
                        for (m, acc) in acc.iter_mut().enumerate() {
                            let sum = S::splat(*job.sums.as_ptr().add((row + m) * blocks + block));
                            acc[n] = S::mul_add(least, sum, acc[n]);
                        }
                    }
                }
            }
        }
        for (m, acc) in acc.iter().enumerate() {
            for (n, acc) in acc.iter().enumerate() {
                settle::<S>(job, row + m, (vector + n) * S::LANES, *acc);
            }
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
        let y = job.out.y.add(row * job.out.stride + first);
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
    use super::super::super::simd::{self, Base};
    use super::super::Unpacked;
    use super::*;

    /// Runs the narrower levels, which this machine would not choose, over the same product.
    fn at<S: Simd>(x: Rows<'_>, w: &Panels) -> Vec<f32> {
        let mut y = vec![0f32; x.rows * w.outputs];
        let sums = block_sums(w.code, x, w.inputs);
        let out = Target { y: y.as_mut_ptr(), stride: w.outputs };
        let job = Job { x, sums: &sums, view: w.view(), outputs: w.outputs, bias: &[], out };
        for row in 0..x.rows {
            // SAFETY: the rows and panels are there, and the level's instructions, too.
            unsafe { strip::<S, 1, 2>(job, row, 0, padded(w.outputs)) };
        }
        y
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

    /// [`tall`] at a level, over all rows.
    fn at_once<S: Simd, const CODE: usize>(x: Rows<'_>, w: &Panels) -> Vec<f32> {
        let mut y = vec![0f32; x.rows * w.outputs];
        let sums = block_sums(w.code, x, w.inputs);
        let out = Target { y: y.as_mut_ptr(), stride: w.outputs };
        let job = Job { x, sums: &sums, view: w.view(), outputs: w.outputs, bias: &[], out };
        // SAFETY: the rows and panels are there, and the level's instructions, too.
        unsafe { tall::<S, CODE>(job, 0..x.rows, 0, padded(w.outputs)) };
        y
    }

    #[test]
    fn many_rows_at_once_are_bit_for_bit_the_rows_alone() {
        let (outputs, inputs) = (70, 64);
        let x: Vec<f32> = (0..ROWS * inputs).map(|i| (i * 31 % 101) as f32 / 50.0 - 1.0).collect();
        for rows in [1, 2, 3, 8, 13, 35, ROWS] {
            let x = Rows { data: &x, rows, stride: inputs };
            macro_rules! same {
                ($level:ty, $($code:literal)*) => {
                    $(
                        let w = packed(CODES[$code], outputs, inputs);
                        let (alone, together) = (at::<$level>(x, &w), at_once::<$level, $code>(x, &w));
                        let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
                        assert!(bits(&alone) == bits(&together), "{:?}, {rows} rows", CODES[$code]);
                    )*
                };
            }
            same!(Base, 0 1 2 3 4);
            #[cfg(target_arch = "x86_64")]
            {
                if simd::level() >= simd::Level::Avx2 {
                    same!(simd::Avx2, 0 1 2 3 4);
                }
                if simd::level() == simd::Level::Avx512 {
                    same!(simd::Avx512, 0 1 2 3 4);
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
            for rows in [63, 64, 65, 67, 128] {
                let x: Vec<f32> = (0..rows * inputs).map(|i| (i * 31 % 101) as f32 / 50.0 - 1.0).collect();
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
    fn every_level_computes_the_same_product() {
        let (outputs, inputs, rows) = (37, 64, 3);
        let x: Vec<f32> = (0..rows * inputs).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
        let x = Rows { data: &x, rows, stride: inputs };
        for code in CODES {
            let w = packed(code, outputs, inputs);
            let mut row = vec![0f32; inputs];
            let mut levels = vec![("base", at::<Base>(x, &w))];
            #[cfg(target_arch = "x86_64")]
            if simd::level() != simd::Level::Base {
                levels.push(("avx2", at::<simd::Avx2>(x, &w)));
            }
            let mut chosen = vec![0f32; rows * outputs];
            product(x, &w, &[], &mut chosen, outputs);
            levels.push(("chosen", chosen));
            for output in 0..outputs {
                w.row(output, &mut row);
                for r in 0..rows {
                    let exact: f64 =
                        row.iter().zip(&x.data[r * inputs..]).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                    for (level, y) in &levels {
                        let got = f64::from(y[r * outputs + output]);
                        assert!(
                            (got - exact).abs() < 1e-4 * exact.abs().max(10.0),
                            "{code:?} {level}: {got} for {exact}"
                        );
                    }
                }
            }
        }
    }
}
