//! `togi mark`: category, tags, split, assignee, status.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::records::{Chosen, open, told};
use crate::actions::records::{self, Marks, Split, Status};

/// Set category, tags, split, assignee or status of records
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi mark 12 13 --category 返品 --tag checked
  togi mark --query source:july.csv --split test
  togi mark 12 --assignee '' --status inbox

An empty text takes a mark away.")]
pub struct Mark {
    #[command(flatten)]
    chosen: Chosen,
    /// The class
    #[arg(long)]
    category: Option<String>,
    /// What it is used for: train, valid, test, none
    #[arg(long, value_parser = ["train", "valid", "test", "none"])]
    split: Option<String>,
    /// Who is to work on it
    #[arg(long, value_name = "ACCOUNT")]
    assignee: Option<String>,
    /// A tag to add
    #[arg(long, value_parser = tag)]
    tag: Vec<String>,
    /// A tag to take away
    #[arg(long, value_name = "TAG")]
    untag: Vec<String>,
    /// inbox, draft, gold, rejected
    #[arg(long)]
    status: Option<Status>,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

fn tag(text: &str) -> Result<String, String> {
    let tag = text.trim();
    if tag.is_empty() || tag.contains(char::is_control) {
        return Err("a tag is a word or several on one line".into());
    }
    Ok(tag.to_owned())
}

impl Mark {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut store = open(place)?;
        let Some(ids) = self.chosen.records(&store, "mark")? else { return Ok(ExitCode::SUCCESS) };
        let marks = Marks {
            category: self.category.clone(),
            // What is no split's name is none.
            split: self.split.as_deref().map(|name| name.parse::<Split>().ok()),
            assignee: self.assignee.clone(),
            tag: self.tag.clone(),
            untag: self.untag.clone(),
            status: self.status,
        };
        told(&records::mark(&mut store, &ids, &marks)?, "marked", self.json)
    }
}
