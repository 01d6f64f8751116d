//! The pane of evaluations: a frozen test set, the report of the systems that have answered it, its rows one by one, the marks that a
//! person puts on answers, and the evaluations that run in the background.
//!
//! The report is made elsewhere, of stored answers, whenever the pane is shown and there are others than before; while answers
//! come in, not so often that making it would take the machine from those who answer.

mod command;
mod marks;
mod show;
mod stored;

use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::evaluate::errors::Mark;
pub use crate::evaluate::report::{Change, Errors, Figures, Metric, Pair, Report, Turned};
pub use marks::{At, Said, Step};
pub use stored::{Answer, Job, Known, Row, Test};

use super::scroll::Scroll;
use super::{App, Pane};
use crate::job::Request;
use crate::keymap::Scope;

/// Systems that are compared where nobody has chosen: each one more is compared with all the others.
const USUAL: usize = 6;
/// While answers come in, making reports may take one part in so many of the time.
const SHARE: u32 = 4;

/// What happened to evaluations.
#[derive(Clone, Debug)]
pub enum Msg {
    /// The test sets that are answered.
    Tests(Vec<Test>),
    /// The evaluations in the background, oldest first.
    Jobs(Vec<Job>),
    /// The report of a test set and systems (by their hashes), or why there is none.
    Reported { test: i64, systems: Vec<String>, result: Result<Box<Report>, String> },
    /// A row.
    Row(Box<Row>),
    /// A word on an answer is kept; what this person had said before.
    Said { said: Said, before: Option<bool>, step: Step },
    /// There is no word of this person to take back.
    NothingSaid,
    /// An evaluation was begun (its name, and the number of the test set), or not.
    Started(Result<(String, i64), String>),
}

/// What is to be done about evaluations.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Whether the pane is shown, so that it is looked often.
    Watch(bool),
    /// Make the report of a test set and systems (by their hashes).
    Report { test: i64, systems: Vec<String> },
    /// Read a row with the answers of systems.
    Row { test: i64, place: usize, systems: Vec<i64> },
    /// Keep a word on an answer.
    Say { said: Said, step: Step },
    /// Take this person's newest word on a test set back.
    TakeBack { test: i64 },
    /// Start an evaluation with these arguments of `togi eval`.
    Start(Vec<String>),
    /// Ask something of one.
    Control { name: String, request: Request },
}

/// What is chosen from a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The test set.
    Test,
    /// A system, in or out.
    System,
    /// Two systems.
    Pair,
    /// An error of an answer.
    Error(At),
}

/// Which rows are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum List {
    /// Those that got worse.
    #[default]
    Worse,
    /// Those that stayed wrong.
    Wrong,
    /// Those that got better.
    Better,
}

impl List {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Worse, Self::Wrong, Self::Better];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worse => "got worse",
            Self::Wrong => "stayed wrong",
            Self::Better => "got better",
        }
    }
}

/// What a report is made of: the test set, the systems' hashes, and how many rows each has answered.
type Made = (i64, Vec<String>, Vec<usize>);

/// The pane.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // none of them follows from another
pub struct Evaluate {
    /// Whether the test sets have come.
    pub ready: bool,
    /// The test sets, oldest first.
    pub tests: Vec<Test>,
    /// The evaluations in the background, oldest first.
    pub jobs: Vec<Job>,
    /// The report that is shown.
    pub report: Option<Box<Report>>,
    /// Why there is none.
    pub problem: Option<String>,
    /// Which rows are listed.
    pub list: List,
    /// Where the cursor is in them.
    pub at: usize,
    /// Whether the errors stand where the figures stand on a small screen.
    pub errors: bool,
    /// Lines by which the upper half, or the row, is scrolled.
    pub scroll: Scroll,
    /// Whether a row is open.
    pub reading: bool,
    /// The row that was read last.
    pub row: Option<Box<Row>>,
    /// Which of its answers is marked.
    pub focus: usize,
    /// Whether a process is being started.
    pub starting: bool,
    test: Option<i64>,
    /// A test set to go to as soon as it is there.
    wanted: Option<i64>,
    /// The evaluation that was begun here and is not listed yet.
    begun: Option<String>,
    chosen: BTreeMap<i64, Vec<i64>>,
    pair: Option<(String, String)>,
    marks: marks::Marks,
    /// What the report is made of, and what one is being made of, and since when.
    made: Option<Made>,
    asked: Option<(Made, Duration)>,
    /// Whether marks have changed since.
    stale: bool,
    /// No report for more answers is made before.
    next: Duration,
    shown: bool,
}

impl Evaluate {
    /// The test set that is shown.
    #[must_use]
    pub fn test(&self) -> Option<&Test> {
        let named = |id: i64| self.tests.iter().find(|test| test.id == id);
        self.test.and_then(named).or_else(|| {
            // What is being asked just now, else what was begun last.
            let live = self.jobs.iter().rev().find(|job| job.is_live());
            let asked = live.and_then(|job| self.tests.iter().find(|test| test.hash == job.hash));
            asked.or(self.tests.last())
        })
    }

    /// The evaluation that runs, if any; the one of the test set that is shown before others.
    #[must_use]
    pub fn live(&self) -> Option<&Job> {
        let live = || self.jobs.iter().rev().filter(|job| job.is_live());
        let hash = self.test().map(|test| test.hash.as_str());
        live().find(|job| Some(job.hash.as_str()) == hash).or_else(|| live().next())
    }

    /// How far the newest evaluation that runs is, in percent.
    #[must_use]
    pub fn share(&self) -> Option<u64> {
        let live = self.jobs.iter().rev().find(|job| job.is_live())?;
        let steps = live.steps.max(1);
        // Rounded, as the pane itself writes it.
        Some((200 * live.step.min(steps) + steps) / (2 * steps))
    }

    /// Whether a report is being made.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.asked.is_some()
    }

    /// The systems that are compared, in the order in which they began.
    #[must_use]
    pub fn systems(&self) -> Vec<&Known> {
        let Some(test) = self.test() else { return Vec::new() };
        if let Some(chosen) = self.chosen.get(&test.id) {
            return test.systems.iter().filter(|system| chosen.contains(&system.id)).collect();
        }
        let live = self.jobs.iter().find(|job| job.is_live() && job.hash == test.hash);
        let asked =
            |system: &Known| live.is_some_and(|job| job.systems.iter().any(|(_, hash, ..)| *hash == system.hash));
        let usual = |system: &&Known| system.answered >= test.asked || asked(system);
        let mut systems: Vec<&Known> = test.systems.iter().filter(usual).collect();
        if systems.is_empty() {
            systems = test.systems.iter().collect();
        }
        // The first is the plain base, as a rule; of the others the newest.
        if systems.len() > USUAL {
            systems.drain(1..=systems.len() - USUAL);
        }
        systems
    }

    /// The two systems whose rows are listed.
    #[must_use]
    pub fn pair(&self) -> Option<&Pair> {
        let report = self.report.as_deref()?;
        let chosen = self.pair.as_ref().and_then(|(first, second)| {
            report.pairs.iter().find(|pair| pair.first == *first && pair.second == *second)
        });
        chosen.or_else(|| report.told_pair())
    }

    /// The rows of a list, the worst or the most telling first.
    #[must_use]
    pub fn rows(&self, list: List) -> &[Change] {
        let Some(pair) = self.pair() else { return &[] };
        match list {
            List::Worse => &pair.changes.worse,
            List::Wrong => &pair.changes.stayed_wrong,
            List::Better => &pair.changes.better,
        }
    }

    /// The row at the cursor.
    #[must_use]
    pub fn current(&self) -> Option<&Change> {
        self.rows(self.list).get(self.at)
    }

    /// The scope of what is shown.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.reading { Scope::EvaluateRow } else { Scope::Evaluate }
    }

    /// What copying takes: the answer that is marked, else what the report says.
    pub(super) fn copied(&self) -> Option<String> {
        if self.reading {
            return self.row.as_ref()?.answers.get(self.focus)?.text.clone();
        }
        Some(self.report.as_ref()?.verdict.as_ref()?.text.clone())
    }

    /// What a report would be made of now.
    fn wanted(&self) -> Option<Made> {
        let test = self.test()?;
        let systems = self.systems();
        let hashes: Vec<String> = systems.iter().map(|system| system.hash.clone()).collect();
        let answered = systems.iter().map(|system| system.answered).collect();
        (!hashes.is_empty()).then_some((test.id, hashes, answered))
    }

    /// Whether a report is to be made, and from when on.
    fn due(&self) -> Option<(Made, Duration)> {
        if !self.shown || self.asked.is_some() {
            return None;
        }
        let wanted = self.wanted()?;
        let same = self.made.as_ref().is_some_and(|made| (made.0, &made.1) == (wanted.0, &wanted.1));
        match (&self.made, same) {
            _ if self.stale => Some((wanted, Duration::ZERO)),
            (Some(made), _) if *made == wanted => None,
            (_, true) => Some((wanted, self.next)),
            _ => Some((wanted, Duration::ZERO)),
        }
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        self.due().map(|(_, from)| from)
    }

    /// Keeps the cursor in its list.
    fn clamp(&mut self) {
        self.at = self.at.min(self.rows(self.list).len().saturating_sub(1));
    }
}

impl App {
    /// Asks for what is not as it should be: how often is looked, and the report.
    pub(super) fn evaluate_watch(&mut self, now: Duration, effects: &mut Vec<super::Effect>) {
        let shown = self.pane == Pane::Evaluate;
        let evaluate = &mut self.evaluate;
        if evaluate.shown != shown {
            evaluate.shown = shown;
            effects.push(super::Effect::Evaluate(Effect::Watch(shown)));
        }
        // A report of another test set is none of this one.
        let shown = evaluate.test().map(|test| test.id);
        if evaluate.made.as_ref().is_some_and(|made| Some(made.0) != shown) {
            (evaluate.made, evaluate.report, evaluate.problem) = (None, None, None);
            (evaluate.reading, evaluate.row, evaluate.at) = (false, None, 0);
            evaluate.scroll.home();
        }
        if let Some((wanted, from)) = evaluate.due()
            && from <= now
        {
            evaluate.stale = false;
            let (test, systems, _) = wanted.clone();
            evaluate.asked = Some((wanted, now));
            effects.push(super::Effect::Evaluate(Effect::Report { test, systems }));
        }
    }

    /// What happened to evaluations; whether the screen is another.
    pub(super) fn evaluate_msg(&mut self, msg: Msg, now: Duration, effects: &mut Vec<super::Effect>) -> bool {
        let shown = self.pane == Pane::Evaluate;
        let evaluate = &mut self.evaluate;
        match msg {
            Msg::Tests(tests) => {
                evaluate.ready = true;
                evaluate.tests = tests;
                if let Some(id) = evaluate.wanted.take_if(|id| evaluate.tests.iter().any(|test| test.id == *id)) {
                    evaluate.test = Some(id);
                }
            }
            Msg::Jobs(jobs) => {
                let share = evaluate.share();
                return self.jobs(jobs, now) || shown || self.evaluate.share() != share;
            }
            Msg::Reported { test, systems, result } => {
                let Some((made, since)) = evaluate.asked.take() else { return false };
                if (made.0, &made.1) != (test, &systems) {
                    return false;
                }
                evaluate.next = now + SHARE * now.saturating_sub(since);
                evaluate.made = Some(made);
                self.reported(result);
            }
            Msg::Row(mut row) => {
                self.arrange(&mut row);
                let evaluate = &mut self.evaluate;
                if evaluate.row.as_ref().is_none_or(|before| before.answers.len() != row.answers.len()) {
                    evaluate.focus = 0;
                }
                evaluate.row = Some(row);
            }
            Msg::Said { said, before, step } => self.said(&said, before, step, now, effects),
            Msg::NothingSaid => {
                self.marks_failed();
                self.note("no mark of yours to take back", now);
                return true;
            }
            Msg::Started(result) => {
                evaluate.starting = false;
                match result {
                    Ok((name, test)) => {
                        evaluate.wanted = Some(test);
                        evaluate.begun = Some(name.clone());
                        self.note(format!("evaluation {name} has begun; it goes on when togi is left"), now);
                    }
                    Err(why) => self.trouble(why, now),
                }
                return true;
            }
        }
        shown
    }

    /// The evaluations; one that has ended meanwhile is told of.
    fn jobs(&mut self, jobs: Vec<Job>, now: Duration) -> bool {
        let begun = self.evaluate.begun.take();
        let was = |name: &str| {
            begun.as_deref() == Some(name) || self.evaluate.jobs.iter().any(|job| job.name == name && job.is_live())
        };
        let ended: Vec<Job> = jobs.iter().filter(|job| !job.is_live() && was(&job.name)).cloned().collect();
        // Until it is listed, what was begun here is not forgotten: it may be over before it is ever seen to run.
        self.evaluate.begun = begun.filter(|name| jobs.iter().all(|job| job.name != *name));
        self.evaluate.jobs = jobs;
        for job in &ended {
            let words = format!("evaluation {} {}: {}", job.name, job.word(), job.reason);
            if job.state == "failed" { self.trouble(words, now) } else { self.note(words, now) }
        }
        !ended.is_empty()
    }
}

#[cfg(test)]
pub(in crate::app) mod tests;
