//! `SageMaker` JumpStart: `train.jsonl` with free field names, and `template.json` that says how they make prompt and
//! completion, in the notation of Python's `str.format`.
//!
//! A project's template that only prints fields is written in that notation, and the rows keep their fields. One that decides
//! or loops has no such form: then each row holds its rendered prompt, under `prompt`.

use serde_json::{Map, Value, json};

use super::{ExportError, Exported, Format, Prompts, marks, pair};
use crate::prompt::Prompt;
use crate::store::Record;

/// The answer's name, unless a field has it.
const ANSWER: [&str; 3] = ["response", "completion", "answer"];

pub(super) fn export(records: &[Record], prompt: &Prompt) -> Result<Exported, ExportError> {
    let prompts = Prompts::new(prompt)?;
    let mut made = Exported::default();
    let mut pairs = Vec::new();
    for record in records {
        match pair(record) {
            Ok((fields, answer)) => pairs.push((record, fields, answer)),
            Err(why) => made.left_out.push((record.id, why)),
        }
    }
    let template = match prompt.template.as_deref() {
        Some(source) => placeholders(source),
        None => usual(pairs.iter().map(|(_, fields, _)| *fields)),
    };
    // Every placeholder must be a key of every row.
    let template = template.filter(|template| {
        pairs
            .iter()
            .all(|(_, fields, _)| template.names.iter().all(|name| fields.get(name).is_some_and(Value::is_string)))
    });
    let answer_name = ANSWER
        .into_iter()
        .find(|name| pairs.iter().all(|(_, fields, _)| !fields.contains_key(*name)))
        .unwrap_or("togi_answer");
    let mut lines = Vec::new();
    for (record, fields, answer) in pairs {
        let mut row = if template.is_some() {
            fields.clone()
        } else {
            let Some(text) = prompts.of(record.id, fields)? else {
                let names: Vec<&str> = fields.keys().map(String::as_str).collect();
                let why = format!("no template says how its fields make a prompt: {}", names.join(", "));
                made.left_out.push((record.id, why));
                continue;
            };
            Map::from_iter([("prompt".to_owned(), Value::String(text))])
        };
        row.insert(answer_name.to_owned(), answer.into());
        marks(record, &mut row);
        let failed =
            |error: serde_json::Error| ExportError::Write { format: Format::JumpStart, reason: error.to_string() };
        serde_json::to_writer(&mut lines, &row).map_err(failed)?;
        lines.push(b'\n');
        made.rows += 1;
    }
    let text = template.map_or_else(|| "{prompt}".to_owned(), |template| template.text);
    let template = json!({ "prompt": text, "completion": format!("{{{answer_name}}}") });
    made.files = vec![("train.jsonl", lines), ("template.json", format!("{template:#}\n").into_bytes())];
    Ok(made)
}

/// A template in `str.format` notation, and the fields it prints.
#[derive(Debug, PartialEq)]
struct Layout {
    text: String,
    names: Vec<String>,
}

/// Turns `{{ name }}` to `{name}`; `None` for a template that does more than print fields.
fn placeholders(source: &str) -> Option<Layout> {
    if source.contains("{%") || source.contains("{#") {
        return None;
    }
    let mut made = Layout { text: String::new(), names: Vec::new() };
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{{") {
        made.text.push_str(&doubled(before));
        let (name, next) = after.split_once("}}")?;
        let name = name.trim();
        let plain =
            name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
        if name.is_empty() || !plain {
            return None;
        }
        made.text.extend(["{", name, "}"]);
        made.names.push(name.to_owned());
        rest = next;
    }
    made.text.push_str(&doubled(rest));
    Some(made)
}

/// What a pair is asked without a template, where it is the same for all of them.
fn usual<'a>(mut rows: impl Iterator<Item = &'a Map<String, Value>> + Clone) -> Option<Layout> {
    let heads = ["instruction", "prompt", "question"];
    let tails = ["input", "context"];
    let head = heads.into_iter().find(|name| rows.clone().all(|row| row.contains_key(*name)))?;
    let filled =
        |row: &Map<String, Value>, name: &str| row.get(name).and_then(Value::as_str).is_some_and(|t| !t.is_empty());
    if let Some(tail) = tails.into_iter().find(|name| rows.clone().all(|row| filled(row, name))) {
        return Some(Layout { text: format!("{{{head}}}\n{{{tail}}}"), names: vec![head.into(), tail.into()] });
    }
    let bare = rows.all(|row| tails.iter().all(|name| !filled(row, name)));
    bare.then(|| Layout { text: format!("{{{head}}}"), names: vec![head.into()] })
}

fn doubled(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
