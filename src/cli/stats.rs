//! `togi stats`: numbers over the records.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output;
use super::records::open;
use crate::actions::records::stats::{self, Spread};
use crate::text;

/// Count the records and show how far they are
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi stats
  togi stats --coverage
  togi stats --json")]
pub struct Stats {
    /// Say how much of the space of inputs the records cover, and where it is crowded
    #[arg(long)]
    coverage: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let stats = stats::stats(&open(place)?, self.coverage)?;
        if self.json {
            output::json(&stats)?;
            return Ok(ExitCode::SUCCESS);
        }
        let n = |number: usize| text::count(number as u64);
        let mut out = String::new();
        let _ = writeln!(out, "records   {} ({} of {} gold)", n(stats.counts.records), n(stats.gold), n(stats.target));
        let counts = &stats.counts;
        let by = [
            ("status", &counts.status),
            ("split", &counts.split),
            ("origin", &counts.origin),
            ("kind", &counts.kind),
            ("category", &counts.category),
            ("author", &counts.author),
        ];
        for (name, list) in by {
            let shown: Vec<String> =
                list.iter().take(12).map(|(word, count)| format!("{} {}", text::escape(word), n(*count))).collect();
            let more = if list.len() > 12 { format!(", and {} more", list.len() - 12) } else { String::new() };
            let _ = writeln!(out, "{name:<9} {}{more}", shown.join(", "));
        }
        let spread =
            |s: Spread| format!("{} to {} characters, half of them up to {}", n(s.least), n(s.most), n(s.median));
        let _ = writeln!(out, "prompts   {}", spread(stats.prompt_characters));
        let _ = writeln!(out, "answers   {}", spread(stats.answer_characters));
        if let Some(coverage) = &stats.coverage {
            let _ = writeln!(
                out,
                "coverage  {} distinct inputs of {}; as diverse as {:.0} wholly different ones; mean distance to the nearest {:.2}",
                n(coverage.distinct),
                n(coverage.records),
                coverage.effective,
                coverage.mean_distance
            );
            for corner in &coverage.crowded {
                let others: Vec<String> = corner.others.iter().take(8).map(ToString::to_string).collect();
                let more = if corner.others.len() > 8 { " …" } else { "" };
                let _ = writeln!(
                    out,
                    "  {} records ask what {} asks: {}{more}",
                    n(corner.others.len()),
                    corner.record,
                    others.join(" ")
                );
            }
        }
        if stats.quarantined > 0 {
            let _ = writeln!(out, "quarantine {} rows (togi quarantine)", n(stats.quarantined));
        }
        if stats.conflicts > 0 {
            let _ =
                writeln!(out, "conflicts {} texts were not saved over newer ones (togi show ID)", n(stats.conflicts));
        }
        output::print(&out)?;
        Ok(ExitCode::SUCCESS)
    }
}
