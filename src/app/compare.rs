//! The pane that compares: one question, two systems, their answers as they are written.
//!
//! Three ways to use it. Walking: question after question, with names, speeds and what differs from gold. Blind: the sides are
//! at random and have no names; a person picks, and the picks are kept. Presenting: one question at a time, large; answers
//! that were rehearsed are played back at the speed they were written, with no model at hand.

use std::collections::HashMap;
use std::time::Duration;

use super::overlay::{Choice, Purpose};
use super::wish::{Cell, Granted, How, Question, System, Wish};
use super::{App, Ask, Effect, Opened, Overlay};
use crate::evaluate::interval::{Interval, wilson95};
use crate::keymap::Command;

/// Answers that are kept for going back.
const KEPT: usize = 400;

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
    /// What was picked so far.
    pub score: Score,
    /// When the answers were both there.
    ready: Option<Duration>,
}

/// A question's answers as they were written once.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What was asked.
    pub question: Question,
    /// Who answered.
    pub systems: [String; 2],
    /// Milliseconds since it was asked, the side, and what it wrote then.
    pub events: Vec<(u64, usize, String)>,
}

/// Presenting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Presenter {
    /// The recording that is played, when it began, and its next event.
    playing: Option<(usize, Duration, usize)>,
    /// What is being recorded, and since when.
    recording: Option<(Recording, Duration)>,
}

impl Presenter {
    /// Whether what is shown was rehearsed.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.playing.is_some()
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
    pub scroll: u16,
    asked: Option<u64>,
    kept: HashMap<Key, [Answer; 2]>,
    ready: bool,
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

    pub(super) fn wake(&self) -> Option<Duration> {
        let Mode::Present(Presenter { playing: Some((index, began, next)), .. }) = &self.mode else { return None };
        let (at, ..) = self.recordings.get(*index)?.events.get(*next)?;
        Some(*began + Duration::from_millis(*at))
    }

    fn key(&self) -> Option<Key> {
        Some((self.question()?, self.shown_sides(), self.how.seed, self.how.temperature.to_bits()))
    }

    /// Draws the sides of a blind question: the same for the same question, so that going back shows the same.
    fn draw(&mut self) {
        let question = self.questions.get(self.at).copied().unwrap_or_default();
        if let Mode::Blind(blind) = &mut self.mode {
            blind.swapped = mixed(self.seed ^ question.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)) & 1 == 1;
            blind.ready = None;
        }
    }

    /// The rehearsed answers to what is asked.
    fn rehearsed(&self) -> Option<usize> {
        let question = self.question()?;
        let names = self.sides.clone().map(|system| system.name().to_owned());
        self.recordings.iter().rposition(|recording| recording.question == question && recording.systems == names)
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
    /// The pane is shown: who can answer may be others now.
    pub(super) fn compare_shown(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Store(Ask::Systems));
        if !self.compare.ready {
            effects.push(Effect::Store(Ask::Questions));
        }
    }

    /// Who can answer, the newest run last.
    pub(super) fn systems(&mut self, systems: Vec<System>) {
        let newest = systems.iter().rfind(|system| matches!(system, System::Run(name) if !name.contains('@'))).cloned();
        self.compare.systems = systems;
        if !self.compare.chosen
            && let Some(newest) = newest
        {
            self.compare.sides = [System::Base, newest];
        }
    }

    /// The records to walk through.
    pub(super) fn questions(&mut self, questions: Vec<i64>, effects: &mut Vec<Effect>) {
        self.compare.ready = true;
        self.compare.questions = questions;
        self.compare.at = self.compare.at.min(self.compare.questions.len().saturating_sub(1));
        effects.extend(self.compare.questions.get(self.compare.at).map(|id| Effect::Store(Ask::Open(*id))));
    }

    /// Rehearsed answers: the first question is played at once, as those after it are.
    pub(super) fn recordings(&mut self, recordings: Vec<Recording>, now: Duration) {
        let compare = &mut self.compare;
        compare.recordings = recordings;
        let rehearsed = compare.rehearsed();
        let names = compare.sides.clone().map(|system| system.name().to_owned());
        let others = compare.recordings.last().filter(|_| compare.recordings.iter().all(|one| one.systems != names));
        let others = others.map(|one| one.systems.clone());
        let Mode::Present(presenter) = &mut compare.mode else { return };
        let begun = compare.answers.iter().any(|answer| answer.begun);
        if presenter.playing.is_none() && compare.asked.is_none() && !begun {
            presenter.playing = rehearsed.map(|index| (index, now, 0));
        }
        if let Some([before, after]) = others {
            let [left, right] = [Command::CompareLeft, Command::CompareRight].map(|command| self.keymap.first(command));
            let leave = self.keymap.first(Command::PresentLeave);
            self.note(
                format!("rehearsed were {before} and {after}: {leave}, then {left} and {right} choose them"),
                now,
            );
        }
    }

    /// A record was read: perhaps the one that is asked.
    pub(super) fn compare_opened(&mut self, opened: &Opened) -> bool {
        let asked = self.compare.questions.get(self.compare.at) == Some(&opened.record.id);
        if asked {
            self.compare.open = Some(opened.clone());
        }
        asked && self.pane == super::Pane::Compare
    }

    /// A command of the pane.
    pub(super) fn compare_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        match command {
            C::CompareRun | C::PresentAgain => self.ask(true, now, effects),
            C::CompareNext | C::BlindSkip | C::PresentNext => self.step_question(1, now, effects),
            C::CompareBefore | C::BlindBefore | C::PresentBefore => self.step_question(-1, now, effects),
            C::CompareType => {
                let text = self.compare.typed.clone().unwrap_or_default();
                self.overlay = Some(Overlay::ask(Purpose::Prompt, "ask both".into(), &text, Vec::new()));
            }
            C::CompareLeft => self.choose_side(0),
            C::CompareRight => self.choose_side(1),
            C::CompareSwap => {
                self.compare.sides.swap(0, 1);
                self.compare.answers.swap(0, 1);
                self.compare.chosen = true;
                self.show_kept(now, effects);
            }
            C::CompareSeed => {
                self.compare.how.seed += 1;
                if self.compare.how.temperature == 0.0 {
                    self.compare.how.temperature = 0.8;
                }
                self.ask(true, now, effects);
            }
            C::CompareGreedy => {
                self.compare.how.temperature = 0.0;
                self.ask(false, now, effects);
            }
            C::CompareStop | C::BlindLeave | C::PresentLeave => self.leave_mode(now, effects),
            C::CompareScrollDown | C::BlindScrollDown => self.compare.scroll = self.compare.scroll.saturating_add(3),
            C::CompareScrollUp | C::BlindScrollUp => self.compare.scroll = self.compare.scroll.saturating_sub(3),
            C::CompareBlind => {
                if self.compare.questions.is_empty() {
                    self.note("blind judging walks through the test records: there are none", now);
                } else if self.compare.sides[0] == self.compare.sides[1] {
                    let [left, right] =
                        [Command::CompareLeft, Command::CompareRight].map(|command| self.keymap.first(command));
                    self.note(format!("both sides are the same: choose another with {left} or {right}"), now);
                } else {
                    self.compare.typed = None;
                    self.compare.mode = Mode::Blind(Blind::default());
                    self.show_kept(now, effects);
                }
            }
            C::BlindLeft => self.pick(Pick::Left, now, effects),
            C::BlindRight => self.pick(Pick::Right, now, effects),
            C::BlindTie => self.pick(Pick::Tie, now, effects),
            C::BlindBad => self.pick(Pick::Bad, now, effects),
            C::ComparePresent => {
                // What is still being written is not for the audience.
                if self.compare.asked.take().is_some() {
                    self.wish(Wish::Stop, effects);
                }
                effects.push(Effect::Store(Ask::Recordings));
                self.compare.mode = Mode::Present(Presenter::default());
                self.compare.answers = Default::default();
            }
            _ => {}
        }
    }

    /// The chosen side's system, chosen from a list.
    fn choose_side(&mut self, side: usize) {
        let items: Vec<String> = self.compare.systems.iter().map(System::label).collect();
        let at = self.compare.systems.iter().position(|system| *system == self.compare.sides[side]).unwrap_or(0);
        let title = format!("who answers {}", if side == 0 { "left" } else { "right" });
        self.overlay = Some(Overlay::Pick { choice: Choice::Side(side), title, items, at });
    }

    /// A side was chosen.
    pub(super) fn side_chosen(&mut self, side: usize, at: usize, now: Duration, effects: &mut Vec<Effect>) {
        if let (Some(system), Some(slot)) = (self.compare.systems.get(at), self.compare.sides.get_mut(side)) {
            *slot = system.clone();
            self.compare.chosen = true;
            self.show_kept(now, effects);
        }
    }

    /// A prompt was typed; an empty one goes back to the records.
    pub(super) fn typed(&mut self, text: String, now: Duration, effects: &mut Vec<Effect>) {
        self.compare.typed = (!text.trim().is_empty()).then_some(text);
        self.ask(false, now, effects);
    }

    fn step_question(&mut self, by: isize, now: Duration, effects: &mut Vec<Effect>) {
        let last = self.compare.questions.len().saturating_sub(1);
        let at = self.compare.at.saturating_add_signed(by).min(last);
        if at == self.compare.at && self.compare.typed.is_none() {
            self.note(if by > 0 { "this is the last question" } else { "this is the first question" }, now);
            return;
        }
        self.compare.typed = None;
        self.compare.at = at;
        self.compare.scroll = 0;
        effects.extend(self.compare.questions.get(at).map(|id| Effect::Store(Ask::Open(*id))));
        self.show_kept(now, effects);
    }

    /// Shows what was answered before, or asks.
    fn show_kept(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.compare.draw();
        self.ask(false, now, effects);
    }

    /// Asks both systems, unless their answers are kept and nobody wants them anew.
    fn ask(&mut self, anew: bool, now: Duration, effects: &mut Vec<Effect>) {
        let Some(key) = self.compare.key() else {
            let own = self.keymap.first(Command::CompareType);
            self.note(format!("there is no test record to ask; {own} takes a question of your own"), now);
            return;
        };
        self.compare.problem = None;
        self.compare.answers = Default::default();
        if self.compare.asked.take().is_some() {
            self.wish(Wish::Stop, effects);
        }
        let rehearsed = self.compare.rehearsed();
        if let Mode::Present(presenter) = &mut self.compare.mode {
            presenter.playing = rehearsed.filter(|_| !anew).map(|index| (index, now, 0));
            presenter.recording = None;
            if presenter.playing.is_some() {
                return;
            }
            let (question, systems) =
                (key.0.clone(), self.compare.sides.clone().map(|system| system.name().to_owned()));
            presenter.recording = Some((Recording { question, systems, events: Vec::new() }, now));
        } else if let Some(kept) = self.compare.kept.get(&key).filter(|_| !anew) {
            self.compare.answers = kept.clone();
            self.both_there(now);
            return;
        }
        let (question, sides, ..) = key;
        let cells = sides.map(|system| Cell { question: question.clone(), system, template: None, stream: 0 });
        let wish = Wish::Answer { cells: cells.to_vec(), how: self.compare.how };
        self.compare.asked = Some(self.wish(wish, effects));
    }

    /// What a companion answers to the pane.
    pub(super) fn compare_granted(&mut self, granted: &Granted, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let answers = &mut self.compare.answers;
        match granted.clone() {
            Granted::Begins { cell, adapter, checkpoint, prompt_tokens } => {
                if let Some(answer) = answers.get_mut(cell) {
                    (answer.begun, answer.adapter, answer.checkpoint) = (true, adapter, checkpoint);
                    answer.prompt_tokens = prompt_tokens;
                }
            }
            Granted::Text { cell, text } => {
                if let Some(answer) = answers.get_mut(cell) {
                    answer.text.push_str(&text);
                }
                if let Mode::Present(Presenter { recording: Some((recording, began)), .. }) = &mut self.compare.mode {
                    let at = now.saturating_sub(*began).as_millis();
                    recording.events.push((u64::try_from(at).unwrap_or(u64::MAX), cell, text));
                }
            }
            Granted::Apart { cell, difference } => {
                if let Some(answer) = answers.get_mut(cell) {
                    answer.apart = Some(difference);
                }
            }
            Granted::Done { cell, tokens, stop, seconds } => {
                if let Some(answer) = answers.get_mut(cell) {
                    answer.done = Some((tokens, stop, seconds));
                }
            }
            Granted::Ended => {
                self.compare.asked = None;
                self.keep_answers(now, effects);
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
    pub(super) fn is_compared(&self, number: u64) -> bool {
        self.compare.asked == Some(number)
    }

    /// Keeps answers that are whole.
    fn keep_answers(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if !self.compare.is_done() {
            return;
        }
        if let Mode::Present(presenter) = &mut self.compare.mode
            && let Some((recording, _)) = presenter.recording.take()
        {
            self.compare.recordings.push(recording.clone());
            effects.push(Effect::Store(Ask::Rehearsed(Box::new(recording))));
        }
        if self.compare.kept.len() >= KEPT {
            self.compare.kept.clear();
        }
        if let Some(key) = self.compare.key() {
            self.compare.kept.insert(key, self.compare.answers.clone());
        }
        self.both_there(now);
    }

    fn both_there(&mut self, now: Duration) {
        if let Mode::Blind(blind) = &mut self.compare.mode {
            blind.ready = Some(now);
        }
    }

    /// A person prefers something.
    fn pick(&mut self, pick: Pick, now: Duration, effects: &mut Vec<Effect>) {
        let done = self.compare.is_done();
        let systems = self.compare.answered_by();
        let record = self.compare.questions.get(self.compare.at).copied();
        let Mode::Blind(blind) = &mut self.compare.mode else { return };
        if !done {
            self.note("wait until both have answered", now);
            return;
        }
        let place = match (pick, blind.swapped) {
            (Pick::Left, false) | (Pick::Right, true) => 0,
            (Pick::Right, false) | (Pick::Left, true) => 1,
            (Pick::Tie, _) => 2,
            (Pick::Bad, _) => 3,
        };
        blind.score.counts[place] += 1;
        let seconds = blind.ready.map_or(0.0, |ready| now.saturating_sub(ready).as_secs_f64());
        let [left, right] = &self.compare.answers;
        let question = self.compare.record().map(super::asked_text).unwrap_or_default();
        let answers = [left.text.clone(), right.text.clone()];
        effects.push(Effect::Store(Ask::Judge(Box::new(Judged { record, question, systems, answers, pick, seconds }))));
        if self.compare.at + 1 < self.compare.questions.len() {
            self.step_question(1, now, effects);
        } else {
            self.leave_mode(now, effects);
        }
    }

    /// Leaves blind judging with its result, presenting, or stops what is being written.
    fn leave_mode(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let busy = self.compare.asked.take().is_some();
        if busy {
            self.wish(Wish::Stop, effects);
        }
        match std::mem::take(&mut self.compare.mode) {
            Mode::Blind(blind) => {
                if blind.score.all() > 0 {
                    self.overlay = Some(Overlay::Score {
                        systems: self.compare.sides.clone().map(|system| system.name().to_owned()),
                        score: blind.score,
                    });
                }
                if blind.swapped {
                    self.compare.answers.swap(0, 1);
                }
            }
            Mode::Present(_) => self.compare.answers = Default::default(),
            Mode::Walk if busy => self.note("stopped", now),
            Mode::Walk => {}
        }
    }

    /// Plays what is due of a rehearsed answer.
    pub(super) fn compare_woken(&mut self, now: Duration) -> bool {
        let mut changed = false;
        let Mode::Present(Presenter { playing, .. }) = &mut self.compare.mode else { return false };
        let Some((index, began, next)) = playing else { return false };
        let Some(recording) = self.compare.recordings.get(*index) else { return false };
        while let Some((at, side, text)) = recording.events.get(*next) {
            if now < *began + Duration::from_millis(*at) {
                return changed;
            }
            if let Some(answer) = self.compare.answers.get_mut(*side) {
                answer.begun = true;
                answer.text.push_str(text);
            }
            *next += 1;
            changed = true;
        }
        changed
    }

    /// What copying takes: the right side's answer.
    pub(super) fn compare_copied(&self) -> Option<String> {
        Some(self.compare.answers[1].text.clone()).filter(|text| !text.is_empty())
    }
}
