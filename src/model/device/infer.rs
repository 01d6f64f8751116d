//! Inference on a device: what [`Inference`](crate::model::infer::Inference) is on the processor, over the same requests.
//!
//! Each layer keeps what attention has seen in one stretch of memory, an *arena*: rows of q|k|v, turned by rotary already, of which
//! every text has a stretch of its own. New tokens are put behind those that their text has, and the kernels of training read
//! them on ([`Tiling::reading_on`]); what a tile of queries holds besides new tokens sees nothing. So answers need no kernel
//! of their own. The queries that lie in the arena with the keys are the price: the arena takes three times what keys and values
//! alone would where each head has keys of its own, more where heads share them.
//!
//! All new tokens go through each matrix together; what an adapter adds is computed for its texts alone, which lie behind one
//! another in a pass. Logits come back as f32. Unlike the processor's, a token's numbers may differ in their last bits with the rows
//! beside it: libraries choose a product's order of sums by its shape.

mod arena;

use std::cell::{RefCell, RefMut};
use std::sync::Arc;

use super::layers::{Layers, Work};
use super::linear::{self, Adapted};
use super::ops::{self, Tiling};
use super::pool::{Buffer, Pool};
use super::tables::Tables;
use super::weights::{Weights, floats, read, write};
use super::{Device, DeviceError, Kind, Span};
use crate::model::decoder::{Decoder, Product};
use crate::model::description::Description;
use crate::model::infer::{Cache, Infer, InferError, Part, Turn, Want, check, parts};
use crate::model::lora::Adapter;
use crate::model::ops::attention::Segment;
use arena::Arena;

/// Tokens that go through the decoder together at most.
const CHUNK: usize = 4096;
/// Tokens of an answer that room is made for at once: as many as answers have unless more are asked for. A device's memory is taken
/// whether it is written or not.
const AHEAD: usize = 256;

/// An adapter's numbers on the device, while requests use it.
struct Sent {
    /// Where the adapter itself lies: by that it is known, as long as requests hold on to it.
    of: usize,
    values: Buffer,
}

pub use arena::Place;

/// A decoder on a device, for those who answer with it one after another.
pub type OnDevice = RefCell<Inference>;

/// A decoder on a device, ready to infer.
pub struct Inference {
    pool: Pool,
    kind: Kind,
    description: Description,
    weights: Arc<Weights>,
    tables: Option<Tables>,
    adapters: Vec<Sent>,
    arena: Arena,
}

/// The rows of a pass that one adapter works on.
struct Group {
    /// Among those on the device; `None` for the base alone.
    adapter: Option<usize>,
    first: usize,
    len: usize,
}

/// What the layers of a pass share besides what training's do.
struct Pass<'a> {
    groups: Vec<Group>,
    adapters: Vec<Option<&'a Adapter>>,
    positions: Span,
    /// Where in the arena each row's token lies; none where the rows are whole texts that nobody reads on.
    places: Option<Span>,
    tiling: Tiling,
    words: Span,
    /// Rows that go on behind the last layer's keys and values, and their adapters.
    keep: Span,
    kept_groups: Vec<Group>,
    kept_adapters: Vec<Option<&'a Adapter>>,
}

/// Whole texts behind one another, as training packs them.
#[derive(Clone, Copy)]
pub struct Pack<'a> {
    pub tokens: &'a [u32],
    /// Position of each token in its text.
    pub positions: &'a [u32],
    pub segments: &'a [Segment],
    /// Rows behind which a token is predicted, and which.
    pub predicting: &'a [u32],
    pub targets: &'a [u32],
}

impl Inference {
    /// Copies a decoder to the device, weights and activations as `kind`.
    ///
    /// # Errors
    /// When the device has no room for it, or fails.
    pub fn new(device: Arc<dyn Device>, kind: Kind, decoder: &Decoder) -> Result<Self, DeviceError> {
        let pool = Pool::new(device);
        let weights = Arc::new(Weights::upload(&pool, kind, decoder)?);
        Ok(Self::over(pool, kind, &decoder.description, weights))
    }

    /// Over weights that lie on a device already, in the kind of its activations.
    #[must_use]
    pub fn over(pool: Pool, kind: Kind, description: &Description, weights: Arc<Weights>) -> Self {
        let arena = Arena::new(pool.clone(), kind, description);
        let description = description.clone();
        Self { pool, kind, description, weights, tables: None, adapters: Vec::new(), arena }
    }

    /// The number of an adapter among those on the device.
    fn adapter(&mut self, adapter: &Adapter) -> Result<usize, DeviceError> {
        let of = std::ptr::from_ref(adapter).addr();
        if let Some(at) = self.adapters.iter().position(|sent| sent.of == of) {
            return Ok(at);
        }
        let values = if self.kind == Kind::F32 {
            floats(&self.pool, &adapter.values)?
        } else {
            let values = self.pool.keep(adapter.values.len(), self.kind)?;
            write(&self.pool, values.span, &adapter.values)?;
            values
        };
        self.adapters.push(Sent { of, values });
        Ok(self.adapters.len() - 1)
    }

    fn run(&mut self, rows: &mut [Turn<'_>], want: Want) -> Result<Vec<f32>, DeviceError> {
        let d = &self.description;
        let (vocab, mut longest) = (d.vocab, 0);
        for row in rows.iter_mut() {
            let Cache::Device(place) = &mut *row.cache else { continue };
            let all = place.len + row.tokens.len();
            longest = longest.max(all);
            if all > place.room {
                // Half as much again, so that a text that grows by a token is not copied at each.
                *place = self.arena.copied(place, place.len, all + all / 2)?;
            }
        }
        self.tables = Some(Tables::covering(self.tables.take(), &self.pool, &self.description, longest)?);
        let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
        let mut logits = match want {
            Want::Nothing => Vec::new(),
            Want::Last => vec![0.0; rows.len() * vocab],
            Want::All => vec![0.0; lengths.iter().sum::<usize>() * vocab],
        };
        let mut done = 0;
        for mut stretch in parts(&lengths, CHUNK) {
            // The parts whose last so many tokens' logits are wanted, once for each of them.
            let mut wanted: Vec<(usize, usize)> = Vec::new();
            for (i, part) in stretch.iter().enumerate() {
                let count = match want {
                    Want::Nothing => 0,
                    Want::All => part.len,
                    Want::Last => usize::from(part.from + part.len == lengths[part.row]),
                };
                wanted.extend((0..count).map(|_| (i, count)));
            }
            let found = self.pass(rows, &mut stretch, &wanted)?;
            let filled = done + found.len();
            if let Some(room) = logits.get_mut(done..filled) {
                room.copy_from_slice(&found);
            }
            done = filled;
        }
        Ok(logits)
    }

    /// Runs parts through all layers; the logits of the last tokens of those that are `wanted`, in their order: by part, and how many of
    /// its last tokens are.
    fn pass(
        &mut self,
        rows: &mut [Turn<'_>],
        parts: &mut [Part],
        wanted: &[(usize, usize)],
    ) -> Result<Vec<f32>, DeviceError> {
        // Texts of one adapter behind one another.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        let key =
            |i: &usize| parts.get(*i).and_then(|p| rows.get(p.row)).and_then(|r| r.adapter).map(std::ptr::from_ref);
        order.sort_by_key(key);
        let mut at = 0;
        for &i in &order {
            parts[i].at = at;
            at += parts[i].len;
        }
        let total = at;
        let (mut tokens, mut positions, mut places) =
            (Vec::with_capacity(total), Vec::with_capacity(total), Vec::with_capacity(total));
        let mut of: Vec<Option<&Adapter>> = Vec::with_capacity(total);
        let (mut stretches, mut end) = (Vec::with_capacity(parts.len()), 0);
        for &i in &order {
            let part = &parts[i];
            let row = &rows[part.row];
            let Cache::Device(place) = &*row.cache else { continue };
            tokens.extend_from_slice(&row.tokens[part.from..part.from + part.len]);
            positions.extend((place.len..place.len + part.len).map(|p| p as u32));
            let first = place.first + place.len;
            places.extend((first..first + part.len).map(|p| p as u32));
            stretches.push([place.first, first, part.len]);
            end = end.max(first + part.len);
            of.extend(std::iter::repeat_n(row.adapter, part.len));
        }
        // A wanted token's row in the pass.
        let mut chosen: Vec<u32> = Vec::with_capacity(wanted.len());
        let mut left = (usize::MAX, 0);
        for &(part, count) in wanted {
            left = if left.0 == part { (part, left.1 - 1) } else { (part, count) };
            let part = &parts[part];
            chosen.push((part.at + part.len - left.1) as u32);
        }
        let tiling = Tiling::reading_on(end, &stretches);
        let (_words, [tokens, positions, places, keep, words]) =
            self.pool.send([&tokens, &positions, &places, &chosen, &tiling.words])?;
        let kept: Vec<Option<&Adapter>> = chosen.iter().map(|&row| of.get(row as usize).copied().flatten()).collect();
        let (groups, kept_groups) = (self.groups(&of)?, self.groups(&kept)?);
        let pass = Pass {
            groups,
            adapters: of,
            positions,
            places: Some(places),
            tiling,
            words,
            keep,
            kept_groups,
            kept_adapters: kept,
        };
        let vocab = self.description.vocab;
        let mut logits = vec![0.0; keep.len * vocab];
        self.over_layers(&pass, tokens, |layers, x| {
            layers.head(x, |first, _, found| {
                read(layers.pool, found, &mut logits[first * vocab..first * vocab + found.len])
            })
        })?;
        for part in parts.iter() {
            if let Cache::Device(place) = &mut *rows[part.row].cache {
                place.len += part.len;
            }
        }
        Ok(logits)
    }

    /// Rows of one adapter behind one another, the adapter being sent to the device where it is not there.
    fn groups(&mut self, adapters: &[Option<&Adapter>]) -> Result<Vec<Group>, DeviceError> {
        let mut groups: Vec<Group> = Vec::new();
        let mut first = 0;
        let pointer = |adapter: Option<&Adapter>| adapter.map(std::ptr::from_ref);
        for same in adapters.chunk_by(|a, b| pointer(*a) == pointer(*b)) {
            let adapter = same.first().copied().flatten().map(|adapter| self.adapter(adapter)).transpose()?;
            groups.push(Group { adapter, first, len: same.len() });
            first += same.len();
        }
        Ok(groups)
    }

    /// Negative log-likelihoods of the predicted tokens of whole texts, in nats, in the pack's order.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn losses(&mut self, pack: Pack<'_>, adapter: Option<&Adapter>) -> Result<Vec<f32>, DeviceError> {
        let longest = pack.positions.iter().max().map_or(0, |&position| position as usize + 1);
        self.tables = Some(Tables::covering(self.tables.take(), &self.pool, &self.description, longest)?);
        let tiling = Tiling::new(pack.segments);
        let count = pack.predicting.len();
        let ones = vec![1f32.to_bits(); count];
        let (_words, [tokens, positions, keep, targets, mut weights, words]) =
            self.pool.send([pack.tokens, pack.positions, pack.predicting, pack.targets, &ones, &tiling.words])?;
        weights.kind = Kind::F32;
        let (adapters, kept_adapters) = (vec![adapter; tokens.len], vec![adapter; count]);
        let (groups, kept_groups) = (self.groups(&adapters)?, self.groups(&kept_adapters)?);
        let pass = Pass { groups, adapters, positions, places: None, tiling, words, keep, kept_groups, kept_adapters };
        let mut found = vec![0.0; count];
        self.over_layers(&pass, tokens, |layers, x| {
            let losses = layers.pool.take(count, Kind::F32)?;
            layers.head(x, |first, rows, logits| {
                let n = rows.len / layers.description.hidden;
                let (targets, weights) = (targets.part(first, n), weights.part(first, n));
                let losses = losses.span.part(first, n);
                ops::cross_entropy(layers.pool.device(), layers.kind, logits, targets, weights, losses, None)
            })?;
            read(layers.pool, losses.span, &mut found)
        })?;
        Ok(found)
    }

    /// Runs tokens through all layers, and does `then` with the rows to keep, where there are any.
    fn over_layers(
        &self,
        pass: &Pass<'_>,
        tokens: Span,
        then: impl FnOnce(&Layers<'_>, Span) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let Some(tables) = &self.tables else { return Ok(()) };
        let layers = Layers {
            pool: &self.pool,
            kind: self.kind,
            weights: &self.weights,
            description: &self.description,
            tables,
            positions: pass.positions,
            keep: pass.keep,
        };
        let work = Answers { layers, pass, arena: &self.arena, adapters: &self.adapters };
        let mut x = layers.embed(tokens)?;
        for layer in 0..self.description.layers {
            match layers.forward(&work, layer, x, false)?.0 {
                Some(y) => x = y,
                None => return Ok(()),
            }
        }
        then(&layers, x.span)
    }
}

/// Adapters and attention of answers.
struct Answers<'a> {
    layers: Layers<'a>,
    pass: &'a Pass<'a>,
    arena: &'a Arena,
    adapters: &'a [Sent],
}

impl Work for Answers<'_> {
    fn linear(
        &self,
        layer: usize,
        product: Product,
        kept: bool,
        x: Span,
        y: Span,
    ) -> Result<Option<Buffer>, DeviceError> {
        let pool = self.layers.pool;
        let weights = self.layers.weights.layers[layer].product(product);
        let (inputs, outputs) = (weights.inputs, weights.outputs);
        linear::frozen(pool.device(), weights, x.len / inputs, x, y)?;
        let pass = self.pass;
        let (groups, adapters) =
            if kept { (&pass.kept_groups, &pass.kept_adapters) } else { (&pass.groups, &pass.adapters) };
        for &Group { adapter, first, len } in groups {
            let sent = adapter.and_then(|at| self.adapters.get(at));
            let (Some(sent), Some(adapter)) = (sent, adapters.get(first).copied().flatten()) else { continue };
            let Some(adapted) = adapter.product(layer, product) else { continue };
            let adapted =
                Adapted { product: adapted, values: sent.values.span, scale: adapter.config.scale(), dropout: None };
            let (x, y) = (x.part(first * inputs, len * inputs), y.part(first * outputs, len * outputs));
            linear::adapt(pool, weights, adapted, len, x, y)?;
        }
        Ok(None)
    }

    /// Of whole texts, or of new tokens behind those in the arena, where they are put.
    fn attend(&self, layer: usize, qkv: Span) -> Result<(Buffer, Buffer), DeviceError> {
        let Layers { pool, kind, description: d, .. } = self.layers;
        let (device, pass) = (pool.device(), self.pass);
        let (wide, looked_at) = (d.heads * d.head_dim, pass.tiling.rows());
        let seen = match pass.places {
            Some(places) => {
                let seen = self.arena.rows(layer, 0, looked_at);
                ops::put(device, kind, qkv, d.qkv_rows(), places, seen)?;
                seen
            }
            None => qkv,
        };
        let everywhere = pool.take(looked_at * wide, kind)?;
        let lse = pool.take(looked_at * d.heads, Kind::F32)?;
        let shape = d.attention(layer);
        ops::attention(device, kind, shape, &pass.tiling, pass.words, seen, everywhere.span, lse.span)?;
        let Some(places) = pass.places else { return Ok((everywhere, lse)) };
        let attended = pool.take(places.len * wide, kind)?;
        ops::gather(device, kind, everywhere.span, wide, places, attended.span)?;
        Ok((attended, lse))
    }
}

impl From<DeviceError> for InferError {
    fn from(error: DeviceError) -> Self {
        Self::Device(error.to_string())
    }
}

impl Infer for RefMut<'_, Inference> {
    fn description(&self) -> &Description {
        &self.description
    }

    fn begin(&mut self) {
        self.adapters.clear();
        self.pool.shed();
    }

    fn ahead(&self) -> usize {
        AHEAD
    }

    fn cache(&mut self, capacity: usize) -> Result<Cache, InferError> {
        Ok(Cache::Device(self.arena.place(capacity)?))
    }

    fn fork(&mut self, of: &Cache, tokens: usize, capacity: usize) -> Result<Cache, InferError> {
        let Cache::Device(place) = of else { return Err(InferError::Cache) };
        Ok(Cache::Device(self.arena.copied(place, tokens, capacity)?))
    }

    fn forward(&mut self, rows: &mut [Turn<'_>], want: Want) -> Result<Vec<f32>, InferError> {
        for row in rows.iter() {
            match &*row.cache {
                Cache::Device(place) if self.arena.has(place) => {}
                _ => return Err(InferError::Cache),
            }
            check(&self.description, row.tokens, row.cache.len())?;
        }
        Ok(self.run(rows, want)?)
    }
}

#[cfg(test)]
mod tests;
