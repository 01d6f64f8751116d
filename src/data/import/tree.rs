//! `ChatGPT`'s export: a tree of messages, of which the path from `current_node` to the root is the conversation.
//!
//! Branches off that path (answers that were generated anew, prompts that were edited) are not what was kept, and are not
//! read. Nothing of the path is lost: a tool's call becomes a tool call, thoughts become the next turn's
//! `reasoning_content`, and what cannot be text (pictures, sounds) refuses the conversation.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::store::{Content, Turn};

use super::element::Fields;
use super::plan::Plan;
use super::{Row, chat};

/// Reads one conversation.
pub(super) fn read(plan: &Plan, line: u64, mut fields: Fields) -> Result<Row, String> {
    let Some(Value::Object(nodes)) = fields.shift_remove("mapping") else {
        return Err("the conversation has no `mapping` of messages".to_owned());
    };
    let mut at = match fields.shift_remove("current_node") {
        Some(Value::String(node)) => Some(node),
        _ => return Err("the conversation has no `current_node`, so nothing says which branch counts".to_owned()),
    };
    let mut path = Vec::new();
    let mut been = HashSet::new();
    while let Some(node) = at {
        let Some(found) = nodes.get(&node) else { return Err(format!("the message {node} is not there")) };
        at = found.get("parent").and_then(Value::as_str).map(str::to_owned);
        path.extend(found.get("message").filter(|message| !message.is_null()));
        if !been.insert(node) {
            return Err("the messages go round in a circle".to_owned());
        }
    }
    let mut turns = Vec::new();
    let mut thoughts = String::new();
    for message in path.into_iter().rev() {
        let Some(mut turn) = one(message, &mut thoughts)? else { continue };
        if turn.role == "assistant" && !thoughts.is_empty() {
            let thoughts = Value::String(std::mem::take(&mut thoughts));
            turn.more.insert("reasoning_content".to_owned(), thoughts);
        }
        turns.push(turn);
    }
    chat::check(&turns, plan.replies)?;
    let own = ["id", "conversation_id"].iter().find_map(|key| match fields.shift_remove(*key) {
        Some(Value::String(id)) => Some(id),
        _ => None,
    });
    fields.retain(|_, value| !value.is_null());
    Ok(Row {
        line,
        id: own,
        content: Content::Chat { turns, tools: None },
        category: None,
        tags: Vec::new(),
        references: Vec::new(),
        extra: fields,
    })
}

/// One message; `None` where it says nothing to anybody.
fn one(message: &Value, thoughts: &mut String) -> Result<Option<Turn>, String> {
    let role = message.pointer("/author/role").and_then(Value::as_str).unwrap_or_default();
    let kind = message.pointer("/content/content_type").and_then(Value::as_str).unwrap_or("text");
    let content = message.get("content").unwrap_or(&Value::Null);
    let at = |key: &str| content.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let text = match kind {
        "text" | "multimodal_text" => parts(content)?,
        "code" | "execution_output" | "tether_quote" | "system_error" => at("text"),
        "user_editable_context" => {
            let both = [at("user_profile"), at("user_instructions")];
            let said: Vec<String> = both.into_iter().filter(|text| !text.is_empty()).collect();
            return Ok(Some(said.join("\n")).filter(|s| !s.trim().is_empty()).map(|said| chat::turn("system", said)));
        }
        "thoughts" => {
            for thought in content.get("thoughts").and_then(Value::as_array).into_iter().flatten() {
                let said = thought.get("content").and_then(Value::as_str).unwrap_or_default();
                if !thoughts.is_empty() {
                    thoughts.push('\n');
                }
                thoughts.push_str(said);
            }
            return Ok(None);
        }
        "reasoning_recap" => return Ok(None),
        other => return Err(format!("a message is of type {other}; only text is read")),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let recipient = message.get("recipient").and_then(Value::as_str).unwrap_or("all");
    match role {
        "assistant" if recipient != "all" => {
            let call = json!({"type": "function", "function": {"name": recipient, "arguments": text}});
            let more = Map::from_iter([("tool_calls".to_owned(), Value::Array(vec![call]))]);
            Ok(Some(Turn { role: "assistant".to_owned(), more, ..Turn::default() }))
        }
        "system" | "user" | "assistant" => Ok(Some(chat::turn(role, text))),
        "tool" => {
            let mut turn = chat::turn("tool", text);
            if let Some(name) = message.pointer("/author/name").filter(|name| name.is_string()) {
                turn.more.insert("name".to_owned(), name.clone());
            }
            Ok(Some(turn))
        }
        other => Err(format!("a message is by {other:?}; known are system, user, assistant, tool")),
    }
}

/// The parts of a message, one after another on lines of their own.
fn parts(content: &Value) -> Result<String, String> {
    let mut said = Vec::new();
    for part in content.get("parts").and_then(Value::as_array).into_iter().flatten() {
        match part {
            Value::String(text) => said.push(text.as_str()),
            Value::Null => {}
            other => {
                let kind = other.get("content_type").and_then(Value::as_str).unwrap_or("unknown");
                // What was heard and written down is text all the same.
                match other.get("text").and_then(Value::as_str) {
                    Some(text) if kind == "audio_transcription" => said.push(text),
                    _ => return Err(format!("a message holds a part of type {kind}; only text is read")),
                }
            }
        }
    }
    Ok(said.join("\n"))
}
