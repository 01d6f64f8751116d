//! Presenting to an audience: one question at a time, and answers that were rehearsed are played back at the speed they were written,
//! with no model at hand.

use std::time::Duration;

use super::super::wish::Question;
use super::super::{App, Ask, Effect};
use super::{Compare, Mode};
use crate::keymap::Command;

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
    pub(super) playing: Option<(usize, Duration, usize)>,
    /// What is being recorded, and since when.
    pub(super) recording: Option<(Recording, Duration)>,
}

impl Presenter {
    /// Whether what is shown was rehearsed.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.playing.is_some()
    }
}

impl Compare {
    pub(in crate::app) fn wake(&self) -> Option<Duration> {
        let Mode::Present(Presenter { playing: Some((index, began, next)), .. }) = &self.mode else { return None };
        let (at, ..) = self.recordings.get(*index)?.events.get(*next)?;
        Some(*began + Duration::from_millis(*at))
    }

    /// The rehearsed answers to what is asked.
    pub(super) fn rehearsed(&self) -> Option<usize> {
        let question = self.question()?;
        let names = self.sides.clone().map(|system| system.name().to_owned());
        self.recordings.iter().rposition(|recording| recording.question == question && recording.systems == names)
    }

    /// Whether nothing of an answer is shown or on its way: the audience reads the question.
    fn is_quiet(&self) -> bool {
        let playing = matches!(&self.mode, Mode::Present(presenter) if presenter.is_playing());
        !playing && !self.is_busy() && self.answers.iter().all(|answer| answer.text.is_empty())
    }
}

impl App {
    /// Begins presenting: the question alone, until the presenter asks.
    pub(super) fn begin_presenting(&mut self, effects: &mut Vec<Effect>) {
        // The rest of an answer would stand there without its beginning.
        self.stop_answers(effects);
        effects.push(Effect::Store(Ask::Recordings));
        self.compare.mode = Mode::Present(Presenter::default());
        self.compare.answers = Default::default();
    }

    /// Rehearsed answers. Where all of them are another pair's, a presenter is told before the audience waits.
    pub(in crate::app) fn recordings(&mut self, recordings: Vec<Recording>, now: Duration) {
        self.compare.recordings = recordings;
        let names = self.compare.sides.clone().map(|system| system.name().to_owned());
        let all = &self.compare.recordings;
        let others = all.last().filter(|_| all.iter().all(|one| one.systems != names)).map(|one| one.systems.clone());
        if let (Mode::Present(_), Some([before, after])) = (&self.compare.mode, others) {
            let [leave, left, right] = [Command::PresentLeave, Command::CompareLeft, Command::CompareRight]
                .map(|command| self.keymap.first(command));
            let words = format!("rehearsed were {before} and {after}: {leave}, then {left} and {right} choose them");
            self.note(words, now);
        }
    }

    /// The answers to the question that stands there alone, else the next question.
    pub(super) fn present_next(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.compare.is_quiet() && self.compare.rehearsed().is_some() {
            self.ask(false, now, effects);
        } else {
            self.step_question(1, now, effects);
        }
    }

    /// Begins to play the rehearsed answers, where there are some and nobody wants others; else records those that come. Whether it
    /// plays.
    pub(super) fn play_or_record(&mut self, question: &Question, anew: bool, now: Duration) -> bool {
        let rehearsed = self.compare.rehearsed();
        let systems = self.compare.sides.clone().map(|system| system.name().to_owned());
        let Mode::Present(presenter) = &mut self.compare.mode else { return false };
        presenter.playing = rehearsed.filter(|_| !anew).map(|index| (index, now, 0));
        let recording = Recording { question: question.clone(), systems, events: Vec::new() };
        presenter.recording = presenter.playing.is_none().then_some((recording, now));
        presenter.is_playing()
    }

    /// Takes what a side writes into the recording, where one is made.
    pub(super) fn record(&mut self, side: usize, text: String, now: Duration) {
        if let Mode::Present(Presenter { recording: Some((recording, began)), .. }) = &mut self.compare.mode {
            let at = now.saturating_sub(*began).as_millis();
            recording.events.push((u64::try_from(at).unwrap_or(u64::MAX), side, text));
        }
    }

    /// Keeps a recording of whole answers.
    pub(super) fn keep_recording(&mut self, effects: &mut Vec<Effect>) {
        if let Mode::Present(presenter) = &mut self.compare.mode
            && let Some((recording, _)) = presenter.recording.take()
        {
            self.compare.recordings.push(recording.clone());
            effects.push(Effect::Store(Ask::Rehearsed(Box::new(recording))));
        }
    }

    /// Plays what is due of a rehearsed answer.
    pub(in crate::app) fn compare_woken(&mut self, now: Duration) -> bool {
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
}
