//! Files to records.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::actions::context::ActionError;
use crate::data::import::{self, ImportError, Item, Options, Row, Summary};
use crate::store::{Act, Cause, Content, New, Origin, Refused, Source, Split, State, Status, Store, StoreError};

pub use crate::data::import::{Format, Preview, files_of, inspect};

/// How files are to be read.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The layout, where it is not to be recognised.
    pub format: Option<Format>,
    /// Which column plays which part.
    pub map: Vec<(String, String)>,
    /// What the records are used for.
    pub split: Option<Split>,
    /// Where they come from.
    pub origin: Option<Origin>,
    /// What they are at first; by default gold where people wrote them, else in the inbox.
    pub status: Option<Status>,
}

impl Request {
    /// What the reader needs to know.
    #[must_use]
    pub fn options(&self) -> Options {
        Options { format: self.format, map: self.map.clone(), ..Options::default() }
    }

    fn status(&self) -> Status {
        let usual = if self.origin == Some(Origin::Human) { Status::Gold } else { Status::Inbox };
        self.status.unwrap_or(usual)
    }
}

/// A row that is no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// Line, row or element, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// Its layout.
    pub format: String,
    /// Its encoding.
    pub encoding: String,
    /// Records that were added, or would be.
    pub rows: usize,
    /// Records that were here already.
    pub skipped: usize,
    /// Rows that are no records; they are in quarantine.
    pub errors: Vec<RowError>,
}

/// Adds a file's records in one act, all of them or none, and puts the rows that are no records in quarantine. What is here
/// already is not added again: a row is known by its file, what it holds, and how many like it stand before it there; a file by its
/// name, and by its bytes under any name. With `dry` everything is done and taken back before anybody sees it.
///
/// # Errors
/// When the file cannot be read as records or the database cannot be written; nothing is added then.
pub fn import(
    store: &mut Store,
    path: &Path,
    request: &Request,
    dry: bool,
    tell: &mut dyn FnMut(u64),
) -> Result<Report, ActionError> {
    let failed = |cause| ActionError::File { action: "read", path: path.to_owned(), cause };
    let whole = path.canonicalize().map_err(failed)?;
    if !whole.is_file() {
        // It is read several times: to know it again, to look at it, and to take it in.
        let why = format!("{} is no file that can be read more than once: save it to one first", path.display());
        return Err(ActionError::Refused(why));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(&whole).map_err(failed)?).map_err(failed)?;
    let hash = *hasher.finalize().as_bytes();
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let whole = whole.display().to_string();

    let file = path.display().to_string();
    let mut report = Report {
        file: file.clone(),
        format: String::new(),
        encoding: String::new(),
        rows: 0,
        skipped: 0,
        errors: Vec::new(),
    };
    let act = Act::new(Cause::Import, file.clone());
    let done = store.add::<_, Stop>(&act, |adder| {
        let mut seen = Seen::of(adder.file_name(&hash, &name)?);
        let summary = import::read(path, &request.options(), &mut |item| -> Result<(), Stop> {
            match item {
                Item::Row(row) => {
                    let key = seen.key(&row);
                    match adder.add(&new(row, request, &file, key))? {
                        Some(_) => report.rows += 1,
                        None => report.skipped += 1,
                    }
                }
                Item::Refused { line, reason, raw } => {
                    let row = Refused { file: file.clone(), line, reason, raw, ..Refused::default() };
                    adder.refuse(&whole, &row)?;
                    report.errors.push(RowError { line, reason: row.reason });
                }
            }
            tell((report.rows + report.skipped + report.errors.len()) as u64);
            Ok(())
        })?;
        report.format = summary.format.to_string();
        report.encoding.clone_from(&summary.encoding);
        adder.refused(&whole, &how(request, &summary))?;
        if dry { Err(Stop::Rehearsed) } else { Ok(()) }
    });
    match done {
        Ok(_) | Err(Stop::Rehearsed) => Ok(report),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why a transaction is not to be kept.
enum Stop {
    Failed(ActionError),
    /// It was only to see what it would do.
    Rehearsed,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ImportError> for Stop {
    fn from(error: ImportError) -> Self {
        Self::Failed(error.into())
    }
}

/// Adds what a mended row holds; how many records that were.
///
/// # Errors
/// When it is still no record, with the reason.
pub fn mend(store: &mut Store, refused: &Refused, mended: &str) -> Result<usize, ActionError> {
    let How { options, split, origin, status } = How::of(refused);
    let request = Request { split, origin, status, ..Request::default() };
    let mut seen = Seen::of(format!("{}:{}", refused.file, refused.line));
    let mut still = None;
    let act = Act::new(Cause::Import, format!("{}, line {}, mended", refused.file, refused.line));
    let ((), done) = store.add::<_, ActionError>(&act, |adder| {
        import::read_bytes(&refused.file, mended.as_bytes(), &options, &mut |item| -> Result<(), ActionError> {
            match item {
                Item::Row(mut row) => {
                    row.line = refused.line;
                    let key = seen.key(&row);
                    adder.add(&new(row, &request, &refused.file, key))?;
                }
                Item::Refused { reason, .. } => {
                    still.get_or_insert(reason);
                }
            }
            Ok(())
        })?;
        match still.take() {
            Some(why) => Err(ActionError::Refused(format!("{}, line {}: {why}", refused.file, refused.line))),
            None => Ok(adder.mended(refused.id).map(drop)?),
        }
    })?;
    Ok(done.changed.len())
}

/// How a file was read, so that a mended row of it is read alike.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct How {
    pub options: Options,
    split: Option<Split>,
    origin: Option<Origin>,
    status: Option<Status>,
}

impl How {
    pub fn of(refused: &Refused) -> Self {
        serde_json::from_str(&refused.how).unwrap_or_default()
    }
}

fn how(request: &Request, summary: &Summary) -> String {
    let how = How { options: summary.again(), split: request.split, origin: request.origin, status: request.status };
    serde_json::to_string(&how).unwrap_or_default()
}

fn new(row: Row, request: &Request, file: &str, key: [u8; 16]) -> New {
    let status = request.status();
    let mut content = row.content;
    let mut answered = true;
    if let Content::Chat { turns, .. } = &content {
        answered = turns.iter().any(|turn| turn.role == "assistant");
    }
    if let Content::Pair { draft, gold, .. } = &mut content {
        // An answer that nobody here has looked at is a draft; a preference pair brings both.
        if status != Status::Gold && draft.is_none() {
            *draft = gold.take();
        }
        answered = gold.is_some() || draft.is_some();
    }
    // A bare prompt cannot be gold yet.
    let status = if answered { status } else { Status::Inbox };
    let state = State {
        split: request.split,
        category: row.category,
        tags: row.tags,
        references: row.references,
        extra: row.extra,
        ..State::new(content, status)
    };
    let source = Source { file: file.to_owned(), line: row.line, id: row.id };
    New { state, origin: request.origin.unwrap_or(Origin::Import), source: Some(source), key: Some(key) }
}

/// Which rows a file had so far.
struct Seen {
    file: String,
    rows: HashMap<[u8; 16], u32>,
}

impl Seen {
    fn of(file: String) -> Self {
        Self { file, rows: HashMap::new() }
    }

    /// What makes this row the same row again.
    fn key(&mut self, row: &Row) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let whole = (&self.file, &row.content, &row.id, &row.category, &row.tags, &row.references, &row.extra);
        // Texts, numbers and maps with text keys always have a JSON form.
        let _ = serde_json::to_writer(&mut hasher, &whole);
        let like = self.rows.entry(cut(&hasher)).or_default();
        *like += 1;
        if *like > 1 {
            hasher.update(&like.to_le_bytes());
        }
        cut(&hasher)
    }
}

fn cut(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// Looks at a file as [`import()`] would read it; for the preview.
///
/// # Errors
/// As [`import::inspect`].
pub fn preview(path: &Path, request: &Request) -> Result<Preview, ActionError> {
    Ok(inspect(path, &request.options())?)
}
