//! A person's words on answers: that one has an error, or has it not; taken back and said again.

use std::time::Duration;

use super::super::{App, Effect as AppEffect, Overlay, overlay};
use super::{Answer, Choice, Effect, Evaluate};

/// An answer: test set, system, and the row's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The test set.
    pub test: i64,
    /// The system.
    pub system: i64,
    /// The row's place, from 0.
    pub place: usize,
}

/// A word on an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The answer.
    pub at: At,
    /// The error.
    pub category: String,
    /// Whether it has the error; `None` takes the word back.
    pub word: Option<bool>,
}

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new one.
    Say,
    /// One taken back.
    Undo,
    /// One said again.
    Redo,
}

/// What was said since the workbench was opened: what would take it back, the newest last. Of what was said before, the store knows
/// the last word.
#[derive(Debug, Default)]
pub(super) struct Marks {
    done: Vec<Said>,
    undone: Vec<Said>,
    /// Whether one is on its way: the next is not taken back before it is known what it was.
    busy: bool,
}

impl Evaluate {
    /// The answer that is marked.
    #[must_use]
    pub fn focused(&self) -> Option<(&Answer, At)> {
        let row = self.row.as_ref()?;
        let answer = row.answers.get(self.focus)?;
        Some((answer, At { test: row.test, system: answer.system, place: row.place }))
    }
}

impl App {
    /// Asks which error the marked answer has, or has not.
    pub(super) fn choose_error(&mut self, now: Duration) {
        let evaluate = &self.evaluate;
        let Some(((answer, at), row)) = evaluate.focused().zip(evaluate.row.as_ref()) else { return };
        if answer.text.is_none() {
            let words = format!("{} has not answered this row yet", answer.name);
            return self.note(words, now);
        }
        let items = row.categories.iter().map(|category| {
            let there = answer.errors.iter().find(|error| error.category == *category);
            let by = match (there, answer.said.get(category)) {
                (Some(error), None) if !error.by_person => "  by a rule",
                (_, Some(_)) => "  you said so",
                (Some(_), _) => "  somebody said so",
                (None, None) => "",
            };
            format!("[{}] {category}{by}", if there.is_some() { "x" } else { " " })
        });
        let (items, title) = (items.collect(), format!("errors of {}", answer.name));
        self.overlay =
            Some(Overlay::Pick { choice: overlay::Choice::Evaluate(Choice::Error(at)), title, items, at: 0 });
    }

    /// An error was chosen: the answer has it now, or no longer.
    pub(super) fn error_chosen(&mut self, at: At, index: usize, effects: &mut Vec<AppEffect>) {
        let Some((answer, now_at)) = self.evaluate.focused() else { return };
        let category = self.evaluate.row.as_ref().and_then(|row| row.categories.get(index).cloned());
        // Another row may have been read meanwhile.
        let (true, Some(category)) = (now_at == at, category) else { return };
        let word = Some(!answer.errors.iter().any(|error| error.category == category));
        self.evaluate.marks.busy = true;
        effects.push(AppEffect::Evaluate(Effect::Say { said: Said { at, category, word }, step: Step::Say }));
    }

    /// Takes the last word back, or says it again.
    pub(in crate::app) fn mark_again(&mut self, redo: bool, now: Duration, effects: &mut Vec<AppEffect>) {
        let marks = &mut self.evaluate.marks;
        if marks.busy {
            return;
        }
        let said = if redo { marks.undone.pop() } else { marks.done.pop() };
        let test = self.evaluate.test().map(|test| test.id);
        let effect = match (said, test) {
            (Some(said), _) => Effect::Say { said, step: if redo { Step::Redo } else { Step::Undo } },
            // What was said before this session is known to the store.
            (None, Some(test)) if !redo => Effect::TakeBack { test },
            _ => return self.note(if redo { "no mark to put again" } else { "no mark of yours to take back" }, now),
        };
        self.evaluate.marks.busy = true;
        effects.push(AppEffect::Evaluate(effect));
    }

    /// A word is kept.
    pub(super) fn said(
        &mut self,
        said: &Said,
        before: Option<bool>,
        step: Step,
        now: Duration,
        effects: &mut Vec<AppEffect>,
    ) {
        let evaluate = &mut self.evaluate;
        let back = Said { word: before, ..said.clone() };
        evaluate.marks.busy = false;
        match step {
            Step::Say => {
                evaluate.marks.done.push(back);
                evaluate.marks.undone.clear();
            }
            Step::Undo => evaluate.marks.undone.push(back),
            Step::Redo => evaluate.marks.done.push(back),
        }
        evaluate.stale = true;
        let open = evaluate.row.as_ref().is_some_and(|row| evaluate.reading && row.place == said.at.place);
        let what = match (step, said.word) {
            (Step::Undo, _) if open => format!("taken back: {}", said.category),
            (Step::Undo, _) => format!("taken back: {} of row {} of the test set", said.category, said.at.place + 1),
            (_, Some(true)) => format!("marked: {}", said.category),
            (_, Some(false)) => format!("marked as free of {}", said.category),
            (_, None) => format!("the rules decide on {} again", said.category),
        };
        self.note(what, now);
        self.read_row(effects);
    }

    /// A word could not be kept: there is none to wait for.
    pub(in crate::app) fn marks_failed(&mut self) {
        self.evaluate.marks.busy = false;
    }
}
