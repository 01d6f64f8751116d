//! Packing: rows of different lengths behind one another without padding, their shared beginning computed once.
//!
//! Rows of an instruction data set begin alike (system text, instruction). Where the rows of an optimizer step share a prefix, it
//! becomes a segment of its own in each of the step's packs, which their rows continue: the loss and the gradients are exactly
//! those of separate rows, since a causal model's states at the prefix do not depend on what follows. With dropout the prefix has
//! one mask for all rows of a step. Masks belong to rows and places in them, so the packs that a step is cut into change nothing.
//! Losses alone have no masks; there each pack shares what its own rows begin with.

use crate::model::device::infer::Pack;
use crate::model::ops::attention::Segment;
use crate::model::ops::dropout::row_key;

/// One tokenised row: what the model reads and how much each token counts as a prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub tokens: Vec<u32>,
    /// `weights[i]` is the weight of predicting `tokens[i]`; that of the first token is never used.
    pub weights: Vec<f32>,
}

impl Row {
    /// A tokenised text as rows of at most `window` tokens (at least 2), each predicted where `mask` says so. A row
    /// begins with the last token of the one before, so every token but the text's first is predicted once.
    pub fn windows(tokens: &[u32], mask: &[bool], window: usize) -> impl Iterator<Item = Self> {
        let window = window.max(2);
        (0..Self::count_windows(tokens.len(), window)).map(move |i| {
            let start = i * (window - 1);
            let end = start.saturating_add(window).min(tokens.len());
            let weights = mask[start..end].iter().map(|&on| f32::from(u8::from(on))).collect();
            Self { tokens: tokens[start..end].to_vec(), weights }
        })
    }

    /// Number of rows that [`windows`](Self::windows) cuts `tokens` tokens into.
    #[must_use]
    pub fn count_windows(tokens: usize, window: usize) -> usize {
        tokens.saturating_sub(1).div_ceil(window.max(2) - 1)
    }

    /// Number of tokens that are predicted and counted.
    #[must_use]
    pub fn supervised(&self) -> usize {
        self.weights.iter().skip(1).filter(|&&w| w > 0.0).count()
    }

    /// The sum of the weights of its predictions.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weights.iter().skip(1).map(|&w| f64::from(w)).sum()
    }

    /// First position that predicts something counted; the row's length if none does.
    fn first_predicting(&self) -> usize {
        self.weights.iter().skip(1).position(|&w| w > 0.0).unwrap_or(self.tokens.len())
    }
}

/// Rows behind one another, ready for a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    /// `[rows]`
    pub tokens: Vec<u32>,
    /// Position of each packed row in its sequence.
    pub positions: Vec<u32>,
    pub segments: Vec<Segment>,
    /// Packed rows that predict something counted, in ascending order.
    pub predicting: Vec<u32>,
    /// What each of them should predict.
    pub targets: Vec<u32>,
    /// How much each counts.
    pub weights: Vec<f32>,
    /// For each of them the index of its row in the list that was packed.
    pub owners: Vec<u32>,
    /// What each packed row's part of a dropout's mask is drawn from.
    pub draws: Vec<u32>,
}

/// A shared prefix shorter than this is not worth a segment.
const SHORTEST_PREFIX: usize = 8;

impl Packed {
    /// As a device reads it.
    #[must_use]
    pub fn pack(&self) -> Pack<'_> {
        let Self { tokens, positions, segments, predicting, targets, .. } = self;
        Pack { tokens, positions, segments, predicting, targets }
    }

    /// Packs `rows`, sharing their common beginning where `share` allows it.
    #[must_use]
    pub fn new(rows: &[&Row], share: bool) -> Self {
        Self::of(rows, 0, shared_prefix(rows, share))
    }

    /// Packs `rows`, the ones from `first` on of an optimizer step whose rows all begin with the same `prefix` tokens.
    ///
    /// # Panics
    /// When a row is not longer than that: a mistake of the caller.
    #[must_use]
    pub fn of(rows: &[&Row], first: usize, prefix: usize) -> Self {
        let mut packed = Self::default();
        // What one row alone begins with needs no segment of its own.
        let shared = if rows.len() > 1 { prefix } else { 0 };
        // The beginning is the step's, sequence 0, wherever it is packed.
        let key = |sequence: usize, position: usize| {
            row_key(if position < prefix { 0 } else { sequence as u64 + 1 }, position as u64)
        };
        if shared > 0 {
            packed.push(&rows[0].tokens[..shared], 0, None);
            packed.draws.extend((0..shared).map(|position| key(0, position)));
        }
        for (owner, row) in rows.iter().enumerate() {
            let start = packed.tokens.len();
            packed.push(&row.tokens[shared..], shared, (shared > 0).then_some(0));
            packed.draws.extend((shared..row.tokens.len()).map(|position| key(first + owner, position)));
            for position in shared..row.tokens.len().saturating_sub(1) {
                let weight = row.weights[position + 1];
                if weight > 0.0 {
                    packed.predicting.push((start + position - shared) as u32);
                    packed.targets.push(row.tokens[position + 1]);
                    packed.weights.push(weight);
                    packed.owners.push(owner as u32);
                }
            }
        }
        packed
    }

    fn push(&mut self, tokens: &[u32], position: usize, prefix: Option<usize>) {
        self.segments.push(Segment { start: self.tokens.len(), len: tokens.len(), prefix });
        self.positions.extend((position..position + tokens.len()).map(|p| p as u32));
        self.tokens.extend_from_slice(tokens);
    }

    /// The draws of the rows that predict.
    #[must_use]
    pub fn predicting_draws(&self) -> Vec<u32> {
        self.predicting.iter().map(|&row| self.draws[row as usize]).collect()
    }

    /// Number of positions, that is one more than the highest.
    #[must_use]
    pub fn length(&self) -> usize {
        self.positions.iter().max().map_or(0, |&p| p as usize + 1)
    }
}

/// Length of the beginning that all rows share and none is to predict from. Each row keeps a token of its own.
fn common_prefix(rows: &[&Row]) -> usize {
    let first = &rows[0].tokens;
    rows.iter()
        .map(|row| {
            let same = row.tokens.iter().zip(first).take_while(|(a, b)| a == b).count();
            same.min(row.first_predicting()).min(row.tokens.len().saturating_sub(1))
        })
        .min()
        .unwrap_or(0)
}

/// Length of the beginning that the rows of an optimizer step share in their packs: 0 where it is not to be shared, or not worth it.
#[must_use]
pub fn shared_prefix(rows: &[&Row], share: bool) -> usize {
    let prefix = if share && rows.len() > 1 { common_prefix(rows) } else { 0 };
    if prefix < SHORTEST_PREFIX { 0 } else { prefix }
}

/// Splits one optimizer step's rows into packs of at most `budget` tokens each (a longer row stands alone), the `prefix` tokens that
/// they share being counted once.
#[must_use]
pub fn micro_batches<'a>(rows: &[&'a Row], budget: usize, prefix: usize) -> Vec<Vec<&'a Row>> {
    let mut packs: Vec<Vec<&Row>> = Vec::new();
    let mut room = 0;
    for &row in rows {
        let own = row.tokens.len() - prefix;
        match packs.last_mut() {
            Some(pack) if own <= room => {
                pack.push(row);
                room -= own;
            }
            _ => {
                packs.push(vec![row]);
                room = budget.saturating_sub(row.tokens.len());
            }
        }
    }
    packs
}

/// One optimizer step's rows as packs of at most `budget` tokens each (a longer row stands alone).
pub fn packs<'a>(rows: &[&'a Row], budget: usize, share: bool) -> impl Iterator<Item = Packed> + use<'a> {
    let prefix = shared_prefix(rows, share);
    let mut first = 0;
    let pack = move |rows: Vec<&Row>| {
        first += rows.len();
        Packed::of(&rows, first - rows.len(), prefix)
    };
    micro_batches(rows, budget, prefix).into_iter().map(pack)
}

/// Rows whose losses alone are wanted, as packs of at most `budget` tokens each (a longer row stands alone), and their number. Each pack
/// shares what its own rows begin with.
pub fn packs_of_losses<'a>(rows: &[&'a Row], budget: usize) -> impl Iterator<Item = (usize, Packed)> + use<'a> {
    let prefix = shared_prefix(rows, true);
    micro_batches(rows, budget, prefix).into_iter().map(|rows| (rows.len(), Packed::new(&rows, true)))
}

/// The most rows that packs hold, and the most of them that carry loss; these two may be of different packs.
#[must_use]
pub fn largest<'a>(packs: impl IntoIterator<Item = &'a Packed>) -> [usize; 2] {
    packs
        .into_iter()
        .fold([0, 0], |[rows, predicting], pack| [rows.max(pack.tokens.len()), predicting.max(pack.predicting.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_keep_to_their_budget_and_rows_to_their_masks() {
        let row = |own: &[u32]| {
            let tokens: Vec<u32> = (100..120).chain(own.iter().copied()).collect();
            let weights = (0..tokens.len()).map(|i| f32::from(u8::from(i > 20))).collect();
            Row { tokens, weights }
        };
        let rows: Vec<Row> = (0..9).map(|i| row(&[i, i + 1, i + 2, i + 3])).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        for (share, budget, most) in [(true, 40, 40), (false, 50, 50), (true, 20, 24), (false, 200, 200)] {
            let packs: Vec<Packed> = packs(&rows, budget, share).collect();
            assert!(packs.iter().all(|pack| pack.tokens.len() <= most), "{share} {budget}");
            assert_eq!(packs.iter().map(|pack| pack.predicting.len()).sum::<usize>(), 9 * 3);
            // Whatever the packs, a token is masked as its row and place say: those of the beginning once for all rows.
            let mut keys: Vec<(u32, u32, u32)> = Vec::new();
            for pack in &packs {
                assert_eq!(
                    (pack.draws.len(), pack.predicting_draws().len()),
                    (pack.tokens.len(), pack.predicting.len())
                );
                keys.extend(pack.draws.iter().zip(&pack.positions).zip(&pack.tokens).map(|((d, p), t)| (*p, *t, *d)));
            }
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), if share { 20 + 9 * 4 } else { 9 * 24 }, "{share} {budget}");
        }
    }

    #[test]
    fn windows_predict_every_token_but_the_first_once() {
        for (length, window) in [(1, 4), (2, 4), (4, 4), (5, 4), (7, 4), (8, 4), (100, 7), (9, usize::MAX)] {
            let tokens: Vec<u32> = (0..length).collect();
            let mask: Vec<bool> = tokens.iter().map(|t| t % 3 != 1).collect();
            let rows: Vec<Row> = Row::windows(&tokens, &mask, window).collect();
            assert_eq!(rows.len(), Row::count_windows(tokens.len(), window));
            assert!(rows.iter().all(|row| (2..=window).contains(&row.tokens.len())));
            let predicted: Vec<u32> = rows.iter().flat_map(|row| row.tokens[1..].to_vec()).collect();
            assert_eq!(predicted, tokens[1..]);
            let weighed: Vec<bool> = rows.iter().flat_map(|row| row.weights[1..].to_vec()).map(|w| w > 0.0).collect();
            assert_eq!(weighed, mask[1..]);
        }
    }
}
