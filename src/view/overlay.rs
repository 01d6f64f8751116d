//! What lies over a pane.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Places, compare, data, diff, paint};
use crate::app::overlay::{Asked, Overlay, Purpose};
use crate::app::{App, Conflict, Spot, State, record};
use crate::keymap::{Command, Scope};
use crate::text;
use crate::theme::{Role, Theme};

/// Draws it, if there is one.
pub fn draw(frame: &mut Frame<'_>, body: Rect, app: &App, theme: &Theme, places: &mut Places) {
    match &app.overlay {
        None => {}
        Some(Overlay::Help { field, scopes, fitting, at, .. }) => {
            let inner = paint::boxed(frame, paint::middle(body, 96, body.height - 1), "what can be done", theme);
            searched(frame, inner, field, fitting.len(), *at, theme);
            help(frame, below(inner, 2), scopes, (fitting, *at), app, theme, places);
        }
        Some(Overlay::Ask(asked)) => ask(frame, body, asked, app, theme, places),
        Some(Overlay::Pick { title, items, at, .. }) => {
            let longest = items.iter().map(|item| text::width(item)).max().unwrap_or(0) as u16;
            let area = paint::middle(body, longest.saturating_add(8).max(50), items.len() as u16 + 2);
            let inner = paint::boxed(frame, area, title, theme);
            let cells = usize::from(inner.width).saturating_sub(2);
            let lines: Vec<Line<'_>> =
                items.iter().map(|item| Line::raw(format!("  {}", paint::short(item, cells)))).collect();
            list(frame, inner, lines, *at, theme, places);
        }
        Some(Overlay::Confirm { act, records, would, refused }) => {
            let count = |number: usize| text::count(number as u64);
            let all = if *would == records.len() { ", all of them" } else { "" };
            let plural = if records.len() == 1 { "" } else { "s" };
            let words = format!("{} {} record{plural}", act.words(), count(records.len()));
            let width = body.width.min(64);
            let cells = usize::from(width.saturating_sub(4));
            let mut lines = paint::wrapped(&words, &[(0..words.len(), theme.style(Role::Title))], cells);
            lines.push(Line::raw(format!("changes {}{all}", count(*would))));
            if *refused > 0 {
                lines.push(Line::styled(
                    format!("{} stay as they are: they have no answer", count(*refused)),
                    theme.style(Role::Warn),
                ));
            }
            let undo = app.keymap.first(Command::Undo);
            lines.push(Line::styled(format!("one {undo} takes it back whole"), theme.style(Role::Dim)));
            let area = paint::middle(body, width, lines.len() as u16 + 2);
            let inner = paint::boxed(frame, area, "are you sure?", theme);
            paint::lines(frame, inner, &lines, 0);
        }
        Some(Overlay::Conflict(conflict)) => both(frame, body, conflict, app, theme),
        Some(Overlay::Near { record, near, at }) => {
            let title = format!("worded most like {record}");
            let area = paint::middle(body, 110, near.len() as u16 + 2);
            let inner = paint::boxed(frame, area, &title, theme);
            let cells = usize::from(inner.width);
            let lines = near.iter().map(|(id, likeness)| {
                let likeness = format!("{:>4.0} % ", 100.0 * likeness);
                let row = app.data.rows.get(id).map(|row| data::row(row, cells.saturating_sub(8), theme));
                let mut line = row.unwrap_or_else(|| Line::raw(format!("  {id:>4}")));
                line.spans.insert(0, Span::raw(likeness));
                line
            });
            list(frame, inner, lines.collect(), *at, theme, places);
        }
        Some(Overlay::Score { systems, score }) => {
            let inner = paint::boxed(frame, paint::middle(body, 70, 10), "what you preferred", theme);
            paint::lines(frame, inner, &compare::result(systems, score, theme), 0);
        }
        Some(Overlay::History { record, lines, at }) => {
            let area = paint::middle(body, 120, lines.len() as u16 + 2);
            let inner = paint::boxed(frame, area, &format!("every state of {record}"), theme);
            let cells = usize::from(inner.width);
            let lines = lines.iter().map(|line| {
                let head = Span::styled(format!("{}  ", line.head), theme.style(Role::Dim));
                Line::from(vec![head, Span::raw(paint::short(&line.text, cells.saturating_sub(18)))])
            });
            list(frame, inner, lines.collect(), *at, theme, places);
        }
    }
}

fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// The line that is searched with, and how far down the list one is: it may be longer than the box.
fn searched(
    frame: &mut Frame<'_>,
    area: Rect,
    field: &crate::app::field::Field,
    found: usize,
    at: usize,
    theme: &Theme,
) {
    let count = |number: usize| text::count(number as u64);
    let place = if found == 0 { String::new() } else { format!("{} of {}", count(at + 1), count(found)) };
    let left = vec![Span::styled("/ ", theme.style(Role::Key))];
    let right = vec![Span::styled(place.clone(), theme.style(Role::Dim))];
    paint::line(frame, area, 0, &paint::spread(left, right, usize::from(area.width)));
    let width = area.width.saturating_sub(3 + text::width(&place) as u16);
    let line = Rect { x: area.x + 2, width, height: 1.min(area.height), ..area };
    paint::field(frame, line, field, theme.style(Role::Title));
}

/// A list with one line marked, turned over a page at a time.
fn list(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, at: usize, theme: &Theme, places: &mut Places) {
    let height = usize::from(area.height).max(1);
    let top = at / height * height;
    let further = lines.len().saturating_sub(top + height);
    for (offset, line) in lines.into_iter().skip(top).take(height).enumerate() {
        paint::line(frame, area, offset as u16, &line);
        let row = Rect { x: area.x - 1, y: area.y + offset as u16, width: area.width + 1, height: 1 };
        places.note(row, Spot::Item(top + offset));
        if top + offset == at {
            // A sign in the box's margin as well: a ground alone is little to go by where colours are few or pale.
            paint::line(frame, row, 0, &Line::styled(theme.sign("▸", ">"), theme.style(Role::Accent)));
            frame.buffer_mut().set_style(row, theme.style(Role::Cursor));
        }
    }
    // The line of the cursor stays whole.
    if at + 1 != top + height {
        paint::more(frame, area, further, theme);
    }
}

fn help(
    frame: &mut Frame<'_>,
    area: Rect,
    scopes: &[Scope],
    (fitting, at): (&[Command], usize),
    app: &App,
    theme: &Theme,
    places: &mut Places,
) {
    let cells = usize::from(area.width);
    // On a narrow screen the words need the room more than the third key of a command does.
    let column = if cells < 70 { 12 } else { 16 };
    let lines = fitting.iter().map(|command| {
        let keys: Vec<String> = app.keymap.keys(*command).iter().map(|keys| crate::keymap::spell_all(keys)).collect();
        let here = scopes.contains(&command.scope());
        let keys = text::fit(&keys.join(" "), column);
        let place = if here { String::new() } else { format!(" {}", command.scope().word()) };
        let doc = paint::short(command.doc(), cells.saturating_sub(column + 2 + text::width(&place)));
        let left = vec![
            Span::styled(format!("{keys}  "), theme.style(Role::Key)),
            Span::styled(doc, theme.style(if here { Role::Text } else { Role::Dim })),
        ];
        paint::spread(left, vec![Span::styled(place, theme.style(Role::Dim))], cells)
    });
    list(frame, area, lines.collect(), at, theme, places);
    if fitting.is_empty() {
        paint::line(frame, area, 0, &Line::styled("no command is called so", theme.style(Role::Dim)));
    }
}

/// A line that is asked for, what is wrong with it, and suggestions below it.
fn ask(frame: &mut Frame<'_>, body: Rect, asked: &Asked, app: &App, theme: &Theme, places: &mut Places) {
    let width = body.width.min(72);
    let problem = match (&asked.purpose, &app.data.problem) {
        (Purpose::Filter(_), Some(problem)) => {
            let role = [(0..problem.len(), theme.style(Role::Bad))];
            paint::wrapped(problem, &role, usize::from(width.saturating_sub(4)))
        }
        _ => Vec::new(),
    };
    let told = problem.len().min(3) as u16;
    let most = usize::from(body.height.saturating_sub(6 + told)).min(8);
    let height = asked.fitting.len().min(most) as u16 + 3 + told;
    let area = Rect { x: body.x + (body.width - width) / 2, y: body.y + 1, width, height };
    let inner = paint::boxed(frame, area, &asked.title, theme);
    let line = Rect { height: 1.min(inner.height), ..inner };
    paint::field(frame, line, &asked.field, theme.style(Role::Title));
    let rest = below(inner, 1);
    paint::lines(frame, Rect { height: told.min(rest.height), ..rest }, &problem, 0);
    let rest = below(rest, told);
    let lines = asked.fitting.iter().filter_map(|index| asked.suggestions.get(*index));
    let lines: Vec<Line<'_>> = lines.map(|text| Line::raw(paint::short(text, usize::from(inner.width)))).collect();
    if let Some(at) = asked.at {
        list(frame, rest, lines, at, theme, places);
    } else {
        paint::lines(frame, rest, &lines, 0);
        for (at, y) in (0..lines.len()).zip(rest.top()..rest.bottom()) {
            places.note(Rect { y, height: 1, ..rest }, Spot::Item(at));
        }
        frame.buffer_mut().set_style(rest, theme.style(Role::Dim));
        paint::more(frame, rest, lines.len().saturating_sub(usize::from(rest.height)), theme);
    }
}

/// Two texts of one record, and where they differ.
fn both(frame: &mut Frame<'_>, body: Rect, conflict: &Conflict, app: &App, theme: &Theme) {
    let title = format!("{} was changed by {} while you wrote", conflict.record, conflict.by);
    let inner = paint::boxed(frame, paint::middle(body, 120, body.height - 1), &title, theme);
    let none = "(taken away)";
    let differing =
        conflict.ours.as_ref().zip(conflict.theirs.as_ref()).and_then(|(ours, theirs)| differs(ours, theirs));
    let (name, ours, theirs) = differing.unwrap_or_else(|| {
        let answer = |state: &Option<State>| {
            state.as_ref().map_or(none.to_owned(), |state| state.content.answer().unwrap_or_default().to_owned())
        };
        ("answer".into(), answer(&conflict.ours), answer(&conflict.theirs))
    });
    let (theirs_only, ours_only) = diff::letters(&theirs, &ours);
    let marks = |ranges: Vec<std::ops::Range<usize>>, role| {
        ranges.into_iter().map(|range| (range, theme.style(role))).collect::<Vec<_>>()
    };
    let half = usize::from(inner.width.saturating_sub(3)) / 2;
    let key = |command| app.keymap.first(command);
    let columns = [
        (
            inner.x,
            format!("{}  mine: {name}", key(Command::ConflictMine)),
            paint::wrapped(&ours, &marks(ours_only, Role::Added), half),
        ),
        (
            inner.x + half as u16 + 3,
            format!("{}  {}: {name}", key(Command::ConflictTheirs), conflict.by),
            paint::wrapped(&theirs, &marks(theirs_only, Role::Removed), half),
        ),
    ];
    for (x, heading, lines) in columns {
        let column = Rect { x, width: half as u16, ..inner };
        paint::line(frame, column, 0, &paint::rule(&heading, half, theme.style(Role::Title), theme));
        paint::lines(frame, below(column, 1), &lines, 0);
    }
}

/// The first part in which two states differ: its name and both texts.
fn differs(ours: &State, theirs: &State) -> Option<(String, String, String)> {
    record::parts(ours).into_iter().find_map(|part| {
        let mine = record::text_of(ours, &part.place)?;
        let other = record::text_of(theirs, &part.place)?;
        (mine != other).then_some((part.name, mine, other))
    })
}
