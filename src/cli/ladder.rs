//! `togi ladder`: the same task over training-set sizes and models.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, cost::money, progress, train::stop_on_signal};
use crate::actions::Context;
use crate::actions::evaluation::Stage;
use crate::actions::ladder::{self, Climbed, Request, Seen, Size, background};
use crate::actions::train::{Control, Event};
use crate::text;

/// Train one task over several sizes of training set and several models, and find the smallest that is good enough
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // one for each option a person can give
#[command(after_help = "\
Example:
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,256,1000,all --target 0.4
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,all --models ./small,./large --svg ladder.svg
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,all --plan      # what is done and what waits
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,all --cell 2    # only that one
  togi ladder --data train.jsonl --test test.jsonl --sizes 64,all --background && togi ladder --jobs

Each smaller set is part of every larger one. What is trained is a run like any other; a stopped ladder goes on where it
was. One ladder of a project is at work at a time; with --background it waits its turn. Its report is the same command with
--plan.")]
pub struct Ladder {
    /// Training records, JSON lines
    #[arg(long, value_name = "FILE", required_unless_present = "listed")]
    data: Option<PathBuf>,
    /// Records to validate on, the same for every cell [default: a share of each cell's own]
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Test records
    #[arg(long, value_name = "FILE", required_unless_present = "listed")]
    test: Option<PathBuf>,
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
    /// Let a process of its own climb, which outlives this terminal, and return; --jobs tells how it stands
    #[arg(long, conflicts_with_all = ["plan", "svg"])]
    background: bool,
    /// List the ladders in the background, how they stand and which cell each is at
    #[arg(long, group = "listed")]
    jobs: bool,
    /// Let a ladder in the background end (latest: the newest that runs); what is trained and answered stays
    #[arg(long, value_name = "LADDER", group = "listed")]
    stop: Option<String>,
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
        if self.jobs || self.stop.is_some() {
            return self.listed(&context);
        }
        let request = Request {
            data: self.data.clone().unwrap_or_default(),
            valid: self.valid.clone(),
            test: self.test.clone().unwrap_or_default(),
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
        if self.background {
            return self.begin(&context, &request);
        }
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

    /// Starts the ladder in the background and says what was begun.
    fn begin(&self, context: &Context, request: &Request) -> Result<ExitCode> {
        let spinner = progress::spinner("reading models and data");
        let begun = background::start(context, request, &mut progress::download(&spinner));
        spinner.finish_and_clear();
        let begun = begun?;
        if self.json {
            output::json(&begun)?;
            return Ok(ExitCode::SUCCESS);
        }
        let known =
            if begun.trained > 0 { format!(", {} of them trained already", begun.trained) } else { String::new() };
        say!("ladder {}: {} cells{known}; togi ladder --jobs tells how it stands", begun.ladder, begun.cells);
        if let Some(behind) = &begun.behind {
            say!("it waits until {behind} is done");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Lists the ladders in the background, or stops one.
    fn listed(&self, context: &Context) -> Result<ExitCode> {
        if let Some(name) = &self.stop {
            let name = background::stop(context, name)?;
            if self.json {
                output::json(&serde_json::json!({ "ladder": name, "stopping": true }))?;
            } else {
                say!("ladder {name} ends after the step it is at; what is trained and answered stays");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let ladders = background::list(context)?;
        for ladder in &ladders {
            if self.json {
                output::json(ladder)?;
            } else {
                output::print(&line(ladder))?;
            }
        }
        if ladders.is_empty() {
            say!("there is no ladder in the background; togi ladder --background starts one");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A ladder in the background as a person reads it.
fn line(ladder: &background::Ladder) -> String {
    let phase = ladder.phase.as_ref().unwrap_or(&ladder.state);
    let trained = ladder.cells.iter().filter(|cell| cell.state == "trained").count();
    let mut out = format!(
        "{}  {phase}, {trained} of {} cells trained  {} of {} on {}\n",
        ladder.ladder,
        ladder.cells.len(),
        ladder.metric,
        ladder.data,
        ladder.test
    );
    if let Some(doing) = &ladder.doing {
        let _ = writeln!(out, "  {doing}");
    }
    for cell in &ladder.cells {
        let model = if cell.model.is_empty() { "the project's model" } else { &cell.model };
        let run = cell.run.as_ref().map_or_else(String::new, |run| format!(", run {run}"));
        let step = if cell.steps > 0 && cell.state != "trained" {
            format!(", step {} of {}", cell.step, cell.steps)
        } else {
            String::new()
        };
        let rows = text::count(cell.rows as u64);
        let _ = writeln!(out, "  {}: {model} on {rows} rows: {}{run}{step}", cell.cell, cell.state);
    }
    if let Some(reason) = &ladder.reason {
        let _ = writeln!(out, "  {reason}");
    }
    out
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
    let _ = writeln!(out, "{} on {}, by size", climbed.label, climbed.test);
    let order: Vec<usize> = (0..climbed.cells.len()).collect();
    out.push_str(&drawn(climbed, &order));
    if climbed.cells.iter().any(|cell| cell.cost_per_request.is_some()) {
        let mut order = order;
        let cost = |at: &usize| climbed.cells.get(*at).and_then(|cell| cell.cost_per_request).unwrap_or(f64::INFINITY);
        order.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let _ = writeln!(out, "\nby the cost of a request, the cheapest first");
        out.push_str(&drawn(climbed, &order));
    }
    if let Some(verdict) = climbed.verdict() {
        let _ = writeln!(out, "\n{verdict}");
    }
    for note in &climbed.notes {
        let _ = writeln!(out, "{note}");
    }
    out
}

/// A mark for each model, the same one again from the fifth on; not the only thing that tells them apart.
const MARKS: [char; 4] = ['●', '■', '▲', '◆'];

fn drawn(climbed: &Climbed, order: &[usize]) -> String {
    let top = climbed.cells.iter().map(|cell| cell.interval.map_or(cell.quality, |i| i.high)).fold(0.01_f64, f64::max);
    let at = |share: f64| ((share / top * (WIDE - 1) as f64).round().max(0.0) as usize).min(WIDE - 1);
    let mut models: Vec<&str> = climbed.cells.iter().map(|cell| cell.model.as_str()).collect();
    models.dedup();
    let end = format!("{:.0} %", 100.0 * top);
    let scale = format!(" 0 %{end:>width$} ", width = WIDE - 3);
    let mut rows: Vec<Vec<String>> = vec![
        ["model", "rows", "quality", "95 % interval", &scale, "1,000 requests", "training"].map(str::to_owned).into(),
    ];
    for cell in order.iter().filter_map(|&at| climbed.cells.get(at)) {
        let mut bar: Vec<char> = vec![' '; WIDE];
        if let Some(target) = climbed.smallest.map(|smallest| smallest.target).filter(|target| *target <= top)
            && let Some(place) = bar.get_mut(at(target))
        {
            *place = '┊';
        }
        if let Some(i) = cell.interval {
            for place in bar.iter_mut().take(at(i.high) + 1).skip(at(i.low)) {
                *place = '─';
            }
        }
        if let Some(place) = bar.get_mut(at(cell.quality)) {
            let model = models.iter().position(|model| *model == cell.model).unwrap_or(0);
            *place = MARKS.get(model % MARKS.len()).copied().unwrap_or('●');
        }
        let money = |amount: Option<f64>| amount.map_or_else(String::new, |a| money(a, &climbed.currency));
        let interval =
            cell.interval.map_or_else(|| "-".to_owned(), |i| format!("{:.1} to {:.1}", 100.0 * i.low, 100.0 * i.high));
        rows.push(vec![
            cell.model.clone(),
            if cell.rows == 0 { "base".into() } else { text::count(cell.rows as u64) },
            format!("{:.1} %", 100.0 * cell.quality),
            interval,
            format!("│{}│", bar.iter().collect::<String>()),
            money(cell.cost_per_request.map(|cost| 1000.0 * cost)),
            money(cell.fixed_cost),
        ]);
    }
    output::table(&rows)
}
