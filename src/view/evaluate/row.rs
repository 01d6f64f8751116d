//! One row of a test set: what it asks, what is right, and every answer with what differs from that and its errors.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::app::evaluate::{Answer, Evaluate, Row};
use crate::text;
use crate::theme::{Role, Theme};
use crate::view::{diff, paint};

/// Columns from which on two answers stand beside each other.
const WIDE: u16 = 110;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, evaluate: &Evaluate, theme: &Theme) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let cells = usize::from(area.width);
    paint::line(frame, area, 0, &heading(evaluate, cells, theme));
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let Some(row) = evaluate.row.as_deref() else {
        paint::line(frame, below, 0, &Line::styled("reading …", theme.style(Role::Dim)));
        return;
    };
    let mut lines = vec![paint::rule("asks", cells, theme.style(Role::Title), theme)];
    lines.extend(paint::wrapped(&row.asks, &[], cells));
    for (at, right) in row.right.iter().enumerate() {
        let name = if at == 0 { "gold" } else { "also right" };
        lines.push(paint::rule(name, cells, theme.style(Role::Good), theme));
        lines.extend(paint::wrapped(right, &[], cells));
    }
    let mut focused = 0..0;
    let columns = if area.width >= WIDE && row.answers.len() > 1 { 2 } else { 1 };
    let half = if columns == 2 { cells.saturating_sub(3) / 2 } else { cells };
    for (group, pair) in row.answers.chunks(columns).enumerate() {
        let blocks: Vec<Vec<Line<'static>>> = pair
            .iter()
            .enumerate()
            .map(|(at, answer)| block(row, answer, group * columns + at == evaluate.focus, half, theme))
            .collect();
        let begin = lines.len();
        lines.extend(beside(blocks, half));
        if group == evaluate.focus / columns {
            focused = begin..lines.len();
        }
    }
    // The marked answer is in sight, wherever one has scrolled from there.
    let height = usize::from(below.height);
    let least = if focused.end > height { focused.start.min(focused.end - height) } else { 0 };
    let most = lines.len().saturating_sub(height);
    paint::lines(frame, below, &lines, evaluate.scroll.skip(least, most));
}

fn heading(evaluate: &Evaluate, cells: usize, theme: &Theme) -> Line<'static> {
    let count = |number: usize| text::count(number as u64);
    let of = evaluate.rows(evaluate.list).len();
    let mut left = Vec::new();
    if let Some(row) = &evaluate.row {
        left.push(Span::styled(paint::short(&row.id, cells / 3), theme.style(Role::Title)));
        if let Some(category) = &row.category {
            left.push(Span::styled(format!("  {}", paint::short(category, cells / 4)), theme.style(Role::Info)));
        }
    }
    let right = format!("{} of {} that {}", count((evaluate.at + 1).min(of)), count(of), evaluate.list.name());
    paint::spread(left, vec![Span::styled(right, theme.style(Role::Dim))], cells)
}

/// An answer with its heading and its errors.
fn block(row: &Row, answer: &Answer, focused: bool, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let dim = theme.style(Role::Dim);
    let tuned = if answer.tuned { " (tuned)" } else { "" };
    let name = format!("{}{tuned}", answer.name);
    let (name, style) = if focused {
        (format!("{} {name}", theme.sign("▸", ">")), theme.style(Role::Accent).add_modifier(Modifier::UNDERLINED))
    } else {
        (name, theme.style(if answer.tuned { Role::Tuned } else { Role::Base }))
    };
    let mut lines = vec![paint::rule(&name, cells, style, theme)];
    let Some(said) = &answer.text else {
        lines.push(Line::styled("(not answered yet)", dim));
        return lines;
    };
    if said.trim().is_empty() {
        lines.push(Line::styled("(nothing)", dim));
    } else {
        lines.extend(paint::wrapped(said, &differing(said, nearest(row, said), theme), cells));
    }
    let mut facts = Vec::new();
    facts.extend(answer.tokens.map(|tokens| format!("{tokens} tokens")));
    if !answer.stop.is_empty() {
        facts.push(answer.stop.clone());
    }
    if row.right.iter().any(|right| right.trim() == said.trim()) {
        facts.push("exactly right".into());
    }
    lines.push(Line::styled(paint::short(&facts.join(", "), cells), dim));
    for error in &answer.errors {
        let by = if answer.said.contains_key(&error.category) { "you say so" } else { &error.reason };
        let words = format!("{} {}: {by}", theme.sign("✕", "x"), error.category);
        let bold = theme.sign("✕", "x").len() + 1;
        let marks =
            [(0..bold + error.category.len(), theme.style(Role::Bad)), (bold + error.category.len()..words.len(), dim)];
        lines.extend(paint::wrapped(&words, &marks, cells));
    }
    for (category, _) in answer.said.iter().filter(|(_, present)| !**present) {
        lines.push(Line::styled(paint::short(&format!("you say it is free of {category}"), cells), dim));
    }
    lines
}

/// The right answer that shares most with what was said.
fn nearest<'r>(row: &'r Row, said: &str) -> &'r str {
    let apart = |right: &&String| diff::words(right.trim(), said.trim_end()).1.iter().map(Range::len).sum::<usize>();
    row.right.iter().min_by_key(apart).map_or("", String::as_str)
}

/// The words of an answer that are not in gold, as the pane that compares marks them.
fn differing(said: &str, gold: &str, theme: &Theme) -> Vec<(Range<usize>, Style)> {
    if gold.is_empty() {
        return Vec::new();
    }
    let (_, new) = diff::words(gold.trim(), said.trim_end());
    let style = theme.style(Role::Removed).remove_modifier(Modifier::CROSSED_OUT).underlined();
    new.into_iter().map(|range| (range, style)).collect()
}

/// Blocks of lines beside each other.
fn beside(blocks: Vec<Vec<Line<'static>>>, half: usize) -> Vec<Line<'static>> {
    let height = blocks.iter().map(Vec::len).max().unwrap_or(0);
    let mut lines = vec![Line::default(); height];
    for (column, block) in blocks.into_iter().enumerate() {
        for (line, part) in lines.iter_mut().zip(block.into_iter().chain(std::iter::repeat(Line::default()))) {
            let room = (column * (half + 3)).saturating_sub(line.width());
            if room > 0 {
                line.spans.push(Span::raw(" ".repeat(room)));
            }
            let style = part.style;
            line.spans.extend(part.spans.into_iter().map(|span| Span { style: style.patch(span.style), ..span }));
        }
    }
    lines
}
