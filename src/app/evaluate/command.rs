//! What the commands of the pane do.

use std::time::Duration;

use super::super::overlay::{self, Purpose};
use super::super::wish::System;
use super::super::{App, Effect as AppEffect, Overlay};
use super::{Choice, Effect};
use crate::job::Request;
use crate::keymap::Command;

/// Lines that one scroll goes.
const SCROLL: i32 = 3;
/// Rows of a page.
const PAGE: usize = 10;

impl App {
    /// A command of the pane.
    pub(in crate::app) fn evaluate_command(&mut self, command: Command, now: Duration, effects: &mut Vec<AppEffect>) {
        use Command as C;
        let at = self.evaluate.at;
        let evaluate = &mut self.evaluate;
        match command {
            C::EvaluateDown | C::RowNext => self.go_to_row(at.saturating_add(1), now, effects),
            C::EvaluateUp | C::RowBefore => self.go_to_row(at.saturating_sub(1), now, effects),
            C::EvaluatePageDown => self.go_to_row(at.saturating_add(PAGE), now, effects),
            C::EvaluatePageUp => self.go_to_row(at.saturating_sub(PAGE), now, effects),
            C::EvaluateTop => self.go_to_row(0, now, effects),
            C::EvaluateBottom => self.go_to_row(usize::MAX, now, effects),
            C::EvaluateList => self.turn_list(1),
            C::EvaluateListBefore => self.turn_list(super::List::ALL.len() - 1),
            C::EvaluateOpen => self.open_row(now, effects),
            C::EvaluateTable => {
                evaluate.errors = !evaluate.errors;
                evaluate.scroll.home();
            }
            C::EvaluateScrollDown | C::RowScrollDown => evaluate.scroll.by(SCROLL),
            C::EvaluateScrollUp | C::RowScrollUp => evaluate.scroll.by(-SCROLL),
            C::EvaluateAgain if evaluate.test().is_none() => self.none_yet(now),
            C::EvaluateAgain => evaluate.stale = true,
            C::EvaluateTest => self.choose_test(now),
            C::EvaluateSystems => self.choose_systems(0, now),
            C::EvaluatePair => self.choose_pair(now),
            C::EvaluateStart => self.ask_start(now),
            C::EvaluateStop | C::EvaluatePause => match evaluate.live() {
                Some(job) => {
                    let (request, words) = match (command, job.is_paused()) {
                        (C::EvaluateStop, _) => (Request::Stop, "ends after what it is at; what is answered stays"),
                        (_, false) => (Request::Pause, "waits after what it is at"),
                        (_, true) => (Request::Resume, "goes on"),
                    };
                    let name = job.name.clone();
                    self.note(format!("evaluation {name} {words}"), now);
                    effects.push(AppEffect::Evaluate(Effect::Control { name, request }));
                }
                None => self.note("no evaluation runs", now),
            },
            C::RowLeave => {
                evaluate.reading = false;
                evaluate.scroll.home();
            }
            C::RowAnswer => self.turn_answer(1),
            C::RowAnswerBefore => {
                let answers = self.evaluate.row.as_ref().map_or(1, |row| row.answers.len());
                self.turn_answer(answers.saturating_sub(1));
            }
            C::RowMark => self.choose_error(now),
            _ => {}
        }
    }

    fn turn_answer(&mut self, by: usize) {
        let answers = self.evaluate.row.as_ref().map_or(0, |row| row.answers.len());
        self.evaluate.focus = (self.evaluate.focus + by) % answers.max(1);
    }

    fn choose(&mut self, choice: Choice, title: &str, items: Vec<String>, at: usize) {
        let (choice, title) = (overlay::Choice::Evaluate(choice), title.to_owned());
        self.overlay = Some(Overlay::Pick { choice, title, items, at });
    }

    fn choose_test(&mut self, now: Duration) {
        if self.evaluate.tests.is_empty() {
            return self.none_yet(now);
        }
        let shown = self.evaluate.test().map(|test| test.id);
        // The newest first.
        let tests = self.evaluate.tests.iter().rev();
        let at = tests.clone().position(|test| Some(test.id) == shown).unwrap_or(0);
        let items = tests.map(|test| {
            let systems =
                if test.systems.len() == 1 { "1 system".into() } else { format!("{} systems", test.systems.len()) };
            format!("{}, {} rows, {systems}", test.name, test.rows)
        });
        let items = items.collect();
        self.choose(Choice::Test, "the test set", items, at);
    }

    fn choose_systems(&mut self, at: usize, now: Duration) {
        let Some(test) = self.evaluate.test() else { return self.none_yet(now) };
        let chosen = self.evaluate.systems();
        let items = test.systems.iter().map(|system| {
            let mark = if chosen.contains(&system) { "x" } else { " " };
            format!("[{mark}] {}  {} of {}", system.name, system.answered, test.asked)
        });
        let items = items.collect();
        self.choose(Choice::System, "who is compared", items, at);
    }

    fn choose_pair(&mut self, now: Duration) {
        let Some(report) = self.evaluate.report.as_deref().filter(|report| report.pairs.len() > 1) else {
            let words = if self.evaluate.report.is_some() {
                "there are no other two systems"
            } else {
                "there is no report yet"
            };
            return self.note(words, now);
        };
        let at = self.evaluate.pair().and_then(|pair| report.pairs.iter().position(|other| other == pair));
        let items = report.pairs.iter().map(|pair| format!("{}, then {}", pair.first, pair.second)).collect();
        self.choose(Choice::Pair, "whose rows", items, at.unwrap_or(0));
    }

    fn none_yet(&mut self, now: Duration) {
        let key = self.keymap.first(Command::EvaluateStart);
        self.note(format!("no system has answered a test yet; {key} measures some"), now);
    }

    /// What was chosen from a list.
    pub(in crate::app) fn evaluate_chosen(
        &mut self,
        choice: &Choice,
        at: usize,
        now: Duration,
        effects: &mut Vec<AppEffect>,
    ) {
        let evaluate = &mut self.evaluate;
        match choice {
            Choice::Test => {
                let newest_first = evaluate.tests.len().checked_sub(at + 1);
                if let Some(test) = newest_first.and_then(|at| evaluate.tests.get(at)) {
                    evaluate.test = Some(test.id);
                    (evaluate.pair, evaluate.at) = (None, 0);
                    evaluate.scroll.home();
                }
            }
            Choice::System => {
                let Some(test) = evaluate.test() else { return };
                let (id, one) = (test.id, test.systems.get(at).map(|system| system.id));
                let mut chosen: Vec<i64> = evaluate.systems().iter().map(|system| system.id).collect();
                match one {
                    Some(one) if chosen.len() > 1 => chosen.retain(|other| *other != one),
                    Some(one) if chosen == [one] => self.note("one system at least is shown", now),
                    _ => {}
                }
                let evaluate = &mut self.evaluate;
                if let Some(one) = one
                    && !evaluate.systems().iter().any(|system| system.id == one)
                {
                    chosen.push(one);
                }
                evaluate.chosen.insert(id, chosen);
                // Several are chosen one after the other.
                self.choose_systems(at, now);
            }
            Choice::Pair => {
                let pair = evaluate.report.as_deref().and_then(|report| report.pairs.get(at));
                evaluate.pair = pair.map(|pair| (pair.first.clone(), pair.second.clone()));
                evaluate.at = 0;
            }
            Choice::Error(answer) => self.error_chosen(*answer, at, effects),
        }
    }

    /// Asks for the arguments of an evaluation, with the likeliest written.
    fn ask_start(&mut self, now: Duration) {
        if self.evaluate.starting {
            return self.note("an evaluation is being started", now);
        }
        let runs = self.compare.systems.iter().rev().filter_map(|system| match system {
            System::Run(name) => Some(format!("--run {name}")),
            System::Base => None,
        });
        // Whole runs before their checkpoints.
        let (mut asked, checkpoints): (Vec<String>, Vec<String>) = runs.partition(|words| !words.contains('@'));
        asked.extend(checkpoints);
        asked.push("--system base --system base,examples=4".into());
        let test = self.evaluate.test().map(|test| test.id);
        let frozen = test.into_iter().flat_map(|id| asked.iter().map(move |words| format!("--test {id} {words}")));
        let suggestions: Vec<String> = frozen.chain(asked.iter().cloned()).collect();
        let line = suggestions.first().cloned().unwrap_or_default();
        let title = "togi eval --background ...".to_owned();
        self.overlay = Some(Overlay::ask(Purpose::Evaluate, title, "", suggestions));
        if let Some(Overlay::Ask(asked)) = &mut self.overlay {
            asked.field.insert(&line);
        }
    }

    /// The arguments were written: begins.
    pub(in crate::app) fn start_evaluation(&mut self, line: &str, now: Duration, effects: &mut Vec<AppEffect>) {
        match words(line) {
            Ok(words) => {
                let words = words.strip_prefix(&["togi".to_owned(), "eval".to_owned()]).map_or(&words[..], |rest| rest);
                self.evaluate.starting = true;
                effects.push(AppEffect::Evaluate(Effect::Start(words.to_vec())));
            }
            Err(why) => self.trouble(why, now),
        }
    }
}

/// The words of a line as a shell would take them: quotes keep blanks, a backslash keeps the next letter.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote in the line is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_line_is_read_as_a_shell_reads_it() {
        let of = |line: &str| words(line).unwrap_or_default();
        assert_eq!(of("--run  a1　--rows 3"), ["--run", "a1", "--rows", "3"]);
        assert_eq!(
            of("--system 'base,name=with four' \"a b\"c \\'x ''"),
            ["--system", "base,name=with four", "a bc", "'x", ""]
        );
        assert!(words("--data 'test.jsonl").is_err());
    }
}
