//! Questions and answers in Markdown or plain text: `**Q: …**` and `A: …`, `Q1. …`, `## 質問: …`, `問：`, `答：`.
//!
//! A question is what follows its mark up to the mark of its answer, an answer what follows up to the next question. A
//! heading right before a question is a section and becomes the field `section`; any other belongs to the text it is in.

use std::io::Read;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::Format;
use super::element::{Element, Fields, LONGEST, Own, Take, not_text};
use super::error::{Fault, ImportError};
use super::source::{Source, Stream};

/// What begins a question or an answer, and the text on the same line.
static MARK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let question = "Q|Question|質問|問い|問題|問";
    let answer = "A|Answer|回答|解答|答え|答";
    Regex::new(&format!(
        r"(?i)^\s{{0,3}}(?:[-*]\s+)?(?:\#{{1,6}}\s*)?(\*\*|__)?\s*(?:(?<q>{question})|(?<a>{answer}))\s*[0-9０-９]{{0,4}}\s*(?<early>\*\*|__)?\s*(?:[:：]|[.．、)）](?:\s|$))\s*(?<late>\*\*|__)?\s*(?<rest>.*)$"
    ))
    .ok()
});

/// One of the two marks.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Question,
    Answer,
}

fn mark(line: &str) -> Option<(Mark, &str)> {
    // Every mark has a colon or a full stop near its beginning; most lines need no closer look.
    let found = MARK.as_ref()?.captures(line)?;
    let mark = if found.name("q").is_some() { Mark::Question } else { Mark::Answer };
    let rest = found.name("rest").map_or("", |rest| rest.as_str()).trim_end();
    // Where the bold letters began before the mark and did not end with it, they end with the line.
    let opened = found.get(1).map(|sign| sign.as_str());
    let closed = found.name("early").is_some() || found.name("late").is_some();
    let rest = match opened.filter(|_| !closed) {
        Some(sign) => rest.strip_suffix(sign).unwrap_or(rest),
        None => rest,
    };
    Some((mark, rest.trim_end()))
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with([' ', '\t'])).then(|| text.trim())
}

/// Whether a text is made of questions and answers: two of each and more, or one of each and nothing before.
pub(super) fn is_that(text: &str) -> bool {
    let (mut questions, mut answers, mut before) = (0, 0, false);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match mark(line) {
            Some((Mark::Question, _)) => questions += 1,
            Some((Mark::Answer, _)) if questions > answers => answers += 1,
            Some(_) => return false,
            None => before |= questions == 0 && heading(line).is_none(),
        }
    }
    answers >= 2 || (answers == 1 && questions == 1 && !before)
}

/// A question, with its answer where there is one yet.
#[derive(Default)]
struct Entry {
    line: u64,
    question: Vec<String>,
    answer: Option<Vec<String>>,
    section: Option<String>,
    own: Vec<u8>,
    bad: Option<String>,
}

/// Reads the questions.
pub(super) fn each(source: &Source<'_>, stream: Stream<'_>, encoding: &str, take: &mut Take<'_>) -> Result<(), Fault> {
    let bytes = whole(source, stream, Format::Markdown)?;
    let mut entry: Option<Entry> = None;
    let mut section: Option<String> = None;
    for (number, own) in (1u64..).zip(bytes.split(|&b| b == b'\n')) {
        let own = own.strip_suffix(b"\r").unwrap_or(own);
        let text = String::from_utf8_lossy(own);
        let found = mark(&text);
        if let Some((Mark::Question, rest)) = found {
            let next = entry.take().and_then(|entry| finish(entry, take).transpose()).transpose()?;
            section = next.or(section);
            let question = vec![rest.to_owned()];
            entry = Some(Entry { line: number, question, section: section.clone(), ..Entry::default() });
        }
        let Some(open) = &mut entry else {
            section = heading(&text).map(str::to_owned).or(section);
            continue;
        };
        open.own.extend_from_slice(own);
        open.own.push(b'\n');
        if open.bad.is_none() {
            open.bad = not_text(own, encoding).map(|why| format!("line {number} has {why}"));
        }
        match (found, &mut open.answer) {
            (Some((Mark::Question, _)), _) => {}
            (Some((Mark::Answer, rest)), None) => open.answer = Some(vec![rest.to_owned()]),
            (_, Some(answer)) => answer.push(text.into_owned()),
            (_, None) => open.question.push(text.into_owned()),
        }
    }
    if let Some(entry) = entry {
        finish(entry, take)?;
    }
    Ok(())
}

/// Hands an entry on; returns the section that begins at its end.
fn finish(mut entry: Entry, take: &mut Take<'_>) -> Result<Option<String>, Fault> {
    let last = entry.answer.as_mut().unwrap_or(&mut entry.question);
    let mut section = None;
    while let Some(line) = last.last() {
        match heading(line) {
            Some(name) if last.len() > 1 => section = section.or_else(|| Some(name.to_owned())),
            _ if line.trim().is_empty() && last.len() > 1 => {}
            _ => break,
        }
        last.pop();
    }
    let joined = |lines: &[String]| Value::String(lines.join("\n").trim().to_owned());
    let mut fields = Fields::new();
    fields.insert("question".to_owned(), joined(&entry.question));
    if let Some(answer) = &entry.answer {
        fields.insert("answer".to_owned(), joined(answer));
    }
    if let Some(section) = entry.section {
        fields.insert("section".to_owned(), Value::String(section));
    }
    let fields = entry.bad.map_or(Ok(fields), Err);
    take(Element { line: entry.line, fields, own: Own::Bytes(entry.own.trim_ascii_end()) })?;
    Ok(section)
}

/// Reads a text that is one document.
pub(super) fn document(
    source: &Source<'_>,
    stream: Stream<'_>,
    encoding: &str,
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    let bytes = whole(source, stream, Format::Text)?;
    let fields = if let Ok(text) = std::str::from_utf8(&bytes) {
        Ok(Fields::from_iter([("text".to_owned(), Value::String(text.replace("\r\n", "\n")))]))
    } else {
        let lines = (1u64..).zip(bytes.split(|&b| b == b'\n'));
        let mut bad = lines.filter_map(|(line, own)| Some(format!("line {line} has {}", not_text(own, encoding)?)));
        Err(bad.next().unwrap_or_default())
    };
    take(Element { line: 1, fields, own: Own::Bytes(&bytes) })
}

/// The whole text, where it is short enough to be one record.
fn whole(source: &Source<'_>, stream: Stream<'_>, format: Format) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    stream.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(|e| source.fault(e))?;
    if bytes.len() > LONGEST {
        let reason = format!("it is longer than {} MiB; split it", LONGEST >> 20);
        return Err(ImportError::NotThat { file: source.name().to_owned(), format, reason }.into());
    }
    Ok(bytes)
}
