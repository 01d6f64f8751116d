//! What the commands of the pane do.

use std::time::Duration;

use super::super::overlay::Purpose;
use super::super::{App, Effect as AppEffect, Overlay};
use super::{CHECKING, CURVES, Drawn, Effect, Face, Line, SCROLL, STARTING, Stand};
use crate::job::Request;
use crate::keymap::{Command, Scope};

impl App {
    /// A command of the pane.
    pub(in crate::app) fn train_command(&mut self, command: Command, now: Duration, effects: &mut Vec<AppEffect>) {
        use Command as C;
        if command.scope() == Scope::NewRun {
            self.form_command(command, now, effects);
            return;
        }
        let last = self.train.runs.len().saturating_sub(1);
        let train = &mut self.train;
        match command {
            C::TrainDown => self.go_to_run(self.train.at.saturating_add(1).min(last)),
            C::TrainUp => self.go_to_run(self.train.at.saturating_sub(1)),
            C::TrainTop => self.go_to_run(0),
            C::TrainBottom => self.go_to_run(last),
            C::TrainSeries => train.chart.drawn = turn(train.chart.drawn, 1),
            C::TrainSeriesBefore => train.chart.drawn = turn(train.chart.drawn, Drawn::ALL.len() - 1),
            C::TrainLog => train.chart.log = !train.chart.log,
            C::TrainSmooth => train.chart.smooth = !train.chart.smooth,
            C::TrainZoomIn => train.zoom(true),
            C::TrainZoomOut => train.zoom(false),
            C::TrainPanLeft => train.pan(false),
            C::TrainPanRight => train.pan(true),
            C::TrainCrossLeft => train.move_cross(false),
            C::TrainCrossRight => train.move_cross(true),
            C::TrainScrollDown => train.scroll.by(SCROLL),
            C::TrainScrollUp => train.scroll.by(-SCROLL),
            C::TrainBack => {
                if train.face != Face::Chart {
                    train.face = Face::Chart;
                    train.scroll.home();
                } else if train.chart.cross.take().is_none() && train.chart.window.take().is_none() {
                    train.scroll.home();
                }
            }
            C::TrainOverlay => self.keep_on_chart(now),
            C::TrainNew => {
                train.face = Face::New;
                effects.push(AppEffect::Train(Effect::Form));
            }
            C::TrainSvg => {
                let Some(run) = train.current() else { return self.none(now) };
                let file = format!("{}.svg", run.name);
                let title = "write the chart into which file?".to_owned();
                self.overlay = Some(Overlay::ask(Purpose::Train(Line::Svg), title, &file, Vec::new()));
            }
            C::TrainNote => {
                let Some(run) = train.current() else { return self.none(now) };
                let (purpose, title) =
                    (Purpose::Train(Line::Note(run.name.clone())), format!("a note about {}", run.name));
                self.overlay = Some(Overlay::ask(purpose, title, &run.note.replace('\n', " "), Vec::new()));
            }
            C::TrainCompare => self.compare_runs(now, effects),
            C::TrainPause => self.control(Request::Pause, now, effects),
            C::TrainStop => self.control(Request::Stop, now, effects),
            C::TrainCheckpoint => self.control(Request::Checkpoint, now, effects),
            C::TrainResume => self.resume(now, effects),
            _ => {}
        }
    }

    /// The mouse clicked on a line: of the runs, or of the form of a new one, where a second click changes what is there.
    pub(in crate::app) fn run_clicked(&mut self, at: usize) {
        if self.train.face != Face::New {
            if at < self.train.runs.len() {
                self.go_to_run(at);
            }
        } else if self.train.form.go_to(at) {
            self.edit_form();
        }
    }

    fn none(&mut self, now: Duration) {
        let key = self.keymap.first(Command::TrainNew);
        self.note(format!("there is no run yet; {key} sets one up"), now);
    }

    fn go_to_run(&mut self, at: usize) {
        if at != self.train.at {
            self.train.at = at;
            self.train.scroll.home();
            if self.train.face != Face::Chart {
                self.train.face = Face::Chart;
            }
        }
    }

    /// Keeps the run's curve on the chart, or takes it off.
    fn keep_on_chart(&mut self, now: Duration) {
        let train = &mut self.train;
        let Some(name) = train.current().map(|run| run.name.clone()) else { return self.none(now) };
        if let Some(at) = train.kept.iter().position(|kept| *kept == name) {
            train.kept.remove(at);
        } else if train.kept.len() + 1 >= CURVES {
            self.note(format!("{CURVES} curves fit on the chart: take one off first"), now);
        } else {
            train.kept.push(name);
        }
    }

    /// Shows in what the run at the cursor differs from the one that is kept, else from the one before it.
    fn compare_runs(&mut self, now: Duration, effects: &mut Vec<AppEffect>) {
        let train = &mut self.train;
        let Some(b) = train.current().map(|run| run.name.clone()) else { return self.none(now) };
        let kept = train.kept.iter().rev().find(|name| **name != b).cloned();
        let older = train.runs.get(train.at + 1).or(train.at.checked_sub(1).and_then(|at| train.runs.get(at)));
        let Some(a) = kept.or_else(|| older.map(|run| run.name.clone())) else {
            self.note("there is only one run", now);
            return;
        };
        train.face = Face::Differences { a: a.clone(), b: b.clone(), lines: None };
        train.scroll.home();
        effects.push(AppEffect::Train(Effect::Compare { a, b }));
    }

    fn control(&mut self, request: Request, now: Duration, effects: &mut Vec<AppEffect>) {
        let Some(run) = self.train.current() else { return self.none(now) };
        if !run.is_live() {
            let words = format!("run {} does not run: it is {}", run.name, run.word());
            return self.note(words, now);
        }
        let words = match request {
            Request::Pause => "waits after the step it is at",
            Request::Stop => "writes a checkpoint and ends",
            Request::Checkpoint if run.is_paused() => "writes a checkpoint and waits on",
            Request::Checkpoint => "writes a checkpoint and goes on",
            Request::Resume | Request::Status => "goes on",
        };
        let (words, run) = (format!("{} {words}", run.name), run.name.clone());
        effects.push(AppEffect::Train(Effect::Control { run, request }));
        self.note(words, now);
    }

    /// Lets a paused run go on in its process, and a stopped one in a new one.
    fn resume(&mut self, now: Duration, effects: &mut Vec<AppEffect>) {
        let Some(run) = self.train.current() else { return self.none(now) };
        if run.is_paused() {
            return self.control(Request::Resume, now, effects);
        }
        let name = run.name.clone();
        match run.state.as_str() {
            "running" => {
                let words = format!("{name} is {}", run.word());
                self.note(words, now);
            }
            "finished" => {
                let reason = self.train.current().map_or("", |run| &run.reason);
                self.note(format!("{name} is finished: {reason}"), now);
            }
            _ if self.train.busy.is_some() => self.note("one thing at a time: another run is being started", now),
            _ => {
                self.train.busy = Some("starting");
                effects.push(AppEffect::Train(Effect::Resume(name)));
            }
        }
    }

    /// A command of the form.
    fn form_command(&mut self, command: Command, now: Duration, effects: &mut Vec<AppEffect>) {
        use Command as C;
        const PAGE: isize = 10;
        self.train.face = Face::New;
        if self.train.form.settings.is_empty() {
            effects.push(AppEffect::Train(Effect::Form));
        }
        let form = &mut self.train.form;
        match command {
            C::NewDown => form.step(1),
            C::NewUp => form.step(-1),
            C::NewPageDown => form.step(PAGE),
            C::NewPageUp => form.step(-PAGE),
            C::NewLeave if form.choosing.is_some() => form.choosing = None,
            C::NewLeave => self.train.face = Face::Chart,
            C::NewUsual => {
                if let Some(key) = form.setting().map(|setting| setting.key.clone()) {
                    form.give(&key, "");
                } else {
                    (form.model, form.stand) = (None, Stand::Open);
                }
            }
            C::NewEdit => self.edit_form(),
            C::NewStart => {
                let wish = form.wish();
                match &form.stand {
                    Stand::Busy(_) => self.note("it is being looked at", now),
                    Stand::Passed(_) => {
                        form.stand = Stand::Busy(STARTING);
                        effects.push(AppEffect::Train(Effect::Start(wish)));
                    }
                    Stand::Open | Stand::Refused(_) => {
                        form.stand = Stand::Busy(CHECKING);
                        form.told.clear();
                        effects.push(AppEffect::Train(Effect::Check(wish)));
                    }
                }
            }
            _ => {}
        }
    }

    /// Asks for what is at the cursor of the form.
    fn edit_form(&mut self) {
        let form = &mut self.train.form;
        if let Some(at) = form.choosing {
            // The project's own, the catalogue, and any other.
            if at > form.models.len() {
                let (purpose, title) =
                    (Purpose::Train(Line::Model), "a GGUF file, a Hugging Face folder or a Hub id".to_owned());
                let written = form.model.clone().unwrap_or_default();
                self.overlay = Some(Overlay::ask(purpose, title, &written, Vec::new()));
                return;
            }
            form.model = at.checked_sub(1).and_then(|at| form.models.get(at)).map(|model| model.id.clone());
            (form.choosing, form.stand) = (None, Stand::Open);
            return;
        }
        let Some(setting) = form.setting() else {
            let here = form.model.as_ref().and_then(|id| form.models.iter().position(|model| model.id == *id));
            form.choosing = Some(here.map_or(0, |at| at + 1));
            return;
        };
        let (key, value) = (setting.key.clone(), form.value(setting).to_owned());
        let title = format!("train.{key}, now {value}; nothing: as the project has it");
        let choices: &[&str] = match key.as_str() {
            "method" => &["lora", "full"],
            "schedule" => &["cosine", "linear", "constant"],
            "too_long" => &["stop", "drop"],
            "rslora" | "supervise_prompt" | "share_prefix" | "checkpointing" => &["true", "false"],
            _ => &[],
        };
        let choices = choices.iter().map(|&choice| choice.to_owned()).collect();
        self.overlay = Some(Overlay::ask(Purpose::Train(Line::Setting(key)), title, "", choices));
    }

    /// A line that was asked for.
    pub(in crate::app) fn train_line(&mut self, what: Line, text: &str, now: Duration, effects: &mut Vec<AppEffect>) {
        match what {
            Line::Note(run) => effects.push(AppEffect::Train(Effect::Note { run, text: text.to_owned() })),
            Line::Svg if text.trim().is_empty() => self.note("no file, no chart", now),
            Line::Svg => {
                let runs = self.train.charted().iter().map(|run| run.name.clone()).collect();
                let (log, file) = (self.train.chart.log, text.trim().to_owned());
                effects.push(AppEffect::Train(Effect::Svg { runs, log, file }));
            }
            Line::Setting(key) => self.train.form.give(&key, text),
            Line::Model => {
                let form = &mut self.train.form;
                form.model = Some(text.trim().to_owned()).filter(|model| !model.is_empty());
                (form.choosing, form.stand) = (None, Stand::Open);
            }
        }
    }
}

fn turn(drawn: Drawn, by: usize) -> Drawn {
    let at = Drawn::ALL.iter().position(|other| *other == drawn).unwrap_or(0);
    Drawn::ALL[(at + by) % Drawn::ALL.len()]
}
