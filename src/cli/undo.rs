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
    #[arg(value_name = "N", default_value_t = 1)]
    count: usize,
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
    #[arg(value_name = "N", default_value_t = 1)]
    count: usize,
    /// Print one JSON object an act
    #[arg(long)]
    json: bool,
}

impl Undo {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        told(&records::undo(&mut open(place)?, self.count)?, "undone", "nothing of yours is left to undo", self.json)
    }
}

impl Redo {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        told(&records::redo(&mut open(place)?, self.count)?, "done again", "there is nothing to do again", self.json)
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
            let answer = |state: &Option<records::State>| {
                let answer = state.as_ref().and_then(|state| state.content.answer());
                text::escape(answer.unwrap_or("-")).into_owned()
            };
            say!(
                "record {} stays: {} has changed it since\n  it is         {}\n  it would be   {}",
                conflict.record,
                conflict.by,
                answer(&conflict.theirs),
                answer(&conflict.ours)
            );
        }
    }
    Ok(if conflicts { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
