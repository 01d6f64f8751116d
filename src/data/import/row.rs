//! From a row's fields to a record's content.

use serde_json::Value;
use serde_json::map::Entry;

use crate::prompt::record::kind_of;
use crate::store::{Content, Turn};

use super::element::Fields;
use super::plan::{Plan, Shape, Slot};
use super::roles::Role;
use super::{Row, chat, tree};

/// What every kind of record has.
#[derive(Default)]
struct Own {
    id: Option<String>,
    category: Option<String>,
    tags: Vec<String>,
    references: Vec<String>,
    system: Option<String>,
}

/// Makes a record of a row.
///
/// # Errors
/// A reason in plain words that names the field.
pub(super) fn read(plan: &mut Plan, line: u64, fields: Fields) -> Result<Row, String> {
    let slots = plan.slots(&fields);
    let shape = plan.shape(&fields, &slots).map_err(|why| {
        let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        format!("{why}; its fields are {}", if keys.is_empty() { "none".to_owned() } else { keys.join(", ") })
    })?;
    match shape {
        Shape::Pair | Shape::Preference => pair(plan, line, fields, slots),
        Shape::Chat => conversation(plan, line, fields, slots),
        Shape::Text => document(line, fields, slots),
        Shape::Tree => tree::read(plan, line, fields),
    }
}

impl Own {
    /// Takes a value that is a record's own; gives it back where it is something else, to stay a field.
    fn take(&mut self, role: Role, value: Value) -> Option<Value> {
        match (role, value) {
            (Role::Id, Value::String(id)) => self.id = Some(id).filter(|id| !id.trim().is_empty()),
            (Role::Id, Value::Number(id)) => self.id = Some(id.to_string()),
            (Role::Category, Value::String(name)) => self.category = Some(name).filter(|name| !name.trim().is_empty()),
            (Role::Category, Value::Number(name)) => self.category = Some(name.to_string()),
            (Role::Category, Value::Bool(name)) => self.category = Some(name.to_string()),
            (Role::Tags, value) => return words(value).map(|words| self.tags = words).err(),
            (Role::References, Value::String(text)) if !text.trim_start().starts_with('[') => {
                self.references = Some(text).filter(|text| !text.trim().is_empty()).into_iter().collect();
            }
            (Role::References, value) => return list(value).map(|texts| self.references = texts).err(),
            (_, Value::Null) => {}
            (_, value) => return Some(value),
        }
        None
    }

    fn row(self, line: u64, content: Content, extra: Fields) -> Row {
        let Self { id, category, tags, references, .. } = self;
        Row { line, id, content, category, tags, references, extra }
    }
}

/// A list of texts, also written as JSON within a text.
fn list(value: Value) -> Result<Vec<String>, Value> {
    let parsed = match &value {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        }
        _ => None,
    };
    parsed.ok_or(value)
}

/// Free words, each once: a list, or a text with commas.
fn words(value: Value) -> Result<Vec<String>, Value> {
    let listed = match value {
        Value::String(text) if !text.trim_start().starts_with('[') => {
            text.split([',', '、', '，']).map(str::to_owned).collect()
        }
        other => list(other)?,
    };
    let mut words: Vec<String> = Vec::new();
    for word in listed.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    Ok(words)
}

/// Says that a value is no text.
fn no_text(key: &str, value: &Value) -> String {
    format!("`{key}` is {}, not a text", kind_of(value))
}

/// Puts a field in without losing one of the same name.
fn insert(fields: &mut Fields, name: String, value: Value) {
    match fields.entry(name) {
        Entry::Vacant(free) => drop(free.insert(value)),
        Entry::Occupied(taken) => {
            let name = taken.key().clone();
            // One more name than there are fields is free.
            let mut names = (2..fields.len() + 3).map(|times| format!("{name} ({times})"));
            let free = names.find(|name| !fields.contains_key(name));
            fields.insert(free.unwrap_or(name), value);
        }
    }
}

/// The key itself where it is the name, so that it is not copied.
fn named(key: String, name: &str) -> String {
    if key == name { key } else { name.to_owned() }
}

/// Fields that hold the two sides of a pair.
#[derive(Default)]
struct Sides {
    answer: Option<(String, Value)>,
    chosen: Option<(String, Value)>,
    rejected: Option<(String, Value)>,
    history: Option<Value>,
    tools: Option<Value>,
    /// A prompt that is a list of messages.
    messages: Option<Value>,
    /// Whether the prompt says anything.
    asks: bool,
    /// A prompt's column that says nothing.
    silent: Option<String>,
}

fn pair(plan: &Plan, line: u64, fields: Fields, slots: Vec<Slot>) -> Result<Row, String> {
    let mut own = Own::default();
    let mut sides = Sides::default();
    let mut kept = Fields::with_capacity(fields.len());
    let mut heads = slots.iter().zip(fields.values());
    let has_head = heads.any(|(slot, value)| matches!(slot, Slot::Role(Role::Head(_))) && !value.is_null());
    // Columns that a template may put a prompt together of.
    let free = plan.free || plan.maps_answer();
    for (slot, (key, value)) in slots.into_iter().zip(fields) {
        match slot {
            Slot::Role(Role::Answer) => fill(&mut sides.answer, key, value),
            Slot::Role(Role::Chosen) => fill(&mut sides.chosen, key, value),
            Slot::Role(Role::Rejected) => fill(&mut sides.rejected, key, value),
            _ if value.is_null() => {}
            Slot::Role(Role::Head(_)) if value.is_array() => sides.messages = Some(value),
            Slot::Role(role @ (Role::Head(_) | Role::Tail(_) | Role::System)) => {
                let Value::String(text) = value else { return Err(no_text(&key, &value)) };
                let says = !text.trim().is_empty();
                sides.asks |= role != Role::System && says;
                if !says && role != Role::System && sides.silent.is_none() {
                    sides.silent = Some(key.clone());
                }
                let promoted = role == Role::Tail("input") && !has_head;
                let name = if promoted { "prompt" } else { role.word() };
                insert(&mut kept, named(key, name), Value::String(text));
            }
            Slot::Role(Role::History) if is_list(&value) => sides.history = Some(value),
            Slot::Role(Role::Tools) => {
                // Tools belong to a chat; beside a plain pair they are one more field.
                sides.tools = Some(value.clone());
                insert(&mut kept, named(key, "tools"), value);
            }
            Slot::Role(role) => {
                if let Some(value) = own.take(role, value) {
                    insert(&mut kept, key, value);
                }
            }
            Slot::Field => {
                sides.asks |= free;
                insert(&mut kept, key, value);
            }
            Slot::Renamed(name) => {
                sides.asks |= free;
                insert(&mut kept, named(key, &name), value);
            }
        }
    }
    let conversational = sides.messages.is_some() || sides.chosen.as_ref().is_some_and(|(_, value)| value.is_array());
    if conversational {
        return chat_of_sides(plan, line, own, sides, kept);
    }
    if !sides.asks {
        return Err(match sides.silent {
            Some(column) => format!("the prompt (`{column}`) is empty"),
            None => "the row has no prompt".to_owned(),
        });
    }
    if let (Some(chosen), rejected) = (sides.chosen.take(), sides.rejected.take()) {
        let gold = answer(&chosen)?;
        let draft = match rejected {
            Some((_, Value::String(text))) => Some(text),
            None | Some((_, Value::Null)) => return Err("the row has no `rejected`".to_owned()),
            Some((key, value)) => return Err(no_text(&key, &value)),
        };
        return Ok(own.row(line, Content::Pair { fields: kept, draft, gold: Some(gold) }, Fields::new()));
    }
    let gold = match &sides.answer {
        Some(given) if plan.answers || !blank(&given.1) => Some(answer(given)?),
        None if plan.answers => return Err("the row has no answer, and others have".to_owned()),
        _ => None,
    };
    match sides.history {
        Some(history) => with_history(line, own, &history, kept, gold),
        None => Ok(own.row(line, Content::Pair { fields: kept, draft: None, gold }, Fields::new())),
    }
}

/// Takes a value, unless one that says something is there already.
fn fill(place: &mut Option<(String, Value)>, key: String, value: Value) {
    if place.as_ref().is_none_or(|(_, there)| there.is_null()) {
        *place = Some((key, value));
    }
}

fn blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn answer((key, value): &(String, Value)) -> Result<String, String> {
    match value {
        Value::String(text) if text.trim().is_empty() => Err(format!("the answer (`{key}`) is empty")),
        Value::String(text) => Ok(text.clone()),
        Value::Null => Err(format!("the answer (`{key}`) is missing")),
        other => Err(format!("the answer {}", no_text(key, other))),
    }
}

/// Whether a value is a list that holds something, also written as JSON within a text.
fn is_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => {
            text.trim_start().starts_with('[')
                && serde_json::from_str::<Vec<Value>>(text).is_ok_and(|items| !items.is_empty())
        }
        _ => false,
    }
}

/// An Alpaca row with turns before it is a chat.
fn with_history(line: u64, own: Own, history: &Value, mut fields: Fields, gold: Option<String>) -> Result<Row, String> {
    let parsed;
    let turns = match history {
        Value::String(text) => {
            parsed = serde_json::from_str::<Vec<Value>>(text).unwrap_or_default();
            &parsed
        }
        other => other.as_array().map_or(&[][..], Vec::as_slice),
    };
    let mut said = |names: &[&str]| {
        names.iter().find_map(|name| match fields.shift_remove(*name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        })
    };
    let system = said(&["system"]);
    let head = said(&["instruction", "prompt", "question"]);
    let tail = said(&["input", "context"]).filter(|tail| !tail.is_empty());
    let mut chat: Vec<Turn> = system.map(|text| chat::turn("system", text)).into_iter().collect();
    for turn in turns {
        let [Value::String(user), Value::String(assistant)] = turn.as_array().map_or(&[][..], Vec::as_slice) else {
            return Err("`history` holds something else than [user, assistant] texts".to_owned());
        };
        chat.push(chat::turn("user", user.clone()));
        chat.push(chat::turn("assistant", assistant.clone()));
    }
    let asked: Vec<String> = head.into_iter().chain(tail).collect();
    chat.push(chat::turn("user", asked.join("\n")));
    chat.extend(gold.map(|gold| chat::turn("assistant", gold)));
    Ok(own.row(line, Content::Chat { turns: chat, tools: None }, fields))
}

/// A prompt, completion, chosen or rejected answer that are lists of messages.
fn chat_of_sides(plan: &Plan, line: u64, own: Own, sides: Sides, mut rest: Fields) -> Result<Row, String> {
    let mut turns = Vec::new();
    if let Some(Value::String(system)) = rest.shift_remove("system") {
        turns.push(chat::turn("system", system));
    }
    let side = |given: (String, Value)| match given {
        (_, Value::String(text)) => Ok(vec![chat::turn("assistant", text)]),
        (key, value) => chat::turns(value, &key),
    };
    // A prompt that is a text beside chosen lists is their first turn once more.
    turns.extend(sides.messages.map(|list| chat::turns(list, "prompt")).transpose()?.unwrap_or_default());
    let begun = turns.len();
    if let Some(chosen) = sides.chosen {
        turns.extend(side(chosen)?);
        let rejected = side(sides.rejected.ok_or("the row has no `rejected`")?)?;
        let after = turns.get(begun..).unwrap_or_default();
        let same =
            after.len() == rejected.len() && after.iter().zip(&rejected).rev().skip(1).all(|(one, other)| one == other);
        if !same {
            return Err("`chosen` and `rejected` differ in more than their last turn".to_owned());
        }
        if let (Some(last), Some(worse)) = (turns.last_mut(), rejected.into_iter().next_back()) {
            last.draft = worse.content;
        }
    } else if let Some(given) = sides.answer.filter(|(_, value)| !blank(value)) {
        turns.extend(side(given)?);
    }
    let tools = sides.tools.map(chat::tools);
    rest.shift_remove("tools");
    chat::check(&turns, plan.replies && plan.answers)?;
    Ok(own.row(line, Content::Chat { turns, tools }, rest))
}

fn conversation(plan: &Plan, line: u64, fields: Fields, slots: Vec<Slot>) -> Result<Row, String> {
    let mut own = Own::default();
    let mut extra = Fields::new();
    let mut list = None;
    let mut tools = None;
    for ((key, value), slot) in fields.into_iter().zip(slots) {
        match slot {
            _ if value.is_null() => {}
            Slot::Role(Role::Messages) if list.is_none() => list = Some((key, value)),
            Slot::Role(Role::Messages) => return Err("the row has two conversations".to_owned()),
            Slot::Role(Role::Tools) => tools = Some(chat::tools(value)),
            Slot::Role(Role::System) => match value {
                Value::String(text) => own.system = Some(text),
                other => return Err(no_text(&key, &other)),
            },
            Slot::Role(role) => {
                if let Some(value) = own.take(role, value) {
                    insert(&mut extra, key, value);
                }
            }
            Slot::Field => insert(&mut extra, key, value),
            Slot::Renamed(name) => insert(&mut extra, named(key, &name), value),
        }
    }
    let Some((key, list)) = list else {
        let keys: Vec<&str> = extra.keys().map(String::as_str).collect();
        return Err(format!("the row has no messages; its fields are {}", keys.join(", ")));
    };
    let mut turns = chat::turns(list, &key)?;
    if let Some(system) = own.system.take().filter(|text| !text.trim().is_empty()) {
        match turns.first().filter(|turn| turn.role == "system") {
            None => turns.insert(0, chat::turn("system", system)),
            Some(first) if first.content.as_deref() == Some(system.as_str()) => {}
            Some(_) => return Err("the row has a `system` field and another system message".to_owned()),
        }
    }
    chat::check(&turns, plan.replies)?;
    Ok(own.row(line, Content::Chat { turns, tools }, extra))
}

fn document(line: u64, fields: Fields, slots: Vec<Slot>) -> Result<Row, String> {
    let mut own = Own::default();
    let mut extra = Fields::new();
    let mut text = None;
    for ((key, value), slot) in fields.into_iter().zip(slots) {
        match slot {
            Slot::Role(Role::Text) => match value {
                Value::String(said) => text = Some(said),
                Value::Null => {}
                other => return Err(no_text(&key, &other)),
            },
            _ if value.is_null() => {}
            Slot::Role(role) => {
                if let Some(value) = own.take(role, value) {
                    insert(&mut extra, key, value);
                }
            }
            Slot::Field => insert(&mut extra, key, value),
            Slot::Renamed(name) => insert(&mut extra, named(key, &name), value),
        }
    }
    match text {
        Some(text) if !text.trim().is_empty() => Ok(own.row(line, Content::Text { text }, extra)),
        Some(_) => Err("the text is empty".to_owned()),
        None => Err("the row has no text".to_owned()),
    }
}
