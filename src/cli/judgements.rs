//! `togi judgements`: what people preferred; and to say it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Context as _, Result};

use super::Place;
use super::output::{self, say};
use super::records::open;
use crate::actions::judge;

#[allow(clippy::struct_excessive_bools)] // independent switches
/// Count what people preferred when they compared answers, print it as preference pairs, or add to it
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi judgements
  togi judgements --pairs > preferences.jsonl
  togi judgements --json
  togi judgements --figures            # scores and agreement as one JSON object
  togi judgements --add picks.jsonl    # {\"question\", \"left\", \"right\", \"left_answer\", \"right_answer\", \"pick\", \"blind\"} a line

The workbench's Compare pane collects them: B judges blind.")]
pub struct Judgements {
    /// Count those given with the names known, too
    #[arg(long)]
    all: bool,
    /// Print {\"prompt\", \"chosen\", \"rejected\"} lines
    #[arg(long, conflicts_with = "json")]
    pairs: bool,
    /// Print each judgement as one JSON object
    #[arg(long)]
    json: bool,
    /// Print counts, scores and agreement as one JSON object
    #[arg(long, conflicts_with_all = ["json", "pairs"])]
    figures: bool,
    /// Keep judgements of yours, one JSON object a line as --json prints them, from a file or (-) standard input: who answered left and
    /// right, what, and the pick: left, right, tie or bad
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "pairs", "figures"])]
    add: Option<PathBuf>,
}

/// What `--figures` prints.
#[derive(serde::Serialize)]
struct Figures {
    tallies: Vec<judge::Tally>,
    ranking: Option<judge::Ranked>,
    agreement: Option<judge::Agreement>,
}

impl Judgements {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        if let Some(file) = &self.add {
            let kept = judge::add(&mut open(place)?, &read(file)?)?;
            if self.json {
                output::json(&serde_json::json!({ "added": kept }))?;
            } else {
                say!("{} judgements kept", kept.len());
            }
            return Ok(ExitCode::SUCCESS);
        }
        let judgements = open(place)?.judgements()?;
        if self.json {
            judgements.iter().try_for_each(output::json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.pairs {
            judge::pairs(&judgements).iter().try_for_each(output::json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.figures {
            output::json(&Figures {
                tallies: judge::tallies(&judgements, !self.all),
                ranking: judge::ranking(&judgements, !self.all),
                agreement: judge::agreement(&judgements),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = String::new();
        for tally in judge::tallies(&judgements, !self.all) {
            let [first, second] = &tally.systems;
            let _ = write!(
                out,
                "{first} {}, {second} {}, as good {}, both bad {}",
                tally.first, tally.second, tally.tie, tally.bad
            );
            if let Some(share) = tally.share {
                let (low, high) = (100.0 * tally.interval.low, 100.0 * tally.interval.high);
                let _ = write!(out, ": {second} preferred in {:.0} % (95 %: {low:.0} to {high:.0})", 100.0 * share);
            }
            out.push('\n');
        }
        rank(&mut out, &judgements, !self.all);
        agree(&mut out, &judgements);
        if out.is_empty() {
            out = "nobody has judged yet: B in the workbench's Compare pane does\n".into();
        }
        output::print(&out)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a file holds, or standard input.
fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        return std::io::read_to_string(std::io::stdin()).wrap_err("standard input cannot be read");
    }
    std::fs::read_to_string(file).wrap_err_with(|| format!("{} cannot be read", file.display()))
}

/// Adds the systems on one scale.
fn rank(out: &mut String, judgements: &[judge::Judgement], blind: bool) {
    let Some(ranked) = judge::ranking(judgements, blind) else { return };
    let mut rows: Vec<Vec<String>> =
        vec![["system", "points", "95 % interval", "won", "lost", "as good"].map(str::to_owned).into()];
    for one in &ranked.systems {
        let interval = one.score.points_interval.map_or_else(String::new, |i| format!("{:.0} to {:.0}", i.low, i.high));
        let mut row = vec![one.system.clone(), format!("{:.0}", one.score.points), interval];
        row.extend([one.score.won, one.score.lost, one.score.tied].map(|count| count.to_string()));
        rows.push(row);
    }
    let _ = write!(out, "\n{}", output::table(&rows));
    if let Some(ties) = &ranked.ties {
        let percent = |share: f64| 100.0 * share;
        let range = ties.between_equals_interval;
        let range =
            range.map_or_else(String::new, |i| format!(" (95 %: {:.0} to {:.0})", percent(i.low), percent(i.high)));
        let share = percent(ties.between_equals);
        let _ =
            writeln!(out, "of two equal systems {share:.0} % are judged as good{range}; Davidson's nu {:.2}", ties.nu);
    }
    for warning in &ranked.warnings {
        let _ = writeln!(out, "{warning}");
    }
}

/// Adds how far people agree.
fn agree(out: &mut String, judgements: &[judge::Judgement]) {
    let Some(found) = judge::agreement(judgements) else { return };
    let _ = writeln!(out, "\n{} questions were judged by several of {}", found.items, found.people.join(", "));
    for line in found.lines() {
        let _ = writeln!(out, "{line}");
    }
}
