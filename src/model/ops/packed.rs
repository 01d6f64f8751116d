//! Weights kept as they are stored: 4- and 8-bit codes in groups with a scale, or half-precision numbers.
//!
//! Decoding moves bytes, so weights of a quarter of the size are read in a quarter of the time; and a base that is only
//! read need not lie in memory as `f32`. A matrix lies in *panels* of 16 outputs: one vector holds the same input of 16
//! outputs (or two neighbours, as a pair), so that sums need no adding across lanes, scales are vectors, and the input is
//! broadcast. Codes are taken out of their words in registers, or for many rows once in the first-level cache, exactly.
//!
//! **Inputs of codes** become whole numbers of 16 bits, with a scale for 32 of them (`fixed`): a processor multiplies and adds
//! twice as many of these as of `f32`, and an output is off by about 1 in 20,000 of what outputs are like, less than between
//! two machines' `bf16`, far less than by the codes themselves. Half-precision weights are multiplied with inputs in `f32`.
//!
//! **Row invariance** as in [`rows`](super::rows): every output is one sum with one order, `sum over groups of
//! (scale * sum(code * x) + least * sum(x))`, whatever the rows beside it. Products of training take
//! [`Panels::transposed`] instead: a stretch of outputs as `f32`, for the general matrix product, which knows of no rounding.

#![allow(unsafe_code)] // Tasks write disjoint columns of one matrix, which slices cannot express; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

mod coded;
mod expand;
mod fixed;
mod halves;
mod product;
mod tall;

use rayon::prelude::*;

use super::pages;
use super::shared::Shared;
use super::simd::Simd;
use expand::expand;

pub use product::product;

/// Outputs in a panel.
pub const PANEL: usize = 16;
/// Inputs in a block: what the inputs of a packed matrix come in.
pub const BLOCK: usize = 32;

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

    /// Whether its numbers are codes with a scale.
    #[inline(always)]
    fn is_coded(self) -> bool {
        !matches!(self, Code::Bf16 | Code::F16)
    }

    /// Groups of a block's inputs that have a scale of their own.
    #[inline(always)]
    fn groups(self) -> usize {
        if self == Code::EightBy16 { 2 } else { 1 }
    }

    /// Whether a least is added to its scaled codes.
    #[inline(always)]
    fn has_least(self) -> bool {
        matches!(self, Code::Four | Code::Eight)
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
        let target = Target { y: Shared::of(out), stride: width };
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
                        let code = words[i / 8 * PANEL + lane] >> nibble(i) & 15;
                        code as f32 * scale(block, 0) + scale(block, 1)
                    }
                    Code::Eight | Code::EightBy16 => {
                        let code = (words[i / 4 * PANEL + lane] >> byte(i)) as i8;
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

/// First bit of the 4-bit code of an input in its word: two neighbours lie in the two halves of it.
fn nibble(input: usize) -> usize {
    input % 8 / 2 * 4 + input % 2 * 16
}

/// First bit of the 8-bit code of an input in its word, as [`nibble`].
fn byte(input: usize) -> usize {
    input % 4 / 2 * 8 + input % 2 * 16
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
                Code::Four => words[i / 8 * PANEL + lane] |= u32::from(c as u8 & 15) << nibble(i),
                _ => words[i / 4 * PANEL + lane] |= u32::from(c as u8) << byte(i),
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

/// A matrix to write to.
#[derive(Clone, Copy)]
struct Target {
    y: Shared,
    stride: usize,
}
