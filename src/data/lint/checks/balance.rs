//! Categories with too little to learn from, or so much that they drown the others.

use std::collections::BTreeMap;

use super::super::{Check, Finding, Index, Scope, Severity};

/// Records under which a category is small (formats.md).
const FEW: usize = 10;
/// Times the median from which it is large (formats.md).
const TIMES: usize = 10;
/// Categories named in one finding.
const NAMED: usize = 8;

/// `balance`.
pub struct Balance;

impl Check for Balance {
    fn name(&self) -> &'static str {
        "balance"
    }

    fn why(&self) -> &'static str {
        "what is rare in the data is not learned, and what is frequent is answered too often"
    }

    fn scope(&self) -> Scope {
        Scope::Set
    }

    fn check_set(&self, index: &Index) -> Vec<Finding> {
        let mut sizes: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for facts in index.all() {
            // What is kept for a test is not learned from.
            if let Some(category) = facts.category.as_deref().filter(|_| !facts.outline.held) {
                sizes.entry(category).or_default().push(facts.outline.id);
            }
        }
        if sizes.len() < 2 {
            return Vec::new();
        }
        let mut sorted: Vec<usize> = sizes.values().map(Vec::len).collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        let finding = |reason: String, others: Vec<i64>| Finding {
            record: None,
            check: self.name(),
            severity: Severity::Warning,
            span: None,
            reason,
            others,
        };
        let small: Vec<(&str, &Vec<i64>)> =
            sizes.iter().filter(|(_, ids)| ids.len() < FEW).map(|(name, ids)| (*name, ids)).collect();
        let mut found = Vec::new();
        if !small.is_empty() {
            let names: Vec<String> =
                small.iter().take(NAMED).map(|(name, ids)| format!("{name} ({})", ids.len())).collect();
            let more = if small.len() > NAMED { format!(" and {} more", small.len() - NAMED) } else { String::new() };
            let reason = format!(
                "{} of {} categories have fewer than {FEW} records: {}{more}",
                small.len(),
                sizes.len(),
                names.join(", ")
            );
            found.push(finding(reason, small.iter().flat_map(|(_, ids)| ids.iter().copied()).collect()));
        }
        let large = sizes.iter().filter(|(_, ids)| ids.len() > TIMES * median);
        found.extend(large.map(|(name, ids)| {
            finding(format!("category {name} has {} records, the median category {median}", ids.len()), Vec::new())
        }));
        found
    }
}
