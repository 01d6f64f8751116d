//! `togi next`: the record to work on.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output::{self, say};
use super::records::open;
use crate::actions::records;

/// Give me the next record to work on; everybody gets a different one
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi next
  togi edit $(togi next)

It is assigned to you, so it comes again until you accept or reject it.")]
pub struct Next {
    /// Print the record as one JSON object
    #[arg(long)]
    json: bool,
}

impl Next {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let Some(record) = records::next(&mut open(place)?)? else {
            say!("there is nothing left to work on");
            return Ok(ExitCode::FAILURE);
        };
        if self.json {
            output::json(&record)?;
        } else {
            output::print(&format!("{}\n", record.id))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
