//! One file from its beginning to its rows: finds out how to read it, then reads it.

use serde_json::Value;

use super::element::{Element, Fields, Own, Take};
use super::error::{Fault, ImportError};
use super::plan::{self, Plan, Shape, Slot};
use super::roles::Role;
use super::sniff::Container;
use super::source::Source;
use super::template::{self, Template};
use super::{Format, Item, Options, Summary, chat, delimited, encoding, json, markdown, parquet, row, sniff, xlsx};
use crate::prompt::record::kind_of;

/// As many rows are looked at before any is read, …
const ROWS: usize = 1000;
/// … and as many bytes of them.
const BYTES: usize = 8 << 20;

/// A file that is known well enough to be read.
pub(super) struct Reading<'s> {
    source: &'s Source<'s>,
    encoding: encoding::Found,
    container: Container,
    sheet: Option<String>,
    plan: Plan,
    columns: Vec<String>,
    notes: Vec<String>,
}

impl<'s> Reading<'s> {
    /// Looks at the file and its first rows.
    pub(super) fn begin(source: &'s Source<'s>, options: &Options) -> Result<Self, ImportError> {
        let (encoding, container) = if let Some(container) = sniff::binary(source)? {
            (encoding::Found::INSIDE, container)
        } else {
            let found = encoding::find(source, options.encoding.as_deref())?;
            (found, sniff::text(source, found, options)?)
        };
        let mut options = options.clone();
        let mut sheet = None;
        options.map.retain(|(role, column)| {
            let is_sheet = role == "sheet";
            sheet = sheet.take().or_else(|| is_sheet.then(|| column.clone()));
            !is_sheet
        });
        let plan = Plan::new(&options, container.format());
        let mut reading = Self { source, encoding, container, sheet, plan, columns: Vec::new(), notes: Vec::new() };
        reading.decide(options)?;
        Ok(reading)
    }

    /// The columns, or the keys of the first rows, in the order they come.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How the file was read.
    pub(super) fn summary(&mut self) -> Summary {
        Summary {
            format: self.plan.format,
            encoding: self.encoding.name(),
            mapping: self.plan.mapping(&self.columns),
            answers: self.plan.answers && self.plan.replies,
            notes: self.notes.clone(),
        }
    }

    /// Hands on every row.
    pub(super) fn each(&mut self, sink: &mut dyn FnMut(Item) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut plan = self.plan.clone();
        self.elements(&mut |element| {
            let Element { line, fields, own } = element;
            // Of a binary row nothing would be left to hand back once it was taken apart.
            let copy = if matches!(own, Own::Binary) { fields.as_ref().ok().cloned() } else { None };
            sink(match fields.and_then(|fields| row::read(&mut plan, line, fields)) {
                Ok(row) => Item::Row(row),
                Err(reason) => {
                    let (raw, note) = own.text(copy.as_ref());
                    Item::Refused { line, reason: reason + &note, raw }
                }
            })
        })
        .map(|_| ())
    }

    /// Hands on every row's fields; returns what a person should know.
    fn elements(&self, take: &mut Take<'_>) -> Result<Vec<String>, Fault> {
        let source = self.source;
        let name = self.encoding.name();
        let stream = || self.encoding.stream(source);
        match self.container {
            Container::JsonLines => json::each_line(source, stream()?, &name, take)?,
            Container::JsonList => json::each_of_list(source, stream()?, &name, take)?,
            Container::JsonObjects => json::each_object(source, stream()?, &name, take)?,
            Container::Table(dialect) => delimited::each(source, stream()?, &name, dialect, take)?,
            Container::Markdown => markdown::each(source, stream()?, &name, take)?,
            Container::Document => markdown::document(source, stream()?, &name, take)?,
            Container::Xlsx => return xlsx::each(source, self.sheet.as_deref(), take),
            Container::Parquet => parquet::each(source, take)?,
        }
        Ok(Vec::new())
    }

    /// Decides from the first rows what the fields mean.
    fn decide(&mut self, mut options: Options) -> Result<(), ImportError> {
        let mut rows: Vec<Fields> = Vec::new();
        let (mut seen, mut bytes) = (0usize, 0usize);
        let looked = self.elements(&mut |element| {
            seen += 1;
            let fields = match (element.fields, element.own) {
                (Ok(fields), _) => Some(fields),
                // A row with a bad byte will be refused, and yet its keys say what the file is.
                (Err(_), Own::Bytes(own)) if self.container.is_json() => {
                    serde_json::from_str(&String::from_utf8_lossy(own)).ok()
                }
                _ => None,
            };
            if let Some(fields) = fields {
                bytes += fields.values().map(size).sum::<usize>();
                rows.push(fields);
            }
            if seen < ROWS && bytes < BYTES { Ok(()) } else { Err(Fault::Halted) }
        });
        match looked {
            Ok(notes) => self.notes.extend(notes),
            Err(Fault::Halted) => {}
            Err(Fault::Import(error)) => return Err(error),
        }
        self.columns = self.find_columns(&rows)?;
        if seen == 0 {
            return Err(ImportError::Empty { file: self.source.name().to_owned() });
        }
        self.check_mapping(&options)?;
        if let Some(template) = self.template(&options)? {
            self.notes.push(format!(
                "template.json gives the prompt {:?}; togi.toml takes it as a template",
                template.prompt
            ));
            options.map.push(("output".to_owned(), template.answer));
            options.format = Some(Format::JumpStart);
        }
        self.plan = Plan::new(&options, self.container.format());
        if !rows.is_empty() {
            self.fit(&rows, &options)?;
        }
        Ok(())
    }

    fn find_columns(&self, rows: &[Fields]) -> Result<Vec<String>, ImportError> {
        let mut columns =
            if self.container == Container::Parquet { parquet::columns(self.source)? } else { Vec::new() };
        let mut known: std::collections::HashSet<&str> = std::collections::HashSet::new();
        let given: Vec<String> = columns.clone();
        known.extend(given.iter().map(String::as_str));
        for key in rows.iter().flat_map(Fields::keys) {
            if columns.len() < 200 && known.insert(key) {
                columns.push(key.clone());
            }
        }
        Ok(columns)
    }

    fn check_mapping(&self, options: &Options) -> Result<(), ImportError> {
        let mut before: Vec<&str> = Vec::new();
        for (role, column) in &options.map {
            let there = self.columns.iter().any(|name| name.trim() == column.trim());
            let twice = before.contains(&column.trim());
            before.push(column.trim());
            // A single row read again need not have every column of its file.
            let one = self.container.is_json() && options.format.is_some();
            let reason = match (there, twice) {
                (_, true) => "the column is mapped twice",
                (false, _) if !one => "there is no such column",
                _ => continue,
            };
            return Err(ImportError::Mapping {
                file: self.source.name().to_owned(),
                role: role.clone(),
                column: column.clone(),
                reason,
                columns: self.columns.clone(),
            });
        }
        Ok(())
    }

    /// The template beside the file, where its fields are those of the rows.
    fn template(&self, options: &Options) -> Result<Option<Template>, ImportError> {
        let asked = options.format == Some(Format::JumpStart);
        let maps = options.map.iter().any(|(role, _)| Role::of(role) == Some(Role::Answer));
        if maps || !self.container.is_json() || !(asked || options.format.is_none()) {
            return Ok(None);
        }
        let wrong = |reason: String| ImportError::NotThat {
            file: self.source.name().to_owned(),
            format: Format::JumpStart,
            reason,
        };
        match self.source.path().and_then(template::beside) {
            Some(Ok(template)) if asked || self.columns.contains(&template.answer) => {
                let mut needed = template.fields.iter().chain([&template.answer]);
                let missing = needed.find(|field| !self.columns.contains(field)).cloned();
                drop(needed);
                match missing {
                    Some(field) => Err(wrong(format!("template.json names a field {field} that no row has"))),
                    None => Ok(Some(template)),
                }
            }
            Some(Err(why)) if asked => Err(wrong(why)),
            None if asked => {
                Err(wrong("there is no template.json beside it that says which field is the answer".to_owned()))
            }
            _ => Ok(None),
        }
    }

    /// Sees what the first rows are, and whether they have answers.
    fn fit(&mut self, rows: &[Fields], options: &Options) -> Result<(), ImportError> {
        let mut kinds: Vec<(Format, usize)> = Vec::new();
        let mut why = None;
        let (mut answers, mut pairs, mut replies, mut chats) = (false, false, false, false);
        for fields in rows {
            let slots = self.plan.slots(fields);
            let shape = match self.plan.shape(fields, &slots) {
                Ok(shape) => shape,
                Err(reason) => {
                    why.get_or_insert(reason);
                    continue;
                }
            };
            let name = plan::name_of(shape, fields);
            match kinds.iter_mut().find(|(kind, _)| *kind == name) {
                Some((_, count)) => *count += 1,
                None => kinds.push((name, 1)),
            }
            match shape {
                Shape::Pair => {
                    pairs = true;
                    answers |= slots.contains(&Slot::Role(Role::Answer));
                }
                Shape::Chat => {
                    chats = true;
                    let mut held = fields.values().zip(&slots);
                    replies |= held.any(|(value, slot)| *slot == Slot::Role(Role::Messages) && chat::has_reply(value));
                }
                _ => {}
            }
        }
        let Some(&(kind, _)) = kinds.iter().max_by_key(|(_, count)| *count) else {
            return Err(self.unrecognised(rows, options, why.unwrap_or_default()));
        };
        if self.container.is_json() {
            self.plan.format = options.format.filter(|format| !format.is_container()).unwrap_or(kind);
        }
        if options.answers.is_none() {
            self.plan.answers = answers || !pairs || self.plan.maps_answer();
            self.plan.replies = replies || !chats;
            if !(self.plan.answers && self.plan.replies) {
                self.notes.push("no row has an answer: these are prompts alone".to_owned());
            }
        }
        if kind != Format::Text && self.columns.iter().any(|column| Role::of(column) == Some(Role::Text)) {
            self.notes.push("there is also a text in each row; it is kept as a field".to_owned());
        }
        Ok(())
    }

    fn unrecognised(&mut self, rows: &[Fields], options: &Options, why: String) -> ImportError {
        let file = self.source.name().to_owned();
        let first = rows.first().cloned().unwrap_or_default();
        let shown: Vec<&String> = self.columns.iter().take(30).collect();
        let found = shown.iter().map(|column| described(column, first.get(*column))).collect();
        if let Some(format) = options.format.filter(|format| !format.is_container()) {
            let found: Vec<String> = found;
            return ImportError::NotThat { file, format, reason: format!("{why}; found {}", found.join(", ")) };
        }
        // An example with the columns that are there, in the order people write them: the prompt first.
        let mapping = self.plan.mapping(&self.columns);
        let is = |column: &str, role: &str| mapping.iter().any(|(known, name)| known == role && name == column);
        let answer = self.columns.iter().rev().find(|column| is(column, "output"));
        let prompt = self.columns.iter().find(|column| is(column, "prompt") || is(column, "question"));
        let mut others = self.columns.iter().filter(|column| Some(*column) != answer && Some(*column) != prompt);
        let prompt = prompt.or_else(|| others.next()).map_or("COLUMN", String::as_str);
        let answer = answer.or_else(|| others.next_back()).map_or("COLUMN", String::as_str);
        let example = format!("--map prompt={prompt},output={answer}");
        ImportError::Unrecognised { file, why, found, example, encoding: self.encoding.name() }
    }
}

/// Roughly the bytes that a value takes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(items) => items.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 8,
    }
}

/// A column's name, with what it holds where that is no plain value.
fn described(column: &str, value: Option<&Value>) -> String {
    let keys = |item: &Value| item.as_object().map(|item| item.keys().cloned().collect::<Vec<_>>().join(", "));
    match value {
        Some(Value::Array(items)) => match items.first().and_then(keys) {
            Some(keys) => format!("{column} (a list of objects with {keys})"),
            None => format!("{column} (a list)"),
        },
        Some(value @ Value::Object(_)) => format!("{column} (an object with {})", keys(value).unwrap_or_default()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => format!("{column} ({})", kind_of(value)),
        _ => column.to_owned(),
    }
}
