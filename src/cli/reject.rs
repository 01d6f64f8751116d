//! `togi reject`: records that are not to be used.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::records::{Chosen, open, told};
use crate::actions::records;

/// Reject records, with the reason
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi reject 12 --why 'the answer is out of date'
  togi reject --query flag:mojibake --why mojibake")]
pub struct Reject {
    #[command(flatten)]
    chosen: Chosen,
    /// The reason; it is noted on each record
    #[arg(long, value_name = "REASON")]
    why: String,
    /// Seconds that were spent on it
    #[arg(long, value_name = "S", value_parser = super::records::seconds)]
    seconds: Option<f64>,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

impl Reject {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut store = open(place)?;
        let Some(ids) = self.chosen.records(&store, "reject")? else { return Ok(ExitCode::SUCCESS) };
        told(&records::reject(&mut store, &ids, &self.why, self.seconds)?, "rejected", self.json)
    }
}
