//! `togi split`: which records are trained on, watched, and kept for the test.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output::{self, say};
use super::records::open;
use crate::actions::records::split::{self, Shares};

/// Hold records out for validation and test
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi split --valid 10% --test 10%
  togi split --test 0.2 --seed 3 --dry-run

Each category gives its share; records that say or ask the same go together; a record that has a split keeps it, so it can be
run again whenever records were added.")]
pub struct Split {
    /// Share for validation
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    valid: f64,
    /// Share for the test
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    test: f64,
    /// What the draw begins with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw all records again, those too that have a split
    #[arg(long)]
    again: bool,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let (number, by) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map_err(|error| format!("{text:?}: {error}"))? / by;
    if (0.0..1.0).contains(&share) { Ok(share) } else { Err(format!("{text:?} is no share; write 10% or 0.1")) }
}

impl Split {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut store = open(place)?;
        let shares = Shares { valid: self.valid, test: self.test };
        let done = split::split(&mut store, shares, self.seed, self.again, self.dry_run)?;
        if self.json {
            output::json(&done)?;
        } else {
            let words = if self.dry_run { "would be drawn" } else { "drawn" };
            say!("{} records {words}", done.drawn);
            say!(
                "train {}, valid {}, test {}; {} sets of duplicates kept together",
                done.train,
                done.valid,
                done.test,
                done.sets
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
