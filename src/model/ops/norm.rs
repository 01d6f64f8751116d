//! RMS norm and layer norm over rows, forward and backward.
//!
//! All take rows of `width` floats, `x` and `y` being `[rows, width]`. The backward recomputes the row's statistics
//! from `x`: reading a row again is cheaper than keeping them.

use rayon::prelude::*;

use super::scratch;
use super::simd::{dot, sum};
use crate::model::description::Norm;
use crate::multiversion;

/// Rows a task takes at once.
const ROWS: usize = 32;

/// Scale and, for a layer norm, shift of one norm; `bias` is empty for an RMS norm.
#[derive(Clone, Debug, Default)]
pub struct NormWeights {
    pub scale: Vec<f32>,
    pub bias: Vec<f32>,
}

multiversion! {
    fn rms_rows<S>(x: &[f32], scale: &[f32], eps: f32, y: &mut [f32]) {
        let width = scale.len();
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let r = 1.0 / (dot::<S>(x, x) / width as f32 + eps).sqrt();
            for i in 0..width {
                y[i] = x[i] * r * scale[i];
            }
        }
    }
}

multiversion! {
    fn rms_rows_inplace<S>(y: &mut [f32], scale: &[f32], eps: f32) {
        let width = scale.len();
        for y in y.chunks_exact_mut(width) {
            let r = 1.0 / (dot::<S>(y, y) / width as f32 + eps).sqrt();
            for i in 0..width {
                y[i] = y[i] * r * scale[i];
            }
        }
    }
}

multiversion! {
    fn rms_rows_backward<S>(x: &[f32], scale: &[f32], eps: f32, dy: &[f32], dx: &mut [f32]) {
        let width = scale.len();
        for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let r = 1.0 / (dot::<S>(x, x) / width as f32 + eps).sqrt();
            let mut lanes = [0f32; 16];
            let whole = width / 16 * 16;
            for at in (0..whole).step_by(16) {
                let (x, dy, w) = (&x[at..at + 16], &dy[at..at + 16], &scale[at..at + 16]);
                for l in 0..16 {
                    lanes[l] += dy[l] * w[l] * x[l];
                }
            }
            let mut sum: f32 = lanes.iter().sum();
            for i in whole..width {
                sum += dy[i] * scale[i] * x[i];
            }
            let pull = sum * r * r * r / width as f32;
            for i in 0..width {
                dx[i] += dy[i] * scale[i] * r - x[i] * pull;
            }
        }
    }
}

multiversion! {
    fn layer_rows<S>(x: &[f32], scale: &[f32], bias: &[f32], eps: f32, y: &mut [f32]) {
        let width = scale.len();
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let (mean, r) = layer_statistics(x, eps);
            for i in 0..width {
                y[i] = (x[i] - mean) * r * scale[i] + bias[i];
            }
        }
    }
}

multiversion! {
    fn layer_rows_backward<S>(x: &[f32], scale: &[f32], eps: f32, dy: &[f32], dx: &mut [f32]) {
        let width = scale.len();
        for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
            let (mean, r) = layer_statistics(x, eps);
            let (mut plain, mut along) = (0f32, 0f32);
            for i in 0..width {
                let g = dy[i] * scale[i];
                plain += g;
                along += g * (x[i] - mean) * r;
            }
            let (plain, along) = (plain / width as f32, along / width as f32);
            for i in 0..width {
                dx[i] += r * (dy[i] * scale[i] - plain - (x[i] - mean) * r * along);
            }
        }
    }
}

multiversion! {
    /// `sum(a[i] * b[i])`.
    pub fn inner<S>(a: &[f32], b: &[f32]) -> f32 {
        dot::<S>(a, b)
    }
}

multiversion! {
    /// `sum(a[i])`.
    pub fn total<S>(a: &[f32]) -> f32 {
        sum::<S>(a)
    }
}

/// Mean and reciprocal standard deviation of a row.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled for the wider vectors of the kernels that call it
fn layer_statistics(x: &[f32], eps: f32) -> (f32, f32) {
    let width = x.len() as f32;
    let mean = x.iter().sum::<f32>() / width;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// `y = norm(x)`.
pub fn forward(norm: Norm, weights: &NormWeights, x: &[f32], y: &mut [f32]) {
    let step = weights.scale.len() * ROWS;
    y.par_chunks_mut(step).zip(x.par_chunks(step)).for_each(|(y, x)| match norm {
        Norm::Rms { eps } => rms_rows(x, &weights.scale, eps, y),
        Norm::Layer { eps } => layer_rows(x, &weights.scale, &weights.bias, eps, y),
    });
}

/// `dx += d norm(x) / dx * dy`.
pub fn backward(norm: Norm, weights: &NormWeights, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let step = weights.scale.len() * ROWS;
    dx.par_chunks_mut(step).zip(x.par_chunks(step)).zip(dy.par_chunks(step)).for_each(|((dx, x), dy)| match norm {
        Norm::Rms { eps } => rms_rows_backward(x, &weights.scale, eps, dy, dx),
        Norm::Layer { eps } => layer_rows_backward(x, &weights.scale, eps, dy, dx),
    });
}

/// `gradient += d loss / d weights`, summed over the rows in their order.
pub fn backward_weights(norm: Norm, x: &[f32], dy: &[f32], gradient: &mut NormWeights) {
    let width = gradient.scale.len();
    for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
        match norm {
            Norm::Rms { eps } => {
                let r = 1.0 / (inner(x, x) / width as f32 + eps).sqrt();
                for i in 0..width {
                    gradient.scale[i] += dy[i] * x[i] * r;
                }
            }
            Norm::Layer { eps } => {
                let (mean, r) = layer_statistics(x, eps);
                for i in 0..width {
                    gradient.scale[i] += dy[i] * (x[i] - mean) * r;
                    gradient.bias[i] += dy[i];
                }
            }
        }
    }
}

/// Where the heads of q or k lie in rows of a fused q|k|v matrix.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Floats from one row to the next.
    pub stride: usize,
    /// First float of the first head in a row.
    pub first: usize,
    pub count: usize,
    pub dim: usize,
}

impl Heads {
    fn of<'a>(&self, row: &'a [f32]) -> &'a [f32] {
        &row[self.first..self.first + self.count * self.dim]
    }

    fn of_mut<'a>(&self, row: &'a mut [f32]) -> &'a mut [f32] {
        &mut row[self.first..self.first + self.count * self.dim]
    }
}

/// RMS norm of each head in place (`QK-norm`); `scale` is `[head_dim]`.
pub fn heads_forward(heads: Heads, scale: &[f32], eps: f32, x: &mut [f32]) {
    x.par_chunks_mut(heads.stride * ROWS).for_each(|rows| {
        for row in rows.chunks_exact_mut(heads.stride) {
            rms_rows_inplace(heads.of_mut(row), scale, eps);
        }
    });
}

/// Turns the gradient of normalised heads, in place, into that of the heads `x` before the norm, and adds the gradient
/// of `scale` where asked.
pub fn heads_backward(
    heads: Heads,
    scale: &[f32],
    eps: f32,
    x: &[f32],
    gradient: &mut [f32],
    scale_gradient: Option<&mut [f32]>,
) {
    if let Some(sums) = scale_gradient {
        for (row, g) in x.chunks_exact(heads.stride).zip(gradient.chunks_exact(heads.stride)) {
            for (x, g) in heads.of(row).chunks_exact(heads.dim).zip(heads.of(g).chunks_exact(heads.dim)) {
                let r = 1.0 / (inner(x, x) / heads.dim as f32 + eps).sqrt();
                for i in 0..heads.dim {
                    sums[i] += g[i] * x[i] * r;
                }
            }
        }
    }
    let step = heads.stride * ROWS;
    gradient.par_chunks_mut(step).zip(x.par_chunks(step)).for_each(|(gradient, x)| {
        scratch::with(heads.count * heads.dim, |dx| {
            for (g, x) in gradient.chunks_exact_mut(heads.stride).zip(x.chunks_exact(heads.stride)) {
                dx.fill(0.0);
                rms_rows_backward(heads.of(x), scale, eps, heads.of(g), dx);
                heads.of_mut(g).copy_from_slice(dx);
            }
        });
    });
}
