//! The loss, and what becomes of gradients: norm and update.

use super::{Call, Done, flat_grid, pointer, wide};
use crate::model::device::{Address, Argument, Device, Kind, Span};
use crate::model::ops::adamw::Terms;

/// Numbers of scratch [`squared_norm`] takes.
pub const PARTIALS: usize = 256;

/// Each row's negative log-likelihood in nats, unweighted, to `losses` (f32 `[n]`), and where asked the gradient of the weighted
/// sum, `weight * (softmax - onehot)`, of `kind` `[n, vocab]`. `logits` are f32 `[n, vocab]`, `targets` u32 and `weights` f32
/// `[n]`. The gradient may be f32 in the logits' own place.
///
/// # Errors
/// When a span does not fit, or the device refuses.
#[allow(clippy::too_many_arguments)] // the processor's form with the device in front
pub fn cross_entropy(
    device: &dyn Device,
    kind: Kind,
    logits: Span,
    targets: Span,
    weights: Span,
    losses: Span,
    gradient: Option<Span>,
) -> Done {
    let call = Call::new(device, kind, "cross_entropy")?;
    let rows = targets.len;
    if rows == 0 {
        return Ok(());
    }
    let vocab = logits.len / rows;
    call.exact("the targets", targets, Kind::U32, rows)?;
    call.exact("the logits", logits, Kind::F32, rows * vocab)?;
    call.exact("the weights", weights, Kind::F32, rows)?;
    call.exact("the losses", losses, Kind::F32, rows)?;
    let mut spans = vec![logits];
    let target = match gradient {
        Some(gradient) => {
            call.exact("the gradient", gradient, kind, logits.len)?;
            spans.push(gradient);
            gradient.at
        }
        None => Address(0),
    };
    let arguments = [
        pointer(logits),
        Argument::U32(call.number("tokens of a vocabulary", vocab)?),
        pointer(targets),
        pointer(weights),
        pointer(losses),
        Argument::Pointer(target),
        wide(&spans, &[vocab]),
    ];
    call.launch("cross_entropy", [rows, 1, 1], &arguments)
}

/// Adds `sum(weights[i] * losses[i])` to `sum` (f64 `[1]`), both f32.
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn weigh_losses(device: &dyn Device, losses: Span, weights: Span, sum: Span) -> Done {
    let call = Call::plain(device, "weigh_losses");
    call.exact("the losses", losses, Kind::F32, weights.len)?;
    call.exact("the weights", weights, Kind::F32, weights.len)?;
    call.exact("the sum", sum, Kind::F64, 1)?;
    let arguments = [pointer(losses), pointer(weights), Argument::U64(losses.len as u64), pointer(sum)];
    call.launch("weigh_losses", [1, 1, 1], &arguments)
}

/// Sets `sum` (f64 `[1]`) to the sum of the squares of `x` (f32), by way of `partial` (f64 `[PARTIALS]`).
///
/// # Errors
/// When a span does not fit, or the device refuses.
pub fn squared_norm(device: &dyn Device, x: Span, partial: Span, sum: Span) -> Done {
    let call = Call::plain(device, "squared_norm");
    call.exact("x", x, Kind::F32, x.len)?;
    call.exact("partial sums", partial, Kind::F64, PARTIALS)?;
    call.exact("the sum", sum, Kind::F64, 1)?;
    call.launch("sum_squares", [PARTIALS, 1, 1], &[pointer(x), Argument::U64(x.len as u64), pointer(partial)])?;
    let count = Argument::U32(PARTIALS as u32);
    call.launch("sum_partials", [1, 1, 1], &[pointer(partial), count, pointer(sum)])
}

/// Updates the numbers `p` with the gradients `g` and both moments `m` and `v`, all f32 and alike in length, and writes a bf16
/// copy of `p` to `working` where there is one. Gradients are scaled by `min(clip / (sqrt(norm2) + 1e-6), 1)` where `clip`, the
/// greatest norm of a gradient, is over 0. Nothing changes where `norm2` (f64 `[1]`, the sum of the squares of all gradients) or `loss` (f64 `[1]`) is not
/// finite: that update is left out.
///
/// # Errors
/// When a span does not fit, or the device refuses.
#[allow(clippy::too_many_arguments)] // the formula's own terms
pub fn adamw(
    device: &dyn Device,
    update: Terms,
    clip: f32,
    norm2: Span,
    loss: Span,
    p: Span,
    g: Span,
    m: Span,
    v: Span,
    working: Option<Span>,
) -> Done {
    let call = Call::plain(device, "adamw");
    call.exact("the squared norm", norm2, Kind::F64, 1)?;
    call.exact("the loss", loss, Kind::F64, 1)?;
    let mut spans = vec![p, g, m, v];
    for (name, span) in [("numbers", p), ("gradients", g), ("first moments", m), ("second moments", v)] {
        call.exact(name, span, Kind::F32, p.len)?;
    }
    let copy = match working {
        Some(working) => {
            call.exact("the working copy", working, Kind::Bf16, p.len)?;
            spans.push(working);
            working.at
        }
        None => Address(0),
    };
    let arguments = [
        Argument::F32(update.beta1),
        Argument::F32(update.beta2),
        Argument::F32(update.eps),
        Argument::F32(update.keep),
        Argument::F32(update.rate),
        Argument::F32(update.root),
        Argument::F32(clip),
        pointer(norm2),
        pointer(loss),
        pointer(p),
        pointer(g),
        pointer(m),
        pointer(v),
        Argument::Pointer(copy),
        Argument::U64(p.len as u64),
        wide(&spans, &[]),
    ];
    call.launch("adamw", flat_grid(p.len), &arguments)
}
