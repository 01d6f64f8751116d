//! The longest common subsequence, 64 cells of its table at a time.
//!
//! A row of the table, for the tokens of one text so far against all of the other, rises by 0 or 1 from cell to cell. A
//! row is kept as those steps, a bit each, 0 where it rises; the next one comes from it by an addition (H. Hyyrö,
//! "Bit-parallel LCS-length computation revisited", 2004). So a value is a count of zero bits, and a table of two texts
//! of a thousand characters takes 125 kB and some microseconds.

use std::collections::HashMap;

/// Bits in a word.
const WORD: usize = 64;

/// One text, ready to be compared with others' tokens row by row.
struct Columns {
    /// Tokens with their places, in order.
    places: Vec<(u32, usize)>,
    len: usize,
    /// The places, as bits, of each token that has more of them than a row has words (so there are 64 such tokens at most).
    frequent: HashMap<u32, Vec<u64>>,
    /// The places of another token as bits; all zero between rows.
    rare: Vec<u64>,
}

impl Columns {
    fn new(tokens: &[u32]) -> Self {
        let mut places: Vec<(u32, usize)> = tokens.iter().copied().zip(0..).collect();
        places.sort_unstable();
        let words = tokens.len().div_ceil(WORD);
        let runs = places.chunk_by(|(a, _), (b, _)| a == b).filter(|run| run.len() > words);
        let frequent = runs.filter_map(|run| {
            let mut mask = vec![0; words];
            set(&mut mask, run);
            Some((run.first()?.0, mask))
        });
        Self { frequent: frequent.collect(), places, len: tokens.len(), rare: vec![0; words] }
    }

    /// The row above the first.
    fn top(&self) -> Vec<u64> {
        vec![u64::MAX; self.rare.len()]
    }

    /// Goes from a row to the one below it, that of `token`.
    fn step(&mut self, row: &mut [u64], token: u32) {
        if let Some(mask) = self.frequent.get(&token) {
            advance(row, mask);
            return;
        }
        let from = self.places.partition_point(|(other, _)| *other < token);
        let rest = self.places.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|(other, _)| *other == token).count();
        let Some(own) = rest.get(..count).filter(|own| !own.is_empty()) else { return };
        set(&mut self.rare, own);
        advance(row, &self.rare);
        for (_, place) in own {
            if let Some(word) = self.rare.get_mut(place / WORD) {
                *word = 0;
            }
        }
    }

    /// The value of a row's cell after `columns` tokens.
    fn value(row: &[u64], columns: usize) -> usize {
        let whole: u32 = row.iter().take(columns / WORD).map(|word| word.count_zeros()).sum();
        let rest = row.get(columns / WORD).map_or(0, |word| (!word & ((1 << (columns % WORD)) - 1)).count_ones());
        (whole + rest) as usize
    }
}

/// Sets the bits of places.
fn set(mask: &mut [u64], places: &[(u32, usize)]) {
    for (_, place) in places {
        if let Some(word) = mask.get_mut(place / WORD) {
            *word |= 1 << (place % WORD);
        }
    }
}

/// Makes of a row the one below it, that of a token with its places in `mask`.
fn advance(row: &mut [u64], mask: &[u64]) {
    let mut carry = false;
    for (word, mask) in row.iter_mut().zip(mask) {
        let (sum, over) = word.overflowing_add(*word & mask);
        let (sum, over_too) = sum.overflowing_add(u64::from(carry));
        carry = over || over_too;
        *word = sum | (*word & !mask);
    }
}

/// How long the longest common subsequence is.
pub fn length(a: &[u32], b: &[u32]) -> usize {
    let mut columns = Columns::new(b);
    let mut row = columns.top();
    for token in a {
        columns.step(&mut row, *token);
    }
    Columns::value(&row, columns.len)
}

/// The places in `reference` of the one longest common subsequence that `rouge_score` 0.1.2 reads out, the last one
/// first.
///
/// There may be several; it goes from the end, takes equal tokens, and else passes over a token of `candidate` if only
/// that keeps the length, otherwise over one of `reference`. The rows are made in blocks, of which one at a time is
/// kept whole.
pub fn places(reference: &[u32], candidate: &[u32]) -> Vec<usize> {
    let mut columns = Columns::new(candidate);
    let block = reference.len().isqrt().max(1);
    let mut firsts = Vec::new();
    let mut row = columns.top();
    for tokens in reference.chunks(block) {
        firsts.push(row.clone());
        for token in tokens {
            columns.step(&mut row, *token);
        }
    }
    let mut found = Vec::new();
    let mut column = candidate.len();
    for (number, (tokens, first)) in reference.chunks(block).zip(firsts).enumerate().rev() {
        let mut rows = vec![first];
        for token in tokens {
            let mut next = rows.last().cloned().unwrap_or_default();
            columns.step(&mut next, *token);
            rows.push(next);
        }
        for (within, (token, pair)) in tokens.iter().zip(rows.windows(2)).enumerate().rev() {
            let [above, here] = pair else { continue };
            let value = Columns::value(here, column);
            while let Some(before) = column.checked_sub(1) {
                if candidate.get(before) == Some(token) {
                    found.push(number * block + within);
                    column = before;
                    break;
                }
                if Columns::value(above, column) == value {
                    break;
                }
                // The value stays: the row above falls short, so the cell to the left has it.
                column = before;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook's table, and the reading that the reference does.
    fn by_table(a: &[u32], b: &[u32]) -> (usize, Vec<usize>) {
        let mut table = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] =
                    if a[i - 1] == b[j - 1] { table[i - 1][j - 1] + 1 } else { table[i - 1][j].max(table[i][j - 1]) };
            }
        }
        let (mut i, mut j, mut places) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                places.push(i - 1);
                i -= 1;
                j -= 1;
            } else if table[i][j - 1] > table[i - 1][j] {
                j -= 1;
            } else {
                i -= 1;
            }
        }
        (table[a.len()][b.len()], places)
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]
        #[test]
        fn it_is_what_the_table_says(
            a in proptest::collection::vec(0_u32..6, 0..200),
            b in proptest::collection::vec(0_u32..6, 0..200),
        ) {
            let (count, read) = by_table(&a, &b);
            proptest::prop_assert_eq!(length(&a, &b), count);
            proptest::prop_assert_eq!(length(&b, &a), count);
            proptest::prop_assert_eq!(places(&a, &b), read);
        }
    }
}
