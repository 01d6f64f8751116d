//! One decoder block backward on a device, and its forward's own parts: what [`block`](crate::train::block) is on the processor, in the
//! same order. The rest of the forward is [`Layers`].

use crate::model::decoder::Product;
use crate::model::device::layers::{Layers, Saved, Work};
use crate::model::device::linear::{self, Adapted};
use crate::model::device::ops::{self, NormSpans, Tiling};
use crate::model::device::pool::Buffer;
use crate::model::device::weights::NormWeights;
use crate::model::device::{Device, DeviceError, Kind, Span};
use crate::model::lora::Adapter;
use crate::model::ops::dropout::Dropout;

/// What all blocks of a pass share.
pub struct Pass<'a> {
    pub layers: Layers<'a>,
    /// The adapter's layout, and its numbers in the kind of the activations.
    pub adapter: Option<(&'a Adapter, Span)>,
    pub tiling: &'a Tiling,
    /// The tiling's words on the device.
    pub words: Span,
    /// Probability and key words (seed, step) of the adapters' dropout; `None` outside training.
    pub dropout: Option<(f32, [u64; 2])>,
    /// Keys of the rows' masks: of all, and of those that go on in the last block.
    pub draws: [Span; 2],
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
        self.layers.pool.device()
    }

    fn take(&self, rows: usize, width: usize) -> Result<Buffer, DeviceError> {
        self.layers.pool.take(rows * width, self.layers.kind)
    }

    /// The adapted part of a product of all rows, or of those that are kept.
    fn adapted(&self, layer: usize, product: Product, kept: bool) -> Option<Adapted<'_>> {
        let (adapter, values) = self.adapter?;
        let dropout = self.dropout.and_then(|(p, [a, b])| Dropout::new(p, &[a, b, layer as u64, product as u64]));
        let dropout = dropout.map(|dropout| (dropout, self.draws[usize::from(kept)]));
        Some(Adapted { product: adapter.product(layer, product)?, values, scale: adapter.config.scale(), dropout })
    }

    fn norm(&self, weights: NormSpans, x: Span, y: Span) -> Result<(), DeviceError> {
        ops::norm(self.device(), self.layers.kind, self.layers.description.norm, weights, x, y)
    }

    fn norm_backward(&self, weights: NormSpans, x: Span, dy: Span, dx: Span) -> Result<(), DeviceError> {
        ops::norm_backward(self.device(), self.layers.kind, self.layers.description.norm, weights, x, dy, dx)
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
                Some(x) => self.layers.forward(self, layer, x, true)?.1,
                None => saved,
            };
        }
        let Layers { pool, kind, description: d, positions, keep, .. } = self.layers;
        let (weights, device, rows) = (&self.layers.weights.layers[layer], self.device(), positions.len);
        let (hidden, wide) = (d.hidden, d.heads * d.head_dim);
        let kept = if last { keep.len } else { rows };
        let x = left(saved.x.as_ref(), "input")?.span;
        let kept_x = saved.kept_x.as_ref().map_or(x, |b| b.span);
        let attended = left(saved.attended.as_ref(), "attention")?.span;
        let kept_attended = saved.kept_attended.as_ref().map_or(attended, |b| b.span);
        let back = |product, rows, x, dy, dx| {
            let u = saved.u[product as usize].as_ref();
            let kept = last && product != Product::Qkv;
            let (linear, adapted) = (weights.product(product), self.adapted(layer, product, kept));
            linear::backward(pool, linear, adapted, rows, x, u, dy, dx, gradient)
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
        let d_attention = if d.parallel_residual { Some(self.layers.copy(dy.span)?) } else { None };
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
            let turned = self.layers.copy(qkv)?;
            self.layers.turn(layer, weights, turned.span)?;
            Some(turned)
        } else {
            None
        };
        let read = turned.as_ref().map_or(qkv, |b| b.span);
        let d_qkv = self.take(rows, d.qkv_rows())?;
        let (shape, lse) = (d.attention(layer), left(saved.lse.as_ref(), "sums")?.span);
        let scratch = pool.take(ops::attention_scratch(shape, self.tiling), Kind::F32)?;
        let (tiling, words) = (self.tiling, self.words);
        let (from, to) = (d_attended.span, d_qkv.span);
        ops::attention_backward(device, kind, shape, tiling, words, read, attended, lse, from, to, scratch.span)?;
        drop((turned, d_attended, scratch));
        self.layers.rotary(layer, d_qkv.span, true)?;
        for (heads, scale) in [(d.queries(), &weights.query_norm), (d.keys(), &weights.key_norm)] {
            if let Some(scale) = scale {
                ops::head_norm_backward(device, kind, heads, scale.span, d.norm.eps(), qkv, d_qkv.span)?;
            }
        }
        let h = self.take(rows, hidden)?;
        self.norm(weights.attention_norm.spans(), x, h.span)?;
        if !need_dx {
            back(Product::Qkv, rows, h.span, d_qkv.span, None)?;
            return Ok(None);
        }
        let dh = self.take(rows, hidden)?;
        back(Product::Qkv, rows, h.span, d_qkv.span, Some(dh.span))?;
        self.norm_backward(weights.attention_norm.spans(), x, dh.span, dy.span)?;
        Ok(Some(dy))
    }

    /// The gradient before a norm on a branch's output, given that after it; `None` where there is no such norm.
    fn through_norm(&self, norm: Option<(&NormWeights, &Buffer)>, dy: Span) -> Result<Option<Buffer>, DeviceError> {
        let Some((weights, raw)) = norm else { return Ok(None) };
        let dx = self.layers.pool.zeros(dy.len, self.layers.kind)?;
        self.norm_backward(weights.spans(), raw.span, dy, dx.span)?;
        Ok(Some(dx))
    }

    /// Puts the kept rows back to their places among all, zeros elsewhere.
    fn scatter(&self, x: &Buffer, width: usize) -> Result<Buffer, DeviceError> {
        let out = self.take(self.layers.positions.len, width)?;
        ops::scatter(self.device(), self.layers.kind, x.span, width, self.layers.keep, out.span)?;
        Ok(out)
    }
}

impl Work for Pass<'_> {
    fn linear(
        &self,
        layer: usize,
        product: Product,
        kept: bool,
        x: Span,
        y: Span,
    ) -> Result<Option<Buffer>, DeviceError> {
        let weights = self.layers.weights.layers[layer].product(product);
        linear::forward(self.layers.pool, weights, self.adapted(layer, product, kept), x.len / weights.inputs, x, y)
    }

    fn attend(&self, layer: usize, qkv: Span) -> Result<(Buffer, Buffer), DeviceError> {
        let Layers { pool, kind, description: d, positions, .. } = self.layers;
        let attended = self.take(positions.len, d.heads * d.head_dim)?;
        let lse = pool.take(positions.len * d.heads, Kind::F32)?;
        let shape = d.attention(layer);
        ops::attention(self.device(), kind, shape, self.tiling, self.words, qkv, attended.span, lse.span)?;
        Ok((attended, lse))
    }
}
