//! `togi lint`: what is wrong with the records.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place, progress};
use crate::actions::records::lint::{self, Finding, Request};
use crate::text;

/// Findings that are printed of each check.
const SHOWN: usize = 5;

/// Look for what is wrong with the records
#[allow(clippy::struct_excessive_bools)] // each is a switch of the command line
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi lint
  togi lint --check leak,contradiction --all
  togi lint --fix template-token --dry-run
  togi records --flag near-duplicate

togi lint --list names the checks and says why each is there. A fix is one act, which togi undo takes back.")]
pub struct Lint {
    /// Apply this check's fix where it has one
    #[arg(long, value_name = "CHECK")]
    fix: Option<String>,
    /// With --fix: show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only these checks
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    check: Vec<String>,
    /// List the checks
    #[arg(long)]
    list: bool,
    /// Print every finding
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    base: BaseModel,
    /// Print one JSON object a finding
    #[arg(long)]
    json: bool,
}

impl Lint {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        if self.list {
            for check in lint::checks() {
                let fix = if check.fixes { " [--fix]" } else { "" };
                output::print(&format!("{:<16} {}{fix}\n", check.name, check.why))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut context = place.context(&self.base)?;
        let mut store = context.store()?;
        let request = Request { only: self.check.clone() };
        let spinner = progress::spinner("reading records and tokenizer");
        if let Some(check) = &self.fix {
            let fixed = lint::fix(&mut context, &mut store, check, self.dry_run);
            spinner.finish_and_clear();
            let fixed = fixed?;
            if self.json {
                output::json(&fixed)?;
            } else {
                for (record, before, after) in fixed.changes.iter().take(if self.all { usize::MAX } else { SHOWN }) {
                    say!("record {record}");
                    say!("  - {}", text::cut(&text::escape(before), 160));
                    say!("  + {}", text::cut(&text::escape(after), 160));
                }
                let what = if self.dry_run { "would be changed" } else { "changed; togi undo takes it back" };
                say!("{} records {what}", fixed.changes.len());
            }
            return Ok(ExitCode::SUCCESS);
        }
        let linted = lint::lint(&mut context, &mut store, &request);
        spinner.finish_and_clear();
        let linted = linted?;
        for note in &linted.notes {
            say!("{note}");
        }
        if self.json {
            for finding in &linted.findings {
                output::json(finding)?;
            }
        } else {
            self.told(&linted.findings, linted.records)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn told(&self, findings: &[Finding], records: usize) -> Result<()> {
        let mut by: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
        for finding in findings {
            by.entry((finding.severity, finding.check)).or_default().push(finding);
        }
        for ((severity, check), list) in &by {
            output::print(&format!("{severity:<8} {check} ({})\n", text::count(list.len() as u64)))?;
            for finding in list.iter().take(if self.all { usize::MAX } else { SHOWN }) {
                let record = finding.record.map_or_else(|| "all".to_owned(), |record| record.to_string());
                let own = finding.source_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
                let line = format!("  {record:>6}{own}  {}", finding.reason);
                output::print(&format!("{}\n", text::cut(&text::escape(&line), 160)))?;
            }
            if !self.all && list.len() > SHOWN {
                output::print(&format!("         … and {} more\n", list.len() - SHOWN))?;
            }
        }
        say!("{} findings in {} records", text::count(findings.len() as u64), text::count(records as u64));
        Ok(())
    }
}
