//! The pane that compares: the question above, two answers beside each other, the gold answer below.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{diff, paint};
use crate::app::compare::{Answer, Compare, Mode, Score};
use crate::app::record::{self, Place};
use crate::app::wish::{Question, System};
use crate::app::{App, Opened};
use crate::keymap::Command;
use crate::text;
use crate::theme::{Role, Theme};

/// Columns from which on the answers stand beside each other.
const BESIDE: u16 = 72;
/// Columns that what is told of an answer takes at most; on fewer it has two lines.
const FACTS: u16 = 68;

/// Draws the pane.
pub fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let compare = &app.compare;
    if let Mode::Present(presenter) = &compare.mode {
        present(frame, area, app, presenter.is_playing(), theme);
        return;
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let cells = usize::from(area.width);
    let Some(question) = compare.question() else {
        let own = app.keymap.first(Command::CompareType);
        let words = format!("There are no test records. togi split draws some, or {own} takes a question of your own.");
        paint::lines(frame, area, &paint::wrapped(&words, &[(0..words.len(), theme.style(Role::Dim))], cells), 0);
        return;
    };
    let heading = heading(app, &question, cells, theme);
    let asked = asked(compare, &question, cells, Some(theme));
    let blind = matches!(compare.mode, Mode::Blind(_));
    let gold = if blind { None } else { compare.record().and_then(gold) };
    let golden = gold.as_deref().map(|gold| paint::wrapped(gold, &[], cells)).unwrap_or_default();
    paint::line(frame, area, 0, &heading);
    let height = area.height.saturating_sub(1);
    // One above the other, the answers need more of the height than beside each other.
    let above = (asked.len() as u16).min(if area.width < BESIDE { height / 3 } else { height / 2 });
    let skip = compare.scroll.skip(0, asked.len().saturating_sub(usize::from(above)));
    let top = Rect { y: area.y + 1, height: above, ..area };
    paint::lines(frame, top, &asked, skip);
    let hidden = asked.len().saturating_sub(usize::from(above) + skip);
    // What is asked often stands at the end of a long text.
    let key = app.keymap.first(if blind { Command::BlindScrollDown } else { Command::CompareScrollDown });
    paint::more_by(frame, top, hidden, &key, theme);
    let below = if golden.is_empty() { 0 } else { (golden.len() as u16 + 1).min(height / 4) };
    let middle = Rect { y: area.y + 1 + above, height: height.saturating_sub(above + below), ..area };
    sides(frame, middle, app, gold.as_deref(), theme);
    if below > 0 {
        let foot = Rect { y: area.bottom() - below, height: below, ..area };
        paint::line(frame, foot, 0, &paint::rule("gold", cells, theme.style(Role::Good), theme));
        let foot = Rect { y: foot.y + 1, height: below - 1, ..foot };
        paint::lines(frame, foot, &golden, 0);
        paint::more(frame, foot, golden.len().saturating_sub(usize::from(foot.height)), theme);
    }
}

/// Which question, and how answers are generated.
fn heading(app: &App, question: &Question, cells: usize, theme: &Theme) -> Line<'static> {
    let compare = &app.compare;
    let count = |number: usize| text::count(number as u64);
    let mut left = Vec::new();
    match question {
        Question::Typed(_) => left.push(Span::styled("a question of your own", theme.style(Role::Title))),
        Question::Record(id) => {
            let of = format!("question {} of {}", count(compare.at + 1), count(compare.questions.len()));
            left.push(Span::styled(of, theme.style(Role::Title)));
            left.push(Span::styled(format!("  record {id}"), theme.style(Role::Dim)));
        }
    }
    let right = match &compare.mode {
        Mode::Blind(blind) => format!("blind, {} judged", count(blind.score.all())),
        _ if compare.how.temperature > 0.0 => {
            format!("temperature {}, seed {}", compare.how.temperature, compare.how.seed)
        }
        _ => "greedy".to_owned(),
    };
    paint::spread(left, vec![Span::styled(right, theme.style(Role::Info))], cells)
}

/// What is asked, without the answer: its parts under their names where there is a theme to draw these with, else a blank line apart.
fn asked(compare: &Compare, question: &Question, cells: usize, theme: Option<&Theme>) -> Vec<Line<'static>> {
    match question {
        Question::Typed(text) => paint::wrapped(text, &[], cells),
        Question::Record(_) => {
            let Some(open) = compare.record() else { return Vec::new() };
            let parts = record::parts(&open.record.state);
            let answer = record::answer(&open.record.state);
            let asked = parts.iter().filter(|part| part.place != answer && part.place != Place::Draft);
            let several = asked.clone().count() > 1;
            asked
                .filter(|part| !part.text.is_empty())
                .flat_map(|part| {
                    let mut lines = paint::wrapped(part.text.trim_end(), &[], cells);
                    // A short instruction needs no heading.
                    match theme {
                        Some(theme) if several && lines.len() > 1 => {
                            lines.insert(0, paint::rule(&part.name, cells, theme.style(Role::Dim), theme));
                        }
                        Some(_) => {}
                        None => lines.push(Line::default()),
                    }
                    lines
                })
                .collect()
        }
    }
}

fn gold(open: &Opened) -> Option<String> {
    record::text_of(&open.record.state, &record::answer(&open.record.state)).filter(|text| !text.is_empty())
}

/// The two answers, beside each other, or one above the other where the screen is narrow.
fn sides(frame: &mut Frame<'_>, area: Rect, app: &App, gold: Option<&str>, theme: &Theme) {
    let compare = &app.compare;
    if let Some(problem) = &compare.problem {
        let lines = paint::wrapped(problem, &[(0..problem.len(), theme.style(Role::Bad))], usize::from(area.width));
        paint::lines(frame, area, &lines, 0);
        return;
    }
    let blind = matches!(compare.mode, Mode::Blind(_));
    let half = area.width.saturating_sub(3) / 2;
    let columns = if area.width >= BESIDE {
        [Rect { width: half, ..area }, Rect { x: area.x + half + 3, width: area.width - half - 3, ..area }]
    } else {
        let height = area.height / 2;
        [Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area }]
    };
    // The same for both sides and at all times, so that answers begin beside each other and stay where they are.
    let above = if half < FACTS && area.height > 12 { 2 } else { 1 };
    for (side, (column, system)) in columns.into_iter().zip(compare.shown_sides()).enumerate() {
        let answer = &compare.answers[side];
        let cells = usize::from(column.width);
        let role = if side == 0 { Role::Base } else { Role::Tuned };
        let title = if blind { ["A", "B"][side].to_owned() } else { title(side, &system, answer) };
        paint::line(frame, column, 0, &paint::rule(&title, cells, theme.style(role), theme));
        let mut top = 1;
        if !blind && column.height > 3 {
            let (words, role) = facts(side, answer);
            let mut told = paint::wrapped(&words, &[(0..words.len(), theme.style(role))], cells);
            if told.len() > above {
                told.truncate(above);
                paint::unfinished(&mut told, cells);
            }
            let room = Rect { y: column.y + 1, height: above as u16, ..column }.intersection(column);
            paint::lines(frame, room, &told, 0);
            top = 1 + above as u16;
        }
        let lines = if answer.text.is_empty() && answer.done.is_none() {
            let words = match (answer.begun, compare.is_busy()) {
                (true, _) => "reading the question …".to_owned(),
                (false, true) => "loading the model …".to_owned(),
                (false, false) if side == 1 && compare.systems.len() == 1 && system == System::Base => {
                    let [pane, new] = [Command::PaneTrain, Command::TrainNew].map(|command| app.keymap.first(command));
                    format!("There is no tuned model yet: {pane}, then {new} sets a run up.")
                }
                (false, false) => format!("{} asks both", app.keymap.first(Command::CompareRun)),
            };
            vec![Line::styled(words, theme.style(Role::Dim))]
        } else if answer.text.trim().is_empty() {
            vec![Line::styled("(nothing)", theme.style(Role::Dim))]
        } else {
            // Once it is whole, what gold does not say stands out.
            let marks = match gold {
                Some(gold) if answer.done.is_some() => differing(&answer.text, gold, theme),
                _ => Vec::new(),
            };
            paint::wrapped(&answer.text, &marks, cells)
        };
        let rest = Rect { y: column.y + top, height: column.height.saturating_sub(top), ..column };
        // A long answer is followed as it grows, and read from its beginning.
        let most = lines.len().saturating_sub(usize::from(rest.height));
        let skip = if answer.done.is_some() { compare.scroll.skip(0, most) } else { most };
        paint::lines(frame, rest, &lines, skip);
        paint::more(frame, rest, most - skip, theme);
    }
}

/// Who answers, by name.
fn title(side: usize, system: &System, answer: &Answer) -> String {
    match (system, answer.apart, side) {
        (System::Base, ..) => "base".into(),
        // Never called tuned where it computes the same.
        (System::Run(run), Some(0.0), 1) => format!("{run}: the same as the left side"),
        (System::Run(run), ..) => {
            // A checkpoint that was asked for by its step is named already.
            let named = run.rsplit_once('@').is_some_and(|(_, step)| step.parse::<u64>().is_ok());
            let step = answer.checkpoint.as_deref().filter(|_| !named);
            let step = step.and_then(|folder| folder.strip_prefix("step-")?.parse::<u64>().ok());
            let step = step.map(|step| format!(", step {}", text::count(step))).unwrap_or_default();
            format!("tuned: {run}{step}")
        }
    }
}

/// The adapter's identity, how far the logits are apart, and the speed.
fn facts(side: usize, answer: &Answer) -> (String, Role) {
    let mut words = Vec::new();
    let mut role = Role::Dim;
    match answer.apart {
        Some(0.0) if side == 1 => {
            words.push("logits do not differ".into());
            role = Role::Warn;
        }
        Some(apart) if side == 1 => words.push(format!("logits differ by {apart:.2}")),
        _ => {}
    }
    if let Some((tokens, stop, seconds)) = &answer.done {
        words.push(format!("{tokens} tokens, {:.1}/s, {stop}", *tokens as f64 / seconds.max(1e-9)));
    } else if answer.begun {
        words.push(format!("{} prompt tokens", answer.prompt_tokens));
    }
    // What matters least stands where a narrow screen cuts.
    if let Some(adapter) = &answer.adapter {
        words.push(format!("adapter {}", adapter.chars().take(10).collect::<String>()));
    }
    (words.join(", "), role)
}

/// The words of an answer that are not in gold.
fn differing(answer: &str, gold: &str, theme: &Theme) -> Vec<(Range<usize>, Style)> {
    let (_, new) = diff::words(gold.trim(), answer.trim_end());
    new.into_iter()
        .map(|range| {
            (range, theme.style(Role::Removed).remove_modifier(ratatui::style::Modifier::CROSSED_OUT).underlined())
        })
        .collect()
}

/// Columns of an audience's screen that are written on: longer lines are hard to follow.
const CALM: u16 = 140;

/// For an audience: the question, large margins, two answers.
fn present(frame: &mut Frame<'_>, area: Rect, app: &App, playing: bool, theme: &Theme) {
    let compare = &app.compare;
    let side = (area.width / 12).max(area.width.saturating_sub(CALM) / 2);
    let inner =
        Rect { x: area.x + side, width: area.width - 2 * side, y: area.y + 1, height: area.height.saturating_sub(2) };
    let cells = usize::from(inner.width);
    let Some(question) = compare.question() else {
        let words = "There are no test records to present. togi split draws some.";
        paint::lines(frame, inner, &paint::wrapped(words, &[(0..words.len(), theme.style(Role::Dim))], cells), 0);
        return;
    };
    let mut asked = asked(compare, &question, cells, None);
    while asked.last().is_some_and(|line| line.width() == 0) {
        asked.pop();
    }
    let above = (asked.len() as u16).min(inner.height * 3 / 5);
    // Where not all of it fits, its end does: there stands what is asked.
    let skip = asked.len().saturating_sub(usize::from(above));
    paint::lines(frame, Rect { height: above, ..inner }, &asked, skip);
    frame.buffer_mut().set_style(Rect { height: above, ..inner }, theme.style(Role::Title));
    if skip > 0 {
        let before = Line::styled(format!("{} ", text::ELLIPSIS), theme.style(Role::Dim));
        paint::line(frame, Rect { x: inner.x.saturating_sub(2), width: 2, ..inner }, 0, &before);
    }
    let rest = Rect { y: inner.y + above + 1, height: inner.height.saturating_sub(above + 1), ..inner };
    let half = rest.width.saturating_sub(5) / 2;
    let names = [("before", Role::Base), ("after", Role::Tuned)];
    for (side, (name, role)) in names.into_iter().enumerate() {
        let column = Rect { x: rest.x + side as u16 * (half + 5), width: half, ..rest };
        let cells = usize::from(half);
        paint::line(frame, column, 0, &paint::rule(name, cells, theme.style(role), theme));
        let answer = &compare.answers[side];
        // A blank line between, where there is room for one.
        let top = if column.height > 8 { 2 } else { 1 };
        let text = Rect { y: column.y + top, height: column.height.saturating_sub(top), ..column };
        let lines = paint::wrapped(&answer.text, &[], cells);
        // A long answer is followed as it grows.
        paint::lines(frame, text, &lines, lines.len().saturating_sub(usize::from(text.height)));
    }
    let place = format!("{} / {}", compare.at + 1, compare.questions.len());
    let begun = compare.answers.iter().any(|answer| !answer.text.is_empty());
    let foot = match (playing, compare.is_busy(), &compare.problem) {
        (_, _, Some(problem)) => paint::short(problem, cells),
        (true, ..) => format!("rehearsed  {place}"),
        (_, true, _) => format!("live  {place}"),
        _ if begun => place,
        _ => {
            let key = |command| app.keymap.first(command);
            let [ask, next, leave] = [Command::PresentAgain, Command::PresentNext, Command::PresentLeave].map(key);
            paint::short(&format!("{place}   {ask} asks, {next} goes on, {leave} ends"), cells)
        }
    };
    let line = Rect { y: area.bottom() - 1, height: 1, ..inner };
    paint::line(frame, line, 0, &Line::styled(foot, theme.style(Role::Dim)));
}

/// What blind picks came to, in words.
pub fn result(systems: &[String; 2], score: &Score, theme: &Theme) -> Vec<Line<'static>> {
    let [first, second, tie, bad] = score.counts;
    let mut lines = vec![
        Line::styled(format!("{:>4}  {}", first, systems[0]), theme.style(Role::Base)),
        Line::styled(format!("{:>4}  {}", second, systems[1]), theme.style(Role::Tuned)),
        Line::raw(format!("{tie:>4}  as good")),
        Line::raw(format!("{bad:>4}  both bad")),
        Line::raw(""),
    ];
    if first + second > 0 {
        let (share, interval) = score.second();
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let verdict = format!("{} preferred in {} of the decided ones", systems[1], percent(share));
        lines.push(Line::styled(verdict, theme.style(Role::Title)));
        let sure = format!("95 %: {} to {}", percent(interval.low), percent(interval.high));
        let words = if interval.contains(0.5) { format!("{sure}; that could be chance") } else { sure };
        lines.push(Line::raw(words));
    }
    lines.push(Line::styled("kept: togi judgements counts all of them", theme.style(Role::Dim)));
    lines
}
