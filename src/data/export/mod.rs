//! Files made of records, in the layouts that others train from.
//!
//! One file a layout. Each turns records into bytes and says which records it left out and why; who calls it writes the
//! bytes. What a layout can say comes back the same when it is imported again: fields under their names, the answer, the
//! row's own id, category, tags and references. What it cannot say is left out of the file by name (a text in an Alpaca file),
//! never bent into something else. Tables hold texts: a number or a list in a field comes back as its JSON, and CSV has no two
//! words for empty and for none.
//!
//! The answer of a pair is its gold answer, or its draft where there is no gold.

mod columns;
mod json;
mod jumpstart;

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::prompt::Prompt;
use crate::prompt::template::{Template, TemplateError};
use crate::store::{Content, Record};

/// A layout that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `instruction`, `input`, `output`.
    Alpaca,
    /// `{"messages": […]}`.
    Messages,
    /// `{"prompt", "completion"}`.
    PromptCompletion,
    /// `{"prompt", "chosen", "rejected"}`: gold, and the draft it replaced.
    Preference,
    /// Named columns, commas.
    Csv,
    /// Named columns of text.
    Parquet,
    /// `train.jsonl` and `template.json`.
    JumpStart,
}

impl Format {
    /// All of them, with the names a person gives.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Alpaca, "alpaca"),
        (Self::Messages, "messages"),
        (Self::PromptCompletion, "prompt-completion"),
        (Self::Preference, "preference"),
        (Self::Csv, "csv"),
        (Self::Parquet, "parquet"),
        (Self::JumpStart, "jumpstart"),
    ];

    /// The usual ending of such a file; `None` for a folder.
    #[must_use]
    pub fn ending(self) -> Option<&'static str> {
        match self {
            Self::Csv => Some("csv"),
            Self::Parquet => Some("parquet"),
            Self::JumpStart => None,
            _ => Some("jsonl"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::ALL.iter().find(|(format, _)| format == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(format, _)| *format).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("{text:?} is not a layout that is written; there are {}", names.join(", "))
        })
    }
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exported {
    /// Files by name, or the one file under the empty name.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Records in them.
    pub rows: usize,
    /// Records that the layout has no words for, and why.
    pub left_out: Vec<(i64, String)>,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A project's template does not render.
    #[error("record {record}: {cause}")]
    Template {
        /// The record it failed on.
        record: i64,
        /// Why.
        cause: TemplateError,
    },
    /// The project's template does not parse.
    #[error(transparent)]
    Parse(#[from] TemplateError),
    /// A writer's own reason.
    #[error("the {format} file could not be made: {reason}")]
    Write {
        /// The layout.
        format: Format,
        /// Why.
        reason: String,
    },
}

/// Makes a file of `records`; a JSON list where `list` is set and the layout is lines of JSON. `prompt` is the project's: its
/// template gives the prompts of the layouts that hold one text, and what `template.json` says.
///
/// # Errors
/// Where the project's template does not parse or does not render a record.
pub fn export(format: Format, records: &[Record], prompt: &Prompt, list: bool) -> Result<Exported, ExportError> {
    match format {
        Format::Csv => columns::csv(records),
        Format::Parquet => columns::parquet(records),
        Format::JumpStart => jumpstart::export(records, prompt),
        Format::Alpaca | Format::Messages | Format::PromptCompletion | Format::Preference => {
            json::export(format, records, prompt, list)
        }
    }
}

/// The texts that say what stands behind a pair's fields.
struct Prompts {
    template: Option<Template>,
}

impl Prompts {
    fn new(prompt: &Prompt) -> Result<Self, ExportError> {
        Ok(Self { template: prompt.template.as_deref().map(Template::fields).transpose()? })
    }

    /// A pair's prompt: by the template where there is one, else its usual fields; `None` where it has none of these.
    fn of(&self, record: i64, fields: &Map<String, Value>) -> Result<Option<String>, ExportError> {
        match &self.template {
            Some(template) => {
                let output = template.render(fields).map_err(|cause| ExportError::Template { record, cause })?;
                Ok(Some(output.text))
            }
            None => Ok(crate::prompt::record::user_text(fields)),
        }
    }
}

/// A row's marks, behind its content: its own id, category, tags and references, each where there is one.
fn marks(record: &Record, row: &mut Map<String, Value>) {
    if let Some(id) = record.source.as_ref().and_then(|source| source.id.clone()) {
        row.insert("id".into(), Value::String(id));
    }
    let state = &record.state;
    for (name, value) in &state.extra {
        row.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if let Some(category) = &state.category {
        row.insert("category".into(), Value::String(category.clone()));
    }
    for (name, texts) in [("tags", &state.tags), ("references", &state.references)] {
        if !texts.is_empty() {
            row.insert(name.into(), Value::from(texts.clone()));
        }
    }
}

/// The fields and the answer of a pair; otherwise why it is none that can be written here.
fn pair(record: &Record) -> Result<(&Map<String, Value>, &str), String> {
    match &record.state.content {
        Content::Pair { fields, .. } => match record.state.content.answer() {
            Some(answer) if !answer.trim().is_empty() => Ok((fields, answer)),
            _ => Err("it has no answer".into()),
        },
        Content::Chat { .. } => Err("it is a chat".into()),
        Content::Text { .. } => Err("it is a text".into()),
    }
}

#[cfg(test)]
mod tests;
