//! Operations on single numbers: activations, dropout, sums, conversion.

use super::{Call, Done, flat_grid, pointer, row_grid, wide};
use crate::model::description::Activation;
use crate::model::device::{Argument, Device, Kind, Span};
use crate::model::ops::dropout::Dropout;

/// The activation's number in the kernels.
fn code(activation: Activation) -> Argument {
    Argument::U32(match activation {
        Activation::Silu => 0,
        Activation::GeluTanh => 1,
        Activation::GeluErf => 2,
    })
}

/// `y = act(gate) * up` where rows of `x` are `gate|up`, or `act(x)` where not `gated`; `width` is the result's.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn activate(
    device: &dyn Device,
    kind: Kind,
    activation: Activation,
    gated: bool,
    x: Span,
    width: usize,
    y: Span,
) -> Done {
    let call = Call::new(device, kind, "activate")?;
    act(&call, "activate", activation, gated, x, width, y)
}

/// Turns `x` in place into its gradient, given the result's gradient `dy`.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn activate_backward(
    device: &dyn Device,
    kind: Kind,
    activation: Activation,
    gated: bool,
    x: Span,
    width: usize,
    dy: Span,
) -> Done {
    let call = Call::new(device, kind, "activate_backward")?;
    act(&call, "activate_backward", activation, gated, x, width, dy)
}

fn act(call: &Call<'_>, kernel: &str, activation: Activation, gated: bool, x: Span, width: usize, y: Span) -> Done {
    let rows = call.rows("the result", y, call.kind, width)?;
    call.exact("x", x, call.kind, y.len * if gated { 2 } else { 1 })?;
    let arguments = [
        pointer(x),
        pointer(y),
        Argument::U32(call.number("columns", width)?),
        Argument::U32(u32::from(gated)),
        code(activation),
        wide(&[x, y], &[width]),
    ];
    call.launch(kernel, row_grid(rows, width), &arguments)
}

/// `y = mask(x) / (1 - p)`, `[rows, width]`, of rows with these keys (u32).
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn drop(device: &dyn Device, kind: Kind, dropout: Dropout, rows: Span, x: Span, y: Span) -> Done {
    masked(&Call::new(device, kind, "drop")?, "drop_out", dropout, rows, x, y)
}

/// `y += mask(x) / (1 - p)`.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn drop_add(device: &dyn Device, kind: Kind, dropout: Dropout, rows: Span, x: Span, y: Span) -> Done {
    masked(&Call::new(device, kind, "drop_add")?, "drop_add", dropout, rows, x, y)
}

fn masked(call: &Call<'_>, kernel: &str, dropout: Dropout, rows: Span, x: Span, y: Span) -> Done {
    let width = x.len / rows.len.max(1);
    call.exact("x", x, call.kind, rows.len * width)?;
    call.exact("y", y, call.kind, x.len)?;
    call.exact("the rows' keys", rows, Kind::U32, rows.len)?;
    let (key, threshold, scale) = dropout.parts();
    let arguments = [
        pointer(x),
        pointer(y),
        Argument::U64(x.len as u64),
        Argument::U32(key[0]),
        Argument::U32(key[1]),
        Argument::U32(threshold),
        Argument::F32(scale),
        pointer(rows),
        Argument::U32(width as u32),
        wide(&[x, y], &[]),
    ];
    call.launch(kernel, flat_grid(x.len), &arguments)
}

/// Adds `bias`, f32, to each row of `y`, which are as wide.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn add_bias(device: &dyn Device, kind: Kind, bias: Span, y: Span) -> Done {
    let call = Call::new(device, kind, "add_bias")?;
    call.exact("the bias", bias, Kind::F32, bias.len)?;
    let rows = call.rows("y", y, kind, bias.len)?;
    let width = Argument::U32(call.number("columns", bias.len)?);
    let arguments = [pointer(bias), pointer(y), width, wide(&[bias, y], &[bias.len])];
    call.launch("add_bias", row_grid(rows, bias.len), &arguments)
}

/// `sum += other`.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn add(device: &dyn Device, kind: Kind, sum: Span, other: Span) -> Done {
    let call = Call::new(device, kind, "add")?;
    call.exact("the sum", sum, kind, sum.len)?;
    call.exact("the other", other, kind, sum.len)?;
    let arguments = [pointer(sum), pointer(other), Argument::U64(sum.len as u64), wide(&[sum, other], &[])];
    call.launch("add", flat_grid(sum.len), &arguments)
}

/// f32 numbers as bf16 (rounded to the nearest, ties to even; NaN stays NaN) or, copied, as f32.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn convert(device: &dyn Device, from: Span, to: Span) -> Done {
    let call = Call::new(device, to.kind, "convert")?;
    call.exact("the source", from, Kind::F32, to.len)?;
    let arguments = [pointer(from), pointer(to), Argument::U64(to.len as u64), wide(&[from, to], &[])];
    call.launch("convert", flat_grid(to.len), &arguments)
}
