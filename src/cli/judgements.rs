//! `togi judgements`: what people preferred.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::Place;
use super::output;
use super::records::open;
use crate::actions::judge;

#[allow(clippy::struct_excessive_bools)] // independent switches
/// Count what people preferred when they compared answers, or print it as preference pairs
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi judgements
  togi judgements --pairs > preferences.jsonl
  togi judgements --json
  togi judgements --figures            # scores and agreement as one JSON object

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
