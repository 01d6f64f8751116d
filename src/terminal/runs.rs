//! Two threads beside the screen: one follows the runs of the project, the other carries out what is asked of them, by the actions
//! that the verbs call too. What needs a tokenizer is done by `togi train` in a process of its own, which is gone before its
//! memory is missed; the workbench's stays small.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::verb;
use crate::actions::runs::{self, Follower, Seen};
use crate::actions::{ActionError, Context, models, train};
use crate::app::Msg as AppMsg;
use crate::app::train::{Difference, Effect, Model, Msg, Point, Run, Sample, Setting, Wish};

/// How often is looked while somebody looks on, or a run runs.
const OFTEN: Duration = Duration::from_millis(250);
/// And otherwise: a run may be started by a verb.
const SELDOM: Duration = Duration::from_secs(2);
/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What the following thread is told.
enum Word {
    /// Whether the pane is shown, and of which runs everything is wanted.
    Watch(bool, Vec<String>),
    /// Something was done: look at all of it again.
    Look,
}

/// The threads, as the workbench sees them.
pub struct Runs {
    words: Sender<Word>,
    asks: Option<Sender<Effect>>,
    thread: Option<JoinHandle<()>>,
}

impl Runs {
    /// Starts them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(context: &Context, tell: UnboundedSender<AppMsg>) -> std::io::Result<Self> {
        let (words, heard) = channel();
        let (asks, asked) = channel();
        let follower = Follower::new(&context.project.runs_dir());
        let told = tell.clone();
        thread::Builder::new().name("runs".into()).spawn(move || follow(follower, &heard, &told))?;
        let clerk = Clerk { root: context.project.root().to_owned(), tell, words: words.clone() };
        let thread = thread::Builder::new().name("asks".into()).spawn(move || {
            for effect in asked {
                clerk.carry_out(effect);
            }
        })?;
        Ok(Self { words, asks: Some(asks), thread: Some(thread) })
    }

    /// Asks for something; what comes of it comes as a message.
    pub fn ask(&self, effect: Effect) {
        // A thread that is gone is gone because the workbench closes.
        let _ = match (effect, &self.asks) {
            (Effect::Watch { shown, runs }, _) => self.words.send(Word::Watch(shown, runs)).is_ok(),
            (effect, Some(asks)) => asks.send(effect).is_ok(),
            (_, None) => false,
        };
    }
}

impl Drop for Runs {
    /// Waits until everything that was asked is on its way: a stop that was asked for just before leaving is sent.
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Follows the runs until nobody listens.
fn follow(mut follower: Follower, heard: &Receiver<Word>, tell: &UnboundedSender<AppMsg>) {
    let mut shown = false;
    let mut failed = String::new();
    loop {
        let begun = Instant::now();
        let looked = follower.look(&mut |seen| {
            let _ = tell.send(AppMsg::Train(told(seen)));
        });
        // Said once, not four times a second.
        let problem = looked.err().map(|error| error.to_string()).unwrap_or_default();
        if !problem.is_empty() && problem != failed {
            let _ = tell.send(AppMsg::Failed(problem.clone()));
        }
        failed = problem;
        let patience = if shown || follower.is_live() { OFTEN } else { SELDOM };
        let mut word = heard.recv_timeout(patience.saturating_sub(begun.elapsed()).max(PAUSE));
        loop {
            match word {
                Ok(Word::Watch(now, runs)) => {
                    shown = now;
                    follower.watch(runs);
                }
                Ok(Word::Look) => follower.refresh(),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            word = heard.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }
}

fn told(seen: Seen<'_>) -> Msg {
    match seen {
        Seen::Runs(runs) => Msg::Runs(runs.iter().map(run).collect()),
        Seen::Steps { run, anew, steps } => {
            let point = |line: train::Metrics| Point {
                step: line.step,
                loss: line.loss,
                rate: line.learning_rate,
                norm: line.gradient_norm,
                valid: line.valid_loss,
                tokens: line.tokens,
                seconds: line.seconds,
                memory_mib: line.memory_mib,
            };
            Msg::Steps { run: run.to_owned(), anew, points: steps.into_iter().map(point).collect() }
        }
        Seen::Samples { run, anew, samples } => {
            let sample = |sample: runs::Sample| Sample { step: sample.step, id: sample.id, answer: sample.answer };
            Msg::Samples { run: run.to_owned(), anew, samples: samples.into_iter().map(sample).collect() }
        }
    }
}

fn run(run: &runs::Run) -> Run {
    let created = run.created.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let created = created.map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string());
    Run {
        name: run.run.clone(),
        state: run.state.clone(),
        phase: run.phase.clone(),
        step: run.step,
        steps: run.steps,
        loss: run.loss,
        best: run.best,
        tokens_per_s: run.tokens_per_s,
        cpu: run.cpu,
        seconds_left: run.seconds_left,
        reason: run.reason.clone().or_else(|| run.problem.clone()).unwrap_or_default(),
        note: run.note.clone().unwrap_or_default(),
        base: run.base.clone().unwrap_or_default(),
        rows: run.rows,
        created: created.unwrap_or_default(),
    }
}

/// Does what is asked, in the order asked.
#[derive(Clone)]
struct Clerk {
    root: PathBuf,
    tell: UnboundedSender<AppMsg>,
    words: Sender<Word>,
}

impl Clerk {
    fn carry_out(&self, effect: Effect) {
        match effect {
            // These wait for a process.
            Effect::Check(_) | Effect::Start(_) | Effect::Resume(_) => {
                let clerk = self.clone();
                let thread = thread::Builder::new().name("start".into()).spawn(move || clerk.by_process(effect));
                if let Err(error) = thread {
                    self.say(AppMsg::Failed(error.to_string()));
                }
            }
            effect => {
                let form = effect == Effect::Form;
                if let Err(error) = self.by_action(effect) {
                    let why = error.to_string();
                    self.say(if form { AppMsg::Train(Msg::NoForm(why)) } else { AppMsg::Failed(why) });
                }
                let _ = self.words.send(Word::Look);
            }
        }
    }

    fn say(&self, msg: AppMsg) {
        let _ = self.tell.send(msg);
    }

    fn by_action(&self, effect: Effect) -> Result<(), ActionError> {
        // Anew each time: settings may have changed, and a context is cheap.
        let context = Context::find(&self.root, None)?;
        match effect {
            Effect::Control { run, request } => {
                runs::control(&context, &run, request)?;
            }
            Effect::Note { run, text } => {
                runs::note(&context, &run, &text)?;
            }
            Effect::Svg { runs, log, file } => {
                let drawn = runs::svg(&context, &runs, log, Path::new(&file))?;
                self.say(AppMsg::Note(format!("{} in {file}", drawn.join(", "))));
            }
            Effect::Compare { a, b } => {
                let (a, b, differences) = runs::compare(&context, &a, &b)?;
                let none = || "-".to_owned();
                let difference = |one: runs::Difference| Difference {
                    key: one.key,
                    a: one.a.unwrap_or_else(none),
                    b: one.b.unwrap_or_else(none),
                };
                let differences = differences.into_iter().map(difference).collect();
                self.say(AppMsg::Train(Msg::Differ { a, b, differences }));
            }
            Effect::Form => {
                let setting = |one: train::Setting| Setting {
                    key: one.key,
                    value: one.value,
                    default: one.default,
                    doc: one.doc,
                };
                let settings = train::settings(&context, &[])?.into_iter().map(setting).collect();
                let models = models::models()?.into_iter().map(model).collect();
                self.say(AppMsg::Train(Msg::Form { settings, models, base: train::base_name(&context) }));
            }
            Effect::Watch { .. } | Effect::Check(_) | Effect::Start(_) | Effect::Resume(_) => {}
        }
        Ok(())
    }

    fn by_process(&self, effect: Effect) {
        let told = match effect {
            Effect::Check(wish) => {
                let mut hear = |words: &str| {
                    let (wish, words) = (wish.clone(), words.to_owned());
                    self.say(AppMsg::Train(Msg::Checking { wish, words }));
                };
                let arguments = [wish.arguments(), vec!["--check".into(), "--progress".into()]].concat();
                let result = verb::json(&self.root, "train", &arguments, &mut hear);
                Msg::Checked { wish, result }
            }
            Effect::Start(wish) => Msg::Started(self.started(&wish, &["--background"])),
            Effect::Resume(run) => Msg::Started(self.started(&Wish::default(), &["--background", "--resume", &run])),
            _ => return,
        };
        let _ = self.words.send(Word::Look);
        self.say(AppMsg::Train(told));
    }

    /// Starts a run and returns its name.
    fn started(&self, wish: &Wish, options: &[&str]) -> Result<String, String> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let told: serde_json::Value =
            verb::json(&self.root, "train", &[wish.arguments(), options].concat(), &mut |_| {})?;
        told.get("run").and_then(|run| run.as_str()).map(str::to_owned).ok_or_else(|| format!("togi train said {told}"))
    }
}

fn model(known: models::Known) -> Model {
    Model {
        id: known.entry.id,
        parameters: known.entry.parameters,
        licence: known.entry.licence,
        gated: known.entry.gated,
        runs: known.runs,
        fits: known.fits,
        note: known.entry.note.unwrap_or_default(),
    }
}
