//! What the fields of a file's rows mean: decided once from its first rows, applied to each.
//!
//! A column is what its name plainly says ([`Role`]) or what a person maps it to. Every row is then one of the shapes
//! below by the fields it has; a row that could be two of them, or none, is refused, and a file of nothing but such rows
//! is an error that asks.

use std::sync::Arc;

use serde_json::Value;

use super::element::Fields;
use super::roles::Role;
use super::{Format, Options};

/// What a row turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Fields and an answer.
    Pair,
    /// Fields and two answers.
    Preference,
    /// Messages.
    Chat,
    /// A conversation with branches, as `ChatGPT` exports it.
    Tree,
    /// A document.
    Text,
}

/// What may stand beside a text without being a label.
const BESIDE_TEXT: [&str; 8] = ["title", "source", "url", "date", "language", "lang", "meta", "metadata"];

/// What one column becomes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Slot {
    /// A part of the record.
    Role(Role),
    /// A field of its own name.
    Field,
    /// A field of this name.
    Renamed(Arc<str>),
}

/// How to read a file's rows.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What the whole is called.
    pub(super) format: Format,
    /// What a person says every row is.
    pub(super) forced: Option<Shape>,
    /// Columns that a person mapped, by their names without space around them.
    mapped: Vec<(String, Slot)>,
    /// Whether no name but the mapped ones means anything (free names that a template uses).
    pub(super) free: bool,
    /// Whether a pair has to have an answer.
    pub(super) answers: bool,
    /// Whether a chat has to have one.
    pub(super) replies: bool,
    /// Slots by column, in the order they came: most files have the same few columns in every row.
    seen: Vec<(String, Slot)>,
}

impl Plan {
    /// A plan that knows what a person said and nothing of the rows.
    pub(super) fn new(options: &Options, format: Format) -> Self {
        let forced = match options.format {
            None | Some(Format::Csv | Format::Tsv | Format::Xlsx | Format::Parquet | Format::Markdown) => None,
            Some(Format::ShareGpt | Format::Messages) => Some(Shape::Chat),
            Some(Format::ChatGptExport) => Some(Shape::Tree),
            Some(Format::Preference) => Some(Shape::Preference),
            Some(Format::Text) => Some(Shape::Text),
            Some(_) => Some(Shape::Pair),
        };
        let mapped = options.map.iter().map(|(role, column)| (column.trim().to_owned(), mapped_to(role))).collect();
        let answers = options.answers.unwrap_or(true);
        let free = options.format == Some(Format::JumpStart);
        Self { format, forced, mapped, free, answers, replies: answers, seen: Vec::new() }
    }

    /// What the column called `key` becomes; `place` is the one it usually has in a row.
    pub(super) fn slot(&mut self, place: usize, key: &str) -> Slot {
        if let Some((known, slot)) = self.seen.get(place)
            && known == key
        {
            return slot.clone();
        }
        if let Some((_, slot)) = self.seen.iter().find(|(known, _)| known == key) {
            return slot.clone();
        }
        let slot = self.look_up(key);
        // Rows of ever new keys must not fill the memory.
        if self.seen.len() < 256 {
            self.seen.push((key.to_owned(), slot.clone()));
        }
        slot
    }

    /// What each field of a row becomes.
    pub(super) fn slots(&mut self, fields: &Fields) -> Vec<Slot> {
        fields.keys().enumerate().map(|(place, key)| self.slot(place, key)).collect()
    }

    fn look_up(&self, key: &str) -> Slot {
        if let Some((_, slot)) = self.mapped.iter().find(|(column, _)| column == key.trim()) {
            return slot.clone();
        }
        match Role::of(key) {
            Some(role) if self.is_mapped(role) => Slot::Field,
            Some(role @ (Role::Id | Role::Category | Role::Tags | Role::References)) => Slot::Role(role),
            Some(role) if !self.free => Slot::Role(role),
            _ => Slot::Field,
        }
    }

    /// Whether a person named another column for the same place.
    fn is_mapped(&self, role: Role) -> bool {
        self.mapped.iter().any(|(_, slot)| matches!(slot, Slot::Role(other) if other.rivals(role)))
    }

    /// Whether a person said where the answer is.
    pub(super) fn maps_answer(&self) -> bool {
        self.is_mapped(Role::Answer)
    }

    /// What a row is by the fields it has, and what each of them becomes.
    ///
    /// # Errors
    /// When it could be several things, or nothing.
    pub(super) fn shape(&self, fields: &Fields, slots: &[Slot]) -> Result<Shape, String> {
        let named = |wanted: fn(Role) -> bool| {
            let held = fields.iter().zip(slots).filter(|((_, value), _)| !value.is_null());
            held.filter_map(move |((key, _), slot)| match slot {
                Slot::Role(role) if wanted(*role) => Some(key.as_str()),
                _ => None,
            })
        };
        let heads = || named(|role| matches!(role, Role::Head(_)));
        let tails = || named(|role| matches!(role, Role::Tail(_)));
        let answers = || named(|role| role == Role::Answer);
        let has = |wanted: fn(Role) -> bool| named(wanted).next().is_some();
        let (head, answer) = (heads().next().is_some(), answers().next().is_some());
        let pair = head || answer || tails().next().is_some();
        let chat = has(|role| role == Role::Messages);
        let better = has(|role| matches!(role, Role::Chosen | Role::Rejected));
        let text = has(|role| role == Role::Text);
        let shape = match self.forced {
            Some(shape) => shape,
            None if chat && (text || better || answer) => {
                return Err("the row could be a chat, and a pair or a text".to_owned());
            }
            None if chat => Shape::Chat,
            None if better && answer => {
                let answers: Vec<&str> = answers().collect();
                return Err(format!("the row has chosen or rejected, and also an answer ({})", answers.join(", ")));
            }
            None if better => Shape::Preference,
            None if text && pair && !(head && answer) => return Err("the row could be a text or a pair".to_owned()),
            None if text && !pair => {
                let strange: Vec<&str> = strange(fields, slots).collect();
                if !strange.is_empty() {
                    return Err(format!("the row has a text, and {} could be a label for it", strange.join(", ")));
                }
                Shape::Text
            }
            None if pair => Shape::Pair,
            None if is_tree(fields) => Shape::Tree,
            None if self.free => Shape::Pair,
            None => return Err("neither a prompt nor an answer, nor messages, nor a text is plainly named".to_owned()),
        };
        if matches!(shape, Shape::Pair | Shape::Preference) {
            one("prompt", heads())?;
            one("answer", answers())?;
            one("input", tails())?;
            if !head && !has(|role| role == Role::Tail("input")) && !self.free && !self.maps_answer() {
                return Err("no column is plainly the prompt".to_owned());
            }
        }
        Ok(shape)
    }

    /// The roles that these columns have, for a preview and to read a single row of the file again in the same way.
    pub(super) fn mapping(&mut self, columns: &[String]) -> Vec<(String, String)> {
        let slots: Vec<Slot> = columns.iter().enumerate().map(|(place, column)| self.slot(place, column)).collect();
        let has_head = slots.iter().any(|slot| matches!(slot, Slot::Role(Role::Head(_))));
        let role = |(slot, column): (Slot, &String)| {
            let word = match slot {
                Slot::Role(Role::Tail("input")) if !has_head => "prompt".to_owned(),
                Slot::Role(role) => role.word().to_owned(),
                Slot::Renamed(name) => name.as_ref().to_owned(),
                Slot::Field => return None,
            };
            Some((word, column.clone()))
        };
        slots.into_iter().zip(columns).filter_map(role).collect()
    }
}

/// Fails where several columns could be the one.
fn one<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut names = names.peekable();
    let Some(first) = names.next() else { return Ok(()) };
    if names.peek().is_none() {
        return Ok(());
    }
    let all: Vec<&str> = std::iter::once(first).chain(names).collect();
    Err(format!("several columns could be the {what} ({})", all.join(", ")))
}

/// Fields beside a text that could be more than notes on it.
fn strange<'a>(fields: &'a Fields, slots: &'a [Slot]) -> impl Iterator<Item = &'a str> {
    let held = fields.iter().zip(slots).filter(|((_, value), slot)| !value.is_null() && **slot == Slot::Field);
    held.map(|((key, _), _)| key.as_str()).filter(|key| !BESIDE_TEXT.contains(key))
}

/// Whether a row is a conversation of `ChatGPT`'s export.
fn is_tree(fields: &Fields) -> bool {
    fields.get("mapping").is_some_and(Value::is_object) && fields.contains_key("current_node")
}

/// What a role on the command line stands for; a word that is none renames a field.
fn mapped_to(role: &str) -> Slot {
    let role = role.trim();
    match Role::of(role) {
        Some(known) => Slot::Role(known),
        None if role.eq_ignore_ascii_case("gold") => Slot::Role(Role::Answer),
        None => Slot::Renamed(role.into()),
    }
}

/// The name for a JSON object's layout, by the keys that it is known for.
pub(super) fn name_of(shape: Shape, fields: &Fields) -> Format {
    let has = |key: &str| fields.contains_key(key);
    match shape {
        Shape::Tree => Format::ChatGptExport,
        Shape::Text => Format::Text,
        Shape::Preference => Format::Preference,
        Shape::Chat => {
            let list = ["conversations", "messages", "conversation"].iter().find_map(|key| fields.get(*key));
            let from = list.and_then(|list| list.get(0)).is_some_and(|item| item.get("from").is_some());
            if from { Format::ShareGpt } else { Format::Messages }
        }
        Shape::Pair if has("instruction") && has("response") => Format::Dolly,
        Shape::Pair if has("instruction") && !has("completion") && !has("answer") => Format::Alpaca,
        Shape::Pair if has("prompt") && (has("completion") || fields.len() == 1) => Format::PromptCompletion,
        Shape::Pair => Format::Pairs,
    }
}
