//! `togi show`: one record, and how it came to be what it is.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output;
use super::records::open;
use crate::actions::records::{self, Content, Record, Shown, State};
use crate::text;

/// Show a record
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi show 12
  togi show 12 --history
  togi show 12 --neighbours 5")]
pub struct Show {
    /// The record's number
    #[arg(value_name = "ID")]
    record: i64,
    /// Every state it had, with author, time and cause
    #[arg(long)]
    history: bool,
    /// The records whose input is worded most like this one's
    #[arg(long, value_name = "N")]
    neighbours: Option<usize>,
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
}

impl Show {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let store = open(place)?;
        if let Some(count) = self.neighbours {
            for (record, similarity) in records::neighbours(&store, self.record, count)? {
                if self.json {
                    output::json(&serde_json::json!({ "record": record.id, "similarity": similarity }))?;
                } else {
                    let line = format!("{similarity:.2}  {:>6}  {}", record.id, super::records::line(&record));
                    output::print(&format!("{}\n", text::cut(&text::escape(&line), 160)))?;
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        let shown = records::show(&store, self.record, self.history)?;
        if self.json {
            output::json(&shown)?;
        } else {
            output::print(&page(&shown))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn page(shown: &Shown) -> String {
    let Record { id, revision, state, origin, source } = &shown.record;
    let mut out = String::new();
    let from = source.as_ref().map(|source| {
        let own = source.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        format!(", from {}:{}{own}", source.file, source.line)
    });
    let _ = writeln!(
        out,
        "record {id}, revision {revision}: {}, origin {origin}{}",
        state.status,
        from.unwrap_or_default()
    );
    for (name, value) in marks(state) {
        let _ = writeln!(out, "  {name}: {}", text::escape(&value));
    }
    if let Some(author) = &shown.taken {
        let _ = writeln!(out, "  {author} is at it");
    }
    for (name, value) in texts(&state.content) {
        let _ = writeln!(out, "\n{name}");
        for line in value.lines() {
            let _ = writeln!(out, "  {}", text::escape(line));
        }
    }
    if !shown.flags.is_empty() {
        let _ = writeln!(out, "\nfindings of the last lint");
        for flag in &shown.flags {
            let _ = writeln!(out, "  {} {}: {}", flag.severity, flag.name, text::escape(&flag.reason));
        }
    }
    for (author, conflict) in &shown.conflicts {
        let _ = writeln!(
            out,
            "\nnot saved: {author}'s text on revision {}, while {} wrote the above",
            conflict.base, conflict.by
        );
        for (name, value) in conflict.ours.iter().flat_map(|state| texts(&state.content)) {
            let _ = writeln!(out, "  {name}: {}", text::escape(&value));
        }
    }
    if !shown.history.is_empty() {
        let _ = writeln!(out, "\nhistory");
        let mut before: Option<&State> = None;
        for revision in &shown.history {
            let at = jiff::Timestamp::from_millisecond(revision.at).unwrap_or_default();
            let at = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
            let seconds = revision.seconds.map(|s| format!(", {s:.0} s")).unwrap_or_default();
            let note =
                if revision.note.is_empty() { String::new() } else { format!(" ({})", text::escape(&revision.note)) };
            let back = if revision.reverted { ", taken back later" } else { "" };
            let _ =
                writeln!(out, "  {}  {at}  {}  {}{note}{seconds}{back}", revision.id, revision.author, revision.cause);
            let first = revision.id == shown.history.first().map_or(0, |first| first.id);
            for change in changes(before, revision.state.as_ref()).into_iter().filter(|_| !first) {
                let _ = writeln!(out, "      {}", text::cut(&text::escape(&change), 160));
            }
            before = revision.state.as_ref();
        }
    }
    out
}

/// The marks that are set.
fn marks(state: &State) -> Vec<(&'static str, String)> {
    let mut marks = Vec::new();
    marks.extend(state.split.map(|split| ("split", split.to_string())));
    marks.extend(state.category.clone().map(|category| ("category", category)));
    marks.extend((!state.tags.is_empty()).then(|| ("tags", state.tags.join(", "))));
    marks.extend(state.assignee.clone().map(|assignee| ("assignee", assignee)));
    marks.extend((!state.references.is_empty()).then(|| ("references", state.references.join(" | "))));
    marks.extend((!state.notes.is_empty()).then(|| ("notes", state.notes.clone())));
    marks
}

/// The texts of a record by name.
fn texts(content: &Content) -> Vec<(String, String)> {
    match content {
        Content::Pair { fields, draft, gold } => {
            let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let fields = fields.iter().map(|(name, value)| (name.clone(), plain(value)));
            let draft = draft.iter().map(|text| ("draft".to_owned(), text.clone()));
            fields.chain(draft).chain(gold.iter().map(|text| ("gold".to_owned(), text.clone()))).collect()
        }
        Content::Chat { turns, .. } => turns
            .iter()
            .flat_map(|turn| {
                let calls = turn.more.iter().map(|(name, value)| format!("{name}: {value}"));
                let said = turn.content.clone().into_iter().chain(calls).collect::<Vec<_>>().join("\n");
                let draft = turn.draft.iter().map(|text| (format!("{} (draft)", turn.role), text.clone()));
                draft.chain([(turn.role.clone(), said)]).collect::<Vec<_>>()
            })
            .collect(),
        Content::Text { text } => vec![("text".to_owned(), text.clone())],
    }
}

/// What differs between two states, a line each.
pub fn changes(before: Option<&State>, after: Option<&State>) -> Vec<String> {
    let Some(after) = after else { return vec!["taken away".into()] };
    let Some(before) = before else { return vec!["put back".into()] };
    let all = |state: &State| {
        let mut all = vec![("status".to_owned(), state.status.to_string())];
        all.extend(marks(state).into_iter().map(|(name, value)| (name.to_owned(), value)));
        all.extend(texts(&state.content));
        all
    };
    let (old, new) = (all(before), all(after));
    let find = |list: &[(String, String)], name: &str, nth: usize| {
        list.iter().filter(|(known, _)| known == name).nth(nth).map(|(_, value)| value.clone())
    };
    let mut lines = Vec::new();
    for (i, (name, value)) in new.iter().enumerate() {
        let nth = new.iter().take(i).filter(|(known, _)| known == name).count();
        match find(&old, name, nth) {
            Some(was) if was == *value => {}
            Some(was) => lines.push(format!("{name}: {was} → {value}")),
            None => lines.push(format!("{name}: {value}")),
        }
    }
    for (i, (name, value)) in old.iter().enumerate() {
        let nth = old.iter().take(i).filter(|(known, _)| known == name).count();
        if find(&new, name, nth).is_none() {
            lines.push(format!("{name} taken away: {value}"));
        }
    }
    lines
}
