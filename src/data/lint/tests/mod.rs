use serde_json::{Map, Value, json};

use super::*;
use crate::store::{Content, Origin, Source, Split, Turn};

mod across;
mod fixes;
mod shared;
mod single;

/// A pair as an importer makes it: the answer accepted, the other fields as they come.
fn pair(id: i64, fields: &[(&str, &str)], answer: Option<&str>) -> Record {
    let fields: Map<String, Value> = fields.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    let content = Content::Pair { fields, draft: None, gold: answer.map(str::to_owned) };
    let state = State::new(content, Status::Gold);
    let source = Some(Source { file: "rows.jsonl".into(), line: id as u64, id: None });
    Record { id, revision: 1, state, origin: Origin::Import, source }
}

/// Pairs of an input and an answer under one instruction, numbered from 1.
fn pairs(instruction: &str, rows: &[(&str, &str)]) -> Vec<Record> {
    let record = |(at, (input, answer)): (usize, &(&str, &str))| {
        pair(at as i64 + 1, &[("instruction", instruction), ("input", input)], Some(answer))
    };
    rows.iter().enumerate().map(record).collect()
}

/// What all checks say, as (record, check, severity); shares of the whole set left out.
fn said(records: &[Record]) -> Vec<(i64, &'static str, Severity)> {
    let findings = lint(records, &Settings::default(), None);
    findings.iter().filter_map(|finding| Some((finding.record?, finding.check, finding.severity))).collect()
}

/// What all checks say of a single prompt and its answer, by name.
fn of_one(prompt: &str, answer: &str) -> Vec<&'static str> {
    let record = pair(1, &[("prompt", prompt)], Some(answer));
    said(&[record]).into_iter().map(|(_, check, _)| check).collect()
}

fn turn(role: &str, text: &str) -> Turn {
    Turn { role: role.into(), content: Some(text.into()), ..Turn::default() }
}

fn chat(id: i64, turns: Vec<Turn>) -> Record {
    let mut record = pair(id, &[], None);
    record.state.content = Content::Chat { turns, tools: None };
    record
}

fn document(id: i64, text: &str) -> Record {
    let mut record = pair(id, &[], None);
    record.state.content = Content::Text { text: text.into() };
    record
}

/// Twenty questions and answers with nothing to find fault with.
fn sound() -> Vec<(String, String)> {
    let things = [
        "river", "winter", "paper", "engine", "market", "garden", "bridge", "letter", "camera", "harbour", "forest",
        "kitchen", "violin", "planet", "glacier", "museum", "lantern", "pasture", "tunnel", "orchard",
    ];
    let verbs = ["flows", "cools", "folds", "turns", "sells", "grows", "joins", "tells", "keeps", "holds"];
    let row = |(at, thing): (usize, &&str)| {
        let verb = verbs[at % verbs.len()];
        (
            format!("What can be said about the {thing}?"),
            format!("A {thing} {verb} what people bring to it, number {at}."),
        )
    };
    things.iter().enumerate().map(row).collect()
}

/// The sound records, and some more behind them under the same instruction.
fn sound_and(more: &[(&str, &str)]) -> Vec<Record> {
    let sound = sound();
    let mut rows: Vec<(&str, &str)> = sound.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    rows.extend(more);
    pairs("Answer the question in a sentence.", &rows)
}

fn split(mut record: Record, to: Split) -> Record {
    record.state.split = Some(to);
    record
}
