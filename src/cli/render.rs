//! `togi render`: a record as the model reads it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, progress};
use crate::actions::render::{listing, render};

/// Show a record's prompt as the model reads it, token by token
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi render --data train.jsonl --row 1

A + marks a token that is learned, a . one that is only read.")]
pub struct Render {
    /// The file of records
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The record's row, from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    row: usize,
    #[command(flatten)]
    base: BaseModel,
    /// Print text and tokens as one JSON object
    #[arg(long)]
    json: bool,
}

impl Render {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&self.base)?;
        let spinner = progress::spinner("reading the tokenizer");
        let shown = render(&mut context, &self.data, self.row, &mut progress::download(&spinner));
        spinner.finish_and_clear();
        let shown = shown?;
        let supervised = shown.rendered.supervised();
        if self.json {
            output::json(&serde_json::json!({
                "id": shown.id,
                "text": shown.rendered.text,
                "supervised": supervised,
                "tokens": shown.rows,
            }))?;
        } else {
            output::print(&listing(&shown.rows))?;
            say!("{}: {} tokens, {supervised} of them learned", shown.id, shown.rows.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}
