//! `togi ladder`: the same task over training-set sizes and models.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, progress, train::stop_on_signal};
use crate::actions::evaluation::Stage;
use crate::actions::ladder::{self, Climbed, Request, Seen, Size};
use crate::actions::train::{Control, Event};
use crate::text;

/// Train one task over several sizes of training set and several models, and find the smallest that is good enough
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,256,1000,all --target 0.4
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,all --models ./small,./large --svg ladder.svg
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,all --plan      # what is done and what waits
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,all --cell 2    # only that one

Each smaller set is part of every larger one. What is trained is a run like any other; a stopped ladder goes on where it
was.")]
pub struct Ladder {
    /// Training records, JSON lines
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Records to validate on, the same for every cell [default: a share of each cell's own]
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Test records
    #[arg(long, value_name = "FILE")]
    test: PathBuf,
    /// Sizes of the training set: numbers of rows, or all
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "64,256,1000,all")]
    sizes: Vec<Size>,
    /// Models: paths or Hub ids [default: the project's]
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',')]
    models: Vec<String>,
    /// Set a training setting for every cell
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of the order in which rows are taken
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Only the first N rows of the test set
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 96)]
    max_tokens: usize,
    /// The metric that is the quality, by its name in togi eval --json
    #[arg(long, value_name = "METRIC", default_value = "exact")]
    metric: String,
    /// The quality to be reached, 0 to 1
    #[arg(long, value_name = "SHARE")]
    target: Option<f64>,
    /// Only this cell, by its number in --plan
    #[arg(long, value_name = "N")]
    cell: Option<usize>,
    /// Train and ask nothing: say what is done, what waits, and what is known
    #[arg(long)]
    plan: bool,
    /// Write quality against rows and against cost here as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the ladder as one JSON object
    #[arg(long)]
    json: bool,
}

impl Ladder {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let context = place.context(&BaseModel::default())?;
        let request = Request {
            data: self.data.clone(),
            valid: self.valid.clone(),
            test: self.test.clone(),
            sizes: self.sizes.clone(),
            models: self.models.clone(),
            set: self.set.clone(),
            seed: self.seed,
            rows: self.rows,
            max_tokens: self.max_tokens,
            metric: self.metric.clone(),
            target: self.target,
            only: self.cell,
            plan: self.plan,
        };
        let control = Control::new();
        let spinner = progress::spinner("reading models and data");
        let bar = progress::bar(0, "");
        stop_on_signal(control.stop_flag(), bar.clone())?;
        let mut title = String::new();
        let mut tell = progress::download(&spinner);
        let climbed = ladder::climb(&context, &request, &control, &mut tell, &mut |seen| {
            spinner.finish_and_clear();
            match seen {
                Seen::Trains { model, rows, run, steps } => {
                    let of = if model.is_empty() { String::new() } else { format!("{model}, ") };
                    title = format!("{of}{} rows, run {run}", text::count(rows as u64));
                    bar.set_length(steps);
                    bar.set_position(0);
                    bar.set_message(title.clone());
                }
                Seen::Training(Event::Metrics(metrics)) => {
                    bar.set_position(metrics.step);
                    if let Some(loss) = metrics.loss {
                        bar.set_message(format!("{title}: loss {loss:.4}"));
                    }
                }
                Seen::Training(_) => {}
                Seen::Tests(p) => {
                    bar.set_length(p.rows as u64);
                    bar.set_position(p.done as u64);
                    let what = if p.stage == Stage::Answers { "answers" } else { "likelihood" };
                    bar.set_message(format!("{what} of {}", p.system));
                }
            }
        });
        spinner.finish_and_clear();
        bar.finish_and_clear();
        let climbed = climbed?;
        if let Some(file) = &self.svg {
            ladder::chart::svg(&climbed, file)?;
            say!("drawn in {}", file.display());
        }
        if self.json {
            output::json(&climbed)?;
        } else {
            output::print(&told(&climbed))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Cells of a bar from 0 to the highest quality.
const WIDE: usize = 40;

/// The cells as tables with their intervals drawn: by size, and by cost.
fn told(climbed: &Climbed) -> String {
    let mut out = String::new();
    if climbed.waiting > 0 {
        let mut rows: Vec<Vec<String>> = vec![["cell", "model", "rows", "run", "stands"].map(str::to_owned).into()];
        for (at, cell) in climbed.wanted.iter().enumerate() {
            let stands = match (&cell.run, cell.trained) {
                (_, true) => "trained",
                (Some(_), false) => "begun",
                (None, _) => "waits",
            };
            let run = cell.run.clone().unwrap_or_default();
            let name = if cell.model.is_empty() { "the project's".to_owned() } else { cell.model.clone() };
            rows.push(vec![(at + 1).to_string(), name, text::count(cell.rows as u64), run, stands.to_owned()]);
        }
        let _ = writeln!(out, "{}", output::table(&rows));
    }
    if climbed.cells.is_empty() {
        return out;
    }
    let _ = writeln!(out, "{} on {}, by size", climbed.metric, climbed.test);
    let order: Vec<usize> = (0..climbed.cells.len()).collect();
    out.push_str(&drawn(climbed, &order));
    if climbed.cells.iter().any(|cell| cell.cost_per_request.is_some()) {
        let mut order = order;
        let cost = |at: &usize| climbed.cells.get(*at).and_then(|cell| cell.cost_per_request).unwrap_or(f64::INFINITY);
        order.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let _ = writeln!(out, "\nby the cost of a request, the cheapest first");
        out.push_str(&drawn(climbed, &order));
    }
    if let Some(smallest) = climbed.smallest {
        let target = format!("{:.1} %", 100.0 * smallest.target);
        let name = |at: usize| {
            climbed.cells.get(at).map_or_else(String::new, |cell| match cell.rows {
                0 => format!("{} as it came", cell.model),
                rows => format!("{} on {} rows", cell.model, text::count(rows as u64)),
            })
        };
        let line = match (smallest.surely, smallest.likely, smallest.best) {
            (Some(at), ..) => format!("the smallest whose interval reaches {target}: {}", name(at)),
            (None, Some(at), _) => format!("none reaches {target} with its interval; {} does by its mean", name(at)),
            (None, None, Some(at)) => format!("none reaches {target}; the best is {}", name(at)),
            _ => format!("nothing is known of {target} yet"),
        };
        let _ = writeln!(out, "\n{line}");
    }
    out
}

fn drawn(climbed: &Climbed, order: &[usize]) -> String {
    let top = climbed.cells.iter().map(|cell| cell.interval.map_or(cell.quality, |i| i.high)).fold(0.01_f64, f64::max);
    let at = |share: f64| ((share / top * (WIDE - 1) as f64).round().max(0.0) as usize).min(WIDE - 1);
    let mut rows: Vec<Vec<String>> =
        vec![["model", "rows", "quality", "95 % interval", "", "a request", "training"].map(str::to_owned).into()];
    for cell in order.iter().filter_map(|&at| climbed.cells.get(at)) {
        let mut bar: Vec<char> = vec![' '; WIDE];
        if let Some(i) = cell.interval {
            for place in bar.iter_mut().take(at(i.high) + 1).skip(at(i.low)) {
                *place = '─';
            }
        }
        if let Some(place) = bar.get_mut(at(cell.quality)) {
            *place = '●';
        }
        let money = |amount: Option<f64>| amount.map_or_else(String::new, |a| format!("{a:.2e} {}", climbed.currency));
        let interval =
            cell.interval.map_or_else(|| "-".to_owned(), |i| format!("{:.1} to {:.1}", 100.0 * i.low, 100.0 * i.high));
        rows.push(vec![
            cell.model.clone(),
            if cell.rows == 0 { "base".into() } else { text::count(cell.rows as u64) },
            format!("{:.1} %", 100.0 * cell.quality),
            interval,
            format!("│{}│", bar.iter().collect::<String>()),
            money(cell.cost_per_request),
            money(cell.fixed_cost),
        ]);
    }
    output::table(&rows)
}
