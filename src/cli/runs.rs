//! `togi runs`: the project's runs, and what is asked of one.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place};
use crate::actions::runs::{self, Request};
use crate::actions::{self, Context};
use crate::text;

/// List the project's runs, or ask something of one
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi runs
  togi runs --changed latest
  togi runs --pause latest && togi runs --continue latest
  togi runs --note latest \"rank 8, half the data\"
  togi runs --compare a1 a2
  togi runs --svg a1,a2 curves.svg --log
  togi runs --json

A paused run keeps its place and its memory; a stopped one writes a checkpoint and ends: togi train --resume RUN.")]
pub struct Runs {
    /// Say which of the records that a run was trained on have changed since
    #[arg(long, value_name = "RUN")]
    changed: Option<String>,
    /// Let a run wait after the step it is at
    #[arg(long, value_name = "RUN", group = "ask")]
    pause: Option<String>,
    /// Let a paused run go on
    #[arg(long, value_name = "RUN", group = "ask")]
    r#continue: Option<String>,
    /// Let a run write a checkpoint and end
    #[arg(long, value_name = "RUN", group = "ask")]
    stop: Option<String>,
    /// Let a run write a checkpoint and go on
    #[arg(long, value_name = "RUN", group = "ask")]
    checkpoint: Option<String>,
    /// Write down a note about a run; an empty text takes it away
    #[arg(long, num_args = 2, value_names = ["RUN", "TEXT"], group = "ask")]
    note: Option<Vec<String>>,
    /// Say in what two runs' settings, models, prompts and records differ
    #[arg(long, num_args = 2, value_names = ["RUN", "RUN"], group = "ask")]
    compare: Option<Vec<String>>,
    /// Draw the curves of runs into an SVG file
    #[arg(long, num_args = 2, value_names = ["RUN[,RUN]", "FILE"], group = "ask")]
    svg: Option<Vec<String>>,
    /// With --svg: losses on a logarithmic scale
    #[arg(long, requires = "svg")]
    log: bool,
    /// Print one JSON object a run
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        if let Some(run) = &self.changed {
            return self.since(place, run);
        }
        let requests = [
            (&self.pause, Request::Pause, "waits after the step it is at"),
            (&self.r#continue, Request::Resume, "goes on"),
            (&self.stop, Request::Stop, "writes a checkpoint and ends"),
            (&self.checkpoint, Request::Checkpoint, "writes a checkpoint and goes on"),
        ];
        for (run, request, words) in requests {
            if let Some(run) = run {
                return self.ask(&place.context(&BaseModel::default())?, run, request, words);
            }
        }
        if let Some([run, note]) = self.note.as_deref() {
            let run = runs::note(&place.context(&BaseModel::default())?, run, note)?;
            return self.done(&serde_json::json!({ "run": run, "note": note }), &format!("noted beside run {run}"));
        }
        if let Some([names, file]) = self.svg.as_deref() {
            let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
            let drawn = runs::svg(&place.context(&BaseModel::default())?, &names, self.log, Path::new(file))?;
            let told = format!("{} {} drawn in {file}", drawn.join(", "), if drawn.len() == 1 { "is" } else { "are" });
            return self.done(&serde_json::json!({ "runs": drawn, "file": file }), &told);
        }
        if let Some([a, b]) = self.compare.as_deref() {
            return self.differ(&place.context(&BaseModel::default())?, a, b);
        }
        let runs = actions::runs::runs(&place.context(&BaseModel::default())?)?;
        if self.json {
            for run in &runs {
                output::json(run)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if runs.is_empty() {
            say!("there are no runs yet; togi train --data train.jsonl makes one");
            return Ok(ExitCode::SUCCESS);
        }
        let head = ["run", "state", "step", "loss", "best", "note"].map(str::to_owned).to_vec();
        let rows = runs.iter().map(|run| {
            let of = run.steps.map(|steps| format!("/{steps}")).unwrap_or_default();
            let loss = run.loss.map(|loss| format!("{loss:.4}")).unwrap_or_default();
            let best = run.best.map(|(loss, step)| format!("{loss:.4} at step {step}")).unwrap_or_default();
            let state = run.phase.as_ref().unwrap_or(&run.state).clone();
            let note = text::cut(&text::escape(run.note.as_deref().unwrap_or_default()), 40).into_owned();
            vec![run.run.clone(), state, format!("{}{of}", run.step), loss, best, note]
        });
        output::print(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))?;
        for run in &runs {
            if let Some(problem) = &run.problem {
                say!("{problem}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Asks a running run for something.
    fn ask(&self, context: &Context, run: &str, request: Request, words: &str) -> Result<ExitCode> {
        let (run, progress) = runs::control(context, run, request)?;
        let mut told = serde_json::to_value(&progress)?;
        if let Some(told) = told.as_object_mut() {
            told.shift_insert(0, "run".into(), run.clone().into());
        }
        self.done(&told, &format!("run {run}, at step {} of {}, {words}", progress.step, progress.steps))
    }

    fn done(&self, told: &serde_json::Value, words: &str) -> Result<ExitCode> {
        if self.json {
            output::json(told)?;
        } else {
            say!("{words}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn differ(&self, context: &Context, a: &str, b: &str) -> Result<ExitCode> {
        let (a, b, differences) = runs::compare(context, a, b)?;
        if self.json {
            output::json(&serde_json::json!({ "runs": [a, b], "differences": differences }))?;
            return Ok(ExitCode::SUCCESS);
        }
        if differences.is_empty() {
            say!("{a} and {b} were made of the same");
            return Ok(ExitCode::SUCCESS);
        }
        let shown = |value: &Option<String>| {
            value.as_deref().map_or_else(|| "-".to_owned(), |value| text::cut(&text::escape(value), 60).into_owned())
        };
        let rows = differences.iter().map(|one| vec![one.key.clone(), shown(&one.a), shown(&one.b)]);
        let head = vec!["setting".to_owned(), a.clone(), b.clone()];
        output::print(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn since(&self, place: &Place, run: &str) -> Result<ExitCode> {
        let (changed, added) = actions::train::changed(&place.context(&BaseModel::default())?, run)?;
        if self.json {
            output::json(&serde_json::json!({ "changed": changed, "added": added }))?;
            return Ok(ExitCode::SUCCESS);
        }
        for one in &changed {
            let now = match (one.now, one.status) {
                (Some(now), Some(status)) if one.content => format!("revision {now} now ({status}), with another text"),
                (Some(now), Some(status)) => format!("revision {now} now ({status}), with the same text"),
                _ => "taken away".to_owned(),
            };
            output::print(&format!("{}: trained on revision {}; {now}\n", one.record, one.then))?;
        }
        say!("{} records changed since, {added} gold ones were added", changed.len());
        Ok(ExitCode::SUCCESS)
    }
}
