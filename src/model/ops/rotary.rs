//! Rotary position embedding on the heads of a fused q|k|v matrix, in the half-split form.

use rayon::prelude::*;

use crate::model::description::{Rotary, RotaryScaling};
use crate::multiversion;

/// Rows a task takes at once.
const ROWS: usize = 32;

/// Cosines and sines of every position up to a length, `[length, dims / 2]` each.
#[derive(Clone, Debug)]
pub struct Table {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Table {
    /// The table of positions `0..length`.
    #[must_use]
    pub fn new(rotary: &Rotary, length: usize) -> Self {
        let frequencies = frequencies(rotary);
        let half = frequencies.len();
        let mut table = Self { half, cos: Vec::with_capacity(length * half), sin: Vec::with_capacity(length * half) };
        for position in 0..length {
            for &frequency in &frequencies {
                // The references multiply position and frequency in f32; the angle's rounding is part of the model.
                let angle = position as f32 * frequency;
                table.cos.push(angle.cos());
                table.sin.push(angle.sin());
            }
        }
        table
    }

    /// Number of positions the table covers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cos.len().checked_div(self.half).unwrap_or(0)
    }

    /// Whether the table covers no position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cosines, `[length, half]`.
    #[must_use]
    pub fn cos(&self) -> &[f32] {
        &self.cos
    }

    /// Sines, `[length, half]`.
    #[must_use]
    pub fn sin(&self) -> &[f32] {
        &self.sin
    }

    /// Pairs of dimensions that turn.
    #[must_use]
    pub fn half(&self) -> usize {
        self.half
    }

    fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let at = position * self.half;
        (&self.cos[at..at + self.half], &self.sin[at..at + self.half])
    }
}

/// Turning rates in radians a token, one for each pair of dimensions: `theta^(-2i / dims)`, then scaled.
///
/// Llama 3's rule is that of `rope_type: "llama3"` in its published configuration.
#[must_use]
pub fn frequencies(rotary: &Rotary) -> Vec<f32> {
    (0..rotary.dims / 2)
        .map(|i| {
            let exponent = (2 * i) as f32 / rotary.dims as f32;
            let plain = 1.0 / rotary.theta.powf(f64::from(exponent));
            let scaled = match rotary.scaling {
                RotaryScaling::None => plain,
                RotaryScaling::Linear { factor } => plain / factor,
                RotaryScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                    let wavelength = 2.0 * std::f64::consts::PI / plain;
                    let context = original_context as f64;
                    if wavelength > context / low_freq_factor {
                        plain / factor
                    } else if wavelength < context / high_freq_factor {
                        plain
                    } else {
                        let smooth = (context / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        (1.0 - smooth) * plain / factor + smooth * plain
                    }
                }
            };
            scaled as f32
        })
        .collect()
}

multiversion! {
    fn turn<S>(heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        for head in heads.chunks_exact_mut(head_dim) {
            let (low, high) = head.split_at_mut(half);
            for i in 0..half {
                let (a, b) = (low[i], high[i]);
                low[i] = a * cos[i] - b * sin[i] * sign;
                high[i] = b * cos[i] + a * sin[i] * sign;
            }
        }
    }
}

/// Turns the first `heads` heads of each row of `x` (rows `stride` apart) by that row's position; `backward` turns
/// gradients, which is the same rotation the other way.
pub fn apply(
    table: &Table,
    positions: &[u32],
    x: &mut [f32],
    stride: usize,
    heads: usize,
    head_dim: usize,
    backward: bool,
) {
    let sign = if backward { -1.0 } else { 1.0 };
    x.par_chunks_mut(stride * ROWS).zip(positions.par_chunks(ROWS)).for_each(|(rows, positions)| {
        for (row, &position) in rows.chunks_exact_mut(stride).zip(positions) {
            let (cos, sin) = table.row(position as usize);
            turn(&mut row[..heads * head_dim], head_dim, cos, sin, sign);
        }
    });
}
