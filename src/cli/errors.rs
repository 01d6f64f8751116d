//! `togi errors`: the errors that hurt, before and after tuning.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place};
use crate::actions::evaluation::errors::{self, Errors};
use crate::actions::evaluation::{Request, Spec};

/// Count the errors that hurt, before and after tuning, and say what to do about them
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi errors --data test.jsonl
  togi errors --data test.jsonl --mark row-12 --of a1 --category verbose
  togi errors --data test.jsonl --mark row-12 --of a1 --category verbose --not

Works on what togi eval has stored. A project names its errors in togi.toml:
  [[errors]]
  name = \"verbose\"
  cause = \"behaviour\"        # or knowledge; or unknown, where it does not tell
  rules = [{ kind = \"length\", max = 200 }]")]
pub struct ErrorsVerb {
    /// The test records that were evaluated [default: the project's gold records of the split test]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    #[command(flatten)]
    base: BaseModel,
    /// Only these systems, as togi eval names them
    #[arg(long = "system", value_name = "SYSTEM")]
    systems: Vec<Spec>,
    /// Mark this row's answer
    #[arg(long, value_name = "ROW", requires_all = ["of", "category"])]
    mark: Option<String>,
    /// The system whose answer is marked, by its name in the report
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
    /// The error
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// The answer does not have the error, whatever the rules say
    #[arg(long, requires = "mark")]
    not: bool,
    /// Print the matrix as one JSON object
    #[arg(long)]
    json: bool,
}

impl ErrorsVerb {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&self.base)?;
        let request = Request { data: self.data.clone(), systems: self.systems.clone(), ..Request::default() };
        if let (Some(row), Some(of), Some(category)) = (&self.mark, &self.of, &self.category) {
            errors::mark(&mut context, &request, (row, of, category), !self.not)?;
            let word = if self.not { "is marked as free of" } else { "is marked with" };
            say!("the answer of {of} to {row} {word} {category}");
            return Ok(ExitCode::SUCCESS);
        }
        let found = errors::errors(&mut context, &request)?;
        if self.json {
            output::json(&found)?;
        } else {
            output::print(&table(&found))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The matrix and what it says.
pub(super) fn table(found: &Errors) -> String {
    let matrix = &found.matrix;
    let head = ["error", "cause", "before", "after", "fixed", "new", "stayed"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).into()];
    for change in &matrix.changes {
        let counts = [change.before, change.after, change.fixed.len(), change.new.len(), change.stayed.len()];
        let mut row = vec![change.category.clone(), change.cause.name().to_owned()];
        row.extend(counts.map(|count| count.to_string()));
        rows.push(row);
    }
    let mut out = format!("{} → {}, {} rows\n", found.before, found.after, matrix.records);
    out.push_str(&output::table(&rows));
    let clean = format!("without any error: {} before, {} after", matrix.clean_before, matrix.clean_after);
    let _ = writeln!(out, "{clean}");
    let mut cross: Vec<Vec<String>> = vec![vec!["from \\ to".to_owned()]];
    if let Some(head) = cross.first_mut() {
        head.extend(matrix.names.iter().cloned());
    }
    for (name, counts) in matrix.names.iter().zip(&matrix.transitions) {
        cross.push(std::iter::once(name.clone()).chain(counts.iter().map(ToString::to_string)).collect());
    }
    let _ = write!(out, "\n{}", output::table(&cross));
    if let Some(agreement) = &found.agreement {
        let _ = writeln!(out, "\nmarks on which several of {} spoke: {}", agreement.people.join(", "), agreement.items);
        for line in agreement.lines() {
            let _ = writeln!(out, "{line}");
        }
    }
    if let Some(advice) = &found.advice {
        let _ = writeln!(out, "\n{}", advice.why);
        if let Some(records) = advice.rests_on() {
            let _ = writeln!(out, "{records}");
        }
    }
    out
}
