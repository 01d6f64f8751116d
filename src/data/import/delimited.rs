//! Tables as text: CSV with comma or semicolon, TSV, and what Excel saves as "Unicode text".
//!
//! RFC 4180 with what is found in the wild: any of the three line ends, also within quotes; rows that are short or long,
//! and text after a closing quote, are refused and not bent into shape. Own because a refused row is handed back as it
//! was written and named by the line where it begins.

use std::io::{self, BufRead};

use memchr::memchr3;
use serde_json::Value;

use super::element::{Element, KEPT, LONGEST, Own, Take, not_text};
use super::error::Fault;
use super::header::Header;
use super::source::{Source, Stream};

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What stands between two fields.
    pub(super) delimiter: u8,
    /// Whether a field may be quoted.
    pub(super) quotes: bool,
}

/// Reads a table's rows under the names of its first.
pub(super) fn each(
    source: &Source<'_>,
    stream: Stream<'_>,
    encoding: &str,
    dialect: Dialect,
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    let mut records = Records::new(stream, dialect);
    let mut first = None;
    while let Some(line) = records.next().map_err(|e| source.fault(e))? {
        let Some((header, written)) = &first else {
            let written = records.text.clone();
            let cells: Vec<String> = records.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
            first = Some((Header::new(&cells), written));
            continue;
        };
        if records.cells().all(<[u8]>::is_empty) {
            continue;
        }
        let own = Own::Table { header: written, row: &records.text };
        let fields = match &records.trouble {
            Some(trouble) => Err(trouble.clone()),
            None => cells(&records, encoding).and_then(|cells| header.row(cells)),
        };
        take(Element { line, fields, own })?;
    }
    Ok(())
}

fn cells(records: &Records<'_>, encoding: &str) -> Result<Vec<Value>, String> {
    records
        .cells()
        .map(|cell| match std::str::from_utf8(cell) {
            Ok(text) => Ok(Value::String(text.to_owned())),
            Err(_) => Err(not_text(cell, encoding).unwrap_or_default()),
        })
        .collect()
}

/// The first records of a table, for one who looks whether it is one.
pub(super) fn first_records(bytes: Vec<u8>, dialect: Dialect, count: usize) -> Vec<Vec<String>> {
    let mut records = Records::new(super::source::stream_of(bytes), dialect);
    let mut found = Vec::new();
    while found.len() < count && matches!(records.next(), Ok(Some(_))) {
        let mut cells: Vec<String> = records.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        // One field too many for each that is bent: it must not look like a table that is not one.
        cells.extend(records.trouble.is_some().then(String::new));
        found.push(cells);
    }
    found
}

/// The records of a delimited text, one at a time.
struct Records<'a> {
    stream: Stream<'a>,
    dialect: Dialect,
    /// The line that is being read, from 1.
    line: u64,
    /// Whether the byte read last was a carriage return, so that a line feed belongs to it.
    returned: bool,
    /// The record as it is written, without its line end; the first of it where it is too long.
    text: Vec<u8>,
    /// How long it really is, in bytes.
    len: usize,
    /// The fields, one after another.
    fields: Vec<u8>,
    /// Where in `fields` each ends.
    ends: Vec<usize>,
    /// What is wrong with the record.
    trouble: Option<String>,
}

/// Where in a record the next byte stands.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes: the field's end, or half of a doubled quote.
    Closed,
    /// After space behind a closing quote.
    Padded,
    /// Behind the record.
    Over,
}

impl<'a> Records<'a> {
    fn new(stream: Stream<'a>, dialect: Dialect) -> Self {
        let (text, fields, ends) = (Vec::new(), Vec::new(), Vec::new());
        Self { stream, dialect, line: 1, returned: false, text, len: 0, fields, ends, trouble: None }
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, &to)| self.fields.get(from..to).unwrap_or_default())
    }

    /// Reads the next record that is not a blank line; returns the line where it begins.
    fn next(&mut self) -> io::Result<Option<u64>> {
        loop {
            if self.returned && self.stream.fill_buf()?.first() == Some(&b'\n') {
                self.stream.consume(1);
            }
            self.returned = false;
            let line = self.line;
            if !self.read()? {
                return Ok(None);
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// Reads one record; returns whether there was one.
    fn read(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.fields.clear();
        self.ends.clear();
        self.trouble = None;
        self.len = 0;
        let begun = self.line;
        let mut at = At::Start;
        let mut any = false;
        while at != At::Over {
            let bytes = match self.stream.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
                // The borrow ends with the buffer's use below; a copy of the piece would cost more than this second look.
                Ok(bytes) => bytes.len(),
            };
            if bytes == 0 {
                break;
            }
            any = true;
            at = self.piece(at)?;
        }
        if !any {
            return Ok(false);
        }
        self.ends.push(self.fields.len());
        if self.len > LONGEST {
            self.trouble = Some(format!("longer than {} MiB", LONGEST >> 20));
        } else if at == At::Quoted {
            let lines = self.line - begun;
            self.trouble = Some(format!(
                "a quote is never closed: what follows, {lines} more lines to the end of the file, was read as one field"
            ));
        }
        Ok(true)
    }

    /// Reads on in what is buffered, to the record's end or the buffer's.
    fn piece(&mut self, mut at: At) -> io::Result<At> {
        let Self { stream, dialect: Dialect { delimiter, quotes }, fields, ends, .. } = self;
        let bytes = stream.fill_buf()?;
        let room = self.len <= LONGEST;
        let mut push = |part: &[u8]| {
            if room {
                fields.extend_from_slice(part);
            }
            fields.len()
        };
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            let rest = bytes.get(used..).unwrap_or_default();
            match at {
                At::Start if *quotes && byte == b'"' => {
                    at = At::Quoted;
                    used += 1;
                }
                At::Start => at = At::Plain,
                At::Plain => {
                    let stop = memchr3(*delimiter, b'\n', b'\r', rest);
                    let end = push(rest.get(..stop.unwrap_or(rest.len())).unwrap_or_default());
                    used += stop.unwrap_or(rest.len());
                    match bytes.get(used) {
                        None => {}
                        Some(b) if b == delimiter => {
                            ends.push(end);
                            at = At::Start;
                            used += 1;
                        }
                        Some(_) => at = At::Over,
                    }
                }
                At::Quoted => {
                    let stop = memchr3(b'"', b'\n', b'\r', rest);
                    let len = stop.unwrap_or(rest.len());
                    push(rest.get(..len).unwrap_or_default());
                    self.returned &= len == 0;
                    used += len;
                    match bytes.get(used) {
                        None => {}
                        Some(b'"') => {
                            at = At::Closed;
                            self.returned = false;
                            used += 1;
                        }
                        Some(&end) => {
                            self.line += u64::from(end == b'\r' || !self.returned);
                            self.returned = end == b'\r';
                            push(&[end]);
                            used += 1;
                        }
                    }
                }
                At::Closed if byte == b'"' => {
                    push(b"\"");
                    at = At::Quoted;
                    used += 1;
                }
                At::Closed | At::Padded => {
                    if byte == *delimiter {
                        ends.push(push(&[]));
                        at = At::Start;
                        used += 1;
                    } else if byte == b'\n' || byte == b'\r' {
                        at = At::Over;
                    } else if byte == b' ' {
                        at = At::Padded;
                        used += 1;
                    } else {
                        self.trouble.get_or_insert_with(|| {
                            "text follows a closing quote: double a quote that belongs to the text".into()
                        });
                        at = At::Plain;
                    }
                }
                At::Over => break,
            }
        }
        self.len += used;
        if self.len <= LONGEST {
            self.text.extend_from_slice(bytes.get(..used).unwrap_or_default());
        } else {
            self.text.truncate(2 * KEPT);
            self.fields.clear();
            self.ends.clear();
        }
        if at == At::Over {
            self.line += 1;
            self.returned = bytes.get(used) == Some(&b'\r');
            used += 1;
        }
        self.stream.consume(used);
        Ok(at)
    }
}
