//! Lines (or a list) of JSON: Alpaca, messages, prompt and completion, preference pairs.

use serde_json::{Map, Value, json};

use super::{ExportError, Exported, Format, Prompts, marks, pair};
use crate::prompt::Prompt;
use crate::store::{Content, Record, Turn};

pub(super) fn export(format: Format, records: &[Record], prompt: &Prompt, list: bool) -> Result<Exported, ExportError> {
    let prompts = Prompts::new(prompt)?;
    let mut made = Exported::default();
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let row = match format {
            Format::Messages => messages(record, &prompts, prompt.system.as_deref())?,
            Format::PromptCompletion => prompt_completion(record, &prompts)?,
            Format::Preference => preference(record, &prompts)?,
            _ => alpaca(record),
        };
        match row {
            Ok(mut row) => {
                marks(record, &mut row);
                rows.push(Value::Object(row));
            }
            Err(why) => made.left_out.push((record.id, why)),
        }
    }
    made.rows = rows.len();
    let failed = |error: serde_json::Error| ExportError::Write { format, reason: error.to_string() };
    let bytes = if list {
        let mut bytes = serde_json::to_vec_pretty(&rows).map_err(failed)?;
        bytes.push(b'\n');
        bytes
    } else {
        let mut bytes = Vec::new();
        for row in &rows {
            serde_json::to_writer(&mut bytes, row).map_err(failed)?;
            bytes.push(b'\n');
        }
        bytes
    };
    made.files.push(("", bytes));
    Ok(made)
}

/// A row, or why the record cannot be one.
type Made = Result<Map<String, Value>, String>;

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn alpaca(record: &Record) -> Made {
    match &record.state.content {
        Content::Pair { .. } => {
            let (fields, answer) = pair(record)?;
            if !fields.contains_key("instruction") {
                let names: Vec<&str> = fields.keys().map(String::as_str).collect();
                return Err(format!("it has no field instruction but {}", names.join(", ")));
            }
            let mut row = fields.clone();
            row.insert("output".into(), answer.into());
            Ok(row)
        }
        Content::Chat { turns, tools } => {
            if tools.is_some() || turns.iter().any(|turn| !turn.more.is_empty() || turn.weight.is_some()) {
                return Err("it is a chat with tools or weights".into());
            }
            let (system, rest) = match turns.split_first() {
                Some((first, rest)) if first.role == "system" => (first.content.as_deref(), rest),
                _ => (None, &turns[..]),
            };
            let said: Option<Vec<[&str; 2]>> = rest
                .chunks(2)
                .map(|both| match both {
                    [user, assistant] if user.role == "user" && assistant.role == "assistant" => {
                        Some([user.content.as_deref()?, assistant.content.as_deref()?])
                    }
                    _ => None,
                })
                .collect();
            let Some((last, before)) = said.as_deref().and_then(<[_]>::split_last) else {
                return Err("its turns are not user and assistant in turn".into());
            };
            let mut row = object(json!({ "instruction": last[0], "output": last[1], "history": before }));
            if let Some(system) = system {
                row.insert("system".into(), system.into());
            }
            Ok(row)
        }
        Content::Text { .. } => Err("it is a text".into()),
    }
}

fn messages(record: &Record, prompts: &Prompts, system: Option<&str>) -> Result<Made, ExportError> {
    let mut row = Map::new();
    match &record.state.content {
        Content::Chat { turns, tools } => {
            row.insert("messages".into(), turns.iter().map(message).collect());
            if let Some(tools) = tools {
                row.insert("tools".into(), tools.clone());
            }
        }
        Content::Pair { .. } => {
            let (fields, answer) = match pair(record) {
                Ok(both) => both,
                Err(why) => return Ok(Err(why)),
            };
            let Some(prompt) = prompts.of(record.id, fields)? else { return Ok(Err(no_prompt(fields))) };
            let own = fields.get("system").and_then(Value::as_str).or(system);
            let system = own.map(|text| json!({ "role": "system", "content": text }));
            let user = json!({ "role": "user", "content": prompt });
            let assistant = json!({ "role": "assistant", "content": answer });
            row.insert("messages".into(), system.into_iter().chain([user, assistant]).collect());
        }
        Content::Text { .. } => return Ok(Err("it is a text".into())),
    }
    Ok(Ok(row))
}

/// A turn as others write it: what it said before a person changed it is togi's own knowledge.
fn message(turn: &Turn) -> Value {
    let mut message = Map::new();
    message.insert("role".into(), turn.role.clone().into());
    message.insert("content".into(), turn.content.clone().map_or(Value::Null, Value::String));
    if let Some(weight) = turn.weight {
        message.insert("weight".into(), weight.into());
    }
    message.extend(turn.more.clone());
    // Arguments are a text in OpenAI's layout, whose own the text is; a chat template and togi have them as an object.
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(arguments) = call.get_mut("function").and_then(|function| function.get_mut("arguments"))
            && arguments.is_object()
        {
            *arguments = Value::String(arguments.to_string());
        }
    }
    Value::Object(message)
}

fn prompt_completion(record: &Record, prompts: &Prompts) -> Result<Made, ExportError> {
    let (fields, answer) = match pair(record) {
        Ok(both) => both,
        Err(why) => return Ok(Err(why)),
    };
    let Some(prompt) = prompts.of(record.id, fields)? else { return Ok(Err(no_prompt(fields))) };
    Ok(Ok(object(json!({ "prompt": prompt, "completion": answer }))))
}

fn preference(record: &Record, prompts: &Prompts) -> Result<Made, ExportError> {
    let Content::Pair { fields, draft: Some(draft), gold: Some(gold) } = &record.state.content else {
        return Ok(Err("it has not both a draft and a gold answer".into()));
    };
    if draft == gold {
        return Ok(Err("its gold answer is its draft".into()));
    }
    let Some(prompt) = prompts.of(record.id, fields)? else { return Ok(Err(no_prompt(fields))) };
    Ok(Ok(object(json!({ "prompt": prompt, "chosen": gold, "rejected": draft }))))
}

fn no_prompt(fields: &Map<String, Value>) -> String {
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    format!("no template says how its fields make a prompt: {}", names.join(", "))
}
