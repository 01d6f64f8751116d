//! What the commands of the pane do, in each way of using it.

use std::time::Duration;

use super::super::overlay::{Choice, Purpose};
use super::super::wish::System;
use super::super::{App, Ask, Effect, Overlay};
use super::{Mode, Pick};
use crate::keymap::Command;

/// Lines that one scroll goes.
const SCROLL: i32 = 3;
/// The temperature at which a question is asked again with another seed.
const TEMPERATURE: f64 = 0.8;

impl App {
    /// A command of the pane.
    pub(in crate::app) fn compare_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        match command {
            C::CompareRun | C::PresentAgain => self.ask(true, now, effects),
            C::PresentNext => self.present_next(now, effects),
            C::CompareNext | C::BlindSkip => self.step_question(1, now, effects),
            C::CompareBefore | C::BlindBefore | C::PresentBefore => self.step_question(-1, now, effects),
            C::CompareType => {
                let text = self.compare.typed.clone().unwrap_or_default();
                let title = "ask both (empty: back to the test records)".to_owned();
                self.overlay = Some(Overlay::ask(Purpose::Prompt, title, &text, Vec::new()));
            }
            C::CompareLeft => self.choose_side(0),
            C::CompareRight => self.choose_side(1),
            C::CompareSwap => {
                self.compare.sides.swap(0, 1);
                self.compare.chosen = true;
                self.show_kept(now, effects);
            }
            C::CompareSeed => {
                self.compare.how.seed += 1;
                if self.compare.how.temperature == 0.0 {
                    self.compare.how.temperature = TEMPERATURE;
                }
                self.ask(true, now, effects);
            }
            C::CompareGreedy => {
                self.compare.how.temperature = 0.0;
                self.ask(false, now, effects);
            }
            C::CompareStop | C::BlindLeave | C::PresentLeave => self.leave_mode(now, effects),
            C::CompareScrollDown | C::BlindScrollDown => self.compare.scroll.by(SCROLL),
            C::CompareScrollUp | C::BlindScrollUp => self.compare.scroll.by(-SCROLL),
            C::CompareBlind => self.begin_blind(now, effects),
            C::BlindLeft => self.pick(Pick::Left, now, effects),
            C::BlindRight => self.pick(Pick::Right, now, effects),
            C::BlindTie => self.pick(Pick::Tie, now, effects),
            C::BlindBad => self.pick(Pick::Bad, now, effects),
            C::ComparePresent => self.begin_presenting(effects),
            _ => {}
        }
    }

    /// The chosen side's system, chosen from a list.
    fn choose_side(&mut self, side: usize) {
        let systems = self.compare.systems.clone();
        let items: Vec<String> = systems.iter().map(System::label).collect();
        let at = systems.iter().position(|system| *system == self.compare.sides[side]).unwrap_or(0);
        let title = format!("who answers {}", if side == 0 { "left" } else { "right" });
        self.overlay = Some(Overlay::Pick { choice: Choice::Side(side, systems), title, items, at });
    }

    /// A side was chosen.
    pub(in crate::app) fn side_chosen(
        &mut self,
        side: usize,
        system: System,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(slot) = self.compare.sides.get_mut(side) {
            *slot = system;
            self.compare.chosen = true;
            self.show_kept(now, effects);
        }
    }

    /// A prompt was typed; an empty one goes back to the records.
    pub(in crate::app) fn typed(&mut self, text: String, now: Duration, effects: &mut Vec<Effect>) {
        let typed = (!text.trim().is_empty()).then_some(text);
        // Nothing was typed, and nothing had been: nobody asked for answers.
        if typed.is_none() && self.compare.typed.is_none() {
            return;
        }
        self.compare.typed = typed;
        self.compare.scroll.home();
        self.ask(false, now, effects);
    }

    /// Goes `by` questions on and asks the one that is there then.
    pub(super) fn step_question(&mut self, by: isize, now: Duration, effects: &mut Vec<Effect>) {
        let last = self.compare.questions.len().saturating_sub(1);
        let at = self.compare.at.saturating_add_signed(by).min(last);
        if at == self.compare.at && self.compare.typed.is_none() {
            self.note(if by > 0 { "this is the last question" } else { "this is the first question" }, now);
            return;
        }
        self.compare.typed = None;
        self.compare.at = at;
        self.compare.scroll.home();
        effects.extend(self.compare.questions.get(at).map(|id| Effect::Store(Ask::Open(*id))));
        self.show_kept(now, effects);
    }

    /// Shows what was answered before, or asks.
    pub(super) fn show_kept(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.compare.draw();
        self.ask(false, now, effects);
    }

    /// Leaves blind judging with its result, presenting, or stops what is being written.
    pub(super) fn leave_mode(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let busy = self.stop_answers(effects);
        match std::mem::take(&mut self.compare.mode) {
            Mode::Blind(blind) => self.end_blind(&blind),
            Mode::Present(_) => self.compare.answers = Default::default(),
            Mode::Walk if busy => self.note("stopped", now),
            Mode::Walk => {}
        }
    }
}
