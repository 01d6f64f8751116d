//! Records that are equal in [normal form](crate::data::duplicates::normal). One of them is good to keep (an accepted one
//! before others, then the first), and is not reported; the copies are. Records kept for validation or test are not trained on,
//! and a question that a test asks twice does no harm.

use super::super::{Check, Facts, Finding, Look, Scope, Severity};
use super::{LISTED, list};
use crate::store::State;

/// `exact-duplicate`.
pub struct ExactDuplicate;

impl Check for ExactDuplicate {
    fn name(&self) -> &'static str {
        "exact-duplicate"
    }

    fn why(&self) -> &'static str {
        "a repeated record counts twice in training and can stand on both sides of a split"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        if look.facts.outline.held {
            return Vec::new();
        }
        let index = look.index;
        let trained_on = index.likeness().equal(&look.facts.outline).filter(|other| !other.held);
        let better = |facts: &&Facts| facts.rank() < look.facts.rank();
        let better = trained_on.filter_map(|other| index.facts(other.id)).filter(better);
        let ids: Vec<i64> = better.map(|other| other.outline.id).take(LISTED).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let reason = format!("says the same as {}, apart from case, width, spaces and punctuation", list(&ids));
        vec![look.finding(self.name(), Severity::Warning, reason).with(ids)]
    }

    /// Rejects the copy.
    fn fixes(&self) -> bool {
        true
    }

    fn fix(&self, state: &State, finding: &Finding) -> Option<State> {
        Some(state.rejected(&format!("{}: {}", self.name(), finding.reason)))
    }
}
