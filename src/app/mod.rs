//! The workbench's state, and what changes it.
//!
//! [`App::update`] takes a [`Msg`] and the time and returns [`Effect`]s; it reads no clock and no file and draws nothing. Effects
//! are carried out elsewhere and come back as messages, so everything the workbench does can be told by a plain test. One
//! thing of the screen's library is here: [`field::Field`] holds its text editor, whose undo, selection and cursor are state.

mod act;
pub mod compare;
pub mod data;
pub mod evaluate;
pub mod field;
pub mod overlay;
mod pointer;
pub mod prompt;
pub mod record;
pub mod train;
pub mod wish;

use std::time::Duration;

use crossterm::event::KeyEvent;

use crate::keymap::{self, Command, Key, Keymap, Meaning, Scope};

pub use crate::store::{Conflict, Content, Flag, Origin, Record, Source, Split, State, Status};

pub use act::{Act, Acted};
pub use compare::Compare;
use compare::Mode;
pub use data::{Data, Row};
pub use evaluate::Evaluate;
pub use overlay::Overlay;
pub use pointer::Spot;
pub use prompt::Prompt;
pub use train::Train;
use wish::{Granted, Wish};

/// How long a toast stays.
const TOAST: Duration = Duration::from_secs(4);
/// How long one that tells of a mishap stays.
const TROUBLE: Duration = Duration::from_secs(10);

/// A pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// Records.
    Data,
    /// Template and rendering.
    Prompt,
    /// Runs.
    Train,
    /// Base and tuned.
    Compare,
    /// Systems on a test set.
    Evaluate,
}

impl Pane {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Data, Self::Prompt, Self::Train, Self::Compare, Self::Evaluate];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "Data",
            Self::Prompt => "Prompt",
            Self::Train => "Train",
            Self::Compare => "Compare",
            Self::Evaluate => "Evaluate",
        }
    }

    /// The pane `by` further on, round and round.
    fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// A record with everything there is to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The record.
    pub record: Record,
    /// What the last lint found.
    pub flags: Vec<Flag>,
    /// Who else is at it.
    pub taken: Option<String>,
    /// Texts that met a newer one, with who wrote them.
    pub conflicts: Vec<(String, Conflict)>,
}

/// What is asked of the store. Carried out one after the other, in the order asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Which records a query finds; the answer carries the number back.
    Find { number: u64, query: String },
    /// Rows of a list.
    Rows(Vec<i64>),
    /// A record.
    Open(i64),
    /// Do it, with the seconds a person was at it.
    Act { act: Act, records: Vec<i64>, seconds: Option<f64> },
    /// How many records an act would change, and which it could not.
    Preview { act: Act, records: Vec<i64> },
    /// Save a text made on a revision; `then_accept` for both in one stroke.
    Save { record: i64, base: i64, after: Box<State>, seconds: Option<f64>, then_accept: bool },
    /// Take back, or do again.
    Undo { redo: bool },
    /// Claim a record and let go of another.
    Claim { record: Option<i64>, release: Option<i64> },
    /// Let go of a record, so that the person's editor can take it.
    Lend(i64),
    /// The next that is this author's or free.
    NextMine,
    /// Of what a query finds, the next with a finding behind that record; from the first on again where there is none.
    NextFlagged { query: String, after: i64 },
    /// Every state of a record.
    History(i64),
    /// Categories and people there are, for suggestions.
    Names,
    /// Let a model draft records, in a process of its own.
    Drafts { records: Vec<i64>, system: wish::System },
    /// Runs and checkpoints that can answer.
    Systems,
    /// The test records.
    Questions,
    /// Rehearsed answers.
    Recordings,
    /// Keep rehearsed answers.
    Rehearsed(Box<compare::Recording>),
    /// Keep a judgement.
    Judge(Box<compare::Judged>),
    /// The versions of the template.
    Prompts,
    /// Save a text as a version.
    PromptSave { name: String, text: String },
    /// Keep what is being written in a version.
    PromptDraft { name: String, text: String },
    /// Let the project use a version.
    PromptUse(String),
    /// Show these records as examples.
    PromptExamples(Vec<i64>),
}

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the store.
    Store(Ask),
    /// Ask a companion.
    Wish { number: u64, wish: Wish },
    /// Write a text to the terminal's clipboard.
    Copy(String),
    /// Open the record in the person's editor.
    EditOutside(i64),
    /// Draw everything anew.
    Repaint,
    /// Give the screen the next theme.
    NextTheme,
    /// Do something about runs.
    Train(train::Effect),
    /// Do something about evaluations.
    Evaluate(evaluate::Effect),
    /// Leave.
    Quit,
}

/// How far the records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All records.
    pub records: usize,
    /// Accepted.
    pub gold: usize,
    /// In the inbox or drafts.
    pub waiting: usize,
    /// Gold records to be reached.
    pub target: usize,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key.
    Key(KeyEvent),
    /// A text that an input method committed.
    Commit(String),
    /// A text that was pasted.
    Paste(String),
    /// The mouse's wheel was turned: down, or up.
    Wheel(bool),
    /// The mouse clicked on something.
    Click(Spot),
    /// The screen has another size.
    Resize(u16, u16),
    /// The time that [`App::wake`] asked for has come.
    Wake,
    /// What a query finds.
    Found { number: u64, ids: Result<Vec<i64>, String> },
    /// Rows of the list.
    Rows(Vec<Row>),
    /// A record.
    Opened(Box<Opened>),
    /// A record that is not there any more.
    Gone(i64),
    /// What was asked of the store to be written is on the disk, or was refused.
    Written,
    /// An act was done.
    Acted(Acted),
    /// A text is on the disk: the record and its revision now.
    Saved { record: i64, revision: i64 },
    /// A text met a newer one.
    Conflict(Box<Conflict>),
    /// What an act would do.
    Preview { act: Act, records: Vec<i64>, would: usize, refused: usize },
    /// Somebody else is at the record.
    Taken { record: i64, by: String },
    /// The record is free for the person's editor.
    Lent(i64),
    /// Where to go.
    GoTo(Option<i64>),
    /// The next record with a finding.
    Flagged(Option<i64>),
    /// A record's states: when, who, what, and the answer then.
    History { record: i64, lines: Vec<overlay::Line> },
    /// Names for suggestions.
    Names { categories: Vec<String>, people: Vec<String> },
    /// Who can answer.
    Systems(Vec<wish::System>),
    /// The test records.
    Questions(Vec<i64>),
    /// Rehearsed answers.
    Recordings(Vec<compare::Recording>),
    /// The versions of the template, and the records shown as examples.
    Prompts { versions: Vec<prompt::Version>, examples: Vec<i64> },
    /// A text was saved as a version.
    PromptSaved(String),
    /// How far the records are.
    Tally(Tally),
    /// Another process changed records.
    Changed(Vec<i64>),
    /// What a companion answers.
    Granted { number: u64, granted: Granted },
    /// Something happened to runs.
    Train(train::Msg),
    /// Something happened to evaluations.
    Evaluate(evaluate::Msg),
    /// A word to the person.
    Note(String),
    /// Something failed.
    Failed(String),
    /// The records cannot be opened, so nothing can be shown or done.
    NoStore(String),
}

/// A word to the person that goes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// The word.
    pub text: String,
    /// Whether something went wrong.
    pub trouble: bool,
    /// When it goes.
    pub until: Duration,
}

/// The workbench.
pub struct App {
    /// The project's name.
    pub project: String,
    /// Who is at it.
    pub author: String,
    /// The keys.
    pub keymap: Keymap,
    /// The screen: columns and rows.
    pub size: (u16, u16),
    /// The pane that is shown.
    pub pane: Pane,
    /// The records.
    pub data: Data,
    /// Template and rendering.
    pub prompt: Prompt,
    /// Base and tuned.
    pub compare: Compare,
    /// The runs.
    pub train: Train,
    /// The evaluations.
    pub evaluate: Evaluate,
    /// What lies over the pane.
    pub overlay: Option<Overlay>,
    /// Keys pressed that are the beginning of something.
    pub pressed: Vec<Key>,
    /// Words to the person.
    pub toasts: Vec<Toast>,
    /// Why there are no records to work on.
    pub problem: Option<String>,
    /// How far the records are.
    pub tally: Tally,
    /// The number of the last wish.
    wishes: u64,
    /// Whether the screen is not what it should show.
    dirty: bool,
    quitting: bool,
}

impl App {
    /// A workbench that has read nothing yet, and what it wants to know first.
    #[must_use]
    pub fn new(project: String, author: String, keymap: Keymap, size: (u16, u16)) -> (Self, Vec<Effect>) {
        let mut app = Self {
            project,
            author,
            keymap,
            size,
            pane: Pane::Data,
            data: Data::default(),
            prompt: Prompt::default(),
            compare: Compare::default(),
            train: Train::default(),
            evaluate: Evaluate::default(),
            overlay: None,
            pressed: Vec::new(),
            toasts: Vec::new(),
            problem: None,
            tally: Tally::default(),
            wishes: 0,
            dirty: true,
            quitting: false,
        };
        let effects = app.data.start();
        (app, effects)
    }

    /// Whether the screen has to be drawn; asking takes the wish away.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Whether the person has left.
    #[must_use]
    pub fn is_quitting(&self) -> bool {
        self.quitting
    }

    /// When [`Msg::Wake`] is wanted at the latest.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        let toast = self.toasts.iter().map(|toast| toast.until).min();
        [toast, self.data.wake(), self.prompt.wake(), self.compare.wake(), self.evaluate.wake()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes a message; `now` is the time since the workbench was opened.
    pub fn update(&mut self, msg: Msg, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut changed = true;
        match msg {
            Msg::Key(event) => self.key(event, now, &mut effects),
            Msg::Commit(text) | Msg::Paste(text) if self.is_writing() => self.write(&text, now, &mut effects),
            Msg::Commit(text) => {
                // Without a text to write in, an input method's letters are keys like others.
                for c in text.chars() {
                    let event = KeyEvent::new(crossterm::event::KeyCode::Char(c), crossterm::event::KeyModifiers::NONE);
                    self.key(event, now, &mut effects);
                }
            }
            Msg::Paste(_) => self.note("a paste goes into a text: open one first", now),
            Msg::Wheel(down) => self.wheel(down, now, &mut effects),
            Msg::Click(spot) => self.clicked(spot, now, &mut effects),
            Msg::Resize(columns, rows) => {
                changed = self.size != (columns, rows);
                self.size = (columns, rows);
                self.data.fill(self.size, &mut effects);
            }
            Msg::Wake => {
                let before = self.toasts.len();
                self.toasts.retain(|toast| toast.until > now);
                changed = self.toasts.len() != before;
                self.glance(now, &mut effects);
                changed |= self.data.woken(now, &mut effects);
                changed |= self.compare_woken(now);
                self.prompt_woken(now, &mut effects);
            }
            Msg::Note(text) => self.note(text, now),
            Msg::Failed(text) => {
                self.marks_failed();
                self.trouble(text, now);
            }
            Msg::NoStore(why) => self.problem = Some(why),
            Msg::Tally(tally) => {
                changed = self.tally != tally;
                self.tally = tally;
            }
            Msg::Systems(systems) => self.systems(systems),
            Msg::Questions(questions) => self.questions(questions, &mut effects),
            Msg::Recordings(recordings) => self.recordings(recordings, now),
            Msg::Prompts { versions, examples } => self.prompts(versions, examples),
            Msg::PromptSaved(name) => self.prompt_saved(name, now, &mut effects),
            Msg::Found { number: 0, ids: Ok(ids) } => self.prompt_records(ids, &mut effects),
            Msg::Granted { number, granted } if self.is_prompted(number) => {
                changed = self.prompt_granted(number, granted);
            }
            Msg::Granted { number, granted } if self.is_compared(number) => {
                changed = self.compare_granted(&granted, now, &mut effects);
            }
            Msg::Granted { number, granted } => changed = self.data_granted(number, granted, now, &mut effects),
            Msg::Train(msg) => changed = self.train_msg(msg, now),
            Msg::Evaluate(msg) => changed = self.evaluate_msg(msg, now, &mut effects),
            msg => changed = self.data_msg(msg, now, &mut effects),
        }
        effects.extend(self.train.watch(self.pane == Pane::Train));
        self.evaluate_watch(now, &mut effects);
        self.dirty |= changed;
        effects
    }

    /// Says something that goes by itself.
    pub fn note(&mut self, text: impl Into<String>, now: Duration) {
        self.toast(text.into(), false, now + TOAST);
    }

    /// Says that something went wrong.
    pub fn trouble(&mut self, text: impl Into<String>, now: Duration) {
        self.toast(text.into(), true, now + TROUBLE);
    }

    fn toast(&mut self, text: String, trouble: bool, until: Duration) {
        self.toasts.retain(|toast| toast.text != text);
        self.toasts.push(Toast { text, trouble, until });
        if self.toasts.len() > 3 {
            self.toasts.remove(0);
        }
    }

    /// Whether what is typed goes into a text.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        match &self.overlay {
            Some(overlay) => overlay.field().is_some(),
            None => match self.pane {
                Pane::Data => self.data.editor.is_some(),
                Pane::Prompt => self.prompt.writing,
                Pane::Train | Pane::Compare | Pane::Evaluate => false,
            },
        }
    }

    /// Whether the screen is an audience's.
    #[must_use]
    pub fn is_presenting(&self) -> bool {
        self.pane == Pane::Compare && self.overlay.is_none() && matches!(self.compare.mode, Mode::Present(_))
    }

    /// The scopes whose commands can be given, the first winning.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        if let Some(overlay) = &self.overlay {
            return vec![overlay.scope(), Scope::Anywhere];
        }
        let pane = match self.pane {
            Pane::Data | Pane::Prompt if self.is_writing() => return vec![Scope::Editor, Scope::Anywhere],
            Pane::Data => Scope::Data,
            Pane::Prompt => Scope::Prompt,
            Pane::Train => self.train.scope(),
            Pane::Evaluate => self.evaluate.scope(),
            Pane::Compare => match self.compare.mode {
                Mode::Walk => Scope::Compare,
                Mode::Blind(_) => Scope::Blind,
                Mode::Present(_) => Scope::Presenter,
            },
        };
        vec![pane, Scope::Normal, Scope::Anywhere]
    }

    /// What may follow the keys pressed so far.
    #[must_use]
    pub fn hints(&self) -> Vec<(Key, Command)> {
        if self.pressed.is_empty() {
            return Vec::new();
        }
        match self.keymap.meaning(&self.scopes(), &self.pressed) {
            Meaning::Prefix(next) => next,
            _ => Vec::new(),
        }
    }

    fn key(&mut self, event: KeyEvent, now: Duration, effects: &mut Vec<Effect>) {
        self.data.watch.touch(now);
        let writing = self.is_writing();
        // In a text a letter is a letter, in full width too.
        if let Some(c) = keymap::letter(event).filter(|_| writing && self.pressed.is_empty()) {
            self.write(c.encode_utf8(&mut [0; 4]), now, effects);
            return;
        }
        self.pressed.push(keymap::normal(event));
        match self.keymap.meaning(&self.scopes(), &self.pressed) {
            Meaning::Command(command) => {
                self.pressed.clear();
                self.command(command, now, effects);
            }
            Meaning::Prefix(_) => {}
            Meaning::Nothing => {
                let alone = self.pressed.len() == 1;
                self.pressed.clear();
                if alone && writing {
                    self.write_key(event, now, effects);
                }
            }
        }
    }

    /// The wheel does what the arrow keys do.
    fn wheel(&mut self, down: bool, now: Duration, effects: &mut Vec<Effect>) {
        let code = if down { crossterm::event::KeyCode::Down } else { crossterm::event::KeyCode::Up };
        self.key(KeyEvent::new(code, crossterm::event::KeyModifiers::NONE), now, effects);
    }

    /// Gives a command, by its key or from the palette.
    pub fn command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        match command {
            C::PaneData => self.show(Pane::Data, effects),
            C::PanePrompt => self.show(Pane::Prompt, effects),
            C::PaneTrain => self.show(Pane::Train, effects),
            C::PaneCompare => self.show(Pane::Compare, effects),
            C::PaneEvaluate => self.show(Pane::Evaluate, effects),
            C::PaneNext => self.show(self.pane.step(1), effects),
            C::PaneBefore => self.show(self.pane.step(Pane::ALL.len() - 1), effects),
            C::Undo | C::Redo if self.pane == Pane::Evaluate => self.mark_again(command == C::Redo, now, effects),
            C::Undo | C::Redo => {
                self.data.saving += 1;
                effects.push(Effect::Store(Ask::Undo { redo: command == C::Redo }));
            }
            C::Help | C::HelpAnywhere => {
                let scopes = self.scopes();
                self.overlay = Some(Overlay::help(scopes, self.overlay.take()));
            }
            C::Theme => effects.push(Effect::NextTheme),
            C::Repaint => effects.push(Effect::Repaint),
            C::Copy => match self.copied() {
                Some(text) => {
                    effects.push(Effect::Copy(text));
                    self.note("copied", now);
                }
                None => self.note("there is nothing to copy here", now),
            },
            C::Quit | C::Leave => {
                self.data.close(now, effects);
                self.prompt.keep(effects);
                self.quitting = true;
                effects.push(Effect::Quit);
            }
            command if self.overlay.is_some() => self.overlay_command(command, now, effects),
            command if matches!(command.scope(), Scope::Train | Scope::NewRun) => {
                self.train_command(command, now, effects);
            }
            command if matches!(command.scope(), Scope::Evaluate | Scope::EvaluateRow) => {
                self.evaluate_command(command, now, effects);
            }
            command => match self.pane {
                Pane::Compare => self.compare_command(command, now, effects),
                Pane::Prompt => self.prompt_command(command, now, effects),
                _ => self.data_command(command, now, effects),
            },
        }
    }

    /// What copying takes.
    fn copied(&self) -> Option<String> {
        match self.pane {
            Pane::Compare => self.compare_copied(),
            Pane::Prompt => Some(self.prompt.text()).filter(|text| !text.is_empty()),
            Pane::Train => self.train.copied(),
            Pane::Evaluate => self.evaluate.copied(),
            Pane::Data => self.data.copied(),
        }
    }

    pub(super) fn show(&mut self, pane: Pane, effects: &mut Vec<Effect>) {
        self.pane = pane;
        match pane {
            Pane::Compare => self.compare_shown(effects),
            Pane::Prompt => self.prompt_shown(effects),
            // Runs to be measured are found as those to be compared are.
            Pane::Evaluate => effects.push(Effect::Store(Ask::Systems)),
            Pane::Data | Pane::Train => {}
        }
    }

    /// Puts a text at the cursor of what is being written.
    fn write(&mut self, text: &str, now: Duration, effects: &mut Vec<Effect>) {
        if let Some(overlay) = &mut self.overlay {
            if let Some(field) = overlay.field_mut() {
                field.insert(text);
            }
            self.overlay_written(effects);
        } else if self.pane == Pane::Prompt {
            if let Some(field) = &mut self.prompt.field {
                field.insert(text);
                self.prompt.was_written(now);
            }
        } else if let Some(editor) = &mut self.data.editor {
            editor.field.insert(text);
            self.data.written(now);
        }
    }

    /// Gives a key that is no command to what is being written.
    fn write_key(&mut self, event: KeyEvent, now: Duration, effects: &mut Vec<Effect>) {
        if let Some(overlay) = &mut self.overlay {
            if overlay.field_mut().is_some_and(|field| field.key(event)) {
                self.overlay_written(effects);
            }
        } else if self.pane == Pane::Prompt {
            if self.prompt.field.as_mut().is_some_and(|field| field.key(event)) {
                self.prompt.was_written(now);
            }
        } else if let Some(editor) = &mut self.data.editor
            && editor.field.key(event)
        {
            self.data.written(now);
        }
    }
}

/// What a record asks, as one text: everything but its answer.
pub(crate) fn asked_text(open: &Opened) -> String {
    let state = &open.record.state;
    let answer = record::answer(state);
    let asked =
        record::parts(state).into_iter().filter(|part| part.place != answer && part.place != record::Place::Draft);
    asked.map(|part| part.text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
