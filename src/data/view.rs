//! A record as others take it: as the renderer's own type, and as named parts of text with what each is for.
//!
//! Owns the names that parts have in findings (`input`, `gold`, `turns[2].content`, `text`) and the way back from a name to
//! the place in a record. Judges nothing.

use std::borrow::Cow;

use serde_json::Value;

use crate::prompt::{self, Kind, Message};
use crate::store::{Content, Record, State, Turn};

/// Names the first part of a pair's prompt may have, as in [`crate::prompt::record`].
const HEADS: [&str; 3] = ["instruction", "prompt", "question"];
/// Names the second part of a pair's prompt may have.
const TAILS: [&str; 2] = ["input", "context"];

/// What a part of a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Says what to do, the same for many records: an instruction that has an input beside it, a system text.
    Instruction,
    /// What is asked.
    Prompt,
    /// What an assistant said earlier in a chat; learned like an answer, read like a prompt.
    Reply,
    /// The answer: gold, else draft; of a chat the assistant's last turn.
    Answer,
    /// A call of a tool, as JSON.
    Call,
    /// The document of a text record.
    Document,
    /// A field of a pair that is no part of its prompt.
    Other,
}

impl Role {
    /// Whether the part is learned.
    #[must_use]
    pub fn is_learned(self) -> bool {
        matches!(self, Self::Reply | Self::Answer | Self::Document)
    }

    /// Whether the part is read by the model before it answers.
    #[must_use]
    pub fn is_asked(self) -> bool {
        matches!(self, Self::Instruction | Self::Prompt | Self::Reply)
    }
}

/// One named text of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<'a> {
    /// `input`, `gold`, `draft`, `turns[2].content`, `text`.
    pub field: Cow<'a, str>,
    /// What stands there; of a field that is no text, its JSON.
    pub text: Cow<'a, str>,
    /// What it is for.
    pub role: Role,
}

/// The parts of a record in its own order. `prompt_fields` are the fields that a project's prompt template names; without
/// them a pair's prompt is its system text, its instruction (or prompt, or question) and its input (or context), or, where
/// it has none of these, all of its fields.
#[must_use]
pub fn parts<'a>(content: &'a Content, prompt_fields: Option<&[String]>) -> Vec<Part<'a>> {
    match content {
        Content::Pair { fields, draft, gold } => {
            let has = |name: &str| fields.get(name).is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
            let usual = HEADS.iter().any(|name| has(name));
            let tail = TAILS.iter().any(|name| has(name));
            let mut parts = Vec::with_capacity(fields.len() + 1);
            for (name, value) in fields {
                let known = HEADS.contains(&name.as_str()) || TAILS.contains(&name.as_str()) || name == "system";
                let asked = prompt_fields.map_or(known || !usual, |names| names.contains(name));
                let told = name == "system" || HEADS.contains(&name.as_str()) && tail;
                let role = match (asked, told) {
                    (false, _) => Role::Other,
                    (true, true) => Role::Instruction,
                    (true, false) => Role::Prompt,
                };
                let text = match value {
                    Value::String(text) => Cow::Borrowed(text.as_str()),
                    Value::Null => continue,
                    _ if role == Role::Other => continue,
                    other => Cow::Owned(other.to_string()),
                };
                parts.push(Part { field: Cow::Borrowed(name), text, role });
            }
            let answer = gold.as_deref().map(|text| ("gold", text)).or(draft.as_deref().map(|text| ("draft", text)));
            parts.extend(answer.map(|(name, text)| Part {
                field: Cow::Borrowed(name),
                text: Cow::Borrowed(text),
                role: Role::Answer,
            }));
            parts
        }
        Content::Chat { turns, .. } => chat_parts(turns),
        Content::Text { text } => {
            vec![Part { field: Cow::Borrowed("text"), text: Cow::Borrowed(text), role: Role::Document }]
        }
    }
}

fn chat_parts(turns: &[Turn]) -> Vec<Part<'_>> {
    let last = turns.iter().rposition(|turn| turn.role == "assistant");
    let mut parts = Vec::with_capacity(turns.len());
    for (at, turn) in turns.iter().enumerate() {
        let role = match turn.role.as_str() {
            "system" | "developer" => Role::Instruction,
            "assistant" if Some(at) == last => Role::Answer,
            "assistant" if turn.weight != Some(0) => Role::Reply,
            _ => Role::Prompt,
        };
        if let Some(text) = &turn.content {
            parts.push(Part { field: format!("turns[{at}].content").into(), text: Cow::Borrowed(text), role });
        }
        if let Some(calls) = turn.more.get("tool_calls").or_else(|| turn.more.get("function_call")) {
            let field = format!("turns[{at}].tool_calls").into();
            parts.push(Part { field, text: Cow::Owned(calls.to_string()), role: Role::Call });
        }
    }
    parts
}

/// Puts `text` where the part `field` of a record stands; whether there is such a part that holds a text.
pub fn replace(state: &mut State, field: &str, text: String) -> bool {
    let place = match &mut state.content {
        Content::Pair { gold, .. } if field == "gold" => gold.as_mut(),
        Content::Pair { draft, .. } if field == "draft" => draft.as_mut(),
        Content::Pair { fields, .. } => match fields.get_mut(field) {
            Some(Value::String(old)) => Some(old),
            _ => None,
        },
        Content::Chat { turns, .. } => field
            .strip_prefix("turns[")
            .and_then(|rest| rest.strip_suffix("].content"))
            .and_then(|at| at.parse::<usize>().ok())
            .and_then(|at| turns.get_mut(at))
            .and_then(|turn| turn.content.as_mut()),
        Content::Text { text } => (field == "text").then_some(text),
    };
    place.map(|place| *place = text).is_some()
}

/// The record as the one renderer takes it: gold, else draft, as the answer, and the record's number as its id, since a
/// row's own id need not be the only one of its name.
#[must_use]
pub fn rendered(record: &Record) -> prompt::Record {
    let kind = match &record.state.content {
        Content::Pair { fields, draft, gold } => {
            let mut fields = fields.clone();
            // The category is a record's own, and yet a template may print it.
            if let Some(category) = &record.state.category {
                fields.entry("category").or_insert_with(|| Value::String(category.clone()));
            }
            Kind::Pair { fields, answer: gold.clone().or_else(|| draft.clone()) }
        }
        Content::Chat { turns, tools } => Kind::Chat {
            messages: turns
                .iter()
                .map(|turn| Message {
                    role: turn.role.clone(),
                    content: turn.content.clone(),
                    weight: turn.weight,
                    more: turn.more.clone(),
                })
                .collect(),
            tools: tools.clone(),
        },
        Content::Text { text } => Kind::Text { text: text.clone() },
    };
    prompt::Record {
        id: record.id.to_string(),
        kind,
        references: record.state.references.clone(),
        category: record.state.category.clone(),
    }
}

#[cfg(test)]
mod tests;
