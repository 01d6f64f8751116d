//! Writing in a record: what is saved and when, and texts that meet newer ones.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::super::hand::{Hand, asked, opened_as, state};
use super::super::super::record::{Place, put, text_of};
use super::super::super::wish::{Found, Granted, Wish};
use super::super::super::{Ask, Conflict, Content, Effect, Msg, Overlay, Pane, State, Status};
use crate::keymap::Command;

#[test]
pub(in crate::app) fn an_edit_is_saved_at_a_pause_and_when_it_is_left() {
    let mut hand = Hand::new(2);
    hand.press("e");
    assert!(hand.app.is_writing());
    hand.give(Msg::Commit("です".into()));
    assert!(!hand.app.data.editor.as_ref().unwrap().is_saved());
    let wake = hand.app.wake().unwrap();
    hand.now = wake + Duration::from_secs(2);
    hand.effects.clear();
    hand.give(Msg::Wake);
    let saved = |effects: &[Effect]| -> Option<(i64, String)> {
        effects.iter().find_map(|effect| match effect {
            Effect::Store(Ask::Save { base, after, .. }) => Some((*base, text_of(after, &Place::Gold).unwrap())),
            _ => None,
        })
    };
    assert_eq!(saved(&hand.effects), Some((10, "draft 1です".into())));
    assert!(hand.effects.iter().any(|effect| matches!(effect, Effect::Wish { wish: Wish::Relint { .. }, .. })));
    hand.give(Msg::Saved { record: 1, revision: 77 });
    hand.give(Msg::Written);
    let effects = hand.press("! esc");
    assert_eq!(saved(&effects), Some((77, "draft 1です!".into())), "made on the revision that was saved");
    assert!(!hand.app.is_writing());
    let effects = hand.press("e esc");
    assert_eq!(saved(&effects), None, "what was not changed is not saved");
}

#[test]
pub(in crate::app) fn accepting_from_the_editor_is_one_stroke() {
    let mut hand = Hand::new(2);
    let effects = hand.press("e z ctrl-g");
    let one = asked(&effects).into_iter().find_map(|ask| match ask {
        Ask::Save { record, after, then_accept, seconds, .. } => {
            Some((*record, text_of(after, &Place::Gold).unwrap(), *then_accept, seconds.unwrap()))
        }
        _ => None,
    });
    let (record, text, accepted, seconds) = one.unwrap();
    assert_eq!((record, text.as_str(), accepted), (1, "draft 1z", true));
    assert!((seconds - 1.5).abs() < 1e-9, "{seconds}");
    assert_eq!(hand.current(), 2);
    assert!(!hand.app.is_writing());
}

#[test]
pub(in crate::app) fn a_conflict_shows_both_texts_and_nothing_is_lost() {
    let mut hand = Hand::new(2);
    hand.press("e ! ctrl-s");
    let ours = put(&state(1), &Place::Gold, "mine");
    let theirs = put(&state(1), &Place::Gold, "theirs");
    let conflict =
        Conflict { record: 1, base: 10, head: 99, by: "aiko".into(), ours: Some(ours.clone()), theirs: Some(theirs) };
    hand.give(Msg::Conflict(Box::new(conflict.clone())));
    let effects = hand.press("m");
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Save { base: 99, after, .. } if **after == ours)));
    hand.give(Msg::Conflict(Box::new(conflict)));
    let effects = hand.press("t");
    assert!(!asked(&effects).iter().any(|ask| matches!(ask, Ask::Save { .. })));
    assert!(hand.app.overlay.is_none());
}

#[test]
pub(in crate::app) fn findings_of_an_older_text_are_not_shown() {
    let mut hand = Hand::new(1);
    hand.press("e a");
    hand.now += Duration::from_secs(1);
    hand.effects.clear();
    hand.give(Msg::Wake);
    let number = hand.effects.iter().find_map(|effect| match effect {
        Effect::Wish { number, wish: Wish::Relint { .. } } => Some(*number),
        _ => None,
    });
    let found = |reason: &str| {
        vec![Found { check: "length".into(), severity: "info".into(), reason: reason.into(), span: None }]
    };
    hand.give(Msg::Granted { number: number.unwrap() - 1, granted: Granted::Found(found("old")) });
    assert_eq!(hand.app.data.found, None);
    hand.give(Msg::Granted { number: number.unwrap(), granted: Granted::Found(found("new")) });
    assert_eq!(hand.app.data.found, Some(found("new")));
    hand.press("esc");
    assert_eq!(hand.app.data.found, None, "the last look's word again");
}

/// What is sent to be saved: the record, and its texts.
fn sent(effects: &[Effect]) -> Option<(i64, State)> {
    asked(effects).into_iter().find_map(|ask| match ask {
        Ask::Save { record, after, .. } => Some((*record, (**after).clone())),
        _ => None,
    })
}

fn writing(hand: &Hand) -> Option<Place> {
    hand.app.data.editor.as_ref().map(|editor| editor.place.clone())
}

#[test]
pub(in crate::app) fn the_parts_of_a_record_are_edited_one_after_the_other() {
    let mut hand = Hand::new(2);
    let question = Place::Field("question".into());
    hand.command(Command::PartNext);
    assert_eq!(hand.app.data.chosen(), Some(question.clone()), "after the last part comes the first");
    hand.commands(&[Command::PartBefore, Command::PartBefore]);
    assert_eq!(hand.app.data.chosen(), Some(Place::Draft));
    hand.command(Command::Edit);
    assert_eq!(writing(&hand), Some(Place::Gold), "what a model said stays; correcting it makes the gold answer");
    hand.write("!");
    let effects = hand.command(Command::EditorPartNext);
    assert_eq!(
        sent(&effects).map(|(id, state)| (id, text_of(&state, &Place::Gold).unwrap())),
        Some((1, "draft 1!".into()))
    );
    assert_eq!(writing(&hand), Some(question.clone()));
    // The disk has not told yet that it has the first text: the second is saved with it all the same.
    hand.write("?");
    let effects = hand.command(Command::EditorPartBefore);
    let (_, both) = sent(&effects).unwrap();
    assert_eq!(
        (text_of(&both, &question).unwrap(), text_of(&both, &Place::Gold).unwrap()),
        ("質問 1?".into(), "draft 1!".into())
    );
    assert_eq!(writing(&hand), Some(Place::Gold), "the draft is passed over");
    assert_eq!(sent(&hand.command(Command::EditorDone)), None, "nothing was written in it since");
    assert_eq!(writing(&hand), None);
}

#[test]
pub(in crate::app) fn what_was_written_by_mistake_goes_with_one_key() {
    let mut hand = Hand::new(1);
    hand.command(Command::Edit);
    hand.write("間違い");
    let effects = hand.command(Command::EditorSave);
    assert!(sent(&effects).is_some() && writing(&hand).is_some(), "saved, and still writing");
    hand.command(Command::EditorSave);
    assert!(hand.is_told("saved already"));
    hand.command(Command::EditorRevert);
    let (_, back) = sent(&hand.command(Command::EditorDone)).unwrap();
    assert_eq!(back, state(1), "as it was opened, without a gold answer");
}

#[test]
pub(in crate::app) fn what_is_no_text_of_its_own_is_edited_outside() {
    let mut hand = Hand::new(1);
    let fields: Map<String, Value> = [("rows".to_owned(), serde_json::json!([1, 2]))].into_iter().collect();
    let content = Content::Pair { fields, draft: None, gold: None };
    hand.give(Msg::Opened(Box::new(opened_as(1, State::new(content, Status::Inbox)))));
    hand.commands(&[Command::PartNext, Command::Edit]);
    assert!(writing(&hand).is_none() && hand.is_told("E opens the whole record"));
    let effects = hand.command(Command::EditOutside);
    assert_eq!(asked(&effects), [&Ask::Lend(1)]);
    hand.effects.clear();
    hand.give(Msg::Lent(1));
    assert_eq!(hand.effects, [Effect::EditOutside(1)]);
    // A record that is still on its way cannot be edited, and the person knows why.
    let mut hand = Hand::new(9);
    hand.effects = super::super::super::hand::give(&mut hand.app, Command::ListBottom, hand.now);
    super::super::super::hand::give(&mut hand.app, Command::Edit, hand.now);
    assert!(hand.is_told("record 9 is still being read"));
}

#[test]
pub(in crate::app) fn a_long_record_is_scrolled_also_while_one_writes() {
    let mut hand = Hand::new(2);
    hand.commands(&[Command::ScrollDown, Command::ScrollDown, Command::ScrollUp]);
    let one = hand.app.data.scroll.lines();
    assert!(one > 0);
    hand.commands(&[Command::Edit, Command::EditorScrollDown]);
    assert_eq!(hand.app.data.scroll.lines(), 2 * one);
    hand.commands(&[Command::EditorScrollUp, Command::EditorDone, Command::ListDown]);
    assert_eq!(hand.app.data.scroll.lines(), 0, "another record begins at its own place");
}

fn conflict(record: i64) -> Box<Conflict> {
    let text = |words: &str| Some(put(&state(record), &Place::Gold, words));
    let (ours, theirs) = (text("mine"), text("theirs"));
    Box::new(Conflict { record, base: 10, head: 99, by: "aiko".into(), ours, theirs })
}

#[test]
pub(in crate::app) fn theirs_is_edited_with_mine_in_the_editor_wherever_one_has_gone() {
    let mut hand = Hand::new(3);
    // Accepting goes on to the next record before the first one's conflict is known.
    hand.commands(&[Command::Edit, Command::EditorAccept]);
    assert_eq!(hand.current(), 2);
    hand.give(Msg::Conflict(conflict(1)));
    hand.command(Command::ConflictEdit);
    assert_eq!(hand.current(), 1);
    let editor = hand.app.data.editor.as_ref().unwrap();
    assert_eq!((editor.field.text().as_str(), editor.base), ("mine", 99));
    let effects = hand.command(Command::EditorSave);
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Save { record: 1, base: 99, .. })), "{effects:?}");
}

#[test]
pub(in crate::app) fn a_conflict_is_decided_later_and_takes_nothing_that_is_being_written() {
    let mut hand = Hand::new(3);
    hand.commands(&[Command::ListDown, Command::Edit]);
    hand.write("unsaved");
    hand.give(Msg::Conflict(conflict(1)));
    assert!(hand.app.overlay.is_none(), "letters are not taken for answers");
    assert!(hand.is_told("1 was changed by aiko"));
    let (record, text) = sent(&hand.command(Command::EditorDone)).unwrap();
    assert_eq!((record, text_of(&text, &Place::Gold).unwrap().as_str()), (2, "draft 2unsaved"));
    let Some(Overlay::Conflict(asked_about)) = &hand.app.overlay else { panic!("now it is asked") };
    assert_eq!(asked_about.record, 1);
    assert_eq!(hand.command(Command::ConflictLeave), []);
    assert!(hand.app.overlay.is_none());
    // What was written since the text was sent belongs to it.
    hand.commands(&[Command::Edit, Command::EditorSave]);
    hand.write("...");
    hand.give(Msg::Conflict(conflict(2)));
    let effects = hand.command(Command::ConflictMine);
    let (_, mine) = sent(&effects).unwrap();
    assert_eq!(text_of(&mine, &Place::Gold).unwrap(), "draft 2unsaved...");
    // Two at once are asked about one after the other.
    hand.give(Msg::Conflict(conflict(1)));
    hand.give(Msg::Conflict(conflict(3)));
    hand.command(Command::ConflictTheirs);
    assert!(matches!(&hand.app.overlay, Some(Overlay::Conflict(conflict)) if conflict.record == 3));
    hand.command(Command::ConflictLeave);
    hand.command(Command::PaneTrain);
    hand.give(Msg::Conflict(conflict(1)));
    assert!(hand.app.overlay.is_none() && hand.app.pane == Pane::Train);
    hand.command(Command::PaneData);
    assert!(matches!(&hand.app.overlay, Some(Overlay::Conflict(_))), "with the records it is asked");
}
