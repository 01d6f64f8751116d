//! The MLP's non-linearity, gated (`act(gate) * up`) or plain (`act(up)`), forward and backward.
//!
//! Rows of the first projection are `gate|up`, `[rows, 2 * width]`, or `up` alone, `[rows, width]`; the result is
//! `[rows, width]`.

use rayon::prelude::*;

use super::simd::{gelu_erf, gelu_erf_slope, gelu_tanh, gelu_tanh_slope, silu, silu_slope};
use crate::model::description::Activation;
use crate::multiversion;

/// Rows a task takes at once.
const ROWS: usize = 8;

macro_rules! kernels {
    ($gated:ident, $gated_backward:ident, $plain:ident, $plain_backward:ident, $act:ident, $slope:ident) => {
        multiversion! {
            fn $gated<S>(x: &[f32], width: usize, y: &mut [f32]) {
                for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
                    let (gate, up) = x.split_at(width);
                    for i in 0..width {
                        y[i] = $act::<S>(gate[i]) * up[i];
                    }
                }
            }
        }
        multiversion! {
            fn $gated_backward<S>(x: &mut [f32], width: usize, dy: &[f32]) {
                for (x, dy) in x.chunks_exact_mut(2 * width).zip(dy.chunks_exact(width)) {
                    let (gate, up) = x.split_at_mut(width);
                    for i in 0..width {
                        let (value, slope) = ($act::<S>(gate[i]), $slope::<S>(gate[i]));
                        gate[i] = dy[i] * up[i] * slope;
                        up[i] = dy[i] * value;
                    }
                }
            }
        }
        multiversion! {
            fn $plain<S>(x: &[f32], y: &mut [f32]) {
                for (x, y) in x.iter().zip(y) {
                    *y = $act::<S>(*x);
                }
            }
        }
        multiversion! {
            fn $plain_backward<S>(x: &mut [f32], dy: &[f32]) {
                for (x, dy) in x.iter_mut().zip(dy) {
                    *x = dy * $slope::<S>(*x);
                }
            }
        }
    };
}

kernels!(silu_gated, silu_gated_backward, silu_plain, silu_plain_backward, silu, silu_slope);
kernels!(tanh_gated, tanh_gated_backward, tanh_plain, tanh_plain_backward, gelu_tanh, gelu_tanh_slope);
kernels!(erf_gated, erf_gated_backward, erf_plain, erf_plain_backward, gelu_erf, gelu_erf_slope);

/// `y = act(gate) * up`, or `act(x)` where not `gated`; `width` is the result's.
pub fn forward(activation: Activation, gated: bool, x: &[f32], width: usize, y: &mut [f32]) {
    let wide = if gated { 2 * width } else { width };
    y.par_chunks_mut(width * ROWS).zip(x.par_chunks(wide * ROWS)).for_each(|(y, x)| match (activation, gated) {
        (Activation::Silu, true) => silu_gated(x, width, y),
        (Activation::Silu, false) => silu_plain(x, y),
        (Activation::GeluTanh, true) => tanh_gated(x, width, y),
        (Activation::GeluTanh, false) => tanh_plain(x, y),
        (Activation::GeluErf, true) => erf_gated(x, width, y),
        (Activation::GeluErf, false) => erf_plain(x, y),
    });
}

/// Turns `x` in place into its gradient, given the result's gradient `dy`.
pub fn backward(activation: Activation, gated: bool, x: &mut [f32], width: usize, dy: &[f32]) {
    let wide = if gated { 2 * width } else { width };
    x.par_chunks_mut(wide * ROWS).zip(dy.par_chunks(width * ROWS)).for_each(|(x, dy)| match (activation, gated) {
        (Activation::Silu, true) => silu_gated_backward(x, width, dy),
        (Activation::Silu, false) => silu_plain_backward(x, dy),
        (Activation::GeluTanh, true) => tanh_gated_backward(x, width, dy),
        (Activation::GeluTanh, false) => tanh_plain_backward(x, dy),
        (Activation::GeluErf, true) => erf_gated_backward(x, width, dy),
        (Activation::GeluErf, false) => erf_plain_backward(x, dy),
    });
}
