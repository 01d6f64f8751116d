//! Operations on rows: embedding, norms, rotary, gathering and scattering.

use super::{Call, Done, WARPS, pointer, row_grid, wide};
use crate::model::description::Norm;
use crate::model::device::{Address, Argument, Device, Kind, Span};
use crate::model::ops::norm::Heads;

/// Scale and, for a layer norm, shift of a norm, f32.
#[derive(Clone, Copy, Debug)]
pub struct NormSpans {
    pub scale: Span,
    pub bias: Option<Span>,
}

/// A rotary table: cosines and sines, f32, `[length, half]`.
#[derive(Clone, Copy, Debug)]
pub struct RotarySpans {
    pub cos: Span,
    pub sin: Span,
    /// Pairs of dimensions of a head that turn.
    pub half: usize,
}

/// `x[i] = scale * table[tokens[i]]`, `table` being `[vocab, hidden]` and `x` `[tokens, hidden]`.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn embed(device: &dyn Device, kind: Kind, table: Span, hidden: usize, tokens: Span, scale: f32, x: Span) -> Done {
    let call = Call::new(device, kind, "embed")?;
    let vocab = call.rows("the table", table, kind, hidden)?;
    call.exact("tokens", tokens, Kind::U32, tokens.len)?;
    call.exact("x", x, kind, tokens.len * hidden)?;
    let arguments = [
        pointer(table),
        Argument::U32(call.number("tokens of a vocabulary", vocab)?),
        Argument::U32(call.number("columns", hidden)?),
        pointer(tokens),
        Argument::F32(scale),
        pointer(x),
        wide(&[table, x], &[hidden]),
    ];
    call.launch("embed", row_grid(tokens.len, hidden), &arguments)
}

/// Epsilon, and 1 for a layer norm.
fn parts(norm: Norm) -> (Argument, Argument) {
    match norm {
        Norm::Rms { eps } => (Argument::F32(eps), Argument::U32(0)),
        Norm::Layer { eps } => (Argument::F32(eps), Argument::U32(1)),
    }
}

/// `y = norm(x)`, rows as wide as the scale.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn norm(device: &dyn Device, kind: Kind, norm: Norm, weights: NormSpans, x: Span, y: Span) -> Done {
    let call = Call::new(device, kind, "norm")?;
    let width = weights.scale.len;
    let rows = call.rows("x", x, kind, width)?;
    call.exact("y", y, kind, x.len)?;
    call.exact("the scale", weights.scale, Kind::F32, width)?;
    let mut spans = vec![x, y, weights.scale];
    let bias = match weights.bias {
        Some(bias) => {
            call.exact("the bias", bias, Kind::F32, width)?;
            spans.push(bias);
            bias.at
        }
        None => Address(0),
    };
    let (eps, layer) = parts(norm);
    let arguments = [
        pointer(x),
        pointer(weights.scale),
        Argument::Pointer(bias),
        eps,
        layer,
        pointer(y),
        Argument::U32(call.number("rows", rows)?),
        Argument::U32(call.number("columns", width)?),
        wide(&spans, &[width]),
    ];
    call.launch("norm_forward", [rows.div_ceil(WARPS), 1, 1], &arguments)
}

/// `dx += d norm(x) / dx * dy`.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn norm_backward(
    device: &dyn Device,
    kind: Kind,
    norm: Norm,
    weights: NormSpans,
    x: Span,
    dy: Span,
    dx: Span,
) -> Done {
    let call = Call::new(device, kind, "norm_backward")?;
    let width = weights.scale.len;
    let rows = call.rows("x", x, kind, width)?;
    call.exact("dy", dy, kind, x.len)?;
    call.exact("dx", dx, kind, x.len)?;
    call.exact("the scale", weights.scale, Kind::F32, width)?;
    let (eps, layer) = parts(norm);
    let arguments = [
        pointer(x),
        pointer(weights.scale),
        eps,
        layer,
        pointer(dy),
        pointer(dx),
        Argument::U32(call.number("rows", rows)?),
        Argument::U32(call.number("columns", width)?),
        wide(&[x, dy, dx, weights.scale], &[width]),
    ];
    call.launch("norm_backward", [rows.div_ceil(WARPS), 1, 1], &arguments)
}

/// Rows of `x`, and the arguments that say where heads lie in them.
fn heads_of(call: &Call<'_>, heads: Heads, scale: Span, x: Span) -> Result<(usize, [Argument; 4]), super::DeviceError> {
    call.exact("the scale", scale, Kind::F32, heads.dim)?;
    let rows = call.rows("x", x, call.kind, heads.stride)?;
    if heads.first + heads.count * heads.dim > heads.stride {
        return Err(call.fault("the heads reach beyond a row"));
    }
    call.number("heads in all", rows * heads.count)?;
    let places = [
        Argument::U32(call.number("columns", heads.stride)?),
        Argument::U32(call.number("columns", heads.first)?),
        Argument::U32(call.number("heads", heads.count)?),
        Argument::U32(call.number("columns", heads.dim)?),
    ];
    Ok((rows, places))
}

/// RMS norm of each head in place; `scale` is `[head_dim]`, rows of `x` are `heads.stride` wide.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn head_norm(device: &dyn Device, kind: Kind, heads: Heads, scale: Span, eps: f32, x: Span) -> Done {
    let call = Call::new(device, kind, "head_norm")?;
    let (rows, [stride, first, count, dim]) = heads_of(&call, heads, scale, x)?;
    let wide = wide(&[x, scale], &[heads.stride, heads.first, heads.dim]);
    let rows_argument = Argument::U32(call.number("rows", rows)?);
    let arguments = [pointer(x), stride, first, count, dim, pointer(scale), Argument::F32(eps), rows_argument, wide];
    call.launch("head_norm", [(rows * heads.count).div_ceil(WARPS), 1, 1], &arguments)
}

/// Turns the gradient of normed heads, in place, into that of the heads `x` before the norm.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn head_norm_backward(
    device: &dyn Device,
    kind: Kind,
    heads: Heads,
    scale: Span,
    eps: f32,
    x: Span,
    gradient: Span,
) -> Done {
    let call = Call::new(device, kind, "head_norm_backward")?;
    let (rows, [stride, first, count, dim]) = heads_of(&call, heads, scale, x)?;
    call.exact("the gradient", gradient, kind, x.len)?;
    let wide = wide(&[x, gradient, scale], &[heads.stride, heads.first, heads.dim]);
    let rows_argument = Argument::U32(call.number("rows", rows)?);
    let arguments = [
        pointer(x),
        pointer(gradient),
        stride,
        first,
        count,
        dim,
        pointer(scale),
        Argument::F32(eps),
        rows_argument,
        wide,
    ];
    call.launch("head_norm_backward", [(rows * heads.count).div_ceil(WARPS), 1, 1], &arguments)
}

/// Turns the first `heads` heads of each row of `x`, rows `stride` apart, by that row's position; `backward` turns gradients,
/// which is the same rotation the other way.
///
/// # Errors
/// When a span does not fit, or the device refuses.
#[allow(clippy::too_many_arguments)] // the processor's form with the device in front
pub fn rotary(
    device: &dyn Device,
    kind: Kind,
    table: RotarySpans,
    positions: Span,
    x: Span,
    stride: usize,
    heads: usize,
    head_dim: usize,
    backward: bool,
) -> Done {
    let call = Call::new(device, kind, "rotary")?;
    if table.half == 0 || heads == 0 {
        return Ok(());
    }
    let length = call.rows("the cosines", table.cos, Kind::F32, table.half)?;
    call.exact("the sines", table.sin, Kind::F32, table.cos.len)?;
    call.exact("positions", positions, Kind::U32, positions.len)?;
    call.exact("x", x, kind, positions.len * stride)?;
    if heads * head_dim > stride || 2 * table.half > head_dim {
        return Err(call.fault("the heads reach beyond a row, or the table beyond a head"));
    }
    let arguments = [
        pointer(table.cos),
        pointer(table.sin),
        Argument::U32(call.number("positions", length)?),
        Argument::U32(call.number("columns", table.half)?),
        pointer(positions),
        pointer(x),
        Argument::U32(call.number("columns", stride)?),
        Argument::U32(call.number("heads", heads)?),
        Argument::U32(call.number("columns", head_dim)?),
        Argument::F32(if backward { -1.0 } else { 1.0 }),
    ];
    let pairs = heads * table.half;
    call.launch("rotary", [positions.len, pairs.div_ceil(super::THREADS as usize), 1], &arguments)
}

/// `y[i] = x[rows[i]]`, rows of `width`.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn gather(device: &dyn Device, kind: Kind, x: Span, width: usize, rows: Span, y: Span) -> Done {
    let call = Call::new(device, kind, "gather")?;
    move_rows(&call, "gather", (x, y), width, rows, (y, x))
}

/// `y[rows[i]] = x[i]`, and zero in every other row of `y`; no row is named twice.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn scatter(device: &dyn Device, kind: Kind, x: Span, width: usize, rows: Span, y: Span) -> Done {
    let call = Call::new(device, kind, "scatter")?;
    call.rows("y", y, kind, width)?;
    if y.len > 0 {
        device.zero(y.at, y.bytes())?;
    }
    move_rows(&call, "scatter", (x, y), width, rows, (x, y))
}

/// `y[rows[i]] = x[i]`, the other rows of `y` staying as they are; no row is named twice.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn put(device: &dyn Device, kind: Kind, x: Span, width: usize, rows: Span, y: Span) -> Done {
    let call = Call::new(device, kind, "put")?;
    move_rows(&call, "scatter", (x, y), width, rows, (x, y))
}

/// Launches a kernel that copies rows of `x` to `y`: `few` has as many rows as are named, which are rows of `all`.
fn move_rows(
    call: &Call<'_>,
    kernel: &str,
    (x, y): (Span, Span),
    width: usize,
    rows: Span,
    (few, all): (Span, Span),
) -> Done {
    call.exact("row numbers", rows, Kind::U32, rows.len)?;
    call.exact("the rows named", few, call.kind, rows.len * width)?;
    let limit = call.rows("all rows", all, call.kind, width)?;
    let arguments = [
        pointer(x),
        Argument::U32(call.number("columns", width)?),
        pointer(rows),
        Argument::U32(call.number("rows", limit)?),
        pointer(y),
        wide(&[x, y], &[width]),
    ];
    call.launch(kernel, row_grid(rows.len, width), &arguments)
}
