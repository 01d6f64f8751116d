//! What actions and store have, in the workbench's own forms, and back.

use crate::actions::judge::Judgement;
use crate::actions::prompts;
use crate::actions::records::{self, Marks, State};
use crate::actions::rehearsal::Rehearsed;
use crate::app::compare::{Judged, Recording};
use crate::app::overlay::Line;
use crate::app::prompt::Version;
use crate::app::{Act, Row};

/// The marks that an act sets.
pub(super) fn marks(act: &Act) -> Marks {
    match act {
        Act::Category(name) => Marks { category: Some(name.clone()), ..Marks::default() },
        Act::Assign(name) => Marks { assignee: Some(name.clone()), ..Marks::default() },
        Act::Split(split) => Marks { split: Some(*split), ..Marks::default() },
        Act::Status(status) => Marks { status: Some(*status), ..Marks::default() },
        Act::Accept | Act::Reject(_) => Marks::default(),
    }
}

/// What an act would make of a state.
pub(super) fn after(act: &Act, state: &State) -> Result<State, String> {
    match act {
        Act::Accept => records::accepted(state),
        Act::Reject(why) => Ok(state.rejected(why)),
        act => Ok(marks(act).apply(state)),
    }
}

pub(super) fn row(row: records::Row) -> Row {
    let records::Row { record, author, flags, taken, head } = row;
    let state = record.state;
    Row {
        id: record.id,
        status: state.status,
        split: state.split,
        origin: record.origin,
        category: state.category,
        assignee: state.assignee,
        author,
        flags,
        taken,
        head,
    }
}

pub(super) fn version(version: prompts::Version) -> Version {
    let prompts::Version { name, text, draft, used } = version;
    Version { name, text, draft, used }
}

pub(super) fn recording(rehearsed: Rehearsed) -> Recording {
    let Rehearsed { question, systems, events } = rehearsed;
    Recording { question, systems, events }
}

pub(super) fn rehearsed(recording: Recording) -> Rehearsed {
    let Recording { question, systems, events } = recording;
    Rehearsed { question, systems, events }
}

pub(super) fn judgement(judged: Judged) -> Judgement {
    let [left, right] = judged.systems;
    let [left_answer, right_answer] = judged.answers;
    Judgement {
        record: judged.record,
        question: judged.question,
        left,
        right,
        left_answer,
        right_answer,
        pick: judged.pick.word().to_owned(),
        blind: true,
        seconds: Some(judged.seconds),
        ..Judgement::default()
    }
}

/// A state of a record's history as a line.
pub(super) fn line(revision: &records::Revision) -> Line {
    let at = jiff::Timestamp::from_millisecond(revision.at).unwrap_or_default();
    let at = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let back = if revision.reverted { " (taken back)" } else { "" };
    let note = if revision.note.is_empty() { String::new() } else { format!(" “{}”", revision.note) };
    let now = match &revision.state {
        Some(state) => format!("{}: {}", state.status, crate::text::escape(state.content.answer().unwrap_or_default())),
        None => "taken away".into(),
    };
    Line { head: at, text: format!("{} {}{back}{note} → {now}", revision.author, revision.cause) }
}
