//! A prompt kept for validation or test that is also trained on, or nearly is. Reported on both records, since either can
//! go. A record without a split will be trained on.

use super::super::{Check, Finding, Look, Scope, Severity};
use super::{LISTED, list};
use crate::data::duplicates::Outline;

/// `leak`.
pub struct Leak;

impl Check for Leak {
    fn name(&self) -> &'static str {
        "leak"
    }

    fn why(&self) -> &'static str {
        "a score on questions that were trained on says nothing about new ones"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let totals = look.index.totals();
        // One more may be held than the index knows: a record that was moved a moment ago.
        if totals.held == 0 && !look.facts.outline.held {
            return Vec::new();
        }
        let (likeness, outline) = (look.index.likeness(), &look.facts.outline);
        let across = |other: &Outline| other.held != outline.held;
        // A text asks nothing, so all of it is compared.
        let texts = outline.is_document.then(|| likeness.equal(outline)).into_iter().flatten();
        let same = likeness.same_prompt(outline).chain(texts).filter(|other| across(other));
        let same: Vec<i64> = same.map(|other| other.id).take(LISTED).collect();
        let side = if look.facts.outline.held { "trained on" } else { "kept for validation or test" };
        if !same.is_empty() {
            let reason = format!("the prompt is also {side}, in {}", list(&same));
            return vec![look.finding(self.name(), Severity::Error, reason).with(same)];
        }
        let near = likeness.near_prompt(outline, across);
        let near: Vec<i64> = near.iter().map(|(other, _)| other.id).collect();
        if near.is_empty() {
            return Vec::new();
        }
        let reason = format!("nearly the same prompt is {side}, in {}", list(&near));
        vec![look.finding(self.name(), Severity::Warning, reason).with(near)]
    }
}
