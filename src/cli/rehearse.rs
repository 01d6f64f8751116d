//! `togi rehearse`: answers that are kept with their times, for an audience.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::generate::{How, prompt};
use super::output::{self, say};
use super::{BaseModel, Place, progress};
use crate::actions::answer::Question;
use crate::actions::rehearsal::{self, Rehearsed};
use crate::text;

/// Let two systems answer a question and keep what they write, to be played back at its speed without a model
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi rehearse --record 12 --right latest
  togi rehearse \"What did we agree on?\" --left base --right a1
  togi rehearse --list

The workbench's Compare pane plays them: P presents, space goes to the next.")]
pub struct Rehearse {
    /// The question; - or nothing reads it from standard input
    #[arg(conflicts_with = "record")]
    prompt: Option<String>,
    /// A record's question instead
    #[arg(long, value_name = "ID")]
    record: Option<i64>,
    /// Who answers left: base or a run (RUN, RUN@STEP, RUN@last)
    #[arg(long, value_name = "SYSTEM", default_value = "base")]
    left: String,
    /// Who answers right
    #[arg(long, value_name = "SYSTEM", default_value = "latest")]
    right: String,
    /// List what is kept, and ask nobody
    #[arg(long, conflicts_with_all = ["prompt", "record"])]
    list: bool,
    #[command(flatten)]
    base: BaseModel,
    #[command(flatten)]
    how: How,
    /// Print what is kept as JSON objects, one a line
    #[arg(long)]
    json: bool,
}

impl Rehearse {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&self.base)?;
        if self.list {
            let all = rehearsal::list(&context)?;
            if all.is_empty() {
                say!("nothing has been rehearsed yet");
            }
            all.iter().try_for_each(|one| self.print(one))?;
            return Ok(ExitCode::SUCCESS);
        }
        let limits = self.how.limits()?;
        let question = match self.record {
            Some(id) => Question::Record(id),
            None => Question::Typed(prompt(self.prompt.as_deref())?),
        };
        let spinner = progress::spinner("reading the model");
        let kept = rehearsal::rehearse(
            &mut context,
            question,
            &[self.left.clone(), self.right.clone()],
            &limits,
            &mut progress::download(&spinner),
            &mut |side, _| {
                spinner.set_message(if side == 0 { "left writes" } else { "right writes" });
                true
            },
        );
        spinner.finish_and_clear();
        self.print(&kept?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, one: &Rehearsed) -> Result<()> {
        if self.json {
            return output::json(one);
        }
        let question = match &one.question {
            Question::Record(id) => format!("record {id}"),
            Question::Typed(text) => text::escape(text).into_owned(),
        };
        let seconds = one.events.last().map_or(0.0, |(at, ..)| *at as f64 / 1e3);
        let mut out = format!("{question}, {seconds:.1} s\n");
        for (side, system) in one.systems.iter().enumerate() {
            let said: String =
                one.events.iter().filter(|(_, of, _)| *of == side).map(|(.., text)| text.as_str()).collect();
            let _ = writeln!(out, "  {system}: {}", text::escape(&said));
        }
        output::print(&out)
    }
}
