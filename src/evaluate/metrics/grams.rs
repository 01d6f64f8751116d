//! n-grams counted.

use std::cmp::Ordering;

/// Bits of a token's number in a gram of up to four.
pub const WORD: u32 = 32;
/// Bits of a character in a gram of up to six: a code point takes 21.
pub const CHARACTER: u32 = 21;

/// The n-grams of one length in a text, each with how often it occurs. A gram is its tokens' numbers, side by side in
/// 128 bits; they are in order, so that two texts are compared by walking along both.
#[derive(Clone, Debug, Default)]
pub struct Grams(Vec<(u128, u64)>);

impl Grams {
    /// Counts the grams of `n` tokens, each of which has `bits` bits; `n * bits` may be 128 at most.
    pub fn count(tokens: &[u32], n: usize, bits: u32) -> Self {
        let mut grams: Vec<u128> = tokens
            .windows(n.max(1))
            .map(|gram| gram.iter().fold(0, |packed, token| (packed << bits) | u128::from(*token)))
            .collect();
        grams.sort_unstable();
        Self(grams.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len() as u64))).collect())
    }

    /// Grams in all.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Grams that both have, each as often as the one that has fewer of it.
    pub fn matched(&self, other: &Self) -> u64 {
        let mut sum = 0;
        self.walk(other, |_, a, b| sum += a.min(b));
        sum
    }

    /// The grams of either, each as often as the one that has more of it.
    pub fn most(&self, other: &Self) -> Self {
        let mut merged = Vec::with_capacity(self.0.len().max(other.0.len()));
        self.walk(other, |gram, a, b| merged.push((gram, a.max(b))));
        Self(merged)
    }

    /// Goes through the grams of both in order, with their counts in each.
    fn walk(&self, other: &Self, mut each: impl FnMut(u128, u64, u64)) {
        let (mut left, mut right) = (self.0.iter().copied().peekable(), other.0.iter().copied().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let a = if order == Ordering::Greater { None } else { left.next() };
            let b = if order == Ordering::Less { None } else { right.next() };
            if let Some((gram, _)) = a.or(b) {
                each(gram, a.map_or(0, |(_, count)| count), b.map_or(0, |(_, count)| count));
            }
        }
    }
}
