//! What is told of runs, and what becomes of it.

use std::time::Duration;

use super::super::{App, Pane};
use super::{CHECKING, Chart, Face, History, Msg, STARTING, Sample, Stand};

/// Looks whose sample answers are kept.
pub(super) const SAMPLED: usize = 64;
/// Letters of a sample answer that are kept.
pub(super) const LETTERS: usize = 2_000;

impl App {
    /// What happened to runs; whether the screen is another.
    pub(in crate::app) fn train_msg(&mut self, msg: Msg, now: Duration) -> bool {
        let shown = self.pane == Pane::Train;
        let train = &mut self.train;
        match msg {
            Msg::Runs(runs) => {
                let before = train.share();
                train.take_runs(runs);
                // Every pane's heading tells how far a run is.
                return shown || train.share() != before;
            }
            Msg::Steps { run, anew, points } => {
                let (steps, live) = train.run(&run).map_or((None, true), |run| (run.steps, run.is_live()));
                // What was on its way when the run left the chart.
                if !train.watched.1.contains(&run) {
                    return false;
                }
                if anew {
                    train.histories.insert(run.clone(), History::new(steps));
                }
                if let Some(history) = train.histories.get_mut(&run) {
                    history.take(&points, !live);
                }
            }
            Msg::Samples { run, .. } if !train.watched.1.contains(&run) => return false,
            Msg::Samples { run, anew, samples } => {
                let kept = train.samples.entry(run).or_default();
                if anew {
                    kept.clear();
                }
                kept.extend(
                    samples
                        .into_iter()
                        .map(|sample| Sample { answer: sample.answer.chars().take(LETTERS).collect(), ..sample }),
                );
                keep_some(kept);
            }
            Msg::Differ { a, b, differences } => {
                if let Face::Differences { a: first, b: second, lines } = &mut train.face
                    && (&*first, &*second) == (&a, &b)
                {
                    *lines = Some(differences);
                }
            }
            Msg::Form { settings, models, base } => {
                train.form.at = train.form.at.min(settings.len());
                (train.form.settings, train.form.models, train.form.base) = (settings, models, base);
            }
            Msg::NoForm(why) => train.form.stand = Stand::Refused(why),
            Msg::Checking { wish, words } => {
                if train.form.wish() == wish && train.form.stand == Stand::Busy(CHECKING) {
                    train.form.told = words;
                }
            }
            Msg::Checked { wish, result } => {
                train.form.told.clear();
                // What was set meanwhile has to be looked at by itself.
                let current = train.form.wish() == wish;
                train.form.stand = match result {
                    _ if !current => Stand::Open,
                    Ok(facts) => Stand::Passed(facts),
                    Err(why) => Stand::Refused(why),
                };
            }
            Msg::Started(result) => {
                train.busy = None;
                let from_form = train.form.stand == Stand::Busy(STARTING);
                match result {
                    Ok(run) => {
                        if from_form {
                            train.form.stand = Stand::Open;
                            train.face = Face::Chart;
                        }
                        train.chart = Chart { window: None, cross: None, ..train.chart };
                        train.at = train.runs.iter().position(|known| known.name == run).unwrap_or(train.at);
                        train.wanted = Some(run.clone());
                        self.note(format!("run {run} is on its way; it goes on without togi"), now);
                        return true;
                    }
                    Err(why) if from_form => train.form.stand = Stand::Refused(why),
                    Err(why) => {
                        self.trouble(why, now);
                        return true;
                    }
                }
            }
        }
        shown
    }
}

/// Keeps the first look and the newest ones.
fn keep_some(samples: &mut Vec<Sample>) {
    let mut steps: Vec<u64> = samples.iter().map(|sample| sample.step).collect();
    steps.dedup();
    if steps.len() > SAMPLED
        && let (Some(first), Some(from)) = (steps.first().copied(), steps.get(steps.len() - SAMPLED + 1).copied())
    {
        samples.retain(|sample| sample.step == first || sample.step >= from);
    }
}
