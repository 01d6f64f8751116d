//! The pane of the runs: their list at the left (above, on a narrow screen), beside it curves, figures, plain words and samples.

mod differences;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::loss_chart::{self, Look, number};
use super::{Places, new_run, paint};
use crate::app::train::{Drawn, Face, History, Run, Train};
use crate::app::{App, Spot};
use crate::keymap::Command;
use crate::text;
use crate::theme::{Role, Theme};

/// Columns below which list and chart stand one above the other.
const NARROW: u16 = 72;

/// Columns from which on figures have a place of their own.
const ROOMY: u16 = 90;
/// Rows that the chart keeps, its axis among them, before figures and words get any.
const CHART: u16 = 6;

/// Draws the pane.
pub fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme, places: &mut Places) {
    let train = &app.train;
    if train.face == Face::New {
        new_run::draw(frame, area, app, theme, places);
        return;
    }
    if train.runs.is_empty() {
        let new = app.keymap.first(Command::TrainNew);
        let words = if train.ready {
            format!(
                "There are no runs yet.\n\n{new} sets one up: it trains on the project's gold records and goes on when togi is left."
            )
        } else {
            "looking for runs …".to_owned()
        };
        let inner = Rect { x: area.x + 2, y: area.y + 1, width: area.width.saturating_sub(4), height: area.height - 1 };
        paint::lines(frame, inner, &wrap(&words, theme.style(Role::Dim), inner.width), 0);
        return;
    }
    if area.width < NARROW {
        let height = (train.runs.len() as u16 + 1).min(area.height / 4).max(2);
        list(frame, Rect { height, ..area }, train, theme, places);
        face(frame, Rect { y: area.y + height, height: area.height - height, ..area }, train, theme);
        return;
    }
    let width = match area.width {
        0..100 => 25,
        100..160 => 34,
        _ => 46,
    };
    let left = Rect { width, ..area };
    let about = about(train, usize::from(width), theme);
    let below = (about.len() as u16).min(area.height / 2);
    let rows = Rect { height: area.height - below, ..left };
    list(frame, rows, train, theme, places);
    paint::lines(frame, Rect { y: rows.bottom(), height: below, ..left }, &about, 0);
    let bar = Line::styled(theme.sign("│", "|"), theme.style(Role::Border));
    for y in area.top()..area.bottom() {
        frame.buffer_mut().set_line(area.x + width, y, &bar, 1);
    }
    let x = area.x + width + 2;
    face(frame, Rect { x, width: area.right().saturating_sub(x + 1), ..area }, train, theme);
}

/// A text as lines of one style.
pub(super) fn wrap(words: &str, style: Style, cells: u16) -> Vec<Line<'static>> {
    paint::wrapped(words, &[(0..words.len(), style)], usize::from(cells))
}

/// The sign and look of a state.
fn state<'a>(run: &Run, theme: &'a Theme) -> (&'a str, Role) {
    match run.word() {
        "running" => (theme.sign("▶", ">"), Role::Good),
        "starting" => (theme.sign("▷", ">"), Role::Info),
        "paused" => (theme.sign("‖", "="), Role::Warn),
        "stopping" => (theme.sign("◧", "-"), Role::Warn),
        "finished" => (theme.sign("●", "*"), Role::Text),
        "stopped" => (theme.sign("■", "#"), Role::Text),
        "failed" => (theme.sign("✕", "x"), Role::Bad),
        "interrupted" => (theme.sign("◌", "!"), Role::Warn),
        "waiting" => (theme.sign("○", "o"), Role::Dim),
        _ => ("?", Role::Bad),
    }
}

/// The letter of a run that is on the chart.
fn letter(run: &Run, train: &Train, theme: &Theme) -> Option<Look> {
    let charted = train.charted();
    let at = charted.iter().position(|other| other.name == run.name)?;
    Some(loss_chart::look(at, theme))
}

/// The runs, newest first.
fn list(frame: &mut Frame<'_>, area: Rect, train: &Train, theme: &Theme, places: &mut Places) {
    let cells = usize::from(area.width);
    let live = train.runs.iter().filter(|run| run.is_live()).count();
    let paused = train.runs.iter().filter(|run| run.is_live() && run.word() == "paused").count();
    let running = match (live, train.busy) {
        (_, Some(busy)) => format!("{busy} … "),
        (0, None) => String::new(),
        (live, None) if live == paused => format!("{live} paused  "),
        (live, None) => format!("{live} running  "),
    };
    let head = paint::spread(
        vec![Span::styled(
            format!(" {} run{}", text::count(train.runs.len() as u64), if train.runs.len() == 1 { "" } else { "s" }),
            theme.style(Role::Title),
        )],
        vec![Span::styled(running, theme.style(Role::Good)), Span::styled("loss ", theme.style(Role::Dim))],
        cells,
    );
    paint::line(frame, area, 0, &head);
    let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let height = usize::from(rows.height).max(1);
    let first = train.at / height * height;
    for (offset, run) in train.runs.iter().enumerate().skip(first).take(height) {
        let y = (offset - first) as u16;
        let here = offset == train.at;
        paint::line(frame, rows, y, &row(run, here, train, cells, theme));
        places.note(Rect { y: rows.y + y, height: 1, ..rows }, Spot::Line(offset));
        if here {
            frame.buffer_mut().set_style(Rect { y: rows.y + y, height: 1, ..rows }, theme.style(Role::Cursor));
        }
    }
}

fn row(run: &Run, here: bool, train: &Train, cells: usize, theme: &Theme) -> Line<'static> {
    let dim = theme.style(Role::Dim);
    let (sign, role) = state(run, theme);
    let mark = if here { theme.sign("▸", ">") } else { " " };
    let mut left = vec![Span::styled(mark.to_owned(), theme.style(Role::Accent))];
    left.push(match letter(run, train, theme) {
        Some(look) => Span::styled(look.letter.to_string(), look.style(theme)),
        None => Span::raw(" "),
    });
    left.push(Span::styled(format!("{sign} "), theme.style(role)));
    left.push(Span::raw(run.name.clone()));
    let figure = match (run.is_live(), run.steps) {
        (true, Some(steps)) => format!("{:.0} %", 100.0 * run.step as f64 / steps.max(1) as f64),
        _ => run.best.map(|(loss, _)| loss).or(run.loss).map(|loss| format!("{loss:.3}")).unwrap_or_default(),
    };
    let used = 4 + text::width(&run.name);
    // Two blanks before the note, one behind it, and one behind the figure.
    let room = cells.saturating_sub(used + text::width(&figure) + 4);
    if room >= 6 && !run.note.is_empty() {
        left.push(Span::styled(format!("  {}", paint::short(&run.note, room)), dim));
    }
    paint::spread(left, vec![Span::styled(format!("{figure} "), dim)], cells)
}

/// What is known of the run at the cursor, one thing a line.
fn about(train: &Train, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let Some(run) = train.current() else { return Vec::new() };
    let dim = theme.style(Role::Dim);
    let mut lines = vec![paint::rule(&run.name, cells, theme.style(Role::Title), theme)];
    let mut pair = |key: &str, value: &str, style: Style| {
        if !value.is_empty() {
            let room = cells.saturating_sub(8);
            let mut wrapped = paint::wrapped(value, &[(0..value.len(), style)], room);
            if wrapped.len() > 4 {
                wrapped.truncate(4);
                paint::unfinished(&mut wrapped, room);
            }
            for (at, mut line) in wrapped.into_iter().enumerate() {
                let head = if at == 0 { format!(" {key:<6}") } else { " ".repeat(7) };
                line.spans.insert(0, Span::styled(head, dim));
                lines.push(line);
            }
        }
    };
    let plain = theme.style(Role::Text);
    let (_, role) = state(run, theme);
    let of = run.steps.map(|steps| format!(" of {}", text::count(steps))).unwrap_or_default();
    pair("state", run.word(), theme.style(role));
    pair("step", &format!("{}{of}", text::count(run.step)), plain);
    if let Some((loss, step)) = run.best {
        pair("best", &format!("{loss:.4} at {}", text::count(step)), plain);
    }
    pair("base", run.base.rsplit('/').next().unwrap_or_default(), plain);
    if let Some(rows) = run.rows {
        pair("rows", &text::count(rows as u64), plain);
    }
    pair("made", &run.created, plain);
    if !run.is_live() {
        let style = if run.state == "failed" { theme.style(Role::Bad) } else { plain };
        pair("end", &run.reason, style);
    }
    pair("note", &run.note, theme.style(Role::Info));
    lines
}

/// What stands beside the list.
fn face(frame: &mut Frame<'_>, area: Rect, train: &Train, theme: &Theme) {
    match &train.face {
        Face::Differences { a, b, lines } => differences::draw(frame, area, train, [a, b], lines.as_deref(), theme),
        Face::Chart | Face::New => curves(frame, area, train, theme),
    }
}

fn curves(frame: &mut Frame<'_>, area: Rect, train: &Train, theme: &Theme) {
    let charted = train.charted();
    let looks: Vec<(Look, &Run, Option<&History>)> = charted
        .iter()
        .enumerate()
        .map(|(at, run)| (loss_chart::look(at, theme), *run, train.histories.get(&run.name)))
        .collect();
    let drawn: Vec<(Look, &History)> =
        looks.iter().filter_map(|(look, _, history)| history.map(|history| (*look, history))).collect();
    let mut top = 0;
    let mut put = |frame: &mut Frame<'_>, line: &Line<'_>| {
        paint::line(frame, area, top, line);
        top += 1;
    };
    put(frame, &title(train, usize::from(area.width), theme));
    for line in legend(train, &looks, usize::from(area.width), theme) {
        put(frame, &line);
    }
    let rest = area.height.saturating_sub(top);
    let below = told(figures(train, area.width, theme), rest.saturating_sub(CHART), area.width);
    // Samples get what the chart can spare.
    let height = rest.saturating_sub(below.len() as u16).min((rest * 11 / 20).max(7)).min(26);
    let chart = Rect { y: area.y + top, height, ..area };
    loss_chart::draw(frame.buffer_mut(), chart, train, &drawn, theme);
    let words = Rect { y: chart.bottom(), height: area.bottom().saturating_sub(chart.bottom()), ..area };
    paint::lines(frame, words, &below, 0);
    let used = (below.len() as u16).min(words.height);
    samples(frame, Rect { y: words.y + used, height: words.height - used, ..words }, train, theme);
}

/// Figures and words in as many lines as there is room for: where it is small, the words and the first of the figures.
fn told((mut figures, mut words): Figures, room: u16, cells: u16) -> Vec<Line<'static>> {
    let room = usize::from(room);
    let most = room.saturating_sub(words.len()).max(room.min(1));
    figures.truncate(most);
    let left = room.saturating_sub(figures.len());
    if words.len() > left {
        words.truncate(left);
        paint::unfinished(&mut words, usize::from(cells));
    }
    figures.extend(words);
    figures
}

/// What is drawn, how, and of which steps.
fn title(train: &Train, cells: usize, theme: &Theme) -> Line<'static> {
    let chart = &train.chart;
    let mut how = Vec::new();
    if chart.log && chart.drawn != Drawn::Rate {
        how.push("log");
    }
    if chart.smooth && chart.drawn != Drawn::Rate {
        how.push("smoothed");
    }
    let (from, to) = train.window();
    let how = if how.is_empty() { String::new() } else { format!(" ({})", how.join(", ")) };
    let zoomed = if chart.window.is_some() { "zoomed, " } else { "" };
    let steps = format!("{zoomed}steps {} to {}", text::count(from), text::count(to));
    paint::spread(
        vec![Span::styled(chart.drawn.name(), theme.style(Role::Title)), Span::styled(how, theme.style(Role::Dim))],
        vec![Span::styled(steps, theme.style(Role::Dim))],
        cells,
    )
}

/// The curves by name, with what they are at the crosshair, or newest.
fn legend(train: &Train, looks: &[(Look, &Run, Option<&History>)], cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let dim = theme.style(Role::Dim);
    let mut lines: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    let mut used = 0;
    if let Some(cross) = train.chart.cross {
        let words = format!("step {}  ", text::count(cross));
        used += text::width(&words);
        lines[0].push(Span::styled(words, theme.style(Role::Accent)));
    }
    for (look, run, history) in looks {
        let style = look.style(theme);
        let value = history.map(|history| reading(train, history)).unwrap_or_default();
        // Where there is little room, the end of the name has to do; the list has the whole.
        let name = if cells < 70 { run.name.rsplit('-').next().unwrap_or_default() } else { &run.name };
        let value = if cells >= usize::from(ROOMY) { text::fit(&value, text::width(&value).max(8)) } else { value };
        let entry = [
            Span::styled(format!("{} {} ", look.letter, look.sample), style),
            Span::styled(name.to_owned(), style),
            Span::styled(format!(" {value}  "), dim),
        ];
        let wide: usize = entry.iter().map(|span| text::width(&span.content)).sum();
        if used > 0 && used + wide > cells + 2 {
            lines.push(Vec::new());
            used = 0;
        }
        used += wide;
        if let Some(line) = lines.last_mut() {
            line.extend(entry);
        }
    }
    lines.into_iter().map(Line::from).collect()
}

/// What a curve is at the crosshair; without one, newest.
fn reading(train: &Train, history: &History) -> String {
    let series = train.chart.drawn.of(history);
    let Some(cross) = train.chart.cross else {
        return series.last().map(number).unwrap_or_default();
    };
    let Some(stretch) = series.at(cross).filter(|stretch| stretch.high.is_finite()) else { return "-".into() };
    let raw = if stretch.from == stretch.to {
        number(stretch.high)
    } else {
        format!("{} to {}", number(stretch.low), number(stretch.high))
    };
    if train.chart.drawn != Drawn::Loss {
        return raw;
    }
    let valid = history.valid.iter().rev().find(|(step, _)| *step <= cross);
    let valid = valid.map(|(step, loss)| format!(", valid {} at {step}", number(*loss))).unwrap_or_default();
    format!("{} (raw {raw}{valid})", number(stretch.smooth))
}

/// Lines of figures, and lines of words.
type Figures = (Vec<Line<'static>>, Vec<Line<'static>>);

/// The figures of the run at the cursor, and what its curve says.
fn figures(train: &Train, cells: u16, theme: &Theme) -> Figures {
    let Some((run, history)) = train.current().and_then(|run| Some((run, train.histories.get(&run.name)?))) else {
        return Figures::default();
    };
    let last = &history.last;
    let mut parts = Vec::new();
    let of = run.steps.map(|steps| format!("/{}", text::count(steps))).unwrap_or_default();
    parts.push(("step", format!("{}{of}", text::count(last.step))));
    parts.extend(history.loss.last().map(|loss| ("loss", number(loss))));
    parts.extend(
        history.valid.last().map(|(step, loss)| ("valid", format!("{} at {}", number(*loss), text::count(*step)))),
    );
    parts.extend(last.rate.map(|rate| ("rate", format!("{rate:.1e}"))));
    parts.extend(last.norm.map(|norm| ("gradient", number(norm))));
    let speed = if run.is_live() { history.tokens_per_s() } else { run.tokens_per_s };
    parts.extend(speed.map(|speed| ("tok/s", text::count(speed.round() as u64))));
    if last.memory_mib > 0 {
        parts.push(("memory", text::bytes(last.memory_mib << 20)));
    }
    parts.extend(run.cpu.map(|cpu| ("cpu", format!("{cpu} %"))));
    match run.seconds_left.filter(|_| run.is_live()) {
        Some(left) => parts.push(("left", text::duration(left))),
        None if last.seconds > 0.0 => parts.push(("took", text::duration(last.seconds))),
        None => {}
    }
    let (key, value) = (theme.style(Role::Dim), theme.style(Role::Text));
    let mut lines: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    let mut used = 0;
    for (name, mut figure) in parts {
        // Where there is room each figure has its place: one that grew by a letter would have all behind it written again.
        let place = match name {
            "loss" | "gradient" | "rate" | "tok/s" => 7,
            "memory" | "left" => 9,
            "cpu" => 5,
            _ => 0,
        };
        if cells >= ROOMY {
            figure = text::fit(&figure, place.max(text::width(&figure)));
        }
        let wide = text::width(name) + text::width(&figure) + 3;
        if used > 0 && used + wide > usize::from(cells) + 2 {
            lines.push(Vec::new());
            used = 0;
        }
        used += wide;
        if let Some(line) = lines.last_mut() {
            line.push(Span::styled(format!("{name} "), key));
            line.push(Span::styled(format!("{figure}  "), value));
        }
    }
    let failed = run.state == "failed" && !run.reason.is_empty();
    let (words, role) = if failed { (&run.reason, Role::Bad) } else { (&history.words, verdict(&history.words)) };
    let mut words = wrap(words, theme.style(role), cells);
    if words.len() > 3 {
        words.truncate(3);
        paint::unfinished(&mut words, usize::from(cells));
    }
    (lines.into_iter().map(Line::from).collect(), words)
}

/// The look of what a curve says.
fn verdict(words: &str) -> Role {
    match words.split([' ', ':']).next() {
        Some("overfitting") => Role::Warn,
        Some("diverged") => Role::Bad,
        Some("still") => Role::Good,
        _ => Role::Info,
    }
}

/// The sample answers of the run at the cursor: each record's, the newest first.
fn samples(frame: &mut Frame<'_>, area: Rect, train: &Train, theme: &Theme) {
    let cells = usize::from(area.width);
    let Some(samples) = train.current().and_then(|run| train.samples.get(&run.name)) else { return };
    if area.height < 2 || samples.is_empty() {
        return;
    }
    let mut ids: Vec<&str> = Vec::new();
    for sample in samples {
        if !ids.contains(&sample.id.as_str()) {
            ids.push(&sample.id);
        }
    }
    let mut lines = Vec::new();
    for id in ids {
        let name = id.split_once('@').map_or_else(|| id.to_owned(), |(record, _)| format!("record {record}"));
        lines.push(paint::rule(&format!("answers to {name}"), cells, theme.style(Role::Title), theme));
        let mut newer: Option<&str> = None;
        for sample in samples.iter().rev().filter(|sample| sample.id == id) {
            let head = format!("{:>6} ", text::count(sample.step));
            let indent = text::width(&head);
            let same = newer == Some(sample.answer.as_str());
            let answer = if same {
                "the same"
            } else if sample.answer.is_empty() {
                "(nothing)"
            } else {
                &sample.answer
            };
            let role = if newer.is_some() || answer == "(nothing)" { Role::Dim } else { Role::Tuned };
            for (at, mut line) in
                wrap(answer, theme.style(role), (cells.saturating_sub(indent)) as u16).into_iter().enumerate()
            {
                let head = if at == 0 { head.clone() } else { " ".repeat(indent) };
                line.spans.insert(0, Span::styled(head, theme.style(Role::Dim)));
                lines.push(line);
            }
            newer = Some(&sample.answer);
        }
    }
    let most = lines.len().saturating_sub(usize::from(area.height));
    let skip = train.scroll.skip(0, most);
    paint::lines(frame, area, &lines, skip);
    paint::more(frame, area, most - skip, theme);
}

#[cfg(test)]
mod tests;
