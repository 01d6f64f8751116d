//! Linear layers that share an input, with their adapters: `y = x W^T + b + scale * drop(x) A^T B^T`.

use crate::model::decoder::Fused;
use crate::model::lora::AdaptedProduct;
use crate::model::ops::dropout::Mask;
use crate::model::ops::gemm::{Mat, MatMut, gemm};
use crate::model::ops::pool::Pool;

/// The adapted part of a product in one step.
#[derive(Clone, Copy)]
pub struct Adapted<'a> {
    pub product: &'a AdaptedProduct,
    /// The adapter's flat vector.
    pub values: &'a [f32],
    pub scale: f32,
    pub dropout: Option<Mask<'a>>,
}

/// Where a product's gradients are added.
#[derive(Default)]
pub struct Sinks<'a> {
    /// The adapter's flat gradient.
    pub adapter: Option<&'a mut [f32]>,
    /// The frozen weight's own, in full-parameter training.
    pub fused: Option<&'a mut Fused>,
}

/// `y`, `[rows, outputs]`, from `x`, `[rows, inputs]`. Returns `x A^T`, `[rows, ranks]`, which the backward needs;
/// empty without an adapter.
pub fn forward(
    fused: &Fused,
    adapted: Option<Adapted<'_>>,
    rows: usize,
    x: &[f32],
    y: &mut [f32],
    pool: &mut Pool,
) -> Vec<f32> {
    let (inputs, outputs) = (fused.inputs, fused.outputs);
    let x_view = Mat::full(x, rows, inputs);
    fused.weight.forward(x_view, rows, y, pool);
    if !fused.bias.is_empty() {
        for row in y.chunks_exact_mut(outputs) {
            for (y, b) in row.iter_mut().zip(&fused.bias) {
                *y += b;
            }
        }
    }
    let Some(adapted) = adapted else { return Vec::new() };
    let product = adapted.product;
    let ranks = product.ranks();
    let mut u = pool.take(rows * ranks);
    let a = Mat::full(&adapted.values[product.a_range()], ranks, inputs);
    if let Some(dropout) = adapted.dropout {
        let mut dropped = pool.take(rows * inputs);
        dropout.apply(x, &mut dropped);
        gemm(1.0, Mat::full(&dropped, rows, inputs), a.t(), 0.0, MatMut::full(&mut u, rows, ranks));
        pool.give(dropped);
    } else {
        gemm(1.0, x_view, a.t(), 0.0, MatMut::full(&mut u, rows, ranks));
    }
    for (i, member) in product.members.iter().enumerate() {
        let n = member.outputs.len();
        let b = Mat::full(&adapted.values[product.b_range(i)], n, product.rank);
        let u = Mat::new(&u[i * product.rank..], rows, product.rank, ranks);
        let y = MatMut::new(&mut y[member.outputs.start..], rows, n, outputs);
        gemm(adapted.scale, u, b.t(), 1.0, y);
    }
    u
}

/// Adds the gradients of `A` and `B` (and of `W` and `b` in full-parameter training), and writes that of `x` to `dx`
/// where asked. `u` is what [`forward`] returned.
#[allow(clippy::too_many_arguments)] // one product's whole backward; a struct of the eight would be made for one call
pub fn backward(
    fused: &Fused,
    adapted: Option<Adapted<'_>>,
    rows: usize,
    x: &[f32],
    u: &[f32],
    dy: &[f32],
    dx: Option<&mut [f32]>,
    mut sinks: Sinks<'_>,
    pool: &mut Pool,
) {
    let (inputs, outputs) = (fused.inputs, fused.outputs);
    let dy_view = Mat::full(dy, rows, outputs);
    if let Some(sink) = sinks.fused {
        gemm(
            1.0,
            dy_view.t(),
            Mat::full(x, rows, inputs),
            1.0,
            MatMut::full(sink.weight.values_mut(), outputs, inputs),
        );
        if !sink.bias.is_empty() {
            for row in dy.chunks_exact(outputs) {
                for (sum, d) in sink.bias.iter_mut().zip(row) {
                    *sum += d;
                }
            }
        }
    }
    let behind = adapted.map(|adapted| {
        let product = adapted.product;
        let ranks = product.ranks();
        let mut du = pool.take(rows * ranks);
        for (i, member) in product.members.iter().enumerate() {
            let n = member.outputs.len();
            let dy = Mat::new(&dy[member.outputs.start..], rows, n, outputs);
            let b = Mat::full(&adapted.values[product.b_range(i)], n, product.rank);
            gemm(adapted.scale, dy, b, 0.0, MatMut::new(&mut du[i * product.rank..], rows, product.rank, ranks));
            if let Some(gradient) = &mut sinks.adapter {
                let u = Mat::new(&u[i * product.rank..], rows, product.rank, ranks);
                let db = MatMut::full(&mut gradient[product.b_range(i)], n, product.rank);
                gemm(adapted.scale, dy.t(), u, 1.0, db);
            }
        }
        if let Some(gradient) = &mut sinks.adapter {
            let da = MatMut::full(&mut gradient[product.a_range()], ranks, inputs);
            let du = Mat::full(&du, rows, ranks);
            if let Some(dropout) = adapted.dropout {
                let mut dropped = pool.take(rows * inputs);
                dropout.apply(x, &mut dropped);
                gemm(1.0, du.t(), Mat::full(&dropped, rows, inputs), 1.0, da);
                pool.give(dropped);
            } else {
                gemm(1.0, du.t(), Mat::full(x, rows, inputs), 1.0, da);
            }
        }
        (adapted, du)
    });
    if let Some(dx) = dx {
        fused.weight.backward(dy, rows, dx, pool);
        if let Some((adapted, du)) = &behind {
            let ranks = adapted.product.ranks();
            let a = Mat::full(&adapted.values[adapted.product.a_range()], ranks, inputs);
            let du = Mat::full(du, rows, ranks);
            if let Some(dropout) = adapted.dropout {
                let mut hidden = pool.take(rows * inputs);
                gemm(1.0, du, a, 0.0, MatMut::full(&mut hidden, rows, inputs));
                dropout.add(&hidden, dx);
                pool.give(hidden);
            } else {
                gemm(1.0, du, a, 1.0, MatMut::full(dx, rows, inputs));
            }
        }
    }
    if let Some((_, du)) = behind {
        pool.give(du);
    }
}
