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
#[cfg(test)]
mod hand;
mod keys;
mod message;
pub mod overlay;
mod pointer;
pub mod prompt;
pub mod record;
pub mod scroll;
pub mod train;
pub mod wish;

use std::time::Duration;

use crate::keymap::{Command, Key, Keymap, Meaning, Scope};

pub use crate::store::{Conflict, Content, Flag, Origin, Record, Source, Split, State, Status};

pub use act::{Act, Acted};
pub use compare::Compare;
use compare::Mode;
pub use data::{Data, Row};
pub use evaluate::Evaluate;
pub use message::{Ask, Effect, Msg, Opened, Tally};
pub use overlay::Overlay;
pub use pointer::Spot;
pub use prompt::Prompt;
pub use train::Train;
use wish::Wish;

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
            Msg::Commit(text) => self.keys_of(&text, now, &mut effects),
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
            Msg::Systems(systems) => self.systems(systems, &mut effects),
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
        changed |= self.next_conflict();
        effects.extend(self.train.watch(self.pane == Pane::Train));
        self.evaluate_watch(now, &mut effects);
        self.dirty |= changed;
        effects
    }

    /// Asks a companion; returns the number that its answers carry.
    fn wish(&mut self, wish: Wish, effects: &mut Vec<Effect>) -> u64 {
        if matches!(wish, Wish::Answer { .. }) {
            // One companion answers, and the newest question only: who asked before it waits for nothing.
            self.compare.forget_asked();
            self.prompt.forget_asked();
        }
        self.wishes += 1;
        effects.push(Effect::Wish { number: self.wishes, wish });
        self.wishes
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

    /// Whether the person judges blind.
    fn is_judging(&self) -> bool {
        self.pane == Pane::Compare && matches!(self.compare.mode, Mode::Blind(_))
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
}

#[cfg(test)]
mod tests;
