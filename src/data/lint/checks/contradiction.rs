//! The same prompt with another answer. An error where one answer has to be wrong (labels, JSON, words taken from the
//! prompt); where answers are free, good to know.
//!
//! Only answers that are sound by themselves are held against one another: that a cut-off answer differs from the whole one
//! is the fault of the first, and another check's.

use super::super::{Check, Finding, Look, Scope, Severity};
use super::{LISTED, list};

/// Other answers to a prompt that are looked at: thousands of records may share one.
const LOOKED_AT: usize = 200;

/// `contradiction`.
pub struct Contradiction;

impl Check for Contradiction {
    fn name(&self) -> &'static str {
        "contradiction"
    }

    fn why(&self) -> &'static str {
        "where the same question has two answers, training pulls both ways and a score counts one of them as wrong"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let outline = &look.facts.outline;
        let Some(answer) = outline.answer else { return Vec::new() };
        let index = look.index;
        let others = index.likeness().same_prompt(outline);
        let others = others.filter(|other| other.answer.is_some_and(|theirs| theirs != answer)).take(LOOKED_AT);
        let sound = others.filter(|other| index.facts(other.id).is_some_and(|facts| index.is_sound(facts)));
        let ids: Vec<i64> = sound.map(|other| other.id).take(LISTED).collect();
        if ids.is_empty() || !index.is_sound(look.facts) {
            return Vec::new();
        }
        let exact = index.group(look.facts).is_exact();
        let severity = if exact { Severity::Error } else { Severity::Info };
        let reason = format!("the same prompt has another answer in {}", list(&ids));
        let finding = look.finding(self.name(), severity, reason).with(ids);
        vec![match look.answer() {
            Some(part) => finding.over(part),
            None => finding,
        }]
    }
}
