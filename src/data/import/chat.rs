//! Conversations: messages of role and content, and `ShareGPT`'s of from and value.

use serde_json::{Map, Value, json};

use crate::prompt::record::kind_of;
use crate::store::Turn;

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// A turn with nothing but a role and a text.
pub(super) fn turn(role: &str, content: String) -> Turn {
    Turn { role: role.to_owned(), content: Some(content), ..Turn::default() }
}

/// Reads a list of messages; `name` is what the list is called in reasons. A text may hold the list as JSON.
pub(super) fn turns(value: Value, name: &str) -> Result<Vec<Turn>, String> {
    let value = match value {
        Value::String(text) => serde_json::from_str(&text).map_err(|_| format!("`{name}` is a text, not a list"))?,
        other => other,
    };
    let Value::Array(items) = value else {
        return Err(format!("`{name}` is {}, not a list of messages", kind_of(&value)));
    };
    if items.is_empty() {
        return Err(format!("`{name}` is empty"));
    }
    let read = |(i, item)| {
        match item {
            Value::Object(item) if item.contains_key("from") && !item.contains_key("role") => from_value(item),
            Value::Object(item) => message(item),
            other => Err(format!("is {}, not an object with role and content", kind_of(&other))),
        }
        .map_err(|why| format!("`{name}[{i}]` {why}"))
    };
    items.into_iter().enumerate().map(read).collect()
}

/// The tools of a row; a text may hold them as JSON.
pub(super) fn tools(value: Value) -> Value {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(&text) {
            Ok(parsed @ (Value::Array(_) | Value::Object(_))) => parsed,
            _ => Value::String(text),
        },
        other => other,
    }
}

/// Checks that there is something to learn: an assistant's turn that answers a user's, or, of bare prompts, a user's.
pub(super) fn check(turns: &[Turn], replies: bool) -> Result<(), String> {
    let Some(asked) = turns.iter().position(|turn| turn.role == "user") else {
        return Err("the chat has no turn of a user".to_owned());
    };
    if !replies {
        return Ok(());
    }
    if !turns.iter().any(|turn| turn.role == "assistant") {
        return Err("the chat has no turn of the assistant, and others have".to_owned());
    }
    let says = |turn: &Turn| {
        turn.content.as_ref().is_some_and(|text| !text.trim().is_empty())
            || turn.more.contains_key("tool_calls")
            || turn.more.contains_key("function_call")
    };
    let mut after = turns.iter().skip(asked).filter(|turn| turn.role == "assistant").peekable();
    if after.peek().is_none() {
        return Err("no turn of the assistant follows the user's: there is no answer to learn".to_owned());
    }
    if after.any(says) { Ok(()) } else { Err("the assistant's turns are empty".to_owned()) }
}

/// Whether an assistant speaks in a list of messages, for one who looks what a file's chats are.
pub(super) fn has_reply(value: &Value) -> bool {
    let parsed;
    let items = match value {
        Value::Array(items) => items,
        Value::String(text) => match serde_json::from_str::<Vec<Value>>(text) {
            Ok(items) => {
                parsed = items;
                &parsed
            }
            Err(_) => return false,
        },
        _ => return false,
    };
    items.iter().any(|item| {
        let role = item.get("role").or_else(|| item.get("from")).and_then(Value::as_str);
        role.is_some_and(|role| matches!(role, "assistant" | "gpt" | "function_call"))
    })
}

fn message(mut item: Map<String, Value>) -> Result<Turn, String> {
    let role = match item.shift_remove("role") {
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => role,
        Some(Value::String(role)) => {
            return Err(format!("has the role {role:?}; known roles are {}", ROLES.join(", ")));
        }
        _ => {
            let keys: Vec<&str> = item.keys().map(String::as_str).collect();
            return Err(format!("has no role; its fields are {}", keys.join(", ")));
        }
    };
    let content = content(item.shift_remove("content"))?;
    rest(role, content, item)
}

/// What a turn has besides a role and a content.
fn rest(role: String, content: Option<String>, mut more: Map<String, Value>) -> Result<Turn, String> {
    let weight = match more.shift_remove("weight") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_f64() {
            Some(0.0) => Some(0),
            Some(1.0) => Some(1),
            _ => return Err(format!("has the weight {value}; it can be 0 or 1")),
        },
    };
    // parquet writes what a message does not have as null.
    more.retain(|_, value| !value.is_null());
    if let Some(name) = more.keys().find(|name| matches!(name.as_str(), "draft" | "content" | "role" | "weight")) {
        return Err(format!("has a field {name} that would hide the record's own"));
    }
    for call in more.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        parse_arguments(call);
    }
    let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    if more.get("tool_calls").is_some_and(empty) {
        more.shift_remove("tool_calls");
    }
    if content.is_none() && !more.contains_key("tool_calls") && !more.contains_key("function_call") {
        return Err("has no content".to_owned());
    }
    Ok(Turn { role, content, weight, draft: None, more })
}

/// `OpenAI`'s files write a call's arguments as a text that holds JSON; chat templates expect the object itself.
fn parse_arguments(call: &mut Value) {
    let Some(arguments) = call.pointer_mut("/function/arguments") else { return };
    let parsed = arguments.as_str().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    if let Some(object) = parsed {
        *arguments = Value::Object(object);
    }
}

fn content(value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Array(parts)) => {
            let mut joined = String::new();
            for part in &parts {
                match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
                    (Some("text" | "input_text" | "output_text"), Some(text)) => joined.push_str(text),
                    (kind, _) => {
                        return Err(format!("has a part of type {}; only text is read", kind.unwrap_or("none")));
                    }
                }
            }
            Ok(Some(joined))
        }
        Some(other) => Err(format!("has a content that is {}, not a text", kind_of(&other))),
    }
}

/// A turn of `ShareGPT`.
fn from_value(mut item: Map<String, Value>) -> Result<Turn, String> {
    let Some(Value::String(from)) = item.shift_remove("from") else {
        return Err("has a `from` that is not a text".to_owned());
    };
    let value = match item.shift_remove("value") {
        Some(Value::String(text)) => text,
        None | Some(Value::Null) => return Err("has no value".to_owned()),
        Some(other) => return Err(format!("has a value that is {}, not a text", kind_of(&other))),
    };
    let role = match from.as_str() {
        "human" | "user" => "user",
        "gpt" | "assistant" => "assistant",
        "system" => "system",
        "observation" | "tool" => "tool",
        "function_call" => {
            if item.contains_key("tool_calls") {
                return Err("has tool_calls beside a function_call".to_owned());
            }
            item.insert("tool_calls".to_owned(), Value::Array(calls(&value)?));
            return rest("assistant".to_owned(), None, item);
        }
        other => {
            return Err(format!("is from {other:?}; known are human, gpt, system, observation, function_call"));
        }
    };
    rest(role.to_owned(), Some(value), item)
}

/// The calls that the text of a `function_call` holds.
fn calls(text: &str) -> Result<Vec<Value>, String> {
    let call = |call: Value| {
        let named = call.get("name").is_some_and(Value::is_string);
        named.then(|| {
            let mut call = json!({"type": "function", "function": call});
            parse_arguments(&mut call);
            call
        })
    };
    let calls = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(list)) => list.into_iter().map(call).collect(),
        Ok(one @ Value::Object(_)) => call(one).map(|call| vec![call]),
        _ => None,
    };
    calls
        .filter(|calls: &Vec<Value>| !calls.is_empty())
        .ok_or_else(|| "is a function_call whose value is not JSON with a name and arguments".to_owned())
}
