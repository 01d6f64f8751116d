//! A record as a text that a person edits, and back.
//!
//! TOML, because it holds texts of several lines as they are and says where it does not parse. A record with values that TOML has
//! no words for (a null in a tool's arguments) is JSON instead.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Map, Value};

use super::{Content, Outcome, Record, State, Store, save};
use crate::actions::ActionError;

/// Seconds after which an open editor counts as left alone.
const IDLE: f64 = 300.0;

/// How a record that comes back from an editor is saved.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// The revision it counts as made on; the one that was opened unless somebody says.
    pub base: Option<i64>,
    /// Whether it is accepted in the same stroke.
    pub accept: bool,
    /// Seconds that were spent; measured where nobody says.
    pub seconds: Option<f64>,
}

/// Opens a record in the person's editor (`$VISUAL`, `$EDITOR`, `vi`) and saves what they make of it; `None` where they change
/// nothing. The terminal is the editor's meanwhile.
///
/// # Errors
/// Where somebody else is at the record, the editor fails, or what is left does not parse or cannot be saved; the text is kept in a
/// file then, which the error names.
pub fn edit(store: &mut Store, record: i64, how: &How) -> Result<Option<Outcome>, ActionError> {
    store.claim(record)?;
    let record = store.get(record)?;
    let begun = Instant::now();
    let (after, path) = in_editor(store, &record)?;
    // Whoever leaves an editor open over lunch was not at the record all the time.
    let seconds = how.seconds.or(Some(begun.elapsed().as_secs_f64().min(IDLE)));
    let after = after.or_else(|| how.accept.then(|| record.state.clone()));
    let base = how.base.unwrap_or(record.revision);
    let saved = after.map(|after| save(store, record.id, base, after, how.accept, seconds)).transpose();
    let saved = saved.map_err(|why| kept(&why.to_string(), &path, &record))?;
    let _ = std::fs::remove_file(path);
    store.release(record.id)?;
    Ok(saved)
}

/// The failure, and where the person's text is.
fn kept(why: &str, path: &Path, record: &Record) -> ActionError {
    let path = path.display();
    ActionError::Refused(format!("{why}\nyour text is in {path}; mend it and: togi edit {} --from FILE", record.id))
}

/// Opens the record in the person's editor. What they leave stays in the file, which is returned too, until it is saved.
fn in_editor(store: &Store, record: &Record) -> Result<(Option<State>, PathBuf), ActionError> {
    let named = |name| std::env::var_os(name).filter(|program| !program.is_empty());
    let program = ["VISUAL", "EDITOR"].into_iter().find_map(named);
    let program = program.unwrap_or_else(|| "vi".into());
    let folder = store.path().parent().unwrap_or(store.path());
    let path = folder.join(format!(".togi-edit-{}-{}.toml", record.id, std::process::id()));
    let unwritten = |cause| ActionError::File { action: "write the record for the editor", path: path.clone(), cause };
    std::fs::write(&path, text(record)).map_err(unwritten)?;
    // The editor may be a command with options.
    let ran =
        Command::new("sh").arg("-c").arg(format!("{} \"$1\"", program.to_string_lossy())).arg("sh").arg(&path).status();
    let keep = |why: String| kept(&why, &path, record);
    let status = ran.map_err(|error| keep(format!("the editor {} did not start: {error}", program.display())))?;
    if !status.success() {
        return Err(keep(format!("the editor {} ended with {status}", program.display())));
    }
    let edited = std::fs::read_to_string(&path).map_err(|error| keep(error.to_string()))?;
    let after = read(record, &edited).map_err(|why| keep(format!("record {}: {why}", record.id)))?;
    Ok((after, path))
}

/// A record as text. A pair that has no gold answer yet shows its draft there, to be made gold.
#[must_use]
pub fn text(record: &Record) -> String {
    let mut state = record.state.clone();
    if let Content::Pair { draft, gold, .. } = &mut state.content
        && gold.is_none()
    {
        *gold = Some(draft.clone().unwrap_or_default());
    }
    let head = format!(
        "record {}, revision {}. Save and close to keep; change nothing to leave it as it is.",
        record.id, record.revision
    );
    let value = serde_json::to_value(&state).unwrap_or_default();
    match toml::Value::try_from(&value).ok().and_then(|value| toml::to_string_pretty(&value).ok()) {
        Some(text) => format!("# {head}\n{text}"),
        None => format!("// {head}\n{value:#}\n"),
    }
}

/// The record and its revision that a text was written from, by its first line; `None` where that line is gone.
#[must_use]
pub fn written_from(edited: &str) -> Option<(i64, i64)> {
    let head = edited.trim_start().lines().next()?;
    let head = head.strip_prefix("//").or_else(|| head.strip_prefix('#'))?.trim_start().strip_prefix("record ")?;
    let (record, rest) = head.split_once(", revision ")?;
    let (revision, _) = rest.split_once('.')?;
    Some((record.parse().ok()?, revision.parse().ok()?))
}

/// What a person made of the text; `None` where they changed nothing.
///
/// # Errors
/// With the line where it does not parse, or what a record cannot be.
pub fn read(record: &Record, edited: &str) -> Result<Option<State>, String> {
    let before = text(record);
    if edited.trim() == before.trim() {
        return Ok(None);
    }
    let mut value: Value = if edited.trim_start().starts_with(['/', '{']) {
        let body: String = edited.lines().filter(|line| !line.starts_with("//")).collect::<Vec<_>>().join("\n");
        serde_json::from_str(&body).map_err(|error| error.to_string())?
    } else {
        let table: toml::Table = toml::from_str(edited).map_err(|error| error.to_string())?;
        serde_json::to_value(table).map_err(|error| error.to_string())?
    };
    put_in_order(&serde_json::to_value(&record.state).unwrap_or_default(), &mut value);
    let Value::Object(mut map) = value else { return Err("a record is named values".into()) };
    let known = [
        "kind",
        "fields",
        "draft",
        "gold",
        "turns",
        "tools",
        "text",
        "status",
        "split",
        "category",
        "tags",
        "references",
        "assignee",
        "notes",
        "extra",
    ];
    if let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("{key} is nothing a record has; there are {}", known.join(", ")));
    }
    empty_to_none(&mut map);
    let after: State = serde_json::from_value(Value::Object(map)).map_err(|error| error.to_string())?;
    if after.content.kind() != record.state.content.kind() {
        return Err(format!(
            "the record is a {} and cannot become a {}",
            record.state.content.kind(),
            after.content.kind()
        ));
    }
    Ok((after != record.state).then_some(after))
}

/// Gives names the order they had: TOML sorts them, and prompts, tools and tables have them in the source's order.
fn put_in_order(before: &Value, after: &mut Value) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut rest = std::mem::take(new);
            for (name, old) in old {
                if let Some(mut value) = rest.shift_remove(name) {
                    put_in_order(old, &mut value);
                    new.insert(name.clone(), value);
                }
            }
            new.extend(rest);
        }
        (Value::Array(old), Value::Array(new)) => {
            old.iter().zip(new).for_each(|(old, new)| put_in_order(old, new));
        }
        _ => {}
    }
}

/// An empty text where there may be none means none.
fn empty_to_none(map: &mut Map<String, Value>) {
    for key in ["gold", "draft", "split", "category", "assignee"] {
        if map.get(key).and_then(Value::as_str).is_some_and(|text| text.trim().is_empty()) {
            map.shift_remove(key);
        }
    }
}

/// Keeps what an assistant's turn said before, where its text was changed and nothing is kept yet.
#[must_use]
pub(super) fn keep_drafts(before: &State, mut after: State) -> State {
    if let (Content::Chat { turns: old, .. }, Content::Chat { turns: new, .. }) = (&before.content, &mut after.content)
        && old.len() == new.len()
    {
        for (old, new) in old.iter().zip(new) {
            if new.role == "assistant" && old.role == "assistant" && old.content != new.content && new.draft.is_none() {
                new.draft.clone_from(&old.content);
            }
        }
    }
    after
}

/// Sets the answer: a pair's gold, or a chat's assistant turn number `turn` (from 1 among the assistant's; `None` for the last).
///
/// # Errors
/// Where the record has no such turn, or is a text.
pub fn set_answer(state: &State, answer: &str, turn: Option<usize>) -> Result<State, String> {
    let mut after = state.clone();
    match &mut after.content {
        Content::Pair { gold, .. } => *gold = Some(answer.to_owned()),
        Content::Chat { turns, .. } => {
            let mut own: Vec<_> = turns.iter_mut().filter(|turn| turn.role == "assistant").collect();
            let count = own.len();
            let index = turn.unwrap_or(count).wrapping_sub(1);
            let Some(turn) = own.get_mut(index) else {
                return Err(format!("the assistant has {count} turns in it"));
            };
            turn.content = Some(answer.to_owned());
        }
        Content::Text { .. } => return Err("a text has no answer: edit it with togi edit ID".into()),
    }
    Ok(after)
}
