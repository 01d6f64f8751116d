//! ROUGE (C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries", 2004) as `rouge_score` 0.1.2 computes
//! it.

use std::collections::HashMap;

use serde::Serialize;

use super::grams::{Grams, WORD};
use super::{Prf, lcs, prf};

/// ROUGE over one kind of tokens. With several references each figure is that of the reference with the best F1 for it.
#[allow(clippy::struct_field_names)] // the metrics' own names
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rouge {
    /// Over tokens.
    pub rouge1: Prf,
    /// Over pairs of neighbouring tokens.
    pub rouge2: Prf,
    /// By the longest common subsequence of the texts.
    #[serde(rename = "rougeL")]
    pub rouge_l: Prf,
    /// By the union of the longest common subsequences of each line of the reference with all lines of the answer
    /// (section 3.2), no token counted more often than it occurs.
    #[serde(rename = "rougeLsum")]
    pub rouge_lsum: Prf,
}

/// A text's tokens as numbers.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// Of the whole text.
    pub tokens: Vec<u32>,
    /// Of each line that is not empty, where there are several. Cut one by one they can be other words than in the
    /// whole.
    pub lines: Option<Vec<Vec<u32>>>,
}

impl Text {
    fn lines(&self) -> &[Vec<u32>] {
        self.lines.as_deref().unwrap_or(std::slice::from_ref(&self.tokens))
    }
}

/// Scores an answer; all 0 where there is no reference.
pub fn score(answer: &Text, references: &[Text]) -> Rouge {
    let grams = |text: &Text| [1, 2].map(|n| Grams::count(&text.tokens, n, WORD));
    let own = grams(answer);
    let mut best: Option<Rouge> = None;
    for reference in references {
        let other = grams(reference);
        let [rouge1, rouge2] = [0, 1].map(|n| by_grams(own.get(n), other.get(n)));
        let len = |text: &Text| text.tokens.len() as u64;
        let rouge_l = prf(lcs::length(&reference.tokens, &answer.tokens) as u64, len(answer), len(reference));
        let one_line = answer.lines.is_none() && reference.lines.is_none();
        let rouge_lsum = if one_line { rouge_l } else { union(answer, reference) };
        let found = Rouge { rouge1, rouge2, rouge_l, rouge_lsum };
        best = Some(best.map_or(found, |best| Rouge {
            rouge1: better(best.rouge1, found.rouge1),
            rouge2: better(best.rouge2, found.rouge2),
            rouge_l: better(best.rouge_l, found.rouge_l),
            rouge_lsum: better(best.rouge_lsum, found.rouge_lsum),
        }));
    }
    best.unwrap_or_default()
}

fn better(best: Prf, found: Prf) -> Prf {
    let ([_, _, most], [_, _, f1]) = (best, found);
    if f1 > most { found } else { best }
}

fn by_grams(answer: Option<&Grams>, reference: Option<&Grams>) -> Prf {
    let (Some(answer), Some(reference)) = (answer, reference) else { return Prf::default() };
    prf(answer.matched(reference), answer.total(), reference.total())
}

/// By the union of longest common subsequences.
fn union(answer: &Text, reference: &Text) -> Prf {
    // How often each token is left, in the answer and in the reference.
    let mut left: HashMap<u32, (usize, usize)> = HashMap::new();
    for token in answer.lines().iter().flatten() {
        left.entry(*token).or_default().0 += 1;
    }
    for token in reference.lines().iter().flatten() {
        left.entry(*token).or_default().1 += 1;
    }
    let mut hits = 0;
    for line in reference.lines() {
        let mut places: Vec<usize> = answer.lines().iter().flat_map(|other| lcs::places(line, other)).collect();
        places.sort_unstable();
        places.dedup();
        for token in places.into_iter().filter_map(|place| line.get(place)) {
            if let Some((answered, right)) = left.get_mut(token)
                && *answered > 0
                && *right > 0
            {
                *answered -= 1;
                *right -= 1;
                hits += 1;
            }
        }
    }
    let len = |text: &Text| text.lines().iter().map(Vec::len).sum::<usize>() as u64;
    prf(hits, len(answer), len(reference))
}
