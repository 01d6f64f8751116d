//! Numbers over the records.

use serde::Serialize;

use super::{Counts, Query, Store};
use crate::actions::ActionError;
use crate::data::diversity::Space;

pub use crate::data::diversity::{Corner, Coverage};

/// Gold records that are usually enough; the target that progress is shown towards.
pub const TARGET: usize = 1_000;

/// What there is to say of a project's records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// By status, split, origin and so on.
    #[serde(flatten)]
    pub counts: Counts,
    /// Gold records, of how many.
    pub gold: usize,
    /// The target.
    pub target: usize,
    /// Median and longest prompt and answer, in characters.
    pub prompt_characters: Spread,
    /// The same of the answers.
    pub answer_characters: Spread,
    /// How much of the space of inputs is covered; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Rows of imported files that wait to be mended.
    pub quarantined: usize,
    /// Texts that could not be saved over newer ones and that nobody has seen to.
    pub conflicts: usize,
}

/// Where the lengths lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The shortest.
    pub least: usize,
    /// Half are at most as long.
    pub median: usize,
    /// The longest.
    pub most: usize,
}

impl Spread {
    fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let at = |index: usize| lengths.get(index).copied().unwrap_or(0);
        Self { least: at(0), median: at(lengths.len() / 2), most: at(lengths.len().saturating_sub(1)) }
    }
}

/// Counts the records; with `coverage` also what share of the inputs are wordings of one another, which takes seconds for ten
/// thousand.
///
/// # Errors
/// When the records cannot be read.
pub fn stats(store: &Store, coverage: bool) -> Result<Stats, ActionError> {
    let counts = store.counts()?;
    let records = store.records(&Query::default())?;
    let gold = counts.status.iter().find(|(status, _)| status == "gold").map_or(0, |(_, count)| *count);
    let answer = |record: &super::Record| record.state.content.answer().map(|text| text.chars().count());
    Ok(Stats {
        counts,
        gold,
        target: TARGET,
        prompt_characters: Spread::of(records.iter().map(asked).collect()),
        answer_characters: Spread::of(records.iter().filter_map(answer).collect()),
        coverage: coverage.then(|| Space::new(&records, None).coverage()),
        quarantined: store.quarantine()?.len(),
        conflicts: store.conflicts(None)?.len(),
    })
}

/// Characters of everything that is not the answer.
fn asked(record: &super::Record) -> usize {
    match &record.state.content {
        super::Content::Pair { fields, .. } => {
            fields.values().filter_map(serde_json::Value::as_str).map(|text| text.chars().count()).sum()
        }
        super::Content::Chat { turns, .. } => {
            let asked = turns.iter().filter(|turn| turn.role != "assistant");
            asked.filter_map(|turn| turn.content.as_deref()).map(|text| text.chars().count()).sum()
        }
        super::Content::Text { text } => text.chars().count(),
    }
}
