//! Linear layers that share an input, with their adapters: `y = x W^T + b + scale * drop(x) A^T B^T`.

use crate::model::decoder::Fused;
use crate::model::lora::AdaptedProduct;
use crate::model::ops::dropout::Mask;
use crate::model::ops::gemm::{Addend, Mat, MatMut, gemm};
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

/// Most linear layers that share an input: `q`, `k` and `v`.
const MOST: usize = 3;

/// `y`, `[rows, outputs]`, from `x`, `[rows, inputs]`. Returns `scale * drop(x) A^T`, `[rows, ranks]`, which the backward
/// needs; empty without an adapter.
///
/// # Panics
/// When more linear layers are adapted than share an input in any decoder: a mistake of the caller.
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
    let u = adapted.map(|adapted| below(adapted, rows, inputs, x, pool)).unwrap_or_default();
    match adapted {
        Some(Adapted { product, values, .. }) => {
            assert!(product.members.len() <= MOST, "more linear layers than share an input");
            let more: [Addend<'_>; MOST] = std::array::from_fn(|i| {
                let Some(member) = product.members.get(i) else { return Addend::default() };
                let cols = member.outputs.clone();
                let b = Mat::full(&values[product.b_range(i)], cols.len(), product.rank).t();
                Addend { cols, a: Mat::new(&u[i * product.rank..], rows, product.rank, product.ranks()), b }
            });
            fused.weight.forward(x_view, &more[..product.members.len()], rows, y, pool);
        }
        None => fused.weight.forward(x_view, &[], rows, y, pool),
    }
    if !fused.bias.is_empty() {
        for row in y.chunks_exact_mut(outputs) {
            for (y, b) in row.iter_mut().zip(&fused.bias) {
                *y += b;
            }
        }
    }
    u
}

/// `scale * drop(x) A^T`, `[rows, ranks]`.
fn below(adapted: Adapted<'_>, rows: usize, inputs: usize, x: &[f32], pool: &mut Pool) -> Vec<f32> {
    let ranks = adapted.product.ranks();
    let mut u = pool.take(rows * ranks);
    let a = Mat::full(&adapted.values[adapted.product.a_range()], ranks, inputs);
    if let Some(dropout) = adapted.dropout {
        let mut dropped = pool.take(rows * inputs);
        dropout.apply(x, &mut dropped);
        gemm(adapted.scale, Mat::full(&dropped, rows, inputs), a.t(), 0.0, MatMut::full(&mut u, rows, ranks));
        pool.give(dropped);
    } else {
        gemm(adapted.scale, Mat::full(x, rows, inputs), a.t(), 0.0, MatMut::full(&mut u, rows, ranks));
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
                gemm(1.0, dy.t(), u, 1.0, db);
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
        let added = behind.as_ref().map(|(adapted, du)| {
            let ranks = adapted.product.ranks();
            let a = Mat::full(&adapted.values[adapted.product.a_range()], ranks, inputs);
            (adapted.dropout, Addend { cols: 0..inputs, a: Mat::full(du, rows, ranks), b: a })
        });
        match added {
            None => fused.weight.backward(dy, &[], rows, dx, pool),
            Some((None, added)) => fused.weight.backward(dy, &[added], rows, dx, pool),
            // What was dropped in the forward has no gradient, so that the adapter's part stands apart until it is masked.
            Some((Some(dropout), added)) => {
                fused.weight.backward(dy, &[], rows, dx, pool);
                let mut hidden = pool.take(rows * inputs);
                gemm(1.0, added.a, added.b, 0.0, MatMut::full(&mut hidden, rows, inputs));
                dropout.add(&hidden, dx);
                pool.give(hidden);
            }
        }
    }
    if let Some((_, du)) = behind {
        pool.give(du);
    }
}
