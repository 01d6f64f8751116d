//! `togi worker`: carries out a job that lies in a directory, without a terminal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use color_eyre::eyre::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Place, STOPPED};
use crate::actions::evaluation::background;
use crate::actions::ladder::background as ladder;
use crate::actions::train::{self, Control, Job, Outcome};
use crate::actions::{Context, companion};
use crate::config::Config;

/// Carry out a job's directory, from its newest checkpoint on; its words go to worker.log
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi worker runs/2026-11-22-a1 &

SIGTERM writes a checkpoint and ends with exit code 130.")]
pub struct Worker {
    /// The job's directory
    #[arg(required_unless_present = "companion")]
    job: Option<PathBuf>,
    /// Answer the workbench's requests on standard input until it ends, in place of a job
    #[arg(long, hide = true, conflicts_with = "job")]
    companion: bool,
    /// Leave the session of whoever started it, so that it outlives their terminal
    #[arg(long, hide = true)]
    detached: bool,
}

impl Worker {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        if self.detached {
            // Refused only to the first of a process group, which has its own already.
            let _ = rustix::process::setsid();
        }
        let nice = Config::load()?.nice;
        let Some(job) = &self.job else {
            let _ = rustix::process::nice(nice);
            companion::serve(Context::find(&place.folder, None)?, std::io::stdin(), std::io::stdout())?;
            return Ok(ExitCode::SUCCESS);
        };
        let job = train::open(job)?;
        // Of the calling thread, and so of every thread that it starts from here on. Where the system refuses, the job
        // is carried out all the same.
        let _ = rustix::process::nice(nice);
        let control = Control::new();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, control.stop_flag())?;
        }
        // A terminal that goes away is no reason to stop.
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        match carry_out(&job, &control) {
            Ok(Outcome::Finished) => Ok(ExitCode::SUCCESS),
            Ok(Outcome::Stopped) => Ok(ExitCode::from(STOPPED)),
            Ok(Outcome::Failed) => Ok(ExitCode::FAILURE),
            Err(error) => {
                log(&job.log_path(), &error.to_string())?;
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

fn carry_out(job: &Job, control: &Control) -> Result<Outcome> {
    if background::is_evaluation(job) {
        return Ok(background::run(job, control)?);
    }
    if ladder::is_ladder(job) {
        return Ok(ladder::run(job, control)?);
    }
    let resume = train::standing(job)?.step.is_some();
    Ok(train::run(job, resume, control, &mut |_| {})?.outcome)
}

/// Appends what ended the job to its log, the one place where a worker's words are looked for.
fn log(path: &Path, words: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    writeln!(file, "togi: {words}")
}
