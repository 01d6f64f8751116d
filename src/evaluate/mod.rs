//! Metrics: pure functions from texts and numbers to numbers.
//!
//! They take what a model answered and what would have been right, and know no file, model, run or screen, so stored
//! answers can be scored again at any time. (One thing is opened: [`mecab`]'s dictionary, where Japanese is cut into words.)
//!
//! - [`metrics`]: the scores of texts (exact match, F1, edit distance, ROUGE, BLEU, chrF, JSON), of a row and of a
//!   corpus.
//! - [`tokens`]: the ways a text is cut before it is scored.
//! - [`script`]: what is Japanese.
//! - [`mecab`]: words of Japanese by a dictionary.
//! - [`json`]: an answer read the way Python's `json` module reads it.
//! - [`fields`]: precision, recall and F1 of the fields of JSON answers.
//! - [`likelihood`]: perplexity and bits per byte.
//! - [`curve`]: a loss curve smoothed, and what it says in plain words.
//! - [`interval`]: how sure a proportion is.
//! - [`significance`]: how sure any other figure is, and whether two systems differ by more than chance.
//! - [`report`]: several systems on one test set.
//! - [`nearest`]: what looking up the most similar training pair would score.
//! - [`errors`]: the errors that hurt, before and after, and what to do about them.
//! - [`agreement`]: how far annotators agree.
//! - [`preference`]: which system people pick.
//! - [`encs`]: what suggested replies save.
//! - [`cost`]: what a request costs on an own machine and at an endpoint.
//! - [`ladder`]: the smallest model and training set that are good enough.
//!
//! [`score`] puts together what `togi eval` prints of one set of answers, [`Report`] that of base and tuned side by
//! side.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub mod agreement;
pub mod cost;
pub mod curve;
pub mod encs;
pub mod errors;
pub mod fields;
pub mod interval;
pub mod json;
pub mod ladder;
pub mod likelihood;
pub mod mecab;
pub mod metrics;
pub mod nearest;
pub mod preference;
pub mod report;
pub mod script;
pub mod significance;
pub mod tokens;

pub use fields::FieldScore;
pub use interval::Interval;
pub use likelihood::Likelihood;

/// Figures of one set of answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Number of answers.
    pub rows: usize,
    /// Share of answers that are exact, 0 to 1; 0 where there is no answer.
    pub exact: f64,
    /// Wilson's 95 % interval of `exact`.
    pub exact_interval: Interval,
    /// Share of answers that are JSON, 0 to 1.
    pub json_valid: f64,
    /// By top-level key of the right answers; empty where these are no JSON objects.
    pub fields: BTreeMap<String, FieldScore>,
}

/// Figures of base and tuned on the same rows, with the names that the reference script prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Number of rows.
    pub test_rows: usize,
    /// Share of exact answers of the base, 0 to 1; absent where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_base: Option<f64>,
    /// Share of exact answers of the tuned model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_tuned: Option<f64>,
    /// Share of the base's answers that are JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_base: Option<f64>,
    /// Share of the tuned model's answers that are JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_tuned: Option<f64>,
    /// Mean negative log-likelihood of the base, nats a supervised token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_base: Option<f64>,
    /// The same of the tuned model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_tuned: Option<f64>,
    /// `exp(loss_base)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity_base: Option<f64>,
    /// `exp(loss_tuned)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity_tuned: Option<f64>,
    /// Bits the base needs for a byte of the supervised text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte_base: Option<f64>,
    /// The same of the tuned model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte_tuned: Option<f64>,
    /// Wilson's 95 % interval of `exact_base`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_base_interval: Option<Interval>,
    /// Wilson's 95 % interval of `exact_tuned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_tuned_interval: Option<Interval>,
    /// The base's fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields_base: BTreeMap<String, FieldScore>,
    /// The tuned model's fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields_tuned: BTreeMap<String, FieldScore>,
}

impl Report {
    /// Puts in what the base answered and how likely it found the right answers.
    #[must_use]
    pub fn with_base(mut self, scores: Option<&Scores>, likelihood: Option<&Likelihood>) -> Self {
        if let Some(scores) = scores {
            self.test_rows = scores.rows;
            self.exact_base = Some(scores.exact);
            self.exact_base_interval = Some(scores.exact_interval);
            self.json_base = Some(scores.json_valid);
            self.fields_base.clone_from(&scores.fields);
        }
        self.loss_base = likelihood.and_then(Likelihood::loss);
        self.perplexity_base = likelihood.and_then(Likelihood::perplexity);
        self.bits_per_byte_base = likelihood.and_then(Likelihood::bits_per_byte);
        self
    }

    /// Puts in what the tuned model answered and how likely it found the right answers.
    #[must_use]
    pub fn with_tuned(mut self, scores: Option<&Scores>, likelihood: Option<&Likelihood>) -> Self {
        if let Some(scores) = scores {
            self.test_rows = scores.rows;
            self.exact_tuned = Some(scores.exact);
            self.exact_tuned_interval = Some(scores.exact_interval);
            self.json_tuned = Some(scores.json_valid);
            self.fields_tuned.clone_from(&scores.fields);
        }
        self.loss_tuned = likelihood.and_then(Likelihood::loss);
        self.perplexity_tuned = likelihood.and_then(Likelihood::perplexity);
        self.bits_per_byte_tuned = likelihood.and_then(Likelihood::bits_per_byte);
        self
    }
}

/// Scores answers, each with the texts that would have been right (the first one is the gold answer).
#[must_use]
pub fn score<A: AsRef<str>, R: AsRef<str>>(answers: &[(A, Vec<R>)]) -> Scores {
    let hits = answers.iter().filter(|(answer, right)| exact_match(answer.as_ref(), right)).count();
    let valid = answers.iter().filter(|(answer, _)| json_valid(answer.as_ref())).count();
    let gold = answers.iter().filter_map(|(answer, right)| Some((answer.as_ref(), right.first()?.as_ref())));
    let share = |count: usize| if answers.is_empty() { 0.0 } else { count as f64 / answers.len() as f64 };
    Scores {
        rows: answers.len(),
        exact: share(hits),
        exact_interval: interval::wilson95(hits, answers.len()),
        json_valid: share(valid),
        fields: fields::json_field_f1(gold),
    }
}

/// Whether an answer equals one of the references: as canonical JSON where a text is JSON, else as text without white
/// space at its ends. The same judgement as the reference script's `exact`.
#[must_use]
pub fn exact_match<R: AsRef<str>>(answer: &str, references: &[R]) -> bool {
    let answer = canonical(answer);
    references.iter().any(|reference| canonical(reference.as_ref()) == answer)
}

/// Whether an answer is one JSON value and nothing else.
#[must_use]
pub fn json_valid(answer: &str) -> bool {
    json::canonical(answer).is_some()
}

fn canonical(text: &str) -> String {
    json::canonical(text).unwrap_or_else(|| strip(text).to_owned())
}

/// Python's `str.strip()`: besides Rust's white space it takes the separators U+001C to U+001F.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

#[cfg(test)]
mod tests;
