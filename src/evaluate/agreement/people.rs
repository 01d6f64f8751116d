//! How far people agree who labelled some of the same items: every figure that fits, and why one is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::significance::{Estimate, Resampling};
use super::{Level, Undefined, Weighting, alpha, cohen, fleiss, with_interval};

/// How far people agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Items that two people or more labelled.
    pub items: usize,
    /// Who labelled them.
    pub people: Vec<String>,
    /// Krippendorff's alpha, labels being categories; absent with the reason in `notes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Estimate>,
    /// Fleiss' kappa, where everybody labelled every one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleiss: Option<Estimate>,
    /// Cohen's kappa of every two people: who, on how many, and the figure.
    pub cohen: Vec<(String, String, usize, Estimate)>,
    /// Why a figure is absent.
    pub notes: Vec<String>,
}

impl Agreement {
    /// From the label of each person for each item; none where no item has two.
    #[must_use]
    pub fn of<'a>(items: impl IntoIterator<Item = BTreeMap<&'a str, u32>>) -> Option<Self> {
        let shared: Vec<BTreeMap<&str, u32>> = items.into_iter().filter(|labels| labels.len() > 1).collect();
        if shared.is_empty() {
            return None;
        }
        let mut people: Vec<&str> = shared.iter().flat_map(|labels| labels.keys().copied()).collect();
        people.sort_unstable();
        people.dedup();
        let resampling = Resampling::default();
        let mut notes = Vec::new();
        let mut keep = |name: &str, found: Result<Estimate, Undefined>| match found {
            Ok(found) => Some(found),
            Err(why) => {
                notes.push(format!("{name}: {why}"));
                None
            }
        };
        let rows: Vec<Vec<Option<f64>>> = shared
            .iter()
            .map(|labels| people.iter().map(|person| labels.get(person).copied().map(f64::from)).collect())
            .collect();
        let alpha = keep("Krippendorff's alpha", with_interval(&rows, |rows| alpha(rows, Level::Nominal), &resampling));
        let everybody = shared.iter().all(|labels| labels.len() == people.len());
        let fleiss = everybody.then(|| {
            let rows: Vec<Vec<u32>> = shared.iter().map(|labels| labels.values().copied().collect()).collect();
            keep("Fleiss' kappa", with_interval(&rows, fleiss, &resampling))
        });
        let mut pairs = Vec::new();
        for (i, one) in people.iter().enumerate() {
            for other in people.iter().skip(i + 1) {
                let both: Vec<(u32, u32)> =
                    shared.iter().filter_map(|labels| Some((*labels.get(one)?, *labels.get(other)?))).collect();
                if both.is_empty() {
                    continue;
                }
                let found = with_interval(&both, |both| cohen(both, Weighting::Nominal), &resampling);
                if let Some(found) = keep(&format!("Cohen's kappa of {one} and {other}"), found) {
                    pairs.push(((*one).to_owned(), (*other).to_owned(), both.len(), found));
                }
            }
        }
        let people = people.into_iter().map(str::to_owned).collect();
        Some(Self { items: shared.len(), people, alpha, fleiss: fleiss.flatten(), cohen: pairs, notes })
    }

    /// The figures in words, one a line, and why one is absent.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let tell = |name: &str, estimate: &Estimate| {
            let range =
                estimate.interval.map_or_else(String::new, |i| format!(" (95 %: {:.2} to {:.2})", i.low, i.high));
            format!("{name}: {:.2}{range}", estimate.value)
        };
        let mut lines: Vec<String> = self.alpha.iter().map(|alpha| tell("Krippendorff's alpha", alpha)).collect();
        lines.extend(self.fleiss.iter().map(|fleiss| tell("Fleiss' kappa", fleiss)));
        lines.extend(self.cohen.iter().map(|(one, other, items, estimate)| {
            tell(&format!("Cohen's kappa of {one} and {other} on {items}"), estimate)
        }));
        lines.extend(self.notes.iter().cloned());
        lines
    }
}
