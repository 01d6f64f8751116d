//! The pane of the runs: their list, the curves of those on the chart, and the form of a new one.
//!
//! A run belongs to its own process. What is known of it here came out of its directory, and what is asked of it goes to
//! whatever process carries it out; so a run that another workbench or a verb started is no different from one's own.

mod command;
pub mod form;
pub mod history;
mod told;

use std::collections::HashMap;

pub use form::{Facts, Form, Model, Needs, Setting, Stand, Wish};
pub use history::{History, Point, Series, Stretch};

use super::scroll::Scroll;
use crate::job::Request;
use crate::keymap::Scope;

/// Curves on the chart at most.
pub const CURVES: usize = 6;
/// Lines that one scroll goes.
const SCROLL: i32 = 3;

/// A run in the list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The name of its folder.
    pub name: String,
    /// waiting, running, finished, stopped, failed, interrupted, unreadable.
    pub state: String,
    /// Of a running one: starting, running, paused, stopping.
    pub phase: Option<String>,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: Option<u64>,
    /// The last training loss.
    pub loss: Option<f64>,
    /// The lowest validation loss and its step.
    pub best: Option<(f64, u64)>,
    /// Tokens a second, over the whole run.
    pub tokens_per_s: Option<f64>,
    /// Processor time its process takes, in percent of one core.
    pub cpu: Option<u32>,
    /// Seconds that are left.
    pub seconds_left: Option<f64>,
    /// How it ended, or why it cannot be read.
    pub reason: String,
    /// What a person wrote about it.
    pub note: String,
    /// Its base model.
    pub base: String,
    /// Training rows.
    pub rows: Option<usize>,
    /// When it was created, as people here write it.
    pub created: String,
}

impl Run {
    /// Whether a process carries it out at this moment.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == "running"
    }

    /// How it stands, in one word.
    #[must_use]
    pub fn word(&self) -> &str {
        self.phase.as_deref().filter(|_| self.is_live()).unwrap_or(&self.state)
    }

    fn is_paused(&self) -> bool {
        self.word() == "paused"
    }
}

/// A sample answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The step after which it was given.
    pub step: u64,
    /// The record that was asked.
    pub id: String,
    /// The answer.
    pub answer: String,
}

/// A setting in which two runs differ: key, and its value in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// The value of the first.
    pub a: String,
    /// That of the second.
    pub b: String,
}

/// What happened to runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    /// All runs, oldest first.
    Runs(Vec<Run>),
    /// Steps of a run; `anew` where those before are void.
    Steps { run: String, anew: bool, points: Vec<Point> },
    /// Sample answers of a run, likewise.
    Samples { run: String, anew: bool, samples: Vec<Sample> },
    /// In what two runs differ.
    Differ { a: String, b: String, differences: Vec<Difference> },
    /// What a form needs: the settings as they are here, the catalogue, the project's base model.
    Form { settings: Vec<Setting>, models: Vec<Model>, base: String },
    /// What a form needs cannot be read.
    NoForm(String),
    /// How far the check has come, in words.
    Checking { wish: Wish, words: String },
    /// What a run would be made of.
    Checked { wish: Wish, result: Result<Facts, String> },
    /// A run was started, or not.
    Started(Result<String, String>),
}

/// What is to be done about runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// What is followed: whether the pane is shown, and of which runs everything is wanted.
    Watch { shown: bool, runs: Vec<String> },
    /// Ask the process of a run.
    Control { run: String, request: Request },
    /// Write down a note.
    Note { run: String, text: String },
    /// Write the chart into a file.
    Svg { runs: Vec<String>, log: bool, file: String },
    /// Compare what two runs were made of.
    Compare { a: String, b: String },
    /// Read what a form needs.
    Form,
    /// Look what a run would be made of.
    Check(Wish),
    /// Start one.
    Start(Wish),
    /// Go on with a run that does not run, from its newest checkpoint.
    Resume(String),
}

/// What a line is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A note about a run.
    Note(String),
    /// The file for the chart.
    Svg,
    /// The value of a setting.
    Setting(String),
    /// A base model that is not in the catalogue.
    Model,
}

/// What is drawn over the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drawn {
    /// Training and validation loss.
    #[default]
    Loss,
    /// Learning rate.
    Rate,
    /// Norm of the gradient.
    Norm,
}

impl Drawn {
    const ALL: [Self; 3] = [Self::Loss, Self::Rate, Self::Norm];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Rate => "learning rate",
            Self::Norm => "gradient norm",
        }
    }

    /// Its numbers.
    #[must_use]
    pub fn of(self, history: &History) -> &Series {
        match self {
            Self::Loss => &history.loss,
            Self::Rate => &history.rate,
            Self::Norm => &history.norm,
        }
    }
}

/// How the chart is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chart {
    /// What is drawn.
    pub drawn: Drawn,
    /// Whether losses stand on a logarithmic scale.
    pub log: bool,
    /// Whether a smoothed line is drawn over the raw dots.
    pub smooth: bool,
    /// The steps that are shown; all of them where nobody zoomed.
    pub window: Option<(u64, u64)>,
    /// The step of the crosshair.
    pub cross: Option<u64>,
}

impl Default for Chart {
    fn default() -> Self {
        Self { drawn: Drawn::Loss, log: false, smooth: true, window: None, cross: None }
    }
}

/// What the pane shows beside the list.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Face {
    /// Curves and samples.
    #[default]
    Chart,
    /// In what two runs differ; `None` until it is known.
    Differences { a: String, b: String, lines: Option<Vec<Difference>> },
    /// The form of a new run.
    New,
}

/// The pane.
#[derive(Debug, Default)]
pub struct Train {
    /// Whether the list has come.
    pub ready: bool,
    /// The runs, newest first.
    pub runs: Vec<Run>,
    /// Where the cursor is.
    pub at: usize,
    /// Runs whose curves stay on the chart wherever the cursor is, in the order in which they were put there.
    pub kept: Vec<String>,
    /// What is known of the runs on the chart.
    pub histories: HashMap<String, History>,
    /// Their sample answers.
    pub samples: HashMap<String, Vec<Sample>>,
    /// How the chart is looked at.
    pub chart: Chart,
    /// What is shown beside the list.
    pub face: Face,
    /// The form; kept while it is not shown.
    pub form: Form,
    /// Lines by which the samples are scrolled.
    pub scroll: Scroll,
    /// What a process is at.
    pub busy: Option<&'static str>,
    /// The run to which the cursor wants to go once the list has it.
    wanted: Option<String>,
    /// What was asked to be followed last.
    watched: (bool, Vec<String>),
}

impl Train {
    /// The run at the cursor.
    #[must_use]
    pub fn current(&self) -> Option<&Run> {
        self.runs.get(self.at)
    }

    /// How far the newest run that is carried out is, in percent.
    #[must_use]
    pub fn share(&self) -> Option<u64> {
        let live = self.runs.iter().find(|run| run.is_live())?;
        Some(100 * live.step.min(live.steps?) / live.steps?.max(1))
    }

    /// A run by its name.
    #[must_use]
    pub fn run(&self, name: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.name == name)
    }

    /// The runs on the chart: those that stay, and the one at the cursor.
    #[must_use]
    pub fn charted(&self) -> Vec<&Run> {
        let kept = self.kept.iter().filter_map(|name| self.run(name));
        let current = self.current().filter(|run| !self.kept.contains(&run.name));
        kept.chain(current).collect()
    }

    /// The scope of the face.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.face == Face::New { Scope::NewRun } else { Scope::Train }
    }

    /// The first and the last step that are on the chart.
    #[must_use]
    pub fn window(&self) -> (u64, u64) {
        let (from, to) = self.chart.window.unwrap_or((0, u64::MAX));
        let end = self.end();
        (from.min(end.saturating_sub(1)), to.min(end))
    }

    /// The last step there is room for. It does not move with every step: while a run grows the room doubles, so that all but the
    /// newest dots stay where they are.
    fn end(&self) -> u64 {
        let room = |run: &&Run| {
            let steps = run.steps.unwrap_or(run.step).max(run.step);
            if run.is_live() { run.step.max(16).next_power_of_two().min(steps) } else { run.step }
        };
        self.charted().iter().map(room).max().unwrap_or(1).max(1)
    }

    /// What copying takes: the command line of the form, else what the curve says.
    pub(super) fn copied(&self) -> Option<String> {
        if self.face == Face::New {
            return Some(self.form.wish().line());
        }
        let run = self.current()?;
        let words = self.histories.get(&run.name).map(|history| history.words.as_str()).unwrap_or_default();
        Some(format!("{} {} at step {}: {words}", run.name, run.word(), run.step))
    }

    /// Zooms by a factor about the crosshair, or about the newest steps.
    fn zoom(&mut self, inwards: bool) {
        let (from, to) = self.window();
        let span = to - from;
        let wide = if inwards { (span / 2).max(4) } else { span.saturating_mul(2).max(1) };
        let end = self.end();
        if wide >= end {
            self.chart.window = None;
            return;
        }
        let middle = self.chart.cross.filter(|cross| (from..=to).contains(cross));
        let from = match middle {
            Some(cross) => cross.saturating_sub(wide / 2),
            // Where the run grows, its newest steps stay in sight.
            None => self.current().map_or(to, |run| run.step.min(to)).saturating_sub(wide),
        };
        let from = from.min(end - wide);
        self.chart.window = Some((from, from + wide));
    }

    fn pan(&mut self, right: bool) {
        let Some((from, to)) = self.chart.window else { return };
        let (span, end) = (to - from, self.end());
        let by = (span / 4).max(1);
        let from = if right { (from + by).min(end.saturating_sub(span)) } else { from.saturating_sub(by) };
        self.chart.window = Some((from, from + span));
    }

    fn move_cross(&mut self, right: bool) {
        let (from, to) = self.window();
        let by = ((to - from) / 60).max(1);
        let newest = self.current().map_or(to, |run| run.step).clamp(from, to);
        let cross = match self.chart.cross {
            None => newest,
            Some(cross) if right => (cross + by).min(to),
            Some(cross) => cross.saturating_sub(by).max(from),
        };
        self.chart.cross = Some(cross);
    }

    /// Takes the list, newest first, the cursor staying on its run.
    fn take_runs(&mut self, runs: Vec<Run>) {
        let known = |name: &String| runs.iter().any(|run| run.name == *name);
        let name = self.wanted.take_if(|name| known(name)).or_else(|| self.current().map(|run| run.name.clone()));
        for run in &runs {
            // The words about a curve differ once it is over.
            let was = self.run(&run.name).is_some_and(Run::is_live);
            if was != run.is_live()
                && let Some(history) = self.histories.get_mut(&run.name)
            {
                history.read(!run.is_live());
            }
        }
        self.runs = runs;
        self.runs.reverse();
        let at = name.and_then(|name| self.runs.iter().position(|run| run.name == name));
        self.at = at.unwrap_or(self.at).min(self.runs.len().saturating_sub(1));
        let there: Vec<String> = self.runs.iter().map(|run| run.name.clone()).collect();
        self.kept.retain(|name| there.contains(name));
        self.ready = true;
    }

    /// What has to be followed now, if it is other than what was asked for; forgets what is not on the chart any more.
    pub(super) fn watch(&mut self, shown: bool) -> Option<super::Effect> {
        let runs: Vec<String> = self.charted().iter().map(|run| run.name.clone()).collect();
        let wanted = (shown, if shown { runs } else { Vec::new() });
        if self.watched == wanted {
            return None;
        }
        // While the pane is not shown nobody follows, so what is kept would have a hole.
        self.histories.retain(|name, _| wanted.1.contains(name));
        self.samples.retain(|name, _| wanted.1.contains(name));
        self.watched = wanted.clone();
        Some(super::Effect::Train(Effect::Watch { shown: wanted.0, runs: wanted.1 }))
    }
}

const STARTING: &str = "starting";
const CHECKING: &str = "checking";

#[cfg(test)]
pub(in crate::app) mod tests;
