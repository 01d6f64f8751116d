//! Of records that say the same, one stays.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::{Act, Cause, Query, Status, Store};
use crate::actions::context::ActionError;
use crate::data::duplicates::{Likeness, Outline};
use crate::store::{Record, Split};

/// What was rejected for what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deduped {
    /// Records that stay, each with those rejected for it.
    pub sets: Vec<(i64, Vec<i64>)>,
    /// Rejected in all.
    pub rejected: usize,
}

/// Rejects all but one of each set of records with equal prompt and answer, with `near` of near ones too, in one act.
///
/// # Errors
/// When the database cannot be written.
pub fn dedupe(store: &mut Store, near: bool, dry: bool) -> Result<Deduped, ActionError> {
    let mut records = store.records(&Query::default())?;
    records.retain(|record| record.state.status != Status::Rejected);
    let all = Likeness::new(records.iter().map(|record| Outline::of(record, None)).collect());
    records.sort_by_key(rank);
    let mut gone: HashSet<i64> = HashSet::new();
    let mut done = Deduped::default();
    let mut kept: HashSet<i64> = HashSet::new();
    for record in &records {
        let Some(outline) = all.get(record.id).filter(|_| !gone.contains(&record.id)) else { continue };
        kept.insert(record.id);
        let equal = all.equal(outline).map(|other| other.id);
        let close = if near { all.near(outline, |_| true) } else { Vec::new() };
        let mut rejected: Vec<i64> = equal
            .chain(close.into_iter().map(|(other, _)| other.id))
            .filter(|other| !kept.contains(other) && !gone.contains(other))
            .collect();
        rejected.sort_unstable();
        rejected.dedup();
        if !rejected.is_empty() {
            gone.extend(&rejected);
            done.rejected += rejected.len();
            done.sets.push((record.id, rejected));
        }
    }
    done.sets.sort_unstable();
    if !dry && done.rejected > 0 {
        let of: HashMap<i64, i64> =
            done.sets.iter().flat_map(|(kept, gone)| gone.iter().map(|&gone| (gone, *kept))).collect();
        let mut ids: Vec<i64> = of.keys().copied().collect();
        ids.sort_unstable();
        let words = if near { "duplicates and near ones" } else { "duplicates" };
        store.change(&Act::new(Cause::Dedupe, words), &ids, |record, state| {
            Some(state.rejected(&format!("duplicate of {}", of.get(&record)?)))
        })?;
    }
    Ok(done)
}

/// Who stays: what is held out before what is trained on, what people have got furthest with, the oldest.
fn rank(record: &Record) -> (u8, u8, i64) {
    let held = match record.state.split {
        Some(Split::Test) => 0,
        Some(Split::Valid) => 1,
        _ => 2,
    };
    let done = match record.state.status {
        Status::Gold => 0,
        Status::Draft => 1,
        Status::Inbox | Status::Rejected => 2,
    };
    (held, done, record.id)
}
