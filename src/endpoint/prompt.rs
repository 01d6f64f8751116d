//! What is asked: messages, and the body of a request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::settings::{Settings, Temperature};

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand over all.
    System,
    /// The same, in the word of some newer models.
    Developer,
    /// The person.
    User,
    /// The model, in the examples before the question.
    Assistant,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message.
    #[must_use]
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Bytes of what all messages say.
pub(super) fn bytes(messages: &[Message]) -> u64 {
    messages.iter().map(|message| message.content.len() as u64).sum()
}

/// Tokens that a request is guessed to take of the tokens a minute, until its usage is known: a token for three bytes,
/// which is a little much for English and about right for Japanese, and the whole of `max_tokens`, as providers count.
pub(super) fn guessed_tokens(settings: &Settings, messages: &[Message]) -> f64 {
    bytes(messages) as f64 / 3.0 + f64::from(settings.max_tokens)
}

/// The body of a chat completion, as JSON.
pub(super) fn body(settings: &Settings, messages: &[Message]) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), settings.model.clone().into());
    let messages = messages.iter().map(|message| serde_json::json!({"role": message.role, "content": message.content}));
    body.insert("messages".to_owned(), messages.collect());
    body.insert(settings.max_tokens_field.name().to_owned(), settings.max_tokens.into());
    if let Temperature::At(temperature) = settings.temperature {
        body.insert("temperature".to_owned(), temperature.into());
    }
    if let Some(seed) = settings.seed {
        body.insert("seed".to_owned(), seed.into());
    }
    body.insert("stream".to_owned(), false.into());
    if let Value::Object(extra) = extra(settings) {
        body.extend(extra);
    }
    Value::Object(body)
}

/// The further fields of every body, as JSON.
pub(super) fn extra(settings: &Settings) -> Value {
    settings.extra.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}

/// A TOML value as JSON; a date as the text it is written in.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(list) => list.iter().map(json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}
