//! `togi config`: the settings and keys of a person, and where they lie.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use serde_json::json;

use super::output;
use crate::config::{self, Config, DEFAULTS};
use crate::terminal;

/// Show the settings, or every setting and key with its default
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi config
  togi config --defaults
  togi config --json | jq .threads")]
pub struct ConfigVerb {
    /// Print config.toml and keymap.toml with every key, its default and what it means
    #[arg(long)]
    defaults: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "defaults")]
    json: bool,
}

impl ConfigVerb {
    pub fn run(&self) -> Result<ExitCode> {
        let path = config::file().map(|file| file.display().to_string());
        if self.defaults {
            let keys = terminal::documented_keys();
            output::print(&format!("## config.toml\n{DEFAULTS}\n## keymap.toml, beside it\n{keys}"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let config = Config::load()?;
        let glyphs = match config.ascii {
            None => "auto",
            Some(true) => "ascii",
            Some(false) => "unicode",
        };
        let keymap = terminal::keymap_path().map(|path| path.display().to_string());
        let values = json!({
            "config": path,
            "keymap": keymap,
            "threads": config.threads,
            "models_dir": config.models_dir,
            "nice": config.nice,
            "theme": config.theme,
            "glyphs": glyphs,
            "mouse": config.mouse,
        });
        if self.json {
            output::json(&values)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = String::new();
        for (name, value) in values.as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(out, "{name:<11} {value}");
        }
        output::print(&out)?;
        Ok(ExitCode::SUCCESS)
    }
}
