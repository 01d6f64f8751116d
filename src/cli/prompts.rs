//! `togi prompts`: the versions of the prompt template.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::records::open;
use super::{BaseModel, Place};
use crate::actions::context::read_template;
use crate::actions::prompts;

/// List the versions of the prompt template, save one, or say which is used
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi prompts
  togi prompts --save short --from short.jinja --use
  togi prompts --examples 12,40,41

A version is never written over: another text under a name that is there becomes NAME-2.")]
pub struct Prompts {
    /// Use this version from now on
    #[arg(long = "choose", value_name = "NAME", conflicts_with = "save")]
    choose: Option<String>,
    /// Save a text as a version
    #[arg(long, value_name = "NAME", requires = "from")]
    save: Option<String>,
    /// The file of the text
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Use what is saved from now on
    #[arg(long = "use", requires = "save")]
    used: bool,
    /// Show these records, with their answers, before every question; an empty list for none
    #[arg(long, value_name = "IDS", value_delimiter = ',', num_args = 0..)]
    examples: Option<Vec<i64>>,
    /// Print each version as one JSON object
    #[arg(long)]
    json: bool,
}

impl Prompts {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&BaseModel::default())?;
        if let (Some(name), Some(from)) = (&self.save, &self.from) {
            let saved = prompts::save(&context, name, &read_template(from)?)?;
            say!("saved as {saved}");
            if self.used {
                prompts::choose(&mut context, &saved)?;
            }
        }
        if let Some(name) = &self.choose {
            prompts::choose(&mut context, name)?;
        }
        if let Some(ids) = &self.examples {
            prompts::set_examples(&mut context, &open(place)?, ids)?;
        }
        let versions = prompts::versions(&context)?;
        if self.json {
            versions.iter().try_for_each(output::json)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = String::new();
        for version in &versions {
            let mark = if version.used { "*" } else { " " };
            let draft = if version.draft.is_some() { " (with a text that is not saved)" } else { "" };
            let first = crate::text::cut(version.text.lines().next().unwrap_or_default(), 60);
            let _ = writeln!(out, "{mark} {:<20} {first}{draft}", version.name);
        }
        if out.is_empty() {
            out = "no version yet: the model's chat template renders instruction and input\n".into();
        }
        output::print(&out)?;
        Ok(ExitCode::SUCCESS)
    }
}
