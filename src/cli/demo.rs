//! `togi demo`: the workbench, or the whole loop, on the embedded model, with nothing to download.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{STOPPED, progress, train};
use crate::actions::demo::make::{self, Length};
use crate::actions::demo::run::{Demonstrated, Left, Seen, left, run};
use crate::actions::demo::{DESK, desk};
use crate::actions::train::{Control, Event};
use crate::config::Config;
use crate::{terminal, text};

/// Open the workbench on a demo's project, or watch a small embedded model learn its task
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi demo                       # the workbench on ./togi-demo: drafts to correct, and a model to tune on them
  togi demo --headless            # the whole loop without a screen: before, the loss, after
  togi demo --headless my-demo    # the same, and keeps the project: togi compare … --project my-demo --run latest
  togi demo --json | jq .exact_tuned
  togi demo --make made           # trains the embedded base model again, from a random start (an hour or so)

On a terminal the workbench opens, and trains when it is asked to: 3, n, s, s. With --headless or --json, or where there is
no terminal, the demo trains and measures by itself. Ctrl-C then leaves a checkpoint in DIR and says how to go on.")]
pub struct Demo {
    /// Where the demo's project is kept [default: togi-demo in the current folder for the workbench; without a screen a temporary
    /// folder that goes with the demo]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Open no screen: tune the model and print what was measured
    #[arg(long)]
    headless: bool,
    /// Train the embedded base model again into DIR, with the numbers it was made with
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    make: Option<PathBuf>,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub fn run(&self) -> Result<ExitCode> {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if terminal && !self.headless && !self.json && self.make.is_none() {
            let dir = self.dir.clone().unwrap_or_else(|| DESK.into());
            terminal::open(desk(&dir)?)?;
            say!("the project is in {0}: togi --project {0} opens it again", dir.display());
            return Ok(ExitCode::SUCCESS);
        }
        let control = Control::new();
        let bar = progress::bar(0, "");
        let kept = self.dir.is_some() || self.make.is_some();
        let words = if kept { train::STOPPING } else { "stopping; once more ends at once" };
        train::stop_on_signal_saying(control.stop_flag(), bar.clone(), words)?;
        if let Some(dir) = &self.make {
            return Self::make(dir, &control, &bar);
        }
        let scratch = tempfile::Builder::new().prefix("togi-demo-").tempdir()?;
        let dir = self.dir.clone().unwrap_or_else(|| scratch.path().join("demo"));
        let mut curve = Vec::new();
        let result = run(&dir, &control, &mut |seen| match seen {
            Seen::Stage(words) => bar.suspend(|| say!("{words}.")),
            Seen::Answers(done, rows) => {
                bar.set_length(rows as u64);
                bar.set_position(done as u64);
                bar.set_message("answered");
            }
            Seen::Training(Event::Metrics(m), steps) => {
                bar.set_length(steps);
                bar.set_position(m.step);
                if let Some(loss) = m.loss {
                    bar.set_message(format!("loss {loss:.4}"));
                    curve.push(loss);
                }
            }
            Seen::Training(..) => {}
        });
        bar.finish_and_clear();
        let found = match result {
            Err(_) if control.is_stopping() => {
                match &self.dir {
                    Some(dir) => say!("{}", how_to_go_on(dir)),
                    None => say!("stopped; nothing is kept: togi demo --headless DIR keeps the demo's project"),
                }
                return Ok(ExitCode::from(STOPPED));
            }
            result => result?,
        };
        if self.json {
            output::json(&found)?;
        } else {
            output::print(&told(&found, &curve))?;
        }
        if let Some(dir) = &self.dir {
            say!("the project is in {}; on minutes of your own:", dir.display());
            say!(
                "  togi compare '{{\"instruction\": \"To do:\", \"input\": \"Choir, 3 May.\\n1. Ben will order the chairs by 9 May.\\n2. The fee stays as it is.\\n3. We asked Anna to clean the hall by 12 May.\\n\"}}' --project {} --run latest",
                dir.display()
            );
        } else {
            say!("togi demo --headless DIR keeps the project; togi init makes one for your own data");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn make(dir: &Path, control: &Control, bar: &indicatif::ProgressBar) -> Result<ExitCode> {
        let threads = Config::load()?.threads;
        let made = make::make(dir, Length::default(), threads, control, &mut |event| {
            if let Event::Metrics(m) = event {
                bar.set_position(m.step);
                let loss = m.loss.map(|l| format!("loss {l:.4}")).unwrap_or_default();
                bar.set_message(format!("{loss}  {} tokens", text::count(m.tokens)));
                if let Some(valid) = m.valid_loss {
                    bar.suspend(|| say!("step {}: validation loss {valid:.4}", m.step));
                }
            }
        });
        bar.finish_and_clear();
        match made {
            Err(_) if control.is_stopping() => {
                say!("to go on: togi demo --make {}", dir.display());
                Ok(ExitCode::from(STOPPED))
            }
            made => {
                output::print(&format!("{}\n", made?.display()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// What a stopped demo has left in `dir`, and how to go on with it.
fn how_to_go_on(dir: &Path) -> String {
    let found = left(dir);
    let dir = dir.display();
    match found {
        Left::Resumable(step, steps) => format!(
            "stopped after step {step} of {steps}, with a checkpoint; to go on: togi --project {dir} train --resume latest"
        ),
        Left::Tuned => format!(
            "stopped while the tuned model was measured; it is kept: togi --project {dir} eval --run latest --data \
             {dir}/data/test.jsonl"
        ),
        Left::Untuned => format!(
            "stopped before the training; to train the demo's project: togi --project {dir} train --data \
             {dir}/data/train.jsonl --valid {dir}/data/valid.jsonl"
        ),
        Left::Nothing => "stopped before anything was written".to_owned(),
    }
}

/// The demo as a person reads it.
fn told(found: &Demonstrated, curve: &[f64]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for example in &found.examples {
        let block = |title: &str, words: &str| {
            let words = if words.trim().is_empty() { "(nothing)" } else { words.trim() };
            let lines: Vec<String> =
                words.lines().flat_map(|l| text::wrap(l, 76)).map(|l| format!("    {l}")).collect();
            format!("  {title}\n{}\n", lines.join("\n"))
        };
        out.push('\n');
        out.push_str(&block("minutes", &example.minutes));
        out.push_str(&block("base", &example.before));
        out.push_str(&block("tuned", &example.after));
        let verdict =
            if example.after.trim() == example.gold.trim() { "exactly the gold list" } else { "not the gold list" };
        let _ = writeln!(out, "    ({verdict})");
    }
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let (low, high) = found.tuned_interval();
    let logs: Vec<f64> = curve.iter().map(|loss| loss.ln()).collect();
    let _ = write!(
        out,
        "\nloss    {}  {:.3} → {:.3} (log scale)\n\
         exact   base {}, tuned {} (95 %: {low:.1} to {high:.1})\n        \
         nearest training pair {}; {} held-out pairs\n\
         time    {} in all, {} of training\n        \
         {} pairs, {} steps, {} tokens a second, {} parameters\n",
        sparkline(&logs, 32),
        found.valid_loss_before,
        found.valid_loss_after,
        percent(found.exact_base),
        percent(found.exact_tuned),
        percent(found.exact_nearest),
        found.test_rows,
        text::duration(found.seconds),
        text::duration(found.training.seconds),
        found.train_rows,
        found.training.steps,
        text::count(found.training.tokens_per_s as u64),
        text::count(found.parameters as u64),
    );
    out
}

/// A curve as one line of blocks, `width` wide; what is not finite is left out.
fn sparkline(curve: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let curve: Vec<f64> = curve.iter().copied().filter(|v| v.is_finite()).collect();
    let (low, high) = curve.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    if curve.is_empty() || high <= low {
        return String::new();
    }
    (0..width.min(curve.len()))
        .map(|i| {
            let (from, to) =
                (i * curve.len() / width, ((i + 1) * curve.len() / width).max(i * curve.len() / width + 1));
            let part = &curve[from.min(curve.len() - 1)..to.min(curve.len())];
            let mean = part.iter().sum::<f64>() / part.len().max(1) as f64;
            BLOCKS[(((mean - low) / (high - low) * 7.0).round() as usize).min(7)]
        })
        .collect()
}
