//! The thread of the evaluations: looks which test sets are answered and how evaluations in the background stand, reads rows and
//! keeps marks by the actions that the verbs call too. It opens the database when the pane is first shown or an evaluation runs, and
//! not before.
//!
//! A report is made by `togi eval --stored` in a process of its own: it may need a dictionary of Japanese words, and the
//! workbench's memory stays small. One is made at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::mpsc::UnboundedSender;

use super::verb;
use crate::actions::evaluation::background::{self, Begun, Evaluation};
use crate::actions::evaluation::browse::{self, Shown, Stored};
use crate::actions::evaluation::report::Report;
use crate::actions::records::Store;
use crate::actions::{ActionError, Context};
use crate::app::Msg as AppMsg;
use crate::app::evaluate::{Answer, At, Effect, Job, Known, Msg, Row, Said, Step, Test};

/// How often is looked while the pane is shown and an evaluation runs.
const OFTEN: Duration = Duration::from_millis(400);
/// And otherwise, while the pane is shown or an evaluation runs.
const SELDOM: Duration = Duration::from_secs(2);

/// What the thread is told.
enum Word {
    /// To do something.
    Ask(Effect),
    /// To look at once: something was begun or ended.
    Look,
    /// To end, once everything that was asked before is done.
    End,
}

/// The thread, as the workbench sees it.
pub struct Evaluations {
    words: Option<Sender<Word>>,
    thread: Option<JoinHandle<()>>,
}

impl Evaluations {
    /// Starts it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(root: &Path, tell: UnboundedSender<AppMsg>) -> std::io::Result<Self> {
        let (words, heard) = channel();
        let clerk = Clerk { root: root.to_owned(), tell, words: words.clone() };
        let thread = thread::Builder::new().name("evaluations".into()).spawn(move || clerk.work(&heard))?;
        Ok(Self { words: Some(words), thread: Some(thread) })
    }

    /// Asks for something; what comes of it comes as a message.
    pub fn ask(&self, effect: Effect) {
        if let Some(words) = &self.words {
            // A thread that is gone is gone because the workbench closes.
            let _ = words.send(Word::Ask(effect));
        }
    }
}

impl Drop for Evaluations {
    /// Waits until a mark or a stop that was asked for just before leaving is kept.
    fn drop(&mut self) {
        if let Some(words) = self.words.take() {
            let _ = words.send(Word::End);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The project as the thread has it open.
struct Desk {
    context: Context,
    store: Store,
    pulse: i64,
    counted: BTreeMap<i64, usize>,
    tests: Option<Vec<Stored>>,
    jobs: Option<Vec<Evaluation>>,
}

/// Does what is asked.
#[derive(Clone)]
struct Clerk {
    root: PathBuf,
    tell: UnboundedSender<AppMsg>,
    words: Sender<Word>,
}

impl Clerk {
    fn work(&self, heard: &Receiver<Word>) {
        let mut desk: Option<Desk> = None;
        let (mut shown, mut failed) = (false, String::new());
        // An evaluation may be begun by a verb, and shows in every pane.
        let mut due = Instant::now() + SELDOM;
        loop {
            match heard.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Word::Ask(Effect::Watch(now))) => {
                    shown = now;
                    due = if now { Instant::now() } else { due };
                }
                Ok(Word::Ask(effect)) => {
                    if let Err(error) = self.carry_out(&mut desk, effect) {
                        self.say(AppMsg::Failed(error.to_string()));
                    }
                }
                Ok(Word::Look) => due = Instant::now(),
                Err(RecvTimeoutError::Timeout) => {
                    let told = self.look_in(&mut desk, shown);
                    // Said once, not with every look.
                    let problem = told.err().map(|error| error.to_string()).unwrap_or_default();
                    if !problem.is_empty() && problem != failed {
                        self.say(AppMsg::Failed(problem.clone()));
                    }
                    failed = problem;
                    let live = desk.as_ref().is_some_and(Desk::is_live);
                    let patience = if shown && live { OFTEN } else { SELDOM };
                    due = Instant::now() + patience;
                }
                Ok(Word::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn say(&self, msg: AppMsg) {
        let _ = self.tell.send(msg);
    }

    fn told(&self, msg: Msg) {
        self.say(AppMsg::Evaluate(msg));
    }

    fn open<'d>(desk: &'d mut Option<Desk>, root: &Path) -> Result<&'d mut Desk, ActionError> {
        if desk.is_none() {
            let context = Context::find(root, None)?;
            let store = context.store()?;
            let counted = BTreeMap::new();
            *desk = Some(Desk { context, store, pulse: 0, counted, tests: None, jobs: None });
        }
        desk.as_mut().ok_or_else(|| ActionError::Refused("the project is not open".into()))
    }

    /// Looks, where somebody looks on or an evaluation runs or has run just now; else only whether one does.
    fn look_in(&self, desk: &mut Option<Desk>, shown: bool) -> Result<(), ActionError> {
        let live = desk.as_ref().is_some_and(Desk::is_live);
        if shown || live || background::any_live(&Context::find(&self.root, None)?)? {
            self.look(Self::open(desk, &self.root)?)?;
        }
        Ok(())
    }

    /// Tells what is other than it was told last.
    fn look(&self, desk: &mut Desk) -> Result<(), ActionError> {
        let pulse = desk.store.pulse()?;
        if desk.tests.is_none() || pulse != desk.pulse {
            desk.pulse = pulse;
            let tests = browse::tests(&desk.store, &mut desk.counted)?;
            if desk.tests.as_ref() != Some(&tests) {
                self.told(Msg::Tests(tests.iter().map(test).collect()));
                desk.tests = Some(tests);
            }
        }
        let jobs = background::list(&desk.context, &desk.store)?;
        if desk.jobs.as_ref() != Some(&jobs) {
            self.told(Msg::Jobs(jobs.iter().map(job).collect()));
            desk.jobs = Some(jobs);
        }
        Ok(())
    }

    fn carry_out(&self, desk: &mut Option<Desk>, effect: Effect) -> Result<(), ActionError> {
        match effect {
            // These wait for a process.
            Effect::Report { .. } | Effect::Start(_) => {
                let clerk = self.clone();
                let spawned = thread::Builder::new().name("report".into()).spawn(move || clerk.by_process(effect));
                spawned.map_err(|error| ActionError::Refused(format!("no thread could be started: {error}")))?;
            }
            Effect::Row { test, place, systems } => {
                let desk = Self::open(desk, &self.root)?;
                // Categories may have changed since; a context is cheap.
                desk.context = Context::find(&self.root, None)?;
                let shown = browse::row(&desk.context, &desk.store, test, place, &systems)?;
                self.told(Msg::Row(Box::new(row(shown))));
            }
            Effect::Say { said, step } => self.keep(Self::open(desk, &self.root)?, said, step)?,
            Effect::TakeBack { test } => {
                let taken = browse::take_back(&mut Self::open(desk, &self.root)?.store, test)?;
                self.told(taken.map_or(Msg::NothingSaid, |back| {
                    let browse::At { test, system, place } = back.at;
                    let said = Said { at: At { test, system, place }, category: back.category, word: None };
                    Msg::Said { said, before: Some(back.was), step: Step::Undo }
                }));
            }
            Effect::Control { name, request } => {
                background::control(&Self::open(desk, &self.root)?.context, &name, request)?;
                let _ = self.words.send(Word::Look);
            }
            Effect::Watch(_) => {}
        }
        Ok(())
    }

    fn keep(&self, desk: &mut Desk, said: Said, step: Step) -> Result<(), ActionError> {
        let At { test, system, place } = said.at;
        let at = browse::At { test, system, place };
        let before = browse::say(&desk.context, &mut desk.store, at, &said.category, said.word)?;
        self.told(Msg::Said { said, before, step });
        Ok(())
    }

    fn by_process(&self, effect: Effect) {
        match effect {
            Effect::Report { test, systems } => {
                let mut arguments = vec!["--stored".to_owned(), "--test".into(), test.to_string()];
                arguments.extend(systems.iter().flat_map(|hash| ["--only".to_owned(), hash.clone()]));
                let result = verb::json(&self.root, "eval", &arguments, &mut |_| {})
                    .map(|reported: Reported| Box::new(reported.report));
                self.told(Msg::Reported { test, systems, result });
            }
            Effect::Start(mut arguments) => {
                arguments.push("--background".into());
                let begun = verb::json::<Begun>(&self.root, "eval", &arguments, &mut |_| {});
                self.told(Msg::Started(begun.map(|begun| (begun.evaluation, begun.test))));
                let _ = self.words.send(Word::Look);
            }
            _ => {}
        }
    }
}

/// The part of `togi eval --json` that the pane shows.
#[derive(Deserialize)]
struct Reported {
    report: Report,
}

impl Desk {
    fn is_live(&self) -> bool {
        self.jobs.iter().flatten().any(Evaluation::is_live)
    }
}

fn test(stored: &Stored) -> Test {
    let system = |known: &browse::Known| Known {
        id: known.id,
        hash: known.hash.clone(),
        name: known.name.clone(),
        about: known.about.clone(),
        answered: known.answered,
    };
    Test {
        id: stored.test.id,
        name: stored.test.name.clone(),
        hash: stored.test.hash.clone(),
        rows: stored.test.rows,
        asked: stored.asked,
        systems: stored.systems.iter().map(system).collect(),
    }
}

fn job(evaluation: &Evaluation) -> Job {
    let system = |asked: &background::Asked| (asked.name.clone(), asked.hash.clone(), asked.answered, asked.rows);
    Job {
        name: evaluation.evaluation.clone(),
        state: evaluation.state.clone(),
        phase: evaluation.phase.clone(),
        test: evaluation.test.clone(),
        hash: evaluation.hash.clone(),
        step: evaluation.step,
        steps: evaluation.steps,
        seconds_left: evaluation.seconds_left,
        reason: evaluation.reason.clone().unwrap_or_default(),
        systems: evaluation.systems.iter().map(system).collect(),
    }
}

fn row(shown: Shown) -> Row {
    let answer = |given: browse::Answered| Answer {
        system: given.system,
        name: given.name,
        tuned: given.tuned,
        text: given.answer,
        stop: given.stop,
        tokens: given.tokens,
        errors: given.errors,
        said: given.said,
    };
    Row {
        test: shown.test,
        place: shown.place,
        id: shown.row.id,
        category: shown.row.category,
        asks: shown.row.asks,
        right: shown.right,
        answers: shown.answers.into_iter().map(answer).collect(),
        categories: shown.categories,
    }
}
