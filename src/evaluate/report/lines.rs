//! The figures of a report as a list of lines, a cell for each system: what the terminal, Markdown and HTML all lay out.

use std::fmt;

use super::super::interval::Interval;
use super::super::significance::Estimate;
use super::{Figures, Report, percent};

/// What stands where an interval cannot be told.
pub const NO_INTERVAL: &str = "-";

/// A figure of one system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The figure, with its unit.
    pub value: String,
    /// Its interval, [`NO_INTERVAL`] where there should be one and it cannot be told; none where the figure has none.
    pub interval: Option<String>,
}

impl Cell {
    /// A share as percent, with its interval.
    #[must_use]
    pub fn of(estimate: &Estimate) -> Self {
        let value = format!("{} %", percent(estimate.value));
        Self { value, interval: Some(estimate.interval.map_or_else(|| NO_INTERVAL.to_owned(), range)) }
    }
}

/// On one line: `75.0 % (66.1 to 82.4)`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interval {
            Some(interval) => write!(f, "{} ({interval})", self.value),
            None => f.write_str(&self.value),
        }
    }
}

/// A figure of every system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub label: String,
    /// Of each system, in the report's order; none where it does not apply.
    pub cells: Vec<Option<Cell>>,
}

impl Line {
    /// Whether its figures have intervals.
    #[must_use]
    pub fn has_intervals(&self) -> bool {
        self.cells.iter().flatten().any(|cell| cell.interval.is_some())
    }
}

impl Report {
    /// The figures, the metrics first; those that no system has are left out.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut push = |label: String, of: &dyn Fn(&Figures) -> Option<Cell>| {
            let cells: Vec<Option<Cell>> = self.systems.iter().map(of).collect();
            if cells.iter().any(Option::is_some) {
                lines.push(Line { label, cells });
            }
        };
        for metric in &self.metrics {
            push(metric.label(), &|f| f.scores.get(&metric.key).map(Cell::of));
        }
        let plain = |value: String| Cell { value, interval: None };
        let likelihood = |n: f64| plain(if n < 1e5 { format!("{n:.4}") } else { format!("{n:.3e}") });
        push("loss (nats a token)".into(), &|f| f.loss.map(likelihood));
        push("perplexity".into(), &|f| f.perplexity.map(likelihood));
        push("bits a byte".into(), &|f| f.bits_per_byte.map(likelihood));
        push("tokens an answer".into(), &|f| f.tokens.map(|n| plain(format!("{n:.1}"))));
        let is_cut = self.systems.iter().any(|f| f.cut > 0.0);
        push("answers cut".into(), &|f| is_cut.then(|| plain(format!("{} %", percent(f.cut)))));
        let rate = |n: f64| plain(if n < 10.0 { format!("{n:.1}") } else { format!("{n:.0}") });
        push("tokens a prompt".into(), &|f| f.speeds.map(|s| plain(format!("{:.1}", s.prompt_tokens))));
        push("prompt tokens a second".into(), &|f| f.speeds.map(|s| rate(s.prompt_tokens_per_s)));
        push("answer tokens a second".into(), &|f| f.speeds.map(|s| rate(s.answer_tokens_per_s)));
        push("tokens a second, prompts included".into(), &|f| f.tokens_per_s.map(rate));
        push("seconds an answer".into(), &|f| f.seconds.map(|n| plain(format!("{n:.2}"))));
        push("price of 1,000 answers".into(), &|f| f.cost_per_1000.map(|n| plain(format!("{n:.4}"))));
        lines
    }
}

/// An interval of shares in percent: `66.1 to 82.4`.
fn range(interval: Interval) -> String {
    format!("{} to {}", percent(interval.low), percent(interval.high))
}

/// An interval of a difference in points: `-1.2 to +3.4`, or [`NO_INTERVAL`].
#[must_use]
pub fn points(interval: Option<Interval>) -> String {
    interval.map_or_else(|| NO_INTERVAL.to_owned(), |i| format!("{:+.1} to {:+.1}", 100.0 * i.low, 100.0 * i.high))
}
