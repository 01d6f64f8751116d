//! `togi import`: files to records.

use std::io::{BufRead, IsTerminal, stderr, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use serde_json::json;

use super::output::{self, say};
use super::records::open;
use super::{Place, progress};
use crate::actions::ActionError;
use crate::actions::records::import::{self, Format, Preview, Report, Request};
use crate::actions::records::{Content, Origin, Split, Status};
use crate::text;

/// Refused rows that are printed.
const SHOWN: usize = 20;

/// Bring records in from files
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi import train.jsonl
  togi import faq.xlsx --map prompt=質問,output=回答 --dry-run
  togi import gold.csv --origin human --split train
  togi import data/            # a folder with train.jsonl, valid.jsonl, test.jsonl

The layout is recognised from the content: Alpaca, ShareGPT, messages, prompt/completion, preference pairs, Dolly, JumpStart, text,
CSV, TSV, xlsx, Parquet, ChatGPT's export, Markdown questions and answers; gzip of any; UTF-8, UTF-16, Shift_JIS, EUC-JP, Latin-1.
What is here already is not added again. Rows that are no records wait in quarantine (togi quarantine). One undo takes a
file's records out again.")]
pub struct Import {
    /// Files or folders
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The layout, where it is not recognised: alpaca, sharegpt, messages, prompt-completion, csv, …
    #[arg(long = "as", value_name = "FORMAT")]
    format: Option<Format>,
    /// Which column is what: prompt=質問,output=回答
    #[arg(long, value_name = "PART=COLUMN", value_delimiter = ',')]
    map: Vec<String>,
    /// What the records are used for: train, valid, test
    #[arg(long)]
    split: Option<Split>,
    /// Where they come from: traffic, human, model [default: import, which is not known]
    #[arg(long)]
    origin: Option<Origin>,
    /// What they are at first: inbox (answers are drafts), gold [default: gold where people wrote them, else inbox]
    #[arg(long)]
    status: Option<Status>,
    /// Show what would be imported, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

impl Import {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut map = Vec::new();
        for pair in &self.map {
            let Some((part, column)) = pair.split_once('=') else {
                let why = format!("--map {pair} does not say which column; write it as --map prompt=質問,output=回答");
                return Err(ActionError::Asked(why).into());
            };
            map.push((part.trim().to_owned(), column.trim().to_owned()));
        }
        let mut store = open(place)?;
        let mut failed = false;
        for given in &self.files {
            for (path, split) in import::files_of(given)? {
                let request = Request {
                    format: self.format,
                    map: map.clone(),
                    split: self.split.or(split),
                    origin: self.origin,
                    status: self.status,
                };
                match self.one(&mut store, &path, &request) {
                    Ok(true) => {}
                    Ok(false) => return Ok(ExitCode::SUCCESS),
                    Err(error) => {
                        failed = true;
                        if self.json {
                            let error = json!({ "line": 1, "reason": error.to_string() });
                            output::json(&json!({
                                "file": path, "format": null, "encoding": null, "rows": 0, "skipped": 0, "errors": [error]
                            }))?;
                        } else {
                            output::complain(&error);
                        }
                    }
                }
            }
        }
        if !failed && !self.dry_run && !self.json {
            say!("togi lint looks for what is wrong with them; togi undo takes the last file out again");
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Whether to go on with further files.
    fn one(&self, store: &mut crate::actions::records::Store, path: &Path, request: &Request) -> Result<bool> {
        if !self.json {
            preview(path, &import::preview(path, request)?);
        }
        if self.dry_run {
            let report = import::import(store, path, request, true, &mut |_| {})?;
            self.told(&report, "would be imported")?;
            return Ok(true);
        }
        if !self.json && !self.yes && stdin().is_terminal() && stderr().is_terminal() {
            say!("import it? [Y/n]");
            let mut answer = String::new();
            stdin().lock().read_line(&mut answer)?;
            if answer.trim().to_lowercase().starts_with('n') {
                say!("nothing is changed");
                return Ok(false);
            }
        }
        let spinner = progress::spinner("importing");
        let report = import::import(store, path, request, false, &mut |rows| {
            if rows.is_multiple_of(1_000) {
                spinner.set_message(format!("{} rows", text::count(rows)));
            }
        });
        spinner.finish_and_clear();
        self.told(&report?, "imported")?;
        Ok(true)
    }

    fn told(&self, report: &Report, what: &str) -> Result<()> {
        if self.json {
            return output::json(report);
        }
        let here = if report.skipped > 0 {
            format!(", {} were here already", text::count(report.skipped as u64))
        } else {
            String::new()
        };
        say!("{}: {} records {what}{here}", report.file, text::count(report.rows as u64));
        for error in report.errors.iter().take(SHOWN) {
            say!("  line {}: {}", error.line, text::escape(&error.reason));
        }
        if report.errors.len() > SHOWN {
            say!("  … and {} more", text::count((report.errors.len() - SHOWN) as u64));
        }
        if !report.errors.is_empty() && !self.dry_run {
            say!("  {} rows are in quarantine: togi quarantine lists and mends them", report.errors.len());
        }
        Ok(())
    }
}

/// Says how the file would be read, with its first rows.
fn preview(path: &Path, preview: &Preview) {
    let packed = if preview.compressed { ", compressed" } else { "" };
    say!("{}: {}, {}{packed}", path.display(), preview.format, preview.encoding);
    if !preview.columns.is_empty() {
        say!("  columns: {}", text::cut(&text::escape(&preview.columns.join(", ")), 200));
    }
    for (part, column) in &preview.mapping {
        say!("  {part} is {}", text::escape(column));
    }
    for note in &preview.notes {
        say!("  {}", text::escape(note));
    }
    for row in &preview.first {
        let (asked, answer) = match &row.content {
            Content::Pair { fields, .. } => {
                let asked: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                (asked.join("  "), row.content.answer().unwrap_or("-").to_owned())
            }
            Content::Chat { turns, .. } => {
                let said =
                    turns.iter().map(|turn| format!("{}: {}", turn.role, turn.content.as_deref().unwrap_or("…")));
                (said.collect::<Vec<_>>().join("  "), String::new())
            }
            Content::Text { text } => (text.clone(), String::new()),
        };
        say!("  {}", text::cut(&text::escape(&format!("{:>5} {asked}", row.line).replace('\n', " ")), 110));
        if !answer.is_empty() {
            say!("        → {}", text::cut(&text::escape(&answer.replace('\n', " ")), 102));
        }
    }
}
