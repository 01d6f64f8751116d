//! What lies over a pane: help, a line that is asked for, a list to choose from, a question, two texts of one record.

use std::time::Duration;

use frizbee::{Config, Matcher};

use super::compare::Score;
use super::data::counted;
use super::field::Field;
use super::wish::System;
use super::{Act, App, Ask, Effect, Pane};
use crate::keymap::{Command, Scope};
use crate::store::{Conflict, Split};

/// One line of a list that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What stands at its left: a date, a number.
    pub head: String,
    /// The rest.
    pub text: String,
}

/// What a line is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// The filter of the list; what it was before.
    Filter(String),
    /// Why records are rejected.
    Reject(Vec<i64>),
    /// Their category.
    Category(Vec<i64>),
    /// Who is to work on them.
    Assign(Vec<i64>),
    /// A question to both models.
    Prompt,
    /// The name of a version.
    Name,
    /// Something about runs.
    Train(super::train::Line),
    /// What is to be evaluated.
    Evaluate,
}

/// A line that is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it is for.
    pub purpose: Purpose,
    /// The heading.
    pub title: String,
    /// The line.
    pub field: Field,
    /// What stood in it when it was asked for.
    before: String,
    /// What could be meant, the likeliest first.
    pub suggestions: Vec<String>,
    /// Those that fit what is written.
    pub fitting: Vec<usize>,
    /// The one that is marked.
    pub at: Option<usize>,
}

/// What is chosen from a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// A split for records.
    Split(Vec<i64>),
    /// Who drafts; those there are.
    Drafter(Vec<System>),
    /// Who answers on a side; those there are.
    Side(usize, Vec<System>),
    /// The version of the template that is shown; their names.
    Version(Vec<String>),
    /// A version tried beside it; their names.
    Beside(Vec<String>),
    /// A field to be named.
    Variable,
    /// Something about an evaluation.
    Evaluate(super::evaluate::Choice),
}

/// What lies over a pane.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// All commands, searched while typing.
    Help { field: Box<Field>, scopes: Vec<Scope>, fitting: Vec<Command>, at: usize, below: Option<Box<Overlay>> },
    /// A line.
    Ask(Box<Asked>),
    /// One of several.
    Pick { choice: Choice, title: String, items: Vec<String>, at: usize },
    /// Whether to do something to records.
    Confirm { act: Act, records: Vec<i64>, would: usize, refused: usize },
    /// Two texts of one record.
    Conflict(Box<Conflict>),
    /// Records worded alike.
    Near { record: i64, near: Vec<(i64, f32)>, at: usize },
    /// What blind picks came to.
    Score { systems: [String; 2], score: Score },
    /// A record's states.
    History { record: i64, lines: Vec<Line>, at: usize },
}

impl Overlay {
    /// Help over what `scopes` can do.
    #[must_use]
    pub fn help(scopes: Vec<Scope>, below: Option<Self>) -> Self {
        let below = match below {
            // Help over help is help.
            Some(Self::Help { below, .. }) => below,
            below => below.map(Box::new),
        };
        Self::Help { field: Box::new(Field::line("")), fitting: commands(&scopes, ""), scopes, at: 0, below }
    }

    /// A line asked for.
    #[must_use]
    pub fn ask(purpose: Purpose, title: String, text: &str, suggestions: Vec<String>) -> Self {
        let mut field = Field::line(text);
        // One of few names takes another's place: whoever wants to write it out need not delete the old one first.
        if matches!(purpose, Purpose::Category(_) | Purpose::Assign(_)) && !text.is_empty() {
            field.select();
        }
        let before = field.text();
        let mut asked = Asked { purpose, title, field, before, suggestions, fitting: Vec::new(), at: None };
        asked.fit();
        Self::Ask(Box::new(asked))
    }

    /// The scope of its own commands.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Help { .. } | Self::Pick { .. } | Self::Near { .. } | Self::History { .. } | Self::Score { .. } => {
                Scope::Pick
            }
            Self::Ask(_) => Scope::Ask,
            Self::Confirm { .. } => Scope::Confirm,
            Self::Conflict(_) => Scope::Conflict,
        }
    }

    /// What is being written in it.
    #[must_use]
    pub fn field(&self) -> Option<&Field> {
        match self {
            Self::Help { field, .. } => Some(field),
            Self::Ask(asked) => Some(&asked.field),
            _ => None,
        }
    }

    pub(super) fn field_mut(&mut self) -> Option<&mut Field> {
        match self {
            Self::Help { field, .. } => Some(field),
            Self::Ask(asked) => Some(&mut asked.field),
            _ => None,
        }
    }

    /// Who can answer is known anew: a list of them has them all, the mark stays on its system.
    pub(super) fn systems(&mut self, known: &[System]) {
        let Self::Pick { choice, items, at, .. } = self else { return };
        let (Choice::Drafter(systems) | Choice::Side(_, systems)) = choice else { return };
        let marked = systems.get(*at).and_then(|marked| known.iter().position(|system| system == marked));
        *at = marked.unwrap_or(*at).min(known.len().saturating_sub(1));
        *items = known.iter().map(System::label).collect();
        *systems = known.to_vec();
    }

    /// Moves the mark of a list.
    fn step(&mut self, by: isize) {
        let (at, count) = match self {
            Self::Help { at, fitting, .. } => (at, fitting.len()),
            Self::Pick { at, items, .. } => (at, items.len()),
            Self::Near { at, near, .. } => (at, near.len()),
            Self::History { at, lines, .. } => (at, lines.len()),
            _ => return,
        };
        *at = at.saturating_add_signed(by).min(count.saturating_sub(1));
    }
}

impl Asked {
    /// Looks for the suggestions that fit what is written.
    fn fit(&mut self) {
        let written = self.field.text();
        // Of a filter, only the word at its end is being written.
        let needle = match self.purpose {
            Purpose::Filter(_) => written.rsplit([' ', '\u{3000}']).next().unwrap_or_default(),
            // The name there is now shall not hide the others.
            Purpose::Category(_) | Purpose::Assign(_) if written == self.before => "",
            _ => written.as_str(),
        };
        self.fitting = fitting(needle, &self.suggestions);
        self.at = None;
    }

    /// The line as it would be taken: what is written, or the suggestion that is marked.
    #[must_use]
    pub fn taken(&self) -> String {
        let written = self.field.text();
        let marked = self.at.and_then(|at| self.suggestions.get(*self.fitting.get(at)?));
        match (marked, &self.purpose) {
            (Some(marked), Purpose::Filter(_)) => {
                let start = written.rfind([' ', '\u{3000}']).map_or(0, |at| {
                    at + written.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
                });
                format!("{}{marked}", written.get(..start).unwrap_or_default())
            }
            (Some(marked), _) => marked.clone(),
            (None, _) => written,
        }
    }
}

/// The numbers of the texts that fit a needle, the best first; all of them for an empty one.
fn fitting(needle: &str, texts: &[String]) -> Vec<usize> {
    if needle.trim().is_empty() {
        return (0..texts.len()).collect();
    }
    Matcher::from_query(needle, &Config::default()).match_list(texts).iter().map(|found| found.index as usize).collect()
}

/// Commands that fit a needle. Without one: those that can be given here first.
fn commands(scopes: &[Scope], needle: &str) -> Vec<Command> {
    // What belongs to a list or a question is of no use from here.
    let all: Vec<Command> = Command::ALL.to_vec();
    if needle.trim().is_empty() {
        let (mut here, there): (Vec<Command>, Vec<Command>) =
            all.into_iter().partition(|c| scopes.contains(&c.scope()));
        here.extend(there);
        return here;
    }
    let texts: Vec<String> = all.iter().map(|command| format!("{} {}", command.doc(), command.name())).collect();
    fitting(needle, &texts).into_iter().map(|index| all[index]).collect()
}

impl App {
    /// What is written in an overlay is another text now.
    pub(super) fn overlay_written(&mut self, effects: &mut Vec<Effect>) {
        match &mut self.overlay {
            Some(Overlay::Help { field, scopes, fitting, at, .. }) => {
                *fitting = commands(scopes, &field.text());
                *at = 0;
            }
            Some(Overlay::Ask(asked)) => {
                asked.fit();
                if let Purpose::Filter(_) = asked.purpose {
                    let query = asked.field.text();
                    self.data.find(query, effects);
                }
            }
            _ => {}
        }
    }

    /// A command while something lies over the pane.
    pub(super) fn overlay_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        const PAGE: isize = 10;
        let Some(overlay) = &mut self.overlay else { return };
        match (command, overlay) {
            (C::PickDown, overlay) => overlay.step(1),
            (C::PickUp, overlay) => overlay.step(-1),
            (C::PickPageDown, overlay) => overlay.step(PAGE),
            (C::PickPageUp, overlay) => overlay.step(-PAGE),
            (C::PickDone | C::AskDone | C::ConfirmYes, _) => self.take(now, effects),
            (C::AskDown | C::AskUp, Overlay::Ask(asked)) => {
                let last = asked.fitting.len().checked_sub(1);
                asked.at = match (asked.at, command) {
                    (None, C::AskDown) => last.map(|_| 0),
                    (Some(at), C::AskDown) => last.map(|last| (at + 1).min(last)),
                    (at, _) => at.and_then(|at| at.checked_sub(1)),
                };
            }
            (C::AskLeave, Overlay::Ask(asked)) => {
                let before = match &asked.purpose {
                    Purpose::Filter(before) => Some(before.clone()),
                    _ => None,
                };
                self.overlay = None;
                if let Some(before) = before {
                    self.data.find(before, effects);
                }
            }
            (C::PickLeave, Overlay::Help { below, .. }) => self.overlay = below.take().map(|below| *below),
            (C::PickLeave | C::ConfirmNo | C::ConflictLeave, _) => self.overlay = None,
            (C::ConflictMine | C::ConflictTheirs | C::ConflictEdit, Overlay::Conflict(conflict)) => {
                let conflict = conflict.clone();
                self.overlay = None;
                self.settle(command, &conflict, now, effects);
            }
            _ => {}
        }
    }

    /// Takes what an overlay is at.
    pub(super) fn take(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(overlay) = self.overlay.take() else { return };
        match overlay {
            Overlay::Help { fitting, at, scopes, below, .. } => {
                self.overlay = below.map(|below| *below);
                let Some(command) = fitting.get(at).copied() else { return };
                match command.scope() {
                    scope if scopes.contains(&scope) => self.command(command, now, effects),
                    Scope::Data => self.elsewhere(Pane::Data, command, now, effects),
                    Scope::Prompt => self.elsewhere(Pane::Prompt, command, now, effects),
                    Scope::Train | Scope::NewRun => self.elsewhere(Pane::Train, command, now, effects),
                    Scope::Evaluate => self.elsewhere(Pane::Evaluate, command, now, effects),
                    Scope::Compare => self.elsewhere(Pane::Compare, command, now, effects),
                    Scope::Normal | Scope::Anywhere => self.command(command, now, effects),
                    scope => self.note(format!("{} belongs where one is {}", command.name(), scope.word()), now),
                }
            }
            Overlay::Ask(asked) => {
                let line = asked.taken();
                match asked.purpose {
                    Purpose::Filter(_) => self.data.find(line, effects),
                    Purpose::Reject(records) => {
                        self.data.remember_reason(&line);
                        self.do_to(Act::Reject(line), records, now, effects);
                    }
                    Purpose::Category(records) => self.do_to(Act::Category(line), records, now, effects),
                    Purpose::Assign(records) => self.do_to(Act::Assign(line), records, now, effects),
                    Purpose::Prompt => self.typed(line, now, effects),
                    Purpose::Name => self.named(&line, now, effects),
                    Purpose::Evaluate => self.start_evaluation(&line, now, effects),
                    Purpose::Train(what) => self.train_line(what, &line, now, effects),
                }
            }
            Overlay::Pick { choice: Choice::Split(records), at, .. } => {
                let split = Split::ALL.get(at).copied();
                self.do_to(Act::Split(split), records, now, effects);
            }
            Overlay::Pick { choice: Choice::Version(names), at, .. } => {
                if let Some(name) = names.get(at) {
                    self.version_chosen(name, effects);
                }
            }
            Overlay::Pick { choice: Choice::Beside(names), at, .. } => {
                if let Some(name) = names.get(at) {
                    self.beside_chosen(name);
                }
            }
            Overlay::Pick { choice: Choice::Drafter(systems), at, .. } => {
                let system = systems.get(at).cloned().unwrap_or_default();
                let records = std::mem::take(&mut self.data.drafting);
                self.note(format!("{} drafts {} in the background", system.name(), counted(records.len())), now);
                self.data.selected.clear();
                effects.push(Effect::Store(Ask::Drafts { records, system }));
            }
            Overlay::Pick { choice: Choice::Variable, at, .. } => self.variable_chosen(at, now),
            Overlay::Pick { choice: Choice::Side(side, systems), at, .. } => {
                if let Some(system) = systems.get(at).cloned() {
                    self.side_chosen(side, system, now, effects);
                }
            }
            Overlay::Pick { choice: Choice::Evaluate(choice), at, .. } => {
                self.evaluate_chosen(&choice, at, now, effects);
            }
            Overlay::Confirm { act, records, .. } => self.do_now(&act, records, now, effects),
            Overlay::Near { near, at, .. } => {
                if let Some((id, _)) = near.get(at) {
                    self.go_to(*id, now, effects);
                }
            }
            Overlay::History { .. } | Overlay::Score { .. } | Overlay::Conflict(_) => {}
        }
    }

    fn elsewhere(&mut self, pane: Pane, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        self.overlay = None;
        self.data.close(now, effects);
        self.show(pane, effects);
        self.command(command, now, effects);
    }

    /// Ends a conflict as the person says.
    fn settle(&mut self, command: Command, conflict: &Conflict, now: Duration, effects: &mut Vec<Effect>) {
        let Some(ours) = conflict.ours.clone() else { return };
        match command {
            Command::ConflictMine => {
                self.data.saving += 1;
                effects.push(Effect::Store(Ask::Save {
                    record: conflict.record,
                    base: conflict.head,
                    after: Box::new(ours),
                    seconds: None,
                    then_accept: false,
                }));
                self.note("yours stands; theirs is in the history", now);
            }
            Command::ConflictEdit => {
                // The person may have gone on to another record, or to another pane.
                self.show(Pane::Data, effects);
                if self.data.current() != Some(conflict.record) {
                    self.go_to(conflict.record, now, effects);
                }
                if self.data.reopen_with(conflict, effects) {
                    self.note("theirs is on the screen, yours in the editor: save what shall stand", now);
                } else {
                    let id = conflict.record;
                    self.note(format!("{id} cannot be edited from here; yours is kept: togi show {id} tells"), now);
                }
            }
            _ => {
                effects.push(Effect::Store(Ask::Open(conflict.record)));
                self.note("theirs stands; yours is kept: togi show tells", now);
            }
        }
    }
}
