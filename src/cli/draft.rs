//! `togi draft`: a model writes drafts for people to correct.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::records::{Chosen, open, told};
use super::train::stop_on_signal;
use super::{BaseModel, Place, Tuned, progress};
use crate::actions::generate::Limits;
use crate::actions::records::draft;
use crate::actions::train::Control;
use crate::config::Config;

/// Let the base or a tuned model write drafts for records that wait
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi draft --query status:inbox --run latest
  togi draft 12 13 14

Only pairs without a gold answer take drafts. Records are saved 64 at a time; Ctrl-C keeps what is saved.")]
pub struct Draft {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    tuned: Tuned,
    #[command(flatten)]
    base: BaseModel,
    /// Tokens of a draft at most
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_tokens: usize,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
    /// Leave the session of whoever started it, so that it outlives their terminal
    #[arg(long, hide = true)]
    detached: bool,
}

impl Draft {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        if self.detached {
            let _ = rustix::process::setsid();
            let _ = rustix::process::nice(Config::load()?.nice);
        }
        let mut store = open(place)?;
        let Some(ids) = self.chosen.records(&store, "draft")? else { return Ok(ExitCode::SUCCESS) };
        let mut context = place.context(&self.base)?;
        let control = Control::new();
        let bar = progress::bar(ids.len() as u64, "drafted");
        stop_on_signal(control.stop_flag(), bar.clone())?;
        let limits = Limits { max_tokens: self.max_tokens, ..Limits::default() };
        let outcome = draft::draft(
            &mut context,
            &mut store,
            &ids,
            &self.tuned.choice(),
            &limits,
            &mut progress::download(&bar),
            &mut |done, all| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
                !control.is_stopping()
            },
        );
        bar.finish_and_clear();
        told(&outcome?, "drafted", self.json)
    }
}
