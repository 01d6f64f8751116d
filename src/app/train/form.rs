//! The form of a new run: its base model, its settings, what stands against it.

use std::collections::BTreeMap;

pub use crate::job::facts::{Facts, Needs};

/// A training setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name under `[train]`.
    pub key: String,
    /// What holds in this project.
    pub value: String,
    /// What holds where nobody says anything.
    pub default: String,
    /// What it does.
    pub doc: String,
}

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// On the Hub.
    pub id: String,
    /// Parameters.
    pub parameters: u64,
    /// Its licence.
    pub licence: String,
    /// The Hub asks for an account and accepted terms.
    pub gated: bool,
    /// Whether togi runs it as the Hub has it.
    pub runs: bool,
    /// Whether its weights fit the memory that is free; `None` where the system does not say.
    pub fits: Option<bool>,
    /// What a person should know first.
    pub note: String,
}

/// What is wanted of a new run, besides what the project says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Another base model than the project's.
    pub model: Option<String>,
    /// `train.KEY=VALUE`.
    pub set: Vec<String>,
}

impl Wish {
    /// The arguments of `togi train` that say the same.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let model = self.model.iter().flat_map(|model| ["--model".to_owned(), model.clone()]);
        model.chain(self.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()])).collect()
    }

    /// The command line that does the same, as one would type it.
    #[must_use]
    pub fn line(&self) -> String {
        let words = self.arguments();
        ["togi".to_owned(), "train".to_owned()].into_iter().chain(words).map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell takes it.
fn quoted(word: String) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// How far the form is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Stand {
    /// Nobody has looked yet.
    #[default]
    Open,
    /// A process is at it.
    Busy(&'static str),
    /// Something stands against it.
    Refused(String),
    /// Nothing does.
    Passed(Facts),
}

/// The form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    /// The settings, in the order of the form; empty until they are read.
    pub settings: Vec<Setting>,
    /// The catalogue.
    pub models: Vec<Model>,
    /// The project's base model.
    pub base: String,
    /// Another one, for this run.
    pub model: Option<String>,
    /// Values given here.
    pub given: BTreeMap<String, String>,
    /// The line of the cursor: the model, then the settings.
    pub at: usize,
    /// The line of the cursor in the catalogue, while a model is chosen.
    pub choosing: Option<usize>,
    /// How far it is.
    pub stand: Stand,
    /// How far a check has come, where it tells: a model that is fetched.
    pub told: String,
}

impl Form {
    /// The setting at the cursor; `None` on the model.
    #[must_use]
    pub fn setting(&self) -> Option<&Setting> {
        self.settings.get(self.at.checked_sub(1)?)
    }

    /// What a setting is now.
    #[must_use]
    pub fn value<'a>(&'a self, setting: &'a Setting) -> &'a str {
        self.given.get(&setting.key).unwrap_or(&setting.value)
    }

    /// Whether a setting is given here.
    #[must_use]
    pub fn is_given(&self, setting: &Setting) -> bool {
        self.given.contains_key(&setting.key)
    }

    /// The base model as it would be.
    #[must_use]
    pub fn base(&self) -> &str {
        self.model.as_deref().unwrap_or(&self.base)
    }

    /// What is wanted, in the order of the form.
    #[must_use]
    pub fn wish(&self) -> Wish {
        let given = |setting: &Setting| Some(format!("train.{}={}", setting.key, self.given.get(&setting.key)?));
        Wish { model: self.model.clone(), set: self.settings.iter().filter_map(given).collect() }
    }

    /// Gives a setting a value; what holds anyway is not given.
    pub fn give(&mut self, key: &str, value: &str) {
        let value = value.trim();
        let usual = self.settings.iter().find(|setting| setting.key == key).map(|setting| setting.value.as_str());
        if value.is_empty() || usual == Some(value) {
            self.given.remove(key);
        } else {
            self.given.insert(key.to_owned(), value.to_owned());
        }
        self.stand = Stand::Open;
    }

    pub(super) fn step(&mut self, by: isize) {
        let (at, count) = self.cursor();
        *at = at.saturating_add_signed(by).min(count.saturating_sub(1));
    }

    /// Goes to a line; returns whether the cursor was there already.
    pub(super) fn go_to(&mut self, line: usize) -> bool {
        let (at, count) = self.cursor();
        let before = *at;
        *at = line.min(count.saturating_sub(1));
        before == *at
    }

    /// Where the cursor is, and of how many lines.
    fn cursor(&mut self) -> (&mut usize, usize) {
        match &mut self.choosing {
            // One line more, for a model that is not in the catalogue.
            Some(at) => (at, self.models.len() + 2),
            None => (&mut self.at, self.settings.len() + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_the_form_says() {
        let setting = |key: &str, value: &str| Setting {
            key: key.into(),
            value: value.into(),
            default: value.into(),
            doc: "It does.".into(),
        };
        let settings = vec![setting("epochs", "3"), setting("rank", "16"), setting("targets", "[]")];
        let mut form = Form { settings, base: "base.gguf".into(), ..Form::default() };
        assert_eq!(form.wish().line(), "togi train");
        form.give("targets", "[\"q_proj\", \"v_proj\"]");
        form.give("rank", " 8 ");
        form.give("epochs", "3");
        assert_eq!(form.wish().line(), "togi train --set train.rank=8 --set 'train.targets=[\"q_proj\", \"v_proj\"]'");
        form.model = Some("it's/here.gguf".into());
        form.give("targets", "");
        assert_eq!(form.wish().line(), r"togi train --model 'it'\''s/here.gguf' --set train.rank=8");
        form.give("rank", "16");
        assert_eq!(form.wish().set, [""; 0], "what holds anyway is not given");
    }
}
