//! The pane that compares: one question, two systems, their answers as they are written.
//!
//! Three ways to use it. Walking: question after question, with names, speeds and what differs from gold. Blind (`blind`): the
//! sides are at random and have no names; a person picks, and the picks are kept. Presenting (`present`): one question at a
//! time, large; answers that were rehearsed are played back at the speed they were written, with no model at hand.

mod blind;
mod command;
mod present;

use std::collections::HashMap;
use std::time::Duration;

pub use blind::{Blind, Judged, Pick, Score};
pub use present::{Presenter, Recording};

use super::scroll::Scroll;
use super::wish::{Cell, Granted, How, Question, System, Told, Wish};
use super::{App, Ask, Effect, Opened};
use crate::keymap::Command;

/// Answers that are kept for going back.
const KEPT: usize = 400;
/// What is said to a key that comes before the test records do.
const READING: &str = "the test records are still being read";

/// An answer as far as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What is written so far.
    pub text: String,
    /// Whether it is known who answers.
    pub begun: bool,
    /// The adapter's fingerprint; none for the base.
    pub adapter: Option<String>,
    /// The checkpoint's folder name.
    pub checkpoint: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How far its logits are from the left side's at the first token.
    pub apart: Option<f32>,
    /// Tokens, why it ended, and seconds, once it is done.
    pub done: Option<(usize, String, f64)>,
}

impl Answer {
    /// Two answers on each other's side. How far their logits are apart is said of the right one, whichever that is.
    fn mirrored([mut left, mut right]: [Self; 2]) -> [Self; 2] {
        std::mem::swap(&mut left.apart, &mut right.apart);
        [right, left]
    }
}

/// How the pane is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Mode {
    /// Question after question.
    #[default]
    Walk,
    /// Judging without names.
    Blind(Blind),
    /// For an audience.
    Present(Presenter),
}

/// What answers depend on: the question, who answers left and right, the seed and the bits of the temperature.
type Key = (Question, [System; 2], u64, u64);

/// The pane.
#[derive(Debug, Default)]
pub struct Compare {
    /// Who can answer: the base, runs, checkpoints of runs.
    pub systems: Vec<System>,
    /// Who answers, left and right.
    pub sides: [System; 2],
    /// Records to walk through.
    pub questions: Vec<i64>,
    /// Which of them.
    pub at: usize,
    /// What was typed in place of a record.
    pub typed: Option<String>,
    /// The record that is asked.
    pub open: Option<Opened>,
    /// The two answers.
    pub answers: [Answer; 2],
    /// Why there are none.
    pub problem: Option<String>,
    /// How the answers are generated.
    pub how: How,
    /// How the pane is used.
    pub mode: Mode,
    /// Rehearsed answers.
    pub recordings: Vec<Recording>,
    /// What the sides of blind questions are drawn from.
    pub seed: u64,
    /// Lines scrolled.
    pub scroll: Scroll,
    /// The number of the question that is being answered, and what its answers depend on.
    asked: Option<(u64, Key)>,
    /// Whole answers.
    kept: HashMap<Key, [Answer; 2]>,
    /// Whether the test records have come.
    ready: bool,
    /// Whether a person has said who answers.
    chosen: bool,
}

impl Compare {
    /// What is asked.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        match &self.typed {
            Some(text) => Some(Question::Typed(text.clone())),
            None => self.questions.get(self.at).map(|id| Question::Record(*id)),
        }
    }

    /// Whether answers are being written.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.asked.is_some()
    }

    /// The systems as the screen's sides have them.
    #[must_use]
    pub fn shown_sides(&self) -> [System; 2] {
        let [left, right] = self.sides.clone();
        match &self.mode {
            Mode::Blind(blind) if blind.swapped => [right, left],
            _ => [left, right],
        }
    }

    /// Who has answered left and right, by a name that stays true: of a run in progress the checkpoint that it wrote.
    fn answered_by(&self) -> [String; 2] {
        let [left, right] = self.shown_sides();
        let name = |system: System, answer: &Answer| {
            let step = answer.checkpoint.as_deref().and_then(|folder| folder.strip_prefix("step-"));
            match (system.name().strip_suffix("now"), step.and_then(|step| step.parse::<u64>().ok())) {
                (Some(run), Some(step)) if system.is_moving() => format!("{run}{step}"),
                _ => system.name().to_owned(),
            }
        };
        [name(left, &self.answers[0]), name(right, &self.answers[1])]
    }

    /// Whether both answers are there.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.answers.iter().all(|answer| answer.done.is_some())
    }

    /// The record that is asked, where there is one.
    #[must_use]
    pub fn record(&self) -> Option<&Opened> {
        let id = self.questions.get(self.at).filter(|_| self.typed.is_none())?;
        self.open.as_ref().filter(|open| open.record.id == *id)
    }

    /// Its answers do not come any more.
    pub(in crate::app) fn forget_asked(&mut self) {
        self.asked = None;
    }

    fn key(&self) -> Option<Key> {
        // The likeliest answer is the same whatever the seed.
        let seed = if self.how.temperature > 0.0 { self.how.seed } else { 0 };
        Some((self.question()?, self.shown_sides(), seed, self.how.temperature.to_bits()))
    }

    /// What was answered before, on whichever side each system was.
    fn kept(&self, key: &Key) -> Option<[Answer; 2]> {
        let (question, [left, right], seed, temperature) = key;
        let mirrored = || (question.clone(), [right.clone(), left.clone()], *seed, *temperature);
        let answers = self.kept.get(key).cloned();
        answers.or_else(|| self.kept.get(&mirrored()).cloned().map(Answer::mirrored))
    }

    /// Puts the answers on each other's side.
    fn mirror(&mut self) {
        self.answers = Answer::mirrored(std::mem::take(&mut self.answers));
    }
}

impl App {
    /// Who can answer, the newest run last. Unless a person has chosen, base and the newest run do.
    pub(in crate::app) fn systems(&mut self, systems: Vec<System>, effects: &mut Vec<Effect>) {
        if let Some(overlay) = &mut self.overlay {
            overlay.systems(&systems);
        }
        let newest = systems.iter().rfind(|system| system.is_run()).cloned();
        self.compare.systems = systems;
        let walking = self.compare.mode == Mode::Walk;
        if let Some(newest) =
            newest.filter(|newest| walking && !self.compare.chosen && self.compare.sides[1] != *newest)
        {
            // What another run has answered must not stand under this one's name.
            self.stop_answers(effects);
            (self.compare.answers, self.compare.problem) = (Default::default(), None);
            self.compare.sides = [System::Base, newest];
        }
    }

    /// The records to walk through; the one that is shown stays.
    pub(in crate::app) fn questions(&mut self, questions: Vec<i64>, effects: &mut Vec<Effect>) {
        let shown = self.compare.questions.get(self.compare.at).copied();
        let at = shown.and_then(|shown| questions.iter().position(|id| *id == shown));
        if shown.is_some() && at.is_none() && self.compare.typed.is_none() {
            // Its record is no test record any more, and its answers are to no other.
            self.stop_answers(effects);
            self.compare.answers = Default::default();
        }
        self.compare.ready = true;
        self.compare.questions = questions;
        self.compare.at = at.unwrap_or(self.compare.at).min(self.compare.questions.len().saturating_sub(1));
        effects.extend(self.compare.questions.get(self.compare.at).map(|id| Effect::Store(Ask::Open(*id))));
    }

    /// A record was read: perhaps the one that is asked.
    pub(in crate::app) fn compare_opened(&mut self, opened: &Opened) -> bool {
        let asked = self.compare.questions.get(self.compare.at) == Some(&opened.record.id);
        if asked {
            self.compare.open = Some(opened.clone());
        }
        asked && self.pane == super::Pane::Compare
    }

    /// Asks both systems, unless their answers are kept and nobody wants them anew.
    fn ask(&mut self, anew: bool, now: Duration, effects: &mut Vec<Effect>) {
        let Some(key) = self.compare.key() else {
            if !self.compare.ready {
                return self.note(READING, now);
            }
            let own = self.keymap.first(Command::CompareType);
            self.note(format!("there is no test record to ask; {own} takes a question of your own"), now);
            return;
        };
        self.compare.problem = None;
        self.compare.answers = Default::default();
        self.stop_answers(effects);
        if self.play_or_record(&key.0, anew, now) {
            return;
        }
        let presenting = matches!(self.compare.mode, Mode::Present(_));
        if let Some(kept) = self.compare.kept(&key).filter(|_| !anew && !presenting) {
            self.compare.answers = kept;
            self.both_there(now);
            return;
        }
        let (question, sides, ..) = key.clone();
        let cells = sides.map(|system| Cell { question: question.clone(), system, template: None, stream: 0 });
        let wish = Wish::Answer { cells: cells.to_vec(), how: self.compare.how };
        self.compare.asked = Some((self.wish(wish, effects), key));
    }

    /// No more of the answers that are on their way; whether there were any.
    fn stop_answers(&mut self, effects: &mut Vec<Effect>) -> bool {
        let busy = self.compare.asked.take().is_some();
        if busy {
            self.wish(Wish::Stop, effects);
        }
        busy
    }

    /// What a companion answers to the pane.
    pub(in crate::app) fn compare_granted(
        &mut self,
        granted: &Granted,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let answers = &mut self.compare.answers;
        match granted.clone() {
            Granted::Told(Told::Begins { cell, adapter, checkpoint, prompt_tokens }) => {
                if let Some(answer) = answers.get_mut(cell) {
                    (answer.begun, answer.adapter, answer.checkpoint) = (true, adapter, checkpoint);
                    answer.prompt_tokens = prompt_tokens;
                }
            }
            Granted::Told(Told::Text { cell, text }) => {
                if let Some(answer) = answers.get_mut(cell) {
                    answer.text.push_str(&text);
                }
                self.record(cell, text, now);
            }
            Granted::Told(Told::Apart { cell, difference }) => {
                if let Some(answer) = answers.get_mut(cell) {
                    answer.apart = Some(difference);
                }
            }
            Granted::Told(Told::Done { cell, tokens, stop, seconds }) => {
                if let Some(answer) = answers.get_mut(cell) {
                    answer.done = Some((tokens, stop, seconds));
                }
            }
            Granted::Ended => {
                if let Some((_, key)) = self.compare.asked.take() {
                    self.keep_answers(key, now, effects);
                }
            }
            Granted::Failed(why) => {
                self.compare.asked = None;
                self.compare.problem = Some(why);
            }
            _ => return false,
        }
        true
    }

    /// Whether a companion's answer is one to the pane's question.
    pub(in crate::app) fn is_compared(&self, number: u64) -> bool {
        self.compare.asked.as_ref().is_some_and(|(asked, _)| *asked == number)
    }

    /// Keeps answers that are whole.
    fn keep_answers(&mut self, key: Key, now: Duration, effects: &mut Vec<Effect>) {
        if !self.compare.is_done() {
            return;
        }
        self.keep_recording(effects);
        if self.compare.kept.len() >= KEPT {
            self.compare.kept.clear();
        }
        self.compare.kept.insert(key, self.compare.answers.clone());
        self.both_there(now);
    }

    /// What copying takes: the right side's answer.
    pub(in crate::app) fn compare_copied(&self) -> Option<String> {
        Some(self.compare.answers[1].text.clone()).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
pub(in crate::app) mod tests;
