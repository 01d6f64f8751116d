//! Answers far longer or shorter than the others to the same instruction in the same kind of letters (a Japanese
//! one says more than a Latin one): outside mean ± 3 standard
//! deviations of the log length in letters. Answers that are labels out of few are left alone.

use super::super::{Check, Finding, Look, Scope, Severity};

/// Standard deviations from the mean (formats.md).
const SIGMAS: f64 = 3.0;
/// The least deviation: where all answers are about equally long, half as long again is nothing strange.
const LEAST: f64 = 0.15;

/// Letters under which an answer is a name or a label, and none too long; and the mean under which none is too short.
const SHORT: f64 = 30.0;

/// `length`.
pub struct Length;

impl Check for Length {
    fn name(&self) -> &'static str {
        "length"
    }

    fn why(&self) -> &'static str {
        "an answer of quite another length is often cut off, doubled, or an answer to something else"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let (Some(length), Some(part)) = (look.facts.log_length, look.answer()) else { return Vec::new() };
        let group = look.index.group(look.facts);
        let Some((mean, deviation)) = group.length(look.facts.wide) else { return Vec::new() };
        let labels = group.answers.len() * 5 <= group.answered;
        let sigmas = (length - mean) / deviation.max(LEAST);
        let (letters, usual) = (length.exp().round(), mean.exp().round());
        let short = if sigmas > 0.0 { letters < SHORT } else { usual < SHORT };
        if labels || short || sigmas.abs() <= SIGMAS {
            return Vec::new();
        }
        let way = if sigmas > 0.0 { "longer" } else { "shorter" };
        let reason = format!(
            "{letters} letters, far {way} than the others ({usual} in the middle, {:.1} deviations off)",
            sigmas.abs()
        );
        vec![look.finding(self.name(), Severity::Warning, reason).over(part)]
    }
}
