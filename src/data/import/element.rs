//! What every reader of a layout hands on: a row's fields by name, or why it has none, and the row as it was written.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::error::Fault;

/// What is kept of a refused row's own text, in bytes.
pub(super) const KEPT: usize = 64 << 10;
/// The longest row that is read, in bytes.
pub(super) const LONGEST: usize = 64 << 20;

/// A row's fields, in order.
pub(super) type Fields = Map<String, Value>;

/// One row of a file before anybody has asked what it means.
pub(super) struct Element<'a> {
    /// Line, row or number, from 1.
    pub(super) line: u64,
    /// Its fields, or why they cannot be read.
    pub(super) fields: Result<Fields, String>,
    /// The row as it was written.
    pub(super) own: Own<'a>,
}

/// A row's own text.
#[derive(Clone, Copy)]
pub(super) enum Own<'a> {
    /// The very bytes, or the first of them; UTF-8 where they were good.
    Bytes(&'a [u8]),
    /// A row of a table and the table's first line, without which it means little.
    Table { header: &'a [u8], row: &'a [u8] },
    /// The row of a file that is no text: written as JSON.
    Binary,
}

/// One who takes rows.
pub(super) type Take<'t> = dyn FnMut(Element<'_>) -> Result<(), Fault> + 't;

impl Own<'_> {
    /// The text by which the row can be mended and read again, and what to add to the reason where it was cut.
    pub(super) fn text(self, fields: Option<&Fields>) -> (String, String) {
        let (mut text, whole) = match self {
            Self::Bytes(bytes) => (lossy(bytes), bytes.len()),
            Self::Table { header, row } => {
                let mut text = lossy(header);
                text.push('\n');
                text.push_str(&lossy(row));
                (text, header.len() + row.len())
            }
            Self::Binary => {
                let text = fields.and_then(|fields| serde_json::to_string(fields).ok()).unwrap_or_default();
                let len = text.len();
                (text, len)
            }
        };
        let mut note = String::new();
        if text.len() > KEPT || whole > KEPT + KEPT {
            let end = (0..=KEPT.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(end);
            let _ = write!(note, " (the row is long: only its first {} KiB are kept)", KEPT >> 10);
        }
        (text, note)
    }
}

fn lossy(bytes: &[u8]) -> String {
    // A little more than is kept, so that what was cut shows.
    String::from_utf8_lossy(bytes.get(..2 * KEPT).unwrap_or(bytes)).into_owned()
}

/// Says where bytes stop being UTF-8; `None` where they never do.
pub(super) fn not_text(bytes: &[u8], encoding: &str) -> Option<String> {
    let at = std::str::from_utf8(bytes).err()?.valid_up_to();
    let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
    let from = before.char_indices().rev().nth(11).map_or(0, |(i, _)| i);
    let near = before.get(from..).unwrap_or_default();
    Some(format!("a byte that is no {encoding} text, after {near:?}"))
}
