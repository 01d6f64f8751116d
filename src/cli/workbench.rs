//! `togi` without a verb: the workbench.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use color_eyre::eyre::Result;

use super::output::say;
use super::{Cli, Place};
use crate::actions::{ActionError, Context, demo, init};
use crate::terminal;

/// The model that is offered for a new project.
const OFFERED: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";

/// Opens the workbench on the project; where there is none, offers to make one. Without a terminal it says what togi can do.
pub fn run(place: &Place) -> Result<ExitCode> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !terminal {
        // Nobody there to see a screen or to answer a question.
        Cli::command().print_help()?;
        return Ok(ExitCode::from(2));
    }
    let context = match Context::find(&place.folder, None) {
        Err(error) if error.is_no_project() => match offer(&place.folder)? {
            Some(context) => context,
            None => return Ok(ExitCode::FAILURE),
        },
        found => found?,
    };
    terminal::open(context)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks what to do where there is no project; `None` where the person wants none.
fn offer(folder: &Path) -> Result<Option<Context>, ActionError> {
    say!(
        "There is no togi project in {} or above it.",
        folder.canonicalize().unwrap_or_else(|_| folder.into()).display()
    );
    say!("  1  make this folder one");
    say!("  2  try togi on the demo's project, in {}", demo::DESK);
    let Some(answer) = line("1, 2, or enter to leave: ") else { return Ok(None) };
    match answer.as_str() {
        "1" | "１" => {
            say!("Its base model: a GGUF file, a Hugging Face folder or a Hub id.");
            let Some(model) = line(&format!("[{OFFERED}]: ")) else { return Ok(None) };
            let model = if model.is_empty() { OFFERED } else { &model };
            init::init(folder, model)?;
            Context::find(folder, None).map(Some)
        }
        "2" | "２" => demo::desk(&folder.join(demo::DESK)).map(Some),
        _ => Ok(None),
    }
}

/// A line from the person; `None` at the end of their words.
fn line(question: &str) -> Option<String> {
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "{question}");
    let _ = error.flush();
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim().to_owned()),
    }
}
