//! What attention has seen of many texts: in every layer one stretch of memory, in rows, of which each text has some.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::description::Description;
use crate::model::device::ops::TILE;
use crate::model::device::pool::{Buffer, Pool};
use crate::model::device::{DeviceError, Kind, Span};

/// Rows of an arena at first.
const FIRST: usize = 1024;

/// Stretches of the arena that texts have, by first row and number of rows, in their order.
type Taken = Arc<Mutex<Vec<[usize; 2]>>>;

/// What attention has seen of one text: a stretch of every layer's arena. Dropping it gives the stretch back.
#[derive(Debug)]
pub struct Place {
    pub(super) first: usize,
    pub(super) room: usize,
    pub(super) len: usize,
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

/// The memory of all layers.
pub(super) struct Arena {
    pool: Pool,
    kind: Kind,
    /// Numbers in a row.
    width: usize,
    rows: usize,
    /// Of each layer; there may be more rows than are counted.
    layers: Vec<Option<Buffer>>,
    taken: Taken,
}

impl Arena {
    /// An arena without rows.
    pub fn new(pool: Pool, kind: Kind, description: &Description) -> Self {
        let layers = (0..description.layers).map(|_| None).collect();
        Self { pool, kind, width: description.qkv_rows(), rows: 0, layers, taken: Taken::default() }
    }

    /// Whether a place is one of this arena's.
    pub fn has(&self, place: &Place) -> bool {
        Arc::ptr_eq(&place.taken, &self.taken)
    }

    /// `count` rows of a layer from row `first` on; they must be there.
    pub fn rows(&self, layer: usize, first: usize, count: usize) -> Span {
        let none = Span { at: crate::model::device::Address(0), len: 0, kind: self.kind };
        let all = self.layers.get(layer).and_then(Option::as_ref).map_or(none, |buffer| buffer.span);
        all.part(first * self.width, count * self.width)
    }

    /// A place with room for `capacity` tokens.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn place(&mut self, capacity: usize) -> Result<Place, DeviceError> {
        // Whole tiles, so that no two texts share one.
        let room = capacity.max(1).next_multiple_of(TILE);
        let mut first = 0;
        for [other, len] in self.taken.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if other - first >= room {
                break;
            }
            first = other + len;
        }
        if first + room > self.rows {
            self.grow(first + room)?;
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.push([first, room]);
        taken.sort_unstable();
        drop(taken);
        Ok(Place { first, room, len: 0, taken: Arc::clone(&self.taken) })
    }

    /// A place with room for `capacity` tokens that begins with the first `tokens` of another.
    ///
    /// # Errors
    /// When the device has no room for it, or fails.
    pub fn copied(&mut self, from: &Place, tokens: usize, capacity: usize) -> Result<Place, DeviceError> {
        let tokens = tokens.min(from.len);
        let mut place = self.place(capacity.max(tokens))?;
        if tokens > 0 {
            for layer in 0..self.layers.len() {
                let (from, to) = (self.rows(layer, from.first, tokens), self.rows(layer, place.first, tokens));
                self.pool.device().copy(from.at, to.at, from.bytes())?;
            }
        }
        place.len = tokens;
        Ok(place)
    }

    /// Makes every layer hold `rows` rows at least; what is in them stays.
    fn grow(&mut self, rows: usize) -> Result<(), DeviceError> {
        let rows = rows.max(2 * self.rows).max(FIRST);
        for layer in &mut self.layers {
            let had = layer.as_ref().map_or(0, |buffer| buffer.span.len);
            // A larger one that an earlier try has left is as good.
            if had >= rows * self.width {
                continue;
            }
            let larger = self.pool.keep(rows * self.width, self.kind)?;
            // Numbers that were never written may be anything, and nothing times a NaN is one.
            self.pool.device().zero(larger.span.at, larger.span.bytes())?;
            if let Some(old) = layer {
                self.pool.device().copy(old.span.at, larger.span.at, old.span.bytes())?;
            }
            *layer = Some(larger);
            self.pool.shed();
        }
        self.rows = rows;
        Ok(())
    }
}
