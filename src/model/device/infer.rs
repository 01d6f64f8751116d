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

use std::cell::{RefCell, RefMut};
use std::sync::{Arc, Mutex, PoisonError};

use super::linear::{self, Adapted};
use super::ops::{self, TILE, Tiling};
use super::pool::{Buffer, Pool};
use super::tables::Tables;
use super::weights::{Layer, Weights, floats, read, write};
use super::{Device, DeviceError, Kind, Span};
use crate::model::decoder::{Decoder, Product};
use crate::model::description::{Description, Norm};
use crate::model::infer::{Cache, Infer, InferError, Part, Turn, Want, check, parts};
use crate::model::lora::Adapter;
use crate::model::ops::attention::{Segment, Shape};
use crate::model::ops::norm::Heads;

/// Tokens that go through the decoder together at most.
const CHUNK: usize = 4096;
/// Logits of a loss held at once, in numbers (128 MiB).
const HELD: usize = 32 << 20;
/// Rows of an arena at first.
const FIRST: usize = 1024;

/// Stretches of the arena that texts have, by first row and number of rows, in their order.
type Taken = Arc<Mutex<Vec<[usize; 2]>>>;

/// What attention has seen of one text: a stretch of every layer's arena. Dropping it gives the stretch back.
#[derive(Debug)]
pub struct Place {
    first: usize,
    room: usize,
    len: usize,
    taken: Taken,
}

impl Place {
    /// Tokens seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|[first, _]| *first != self.first);
    }
}

/// An adapter's numbers on the device, while requests use it.
struct Sent {
    /// Where the adapter itself lies: by that it is known, as long as requests hold on to it.
    of: usize,
    values: Buffer,
}

/// A decoder on a device, for those who answer with it one after another.
pub type OnDevice = RefCell<Inference>;

/// A decoder on a device, ready to infer.
pub struct Inference {
    device: Arc<dyn Device>,
    pool: Pool,
    kind: Kind,
    description: Description,
    weights: Arc<Weights>,
    tables: Option<Tables>,
    adapters: Vec<Sent>,
    /// Rows of the arena, and each layer's.
    rows: usize,
    arena: Vec<Buffer>,
    taken: Taken,
}

/// The rows of a pass that one adapter works on.
struct Group {
    /// Among those on the device; `None` for the base alone.
    adapter: Option<usize>,
    first: usize,
    len: usize,
}

/// What all layers of a pass share.
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
        let pool = Pool::new(Arc::clone(&device));
        let weights = Arc::new(Weights::upload(&pool, kind, decoder)?);
        Ok(Self::over(device, pool, kind, &decoder.description, weights))
    }

    /// Over weights that lie on a device already, in the kind of its activations.
    #[must_use]
    pub fn over(
        device: Arc<dyn Device>,
        pool: Pool,
        kind: Kind,
        description: &Description,
        weights: Arc<Weights>,
    ) -> Self {
        let (tables, adapters, arena, taken) = (None, Vec::new(), Vec::new(), Taken::default());
        let description = description.clone();
        Self { device, pool, kind, description, weights, tables, adapters, rows: 0, arena, taken }
    }

    fn place(&mut self, capacity: usize) -> Result<Place, DeviceError> {
        let room = capacity.max(1).next_multiple_of(TILE);
        let (first, end) = {
            let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let mut first = 0;
            for [other, len] in taken.iter() {
                if other - first >= room {
                    break;
                }
                first = other + len;
            }
            (first, first + room)
        };
        if end > self.rows {
            self.grow(end)?;
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.push([first, room]);
        taken.sort_unstable();
        drop(taken);
        Ok(Place { first, room, len: 0, taken: Arc::clone(&self.taken) })
    }

    /// Makes the arena hold `rows` rows at least; what is in it stays.
    fn grow(&mut self, rows: usize) -> Result<(), DeviceError> {
        let rows = rows.max(2 * self.rows).max(FIRST);
        let width = self.description.qkv_rows();
        for layer in 0..self.description.layers {
            // Numbers that were never written may be anything, and nothing times a NaN is one.
            let larger = self.pool.keep(rows * width, self.kind)?;
            self.device.zero(larger.span.at, larger.span.bytes())?;
            if let Some(old) = self.arena.get_mut(layer) {
                // A larger one that an earlier try has left is as good.
                if old.span.len < larger.span.len {
                    self.device.copy(old.span.at, larger.span.at, old.span.bytes())?;
                    *old = larger;
                }
            } else {
                self.arena.push(larger);
            }
            self.pool.shed();
        }
        self.rows = rows;
        Ok(())
    }

    /// A stretch with room for `capacity` tokens that begins with the first `tokens` of another.
    fn copied(&mut self, from: [usize; 2], capacity: usize) -> Result<Place, DeviceError> {
        let [first, tokens] = from;
        let mut place = self.place(capacity.max(tokens))?;
        let width = self.description.qkv_rows();
        for arena in &self.arena {
            let part = |row: usize| arena.span.part(row * width, tokens * width);
            if tokens > 0 {
                self.device.copy(part(first).at, part(place.first).at, part(first).bytes())?;
            }
        }
        place.len = tokens;
        Ok(place)
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
                // Twice as much, so that a text that grows by a token is not copied at each.
                *place = self.copied([place.first, place.len], all + all / 2)?;
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
            self.send([&tokens, &positions, &places, &chosen, &tiling.words])?;
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
        let mut logits = vec![0.0; keep.len * self.description.vocab];
        if let Some(x) = self.layers(&pass, tokens)? {
            let found = self.pool.take(logits.len(), Kind::F32)?;
            self.head(x.span, found.span)?;
            read(&self.pool, found.span, &mut logits)?;
        }
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

    /// Sends lists of words to the device in one piece of memory.
    fn send<const N: usize>(&self, lists: [&[u32]; N]) -> Result<(Buffer, [Span; N]), DeviceError> {
        let buffer = self.pool.take(lists.iter().map(|list| list.len()).sum(), Kind::U32)?;
        let bytes: Vec<u8> = lists.iter().flat_map(|list| list.iter().flat_map(|word| word.to_le_bytes())).collect();
        self.device.write(buffer.span.at, &bytes)?;
        let mut first = 0;
        let spans = lists.map(|list| {
            first += list.len();
            buffer.span.part(first - list.len(), list.len())
        });
        Ok((buffer, spans))
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
            self.send([pack.tokens, pack.positions, pack.predicting, pack.targets, &ones, &tiling.words])?;
        weights.kind = Kind::F32;
        let (adapters, kept_adapters) = (vec![adapter; tokens.len], vec![adapter; count]);
        let (groups, kept_groups) = (self.groups(&adapters)?, self.groups(&kept_adapters)?);
        let pass = Pass { groups, adapters, positions, places: None, tiling, words, keep, kept_groups, kept_adapters };
        let mut found = vec![0.0; count];
        let Some(x) = self.layers(&pass, tokens)? else { return Ok(found) };
        let (hidden, vocab) = (self.description.hidden, self.description.vocab);
        let losses = self.pool.take(count, Kind::F32)?;
        let most = (HELD / vocab.max(1)).clamp(16, 4096).min(count);
        let logits = self.pool.take(most * vocab, Kind::F32)?;
        for first in (0..count).step_by(most) {
            let n = most.min(count - first);
            let logits = logits.span.part(0, n * vocab);
            self.head(x.span.part(first * hidden, n * hidden), logits)?;
            let (targets, weights) = (targets.part(first, n), weights.part(first, n));
            let losses = losses.span.part(first, n);
            ops::cross_entropy(self.device.as_ref(), self.kind, logits, targets, weights, losses, None)?;
        }
        read(&self.pool, losses.span, &mut found)?;
        Ok(found)
    }

    /// Last norm and head of rows `x`: their logits, f32.
    fn head(&self, x: Span, logits: Span) -> Result<(), DeviceError> {
        let (device, kind, d) = (self.device.as_ref(), self.kind, &self.description);
        let normed = self.pool.take(x.len, kind)?;
        ops::norm(device, kind, d.norm, self.weights.final_norm.spans(), x, normed.span)?;
        linear::through(device, self.weights.head(), [x.len / d.hidden, d.hidden, d.vocab], normed.span, logits)
    }

    /// Runs tokens through all layers; the rows to keep, none where there are none.
    fn layers(&self, pass: &Pass<'_>, tokens: Span) -> Result<Option<Buffer>, DeviceError> {
        let (device, kind, d) = (self.device.as_ref(), self.kind, &self.description);
        let (count, hidden) = (tokens.len, d.hidden);
        let mut x = self.pool.take(count * hidden, kind)?;
        ops::embed(device, kind, self.weights.embedding.span, hidden, tokens, d.embedding_scale, x.span)?;
        for layer in 0..d.layers {
            match self.block(layer, pass, &x, layer + 1 == d.layers)? {
                Some(y) => x = y,
                None => return Ok(None),
            }
        }
        Ok(Some(x))
    }

    /// What attention makes of rows of q|k|v: of whole texts, or of new tokens behind those in the arena, where they are put.
    fn attend(&self, layer: usize, pass: &Pass<'_>, qkv: Span) -> Result<Buffer, DeviceError> {
        let (device, kind, d) = (self.device.as_ref(), self.kind, &self.description);
        let (wide, stride) = (d.heads * d.head_dim, d.qkv_rows());
        let shape = Shape {
            heads: d.heads,
            kv_heads: d.kv_heads,
            head_dim: d.head_dim,
            scale: d.attention_scale,
            window: d.window_of(layer),
        };
        let looked_at = pass.tiling.rows();
        let seen = match pass.places {
            Some(places) => {
                let seen = self.arena[layer].span.part(0, looked_at * stride);
                ops::put(device, kind, qkv, stride, places, seen)?;
                seen
            }
            None => qkv,
        };
        let everywhere = self.pool.take(looked_at * wide, kind)?;
        let lse = self.pool.take(looked_at * d.heads, Kind::F32)?;
        ops::attention(device, kind, shape, &pass.tiling, pass.words, seen, everywhere.span, lse.span)?;
        let Some(places) = pass.places else { return Ok(everywhere) };
        let attended = self.pool.take(places.len * wide, kind)?;
        ops::gather(device, kind, everywhere.span, wide, places, attended.span)?;
        Ok(attended)
    }

    /// One layer; behind the last one's keys and values only the rows to keep go on. None of them, no result.
    fn block(&self, layer: usize, pass: &Pass<'_>, x: &Buffer, last: bool) -> Result<Option<Buffer>, DeviceError> {
        let (device, kind, d) = (self.device.as_ref(), self.kind, &self.description);
        let weights = &self.weights.layers[layer];
        let (hidden, wide, stride) = (d.hidden, d.heads * d.head_dim, d.qkv_rows());
        let rows = pass.positions.len;
        let take = |rows: usize, width: usize| self.pool.take(rows * width, kind);

        let before = take(rows, hidden)?;
        ops::norm(device, kind, d.norm, weights.attention_norm.spans(), x.span, before.span)?;
        let qkv = take(rows, stride)?;
        let all = (&pass.groups[..], &pass.adapters[..]);
        self.linear(layer, Product::Qkv, all, before.span, qkv.span)?;
        self.turn(layer, weights, pass.positions, qkv.span)?;
        drop(before);
        let mut attended = self.attend(layer, pass, qkv.span)?;
        drop(qkv);
        let (mut kept, mut own) = (None, all);
        if last {
            let keep = pass.keep;
            if keep.len == 0 {
                return Ok(None);
            }
            let (kept_x, kept_attended) = (take(keep.len, hidden)?, take(keep.len, wide)?);
            ops::gather(device, kind, x.span, hidden, keep, kept_x.span)?;
            ops::gather(device, kind, attended.span, wide, keep, kept_attended.span)?;
            own = (&pass.kept_groups[..], &pass.kept_adapters[..]);
            (kept, attended) = (Some(kept_x), kept_attended);
        }
        let x = kept.as_ref().unwrap_or(x).span;
        let rows = x.len / hidden;
        let mut middle = take(rows, hidden)?;
        self.linear(layer, Product::Output, own, attended.span, middle.span)?;
        if let Some(post) = &weights.post_attention_norm {
            let raw = std::mem::replace(&mut middle, take(rows, hidden)?);
            ops::norm(device, kind, d.norm, post.spans(), raw.span, middle.span)?;
        }
        ops::add(device, kind, middle.span, x)?;
        let h = take(rows, hidden)?;
        let read = if d.parallel_residual { x } else { middle.span };
        ops::norm(device, kind, d.norm, weights.mlp_norm.spans(), read, h.span)?;
        let inner = take(rows, d.mlp_rows())?;
        self.linear(layer, Product::MlpIn, own, h.span, inner.span)?;
        let active = take(rows, d.intermediate)?;
        ops::activate(device, kind, d.activation, d.gated_mlp, inner.span, d.intermediate, active.span)?;
        let mut y = h;
        self.linear(layer, Product::Down, own, active.span, y.span)?;
        if let Some(post) = &weights.post_mlp_norm {
            let raw = std::mem::replace(&mut y, take(rows, hidden)?);
            ops::norm(device, kind, d.norm, post.spans(), raw.span, y.span)?;
        }
        ops::add(device, kind, y.span, middle.span)?;
        Ok(Some(y))
    }

    /// QK-norm where the family has it, then rotary, in place.
    fn turn(&self, layer: usize, weights: &Layer, positions: Span, qkv: Span) -> Result<(), DeviceError> {
        let (device, kind, d) = (self.device.as_ref(), self.kind, &self.description);
        let (Norm::Rms { eps } | Norm::Layer { eps }) = d.norm;
        let stride = d.qkv_rows();
        let queries = Heads { stride, first: 0, count: d.heads, dim: d.head_dim };
        let keys = Heads { stride, first: d.heads * d.head_dim, count: d.kv_heads, dim: d.head_dim };
        for (heads, scale) in [(queries, &weights.query_norm), (keys, &weights.key_norm)] {
            if let Some(scale) = scale {
                ops::head_norm(device, kind, heads, scale.span, eps, qkv)?;
            }
        }
        let Some(tables) = &self.tables else { return Ok(()) };
        let table = tables.local().filter(|_| d.is_local(layer)).unwrap_or_else(|| tables.global());
        ops::rotary(device, kind, table, positions, qkv, stride, d.heads + d.kv_heads, d.head_dim, false)
    }

    fn linear(
        &self,
        layer: usize,
        product: Product,
        (groups, adapters): (&[Group], &[Option<&Adapter>]),
        x: Span,
        y: Span,
    ) -> Result<(), DeviceError> {
        let weights = self.weights.layers[layer].product(product);
        let (inputs, outputs) = (weights.inputs, weights.outputs);
        linear::frozen(self.device.as_ref(), weights, x.len / inputs, x, y)?;
        for &Group { adapter, first, len } in groups {
            let sent = adapter.and_then(|at| self.adapters.get(at));
            let (Some(sent), Some(adapter)) = (sent, adapters.get(first).copied().flatten()) else { continue };
            let Some(adapted) = adapter.product(layer, product) else { continue };
            let adapted =
                Adapted { product: adapted, values: sent.values.span, scale: adapter.config.scale(), dropout: None };
            let (x, y) = (x.part(first * inputs, len * inputs), y.part(first * outputs, len * outputs));
            linear::adapt(&self.pool, weights, adapted, len, x, y)?;
        }
        Ok(())
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

    fn cache(&mut self, capacity: usize) -> Result<Cache, InferError> {
        Ok(Cache::Device(self.place(capacity)?))
    }

    fn fork(&mut self, of: &Cache, tokens: usize, capacity: usize) -> Result<Cache, InferError> {
        let Cache::Device(place) = of else { return Err(InferError::Cache) };
        let from = [place.first, tokens.min(place.len)];
        Ok(Cache::Device(self.copied(from, capacity)?))
    }

    fn forward(&mut self, rows: &mut [Turn<'_>], want: Want) -> Result<Vec<f32>, InferError> {
        for row in rows.iter() {
            match &*row.cache {
                Cache::Device(place) if Arc::ptr_eq(&place.taken, &self.taken) => {}
                _ => return Err(InferError::Cache),
            }
            check(&self.description, row.tokens, row.cache.len())?;
        }
        Ok(self.run(rows, want)?)
    }
}

#[cfg(test)]
mod tests;
