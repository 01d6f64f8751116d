//! Holding records out.

use serde::Serialize;

use super::{Act, Cause, Query, State, Status, Store};
use crate::actions::context::ActionError;
use crate::data::{duplicates, split};
use crate::store::Split;

pub use crate::data::split::Shares;

/// What a draw gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// Records that got a split.
    pub drawn: usize,
    /// Records of each split now, rejected ones left out.
    pub train: usize,
    /// The same.
    pub valid: usize,
    /// The same.
    pub test: usize,
    /// Sets of records that say or ask the same, which were kept together.
    pub sets: usize,
}

/// Gives a split to every record that has none (with `again` to all), in one act.
///
/// # Errors
/// When the shares leave nothing to train on, or the database cannot be written.
pub fn split(store: &mut Store, shares: Shares, seed: u64, again: bool, dry: bool) -> Result<Drawn, ActionError> {
    if shares.valid + shares.test >= 1.0 {
        return Err(ActionError::Asked("validation and test together leave nothing to train on".into()));
    }
    let mut records = store.records(&Query::default())?;
    if again {
        for record in &mut records {
            record.state.split = None;
        }
    }
    let sets = duplicates::groups(&records, None);
    let found: Vec<(i64, Split)> = split::split(&records, &sets, shares, seed);
    for (id, split) in &found {
        if let Ok(at) = records.binary_search_by_key(id, |record| record.id)
            && let Some(record) = records.get_mut(at)
        {
            record.state.split = Some(*split);
        }
    }
    let count = |split| {
        let used = records.iter().filter(|record| record.state.status != Status::Rejected);
        used.filter(|record| record.state.split == Some(split)).count()
    };
    let drawn = Drawn {
        drawn: found.len(),
        train: count(Split::Train),
        valid: count(Split::Valid),
        test: count(Split::Test),
        sets: sets.len(),
    };
    if !dry {
        let ids: Vec<i64> = found.iter().map(|(id, _)| *id).collect();
        let words = format!("valid {}, test {}, seed {seed}", shares.valid, shares.test);
        store.change(&Act::new(Cause::Sort, words), &ids, |record, state| {
            let at = found.binary_search_by_key(&record, |(id, _)| *id).ok()?;
            Some(State { split: found.get(at).map(|(_, split)| *split), ..state.clone() })
        })?;
    }
    Ok(drawn)
}
