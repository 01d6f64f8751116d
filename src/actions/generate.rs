//! Answers for one prompt: of a model, or of base and tuned beside each other.

use serde::Serialize;

use crate::model::generate::Stop;
use crate::model::weights::hub;
use crate::prompt::{Kind, Record};
use crate::worker::answers::Answering;
use crate::worker::model::read_adapter;

use super::adapters::{self, Choice};
use super::answer::{Answerer, Cell, Question, Told};
use super::context::{ActionError, Context};

pub use crate::worker::Sampling;
pub use crate::worker::answers::Limits;

/// An answer, as `togi generate --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Generated {
    pub prompt: String,
    pub answer: String,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Why it ended: `end` token, `stop` text, `length`, `context` or `cancelled`.
    pub stop: String,
    /// The adapter's identity; none for the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    pub seconds: f64,
    /// What a reader must know besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Base and tuned, as `togi compare --json` prints them.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub prompt: String,
    pub base: String,
    pub tuned: String,
    /// The adapter's identity.
    pub adapter: String,
    /// Whether the two models' logits differ at the first token of the answer, and by how much at most.
    pub differs: bool,
    pub difference: f32,
    pub seconds: f64,
    /// What a reader must know besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A prompt typed by a person, as a record: the text, or, where it is a JSON object of texts, its fields, for a project
/// whose prompt template wants several.
#[must_use]
pub fn record_of(prompt: &str) -> Record {
    let typed = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(prompt).ok();
    let fields = typed
        .filter(|fields| !fields.is_empty() && fields.values().all(serde_json::Value::is_string))
        .unwrap_or_else(|| [("prompt".to_owned(), serde_json::Value::String(prompt.to_owned()))].into_iter().collect());
    Record { id: "prompt".into(), kind: Kind::Pair { fields, answer: None }, references: Vec::new(), category: None }
}

/// Answers `prompt` with the chosen adapter or the base, telling `see` each piece of text; stops when it returns false.
///
/// # Errors
/// When model, adapter or prompt cannot be read.
pub fn generate(
    context: &mut Context,
    choice: &Choice,
    prompt: &str,
    limits: &Limits,
    tell: &mut dyn FnMut(hub::Progress),
    see: &mut dyn FnMut(&str) -> bool,
) -> Result<Generated, ActionError> {
    let chosen = choice.find(context)?;
    let opened = chosen.open(context, tell)?;
    let note = chosen.note(context)?;
    let decoder = opened.load()?;
    let adapter = chosen.folder.as_deref().map(|dir| read_adapter(dir, &decoder)).transpose()?;
    let started = std::time::Instant::now();
    let on = context.on_device(&decoder)?;
    let answering = Answering { opened: &opened, decoder: &decoder, on: on.as_ref() };
    let answer = answering.one(&record_of(prompt), adapter.as_ref(), limits, see)?;
    Ok(Generated {
        prompt: prompt.to_owned(),
        tokens: answer.tokens.len(),
        stop: word(&answer.stop).to_owned(),
        answer: answer.text,
        adapter: chosen.folder.as_deref().map(adapters::identity).transpose()?.map(|all| adapters::short(&all)),
        note,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Why an answer ended, in one word.
pub(super) fn word(stop: &Stop) -> &'static str {
    match stop {
        Stop::End(_) => "end",
        Stop::Text(_) => "stop",
        Stop::Length => "length",
        Stop::Context => "context",
        Stop::Cancelled => "cancelled",
    }
}

/// Answers `prompt` with base and tuned as two rows of one batch, telling `see` each piece and whether it is tuned.
///
/// # Errors
/// When no adapter is named, or model, adapter or prompt cannot be read.
pub fn compare(
    context: &mut Context,
    choice: &Choice,
    prompt: &str,
    limits: &Limits,
    tell: &mut dyn FnMut(hub::Progress),
    see: &mut dyn FnMut(bool, &str) -> bool,
) -> Result<Compared, ActionError> {
    if *choice == Choice::default() {
        return Err(ActionError::Asked("name the tuned model: --run RUN (or --adapter DIR)".into()));
    }
    let cell =
        |choice: Choice| Cell { question: Question::Typed(prompt.to_owned()), choice, template: None, stream: 0 };
    let cells = [cell(Choice::default()), cell(choice.clone())];
    let mut both = Compared {
        prompt: prompt.to_owned(),
        base: String::new(),
        tuned: String::new(),
        adapter: String::new(),
        differs: false,
        difference: 0.0,
        seconds: 0.0,
        note: choice.find(context)?.note(context)?,
    };
    Answerer::default().answer(context, None, &cells, limits, tell, &mut |told| match told {
        Told::Begins { adapter, .. } => {
            both.adapter = adapter.unwrap_or_default();
            true
        }
        Told::Text { cell, text } => {
            if cell == 1 { &mut both.tuned } else { &mut both.base }.push_str(&text);
            see(cell == 1, &text)
        }
        Told::Apart { difference, .. } => {
            (both.difference, both.differs) = (difference, difference > 0.0);
            true
        }
        Told::Done { seconds, .. } => {
            both.seconds = seconds;
            true
        }
    })?;
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_object_gives_fields_and_anything_else_is_the_prompt() {
        let fields = |prompt: &str| match record_of(prompt).kind {
            Kind::Pair { fields, .. } => serde_json::Value::Object(fields),
            _ => serde_json::Value::Null,
        };
        let typed = r#"{"instruction": "To do:", "input": "Aiko will order the chairs."}"#;
        assert_eq!(fields(typed)["instruction"], "To do:");
        assert_eq!(fields(typed)["input"], "Aiko will order the chairs.");
        for text in ["Say hello.", "{}", "{\"n\": 3}", "{not json}"] {
            assert_eq!(fields(text), serde_json::json!({ "prompt": text }));
        }
    }
}
