//! `togi export`: a tuned model for other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, Tuned};
use crate::actions::adapters::export_peft;

/// Write a tuned model where other programs find it
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi export peft ./my-adapter --run latest")]
pub struct Export {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    Peft(Peft),
}

/// The adapter alone, as PEFT reads it
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi export peft ./my-adapter --run latest
  togi export peft ./my-adapter --run a1@120

In Python: PeftModel.from_pretrained(base, \"./my-adapter\")")]
struct Peft {
    /// The folder to write; it must not hold an adapter yet
    dir: PathBuf,
    #[command(flatten)]
    tuned: Tuned,
    /// Print where it came from and went as one JSON object
    #[arg(long)]
    json: bool,
}

impl Export {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let Form::Peft(peft) = &self.form;
        let context = place.context(&BaseModel::default())?;
        let from = export_peft(&context, &peft.tuned.choice(), &peft.dir)?;
        if peft.json {
            output::json(&serde_json::json!({ "from": from, "to": peft.dir }))?;
        } else {
            say!("{} is in {}, as PEFT reads it", from.display(), peft.dir.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}
