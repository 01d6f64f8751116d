//! Records whose prompts are near, and prompt and answer together; see [`crate::data::duplicates`] for what near is.
//!
//! As with equal records one is good to keep and is not reported: an accepted one before others, then the first. Equal
//! prompts with other answers are `contradiction`'s where answers are right or wrong, and pairs across the split `leak`'s.

use super::super::{Check, Facts, Finding, Look, Scope, Severity};
use super::list;

/// `near-duplicate`.
pub struct NearDuplicate;

impl Check for NearDuplicate {
    fn name(&self) -> &'static str {
        "near-duplicate"
    }

    fn why(&self) -> &'static str {
        "records that hardly differ weigh double in training and make a test look easier than it is"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let (index, outline) = (look.index, &look.facts.outline);
        if look.facts.outline.held {
            return Vec::new();
        }
        let exact = index.group(look.facts).is_exact();
        let near = index.likeness().near(outline, |other| {
            let better = |facts: &Facts| !facts.outline.held && facts.rank() < look.facts.rank();
            let contradicts = exact && outline.prompt.is_some() && other.prompt == outline.prompt;
            !contradicts && index.facts(other.id).is_some_and(better)
        });
        let best = near.iter().map(|(_, similarity)| *similarity).fold(0.0, f64::max);
        let ids: Vec<i64> = near.iter().map(|(other, _)| other.id).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let reason = format!("hardly differs from {} ({:.0} % of their text is common)", list(&ids), best * 100.0);
        vec![look.finding(self.name(), Severity::Warning, reason).with(ids)]
    }
}
