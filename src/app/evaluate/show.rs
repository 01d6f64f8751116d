//! What is shown of a report: the cursor over its rows, and the row that is open.

use std::time::Duration;

use super::super::{App, Effect as AppEffect};
use super::{Effect, List, Report, Row};

impl App {
    /// A report is there, or the reason why not. The cursor stays on its row.
    pub(super) fn reported(&mut self, result: Result<Box<Report>, String>) {
        let evaluate = &mut self.evaluate;
        let place = evaluate.current().map(|row| row.place);
        match result {
            Ok(report) => (evaluate.report, evaluate.problem) = (Some(report), None),
            Err(why) => (evaluate.report, evaluate.problem) = (None, Some(why)),
        }
        let at = place.and_then(|place| evaluate.rows(evaluate.list).iter().position(|row| row.place == place));
        evaluate.at = at.unwrap_or(evaluate.at);
        if evaluate.rows(evaluate.list).is_empty()
            && !evaluate.reading
            && let Some(list) = List::ALL.into_iter().find(|list| !evaluate.rows(*list).is_empty())
        {
            evaluate.list = list;
        }
        evaluate.clamp();
    }

    /// Puts the answers in the order in which they are read: the pair's after, its before, then the others.
    pub(super) fn arrange(&self, row: &mut Row) {
        let (Some(pair), Some(report)) = (self.evaluate.pair(), self.evaluate.report.as_deref()) else { return };
        // The report's systems are those that were asked of, in the same order; its names tell equal ones apart.
        let mut answers: Vec<_> = std::mem::take(&mut row.answers).into_iter().enumerate().collect();
        answers.sort_by_key(|(at, _)| match report.systems.get(*at) {
            Some(system) if system.name == pair.second => 0,
            Some(system) if system.name == pair.first => 1,
            _ => 2,
        });
        row.answers = answers.into_iter().map(|(_, answer)| answer).collect();
    }

    /// Reads the row at the cursor.
    pub(super) fn read_row(&mut self, effects: &mut Vec<AppEffect>) {
        let evaluate = &self.evaluate;
        if let (Some(row), Some(test)) = (evaluate.current(), evaluate.test()) {
            let systems = evaluate.systems().iter().map(|system| system.id).collect();
            effects.push(AppEffect::Evaluate(Effect::Row { test: test.id, place: row.place, systems }));
        }
    }

    /// Opens the row at the cursor.
    pub(super) fn open_row(&mut self, now: Duration, effects: &mut Vec<AppEffect>) {
        if self.evaluate.current().is_none() {
            let words = match &self.evaluate.report {
                Some(_) => format!("there is no row that {}", self.evaluate.list.name()),
                None => "there is no report yet, and so no row".to_owned(),
            };
            return self.note(words, now);
        }
        self.evaluate.reading = true;
        self.evaluate.scroll.home();
        self.evaluate.row = None;
        self.read_row(effects);
    }

    /// The mouse clicked on a row of the list; a second click opens it.
    pub(in crate::app) fn row_clicked(&mut self, at: usize, now: Duration, effects: &mut Vec<AppEffect>) {
        let evaluate = &self.evaluate;
        if evaluate.reading || at >= evaluate.rows(evaluate.list).len() {
            return;
        }
        if evaluate.at == at {
            self.open_row(now, effects);
        } else {
            self.go_to_row(at, now, effects);
        }
    }

    /// Goes to another row of the list; an open one is read.
    pub(super) fn go_to_row(&mut self, at: usize, now: Duration, effects: &mut Vec<AppEffect>) {
        let evaluate = &mut self.evaluate;
        let at = at.min(evaluate.rows(evaluate.list).len().saturating_sub(1));
        if at == evaluate.at {
            if evaluate.reading {
                let first = if at == 0 { "first" } else { "last" };
                let words = format!("this is the {first} row that {}", evaluate.list.name());
                self.note(words, now);
            }
            return;
        }
        evaluate.at = at;
        if evaluate.reading {
            evaluate.scroll.home();
            self.read_row(effects);
        }
    }

    /// Lists other rows.
    pub(super) fn turn_list(&mut self, by: usize) {
        let at = List::ALL.iter().position(|list| *list == self.evaluate.list).unwrap_or(0);
        self.evaluate.list = List::ALL[(at + by) % List::ALL.len()];
        self.evaluate.at = 0;
    }
}
