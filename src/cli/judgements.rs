//! `togi judgements`: what people preferred.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output;
use super::records::open;
use crate::actions::judge;

/// Count what people preferred when they compared answers, or print it as preference pairs
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi judgements
  togi judgements --pairs > preferences.jsonl
  togi judgements --json

The workbench's Compare pane collects them: B judges blind.")]
pub struct Judgements {
    /// Count those given with the names known, too
    #[arg(long)]
    all: bool,
    /// Print {\"prompt\", \"chosen\", \"rejected\"} lines
    #[arg(long, conflicts_with = "json")]
    pairs: bool,
    /// Print each judgement as one JSON object
    #[arg(long)]
    json: bool,
}

impl Judgements {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let judgements = open(place)?.judgements()?;
        if self.json {
            judgements.iter().try_for_each(output::json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.pairs {
            judge::pairs(&judgements).iter().try_for_each(output::json)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = String::new();
        for tally in judge::tallies(&judgements, !self.all) {
            let [first, second] = &tally.systems;
            let _ = write!(
                out,
                "{first} {}, {second} {}, as good {}, both bad {}",
                tally.first, tally.second, tally.tie, tally.bad
            );
            if let Some(share) = tally.share {
                let (low, high) = (100.0 * tally.interval.low, 100.0 * tally.interval.high);
                let _ = write!(out, ": {second} preferred in {:.0} % (95 %: {low:.0} to {high:.0})", 100.0 * share);
            }
            out.push('\n');
        }
        if out.is_empty() {
            out = "nobody has judged yet: B in the workbench's Compare pane does\n".into();
        }
        output::print(&out)?;
        Ok(ExitCode::SUCCESS)
    }
}
