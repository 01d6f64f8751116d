//! `togi doctor`: what togi finds here, and what is wrong with it.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output;
use crate::actions::doctor::{Findings, doctor};
use crate::text;

/// Look at the machine, the settings and the project
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi doctor
  togi doctor --json | jq .problems

The exit code is 1 where something keeps togi from working.")]
pub struct Doctor {
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let found = doctor(&place.folder);
        if self.json {
            output::json(&found)?;
        } else {
            output::print(&told(&found))?;
        }
        Ok(if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn told(found: &Findings) -> String {
    let mut lines =
        vec![format!("togi       {}", found.version), format!("device     {}, {} vectors", found.device, found.simd)];
    lines.push(format!("training   {}", found.device_words));
    lines.extend(found.threads.map(|threads| format!("threads    {threads}")));
    lines.extend(found.memory_free.map(|free| format!("memory     {} free", text::bytes(free))));
    if let Some(path) = &found.config {
        let there = if found.config_exists { "" } else { " (not there; every setting is at its default)" };
        lines.push(format!("settings   {}{there}", path.display()));
    }
    lines.extend(found.models_dir.as_ref().map(|path| format!("models     {}", path.display())));
    lines.push(match &found.project {
        Some(path) => format!("project    {}", path.display()),
        None => "project    none here or above; togi init DIR --model … makes one".to_owned(),
    });
    lines.extend(found.model.as_ref().map(|model| {
        let (parameters, context) = (text::count(model.parameters as u64), text::count(model.context as u64));
        format!("model      {}: {parameters} parameters, reads up to {context} tokens", model.name)
    }));
    lines.extend(found.problems.iter().map(|problem| format!("problem    {problem}")));
    lines.join("\n") + "\n"
}
