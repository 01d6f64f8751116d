//! The pane of the prompt: the template at the left, what the model reads of it at the right.
//!
//! The text is looked at while it is written: its rendering for the record that is shown comes from a companion, token by token.
//! Trying (`trial`) asks the models: pinned records down, systems and templates across.

mod command;
mod trial;

use std::time::Duration;

pub use trial::{Column, Trial};

use super::field::Field;
use super::scroll::Scroll;
use super::wish::{Granted, Question, Told, Wish};
use super::{App, Ask, Effect, Opened};
use crate::keymap::Command;
use crate::store::Content;

pub use crate::prompt::display::Row as Token;

/// Time without a letter after which the text is rendered.
const GLANCE: Duration = Duration::from_millis(150);
/// Time without a letter after which the text is kept as a draft.
const PAUSE: Duration = Duration::from_millis(1_200);
/// What a project without a template begins with.
const FIRST: &str = "{{ instruction }}\n{{ input }}";

/// A version of the template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// What it says; nothing of a text that was never saved.
    pub text: String,
    /// What was written in it and not saved.
    pub draft: Option<String>,
    /// Whether the project uses it.
    pub used: bool,
}

impl Version {
    /// Whether it is a version, and not only a text that was written.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        !self.text.is_empty() || self.draft.is_none()
    }
}

/// What stands at the right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Right {
    /// The tokens.
    #[default]
    Tokens,
    /// Answers.
    Trial,
    /// The text beside the version in use.
    Diff,
}

/// The pane.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub struct Prompt {
    /// The versions there are.
    pub versions: Vec<Version>,
    /// The one that is shown.
    pub name: String,
    /// Its text, perhaps written in.
    pub field: Option<Field>,
    /// Whether it is being written.
    pub writing: bool,
    /// The version's own text.
    pub saved: String,
    /// Why it cannot be rendered.
    pub problem: Option<String>,
    /// The rendering of the record that is shown.
    pub tokens: Vec<Token>,
    /// The window of a training, in tokens.
    pub window: usize,
    /// Records to look at.
    pub records: Vec<i64>,
    /// Which of them.
    pub at: usize,
    /// The record that is shown.
    pub open: Option<Opened>,
    /// Records for trials.
    pub pinned: Vec<i64>,
    /// Records shown as examples before every question.
    pub examples: Vec<i64>,
    /// Versions that are tried beside the text.
    pub beside: Vec<String>,
    /// How often each is asked: more than once with a temperature.
    pub repeats: u64,
    /// Answers.
    pub trial: Trial,
    /// What stands at the right.
    pub right: Right,
    /// Lines scrolled at the right.
    pub scroll: Scroll,
    written: Option<Duration>,
    unseen: bool,
    unkept: bool,
    rendering: Option<u64>,
    trying: Option<u64>,
    ready: bool,
}

impl Prompt {
    /// What is written.
    #[must_use]
    pub fn text(&self) -> String {
        self.field.as_ref().map(Field::text).unwrap_or_default()
    }

    /// Whether it is another text than the version's.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.text() != self.saved
    }

    /// The line of the text that a problem is at, from 1.
    #[must_use]
    pub fn problem_line(&self) -> Option<usize> {
        let (_, rest) = self.problem.as_ref()?.split_once("line ")?;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    }

    /// Whether answers are being written.
    #[must_use]
    pub fn is_trying(&self) -> bool {
        self.trying.is_some()
    }

    /// The record that is shown.
    #[must_use]
    pub fn record(&self) -> Option<&Opened> {
        let id = self.records.get(self.at)?;
        self.open.as_ref().filter(|open| open.record.id == *id)
    }

    /// The number of the record that is looked at.
    fn looked_at(&self) -> Option<i64> {
        self.records.get(self.at).copied()
    }

    /// How often each is asked.
    fn times(&self) -> u64 {
        self.repeats.max(1)
    }

    /// Names that the template can use for the record that is shown.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        match self.record().map(|open| &open.record.state.content) {
            Some(Content::Pair { fields, .. }) => fields.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(in crate::app) fn wake(&self) -> Option<Duration> {
        let written = self.written?;
        if self.unseen { Some(written + GLANCE) } else { self.unkept.then_some(written + PAUSE) }
    }

    /// A letter was written.
    pub(in crate::app) fn was_written(&mut self, now: Duration) {
        (self.written, self.unseen, self.unkept) = (Some(now), true, true);
    }

    /// Shows a version: its draft, where it has one.
    fn show(&mut self, name: &str) {
        let Some(version) = self.versions.iter().find(|version| version.name == name) else { return };
        self.name.clone_from(&version.name);
        self.saved.clone_from(&version.text);
        self.field = Some(Field::new(version.draft.as_ref().unwrap_or(&version.text)));
        self.problem = None;
        self.unseen = true;
        self.written = Some(Duration::ZERO);
    }

    /// Its answers do not come any more.
    pub(in crate::app) fn forget_asked(&mut self) {
        self.trying = None;
    }

    /// Keeps what is written as a draft.
    pub(in crate::app) fn keep(&mut self, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.unkept) {
            let text = self.text();
            if let Some(version) = self.versions.iter_mut().find(|version| version.name == self.name) {
                // Whoever comes back to the version finds it, before it is read again.
                version.draft = (version.text != text).then(|| text.clone());
            }
            effects.push(Effect::Store(Ask::PromptDraft { name: self.name.clone(), text }));
        }
    }
}

impl App {
    /// The pane is shown.
    pub(in crate::app) fn prompt_shown(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Store(Ask::Prompts));
        effects.push(Effect::Store(Ask::Systems));
        if self.prompt.records.is_empty() {
            effects.push(Effect::Store(Ask::Find { number: 0, query: String::new() }));
        }
        // The record that is open elsewhere is the one to look at.
        if let Some(id) = self.data.current() {
            if let Ok(at) = self.prompt.records.binary_search(&id) {
                self.prompt.at = at;
            }
            effects.push(Effect::Store(Ask::Open(id)));
        }
    }

    /// All records, for walking through them.
    pub(in crate::app) fn prompt_records(&mut self, ids: Vec<i64>, effects: &mut Vec<Effect>) {
        let wanted = self.data.current();
        self.prompt.records = ids;
        self.prompt.at = wanted.and_then(|id| self.prompt.records.binary_search(&id).ok()).unwrap_or(0);
        effects.extend(self.prompt.records.get(self.prompt.at).map(|id| Effect::Store(Ask::Open(*id))));
    }

    /// The versions there are.
    pub(in crate::app) fn prompts(&mut self, versions: Vec<Version>, examples: Vec<i64>) {
        let prompt = &mut self.prompt;
        prompt.examples = examples;
        let used =
            versions.iter().find(|version| version.used).or(versions.first()).map(|version| version.name.clone());
        prompt.versions = versions;
        let known =
            prompt.versions.iter().find(|version| version.name == prompt.name).map(|version| version.text.clone());
        match (known, used) {
            // What is being written stays, also in a text that is no version yet.
            (Some(text), _) if prompt.ready => prompt.saved = text,
            (None, _) if prompt.ready && prompt.field.is_some() && prompt.text() != FIRST => {}
            (_, Some(used)) => prompt.show(&used),
            (_, None) if prompt.field.is_none() => {
                prompt.name = "first".into();
                prompt.field = Some(Field::new(FIRST));
                prompt.unseen = true;
                prompt.written = Some(Duration::ZERO);
            }
            _ => {}
        }
        prompt.ready = true;
    }

    /// A record was read: perhaps the one that is looked at.
    pub(in crate::app) fn prompt_opened(&mut self, opened: &Opened) -> bool {
        let here = self.prompt.records.get(self.prompt.at) == Some(&opened.record.id);
        if here {
            self.prompt.open = Some(opened.clone());
            self.prompt.unseen = true;
            self.prompt.written.get_or_insert_default();
        }
        here && self.pane == super::Pane::Prompt
    }

    /// The text was saved as a version.
    pub(in crate::app) fn prompt_saved(&mut self, name: String, now: Duration, effects: &mut Vec<Effect>) {
        let used = self.prompt.versions.iter().any(|version| version.used && version.name == name);
        let key = self.keymap.first(Command::PromptUse);
        let words =
            if used { ", which the project uses".to_owned() } else { format!("; {key} lets the project use it") };
        self.note(format!("saved as {name}{words}"), now);
        let before = std::mem::replace(&mut self.prompt.name, name);
        let own =
            self.prompt.versions.iter().find(|version| version.name == before).map(|version| version.text.clone());
        if let Some(text) = own.filter(|_| before != self.prompt.name) {
            // Its draft is the version that was saved, and nothing that waits to be saved.
            effects.push(Effect::Store(Ask::PromptDraft { name: before, text }));
            (self.prompt.unkept, self.prompt.written) = (true, Some(now));
        }
        effects.push(Effect::Store(Ask::Prompts));
    }

    /// Renders what is written, and keeps it, once the person pauses.
    pub(in crate::app) fn prompt_woken(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(written) = self.prompt.written else { return };
        if self.prompt.unseen && now >= written + GLANCE {
            self.prompt.unseen = false;
            let record = self.prompt.records.get(self.prompt.at).copied();
            if let (Some(id), Some(field)) = (record, &self.prompt.field) {
                let wish = Wish::Render { question: Question::Record(id), template: Some(field.text()) };
                self.prompt.rendering = Some(self.wish(wish, effects));
            }
        }
        if now >= written + PAUSE {
            self.prompt.keep(effects);
            if !self.prompt.unseen {
                self.prompt.written = None;
            }
        }
    }

    /// Whether a companion's answer is one to the pane's question.
    pub(in crate::app) fn is_prompted(&self, number: u64) -> bool {
        self.prompt.rendering == Some(number) || self.prompt.trying == Some(number)
    }

    /// What a companion answers to the pane.
    pub(in crate::app) fn prompt_granted(&mut self, number: u64, granted: Granted) -> bool {
        let prompt = &mut self.prompt;
        match granted {
            Granted::Rendered { tokens, window } => {
                (prompt.tokens, prompt.window, prompt.problem) = (tokens, window, None);
            }
            Granted::Failed(why) => {
                prompt.problem = Some(why);
                if prompt.trying == Some(number) {
                    prompt.trying = None;
                }
            }
            Granted::Told(Told::Text { cell, text }) => {
                if let Some((answer, _)) = prompt.trial.answers.get_mut(cell) {
                    answer.push_str(&text);
                }
            }
            Granted::Told(Told::Done { cell, .. }) => {
                if let Some((_, done)) = prompt.trial.answers.get_mut(cell) {
                    *done = true;
                }
            }
            Granted::Ended => prompt.trying = None,
            _ => return false,
        }
        self.pane == super::Pane::Prompt
    }
}

#[cfg(test)]
pub(in crate::app) mod tests;
