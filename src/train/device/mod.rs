//! Training an adapter on a device: [`step`] once more, on [`Device`]s.
//!
//! The frozen weights lie there once, as bf16 or f32; the adapter's numbers, their gradient and AdamW's moments are f32 and stay
//! there as well, with a bf16 copy of the numbers for the products. A step sends token numbers over and asks for the loss and
//! the gradient's norm at its end; nothing in between waits. Where memory does not suffice for a pass, the step is begun again
//! with passes of half the tokens, which changes nothing but the order of sums.
//!
//! Losses are weighed and added up in f64 and in a fixed order, and no kernel adds atomically, so that a run repeats itself.

use std::sync::Arc;
use std::time::Instant;

use crate::model::decoder::Decoder;
use crate::model::description::Description;
use crate::model::device::infer::Inference;
use crate::model::device::ops::{self, AdamUpdate, Tiling};
use crate::model::device::pool::{Buffer, Pool};
use crate::model::device::tables::Tables;
use crate::model::device::weights::{Weights, floats, read, write};
use crate::model::device::{Device, DeviceError, Kind, Span, linear};
use crate::model::lora::Adapter;

use super::batch::{Packed, Row, micro_batches};
use super::optimizer::{AdamW, Moments, Terms};
use super::step;

use block::{Pass, Saved};

mod block;
mod memory;

#[cfg(test)]
mod tests;

pub use memory::Estimate;

/// Logits held at once, in numbers (128 MiB in f32, and their gradients beside them).
const HELD: usize = 32 << 20;

/// The fewest tokens of a pass that a lack of memory is answered with.
const FEWEST: usize = 64;

/// What a step needs to know besides its rows.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Tokens of a pass, at most (a longer row stands alone).
    pub pass_tokens: usize,
    /// Compute a shared beginning of rows once a pass.
    pub share_prefix: bool,
    /// Keep only each block's input and run its forward again in the backward.
    pub recompute: bool,
    /// Probability of the adapter's dropout, the run's seed and the step's number.
    pub dropout: Option<(f32, [u64; 2])>,
}

/// The terms of one update.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    pub adam: AdamW,
    pub rate: f64,
    /// Largest norm of the gradient; 0 for no limit.
    pub clip: f64,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepped {
    /// Weighted sum of the losses in nats.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub norm: f64,
    /// Seconds until all of the step's work had been asked for; the rest was waiting.
    pub asked_s: f64,
}

/// The adapter and its optimizer on the device.
struct Trained {
    /// All f32, flat as [`Adapter::values`].
    values: Buffer,
    gradient: Buffer,
    first: Buffer,
    second: Buffer,
    /// The numbers in the kind of the activations, where that is not f32.
    working: Option<Buffer>,
    /// f64: the sum of losses, and that of the gradient's squares.
    sums: Buffer,
    partial: Buffer,
    updates: u64,
}

/// A model, an adapter and an optimizer on a device.
pub struct Engine {
    device: Arc<dyn Device>,
    pool: Pool,
    kind: Kind,
    description: Description,
    weights: Arc<Weights>,
    /// The adapter's layout; its numbers are as they were when last asked for.
    adapter: Adapter,
    trained: Trained,
    tables: Option<Tables>,
    /// Tokens of a pass that memory has been found to suffice for.
    most_tokens: usize,
    notes: Vec<String>,
}

impl Engine {
    /// Copies a decoder and an adapter to the device, weights and activations as `kind`.
    ///
    /// # Errors
    /// When the device has no room for them, or fails.
    pub fn new(
        device: Arc<dyn Device>,
        kind: Kind,
        decoder: &Decoder,
        adapter: &Adapter,
        moments: &Moments,
    ) -> Result<Self, DeviceError> {
        let pool = Pool::new(Arc::clone(&device));
        let weights = Arc::new(Weights::upload(&pool, kind, decoder)?);
        let count = adapter.values.len();
        let trained = Trained {
            values: floats(&pool, &adapter.values)?,
            gradient: pool.keep(count, Kind::F32)?,
            first: floats(&pool, &moments.first)?,
            second: floats(&pool, &moments.second)?,
            working: if kind == Kind::F32 { None } else { Some(pool.keep(count, kind)?) },
            sums: pool.keep(2, Kind::F64)?,
            partial: pool.keep(ops::PARTIALS, Kind::F64)?,
            updates: moments.updates,
        };
        if let Some(working) = &trained.working {
            write(&pool, working.span, &adapter.values)?;
        }
        let (description, adapter) = (decoder.description.clone(), adapter.clone());
        let (tables, most_tokens, notes) = (None, usize::MAX, Vec::new());
        Ok(Self { device, pool, kind, description, weights, adapter, trained, tables, most_tokens, notes })
    }

    /// Inference over the same weights and memory.
    #[must_use]
    pub fn inference(&self) -> Inference {
        let (device, weights) = (Arc::clone(&self.device), Arc::clone(&self.weights));
        Inference::over(device, self.pool.clone(), self.kind, &self.description, weights)
    }

    /// What a person should know, since this was last asked.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Memory of the device that is in use, by whomever, in MiB.
    #[must_use]
    pub fn used_mib(&self) -> Option<u64> {
        let memory = self.device.memory().ok()?;
        Some(memory.total.saturating_sub(memory.free) >> 20)
    }

    /// Brings the adapter's numbers and the optimizer's moments back.
    ///
    /// # Errors
    /// When the device fails.
    pub fn fetch(&self, adapter: &mut Adapter, moments: &mut Moments) -> Result<(), DeviceError> {
        read(&self.pool, self.trained.values.span, &mut adapter.values)?;
        read(&self.pool, self.trained.first.span, &mut moments.first)?;
        read(&self.pool, self.trained.second.span, &mut moments.second)?;
        moments.updates = self.trained.updates;
        Ok(())
    }

    /// One optimizer step over `rows`. Where the loss or the gradient is not finite, nothing is changed.
    ///
    /// # Errors
    /// When the device has no room for the shortest pass, or fails.
    pub fn step(&mut self, rows: &[&Row], options: Options, update: Update) -> Result<Stepped, DeviceError> {
        let started = Instant::now();
        self.with_room(options.pass_tokens, |engine, tokens| {
            engine.device.zero(engine.trained.gradient.span.at, engine.trained.gradient.span.bytes())?;
            engine.device.zero(engine.trained.sums.span.at, engine.trained.sums.span.bytes())?;
            let weight: f64 = rows.iter().map(|row| row.weight()).sum();
            let scale = if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };
            for (i, rows) in micro_batches(rows, tokens).iter().enumerate() {
                let packed = Packed::new(rows, options.share_prefix);
                let dropout = options.dropout.map(|(p, [seed, step])| (p, [seed, step, i as u64]));
                engine.pass(&packed, Some(step::Options { dropout, recompute: options.recompute, scale }))?;
            }
            Ok(())
        })?;
        self.update(update, started)
    }

    /// The weighted sum of the losses of `rows` without dropout.
    ///
    /// # Errors
    /// See [`step`](Self::step).
    pub fn evaluate(&mut self, rows: &[&Row], pass_tokens: usize) -> Result<f64, DeviceError> {
        self.with_room(pass_tokens, |engine, tokens| {
            engine.device.zero(engine.trained.sums.span.at, engine.trained.sums.span.bytes())?;
            for rows in micro_batches(rows, tokens) {
                engine.pass(&Packed::new(&rows, true), None)?;
            }
            Ok(())
        })?;
        Ok(self.sums()?[0])
    }

    /// Does `work` with passes of `tokens` tokens, or of half as many as often as it takes until they fit.
    fn with_room(
        &mut self,
        tokens: usize,
        mut work: impl FnMut(&mut Self, usize) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        loop {
            let now = tokens.min(self.most_tokens);
            match work(self, now) {
                Err(DeviceError::OutOfMemory { .. }) if now > FEWEST => {
                    self.pool.shed();
                    self.most_tokens = (now / 2).max(FEWEST);
                    self.notes.push(format!(
                        "the device has no room for passes of {now} tokens; going on with {} (train.pass_tokens)",
                        self.most_tokens
                    ));
                }
                other => return other,
            }
        }
    }

    fn sums(&self) -> Result<[f64; 2], DeviceError> {
        let mut bytes = [0; 16];
        self.device.read(self.trained.sums.span.at, &mut bytes)?;
        let (numbers, _) = bytes.as_chunks::<8>();
        Ok([f64::from_le_bytes(numbers[0]), f64::from_le_bytes(numbers[1])])
    }

    fn update(&mut self, update: Update, started: Instant) -> Result<Stepped, DeviceError> {
        let Trained { values, gradient, first, second, working, sums, partial, updates } = &mut self.trained;
        let (loss, squares) = (sums.span.part(0, 1), sums.span.part(1, 1));
        let device = self.device.as_ref();
        ops::squared_norm(device, gradient.span, partial.span, squares)?;
        let Terms { beta1, beta2, eps, keep, rate, root } = update.adam.terms(update.rate, *updates + 1);
        let terms = AdamUpdate { beta1, beta2, eps, keep, rate, root, clip: update.clip as f32 };
        let working = working.as_ref().map(|working| working.span);
        let (p, g, m, v) = (values.span, gradient.span, first.span, second.span);
        ops::adamw(device, terms, squares, loss, p, g, m, v, working)?;
        let asked_s = started.elapsed().as_secs_f64();
        let [loss, squares] = self.sums()?;
        if loss.is_finite() && squares.is_finite() {
            self.trained.updates += 1;
        }
        Ok(Stepped { loss, norm: squares.sqrt(), asked_s })
    }

    /// Asks for a pass over a pack: the losses' weighted sum is added to the first of the sums and, in training, the gradient to
    /// the adapter's.
    fn pass(&mut self, packed: &Packed, train: Option<step::Options>) -> Result<(), DeviceError> {
        let count = packed.predicting.len();
        if count == 0 {
            return Ok(());
        }
        let tables = Tables::covering(self.tables.take(), &self.pool, &self.description, packed.length())?;
        let tables = self.tables.insert(tables);
        let (device, kind, pool, d) = (self.device.as_ref(), self.kind, &self.pool, &self.description);
        let step::Options { dropout, recompute, scale } =
            train.unwrap_or(step::Options { scale: 1.0, ..step::Options::default() });
        let tiling = Tiling::new(&packed.segments);
        let sent = Sent::new(pool, packed, scale, &tiling.words)?;
        let working = self.trained.working.as_ref().unwrap_or(&self.trained.values).span;
        let rows = packed.tokens.len();
        let pass = Pass {
            pool,
            kind,
            weights: &self.weights,
            description: d,
            adapter: Some((&self.adapter, working)),
            rows,
            positions: sent.positions,
            tiling: &tiling,
            words: sent.tiling,
            table: tables.global(),
            local_table: tables.local(),
            keep: sent.predicting,
            dropout,
        };

        let mut x = pool.take(rows * d.hidden, kind)?;
        ops::embed(device, kind, self.weights.embedding.span, d.hidden, sent.tokens, d.embedding_scale, x.span)?;
        let last = self.weights.layers.len().saturating_sub(1);
        let mut kept: Vec<Saved> = Vec::with_capacity(last + 1);
        for layer in 0..=last {
            let (y, saved) = pass.forward(layer, x, layer == last, train.is_some() && !recompute)?;
            if train.is_some() {
                kept.push(saved);
            }
            x = y;
        }
        let Some(mut dy) = self.head(&x, &sent, train.is_some())? else { return Ok(()) };
        drop(x);
        for layer in (0..=last).rev() {
            let Some(saved) = kept.pop() else { break };
            let gradient = self.trained.gradient.span;
            match pass.backward(layer, saved, dy, layer == last, layer > 0, gradient)? {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        Ok(())
    }

    /// Last norm, head and loss of the rows `x` that predict, a stretch of rows at a time; the gradient of `x` where asked.
    fn head(&self, x: &Buffer, sent: &Sent, back: bool) -> Result<Option<Buffer>, DeviceError> {
        let (device, kind, pool, d) = (self.device.as_ref(), self.kind, &self.pool, &self.description);
        let (count, hidden, vocab) = (sent.targets.len, d.hidden, d.vocab);
        let (norm, head) = (self.weights.final_norm.spans(), self.weights.head());
        let h = pool.take(count * hidden, kind)?;
        ops::norm(device, kind, d.norm, norm, x.span, h.span)?;
        let losses = pool.take(count, Kind::F32)?;
        let dh = if back { Some(pool.take(count * hidden, kind)?) } else { None };
        let most = (HELD / vocab.max(1)).clamp(16, 4096).min(count);
        let logits = pool.take(most * vocab, Kind::F32)?;
        let gradient = if back { Some(pool.take(most * vocab, kind)?) } else { None };
        for first in (0..count).step_by(most) {
            let n = most.min(count - first);
            let part = |span: Span| span.part(first * hidden, n * hidden);
            let logits = logits.span.part(0, n * vocab);
            linear::through(device, head, [n, hidden, vocab], part(h.span), logits)?;
            let gradient = gradient.as_ref().map(|g| g.span.part(0, n * vocab));
            let (targets, weights) = (sent.targets.part(first, n), sent.scaled.part(first, n));
            ops::cross_entropy(device, kind, logits, targets, weights, losses.span.part(first, n), gradient)?;
            if let (Some(dh), Some(gradient)) = (&dh, gradient) {
                linear::back(device, head, [n, hidden, vocab], gradient, part(dh.span))?;
            }
        }
        ops::weigh_losses(device, losses.span, sent.weights, self.trained.sums.span.part(0, 1))?;
        let Some(dh) = dh else { return Ok(None) };
        let dy = pool.zeros(count * hidden, kind)?;
        ops::norm_backward(device, kind, d.norm, norm, x.span, dh.span, dy.span)?;
        Ok(Some(dy))
    }
}

/// What a pass reads besides weights, in one stretch of memory that is sent at once.
struct Sent {
    tokens: Span,
    positions: Span,
    predicting: Span,
    targets: Span,
    /// The losses' weights, and those times the step's scale.
    weights: Span,
    scaled: Span,
    tiling: Span,
    _words: Buffer,
}

impl Sent {
    fn new(pool: &Pool, packed: &Packed, scale: f32, tiling: &[u32]) -> Result<Self, DeviceError> {
        let weights: Vec<u32> = packed.weights.iter().map(|w| w.to_bits()).collect();
        let scaled: Vec<u32> = packed.weights.iter().map(|w| (w * scale).to_bits()).collect();
        let parts: [&[u32]; 7] =
            [&packed.tokens, &packed.positions, &packed.predicting, &packed.targets, &weights, &scaled, tiling];
        let buffer = pool.take(parts.iter().map(|part| part.len()).sum(), Kind::U32)?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().flat_map(|word| word.to_le_bytes())).collect();
        pool.device().write(buffer.span.at, &bytes)?;
        let mut first = 0;
        let mut spans = parts.map(|part| {
            let span = buffer.span.part(first, part.len());
            first += part.len();
            span
        });
        for span in &mut spans[4..6] {
            span.kind = Kind::F32;
        }
        let [tokens, positions, predicting, targets, weights, scaled, tiling] = spans;
        Ok(Self { tokens, positions, predicting, targets, weights, scaled, tiling, _words: buffer })
    }
}
