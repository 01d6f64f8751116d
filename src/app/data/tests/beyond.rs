//! What the pane of the records does where its list is longer than what is known of it.

use std::time::Duration;

use crate::app::overlay::{Choice, Overlay};
use crate::app::{Act, App, Ask, Effect, Msg, Origin, Row, Split, Status};
use crate::keymap::{Command, Keymap};

const NOW: Duration = Duration::from_secs(1);

fn row(id: i64, flags: &[&str]) -> Row {
    Row {
        id,
        status: Status::Inbox,
        split: Some(Split::Valid),
        origin: Origin::Traffic,
        category: Some("minutes".into()),
        assignee: None,
        author: "mika".into(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        taken: None,
        head: String::new(),
    }
}

/// A workbench on a thousand records, of which the rows up to the hundredth are known.
fn app() -> App {
    let (mut app, effects) = App::new("desk".into(), "mika".into(), Keymap::default(), (80, 24));
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Store(Ask::Find { number, .. }) => Some(*number),
        _ => None,
    });
    app.update(Msg::Found { number: asked.unwrap(), ids: Ok((1..=1_000).collect()) }, NOW);
    app.update(Msg::Rows((1..=100).map(|id| row(id, if id == 40 { &["length"] } else { &[] })).collect()), NOW);
    app
}

fn give(app: &mut App, command: Command) -> Vec<Effect> {
    let mut effects = Vec::new();
    app.command(command, NOW, &mut effects);
    effects
}

#[test]
fn the_next_finding_is_found_beyond_the_rows_that_are_known() {
    let mut app = app();
    give(&mut app, Command::NextFlagged);
    assert_eq!(app.data.current(), Some(40));
    let effects = give(&mut app, Command::NextFlagged);
    let asked = Ask::NextFlagged { query: "status:inbox,draft".into(), after: 40 };
    assert!(effects.contains(&Effect::Store(asked)), "{effects:?}");
    app.update(Msg::Flagged(Some(900)), NOW);
    assert_eq!(app.data.current(), Some(900));
    app.update(Msg::Flagged(None), NOW);
    assert!(app.toasts.iter().any(|toast| toast.text.contains("nothing else here has a finding")));
}

#[test]
fn another_category_is_typed_over_the_one_there_is_or_picked_from_all() {
    let mut app = app();
    app.update(Msg::Names { categories: vec!["letters".into(), "minutes".into()], people: Vec::new() }, NOW);
    give(&mut app, Command::Category);
    let Some(Overlay::Ask(asked)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!((asked.field.text().as_str(), asked.fitting.len()), ("minutes", 2), "all of them can be picked");
    app.update(Msg::Commit("議事録".into()), NOW);
    let mut effects = Vec::new();
    app.command(Command::AskDone, NOW, &mut effects);
    let given = |effect: &Effect| matches!(effect, Effect::Store(Ask::Act { act: Act::Category(name), .. }) if name == "議事録");
    assert!(effects.iter().any(given), "{effects:?}");

    give(&mut app, Command::Category);
    let Some(Overlay::Ask(asked)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!(asked.taken(), "minutes", "left alone, it stays");
}

#[test]
fn the_split_that_a_record_has_is_the_one_that_is_marked() {
    let mut app = app();
    give(&mut app, Command::Split);
    assert!(matches!(&app.overlay, Some(Overlay::Pick { choice: Choice::Split(_), at: 1, .. })), "{:?}", app.overlay);
}
