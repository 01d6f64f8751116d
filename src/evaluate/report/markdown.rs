//! The report as Markdown, for a pull request or a wiki.

use std::fmt::Write as _;

use super::{Cell, Change, Report, Turned, lines, p_text};

/// Rows of each list that are shown.
const SHOWN: usize = 10;
/// Characters of a text in a table.
const CELL: usize = 160;

/// The report as Markdown.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = format!("# Evaluation on {}\n\n", one_line(&report.test));
    let hash: String = report.hash.chars().take(12).collect();
    let _ = writeln!(out, "{} rows counted of {}; test set `{hash}`; 95 % intervals.\n", report.counted, report.rows);
    if let Some(verdict) = &report.verdict {
        let _ = writeln!(out, "**{}**\n", one_line(&verdict.text));
    }
    for note in &report.notes {
        let _ = writeln!(out, "- {}", one_line(note));
    }
    let _ = writeln!(out, "\n## Systems\n");
    table(&mut out, &heads(report, "metric"), &figures(report));
    let _ = writeln!(out, "\n## Who they are\n");
    for system in &report.systems {
        let _ = writeln!(out, "- **{}**: {}", one_line(&system.name), one_line(&system.about));
    }
    categories(&mut out, report);
    let _ = writeln!(out, "\n## Differences\n");
    let rows: Vec<Vec<String>> = report
        .pairs
        .iter()
        .map(|pair| {
            vec![
                format!("{} → {}", one_line(&pair.first), one_line(&pair.second)),
                pair.mcnemar.gained.to_string(),
                pair.mcnemar.lost.to_string(),
                p_text(pair.mcnemar.p),
                p_text(pair.p_holm),
                format!(
                    "{}/{}/{}",
                    pair.changes.better.len(),
                    pair.changes.worse.len(),
                    pair.changes.stayed_wrong.len()
                ),
            ]
        })
        .collect();
    let heads = ["pair", "gained", "lost", "McNemar", "Holm", "better / worse / stayed wrong"];
    table(&mut out, &heads.map(str::to_owned), &rows);
    differences(&mut out, report);
    errors(&mut out, report);
    if let Some(pair) = report.told_pair() {
        let _ = writeln!(out, "\n## Rows, {} → {}\n", one_line(&pair.first), one_line(&pair.second));
        let lists = [
            ("Got worse", &pair.changes.worse),
            ("Stayed wrong", &pair.changes.stayed_wrong),
            ("Got better", &pair.changes.better),
        ];
        for (title, list) in lists {
            let _ = writeln!(out, "### {title}: {}\n", list.len());
            if !list.is_empty() {
                let rows: Vec<Vec<String>> = list.iter().take(SHOWN).map(row).collect();
                table(&mut out, &["row", "asked", "right", "before", "after"].map(str::to_owned), &rows);
                out.push('\n');
            }
        }
    }
    out
}

fn heads(report: &Report, first: &str) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(report.systems.iter().map(|system| one_line(&system.name))).collect()
}

/// The figures, one row a figure.
fn figures(report: &Report) -> Vec<Vec<String>> {
    let text = |cell: Option<Cell>| cell.map_or_else(String::new, |cell| cell.to_string());
    report
        .lines()
        .into_iter()
        .map(|line| std::iter::once(line.label).chain(line.cells.into_iter().map(text)).collect())
        .collect()
}

fn categories(out: &mut String, report: &Report) {
    let mut names: Vec<&String> = report.systems.iter().flat_map(|system| system.categories.keys()).collect();
    names.sort();
    names.dedup();
    if names.len() < 2 {
        return;
    }
    for metric in &report.metrics {
        let _ = writeln!(out, "\n## By category: {}\n", metric.label());
        let rows: Vec<Vec<String>> = names
            .iter()
            .map(|name| {
                let mut row = vec![one_line(name)];
                row.extend(report.systems.iter().map(|system| {
                    let found = system.categories.get(*name).and_then(|scores| scores.get(&metric.key));
                    found.map_or_else(String::new, |e| format!("{} of {}", Cell::of(e), e.rows))
                }));
                row
            })
            .collect();
        table(out, &heads(report, "category"), &rows);
    }
}

/// What each pair's difference is in each metric.
fn differences(out: &mut String, report: &Report) {
    for metric in &report.metrics {
        let _ = writeln!(out, "\n### {}, paired bootstrap\n", metric.label());
        let rows: Vec<Vec<String>> = report
            .pairs
            .iter()
            .filter_map(|pair| {
                let found = pair.differences.get(&metric.key)?;
                let points = |share: f64| format!("{:+.1}", 100.0 * share);
                let interval = lines::points(found.interval);
                let holm = pair.holm.get(&metric.key).copied().map_or_else(String::new, p_text);
                let pair = format!("{} → {}", one_line(&pair.first), one_line(&pair.second));
                Some(vec![pair, points(found.difference), interval, found.p.map_or_else(String::new, p_text), holm])
            })
            .collect();
        table(out, &["pair", "points", "95 % interval", "p", "after Holm"].map(str::to_owned), &rows);
    }
}

/// The errors before and after, and the advice.
fn errors(out: &mut String, report: &Report) {
    let Some(errors) = &report.errors else { return };
    let _ = writeln!(out, "\n## Errors, {} → {}\n", one_line(&errors.before), one_line(&errors.after));
    let rows: Vec<Vec<String>> = errors
        .matrix
        .changes
        .iter()
        .map(|change| {
            let counts = [change.before, change.after, change.fixed.len(), change.new.len(), change.stayed.len()];
            let named = [one_line(&change.category), change.cause.name().to_owned()];
            named.into_iter().chain(counts.map(|count| count.to_string())).collect()
        })
        .collect();
    table(out, &["error", "cause", "before", "after", "fixed", "new", "stayed"].map(str::to_owned), &rows);
    if let Some(agreement) = &errors.agreement {
        let _ = writeln!(
            out,
            "\nMarks on which several of {} spoke: {}.",
            one_line(&agreement.people.join(", ")),
            agreement.items
        );
        for line in agreement.lines() {
            let _ = writeln!(out, "\n- {}", one_line(&line));
        }
    }
    if let Some(advice) = &errors.advice {
        let _ = writeln!(out, "\n{}", one_line(&advice.why));
        if let Some(records) = advice.rests_on() {
            let _ = writeln!(out, "\n{}", one_line(&records));
        }
    }
}

fn row(change: &Change) -> Vec<String> {
    let mark = match change.turned {
        Turned::Fixed => " (right now)",
        Turned::Broken => " (was right)",
        _ => "",
    };
    [&format!("{}{mark}", change.id), &change.asks, &change.gold, &change.before, &change.after]
        .map(|text| cell(text))
        .into()
}

fn table(out: &mut String, heads: &[String], rows: &[Vec<String>]) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    out.push_str(&line(heads));
    out.push_str(&line(&vec!["---".to_owned(); heads.len()]));
    for row in rows {
        out.push_str(&line(row));
    }
}

/// A text as one cell: no line breaks, no bars, no markup, not too long.
fn cell(text: &str) -> String {
    let short: String = text.chars().take(CELL).collect();
    let more = if text.chars().nth(CELL).is_some() { "…" } else { "" };
    one_line(&format!("{short}{more}"))
}

/// A text on one line, with what Markdown and HTML would read as markup escaped.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
