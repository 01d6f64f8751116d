//! How much arithmetic a training is: counted from its packs, so that a plan's time can be told from a measured rate.

use crate::model::description::Description;

use super::batch::Packed;

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// An adapter of so many numbers over a frozen base.
    Adapter(usize),
    /// Every weight.
    All,
}

/// What was packed, in the numbers that the arithmetic depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Packed positions: tokens without padding, a shared prefix counted once.
    pub positions: f64,
    /// Positions that predict something counted.
    pub predicting: f64,
    /// Pairs of a query and a key that it sees.
    pub pairs: f64,
}

impl Work {
    /// The work of one pack.
    #[must_use]
    pub fn of(packed: &Packed) -> Self {
        let pairs = |segment: &crate::model::ops::attention::Segment| {
            let before = segment.prefix.and_then(|p| packed.segments.get(p)).map_or(0, |prefix| prefix.len);
            segment.len as f64 * (before as f64 + segment.len as f64 / 2.0)
        };
        Self {
            positions: packed.tokens.len() as f64,
            predicting: packed.predicting.len() as f64,
            pairs: packed.segments.iter().map(pairs).sum(),
        }
    }

    /// Floating-point operations of the forward: blocks, attention, and the head on predicting positions. A
    /// multiplication and an addition are two.
    #[must_use]
    pub fn forward_flops(self, d: &Description, trained: Trained) -> f64 {
        let [base, adapter, attention, head] = self.parts(d, trained);
        base + adapter + attention + head
    }

    /// Floating-point operations of a step: the forward, twice where blocks are computed again; gradients of the base's
    /// activations, of adapters or weights, of attention and of the head.
    #[must_use]
    pub fn flops(self, d: &Description, trained: Trained, recompute: bool) -> f64 {
        let [base, adapter, attention, head] = self.parts(d, trained);
        let weights = if trained == Trained::All { base + head } else { 0.0 };
        let again = if recompute { base + adapter + attention } else { 0.0 };
        // Attention's forward is two products, its backward five.
        2.0 * base + 3.0 * adapter + 3.5 * attention + 2.0 * head + weights + again
    }

    /// The forward's base, adapter, attention and head.
    fn parts(self, d: &Description, trained: Trained) -> [f64; 4] {
        let attended = d.heads * d.head_dim;
        let linears = d.layers
            * (d.qkv_rows() * d.hidden + attended * d.hidden + d.mlp_rows() * d.hidden + d.intermediate * d.hidden);
        let adapter = match trained {
            Trained::Adapter(numbers) => numbers,
            Trained::All => 0,
        };
        [
            2.0 * self.positions * linears as f64,
            2.0 * self.positions * adapter as f64,
            2.0 * self.pairs * (d.layers * attended) as f64 * 2.0,
            2.0 * self.predicting * (d.vocab * d.hidden) as f64,
        ]
    }
}

impl std::ops::Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            positions: self.positions + other.positions,
            predicting: self.predicting + other.predicting,
            pairs: self.pairs + other.pairs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Row;
    use super::*;

    #[test]
    fn a_shared_beginning_is_counted_once_and_seen_by_all() {
        let rows: Vec<Row> = (0..3u32)
            .map(|r| Row {
                tokens: (0..20).chain([100 + r, 200 + r, 300 + r, 400 + r]).collect(),
                weights: (0..24).map(|i| if i < 22 { 0.0 } else { 1.0 }).collect(),
            })
            .collect();
        let rows: Vec<&Row> = rows.iter().collect();
        let (shared, apart) = (Work::of(&Packed::new(&rows, true)), Work::of(&Packed::new(&rows, false)));
        assert_eq!((shared.positions, apart.positions), (32.0, 72.0));
        assert_eq!((shared.predicting, apart.predicting), (6.0, 6.0));
        // 20 tokens among themselves, and three times 4 that see these 20 and themselves.
        assert_eq!((shared.pairs, apart.pairs), (200.0 + 3.0 * 4.0 * 22.0, 3.0 * 288.0));
    }
}
