//! What lies over a pane.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{compare, data, diff, paint};
use crate::app::overlay::{Asked, Overlay};
use crate::app::{App, Conflict, State, record};
use crate::keymap::{Command, Scope};
use crate::text;
use crate::theme::{Role, Theme};

/// Draws it, if there is one.
pub fn draw(frame: &mut Frame<'_>, body: Rect, app: &App, theme: &Theme) {
    match &app.overlay {
        None => {}
        Some(Overlay::Help { field, scopes, fitting, at, .. }) => {
            let inner = paint::boxed(frame, paint::middle(body, 96, body.height - 1), "what can be done", theme);
            searched(frame, inner, field, theme);
            help(frame, below(inner, 2), scopes, fitting, *at, app, theme);
        }
        Some(Overlay::Ask(asked)) => ask(frame, body, asked, theme),
        Some(Overlay::Pick { title, items, at, .. }) => {
            let longest = items.iter().map(|item| text::width(item)).max().unwrap_or(0) as u16;
            let area = paint::middle(body, longest.saturating_add(8).max(50), items.len() as u16 + 2);
            let inner = paint::boxed(frame, area, title, theme);
            let lines: Vec<Line<'_>> = items.iter().map(|item| Line::raw(format!("  {item}"))).collect();
            list(frame, inner, lines, *at, theme);
        }
        Some(Overlay::Confirm { act, records, would, refused }) => {
            let inner = paint::boxed(frame, paint::middle(body, 64, 7), "are you sure?", theme);
            let count = |number: usize| text::count(number as u64);
            let mut lines = vec![
                Line::styled(format!("{}: {} records", act.words(), count(records.len())), theme.style(Role::Title)),
                Line::raw(format!("changes {}", count(*would))),
            ];
            if *refused > 0 {
                lines.push(Line::styled(
                    format!("{} stay as they are: they have no answer", count(*refused)),
                    theme.style(Role::Warn),
                ));
            }
            let undo = app.keymap.first(Command::Undo);
            lines.push(Line::styled(format!("one {undo} takes it back whole"), theme.style(Role::Dim)));
            paint::lines(frame, inner, &lines, 0);
        }
        Some(Overlay::Conflict(conflict)) => both(frame, body, conflict, theme),
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
            list(frame, inner, lines.collect(), *at, theme);
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
            list(frame, inner, lines.collect(), *at, theme);
        }
    }
}

fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// The line that is searched with.
fn searched(frame: &mut Frame<'_>, area: Rect, field: &crate::app::field::Field, theme: &Theme) {
    paint::line(frame, area, 0, &Line::styled("/ ", theme.style(Role::Key)));
    let line = Rect { x: area.x + 2, width: area.width.saturating_sub(2), height: 1.min(area.height), ..area };
    paint::field(frame, line, field, theme.style(Role::Title));
}

/// A list with one line marked, turned over a page at a time.
fn list(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, at: usize, theme: &Theme) {
    let height = usize::from(area.height).max(1);
    let top = at / height * height;
    for (offset, line) in lines.into_iter().skip(top).take(height).enumerate() {
        paint::line(frame, area, offset as u16, &line);
        if top + offset == at {
            let row = Rect { y: area.y + offset as u16, height: 1, ..area };
            frame.buffer_mut().set_style(row, theme.style(Role::Cursor));
        }
    }
}

fn help(frame: &mut Frame<'_>, area: Rect, scopes: &[Scope], fitting: &[Command], at: usize, app: &App, theme: &Theme) {
    let cells = usize::from(area.width);
    let lines = fitting.iter().map(|command| {
        let keys: Vec<String> = app.keymap.keys(*command).iter().map(|keys| crate::keymap::spell_all(keys)).collect();
        let here = scopes.contains(&command.scope());
        let keys = text::fit(&keys.join(" "), 16);
        let place = if here { String::new() } else { format!(" {}", command.scope().word()) };
        let doc = paint::short(command.doc(), cells.saturating_sub(18 + text::width(&place)));
        let left = vec![
            Span::styled(format!("{keys}  "), theme.style(Role::Key)),
            Span::styled(doc, theme.style(if here { Role::Text } else { Role::Dim })),
        ];
        paint::spread(left, vec![Span::styled(place, theme.style(Role::Dim))], cells)
    });
    list(frame, area, lines.collect(), at, theme);
    if fitting.is_empty() {
        paint::line(frame, area, 0, &Line::styled("no command is called so", theme.style(Role::Dim)));
    }
}

/// A line that is asked for, with suggestions below it.
fn ask(frame: &mut Frame<'_>, body: Rect, asked: &Asked, theme: &Theme) {
    let most = usize::from(body.height.saturating_sub(6)).min(8);
    let height = asked.fitting.len().min(most) as u16 + 3;
    let width = body.width.min(72);
    let area = Rect { x: body.x + (body.width - width) / 2, y: body.y + 1, width, height };
    let inner = paint::boxed(frame, area, &asked.title, theme);
    let line = Rect { height: 1.min(inner.height), ..inner };
    paint::field(frame, line, &asked.field, theme.style(Role::Title));
    let lines = asked.fitting.iter().filter_map(|index| asked.suggestions.get(*index));
    let lines: Vec<Line<'_>> = lines.map(|text| Line::raw(paint::short(text, usize::from(inner.width)))).collect();
    let rest = below(inner, 1);
    if let Some(at) = asked.at {
        list(frame, rest, lines, at, theme);
    } else {
        paint::lines(frame, rest, &lines, 0);
        frame.buffer_mut().set_style(rest, theme.style(Role::Dim));
    }
}

/// Two texts of one record, and where they differ.
fn both(frame: &mut Frame<'_>, body: Rect, conflict: &Conflict, theme: &Theme) {
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
    let columns = [
        (inner.x, format!("m  mine: {name}"), paint::wrapped(&ours, &marks(ours_only, Role::Added), half)),
        (
            inner.x + half as u16 + 3,
            format!("t  {}: {name}", conflict.by),
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
