//! `togi models`: the catalogue.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use crate::actions::models::{self, Known};

/// List the models that togi knows by name
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi models
  togi models --json | jq -r 'select(.fits and .runs) | .id'")]
pub struct Models {
    /// Print one JSON object a model
    #[arg(long)]
    json: bool,
}

impl Models {
    pub fn run(&self) -> Result<ExitCode> {
        let models = models::models()?;
        if self.json {
            for known in &models {
                output::json(known)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let head = ["model", "size", "template", "gated", "runs", "fits", "licence"].map(str::to_owned).to_vec();
        let rows = models.iter().map(row);
        output::print(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))?;
        say!(
            "runs: togi runs it as the Hub has it. fits: its weights, in f32 at most, fit the memory that is free now."
        );
        say!("Any other model of these families opens as well; --json has notes.");
        Ok(ExitCode::SUCCESS)
    }
}

fn row(known: &Known) -> Vec<String> {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let entry = &known.entry;
    let millions = entry.parameters as f64 / 1e6;
    let size = if millions < 1000.0 { format!("{millions:.0}M") } else { format!("{:.1}B", millions / 1000.0) };
    vec![
        entry.id.clone(),
        size,
        yes(entry.template),
        yes(entry.gated),
        yes(known.runs),
        known.fits.map_or("?".to_owned(), yes),
        entry.licence.clone(),
    ]
}
