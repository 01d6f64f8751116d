//! `togi errors`: the errors that hurt, before and after tuning.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, evaluations};
use crate::actions::evaluation::errors::{self, Errors};
use crate::actions::evaluation::{Request, Spec};

#[allow(clippy::struct_excessive_bools)] // independent switches
/// Count the errors that hurt, before and after tuning, and say what to do about them
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi errors --data test.jsonl
  togi errors --data test.jsonl --mark row-12 --of a1 --category verbose
  togi errors --data test.jsonl --mark row-12 --of a1 --category verbose --not
  togi errors --data test.jsonl --undo
  togi errors --data test.jsonl --row row-12

Works on what togi eval has stored. A project names its errors in togi.toml:
  [[errors]]
  name = \"verbose\"
  cause = \"behaviour\"        # or knowledge; or unknown, where it does not tell
  rules = [{ kind = \"length\", max = 200 }]")]
pub struct ErrorsVerb {
    /// The test records that were evaluated [default: the project's gold records of the split test]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Test records by their number in togi eval --tests
    #[arg(long, value_name = "N", conflicts_with = "data")]
    test: Option<i64>,
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
    /// Take back what you said, so that the rules decide again
    #[arg(long, requires = "mark", conflicts_with = "not")]
    forget: bool,
    /// Take back your newest mark on these test records, whenever you made it
    #[arg(long, conflicts_with = "mark")]
    undo: bool,
    /// Show a row: what is asked, what is right, what each system answered and which errors that has
    #[arg(long, value_name = "ROW", conflicts_with_all = ["mark", "undo"])]
    row: Option<String>,
    /// Print the matrix as one JSON object
    #[arg(long)]
    json: bool,
}

impl ErrorsVerb {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut context = place.context(&self.base)?;
        let request =
            Request { data: self.data.clone(), test: self.test, systems: self.systems.clone(), ..Request::default() };
        if let (Some(row), Some(of), Some(category)) = (&self.mark, &self.of, &self.category) {
            let said = (!self.forget).then_some(!self.not);
            errors::mark(&mut context, &request, (row, of, category), said)?;
            let word = match said {
                Some(true) => "is marked with",
                Some(false) => "is marked as free of",
                None => "has no mark of yours on",
            };
            say!("the answer of {of} to {row} {word} {category}");
            return Ok(ExitCode::SUCCESS);
        }
        if self.undo {
            let (row, of, back) = errors::unmark(&mut context, &request)?;
            if self.json {
                output::json(&back)?;
            } else {
                let word = if back.was { "has" } else { "is free of" };
                say!("taken back: that the answer of {of} to {row} {word} {}", back.category);
            }
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(row) = &self.row {
            return evaluations::row(&errors::row(&mut context, &request, row)?, self.json);
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
