//! Linear layers that share an input, with their adapters, on a device, forward and backward.

use super::{Batch, Device, DeviceError, Gemm, Operand, Span, ops};
use crate::model::lora::{AdaptedMember, AdaptedProduct};
use crate::model::ops::dropout::Dropout;

use super::pool::{Buffer, Pool};
use super::weights::Linear;

/// The adapted part of a product in one step.
#[derive(Clone, Copy)]
pub struct Adapted<'a> {
    pub product: &'a AdaptedProduct,
    /// The adapter's flat vector in the kind of the activations.
    pub values: Span,
    pub scale: f32,
    /// With the keys (u32) of the rows.
    pub dropout: Option<(Dropout, Span)>,
}

/// A matrix in rows of `stride` numbers, as it lies.
fn plain(span: Span, stride: usize) -> Operand {
    Operand { span, stride, turned: false }
}

/// The transpose of a matrix in rows of `stride` numbers.
fn turned(span: Span, stride: usize) -> Operand {
    Operand { span, stride, turned: true }
}

/// The columns of a matrix in rows of `stride` numbers from column `first` on.
fn columns(span: Span, first: usize) -> Span {
    span.part(first, span.len - first)
}

/// `c = a b`, alone, `c` in rows of `n` numbers: what the products here have in common.
fn product([m, n, k]: [usize; 3], a: Operand, b: Operand, c: Span) -> Gemm {
    Gemm { m, n, k, alpha: 1.0, beta: 0.0, a, b, c, c_stride: n, batch: Batch::ALONE }
}

/// Members of one width that lie behind one another, in what their product gives as in the adapter, such as keys and values: what is
/// computed with their `B` is one batch.
struct Alike {
    count: usize,
    /// Outputs of each.
    width: usize,
    /// The first one's column in `x A^T`.
    column: usize,
    /// The first one's column in the product's outputs.
    output: usize,
    /// Where the first one's `B` begins in the flat vector.
    b: usize,
}

fn alike(product: &AdaptedProduct) -> impl Iterator<Item = Alike> {
    let rank = product.rank;
    let follows = move |a: &AdaptedMember, b: &AdaptedMember| {
        let width = a.outputs.len();
        b.outputs.len() == width && b.outputs.start == a.outputs.end && b.b == a.b + width * rank
    };
    product.members.chunk_by(follows).scan(0, move |column, members| {
        let first = members.first()?;
        let (width, output, b) = (first.outputs.len(), first.outputs.start, first.b);
        let alike = Alike { count: members.len(), width, column: *column, output, b };
        *column += members.len() * rank;
        Some(alike)
    })
}

/// `y = x w^T`: `[rows, outputs]` from `[rows, inputs]`.
///
/// # Errors
/// When the device fails.
pub fn through(
    device: &dyn Device,
    w: Span,
    [rows, inputs, outputs]: [usize; 3],
    x: Span,
    y: Span,
) -> Result<(), DeviceError> {
    device.gemm(&product([rows, outputs, inputs], plain(x, inputs), turned(w, inputs), y))
}

/// `dx = dy w`: `[rows, inputs]` from `[rows, outputs]`.
///
/// # Errors
/// When the device fails.
pub fn back(
    device: &dyn Device,
    w: Span,
    [rows, inputs, outputs]: [usize; 3],
    dy: Span,
    dx: Span,
) -> Result<(), DeviceError> {
    device.gemm(&product([rows, inputs, outputs], plain(dy, outputs), plain(w, inputs), dx))
}

/// `y`, `[rows, outputs]`, from `x`, `[rows, inputs]`, by the frozen weights alone.
///
/// # Errors
/// When the device fails.
pub fn frozen(device: &dyn Device, linear: &Linear, rows: usize, x: Span, y: Span) -> Result<(), DeviceError> {
    through(device, linear.weight.span, [rows, linear.inputs, linear.outputs], x, y)?;
    linear.bias.as_ref().map_or(Ok(()), |bias| ops::add_bias(device, x.kind, bias.span, y))
}

/// The same with an adapter, where there is one. Returns `x A^T`, `[rows, ranks]`, which the backward needs; `None` without an
/// adapter.
///
/// # Errors
/// When the device has no room, or fails.
pub fn forward(
    pool: &Pool,
    linear: &Linear,
    adapted: Option<Adapted<'_>>,
    rows: usize,
    x: Span,
    y: Span,
) -> Result<Option<Buffer>, DeviceError> {
    frozen(pool.device(), linear, rows, x, y)?;
    adapted.map(|adapted| adapt(pool, linear, adapted, rows, x, y)).transpose()
}

/// Adds to `y`, `[rows, outputs]`, what an adapter makes of `x`, `[rows, inputs]`. Returns `x A^T`, `[rows, ranks]`.
///
/// # Errors
/// When the device has no room, or fails.
pub fn adapt(
    pool: &Pool,
    linear: &Linear,
    adapted: Adapted<'_>,
    rows: usize,
    x: Span,
    y: Span,
) -> Result<Buffer, DeviceError> {
    let (device, kind) = (pool.device(), x.kind);
    let (inputs, outputs) = (linear.inputs, linear.outputs);
    let Adapted { product: of, values, scale, dropout } = adapted;
    let (rank, ranks) = (of.rank, of.ranks());
    let u = pool.take(rows * ranks, kind)?;
    let a = values.part(of.a, ranks * inputs);
    if let Some((dropout, keys)) = dropout {
        let dropped = pool.take(rows * inputs, kind)?;
        ops::drop(device, kind, dropout, keys, x, dropped.span)?;
        through(device, a, [rows, inputs, ranks], dropped.span, u.span)?;
    } else {
        through(device, a, [rows, inputs, ranks], x, u.span)?;
    }
    for Alike { count, width: n, column, output, b } in alike(of) {
        let batch = Batch { count, a: rank, b: n * rank, c: n };
        let (a, b) = (plain(columns(u.span, column), ranks), turned(values.part(b, count * n * rank), rank));
        let added = product([rows, n, rank], a, b, columns(y, output));
        device.gemm(&Gemm { alpha: scale, beta: 1.0, c_stride: outputs, batch, ..added })?;
    }
    Ok(u)
}

/// Adds the gradients of `A` and `B` to `gradient` (f32, flat as the adapter), and writes that of `x` to `dx` where asked. `u`
/// is what [`forward`] returned.
///
/// # Errors
/// When the device has no room, or fails.
#[allow(clippy::too_many_arguments)] // one product's whole backward; a struct of the eight would be made for one call
pub fn backward(
    pool: &Pool,
    linear: &Linear,
    adapted: Option<Adapted<'_>>,
    rows: usize,
    x: Span,
    u: Option<&Buffer>,
    dy: Span,
    dx: Option<Span>,
    gradient: Span,
) -> Result<(), DeviceError> {
    let (device, kind) = (pool.device(), x.kind);
    let (inputs, outputs) = (linear.inputs, linear.outputs);
    if let Some(dx) = dx {
        back(device, linear.weight.span, [rows, inputs, outputs], dy, dx)?;
    }
    let (Some(Adapted { product: of, values, scale, dropout }), Some(u)) = (adapted, u) else { return Ok(()) };
    let (rank, ranks) = (of.rank, of.ranks());
    let (a, da) = (values.part(of.a, ranks * inputs), gradient.part(of.a, ranks * inputs));
    let du = pool.take(rows * ranks, kind)?;
    for Alike { count, width: n, column, output, b: at } in alike(of) {
        let dy = columns(dy, output);
        let own = values.part(at, count * n * rank);
        let of_u = product([rows, rank, n], plain(dy, outputs), plain(own, rank), columns(du.span, column));
        let batch = Batch { count, a: n, b: n * rank, c: rank };
        device.gemm(&Gemm { alpha: scale, c_stride: ranks, batch, ..of_u })?;
        let (u, of_b) = (columns(u.span, column), gradient.part(at, count * n * rank));
        let of_b = product([n, rank, rows], turned(dy, outputs), plain(u, ranks), of_b);
        let batch = Batch { count, a: n, b: rank, c: n * rank };
        device.gemm(&Gemm { alpha: scale, beta: 1.0, batch, ..of_b })?;
    }
    let dropped = match dropout {
        Some((dropout, keys)) => {
            let dropped = pool.take(rows * inputs, kind)?;
            ops::drop(device, kind, dropout, keys, x, dropped.span)?;
            Some(dropped)
        }
        None => None,
    };
    let read = dropped.as_ref().map_or(x, |dropped| dropped.span);
    let of_a = product([ranks, inputs, rows], turned(du.span, ranks), plain(read, inputs), da);
    device.gemm(&Gemm { beta: 1.0, ..of_a })?;
    let Some(dx) = dx else { return Ok(()) };
    let of_x = |c| product([rows, inputs, ranks], plain(du.span, ranks), plain(a, inputs), c);
    match (dropout, dropped) {
        (Some((dropout, keys)), Some(hidden)) => {
            device.gemm(&of_x(hidden.span))?;
            ops::drop_add(device, kind, dropout, keys, hidden.span, dx)
        }
        _ => device.gemm(&Gemm { beta: 1.0, ..of_x(dx) }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::decoder::Product;
    use crate::model::description::Linear as Role;
    use crate::model::device::fixtures::{adapter, decoder};

    #[test]
    fn neighbours_of_one_width_are_one_batch() {
        // Queries of 576, keys and values of 192, as far as each is adapted: (adapted, first column and count of each batch).
        let widths = [(Role::Query, 0..576), (Role::Key, 576..768), (Role::Value, 768..960)];
        for (adapted, spare, want) in [
            (vec![0, 1, 2], 0, vec![(0, 0, 1, 576, 1000), (4, 576, 2, 192, 3304)]),
            (vec![1, 2], 0, vec![(0, 576, 2, 192, 1000)]),
            (vec![0, 2], 0, vec![(0, 0, 1, 576, 1000), (4, 768, 1, 192, 3304)]),
            // Where something lies between their `B`, each is alone.
            (vec![1, 2], 8, vec![(0, 576, 1, 192, 1000), (4, 768, 1, 192, 1776)]),
        ] {
            let mut b = 1000;
            let members = adapted.iter().map(|&i: &usize| {
                let (linear, outputs) = widths[i].clone();
                let at = b;
                b += outputs.len() * 4 + spare;
                AdaptedMember { linear, outputs, b: at }
            });
            let product = AdaptedProduct { inputs: 576, rank: 4, a: 0, members: members.collect() };
            let found =
                alike(&product).map(|Alike { column, output, count, width, b }| (column, output, count, width, b));
            assert_eq!(found.collect::<Vec<_>>(), want, "{adapted:?}");
        }
    }

    #[test]
    fn keys_and_values_and_gate_and_up_of_an_adapter_are_one_batch_each() {
        let counts = |heads: usize, product: Product| {
            let decoder = decoder(json!({"num_key_value_heads": heads}));
            let adapter = adapter(&decoder, 7);
            alike(adapter.product(1, product).unwrap()).map(|alike| alike.count).collect::<Vec<_>>()
        };
        assert_eq!(counts(2, Product::Qkv), [1, 2]);
        assert_eq!(counts(4, Product::Qkv), [3], "as many heads of keys as of queries");
        assert_eq!(counts(2, Product::MlpIn), [2]);
        assert_eq!(counts(2, Product::Down), [1]);
    }
}
