//! `togi bench`: the machine's limits and how near this model comes to them.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, progress};
use crate::actions::bench::{self, Benched, DeviceRequest, Measured, OnDevice, Precision, Rate};
use crate::text;

/// Measure this machine and the project's model on it
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // one for each option a person can give
#[command(after_help = "\
Example:
  togi bench
  togi bench --batch 4 --length 256 --json
  togi bench --gpu --shape llama-3.2-1b --batch 32 --shortest 128 --length 512

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
    /// Measure training on the GPU instead
    #[arg(long)]
    gpu: bool,
    /// With --gpu: random weights of a known shape (smollm2-135m, llama-3.2-1b, qwen2.5-1.5b, qwen2.5-7b) in place of a model
    #[arg(long, value_name = "NAME", requires = "gpu", conflicts_with = "model")]
    shape: Option<String>,
    /// With --gpu: tokens of the shortest row [default: as --length]
    #[arg(long, value_name = "N", requires = "gpu")]
    shortest: Option<usize>,
    /// With --gpu: tokens of a pass, at most
    #[arg(long, value_name = "N", requires = "gpu", default_value_t = 16_384)]
    pass_tokens: usize,
    /// With --gpu: keep only each block's input and compute the rest again
    #[arg(long, requires = "gpu")]
    checkpointing: bool,
    /// With --gpu: f32 weights and activations in place of bf16
    #[arg(long, requires = "gpu")]
    f32: bool,
    /// With --gpu: compare the loss of the first row with the processor's
    #[arg(long, requires = "gpu")]
    compare: bool,
    #[command(flatten)]
    base: BaseModel,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        if self.gpu {
            return self.on_gpu(place);
        }
        let mut context = place.reading(&self.base)?;
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

    fn on_gpu(&self, place: &Place) -> Result<ExitCode> {
        let request = DeviceRequest {
            shape: self.shape.clone(),
            precision: if self.f32 { Precision::F32 } else { Precision::Auto },
            rows: self.batch,
            lengths: [self.shortest.unwrap_or(self.length), self.length],
            pass_tokens: self.pass_tokens,
            checkpointing: self.checkpointing,
            runs: self.runs,
            compare: self.compare,
        };
        let spinner = progress::spinner("measuring");
        let found = bench::on_device(|| place.reading(&self.base), &request, &mut progress::download(&spinner));
        spinner.finish_and_clear();
        let found = found?;
        if let Some(problem) = &found.not_kept {
            say!("note: {problem}");
        }
        if self.json {
            output::json(&found)?;
        } else {
            output::print(&told_of_gpu(&found))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn told_of_gpu(found: &OnDevice) -> String {
    let limits = &found.device;
    let lengths = if found.lengths[0] == found.lengths[1] {
        found.lengths[1].to_string()
    } else {
        format!("{} to {}", found.lengths[0], found.lengths[1])
    };
    let on_cpu = found.loss_on_cpu.map_or_else(String::new, |loss| format!(", on the processor {loss:.4}"));
    format!(
        "{} on {}: {} products {:.0} TFLOP/s, copying {:.0} GB/s\n\
         train {} rows of {lengths} tokens: {:.0} tokens/s best, {:.0} median, {:.0} supervised; {:.0} % of the products' rate\n\
         a step of {:.1} ms, in {:.0} % of which work was still being asked for\n\
         memory {} MiB, {} MiB foretold\n\
         loss of the first row {:.4}{on_cpu}; of the steps {:.4} to {:.4}\n\
         answers: one {:.0} tokens/s, 32 together {:.0}\n",
        found.model,
        limits.name,
        limits.precision,
        limits.gemm_tflops,
        limits.copy_gb_s,
        found.rows,
        found.tokens_per_s,
        found.median_tokens_per_s,
        found.supervised_per_s,
        100.0 * found.fraction,
        1e3 * found.step_s,
        100.0 * found.asked_share,
        found.used_mib,
        found.told_mib,
        found.loss,
        found.first_loss,
        found.last_loss,
        found.answer_per_s,
        found.answers_per_s,
    )
}

fn told(found: &Measured) -> String {
    let row = |name: &str, rate: &Rate, of: &str| {
        vec![
            name.to_owned(),
            format!("{:.1}", rate.tokens_per_s),
            format!("{:.1}", rate.median_tokens_per_s),
            format!("{:.1}", rate.lowest_tokens_per_s),
            format!("{:.0} % of {of}", 100.0 * rate.fraction),
            format!("{} MiB", rate.peak_mib),
        ]
    };
    let head = ["", "best", "median", "lowest", "limit", "peak so far"].map(str::to_owned).to_vec();
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
    let asked = found.allocations.map_or_else(String::new, |asked| match asked.calls {
        0 => "; no allocations".to_owned(),
        calls => format!("; {} allocations of {} in all", text::count(calls), text::bytes(asked.bytes)),
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
