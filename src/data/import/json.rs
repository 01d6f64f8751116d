//! JSON in its three layouts: one object a line, a list of objects, objects one after another over any number of lines.
//!
//! A list is taken apart element by element without reading it as a whole: strings and brackets are followed, no more, and
//! what lies between is parsed alone. So a bad element costs that element, and memory holds one at a time.

use std::io::{self, BufRead};

use memchr::{memchr, memchr2};
use serde_json::Value;

use super::element::{Element, KEPT, LONGEST, Own, Take, not_text};
use super::error::Fault;
use super::source::{Source, Stream};
use crate::prompt::record::kind_of;

/// Reads one object a line; blank lines are none.
pub(super) fn each_line(
    source: &Source<'_>,
    mut stream: Stream<'_>,
    encoding: &str,
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        let whole = match read_line(&mut stream, &mut line) {
            Ok(None) => return Ok(()),
            Ok(Some(whole)) => whole,
            Err(e) => return Err(source.fault(e)),
        };
        number += 1;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let fields = if whole { object(text, encoding) } else { Err(too_long()) };
        take(Element { line: number, fields, own: Own::Bytes(text) })?;
    }
}

fn too_long() -> String {
    format!("longer than {} MiB", LONGEST >> 20)
}

/// Reads up to a line's end into `line`; `Some(false)` where only the first of a line that is too long is there.
fn read_line(stream: &mut Stream<'_>, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let mut whole = true;
    let mut any = false;
    loop {
        let bytes = match stream.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = memchr(b'\n', bytes);
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        if line.len() + part.len() > LONGEST {
            whole = false;
            line.truncate(KEPT + 1);
        }
        if whole {
            line.extend_from_slice(part);
        }
        let used = end.map_or(bytes.len(), |at| at + 1);
        stream.consume(used);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// Reads an object, or says why it is none.
fn object(text: &[u8], encoding: &str) -> Result<super::element::Fields, String> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(format!("a row is a JSON object with named fields; this is {}", kind_of(&other))),
        Err(e) => Err(not_text(text, encoding).unwrap_or_else(|| not_json(&e, text))),
    }
}

fn not_json(error: &serde_json::Error, text: &[u8]) -> String {
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or_default();
    let line = if text.contains(&b'\n') { format!("line {} of it, ", error.line()) } else { String::new() };
    format!("not JSON: {what} ({line}column {})", error.column())
}

/// Reads a list's elements; numbers are counted from 1.
pub(super) fn each_of_list(
    source: &Source<'_>,
    stream: Stream<'_>,
    encoding: &str,
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    let mut scan = Scan::new(stream);
    let fault = |e| source.fault(e);
    scan.space().map_err(fault)?;
    scan.skip(1);
    let mut number = 0;
    loop {
        scan.commas().map_err(fault)?;
        let line = scan.line;
        match scan.peek().map_err(fault)? {
            None => {
                let reason = format!("the list is never closed (the file ends at line {line}): is it cut short?");
                return take(Element { line: number + 1, fields: Err(reason), own: Own::Bytes(b"") });
            }
            Some(b']') => {
                scan.skip(1);
                break;
            }
            Some(_) => {
                number += 1;
                let fields = scan.value(encoding).map_err(fault)?;
                let fields = fields.map_err(|reason| format!("{reason}, at line {line}"));
                take(Element { line: number, fields, own: Own::Bytes(scan.value.trim_ascii()) })?;
            }
        }
    }
    scan.space().map_err(fault)?;
    if scan.peek().map_err(fault)?.is_some() {
        let reason = format!("the list is closed, and yet the file goes on at line {}", scan.line);
        scan.rest().map_err(fault)?;
        take(Element { line: number + 1, fields: Err(reason), own: Own::Bytes(scan.value.trim_ascii()) })?;
    }
    Ok(())
}

/// Reads objects one after another; each is named by the line where it begins.
pub(super) fn each_object(
    source: &Source<'_>,
    stream: Stream<'_>,
    encoding: &str,
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    let mut scan = Scan::new(stream);
    let fault = |e| source.fault(e);
    loop {
        scan.commas().map_err(fault)?;
        let line = scan.line;
        if scan.peek().map_err(fault)?.is_none() {
            return Ok(());
        }
        let fields = scan.value(encoding).map_err(fault)?;
        take(Element { line, fields, own: Own::Bytes(scan.value.trim_ascii()) })?;
    }
}

/// Follows the strings and brackets of JSON.
struct Scan<'a> {
    stream: Stream<'a>,
    /// The line that is being read, from 1.
    line: u64,
    /// The value that was read last, or its first part.
    value: Vec<u8>,
    /// How long it really was, in bytes.
    len: usize,
}

impl<'a> Scan<'a> {
    fn new(stream: Stream<'a>) -> Self {
        Self { stream, line: 1, value: Vec::new(), len: 0 }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.stream.fill_buf()?.first().copied())
    }

    /// Passes over bytes that hold no line's end.
    fn skip(&mut self, len: usize) {
        self.stream.consume(len);
    }

    fn space(&mut self) -> io::Result<()> {
        self.pass(|b| b.is_ascii_whitespace())
    }

    fn commas(&mut self) -> io::Result<()> {
        self.pass(|b| b.is_ascii_whitespace() || b == b',')
    }

    fn pass(&mut self, over: impl Fn(u8) -> bool) -> io::Result<()> {
        loop {
            let bytes = self.stream.fill_buf()?;
            let len = bytes.iter().take_while(|&&b| over(b)).count();
            self.line += count_lines(bytes.get(..len).unwrap_or_default());
            if len == 0 {
                return Ok(());
            }
            self.stream.consume(len);
        }
    }

    /// Reads all that is left.
    fn rest(&mut self) -> io::Result<()> {
        self.value.clear();
        self.len = 0;
        loop {
            let len = self.stream.fill_buf()?.len();
            if len == 0 {
                return Ok(());
            }
            self.keep(len);
        }
    }

    /// Takes the next `len` bytes of the buffer into the value.
    fn keep(&mut self, len: usize) {
        let bytes = self.stream.fill_buf().unwrap_or_default();
        let part = bytes.get(..len).unwrap_or(bytes);
        self.line += count_lines(part);
        self.len += part.len();
        if self.len <= LONGEST {
            self.value.extend_from_slice(part);
        } else {
            self.value.truncate(2 * KEPT);
        }
        let used = part.len();
        self.stream.consume(used);
    }

    /// Reads the value that begins here, to its last bracket, or to the next comma, bracket or end where it has none.
    fn value(&mut self, encoding: &str) -> io::Result<Result<super::element::Fields, String>> {
        self.value.clear();
        self.len = 0;
        let mut depth = 0usize;
        let mut in_string = false;
        let mut escaped = false;
        'read: loop {
            let bytes = self.stream.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            let mut at = 0;
            while let Some(&byte) = bytes.get(at) {
                if escaped {
                    escaped = false;
                } else if in_string {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let Some(found) = memchr2(b'"', b'\\', rest) else {
                        at = bytes.len();
                        break;
                    };
                    at += found;
                    match bytes.get(at) {
                        Some(b'\\') => escaped = true,
                        _ => in_string = false,
                    }
                    if depth == 0 && !in_string {
                        self.keep(at + 1);
                        break 'read;
                    }
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' if depth > 1 => depth -= 1,
                        b'}' | b']' if depth == 1 => {
                            self.keep(at + 1);
                            depth = 0;
                            break 'read;
                        }
                        // A stray bracket at the beginning must be passed, or nothing would ever be.
                        b'}' | b']' | b',' if depth == 0 => {
                            let first = self.len == 0 && at == 0;
                            self.keep(if first { 1 } else { at });
                            break 'read;
                        }
                        b if depth == 0 && b.is_ascii_whitespace() => {
                            self.keep(at);
                            break 'read;
                        }
                        _ => {}
                    }
                }
                at += 1;
            }
            self.keep(at);
        }
        if self.len > LONGEST {
            return Ok(Err(too_long()));
        }
        let read = object(self.value.trim_ascii(), encoding);
        if in_string || depth > 0 {
            let open = if in_string { "quote" } else { "bracket" };
            return Ok(read.map_err(|why| format!("{why}; a {open} is never closed")));
        }
        Ok(read)
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
