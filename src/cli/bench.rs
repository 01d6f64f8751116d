//! `togi bench`: the machine's limits and how near this model comes to them.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, progress};
use crate::actions::bench::{self, Benched, Measured, Rate};
use crate::text;

/// Measure this machine and the project's model on it
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi bench
  togi bench --batch 4 --length 256 --json

Compare ratios within one run only: machines are shared, and rates vary by the minute.")]
pub struct Bench {
    /// Rows of the training batch
    #[arg(long, value_name = "N", default_value_t = 4)]
    batch: usize,
    /// Tokens of each row; the first half is masked
    #[arg(long, value_name = "N", default_value_t = 256)]
    length: usize,
    /// Runs of each measurement, after one that is not counted
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    base: BaseModel,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&self.base)?;
        let spinner = progress::spinner("measuring");
        let found = bench::run(&mut context, self.batch, self.length, self.runs, &mut progress::download(&spinner));
        spinner.finish_and_clear();
        let Benched { measured: found, kept } = found?;
        if let Some(problem) = kept {
            say!("note: {problem}");
        }
        if self.json {
            output::json(&found)?;
        } else {
            output::print(&told(&found))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn told(found: &Measured) -> String {
    let row = |name: &str, rate: &Rate, of: &str| {
        vec![
            name.to_owned(),
            format!("{:.1}", rate.tokens_per_s),
            format!("{:.1}", rate.median_tokens_per_s),
            format!("{:.0} % of {of}", 100.0 * rate.fraction),
            format!("{} MiB", rate.peak_mib),
        ]
    };
    let head = ["", "best", "median", "limit", "peak so far"].map(str::to_owned).to_vec();
    let training = format!("train {}x{}, tokens/s", found.batch, found.length);
    let rows = [
        head,
        row(&training, &found.train, "GEMM"),
        row("prompt, tokens/s", &found.prompt, "GEMM"),
        row("one stream, tokens/s", &found.decode, "reading"),
        row("base and tuned, steps/s", &found.pair, "reading"),
        row("32 streams, tokens/s", &found.batched, "GEMM"),
    ];
    let (step, phases) = (&found.step, &found.step.phases);
    let share = |seconds: f64| format!("{:.0} %", 100.0 * seconds / step.all.max(f64::MIN_POSITIVE));
    let asked = found.allocations.map_or_else(String::new, |asked| {
        format!("; {} allocations of {} in all", text::count(asked.calls), text::bytes(asked.bytes))
    });
    let told = format!(
        "a step of {:.2} s: forward {}, head and loss {}, backward {}, AdamW {}; attention {} of it{asked}\n",
        step.all,
        share(phases.forward),
        share(phases.head),
        share(phases.backward),
        share(step.optimizer),
        share(phases.attention),
    );
    format!(
        "{}, {} of weights, on {} threads: GEMM {:.0} GFLOP/s (f32), reading {:.1} GB/s\n{}{:.1} supervised tokens a second \
         in training\n{told}",
        found.model,
        text::bytes(found.weight_bytes),
        found.machine.threads,
        found.machine.gemm_gflops,
        found.machine.read_gb_s,
        output::table(&rows),
        found.supervised_per_s,
    )
}
