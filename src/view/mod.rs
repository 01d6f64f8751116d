//! Draws the workbench: an [`App`] and a size give the same cells every time.
//!
//! One file a region. Widths are counted by [`crate::text`] only, and everything that a record, a model or a person wrote goes
//! through [`crate::text::display`] before it is drawn. What can be clicked on is noted as it is drawn ([`Places`]), so a click meets
//! what a person sees.

mod compare;
mod data;
mod diff;
mod evaluate;
mod frame;
mod loss_chart;
mod new_run;
mod overlay;
mod paint;
mod places;
mod prompt;
mod train;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

pub use places::Places;

use crate::app::{App, Pane};
use crate::theme::{Role, Theme};

/// The smallest screen that the workbench fits on: columns and rows.
pub const SMALLEST: (u16, u16) = (60, 16);

/// Draws the workbench, and returns where on the screen the things stand that can be clicked on.
pub fn draw(frame: &mut Frame<'_>, app: &App, theme: &Theme) -> Places {
    let area = frame.area();
    let mut places = Places::default();
    frame.buffer_mut().set_style(area, theme.style(Role::Text));
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        too_small(frame, theme);
        return places;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    // An audience sees the question and the answers.
    let calm = app.is_presenting();
    if !calm {
        frame::header(frame, head, app, theme, &mut places);
    }
    match app.pane {
        _ if app.problem.is_some() => no_records(frame, body, app, theme),
        Pane::Data => data::draw(frame, body, app, theme, &mut places),
        Pane::Compare => compare::draw(frame, body, app, theme),
        Pane::Prompt => prompt::draw(frame, body, app, theme),
        Pane::Train => train::draw(frame, body, app, theme, &mut places),
        Pane::Evaluate => evaluate::draw(frame, body, app, theme, &mut places),
    }
    if !calm {
        frame::footer(frame, foot, app, theme);
    }
    frame::hints(frame, body, app, theme);
    if app.overlay.is_some() {
        // What lies over the pane is to be answered first.
        places = Places::default();
        overlay::draw(frame, body, app, theme, &mut places);
    }
    frame::toasts(frame, body, app, theme);
    paint::tame(frame.buffer_mut(), theme.ascii);
    places
}

/// Why there is nothing to be seen, in full: it does not go by itself.
fn no_records(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let area = Rect { x: area.x + 2, y: area.y + 1, width: area.width.saturating_sub(4), height: area.height - 1 };
    let cells = usize::from(area.width);
    let why = app.problem.clone().unwrap_or_default();
    let mut lines =
        paint::wrapped("The project's records cannot be opened.", &[(0..39, theme.style(Role::Bad))], cells);
    lines.push(Line::raw(""));
    lines.extend(paint::wrapped(&why, &[], cells));
    lines.push(Line::raw(""));
    let leave = app.keymap.first(crate::keymap::Command::Quit);
    let words = format!("Nothing was changed. {leave} leaves; togi opens again once that is mended.");
    lines.extend(paint::wrapped(&words, &[(0..words.len(), theme.style(Role::Dim))], cells));
    paint::lines(frame, area, &lines, 0);
}

fn too_small(frame: &mut Frame<'_>, theme: &Theme) {
    let area = frame.area();
    let lines = vec![
        Line::styled("togi", theme.style(Role::Accent)),
        Line::raw(format!("needs {} x {}", SMALLEST.0, SMALLEST.1)),
        Line::raw(format!("has   {} x {}", area.width, area.height)),
    ];
    paint::lines(frame, Rect { height: area.height.min(3), ..area }, &lines, 0);
}

#[cfg(test)]
mod tests;
