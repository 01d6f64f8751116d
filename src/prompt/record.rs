//! What is rendered: one record, and the simple JSONL, text and Markdown files that hold records.
//!
//! Owns the plain types and the recognition of the shapes that training files have. A row is a
//!
//! - **pair**: an answer under one of `output`, `completion`, `answer`, `response`, and named fields. The usual fields are
//!   `instruction` with `input` (or `context`), `prompt`, `question`; any other name is kept for a template to use. A
//!   pair without an answer can be asked, not trained on.
//! - **chat**: `messages`, perhaps `tools`; or an Alpaca row with a `history`.
//! - **text**: `text`, one document.
//!
//! `id`, `category`, `references` and `system` mean the same everywhere. A row that fits two shapes, or a message with a
//! role, a part or a key that is not known, is an error that names the keys found: nothing is guessed, nothing dropped.
//! Knows nothing of templates and tokens, and no other format: CSV, `ShareGPT` and the rest are importers' work.

mod file;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use file::{ReadError, RowError, Rows, parse_jsonl, read, read_jsonl};

/// Names an answer may have.
const ANSWERS: [&str; 4] = ["output", "completion", "answer", "response"];
/// Names the first part of a prompt may have; a row has one of them.
pub(super) const HEADS: [&str; 3] = ["instruction", "prompt", "question"];
/// Names the second part of a prompt may have; a row has one of them at most.
pub(super) const TAILS: [&str; 2] = ["input", "context"];
/// What a text row may carry beside its text; any other key could be a label, so it is refused.
const TEXT_KEYS: [&str; 12] =
    ["text", "id", "category", "references", "title", "source", "url", "date", "language", "lang", "meta", "metadata"];
const CHAT_KEYS: [&str; 6] = ["messages", "tools", "id", "category", "references", "parallel_tool_calls"];
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];
const MESSAGE_KEYS: [&str; 11] = [
    "role",
    "content",
    "weight",
    "name",
    "tool_calls",
    "tool_call_id",
    "reasoning_content",
    "reasoning",
    "thinking",
    "refusal",
    "function_call",
];

/// One thing to learn from or to ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The row's own `id`, or `row-N` after its line.
    pub id: String,
    /// What it holds.
    #[serde(flatten)]
    pub kind: Kind,
    /// Answers that count as right, where there are more than the gold one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// A class, for balance and per-class figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// The three kinds of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// Named fields and the gold answer.
    Pair {
        /// Fields by name, in the file's order.
        fields: Map<String, Value>,
        /// The gold answer; `None` where the row only asks.
        #[serde(default)]
        answer: Option<String>,
    },
    /// A conversation.
    Chat {
        /// Turns in order, at least one.
        messages: Vec<Message>,
        /// The tools offered, as the chat template expects them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tools: Option<Value>,
    },
    /// One document, all of it learned.
    Text {
        /// The document.
        text: String,
    },
}

/// One turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant`, `tool` or `function`.
    pub role: String,
    /// What was said; `None` for a turn that only calls tools.
    pub content: Option<String>,
    /// 0 leaves an assistant turn out of the loss; `None` and 1 keep it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// `tool_calls`, `tool_call_id`, `name` and the like, as the template expects them.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Message {
    /// A turn with nothing but a role and a text.
    #[must_use]
    pub fn new(role: &str, content: impl Into<String>) -> Self {
        Self { role: role.to_owned(), content: Some(content.into()), ..Self::default() }
    }
}

/// Why a row is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The line is no JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// The row is a list, a number or a text.
    #[error("a row is a JSON object with named fields; this is {0}")]
    NotAnObject(&'static str),
    /// The keys fit no shape, or two.
    #[error("{reason}; its keys are: {}", keys.join(", "))]
    Shape {
        /// What does not fit.
        reason: String,
        /// The row's keys.
        keys: Vec<String>,
    },
    /// One value is not what its key says.
    #[error("`{key}` {reason}")]
    Field {
        /// The key, with the message's number in a chat.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Record {
    /// Reads one row; `line` (from 1) names it where it has no `id`.
    ///
    /// # Errors
    /// When the shape is unknown or ambiguous, or a value is not what its key says.
    pub fn from_json(row: &Value, line: usize) -> Result<Self, RecordError> {
        let Value::Object(row) = row else { return Err(RecordError::NotAnObject(kind_of(row))) };
        let shape = |reason: String| RecordError::Shape { reason, keys: row.keys().cloned().collect() };
        let id = match row.get("id") {
            None | Some(Value::Null) => format!("row-{line}"),
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            Some(other) => return Err(field("id", format!("is {}, not a text or a number", kind_of(other)))),
        };
        let has = |key: &str| row.get(key).is_some_and(|v| !v.is_null());
        let answers: Vec<&str> = ANSWERS.into_iter().filter(|k| has(k)).collect();
        let heads: Vec<&str> = HEADS.into_iter().filter(|k| has(k)).collect();
        let paired = !answers.is_empty() || !heads.is_empty() || TAILS.iter().any(|k| has(k));
        if has("chosen") || has("rejected") {
            return Err(shape("a preference pair (chosen, rejected) is not something to tune on here".into()));
        }
        let shapes = [has("messages"), has("text"), paired].into_iter().filter(|&x| x).count();
        if shapes > 1 {
            return Err(shape("the row could be a chat, a text or a pair: keep the fields of one of them".into()));
        }
        let kind = if let Some(messages) = row.get("messages").filter(|v| !v.is_null()) {
            only(row, &CHAT_KEYS, "a chat").map_err(shape)?;
            let tools = row.get("tools").filter(|v| !v.is_null()).cloned();
            Kind::Chat { messages: read_messages(messages)?, tools }
        } else if has("text") {
            only(row, &TEXT_KEYS, "a text").map_err(shape)?;
            Kind::Text { text: text(row, "text")?.unwrap_or_default() }
        } else {
            if answers.len() > 1 {
                return Err(shape(format!("several fields could be the answer ({})", answers.join(", "))));
            }
            if heads.len() > 1 {
                return Err(shape(format!("several fields could be the prompt ({})", heads.join(", "))));
            }
            if TAILS.iter().all(|k| has(k)) {
                return Err(shape(format!("several fields could be the input ({})", TAILS.join(", "))));
            }
            if answers.is_empty() && heads.is_empty() {
                return Err(shape("neither a prompt nor an answer, nor messages, nor a text".into()));
            }
            read_pair(row, answers.first().copied())?
        };
        Ok(Self { id, kind, references: read_references(row)?, category: scalar(row, "category")? })
    }

    /// The gold answer: a pair's, or what the assistant says last.
    #[must_use]
    pub fn answer(&self) -> Option<&str> {
        match &self.kind {
            Kind::Pair { answer, .. } => answer.as_deref(),
            Kind::Chat { messages, .. } => {
                messages.last().filter(|m| m.role == "assistant").and_then(|m| m.content.as_deref())
            }
            Kind::Text { .. } => None,
        }
    }

    /// The answers that count as right: the references, or else the gold answer.
    #[must_use]
    pub fn accepted(&self) -> Vec<String> {
        if self.references.is_empty() {
            self.answer().map(str::to_owned).into_iter().collect()
        } else {
            self.references.clone()
        }
    }
}

fn field(key: impl Into<String>, reason: impl Into<String>) -> RecordError {
    RecordError::Field { key: key.into(), reason: reason.into() }
}

/// Says what a JSON value is, in the words of an error.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn only(row: &Map<String, Value>, allowed: &[&str], what: &str) -> Result<(), String> {
    let strange: Vec<&str> = row.keys().map(String::as_str).filter(|k| !allowed.contains(k)).collect();
    if strange.is_empty() { Ok(()) } else { Err(format!("{what} has no field {}", strange.join(", "))) }
}

fn text(row: &Map<String, Value>, key: &str) -> Result<Option<String>, RecordError> {
    match row.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(field(key, format!("is {}; write it as a text", kind_of(other)))),
    }
}

fn scalar(row: &Map<String, Value>, key: &str) -> Result<Option<String>, RecordError> {
    match row.get(key) {
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(yes)) => Ok(Some(yes.to_string())),
        _ => text(row, key),
    }
}

fn read_references(row: &Map<String, Value>) -> Result<Vec<String>, RecordError> {
    match row.get("references") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                item.as_str().map(str::to_owned).ok_or_else(|| field("references", "holds something else than texts"))
            })
            .collect(),
        Some(other) => Err(field("references", format!("is {}, not a list of texts", kind_of(other)))),
    }
}

fn read_pair(row: &Map<String, Value>, answer_key: Option<&str>) -> Result<Kind, RecordError> {
    for key in HEADS.iter().chain(&TAILS).chain(&["system"]) {
        text(row, key)?;
    }
    let answer = answer_key.map(|key| text(row, key)).transpose()?.flatten();
    let mut fields = row.clone();
    let apart = ["id", "references", "category", "history"].into_iter().chain(ANSWERS);
    for key in apart {
        fields.shift_remove(key);
    }
    fields.retain(|_, value| !value.is_null());
    // The category is a record's own, and yet a field a template may print.
    if let Some(category) = scalar(row, "category")? {
        fields.insert("category".to_owned(), Value::String(category));
    }
    let turns = match row.get("history") {
        None | Some(Value::Null) => return Ok(Kind::Pair { fields, answer }),
        Some(Value::Array(turns)) if turns.is_empty() => return Ok(Kind::Pair { fields, answer }),
        Some(Value::Array(turns)) => turns,
        Some(other) => return Err(field("history", format!("is {}, not a list of turns", kind_of(other)))),
    };
    let mut messages: Vec<Message> = text(row, "system")?.map(|s| Message::new("system", s)).into_iter().collect();
    for turn in turns {
        let both = turn.as_array().map(Vec::as_slice).unwrap_or_default();
        let [Value::String(user), Value::String(assistant)] = both else {
            return Err(field("history", "holds something else than [user, assistant] texts"));
        };
        messages.push(Message::new("user", user.clone()));
        messages.push(Message::new("assistant", assistant.clone()));
    }
    messages.push(Message::new("user", user_text(&fields).unwrap_or_default()));
    messages.extend(answer.map(|a| Message::new("assistant", a)));
    Ok(Kind::Chat { messages, tools: None })
}

/// The prompt of a pair that has no template: the first part, a new line, the second part where there is one.
#[must_use]
pub fn user_text(fields: &Map<String, Value>) -> Option<String> {
    let get = |names: &[&str]| names.iter().find_map(|name| fields.get(*name).and_then(Value::as_str));
    let head = get(&HEADS)?;
    Some(match get(&TAILS).filter(|tail| !tail.is_empty()) {
        Some(tail) => format!("{head}\n{tail}"),
        None => head.to_owned(),
    })
}

fn read_messages(value: &Value) -> Result<Vec<Message>, RecordError> {
    let Value::Array(items) = value else {
        return Err(field("messages", format!("is {}, not a list of messages", kind_of(value))));
    };
    if items.is_empty() {
        return Err(field("messages", "is empty"));
    }
    items.iter().enumerate().map(|(i, item)| read_message(item, i)).collect()
}

fn read_message(item: &Value, i: usize) -> Result<Message, RecordError> {
    let name = |key: &str| if key.is_empty() { format!("messages[{i}]") } else { format!("messages[{i}].{key}") };
    let Value::Object(message) = item else {
        return Err(field(name(""), format!("is {}, not an object with role and content", kind_of(item))));
    };
    only(message, &MESSAGE_KEYS, "a message").map_err(|reason| {
        let keys: Vec<&str> = message.keys().map(String::as_str).collect();
        field(name(""), format!("does not fit: {reason}; its keys are: {}", keys.join(", ")))
    })?;
    let role = match message.get("role") {
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => role.clone(),
        Some(Value::String(role)) => {
            return Err(field(name("role"), format!("is \"{role}\"; known roles are {}", ROLES.join(", "))));
        }
        _ => return Err(field(name("role"), "is missing or not a text")),
    };
    let weight = match message.get("weight") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_f64() {
            Some(0.0) => Some(0),
            Some(1.0) => Some(1),
            _ => return Err(field(name("weight"), format!("is {value}; it can be 0 or 1"))),
        },
    };
    let content = read_content(message.get("content"), &name("content"))?;
    let mut more = message.clone();
    for key in ["role", "content", "weight"] {
        more.shift_remove(key);
    }
    more.retain(|_, value| !value.is_null());
    if content.is_none() && !more.contains_key("tool_calls") && !more.contains_key("function_call") {
        return Err(field(name("content"), "is missing"));
    }
    for call in more.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        parse_arguments(call);
    }
    Ok(Message { role, content, weight, more })
}

/// `OpenAI`'s files write a call's arguments as a text that holds JSON; chat templates expect the object itself.
fn parse_arguments(call: &mut Value) {
    let Some(arguments) = call.pointer_mut("/function/arguments") else { return };
    let parsed = arguments.as_str().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    if let Some(object) = parsed {
        *arguments = Value::Object(object);
    }
}

fn read_content(value: Option<&Value>, name: &str) -> Result<Option<String>, RecordError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
                (Some("text"), Some(text)) => Ok(text),
                (kind, _) => {
                    Err(field(name, format!("has a part of type {}; only text is read", kind.unwrap_or("none"))))
                }
            })
            .collect::<Result<String, _>>()
            .map(Some),
        Some(other) => Err(field(name, format!("is {}, not a text", kind_of(other)))),
    }
}

#[cfg(test)]
mod tests;
