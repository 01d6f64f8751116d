//! What attention has seen of one sequence: keys, turned by rotary already, and values.

use super::description::Description;
use super::ops::packed::PANEL;

/// The keys and values of one sequence in every layer.
///
/// Each layer and key/value head has its own arrays, so that a token more appends and moves nothing but what the array's doubling
/// moves: values as `[tokens, head_dim]`, keys sixteen tokens to a panel, `[panels, head_dim, PANEL]`, so that a query's scores
/// over them are computed side by side in a vector.
#[derive(Clone, Debug)]
pub struct KvCache {
    kv_heads: usize,
    head_dim: usize,
    tokens: usize,
    /// For each layer and head, keys then values.
    heads: Vec<[Vec<f32>; 2]>,
}

impl KvCache {
    /// An empty cache with room for `capacity` tokens before it grows. Memory is taken by tokens that are seen, not by room for more.
    #[must_use]
    pub fn new(layers: usize, kv_heads: usize, head_dim: usize, capacity: usize) -> Self {
        let room = |tokens: usize| room(tokens.saturating_mul(head_dim));
        Self {
            kv_heads,
            head_dim,
            tokens: 0,
            heads: std::iter::repeat_with(|| [room(capacity.next_multiple_of(PANEL)), room(capacity)])
                .take(layers * kv_heads)
                .collect(),
        }
    }

    /// An empty cache for a model.
    #[must_use]
    pub fn of(description: &Description, capacity: usize) -> Self {
        Self::new(description.layers, description.kv_heads, description.head_dim, capacity)
    }

    /// Whether it has the shape that a model needs.
    #[must_use]
    pub fn fits(&self, description: &Description) -> bool {
        self.kv_heads == description.kv_heads
            && self.head_dim == description.head_dim
            && self.heads.len() == description.layers * description.kv_heads
    }

    /// Number of tokens seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// Whether no token has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// Forgets all but the first `tokens` tokens.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
        for [keys, values] in &mut self.heads {
            keys.truncate(self.tokens.next_multiple_of(PANEL) * self.head_dim);
            values.truncate(self.tokens * self.head_dim);
        }
    }

    /// A cache of its own that begins with the same first `tokens` tokens and has room for `capacity`: how sequences
    /// that share a beginning read it once.
    #[must_use]
    pub fn fork(&self, tokens: usize, capacity: usize) -> Self {
        let tokens = self.tokens.min(tokens);
        let copy = |array: &Vec<f32>, tokens: usize, capacity: usize| {
            let floats = tokens * self.head_dim;
            let mut copy = room(capacity.max(tokens).saturating_mul(self.head_dim));
            copy.extend_from_slice(array.get(..floats).unwrap_or(array));
            copy
        };
        let whole = |tokens: usize| tokens.next_multiple_of(PANEL);
        let heads = self.heads.iter();
        let heads = heads
            .map(|[keys, values]| [copy(keys, whole(tokens), whole(capacity)), copy(values, tokens, capacity)])
            .collect();
        Self { kv_heads: self.kv_heads, head_dim: self.head_dim, tokens, heads }
    }

    /// Bytes that it has room for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.heads.iter().flatten().map(|array| array.capacity() * size_of::<f32>()).sum()
    }

    /// Appends to one layer the keys and values of tokens whose rows of q|k|v are `stride` apart; `first_key` is where
    /// the keys begin in a row, the values follow them.
    pub(super) fn append(&mut self, layer: usize, rows: &[f32], stride: usize, first_key: usize) {
        let width = self.kv_heads * self.head_dim;
        for (head, arrays) in self.heads.iter_mut().skip(layer * self.kv_heads).take(self.kv_heads).enumerate() {
            let [keys, values] = arrays;
            for (row, token) in rows.chunks_exact(stride).zip(self.tokens..) {
                let own = |at: usize| &row[at + head * self.head_dim..][..self.head_dim];
                let panel = token / PANEL * PANEL * self.head_dim;
                if keys.len() == panel {
                    keys.resize(panel + PANEL * self.head_dim, 0.0);
                }
                for (key, x) in keys[panel + token % PANEL..].iter_mut().step_by(PANEL).zip(own(first_key)) {
                    *key = *x;
                }
                values.extend_from_slice(own(first_key + width));
            }
        }
    }

    /// Counts `tokens` more as seen, after every layer has appended them.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.tokens += tokens;
    }

    /// Keys, in panels, and values of one layer and head.
    pub(super) fn head(&self, layer: usize, head: usize) -> (&[f32], &[f32]) {
        let [keys, values] = &self.heads[layer * self.kv_heads + head];
        (keys, values)
    }
}

/// An array with room for `numbers` numbers; where the system does not promise so many at once, one that grows.
fn room(numbers: usize) -> Vec<f32> {
    let mut array = Vec::new();
    // What is refused here may well have room by the time it is written.
    let _ = array.try_reserve_exact(numbers);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_no_system_has_is_found_as_it_is_needed() {
        let mut cache = KvCache::new(1, 1, 2, usize::MAX / 64);
        cache.append(0, &[0.0, 1.0, 2.0, 3.0], 4, 0);
        cache.advance(1);
        assert_eq!(
            (cache.head(0, 0).1, cache.fork(1, usize::MAX / 64).head(0, 0).1),
            (&[2.0, 3.0][..], &[2.0, 3.0][..])
        );
    }

    #[test]
    fn a_fork_shares_the_beginning_and_nothing_after_it() {
        let mut cache = KvCache::new(1, 2, 2, 4);
        // One query head before the keys: rows of q|k|v are 2 + 4 + 4 long.
        let row = |t: u8| (0..10).map(|i| f32::from(t * 10 + i)).collect::<Vec<_>>();
        for t in 0..3 {
            cache.append(0, &row(t), 10, 2);
            cache.advance(1);
        }
        let mut fork = cache.fork(2, 8);
        fork.append(0, &row(7), 10, 2);
        fork.advance(1);
        assert_eq!((cache.len(), fork.len()), (3, 3));
        let keys = |cache: &KvCache| -> Vec<f32> {
            let keys = cache.head(0, 1).0;
            (0..cache.len()).flat_map(|t| [keys[t], keys[PANEL + t]]).collect()
        };
        assert_eq!(keys(&cache), &[4.0, 5.0, 14.0, 15.0, 24.0, 25.0]);
        assert_eq!(keys(&fork), &[4.0, 5.0, 14.0, 15.0, 74.0, 75.0]);
        assert_eq!(fork.head(0, 0).1, &[6.0, 7.0, 16.0, 17.0, 76.0, 77.0]);
        fork.truncate(1);
        assert_eq!((fork.len(), fork.head(0, 1).1), (1, [8.0, 9.0].as_slice()));
    }
}
