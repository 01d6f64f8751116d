//! Loss and gradients of one packed batch, and the loss alone.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::model::decoder::Decoder;
use crate::model::lora::Adapter;
use crate::model::ops::linear_ce::{self, Targets, linear_cross_entropy};
use crate::model::ops::norm;
use crate::model::ops::pool::Pool;
use crate::model::ops::rotary::Table;

use super::batch::Packed;
use super::block::{Pass, Saved, gather};

/// What a step may vary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Probability and key (seed, step) of the adapters' dropout.
    pub dropout: Option<(f32, [u64; 2])>,
    /// Keep only each block's input and run its forward again in the backward: less memory, about a third more time.
    pub recompute: bool,
    /// Factor on every weight: one over the step's total, so that gradients of several packs add up to the mean's.
    pub scale: f32,
}

/// What a pass over a pack found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// Negative log-likelihood of each predicted token in nats, unweighted, in the pack's order.
    pub each: Vec<f32>,
}

impl Losses {
    /// The weighted sum in nats, added up in order in `f64`.
    #[must_use]
    pub fn sum(&self, packed: &Packed) -> f64 {
        self.each.iter().zip(&packed.weights).map(|(&l, &w)| f64::from(l) * f64::from(w)).sum()
    }
}

/// Where a step's gradients are added.
pub enum Sink<'a> {
    /// The adapter's flat gradient, laid out as [`Adapter::values`].
    Adapter(&'a mut [f32]),
    /// All of the decoder's weights.
    Full(&'a mut Decoder),
}

/// Seconds spent since they were last taken, by what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Blocks forward, attention included.
    pub forward: f64,
    /// Head and loss, forward and backward.
    pub head: f64,
    /// Blocks backward, attention included.
    pub backward: f64,
    /// Attention, forward and backward.
    pub attention: f64,
}

/// Buffers and tables that live as long as a run.
#[derive(Default)]
pub struct Engine {
    phases: Phases,
    pool: Pool,
    logits: Vec<f32>,
    losses: Losses,
    /// What blocks keep for their backward; empty between passes.
    kept: Vec<Saved>,
    table: Option<Table>,
    local_table: Option<Table>,
}

impl Engine {
    /// An engine that has run nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The seconds spent since this was last asked.
    pub fn take_phases(&mut self) -> Phases {
        std::mem::take(&mut self.phases)
    }

    fn prepare(&mut self, decoder: &Decoder, packed: &Packed) {
        let length = packed.length();
        if self.table.as_ref().is_none_or(|t| t.len() < length) {
            let room = length.next_power_of_two();
            self.table = Some(Table::new(&decoder.description.rotary, room));
            self.local_table = decoder.description.local_rotary.map(|rotary| Table::new(&rotary, room));
        }
    }

    /// Losses of a pack without gradients or dropout.
    pub fn evaluate(&mut self, decoder: &Decoder, adapter: Option<&Adapter>, packed: &Packed) -> &Losses {
        self.run(decoder, adapter, packed, Options { scale: 1.0, ..Options::default() }, None)
    }

    /// Losses of a pack; the gradient of `options.scale * sum_i w_i * loss_i` is added to `sink`.
    pub fn step(
        &mut self,
        decoder: &Decoder,
        adapter: Option<&Adapter>,
        packed: &Packed,
        options: Options,
        sink: Sink<'_>,
    ) -> &Losses {
        self.run(decoder, adapter, packed, options, Some(sink))
    }

    fn run(
        &mut self,
        decoder: &Decoder,
        adapter: Option<&Adapter>,
        packed: &Packed,
        options: Options,
        sink: Option<Sink<'_>>,
    ) -> &Losses {
        self.losses.each.clear();
        self.losses.each.resize(packed.predicting.len(), 0.0);
        if !packed.predicting.is_empty() {
            // On a thread of the pool, so that each of the thousands of products need not be handed over to it.
            rayon::scope(|_| self.run_here(decoder, adapter, packed, options, sink));
        }
        &self.losses
    }

    fn run_here(
        &mut self,
        decoder: &Decoder,
        adapter: Option<&Adapter>,
        packed: &Packed,
        options: Options,
        mut sink: Option<Sink<'_>>,
    ) {
        let count = packed.predicting.len();
        self.prepare(decoder, packed);
        let Self { phases, pool, logits, losses, kept, table, local_table } = self;
        let Some(table) = table.as_ref() else { return };
        let d = &decoder.description;
        let hidden = d.hidden;
        let tables = (table, local_table.as_ref());
        let pass = Pass::of(decoder, adapter, packed, tables, options.dropout);

        let started = Instant::now();
        let mut x = pool.take(packed.tokens.len() * hidden);
        embed(decoder, &packed.tokens, &mut x);
        let last = decoder.blocks.len() - 1;
        let keep = |layer| (layer == last).then_some(packed.predicting.as_slice());
        for layer in 0..=last {
            let save = sink.is_some() && !options.recompute;
            let (y, saved) = pass.forward(layer, x, keep(layer), save, pool);
            if sink.is_some() {
                kept.push(saved);
            } else {
                saved.free(pool);
            }
            x = y;
        }

        phases.forward += started.elapsed().as_secs_f64();
        let started = Instant::now();
        let mut h = pool.take(count * hidden);
        norm::forward(d.norm, &decoder.final_norm, &x, &mut h);
        let mut weights = pool.take(count);
        for (weight, own) in weights.iter_mut().zip(&packed.weights) {
            *weight = own * options.scale;
        }
        let targets = Targets { tokens: &packed.targets, weights: &weights };
        let Some(sink) = &mut sink else {
            linear_cross_entropy(&h, decoder.head(), targets, &mut losses.each, None, logits, pool);
            pool.give(x);
            pool.give(h);
            pool.give(weights);
            phases.head += started.elapsed().as_secs_f64();
            phases.attention += pass.attention_seconds.get();
            return;
        };
        let (mut adapter_sink, mut full) = match sink {
            Sink::Adapter(values) => (Some(&mut **values), None),
            Sink::Full(decoder) => (None, Some(&mut **decoder)),
        };
        let mut dh = pool.take(count * hidden);
        let head_sink =
            full.as_deref_mut().map(|f| if d.tied { f.embedding.values_mut() } else { f.head.values_mut() });
        let gradients = linear_ce::Gradients { hidden: &mut dh, head: head_sink };
        linear_cross_entropy(&h, decoder.head(), targets, &mut losses.each, Some(gradients), logits, pool);
        pool.give(h);
        pool.give(weights);
        if let Some(full) = full.as_deref_mut() {
            norm::backward_weights(d.norm, &x, &dh, &mut full.final_norm);
        }
        let mut dy = pool.zeros(count * hidden);
        norm::backward(d.norm, &decoder.final_norm, &x, &dh, &mut dy);
        pool.give(dh);
        pool.give(x);
        phases.head += started.elapsed().as_secs_f64();
        let started = Instant::now();
        for layer in (0..=last).rev() {
            let Some(saved) = kept.pop() else { break };
            let need_dx = layer > 0 || full.is_some();
            let block = full.as_deref_mut().map(|f| &mut f.blocks[layer]);
            dy = pass.backward(layer, saved, dy, keep(layer), need_dx, adapter_sink.as_deref_mut(), block, pool);
        }
        if let Some(full) = full {
            for (&token, d_row) in packed.tokens.iter().zip(dy.chunks_exact(hidden)) {
                let row = &mut full.embedding.values_mut()[token as usize * hidden..(token as usize + 1) * hidden];
                for (sum, g) in row.iter_mut().zip(d_row) {
                    *sum += g * d.embedding_scale;
                }
            }
        }
        pool.give(dy);
        phases.backward += started.elapsed().as_secs_f64();
        phases.attention += pass.attention_seconds.get();
    }

    /// Final hidden states (after the last norm) of the pack's predicting rows, `[predicting, hidden]`: what tests
    /// compare logits through.
    #[must_use]
    pub fn hidden(&mut self, decoder: &Decoder, adapter: Option<&Adapter>, packed: &Packed) -> Vec<f32> {
        self.prepare(decoder, packed);
        let Self { pool, table, local_table, .. } = self;
        let Some(table) = table.as_ref() else { return Vec::new() };
        let d = &decoder.description;
        let pass = Pass::of(decoder, adapter, packed, (table, local_table.as_ref()), None);
        let mut x = pool.take(packed.tokens.len() * d.hidden);
        embed(decoder, &packed.tokens, &mut x);
        for layer in 0..decoder.blocks.len() {
            let (y, saved) = pass.forward(layer, x, None, false, pool);
            saved.free(pool);
            x = y;
        }
        let rows = gather(&x, d.hidden, &packed.predicting, pool);
        let mut h = vec![0f32; rows.len()];
        norm::forward(d.norm, &decoder.final_norm, &rows, &mut h);
        h
    }
}

/// Rows of the embedding table, scaled as the family wants.
fn embed(decoder: &Decoder, tokens: &[u32], x: &mut [f32]) {
    let (hidden, scale) = (decoder.description.hidden, decoder.description.embedding_scale);
    for (row, &token) in x.chunks_exact_mut(hidden).zip(tokens) {
        decoder.embedding.row(token as usize, row);
        for x in row.iter_mut() {
            *x *= scale;
        }
    }
}
