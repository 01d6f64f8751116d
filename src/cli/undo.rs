//! `togi undo` and `togi redo`.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output::{self, say};
use super::records::open;
use crate::actions::records::{self, Undone};
use crate::text;

/// Take back what you did last
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi undo
  togi undo 3

It reaches back over everything you did with the records: edits, accepting and rejecting, imports. What another person has
changed since is left alone and told.")]
pub struct Undo {
    /// How many acts
    #[arg(value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Print one JSON object an act
    #[arg(long)]
    json: bool,
}

/// Do again what you took back last
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi redo")]
pub struct Redo {
    /// How many acts
    #[arg(value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Print one JSON object an act
    #[arg(long)]
    json: bool,
}

impl Undo {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        told(
            &records::undo(&mut open(place)?, self.count as usize)?,
            "undone",
            "nothing of yours is left to undo",
            self.json,
        )
    }
}

impl Redo {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        told(
            &records::redo(&mut open(place)?, self.count as usize)?,
            "done again",
            "there is nothing to do again",
            self.json,
        )
    }
}

fn told(all: &[Undone], what: &str, nothing: &str, json: bool) -> Result<ExitCode> {
    if all.is_empty() {
        say!("{nothing}");
        return Ok(ExitCode::FAILURE);
    }
    let mut conflicts = false;
    for undone in all {
        if json {
            output::json(undone)?;
        } else {
            let note =
                if undone.note.is_empty() { String::new() } else { format!(" ({})", text::escape(&undone.note)) };
            say!("{what}: {}{note}, {} records", undone.cause, text::count(undone.done.changed.len() as u64));
        }
        for conflict in &undone.done.conflicts {
            conflicts = true;
            say!(
                "record {} stays as it is: {} has changed it since; taking it back would have changed",
                conflict.record,
                conflict.by
            );
            for change in super::show::changes(conflict.theirs.as_ref(), conflict.ours.as_ref()) {
                say!("  {}", text::cut(&text::escape(&change), 160));
            }
        }
    }
    Ok(if conflicts { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
