//! What kind of file it is, by what is in it. A name's ending only helps where the content leaves it open.

use std::io::Read;
use std::path::Path;

use super::delimited::{Dialect, first_records};
use super::error::ImportError;
use super::roles::Role;
use super::source::Source;
use super::{Format, Options, encoding, markdown};

/// As much of a text is looked at, in bytes.
const LOOK: u64 = 256 << 10;
/// As many records of a table are looked at.
const RECORDS: usize = 200;
/// As many control characters may stray into a text, however short it is; in a longer one, one byte in a hundred.
const STRAY: usize = 3;

/// The outermost layout of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// One JSON object a line.
    JsonLines,
    /// A list of JSON objects.
    JsonList,
    /// JSON objects over several lines, perhaps only one.
    JsonObjects,
    /// Delimited text.
    Table(Dialect),
    /// A workbook.
    Xlsx,
    /// Parquet.
    Parquet,
    /// Questions and answers.
    Markdown,
    /// One text.
    Document,
}

impl Container {
    /// Whether its rows are JSON objects of its own text.
    pub(super) fn is_json(self) -> bool {
        matches!(self, Self::JsonLines | Self::JsonList | Self::JsonObjects)
    }

    /// What it is called where the rows do not say more.
    pub(super) fn format(self) -> Format {
        match self {
            Self::Table(Dialect { delimiter: b'\t', .. }) => Format::Tsv,
            Self::Table(_) => Format::Csv,
            Self::Xlsx => Format::Xlsx,
            Self::Parquet => Format::Parquet,
            Self::Markdown => Format::Markdown,
            Self::Document => Format::Text,
            _ => Format::Pairs,
        }
    }
}

/// Tells a binary file by its first bytes; `None` for text.
pub(super) fn binary(source: &Source<'_>) -> Result<Option<Container>, ImportError> {
    let start = source.start(8)?;
    let what = match start.as_slice() {
        [] => return Err(ImportError::Empty { file: source.name().to_owned() }),
        [b'P', b'A', b'R', b'1', ..] => return Ok(Some(Container::Parquet)),
        [b'P', b'K', 3, 4, ..] => return Ok(Some(Container::Xlsx)),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => "an old Excel or Word file (save it as .xlsx or CSV)",
        [b'%', b'P', b'D', b'F', ..] => "a PDF file",
        [0x28, 0xB5, 0x2F, 0xFD, ..] => "packed with zstd (unpack it with `zstd -d`)",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "packed with bzip2 (unpack it with `bunzip2`)",
        [0xFD, b'7', b'z', b'X', b'Z', ..] => "packed with xz (unpack it with `unxz`)",
        [0x1F, 0x8B, ..] => "packed with gzip twice",
        _ if start.starts_with(b"ARROW1") => "an Arrow file (save it as parquet)",
        _ if start.starts_with(b"SQLite") => "an SQLite database",
        _ => return Ok(None),
    };
    Err(ImportError::Binary { file: source.name().to_owned(), what: what.to_owned() })
}

/// Tells the layout of a text.
pub(super) fn text(source: &Source<'_>, found: encoding::Found, options: &Options) -> Result<Container, ImportError> {
    let mut start = Vec::new();
    found.stream(source)?.take(LOOK).read_to_end(&mut start).map_err(|e| source.fails(e))?;
    let odd = start.iter().filter(|&&b| (b < 0x20 && !b.is_ascii_whitespace() && b != 0x1B) || b == 0x7F).count();
    if odd > STRAY.max(start.len() / 100) {
        let what = "no text: it is full of control characters".to_owned();
        return Err(ImportError::Binary { file: source.name().to_owned(), what });
    }
    // A line that was cut is no line.
    let cut = start.len() as u64 >= LOOK;
    let look = String::from_utf8_lossy(&start);
    let look = match look.rfind('\n') {
        Some(end) if cut => look.get(..end).unwrap_or_default(),
        _ => &look,
    };
    if look.trim().is_empty() {
        return Err(ImportError::Empty { file: source.name().to_owned() });
    }
    if options.format == Some(Format::Text) && !looks_like_json(look) {
        return Ok(Container::Document);
    }
    if let Some(json) = json(look) {
        return Ok(json);
    }
    let asked = options.format;
    match asked {
        Some(Format::Markdown) => return Ok(Container::Markdown),
        Some(Format::Tsv) => return Ok(Container::Table(quoting(look, b'\t'))),
        _ => {}
    }
    if asked.is_none() && options.map.is_empty() && markdown::is_that(look) {
        return Ok(Container::Markdown);
    }
    let table = table(look, options, source.path());
    match (table, asked) {
        (Some(dialect), _) => Ok(Container::Table(dialect)),
        (None, Some(Format::Csv)) => Ok(Container::Table(Dialect { delimiter: b',', quotes: true })),
        (None, None) => Ok(Container::Document),
        (None, Some(format)) => Err(ImportError::NotThat {
            file: source.name().to_owned(),
            format,
            reason: "it holds neither JSON objects nor a table with named columns".to_owned(),
        }),
    }
}

/// Whether a line begins as a JSON object does.
fn begins_object(line: &str) -> bool {
    let inside = line.trim_start().strip_prefix('{').map(str::trim_start);
    inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['"', '}']))
}

fn looks_like_json(look: &str) -> bool {
    json(look).is_some()
}

fn json(look: &str) -> Option<Container> {
    let look = look.trim_start();
    if let Some(inside) = look.strip_prefix('[') {
        let inside = inside.trim_start();
        // "[1] Smith" and "[a link](…)" begin a text.
        return (begins_object(inside) || inside.starts_with(']')).then_some(Container::JsonList);
    }
    let lines: Vec<&str> = look.lines().map(str::trim).filter(|line| !line.is_empty()).take(50).collect();
    let whole = lines.iter().filter(|line| begins_object(line) && line.ends_with('}')).count();
    let begun = lines.iter().filter(|line| begins_object(line)).count();
    let first = lines.first()?;
    let alone = serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok();
    if begins_object(first) && (alone || whole > 0 && 2 * begun > lines.len()) {
        // Within one object over many lines, a list of short objects has each on a line of its own.
        let of_one = !alone && lines.iter().skip(1).any(|line| line.starts_with('"'));
        return Some(if of_one { Container::JsonObjects } else { Container::JsonLines });
    }
    if begins_object(first) {
        // One line that does not parse is a bad row among none, not the beginning of a longer object.
        return Some(if lines.len() == 1 { Container::JsonLines } else { Container::JsonObjects });
    }
    (whole > 0 && 2 * begun > lines.len()).then_some(Container::JsonLines)
}

/// How well a text fits as a table of one dialect.
struct Fit {
    dialect: Dialect,
    /// Columns whose names say what they are.
    known: usize,
    /// Whether all columns are called as columns are, and not as a sentence goes on.
    short: bool,
    /// The share of rows that are as long as the header.
    even: f64,
    columns: usize,
    rows: usize,
}

fn fit(look: &str, dialect: Dialect, options: &Options) -> Option<Fit> {
    let records = first_records(look.as_bytes().to_vec(), dialect, RECORDS);
    let (header, rows) = records.split_first()?;
    let mapped = |name: &str| options.map.iter().any(|(_, column)| column.trim() == name.trim());
    let known = header.iter().filter(|name| Role::of(name).is_some() || mapped(name)).count();
    let alike = rows.iter().filter(|row| row.len() == header.len()).count();
    let even = if rows.is_empty() { 1.0 } else { alike as f64 / rows.len() as f64 };
    let short = header.iter().all(|name| is_short(name));
    Some(Fit { dialect, known, short, even, columns: header.len(), rows: rows.len() })
}

/// Whether a cell reads as a name: some words that do not end a sentence.
fn is_short(name: &str) -> bool {
    !name.trim_end().ends_with(['.', '。', ':', '：']) && name.split_whitespace().count() <= 6
}

/// A table's fields are quoted, unless that bends rows which are even when quotes are letters.
fn quoting(look: &str, delimiter: u8) -> Dialect {
    let [quoted, plain] = [true, false].map(|quotes| fit(look, Dialect { delimiter, quotes }, &Options::default()));
    let quotes = match (quoted, plain) {
        (Some(quoted), Some(plain)) => quoted.even >= 1.0 || plain.even < 1.0 || plain.columns < 2,
        _ => true,
    };
    Dialect { delimiter, quotes }
}

fn table(look: &str, options: &Options, path: Option<&Path>) -> Option<Dialect> {
    let ending = path.and_then(Path::extension).and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    // What parts the fields by the file's name.
    let says = |dialect: Dialect| match ending.as_str() {
        "csv" => true,
        "tsv" | "tab" => dialect.delimiter == b'\t',
        _ => false,
    };
    let best = [b',', b';', b'\t']
        .into_iter()
        .filter_map(|delimiter| {
            let dialect =
                if delimiter == b'\t' { quoting(look, delimiter) } else { Dialect { delimiter, quotes: true } };
            fit(look, dialect, options)
        })
        .filter(|fit| fit.columns > 1)
        .max_by(|a, b| {
            (a.known.min(2), says(a.dialect), a.even, a.columns)
                .partial_cmp(&(b.known.min(2), says(b.dialect), b.even, b.columns))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
    let asked = options.format == Some(Format::Csv);
    let Some(best) = best else {
        // A table of one column is told from a text by what the column is called.
        let name = look.lines().next().unwrap_or_default();
        let one = matches!(Role::of(name), Some(Role::Head(_) | Role::Text | Role::Tail("input"))) || asked;
        return one.then_some(Dialect { delimiter: b',', quotes: true });
    };
    // Where a file says of itself that it is a table, a row of another length is a bad row, however many there are.
    let named = best.known >= 1 && best.even >= 0.8 || best.known >= 2 && (best.even >= 0.5 || best.short);
    let called = says(best.dialect) || matches!(ending.as_str(), "tsv" | "tab") && best.even >= 0.5;
    // Columns with names nobody knows: a table all the same where the rows are many and even, so that it is asked about.
    let even = best.rows >= 5 && best.even >= 1.0 && ending != "md";
    (named || called || even || asked).then_some(best.dialect)
}
