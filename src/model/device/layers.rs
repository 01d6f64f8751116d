//! A decoder's layers forward on a device, as training and answers run them.
//!
//! What is the same for both stands here; adapters and attention are the caller's ([`Work`]): training has one adapter, with dropout,
//! and attends within a pack; answers may have an adapter for each text and attend to what a text has behind it.

use super::ops::{self, NormSpans};
use super::pool::{Buffer, Pool};
use super::tables::Tables;
use super::weights::{Layer, Weights};
use super::{DeviceError, Kind, Span, linear};
use crate::model::decoder::Product;
use crate::model::description::Description;

/// Logits held at once, in numbers (128 MiB in f32).
const HELD: usize = 32 << 20;

/// What all layers of a pass share.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    pub pool: &'a Pool,
    /// Of weights and activations.
    pub kind: Kind,
    pub weights: &'a Weights,
    pub description: &'a Description,
    pub tables: &'a Tables,
    /// Position of each row in its text.
    pub positions: Span,
    /// Rows that go on behind the last layer's attention.
    pub keep: Span,
}

/// The parts of a layer that training and answers do each in their way.
pub trait Work {
    /// `y`, `[rows, outputs]`, from `x`, `[rows, inputs]`, adapters included: of the rows to keep where `kept`, of all otherwise. What
    /// the backward needs of it is returned.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    fn linear(
        &self,
        layer: usize,
        product: Product,
        kept: bool,
        x: Span,
        y: Span,
    ) -> Result<Option<Buffer>, DeviceError>;

    /// What attention makes of rows of q|k|v, `[rows, heads * head_dim]`, and the sums that its backward needs.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    fn attend(&self, layer: usize, qkv: Span) -> Result<(Buffer, Buffer), DeviceError>;
}

/// What a layer's forward leaves for its backward.
#[derive(Default)]
pub struct Saved {
    pub x: Option<Buffer>,
    pub qkv: Option<Buffer>,
    pub lse: Option<Buffer>,
    pub attended: Option<Buffer>,
    pub kept_x: Option<Buffer>,
    pub kept_attended: Option<Buffer>,
    pub middle: Option<Buffer>,
    pub mlp_in: Option<Buffer>,
    pub raw_attention: Option<Buffer>,
    pub raw_mlp: Option<Buffer>,
    /// What [`Work::linear`] returned, in the order of [`Product::ALL`].
    pub u: [Option<Buffer>; 4],
}

/// Rows of `count` whose logits are held at once.
#[must_use]
pub fn stretch(d: &Description, count: usize) -> usize {
    (HELD / d.vocab.max(1)).clamp(16, 4096).min(count)
}

impl Layers<'_> {
    fn take(&self, rows: usize, width: usize) -> Result<Buffer, DeviceError> {
        self.pool.take(rows * width, self.kind)
    }

    fn norm(&self, weights: NormSpans, x: Span, y: Span) -> Result<(), DeviceError> {
        ops::norm(self.pool.device(), self.kind, self.description.norm, weights, x, y)
    }

    /// The rows' embeddings, `[rows, hidden]`.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn embed(&self, tokens: Span) -> Result<Buffer, DeviceError> {
        let (d, table) = (self.description, self.weights.embedding.span);
        let x = self.take(tokens.len, d.hidden)?;
        ops::embed(self.pool.device(), self.kind, table, d.hidden, tokens, d.embedding_scale, x.span)?;
        Ok(x)
    }

    /// Rotary on the queries and keys of rows of q|k|v, in place, or its backward.
    ///
    /// # Errors
    /// When the device fails.
    pub fn rotary(&self, layer: usize, qkv: Span, backward: bool) -> Result<(), DeviceError> {
        let (device, d) = (self.pool.device(), self.description);
        let table = self.tables.local().filter(|_| d.is_local(layer)).unwrap_or_else(|| self.tables.global());
        let turning = d.heads + d.kv_heads;
        ops::rotary(device, self.kind, table, self.positions, qkv, d.qkv_rows(), turning, d.head_dim, backward)
    }

    /// QK-norm where the family has it, then rotary, in place.
    ///
    /// # Errors
    /// When the device fails.
    pub fn turn(&self, layer: usize, weights: &Layer, qkv: Span) -> Result<(), DeviceError> {
        let (device, d) = (self.pool.device(), self.description);
        for (heads, scale) in [(d.queries(), &weights.query_norm), (d.keys(), &weights.key_norm)] {
            if let Some(scale) = scale {
                ops::head_norm(device, self.kind, heads, scale.span, d.norm.eps(), qkv)?;
            }
        }
        self.rotary(layer, qkv, false)
    }

    /// Layer `layer` on `x`, `[rows, hidden]`; of the last one only the rows to keep, and nothing where there are none. Without
    /// `save` nothing but `x` is left.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn forward(
        &self,
        work: &dyn Work,
        layer: usize,
        x: Buffer,
        save: bool,
    ) -> Result<(Option<Buffer>, Saved), DeviceError> {
        let (d, weights, device, kind) = (self.description, &self.weights.layers[layer], self.pool.device(), self.kind);
        let (rows, hidden, wide) = (self.positions.len, d.hidden, d.heads * d.head_dim);
        let last = layer + 1 == d.layers;
        let mut saved = Saved::default();

        let h = self.take(rows, hidden)?;
        self.norm(weights.attention_norm.spans(), x.span, h.span)?;
        let qkv = self.take(rows, d.qkv_rows())?;
        saved.u[0] = work.linear(layer, Product::Qkv, false, h.span, qkv.span)?;
        drop(h);
        if d.qk_norm && save {
            saved.qkv = Some(self.copy(qkv.span)?);
        }
        self.turn(layer, weights, qkv.span)?;
        let (attended, lse) = work.attend(layer, qkv.span)?;
        if save {
            saved.lse = Some(lse);
            saved.qkv.get_or_insert(qkv);
        } else {
            drop((lse, qkv));
        }
        if last {
            let kept = self.keep.len;
            if kept == 0 {
                return Ok((None, Saved { x: Some(x), ..Saved::default() }));
            }
            let (kept_x, kept_attended) = (self.take(kept, hidden)?, self.take(kept, wide)?);
            ops::gather(device, kind, x.span, hidden, self.keep, kept_x.span)?;
            ops::gather(device, kind, attended.span, wide, self.keep, kept_attended.span)?;
            (saved.kept_x, saved.kept_attended) = (Some(kept_x), Some(kept_attended));
        }
        let (read_x, read_attended) = match (&saved.kept_x, &saved.kept_attended) {
            (Some(x), Some(attended)) => (x.span, attended.span),
            _ => (x.span, attended.span),
        };
        let y = self.second_half(work, layer, (read_x, read_attended), last, &mut saved, save)?;
        saved.x = Some(x);
        if save {
            saved.attended = Some(attended);
        } else {
            saved = Saved { x: saved.x, ..Saved::default() };
        }
        Ok((Some(y), saved))
    }

    /// From the attention's result to the layer's.
    fn second_half(
        &self,
        work: &dyn Work,
        layer: usize,
        (x, attended): (Span, Span),
        last: bool,
        saved: &mut Saved,
        save: bool,
    ) -> Result<Buffer, DeviceError> {
        let (d, weights, device, kind) = (self.description, &self.weights.layers[layer], self.pool.device(), self.kind);
        let (hidden, rows) = (d.hidden, x.len / d.hidden.max(1));

        let mut middle = self.take(rows, hidden)?;
        saved.u[1] = work.linear(layer, Product::Output, last, attended, middle.span)?;
        if let Some(post) = &weights.post_attention_norm {
            let raw = std::mem::replace(&mut middle, self.take(rows, hidden)?);
            self.norm(post.spans(), raw.span, middle.span)?;
            saved.raw_attention = save.then_some(raw);
        }
        ops::add(device, kind, middle.span, x)?;

        let h = self.take(rows, hidden)?;
        self.norm(weights.mlp_norm.spans(), if d.parallel_residual { x } else { middle.span }, h.span)?;
        let wide = self.take(rows, d.mlp_rows())?;
        saved.u[2] = work.linear(layer, Product::MlpIn, last, h.span, wide.span)?;
        let act = self.take(rows, d.intermediate)?;
        ops::activate(device, kind, d.activation, d.gated_mlp, wide.span, d.intermediate, act.span)?;
        saved.mlp_in = save.then_some(wide);
        let mut y = h;
        saved.u[3] = work.linear(layer, Product::Down, last, act.span, y.span)?;
        drop(act);
        if let Some(post) = &weights.post_mlp_norm {
            let raw = std::mem::replace(&mut y, self.take(rows, hidden)?);
            self.norm(post.spans(), raw.span, y.span)?;
            saved.raw_mlp = save.then_some(raw);
        }
        ops::add(device, kind, y.span, middle.span)?;
        saved.middle = save.then_some(middle);
        Ok(y)
    }

    /// Last norm and head of rows `x`: their logits, f32, a stretch of rows at a time for which memory is held at once. `see` gets
    /// each stretch: its first row, its rows after the norm, and its logits.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn head(
        &self,
        x: Span,
        mut see: impl FnMut(usize, Span, Span) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let (d, device) = (self.description, self.pool.device());
        let (hidden, vocab) = (d.hidden, d.vocab);
        let count = x.len / hidden.max(1);
        let most = stretch(d, count);
        let normed = self.take(count, hidden)?;
        self.norm(self.weights.final_norm.spans(), x, normed.span)?;
        let logits = self.pool.take(most * vocab, Kind::F32)?;
        for first in (0..count).step_by(most.max(1)) {
            let n = most.min(count - first);
            let (rows, logits) = (normed.span.part(first * hidden, n * hidden), logits.span.part(0, n * vocab));
            linear::through(device, self.weights.head(), [n, hidden, vocab], rows, logits)?;
            see(first, rows, logits)?;
        }
        Ok(())
    }

    /// The same numbers once more.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn copy(&self, from: Span) -> Result<Buffer, DeviceError> {
        let to = self.pool.take(from.len, from.kind)?;
        self.pool.device().copy(from.at, to.span.at, from.bytes())?;
        Ok(to)
    }
}
