//! The pane of the prompt: the template at the left (above, on a narrow screen), tokens, answers or differences at the right.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::{diff, paint};
use crate::app::App;
use crate::app::prompt::{Prompt, Right, Token};
use crate::text;
use crate::theme::{Role, Theme};

/// Columns below which the two halves stand one above the other.
const NARROW: u16 = 80;

/// Draws the pane.
pub fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let (left, right) = if area.width < NARROW {
        let height = area.height * 2 / 5;
        (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
    } else {
        let width = if app.prompt.right == Right::Trial { area.width / 3 } else { area.width * 2 / 5 };
        let bar = Line::styled(theme.sign("│", "|"), theme.style(Role::Border));
        for y in area.top()..area.bottom() {
            frame.buffer_mut().set_line(area.x + width, y, &bar, 1);
        }
        let x = area.x + width + 2;
        (Rect { width: width.saturating_sub(1), ..area }, Rect { x, width: area.right().saturating_sub(x), ..area })
    };
    template(frame, left, app, theme);
    match app.prompt.right {
        Right::Tokens => tokens(frame, right, app, theme),
        Right::Trial => trial(frame, right, &app.prompt, theme),
        Right::Diff => differences(frame, right, &app.prompt, theme),
    }
}

/// The text, what is wrong with it, and what it could name.
fn template(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let prompt = &app.prompt;
    let cells = usize::from(area.width);
    let used = prompt.versions.iter().any(|version| version.used && version.name == prompt.name);
    let mut left = vec![Span::styled(paint::short(&prompt.name, cells / 2), theme.style(Role::Title))];
    if used {
        left.push(Span::styled("  in use", theme.style(Role::Good)));
    }
    let right = if prompt.is_changed() {
        vec![Span::styled(format!("{} not saved as a version", theme.sign("●", "*")), theme.style(Role::Warn))]
    } else {
        Vec::new()
    };
    paint::line(frame, area, 0, &paint::spread(left, right, cells));
    let mut foot = Vec::new();
    if let Some(problem) = &prompt.problem {
        foot.extend(paint::wrapped(problem, &[(0..problem.len(), theme.style(Role::Bad))], cells));
    }
    let variables = prompt.variables();
    if !variables.is_empty() {
        let words = format!("fields: {}", variables.join(", "));
        foot.extend(paint::wrapped(&words, &[(0..words.len(), theme.style(Role::Dim))], cells));
    }
    if !prompt.examples.is_empty() {
        let ids: Vec<String> = prompt.examples.iter().map(ToString::to_string).collect();
        let itself = prompt.records.get(prompt.at).is_some_and(|id| prompt.examples.contains(id));
        let itself = if itself { " (this record too)" } else { "" };
        let words = format!("examples before every question: {}{itself}", ids.join(", "));
        foot.push(Line::styled(paint::short(&words, cells), theme.style(Role::Info)));
    }
    if !prompt.pinned.is_empty() {
        let ids: Vec<String> = prompt.pinned.iter().map(ToString::to_string).collect();
        let words = format!("pinned for trying: {}", ids.join(", "));
        foot.push(Line::styled(paint::short(&words, cells), theme.style(Role::Info)));
    }
    if !prompt.beside.is_empty() {
        let words = format!("tried beside: {}", prompt.beside.join(", "));
        foot.push(Line::styled(paint::short(&words, cells), theme.style(Role::Info)));
    }
    let below = (foot.len() as u16).min(area.height.saturating_sub(4));
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + below), ..area };
    paint::line(frame, body, 0, &paint::rule("template", cells, theme.style(Role::Title), theme));
    let body = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
    match &prompt.field {
        Some(field) if prompt.writing => {
            paint::field(frame, body, field, theme.style(Role::Text));
            tinted(frame, body, theme);
        }
        Some(field) => {
            let text = field.text();
            // The end of its last line is no line more.
            let lines = highlighted(text.trim_end_matches('\n'), prompt.problem_line(), cells, theme);
            paint::lines(frame, body, &lines, 0);
            paint::more(frame, body, lines.len().saturating_sub(usize::from(body.height)), theme);
        }
        None => {}
    }
    paint::lines(frame, Rect { y: area.bottom() - below, height: below, ..area }, &foot, 0);
}

/// The stretches of a template that are Jinja, in bytes: what is printed, what is done, and comments.
fn tags(source: &str) -> Vec<(Range<usize>, Role)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((start, open)) = source.get(at..).and_then(|rest| {
        let next = ["{{", "{%", "{#"].iter().filter_map(|open| Some((rest.find(open)?, *open))).min()?;
        Some((at + next.0, next.1))
    }) {
        let (close, role) = match open {
            "{{" => ("}}", Role::Info),
            "{%" => ("%}", Role::Special),
            _ => ("#}", Role::Dim),
        };
        let end = source.get(start..).and_then(|rest| rest.find(close)).map_or(source.len(), |end| start + end + 2);
        found.push((start..end, role));
        at = end;
    }
    found
}

/// The text with its Jinja highlighted and the line of a problem marked.
fn highlighted(source: &str, problem: Option<usize>, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut marks: Vec<(Range<usize>, Style)> =
        tags(source).into_iter().map(|(range, role)| (range, theme.style(role))).collect();
    let mut start = 0;
    for (index, line) in source.split('\n').enumerate() {
        if problem == Some(index + 1) {
            marks.push((start..start + line.len(), theme.style(Role::Bad)));
        }
        start += line.len() + 1;
    }
    paint::wrapped(source, &marks, cells)
}

/// Colours the Jinja of a text that the editor has drawn; a tag may run over the end of a line.
fn tinted(frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
    let buffer = frame.buffer_mut();
    let mut open: Option<Role> = None;
    for y in area.top()..area.bottom() {
        let mut before = String::new();
        for x in area.left()..area.right() {
            let Some(cell) = buffer.cell_mut((x, y)) else { continue };
            let pair = format!("{before}{}", cell.symbol());
            let begins = match pair.as_str() {
                "{{" => Some(Role::Info),
                "{%" => Some(Role::Special),
                "{#" => Some(Role::Dim),
                _ => None,
            };
            if open.is_none() && begins.is_some() {
                open = begins;
                if let Some(role) = open {
                    let style = theme.style(role);
                    buffer.set_style(Rect { x: x.saturating_sub(1), y, width: 2, height: 1 }, style);
                }
            } else if let Some(role) = open {
                cell.set_style(theme.style(role));
                if matches!(pair.as_str(), "}}" | "%}" | "#}") {
                    open = None;
                }
            }
            before = buffer.cell((x, y)).map(|cell| cell.symbol().to_owned()).unwrap_or_default();
        }
    }
}

/// What the model reads, token by token: alternate tokens are underlined, so that each shows where it ends.
fn tokens(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let prompt = &app.prompt;
    let cells = usize::from(area.width);
    let count = |number: usize| text::count(number as u64);
    let learned = prompt.tokens.iter().filter(|token| token.supervised).count();
    let total = prompt.tokens.len();
    let over = total.saturating_sub(prompt.window);
    let record = prompt.records.get(prompt.at).map(|id| format!("record {id}: ")).unwrap_or_default();
    let pinned = prompt.records.get(prompt.at).is_some_and(|id| prompt.pinned.contains(id));
    let pin = if pinned { "  pinned" } else { "" };
    let left = vec![
        Span::styled(record, theme.style(Role::Dim)),
        Span::styled(format!("{} tokens, {} learned", count(total), count(learned)), theme.style(Role::Title)),
        Span::styled(pin, theme.style(Role::Info)),
    ];
    let right = if total == 0 {
        Vec::new()
    } else if prompt.problem.is_some() {
        // What is shown is not what is written.
        vec![Span::styled("before the mistake", theme.style(Role::Warn))]
    } else if over > 0 {
        vec![Span::styled(
            format!("{} beyond the window of {}", count(over), count(prompt.window)),
            theme.style(Role::Bad),
        )]
    } else {
        vec![Span::styled(format!("window {}", count(prompt.window)), theme.style(Role::Dim))]
    };
    paint::line(frame, area, 0, &paint::spread(left, right, cells));
    let legend = Line::from(vec![
        Span::styled("read only", theme.style(Role::Masked)),
        Span::raw("  "),
        Span::styled("learned", theme.style(Role::Supervised)),
        Span::raw("  "),
        Span::styled("structure", theme.style(Role::Special)),
        Span::raw("  "),
        Span::styled("cut", theme.style(Role::Removed)),
    ]);
    paint::line(frame, area, 1, &legend);
    let body = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
    if total == 0 {
        let words = if prompt.problem.is_some() {
            "it cannot be rendered"
        } else if app.data.ready && app.tally.records == 0 {
            "There are no records to render it with; togi import FILE brings some in."
        } else {
            "reading the tokenizer …"
        };
        let lines = paint::wrapped(words, &[(0..words.len(), theme.style(Role::Dim))], cells);
        paint::lines(frame, Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body }, &lines, 0);
        return;
    }
    let mut shown = String::new();
    let mut marks = Vec::new();
    let mut reach = 0;
    for (index, token) in prompt.tokens.iter().enumerate() {
        let text = unshown(token, reach);
        reach = reach.max(token.start + token.text.len());
        if text.is_empty() {
            continue;
        }
        let start = shown.len();
        let visible = text.replace('\n', if theme.ascii { "\\n\n" } else { "⏎\n" }).replace('\t', "\\t");
        shown.push_str(&visible);
        let role = match (token.special, token.supervised) {
            (true, _) => Role::Special,
            (false, true) => Role::Supervised,
            (false, false) => Role::Masked,
        };
        let mut style = theme.style(role);
        if token.special && token.supervised {
            style = style.add_modifier(Modifier::BOLD);
        }
        if index % 2 == 1 {
            style = style.add_modifier(Modifier::UNDERLINED);
        }
        if index >= prompt.window {
            style = style.patch(theme.style(Role::Removed));
        }
        marks.push((start..shown.len(), style));
    }
    let lines = tokens_wrapped(&shown, &marks, cells);
    let most = lines.len().saturating_sub(usize::from(body.height));
    let skip = prompt.scroll.skip(0, most);
    paint::lines(frame, body, &lines, skip);
    paint::more(frame, body, most - skip, theme);
}

/// What a token shows. Tokens that share a letter all have it, and it is shown once; but one that begins within a letter may go on
/// with others, which are its own. `reach` is the end, in bytes of the rendered text, of what is shown already.
fn unshown(token: &Token, reach: usize) -> &str {
    match token.part {
        Some((part, _)) if part > 1 => token.text.get(reach.saturating_sub(token.start)..).unwrap_or_default(),
        _ => &token.text,
    }
}

/// As [`paint::wrapped`], for stretches that follow one another: a long prompt has thousands.
fn tokens_wrapped(shown: &str, marks: &[(Range<usize>, Style)], cells: usize) -> Vec<Line<'static>> {
    let mut next = 0;
    text::wrap_ranges(shown, cells)
        .into_iter()
        .map(|line| {
            let mut spans = Vec::new();
            while let Some((range, _)) = marks.get(next)
                && range.end <= line.start
            {
                next += 1;
            }
            for (range, style) in marks.iter().skip(next).take_while(|(range, _)| range.start < line.end) {
                let part = shown.get(range.start.max(line.start)..range.end.min(line.end)).unwrap_or_default();
                spans.push(Span::styled(text::display(part).into_owned(), *style));
            }
            Line::from(spans)
        })
        .collect()
}

/// Answers: records down, systems and templates across.
fn trial(frame: &mut Frame<'_>, area: Rect, prompt: &Prompt, theme: &Theme) {
    let trial = &prompt.trial;
    let (rows, columns) = (trial.rows.len() as u16, trial.columns.len() as u16);
    if rows == 0 || columns == 0 {
        return;
    }
    let width = (area.width.saturating_sub(columns - 1)) / columns;
    let height = area.height.saturating_sub(1) / rows;
    for (index, column) in trial.columns.iter().enumerate() {
        let x = area.x + index as u16 * (width + 1);
        let role = if column.system == crate::app::wish::System::Base { Role::Base } else { Role::Tuned };
        let cell = Rect { x, width, height: 1, ..area };
        let title = paint::short(&column.title, usize::from(width));
        paint::line(frame, cell, 0, &Line::styled(title, theme.style(role)));
    }
    for (row, id) in trial.rows.iter().enumerate() {
        let y = area.y + 1 + row as u16 * height;
        for index in 0..trial.columns.len() {
            let x = area.x + index as u16 * (width + 1);
            let cell = Rect { x, y, width, height };
            let title = if index == 0 { format!("record {id}") } else { String::new() };
            let rule = paint::rule(&title, usize::from(width), theme.style(Role::Dim), theme);
            paint::line(frame, cell, 0, &rule);
            let Some((answer, done)) = trial.answers.get(row * trial.columns.len() + index) else { continue };
            let body = Rect { y: y + 1, height: height.saturating_sub(1), ..cell };
            if answer.trim().is_empty() {
                let words = match (done, prompt.is_trying()) {
                    (true, _) => "(nothing)",
                    (false, true) => "…",
                    (false, false) => "(stopped)",
                };
                paint::line(frame, body, 0, &Line::styled(words, theme.style(Role::Dim)));
            } else {
                let lines = paint::wrapped(answer, &[], usize::from(width));
                let most = lines.len().saturating_sub(usize::from(body.height));
                // A long answer is followed as it grows, and read from its beginning.
                let skip = if *done { prompt.scroll.skip(0, most) } else { most };
                paint::lines(frame, body, &lines, skip);
                paint::more(frame, body, most - skip, theme);
            }
        }
    }
}

/// The version in use above, the text below, and where they differ.
fn differences(frame: &mut Frame<'_>, area: Rect, prompt: &Prompt, theme: &Theme) {
    let cells = usize::from(area.width);
    let Some(used) = prompt.versions.iter().find(|version| version.used) else {
        let words = "the project uses no template yet: there is nothing to compare with";
        paint::line(frame, area, 0, &Line::styled(words, theme.style(Role::Dim)));
        return;
    };
    let text = prompt.text();
    let (gone, new) = diff::letters(&used.text, &text);
    let marks = |ranges: Vec<Range<usize>>, role| {
        ranges.into_iter().map(|range| (range, theme.style(role))).collect::<Vec<_>>()
    };
    let mut lines = vec![paint::rule(&format!("{}, in use", used.name), cells, theme.style(Role::Title), theme)];
    lines.extend(paint::wrapped(&used.text, &marks(gone, Role::Removed), cells));
    lines.push(paint::rule(&format!("{}, here", prompt.name), cells, theme.style(Role::Title), theme));
    lines.extend(paint::wrapped(&text, &marks(new, Role::Added), cells));
    let most = lines.len().saturating_sub(usize::from(area.height));
    let skip = prompt.scroll.skip(0, most);
    paint::lines(frame, area, &lines, skip);
    paint::more(frame, area, most - skip, theme);
}
