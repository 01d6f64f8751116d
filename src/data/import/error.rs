//! Why a file gives nothing at all. A row that cannot be read is no error of the file: it is handed on as refused.

use std::io;

use super::Format;

/// Why nothing can be read from a file.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{file} is empty")]
    Empty {
        /// The file.
        file: String,
    },
    /// Neither text nor a kind of file that is known.
    #[error("{file} is {what}; records are read from JSON, CSV, TSV, Markdown and text files, .xlsx and parquet")]
    Binary {
        /// The file.
        file: String,
        /// What it is instead.
        what: String,
    },
    /// The file unpacks to more than is taken on.
    #[error("{file} unpacks to more than {limit} MiB, {ratio} times its size: {advice}")]
    Bomb {
        /// The file.
        file: String,
        /// Where reading stopped, in MiB.
        limit: u64,
        /// The limit as a multiple of the file's size.
        ratio: u64,
        /// What to do.
        advice: &'static str,
    },
    /// A compressed or binary file that does not follow its own format.
    #[error("{file} is damaged, or no {format} file after all: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What it looks like.
        format: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The columns do not say what is the prompt and what the answer.
    #[error("{file}: {why}; found {}. Say which is which, for example {example}", found.join(", "))]
    Unrecognised {
        /// The file.
        file: String,
        /// What is missing or ambiguous.
        why: String,
        /// Columns or keys, with what is in them where that helps.
        found: Vec<String>,
        /// A command-line option that would settle it.
        example: String,
        /// The encoding that the file was read in.
        encoding: String,
    },
    /// A mapping that names what is not there, or one column twice.
    #[error("{file}: --map {role}={column}: {reason}; the columns are {}", columns.join(", "))]
    Mapping {
        /// The file.
        file: String,
        /// The role of the mapping.
        role: String,
        /// The column of the mapping.
        column: String,
        /// What is wrong with it.
        reason: &'static str,
        /// The columns that are there.
        columns: Vec<String>,
    },
    /// Nothing in the file is what `--as` says.
    #[error("{file} cannot be read as {format}: {reason}")]
    NotThat {
        /// The file.
        file: String,
        /// What was asked for.
        format: Format,
        /// Why it is not that.
        reason: String,
    },
    /// An encoding nobody knows.
    #[error("{label} is no encoding; name one as the Web does, for example utf-8, shift_jis, euc-jp, windows-1252")]
    Encoding {
        /// What was asked for.
        label: String,
    },
    /// A folder without data.
    #[error(
        "{folder} holds no train, valid or test file (train.jsonl, valid.jsonl, test.jsonl; also .json, .csv, .tsv, .parquet, .xlsx): name a file"
    )]
    Folder {
        /// The folder.
        folder: String,
    },
}

/// What ends the reading of a file early.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file is at fault.
    Import(ImportError),
    /// The one who takes the rows wants no more.
    Halted,
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        Self::Import(error)
    }
}
