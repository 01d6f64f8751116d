//! The pane of evaluations: above what the report says, its figures and the errors before and after; below (on a wide screen beside
//! it) the rows behind it. An open row has the whole pane.

mod row;

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::{Places, paint};
use crate::app::evaluate::{Change, Errors, Evaluate, Figures, Job, List, Report, Turned};
use crate::app::{App, Spot};
use crate::keymap::Command;
use crate::text;
use crate::theme::{Role, Theme};

/// Columns from which on the rows stand beside the figures.
const WIDE: u16 = 130;
/// Rows from which on figures and errors are both shown.
const TALL: u16 = 30;
/// The least cells of a figure with its interval: `  100.0  98-100`.
const CELL: usize = 16;
/// Cells of the figure alone.
const FIGURE: usize = 7;
/// Rows of the short form of a row.
const PREVIEW: u16 = 4;

/// Draws the pane.
pub fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme, places: &mut Places) {
    let evaluate = &app.evaluate;
    if evaluate.reading {
        row::draw(frame, area, evaluate, theme);
        return;
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let cells = usize::from(area.width);
    let mut top = heading(evaluate, cells, theme);
    let Some(report) = evaluate.report.as_deref() else {
        top.extend(paint::wrapped(&waiting(app), &[], cells));
        paint::lines(frame, area, &top, 0);
        return;
    };
    let used = (top.len() as u16).min(area.height);
    paint::lines(frame, area, &top, 0);
    let body = Rect { y: area.y + used, height: area.height - used, ..area };
    if area.width >= WIDE {
        let left = Rect { width: body.width * 11 / 20, ..body };
        upper(frame, left, app, report, true, theme);
        let x = left.right() + 2;
        rows(frame, Rect { x, width: body.right().saturating_sub(x), ..body }, app, theme, places);
        let bar = Line::styled(theme.sign("│", "|"), theme.style(Role::Border));
        for y in body.top()..body.bottom() {
            frame.buffer_mut().set_line(left.right(), y, &bar, 1);
        }
        return;
    }
    let both = area.height >= TALL;
    // The rows get what they need: as many as the longest list has, and the short form of one, where there is room for it.
    let longest = List::ALL.into_iter().map(|list| evaluate.rows(list).len()).max().unwrap_or(0) as u16;
    let least = if area.height < 18 { 5 } else { 7 };
    let most = body.height.saturating_sub((longest + PREVIEW + 1).clamp(least, if both { 12 } else { least }));
    let height = upper(frame, Rect { height: most, ..body }, app, report, both, theme);
    rows(frame, Rect { y: body.y + height, height: body.height - height, ..body }, app, theme, places);
}

/// The test set, what is at work, and how an evaluation in the background stands.
fn heading(evaluate: &Evaluate, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let dim = theme.style(Role::Dim);
    let mut left = Vec::new();
    let mut right = Vec::new();
    if let Some(test) = evaluate.test() {
        let counted = evaluate.report.as_deref().map_or(test.asked, |report| report.counted);
        let count = |number: usize| text::count(number as u64);
        let rows = if counted == test.rows {
            format!("  {} rows", count(counted))
        } else {
            format!("  {} of {} rows", count(counted), count(test.rows))
        };
        // Of a file its name; where it lay is beside the point.
        let name = test.name.rsplit('/').next().unwrap_or_default();
        let name = paint::short(name, cells.saturating_sub(text::width(&rows) + 16));
        left.push(Span::styled(name, theme.style(Role::Title)));
        left.push(Span::styled(rows, dim));
    }
    if evaluate.starting {
        right.push(Span::styled("starting an evaluation …".to_owned(), theme.style(Role::Info)));
    } else if evaluate.is_busy() {
        right.push(Span::styled("computing …".to_owned(), dim));
    }
    let mut lines = vec![paint::spread(left, right, cells)];
    lines.extend(evaluate.live().map(|job| progress(job, cells, theme)));
    lines
}

/// How an evaluation that runs stands.
fn progress(job: &Job, cells: usize, theme: &Theme) -> Line<'static> {
    let share = job.step as f64 / job.steps.max(1) as f64;
    let (sign, word) =
        if job.is_paused() { (theme.sign("‖", "="), "waits") } else { (theme.sign("▶", ">"), "measuring") };
    let mut left = vec![Span::styled(format!("{sign} {word} "), theme.style(Role::Good))];
    let mut right = Vec::new();
    if job.steps > 0 {
        right.push(Span::styled(format!("  {}", paint::bar(share, 10, theme)), theme.style(Role::Good)));
        right.push(Span::raw(format!(" {:.0} %", 100.0 * share)));
    } else {
        right.push(Span::raw(format!("  {}", job.word())));
    }
    if let Some(left) = job.seconds_left {
        right.push(Span::styled(format!(", {} left", text::duration(left)), theme.style(Role::Dim)));
    }
    let used: usize = left.iter().chain(&right).map(|span| text::width(&span.content)).sum();
    let each = job.systems.iter().map(|(name, _, answered, rows)| format!("{name} {answered}/{rows}"));
    let words = paint::short(&each.collect::<Vec<_>>().join(", "), cells.saturating_sub(used));
    left.push(Span::styled(words, theme.style(Role::Info)));
    paint::spread(left, right, cells)
}

/// What stands where there is no report.
fn waiting(app: &App) -> String {
    let evaluate = &app.evaluate;
    let key = |command| app.keymap.first(command);
    if let Some(problem) = &evaluate.problem {
        return format!("\n{problem}");
    }
    if !evaluate.ready {
        return "looking for answers that are stored …".to_owned();
    }
    if evaluate.test().is_some() {
        return "\nmaking the report …".to_owned();
    }
    if evaluate.live().is_some() {
        return "\nThe report is here as soon as there are answers.".to_owned();
    }
    let mut words = format!(
        "\nNo system has answered a test yet.\n\n{} measures some in the background, on the project's gold records of the split \
         test or on a file: the base, the base with examples, and a run. What they answer is kept, and the report is made of it.",
        key(Command::EvaluateStart)
    );
    if let Some(job) = evaluate.jobs.last().filter(|job| !job.reason.is_empty()) {
        let _ = write!(words, "\n\nThe last one, {}, {}: {}", job.name, job.word(), job.reason);
    }
    words
}

/// What the report says, figures and errors; returns the rows it takes.
fn upper(frame: &mut Frame<'_>, area: Rect, app: &App, report: &Report, both: bool, theme: &Theme) -> u16 {
    let evaluate = &app.evaluate;
    let cells = usize::from(area.width);
    // Of the two parts that do not fit together, the verdict belongs to the figures.
    let verdict = both || !evaluate.errors;
    let mut lines = said(evaluate, report, verdict, cells, theme);
    if both || !evaluate.errors {
        lines.extend(table(evaluate, report, cells, theme));
    }
    if (both || evaluate.errors)
        && let Some(errors) = &report.errors
    {
        lines.extend(matrix(errors, cells, theme));
    } else if evaluate.errors {
        let words = "errors before and after need two systems that have answered";
        lines.push(Line::styled(words, theme.style(Role::Dim)));
    }
    if both {
        let note = |note: &String| paint::wrapped(note, &[(0..note.len(), theme.style(Role::Dim))], cells);
        lines.extend(report.notes.iter().flat_map(note));
    }
    let height = (lines.len() as u16).min(area.height);
    let most = lines.len().saturating_sub(usize::from(height));
    let skip = evaluate.scroll.skip(0, most);
    let area = Rect { height, ..area };
    paint::lines(frame, area, &lines, skip);
    let key = app.keymap.first(Command::EvaluateScrollDown);
    paint::more_by(frame, area, most - skip, &key, theme);
    height
}

/// The verdict and the test of the two systems whose rows are listed.
fn said(evaluate: &Evaluate, report: &Report, verdict: bool, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(verdict) = report.verdict.as_ref().filter(|_| verdict) {
        let role = match (verdict.significant, verdict.text.contains("tuning beats")) {
            (true, true) => Role::Good,
            (true, false) => Role::Warn,
            _ => Role::Info,
        };
        let wrapped = paint::wrapped(&verdict.text, &[(0..verdict.text.len(), theme.style(role))], cells);
        lines.extend(wrapped);
    }
    if let Some(pair) = evaluate.pair() {
        let p = |p: f64| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") };
        let to = theme.sign("→", "->");
        let names = format!("{} {to} {}", pair.first, pair.second);
        let test = format!(
            ": {} gained, {} lost, McNemar p {} ({} after Holm)",
            pair.mcnemar.gained,
            pair.mcnemar.lost,
            p(pair.mcnemar.p),
            p(pair.p_holm)
        );
        let marks = [(0..names.len(), theme.style(Role::Title))];
        lines.extend(paint::wrapped(&format!("{names}{test}"), &marks, cells));
    }
    lines
}

/// The systems there is room for, those whose rows are listed among them.
fn shown<'r>(evaluate: &Evaluate, report: &'r Report, room: usize) -> Vec<&'r Figures> {
    if report.systems.len() <= room {
        return report.systems.iter().collect();
    }
    let listed = |figures: &&Figures| {
        evaluate.pair().is_some_and(|pair| pair.first == figures.name || pair.second == figures.name)
    };
    let must = report.systems.iter().filter(listed).count();
    let mut others = room.saturating_sub(must);
    let mut taken: Vec<&Figures> = Vec::new();
    for figures in &report.systems {
        if listed(&figures) {
            taken.push(figures);
        } else if others > 0 {
            others -= 1;
            taken.push(figures);
        }
    }
    taken.truncate(room.max(1));
    taken
}

/// The figures: a row a metric, a column a system.
fn table(evaluate: &Evaluate, report: &Report, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let dim = theme.style(Role::Dim);
    let widest = report.metrics.iter().map(|metric| text::width(&metric.label())).max().unwrap_or(0).max(16);
    let label = widest.min(cells / 3).min(34) + 2;
    let room = ((cells.saturating_sub(label)) / CELL).max(1);
    let systems = shown(evaluate, report, room);
    let column = (cells.saturating_sub(label) / systems.len().max(1)).min(30);
    let mut title = "figures, %, with 95 % intervals".to_owned();
    if systems.len() < report.systems.len() {
        title = format!("{title}; {} of {} systems", systems.len(), report.systems.len());
    }
    let mut lines = vec![paint::rule(&title, cells, theme.style(Role::Title), theme)];
    let mut head = vec![Span::raw(" ".repeat(label))];
    for figures in &systems {
        let tuned = if figures.tuned { " *" } else { "" };
        let name = text::fit(&paint::short(&format!("{}{tuned}", figures.name), column - 1), column);
        head.push(Span::styled(name, system_style(figures, theme)));
    }
    lines.push(Line::from(head));
    let mut push = |name: &str, of: &dyn Fn(&Figures) -> Option<(String, String)>| {
        let found: Vec<Option<(String, String)>> = systems.iter().map(|figures| of(figures)).collect();
        if found.iter().all(Option::is_none) {
            return;
        }
        let mut spans = vec![Span::styled(text::fit(&paint::short(name, label - 1), label), dim)];
        for cell in found {
            let (value, more) = cell.unwrap_or_default();
            let value = format!("{value:>FIGURE$}");
            let rest = column.saturating_sub(text::width(&value));
            spans.push(Span::raw(value));
            spans.push(Span::styled(text::fit(&more, rest), dim));
        }
        lines.push(Line::from(spans));
    };
    let dash = theme.sign("–", "-");
    for metric in &report.metrics {
        push(&metric.label(), &|figures| {
            let found = figures.scores.get(&metric.key)?;
            let interval = found.interval.map_or_else(String::new, |interval| {
                format!("  {:.0}{dash}{:.0}", 100.0 * interval.low, 100.0 * interval.high)
            });
            Some((format!("{:.1}", 100.0 * found.value), interval))
        });
    }
    let plain = |value: String| Some((value, String::new()));
    let number = |n: f64| if n < 1e5 { format!("{n:.3}") } else { format!("{n:.2e}") };
    push("perplexity", &|f| plain(number(f.perplexity?)));
    push("bits a byte", &|f| plain(number(f.bits_per_byte?)));
    push("tokens an answer", &|f| plain(format!("{:.1}", f.tokens?)));
    push("answers cut", &|f| if f.cut > 0.0 { plain(format!("{:.1}", 100.0 * f.cut)) } else { None });
    push("tokens a second", &|f| plain(format!("{:.0}", f.tokens_per_s?)));
    push("seconds an answer", &|f| plain(format!("{:.2}", f.seconds?)));
    push("price of 1,000", &|f| plain(format!("{:.4}", f.cost_per_1000?)));
    if systems.iter().any(|figures| figures.tuned) {
        lines.push(Line::styled("* tuned", dim));
    }
    lines
}

fn system_style(figures: &Figures, theme: &Theme) -> Style {
    theme.style(if figures.tuned { Role::Tuned } else { Role::Base })
}

/// Errors before and after, and what they say.
fn matrix(errors: &Errors, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let dim = theme.style(Role::Dim);
    let to = theme.sign("→", "->");
    let title = format!("errors, {} {to} {}", errors.before, errors.after);
    let mut lines = vec![paint::rule(&title, cells, theme.style(Role::Title), theme)];
    let matrix = &errors.matrix;
    let widest = matrix.names.iter().map(|name| text::width(name)).max().unwrap_or(0).clamp(12, 24) + 2;
    let column = (cells.saturating_sub(widest) / 5).clamp(5, 9);
    let heads = ["before", "after", "fixed", "new", "stayed"];
    let mut head = text::fit("", widest);
    for name in heads {
        let _ = write!(head, "{name:>column$}");
    }
    lines.push(Line::styled(head, dim));
    let (there, none): (Vec<_>, Vec<_>) = matrix.changes.iter().partition(|change| change.before + change.after > 0);
    for change in there {
        let counts = [change.before, change.after, change.fixed.len(), change.new.len(), change.stayed.len()];
        let style = theme.style(Role::Text);
        let mut spans = vec![Span::styled(text::fit(&paint::short(&change.category, widest - 2), widest), style)];
        for (at, count) in counts.into_iter().enumerate() {
            let role = match at {
                2 if count > 0 => Role::Good,
                3 if count > 0 => Role::Bad,
                _ => Role::Text,
            };
            let number = count.to_string();
            spans.push(Span::styled(" ".repeat(column.saturating_sub(number.len())), style));
            spans.push(Span::styled(number, if count == 0 { dim } else { theme.style(role) }));
        }
        lines.push(Line::from(spans));
    }
    let clean = format!("{:<widest$}{:>column$}{:>column$}", "without any", matrix.clean_before, matrix.clean_after);
    lines.push(Line::raw(clean));
    if !none.is_empty() {
        let names: Vec<&str> = none.iter().map(|change| change.category.as_str()).collect();
        let words = format!("in no answer: {}", names.join(", "));
        lines.extend(paint::wrapped(&words, &[(0..words.len(), dim)], cells));
    }
    if let Some(advice) = &errors.advice {
        lines.extend(paint::wrapped(&advice.why, &[(0..advice.why.len(), theme.style(Role::Info))], cells));
    }
    lines
}

/// The sign and look of what became of a row.
fn turned(turned: Turned, theme: &Theme) -> (&'static str, Role) {
    let ascii = theme.ascii;
    match turned {
        Turned::Broken => (if ascii { "x" } else { "✕" }, Role::Bad),
        Turned::Further => (if ascii { "v" } else { "↓" }, Role::Warn),
        Turned::Fixed => (if ascii { "+" } else { "✓" }, Role::Good),
        Turned::Closer => (if ascii { "^" } else { "↑" }, Role::Good),
        Turned::Wrong => (if ascii { "." } else { "·" }, Role::Dim),
    }
}

/// The three lists, and the rows of the one that is chosen.
fn rows(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme, places: &mut Places) {
    let evaluate = &app.evaluate;
    let cells = usize::from(area.width);
    let border = theme.style(Role::Border);
    let line = theme.sign("─", "-");
    let mut spans = vec![Span::styled(line.repeat(2), border)];
    for list in List::ALL {
        let words = format!("{} {}", list.name(), text::count(evaluate.rows(list).len() as u64));
        let (words, style) = if list == evaluate.list {
            (format!("[{words}]"), theme.style(Role::Accent).add_modifier(Modifier::UNDERLINED))
        } else {
            (format!(" {words} "), theme.style(Role::Dim))
        };
        spans.push(Span::styled(words, style));
        spans.push(Span::styled(line, border));
    }
    let used: usize = spans.iter().map(|span| text::width(&span.content)).sum();
    spans.push(Span::styled(line.repeat(cells.saturating_sub(used)), border));
    paint::line(frame, area, 0, &Line::from(spans));
    let all = evaluate.rows(evaluate.list);
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if all.is_empty() {
        let key = |command| app.keymap.first(command);
        let words = if evaluate.pair().is_some() {
            format!("none here; {} lists the others", key(Command::EvaluateList))
        } else {
            format!("rows are compared between two systems: {} adds one", key(Command::EvaluateSystems))
        };
        paint::line(frame, below, 0, &Line::styled(words, theme.style(Role::Dim)));
        return;
    }
    let peek =
        if below.height > all.len().min(7) as u16 + PREVIEW { preview(evaluate, cells, theme) } else { Vec::new() };
    let rows = Rect { height: below.height - peek.len() as u16, ..below };
    let height = usize::from(rows.height).max(1);
    let first = evaluate.at / height * height;
    let widest = all.iter().skip(first).take(height).map(|row| text::width(&row.id)).max().unwrap_or(0).min(cells / 4);
    for (offset, change) in all.iter().enumerate().skip(first).take(height) {
        let y = (offset - first) as u16;
        let here = offset == evaluate.at;
        paint::line(frame, rows, y, &line_of(change, here, widest, cells, theme));
        places.note(Rect { y: rows.y + y, height: 1, ..rows }, Spot::Line(offset));
        if here {
            frame.buffer_mut().set_style(Rect { y: rows.y + y, height: 1, ..rows }, theme.style(Role::Cursor));
        }
    }
    paint::lines(frame, Rect { y: rows.bottom(), height: peek.len() as u16, ..rows }, &peek, 0);
}

fn line_of(change: &Change, here: bool, widest: usize, cells: usize, theme: &Theme) -> Line<'static> {
    let dim = theme.style(Role::Dim);
    let (sign, role) = turned(change.turned, theme);
    let gain = match change.turned {
        Turned::Wrong => format!("{:>4.0}", 100.0 * change.score),
        _ => format!("{:>+4.0}", 100.0 * change.gain),
    };
    let mark = if here { theme.sign("▸", ">") } else { " " };
    let left = vec![
        Span::styled(mark, theme.style(Role::Accent)),
        Span::styled(format!("{sign} "), theme.style(role)),
        Span::styled(format!("{gain}  "), dim),
        Span::raw(format!("{}  ", text::fit(&paint::short(&change.id, widest), widest))),
    ];
    let used: usize = left.iter().map(|span| text::width(&span.content)).sum();
    let mut line = Line::from(left);
    line.spans.push(Span::raw(paint::short(&change.asks, cells.saturating_sub(used))));
    line
}

/// The row at the cursor in short: what is right and what the two systems said.
fn preview(evaluate: &Evaluate, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let Some((change, pair)) = evaluate.current().zip(evaluate.pair()) else { return Vec::new() };
    let label =
        [&pair.first, &pair.second].map(|name| text::width(name)).into_iter().max().unwrap_or(0).clamp(4, cells / 4);
    let line = |name: &str, text: &str, role| {
        let said = if text.is_empty() { "(nothing)".to_owned() } else { paint::short(text, cells - label - 2) };
        Line::from(vec![
            Span::styled(format!("{}  ", text::fit(&paint::short(name, label), label)), theme.style(role)),
            Span::raw(said),
        ])
    };
    vec![
        paint::rule("", cells, theme.style(Role::Dim), theme),
        line("gold", &change.gold, Role::Good),
        line(&pair.first, &change.before, Role::Base),
        line(&pair.second, &change.after, Role::Tuned),
    ]
}
