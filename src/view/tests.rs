//! Frames of each pane at three sizes, in English and Japanese, and what they look like with many colours, few and none.
//!
//! The stored frames are under `snapshots`; `cargo insta review` shows what a change does to them.

use std::fmt::Write as _;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::{Map, Value};

use super::*;
use crate::app::compare::Mode;
use crate::app::prompt::{Token, Version};
use crate::app::wish::{Found, Granted, System, Told};
use crate::app::{Content, Effect, Flag, Msg, Opened, Origin, Record, Row, Split, State, Status, Tally};
use crate::keymap::{Command, Keymap};
use crate::theme::Colours;

mod corners;
mod evaluation;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 50)];

/// What is on the screen, line by line, without the blanks at the ends.
fn screen(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer.cell((x, y)).map_or(" ", |cell| cell.symbol());
            line.push_str(symbol);
            x += crate::text::width(symbol).max(1) as u16;
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// How the screen looks: for each line its stretches that are not plain.
fn looks(buffer: &Buffer, plain: ratatui::style::Style) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..buffer.area.width {
            let Some(cell) = buffer.cell((x, y)) else { continue };
            let mut style = cell.style();
            style.underline_color = None;
            let same = (style.fg, style.bg)
                == (plain.fg.or(Some(ratatui::style::Color::Reset)), Some(ratatui::style::Color::Reset));
            let word = if same && style.add_modifier.is_empty() {
                continue;
            } else {
                format!(
                    "{:?}/{:?} {:?}",
                    style.fg.unwrap_or_default(),
                    style.bg.unwrap_or_default(),
                    style.add_modifier
                )
            };
            match runs.last_mut() {
                Some((_, end, last)) if *end == x && *last == word => *end = x + 1,
                _ => runs.push((x, x + 1, word)),
            }
        }
        for (from, to, word) in runs {
            let _ = writeln!(out, "{y}:{from}-{to} {word}");
        }
    }
    out
}

fn drawn(app: &App, theme: &Theme, (columns, rows): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| drop(draw(frame, app, theme))).unwrap();
    terminal.backend().buffer().clone()
}

fn theme(colours: Colours) -> Theme {
    Theme::load("dark", colours).unwrap()
}

struct Words {
    question: &'static str,
    draft: &'static str,
    gold: &'static str,
    category: &'static str,
}

const ENGLISH: Words = Words {
    question: "Choir, 21 September. Present: Felix, Robert and Hana.\n1. Hana offered to buy the snacks by 30 September.\n2. We had no time to talk about parking.",
    draft: "1. Hana: buys the snacks by 30 September\nLet me know if you need anything else!",
    gold: "1. Hana: buy the snacks by 30 September",
    category: "minutes",
};

const JAPANESE: Words = Words {
    question: "テニスクラブ、4月28日。\n1.石井さんの担当は消火器の点検で、期限は5月9日とする。\n2.料金について長く話し合った。ﾊﾞｽは来ない。",
    draft: "1.石井、消火器の点検を、5/9",
    gold: "1.石井、消火器の点検、5月9日",
    category: "議事録",
};

fn record(id: i64, words: &Words, status: Status) -> Record {
    let mut fields = Map::new();
    fields.insert("instruction".into(), Value::String("To do:".into()));
    fields.insert("input".into(), Value::String(words.question.into()));
    let gold = (status == Status::Gold || id == 2).then(|| words.gold.to_owned());
    let content = Content::Pair { fields, draft: Some(words.draft.into()), gold };
    let mut state = State::new(content, status);
    state.category = Some(words.category.into());
    state.split = (id % 2 == 0).then_some(Split::Train);
    Record { id, revision: id, state, origin: Origin::Traffic, source: None }
}

/// A workbench in the middle of some work.
fn workbench(words: &Words, size: (u16, u16)) -> App {
    let (mut app, effects) = App::new("desk".into(), "mika".into(), Keymap::default(), size);
    let now = Duration::from_secs(1);
    let number = effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Store(crate::app::Ask::Find { number, .. }) => Some(*number),
            _ => None,
        })
        .unwrap();
    app.update(Msg::Found { number, ids: Ok((1..=40).collect()) }, now);
    let statuses = [Status::Gold, Status::Draft, Status::Rejected, Status::Inbox];
    let rows = (1..=40).map(|id: i64| {
        let status = statuses[usize::try_from(id - 1).unwrap().min(3)];
        Row {
            id,
            status,
            split: None,
            origin: Origin::Traffic,
            category: Some(words.category.into()),
            assignee: (id == 5).then(|| "aiko".into()),
            author: "mika".into(),
            flags: if id % 3 == 0 { vec!["length".into()] } else { Vec::new() },
            taken: (id == 6).then(|| "aiko".into()),
            head: words.question.replace('\n', " "),
        }
    });
    app.update(Msg::Rows(rows.collect()), now);
    app.update(Msg::Tally(Tally { records: 1_204, gold: 812, waiting: 188, target: 1_000 }), now);
    command(&mut app, Command::ListDown);
    let flag = Flag {
        record: Some(2),
        name: "boilerplate".into(),
        severity: "warning".into(),
        reason: "the answer ends as a model's often does".into(),
        detail: "{}".into(),
    };
    let opened =
        Opened { record: record(2, words, Status::Draft), flags: vec![flag], taken: None, conflicts: Vec::new() };
    app.update(Msg::Opened(Box::new(opened)), now);
    app
}

fn command(app: &mut App, command: Command) -> Vec<Effect> {
    let mut effects = Vec::new();
    app.command(command, Duration::from_secs(2), &mut effects);
    effects
}

fn editing(words: &Words, size: (u16, u16)) -> App {
    let mut app = workbench(words, size);
    command(&mut app, Command::Edit);
    let now = Duration::from_secs(3);
    app.update(Msg::Commit("。".into()), now);
    let effects = app.update(Msg::Wake, now + Duration::from_secs(1));
    let number = effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Wish { number, .. } => Some(*number),
            _ => None,
        })
        .unwrap();
    let found =
        Found { check: "length".into(), severity: "info".into(), reason: "shorter than others".into(), span: None };
    app.update(Msg::Granted { number, granted: Granted::Found(vec![found]) }, now);
    app
}

fn prompting(words: &Words, size: (u16, u16)) -> App {
    let mut app = workbench(words, size);
    command(&mut app, Command::PanePrompt);
    let now = Duration::from_secs(3);
    app.update(Msg::Found { number: 0, ids: Ok((1..=40).collect()) }, now);
    let open = Opened { record: record(2, words, Status::Gold), flags: Vec::new(), taken: None, conflicts: Vec::new() };
    app.update(Msg::Opened(Box::new(open)), now);
    let text = "{# the minutes first #}\n{{ input }}\n{% if instruction %}{{ instruction }}{% endif %}".to_owned();
    let versions = vec![
        Version { name: "to-do".into(), text, draft: None, used: true },
        Version { name: "to-do-2".into(), text: "{{ input }}".into(), draft: None, used: false },
    ];
    app.update(Msg::Prompts { versions, examples: vec![7] }, now);
    let number = app
        .update(Msg::Wake, now)
        .iter()
        .find_map(|effect| match effect {
            Effect::Wish { number, .. } => Some(*number),
            _ => None,
        })
        .unwrap();
    let pieces: Vec<&str> = words.question.split_inclusive([' ', '、', '。']).collect();
    let mut tokens: Vec<Token> = Vec::new();
    let mut push = |text: &str, special: bool, supervised: bool| {
        let index = tokens.len();
        tokens.push(Token { index, id: 9, text: text.into(), start: 0, end: 0, special, supervised, part: None });
    };
    push("<|im_start|>", true, false);
    for piece in pieces {
        push(piece, false, false);
    }
    push("\n", false, false);
    words.gold.split_inclusive([' ', '、']).for_each(|piece| push(piece, false, true));
    push("<|im_end|>", true, true);
    let window = tokens.len() - 2;
    app.update(Msg::Granted { number, granted: Granted::Rendered { tokens, window } }, now);
    app
}

fn comparing(words: &Words, size: (u16, u16)) -> App {
    let mut app = workbench(words, size);
    command(&mut app, Command::PaneCompare);
    let now = Duration::from_secs(3);
    app.update(Msg::Systems(vec![System::Base, System::Run("2026-11-22-a1".into())]), now);
    app.update(Msg::Questions(vec![2, 4, 6]), now);
    let open = Opened { record: record(2, words, Status::Gold), flags: Vec::new(), taken: None, conflicts: Vec::new() };
    app.update(Msg::Opened(Box::new(open)), now);
    let effects = command(&mut app, Command::CompareRun);
    let Some(Effect::Wish { number, .. }) = effects.last() else { panic!("nothing was asked") };
    for (cell, text) in [words.draft, words.gold].into_iter().enumerate() {
        let adapter = (cell == 1).then(|| "8b18cb286d0011223344".to_owned());
        let checkpoint = (cell == 1).then(|| "step-000152".to_owned());
        let told = [
            Granted::Told(Told::Begins { cell, adapter, checkpoint, prompt_tokens: 61 }),
            Granted::Told(Told::Apart { cell, difference: 2.93 }),
            Granted::Told(Told::Text { cell, text: text.into() }),
            Granted::Told(Told::Done { cell, tokens: 20, stop: "end".into(), seconds: 0.5 }),
        ];
        for granted in told {
            app.update(Msg::Granted { number: *number, granted }, now);
        }
    }
    app.update(Msg::Granted { number: *number, granted: Granted::Ended }, now);
    app
}

type Scene = (&'static str, fn(&Words, (u16, u16)) -> App);

const SCENES: [Scene; 6] = [
    ("data", workbench),
    ("editing", editing),
    ("prompt", prompting),
    ("compare", comparing),
    ("evaluate", evaluation::reporting),
    ("evaluate-row", evaluation::reading),
];

#[test]
fn frames_at_every_size_in_both_languages() {
    for (scene, make) in SCENES {
        for (language, words) in [("english", &ENGLISH), ("japanese", &JAPANESE)] {
            for size in SIZES {
                let buffer = drawn(&make(words, size), &theme(Colours::All), size);
                insta::assert_snapshot!(format!("{scene}-{language}-{}x{}", size.0, size.1), screen(&buffer));
            }
        }
    }
}

#[test]
fn looks_with_many_colours_few_and_none() {
    for (scene, make) in SCENES {
        for (depth, colours) in [("256", Colours::Palette), ("16", Colours::Sixteen), ("none", Colours::None)] {
            let theme = theme(colours);
            let buffer = drawn(&make(&JAPANESE, SIZES[0]), &theme, SIZES[0]);
            if colours == Colours::None {
                let coloured = buffer
                    .content
                    .iter()
                    .filter(|cell| cell.fg != ratatui::style::Color::Reset || cell.bg != ratatui::style::Color::Reset);
                assert_eq!(coloured.count(), 0, "{scene} has colours without colours");
            }
            insta::assert_snapshot!(format!("{scene}-looks-{depth}"), looks(&buffer, theme.style(Role::Text)));
        }
    }
}

#[test]
fn a_frame_depends_on_state_and_size_only() {
    for (_, make) in SCENES {
        let app = make(&JAPANESE, SIZES[1]);
        let first = drawn(&app, &theme(Colours::All), SIZES[1]);
        assert_eq!(drawn(&app, &theme(Colours::All), SIZES[1]), first);
    }
}

#[test]
fn every_size_from_tiny_up_draws_something_that_fits() {
    for (_, make) in SCENES {
        for (columns, rows) in
            [(1, 1), (3, 2), (20, 5), (59, 16), (60, 15), (60, 16), (71, 17), (80, 24), (99, 40), (300, 90)]
        {
            let size = (columns, rows);
            let mut app = make(&JAPANESE, size);
            for overlay in [Command::Help, Command::Category, Command::Split] {
                let text = screen(&drawn(&app, &theme(Colours::All), size));
                assert!(text.lines().all(|line| crate::text::width(line) <= usize::from(columns)), "{size:?}\n{text}");
                if columns < 60 || rows < 16 {
                    assert!(columns < 12 || text.contains("needs 60 x 16"), "{text}");
                } else {
                    assert!(text.contains("togi"));
                }
                app.overlay = None;
                command(&mut app, overlay);
            }
        }
    }
}

#[test]
fn ascii_is_ascii_but_for_what_people_wrote() {
    for (_, make) in SCENES {
        let app = make(&ENGLISH, SIZES[1]);
        let text = screen(&drawn(&app, &theme(Colours::None).with_ascii(true), SIZES[1]));
        let strange: String = text.chars().filter(|c| !c.is_ascii()).collect();
        assert!(strange.chars().all(|c| c == '。'), "{strange:?}\n{text}");
    }
}

#[test]
fn records_that_cannot_be_opened_are_told_in_full_in_every_pane() {
    let (mut app, _) = App::new("desk".into(), "mika".into(), Keymap::default(), SIZES[0]);
    let why = "togi.db is of a newer togi (version 9; this one reads up to 4): update togi";
    app.update(Msg::NoStore(why.into()), Duration::from_secs(1));
    for pane in Pane::ALL {
        app.pane = pane;
        app.update(Msg::Wake, Duration::from_mins(5));
        let text = screen(&drawn(&app, &theme(Colours::All), SIZES[0]));
        assert!(
            text.contains("cannot be opened") && text.contains("update togi") && text.contains("q leaves"),
            "{text}"
        );
    }
}

#[test]
fn blind_answers_have_no_names() {
    let mut app = comparing(&ENGLISH, SIZES[1]);
    command(&mut app, Command::CompareBlind);
    assert!(matches!(app.compare.mode, Mode::Blind(_)));
    let text = screen(&drawn(&app, &theme(Colours::All), SIZES[1]));
    for name in ["base", "tuned", "2026-11-22-a1", "tokens", "adapter", "gold ──"] {
        assert!(!text.contains(name), "{name}:\n{text}");
    }
}

#[test]
fn a_model_that_computes_the_same_is_never_called_tuned() {
    let mut app = comparing(&ENGLISH, SIZES[1]);
    app.compare.answers[1].apart = Some(0.0);
    let text = screen(&drawn(&app, &theme(Colours::All), SIZES[1]));
    assert!(text.contains("logits do not differ") && !text.contains("tuned"), "{text}");
}
