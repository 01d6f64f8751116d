//! `togi train`: trains in the foreground, with a bar.

use std::collections::VecDeque;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use color_eyre::eyre::Result;
use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::output::{self, say};
use super::{BaseModel, Place, STOPPED, progress};
use crate::actions::Context;
use crate::actions::train::{self, Control, Event, Facts, Job, Metrics, Outcome, Request, Summary};
use crate::text;

/// Tune the project's model on its gold records, or on a file
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // one for each option a person can give
#[command(after_help = "\
Example:
  togi train
  togi train --data train.jsonl
  togi train --data train.jsonl --valid dev.jsonl --set train.rank=8 --set train.epochs=2
  togi train --check
  togi train --background && togi runs
  togi train --resume latest

Ctrl-C writes a checkpoint and ends; a second one ends at once.")]
pub struct Train {
    /// Records to train on: JSON lines of pairs, chats or texts, or a .txt or .md file [default: the project's gold records, those of
    /// the split valid to validate on, those of test not at all]
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    data: Option<PathBuf>,
    /// Records to validate on [default: a tenth of the data, held out]
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    valid: Option<PathBuf>,
    /// A setting for this run, over those of togi.toml
    #[arg(long, value_name = "train.KEY=VALUE", conflicts_with = "resume")]
    set: Vec<String>,
    /// Go on with a run that was stopped or killed, exactly where its newest checkpoint is
    #[arg(long, value_name = "RUN", conflicts_with = "model")]
    resume: Option<String>,
    /// Say what would be trained, or what stands against it, and train nothing
    #[arg(long, conflicts_with_all = ["resume", "background"])]
    check: bool,
    /// Let a process of its own train, which outlives this terminal, and return; togi runs tells how it stands
    #[arg(long)]
    background: bool,
    /// With --check: tell by lines on standard error how far a model's download is
    #[arg(long, requires = "check")]
    progress: bool,
    /// List the settings as they hold here, with what each does, and train nothing
    #[arg(long, conflicts_with_all = ["resume", "background", "check", "data", "valid"])]
    settings: bool,
    #[command(flatten)]
    base: BaseModel,
    /// Print the summary (with --background: what was started; with --check: what would be trained) as one JSON object
    #[arg(long)]
    json: bool,
}

/// A run that was started, as `togi train --background --json` prints it.
#[derive(serde::Serialize)]
struct Started<'a> {
    run: String,
    #[serde(flatten)]
    facts: &'a Facts,
}

/// A run that goes on, likewise.
#[derive(serde::Serialize)]
struct GoingOn {
    run: String,
    /// The step it goes on after; absent where it starts again.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    steps: u64,
}

impl Train {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&self.base)?;
        if self.settings {
            return self.list(&context);
        }
        if self.check {
            let spinner = progress::spinner("reading model and data");
            let (mut spins, mut lines) = (progress::download(&spinner), progress::lines());
            let mut told = |download| if self.progress { lines(download) } else { spins(download) };
            let checked = train::check(&mut context, &self.request(), &mut told);
            spinner.finish_and_clear();
            let facts = checked?;
            if self.json {
                output::json(&facts)?;
            } else {
                say!("nothing stands against it:");
                tell(&facts);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let (job, resume, from, steps) = if let Some(run) = &self.resume {
            let (job, standing) = train::resumable(&context, run)?;
            match standing.step {
                Some(step) => say!("run {}: going on after step {step} of {}", job.name(), standing.steps),
                None => say!("run {}: it has no checkpoint yet, so it starts again", job.name()),
            }
            if self.background {
                let going = GoingOn { run: job.name(), step: standing.step, steps: standing.steps };
                return self.leave(&job, &going);
            }
            (job, standing.step.is_some(), standing.step.unwrap_or(0), standing.steps)
        } else {
            let request = self.request();
            let spinner = progress::spinner("reading model and data");
            let prepared = train::prepare(&mut context, &request, &mut progress::download(&spinner));
            spinner.finish_and_clear();
            let (job, facts) = prepared?;
            say!("run {}", job.name());
            tell(&facts);
            if self.background {
                return self.leave(&job, &Started { run: job.name(), facts: &facts });
            }
            (job, false, 0, facts.steps)
        };
        let control = Control::new();
        let watcher = Watcher::new(from, steps);
        stop_on_signal(control.stop_flag(), watcher.bar.clone())?;
        let mut watcher = watcher;
        let summary = train::run(&job, resume, &control, &mut |event| watcher.see(&event));
        watcher.bar.finish_and_clear();
        let summary = summary?;
        if self.json {
            output::json(&summary)?;
        } else {
            output::print(&told(&summary))?;
        }
        let run = job.name();
        Ok(match summary.outcome {
            Outcome::Finished => {
                say!("next: togi compare \"…\" --run {run}   or: togi eval --run {run} --data test.jsonl");
                ExitCode::SUCCESS
            }
            Outcome::Stopped => {
                say!("to go on: togi train --resume {run}");
                ExitCode::from(STOPPED)
            }
            Outcome::Failed => {
                say!("togi: {}", summary.reason);
                ExitCode::FAILURE
            }
        })
    }
}

impl Train {
    fn request(&self) -> Request {
        Request { data: self.data.clone(), valid: self.valid.clone(), set: self.set.clone(), rows: None }
    }

    /// Leaves a job to a process of its own.
    fn leave(&self, job: &Job, told: &impl serde::Serialize) -> Result<ExitCode> {
        train::launch(job)?;
        if self.json {
            output::json(told)?;
        } else {
            output::print(&format!("{}\n", job.name()))?;
            let run = job.name();
            say!(
                "it goes on by itself: togi runs tells how it stands, togi runs --stop {run} ends it with a checkpoint"
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, context: &Context) -> Result<ExitCode> {
        let settings = train::settings(context, &self.set)?;
        if self.json {
            for setting in &settings {
                output::json(setting)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let rows = settings.iter().map(|setting| {
            let changed = if setting.value == setting.default { "" } else { "*" };
            vec![setting.key.clone(), format!("{}{changed}", setting.value), setting.doc.clone()]
        });
        let head = ["setting", "value", "what it does"].map(str::to_owned).to_vec();
        output::print(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))?;
        say!("*: other than togi's own default");
        Ok(ExitCode::SUCCESS)
    }
}

/// Says what is about to be trained.
fn tell(facts: &Facts) {
    let n = |number: usize| text::count(number as u64);
    say!(
        "  {} rows, {} to validate on; {} tokens, {} of them supervised, at most {} a row",
        n(facts.rows),
        n(facts.valid_rows),
        n(facts.tokens),
        n(facts.supervised),
        n(facts.max_length)
    );
    if !facts.dropped.is_empty() {
        let shown: Vec<String> =
            facts.dropped.iter().take(5).map(|(id, tokens)| format!("{id} ({tokens} tokens)")).collect();
        let more = if facts.dropped.len() > 5 { ", …" } else { "" };
        let what = if facts.dropped.len() == 1 { "row is" } else { "rows are" };
        say!("  {} {what} too long and left out: {}{more}", n(facts.dropped.len()), shown.join(", "));
    }
    for note in &facts.notes {
        say!("  note: {note}");
    }
    let free = facts.free_bytes.map(|free| format!("; {} are free", text::bytes(free))).unwrap_or_default();
    let bench = if facts.device.is_some() { "togi bench --gpu" } else { "togi bench" };
    let time = facts.seconds.map_or_else(
        || {
            // Only the usual precision is kept of a GPU.
            let what = if facts.device.is_some() { "this GPU in its usual precision" } else { "this machine" };
            format!("; {bench} measures {what}, so that it can be told how long that takes")
        },
        |seconds| format!("; about {} at the speed that {bench} has measured", text::duration(seconds)),
    );
    say!("  {} steps; about {} of memory{free}{time}", text::count(facts.steps), text::bytes(facts.needs_bytes));
    if let Some(device) = &facts.device {
        let (needs, free) = (text::bytes(device.needs_bytes), text::bytes(device.free_bytes));
        let passes = text::count(device.pass_tokens as u64);
        say!("  on {}: about {needs} of its memory in passes of {passes} tokens; {free} are free", device.name);
    }
}

/// The summary as a person reads it.
fn told(summary: &Summary) -> String {
    let best = summary
        .best
        .map(|(loss, step)| format!(", lowest validation loss {loss:.4} at step {step}"))
        .unwrap_or_default();
    let loss =
        if summary.loss.is_finite() { format!("  last loss {:.4}{best}\n", summary.loss) } else { String::new() };
    format!(
        "run {}: {}\n  {} steps on {} rows in {}: {:.0} tokens a second, {:.0} of them supervised; at most {} MiB\n{loss}",
        summary.run,
        summary.reason,
        text::count(summary.steps),
        text::count(summary.rows as u64),
        text::duration(summary.seconds),
        summary.tokens_per_s,
        summary.supervised_per_s,
        text::count(summary.peak_mib),
    )
}

/// What the first Ctrl-C is answered with.
pub(super) const STOPPING: &str =
    "stopping after this step, with a checkpoint; once more ends at once and loses the step";

/// Lets the first Ctrl-C (or SIGTERM) ask for a checkpoint and an end, and the second end the process at once.
pub(super) fn stop_on_signal(stop: Arc<AtomicBool>, bar: ProgressBar) -> Result<()> {
    stop_on_signal_saying(stop, bar, STOPPING)
}

/// As [`stop_on_signal`], answering with `words`.
pub(super) fn stop_on_signal_saying(stop: Arc<AtomicBool>, bar: ProgressBar, words: &'static str) -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset and sets it, the second finds it set.
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(STOPPED), Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    // Ends with the process; a step may take long, and a person should be answered at once.
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        bar.suspend(|| say!("{words}"));
    })?;
    Ok(())
}

/// How often a line is written where no bar can be drawn, and how long it is silent at most.
const EVERY: u64 = 10;
const SILENCE: Duration = Duration::from_secs(30);
/// Steps over which the rate is taken.
const RECENT: usize = 10;

/// Shows a run's events: a bar on a terminal, otherwise a line every few steps.
struct Watcher {
    bar: ProgressBar,
    drawn: bool,
    steps: u64,
    /// Supervised and all tokens, and seconds of training, after each of the last steps.
    recent: VecDeque<(u64, f64)>,
    /// When the first event came, and the step it was for.
    begun: Option<(Instant, u64)>,
    valid: Option<f64>,
    spoken: Instant,
    from: u64,
}

impl Watcher {
    fn new(from: u64, steps: u64) -> Self {
        let bar = progress::bar(steps, "reading the model");
        bar.set_position(from);
        bar.enable_steady_tick(Duration::from_millis(500));
        let drawn = stderr().is_terminal();
        Self { bar, drawn, steps, recent: VecDeque::new(), begun: None, valid: None, spoken: Instant::now(), from }
    }

    fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Metrics(metrics) => self.step(metrics),
            Event::Sample(sample) => {
                let line = format!("step {}, {}: {}", sample.step, sample.id, text::escape(&sample.answer));
                self.line(&text::cut(&line, 160));
            }
            Event::Note(words) => self.line(words),
        }
    }

    fn line(&self, words: &str) {
        self.bar.suspend(|| say!("{words}"));
    }

    fn step(&mut self, metrics: &Metrics) {
        self.valid = metrics.valid_loss.or(self.valid);
        self.recent.push_back((metrics.tokens, metrics.seconds));
        if self.recent.len() > RECENT + 1 {
            self.recent.pop_front();
        }
        let mut words = Vec::new();
        words.extend(metrics.loss.map(|loss| format!("loss {loss:.4}")));
        words.extend(self.valid.map(|loss| format!("valid {loss:.4}")));
        if let (Some(first), Some(last)) = (self.recent.front(), self.recent.back())
            && last.1 > first.1
        {
            words.push(format!("{:.0} tok/s", (last.0 - first.0) as f64 / (last.1 - first.1)));
        }
        words.extend(self.left(metrics.step).map(|seconds| format!("{} left", text::duration(seconds))));
        self.bar.set_position(metrics.step);
        self.bar.set_message(words.join("  "));
        let due = metrics.valid_loss.is_some()
            || metrics.step.is_multiple_of(EVERY)
            || metrics.step == self.from + 1
            || metrics.step == self.steps
            || self.spoken.elapsed() > SILENCE;
        if !self.drawn && due {
            say!("step {}/{}  {}", metrics.step, self.steps, words.join("  "));
            self.spoken = Instant::now();
        }
    }

    /// Seconds that are left, evaluations included, by the pace since the first event.
    fn left(&mut self, step: u64) -> Option<f64> {
        let (begun, first) = *self.begun.get_or_insert((Instant::now(), step));
        let done = step.saturating_sub(first);
        (done > 0).then(|| begun.elapsed().as_secs_f64() / done as f64 * self.steps.saturating_sub(step) as f64)
    }
}
