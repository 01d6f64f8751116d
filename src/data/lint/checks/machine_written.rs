//! How many of the accepted answers are a model's own, word for word: said always, warned of over 30 %.

use super::super::{Check, Finding, Index, Scope, Severity};

/// Share from which it is warned of (formats.md).
const MANY: f64 = 0.3;

/// `machine-written`.
pub struct MachineWritten;

impl Check for MachineWritten {
    fn name(&self) -> &'static str {
        "machine-written"
    }

    fn why(&self) -> &'static str {
        "a model tuned on unchanged answers of a model learns that one's faults, and a score against them flatters"
    }

    fn scope(&self) -> Scope {
        Scope::Set
    }

    fn check_set(&self, index: &Index) -> Vec<Finding> {
        let gold: Vec<(i64, bool)> =
            index.all().iter().filter_map(|facts| facts.machine.map(|made| (facts.outline.id, made))).collect();
        if gold.is_empty() {
            return Vec::new();
        }
        let made: Vec<i64> = gold.iter().filter(|(_, made)| *made).map(|(id, _)| *id).collect();
        let share = made.len() as f64 / gold.len() as f64;
        let severity = if share > MANY { Severity::Warning } else { Severity::Info };
        let reason = format!(
            "{} of {} gold answers ({:.0} %) are a model's, and no person changed them",
            made.len(),
            gold.len(),
            share * 100.0
        );
        vec![Finding { record: None, check: self.name(), severity, span: None, reason, others: made }]
    }
}
