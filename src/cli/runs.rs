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
  togi runs --json")]
pub struct Runs {
    /// Print one JSON object a run
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
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
}
