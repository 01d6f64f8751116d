//! The report of several systems on one test set: figures with intervals, whether systems differ, and the rows behind it.
//!
//! Takes answers and scores that are there already, so a report can be made again at will. Only rows that every system has
//! answered are counted: systems are compared on the same questions or not at all. Knows no model, store or metric: a metric is a
//! column of numbers with a name.
//!
//! - [`build`]: the figures.
//! - [`lines`]: the figures, row by row, as every page and the terminal's table show them.
//! - [`markdown`], [`html`]: the report as a page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::agreement::Agreement;
use super::errors::{Advice, Matrix};
use super::interval::{Interval, wilson95};
use super::likelihood::Likelihood;
use super::significance::{Comparison, Estimate, McNemar, Resampling, holm};

pub mod changes;
mod doubts;
pub mod html;
pub mod lines;
pub mod markdown;
mod metric;
#[cfg(test)]
mod tests;
mod verdict;

pub use changes::{Change, Changes, Turned};
pub use lines::{Cell, Line};
pub use metric::{Metric, Pool, Sums};
pub use verdict::Verdict;

/// The column that says whether an answer is exactly right.
pub const EXACT: &str = "exact";

/// A row of the test set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Its id.
    pub id: String,
    /// Its category.
    pub category: Option<String>,
    /// What it asks, for a person to read.
    pub asks: String,
    /// The right answer.
    pub gold: String,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Its text.
    pub text: String,
    /// Its tokens.
    pub tokens: Option<usize>,
    /// Whether it was cut at the most tokens that were allowed.
    pub cut: bool,
    /// Seconds, where it was asked alone.
    pub seconds: Option<f64>,
    /// Money.
    pub cost: Option<f64>,
    /// Its score in each metric, 0 to 1, in the metrics' order; none where the metric does not apply to the row.
    pub scores: Vec<Option<f64>>,
    /// Its counts in each metric that pools rows, in the metrics' order; empty ones in the others.
    pub sums: Vec<Sums>,
}

/// What a system did.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// What it is called.
    pub name: String,
    /// Who and how, in words.
    pub about: String,
    /// Whether an adapter answers.
    pub tuned: bool,
    /// Whether it is a ready-made model that is asked with examples or by another prompt than the plain one.
    pub prompted: bool,
    /// An answer for each row; none where it has not answered.
    pub answers: Vec<Option<Given>>,
    /// How likely it found the right answer of each row: nats, tokens, bytes.
    pub likelihoods: Vec<Option<(f64, usize, usize)>>,
    /// Tokens of answers a second, prompts included, of the whole test set.
    pub tokens_per_s: Option<f64>,
    /// How fast prompts are read and answers written apart, where that was measured.
    pub speeds: Option<Speeds>,
}

/// How fast a system on this machine reads prompts and writes answers, over all that it worked on at once: tokens a second of the
/// seconds that each took. What the prompts of a batch begin with was read once for all of them, so prompts that begin alike
/// come faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Speeds {
    /// Tokens of a prompt, mean.
    pub prompt_tokens: f64,
    /// Tokens of prompts a second.
    pub prompt_tokens_per_s: f64,
    /// Tokens of answers a second.
    pub answer_tokens_per_s: f64,
}

/// The figures of a system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What it is called.
    pub name: String,
    /// Who and how, in words.
    pub about: String,
    /// Whether an adapter answers.
    pub tuned: bool,
    /// Whether a ready-made model is asked with examples or by another prompt than the plain one.
    pub prompted: bool,
    /// The mean of each metric with its interval, by the metric's key.
    pub scores: BTreeMap<String, Estimate>,
    /// The same for the rows of each category.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, BTreeMap<String, Estimate>>,
    /// Mean negative log-likelihood of the right answers, nats a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// `exp(loss)`. Comparable between systems with the same tokenizer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
    /// Bits for a byte of the right answers; comparable between any systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
    /// Tokens of an answer, mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<f64>,
    /// Characters of an answer, mean.
    pub characters: f64,
    /// Share of answers that were cut.
    pub cut: f64,
    /// Tokens of answers a second, prompts included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<f64>,
    /// Prompts and answers apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speeds: Option<Speeds>,
    /// Seconds of an answer, median, where each was asked alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Money for a thousand such answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_1000: Option<f64>,
}

/// Two systems on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The one before.
    pub first: String,
    /// The one after.
    pub second: String,
    /// Whether they differ in exact answers: rows that only the first and only the second gets right.
    pub mcnemar: McNemar,
    /// The exact test's p after Holm's correction over all pairs of the report.
    pub p_holm: f64,
    /// Second minus first in each metric, with its interval and p of the paired bootstrap.
    pub differences: BTreeMap<String, Comparison>,
    /// The p of each metric's difference after Holm's correction over all pairs of the report.
    pub holm: BTreeMap<String, f64>,
    /// The rows behind it.
    pub changes: Changes,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the test set is called.
    pub test: String,
    /// Its hash.
    pub hash: String,
    /// Its rows.
    pub rows: usize,
    /// Rows that every system has answered: those that are counted.
    pub counted: usize,
    /// The metrics, in the order in which they are shown.
    pub metrics: Vec<Metric>,
    /// The systems, in the order in which they were named.
    pub systems: Vec<Figures>,
    /// Every two systems, the earlier one first.
    pub pairs: Vec<Pair>,
    /// Whether tuning beats prompting, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What errors the answers have before and after; put in by whoever knows the project's categories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// What a reader must know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The errors of two systems on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// The system before.
    pub before: String,
    /// The system after.
    pub after: String,
    /// The same model only asked better, where one was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompted: Option<String>,
    /// Error by error and before by after.
    pub matrix: Matrix,
    /// How far people agree who marked the same answers, over whether an answer has an error that one of them spoke of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// What the matrix says; none where nothing is tuned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

impl Report {
    /// The pair whose rows are told: that of the verdict, or else the first system against the last.
    #[must_use]
    pub fn told_pair(&self) -> Option<&Pair> {
        let named = |pair: &&Pair, (one, other): (&str, &str)| {
            (pair.first == one && pair.second == other) || (pair.first == other && pair.second == one)
        };
        let (one, other) = match &self.verdict {
            Some(verdict) => (&verdict.prompted, &verdict.tuned),
            None => (&self.systems.first()?.name, &self.systems.last()?.name),
        };
        self.pairs.iter().find(|pair| named(pair, (one, other)))
    }
}

/// What the test set is.
#[derive(Clone, Debug, Default)]
pub struct Test {
    /// What it is called.
    pub name: String,
    /// Its hash.
    pub hash: String,
    /// Its rows.
    pub questions: Vec<Question>,
}

/// Makes the report.
#[must_use]
pub fn build(test: &Test, metrics: &[Metric], candidates: &[Candidate], resampling: &Resampling) -> Report {
    let answered = |place: usize| candidates.iter().all(|c| c.answers.get(place).is_some_and(Option::is_some));
    let places: Vec<usize> = (0..test.questions.len()).filter(|&place| answered(place)).collect();
    let seen = seen_by_all(candidates, test.questions.len());
    let systems: Vec<Figures> =
        candidates.iter().map(|candidate| figures(test, metrics, candidate, (&places, &seen), resampling)).collect();
    let mut pairs = Vec::new();
    for (i, first) in candidates.iter().enumerate() {
        for second in candidates.iter().skip(i + 1) {
            pairs.push(pair(test, metrics, (first, second), &places, resampling));
        }
    }
    let p: Vec<f64> = pairs.iter().map(|pair| pair.mcnemar.p).collect();
    for (pair, p) in pairs.iter_mut().zip(holm(&p)) {
        pair.p_holm = p;
    }
    for metric in metrics {
        let p: Vec<f64> = pairs.iter().map(|pair| p_of(pair, &metric.key)).collect();
        for (pair, p) in pairs.iter_mut().zip(holm(&p)) {
            pair.holm.insert(metric.key.clone(), p);
        }
    }
    let mut notes = Vec::new();
    let left_out = test.questions.len() - places.len();
    if left_out > 0 {
        notes.push(format!("{left_out} rows are not counted, as not every system has answered them"));
    }
    if places.len() < 100 {
        notes.push(format!(
            "{} rows tell systems apart only where they differ much; a hundred or more tell finer differences",
            places.len()
        ));
    }
    notes.extend(doubts::doubts(metrics, &systems, places.len()));
    let verdict = Verdict::of(metrics, &systems, &pairs);
    Report {
        test: test.name.clone(),
        hash: test.hash.clone(),
        rows: test.questions.len(),
        counted: places.len(),
        metrics: metrics.to_vec(),
        systems,
        pairs,
        verdict,
        errors: None,
        notes,
    }
}

/// Makes the report of a test set of raw texts, which ask nothing: only how likely each system finds them.
#[must_use]
pub fn build_texts(test: &Test, candidates: &[Candidate]) -> Report {
    let places: Vec<usize> = (0..test.questions.len()).collect();
    let resampling = Resampling::default();
    let seen = seen_by_all(candidates, places.len());
    Report {
        test: test.name.clone(),
        hash: test.hash.clone(),
        rows: places.len(),
        counted: places.len(),
        metrics: Vec::new(),
        systems: candidates.iter().map(|one| figures(test, &[], one, (&places, &seen), &resampling)).collect(),
        pairs: Vec::new(),
        verdict: None,
        errors: None,
        notes: Vec::new(),
    }
}

/// The rows whose right answers every system that has likelihoods has one of, so that their sums compare.
fn seen_by_all(candidates: &[Candidate], rows: usize) -> Vec<usize> {
    let has = |candidate: &Candidate, place: usize| candidate.likelihoods.get(place).is_some_and(Option::is_some);
    let any = |candidate: &&Candidate| candidate.likelihoods.iter().any(Option::is_some);
    let with: Vec<&Candidate> = candidates.iter().filter(any).collect();
    (0..rows).filter(|&place| with.iter().all(|candidate| has(candidate, place))).collect()
}

/// The scores of a metric on those of `places` where it applies to both or the one system given.
fn column(candidate: &Candidate, metric: usize, places: &[usize]) -> Vec<Option<f64>> {
    places.iter().map(|&place| candidate.answers.get(place)?.as_ref()?.scores.get(metric).copied().flatten()).collect()
}

/// An interval that the resamples really spread over. Where they all came out alike, as for rows that are all 0, the bootstrap
/// knows nothing of what another row would bring: 0 to 0 would be surer than any test set allows.
fn spread(interval: Option<Interval>) -> Option<Interval> {
    interval.filter(|interval| interval.high > interval.low)
}

/// The mean of a metric. For one that only says right or wrong the interval is Wilson's, which holds for few rows and for none
/// right, too.
fn estimate(scores: &[f64], resampling: &Resampling) -> Option<Estimate> {
    let mut estimate = resampling.mean(scores)?;
    estimate.interval = spread(estimate.interval);
    if scores.iter().all(|&score| score <= 0.0 || score >= 1.0) {
        let right = scores.iter().filter(|&&score| score >= 1.0).count();
        estimate.interval = Some(wilson95(right, scores.len()));
    }
    Some(estimate)
}

/// The counts of a pooled metric on `places`.
fn sums(candidate: &Candidate, metric: usize, places: &[usize]) -> Vec<Sums> {
    let of = |place: usize| Some(*candidate.answers.get(place)?.as_ref()?.sums.get(metric)?);
    places.iter().map(|&place| of(place).unwrap_or_default()).collect()
}

fn scores_of(
    metrics: &[Metric],
    candidate: &Candidate,
    places: &[usize],
    resampling: &Resampling,
) -> BTreeMap<String, Estimate> {
    let each = metrics.iter().enumerate().filter_map(|(at, metric)| {
        if metric.pool != Pool::Mean {
            let rows = sums(candidate, at, places);
            let found = resampling.statistic(rows.len(), |chosen| metric.pool.over(&rows, chosen))?;
            return Some((metric.key.clone(), Estimate { interval: spread(found.interval), ..found }));
        }
        let scores: Vec<f64> = column(candidate, at, places).into_iter().flatten().collect();
        Some((metric.key.clone(), estimate(&scores, resampling)?))
    });
    each.collect()
}

fn figures(
    test: &Test,
    metrics: &[Metric],
    candidate: &Candidate,
    (places, seen): (&[usize], &[usize]),
    resampling: &Resampling,
) -> Figures {
    let given: Vec<&Given> =
        places.iter().filter_map(|&place| candidate.answers.get(place).and_then(Option::as_ref)).collect();
    let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let tokens: Vec<f64> = given.iter().filter_map(|g| g.tokens).map(|n| n as f64).collect();
    let characters: Vec<f64> = given.iter().map(|g| g.text.chars().count() as f64).collect();
    let costs: Vec<f64> = given.iter().filter_map(|g| g.cost).collect();
    let mut seconds: Vec<f64> = given.iter().filter_map(|g| g.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let mut by: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for &place in places {
        if let Some(category) = test.questions.get(place).and_then(|question| question.category.clone()) {
            by.entry(category).or_default().push(place);
        }
    }
    let categories =
        by.iter().map(|(category, places)| (category.clone(), scores_of(metrics, candidate, places, resampling)));
    let mut likelihood = Likelihood::default();
    for &(nats, tokens, bytes) in seen.iter().filter_map(|&place| candidate.likelihoods.get(place)?.as_ref()) {
        likelihood.nats += nats;
        likelihood.tokens += tokens;
        likelihood.bytes += bytes;
    }
    Figures {
        name: candidate.name.clone(),
        about: candidate.about.clone(),
        tuned: candidate.tuned,
        prompted: candidate.prompted,
        scores: scores_of(metrics, candidate, places, resampling),
        categories: categories.collect(),
        loss: likelihood.loss(),
        perplexity: likelihood.perplexity(),
        bits_per_byte: likelihood.bits_per_byte(),
        tokens: mean(&tokens),
        characters: mean(&characters).unwrap_or(0.0),
        cut: given.iter().filter(|g| g.cut).count() as f64 / given.len().max(1) as f64,
        tokens_per_s: candidate.tokens_per_s,
        speeds: candidate.speeds,
        seconds: seconds.get(seconds.len() / 2).copied(),
        cost_per_1000: mean(&costs).map(|cost| 1000.0 * cost),
    }
}

fn pair(
    test: &Test,
    metrics: &[Metric],
    (first, second): (&Candidate, &Candidate),
    places: &[usize],
    resampling: &Resampling,
) -> Pair {
    let exact = metrics.iter().position(|metric| metric.key == EXACT);
    let right = |candidate: &Candidate| -> Vec<bool> {
        let scores = exact.map_or_else(|| vec![None; places.len()], |at| column(candidate, at, places));
        scores.into_iter().map(|score| score == Some(1.0)).collect()
    };
    // Both columns are as long as `places`.
    let mcnemar = McNemar::of_rows(&right(first), &right(second)).unwrap_or_else(|_| McNemar::of(0, 0));
    let mut differences = BTreeMap::new();
    for (at, metric) in metrics.iter().enumerate() {
        if metric.pool != Pool::Mean {
            let (one, other) = (sums(first, at, places), sums(second, at, places));
            let both = |chosen: &[usize]| (metric.pool.over(&one, chosen), metric.pool.over(&other, chosen));
            differences.extend(resampling.compare(one.len(), both).map(|found| (metric.key.clone(), found)));
            continue;
        }
        let (one, other): (Vec<f64>, Vec<f64>) = column(first, at, places)
            .into_iter()
            .zip(column(second, at, places))
            .filter_map(|(one, other)| Some((one?, other?)))
            .unzip();
        if let Ok(Some(found)) = resampling.compare_means(&one, &other) {
            differences.insert(metric.key.clone(), found);
        }
    }
    for found in differences.values_mut() {
        found.interval = spread(found.interval);
    }
    Pair {
        first: first.name.clone(),
        second: second.name.clone(),
        mcnemar,
        p_holm: mcnemar.p,
        differences,
        holm: BTreeMap::new(),
        changes: Changes::between(test, metrics, (first, second), places),
    }
}

/// The p of a metric's difference; 1 where there is none.
fn p_of(pair: &Pair, metric: &str) -> f64 {
    pair.differences.get(metric).and_then(|found| found.p).unwrap_or(1.0)
}

/// A share as percent, for people.
fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A p value for people.
fn p_text(p: f64) -> String {
    if p < 0.001 { "p < 0.001".into() } else { format!("p = {p:.3}") }
}
