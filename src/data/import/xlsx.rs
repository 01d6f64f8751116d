//! Workbooks of Excel, cell by cell.
//!
//! An .xlsx is a zip of XML whose sizes nobody checks; [`within_bounds`] unpacks it once into nothing before calamine,
//! which keeps all texts of a workbook, is let at it. What calamine panics on is an error here.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{DataRef, ExcelDateTime, Reader, SheetVisible, Xlsx};
use flate2::read::DeflateDecoder;
use serde_json::Value;

use super::element::{Element, Own, Take};
use super::error::{Fault, ImportError};
use super::header::Header;
use super::roles::Role;
use super::source::{PIECE, Source};

/// What a workbook may unpack to, in bytes. calamine holds the texts of all of it.
const UNPACKED: u64 = 256 << 20;
/// The columns of a sheet, by Excel's own limits.
const COLUMNS: u32 = 16_384;

type Book = Xlsx<BufReader<File>>;

/// Reads the rows of the one sheet that has records, or of the one called `sheet`; returns what a person should know.
pub(super) fn each(source: &Source<'_>, sheet: Option<&str>, take: &mut Take<'_>) -> Result<Vec<String>, Fault> {
    let mut file = source.seekable()?;
    within_bounds(source, &mut file)?;
    let mut book = guarded(source, || Xlsx::new(BufReader::with_capacity(PIECE, file)))?;
    let (sheet, mut notes) = choose(source, &mut book, sheet)?;
    let mut header: Option<Header> = None;
    rows(source, &mut book, &sheet, &mut |line, cells| {
        let Some(header) = &header else {
            let names: Vec<String> = cells.iter().map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect();
            let named = Header::new(&names);
            notes.extend(named.notes());
            header = Some(named);
            return Ok(());
        };
        let mut cells = cells;
        // A sheet does not write the empty cells at a row's end.
        cells.resize(cells.len().max(header.names.len()), Value::Null);
        let fields = header.row(cells);
        take(Element { line, fields, own: Own::Binary })
    })?;
    Ok(notes)
}

/// Finds the sheet to read.
fn choose(source: &Source<'_>, book: &mut Book, asked: Option<&str>) -> Result<(String, Vec<String>), Fault> {
    let visible = book.sheets_metadata().iter().filter(|sheet| sheet.visible == SheetVisible::Visible);
    let names: Vec<String> = visible.map(|sheet| sheet.name.clone()).collect();
    if let Some(asked) = asked {
        let all = book.sheet_names();
        if let Some(sheet) = all.iter().find(|name| name.trim() == asked.trim()) {
            return Ok((sheet.clone(), Vec::new()));
        }
        let (file, column) = (source.name().to_owned(), asked.to_owned());
        let reason = "there is no such sheet";
        return Err(ImportError::Mapping { file, role: "sheet".into(), column, reason, columns: all }.into());
    }
    let mut filled = Vec::new();
    for name in names {
        let mut first = None;
        let mut second = false;
        let looked = rows(source, book, &name, &mut |_, cells| {
            if first.is_some() {
                second = true;
                return Err(Fault::Halted);
            }
            first = Some(cells.iter().filter_map(Value::as_str).filter(|cell| Role::of(cell).is_some()).count());
            Ok(())
        });
        match looked {
            Err(Fault::Halted) | Ok(()) => {}
            // A chart is a sheet too.
            Err(_) if filled.is_empty() => continue,
            Err(other) => return Err(other),
        }
        if let Some(known) = first {
            filled.push((name, known, second));
        }
    }
    let named: Vec<&(String, usize, bool)> = filled.iter().filter(|(_, known, rows)| *known > 0 && *rows).collect();
    let candidates = if named.is_empty() { filled.iter().collect() } else { named };
    let others = |one: &str| -> Vec<String> {
        let rest: Vec<&str> = filled.iter().map(|(name, ..)| name.as_str()).filter(|name| *name != one).collect();
        if rest.is_empty() { Vec::new() } else { vec![format!("not read: the sheets {}", rest.join(", "))] }
    };
    match candidates.as_slice() {
        [] => Err(ImportError::Empty { file: source.name().to_owned() }.into()),
        [(name, ..)] => Ok((name.clone(), others(name))),
        [(first, ..), ..] => Err(ImportError::Unrecognised {
            file: source.name().to_owned(),
            why: "several sheets hold rows".to_owned(),
            found: candidates.iter().map(|(name, ..)| name.clone()).collect(),
            example: format!("--map sheet={first}"),
            encoding: "utf-8".to_owned(),
        }
        .into()),
    }
}

/// Hands on every row that is not empty, by the number the sheet shows.
fn rows(
    source: &Source<'_>,
    book: &mut Book,
    sheet: &str,
    take: &mut dyn FnMut(u64, Vec<Value>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut cells = guarded(source, || book.worksheet_cells_reader(sheet))?;
    let mut row: Vec<Value> = Vec::new();
    let mut number = 0;
    loop {
        let cell = guarded(source, || cells.next_cell())?;
        let place = cell.as_ref().map(calamine::Cell::get_position);
        if place.is_none_or(|(line, _)| line != number) {
            if row.iter().any(|cell| !cell.is_null()) {
                take(u64::from(number) + 1, std::mem::take(&mut row))?;
            }
            row.clear();
        }
        let (Some((line, column)), Some(cell)) = (place, cell) else { return Ok(()) };
        number = line;
        let Some(value) = text(cell.get_value()) else { continue };
        if column >= COLUMNS {
            return Err(damaged(source, format!("row {} has a cell in column {}", line + 1, column + 1)).into());
        }
        let column = column as usize;
        row.resize(row.len().max(column + 1), Value::Null);
        if let Some(place) = row.get_mut(column) {
            *place = Value::String(value);
        }
    }
}

/// A cell as a person sees it, more or less: numbers in the shortest way, dates as in ISO 8601.
fn text(cell: &DataRef<'_>) -> Option<String> {
    let text = match cell {
        DataRef::Empty => return None,
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(yes) => if *yes { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(when) => date(when),
        DataRef::DateTimeIso(when) | DataRef::DurationIso(when) => when.clone(),
        DataRef::Error(error) => error.to_string(),
    };
    Some(text).filter(|text| !text.is_empty())
}

fn date(when: &ExcelDateTime) -> String {
    if when.is_duration() {
        let seconds = (when.as_f64() * 86_400.0).round() as i64;
        return format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = when.to_ymd_hms_milli();
    let day = format!("{year:04}-{month:02}-{day:02}");
    if (hour, minute, second) == (0, 0, 0) { day } else { format!("{day}T{hour:02}:{minute:02}:{second:02}") }
}

/// Lets calamine do one thing. It panics on some files that are not what they say; that ends the file, not the program.
fn guarded<T>(source: &Source<'_>, work: impl FnOnce() -> Result<T, calamine::XlsxError>) -> Result<T, ImportError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(calamine::XlsxError::Password)) => Err(damaged(source, "it is locked with a password".to_owned())),
        Ok(Err(error)) => Err(damaged(source, error.to_string())),
        Err(_) => Err(damaged(source, "its parts contradict each other".to_owned())),
    }
}

fn damaged(source: &Source<'_>, reason: String) -> ImportError {
    ImportError::Damaged { file: source.name().to_owned(), format: "xlsx", reason }
}

/// Unpacks every part of the zip into nothing, and looks whether it stays within bounds and says true things of itself.
fn within_bounds(source: &Source<'_>, file: &mut File) -> Result<(), ImportError> {
    let mut left = UNPACKED;
    let entries = directory(file).map_err(|e| source.fails(e))?;
    let entries = entries.ok_or_else(|| damaged(source, "the zip has no directory".to_owned()))?;
    for entry in entries {
        let mut start = Vec::new();
        let unpacked = unpack(file, &entry, left, &mut start);
        // What does not unpack is calamine's to complain of, with the part's name.
        let len = unpacked.unwrap_or(0);
        left = left.checked_sub(len).ok_or_else(|| ImportError::Bomb {
            file: source.name().to_owned(),
            limit: UNPACKED >> 20,
            ratio: UNPACKED / file.metadata().map_or(1, |about| about.len()).max(1),
            advice: "save the sheet as CSV if that is meant",
        })?;
        // calamine makes room for as many texts and styles as a part says it has.
        if let Some(count) = counts(&start).max()
            && count > len
        {
            return Err(damaged(source, format!("a part of {len} bytes says that it holds {count} things")));
        }
    }
    Ok(())
}

/// What `count` and `uniqueCount` say in the beginning of a part.
fn counts(start: &[u8]) -> impl Iterator<Item = u64> {
    let text = String::from_utf8_lossy(start).to_lowercase();
    let after: Vec<u64> = text
        .split("count")
        .skip(1)
        .filter_map(|after| {
            let after = after.trim_start().strip_prefix('=')?.trim_start();
            let digits: String =
                after.trim_start_matches(['"', '\'']).chars().take_while(char::is_ascii_digit).collect();
            // A number that does not fit is more than anything.
            (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
        })
        .collect();
    after.into_iter()
}

/// Where a part lies in the zip.
struct Entry {
    offset: u64,
    packed: u64,
    deflated: bool,
}

/// The parts that the zip's directory names (APPNOTE.TXT 4.3.12, 4.3.16); `None` where it has none.
fn directory(file: &mut File) -> io::Result<Option<Vec<Entry>>> {
    let len = file.seek(SeekFrom::End(0))?;
    // The end record is 22 bytes and a comment of 64 KiB at most.
    let from = len.saturating_sub(22 + (1 << 16));
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(1 << 17).read_to_end(&mut tail)?;
    let Some(end) = memchr::memmem::rfind(&tail, b"PK\x05\x06") else { return Ok(None) };
    let end = tail.get(end..).unwrap_or_default();
    let (Some(count), Some(size), Some(offset)) = (number::<2>(end, 10), number::<4>(end, 12), number::<4>(end, 16))
    else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(size.min(1 << 24)).read_to_end(&mut bytes)?;
    let mut rest = bytes.as_slice();
    let mut entries = Vec::new();
    while entries.len() < count as usize && rest.starts_with(b"PK\x01\x02") {
        let all = (
            number::<2>(rest, 10),
            number::<4>(rest, 20),
            number::<2>(rest, 28),
            number::<2>(rest, 30),
            number::<2>(rest, 32),
            number::<4>(rest, 42),
        );
        let (Some(method), Some(packed), Some(name), Some(extra), Some(comment), Some(offset)) = all else { break };
        entries.push(Entry { offset, packed, deflated: method == 8 });
        rest = rest.get((46 + name + extra + comment) as usize..).unwrap_or_default();
    }
    Ok(Some(entries))
}

/// A little-endian number of `N` bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let found = bytes.get(at..at + N)?;
    Some(found.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// Unpacks a part up to `most` bytes and one more; returns its length and keeps its beginning.
fn unpack(file: &mut File, entry: &Entry, most: u64, start: &mut Vec<u8>) -> io::Result<u64> {
    file.seek(SeekFrom::Start(entry.offset))?;
    let mut header = [0; 30];
    file.read_exact(&mut header)?;
    let (name, extra) = (number::<2>(&header, 26).unwrap_or(0), number::<2>(&header, 28).unwrap_or(0));
    file.seek(SeekFrom::Start(entry.offset + 30 + name + extra))?;
    let packed = BufReader::with_capacity(PIECE, file.take(entry.packed));
    let mut unpacked: Box<dyn Read> =
        if entry.deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) };
    unpacked.by_ref().take(PIECE as u64).read_to_end(start)?;
    let rest = io::copy(&mut unpacked.take((most + 1).saturating_sub(start.len() as u64)), &mut io::sink())?;
    Ok(start.len() as u64 + rest)
}
