//! `togi generate`: one prompt, one answer, streamed.

use std::io::{IsTerminal, Read, stdin};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Context as _, Result};

use super::output::{self, say};
use super::{BaseModel, Place, Tuned, progress};
use crate::actions::ActionError;
use crate::actions::generate::{self, Limits, Sampling};
use crate::text;

/// Answer one prompt with the base model, a run or any adapter
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi generate \"Name three rivers.\"
  togi generate \"Name three rivers.\" --run latest --temperature 0.8 --seed 7
  cat minutes.txt | togi generate - --run a1 --json

Where the project has a prompt template of its own, give its fields as a JSON object:
  togi generate '{\"instruction\": \"To do:\", \"input\": \"Ben will order the chairs.\"}' --run latest")]
pub struct Generate {
    /// The prompt; - or nothing reads it from standard input
    prompt: Option<String>,
    #[command(flatten)]
    tuned: Tuned,
    #[command(flatten)]
    base: BaseModel,
    #[command(flatten)]
    how: How,
    /// Print the answer as one JSON object when it is done
    #[arg(long)]
    json: bool,
}

/// How an answer is chosen and where it ends.
#[derive(Debug, Args)]
pub struct How {
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_tokens: usize,
    /// 0 always takes the likeliest token; higher takes others more often
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Draw among the K likeliest tokens only; 0 is off
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: usize,
    /// Draw among the likeliest tokens that together reach this probability; 1 is off
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f32,
    /// Draw among tokens at least this share as likely as the likeliest; 0 is off
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_p: f32,
    /// Make tokens that were there before less likely; 1 is off
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    repetition_penalty: f32,
    /// The same seed draws the same answer
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// A text that ends the answer; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

impl How {
    /// The limits that are asked for.
    ///
    /// # Errors
    /// When a value means nothing; before the model is read, which may take a while.
    pub fn limits(&self) -> Result<Limits, ActionError> {
        let limits = Limits {
            max_tokens: self.max_tokens,
            stops: self.stop.clone(),
            sampling: Sampling {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                repetition_penalty: self.repetition_penalty,
                seed: self.seed,
            },
        };
        possible(&limits.sampling)?;
        Ok(limits)
    }
}

/// Refuses ways to choose tokens that mean nothing, by the names of their options.
pub fn possible(sampling: &Sampling) -> Result<(), ActionError> {
    sampling.check().map_err(|error| ActionError::Asked(format!("--{}", error.to_string().replace('_', "-"))))
}

/// The prompt that was given, or what standard input holds, without the line break at its end.
pub fn prompt(given: Option<&str>) -> Result<String> {
    let prompt = match given {
        Some(prompt) if prompt != "-" => prompt.to_owned(),
        _ => {
            if stdin().is_terminal() {
                say!("reading the prompt from here; Ctrl-D ends it");
            }
            let mut text = String::new();
            stdin().read_to_string(&mut text).wrap_err("the prompt on standard input cannot be read")?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            text.strip_suffix('\r').unwrap_or(text).to_owned()
        }
    };
    if prompt.is_empty() {
        let why = "the prompt is empty; give one as an argument or on standard input";
        return Err(ActionError::Asked(why.to_owned()).into());
    }
    Ok(prompt)
}

impl Generate {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let limits = self.how.limits()?;
        let prompt = prompt(self.prompt.as_deref())?;
        let mut context = place.reading(&self.base)?;
        let spinner = progress::spinner("reading the model");
        let mut failed = None;
        let answer = generate::generate(
            &mut context,
            &self.tuned.choice(),
            &prompt,
            &limits,
            &mut progress::download(&spinner),
            &mut |piece| {
                spinner.finish_and_clear();
                if self.json {
                    return true;
                }
                failed = output::print(piece).err();
                failed.is_none()
            },
        );
        spinner.finish_and_clear();
        let answer = answer?;
        if let Some(error) = failed {
            return Err(error);
        }
        if self.json {
            output::json(&answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        if !answer.answer.ends_with('\n') {
            output::print("\n")?;
        }
        let by = answer.adapter.map_or("the base model".to_owned(), |identity| format!("adapter {identity}"));
        let cut = if answer.stop == "length" { "; cut there, --max-tokens allows more" } else { "" };
        say!("{by}: {} tokens in {}{cut}", text::count(answer.tokens as u64), text::duration(answer.seconds));
        if let Some(note) = answer.note {
            say!("{note}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
