//! `togi init`: makes a project.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::say;
use crate::actions;

/// Make a folder a project with a base model of its own
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi init my-desk --model HuggingFaceTB/SmolLM2-135M-Instruct
  togi init my-desk --model ~/models/gemma-3-270m-it.gguf")]
pub struct Init {
    /// The project's folder; it is made where it is missing
    dir: PathBuf,
    /// Its base model: a GGUF file, a Hugging Face folder or a Hub id
    #[arg(long, value_name = "PATH|HUB_ID")]
    model: String,
}

impl Init {
    pub fn run(&self) -> Result<ExitCode> {
        let project = actions::init::init(&self.dir, &self.model)?;
        say!(
            "{} is a project now; its settings are in {}",
            project.root().display(),
            project.settings_path().display()
        );
        say!(
            "next: togi --project {0} import FILE   or: togi --project {0} train --data train.jsonl",
            self.dir.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}
