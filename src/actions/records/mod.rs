//! What a person does with records: list, read, edit, accept, reject, sort, undo.
//!
//! Each takes the opened [`Store`] and is one act, so that one undo takes it back whole. A verb calls it once and a pane's key
//! calls the same.

pub mod dedupe;
pub mod draft;
pub mod editor;
pub mod export;
pub mod import;
pub mod lint;
pub mod quarantine;
pub mod split;
pub mod stats;

use serde::Serialize;

use super::context::ActionError;
use crate::data::diversity::Space;
use crate::data::view::Role;

pub use crate::store::{
    Act, Cause, Change, Claimed, Conflict, Content, Counts, Done, Flag, Keeper, Origin, QUERY_KEYS, Query, Record,
    Revision, Split, State, Status, Store, StoreError, Undone,
};

/// The account that acts.
///
/// # Errors
/// When the system has no name for it.
pub fn author() -> Result<String, ActionError> {
    Ok(crate::store::account()?)
}

/// A record in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// The record.
    #[serde(flatten)]
    pub record: Record,
    /// Names of the checks that found something at the last lint.
    pub flags: Vec<String>,
}

/// What a query finds, from `offset` on, and how many there are.
///
/// # Errors
/// When the records cannot be read.
pub fn list(store: &Store, query: &Query, offset: usize, limit: usize) -> Result<(Vec<Listed>, usize), ActionError> {
    let page = store.page(query, offset, limit)?;
    let listed = page
        .records
        .into_iter()
        .map(|record| {
            let mut flags: Vec<String> = store.flags(Some(record.id))?.into_iter().map(|flag| flag.name).collect();
            flags.dedup();
            Ok(Listed { record, flags })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok((listed, page.total))
}

/// Everything about one record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The record.
    #[serde(flatten)]
    pub record: Record,
    /// What the last lint found in it.
    pub flags: Vec<Flag>,
    /// Who is at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// Texts that could not be saved over a newer one, each with who wrote it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<(String, Conflict)>,
    /// Every state it had; empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Revision>,
}

/// Gathers what there is to know of a record.
///
/// # Errors
/// When there is no such record.
pub fn show(store: &Store, record: i64, history: bool) -> Result<Shown, ActionError> {
    Ok(Shown {
        record: store.get(record)?,
        flags: store.flags(Some(record))?,
        taken: store.claims()?.into_iter().find(|claim| claim.record == record).map(|claim| claim.author),
        conflicts: store.conflicts(Some(record))?,
        history: if history { store.history(record)? } else { Vec::new() },
    })
}

/// The `count` records whose input is worded most like this one's, each with its similarity, 0 to 1, the nearest first.
///
/// # Errors
/// When there is no such record.
pub fn neighbours(store: &Store, record: i64, count: usize) -> Result<Vec<(Record, f32)>, ActionError> {
    let record = store.get(record)?;
    let all = store.records(&Query::default())?;
    let near = Space::new(&all, None).neighbours(&record, None, count);
    near.into_iter().map(|(id, similarity)| Ok((store.get(id)?, similarity))).collect()
}

/// The records that a comparison walks through: the test records, or, where there are none, everything accepted.
///
/// # Errors
/// When they cannot be read.
pub fn questions(store: &Store) -> Result<Vec<i64>, ActionError> {
    let find = |query: &str| -> Result<Vec<i64>, StoreError> { store.ids(&Query::parse(query)?) };
    let test = find("split:test -status:rejected")?;
    Ok(if test.is_empty() { find("status:gold")? } else { test })
}

/// What an act over several records did, and which it could not be done on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// What was done.
    #[serde(flatten)]
    pub done: Done,
    /// Records that were left as they are, and why.
    pub refused: Vec<(i64, String)>,
}

/// Accepts records: the answer as it stands becomes gold. One without an answer is refused.
///
/// # Errors
/// When there is no such record.
pub fn accept(store: &mut Store, records: &[i64], seconds: Option<f64>) -> Result<Outcome, ActionError> {
    let mut refused = Vec::new();
    let act = Act { seconds, ..Act::new(Cause::Accept, "") };
    let done = store.change(&act, records, |record, state| match accepted(state) {
        Ok(after) => Some(after),
        Err(why) => {
            refused.push((record, why));
            None
        }
    })?;
    Ok(Outcome { done, refused })
}

/// The state with its answer as gold; otherwise why it cannot be.
///
/// # Errors
/// Where there is no answer.
pub fn accepted(state: &State) -> Result<State, String> {
    let mut after = state.clone();
    after.status = Status::Gold;
    match &mut after.content {
        Content::Pair { draft, gold, .. } => {
            if gold.is_none() {
                gold.clone_from(draft);
            }
            if gold.as_deref().is_none_or(|text| text.trim().is_empty()) {
                return Err("it has no answer: write one first".into());
            }
        }
        Content::Chat { turns, .. } => {
            if !turns.iter().any(|turn| turn.role == "assistant") {
                return Err("no turn of it is the assistant's".into());
            }
        }
        Content::Text { text } => {
            if text.trim().is_empty() {
                return Err("it is empty".into());
            }
        }
    }
    Ok(after)
}

/// Rejects records, with the reason as a note on each.
///
/// # Errors
/// When there is no such record.
pub fn reject(store: &mut Store, records: &[i64], why: &str, seconds: Option<f64>) -> Result<Outcome, ActionError> {
    let act = Act { seconds, ..Act::new(Cause::Reject, why) };
    let done = store.change(&act, records, |_, state| Some(state.rejected(why)))?;
    Ok(Outcome { done, refused: Vec::new() })
}

/// Marks to be set; what is `None` stays. An empty text takes the mark away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// The class.
    pub category: Option<String>,
    /// What the record is used for; `Some(None)` for nothing yet.
    pub split: Option<Option<Split>>,
    /// Who is to work on it.
    pub assignee: Option<String>,
    /// Tags to add.
    pub tag: Vec<String>,
    /// Tags to take away.
    pub untag: Vec<String>,
    /// Back to the inbox, say.
    pub status: Option<Status>,
}

impl Marks {
    /// The state with the marks set.
    #[must_use]
    pub fn apply(&self, state: &State) -> State {
        let mut after = state.clone();
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        if let Some(category) = &self.category {
            after.category = text(category);
        }
        if let Some(assignee) = &self.assignee {
            after.assignee = text(assignee);
        }
        if let Some(split) = self.split {
            after.split = split;
        }
        if let Some(status) = self.status {
            after.status = status;
        }
        after.tags.retain(|tag| !self.untag.contains(tag));
        for tag in &self.tag {
            if !after.tags.contains(tag) {
                after.tags.push(tag.clone());
            }
        }
        after
    }
}

/// Sets marks on records.
///
/// # Errors
/// When there is no such record, or it would become gold without an answer.
pub fn mark(store: &mut Store, records: &[i64], marks: &Marks) -> Result<Outcome, ActionError> {
    let mut refused = Vec::new();
    let done = store.change(&Act::new(Cause::Sort, ""), records, |record, state| {
        let after = marks.apply(state);
        if after.status == Status::Gold && state.status != Status::Gold {
            return match accepted(&after) {
                Ok(after) => Some(after),
                Err(why) => {
                    refused.push((record, why));
                    None
                }
            };
        }
        Some(after)
    })?;
    Ok(Outcome { done, refused })
}

/// Saves a record's next state, made on revision `base`, and with `accept` accepts it in the same stroke. What was in the inbox is
/// a draft from then on, and so is what has no gold answer, whatever it says: it would be trained on. Of an assistant's turn
/// that becomes another, what it said is kept.
///
/// # Errors
/// When there is no such record or the database cannot be written. That another edit came first is told in the outcome, with both
/// texts; that it cannot be accepted too, and then it is saved all the same.
pub fn save(
    store: &mut Store,
    record: i64,
    base: i64,
    after: State,
    accept: bool,
    seconds: Option<f64>,
) -> Result<Outcome, ActionError> {
    let before = match store.get(record) {
        Ok(before) => Some(before).filter(|before| before.revision == base),
        // Taken away meanwhile: a conflict like others.
        Err(StoreError::NoRecord(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let (mut after, unedited) = match before {
        Some(before) => {
            let after = editor::keep_drafts(&before.state, after);
            let unedited = after.content == before.state.content;
            (after, unedited)
        }
        None => (after, false),
    };
    let cause = if accept && unedited { Cause::Accept } else { Cause::Edit };
    let mut refused = Vec::new();
    if accept {
        match accepted(&after) {
            Ok(gold) => after = gold,
            Err(why) => refused.push((record, why)),
        }
    }
    let unanswered = matches!(&after.content, Content::Pair { gold: None, .. }) || accepted(&after).is_err();
    if after.status == Status::Inbox || after.status == Status::Gold && unanswered {
        after.status = Status::Draft;
    }
    let act = Act { seconds, ..Act::new(cause, "") };
    let done = store.act(&act, &[Change { record, base, after }])?;
    Ok(Outcome { done, refused })
}

/// A record as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The record.
    pub record: Record,
    /// Who changed it last.
    pub author: String,
    /// Names of the checks that found something at the last lint.
    pub flags: Vec<String>,
    /// Who else is at it.
    pub taken: Option<String>,
    /// What it begins with, on one line, at most [`HEAD`] characters.
    pub head: String,
}

/// The longest beginning of a record in a list.
pub const HEAD: usize = 160;

/// Records as a list shows them; those that are not there any more are left out.
///
/// # Errors
/// When they cannot be read.
pub fn rows(store: &Store, ids: &[i64]) -> Result<Vec<Row>, ActionError> {
    let claims = store.claims()?;
    let mut rows = Vec::with_capacity(ids.len());
    for &id in ids {
        let record = match store.get(id) {
            Ok(record) => record,
            Err(StoreError::NoRecord(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut flags: Vec<String> = store.flags(Some(id))?.into_iter().map(|flag| flag.name).collect();
        flags.dedup();
        let taken = claims.iter().find(|claim| claim.record == id && !claim.ours).map(|claim| claim.author.clone());
        rows.push(Row { author: store.author_of(id)?, flags, taken, head: head(&record.state.content), record });
    }
    Ok(rows)
}

/// The first words of what is asked: behind an instruction that many records share, what it is asked of.
fn head(content: &Content) -> String {
    let parts = crate::data::view::parts(content, None);
    let asked = parts.iter().rfind(|part| part.role == Role::Prompt).or(parts.first());
    let words = asked.map(|part| part.text.split_whitespace().flat_map(|word| [word, " "]).flat_map(str::chars));
    words.map(|words| words.take(HEAD).collect()).unwrap_or_default()
}

/// Takes back up to `count` of this author's acts, newest first.
///
/// # Errors
/// When the database cannot be written.
pub fn undo(store: &mut Store, count: usize) -> Result<Vec<Undone>, ActionError> {
    repeat(count, || store.undo())
}

/// Does again up to `count` of the acts that this author took back.
///
/// # Errors
/// When the database cannot be written.
pub fn redo(store: &mut Store, count: usize) -> Result<Vec<Undone>, ActionError> {
    repeat(count, || store.redo())
}

fn repeat(
    count: usize,
    mut one: impl FnMut() -> Result<Option<Undone>, StoreError>,
) -> Result<Vec<Undone>, ActionError> {
    let mut all = Vec::new();
    while all.len() < count {
        let Some(undone) = one()? else { break };
        all.push(undone);
    }
    Ok(all)
}

/// Gives this author the next record to work on: one that is theirs already, or else a free one, which is theirs from then on.
/// So the verb, whose process ends, gives everybody a different record as the pane's claim does.
///
/// # Errors
/// When the database cannot be written.
pub fn next(store: &mut Store) -> Result<Option<Record>, ActionError> {
    let author = store.author().to_owned();
    while let Some(record) = store.next(None)? {
        let mut ours = true;
        store.change(&Act::new(Cause::Sort, "next"), &[record.id], |_, state| {
            // Between the claim and now somebody may have given it to another.
            ours = state.assignee.as_ref().is_none_or(|assignee| *assignee == author);
            ours.then(|| State { assignee: Some(author.clone()), ..state.clone() })
        })?;
        if ours {
            return Ok(Some(store.get(record.id)?));
        }
    }
    Ok(None)
}
