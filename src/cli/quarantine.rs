//! `togi quarantine`: rows of imported files that are no records.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, eyre};

use super::Place;
use super::output::{self, say};
use super::records::open;
use crate::actions::records::quarantine;
use crate::text;

/// List, mend or drop rows that could not be imported
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi quarantine
  togi quarantine write bad.jsonl       # mend the file and togi import it
  togi quarantine mend 3 row.jsonl      # or one row, from a file (- is standard input)
  togi quarantine drop 4 5")]
pub struct Quarantine {
    #[command(subcommand)]
    what: Option<What>,
    /// Print one JSON object a row
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write the rows to a file, as they stood in theirs
    Write {
        /// The file
        out: PathBuf,
        /// Only rows of this file
        #[arg(long)]
        of: Option<String>,
    },
    /// Import a row that was mended; it leaves the quarantine
    Mend {
        /// The row's number
        id: i64,
        /// The mended row; - is standard input
        file: PathBuf,
    },
    /// Take rows out of it that are not worth mending
    Drop {
        /// The rows' numbers
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

impl Quarantine {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut store = open(place)?;
        match &self.what {
            None => {
                let rows = quarantine::list(&store)?;
                if self.json {
                    for row in &rows {
                        output::json(row)?;
                    }
                    return Ok(ExitCode::SUCCESS);
                }
                let head = ["row", "file", "line", "why"].map(str::to_owned).to_vec();
                let lines = rows.iter().map(|row| {
                    let why = text::cut(&text::escape(&row.reason), 100).into_owned();
                    vec![row.id.to_string(), row.file.clone(), row.line.to_string(), why]
                });
                if rows.is_empty() {
                    say!("there is nothing in quarantine");
                } else {
                    output::print(&output::table(&std::iter::once(head).chain(lines).collect::<Vec<_>>()))?;
                }
            }
            Some(What::Write { out, of }) => {
                let mut rows = quarantine::list(&store)?;
                rows.retain(|row| of.as_ref().is_none_or(|file| row.file == *file));
                if rows.iter().any(|row| Some(&row.file) != rows.first().map(|first| &first.file)) {
                    return Err(eyre!("the rows are of several files; name one with --of FILE"));
                }
                std::fs::write(out, quarantine::file(&rows)).map_err(|error| eyre!("{}: {error}", out.display()))?;
                say!("{} rows are in {}; mend them and togi import it", rows.len(), out.display());
            }
            Some(What::Mend { id, file }) => {
                let row = quarantine::get(&store, *id)?;
                let mended = if file.as_os_str() == "-" {
                    std::io::read_to_string(std::io::stdin())?
                } else {
                    std::fs::read_to_string(file).map_err(|error| eyre!("{}: {error}", file.display()))?
                };
                let rows = quarantine::mend(&mut store, &row, &mended)?;
                say!("{rows} records imported; row {id} has left the quarantine");
            }
            Some(What::Drop { ids }) => {
                let dropped = quarantine::drop_rows(&mut store, ids)?;
                say!("{dropped} rows dropped; togi undo brings them back");
                if dropped < ids.len() {
                    return Err(eyre!("{} of the numbers are no rows in quarantine", ids.len() - dropped));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
