//! The form of a new run: base model and settings, what the one at the cursor does, the same as a command line, what stands
//! against it.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::train::wrap;
use super::{Places, paint};
use crate::app::train::{Facts, Form, Model, Stand, Train};
use crate::app::{App, Spot};
use crate::keymap::Command;
use crate::text;
use crate::theme::{Role, Theme};

/// Draws the form.
pub fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme, places: &mut Places) {
    let form = &app.train.form;
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let title = if form.choosing.is_some() { "a new run: which base model?" } else { "a new run" };
    paint::line(frame, area, 0, &paint::rule(title, usize::from(area.width), theme.style(Role::Title), theme));
    let foot = foot(app, area.width, theme);
    let height = (foot.len() as u16).min(area.height.saturating_sub(6));
    let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(height + 1), ..area };
    let (lines, at) = match form.choosing {
        Some(at) => (models(form, usize::from(area.width), theme), at),
        None => (settings(form, usize::from(area.width), theme), form.at),
    };
    let page = usize::from(rows.height).max(1);
    let first = at / page * page;
    for (offset, line) in lines.iter().enumerate().skip(first).take(page) {
        let y = (offset - first) as u16;
        paint::line(frame, rows, y, line);
        let row = Rect { x: rows.x.saturating_sub(1), y: rows.y + y, width: rows.width + 1, height: 1 };
        places.note(row, Spot::Line(offset));
        if offset == at {
            paint::line(frame, row, 0, &Line::styled(theme.sign("▸", ">"), theme.style(Role::Accent)));
            frame.buffer_mut().set_style(row, theme.style(Role::Cursor));
        }
    }
    paint::more(frame, rows, lines.len().saturating_sub(first + page), theme);
    // What was found stands at the end and must not be cut.
    let skip = foot.len().saturating_sub(usize::from(height));
    paint::lines(frame, Rect { y: rows.bottom(), height, ..area }, &foot, skip);
}

/// The model and the settings, one a line.
fn settings(form: &Form, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    const KEY: usize = 18;
    let dim = theme.style(Role::Dim);
    let given = theme.style(Role::Selected);
    let mark = |is: bool| Span::styled(if is { theme.sign("◆ ", "# ") } else { "  " }.to_owned(), given);
    let base = if form.base().is_empty() { "(the project names none)" } else { form.base() };
    let mut lines = vec![Line::from(vec![
        mark(form.model.is_some()),
        Span::styled(text::fit("base model", KEY), theme.style(Role::Text)),
        Span::styled(paint::short(base, cells.saturating_sub(KEY + 3)), if form.model.is_some() { given } else { dim }),
    ])];
    let value = if cells >= 96 { 16 } else { 20 };
    for setting in &form.settings {
        let is_given = form.is_given(setting);
        let now = text::fit(&paint::short(form.value(setting), value), value);
        let mut spans = vec![
            mark(is_given),
            Span::styled(text::fit(&setting.key, KEY), theme.style(Role::Text)),
            Span::styled(now, theme.style(if is_given { Role::Selected } else { Role::Text })),
        ];
        let usual = if is_given { &setting.value } else { &setting.default };
        // What 0 asks for is told.
        let spelt = match (setting.key.as_str(), usual.as_str()) {
            ("learning_rate", "0.0") => "by the model's size",
            ("max_length", "0") => "by the longest record",
            ("pass_tokens", "0") => "by the device",
            _ => usual,
        };
        let other = if form.value(setting) == usual { String::new() } else { format!("usually {spelt}") };
        let room = cells.saturating_sub(KEY + value + 5);
        let words = if cells >= 96 && other.is_empty() { setting.doc.clone() } else { other };
        spans.push(Span::styled(format!("  {}", paint::short(&words, room)), dim));
        lines.push(Line::from(spans));
    }
    if form.settings.is_empty() {
        lines.push(Line::styled("  reading the settings …", dim));
    }
    lines
}

/// Parameters as people say them.
fn size(model: &Model) -> String {
    let millions = model.parameters as f64 / 1e6;
    if millions < 1000.0 { format!("{millions:.0}M") } else { format!("{:.1}B", millions / 1000.0) }
}

/// The project's model, the catalogue, and a line for any other.
fn models(form: &Form, cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    let dim = theme.style(Role::Dim);
    let wide = form
        .models
        .iter()
        .map(|model| text::width(&model.id))
        .max()
        .unwrap_or(0)
        .clamp(20, cells.saturating_sub(44).max(20));
    let base = if form.base.is_empty() { "none" } else { &form.base };
    let mut lines = vec![Line::from(vec![
        Span::raw("  the project's: "),
        Span::styled(paint::short(base, cells.saturating_sub(18)), dim),
    ])];
    for model in &form.models {
        let (fits, role) = match (model.runs, model.fits) {
            (false, _) => ("not as it is", Role::Warn),
            (true, Some(true)) => ("fits", Role::Good),
            (true, Some(false)) => ("too large", Role::Bad),
            (true, None) => ("fits?", Role::Dim),
        };
        let gated = if model.gated { ", gated" } else { "" };
        let chosen = form.model.as_deref() == Some(model.id.as_str());
        lines.push(Line::from(vec![
            Span::styled(if chosen { theme.sign("◆ ", "# ") } else { "  " }.to_owned(), theme.style(Role::Selected)),
            Span::raw(text::fit(&paint::short(&model.id, wide), wide)),
            Span::raw(format!(" {:>6}  ", size(model))),
            Span::styled(text::fit(fits, 13), theme.style(role)),
            Span::styled(format!("{}{gated}", model.licence), dim),
        ]));
    }
    lines.push(Line::raw("  another: a GGUF file, a Hugging Face folder or a Hub id"));
    lines
}

/// What the line at the cursor does, the command line, and what was found.
fn foot(app: &App, cells: u16, theme: &Theme) -> Vec<Line<'static>> {
    let form = &app.train.form;
    let dim = theme.style(Role::Dim);
    let mut lines = vec![Line::styled(theme.sign("─", "-").repeat(usize::from(cells)), theme.style(Role::Border))];
    let doc = match form.choosing {
        Some(at) => {
            let model = at.checked_sub(1).and_then(|at| form.models.get(at));
            model.map(|model| model.note.clone()).filter(|note| !note.is_empty()).unwrap_or_else(|| {
                "fits: its weights, in f32 at most, fit the memory that is free now; training wants more, and is checked before it starts.".into()
            })
        }
        None => form.setting().map_or_else(
            || "The model that is tuned; the smallest that could do is the one to begin with.".to_owned(),
            |setting| {
                let default = if setting.default.is_empty() { "\"\"" } else { &setting.default };
                format!("{} togi's default is {default}.", setting.doc)
            },
        ),
    };
    lines.extend(wrap(&doc, theme.style(Role::Text), cells));
    let command = form.wish().line();
    let mut same = wrap(&command, theme.style(Role::Info), cells.saturating_sub(2));
    for (at, line) in same.iter_mut().enumerate() {
        line.spans.insert(0, Span::styled(if at == 0 { "$ " } else { "  " }, dim));
    }
    lines.append(&mut same);
    let key = app.keymap.first(Command::NewStart);
    let one = |words: String, role| vec![Line::styled(words, theme.style(role))];
    lines.extend(match &form.stand {
        Stand::Open => one(format!("{key} looks at records and model before anything starts"), Role::Dim),
        Stand::Busy(word) if form.told.is_empty() => one(format!("{word} … reading model and records"), Role::Warn),
        Stand::Busy(word) => one(format!("{word} … {}", form.told), Role::Warn),
        Stand::Refused(why) => wrap(why, theme.style(Role::Bad), cells),
        Stand::Passed(facts) => {
            let told = found(facts, form, &app.train);
            let mut lines: Vec<Line<'static>> =
                told.iter().flat_map(|line| wrap(line, theme.style(Role::Text), cells)).collect();
            lines.extend(one(format!("nothing stands against it: {key} starts it"), Role::Good));
            lines
        }
    });
    lines
}

/// What a run would be made of, in sentences.
fn found(facts: &Facts, form: &Form, train: &Train) -> Vec<String> {
    let n = |number: usize| text::count(number as u64);
    let mut lines = vec![format!(
        "{} rows, {} to validate on; {} tokens, {} of them supervised, at most {} a row; {} steps",
        n(facts.rows),
        n(facts.valid_rows),
        n(facts.tokens),
        n(facts.supervised),
        n(facts.max_length),
        text::count(facts.steps)
    )];
    let free = facts.free_bytes.map(|free| format!(", {} are free", text::bytes(free))).unwrap_or_default();
    let mut memory = format!("about {} of memory{free}", text::bytes(facts.needs_bytes));
    // Without a measurement the speed of a run on the same base is the best guess there is.
    let known = train.runs.iter().find(|run| run.base == form.base() || run.base.ends_with(form.base()));
    if let Some(seconds) = facts.seconds {
        let bench = if facts.device.is_some() { "togi bench --gpu" } else { "togi bench" };
        let _ = write!(memory, "; about {} at the speed that {bench} has measured", text::duration(seconds));
    } else if let Some((speed, run)) = known.and_then(|run| Some((run.tokens_per_s.filter(|speed| *speed > 0.0)?, run)))
        && facts.rows > 0
    {
        let batch = form.settings.iter().find(|setting| setting.key == "batch");
        let batch: f64 = batch.and_then(|setting| form.value(setting).parse().ok()).unwrap_or(8.0);
        let tokens = facts.tokens as f64 * (facts.steps as f64 * batch / facts.rows as f64);
        let _ = write!(
            memory,
            "; about {} at the {} tokens a second of {}",
            text::duration(tokens / speed),
            n(speed as usize),
            run.name
        );
    }
    lines.push(memory);
    if let Some(device) = &facts.device {
        let (needs, free) = (text::bytes(device.needs_bytes), text::bytes(device.free_bytes));
        let passes = n(device.pass_tokens);
        lines.push(format!(
            "on {}: about {needs} of its memory in passes of {passes} tokens, {free} are free",
            device.name
        ));
    }
    if !facts.dropped.is_empty() {
        let shown: Vec<String> =
            facts.dropped.iter().take(4).map(|(id, tokens)| format!("{id} ({tokens} tokens)")).collect();
        let more = if facts.dropped.len() > 4 { ", …" } else { "" };
        lines.push(format!("{} too long and left out: {}{more}", n(facts.dropped.len()), shown.join(", ")));
    }
    lines.extend(facts.notes.iter().cloned());
    lines
}
