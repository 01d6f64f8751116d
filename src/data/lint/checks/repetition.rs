//! Text that goes round in circles: in a stretch of 2,000 letters more than 60 % of the runs of ten have been there before.
//!
//! Stretches, because the share grows with the length of any text; and because a long answer that ends in a loop is one.

use super::super::{Check, Finding, Look, Scope, Severity};
use crate::data::duplicates::normal::join;

/// Letters in a run (formats.md).
const RUN: usize = 10;
/// Share of repeated runs (formats.md).
const MOST: f64 = 0.6;
/// Letters looked at together.
const STRETCH: usize = 2_000;
/// Letters under which nothing is a loop: "no, no, no, no".
const SHORT: usize = 40;

/// `repetition`.
pub struct Repetition;

impl Check for Repetition {
    fn name(&self) -> &'static str {
        "repetition"
    }

    fn why(&self) -> &'static str {
        "an answer that repeats itself is a generation gone wrong, and teaches the model to loop"
    }

    fn scope(&self) -> Scope {
        Scope::Record
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let learned = look.parts.iter().filter(|part| part.role.is_learned());
        let found = learned.filter_map(|part| {
            let (start, end, share) = circles(&part.text)?;
            let reason = format!("{:.0} % of it has been said before, run by run", share * 100.0);
            Some(look.finding(self.name(), Severity::Warning, reason).at(part, start, end))
        });
        found.collect()
    }
}

/// The first stretch that goes round in circles, in bytes, with the share of runs that are repeated.
pub(in crate::data::lint) fn circles(text: &str) -> Option<(usize, usize, f64)> {
    if text.len() < SHORT {
        return None;
    }
    let mut letters: Vec<(usize, char)> = Vec::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        // A rule of dashes and a run of spaces are one sign.
        if c.is_alphanumeric() || letters.last().is_none_or(|(_, last)| *last != c) {
            letters.push((at, c));
        }
    }
    if letters.len() < SHORT {
        return None;
    }
    let mut start = 0;
    while start < letters.len() {
        let end = (start + STRETCH).min(letters.len());
        // The last stretch reaches back, so that it is a whole one.
        let from = if end == letters.len() { end.saturating_sub(STRETCH) } else { start };
        let stretch = letters.get(from..end)?;
        let mut runs: Vec<u64> =
            stretch.windows(RUN).map(|run| join(0, run.iter().map(|(_, c)| u64::from(u32::from(*c))))).collect();
        let all = runs.len();
        runs.sort_unstable();
        runs.dedup();
        let share = 1.0 - runs.len() as f64 / all.max(1) as f64;
        if share > MOST {
            let last = stretch.last().map_or(text.len(), |(at, c)| at + c.len_utf8());
            return Some((stretch.first()?.0, last, share));
        }
        start = end;
    }
    None
}
