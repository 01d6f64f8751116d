//! `togi accept`: answers become gold.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::records::{Chosen, open, told};
use crate::actions::records;

/// Accept records: the answer as it stands becomes gold
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi accept 12 13 14
  togi accept --query 'status:inbox flag:none' --dry-run")]
pub struct Accept {
    #[command(flatten)]
    chosen: Chosen,
    /// Seconds that were spent on it
    #[arg(long, value_name = "S", value_parser = super::records::seconds)]
    seconds: Option<f64>,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

impl Accept {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut store = open(place)?;
        let Some(ids) = self.chosen.records(&store, "accept")? else { return Ok(ExitCode::SUCCESS) };
        told(&records::accept(&mut store, &ids, self.seconds)?, "accepted", self.json)
    }
}
