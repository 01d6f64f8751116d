//! Where an interval of the report cannot be told, or is surer than it should be: the sentences a reader needs before believing it.

use std::collections::BTreeSet;

use super::{Figures, Metric, Pool};
use crate::evaluate::significance::Estimate;

/// Rows under which a percentile bootstrap comes out too narrow to be taken at its word (T. Hesterberg, "What teachers should know
/// about the bootstrap", 2015: under about 34 rows it covers less often than it says, the less the more skewed they are).
const ROWS: usize = 34;
/// Names that a sentence lists.
const NAMED: usize = 5;

/// The sentences, none where every interval can be taken as it stands.
pub(super) fn doubts(metrics: &[Metric], systems: &[Figures], counted: usize) -> Vec<String> {
    let mut told = Vec::new();
    let untold: Vec<String> = metrics
        .iter()
        .flat_map(|metric| systems.iter().map(move |system| (metric, system)))
        .filter(|(metric, system)| system.scores.get(&metric.key).is_some_and(|e| e.interval.is_none()))
        .map(|(metric, system)| format!("{} of {}", metric.name, system.name))
        .collect();
    if !untold.is_empty() {
        told.push(format!(
            "an interval shown as - cannot be told, since every resample came out alike, which makes it no narrower: {}",
            listed(&untold)
        ));
    }
    // Wilson's interval of a share holds for few rows, too.
    let resampled = |metric: &&Metric| metric.pool != Pool::Mean || systems.iter().any(|s| !is_share(s, metric));
    let names: Vec<String> = metrics.iter().filter(resampled).map(|metric| metric.name.clone()).collect();
    if names.is_empty() || counted == 0 {
        return told;
    }
    if counted < ROWS {
        told.push(format!(
            "over {counted} rows the intervals of {} come out too narrow, as any bootstrap under {ROWS} rows; those of shares of rows hold",
            listed(&names)
        ));
        return told;
    }
    let few: BTreeSet<&String> = systems
        .iter()
        .flat_map(|system| &system.categories)
        .filter(|(_, scores)| scores.values().any(|e| e.rows < ROWS))
        .map(|(category, _)| category)
        .collect();
    if !few.is_empty() {
        let few: Vec<String> = few.into_iter().cloned().collect();
        told.push(format!(
            "in categories of under {ROWS} rows ({}) the intervals of {} come out too narrow",
            listed(&few),
            listed(&names)
        ));
    }
    told
}

/// Whether a metric only says right or wrong of each row: its interval is then no narrower than Wilson's.
fn is_share(system: &Figures, metric: &Metric) -> bool {
    system.scores.get(&metric.key).is_none_or(|estimate: &Estimate| {
        let right = estimate.value * estimate.rows as f64;
        let share = crate::evaluate::interval::wilson95(right.round().max(0.0) as usize, estimate.rows);
        estimate.interval.is_some_and(|own| (own.low - share.low).abs() < 1e-9 && (own.high - share.high).abs() < 1e-9)
    })
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
