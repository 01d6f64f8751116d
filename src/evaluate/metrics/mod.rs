//! The scores of an answer against its references, and of many answers together, equal to what the reference
//! implementations print: sacreBLEU 2.6.0, `rouge_score` 0.1.2 with NLTK 3.10.4, Levenshtein 0.27.5, and the scripts of
//! `SQuAD` and AI王 (JAQKET).
//!
//! Every score that rests on tokens stands under the name of its [`Tokens`]. Those of Japanese words need a dictionary
//! ([`Mecab`]); without one they are left out, and the note on tokens says which ones to read instead.
//!
//! Answers do not depend on one another: [`rows`] scores them on all cores, in their order. [`corpus`] needs no texts,
//! only scored rows, so that a resampled corpus costs next to nothing.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use super::mecab::Mecab;
use super::tokens::Tokens;

mod answer;
mod bleu;
mod chrf;
mod corpus;
mod grams;
mod lcs;
mod leaves;
mod note;
mod rouge;

pub use answer::{ExactMatch, aio, nfkc, squad};
pub use bleu::Bleu;
pub use corpus::{Chrf, Chrfs, CorpusScores, JsonTotals, corpus};
pub use leaves::{FieldF1, JsonScores};
pub use note::{Note, tokens_of};
pub use rouge::Rouge;

/// The version of sacreBLEU whose numbers are reproduced, which its signatures name. It says what a number can be
/// compared with, not what computed it.
pub const VERSION: &str = "2.6.0";

/// Precision, recall and F1, 0 to 1.
pub type Prf = [f64; 3];

/// An answer to be scored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    /// What was answered.
    pub hyp: &'a str,
    /// What would have been right, any of it. A missing reference is left out; with none at all nothing is right.
    pub refs: Vec<&'a str>,
    /// The language's code (`en`, `ja`), where it is known. It changes no score, only which ones the note recommends.
    pub lang: Option<&'a str>,
}

/// The scores of one answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowScores {
    /// Exact matches.
    pub em: ExactMatch,
    /// Bag of words as the `SQuAD` script cuts them.
    pub f1_squad: Prf,
    /// Bag of characters.
    pub f1_char: Prf,
    /// Levenshtein distance in code points, to the nearest reference.
    pub lev: usize,
    /// 0 to 1; 1 for equal texts.
    pub indel_ratio: f64,
    /// The same in the quiz's form, to whole per cents.
    pub aio_fuzz: f64,
    /// ROUGE by tokens.
    pub rouge: Rouges,
    /// BLEU by tokens.
    pub bleu: Bleus,
    /// chrF, 0 to 100.
    #[serde(rename = "chrF2")]
    pub chrf2: f64,
    /// chrF++, 0 to 100.
    #[serde(rename = "chrF2++")]
    pub chrf2pp: f64,
    /// Whether the answer is JSON, 0 or 1; this and the next two only where the references are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_valid: Option<f64>,
    /// Whether it is, in canonical form, a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_exact: Option<f64>,
    /// How many of its leaves are right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_f1: Option<FieldF1>,
    /// What the scores count, and which of them to read.
    pub tokens: Note,
    /// How many references there were.
    #[serde(skip)]
    pub references: usize,
    #[serde(skip)]
    chrf: [chrf::Stats; 2],
}

/// ROUGE by tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rouges {
    pub default: Rouge,
    pub stem: Rouge,
    pub char: Rouge,
    /// Only with a dictionary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mecab: Option<Rouge>,
}

/// BLEU by tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bleus {
    #[serde(rename = "13a")]
    pub mteval13a: Bleu,
    /// `13a` of the texts in lower case.
    #[serde(rename = "13a_lc")]
    pub mteval13a_lc: Bleu,
    pub intl: Bleu,
    pub char: Bleu,
    /// Only with a dictionary.
    #[serde(rename = "ja-mecab", skip_serializing_if = "Option::is_none")]
    pub ja_mecab: Option<Bleu>,
    pub none: Bleu,
}

/// Scores one answer; `words` is the dictionary for Japanese words.
#[must_use]
pub fn row(hyp: &str, refs: &[&str], lang: Option<&str>, words: Option<&Mecab>) -> RowScores {
    let texts = Texts { hyp, refs };
    let chrf = chrf::sentence(hyp, refs);
    let [chrf2, chrf2pp] = [0, 1].map(|which| chrf.get(which).map_or(0.0, chrf::Stats::score));
    let json = leaves::score(hyp, refs);
    let lower: Vec<String> = refs.iter().map(|text| text.to_lowercase()).collect();
    let (lower_hyp, lower_refs) = (hyp.to_lowercase(), lower.iter().map(String::as_str).collect::<Vec<_>>());
    let lower = Texts { hyp: &lower_hyp, refs: &lower_refs };
    let [rouge_default, rouge_stem, rouge_char] =
        [Tokens::Rouge, Tokens::RougeStemmed, Tokens::Characters].map(|tokens| texts.rouge(tokens, None));
    RowScores {
        em: ExactMatch::of(hyp, refs),
        f1_squad: answer::f1_squad(hyp, refs),
        f1_char: answer::f1_char(hyp, refs),
        lev: answer::levenshtein(hyp, refs),
        indel_ratio: answer::indel_ratio(hyp, refs),
        aio_fuzz: answer::aio_fuzz(hyp, refs),
        rouge: Rouges {
            default: rouge_default,
            stem: rouge_stem,
            char: rouge_char,
            mecab: words.map(|_| texts.rouge(Tokens::Japanese, words)),
        },
        bleu: Bleus {
            mteval13a: texts.bleu(Tokens::Mteval13a, None),
            mteval13a_lc: lower.bleu(Tokens::Mteval13a, None),
            intl: texts.bleu(Tokens::International, None),
            char: texts.bleu(Tokens::Characters, None),
            ja_mecab: words.map(|_| texts.bleu(Tokens::Japanese, words)),
            none: texts.bleu(Tokens::Plain, None),
        },
        chrf2,
        chrf2pp,
        json_valid: json.map(|json| json.valid),
        json_exact: json.map(|json| json.exact),
        json_f1: json.map(|json| json.fields),
        tokens: Note::new(lang, refs, words.is_some()),
        references: refs.len(),
        chrf,
    }
}

/// Scores many answers on all cores; the scores are in the order of the answers, and the same on any number of cores.
#[must_use]
pub fn rows(rows: &[Row<'_>], words: Option<&Mecab>) -> Vec<RowScores> {
    rows.par_iter().map(|one| row(one.hyp, &one.refs, one.lang, words)).collect()
}

/// An answer and its references.
struct Texts<'a> {
    hyp: &'a str,
    refs: &'a [&'a str],
}

impl Texts<'_> {
    fn bleu(&self, tokens: Tokens, words: Option<&Mecab>) -> Bleu {
        let mut numbers = Numbers::new(tokens, words);
        let mut cut = |text: &str| numbers.of(super::tokens::white::strip_end(text));
        let hyp = cut(self.hyp);
        let refs: Vec<Vec<u32>> = self.refs.iter().map(|text| cut(text)).collect();
        bleu::sentence(&hyp, &refs)
    }

    fn rouge(&self, tokens: Tokens, words: Option<&Mecab>) -> Rouge {
        let mut numbers = Numbers::new(tokens, words);
        let mut cut = |text: &str| {
            let lines: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
            let all = numbers.of(text);
            let lines = (lines.len() > 1).then(|| lines.iter().map(|line| numbers.of(line)).collect());
            rouge::Text { tokens: all, lines }
        };
        let hyp = cut(self.hyp);
        let refs: Vec<rouge::Text> = self.refs.iter().map(|text| cut(text)).collect();
        rouge::score(&hyp, &refs)
    }
}

/// Tokens as numbers: equal ones have the same.
struct Numbers<'a> {
    tokens: Tokens,
    words: Option<&'a Mecab>,
    known: HashMap<String, u32>,
}

impl<'a> Numbers<'a> {
    fn new(tokens: Tokens, words: Option<&'a Mecab>) -> Self {
        Self { tokens, words, known: HashMap::new() }
    }

    fn of(&mut self, text: &str) -> Vec<u32> {
        if self.tokens == Tokens::Characters {
            // A character is its own number.
            return text.chars().filter(|c| !super::tokens::white::is_space(*c)).map(u32::from).collect();
        }
        let tokens = self.tokens.of(text, self.words).unwrap_or_default();
        let number = |token| {
            let next = self.known.len() as u32;
            *self.known.entry(token).or_insert(next)
        };
        tokens.into_iter().map(number).collect()
    }
}

/// `part / whole`, 0 of nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Precision, recall and F1 of `hits` among `answered` and `right`.
fn prf(hits: u64, answered: u64, right: u64) -> Prf {
    let (precision, recall) = (share(hits, answered), share(hits, right));
    let f1 = if hits == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
    [precision, recall, f1]
}

/// A count of references as signatures write it.
fn nrefs(references: Option<usize>) -> String {
    references.map_or_else(|| "var".to_owned(), |count| count.to_string())
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod tests;
