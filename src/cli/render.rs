//! `togi render`: a record as the model reads it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, progress};
use crate::actions::context::Download;
use crate::actions::render::{Shown, Source, listing, render};
use crate::actions::{ActionError, Context};

/// Show a record's prompt as the model reads it, token by token
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi render --data train.jsonl --row 1
  togi render --record 12 --template prompts/short.jinja

A + marks a token that is learned, a . one that is only read.")]
pub struct Render {
    /// The file of records
    #[arg(long, value_name = "FILE", required_unless_present = "record")]
    data: Option<PathBuf>,
    /// One of the project's records, in place of a file's row
    #[arg(long, value_name = "ID", conflicts_with_all = ["data", "row"])]
    record: Option<i64>,
    /// A prompt template in place of the project's
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
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
        let mut context = if self.data.is_some() { place.reading(&self.base) } else { place.context(&self.base) }?;
        let spinner = progress::spinner("reading the tokenizer");
        let shown = self.shown(&mut context, &mut progress::download(&spinner));
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

    fn shown(&self, context: &mut Context, tell: &mut dyn FnMut(Download)) -> Result<Shown, ActionError> {
        let question = match (&self.data, self.record) {
            (Some(data), _) => Source::Row(data, self.row),
            (None, record) => Source::Record(record.unwrap_or_default()),
        };
        render(context, &question, self.template.as_deref(), tell)
    }
}
