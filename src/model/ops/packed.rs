//! Weights kept as they are stored: 4- and 8-bit codes in groups with a scale, or half-precision numbers.
//!
//! Decoding moves bytes, so weights of a quarter of the size are read in a quarter of the time; and a base that is only
//! read need not lie in memory as `f32`. A matrix lies in *panels* of 16 outputs: one vector holds the same input of 16
//! outputs, so that sums need no adding across lanes, scales are vectors, and the input is broadcast. Codes are turned
//! into numbers in registers, exactly; inputs stay `f32`.
//!
//! **Row invariance** as in [`rows`](super::rows): every output is one sum with one order, `sum over groups of
//! (scale * sum(code * x) + least * sum(x))`, whatever the rows beside it. Products of training take
//! [`Panels::transposed`] instead: a stretch of outputs as `f32`, for the general matrix product.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use rayon::prelude::*;

use super::pages;
use super::rows::{Put, Rows};
use super::simd::Simd;
use crate::multiversion;

/// Outputs in a panel.
pub const PANEL: usize = 16;
/// Inputs in a block: what the inputs of a packed matrix come in.
pub const BLOCK: usize = 32;
/// Bytes of codes a task keeps in the second-level cache while rows pass by it.
const BLOCK_BYTES: usize = 192 << 10;
/// Rows that a task takes where there are many.
const ROWS: usize = 32;
/// Multiplications under which waking another thread costs more than it gains.
const ALONE: usize = 1 << 16;

/// Panels of a matrix: a multiple of four, the last of them empty, so that products need no narrower tiles.
fn padded(outputs: usize) -> usize {
    outputs.div_ceil(PANEL).next_multiple_of(4)
}

/// How a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `scale * code + least`, codes `0..=15`, a scale and a least for every 32 inputs.
    Four,
    /// `scale * code + least`, codes `-128..=127`, a scale and a least for every 32 inputs.
    Eight,
    /// `scale * code`, codes `-128..=127`, a scale for every 16 inputs.
    EightBy16,
    /// `bfloat16`
    Bf16,
    /// IEEE half precision.
    F16,
}

impl Code {
    /// Words of 32 bits in a block of a panel.
    fn words(self) -> usize {
        match self {
            Code::Four => 4 * PANEL,
            Code::Eight | Code::EightBy16 => 8 * PANEL,
            Code::Bf16 | Code::F16 => 16 * PANEL,
        }
    }

    /// Numbers of scale in a block of a panel: scales and leasts, or two scales.
    fn scales(self) -> usize {
        match self {
            Code::Four | Code::Eight | Code::EightBy16 => 2 * PANEL,
            Code::Bf16 | Code::F16 => 0,
        }
    }
}

/// Scales, in half precision where all of them are such numbers.
#[derive(Clone, Debug, PartialEq)]
enum Scales {
    Half(Vec<u16>),
    Full(Vec<f32>),
}

/// Some outputs of a linear layer, `[outputs, inputs]`, packed.
#[derive(Clone, Debug, PartialEq)]
pub struct Panels {
    code: Code,
    outputs: usize,
    inputs: usize,
    words: Vec<u32>,
    scales: Scales,
}

/// One output's weights before packing.
#[derive(Clone, Debug, Default)]
pub struct Unpacked {
    /// `[inputs]`: 4-bit codes `0..=15` or 8-bit codes, for the coded kinds.
    pub codes: Vec<i8>,
    /// `[inputs / 32, 2]`: scale and least of each group of 32, or the scales of its halves.
    pub scales: Vec<[f32; 2]>,
    /// `[inputs]`: the bits of half-precision numbers, for the others.
    pub halves: Vec<u16>,
}

impl Panels {
    /// Packs `outputs` rows of `inputs` weights; `row` fills in one.
    ///
    /// # Errors
    /// When `inputs` is no multiple of 32, a row is not as long as that, or `row` fails.
    pub fn pack(
        code: Code,
        outputs: usize,
        inputs: usize,
        row: &(dyn Fn(usize, &mut Unpacked) -> Result<(), String> + Sync),
    ) -> Result<Self, String> {
        if !inputs.is_multiple_of(BLOCK) {
            return Err(format!("rows of {inputs} weights are not packed in blocks of {BLOCK}"));
        }
        let (panels, blocks) = (padded(outputs), inputs / BLOCK);
        let (each, scaled) = (blocks * code.words(), blocks * code.scales());
        let mut words = pages::zeros::<u32>(panels * each);
        let mut scales = vec![0f32; panels * scaled];
        // Chunks of nothing are not allowed; half-precision panels have no scales.
        let mut none: Vec<[f32; 0]> = vec![[]; panels];
        let parts: Vec<&mut [f32]> = if scaled == 0 {
            none.iter_mut().map(<[f32; 0]>::as_mut_slice).collect()
        } else {
            scales.chunks_exact_mut(scaled).collect()
        };
        words.par_chunks_exact_mut(each.max(1)).zip(parts).enumerate().try_for_each_init(
            Unpacked::default,
            |unpacked, (panel, (words, scales))| {
                for lane in 0..PANEL.min(outputs.saturating_sub(panel * PANEL)) {
                    unpacked.codes.clear();
                    unpacked.scales.clear();
                    unpacked.halves.clear();
                    row(panel * PANEL + lane, unpacked)?;
                    put_lane(code, unpacked, inputs, lane, words, scales)?;
                }
                Ok::<(), String>(())
            },
        )?;
        let halves: Option<Vec<u16>> = scales
            .iter()
            .map(|&x| {
                let half = half::f16::from_f32(x);
                (half.to_f32().to_bits() == x.to_bits()).then(|| half.to_bits())
            })
            .collect();
        let scales = halves.map_or(Scales::Full(scales), Scales::Half);
        Ok(Self { code, outputs, inputs, words, scales })
    }

    /// Takes the outputs of `other` behind its own, where both are packed alike and one's own panels are full; gives it
    /// back otherwise.
    pub fn join(&mut self, other: Self) -> Option<Self> {
        let full = self.outputs.is_multiple_of(4 * PANEL);
        if self.code != other.code || self.inputs != other.inputs || !full {
            return Some(other);
        }
        match (&mut self.scales, &other.scales) {
            (Scales::Half(scales), Scales::Half(more)) => scales.extend_from_slice(more),
            (Scales::Full(scales), Scales::Full(more)) => scales.extend_from_slice(more),
            _ => return Some(other),
        }
        self.words.extend_from_slice(&other.words);
        self.outputs += other.outputs;
        None
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How its weights are stored.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let scales = match &self.scales {
            Scales::Half(scales) => size_of_val(scales.as_slice()),
            Scales::Full(scales) => size_of_val(scales.as_slice()),
        };
        size_of_val(self.words.as_slice()) + scales
    }

    fn view(&self) -> View {
        let (half, full) = match &self.scales {
            Scales::Half(scales) => (scales.as_ptr(), std::ptr::null()),
            Scales::Full(scales) => (std::ptr::null(), scales.as_ptr()),
        };
        View { code: self.code, blocks: self.inputs / BLOCK, words: self.words.as_ptr(), half, full }
    }

    /// Outputs `from..to`, `from` a multiple of 16, as `f32`, transposed: `[inputs, to - from]` into `out`.
    ///
    /// # Panics
    /// When `out` is too short or the range is no such range: a mistake of the caller.
    pub fn transposed(&self, from: usize, to: usize, out: &mut [f32]) {
        let width = to - from;
        assert!(from.is_multiple_of(PANEL) && to <= self.outputs, "a stretch of outputs that does not exist");
        assert!(out.len() >= self.inputs * width, "no room for the stretch");
        let target = Target { y: out.as_mut_ptr(), stride: width };
        let view = self.view();
        (0..width.div_ceil(PANEL)).into_par_iter().with_min_len(4).for_each(|panel| {
            let first = panel * PANEL;
            expand(view, from / PANEL + panel, target, first, PANEL.min(width - first));
        });
    }

    /// One output's weights.
    ///
    /// # Panics
    /// When there is no such output or `out` is no row of it: a mistake of the caller.
    pub fn row(&self, output: usize, out: &mut [f32]) {
        assert!(output < self.outputs && out.len() == self.inputs, "no row of the matrix");
        let (panel, lane) = (output / PANEL, output % PANEL);
        let blocks = self.inputs / BLOCK;
        let words = &self.words[panel * blocks * self.code.words()..][..blocks * self.code.words()];
        let scale = |block: usize, which: usize| {
            let at = (panel * blocks + block) * 2 * PANEL + which * PANEL + lane;
            match &self.scales {
                Scales::Half(scales) => half::f16::from_bits(scales[at]).to_f32(),
                Scales::Full(scales) => scales[at],
            }
        };
        for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let words = &words[block * self.code.words()..][..self.code.words()];
            for (i, out) in out.iter_mut().enumerate() {
                *out = match self.code {
                    Code::Four => {
                        let code = words[i / 8 * PANEL + lane] >> (4 * (i % 8)) & 15;
                        code as f32 * scale(block, 0) + scale(block, 1)
                    }
                    Code::Eight | Code::EightBy16 => {
                        let code = words[i / 4 * PANEL + lane].to_le_bytes()[i % 4] as i8;
                        match self.code {
                            Code::Eight => f32::from(code) * scale(block, 0) + scale(block, 1),
                            _ => f32::from(code) * scale(block, i / 16),
                        }
                    }
                    Code::Bf16 | Code::F16 => {
                        let word = words[i * (PANEL / 2) + lane / 2];
                        let bits = (word >> (16 * (lane % 2))) as u16;
                        match self.code {
                            Code::Bf16 => half::bf16::from_bits(bits).to_f32(),
                            _ => half::f16::from_bits(bits).to_f32(),
                        }
                    }
                };
            }
        }
    }
}

/// Writes one output into its lane of a panel.
fn put_lane(
    code: Code,
    row: &Unpacked,
    inputs: usize,
    lane: usize,
    words: &mut [u32],
    scales: &mut [f32],
) -> Result<(), String> {
    let short = || format!("a row of {inputs} weights came as {} codes", row.codes.len().max(row.halves.len()));
    if matches!(code, Code::Bf16 | Code::F16) {
        if row.halves.len() != inputs {
            return Err(short());
        }
        for (i, &half) in row.halves.iter().enumerate() {
            words[i * (PANEL / 2) + lane / 2] |= u32::from(half) << (16 * (lane % 2));
        }
        return Ok(());
    }
    if row.codes.len() != inputs || row.scales.len() != inputs / BLOCK {
        return Err(short());
    }
    for (block, codes) in row.codes.chunks_exact(BLOCK).enumerate() {
        let words = &mut words[block * code.words()..][..code.words()];
        for (i, &c) in codes.iter().enumerate() {
            match code {
                Code::Four => words[i / 8 * PANEL + lane] |= u32::from(c as u8 & 15) << (4 * (i % 8)),
                _ => words[i / 4 * PANEL + lane] |= u32::from(c as u8) << (8 * (i % 4)),
            }
        }
    }
    for (block, pair) in row.scales.iter().enumerate() {
        for (which, &scale) in pair.iter().enumerate() {
            scales[block * 2 * PANEL + which * PANEL + lane] = scale;
        }
    }
    Ok(())
}

/// A matrix as pointers that tasks share.
#[derive(Clone, Copy)]
struct View {
    code: Code,
    blocks: usize,
    words: *const u32,
    /// One of the two is null.
    half: *const u16,
    full: *const f32,
}
// SAFETY: read by all, written by none.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// Scales `which` of a block, the lanes from `lane` on.
    ///
    /// # Safety
    /// The panel and the block must exist.
    #[inline(always)]
    unsafe fn scale<S: Simd>(self, panel: usize, block: usize, which: usize, lane: usize) -> S::V {
        let at = (panel * self.blocks + block) * 2 * PANEL + which * PANEL + lane;
        // SAFETY: the caller's promise.
        unsafe { if self.full.is_null() { S::load_f16(self.half.add(at)) } else { S::load(self.full.add(at)) } }
    }
}

#[derive(Clone, Copy)]
struct Target {
    y: *mut f32,
    stride: usize,
}
// SAFETY: each task writes columns of its own.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// Turns the 32 inputs of a block into numbers, in order, for one vector of lanes, and shows each to `see`.
///
/// # Safety
/// `words` must be a block's, from the vector's first lane on.
#[inline(always)]
unsafe fn each_code<S: Simd>(code: Code, words: *const u32, mut see: impl FnMut(usize, S::V)) {
    // SAFETY: the caller's promise.
    unsafe {
        match code {
            Code::Four => {
                for word in 0..4 {
                    let codes = S::load_words(words.add(word * PANEL));
                    see(word * 8, S::nibble::<0>(codes));
                    see(word * 8 + 1, S::nibble::<4>(codes));
                    see(word * 8 + 2, S::nibble::<8>(codes));
                    see(word * 8 + 3, S::nibble::<12>(codes));
                    see(word * 8 + 4, S::nibble::<16>(codes));
                    see(word * 8 + 5, S::nibble::<20>(codes));
                    see(word * 8 + 6, S::nibble::<24>(codes));
                    see(word * 8 + 7, S::nibble::<28>(codes));
                }
            }
            Code::Eight | Code::EightBy16 => {
                for word in 0..8 {
                    let codes = S::load_words(words.add(word * PANEL));
                    see(word * 4, S::byte::<24>(codes));
                    see(word * 4 + 1, S::byte::<16>(codes));
                    see(word * 4 + 2, S::byte::<8>(codes));
                    see(word * 4 + 3, S::byte::<0>(codes));
                }
            }
            Code::Bf16 | Code::F16 => {}
        }
    }
}

multiversion! {
    /// Writes a panel's first `lanes` outputs as `f32` into columns from `first` on, one input a row.
    fn expand<S>(view: View, panel: usize, out: Target, first: usize, lanes: usize) {
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
                        let to = out.y.add((block * BLOCK + i) * out.stride + first + lane);
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
unsafe fn half<S: Simd>(code: Code, at: *const u16) -> S::V {
    // SAFETY: the caller's promise.
    unsafe { if code == Code::Bf16 { S::load_bf16(at) } else { S::load_f16(at) } }
}

/// The whole of one product, as pointers that tasks share.
#[derive(Clone, Copy)]
struct Job<'a> {
    x: Rows<'a>,
    /// Sums of each row's inputs, group by group: `[rows, blocks]`.
    sums: &'a [f32],
    view: View,
    outputs: usize,
    bias: &'a [f32],
    out: Target,
    put: Put,
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

/// `y = x w^T`, put as `put` says into rows of `y` that are `y_stride` apart; columns in parallel over the current pool.
/// `bias` is `[outputs]` or empty.
///
/// # Panics
/// When a slice is too short for the shapes given: a mistake of the caller, not of any input.
pub fn product(x: Rows<'_>, w: &Panels, bias: &[f32], y: &mut [f32], y_stride: usize, put: Put) {
    let (inputs, outputs, last) = (w.inputs, w.outputs, x.rows.saturating_sub(1));
    if x.rows == 0 || outputs == 0 {
        return;
    }
    assert!(x.stride >= inputs && x.data.len() >= last * x.stride + inputs, "x is shorter than its shape");
    assert!(bias.is_empty() || bias.len() >= outputs, "the bias is shorter than its shape");
    assert!(y_stride >= outputs && y.len() >= last * y_stride + outputs, "y is shorter than its shape");
    let sums = block_sums(w.code, x, inputs);
    let out = Target { y: y.as_mut_ptr(), stride: y_stride };
    let job = Job { x, sums: &sums, view: w.view(), outputs, bias, out, put };
    let panels = padded(outputs);
    if x.rows * inputs * outputs <= ALONE {
        return columns(job, 0..x.rows, 0, panels);
    }
    let threads = rayon::current_num_threads();
    let kept = (BLOCK_BYTES * panels / w.bytes().max(1)).max(4);
    let blocks = panels.div_ceil(kept).next_multiple_of(threads);
    let width = panels.div_ceil(blocks).next_multiple_of(4).min(panels);
    // Panels come in fours, which few of them do not share out evenly: many rows make up for it.
    let height = if x.rows < 2 * ROWS { x.rows } else { ROWS };
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
        // As many rows at once as the registers hold accumulators for: two for each vector of a coded product.
        let half = matches!(job.view.code, Code::Bf16 | Code::F16);
        let most = match (S::LANES, half) {
            (16, true) => 6,
            (16, false) => 4,
            _ => 3,
        };
        let mut row = rows.start;
        while row < rows.end {
            let left = rows.end - row;
            let height = left.div_ceil(left.div_ceil(most));
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

const CODES: [Code; 5] = [Code::Four, Code::Eight, Code::EightBy16, Code::Bf16, Code::F16];

/// Where a vector of outputs lies: its panel and its first lane there.
#[inline(always)]
fn place<S: Simd>(vector: usize) -> (usize, usize) {
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
unsafe fn settle<S: Simd>(job: Job<'_>, row: usize, first: usize, sums: S::V) {
    if first >= job.outputs {
        return;
    }
    let count = S::LANES.min(job.outputs - first);
    let mut part = [0f32; PANEL];
    // SAFETY: the caller's promise; `count` outputs are left.
    unsafe {
        S::store(part.as_mut_ptr(), sums);
        let y = std::slice::from_raw_parts_mut(job.out.y.add(row * job.out.stride + first), count);
        for (i, (y, sum)) in y.iter_mut().zip(part).enumerate() {
            let sum = if job.bias.is_empty() { sum } else { sum + job.bias[first + i] };
            match job.put {
                Put::Set => *y = sum,
                Put::Add { factor } => *y += factor * sum,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::Base;
    use super::*;

    /// Runs the narrower levels, which this machine would not choose, over the same product.
    fn at<S: Simd>(x: Rows<'_>, w: &Panels) -> Vec<f32> {
        let mut y = vec![0f32; x.rows * w.outputs];
        let sums = block_sums(w.code, x, w.inputs);
        let out = Target { y: y.as_mut_ptr(), stride: w.outputs };
        let job = Job { x, sums: &sums, view: w.view(), outputs: w.outputs, bias: &[], out, put: Put::Set };
        for row in 0..x.rows {
            // SAFETY: the rows and panels are there, and the level's instructions, too.
            unsafe { strip::<S, 1, 2>(job, row, 0, padded(w.outputs)) };
        }
        y
    }

    #[test]
    fn every_level_computes_the_same_product() {
        let (outputs, inputs, rows) = (37, 64, 3);
        let x: Vec<f32> = (0..rows * inputs).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
        let x = Rows { data: &x, rows, stride: inputs };
        for code in CODES {
            let fill = |output: usize, row: &mut Unpacked| {
                let code_at = |i: usize| ((i * 7 + output * 3) % if code == Code::Four { 16 } else { 256 }) as u8 as i8;
                row.codes.extend((0..inputs).map(code_at));
                row.scales.extend([[0.25, -1.5], [0.1, 0.7]]);
                row.halves.extend((0..inputs).map(|i| match code {
                    Code::F16 => half::f16::from_f32(i as f32 / 64.0 - 0.5).to_bits(),
                    _ => half::bf16::from_f32(i as f32 / 64.0 - output as f32).to_bits(),
                }));
                Ok(())
            };
            let w = Panels::pack(code, outputs, inputs, &fill).unwrap();
            let mut row = vec![0f32; inputs];
            let mut levels = vec![("base", at::<Base>(x, &w))];
            #[cfg(target_arch = "x86_64")]
            if super::super::simd::level() != super::super::simd::Level::Base {
                levels.push(("avx2", at::<super::super::simd::Avx2>(x, &w)));
            }
            let mut chosen = vec![0f32; rows * outputs];
            product(x, &w, &[], &mut chosen, outputs, Put::Set);
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
