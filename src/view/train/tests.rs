//! Frames of the pane on fixed runs.

use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::train::{Difference, Facts, Model, Msg, Needs, Point, Run, Sample, Setting};
use crate::app::{App, Msg as AppMsg, Pane};
use crate::keymap::{Command, Keymap};
use crate::text;
use crate::theme::{BUILT_IN, Colours, Theme};
use crate::view::loss_chart::{self, Scale};

const NOW: Duration = Duration::from_secs(1);

fn theme(colours: Colours, ascii: bool) -> Theme {
    Theme::read(Path::new("dark"), BUILT_IN[0].1, colours).unwrap().with_ascii(ascii)
}

/// What is on the screen, a line a row. A wide letter takes two cells, the second of which holds nothing.
fn screen(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += (text::width(symbol) as u16).max(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn drawn(app: &App, size: (u16, u16), theme: &Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| drop(crate::view::draw(frame, app, theme))).unwrap();
    terminal.backend().buffer().clone()
}

fn run(name: &str, state: &str, step: u64) -> Run {
    Run {
        name: name.into(),
        state: state.into(),
        step,
        steps: Some(120),
        loss: Some(0.5),
        best: Some((0.61, 60)),
        base: "org/small-model".into(),
        rows: Some(150),
        created: "2026-11-22 14:03".into(),
        ..Run::default()
    }
}

/// A falling curve with a wave on it that is the same every time, and validations.
fn points(steps: u64, rate: f64) -> Vec<Point> {
    let loss = |step: u64| 0.4 + 2.6 * (-(step as f64) / rate).exp();
    (0..=steps)
        .map(|step| Point {
            step,
            loss: (step > 0).then(|| loss(step) * (1.0 + 0.1 * (step as f64 * 2.3).sin())),
            rate: Some(1e-3),
            norm: Some(0.8),
            valid: step.is_multiple_of(20).then(|| loss(step) + 0.1),
            tokens: step * 500,
            seconds: step as f64,
            memory_mib: 812,
        })
        .collect()
}

fn app(two: bool) -> App {
    let (mut app, _) = App::new("desk".into(), "ann".into(), Keymap::default(), (120, 36));
    app.pane = Pane::Train;
    let note = Run { note: "半分のデータで".into(), ..run("2026-11-22-a1", "finished", 120) };
    let live = Run { phase: Some("paused".into()), seconds_left: Some(75.0), ..run("2026-11-22-a2", "running", 90) };
    take(&mut app, Msg::Runs(vec![note, live]));
    if two {
        give(&mut app, Command::TrainBottom);
        give(&mut app, Command::TrainOverlay);
        give(&mut app, Command::TrainTop);
        take(&mut app, Msg::Steps { run: "2026-11-22-a1".into(), anew: true, points: points(120, 60.0) });
    }
    take(&mut app, Msg::Steps { run: "2026-11-22-a2".into(), anew: true, points: points(90, 20.0) });
    let sample = |step: u64, answer: &str| Sample { step, id: "17@42".into(), answer: answer.into() };
    let samples = vec![sample(0, ""), sample(20, "- 椅子を注文"), sample(40, "- 佐藤: 椅子を注文する (5月9日)")];
    take(&mut app, Msg::Samples { run: "2026-11-22-a2".into(), anew: true, samples });
    app
}

fn take(app: &mut App, msg: Msg) {
    app.update(AppMsg::Train(msg), NOW);
}

fn give(app: &mut App, command: Command) {
    let mut effects = Vec::new();
    app.command(command, NOW, &mut effects);
    app.update(AppMsg::Wake, NOW);
}

#[test]
fn the_pane_tells_everything_at_every_size() {
    let app = app(true);
    for (size, ascii) in
        [((60, 16), false), ((80, 24), false), ((80, 24), true), ((120, 36), false), ((200, 50), false)]
    {
        let screen = screen(&drawn(&app, size, &theme(Colours::All, ascii)));
        for words in ["2026-11-22-a1", "2026-11-22-a2", "loss (smoothed)", "steps 0 to 120", "step 90/120"] {
            assert!(screen.contains(words), "{size:?} without {words:?}:\n{screen}");
        }
        if size.1 >= 24 {
            for words in ["still falling", "valid 0.", "tok/s 500", "memory 812.0 MiB", "left 1 m 15 s"] {
                assert!(screen.contains(words), "{size:?} without {words:?}:\n{screen}");
            }
            assert!(screen.contains("佐藤: 椅子を注文する") && screen.contains("record 17"), "{screen}");
        }
        let braille = screen.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count();
        assert_eq!(braille == 0, ascii, "{screen}");
        assert!(!ascii || screen.chars().all(|c| c.is_ascii() || text::width(&c.to_string()) == 2), "{screen}");
    }
}

#[test]
fn the_pane_as_it_was_seen_to_be_right() {
    let app = app(true);
    for size in [(80, 24), (120, 36), (200, 50)] {
        let frame = screen(&drawn(&app, size, &theme(Colours::All, false)));
        insta::assert_snapshot!(format!("train-{}x{}", size.0, size.1), frame);
    }
    let frame = screen(&drawn(&app, (80, 24), &theme(Colours::None, true)));
    insta::assert_snapshot!("train-ascii-80x24", frame);
}

#[test]
fn every_heading_tells_how_far_a_live_run_is() {
    let mut app = app(false);
    let sizes = [(60, 16), (80, 24), (120, 36)];
    let told = |app: &mut App, words: [&str; 3]| {
        for pane in Pane::ALL {
            app.pane = pane;
            for (size, words) in sizes.into_iter().zip(words) {
                let shown = screen(&drawn(app, size, &theme(Colours::All, false)));
                let heading = shown.lines().next().unwrap_or_default().to_owned();
                assert!(heading.contains(words), "{pane:?} {size:?}: {heading}");
            }
        }
    };
    told(&mut app, ["‖ 75 %", "‖ 75 %", "‖ paused 75 %"]);
    take(&mut app, Msg::Runs(vec![run("2026-11-22-a2", "running", 90)]));
    told(&mut app, ["▶ 75 %", "▶ 75 %", "▶ training 75 %"]);
    take(&mut app, Msg::Runs(vec![run("2026-11-22-a1", "finished", 120)]));
    assert!(!screen(&drawn(&app, (80, 24), &theme(Colours::All, false))).contains('▶'));
}

#[test]
fn a_narrow_chart_is_as_it_was_seen_to_be_right() {
    let app = app(true);
    let area = Rect::new(0, 0, 56, 11);
    let mut buffer = Buffer::empty(area);
    let theme = theme(Colours::None, true);
    let curves: Vec<_> = ["2026-11-22-a1", "2026-11-22-a2"]
        .iter()
        .enumerate()
        .map(|(at, name)| (loss_chart::look(at, &theme), &app.train.histories[*name]))
        .collect();
    loss_chart::draw(&mut buffer, area, &app.train, &curves, &theme);
    insta::assert_snapshot!(screen(&buffer), @r"
    4+
     |
    3+^+*.
     | +*+****.
    2+  .++..*o****
     |    ..++ . ..***o****
     |     ...^++      ...****o******.o
    1+         ...++.+^+        ....**********o*******o
     |               ....++.++^.++.+++^++.+B     . ...A
    0+
      0        25        50        75        100
    ");
}

#[test]
fn a_figure_that_grows_leaves_the_others_where_they_are() {
    let mut app = app(false);
    let place = |app: &App| {
        let screen = screen(&drawn(app, (160, 40), &theme(Colours::None, false)));
        let line = screen.lines().find(|line| line.contains("memory")).unwrap().to_owned();
        ["valid", "rate", "gradient", "tok/s", "memory"].map(|word| line.find(word).unwrap())
    };
    let before = place(&app);
    let small = Point {
        step: 91,
        loss: Some(9.56e-4),
        norm: Some(12.5),
        tokens: 45_900,
        seconds: 90.1,
        memory_mib: 84,
        ..Point::default()
    };
    take(
        &mut app,
        Msg::Steps { run: "2026-11-22-a2".into(), anew: false, points: vec![Point { rate: Some(3e-4), ..small }] },
    );
    assert_eq!(place(&app), before);
}

#[test]
fn a_curve_is_told_from_another_without_its_colour() {
    let app = app(true);
    for (ascii, signs) in [(false, ["A ⠒⠒⠒", "B ⠒⠂⠒", "◆", "▲"]), (true, ["A ***", "B +++", "o", "^"])]
    {
        let screen = screen(&drawn(&app, (120, 36), &theme(Colours::None, ascii)));
        for sign in signs {
            assert!(screen.contains(sign), "without {sign:?}:\n{screen}");
        }
        let ends = screen.lines().skip(3).take(20).filter(|line| line.contains('A') || line.contains('B')).count();
        assert!(ends >= 1, "no letter at the end of a line:\n{screen}");
    }
}

#[test]
fn the_crosshair_reads_every_curve_at_its_step() {
    let mut app = app(true);
    for _ in 0..16 {
        give(&mut app, Command::TrainCrossLeft);
    }
    assert_eq!(app.train.chart.cross, Some(60));
    let screen = screen(&drawn(&app, (120, 36), &theme(Colours::None, false)));
    let loss = |rate: f64| 0.5 + 2.6 * (-60.0 / rate).exp();
    for words in
        ["step 60".to_owned(), format!("valid {:.3} at 60", loss(60.0)), format!("valid {:.3} at 60", loss(20.0))]
    {
        assert!(screen.contains(&words), "without {words:?}:\n{screen}");
    }
    assert!(screen.contains('┆'), "{screen}");
}

#[test]
fn a_scale_has_round_ends_that_hold_still() {
    let scale = |low, high, log| Scale::new(low, high, log, 4);
    assert_eq!(scale(0.43, 2.97, false), scale(0.47, 2.99, false), "a little more is no other scale");
    assert_eq!(scale(0.43, 2.97, true), scale(0.45, 2.8, true));
    assert_ne!(scale(0.43, 2.97, false), scale(0.43, 5.97, false));
    for (low, high) in [(1.0, 1.0), (0.0, 0.0), (1e-9, 1e-8), (-3.0, 7.0), (1e6, 3e9)] {
        for log in [false, true] {
            let words = format!("{:?}", scale(low, high, log));
            assert!(
                !words.contains("NaN") && !words.contains("inf") && !words.contains("ticks: []"),
                "{low} {high}: {words}"
            );
        }
    }
}

#[test]
fn the_form_shows_settings_command_and_findings() {
    let mut app = app(false);
    give(&mut app, Command::TrainNew);
    let setting = |key: &str, value: &str| Setting {
        key: key.into(),
        value: value.into(),
        default: value.into(),
        doc: format!("What {key} does."),
    };
    let model = |id: &str, fits: bool| Model {
        id: id.into(),
        parameters: 135_000_000,
        licence: "apache-2.0".into(),
        gated: false,
        runs: true,
        fits: Some(fits),
        note: String::new(),
    };
    let settings = vec![setting("epochs", "3"), setting("batch", "8")];
    let models = vec![model("org/small", true), model("org/large", false)];
    take(&mut app, Msg::Form { settings, models, base: "org/small-model".into() });
    give(&mut app, Command::NewDown);
    app.train.form.give("epochs", "5");
    let shown = |app: &App, size| screen(&drawn(app, size, &theme(Colours::None, false)));
    for size in [(80, 24), (120, 36), (200, 50)] {
        let screen = shown(&app, size);
        for words in ["◆ epochs", "usually 3", "What epochs does.", "$ togi train --set train.epochs=5"] {
            assert!(screen.contains(words), "{size:?} without {words:?}:\n{screen}");
        }
    }
    let wish = app.train.form.wish();
    let why = "3 records are longer than the window:\n  17: 812 tokens\nraise train.max_length";
    take(&mut app, Msg::Checked { wish: wish.clone(), result: Err(why.into()) });
    let screen = shown(&app, (80, 24));
    assert!(why.lines().all(|line| screen.contains(line)), "all of the words:\n{screen}");
    let run = Run { tokens_per_s: Some(500.0), ..run("2026-11-22-a2", "finished", 90) };
    take(&mut app, Msg::Runs(vec![run]));
    let device = Needs { name: "a GPU".into(), needs_bytes: 3 << 30, free_bytes: 24 << 30, pass_tokens: 8192 };
    let facts = Facts {
        rows: 150,
        valid_rows: 40,
        tokens: 30_000,
        steps: 57,
        needs_bytes: 1 << 30,
        device: Some(device),
        ..Facts::default()
    };
    take(&mut app, Msg::Checked { wish, result: Ok(facts) });
    let screen = shown(&app, (80, 24));
    // 57 steps of 8 are 456 rows of 200 tokens: 91,200 tokens at 500 a second.
    for words in [
        "150 rows, 40 to validate on",
        "57 steps",
        "1.0 GiB of memory",
        "about 3 m 02 s",
        "on a GPU: about 3.0 GiB of its memory in passes of 8,192 tokens",
        "starts it",
    ] {
        assert!(screen.contains(words), "without {words:?}:\n{screen}");
    }
    give(&mut app, Command::NewUp);
    give(&mut app, Command::NewEdit);
    let screen = shown(&app, (80, 24));
    for words in ["org/small ", "135M", "fits", "too large", "apache-2.0", "another:"] {
        assert!(screen.contains(words), "without {words:?}:\n{screen}");
    }
}

#[test]
fn differing_settings_stand_side_by_side() {
    let mut app = app(false);
    give(&mut app, Command::TrainCompare);
    let one = |key: &str, a: &str, b: &str| Difference { key: key.into(), a: a.into(), b: b.into() };
    let (a, b) = ("2026-11-22-a1".to_owned(), "2026-11-22-a2".to_owned());
    take(
        &mut app,
        Msg::Differ { a, b, differences: vec![one("train.rank", "8", "16"), one("prompt.system", "-", "簡潔に")] },
    );
    for size in [(60, 16), (80, 24), (200, 50)] {
        let screen = screen(&drawn(&app, size, &theme(Colours::None, false)));
        let line = screen.lines().find(|line| line.contains("train.rank")).unwrap_or_else(|| panic!("{screen}"));
        assert!(line.contains(" 8 ") && line.contains(" 16"), "{screen}");
        assert!(screen.contains("簡潔に"), "{screen}");
    }
}

#[test]
fn the_smallest_screen_has_a_chart_however_much_there_is_to_say() {
    let mut app = app(true);
    give(&mut app, Command::TrainOverlay);
    give(&mut app, Command::TrainDown);
    give(&mut app, Command::TrainCrossLeft);
    let screen = screen(&drawn(&app, (60, 16), &theme(Colours::None, false)));
    let rows = screen.lines().filter(|line| line.contains(['│', '┤'])).count();
    assert!(rows >= 4, "{screen}");
    assert!(screen.contains("step"), "{screen}");
}
