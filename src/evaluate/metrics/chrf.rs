//! chrF (M. Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015) and chrF++ ("chrF++: words
//! helping character n-grams", 2017) as sacreBLEU 2.6.0 computes them: characters without white space, n-grams of 1 to
//! 6, for chrF++ also words, n-grams of 1 and 2; beta 2; no smoothing.

use super::VERSION;
use super::grams::{CHARACTER, Grams, WORD};
use crate::evaluate::tokens::white;
use std::collections::HashMap;

/// Lengths of character n-grams.
const CHARACTERS: usize = 6;
/// Lengths of word n-grams, in chrF++.
const WORDS: usize = 2;
/// Recall counts this many times as much as precision, squared.
const BETA2: f64 = 4.0;

/// n-grams of one length: those of the answer (where the reference has any), those of the reference, those matched.
pub type Counts = [u64; 3];

/// What chrF is made from: the counts by length, characters first, against the reference with the best score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    counts: Vec<Counts>,
}

impl Stats {
    /// Adds another answer's counts.
    pub fn add(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), Counts::default());
        for (sum, more) in self.counts.iter_mut().zip(&other.counts) {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }

    /// The score, 0 to 100.
    pub fn score(&self) -> f64 {
        score(&self.counts)
    }
}

/// Precision and recall are averaged over the lengths that both texts have, then joined.
fn score(counts: &[Counts]) -> f64 {
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for &[answered, right, matched] in counts {
        if answered > 0 && right > 0 {
            precision += matched as f64 / answered as f64;
            recall += matched as f64 / right as f64;
            orders += 1.0;
        }
    }
    if precision + recall <= 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / orders, recall / orders);
    100.0 * (1.0 + BETA2) * precision * recall / (BETA2 * precision + recall)
}

/// chrF2 and chrF2++ of an answer, each against the reference that is best for it, the first of equals.
pub fn sentence(answer: &str, references: &[&str]) -> [Stats; 2] {
    let mut numbers = HashMap::new();
    let own = grams(answer, &mut numbers);
    let mut best: [Option<(f64, Stats)>; 2] = [None, None];
    for reference in references {
        let other = grams(reference, &mut numbers);
        let counts: Vec<Counts> = own.iter().zip(&other).map(|(own, other)| compare(own, other)).collect();
        for (best, orders) in best.iter_mut().zip([CHARACTERS, CHARACTERS + WORDS]) {
            let counts = counts.get(..orders).unwrap_or_default();
            let found = score(counts);
            if best.as_ref().is_none_or(|(most, _)| found > *most) {
                *best = Some((found, Stats { counts: counts.to_vec() }));
            }
        }
    }
    best.map(|best| best.map_or_else(Stats::default, |(_, stats)| stats))
}

fn compare(own: &Grams, other: &Grams) -> Counts {
    let right = other.total();
    [if right > 0 { own.total() } else { 0 }, right, own.matched(other)]
}

/// A text's n-grams, of characters and then of words; a word has the number that `numbers` gives it.
fn grams<'a>(text: &'a str, numbers: &mut HashMap<&'a str, u32>) -> Vec<Grams> {
    let chars: Vec<u32> = text.chars().filter(|c| !white::is_space(*c)).map(u32::from).collect();
    let mut words = Vec::new();
    for word in white::words(text).flat_map(parts).filter(|part| !part.is_empty()) {
        let next = numbers.len() as u32;
        words.push(*numbers.entry(word).or_insert(next));
    }
    let of_chars = (1..=CHARACTERS).map(|n| Grams::count(&chars, n, CHARACTER));
    of_chars.chain((1..=WORDS).map(|n| Grams::count(&words, n, WORD))).collect()
}

/// A word and the mark of ASCII punctuation at its end, or else at its beginning.
fn parts(word: &str) -> [&str; 2] {
    let mark = |c: char| c.is_ascii_punctuation();
    let at = |first: bool| {
        let mut chars = word.char_indices();
        if first { chars.nth(1) } else { chars.next_back() }.map(|(at, _)| at)
    };
    let cut = if word.ends_with(mark) {
        at(false)
    } else if word.starts_with(mark) {
        at(true)
    } else {
        None
    };
    cut.and_then(|at| word.split_at_checked(at)).map_or([word, ""], |(head, tail)| [head, tail])
}

/// sacreBLEU's signature of chrF2 or, with `words`, chrF2++ over a corpus.
pub fn signature(words: bool, references: Option<usize>) -> String {
    let nw = if words { WORDS } else { 0 };
    let nrefs = super::nrefs(references);
    format!("nrefs:{nrefs}|case:mixed|eff:yes|nc:{CHARACTERS}|nw:{nw}|space:no|version:{VERSION}")
}
