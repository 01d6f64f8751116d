//! `togi export`: a tuned model, or records, for other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::records::Asked;
use super::{BaseModel, Place, Tuned};
use crate::actions::adapters::export_peft;
use crate::actions::records::export::{Format, export};
use crate::text;

/// Write a tuned model, or records, where other programs find them
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi export peft ./my-adapter --run latest
  togi export messages gold.jsonl --status gold
  togi export alpaca data/            # a folder: train.jsonl, valid.jsonl, test.jsonl")]
pub struct Export {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    Peft(Peft),
    Alpaca(Records),
    Messages(Records),
    PromptCompletion(Records),
    Preference(Records),
    Csv(Records),
    Parquet(Records),
    #[command(name = "jumpstart")]
    JumpStart(Records),
}

/// Records in this layout
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi export alpaca gold.jsonl --status gold
  togi export messages data/ --query 'category:返品'

A file that ends in .json becomes a list. Into a folder each split is written as a file of its own. Rejected records are left out
unless the query asks for them.")]
struct Records {
    /// The file to write, or a folder
    out: PathBuf,
    /// Which records
    #[arg(long, default_value = "")]
    query: String,
    #[command(flatten)]
    marks: Asked,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
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
        let (format, records) = match &self.form {
            Form::Peft(peft) => return peft.run(place),
            Form::Alpaca(records) => (Format::Alpaca, records),
            Form::Messages(records) => (Format::Messages, records),
            Form::PromptCompletion(records) => (Format::PromptCompletion, records),
            Form::Preference(records) => (Format::Preference, records),
            Form::Csv(records) => (Format::Csv, records),
            Form::Parquet(records) => (Format::Parquet, records),
            Form::JumpStart(records) => (Format::JumpStart, records),
        };
        let context = place.context(&BaseModel::default())?;
        let store = context.store()?;
        let written = export(&context, &store, format, &records.marks.query(&records.query)?, &records.out)?;
        if records.json {
            output::json(&written)?;
        } else {
            for (record, why) in written.left_out.iter().take(5) {
                say!("record {record} is left out: {why}");
            }
            if written.left_out.len() > 5 {
                say!("… and {} more", written.left_out.len() - 5);
            }
            let files: Vec<String> = written.files.iter().map(|file| file.display().to_string()).collect();
            say!("{} records in {}", text::count(written.rows as u64), files.join(", "));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Peft {
    fn run(&self, place: &Place) -> Result<ExitCode> {
        let peft = self;
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
