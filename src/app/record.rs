//! A record as the parts that a person reads and edits one by one.

use std::fmt::Write as _;

use serde_json::Value;

use crate::store::{Content, State};

/// Where a part stands in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A field of a pair.
    Field(String),
    /// What a model said. Read only: it is what edits are measured against.
    Draft,
    /// What it should say.
    Gold,
    /// A turn of a chat.
    Turn(usize),
    /// The document of a text.
    Text,
    /// What people wrote about it.
    Notes,
}

impl Place {
    /// The name that findings give to the place.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::Field(name) => name.clone(),
            Self::Draft => "draft".into(),
            Self::Gold => "gold".into(),
            Self::Turn(at) => format!("turns[{at}].content"),
            Self::Text => "text".into(),
            Self::Notes => "notes".into(),
        }
    }
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it stands.
    pub place: Place,
    /// Its heading.
    pub name: String,
    /// What it says; of a field that is no text, its JSON.
    pub text: String,
    /// What it said before somebody changed it, where that is kept and differs.
    pub before: Option<String>,
}

/// The parts of a record in the order in which they are read.
#[must_use]
pub fn parts(state: &State) -> Vec<Part> {
    let part = |place: Place, name: &str, text: &str| Part {
        place,
        name: name.to_owned(),
        text: text.to_owned(),
        before: None,
    };
    let mut parts = Vec::new();
    match &state.content {
        Content::Pair { fields, draft, gold } => {
            for (name, value) in fields {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Null => continue,
                    other => format!("{other:#}"),
                };
                parts.push(part(Place::Field(name.clone()), name, &text));
            }
            if let Some(draft) = draft {
                parts.push(part(Place::Draft, "draft", draft));
            }
            let before = draft.clone().filter(|draft| gold.as_ref().is_some_and(|gold| gold != draft));
            let text = gold.clone().unwrap_or_default();
            parts.push(Part { before, ..part(Place::Gold, "gold", &text) });
        }
        Content::Chat { turns, .. } => {
            for (at, turn) in turns.iter().enumerate() {
                let mut text = turn.content.clone().unwrap_or_default();
                for (name, value) in &turn.more {
                    if name.ends_with("calls") || name.ends_with("call") {
                        // Writing to a text cannot fail.
                        let _ = write!(text, "\n{name}: {value}");
                    }
                }
                let weight = if turn.weight == Some(0) { " (not learned)" } else { "" };
                let name = format!("{}{weight}", turn.role);
                parts.push(Part { before: turn.draft.clone(), ..part(Place::Turn(at), &name, &text) });
            }
        }
        Content::Text { text } => parts.push(part(Place::Text, "text", text)),
    }
    if !state.notes.is_empty() {
        parts.push(part(Place::Notes, "notes", &state.notes));
    }
    parts
}

/// The part that is edited unless another is chosen: the answer, or the document.
#[must_use]
pub fn answer(state: &State) -> Place {
    match &state.content {
        Content::Pair { .. } => Place::Gold,
        Content::Chat { turns, .. } => {
            Place::Turn(turns.iter().rposition(|turn| turn.role == "assistant").unwrap_or(0))
        }
        Content::Text { .. } => Place::Text,
    }
}

/// What an editor of a part begins with; `None` where the part cannot be edited in place.
#[must_use]
pub fn text_of(state: &State, place: &Place) -> Option<String> {
    match (&state.content, place) {
        (Content::Pair { fields, .. }, Place::Field(name)) => match fields.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        },
        // Correcting the draft is how most gold answers are made.
        (Content::Pair { draft, gold, .. }, Place::Gold) => {
            Some(gold.clone().or_else(|| draft.clone()).unwrap_or_default())
        }
        (Content::Chat { turns, .. }, Place::Turn(at)) => Some(turns.get(*at)?.content.clone().unwrap_or_default()),
        (Content::Text { text }, Place::Text) => Some(text.clone()),
        (_, Place::Notes) => Some(state.notes.clone()),
        _ => None,
    }
}

/// The state with another text at a place.
#[must_use]
pub fn put(state: &State, place: &Place, new: &str) -> State {
    let mut after = state.clone();
    match (&mut after.content, place) {
        (Content::Pair { fields, .. }, Place::Field(name)) => {
            fields.insert(name.clone(), Value::String(new.to_owned()));
        }
        (Content::Pair { gold, .. }, Place::Gold) => *gold = (!new.is_empty()).then(|| new.to_owned()),
        (Content::Chat { turns, .. }, Place::Turn(at)) => {
            if let Some(turn) = turns.get_mut(*at) {
                turn.content = Some(new.to_owned());
            }
        }
        (Content::Text { text }, Place::Text) => new.clone_into(text),
        (_, Place::Notes) => new.clone_into(&mut after.notes),
        _ => {}
    }
    after
}
