//! One decoder block, forward and backward, on a device: what [`block`](crate::train::block) is on the processor, in the same order.

use crate::model::decoder::Product;
use crate::model::description::{Description, Norm};
use crate::model::device::ops::{self, NormSpans, RotarySpans, Tiling};
use crate::model::device::{Device, DeviceError, Kind, Span};
use crate::model::lora::Adapter;
use crate::model::ops::attention::Shape;
use crate::model::ops::dropout::Dropout;
use crate::model::ops::norm::Heads;

use crate::model::device::linear::{self, Adapted};
use crate::model::device::pool::{Buffer, Pool};
use crate::model::device::weights::{Layer, NormWeights, Weights};

/// What all blocks of a pass share.
pub struct Pass<'a> {
    pub pool: &'a Pool,
    pub kind: Kind,
    pub weights: &'a Weights,
    pub description: &'a Description,
    /// The adapter's layout, and its numbers in the kind of the activations.
    pub adapter: Option<(&'a Adapter, Span)>,
    /// Number of packed rows.
    pub rows: usize,
    /// Position of each packed row in its sequence.
    pub positions: Span,
    pub tiling: &'a Tiling,
    /// The tiling's words on the device.
    pub words: Span,
    pub table: RotarySpans,
    /// The rotary table of local layers, where it differs.
    pub local_table: Option<RotarySpans>,
    /// Rows that go on after the last block's attention.
    pub keep: Span,
    /// Probability and key words of the adapters' dropout; `None` outside training.
    pub dropout: Option<(f32, [u64; 3])>,
}

/// What a block's forward leaves for its backward: see [`Saved`](crate::train::block::Saved).
#[derive(Default)]
pub struct Saved {
    x: Option<Buffer>,
    qkv: Option<Buffer>,
    lse: Option<Buffer>,
    attended: Option<Buffer>,
    kept_x: Option<Buffer>,
    kept_attended: Option<Buffer>,
    middle: Option<Buffer>,
    mlp_in: Option<Buffer>,
    raw_attention: Option<Buffer>,
    raw_mlp: Option<Buffer>,
    u: [Option<Buffer>; 4],
}

/// A buffer that the forward has left; its absence is a mistake of this file.
fn left<'a>(buffer: Option<&'a Buffer>, what: &str) -> Result<&'a Buffer, DeviceError> {
    buffer.ok_or_else(|| DeviceError::Failed {
        what: "go back through a block".to_owned(),
        why: format!("its forward left no {what}; this is a mistake in togi"),
    })
}

impl Pass<'_> {
    fn device(&self) -> &dyn Device {
        self.pool.device()
    }

    fn take(&self, rows: usize, width: usize) -> Result<Buffer, DeviceError> {
        self.pool.take(rows * width, self.kind)
    }

    fn copy(&self, from: Span) -> Result<Buffer, DeviceError> {
        let to = self.pool.take(from.len, from.kind)?;
        self.device().copy(from.at, to.span.at, from.bytes())?;
        Ok(to)
    }

    fn eps(&self) -> f32 {
        match self.description.norm {
            Norm::Rms { eps } | Norm::Layer { eps } => eps,
        }
    }

    fn adapted(&self, layer: usize, product: Product) -> Option<Adapted<'_>> {
        let (adapter, values) = self.adapter?;
        let dropout = self.dropout.and_then(|(p, [a, b, c])| Dropout::new(p, &[a, b, c, layer as u64, product as u64]));
        Some(Adapted { product: adapter.product(layer, product)?, values, scale: adapter.config.scale(), dropout })
    }

    fn shape(&self, layer: usize) -> Shape {
        let d = self.description;
        Shape {
            heads: d.heads,
            kv_heads: d.kv_heads,
            head_dim: d.head_dim,
            scale: d.attention_scale,
            window: d.window_of(layer),
        }
    }

    fn heads(&self, keys: bool) -> Heads {
        let d = self.description;
        let first = if keys { d.heads * d.head_dim } else { 0 };
        let count = if keys { d.kv_heads } else { d.heads };
        Heads { stride: d.qkv_rows(), first, count, dim: d.head_dim }
    }

    fn norm(&self, weights: NormSpans, x: Span, y: Span) -> Result<(), DeviceError> {
        ops::norm(self.device(), self.kind, self.description.norm, weights, x, y)
    }

    fn norm_backward(&self, weights: NormSpans, x: Span, dy: Span, dx: Span) -> Result<(), DeviceError> {
        ops::norm_backward(self.device(), self.kind, self.description.norm, weights, x, dy, dx)
    }

    fn rotary(&self, layer: usize, x: Span, backward: bool) -> Result<(), DeviceError> {
        let d = self.description;
        let table = match self.local_table {
            Some(local) if d.is_local(layer) => local,
            _ => self.table,
        };
        let turning = d.heads + d.kv_heads;
        ops::rotary(self.device(), self.kind, table, self.positions, x, d.qkv_rows(), turning, d.head_dim, backward)
    }

    /// QK-norm where the family has it, then rotary, in place.
    fn turn(&self, layer: usize, weights: &Layer, qkv: Span) -> Result<(), DeviceError> {
        for (keys, scale) in [(false, &weights.query_norm), (true, &weights.key_norm)] {
            if let Some(scale) = scale {
                ops::head_norm(self.device(), self.kind, self.heads(keys), scale.span, self.eps(), qkv)?;
            }
        }
        self.rotary(layer, qkv, false)
    }

    fn linear(
        &self,
        layer: usize,
        product: Product,
        rows: usize,
        x: Span,
        y: Span,
    ) -> Result<Option<Buffer>, DeviceError> {
        let weights = self.weights.layers[layer].product(product);
        linear::forward(self.pool, weights, self.adapted(layer, product), rows, x, y)
    }

    /// Runs block `layer` on `x`, `[rows, hidden]`. With `last`, only the rows to keep go on after attention. Without `save`
    /// nothing but `x` is kept.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn forward(&self, layer: usize, x: Buffer, last: bool, save: bool) -> Result<(Buffer, Saved), DeviceError> {
        let (d, weights, rows) = (self.description, &self.weights.layers[layer], self.rows);
        let (hidden, wide) = (d.hidden, d.heads * d.head_dim);
        let mut saved = Saved::default();

        let h = self.take(rows, hidden)?;
        self.norm(weights.attention_norm.spans(), x.span, h.span)?;
        let qkv = self.take(rows, d.qkv_rows())?;
        saved.u[0] = self.linear(layer, Product::Qkv, rows, h.span, qkv.span)?;
        drop(h);
        if d.qk_norm && save {
            saved.qkv = Some(self.copy(qkv.span)?);
        }
        self.turn(layer, weights, qkv.span)?;
        let attended = self.take(rows, wide)?;
        let lse = self.pool.take(rows * d.heads, Kind::F32)?;
        let (device, kind) = (self.device(), self.kind);
        ops::attention(device, kind, self.shape(layer), self.tiling, self.words, qkv.span, attended.span, lse.span)?;
        if !d.qk_norm {
            saved.qkv = Some(qkv);
        }
        let mut kept = rows;
        if last {
            kept = self.keep.len;
            let (kept_x, kept_attended) = (self.take(kept, hidden)?, self.take(kept, wide)?);
            ops::gather(device, kind, x.span, hidden, self.keep, kept_x.span)?;
            ops::gather(device, kind, attended.span, wide, self.keep, kept_attended.span)?;
            (saved.kept_x, saved.kept_attended) = (Some(kept_x), Some(kept_attended));
        }
        (saved.lse, saved.attended, saved.x) = (Some(lse), Some(attended), Some(x));
        let y = self.second_half(layer, kept, &mut saved)?;
        if !save {
            saved = Saved { x: saved.x, ..Saved::default() };
        }
        Ok((y, saved))
    }

    /// From the attention's result to the block's, for `rows` rows.
    fn second_half(&self, layer: usize, rows: usize, saved: &mut Saved) -> Result<Buffer, DeviceError> {
        let (d, weights, device, kind) = (self.description, &self.weights.layers[layer], self.device(), self.kind);
        let hidden = d.hidden;
        let x = left(saved.kept_x.as_ref().or(saved.x.as_ref()), "input")?.span;
        let attended = left(saved.kept_attended.as_ref().or(saved.attended.as_ref()), "attention")?.span;

        let mut middle = self.take(rows, hidden)?;
        saved.u[1] = self.linear(layer, Product::Output, rows, attended, middle.span)?;
        if let Some(post) = &weights.post_attention_norm {
            let raw = std::mem::replace(&mut middle, self.take(rows, hidden)?);
            self.norm(post.spans(), raw.span, middle.span)?;
            saved.raw_attention = Some(raw);
        }
        ops::add(device, kind, middle.span, x)?;

        let h = self.take(rows, hidden)?;
        self.norm(weights.mlp_norm.spans(), if d.parallel_residual { x } else { middle.span }, h.span)?;
        let wide = self.take(rows, d.mlp_rows())?;
        saved.u[2] = self.linear(layer, Product::MlpIn, rows, h.span, wide.span)?;
        let act = self.take(rows, d.intermediate)?;
        ops::activate(device, kind, d.activation, d.gated_mlp, wide.span, d.intermediate, act.span)?;
        let mut y = h;
        saved.u[3] = self.linear(layer, Product::Down, rows, act.span, y.span)?;
        drop(act);
        if let Some(post) = &weights.post_mlp_norm {
            let raw = std::mem::replace(&mut y, self.take(rows, hidden)?);
            self.norm(post.spans(), raw.span, y.span)?;
            saved.raw_mlp = Some(raw);
        }
        ops::add(device, kind, y.span, middle.span)?;
        (saved.middle, saved.mlp_in) = (Some(middle), Some(wide));
        Ok(y)
    }

    /// From the gradient of the block's result to that of its input, `[rows, hidden]`. Adds to the adapter's flat `gradient`
    /// (f32). Without `need_dx` there is no result.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn backward(
        &self,
        layer: usize,
        mut saved: Saved,
        mut dy: Buffer,
        last: bool,
        need_dx: bool,
        gradient: Span,
    ) -> Result<Option<Buffer>, DeviceError> {
        if saved.lse.is_none() {
            let x = saved.x.take();
            saved = match x {
                Some(x) => self.forward(layer, x, last, true)?.1,
                None => saved,
            };
        }
        let (d, weights, device, kind) = (self.description, &self.weights.layers[layer], self.device(), self.kind);
        let (hidden, wide) = (d.hidden, d.heads * d.head_dim);
        let kept = if last { self.keep.len } else { self.rows };
        let x = left(saved.x.as_ref(), "input")?.span;
        let kept_x = saved.kept_x.as_ref().map_or(x, |b| b.span);
        let attended = left(saved.attended.as_ref(), "attention")?.span;
        let kept_attended = saved.kept_attended.as_ref().map_or(attended, |b| b.span);
        let back = |product, rows, x, dy, dx| {
            let u = saved.u[product as usize].as_ref();
            let (linear, adapted) = (weights.product(product), self.adapted(layer, product));
            linear::backward(self.pool, linear, adapted, rows, x, u, dy, dx, gradient)
        };

        // The MLP.
        let act = self.take(kept, d.intermediate)?;
        let mlp_in = left(saved.mlp_in.as_ref(), "MLP")?.span;
        ops::activate(device, kind, d.activation, d.gated_mlp, mlp_in, d.intermediate, act.span)?;
        let d_act = self.take(kept, d.intermediate)?;
        let through = self.through_norm(weights.post_mlp_norm.as_ref().zip(saved.raw_mlp.as_ref()), dy.span)?;
        let dm = through.as_ref().map_or(dy.span, |b| b.span);
        back(Product::Down, kept, act.span, dm, Some(d_act.span))?;
        drop((act, through));
        ops::activate_backward(device, kind, d.activation, d.gated_mlp, mlp_in, d.intermediate, d_act.span)?;
        drop(d_act);
        let normed = if d.parallel_residual { kept_x } else { left(saved.middle.as_ref(), "middle")?.span };
        let (h, dh) = (self.take(kept, hidden)?, self.take(kept, hidden)?);
        self.norm(weights.mlp_norm.spans(), normed, h.span)?;
        back(Product::MlpIn, kept, h.span, mlp_in, Some(dh.span))?;
        // `dy` becomes the gradient of the middle (in turn) or of the input by way of sum and MLP (parallel).
        let d_attention = if d.parallel_residual { Some(self.copy(dy.span)?) } else { None };
        self.norm_backward(weights.mlp_norm.spans(), normed, dh.span, dy.span)?;
        drop((h, dh));

        // The attention's output.
        let da = d_attention.as_ref().map_or(dy.span, |b| b.span);
        let through = self.through_norm(weights.post_attention_norm.as_ref().zip(saved.raw_attention.as_ref()), da)?;
        let da = through.as_ref().map_or(da, |b| b.span);
        let mut d_attended = self.take(kept, wide)?;
        back(Product::Output, kept, kept_attended, da, Some(d_attended.span))?;
        drop((through, d_attention));
        if last {
            d_attended = self.scatter(&d_attended, wide)?;
            dy = self.scatter(&dy, hidden)?;
        }

        // Attention itself.
        let qkv = left(saved.qkv.as_ref(), "projections")?.span;
        let turned = if d.qk_norm {
            let turned = self.copy(qkv)?;
            self.turn(layer, weights, turned.span)?;
            Some(turned)
        } else {
            None
        };
        let read = turned.as_ref().map_or(qkv, |b| b.span);
        let d_qkv = self.take(self.rows, d.qkv_rows())?;
        let (shape, lse) = (self.shape(layer), left(saved.lse.as_ref(), "sums")?.span);
        let scratch = self.pool.take(ops::attention_scratch(shape, self.tiling), Kind::F32)?;
        let (tiling, words) = (self.tiling, self.words);
        let (from, to) = (d_attended.span, d_qkv.span);
        ops::attention_backward(device, kind, shape, tiling, words, read, attended, lse, from, to, scratch.span)?;
        drop((turned, d_attended, scratch));
        self.rotary(layer, d_qkv.span, true)?;
        for (keys, scale) in [(false, &weights.query_norm), (true, &weights.key_norm)] {
            if let Some(scale) = scale {
                ops::head_norm_backward(device, kind, self.heads(keys), scale.span, self.eps(), qkv, d_qkv.span)?;
            }
        }
        let h = self.take(self.rows, hidden)?;
        self.norm(weights.attention_norm.spans(), x, h.span)?;
        if !need_dx {
            back(Product::Qkv, self.rows, h.span, d_qkv.span, None)?;
            return Ok(None);
        }
        let dh = self.take(self.rows, hidden)?;
        back(Product::Qkv, self.rows, h.span, d_qkv.span, Some(dh.span))?;
        self.norm_backward(weights.attention_norm.spans(), x, dh.span, dy.span)?;
        Ok(Some(dy))
    }

    /// The gradient before a norm on a branch's output, given that after it; `None` where there is no such norm.
    fn through_norm(&self, norm: Option<(&NormWeights, &Buffer)>, dy: Span) -> Result<Option<Buffer>, DeviceError> {
        let Some((weights, raw)) = norm else { return Ok(None) };
        let dx = self.pool.zeros(dy.len, self.kind)?;
        self.norm_backward(weights.spans(), raw.span, dy, dx.span)?;
        Ok(Some(dx))
    }

    /// Puts the kept rows back to their places among all, zeros elsewhere.
    fn scatter(&self, x: &Buffer, width: usize) -> Result<Buffer, DeviceError> {
        let out = self.take(self.rows, width)?;
        ops::scatter(self.device(), self.kind, x.span, width, self.keep, out.span)?;
        Ok(out)
    }
}
