//! What is around a pane: the line above, the line below, hints after a first key, words that go by themselves.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::{Places, paint};
use crate::app::prompt::Right;
use crate::app::train::{Face, Run};
use crate::app::{App, Overlay, Pane, Spot};
use crate::keymap::{Command, Scope, spell};
use crate::text;
use crate::theme::{Role, Theme};

/// The line above: project, panes, what is on its way to the disk, how far the records are, who is at it.
pub fn header(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme, places: &mut Places) {
    let wide = area.width >= 100;
    let mut left = vec![Span::styled(" togi ", theme.style(Role::Accent))];
    if wide {
        left.push(Span::styled(format!("{} ", paint::short(&app.project, 24)), theme.style(Role::Dim)));
    }
    for (index, pane) in Pane::ALL.iter().enumerate() {
        let style = if *pane == app.pane {
            theme.style(Role::Accent).add_modifier(Modifier::UNDERLINED)
        } else {
            theme.style(Role::Dim)
        };
        left.push(Span::raw(" "));
        let name = format!("{} {}", index + 1, pane.name());
        let x = area.x + left.iter().map(|span| text::width(&span.content)).sum::<usize>() as u16;
        places.note(Rect { x, width: text::width(&name) as u16, ..area }, Spot::Pane(*pane));
        left.push(Span::styled(name, style));
    }
    let used = left.iter().map(|span| text::width(&span.content)).sum();
    let right = news(app, usize::from(area.width).saturating_sub(used), wide, theme);
    let line = paint::spread(left, right, usize::from(area.width));
    paint::line(frame, area, 0, &line);
}

/// What is at work, how far the records are, who is at it: as much of that as `room` has cells for, the pressing things first.
fn news(app: &App, room: usize, wide: bool, theme: &Theme) -> Vec<Span<'static>> {
    let mut pressing = Vec::new();
    let saving = Span::styled(format!("{} saving  ", theme.sign("●", "*")), theme.style(Role::Warn));
    // Its place is kept free: the bar would come and go with every text that is saved.
    let mut spare = text::width(&saving.content);
    if app.data.saving > 0 {
        spare = 0;
        pressing.push(saving);
    }
    if let Some(share) = app.train.share() {
        let waits = app.train.runs.iter().find(|run| run.is_live()).is_some_and(|run| run.word() == "paused");
        let (sign, words, role) = if waits {
            (theme.sign("‖", "="), "paused ", Role::Warn)
        } else {
            (theme.sign("▶", ">"), "training ", Role::Good)
        };
        let words = if wide { words } else { "" };
        pressing.push(Span::styled(format!(" {sign} {words}{share} % "), theme.style(role)));
    }
    if let Some(share) = app.evaluate.share() {
        let words = if wide { "measuring " } else { "" };
        pressing.push(Span::styled(format!(" {} {words}{share} % ", theme.sign("◇", "?")), theme.style(Role::Info)));
    }
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut left = room;
    let mut put = |parts: Vec<Span<'static>>, spare: usize| {
        let cells: usize = parts.iter().map(|span| text::width(&span.content)).sum();
        let fits = cells + spare <= left;
        if fits {
            left -= cells;
            spans.extend(parts);
        }
        fits
    };
    for span in pressing {
        put(vec![span], 0);
    }
    let tally = app.tally;
    if tally.records > 0 {
        let share = tally.gold as f64 / tally.target.max(1) as f64;
        let count = |number: usize| text::count(number as u64);
        let bar = Span::styled(paint::bar(share, if wide { 12 } else { 5 }, theme), theme.style(Role::Good));
        let words = Span::raw(format!(" {} / {} gold ", count(tally.gold), count(tally.target)));
        let percent = format!("{:.0} %", 100.0 * share);
        let _ = put(vec![bar, words.clone()], spare)
            || put(vec![words], 0)
            || put(vec![Span::raw(format!(" {percent} gold "))], 0)
            || put(vec![Span::raw(format!(" {percent} "))], 0);
    }
    if wide {
        put(vec![Span::styled(format!(" {} ", paint::short(&app.author, 16)), theme.style(Role::Dim))], 0);
    }
    spans
}

/// The commands that the line below shows for a scope, each with a short word.
fn useful(scope: Scope) -> &'static [(Command, &'static str)] {
    use Command as C;
    match scope {
        Scope::Data => &[
            (C::Accept, "accept"),
            (C::Edit, "edit"),
            (C::Reject, "reject"),
            (C::Skip, "skip"),
            (C::Undo, "undo"),
            (C::Filter, "filter"),
            (C::Select, "select"),
            (C::NextFlagged, "flagged"),
            (C::Category, "category"),
            (C::Split, "split"),
            (C::Neighbours, "alike"),
        ],
        Scope::Train => &[
            (C::TrainBack, "back"),
            (C::TrainNew, "new"),
            (C::TrainPause, "pause"),
            (C::TrainResume, "go on"),
            (C::TrainStop, "stop"),
            (C::TrainOverlay, "overlay"),
            (C::TrainSeries, "series"),
            (C::TrainLog, "log"),
            (C::TrainCrossLeft, "crosshair"),
            (C::TrainZoomIn, "zoom"),
            (C::TrainCompare, "differences"),
            (C::TrainNote, "note"),
            (C::TrainSvg, "SVG"),
            (C::TrainCheckpoint, "checkpoint"),
        ],
        Scope::NewRun => &[
            (C::NewEdit, "change"),
            (C::NewStart, "check, then start"),
            (C::NewUsual, "as before"),
            (C::NewLeave, "back"),
            (C::Copy, "copy the command"),
        ],
        Scope::Editor => &[
            (C::EditorDone, "keep"),
            (C::EditorAccept, "accept and next"),
            (C::EditorSave, "save"),
            (C::EditorPartNext, "next part"),
            (C::EditorRevert, "revert"),
            (C::HelpAnywhere, "help"),
        ],
        Scope::Prompt => &[
            (C::PromptStop, "tokens"),
            (C::PromptEdit, "edit"),
            (C::PromptTry, "try"),
            (C::PromptSave, "save"),
            (C::PromptUse, "use"),
            (C::PromptVersion, "versions"),
            (C::PromptNext, "next record"),
            (C::PromptPin, "pin"),
            (C::PromptExample, "example"),
            (C::PromptDiff, "differences"),
        ],
        Scope::Compare => &[
            (C::CompareRun, "ask both"),
            (C::CompareNext, "next"),
            (C::CompareBefore, "before"),
            (C::CompareType, "your own"),
            (C::CompareLeft, "left"),
            (C::CompareRight, "right"),
            (C::CompareSeed, "seed"),
            (C::CompareBlind, "blind"),
            (C::ComparePresent, "present"),
        ],
        Scope::Blind => &[
            (C::BlindLeft, "A"),
            (C::BlindRight, "B"),
            (C::BlindTie, "as good"),
            (C::BlindBad, "both bad"),
            (C::BlindSkip, "skip"),
            (C::BlindLeave, "end"),
        ],
        Scope::Ask => &[(C::AskDone, "take"), (C::AskDown, "suggestion"), (C::AskLeave, "leave")],
        Scope::Pick => &[(C::PickDone, "take"), (C::PickDown, "down"), (C::PickUp, "up"), (C::PickLeave, "leave")],
        Scope::Confirm => &[(C::ConfirmYes, "do it"), (C::ConfirmNo, "leave it")],
        Scope::Conflict => &[
            (C::ConflictMine, "keep mine"),
            (C::ConflictTheirs, "keep theirs"),
            (C::ConflictEdit, "edit"),
            (C::ConflictLeave, "later"),
        ],
        scope => of_evaluations(scope),
    }
}

/// The same while a template is written: there is no next record, and no next part of one.
const TEMPLATE: &[(Command, &str)] = &[
    (Command::EditorDone, "keep"),
    (Command::EditorSave, "save a version"),
    (Command::EditorPartNext, "variable"),
    (Command::EditorRevert, "revert"),
    (Command::HelpAnywhere, "help"),
];

/// The same of a list that is only read.
const READ: &[(Command, &str)] = &[(Command::PickDown, "down"), (Command::PickUp, "up"), (Command::PickLeave, "back")];

/// The same of the pane that evaluates.
fn of_evaluations(scope: Scope) -> &'static [(Command, &'static str)] {
    use Command as C;
    match scope {
        Scope::Evaluate => &[
            (C::EvaluateOpen, "open"),
            (C::EvaluateStart, "measure"),
            (C::EvaluateList, "rows"),
            (C::EvaluateTable, "errors"),
            (C::EvaluateTest, "test"),
            (C::EvaluateSystems, "who"),
            (C::EvaluatePair, "pair"),
            (C::EvaluateStop, "stop"),
            (C::EvaluatePause, "pause"),
            (C::EvaluateAgain, "anew"),
        ],
        Scope::EvaluateRow => &[
            (C::RowMark, "mark an error"),
            (C::Undo, "undo"),
            (C::RowNext, "next"),
            (C::RowBefore, "before"),
            (C::RowAnswer, "answer"),
            (C::RowLeave, "back"),
        ],
        _ => &[],
    }
}

/// The line below: the most useful keys of what is open.
pub fn footer(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let scopes = app.scopes();
    let first = scopes.first().copied().unwrap_or(Scope::Normal);
    let help = if first == Scope::Editor { "" } else { "help" };
    let tail = if app.overlay.is_none() && !help.is_empty() {
        vec![
            Span::styled(app.keymap.first(Command::Help), theme.style(Role::Key)),
            Span::styled(" help  ", theme.style(Role::Dim)),
            Span::styled(app.keymap.first(Command::Quit), theme.style(Role::Key)),
            Span::styled(" leave ", theme.style(Role::Dim)),
        ]
    } else {
        Vec::new()
    };
    let room = usize::from(area.width).saturating_sub(tail.iter().map(|span| text::width(&span.content)).sum());
    let mut left = vec![Span::raw(" ")];
    let mut used = 1;
    let useful = match (&app.overlay, first, app.pane) {
        (Some(Overlay::Score { .. }), ..) => &[(Command::PickDone, "go on")],
        (Some(Overlay::History { .. }), ..) => READ,
        (_, Scope::Editor, Pane::Prompt) => TEMPLATE,
        _ => useful(first),
    };
    for (command, word) in useful {
        let key = app.keymap.first(*command);
        let cells = text::width(&key) + text::width(word) + 3;
        if key.is_empty() || used + cells > room || !applies(app, *command) {
            continue;
        }
        used += cells;
        left.push(Span::styled(key, theme.style(Role::Key)));
        left.push(Span::styled(format!(" {word}  "), theme.style(Role::Dim)));
    }
    let line = paint::spread(left, tail, usize::from(area.width));
    paint::line(frame, area, 0, &line);
}

/// Whether a command would do something as things stand. One that only says why it cannot takes the room of one that can.
fn applies(app: &App, command: Command) -> bool {
    use Command as C;
    let run = app.train.current();
    let live = run.is_some_and(Run::is_live);
    let face = matches!(app.train.face, Face::Differences { .. });
    let evaluate = &app.evaluate;
    match command {
        C::TrainPause | C::TrainStop | C::TrainCheckpoint => live,
        C::TrainResume => run.is_some_and(|run| !live && run.state != "finished" || run.word() == "paused"),
        C::TrainBack => face || app.train.chart.cross.is_some() || app.train.chart.window.is_some(),
        C::TrainOverlay | C::TrainSeries | C::TrainLog | C::TrainZoomIn | C::TrainSvg => run.is_some() && !face,
        C::TrainCrossLeft => run.is_some() && !face && app.train.chart.cross.is_none(),
        C::TrainNote => run.is_some(),
        C::TrainCompare => app.train.runs.len() > 1 && !face,
        C::PromptStop => app.prompt.right != Right::Tokens,
        C::PromptDiff => app.prompt.right != Right::Diff,
        C::EvaluateOpen | C::EvaluateList => evaluate.pair().is_some(),
        C::EvaluatePair | C::EvaluateTable | C::EvaluateAgain | C::EvaluateSystems => evaluate.report.is_some(),
        C::EvaluateTest => evaluate.tests.len() > 1,
        C::EvaluateStop | C::EvaluatePause => evaluate.live().is_some(),
        _ => true,
    }
}

/// What may follow the keys pressed so far.
pub fn hints(frame: &mut Frame<'_>, body: Rect, app: &App, theme: &Theme) {
    let hints = app.hints();
    if hints.is_empty() {
        return;
    }
    let height = (hints.len() as u16 + 2).min(body.height);
    let area = Rect { y: body.bottom() - height, height, ..paint::middle(body, 56, body.height) };
    let title: Vec<String> = app.pressed.iter().map(|key| spell(*key)).collect();
    let inner = paint::boxed(frame, area, &title.join(" "), theme);
    let lines: Vec<Line<'_>> = hints
        .iter()
        .map(|(key, command)| {
            Line::from(vec![Span::styled(text::fit(&spell(*key), 8), theme.style(Role::Key)), Span::raw(command.doc())])
        })
        .collect();
    paint::lines(frame, inner, &lines, 0);
}

/// Words that go by themselves, at the lower right.
pub fn toasts(frame: &mut Frame<'_>, body: Rect, app: &App, theme: &Theme) {
    let mut bottom = body.bottom();
    let cells = usize::from(body.width).saturating_sub(4).min(100);
    for toast in app.toasts.iter().rev() {
        let role = if toast.trouble { Role::Bad } else { Role::Title };
        let lines = paint::wrapped(&toast.text, &[(0..toast.text.len(), theme.style(role))], cells);
        let height = (lines.len() as u16).min(bottom.saturating_sub(body.y));
        if height == 0 {
            return;
        }
        let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
        let area = Rect { x: body.right().saturating_sub(width), y: bottom - height, width, height };
        paint::clear(frame.buffer_mut(), area, theme.style(Role::Text));
        let sign = if toast.trouble { "!" } else { theme.sign("·", ".") };
        paint::line(frame, area, 0, &Line::styled(format!(" {sign}"), theme.style(role)));
        paint::lines(frame, Rect { x: area.x + 3, width: area.width.saturating_sub(3), ..area }, &lines, 0);
        bottom -= height;
    }
}
