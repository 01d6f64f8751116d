//! Training an adapter on a device: [`step`] once more, on [`Device`]s.
//!
//! The frozen weights lie there once, as bf16 or f32; the adapter's numbers, their gradient and AdamW's moments are f32 and stay
//! there as well, with a bf16 copy of the numbers for the products. A step sends token numbers over and leaves the loss and the
//! gradient's norm on the device, where those of several steps are read at once; nothing in between waits. Where memory does not
//! suffice for a pass, the step is begun again with passes of half the tokens, which changes nothing but the order of sums.
//!
//! Losses are weighed and added up in f64 and in a fixed order, and no kernel adds atomically, so that a run repeats itself.

use std::sync::Arc;
use std::time::Instant;

use crate::model::decoder::Decoder;
use crate::model::description::Description;
use crate::model::device::infer::Inference;
use crate::model::device::layers::{Layers, Saved, stretch};
use crate::model::device::ops::{self, Tiling};
use crate::model::device::pool::{Buffer, Pool};
use crate::model::device::tables::Tables;
use crate::model::device::weights::{Weights, floats, read, write};
use crate::model::device::{Device, DeviceError, Kind, Span, linear};
use crate::model::lora::Adapter;

use super::batch::{Packed, Row, packs, packs_of_losses};
use super::optimizer::{AdamW, Moments};
use super::step;

use block::Pass;

mod block;
mod memory;

#[cfg(test)]
mod tests;

pub use memory::Estimate;

/// The fewest tokens of a pass that a lack of memory is answered with.
const FEWEST: usize = 64;

/// Tokens of the passes that are tried next where ones of `tokens` tokens have no room and none is longer than `longest`: half as
/// many, or of what there is to halve. `None` where they are as short as they get.
#[must_use]
pub fn shorter(tokens: usize, longest: usize) -> Option<usize> {
    let now = tokens.min(longest);
    (now > FEWEST).then(|| (now / 2).max(FEWEST))
}

/// Steps whose losses are read at once, at most.
pub const AHEAD: usize = 8;

/// One step that is asked for.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    pub rows: Vec<&'a Row>,
    pub options: Options,
    pub update: Update,
}

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
    /// Seconds that asking for all of the step's work took; the rest was waiting.
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
    /// f64, `[AHEAD + 1, 2]`: each step's sum of losses, and that of the gradient's squares; an evaluation's come last.
    sums: Buffer,
    partial: Buffer,
    updates: u64,
}

/// A model, an adapter and an optimizer on a device.
pub struct Engine {
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
    /// Of each step asked for and not waited for yet the seconds that asking took.
    asked: Vec<f64>,
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
        let pool = Pool::new(device);
        let weights = Arc::new(Weights::upload(&pool, kind, decoder)?);
        let count = adapter.values.len();
        let trained = Trained {
            values: floats(&pool, &adapter.values)?,
            gradient: pool.keep(count, Kind::F32)?,
            first: floats(&pool, &moments.first)?,
            second: floats(&pool, &moments.second)?,
            working: if kind == Kind::F32 { None } else { Some(pool.keep(count, kind)?) },
            sums: pool.keep(2 * (AHEAD + 1), Kind::F64)?,
            partial: pool.keep(ops::PARTIALS, Kind::F64)?,
            updates: moments.updates,
        };
        if let Some(working) = &trained.working {
            write(&pool, working.span, &adapter.values)?;
        }
        let (description, adapter) = (decoder.description.clone(), adapter.clone());
        let (tables, most_tokens) = (None, usize::MAX);
        let (asked, notes) = (Vec::with_capacity(AHEAD), Vec::new());
        Ok(Self { pool, kind, description, weights, adapter, trained, tables, most_tokens, asked, notes })
    }

    /// Inference over the same weights and memory.
    #[must_use]
    pub fn inference(&self) -> Inference {
        Inference::over(self.pool.clone(), self.kind, &self.description, Arc::clone(&self.weights))
    }

    /// Tokens of a pass that memory was found to suffice for, where it did not for all that was asked.
    #[must_use]
    pub fn fitting(&self) -> Option<usize> {
        (self.most_tokens < usize::MAX).then_some(self.most_tokens)
    }

    /// Keeps to passes of so many tokens, as an engine before it had to: sums are then added up in the same order.
    pub fn keep_to(&mut self, tokens: usize) {
        self.most_tokens = tokens;
        self.notes.push(format!(
            "passes stay at {tokens} tokens, which is what the device had room for before; a new run begins with train.pass_tokens"
        ));
    }

    /// What a person should know, since this was last asked.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Memory of the device that is in use, by whomever, in MiB.
    #[must_use]
    pub fn used_mib(&self) -> Option<u64> {
        let memory = self.pool.device().memory().ok()?;
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
        let step = Step { rows: rows.to_vec(), options, update };
        self.steps(&[step]).map(|mut found| found.swap_remove(0))
    }

    /// Optimizer steps one after another, what they found being waited for once in [`AHEAD`] of them. A step whose loss or gradient is
    /// not finite changes nothing, and those behind it go on from there.
    ///
    /// # Errors
    /// When the device has no room for the shortest pass, or fails.
    pub fn steps(&mut self, steps: &[Step<'_>]) -> Result<Vec<Stepped>, DeviceError> {
        let mut found = Vec::with_capacity(steps.len());
        for some in steps.chunks(AHEAD) {
            self.asked.clear();
            for (slot, step) in some.iter().enumerate() {
                self.ask(slot, &step.rows, step.options, step.update)?;
            }
            found.extend(self.found()?);
        }
        Ok(found)
    }

    /// Asks for a step whose sums go to `slot`; waits for nothing.
    fn ask(&mut self, slot: usize, rows: &[&Row], options: Options, update: Update) -> Result<(), DeviceError> {
        let (started, sums) = (Instant::now(), self.sums_of(slot));
        self.with_room(options.pass_tokens, rows, |engine, tokens| {
            engine.pool.device().zero(engine.trained.gradient.span.at, engine.trained.gradient.span.bytes())?;
            engine.pool.device().zero(sums.at, sums.bytes())?;
            let weight: f64 = rows.iter().map(|row| row.weight()).sum();
            let scale = if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };
            let Options { dropout, recompute, .. } = options;
            for packed in packs(rows, tokens, options.share_prefix) {
                engine.pass(&packed, Some(step::Options { dropout, recompute, scale }), sums.part(0, 1))?;
            }
            Ok(())
        })?;
        self.update(update, sums)?;
        self.asked.push(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// The weighted sum of the losses of `rows` without dropout.
    ///
    /// # Errors
    /// See [`step`](Self::step).
    pub fn evaluate(&mut self, rows: &[&Row], pass_tokens: usize) -> Result<f64, DeviceError> {
        let sums = self.sums_of(AHEAD);
        self.with_room(pass_tokens, rows, |engine, tokens| {
            engine.pool.device().zero(sums.at, sums.bytes())?;
            for (_, packed) in packs_of_losses(rows, tokens) {
                engine.pass(&packed, None, sums.part(0, 1))?;
            }
            Ok(())
        })?;
        Ok(self.read_sums()?[AHEAD][0])
    }

    /// Does `work` over `rows` with passes of `tokens` tokens, or of half as many as often as it takes until they fit.
    fn with_room(
        &mut self,
        tokens: usize,
        rows: &[&Row],
        mut work: impl FnMut(&mut Self, usize) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        // Passes that are longer than all rows together change nothing.
        let all: usize = rows.iter().map(|row| row.tokens.len()).sum();
        loop {
            let now = tokens.min(self.most_tokens);
            let done = work(self, now);
            let Err(DeviceError::OutOfMemory { .. }) = done else { return done };
            let Some(next) = shorter(now, all) else { return done };
            self.pool.shed();
            self.most_tokens = next;
            self.notes.push(format!(
                "the device has no room for passes of {} tokens; going on with {next} (train.pass_tokens)",
                now.min(all)
            ));
        }
    }

    /// Where a step's sums lie.
    fn sums_of(&self, slot: usize) -> Span {
        self.trained.sums.span.part(2 * slot, 2)
    }

    /// Waits for all that was asked and reads every slot's sums.
    fn read_sums(&self) -> Result<[[f64; 2]; AHEAD + 1], DeviceError> {
        let mut bytes = [0; 16 * (AHEAD + 1)];
        self.pool.device().read(self.trained.sums.span.at, &mut bytes)?;
        let (pairs, _) = bytes.as_chunks::<16>();
        let number = |bytes: &[u8; 16], at: usize| f64::from_le_bytes(std::array::from_fn(|i| bytes[at * 8 + i]));
        Ok(std::array::from_fn(|slot| [number(&pairs[slot], 0), number(&pairs[slot], 1)]))
    }

    /// What the steps found that were asked for and not waited for yet.
    fn found(&mut self) -> Result<Vec<Stepped>, DeviceError> {
        let sums = self.read_sums()?;
        let found = sums.into_iter().zip(self.asked.drain(..));
        let found: Vec<_> =
            found.map(|([loss, squares], asked_s)| Stepped { loss, norm: squares.sqrt(), asked_s }).collect();
        let idle = found.iter().filter(|step| !step.loss.is_finite() || !step.norm.is_finite()).count();
        self.trained.updates -= idle as u64;
        Ok(found)
    }

    /// Asks for the update of a step whose sums lie at `sums`.
    fn update(&mut self, update: Update, sums: Span) -> Result<(), DeviceError> {
        let Trained { values, gradient, first, second, working, partial, updates, .. } = &mut self.trained;
        let (loss, squares) = (sums.part(0, 1), sums.part(1, 1));
        let device = self.pool.device();
        ops::squared_norm(device, gradient.span, partial.span, squares)?;
        let terms = update.adam.terms(update.rate, *updates + 1);
        let working = working.as_ref().map(|working| working.span);
        let (p, g, m, v) = (values.span, gradient.span, first.span, second.span);
        ops::adamw(device, terms, update.clip as f32, squares, loss, p, g, m, v, working)?;
        *updates += 1;
        Ok(())
    }

    /// Asks for a pass over a pack: the losses' weighted sum is added to `sum` and, in training, the gradient to the adapter's.
    fn pass(&mut self, packed: &Packed, train: Option<step::Options>, sum: Span) -> Result<(), DeviceError> {
        let count = packed.predicting.len();
        if count == 0 {
            return Ok(());
        }
        let tables = Tables::covering(self.tables.take(), &self.pool, &self.description, packed.length())?;
        let tables: &Tables = self.tables.insert(tables);
        let (pool, description) = (&self.pool, &self.description);
        let step::Options { dropout, recompute, scale } =
            train.unwrap_or(step::Options { scale: 1.0, ..step::Options::default() });
        let tiling = Tiling::new(&packed.segments);
        let sent = Sent::new(pool, packed, scale, &tiling.words)?;
        let working = self.trained.working.as_ref().unwrap_or(&self.trained.values).span;
        let weights: &Weights = &self.weights;
        let (positions, keep) = (sent.positions, sent.predicting);
        let layers = Layers { pool, kind: self.kind, weights, description, tables, positions, keep };
        let adapter = Some((&self.adapter, working));
        let pass = Pass { layers, adapter, tiling: &tiling, words: sent.tiling, dropout, draws: sent.draws };

        let mut x = layers.embed(sent.tokens)?;
        let last = weights.layers.len().saturating_sub(1);
        let mut kept: Vec<Saved> = Vec::with_capacity(last + 1);
        for layer in 0..=last {
            let (Some(y), saved) = layers.forward(&pass, layer, x, train.is_some() && !recompute)? else {
                return Ok(());
            };
            if train.is_some() {
                kept.push(saved);
            }
            x = y;
        }
        let Some(mut dy) = head(layers, &x, &sent, sum, train.is_some())? else { return Ok(()) };
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
}

/// Last norm, head and loss of the rows `x` that predict, added to `sum`; the gradient of `x` where asked.
fn head(layers: Layers<'_>, x: &Buffer, sent: &Sent, sum: Span, back: bool) -> Result<Option<Buffer>, DeviceError> {
    let Layers { pool, kind, weights, description: d, .. } = layers;
    let (device, count, hidden, vocab) = (pool.device(), sent.targets.len, d.hidden, d.vocab);
    let losses = pool.take(count, Kind::F32)?;
    let dh = if back { Some(pool.take(count * hidden, kind)?) } else { None };
    let gradient = if back { Some(pool.take(stretch(d, count) * vocab, kind)?) } else { None };
    layers.head(x.span, |first, rows, logits| {
        let n = rows.len / hidden;
        let gradient = gradient.as_ref().map(|g| g.span.part(0, n * vocab));
        let (targets, scaled) = (sent.targets.part(first, n), sent.scaled.part(first, n));
        ops::cross_entropy(device, kind, logits, targets, scaled, losses.span.part(first, n), gradient)?;
        if let (Some(dh), Some(gradient)) = (&dh, gradient) {
            let dh = dh.span.part(first * hidden, n * hidden);
            linear::back(device, weights.head(), [n, hidden, vocab], gradient, dh)?;
        }
        Ok(())
    })?;
    ops::weigh_losses(device, losses.span, sent.weights, sum)?;
    let Some(dh) = dh else { return Ok(None) };
    let dy = pool.zeros(count * hidden, kind)?;
    ops::norm_backward(device, kind, d.norm, weights.final_norm.spans(), x.span, dh.span, dy.span)?;
    Ok(Some(dy))
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
    /// Keys of dropout's masks: of all rows, and of those that predict.
    draws: [Span; 2],
    _words: Buffer,
}

impl Sent {
    fn new(pool: &Pool, packed: &Packed, scale: f32, tiling: &[u32]) -> Result<Self, DeviceError> {
        let weights: Vec<u32> = packed.weights.iter().map(|w| w.to_bits()).collect();
        let scaled: Vec<u32> = packed.weights.iter().map(|w| (w * scale).to_bits()).collect();
        let Packed { tokens, positions, predicting, targets, draws, .. } = packed;
        let kept = packed.predicting_draws();
        let parts: [&[u32]; 9] = [tokens, positions, predicting, targets, &weights, &scaled, tiling, draws, &kept];
        let (words, mut spans) = pool.send(parts)?;
        for span in &mut spans[4..6] {
            span.kind = Kind::F32;
        }
        let [tokens, positions, predicting, targets, weights, scaled, tiling, draws, kept] = spans;
        let draws = [draws, kept];
        Ok(Self { tokens, positions, predicting, targets, weights, scaled, tiling, draws, _words: words })
    }
}
