//! `togi dedupe`: of records that say the same, one stays.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output::{self, say};
use super::records::open;
use crate::actions::records::dedupe;
use crate::text;

/// Reject duplicates, keeping one of each
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi dedupe --dry-run
  togi dedupe --near
  togi undo                 # takes it all back

Of records with equal prompt and answer (after NFKC, lower case, letters and digits only) the one that people have got furthest with
stays, and of these the oldest. Records kept for the test are never the ones that stay in the way of training: a duplicate of a test
record is rejected on the training side.")]
pub struct Dedupe {
    /// Near ones too
    #[arg(long)]
    near: bool,
    /// Say which, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Dedupe {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let done = dedupe::dedupe(&mut open(place)?, self.near, self.dry_run)?;
        if self.json {
            output::json(&done)?;
            return Ok(ExitCode::SUCCESS);
        }
        for (kept, rejected) in &done.sets {
            let rejected: Vec<String> = rejected.iter().map(ToString::to_string).collect();
            output::print(&format!("{kept} stays for {}\n", rejected.join(" ")))?;
        }
        let what = if self.dry_run { "would be rejected" } else { "rejected; togi undo takes it back" };
        say!("{} duplicates of {} records {what}", text::count(done.rejected as u64), done.sets.len());
        Ok(ExitCode::SUCCESS)
    }
}
