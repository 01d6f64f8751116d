//! Judging blind: the sides are at random and have no names, a person picks, and every pick is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{App, Ask, Effect, Opened, Overlay, record};
use super::{Compare, Mode};
use crate::evaluate::interval::{Interval, wilson95};
use crate::keymap::Command;

/// What a person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// They are as good.
    Tie,
    /// Neither will do.
    Bad,
}

impl Pick {
    /// The word that is stored.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Tie => "tie",
            Self::Bad => "bad",
        }
    }
}

/// A pick as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The record, where the question was one.
    pub record: Option<i64>,
    /// What was asked.
    pub question: String,
    /// Who answered left and right.
    pub systems: [String; 2],
    /// What they answered.
    pub answers: [String; 2],
    /// What was preferred.
    pub pick: Pick,
    /// Seconds the person took.
    pub seconds: f64,
}

/// What blind picks come to for the pane's two systems, whichever side they were on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// How often the first was preferred, the second, neither because both were good, and neither because both were bad.
    pub counts: [usize; 4],
}

impl Score {
    /// The share of decided picks in which the second system was preferred, with its interval at 95 %.
    #[must_use]
    pub fn second(&self) -> (f64, Interval) {
        let [first, second, ..] = self.counts;
        let decided = first + second;
        (second as f64 / decided.max(1) as f64, wilson95(second, decided))
    }

    /// Picks in all.
    #[must_use]
    pub fn all(&self) -> usize {
        self.counts.iter().sum()
    }
}

/// Judging blind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blind {
    /// Whether the two systems have changed sides for the question that is shown.
    pub swapped: bool,
    /// What was picked so far; of a question that was picked on twice, the newer pick.
    pub score: Score,
    /// Which of the score's counts each question went to.
    picked: BTreeMap<i64, usize>,
    /// When the answers were both there.
    pub(super) ready: Option<Duration>,
}

impl Blind {
    /// Counts a pick on a question, in place of an earlier one on it.
    fn count(&mut self, question: i64, place: usize) {
        if let Some(before) = self.picked.insert(question, place)
            && let Some(count) = self.score.counts.get_mut(before)
        {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.score.counts.get_mut(place) {
            *count += 1;
        }
    }
}

impl Compare {
    /// Draws the sides of a blind question: the same for the same question, so that going back shows the same.
    pub(super) fn draw(&mut self) {
        let question = self.questions.get(self.at).copied().unwrap_or_default();
        if let Mode::Blind(blind) = &mut self.mode {
            blind.swapped = mixed(self.seed ^ question.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)) & 1 == 1;
            blind.ready = None;
        }
    }
}

/// Spreads a number's bits (the finaliser of `SplitMix64`, Steele et al. 2014).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl App {
    /// Begins judging, at the question that is shown.
    pub(super) fn begin_blind(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.compare.questions.is_empty() {
            self.note("blind judging walks through the test records: there are none", now);
        } else if self.compare.sides[0] == self.compare.sides[1] {
            let (left, right) = (self.keymap.first(Command::CompareLeft), self.keymap.first(Command::CompareRight));
            self.note(format!("both sides are the same: choose another with {left} or {right}"), now);
        } else {
            self.compare.typed = None;
            self.compare.mode = Mode::Blind(Blind::default());
            self.show_kept(now, effects);
        }
    }

    /// Both answers are there: from now on a person decides.
    pub(super) fn both_there(&mut self, now: Duration) {
        if let Mode::Blind(blind) = &mut self.compare.mode {
            blind.ready = Some(now);
        }
    }

    /// A person prefers something.
    pub(super) fn pick(&mut self, pick: Pick, now: Duration, effects: &mut Vec<Effect>) {
        let (done, busy) = (self.compare.is_done(), self.compare.is_busy());
        let systems = self.compare.answered_by();
        let record = self.compare.questions.get(self.compare.at).copied();
        let Mode::Blind(blind) = &mut self.compare.mode else { return };
        if !done {
            let words = if busy {
                "wait until both have answered".to_owned()
            } else {
                let key = self.keymap.first(Command::BlindSkip);
                format!("there are no two answers to judge; {key} goes on to the next question")
            };
            self.note(words, now);
            return;
        }
        let place = match (pick, blind.swapped) {
            (Pick::Left, false) | (Pick::Right, true) => 0,
            (Pick::Right, false) | (Pick::Left, true) => 1,
            (Pick::Tie, _) => 2,
            (Pick::Bad, _) => 3,
        };
        blind.count(record.unwrap_or_default(), place);
        let seconds = blind.ready.map_or(0.0, |ready| now.saturating_sub(ready).as_secs_f64());
        let [left, right] = &self.compare.answers;
        let question = self.compare.record().map(asked_text).unwrap_or_default();
        let answers = [left.text.clone(), right.text.clone()];
        effects.push(Effect::Store(Ask::Judge(Box::new(Judged { record, question, systems, answers, pick, seconds }))));
        if self.compare.at + 1 < self.compare.questions.len() {
            self.step_question(1, now, effects);
        } else {
            self.leave_mode(now, effects);
        }
    }

    /// Ends judging: the result is shown, where there is one, and the sides have their names again.
    pub(super) fn end_blind(&mut self, blind: &Blind) {
        if blind.score.all() > 0 {
            let systems = self.compare.sides.clone().map(|system| system.name().to_owned());
            self.overlay = Some(Overlay::Score { systems, score: blind.score });
        }
        if blind.swapped {
            self.compare.mirror();
        }
    }
}

/// What a record asks, as one text: everything but its answer.
fn asked_text(open: &Opened) -> String {
    let state = &open.record.state;
    let answer = record::answer(state);
    let asked =
        record::parts(state).into_iter().filter(|part| part.place != answer && part.place != record::Place::Draft);
    asked.map(|part| part.text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}
