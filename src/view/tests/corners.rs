//! What stood in somebody's way once: text that was cut off, doubled or hidden, and keys that did nothing.

use super::*;
use crate::app::Spot;
use crate::app::compare::Recording;
use crate::app::wish::Question;

const NOW: Duration = Duration::from_secs(4);

fn shown(app: &App, size: (u16, u16)) -> String {
    screen(&drawn(app, &theme(Colours::All), size))
}

fn asked(effects: &[Effect]) -> u64 {
    let number = effects.iter().find_map(|effect| match effect {
        Effect::Store(crate::app::Ask::Find { number, .. }) | Effect::Wish { number, .. } => Some(*number),
        _ => None,
    });
    number.unwrap()
}

#[test]
fn tokens_that_share_letters_show_each_letter_once() {
    let mut app = prompting(&JAPANESE, SIZES[0]);
    // As a byte-level tokenizer cuts それぞれ独: the token that ends ぞ begins れ.
    let pieces = [
        ("それ", 0, None),
        ("ぞ", 6, Some((1, 3))),
        ("ぞれ", 6, Some((2, 3))),
        ("れ", 9, Some((3, 3))),
        ("独", 12, Some((1, 2))),
        ("独", 12, Some((2, 2))),
    ];
    app.prompt.tokens = pieces
        .iter()
        .enumerate()
        .map(|(index, (text, start, part))| Token {
            index,
            id: 9,
            text: (*text).into(),
            start: *start,
            end: start + text.len(),
            special: false,
            supervised: false,
            part: *part,
        })
        .collect();
    let text = shown(&app, SIZES[0]);
    assert!(text.contains("それぞれ独\n"), "{text}");
}

#[test]
fn a_template_with_a_mistake_does_not_pass_off_older_tokens_as_its_own() {
    let mut app = prompting(&ENGLISH, SIZES[0]);
    assert!(!shown(&app, SIZES[0]).contains("before the mistake"));
    command(&mut app, Command::PromptEdit);
    app.update(Msg::Commit("{%。".into()), NOW);
    let number = asked(&app.update(Msg::Wake, NOW + Duration::from_secs(1)));
    let why = "the prompt template, line 3: unexpected end of input".to_owned();
    app.update(Msg::Granted { number, granted: Granted::Failed(why) }, NOW);
    let text = shown(&app, SIZES[0]);
    assert!(text.contains("before the mistake") && text.contains("line 3"), "{text}");
}

#[test]
fn whether_a_text_is_saved_is_never_cut_off() {
    let mut app = editing(&JAPANESE, SIZES[0]);
    let mut open = app.data.open.clone().unwrap();
    open.record.state.category = Some("とても長い名前の分類".into());
    open.record.state.tags = ["urgent".to_owned(), "second-reading".to_owned()].into_iter().collect();
    let file = "/somewhere/deep/in/a/tree/of/folders/minutes.jsonl".to_owned();
    open.record.source = Some(crate::app::Source { file, line: 712, id: Some("m-712".into()) });
    app.update(Msg::Opened(Box::new(open)), NOW);
    for size in [(60, 16), SIZES[0], SIZES[1]] {
        let text = shown(&app, size);
        assert!(
            text.contains("● not saved") || text.contains("✓ saved") || text.contains("● saving"),
            "{size:?}\n{text}"
        );
        assert!(text.contains("minutes.jsonl, line 712"), "{size:?}\n{text}");
    }
}

#[test]
fn what_is_wrong_with_a_filter_stands_where_it_is_typed() {
    let mut app = workbench(&ENGLISH, SIZES[0]);
    command(&mut app, Command::Filter);
    let number = asked(&app.update(Msg::Commit("status:inbx。".into()), NOW));
    let why = "status has no inbx; it is inbox, draft, gold or rejected".to_owned();
    app.update(Msg::Found { number, ids: Err(why.clone()) }, NOW);
    for size in [(60, 16), SIZES[0]] {
        let text = shown(&app, size);
        let told: String = text.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&why) || text.contains("it is inbox, draft, gold or"), "{text}");
    }
}

#[test]
fn a_list_has_a_sign_at_its_cursor_and_says_how_long_it_is() {
    let mut app = workbench(&ENGLISH, SIZES[0]);
    command(&mut app, Command::Split);
    assert!(shown(&app, SIZES[0]).contains("│▸  train"), "{}", shown(&app, SIZES[0]));
    app.overlay = None;
    command(&mut app, Command::Help);
    let text = shown(&app, SIZES[0]);
    assert!(text.contains(&format!("1 of {}", Command::ALL.len())), "{text}");
}

#[test]
fn the_line_below_offers_only_what_would_do_something() {
    let mut app = workbench(&ENGLISH, SIZES[1]);
    let foot = |app: &App| shown(app, SIZES[1]).lines().last().unwrap_or_default().to_owned();
    command(&mut app, Command::PaneTrain);
    assert!(!foot(&app).contains("pause") && foot(&app).contains("n new"), "{}", foot(&app));
    command(&mut app, Command::PaneEvaluate);
    assert!(!foot(&app).contains("stop") && foot(&app).contains("e measure"), "{}", foot(&app));
    let mut app = prompting(&ENGLISH, SIZES[1]);
    assert!(!foot(&app).contains("esc tokens"), "{}", foot(&app));
    command(&mut app, Command::PromptDiff);
    assert!(foot(&app).contains("esc tokens"), "{}", foot(&app));
}

#[test]
fn the_line_above_keeps_to_its_room_whatever_is_at_work() {
    let mut app = workbench(&ENGLISH, SIZES[0]);
    app.data.saving = 1;
    for columns in [60, 63, 72, 80, 99, 100] {
        let text = shown(&app, (columns, 20));
        let head = text.lines().next().unwrap_or_default();
        assert!(head.contains("● saving") || columns < 62, "{columns}: {head}");
        assert!(head.contains("5 Evaluate"), "{columns}: {head}");
    }
}

#[test]
fn an_audience_sees_the_end_of_a_long_question_and_no_keys_once_there_are_answers() {
    let mut app = workbench(&JAPANESE, SIZES[0]);
    command(&mut app, Command::PaneCompare);
    app.update(Msg::Systems(vec![System::Base, System::Run("a1".into())]), NOW);
    app.update(Msg::Questions(vec![2, 4]), NOW);
    let mut record = record(2, &JAPANESE, Status::Gold);
    if let Content::Pair { fields, .. } = &mut record.state.content {
        let text = format!("{}\n質問: いつですか？", "長い文章です。".repeat(120));
        fields.insert("input".into(), Value::String(text));
    }
    let open = Opened { record, flags: Vec::new(), taken: None, conflicts: Vec::new() };
    app.update(Msg::Opened(Box::new(open)), NOW);
    // What is still being written when presenting begins is not for the audience.
    let number = asked(&command(&mut app, Command::CompareRun));
    let effects = command(&mut app, Command::ComparePresent);
    let stops = |effect: &Effect| matches!(effect, Effect::Wish { wish: crate::app::wish::Wish::Stop, .. });
    assert!(effects.iter().any(stops), "{effects:?}");
    app.update(Msg::Granted { number, granted: Granted::Told(Told::Text { cell: 0, text: "half of it".into() }) }, NOW);
    let text = shown(&app, SIZES[0]);
    assert!(!text.contains("half of it"), "{text}");
    assert!(text.contains("質問: いつですか？") && text.contains("enter asks"), "{text}");

    // The first question is played as well as those behind it.
    let systems = ["base".to_owned(), "a1".to_owned()];
    let events = vec![(0, 0, "五月".to_owned()), (0, 1, "5月9日".to_owned())];
    app.update(Msg::Recordings(vec![Recording { question: Question::Record(2), systems, events }]), NOW);
    command(&mut app, Command::PresentNext);
    app.update(Msg::Wake, NOW + Duration::from_millis(5));
    let text = shown(&app, SIZES[0]);
    assert!(text.contains("5月9日") && text.contains("rehearsed  1 / 2") && !text.contains("enter"), "{text}");
}

#[test]
fn a_question_that_does_not_fit_says_so_with_the_key_that_scrolls_it() {
    let mut app = comparing(&JAPANESE, SIZES[0]);
    let mut open = app.compare.open.clone().unwrap();
    if let Content::Pair { fields, .. } = &mut open.record.state.content {
        fields.insert("input".into(), Value::String(format!("{}\n質問は？", "長い文章です。".repeat(90))));
    }
    app.update(Msg::Opened(Box::new(open)), NOW);
    let text = shown(&app, SIZES[0]);
    assert!(text.contains("more: J") && !text.contains("質問は？"), "{text}");
    for _ in 0..12 {
        command(&mut app, Command::CompareScrollDown);
    }
    assert!(shown(&app, SIZES[0]).contains("質問は？"));
}

#[test]
fn clicks_meet_what_is_drawn() {
    let places = |app: &App, (columns, rows): (u16, u16)| {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        let mut places = Places::default();
        terminal.draw(|frame| places = draw(frame, app, &theme(Colours::All))).unwrap();
        (places, screen(terminal.backend().buffer()))
    };
    for size in [(60, 16), SIZES[0], SIZES[1], SIZES[2]] {
        let mut app = workbench(&ENGLISH, size);
        let (at, text) = places(&app, size);
        let head = text.lines().next().unwrap_or_default();
        for pane in Pane::ALL {
            let column = head.find(pane.name()).unwrap() as u16;
            assert_eq!(at.at(column, 0), Some(Spot::Pane(pane)), "{size:?}");
        }
        let row = text.lines().position(|line| line.starts_with("  ✕")).unwrap() as u16;
        assert_eq!(at.at(5, row), Some(Spot::Line(2)), "the third record is rejected\n{text}");
        assert_eq!(at.at(size.0 - 2, size.1 - 2), None, "the record itself is no line of the list");

        command(&mut app, Command::Split);
        let (at, text) = places(&app, size);
        let row = text.lines().position(|line| line.contains("  valid")).unwrap() as u16;
        assert_eq!(at.at(size.0 / 2, row), Some(Spot::Item(1)), "{text}");
        assert_eq!(at.at(5, 0), None, "what lies over the pane is to be answered first");
    }
}

#[test]
fn a_template_that_was_never_saved_is_not_emptied() {
    let mut app = workbench(&ENGLISH, SIZES[0]);
    command(&mut app, Command::PanePrompt);
    app.update(Msg::Prompts { versions: Vec::new(), examples: Vec::new() }, NOW);
    command(&mut app, Command::PromptEdit);
    app.update(Msg::Commit("研ぐ".into()), NOW);
    command(&mut app, Command::EditorDone);
    assert!(shown(&app, SIZES[0]).contains("{{ input }}研ぐ"));
    command(&mut app, Command::PromptRevert);
    let text = shown(&app, SIZES[0]);
    assert!(text.contains("{{ input }}\n") && !text.contains("研ぐ"), "{text}");
    command(&mut app, Command::PromptVersion);
    assert!(app.overlay.is_none() && shown(&app, SIZES[0]).contains("no version is saved yet"));
}
