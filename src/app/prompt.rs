//! The pane of the prompt: the template at the left, what the model reads of it at the right.
//!
//! The text is looked at while it is written: its rendering for the record that is shown comes from a companion, token by token.
//! Trying asks the models: pinned records down, systems and templates across.

use std::time::Duration;

use super::field::Field;
use super::overlay::{Choice, Purpose};
use super::wish::{Cell, Granted, How, Question, System, Wish};
use super::{App, Ask, Effect, Opened, Overlay};
use crate::keymap::Command;
use crate::store::Content;

pub use crate::prompt::display::Row as Token;

/// Time without a letter after which the text is rendered.
const GLANCE: Duration = Duration::from_millis(150);
/// Time without a letter after which the text is kept as a draft.
const PAUSE: Duration = Duration::from_millis(1_200);
/// What a project without a template begins with.
const FIRST: &str = "{{ instruction }}\n{{ input }}";
/// Records tried at most at once, and columns.
const ROWS: usize = 3;
const COLUMNS: usize = 4;

/// A version of the template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// What it says.
    pub text: String,
    /// What was written in it and not saved.
    pub draft: Option<String>,
    /// Whether the project uses it.
    pub used: bool,
}

/// One of the columns of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Who answers.
    pub system: System,
    /// The template.
    pub template: String,
    /// Which random numbers.
    pub stream: u64,
}

/// Answers of several systems to several records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// Records, from above.
    pub rows: Vec<i64>,
    /// What is across.
    pub columns: Vec<Column>,
    /// Answers, row by row, and whether each is done.
    pub answers: Vec<(String, bool)>,
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
    pub scroll: u16,
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

    /// Names that the template can use for the record that is shown.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        match self.record().map(|open| &open.record.state.content) {
            Some(Content::Pair { fields, .. }) => fields.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        let written = self.written?;
        if self.unseen { Some(written + GLANCE) } else { self.unkept.then_some(written + PAUSE) }
    }

    /// A letter was written.
    pub(super) fn was_written(&mut self, now: Duration) {
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

    /// Keeps what is written as a draft.
    pub(super) fn keep(&mut self, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.unkept) {
            effects.push(Effect::Store(Ask::PromptDraft { name: self.name.clone(), text: self.text() }));
        }
    }
}

impl App {
    /// The pane is shown.
    pub(super) fn prompt_shown(&mut self, effects: &mut Vec<Effect>) {
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
    pub(super) fn prompt_records(&mut self, ids: Vec<i64>, effects: &mut Vec<Effect>) {
        let wanted = self.data.current();
        self.prompt.records = ids;
        self.prompt.at = wanted.and_then(|id| self.prompt.records.binary_search(&id).ok()).unwrap_or(0);
        effects.extend(self.prompt.records.get(self.prompt.at).map(|id| Effect::Store(Ask::Open(*id))));
    }

    /// The versions there are.
    pub(super) fn prompts(&mut self, versions: Vec<Version>, examples: Vec<i64>) {
        let prompt = &mut self.prompt;
        prompt.examples = examples;
        let used =
            versions.iter().find(|version| version.used).or(versions.first()).map(|version| version.name.clone());
        prompt.versions = versions;
        let known =
            prompt.versions.iter().find(|version| version.name == prompt.name).map(|version| version.text.clone());
        match (known, used) {
            // What is being written stays.
            (Some(text), _) if prompt.ready => prompt.saved = text,
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
    pub(super) fn prompt_opened(&mut self, opened: &Opened) -> bool {
        let here = self.prompt.records.get(self.prompt.at) == Some(&opened.record.id);
        if here {
            self.prompt.open = Some(opened.clone());
            self.prompt.unseen = true;
            self.prompt.written.get_or_insert_default();
        }
        here && self.pane == super::Pane::Prompt
    }

    /// A command of the pane, or of the editor in it.
    pub(super) fn prompt_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        match command {
            C::PromptEdit => self.prompt.writing = self.prompt.field.is_some(),
            C::EditorDone => {
                self.prompt.writing = false;
                self.prompt.keep(effects);
            }
            C::EditorSave | C::EditorAccept | C::PromptSave => {
                effects
                    .push(Effect::Store(Ask::PromptSave { name: self.prompt.name.clone(), text: self.prompt.text() }));
                self.prompt.unkept = false;
                self.prompt.writing &= command == C::EditorSave;
            }
            C::EditorRevert | C::PromptRevert => {
                let named = self.prompt.versions.iter().any(|version| version.name == self.prompt.name);
                // What was never saved has no text of its own but the one it began with.
                let before = if named { self.prompt.saved.clone() } else { FIRST.to_owned() };
                if let Some(field) = self.prompt.field.as_mut().filter(|field| field.text() != before) {
                    field.set(&before);
                    self.prompt.was_written(now);
                    self.note("back to the text as it was; ctrl-u while writing brings yours back", now);
                }
            }
            C::PromptNext => self.prompt_step(1, effects),
            C::PromptBefore => self.prompt_step(-1, effects),
            C::PromptVersion => {
                let names: Vec<String> = self.prompt.versions.iter().map(|version| version.name.clone()).collect();
                let at = names.iter().position(|name| *name == self.prompt.name).unwrap_or(0);
                let items = self.prompt.versions.iter().map(label).collect();
                self.pick_version(Choice::Version(names), "versions", items, at, now);
            }
            C::PromptName => {
                let name = self.prompt.name.clone();
                self.overlay = Some(Overlay::ask(Purpose::Name, "save as".into(), &name, Vec::new()));
            }
            C::PromptUse => effects.push(Effect::Store(Ask::PromptUse(self.prompt.name.clone()))),
            C::PromptVariable | C::EditorPartNext => {
                let items = self.prompt.variables();
                if items.is_empty() {
                    self.note("this record has no fields to name", now);
                } else {
                    let title = "put in a field of the record".into();
                    self.overlay = Some(Overlay::Pick { choice: Choice::Variable, title, items, at: 0 });
                }
            }
            C::PromptExample => {
                if let Some(id) = self.prompt.records.get(self.prompt.at).copied() {
                    let mut ids = self.prompt.examples.clone();
                    match ids.iter().position(|other| *other == id) {
                        Some(at) => drop(ids.remove(at)),
                        None => ids.push(id),
                    }
                    effects.push(Effect::Store(Ask::PromptExamples(ids)));
                }
            }
            C::PromptPin => {
                if let Some(id) = self.prompt.records.get(self.prompt.at).copied() {
                    match self.prompt.pinned.iter().position(|other| *other == id) {
                        Some(at) => drop(self.prompt.pinned.remove(at)),
                        None => self.prompt.pinned.push(id),
                    }
                }
            }
            C::PromptBeside => {
                let names: Vec<String> = self.prompt.versions.iter().map(|version| version.name.clone()).collect();
                let items = self.prompt.versions.iter().map(label).collect();
                self.pick_version(Choice::Beside(names), "try beside, or no longer", items, 0, now);
            }
            C::PromptRepeat => {
                self.prompt.repeats = (self.prompt.repeats + 1) % 4;
                let times = self.prompt.repeats.max(1);
                let words =
                    if times == 1 { "once, the likeliest".into() } else { format!("{times} times, temperature 0.8") };
                self.note(format!("each is asked {words}"), now);
            }
            C::PromptTry => self.try_out(now, effects),
            C::PromptStop => {
                if self.prompt.trying.take().is_some() {
                    self.wish(Wish::Stop, effects);
                }
                self.prompt.right = Right::Tokens;
            }
            C::PromptDiff => {
                let diff = self.prompt.right == Right::Diff;
                self.prompt.right = if diff { Right::Tokens } else { Right::Diff };
            }
            C::PromptScrollDown => self.prompt.scroll = self.prompt.scroll.saturating_add(5),
            C::PromptScrollUp => self.prompt.scroll = self.prompt.scroll.saturating_sub(5),
            _ => {}
        }
    }

    /// Lets the person choose among the versions, where there are any.
    fn pick_version(&mut self, choice: Choice, title: &str, items: Vec<String>, at: usize, now: Duration) {
        if items.is_empty() {
            let save = self.keymap.first(Command::PromptSave);
            self.note(format!("no version is saved yet; {save} saves this text as one"), now);
        } else {
            self.overlay = Some(Overlay::Pick { choice, title: title.into(), items, at });
        }
    }

    fn prompt_step(&mut self, by: isize, effects: &mut Vec<Effect>) {
        let last = self.prompt.records.len().saturating_sub(1);
        self.prompt.at = self.prompt.at.saturating_add_signed(by).min(last);
        self.prompt.scroll = 0;
        effects.extend(self.prompt.records.get(self.prompt.at).map(|id| Effect::Store(Ask::Open(*id))));
    }

    /// A version was chosen to be shown.
    pub(super) fn version_chosen(&mut self, name: &str, effects: &mut Vec<Effect>) {
        self.prompt.keep(effects);
        self.prompt.show(name);
    }

    /// A version was chosen to be tried beside the text, or no longer.
    pub(super) fn beside_chosen(&mut self, name: &str) {
        match self.prompt.beside.iter().position(|other| other == name) {
            Some(at) => drop(self.prompt.beside.remove(at)),
            None => self.prompt.beside.push(name.to_owned()),
        }
    }

    /// A field was chosen to be named in the text.
    pub(super) fn variable_chosen(&mut self, at: usize, now: Duration) {
        let name = self.prompt.variables().get(at).cloned();
        if let (Some(name), Some(field)) = (name, &mut self.prompt.field) {
            field.insert(&format!("{{{{ {name} }}}}"));
            self.prompt.was_written(now);
        }
    }

    /// A name was typed to save the text under.
    pub(super) fn named(&mut self, name: String, effects: &mut Vec<Effect>) {
        effects.push(Effect::Store(Ask::PromptSave { name, text: self.prompt.text() }));
        self.prompt.unkept = false;
    }

    /// The text was saved as a version.
    pub(super) fn prompt_saved(&mut self, name: String, now: Duration, effects: &mut Vec<Effect>) {
        let key = self.keymap.first(Command::PromptUse);
        self.note(format!("saved as {name}; {key} lets the project use it"), now);
        self.prompt.name = name;
        effects.push(Effect::Store(Ask::Prompts));
    }

    /// Asks the models: pinned records (or the one shown), the text and what is tried beside it, base and tuned.
    fn try_out(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let mut rows = self.prompt.pinned.clone();
        if rows.is_empty() {
            rows.extend(self.prompt.records.get(self.prompt.at));
        }
        rows.truncate(ROWS);
        if rows.is_empty() {
            self.note("there is no record to try it on", now);
            return;
        }
        let mut templates = vec![(self.prompt.name.clone(), self.prompt.text())];
        for name in &self.prompt.beside {
            let version =
                self.prompt.versions.iter().find(|version| version.name == *name && *name != self.prompt.name);
            templates.extend(version.map(|version| (version.name.clone(), version.text.clone())));
        }
        let tuned = self.compare.sides[1].clone();
        let mut systems = vec![System::Base];
        if tuned != System::Base {
            systems.push(tuned);
        }
        let mut columns = Vec::new();
        for (name, template) in &templates {
            for system in &systems {
                for stream in 0..self.prompt.repeats.max(1) {
                    let seed = if self.prompt.repeats > 1 { format!(" #{}", stream + 1) } else { String::new() };
                    let title = format!("{name} {}{seed}", system.name());
                    columns.push(Column { title, system: system.clone(), template: template.clone(), stream });
                }
            }
        }
        if columns.len() > COLUMNS {
            self.note(format!("{} columns are too many to read: the first {COLUMNS} are tried", columns.len()), now);
            columns.truncate(COLUMNS);
        }
        let cells: Vec<Cell> = rows
            .iter()
            .flat_map(|id| {
                columns.iter().map(|column| Cell {
                    question: Question::Record(*id),
                    system: column.system.clone(),
                    template: Some(column.template.clone()),
                    stream: column.stream,
                })
            })
            .collect();
        let temperature = if self.prompt.repeats > 1 { 0.8 } else { 0.0 };
        let answers = vec![(String::new(), false); cells.len()];
        self.prompt.trial = Trial { rows, columns, answers };
        self.prompt.right = Right::Trial;
        let wish = Wish::Answer { cells, how: How { temperature, ..How::default() } };
        self.prompt.trying = Some(self.wish(wish, effects));
    }

    /// Renders what is written, and keeps it, once the person pauses.
    pub(super) fn prompt_woken(&mut self, now: Duration, effects: &mut Vec<Effect>) {
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
    pub(super) fn is_prompted(&self, number: u64) -> bool {
        self.prompt.rendering == Some(number) || self.prompt.trying == Some(number)
    }

    /// What a companion answers to the pane.
    pub(super) fn prompt_granted(&mut self, number: u64, granted: Granted) -> bool {
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
            Granted::Text { cell, text } => {
                if let Some((answer, _)) = prompt.trial.answers.get_mut(cell) {
                    answer.push_str(&text);
                }
            }
            Granted::Done { cell, .. } => {
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

fn label(version: &Version) -> String {
    let used = if version.used { " (in use)" } else { "" };
    let draft = if version.draft.is_some() { " (with a text that is not saved)" } else { "" };
    format!("{}{used}{draft}", version.name)
}
