//! From a record to what the model reads: the one renderer.
//!
//! Preview, training, generation and evaluation all call [`Renderer::render`]; nothing else in the crate joins a prompt to
//! an answer, adds a beginning or an end token, or decides which tokens are learned.
//!
//! - [`record`]: what is rendered, and the simple files that hold it.
//! - [`template`]: Jinja templates as Python runs them.
//! - [`question`]: what is asked, as messages.
//! - [`render`]: text, tokens, spans and loss mask.
//! - [`mod@preflight`]: what a set of records would train on, and what stands against it, before step 0.
//! - [`display`]: a rendering token by token, for people.
//!
//! Knows the tokenizer and no other part of a model; knows no project, store, run or screen.

use serde::{Deserialize, Serialize};

pub mod display;
pub mod preflight;
pub mod question;
pub mod record;
pub mod render;
pub mod template;

pub use preflight::{Preflight, preflight};
pub use question::Questions;
pub use record::{Kind, Message, Record};
pub use render::{Mode, RenderError, Rendered, Renderer, Special};

/// What a project says about its prompts; a table of `togi.toml`.
///
/// By default a pair's prompt is its instruction, a new line and its input (no new line where there is no input), or its
/// `prompt`, or its `question`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prompt {
    /// A Jinja template over a pair's fields that gives the prompt in place of the default:
    /// `"{{ question }}\n答えは「"`. Rendered plainly, the answer follows its last character directly. A line break after
    /// a block tag (`{% if … %}`) is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What the model is told before everything else; a record's own `system` field or message wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Pairs shown before the question, each with its answer. They are read, never learned. Chats and texts take none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Record>,
    /// Whether the model's chat template is used.
    pub style: Style,
    /// A chat template in place of the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
}

/// How a prompt is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// With the chat template where the model has one, else plainly.
    #[default]
    Auto,
    /// With the chat template; an error where there is none.
    Chat,
    /// Without: the system text, the examples and the prompt, each on lines of their own, and the answer on the next line.
    Plain,
}

#[cfg(test)]
mod fixtures;
