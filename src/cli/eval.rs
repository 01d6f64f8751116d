//! `togi eval`: base and tuned measured on test records.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, Tuned, progress};
use crate::actions::measure::{self, Evaluated, Interval, Request, Stage};
use crate::text;

/// Measure base and tuned model on test records
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi eval --run latest --data test.jsonl
  togi eval --adapter ./my-adapter --data test.jsonl --rows 50 --skip-base --answers answers.jsonl
  togi eval --data test.jsonl            # the base model alone")]
pub struct Eval {
    /// Test records, JSON lines with the right answers
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    tuned: Tuned,
    #[command(flatten)]
    base: BaseModel,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Do not measure the base model
    #[arg(long, requires = "Tuned")]
    skip_base: bool,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 96)]
    max_tokens: usize,
    /// Write the answers here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let request = Request {
            data: self.data.clone(),
            choice: self.tuned.choice(),
            rows: self.rows,
            skip_base: self.skip_base,
            max_tokens: self.max_tokens,
            answers: self.answers.clone(),
        };
        let mut context = place.context(&self.base)?;
        let spinner = progress::spinner("reading model and data");
        let bar = progress::bar(0, "");
        let found = measure::evaluate(&mut context, &request, &mut progress::download(&spinner), &mut |p| {
            spinner.finish_and_clear();
            bar.set_length(p.rows as u64);
            bar.set_position(p.done as u64);
            bar.set_message(match (p.stage, p.tuned) {
                (Stage::Likelihood, false) => "likelihood under the base model",
                (Stage::Likelihood, true) => "likelihood under the tuned model",
                (Stage::Answers, false) => "answers of the base model",
                (Stage::Answers, true) => "answers of the tuned model",
            });
            true
        });
        spinner.finish_and_clear();
        bar.finish_and_clear();
        let found = found?;
        if self.json {
            output::json(&found)?;
        } else {
            output::print(&table(&found))?;
        }
        let by = found.adapter.map(|identity| format!("adapter {identity}; ")).unwrap_or_default();
        say!("{by}{} in all, {:.0} tokens a second generated", text::duration(found.seconds), found.generated_per_s);
        Ok(ExitCode::SUCCESS)
    }
}

/// The figures as a table, with a column for each model that was measured.
fn table(found: &Evaluated) -> String {
    let r = &found.report;
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let interval = |i: Interval| format!("{:.1} to {:.1} %", i.low * 100.0, i.high * 100.0);
    let number = |n: f64| if n < 1e5 { format!("{n:.4}") } else { format!("{n:.3e}") };
    let mut rows = vec![(format!("{} rows", text::count(r.test_rows as u64)), None, None)];
    if let Some(head) = rows.first_mut() {
        head.1 = r.loss_base.or(r.exact_base).map(|_| "base".to_owned());
        head.2 = r.loss_tuned.or(r.exact_tuned).map(|_| "tuned".to_owned());
    }
    let mut push = |name: &str, base: Option<String>, tuned: Option<String>| {
        if base.is_some() || tuned.is_some() {
            rows.push((name.to_owned(), base, tuned));
        }
    };
    push("exact answers", r.exact_base.map(percent), r.exact_tuned.map(percent));
    push("  95 % interval", r.exact_base_interval.map(interval), r.exact_tuned_interval.map(interval));
    push("answers that are JSON", r.json_base.map(percent), r.json_tuned.map(percent));
    let fields: BTreeSet<&String> = r.fields_base.keys().chain(r.fields_tuned.keys()).collect();
    for field in fields {
        let f1 = |scores: &std::collections::BTreeMap<String, _>| {
            scores.get(field).map(|s: &measure::FieldScore| percent(s.f1))
        };
        push(&format!("F1 of {field}"), f1(&r.fields_base), f1(&r.fields_tuned));
    }
    push("loss (nats a token)", r.loss_base.map(number), r.loss_tuned.map(number));
    push("perplexity", r.perplexity_base.map(number), r.perplexity_tuned.map(number));
    push("bits a byte", r.bits_per_byte_base.map(number), r.bits_per_byte_tuned.map(number));
    let (has_base, has_tuned) = (rows.iter().any(|r| r.1.is_some()), rows.iter().any(|r| r.2.is_some()));
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, base, tuned)| {
            let mut row = vec![name];
            row.extend(has_base.then(|| base.unwrap_or_default()));
            row.extend(has_tuned.then(|| tuned.unwrap_or_default()));
            row
        })
        .collect();
    output::table(&cells)
}
