//! Small tools for drawing.

use std::ops::Range;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::text;
use crate::theme::{Role, Theme};

/// Draws lines from the `skip`th on, as many as fit.
pub fn lines(frame: &mut Frame<'_>, area: Rect, lines: &[Line<'_>], skip: usize) {
    for (line, y) in lines.iter().skip(skip).zip(area.top()..area.bottom()) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
}

/// Draws one line at a row of an area.
pub fn line(frame: &mut Frame<'_>, area: Rect, row: u16, line: &Line<'_>) {
    if row < area.height {
        frame.buffer_mut().set_line(area.x, area.y + row, line, area.width);
    }
}

/// Marks the last of some lines as one that something was cut off behind.
pub fn unfinished(lines: &mut [Line<'static>], cells: usize) {
    let Some(last) = lines.last_mut() else { return };
    let mut room = cells.saturating_sub(1);
    for span in &mut last.spans {
        let kept = text::head(&span.content, room).to_owned();
        room -= text::width(&kept).min(room);
        span.content = kept.into();
    }
    last.spans.push(Span::raw(text::ELLIPSIS));
}

/// Says at the lower right of an area how many lines more there are below it.
pub fn more(frame: &mut Frame<'_>, area: Rect, lines: usize, theme: &Theme) {
    more_by(frame, area, lines, "", theme);
}

/// The same with the key that shows them. Where something stands there already, the whole of that line waits with the others: half
/// a line reads as if it were all of it.
pub fn more_by(frame: &mut Frame<'_>, area: Rect, lines: usize, key: &str, theme: &Theme) {
    if lines == 0 || area.height < 2 {
        return;
    }
    let key = if key.is_empty() { String::new() } else { format!(": {key}") };
    let words = |lines: usize| format!(" {} {lines} more{key} ", theme.sign("↓", "v"));
    let width = (text::width(&words(lines + 1)) as u16).min(area.width);
    let last = Rect { y: area.bottom() - 1, height: 1, ..area };
    let corner = Rect { x: area.right() - width, width, ..last };
    let buffer = frame.buffer_mut();
    let free = (corner.left()..corner.right())
        .all(|x| buffer.cell((x, corner.y)).is_none_or(|cell| cell.symbol().trim().is_empty()));
    if !free {
        clear(buffer, last, theme.style(Role::Text));
    }
    let words = format!("{:>1$}", words(lines + usize::from(!free)), usize::from(width));
    line(frame, corner, 0, &Line::styled(words, theme.style(Role::Dim)));
}

/// A text as lines of at most `cells`, with stretches of it (in bytes of `raw`) in styles of their own.
pub fn wrapped(raw: &str, marks: &[(Range<usize>, Style)], cells: usize) -> Vec<Line<'static>> {
    // Cut where a style begins or ends, bring each piece to what can be shown, and remember where it landed.
    let mut cuts: Vec<usize> = marks.iter().flat_map(|(range, _)| [range.start, range.end]).collect();
    cuts.extend([0, raw.len()]);
    cuts.retain(|at| *at <= raw.len() && raw.is_char_boundary(*at));
    cuts.sort_unstable();
    cuts.dedup();
    let mut shown = String::with_capacity(raw.len());
    let mut pieces: Vec<(Range<usize>, Style)> = Vec::new();
    for pair in cuts.windows(2) {
        let &[from, to] = pair else { continue };
        let begin = shown.len();
        shown.push_str(&text::display(raw.get(from..to).unwrap_or_default()));
        let styles = marks.iter().filter(|(range, _)| range.start <= from && to <= range.end).map(|(_, style)| *style);
        pieces.push((begin..shown.len(), styles.fold(Style::new(), Style::patch)));
    }
    text::wrap_ranges(&shown, cells)
        .into_iter()
        .map(|line| {
            let spans = pieces.iter().filter_map(|(piece, style)| {
                let (from, to) = (piece.start.max(line.start), piece.end.min(line.end));
                let part = shown.get(from..to).filter(|part| !part.is_empty() && from < to)?;
                Some(Span::styled(part.to_owned(), *style))
            });
            Line::from(spans.collect::<Vec<_>>())
        })
        .collect()
}

/// A text on one line, cut to `cells`.
pub fn short(raw: &str, cells: usize) -> String {
    text::cut(&text::display(raw).replace('\n', " "), cells).into_owned()
}

/// A line with one part at its left and one at its right end.
pub fn spread(mut left: Vec<Span<'static>>, right: Vec<Span<'static>>, cells: usize) -> Line<'static> {
    let wide = |spans: &[Span<'_>]| spans.iter().map(|span| text::width(&span.content)).sum::<usize>();
    let room = cells.saturating_sub(wide(&left) + wide(&right));
    if room > 0 {
        left.push(Span::raw(" ".repeat(room)));
    }
    left.extend(right);
    Line::from(left)
}

/// A rule with a heading in it.
pub fn rule(title: &str, cells: usize, style: Style, theme: &Theme) -> Line<'static> {
    let title = short(title, cells.saturating_sub(4));
    let sign = theme.sign("─", "-");
    let rest = cells.saturating_sub(text::width(&title) + 4);
    let border = theme.style(Role::Border);
    if title.is_empty() {
        return Line::styled(sign.repeat(cells), border);
    }
    Line::from(vec![
        Span::styled(format!("{} ", sign.repeat(2)), border),
        Span::styled(title, style),
        Span::styled(format!(" {}", sign.repeat(rest)), border),
    ])
}

/// Makes a place free for what lies over it. A wide letter that begins left of it and ends in it would take its border along.
pub fn clear(buffer: &mut Buffer, area: Rect, style: Style) {
    let area = area.intersection(buffer.area);
    for y in area.top()..area.bottom() {
        if let Some(x) = area.x.checked_sub(1)
            && let Some(cell) = buffer.cell_mut((x, y))
            && text::width(cell.symbol()) > 1
        {
            cell.set_symbol(" ");
        }
        for x in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }
}

/// Draws a box with a heading and returns the room within.
pub fn boxed(frame: &mut Frame<'_>, area: Rect, title: &str, theme: &Theme) -> Rect {
    let area = area.intersection(frame.area());
    clear(frame.buffer_mut(), area, theme.style(Role::Text));
    let border = theme.style(Role::Accent);
    let block = ratatui::widgets::Block::bordered()
        .border_set(borders(theme))
        .border_style(border)
        .title(Span::styled(format!(" {} ", short(title, usize::from(area.width.saturating_sub(6)))), border));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

fn borders(theme: &Theme) -> ratatui::symbols::border::Set<'static> {
    if theme.ascii {
        ratatui::symbols::border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        }
    } else {
        ratatui::symbols::border::ROUNDED
    }
}

/// A rectangle of at most that size in the middle of an area.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Draws a text that is being written, and puts the terminal's cursor where one writes: input methods look for it there.
pub fn field(frame: &mut Frame<'_>, area: Rect, field: &crate::app::field::Field, style: Style) {
    let editor = field.area();
    frame.render_widget(editor, area);
    frame.buffer_mut().set_style(area, style);
    let (cursor, offset) = (editor.screen_cursor(), editor.scroll_offset());
    let x = (area.x as usize + cursor.col).saturating_sub(usize::from(offset.1));
    let y = (area.y as usize + cursor.row).saturating_sub(usize::from(offset.0));
    let last = |start: u16, length: u16| usize::from((start + length).saturating_sub(1));
    let x = x.min(last(area.x, area.width)) as u16;
    let y = y.min(last(area.y, area.height)) as u16;
    frame.set_cursor_position((x, y));
}

/// Brings what an editor drew raw to what terminals agree on: the width of its cells stays. With ASCII signs only, the few others
/// that are left (what was cut off, arrows of keys) become such too.
pub fn tame(buffer: &mut Buffer, ascii: bool) {
    for cell in &mut buffer.content {
        if cell.symbol().is_ascii() {
            continue;
        }
        if ascii && let Some(sign) = plain(cell.symbol()) {
            cell.set_symbol(sign);
            continue;
        }
        let shown = text::display(cell.symbol());
        if shown != cell.symbol() {
            let wide = text::width(cell.symbol());
            let shown = if text::width(&shown) <= wide.max(1) { shown.into_owned() } else { "?".into() };
            cell.set_symbol(if shown.is_empty() { " " } else { &shown });
        }
    }
}

/// What stands for a sign where there is ASCII only.
fn plain(sign: &str) -> Option<&'static str> {
    Some(match sign {
        text::ELLIPSIS => "~",
        "↑" => "^",
        "↓" => "v",
        "←" => "<",
        "→" => ">",
        _ => return None,
    })
}

/// A bar of `cells`, `share` of it full.
pub fn bar(share: f64, cells: usize, theme: &Theme) -> String {
    let share = share.clamp(0.0, 1.0);
    let full = (share * cells as f64).round() as usize;
    format!("{}{}", theme.sign("█", "#").repeat(full), theme.sign("░", ".").repeat(cells - full))
}
