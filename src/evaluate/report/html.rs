//! The report as one HTML page that needs nothing else: styles and plots are in it, and no script.

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::{Cell, Pair, Report, p_text, percent};

const PAGE: &str = include_str!("../../../assets/report.html");
/// Rows of each list that are shown; the JSON has them all.
const SHOWN: usize = 50;

/// A system's place in a plot, in percent of its width, so that a plot is as wide as the window lets it.
#[derive(Serialize)]
struct Bar {
    name: String,
    tuned: bool,
    x: f64,
    low: f64,
    high: f64,
    label: String,
}

/// A metric's plot: a dot and a whisker a system.
#[derive(Serialize)]
struct Plot {
    title: String,
    bars: Vec<Bar>,
}

/// The report as HTML.
///
/// # Errors
/// When the page's own template fails, which the tests exclude for reports of every kind.
pub fn page(report: &Report) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("percent", percent);
    environment.add_filter("p", p_text);
    environment.add_template("report", PAGE)?;
    let plots: Vec<Plot> = report.metrics.iter().map(|metric| plot(report, &metric.key, metric.label())).collect();
    let pair = report.told_pair();
    let short = |pair: &Pair| {
        let mut pair = pair.clone();
        pair.changes.better.truncate(SHOWN);
        pair.changes.worse.truncate(SHOWN);
        pair.changes.stayed_wrong.truncate(SHOWN);
        pair
    };
    let mut categories: Vec<&String> = report.systems.iter().flat_map(|system| system.categories.keys()).collect();
    categories.sort();
    categories.dedup();
    let text = |cell: Option<Cell>| cell.map_or_else(String::new, |cell| cell.to_string());
    let lines: Vec<(String, Vec<String>)> =
        report.lines().into_iter().map(|line| (line.label, line.cells.into_iter().map(text).collect())).collect();
    let labels: Vec<String> = report.metrics.iter().map(super::Metric::label).collect();
    environment.get_template("report")?.render(context! {
        report => Value::from(Serde(report)),
        lines => Value::from(Serde(&lines)),
        labels => Value::from(Serde(&labels)),
        plots => Value::from(Serde(&plots)),
        categories => Value::from(Serde(&categories)),
        shown => Value::from(Serde(pair.map(short))),
        agreement => report.errors.as_ref().and_then(|errors| Some(errors.agreement.as_ref()?.lines())),
        rests_on => report.errors.as_ref().and_then(|errors| errors.advice.as_ref()?.rests_on()),
        counts => pair.map(|pair| [pair.changes.better.len(), pair.changes.worse.len(), pair.changes.stayed_wrong.len()]),
        hash => report.hash.chars().take(12).collect::<String>(),
    })
}

fn plot(report: &Report, key: &str, title: String) -> Plot {
    let mut bars = Vec::new();
    for system in &report.systems {
        let Some(estimate) = system.scores.get(key) else { continue };
        let interval =
            estimate.interval.unwrap_or(super::super::Interval { low: estimate.value, high: estimate.value });
        let label = Cell::of(estimate).to_string();
        bars.push(Bar {
            name: system.name.clone(),
            tuned: system.tuned,
            x: 100.0 * estimate.value,
            low: 100.0 * interval.low,
            high: 100.0 * interval.high,
            label,
        });
    }
    Plot { title, bars }
}
