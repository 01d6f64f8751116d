//! The pane of the records: the list at the left (above, on a narrow screen), the record beside it.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Places, diff, paint};
use crate::app::data::{Editor, Row};
use crate::app::record::{self, Part, Place};
use crate::app::wish::Found;
use crate::app::{App, Flag, Opened, Spot, Status};
use crate::keymap::Command;
use crate::text;
use crate::theme::{Role, Theme};

/// Columns below which list and record stand one above the other.
const NARROW: u16 = 72;
/// Findings that are shown at most.
const FINDINGS: usize = 4;

/// Draws the pane.
pub fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme, places: &mut Places) {
    if area.width < NARROW {
        let height = (area.height / 3).max(4);
        list(frame, Rect { height, ..area }, app, theme, places);
        let rest = Rect { y: area.y + height, height: area.height - height, ..area };
        opened(frame, rest, app, theme);
        return;
    }
    let width = (area.width * 2 / 5).clamp(28, 72);
    list(frame, Rect { width, ..area }, app, theme, places);
    let bar = Line::styled(theme.sign("│", "|"), theme.style(Role::Border));
    for y in area.top()..area.bottom() {
        frame.buffer_mut().set_line(area.x + width, y, &bar, 1);
    }
    let x = area.x + width + 2;
    opened(frame, Rect { x, width: area.right().saturating_sub(x + 1), ..area }, app, theme);
}

/// The filter, and what it finds.
fn list(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme, places: &mut Places) {
    let data = &app.data;
    let cells = usize::from(area.width);
    let count = |number: usize| text::count(number as u64);
    let place = if data.ids.is_empty() {
        "0 ".to_owned()
    } else {
        format!("{} of {} ", count(data.at + 1), count(data.ids.len()))
    };
    let selected = data.selected.len();
    let place = if selected > 0 { format!("{} selected, {place}", count(selected)) } else { place };
    let filter = if data.query.is_empty() { "everything" } else { &data.query };
    let filter = paint::short(filter, cells.saturating_sub(text::width(&place) + 4));
    let head = paint::spread(
        vec![Span::styled(" / ", theme.style(Role::Key)), Span::styled(filter, theme.style(Role::Title))],
        vec![Span::styled(place, theme.style(if selected > 0 { Role::Selected } else { Role::Dim }))],
        cells,
    );
    paint::line(frame, area, 0, &head);
    let mut top = 1;
    if let Some(problem) = &data.problem {
        for line in paint::wrapped(problem, &[(0..problem.len(), theme.style(Role::Bad))], cells.saturating_sub(2)) {
            paint::line(frame, Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area }, top, &line);
            top += 1;
        }
    }
    let rows = Rect { y: area.y + top.min(area.height), height: area.height.saturating_sub(top), ..area };
    if data.ids.is_empty() {
        for (row, line) in empty(app, cells.saturating_sub(2), theme).iter().enumerate() {
            let inner = Rect { x: rows.x + 1, width: rows.width.saturating_sub(1), ..rows };
            paint::line(frame, inner, row as u16 + 1, line);
        }
        return;
    }
    // Turned over a page at a time, with one line of the page before: scrolling line by line would draw everything anew.
    let height = usize::from(rows.height).max(1);
    let step = height.saturating_sub(1).max(1);
    let first = (data.at / step * step).saturating_sub(usize::from(height > 1));
    // The last page is a full one.
    let first = first.min(data.ids.len().saturating_sub(height));
    for (offset, id) in data.ids.iter().enumerate().skip(first).take(height) {
        let y = (offset - first) as u16;
        let here = offset == data.at;
        let mark = if here { theme.sign("▸", ">") } else { " " };
        let chosen = data.selected.contains(id);
        let pick = if chosen { theme.sign("◆", "#") } else { " " };
        let mut line = match data.rows.get(id) {
            Some(found) => row(found, cells.saturating_sub(2), theme),
            None => Line::styled(format!("{id}"), theme.style(Role::Dim)),
        };
        // The bar lies on mark, status and number: over the whole line it would write two lines anew at each key, and the record
        // stands beside the list.
        let bar = 2 + line.spans.iter().take(2).map(|span| text::width(&span.content)).sum::<usize>();
        line.spans.insert(0, Span::styled(pick, theme.style(Role::Selected)));
        line.spans.insert(0, Span::styled(mark, theme.style(Role::Accent)));
        paint::line(frame, rows, y, &line);
        places.note(Rect { y: rows.y + y, height: 1, ..rows }, Spot::Line(offset));
        if here {
            let style = theme.style(Role::Cursor);
            let width = rows.width.min(bar as u16);
            frame.buffer_mut().set_style(Rect { y: rows.y + y, height: 1, width, ..rows }, style);
        }
    }
}

/// What stands in the place of a list that has nothing.
fn empty(app: &App, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let words = if !app.data.ready {
        "opening the records …".to_owned()
    } else if app.data.query.is_empty() {
        "There are no records yet.\n\ntogi import FILE brings some in: JSON lines, CSV, Parquet, Excel, chats and more. They appear \
         here by themselves."
            .to_owned()
    } else {
        format!("Nothing is like that. {} shows everything.", app.keymap.first(Command::FilterClear))
    };
    paint::wrapped(&words, &[(0..words.len(), theme.style(Role::Dim))], cells)
}

/// The sign and look of a status.
fn status(status: Status, theme: &Theme) -> (&str, Role) {
    match status {
        Status::Inbox => (theme.sign("○", "o"), Role::Text),
        Status::Draft => (theme.sign("◐", "~"), Role::Warn),
        Status::Gold => (theme.sign("●", "*"), Role::Good),
        Status::Rejected => (theme.sign("✕", "x"), Role::Bad),
    }
}

/// A record on one line: status, number, finding, category, who, what it begins with.
pub fn row(row: &Row, cells: usize, theme: &Theme) -> Line<'static> {
    let (sign, role) = status(row.status, theme);
    let dim = theme.style(Role::Dim);
    let mut spans = vec![Span::styled(format!("{sign} "), theme.style(role))];
    spans.push(Span::styled(format!("{:>4} ", row.id), dim));
    let flag = if row.flags.is_empty() { " " } else { "!" };
    spans.push(Span::styled(flag, theme.style(Role::Warn)));
    let taken = if row.taken.is_some() { theme.sign("◌", "@") } else { " " };
    spans.push(Span::styled(taken.to_owned(), theme.style(Role::Info)));
    let mut room = cells.saturating_sub(spans.iter().map(|span| text::width(&span.content)).sum());
    let mut column = |text: &str, width: usize, style: Style| {
        spans.push(Span::styled(format!("{} ", text::fit(&paint::short(text, width), width)), style));
        room = room.saturating_sub(width + 1);
    };
    if cells >= 36 {
        column(row.category.as_deref().unwrap_or(""), if cells >= 56 { 12 } else { 8 }, theme.style(Role::Info));
    }
    if cells >= 52 {
        column(row.taken.as_ref().or(row.assignee.as_ref()).unwrap_or(&row.author), 8, dim);
    }
    if cells >= 60 {
        column(row.origin.word(), 7, dim);
    }
    spans.push(Span::raw(paint::short(&row.head, room)));
    Line::from(spans)
}

/// The record at the cursor.
fn opened(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let Some(open) = app.data.shown() else { return };
    let cells = usize::from(area.width);
    let mut top = 0;
    for line in heading(open, app, cells, theme) {
        paint::line(frame, area, top, &line);
        top += 1;
    }
    let findings = findings(open, app, cells, theme);
    let below = (findings.len() as u16).min(area.height.saturating_sub(top + 4));
    let room = area.height.saturating_sub(top + below);
    let body = Rect { y: area.y + top, height: room, ..area };
    match &app.data.editor {
        Some(editor) if editor.record == open.record.id => write(frame, body, open, editor, app, theme),
        _ => read(frame, body, open, app, theme),
    }
    let foot = Rect { y: area.bottom() - below, height: below, ..area };
    paint::lines(frame, foot, &findings, 0);
}

/// What there is to know of a record besides what it says.
fn heading(open: &Opened, app: &App, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let dim = theme.style(Role::Dim);
    let mark = saved(app, theme);
    let room = cells.saturating_sub(mark.as_ref().map_or(0, |mark| text::width(&mark.content) + 2));
    let mut lines = vec![paint::spread(facts(open, app, room, theme), mark.into_iter().collect(), cells)];
    if let Some(who) = &open.taken {
        let words = paint::short(&format!("{who} is at this record"), cells);
        lines.push(Line::styled(words, theme.style(Role::Info)));
    }
    if let Some(source) = &open.record.source {
        let id = source.id.as_ref().map(|id| format!(", {id}")).unwrap_or_default();
        let place = format!(", line {}{id}", source.line);
        // Where the whole path does not fit, the file's name tells more than the path's beginning.
        let room = cells.saturating_sub(text::width(&place));
        let file = if text::width(&source.file) > room { source.file.rsplit('/').next() } else { None };
        let from = format!("{}{place}", paint::short(file.unwrap_or(&source.file), room));
        lines.push(Line::styled(paint::short(&from, cells), dim));
    }
    let unsettled = open.conflicts.len();
    if unsettled > 0 {
        let words = format!("{unsettled} text(s) that met a newer one are kept: togi show {}", open.record.id);
        lines.push(Line::styled(paint::short(&words, cells), theme.style(Role::Warn)));
    }
    lines
}

/// Whether what is being written is on the disk.
fn saved(app: &App, theme: &Theme) -> Option<Span<'static>> {
    let (sign, word, role) = match &app.data.editor {
        Some(editor) if !editor.is_saved() => (theme.sign("●", "*"), "not saved", Role::Warn),
        Some(editor) if !editor.is_touched() => return None,
        Some(_) if app.data.saving > 0 => (theme.sign("●", "*"), "saving", Role::Warn),
        Some(_) => (theme.sign("✓", "="), "saved", Role::Good),
        None => return None,
    };
    Some(Span::styled(format!("{sign} {word}"), theme.style(role)))
}

/// Number, status and marks of a record, on one line. Where there is no room for all of them, what matters least goes.
fn facts(open: &Opened, app: &App, cells: usize, theme: &Theme) -> Vec<Span<'static>> {
    let (record, state) = (&open.record, &open.record.state);
    let dim = theme.style(Role::Dim);
    let (sign, role) = status(state.status, theme);
    let number = Span::styled(format!("{} ", record.id), theme.style(Role::Title));
    let status = Span::styled(format!("{sign} {}", state.status), theme.style(role));
    // How early each goes, the lowest first.
    let mut marks: Vec<(u8, String, Style)> = vec![(3, record.origin.word().into(), dim)];
    marks.extend(state.split.map(|split| (6, split.word().to_owned(), theme.style(Role::Text))));
    marks.extend(state.category.as_ref().map(|name| (5, paint::short(name, 24), theme.style(Role::Info))));
    marks.extend(state.assignee.as_ref().map(|name| (4, format!("for {}", paint::short(name, 16)), dim)));
    marks.extend(app.data.rows.get(&record.id).map(|row| (2, format!("by {}", paint::short(&row.author, 16)), dim)));
    marks.extend(state.tags.iter().map(|tag| (1, format!("#{}", paint::short(tag, 16)), dim)));
    let dot = format!(" {} ", theme.sign("·", "|"));
    let used = text::width(&number.content) + text::width(&status.content);
    let wide = |marks: &[(u8, String, Style)]| marks.iter().map(|(_, text, _)| 3 + text::width(text)).sum::<usize>();
    while used + wide(&marks) > cells
        && let Some(least) = (0..marks.len()).rev().min_by_key(|at| marks.get(*at).map(|mark| mark.0))
    {
        marks.remove(least);
    }
    let mut spans = vec![number, status];
    for (_, text, style) in marks {
        spans.push(Span::styled(dot.clone(), dim));
        spans.push(Span::styled(text, style));
    }
    spans
}

/// What checks found, as long as it fits below the record.
fn findings(open: &Opened, app: &App, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let found = found(open, app);
    if found.is_empty() {
        return Vec::new();
    }
    let title = if app.data.found.is_some() { "what is found now" } else { "what the last look found" };
    let mut lines = vec![paint::rule(title, cells, theme.style(Role::Title), theme)];
    for finding in found.iter().take(FINDINGS) {
        let role = severity(&finding.severity);
        let check = format!("{} {}", sign(&finding.severity), finding.check);
        let words = format!("{check}  {}", finding.reason);
        let mut told = paint::wrapped(&words, &[(0..check.len(), theme.style(role))], cells);
        // A reason says what to do; two lines hold nearly all of them.
        if told.len() > 2 {
            told.truncate(2);
            paint::unfinished(&mut told, cells);
        }
        lines.append(&mut told);
    }
    if found.len() > FINDINGS {
        lines.push(Line::styled(format!("  and {} more", found.len() - FINDINGS), theme.style(Role::Dim)));
    }
    lines
}

/// What is found in the record as it stands, or as it is being written.
fn found(open: &Opened, app: &App) -> Vec<Found> {
    app.data.found.clone().unwrap_or_else(|| open.flags.iter().map(from_flag).collect())
}

fn from_flag(flag: &Flag) -> Found {
    let detail: serde_json::Value = serde_json::from_str(&flag.detail).unwrap_or_default();
    let span = &detail["span"];
    let at = |name: &str| span[name].as_u64().and_then(|at| usize::try_from(at).ok());
    let span = span["field"].as_str().zip(at("start")).zip(at("end"));
    Found {
        check: flag.name.clone(),
        severity: flag.severity.clone(),
        reason: flag.reason.clone(),
        span: span.map(|((field, start), end)| (field.to_owned(), start, end)),
    }
}

fn severity(word: &str) -> Role {
    match word {
        "error" => Role::Bad,
        "warning" => Role::Warn,
        _ => Role::Info,
    }
}

fn sign(word: &str) -> &'static str {
    match word {
        "error" => "!!",
        "warning" => " !",
        _ => " i",
    }
}

/// The stretches of a part that are marked: what differs, and what is found.
fn marks(part: &Part, other: Option<(&str, bool)>, found: &[Found], theme: &Theme) -> Vec<(Range<usize>, Style)> {
    let mut marks = Vec::new();
    if let Some((other, newer)) = other {
        let (gone, new) = if newer { diff::letters(other, &part.text) } else { diff::letters(&part.text, other) };
        let (ranges, role) = if newer { (new, Role::Added) } else { (gone, Role::Removed) };
        marks.extend(ranges.into_iter().map(|range| (range, theme.style(role))));
    }
    let name = part.place.field();
    for finding in found {
        if let Some((field, start, end)) = &finding.span
            && *field == name
            && (*start, *end) != (0, part.text.len())
        {
            marks.push((*start..*end, theme.style(severity(&finding.severity)).underlined()));
        }
    }
    marks
}

/// The lines of a part, its heading first.
fn part_lines(
    part: &Part,
    chosen: bool,
    other: Option<(&str, bool)>,
    found: &[Found],
    cells: usize,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let style = theme.style(if chosen { Role::Accent } else { Role::Title });
    let name = if chosen { format!("{} {}", theme.sign("▸", ">"), part.name) } else { part.name.clone() };
    let mut lines = vec![paint::rule(&name, cells, style, theme)];
    if part.text.is_empty() {
        let words = if part.place == Place::Gold { "(none yet: the draft, once accepted)" } else { "(empty)" };
        lines.push(Line::styled(words, theme.style(Role::Dim)));
    } else {
        lines.extend(paint::wrapped(&part.text, &marks(part, other, found, theme), cells));
    }
    lines
}

/// The text that a part is compared with, and whether the part is the newer one.
fn compared<'a>(part: &'a Part, answer: &'a str, draft: Option<&'a str>) -> Option<(&'a str, bool)> {
    match part.place {
        Place::Draft => Some((answer, false)).filter(|(answer, _)| !answer.is_empty()),
        Place::Gold => draft.filter(|_| !part.text.is_empty()).map(|draft| (draft, true)),
        Place::Turn(_) => part.before.as_deref().map(|before| (before, true)),
        _ => None,
    }
}

/// The record, to be read.
fn read(frame: &mut Frame<'_>, area: Rect, open: &Opened, app: &App, theme: &Theme) {
    let cells = usize::from(area.width);
    let parts = record::parts(&open.record.state);
    let chosen = app.data.chosen();
    let found = found(open, app);
    let text = |place: &Place| parts.iter().find(|part| part.place == *place).map(|part| part.text.as_str());
    let (gold, draft) = (text(&Place::Gold).unwrap_or_default(), text(&Place::Draft));
    let mut lines = Vec::new();
    let mut focus = 0..0;
    for part in &parts {
        let here = chosen.as_ref() == Some(&part.place);
        let from = lines.len();
        lines.extend(part_lines(part, here, compared(part, gold, draft), &found, cells, theme));
        if here {
            focus = from..lines.len();
        }
    }
    let height = usize::from(area.height);
    // The chosen part shows as far as it fits, with what stands above it.
    let by_itself = focus.end.saturating_sub(height).min(focus.start);
    let furthest = lines.len().saturating_sub(height);
    let skip = app.data.scroll.skip(by_itself, furthest);
    paint::lines(frame, area, &lines, skip);
    paint::more(frame, area, furthest - skip, theme);
}

/// The record with one part of it being written: the others above, the text below.
fn write(frame: &mut Frame<'_>, area: Rect, open: &Opened, editor: &Editor, app: &App, theme: &Theme) {
    let cells = usize::from(area.width);
    let parts = record::parts(&open.record.state);
    let written = editor.field.text();
    let found = found(open, app);
    let mut above = Vec::new();
    for part in parts.iter().filter(|part| part.place != editor.place) {
        let other = (part.place == Place::Draft && editor.place == Place::Gold).then_some((written.as_str(), false));
        above.extend(part_lines(part, false, other, &found, cells, theme));
    }
    let height = usize::from(area.height);
    let wanted = text::wrap(&written, cells).len() + 2;
    let least = height / 3;
    let below = wanted.clamp(least.min(height), (height * 2 / 3).max(height.saturating_sub(above.len())).max(1));
    let room = height.saturating_sub(below + 1);
    // What stands last above the text, the draft, is what is being corrected.
    let furthest = above.len().saturating_sub(room);
    let skip = app.data.scroll.skip(furthest, furthest);
    paint::lines(frame, Rect { height: room as u16, ..area }, &above, skip);
    let name = parts.iter().find(|part| part.place == editor.place).map_or("answer", |part| part.name.as_str());
    let title = format!("{} {name}: writing", theme.sign("▸", ">"));
    let room = room.min(above.len()) as u16;
    let rest = Rect { y: area.y + room, height: area.height - room, ..area };
    paint::line(frame, rest, 0, &paint::rule(&title, cells, theme.style(Role::Accent), theme));
    let text = Rect { y: rest.y + 1, height: rest.height.saturating_sub(1), ..rest };
    paint::field(frame, text, &editor.field, theme.style(Role::Text));
}
