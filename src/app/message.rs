//! What goes into the workbench and what comes out: messages, effects, and what is asked of the store.

use crossterm::event::KeyEvent;

use super::wish::{Granted, Wish};
use super::{Act, Acted, Conflict, Flag, Record, Row, Spot, State, compare, evaluate, overlay, prompt, train, wish};

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
    /// The time that [`App::wake`](super::App::wake) asked for has come.
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
