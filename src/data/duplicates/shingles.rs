//! Sets of shingles: the overlapping runs of words or letters by which texts are compared.
//!
//! Runs of five words; of five letters in scripts without spaces and in texts too short for words to tell much.

use super::TINY;
use super::normal::{is_wide, join};

/// Words, or letters, in a run (formats.md, lint thresholds).
const RUN: usize = 5;
/// Words from which a text is compared by words: below, one changed word in twelve would leave a third of the runs.
pub(super) const WORDY: usize = 20;
/// Words up to which a text is compared by letters. The ranges overlap by a Jaccard similarity of 0.8, so that two texts
/// near to one another always have one kind in common.
const SHORT: usize = 25;

/// The shingles of what a record asks, as sorted hashes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shingles {
    words: Option<Vec<u32>>,
    letters: Option<Vec<u32>>,
}

impl Shingles {
    /// Those of some blocks in normal form; none where they hold fewer than [`TINY`] letters. No run crosses two blocks.
    #[must_use]
    pub fn of<'a>(blocks: impl Iterator<Item = &'a str> + Clone) -> Self {
        let Count { words, letters, wide } = count(blocks.clone());
        if letters < TINY {
            return Self::default();
        }
        let spaced = !is_mostly_wide(wide, letters);
        Self {
            words: (spaced && words >= WORDY).then(|| self::of(blocks.clone(), true)),
            letters: (!spaced || words <= SHORT).then(|| self::of(blocks, false)),
        }
    }

    /// Runs of words, where the text has enough of them.
    #[must_use]
    pub fn words(&self) -> Option<&[u32]> {
        self.words.as_deref()
    }

    /// Runs of letters, where the text is short or written without spaces.
    #[must_use]
    pub fn letters(&self) -> Option<&[u32]> {
        self.letters.as_deref()
    }

    /// Jaccard similarity, by words where both have them; 0 where they have no kind in common.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f64 {
        match (&self.words, &other.words, &self.letters, &other.letters) {
            (Some(a), Some(b), ..) | (_, _, Some(a), Some(b)) => jaccard(a, b),
            _ => 0.0,
        }
    }
}

struct Count {
    words: usize,
    letters: usize,
    wide: usize,
}

fn count<'a>(blocks: impl Iterator<Item = &'a str>) -> Count {
    let mut count = Count { words: 0, letters: 0, wide: 0 };
    for block in blocks {
        let spaces = block.chars().filter(|c| *c == ' ').count();
        count.words += spaces + 1;
        count.letters += block.chars().count() - spaces;
        count.wide += block.chars().filter(|c| is_wide(*c)).count();
    }
    count
}

fn is_mostly_wide(wide: usize, letters: usize) -> bool {
    wide * 10 >= letters * 3
}

/// Whether a text in normal form is compared by words.
#[must_use]
pub fn is_wordy<'a>(blocks: impl Iterator<Item = &'a str>) -> bool {
    let Count { words, letters, wide } = count(blocks);
    words >= WORDY && !is_mostly_wide(wide, letters)
}

/// Runs of five words or letters, as sorted hashes, each once. A block with fewer has one run.
#[must_use]
pub fn of<'a>(blocks: impl Iterator<Item = &'a str>, by_word: bool) -> Vec<u32> {
    let mut set = Vec::new();
    let mut units: Vec<u64> = Vec::new();
    for block in blocks {
        units.clear();
        if by_word {
            units.extend(block.split(' ').map(super::normal::hash));
        } else {
            units.extend(block.chars().filter(|c| *c != ' ').map(|c| u64::from(u32::from(c))));
        }
        runs(&units, RUN, &mut set);
    }
    finish(set)
}

/// Runs for texts of any length: of five letters, or, below [`TINY`] letters, of two.
#[must_use]
pub fn short<'a>(blocks: impl Iterator<Item = &'a str> + Clone) -> Vec<u32> {
    let run = if count(blocks.clone()).letters < TINY { 2 } else { RUN };
    let mut set = Vec::new();
    for block in blocks {
        let units: Vec<u64> = block.chars().filter(|c| *c != ' ').map(|c| u64::from(u32::from(c))).collect();
        runs(&units, run, &mut set);
    }
    finish(set)
}

fn runs(units: &[u64], run: usize, set: &mut Vec<u32>) {
    if units.is_empty() {
        return;
    }
    let run = run.min(units.len());
    set.extend(units.windows(run).map(|run| join(run.len() as u64, run.iter().copied()) as u32));
}

fn finish(mut set: Vec<u32>) -> Vec<u32> {
    set.sort_unstable();
    set.dedup();
    set
}

/// Size of the intersection over size of the union of two sorted sets; 1 for two empty ones.
#[must_use]
pub fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let (mut i, mut j, mut both) = (0, 0, 0_usize);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        both += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    let union = a.len() + b.len() - both;
    if union == 0 { 1.0 } else { both as f64 / union as f64 }
}
