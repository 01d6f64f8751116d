//! `togi eval`: systems measured and compared on test records.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Context as _, Result};

use super::generate::possible;
use super::output::{self, say};
use super::{BaseModel, Place, Tuned, evaluations, progress};
use crate::actions::evaluation::report::{Cell, Report, lines};
use crate::actions::evaluation::{self, EXAMPLES, Evaluated, Figures, Request, Sampling, Spec, Stage, Writing};
use crate::actions::runs;
use crate::text;

/// Measure the base, the base with examples, and the tuned model on test records, and say whether they differ
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // one for each option a person can give
#[command(after_help = "\
Example:
  togi eval --run latest --data test.jsonl
  togi eval --data test.jsonl --system base --system base,examples=8 --system base,prompt=short --system latest
  togi eval --data test.jsonl --system latest --system endpoint=big --html report.html
  togi eval --data test.jsonl --stored --json       # report again what was answered; nobody is asked
  togi eval --run latest --background && togi eval --jobs
  togi eval --tests && togi eval --test 1 --stored --only base --only 2026-11-22-a1

Without --system, with --run: the base, the base with examples from what the run was trained on, and the run.
A system is WHO[,KEY=VALUE…]: base, a run (a1, a1@120, latest), adapter=DIR or endpoint=NAME of togi.toml; with
prompt=VERSION|FILE, examples=N|FILE, model=PATH|HUB_ID, name=TEXT. Answers are kept in the project: a stopped evaluation
goes on where it was.")]
pub struct Eval {
    /// Test records, JSON lines with the right answers [default: the project's gold records of the split test]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Test records that are frozen already, by their number in --tests
    #[arg(long, value_name = "N", conflicts_with = "data")]
    test: Option<i64>,
    #[command(flatten)]
    tuned: Tuned,
    #[command(flatten)]
    base: BaseModel,
    /// A system to be measured; may be given again
    #[arg(long = "system", value_name = "SYSTEM", conflicts_with_all = ["Tuned", "skip_base"])]
    systems: Vec<Spec>,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Do not measure the base model
    #[arg(long, requires = "Tuned")]
    skip_base: bool,
    /// Examples before every question of the base, as a system of its own; 0 for none
    #[arg(long, value_name = "N", default_value_t = EXAMPLES)]
    examples: usize,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 96)]
    max_tokens: usize,
    /// Randomness of the answers; 0 always takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Seed of the randomness
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Ask nobody: report what is stored
    #[arg(long)]
    stored: bool,
    /// With --stored: only this system, by its name in --tests or its hash, whether it has answered every row or not; may be given
    /// again
    #[arg(long, value_name = "NAME", requires = "stored", conflicts_with = "systems")]
    only: Vec<String>,
    /// Let a process of its own ask, which outlives this terminal, and return; --jobs tells how it stands
    #[arg(long, conflicts_with_all = ["stored", "answers", "markdown", "html"])]
    background: bool,
    /// List the frozen test sets and who has answered them
    #[arg(long, group = "listed")]
    tests: bool,
    /// List the evaluations in the background and how they stand
    #[arg(long, group = "listed")]
    jobs: bool,
    /// Let an evaluation in the background end (latest: the newest that runs); what is answered stays
    #[arg(long, value_name = "EVALUATION", group = "listed")]
    stop: Option<String>,
    /// Let an evaluation in the background wait; it keeps its place and its memory
    #[arg(long, value_name = "EVALUATION", group = "listed")]
    pause: Option<String>,
    /// Let one that waits go on
    #[arg(long, value_name = "EVALUATION", group = "listed")]
    r#continue: Option<String>,
    /// Write the answers here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Write the report here as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the report here as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let asked = [
            (&self.stop, runs::Request::Stop),
            (&self.pause, runs::Request::Pause),
            (&self.r#continue, runs::Request::Resume),
        ];
        for (name, request) in asked {
            if let Some(name) = name {
                return evaluations::control(&place.context(&self.base)?, name, request, self.json);
            }
        }
        if self.tests || self.jobs {
            return evaluations::told(&place.context(&self.base)?, self.tests, self.json);
        }
        let sampling = Sampling { temperature: self.temperature, seed: self.seed, ..Sampling::default() };
        possible(&sampling)?;
        let request = Request {
            data: self.data.clone(),
            test: self.test,
            choice: self.tuned.choice(),
            rows: self.rows,
            systems: self.systems.clone(),
            skip_base: self.skip_base,
            examples: self.examples,
            writing: Writing { max_tokens: self.max_tokens, sampling },
            stored: self.stored,
            only: self.only.clone(),
            ..Request::default()
        };
        let mut context = place.context(&self.base)?;
        if self.background {
            return evaluations::begin(&mut context, &request, self.json);
        }
        let spinner = progress::spinner("reading model and data");
        let bar = progress::bar(0, "");
        let found = evaluation::evaluate(&mut context, &request, &mut progress::download(&spinner), &mut |p| {
            spinner.finish_and_clear();
            bar.set_length(p.rows as u64);
            bar.set_position(p.done as u64);
            bar.set_message(match p.stage {
                Stage::Likelihood => format!("likelihood under {}", p.system),
                Stage::Answers => format!("answers of {}", p.system),
            });
            true
        });
        spinner.finish_and_clear();
        bar.finish_and_clear();
        let found = found?;
        if let Some(path) = &self.answers {
            evaluation::write_answers(&found, path)?;
        }
        if let Some(path) = &self.markdown {
            write(path, &evaluation::markdown::page(&found.report))?;
        }
        if let Some(path) = &self.html {
            write(path, &evaluation::html::page(&found.report)?)?;
        }
        if self.json {
            output::json(&found)?;
        } else {
            output::print(&table(&found))?;
        }
        for note in &found.report.notes {
            say!("{note}");
        }
        if !self.stored {
            let by = found.adapter.map(|identity| format!("adapter {identity}; ")).unwrap_or_default();
            let seconds = text::duration(found.seconds);
            say!("{by}{seconds} in all, {:.0} tokens a second generated", found.generated_per_s);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(path: &Path, page: &str) -> Result<()> {
    std::fs::write(path, page).wrap_err_with(|| format!("cannot write {}", path.display()))
}

/// The figures as a table, with a column for each system, and what the differences come to.
fn table(found: &Evaluated) -> String {
    let report = &found.report;
    let counted = text::count(report.counted as u64);
    let head = std::iter::once(format!("{counted} rows"));
    let mut rows: Vec<Vec<String>> = vec![head.chain(report.systems.iter().map(column_name)).collect()];
    let mut fields = fields(found);
    for line in report.lines() {
        // The fields of JSON stand behind the metrics, before what is no score.
        if !line.has_intervals() {
            rows.append(&mut fields);
        }
        let of = |text: &dyn Fn(&Cell) -> Option<String>| -> Vec<String> {
            line.cells.iter().map(|cell| cell.as_ref().and_then(text).unwrap_or_default()).collect()
        };
        let row = |name: &str, cells: Vec<String>| std::iter::once(name.to_owned()).chain(cells).collect();
        rows.push(row(&line.label, of(&|cell| Some(cell.value.clone()))));
        if line.has_intervals() {
            rows.push(row("  95 % interval", of(&|cell| cell.interval.clone())));
        }
    }
    rows.append(&mut fields);
    let mut out = output::table(&rows);
    categories(&mut out, report);
    differences(&mut out, report);
    out
}

/// The F1 of each field of JSON answers, of the plain base and the tuned model.
fn fields(found: &Evaluated) -> Vec<Vec<String>> {
    let (report, s) = (&found.report, &found.summary);
    let names: BTreeSet<&String> = s.fields_base.keys().chain(s.fields_tuned.keys()).collect();
    let first_base = report.systems.iter().find(|f| !f.tuned).map(|f| f.name.clone());
    let of = |figures: &Figures, field: &String| {
        let of = if figures.tuned { &s.fields_tuned } else { &s.fields_base };
        let shown = figures.tuned || Some(&figures.name) == first_base.as_ref();
        of.get(field).filter(|_| shown).map_or_else(String::new, |score| format!("{:.1} %", 100.0 * score.f1))
    };
    let row = |field: &String| {
        std::iter::once(format!("F1 of {field}"))
            .chain(report.systems.iter().map(|figures| of(figures, field)))
            .collect()
    };
    names.into_iter().map(row).collect()
}

/// A system's column: `tuned` says which ones have an adapter.
fn column_name(figures: &Figures) -> String {
    if figures.tuned { format!("{} (tuned)", figures.name) } else { figures.name.clone() }
}

fn categories(out: &mut String, report: &Report) {
    let Some(metric) = report.metrics.first() else { return };
    let names: BTreeSet<&String> = report.systems.iter().flat_map(|system| system.categories.keys()).collect();
    if names.len() < 2 {
        return;
    }
    let head = std::iter::once(metric.label()).chain(std::iter::once("rows".into()));
    let mut rows: Vec<Vec<String>> = vec![head.chain(report.systems.iter().map(column_name)).collect()];
    for name in names {
        let of = |f: &Figures| f.categories.get(name).and_then(|scores| scores.get(&metric.key)).copied();
        let count = report.systems.first().and_then(of).map_or(0, |e| e.rows);
        let mut row = vec![format!("  {name}"), text::count(count as u64)];
        row.extend(report.systems.iter().map(|f| of(f).map_or_else(String::new, |e| Cell::of(&e).to_string())));
        rows.push(row);
    }
    out.push('\n');
    out.push_str(&output::table(&rows));
}

fn differences(out: &mut String, report: &Report) {
    if report.pairs.is_empty() {
        return;
    }
    let p = |p: f64| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") };
    let head = ["from → to", "gained", "lost", "McNemar p", "after Holm", "better", "worse", "stayed wrong"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).into()];
    for pair in &report.pairs {
        let changes = &pair.changes;
        rows.push(vec![
            format!("{} → {}", pair.first, pair.second),
            pair.mcnemar.gained.to_string(),
            pair.mcnemar.lost.to_string(),
            p(pair.mcnemar.p),
            p(pair.p_holm),
            changes.better.len().to_string(),
            changes.worse.len().to_string(),
            changes.stayed_wrong.len().to_string(),
        ]);
    }
    out.push('\n');
    out.push_str(&output::table(&rows));
    if let Some(pair) = report.told_pair() {
        let head = ["difference", "points", "95 % interval", "p", "after Holm"];
        let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).into()];
        for metric in &report.metrics {
            let Some(found) = pair.differences.get(&metric.key) else { continue };
            let points = |share: f64| format!("{:+.1}", 100.0 * share);
            let interval = lines::points(found.interval);
            let holm = pair.holm.get(&metric.key).copied().map_or_else(String::new, p);
            let of_difference = found.p.map_or_else(String::new, p);
            rows.push(vec![metric.label(), points(found.difference), interval, of_difference, holm]);
        }
        let _ = write!(out, "\n{} → {}, paired bootstrap\n{}", pair.first, pair.second, output::table(&rows));
    }
    if let Some(verdict) = &report.verdict {
        out.push('\n');
        out.push_str(&verdict.text);
        out.push('\n');
    }
    if let Some(errors) = &report.errors {
        let _ = write!(out, "\nerrors, {}", super::errors::table(errors));
    }
    worst(out, report);
}

/// The rows to look at first: those that got worse, then those that stayed wrong.
fn worst(out: &mut String, report: &Report) {
    let Some(pair) = report.told_pair() else { return };
    let changes = &pair.changes;
    for (title, list) in [("got worse", &changes.worse), ("stayed wrong", &changes.stayed_wrong)] {
        if list.is_empty() {
            continue;
        }
        out.push('\n');
        let _ = writeln!(out, "{} → {}, {title}, the worst of {}:", pair.first, pair.second, list.len());
        for change in list.iter().take(3) {
            let one = |text: &str| text::cut(&text.replace('\n', " "), 100).to_string();
            let _ = writeln!(out, "  {}  right: {}", change.id, one(&change.gold));
            let _ = writeln!(out, "      before: {}\n       after: {}", one(&change.before), one(&change.after));
        }
    }
}
