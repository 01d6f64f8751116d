//! The files that hold records: JSON lines, and a text or Markdown file as one document.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kind, Record, RecordError};

/// A file's records, and the lines that are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Records in the file's order.
    pub records: Vec<Record>,
    /// The line of each record, from 1.
    pub lines: Vec<usize>,
    /// Lines that could not be read.
    pub errors: Vec<RowError>,
}

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RowError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// Why a file gives no records at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A text file that is not UTF-8.
    #[error(
        "{path} is not UTF-8 text (line {line} is the first that is not): convert it, for example with iconv -f {from} -t UTF-8, or \
         let togi import read it, which knows UTF-16, Shift_JIS, EUC-JP and Latin-1"
    )]
    Encoding {
        /// The file.
        path: String,
        /// The line of the first byte that is not UTF-8, from 1.
        line: usize,
        /// What it looks like, as iconv calls it.
        from: &'static str,
    },
    /// A folder in place of a file.
    #[error("{path} is a folder: name a file in it, or let togi import {path} bring in what it holds")]
    Folder {
        /// The folder.
        path: String,
    },
    /// Another kind of file.
    #[error(
        "{path}: data is read from .jsonl (one JSON object a line), .txt and .md files; togi import {path} brings in other formats \
         (a .json list, CSV, xlsx, Parquet), and togi train then trains on what is accepted"
    )]
    Extension {
        /// The file.
        path: String,
    },
}

/// Reads a file by its ending: `.jsonl` (or `.ndjson`), or one document from a `.txt` or `.md` file.
///
/// # Errors
/// When the file cannot be read or is of another kind. A line that is no record is listed in the result instead.
pub fn read(path: &Path) -> Result<Rows, ReadError> {
    if path.is_dir() {
        return Err(ReadError::Folder { path: path.display().to_string() });
    }
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "jsonl" | "ndjson" => read_jsonl(path),
        "txt" | "md" => read_text(path),
        _ => Err(ReadError::Extension { path: path.display().to_string() }),
    }
}

/// Reads one JSON object a line. A byte-order mark, CRLF and blank lines are no errors.
///
/// # Errors
/// When the file cannot be read or is not UTF-8.
pub fn read_jsonl(path: &Path) -> Result<Rows, ReadError> {
    Ok(parse_jsonl(text_of(path)?.as_bytes()))
}

/// Reads JSONL that is in memory; see [`read_jsonl`].
#[must_use]
pub fn parse_jsonl(bytes: &[u8]) -> Rows {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut rows = Rows::default();
    for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let record = serde_json::from_slice::<Value>(line)
            .map_err(|e| not_json(&e))
            .and_then(|value| Record::from_json(&value, i + 1));
        match record {
            Ok(record) => {
                rows.records.push(record);
                rows.lines.push(i + 1);
            }
            Err(e) => rows.errors.push(RowError { line: i + 1, reason: e.to_string() }),
        }
    }
    rows
}

/// The parser counts lines within the one that it was given, which is always the first.
fn not_json(error: &serde_json::Error) -> RecordError {
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or_default();
    RecordError::Json(format!("{what} (column {})", error.column()))
}

fn read_text(path: &Path) -> Result<Rows, ReadError> {
    let text = text_of(path)?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text).replace("\r\n", "\n");
    let id = path.file_stem().map_or_else(|| "text".to_owned(), |s| s.to_string_lossy().into_owned());
    let record = Record { id, kind: Kind::Text { text }, references: Vec::new(), category: None };
    Ok(Rows { records: vec![record], lines: vec![1], errors: Vec::new() })
}

fn text_of(path: &Path) -> Result<String, ReadError> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| ReadError::Io { path: name(), source })?;
    // In UTF-16 the characters of JSON are a zero and a byte each, which UTF-8 would let pass.
    let wide =
        bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") || bytes.iter().take(2).any(|&b| b == 0);
    if wide {
        return Err(ReadError::Encoding { path: name(), line: 1, from: "UTF-16" });
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.split(|&b| b == b'\n').count();
        ReadError::Encoding { path: name(), line, from: "LATIN1" }
    })
}
