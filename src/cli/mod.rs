//! The command line: one file a verb, which parses its options, calls one action and prints what that returns.
//!
//! Results go to standard output, as text for a person or, with `--json`, as one JSON object a line; progress and prose
//! go to standard error, so that a pipe carries results only. Exit codes: 0 done, 1 failed, 2 wrongly asked (an option, a value, a
//! setting or a query that cannot be, whatever the files hold), 130 stopped by a signal. A reader that closes the pipe ends a verb
//! quietly.

mod accept;
mod bench;
mod compare;
mod config;
mod cost;
mod dedupe;
mod demo;
mod doctor;
mod draft;
mod edit;
mod errors;
mod eval;
mod evaluations;
mod export;
mod generate;
mod import;
mod init;
mod judgements;
mod ladder;
mod lint;
mod mark;
mod models;
mod next;
mod output;
mod progress;
mod prompts;
mod quarantine;
mod records;
mod rehearse;
mod reject;
mod render;
mod runs;
mod score;
mod show;
mod split;
mod stats;
mod train;
mod undo;
mod workbench;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use color_eyre::eyre::Result;

use crate::actions::adapters::Choice;
use crate::actions::{ActionError, Context};
use crate::config::Config;

/// Exit code of a verb that was asked what cannot be; the command line's parser has the same.
const WRONGLY_ASKED: u8 = 2;
/// Exit code of a verb that a signal stopped.
const STOPPED: u8 = 130;

/// Tunes a small language model on your own data, on the machine you are logged in to.
#[derive(Debug, Parser)]
#[command(version, after_help = FIRST_STEPS)]
struct Cli {
    /// The project's folder [default: the current folder, or the nearest above it that is a project]
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

const FIRST_STEPS: &str = "\
Example:
  togi demo
  togi init my-desk --model HuggingFaceTB/SmolLM2-135M-Instruct
  cd my-desk
  togi import train.jsonl --origin human
  togi train
  togi compare \"a prompt\" --run latest

Exit codes: 0 done, 1 failed, 2 wrongly asked (an option, a value, a setting or a query that cannot be), 130 stopped";

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Init(init::Init),
    Import(import::Import),
    Records(records::Records),
    Show(show::Show),
    Next(next::Next),
    Edit(edit::Edit),
    Accept(accept::Accept),
    Reject(reject::Reject),
    Mark(mark::Mark),
    Undo(undo::Undo),
    Redo(undo::Redo),
    Draft(draft::Draft),
    Lint(lint::Lint),
    Dedupe(dedupe::Dedupe),
    Split(split::Split),
    Stats(stats::Stats),
    Quarantine(quarantine::Quarantine),
    Train(train::Train),
    Generate(generate::Generate),
    Compare(compare::Compare),
    Eval(eval::Eval),
    Errors(errors::ErrorsVerb),
    Ladder(ladder::Ladder),
    Cost(cost::Cost),
    Score(score::Score),
    Render(render::Render),
    Prompts(prompts::Prompts),
    Export(export::Export),
    Judgements(judgements::Judgements),
    Rehearse(rehearse::Rehearse),
    Runs(runs::Runs),
    Models(models::Models),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    Config(config::ConfigVerb),
    Worker(worker::Worker),
}

impl Verb {
    fn run(&self, place: &Place) -> Result<ExitCode> {
        match self {
            Self::Demo(verb) => verb.run(),
            Self::Init(verb) => verb.run(),
            Self::Import(verb) => verb.run(place),
            Self::Records(verb) => verb.run(place),
            Self::Show(verb) => verb.run(place),
            Self::Next(verb) => verb.run(place),
            Self::Edit(verb) => verb.run(place),
            Self::Accept(verb) => verb.run(place),
            Self::Reject(verb) => verb.run(place),
            Self::Mark(verb) => verb.run(place),
            Self::Undo(verb) => verb.run(place),
            Self::Redo(verb) => verb.run(place),
            Self::Draft(verb) => verb.run(place),
            Self::Lint(verb) => verb.run(place),
            Self::Dedupe(verb) => verb.run(place),
            Self::Split(verb) => verb.run(place),
            Self::Stats(verb) => verb.run(place),
            Self::Quarantine(verb) => verb.run(place),
            Self::Train(verb) => verb.run(place),
            Self::Generate(verb) => verb.run(place),
            Self::Compare(verb) => verb.run(place),
            Self::Eval(verb) => verb.run(place),
            Self::Errors(verb) => verb.run(place),
            Self::Ladder(verb) => verb.run(place),
            Self::Cost(verb) => verb.run(place),
            Self::Score(verb) => verb.run(),
            Self::Render(verb) => verb.run(place),
            Self::Prompts(verb) => verb.run(place),
            Self::Export(verb) => verb.run(place),
            Self::Judgements(verb) => verb.run(place),
            Self::Rehearse(verb) => verb.run(place),
            Self::Runs(verb) => verb.run(place),
            Self::Models(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(place),
            Self::Bench(verb) => verb.run(place),
            Self::Config(verb) => verb.run(),
            Self::Worker(verb) => verb.run(place),
        }
    }
}

/// Where the verb is to look for its project.
struct Place {
    folder: PathBuf,
    /// Whether a person named it.
    given: bool,
}

impl Place {
    /// Opens the project, with `model` in place of its own where one is given.
    fn context(&self, model: &BaseModel) -> Result<Context, ActionError> {
        Context::find(&self.folder, model.model.as_deref())
    }

    /// The same for what keeps nothing: where a model is given, and no project is named, there need be none.
    fn reading(&self, model: &BaseModel) -> Result<Context, ActionError> {
        if self.given { self.context(model) } else { Context::reading(&self.folder, model.model.as_deref()) }
    }
}

/// The option that stands in for the project's model.
#[derive(Debug, Default, Args)]
struct BaseModel {
    /// A GGUF file, a Hugging Face folder or a Hub id, in place of the project's model
    #[arg(long, value_name = "PATH|HUB_ID")]
    model: Option<String>,
}

/// The options that name an adapter.
#[derive(Debug, Args)]
struct Tuned {
    /// A run: its name, `latest`, or with a checkpoint RUN@STEP, RUN@last, or RUN@now, which asks a run in progress for
    /// one [the best checkpoint, if none is named]
    #[arg(long, value_name = "RUN", conflicts_with = "adapter")]
    run: Option<String>,
    /// The folder of any PEFT adapter
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
}

impl Tuned {
    fn choice(&self) -> Choice {
        Choice { run: self.run.clone(), adapter: self.adapter.clone() }
    }
}

/// Parses the command line, carries out its verb and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    // Only the panic hook matters: errors are printed below, without a report's framing.
    let _ = color_eyre::config::HookBuilder::default().display_env_section(false).theme(plain()).install();
    let cli = Cli::parse();
    let place =
        Place { folder: cli.project.clone().unwrap_or_else(|| PathBuf::from(".")), given: cli.project.is_some() };
    // Settings that do not parse are told by the verb that needs them.
    if let Ok(config) = Config::load() {
        let _ = rayon::ThreadPoolBuilder::new().num_threads(config.threads).build_global();
    }
    let done = match &cli.verb {
        Some(verb) => verb.run(&place),
        None => workbench::run(&place),
    };
    match done {
        Ok(code) => code,
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            if error.downcast_ref().is_some_and(ActionError::is_wrongly_asked) {
                ExitCode::from(WRONGLY_ASKED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// A panic's report without colours.
fn plain() -> color_eyre::config::Theme {
    color_eyre::config::Theme::new()
}
