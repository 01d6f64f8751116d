//! `togi runs`: the project's runs.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place};
use crate::actions;

/// List the project's runs
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi runs
  togi runs --changed latest
  togi runs --json")]
pub struct Runs {
    /// Say which of the records that a run was trained on have changed since
    #[arg(long, value_name = "RUN")]
    changed: Option<String>,
    /// Print one JSON object a run
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        if let Some(run) = &self.changed {
            return self.since(place, run);
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
        let head = ["run", "state", "step", "loss", "best"].map(str::to_owned).to_vec();
        let rows = runs.iter().map(|run| {
            let of = run.steps.map(|steps| format!("/{steps}")).unwrap_or_default();
            let loss = run.loss.map(|loss| format!("{loss:.4}")).unwrap_or_default();
            let best = run.best.map(|(loss, step)| format!("{loss:.4} at step {step}")).unwrap_or_default();
            vec![run.run.clone(), run.state.clone(), format!("{}{of}", run.step), loss, best]
        });
        output::print(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))?;
        for run in &runs {
            if let Some(problem) = &run.problem {
                say!("{problem}");
            }
        }
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
