//! One decoder block, forward and backward, over packed rows.
//!
//! The forward keeps the inputs of attention and of each product that cannot be had again cheaply; norms, rotary on
//! normed heads and the activation are computed again in the backward. With `recompute` only the block's input is
//! kept and the whole forward runs twice (activation checkpointing, Chen et al. 2016).

use std::cell::Cell;
use std::time::Instant;

use crate::model::decoder::{Block, Decoder, Product};
use crate::model::description::Description;
use crate::model::lora::Adapter;
use crate::model::ops::activation;
use crate::model::ops::attention::{self, Segment};
use crate::model::ops::dropout::Dropout;
use crate::model::ops::norm;
use crate::model::ops::pool::Pool;
use crate::model::ops::rotary::{self, Table};

use super::batch::Packed;
use super::linear::{self, Adapted, Sinks};

/// What all blocks of a pass share.
pub struct Pass<'a> {
    pub decoder: &'a Decoder,
    pub adapter: Option<&'a Adapter>,
    /// Position of each packed row in its sequence.
    pub positions: &'a [u32],
    pub segments: &'a [Segment],
    pub table: &'a Table,
    /// The rotary table of local layers, where it differs.
    pub local_table: Option<&'a Table>,
    /// Probability and key words (seed, step) of the adapters' dropout; `None` outside training.
    pub dropout: Option<(f32, [u64; 2])>,
    /// What each row's part of a mask is drawn from, and that of the rows that go on in the last block.
    draws: &'a [u32],
    kept_draws: Vec<u32>,
    /// Seconds in attention so far.
    pub attention_seconds: Cell<f64>,
}

impl<'a> Pass<'a> {
    /// A pass over a pack with the rotary tables of global and, where they differ, local layers.
    #[must_use]
    pub fn of(
        decoder: &'a Decoder,
        adapter: Option<&'a Adapter>,
        packed: &'a Packed,
        (table, local_table): (&'a Table, Option<&'a Table>),
        dropout: Option<(f32, [u64; 2])>,
    ) -> Self {
        let (positions, segments) = (packed.positions.as_slice(), packed.segments.as_slice());
        let attention_seconds = Cell::new(0.0);
        let kept_draws = if dropout.is_some() { packed.predicting_draws() } else { Vec::new() };
        let draws = packed.draws.as_slice();
        Self {
            decoder,
            adapter,
            positions,
            segments,
            table,
            local_table,
            dropout,
            draws,
            kept_draws,
            attention_seconds,
        }
    }
}

/// What a block's forward leaves for its backward. Rows are all packed rows before the attention's output, and the
/// rows kept after it (all, or those that carry loss in the last block).
#[derive(Default)]
pub struct Saved {
    /// The block's input, `[rows, hidden]`.
    pub x: Vec<f32>,
    /// What attention read, or, with QK-norm, the projections before norm and rotary.
    qkv: Vec<f32>,
    lse: Vec<f32>,
    attended: Vec<f32>,
    /// Gathered rows of `x` and `attended` where only some rows go on; empty where all do.
    kept_x: Vec<f32>,
    kept_attended: Vec<f32>,
    /// After the first residual sum.
    middle: Vec<f32>,
    mlp_in: Vec<f32>,
    /// Outputs of attention and MLP before their own norms, where the family has them.
    raw_attention: Vec<f32>,
    raw_mlp: Vec<f32>,
    /// `scale * drop(x) A^T` of each product.
    u: [Vec<f32>; 4],
}

impl Saved {
    /// Hands every buffer back.
    pub fn free(self, pool: &mut Pool) {
        let [a, b, c, d] = self.u;
        for buffer in [
            self.x,
            self.qkv,
            self.lse,
            self.attended,
            self.kept_x,
            self.kept_attended,
            self.middle,
            self.mlp_in,
            self.raw_attention,
            self.raw_mlp,
            a,
            b,
            c,
            d,
        ] {
            pool.give(buffer);
        }
    }
}

impl Pass<'_> {
    fn d(&self) -> &Description {
        &self.decoder.description
    }

    fn attended_since(&self, started: Instant) {
        self.attention_seconds.set(self.attention_seconds.get() + started.elapsed().as_secs_f64());
    }

    fn rows(&self) -> usize {
        self.positions.len()
    }

    /// The adapted part of a product of all rows, or of those that are kept.
    fn adapted(&self, layer: usize, product: Product, kept: bool) -> Option<Adapted<'_>> {
        let adapter = self.adapter?;
        let rows = if kept { &self.kept_draws } else { self.draws };
        let dropout = self.dropout.and_then(|(p, [a, b])| Dropout::new(p, &[a, b, layer as u64, product as u64]));
        let dropout = dropout.map(|dropout| dropout.over(rows));
        Some(Adapted {
            product: adapter.product(layer, product)?,
            values: &adapter.values,
            scale: adapter.config.scale(),
            dropout,
        })
    }

    fn table_of(&self, layer: usize) -> &Table {
        match self.local_table {
            Some(local) if self.d().is_local(layer) => local,
            _ => self.table,
        }
    }

    /// QK-norm where the family has it, then rotary, in place.
    fn turn(&self, layer: usize, block: &Block, qkv: &mut [f32]) {
        let d = self.d();
        if d.qk_norm {
            norm::heads_forward(d.queries(), &block.query_norm, d.norm.eps(), qkv);
            norm::heads_forward(d.keys(), &block.key_norm, d.norm.eps(), qkv);
        }
        let turning = d.heads + d.kv_heads;
        rotary::apply(self.table_of(layer), self.positions, qkv, d.qkv_rows(), turning, d.head_dim, false);
    }

    /// Runs block `layer` on `x`, `[rows, hidden]`. Where `keep` names rows, only those go on after attention and the
    /// result is `[keep, hidden]`. Without `save` nothing but `x` is kept.
    pub fn forward(
        &self,
        layer: usize,
        x: Vec<f32>,
        keep: Option<&[u32]>,
        save: bool,
        pool: &mut Pool,
    ) -> (Vec<f32>, Saved) {
        let (d, block, rows) = (self.d(), &self.decoder.blocks[layer], self.rows());
        let (hidden, wide) = (d.hidden, d.heads * d.head_dim);
        let mut saved = Saved::default();

        let mut h = pool.take(rows * hidden);
        norm::forward(d.norm, &block.attention_norm, &x, &mut h);
        let mut qkv = pool.take(rows * d.qkv_rows());
        saved.u[0] = linear::forward(&block.qkv, self.adapted(layer, Product::Qkv, false), rows, &h, &mut qkv, pool);
        pool.give(h);
        if d.qk_norm && save {
            saved.qkv = pool.take(qkv.len());
            saved.qkv.copy_from_slice(&qkv);
        }
        self.turn(layer, block, &mut qkv);
        let mut attended = pool.take(rows * wide);
        saved.lse = pool.take(rows * d.heads);
        let started = Instant::now();
        attention::forward(d.attention(layer), self.segments, &qkv, &mut attended, &mut saved.lse);
        self.attended_since(started);
        if d.qk_norm {
            pool.give(qkv);
        } else {
            saved.qkv = qkv;
        }
        saved.attended = attended;
        saved.x = x;
        if let Some(keep) = keep {
            saved.kept_x = gather(&saved.x, hidden, keep, pool);
            saved.kept_attended = gather(&saved.attended, wide, keep, pool);
        }
        let y = self.second_half(layer, keep.map_or(rows, <[u32]>::len), keep.is_some(), &mut saved, pool);
        if !save {
            let x = std::mem::take(&mut saved.x);
            saved.free(pool);
            saved = Saved { x, ..Saved::default() };
        }
        (y, saved)
    }

    /// From the attention's result to the block's, for `rows` rows.
    fn second_half(&self, layer: usize, rows: usize, gathered: bool, saved: &mut Saved, pool: &mut Pool) -> Vec<f32> {
        let (d, block) = (self.d(), &self.decoder.blocks[layer]);
        let hidden = d.hidden;
        let (x, attended) = if gathered { (&saved.kept_x, &saved.kept_attended) } else { (&saved.x, &saved.attended) };

        let mut middle = pool.take(rows * hidden);
        saved.u[1] = linear::forward(
            &block.output,
            self.adapted(layer, Product::Output, gathered),
            rows,
            attended,
            &mut middle,
            pool,
        );
        if d.post_norms {
            let raw = middle;
            middle = pool.take(rows * hidden);
            norm::forward(d.norm, &block.post_attention_norm, &raw, &mut middle);
            saved.raw_attention = raw;
        }
        add(&mut middle, x);

        let mut h = pool.take(rows * hidden);
        norm::forward(d.norm, &block.mlp_norm, if d.parallel_residual { x } else { &middle }, &mut h);
        let mut wide = pool.take(rows * d.mlp_rows());
        saved.u[2] =
            linear::forward(&block.mlp_in, self.adapted(layer, Product::MlpIn, gathered), rows, &h, &mut wide, pool);
        let mut act = pool.take(rows * d.intermediate);
        activation::forward(d.activation, d.gated_mlp, &wide, d.intermediate, &mut act);
        let mut y = h;
        saved.u[3] =
            linear::forward(&block.down, self.adapted(layer, Product::Down, gathered), rows, &act, &mut y, pool);
        pool.give(act);
        if d.post_norms {
            let raw = y;
            y = pool.take(rows * hidden);
            norm::forward(d.norm, &block.post_mlp_norm, &raw, &mut y);
            saved.raw_mlp = raw;
        }
        add(&mut y, &middle);
        saved.middle = middle;
        saved.mlp_in = wide;
        y
    }

    /// From the gradient of the block's result, `[kept rows, hidden]`, to that of its input, `[rows, hidden]`. Adds to
    /// the adapter's flat gradient, and to `full` in full-parameter training. Without `need_dx` the result is empty.
    #[allow(clippy::too_many_arguments, clippy::too_many_lines)] // a block's backward, product by product in one order
    pub fn backward(
        &self,
        layer: usize,
        mut saved: Saved,
        mut dy: Vec<f32>,
        keep: Option<&[u32]>,
        need_dx: bool,
        mut adapter_sink: Option<&mut [f32]>,
        mut full: Option<&mut Block>,
        pool: &mut Pool,
    ) -> Vec<f32> {
        let (d, block, rows) = (self.d(), &self.decoder.blocks[layer], self.rows());
        let (hidden, wide) = (d.hidden, d.heads * d.head_dim);
        if saved.qkv.is_empty() {
            let (y, again) = self.forward(layer, std::mem::take(&mut saved.x), keep, true, pool);
            pool.give(y);
            saved = again;
        }
        let kept = keep.map_or(rows, <[u32]>::len);
        let kept_x = if keep.is_some() { &saved.kept_x } else { &saved.x };
        let kept_attended = if keep.is_some() { &saved.kept_attended } else { &saved.attended };
        macro_rules! sinks {
            ($product:expr) => {
                Sinks {
                    adapter: adapter_sink.as_deref_mut(),
                    fused: full.as_deref_mut().map(|block| block.product_mut($product)),
                }
            };
        }

        // The MLP.
        let mut act = pool.take(kept * d.intermediate);
        activation::forward(d.activation, d.gated_mlp, &saved.mlp_in, d.intermediate, &mut act);
        let mut d_act = pool.take(kept * d.intermediate);
        let through = self.through_norm(
            d.post_norms.then_some((&block.post_mlp_norm, saved.raw_mlp.as_slice())),
            &dy,
            full.as_deref_mut().map(|b| &mut b.post_mlp_norm),
            pool,
        );
        let dm = through.as_ref().unwrap_or(&dy);
        let adapted = self.adapted(layer, Product::Down, keep.is_some());
        linear::backward(
            &block.down,
            adapted,
            kept,
            &act,
            &saved.u[3],
            dm,
            Some(&mut d_act),
            sinks!(Product::Down),
            pool,
        );
        pool.give(act);
        pool.give(through.unwrap_or_default());
        activation::backward(d.activation, d.gated_mlp, &mut saved.mlp_in, d.intermediate, &d_act);
        pool.give(d_act);
        let normed = if d.parallel_residual { kept_x } else { &saved.middle };
        let mut h = pool.take(kept * hidden);
        norm::forward(d.norm, &block.mlp_norm, normed, &mut h);
        let mut dh = pool.take(kept * hidden);
        let adapted = self.adapted(layer, Product::MlpIn, keep.is_some());
        let d_in = &saved.mlp_in;
        linear::backward(
            &block.mlp_in,
            adapted,
            kept,
            &h,
            &saved.u[2],
            d_in,
            Some(&mut dh),
            sinks!(Product::MlpIn),
            pool,
        );
        if let Some(full) = full.as_deref_mut() {
            norm::backward_weights(d.norm, normed, &dh, &mut full.mlp_norm);
        }
        // `dy` becomes the gradient of the middle (in turn) or of the input by way of sum and MLP (parallel).
        let mut d_attention = None;
        if d.parallel_residual {
            let mut copy = pool.take(dy.len());
            copy.copy_from_slice(&dy);
            d_attention = Some(copy);
        }
        norm::backward(d.norm, &block.mlp_norm, normed, &dh, &mut dy);
        pool.give(h);
        pool.give(dh);

        // The attention's output.
        let da = d_attention.as_ref().unwrap_or(&dy);
        let through = self.through_norm(
            d.post_norms.then_some((&block.post_attention_norm, saved.raw_attention.as_slice())),
            da,
            full.as_deref_mut().map(|b| &mut b.post_attention_norm),
            pool,
        );
        let da = through.as_ref().unwrap_or(da);
        let mut d_attended = pool.take(kept * wide);
        let adapted = self.adapted(layer, Product::Output, keep.is_some());
        let (u, dx) = (&saved.u[1], Some(d_attended.as_mut_slice()));
        linear::backward(&block.output, adapted, kept, kept_attended, u, da, dx, sinks!(Product::Output), pool);
        pool.give(through.unwrap_or_default());
        pool.give(d_attention.unwrap_or_default());
        if let Some(keep) = keep {
            d_attended = scatter(d_attended, wide, keep, rows, pool);
            dy = scatter(dy, hidden, keep, rows, pool);
        }

        // Attention itself.
        let mut turned = Vec::new();
        if d.qk_norm {
            turned = pool.take(saved.qkv.len());
            turned.copy_from_slice(&saved.qkv);
            self.turn(layer, block, &mut turned);
        }
        let attended_from = if d.qk_norm { &turned } else { &saved.qkv };
        let mut d_qkv = pool.take(rows * d.qkv_rows());
        let shape = d.attention(layer);
        let started = Instant::now();
        attention::backward(shape, self.segments, attended_from, &saved.attended, &saved.lse, &d_attended, &mut d_qkv);
        self.attended_since(started);
        pool.give(turned);
        pool.give(d_attended);
        let turning = d.heads + d.kv_heads;
        rotary::apply(self.table_of(layer), self.positions, &mut d_qkv, d.qkv_rows(), turning, d.head_dim, true);
        if d.qk_norm {
            for (keys, scale) in [(false, &block.query_norm), (true, &block.key_norm)] {
                let sink = full.as_deref_mut().map(|b| if keys { &mut b.key_norm } else { &mut b.query_norm });
                let sink = sink.map(Vec::as_mut_slice);
                let heads = if keys { d.keys() } else { d.queries() };
                norm::heads_backward(heads, scale, d.norm.eps(), &saved.qkv, &mut d_qkv, sink);
            }
        }
        let mut h = pool.take(rows * hidden);
        norm::forward(d.norm, &block.attention_norm, &saved.x, &mut h);
        let mut dh = pool.take(if need_dx { rows * hidden } else { 0 });
        let dx = need_dx.then_some(dh.as_mut_slice());
        let adapted = self.adapted(layer, Product::Qkv, false);
        linear::backward(&block.qkv, adapted, rows, &h, &saved.u[0], &d_qkv, dx, sinks!(Product::Qkv), pool);
        pool.give(d_qkv);
        pool.give(h);
        if need_dx {
            if let Some(full) = full {
                norm::backward_weights(d.norm, &saved.x, &dh, &mut full.attention_norm);
            }
            norm::backward(d.norm, &block.attention_norm, &saved.x, &dh, &mut dy);
        }
        pool.give(dh);
        saved.free(pool);
        if need_dx {
            dy
        } else {
            pool.give(dy);
            Vec::new()
        }
    }

    /// The gradient before a norm on a branch's output, given that after it; `None` where there is no such norm.
    fn through_norm(
        &self,
        norm_of: Option<(&norm::NormWeights, &[f32])>,
        dy: &[f32],
        sink: Option<&mut norm::NormWeights>,
        pool: &mut Pool,
    ) -> Option<Vec<f32>> {
        let (weights, raw) = norm_of?;
        if let Some(sink) = sink {
            norm::backward_weights(self.d().norm, raw, dy, sink);
        }
        let mut dx = pool.zeros(dy.len());
        norm::backward(self.d().norm, weights, raw, dy, &mut dx);
        Some(dx)
    }
}

fn add(sum: &mut [f32], other: &[f32]) {
    use rayon::prelude::*;
    const CHUNK: usize = 16_384;
    sum.par_chunks_mut(CHUNK).zip(other.par_chunks(CHUNK)).for_each(|(a, b)| {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
    });
}

/// The named rows of `x`.
pub(super) fn gather(x: &[f32], width: usize, rows: &[u32], pool: &mut Pool) -> Vec<f32> {
    let mut out = pool.take(rows.len() * width);
    for (to, &row) in out.chunks_exact_mut(width).zip(rows) {
        to.copy_from_slice(&x[row as usize * width..(row as usize + 1) * width]);
    }
    out
}

/// Puts rows back to their places among `total`, zeros elsewhere.
fn scatter(x: Vec<f32>, width: usize, rows: &[u32], total: usize, pool: &mut Pool) -> Vec<f32> {
    let mut out = pool.zeros(total * width);
    for (from, &row) in x.chunks_exact(width).zip(rows) {
        out[row as usize * width..(row as usize + 1) * width].copy_from_slice(from);
    }
    pool.give(x);
    out
}
