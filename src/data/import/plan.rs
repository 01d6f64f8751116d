//! What the fields of a file's rows mean: decided once from its first rows, applied to each.
//!
//! A column is what its name plainly says ([`Role`]) or what a person maps it to. Every row is then one of the shapes
//! below by the fields it has; a row that could be two of them, or none, is refused, and a file of nothing but such rows
//! is an error that asks.

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
    /// A conversation with branches, as ChatGPT exports it.
    Tree,
    /// A document.
    Text,
}

/// What may stand beside a text without being a label.
const BESIDE_TEXT: [&str; 8] = ["title", "source", "url", "date", "language", "lang", "meta", "metadata"];

/// What one column becomes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Slot {
    /// A part of the record; the text is the field's name for parts that are fields.
    Role(Role, String),
    /// A field of this name.
    Field(String),
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
    /// Slots by column as they were looked up: most files have the same few columns in every row.
    seen: std::collections::HashMap<String, Slot>,
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
        Self { format, forced, mapped, free, answers, replies: answers, seen: std::collections::HashMap::new() }
    }

    /// What the column called `key` becomes.
    pub(super) fn slot(&mut self, key: &str) -> Slot {
        if let Some(slot) = self.seen.get(key) {
            return slot.clone();
        }
        let slot = self.look_up(key);
        // Rows of free keys (one key a row, say) must not fill the memory.
        if self.seen.len() < 1024 {
            self.seen.insert(key.to_owned(), slot.clone());
        }
        slot
    }

    fn look_up(&self, key: &str) -> Slot {
        if let Some((_, slot)) = self.mapped.iter().find(|(column, _)| column == key.trim()) {
            return slot.clone();
        }
        match Role::of(key) {
            Some(role) if !self.free && !self.is_mapped(role) => Slot::Role(role, role.word().to_owned()),
            Some(role @ (Role::Id | Role::Category | Role::Tags | Role::References)) if !self.is_mapped(role) => {
                Slot::Role(role, role.word().to_owned())
            }
            _ => Slot::Field(key.to_owned()),
        }
    }

    /// Whether a person named another column for the same place.
    fn is_mapped(&self, role: Role) -> bool {
        self.mapped.iter().any(|(_, slot)| matches!(slot, Slot::Role(other, _) if other.rivals(role)))
    }

    /// Whether a person said where the answer is.
    pub(super) fn maps_answer(&self) -> bool {
        self.is_mapped(Role::Answer)
    }

    /// What a row is by the fields it has.
    ///
    /// # Errors
    /// When it could be several things, or nothing.
    pub(super) fn shape(&mut self, fields: &Fields) -> Result<Shape, String> {
        let mut heads = Vec::new();
        let mut tails = Vec::new();
        let mut answers = Vec::new();
        let (mut chat, mut better, mut text) = (false, false, false);
        let mut strange = Vec::new();
        for (key, _) in fields.iter().filter(|(_, value)| !value.is_null()) {
            match self.slot(key) {
                Slot::Role(Role::Head(_), _) => heads.push(key.as_str()),
                Slot::Role(Role::Tail(name), _) => tails.push((key.as_str(), name)),
                Slot::Role(Role::Answer, _) => answers.push(key.as_str()),
                Slot::Role(Role::Messages, _) => chat = true,
                Slot::Role(Role::Chosen | Role::Rejected, _) => better = true,
                Slot::Role(Role::Text, _) => text = true,
                Slot::Role(..) => {}
                Slot::Field(_) if BESIDE_TEXT.contains(&key.as_str()) => {}
                Slot::Field(_) => strange.push(key.as_str()),
            }
        }
        let tree = fields.get("mapping").is_some_and(Value::is_object) && fields.contains_key("current_node");
        let pair = !heads.is_empty() || !answers.is_empty() || !tails.is_empty();
        let shape = match self.forced {
            Some(shape) => shape,
            None if tree => Shape::Tree,
            None if chat && (text || better || !answers.is_empty()) => {
                return Err("the row could be a chat, and a pair or a text".to_owned());
            }
            None if chat => Shape::Chat,
            None if better && !answers.is_empty() => {
                return Err(format!("the row has chosen or rejected, and also an answer ({})", answers.join(", ")));
            }
            None if better => Shape::Preference,
            None if text && pair && (heads.is_empty() || answers.is_empty()) => {
                return Err("the row could be a text or a pair".to_owned());
            }
            None if text && !pair && strange.is_empty() => Shape::Text,
            None if text && !pair => {
                return Err(format!("the row has a text, and {} could be a label for it", strange.join(", ")));
            }
            None if pair || self.free => Shape::Pair,
            None => return Err("neither a prompt nor an answer, nor messages, nor a text is plainly named".to_owned()),
        };
        if matches!(shape, Shape::Pair | Shape::Preference) {
            let one = |what: &str, names: &[&str]| match names {
                [] | [_] => Ok(()),
                names => Err(format!("several columns could be the {what} ({})", names.join(", "))),
            };
            one("prompt", &heads)?;
            one("answer", &answers)?;
            one("input", &tails.iter().map(|(key, _)| *key).collect::<Vec<_>>())?;
            let input = tails.iter().any(|(_, name)| *name == "input");
            if heads.is_empty() && !input && !self.free && !self.maps_answer() {
                return Err("no column is plainly the prompt".to_owned());
            }
        }
        Ok(shape)
    }

    /// The roles that these columns have, for a preview and to read a single row of the file again in the same way.
    pub(super) fn mapping(&mut self, columns: &[String]) -> Vec<(String, String)> {
        let slots: Vec<(Slot, &String)> = columns.iter().map(|column| (self.slot(column), column)).collect();
        let has_head = slots.iter().any(|(slot, _)| matches!(slot, Slot::Role(Role::Head(_), _)));
        let mut mapping = Vec::new();
        for (slot, column) in slots {
            match slot {
                Slot::Role(Role::Tail("input"), _) if !has_head => mapping.push(("prompt".to_owned(), column.clone())),
                Slot::Role(Role::Head(_) | Role::Tail(_), name) => mapping.push((name, column.clone())),
                Slot::Role(role, _) => mapping.push((role.word().to_owned(), column.clone())),
                Slot::Field(name) if name != *column => mapping.push((name, column.clone())),
                Slot::Field(_) => {}
            }
        }
        mapping
    }
}

/// What a role on the command line stands for; a word that is none renames a field.
fn mapped_to(role: &str) -> Slot {
    let role = role.trim();
    match Role::of(role) {
        Some(known @ (Role::Head(_) | Role::Tail(_))) => Slot::Role(known, known.word().to_owned()),
        Some(known) => Slot::Role(known, known.word().to_owned()),
        None if role.eq_ignore_ascii_case("gold") => Slot::Role(Role::Answer, "output".to_owned()),
        None => Slot::Field(role.to_owned()),
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
