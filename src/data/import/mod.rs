//! Training data in any layout: from a file to a stream of rows.
//!
//! Reading goes in steps, each a module that knows nothing of the next:
//!
//! 1. `source`: bytes, unpacked from gzip, within bounds; `encoding`: UTF-8, with a byte that is none where something does
//!    not decode.
//! 2. `sniff`: what kind of file it is, by its content. `json`, `delimited` (with `header`), `xlsx`, `parquet` (with
//!    `pages`), `markdown`: one row after another as named fields, each with its line and its own text.
//! 3. `plan` (with `roles` and `template`): what the fields mean, decided from the first rows; what is ambiguous is an error
//!    that names the columns and asks. `row`, `chat`, `tree`: from fields to a record's content.
//!
//! A row that cannot be read is handed on as [`Item::Refused`] with its line, the reason and its own text, so that it can be
//! mended and read again with [`read_bytes`]. Nothing is held but the row at hand (a Markdown file, and a document, are held
//! whole), and no file makes this panic or take memory without a bound.
//!
//! Knows nothing of a database: an action takes the rows and writes them, or none.

mod chat;
mod delimited;
mod element;
mod encoding;
mod error;
mod folder;
mod format;
mod header;
mod json;
mod markdown;
mod pages;
mod parquet;
mod plan;
mod reading;
mod roles;
mod row;
mod sniff;
mod source;
mod template;
mod tree;
mod xlsx;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::Content;

pub use error::ImportError;
pub use folder::files_of;
pub use format::Format;

use error::Fault;
use reading::Reading;
use source::Source;

/// What a person says about a file; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The layout, where the content does not say or says something else.
    pub format: Option<Format>,
    /// Which column is what: pairs of a role (`prompt`, `instruction`, `question`, `input`, `context`, `output`, `system`,
    /// `id`, `category`, `tags`, `references`, `messages`, `chosen`, `rejected`, `text`) and a column's name. A role that is
    /// none of these renames the field. `sheet` chooses a sheet of a workbook.
    pub map: Vec<(String, String)>,
    /// The encoding, by its name on the Web; `None` to find it.
    pub encoding: Option<String>,
    /// Whether rows must have an answer; `None` to see whether the first rows have.
    pub answers: Option<bool>,
}

/// One row, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where it is: the line in a text, the element of a JSON list, the row of a sheet or a parquet file, from 1.
    pub line: u64,
    /// The row's own id.
    pub id: Option<String>,
    /// What it holds. The answer of a pair is its gold one; where there is a better and a worse one, the worse is the draft.
    pub content: Content,
    /// Its class.
    pub category: Option<String>,
    /// Its tags, each once.
    pub tags: Vec<String>,
    /// Further right answers.
    pub references: Vec<String>,
    /// Fields of a chat or a text that its content has no place for; a pair keeps them among its own.
    pub extra: Map<String, Value>,
}

/// What a file gives, in its order.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // nearly every item is a row, and each is handed on at once
pub enum Item {
    /// A row.
    Row(Row),
    /// A row that cannot be read.
    Refused {
        /// Where it is, as in [`Row::line`].
        line: u64,
        /// Why, in plain words.
        reason: String,
        /// The row as it was written (of a table with the header before it, of a binary file as JSON), at most 64 KiB; the
        /// reason says so where it was cut.
        raw: String,
    },
}

/// How a file was read, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its layout.
    pub format: Format,
    /// Its encoding: `utf-8`, `utf-8-sig`, `utf-16le`, `utf-16be`, `cp932`, `euc-jp`, `windows-1252`, …
    pub encoding: String,
    /// Which column was read as what.
    pub mapping: Vec<(String, String)>,
    /// Whether rows had to have an answer.
    pub answers: bool,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Summary {
    /// What reads a single row of the file, once it was mended, in the way that the file was read.
    #[must_use]
    pub fn again(&self) -> Options {
        Options {
            format: Some(self.format),
            map: self.mapping.clone(),
            encoding: Some("utf-8".to_owned()),
            answers: Some(self.answers),
        }
    }
}

/// What a file looks like before anything is taken from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Its layout.
    pub format: Format,
    /// Its encoding.
    pub encoding: String,
    /// Whether it is packed with gzip.
    pub compressed: bool,
    /// Its columns, or the keys of its first rows.
    pub columns: Vec<String>,
    /// Which column is read as what.
    pub mapping: Vec<(String, String)>,
    /// The first three rows.
    pub first: Vec<Row>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Looks at a file: its layout, what is read as what, and three rows.
///
/// # Errors
/// When nothing can be read from it; see [`ImportError`].
pub fn inspect(path: &Path, options: &Options) -> Result<Preview, ImportError> {
    let source = Source::of_file(path)?;
    let mut reading = Reading::begin(&source, options)?;
    let mut first = Vec::new();
    let looked = reading.each(&mut |item| {
        if let Item::Row(row) = item {
            first.push(row);
        }
        if first.len() < 3 { Ok(()) } else { Err(Fault::Halted) }
    });
    match looked {
        Ok(()) | Err(Fault::Halted) => {}
        Err(Fault::Import(error)) => return Err(error),
    }
    let Summary { format, encoding, mapping, notes, .. } = reading.summary();
    let columns = reading.columns().to_vec();
    Ok(Preview { format, encoding, compressed: source.compressed, columns, mapping, first, notes })
}

/// Reads a file, row by row, in its order.
///
/// # Errors
/// When nothing can be read from it, or from some place on (then rows before that place have been handed on), and what
/// `sink` returns.
pub fn read<E: From<ImportError>>(
    path: &Path,
    options: &Options,
    sink: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Summary, E> {
    through(&Source::of_file(path)?, options, sink)
}

/// Reads what is in memory, as [`read`] does a file; `name` stands for the file in messages.
///
/// A refused row that was mended is read again with what [`Summary::again`] gives.
///
/// # Errors
/// As [`read`].
pub fn read_bytes<E: From<ImportError>>(
    name: &str,
    bytes: &[u8],
    options: &Options,
    sink: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Summary, E> {
    through(&Source::of_bytes(name, bytes)?, options, sink)
}

fn through<E: From<ImportError>>(
    source: &Source<'_>,
    options: &Options,
    sink: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<Summary, E> {
    let mut reading = Reading::begin(source, options)?;
    let mut stopped = None;
    let done = reading.each(&mut |item| {
        sink(item).map_err(|error| {
            stopped = Some(error);
            Fault::Halted
        })
    });
    match (done, stopped) {
        (_, Some(error)) => Err(error),
        (Err(Fault::Import(error)), None) => Err(error.into()),
        (Ok(()) | Err(Fault::Halted), None) => Ok(reading.summary()),
    }
}

#[cfg(test)]
mod tests;
