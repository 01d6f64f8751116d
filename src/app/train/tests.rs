//! The pane told by its messages, without a clock, a file or a screen.

use std::time::Duration;

use super::super::overlay::Purpose;
use super::super::{Effect as AppEffect, Msg as AppMsg, Overlay};
use super::told::{LETTERS, SAMPLED};
use super::*;
use crate::app::hand::{self, Given};
use crate::app::{App, Pane};
use crate::keymap::{Command, Keymap};

/// The test that gives each command.
pub(in crate::app) const GIVEN: Given = &[
    (Command::TrainNew, a_run_is_checked_before_it_is_started),
    (Command::TrainPause, a_run_is_asked_for_what_it_can_do_and_no_other),
    (Command::TrainResume, a_run_is_asked_for_what_it_can_do_and_no_other),
    (Command::TrainStop, a_run_is_asked_for_what_it_can_do_and_no_other),
    (Command::TrainCheckpoint, a_run_is_asked_for_what_it_can_do_and_no_other),
    (Command::TrainOverlay, what_is_on_the_chart_is_followed_and_nothing_else),
    (Command::TrainSeries, series_scale_and_smoothing_turn),
    (Command::TrainSeriesBefore, series_scale_and_smoothing_turn),
    (Command::TrainLog, series_scale_and_smoothing_turn),
    (Command::TrainSmooth, series_scale_and_smoothing_turn),
    (Command::TrainZoomIn, the_chart_zooms_about_the_crosshair_and_comes_back),
    (Command::TrainZoomOut, the_chart_zooms_about_the_crosshair_and_comes_back),
    (Command::TrainPanLeft, the_chart_zooms_about_the_crosshair_and_comes_back),
    (Command::TrainPanRight, the_chart_zooms_about_the_crosshair_and_comes_back),
    (Command::TrainCrossLeft, the_chart_zooms_about_the_crosshair_and_comes_back),
    (Command::TrainCrossRight, the_chart_zooms_about_the_crosshair_and_comes_back),
    (Command::TrainBack, the_chart_zooms_about_the_crosshair_and_comes_back),
    (Command::TrainCompare, two_runs_are_compared_with_the_kept_one_else_with_the_one_before),
    (Command::TrainNote, a_note_and_a_picture_are_asked_for_by_a_line),
    (Command::TrainSvg, a_note_and_a_picture_are_asked_for_by_a_line),
    (Command::TrainDown, the_newest_run_is_first_and_the_cursor_stays_on_its_run),
    (Command::TrainUp, the_newest_run_is_first_and_the_cursor_stays_on_its_run),
    (Command::TrainTop, the_newest_run_is_first_and_the_cursor_stays_on_its_run),
    (Command::TrainBottom, the_newest_run_is_first_and_the_cursor_stays_on_its_run),
    (Command::TrainScrollDown, samples_are_scrolled_and_another_runs_begin_at_the_top),
    (Command::TrainScrollUp, samples_are_scrolled_and_another_runs_begin_at_the_top),
    (Command::NewStart, a_run_is_checked_before_it_is_started),
    (Command::NewEdit, a_run_is_checked_before_it_is_started),
    (Command::NewUsual, what_is_set_after_the_check_is_checked_again),
    (Command::NewDown, a_choice_is_offered_where_there_are_few),
    (Command::NewUp, the_cursor_of_the_form_goes_by_lines_and_by_pages),
    (Command::NewPageDown, the_cursor_of_the_form_goes_by_lines_and_by_pages),
    (Command::NewPageUp, the_cursor_of_the_form_goes_by_lines_and_by_pages),
    (Command::NewLeave, the_base_model_is_chosen_from_the_catalogue_or_written),
];

const NOW: Duration = Duration::from_secs(1);

fn run(name: &str, state: &str, step: u64) -> Run {
    Run { name: name.into(), state: state.into(), step, steps: Some(180), ..Run::default() }
}

/// A workbench on the pane with three runs, the newest of which runs.
fn app() -> App {
    let (mut app, _) = App::new("desk".into(), "ann".into(), Keymap::default(), (120, 36));
    app.pane = Pane::Train;
    take(&mut app, Msg::Runs(vec![run("a1", "finished", 180), run("a2", "stopped", 90), run("a3", "running", 40)]));
    app
}

fn take(app: &mut App, msg: Msg) -> Vec<Effect> {
    ours(app.update(AppMsg::Train(msg), NOW))
}

fn give(app: &mut App, command: Command) -> Vec<Effect> {
    ours(hand::give(app, command, NOW))
}

fn ours(effects: Vec<AppEffect>) -> Vec<Effect> {
    let ours = |effect| if let AppEffect::Train(effect) = effect { Some(effect) } else { None };
    effects.into_iter().filter_map(ours).collect()
}

fn written(app: &mut App, text: &str) -> Vec<Effect> {
    let Some(Overlay::Ask(asked)) = &mut app.overlay else { panic!("nothing is asked") };
    asked.field.set(text);
    give(app, Command::AskDone)
}

fn told(app: &App) -> String {
    app.toasts.last().map(|toast| toast.text.clone()).unwrap_or_default()
}

fn at(app: &App) -> &str {
    app.train.current().map_or("", |run| &run.name)
}

#[test]
pub(in crate::app) fn the_newest_run_is_first_and_the_cursor_stays_on_its_run() {
    let mut app = app();
    assert_eq!(at(&app), "a3");
    give(&mut app, Command::TrainDown);
    give(&mut app, Command::TrainDown);
    assert_eq!(at(&app), "a1");
    give(&mut app, Command::TrainDown);
    assert_eq!(at(&app), "a1", "there is none below");
    give(&mut app, Command::TrainUp);
    assert_eq!(at(&app), "a2");
    give(&mut app, Command::TrainDown);
    let more =
        [run("a1", "finished", 180), run("a2", "stopped", 90), run("a3", "running", 41), run("a4", "running", 0)];
    take(&mut app, Msg::Runs(more.to_vec()));
    assert_eq!(at(&app), "a1");
    give(&mut app, Command::TrainTop);
    assert_eq!(at(&app), "a4");
    give(&mut app, Command::TrainBottom);
    assert_eq!(at(&app), "a1");
    take(&mut app, Msg::Runs(vec![run("a2", "stopped", 90)]));
    assert_eq!(at(&app), "a2", "a run that was taken away is no trouble");
}

#[test]
pub(in crate::app) fn what_is_on_the_chart_is_followed_and_nothing_else() {
    let mut app = app();
    assert_eq!(give(&mut app, Command::TrainOverlay), [], "it is on the chart already");
    let watch = give(&mut app, Command::TrainDown);
    assert_eq!(watch, [Effect::Watch { shown: true, runs: vec!["a3".into(), "a2".into()] }]);
    take(
        &mut app,
        Msg::Steps {
            run: "a2".into(),
            anew: true,
            points: vec![Point { step: 1, loss: Some(1.0), ..Point::default() }],
        },
    );
    assert_eq!(app.train.histories.len(), 1);
    let watch = give(&mut app, Command::TrainDown);
    assert_eq!(watch, [Effect::Watch { shown: true, runs: vec!["a3".into(), "a1".into()] }]);
    assert!(app.train.histories.is_empty(), "what is off the chart is forgotten");
    give(&mut app, Command::TrainTop);
    give(&mut app, Command::TrainOverlay);
    assert!(app.train.kept.is_empty(), "the same key takes it off");
    assert_eq!(give(&mut app, Command::PaneData), [Effect::Watch { shown: false, runs: Vec::new() }]);
}

#[test]
pub(in crate::app) fn a_resumed_run_is_drawn_anew() {
    let mut app = app();
    let points = |steps: std::ops::RangeInclusive<u64>| {
        steps.map(|step| Point { step, loss: Some(2.0), ..Point::default() }).collect::<Vec<_>>()
    };
    take(&mut app, Msg::Steps { run: "a3".into(), anew: true, points: points(1..=9) });
    take(&mut app, Msg::Steps { run: "a3".into(), anew: false, points: points(10..=12) });
    assert_eq!(app.train.histories["a3"].last.step, 12);
    take(&mut app, Msg::Steps { run: "a3".into(), anew: true, points: points(1..=5) });
    let history = &app.train.histories["a3"];
    assert_eq!((history.last.step, history.loss.held()), (5, 5));
}

#[test]
pub(in crate::app) fn a_run_is_asked_for_what_it_can_do_and_no_other() {
    let mut app = app();
    for (command, request) in [
        (Command::TrainPause, Request::Pause),
        (Command::TrainStop, Request::Stop),
        (Command::TrainCheckpoint, Request::Checkpoint),
    ] {
        assert_eq!(give(&mut app, command), [Effect::Control { run: "a3".into(), request }]);
    }
    assert_eq!(give(&mut app, Command::TrainResume), [], "it runs");
    assert!(told(&app).contains("a3 is running"), "{}", told(&app));
    let ending = Run { phase: Some("stopping".into()), ..run("a3", "running", 41) };
    take(&mut app, Msg::Runs(vec![run("a1", "finished", 180), run("a2", "stopped", 90), ending]));
    give(&mut app, Command::TrainResume);
    assert!(told(&app).contains("a3 is stopping"), "{}", told(&app));
    let paused = Run { phase: Some("paused".into()), ..run("a3", "running", 41) };
    take(&mut app, Msg::Runs(vec![run("a1", "finished", 180), run("a2", "stopped", 90), paused]));
    let going = give(&mut app, Command::TrainResume);
    assert_eq!(going, [Effect::Control { run: "a3".into(), request: Request::Resume }]);
    let saving = give(&mut app, Command::TrainCheckpoint);
    assert_eq!(saving, [Effect::Control { run: "a3".into(), request: Request::Checkpoint }]);
    assert!(told(&app).contains("waits on"), "it does not go on for that: {}", told(&app));

    give(&mut app, Command::TrainDown);
    assert_eq!(give(&mut app, Command::TrainPause), []);
    assert!(told(&app).contains("a2") && told(&app).contains("stopped"), "{}", told(&app));
    assert_eq!(give(&mut app, Command::TrainResume), [Effect::Resume("a2".into())]);
    assert_eq!(give(&mut app, Command::TrainResume), [], "once is enough");
    take(&mut app, Msg::Started(Err("the worker of run a2 ended at once".into())));
    assert!(told(&app).contains("ended at once") && app.train.busy.is_none());
    give(&mut app, Command::TrainDown);
    assert_eq!(give(&mut app, Command::TrainResume), [], "what is finished stays so");
    assert!(told(&app).contains("finished"));
}

#[test]
pub(in crate::app) fn the_chart_zooms_about_the_crosshair_and_comes_back() {
    let mut app = app();
    give(&mut app, Command::TrainBottom);
    assert_eq!(app.train.window(), (0, 180));
    give(&mut app, Command::TrainCrossLeft);
    assert_eq!(app.train.chart.cross, Some(180), "it begins at the newest step");
    (0..30).for_each(|_| drop(give(&mut app, Command::TrainCrossLeft)));
    assert_eq!(app.train.chart.cross, Some(90));
    give(&mut app, Command::TrainCrossRight);
    assert_eq!(app.train.chart.cross, Some(93));
    give(&mut app, Command::TrainZoomIn);
    let (from, to) = app.train.window();
    assert!(to - from == 90 && (from..=to).contains(&93), "{from} to {to}");
    give(&mut app, Command::TrainPanLeft);
    assert_eq!(app.train.window(), (from - 22, to - 22));
    (0..9).for_each(|_| drop(give(&mut app, Command::TrainPanRight)));
    assert_eq!(app.train.window(), (90, 180), "no further than the last step");
    (0..9).for_each(|_| drop(give(&mut app, Command::TrainZoomIn)));
    let (from, to) = app.train.window();
    assert!(to - from >= 4, "a few steps stay in sight");
    give(&mut app, Command::TrainBack);
    assert_eq!(app.train.chart.cross, None);
    give(&mut app, Command::TrainBack);
    assert_eq!(app.train.window(), (0, 180));
    give(&mut app, Command::TrainZoomOut);
    assert_eq!(app.train.window(), (0, 180));
}

#[test]
pub(in crate::app) fn the_room_for_a_growing_run_doubles_and_ends_with_its_plan() {
    let mut app = app();
    let mut ends = Vec::new();
    for step in 1..=180 {
        take(&mut app, Msg::Runs(vec![run("a3", "running", step)]));
        ends.push(app.train.window().1);
    }
    ends.dedup();
    assert_eq!(ends, [16, 32, 64, 128, 180]);
}

#[test]
pub(in crate::app) fn series_scale_and_smoothing_turn() {
    let mut app = app();
    let mut seen = vec![app.train.chart.drawn];
    for _ in 0..3 {
        give(&mut app, Command::TrainSeries);
        seen.push(app.train.chart.drawn);
    }
    assert_eq!(seen, [Drawn::Loss, Drawn::Rate, Drawn::Norm, Drawn::Loss]);
    give(&mut app, Command::TrainSeriesBefore);
    assert_eq!(app.train.chart.drawn, Drawn::Norm);
    let before = app.train.chart;
    give(&mut app, Command::TrainLog);
    give(&mut app, Command::TrainSmooth);
    assert_eq!((app.train.chart.log, app.train.chart.smooth), (!before.log, !before.smooth));
}

#[test]
pub(in crate::app) fn a_note_and_a_picture_are_asked_for_by_a_line() {
    let mut app = app();
    give(&mut app, Command::TrainNote);
    assert_eq!(written(&mut app, "半分のデータ"), [Effect::Note { run: "a3".into(), text: "半分のデータ".into() }]);
    give(&mut app, Command::TrainLog);
    give(&mut app, Command::TrainSvg);
    let Some(Overlay::Ask(asked)) = &app.overlay else { panic!() };
    assert_eq!((asked.field.text().as_str(), &asked.purpose), ("a3.svg", &Purpose::Train(Line::Svg)));
    let drawn = written(&mut app, "out.svg");
    assert_eq!(drawn, [Effect::Svg { runs: vec!["a3".into()], log: true, file: "out.svg".into() }]);
    give(&mut app, Command::TrainSvg);
    assert_eq!(written(&mut app, " "), []);
}

#[test]
pub(in crate::app) fn two_runs_are_compared_with_the_kept_one_else_with_the_one_before() {
    let mut app = app();
    let pair = |a: &str, b: &str| Effect::Compare { a: a.into(), b: b.into() };
    assert_eq!(give(&mut app, Command::TrainCompare), [pair("a2", "a3")]);
    let difference = Difference { key: "train.rank".into(), a: "8".into(), b: "16".into() };
    let differ = |a: &str| Msg::Differ { a: a.into(), b: "a3".into(), differences: vec![difference.clone()] };
    take(&mut app, differ("a1"));
    assert!(matches!(app.train.face, Face::Differences { lines: None, .. }), "an answer to another question");
    take(&mut app, differ("a2"));
    assert!(matches!(&app.train.face, Face::Differences { lines: Some(lines), .. } if lines.len() == 1));
    give(&mut app, Command::TrainBack);
    assert_eq!(app.train.face, Face::Chart);
    give(&mut app, Command::TrainBottom);
    give(&mut app, Command::TrainOverlay);
    give(&mut app, Command::TrainTop);
    assert_eq!(give(&mut app, Command::TrainCompare), [pair("a1", "a3")]);
}

/// The workbench with the form open.
fn form() -> App {
    let mut app = app();
    assert_eq!(give(&mut app, Command::TrainNew), [Effect::Form]);
    let setting = |key: &str, value: &str| Setting {
        key: key.into(),
        value: value.into(),
        default: value.into(),
        doc: "It does.".into(),
    };
    let model = Model {
        id: "org/small".into(),
        parameters: 135_000_000,
        licence: "apache-2.0".into(),
        gated: false,
        runs: true,
        fits: Some(true),
        note: String::new(),
    };
    let settings = vec![setting("epochs", "3"), setting("schedule", "cosine")];
    take(&mut app, Msg::Form { settings, models: vec![model], base: "base.gguf".into() });
    app
}

#[test]
pub(in crate::app) fn a_run_is_checked_before_it_is_started() {
    let mut app = form();
    assert_eq!(app.scopes().first(), Some(&Scope::NewRun));
    give(&mut app, Command::NewDown);
    give(&mut app, Command::NewEdit);
    written(&mut app, "2");
    let wish = Wish { model: None, set: vec!["train.epochs=2".into()] };
    assert_eq!(give(&mut app, Command::NewStart), [Effect::Check(wish.clone())]);
    assert_eq!(give(&mut app, Command::NewStart), [], "it is at it");
    let told = |wish: &Wish, words: &str| Msg::Checking { wish: wish.clone(), words: words.into() };
    take(&mut app, told(&wish, "fetching the model: file 1 of 3, 2 MB of 90 MB"));
    take(&mut app, told(&Wish::default(), "another's"));
    assert_eq!(app.train.form.told, "fetching the model: file 1 of 3, 2 MB of 90 MB");
    take(
        &mut app,
        Msg::Checked { wish: wish.clone(), result: Err("the first 3 records\ncannot be trained on".into()) },
    );
    assert!(app.train.form.told.is_empty());
    assert_eq!(app.train.form.stand, Stand::Refused("the first 3 records\ncannot be trained on".into()));
    assert_eq!(give(&mut app, Command::NewStart), [Effect::Check(wish.clone())]);
    take(&mut app, Msg::Checked { wish: wish.clone(), result: Ok(Facts::default()) });
    assert_eq!(give(&mut app, Command::NewStart), [Effect::Start(wish)]);
    take(&mut app, Msg::Started(Ok("a4".into())));
    assert_eq!(app.train.face, Face::Chart);
    take(&mut app, Msg::Runs(vec![run("a3", "running", 50), run("a4", "running", 0)]));
    assert_eq!(at(&app), "a4", "the cursor goes to the new run");
}

#[test]
pub(in crate::app) fn what_is_set_after_the_check_is_checked_again() {
    let mut app = form();
    let wish = app.train.form.wish();
    give(&mut app, Command::NewStart);
    give(&mut app, Command::NewDown);
    give(&mut app, Command::NewEdit);
    written(&mut app, "1");
    take(&mut app, Msg::Checked { wish, result: Ok(Facts::default()) });
    assert_eq!(app.train.form.stand, Stand::Open, "that was about another run");
    let now = app.train.form.wish();
    assert_eq!(give(&mut app, Command::NewStart), [Effect::Check(now)]);
    give(&mut app, Command::NewUsual);
    assert!(app.train.form.given.is_empty());
}

#[test]
pub(in crate::app) fn the_base_model_is_chosen_from_the_catalogue_or_written() {
    let mut app = form();
    give(&mut app, Command::NewEdit);
    give(&mut app, Command::NewDown);
    give(&mut app, Command::NewEdit);
    assert_eq!(app.train.form.wish().line(), "togi train --model org/small");
    give(&mut app, Command::NewEdit);
    assert_eq!(app.train.form.choosing, Some(1), "the cursor is on the model that is chosen");
    give(&mut app, Command::NewPageDown);
    give(&mut app, Command::NewEdit);
    written(&mut app, "models/日本語.gguf");
    assert_eq!(app.train.form.base(), "models/日本語.gguf");
    give(&mut app, Command::NewUsual);
    assert_eq!(app.train.form.base(), "base.gguf");
    give(&mut app, Command::NewEdit);
    give(&mut app, Command::NewLeave);
    assert_eq!((app.train.form.choosing, app.train.face.clone()), (None, Face::New));
    give(&mut app, Command::NewLeave);
    assert_eq!(app.train.face, Face::Chart);
}

#[test]
pub(in crate::app) fn a_choice_is_offered_where_there_are_few() {
    let mut app = form();
    give(&mut app, Command::NewDown);
    give(&mut app, Command::NewDown);
    give(&mut app, Command::NewEdit);
    let Some(Overlay::Ask(asked)) = &app.overlay else { panic!() };
    assert_eq!(asked.suggestions, ["cosine", "linear", "constant"]);
    give(&mut app, Command::AskDown);
    give(&mut app, Command::AskDown);
    give(&mut app, Command::AskDone);
    assert_eq!(app.train.form.wish().set, ["train.schedule=linear"]);
}

#[test]
pub(in crate::app) fn without_a_run_every_command_says_so_or_does_nothing() {
    let (mut app, _) = App::new("desk".into(), "ann".into(), Keymap::default(), (80, 24));
    app.pane = Pane::Train;
    for command in Command::ALL.iter().filter(|command| command.scope() == Scope::Train) {
        let effects = give(&mut app, *command);
        assert!(
            effects.iter().all(|effect| matches!(effect, Effect::Watch { .. } | Effect::Form)),
            "{command:?}: {effects:?}"
        );
        app.train.face = Face::Chart;
    }
    assert!(app.toasts.iter().any(|toast| toast.text.contains("no run yet")));
}

#[test]
pub(in crate::app) fn samples_are_bounded_and_the_first_is_kept() {
    let mut app = app();
    let sample = |step: u64| Sample { step, id: "r1".into(), answer: "a".repeat(5_000) };
    for step in 0..500 {
        take(&mut app, Msg::Samples { run: "a3".into(), anew: step == 0, samples: vec![sample(step)] });
    }
    let kept = &app.train.samples["a3"];
    assert!(kept.len() <= SAMPLED && kept.iter().all(|sample| sample.answer.len() <= LETTERS));
    assert_eq!((kept.first().map(|s| s.step), kept.last().map(|s| s.step)), (Some(0), Some(499)));
}

#[test]
pub(in crate::app) fn a_run_that_goes_on_elsewhere_does_not_draw_another_pane() {
    let mut app = app();
    app.pane = Pane::Data;
    let of = |step: u64| Run { steps: Some(1_000), ..run("a3", "running", step) };
    take(&mut app, Msg::Runs(vec![of(770)]));
    app.take_dirty();
    take(&mut app, Msg::Runs(vec![of(777)]));
    assert!(!app.take_dirty());
    assert_eq!(app.train.runs[0].step, 777, "it is known all the same");
    take(&mut app, Msg::Runs(vec![of(780)]));
    assert!(app.take_dirty() && app.train.share() == Some(78), "but for the heading, which tells how far it is");
}

#[test]
pub(in crate::app) fn samples_are_scrolled_and_another_runs_begin_at_the_top() {
    let mut app = app();
    // As drawn, with ten lines that do not fit.
    assert_eq!(app.train.scroll.skip(0, 10), 0);
    give(&mut app, Command::TrainScrollUp);
    assert_eq!(app.train.scroll.lines(), 0);
    give(&mut app, Command::TrainScrollDown);
    give(&mut app, Command::TrainScrollDown);
    give(&mut app, Command::TrainScrollUp);
    assert!(app.train.scroll.lines() > 0);
    give(&mut app, Command::TrainDown);
    assert_eq!(app.train.scroll.lines(), 0);
}

#[test]
pub(in crate::app) fn the_cursor_of_the_form_goes_by_lines_and_by_pages() {
    let mut app = form();
    let mut at = |command| {
        give(&mut app, command);
        app.train.form.at
    };
    // The model, then two settings.
    assert_eq!((at(Command::NewUp), at(Command::NewDown), at(Command::NewPageDown)), (0, 1, 2));
    assert_eq!((at(Command::NewUp), at(Command::NewPageUp)), (1, 0));
}
