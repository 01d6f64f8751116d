//! Accepting, rejecting, marking: one record at a time, and many as one.

use std::time::Duration;

use super::super::super::hand::{Hand, acts, asked, row};
use super::super::super::wish::System;
use super::super::super::{Act, Ask, Effect, Msg, Row, Split, Status};
use crate::keymap::Command;

#[test]
pub(in crate::app) fn a_hundred_records_take_a_hundred_keys() {
    let mut hand = Hand::new(100);
    let mut accepted = Vec::new();
    for _ in 0..100 {
        for effect in hand.press("a") {
            if let Effect::Store(Ask::Act { act: Act::Accept, records, seconds }) = effect {
                accepted.extend(records);
                let seconds = seconds.unwrap();
                assert!((seconds - 0.5).abs() < 1e-9, "half a second was spent, not {seconds}");
            }
        }
    }
    assert_eq!(accepted, (1..=100).collect::<Vec<_>>());
    assert!(hand.app.toasts.iter().any(|toast| toast.text.contains("nothing else waits")));
}

#[test]
pub(in crate::app) fn what_was_decided_stays_in_the_list_and_the_cursor_with_its_record() {
    let mut hand = Hand::new(5);
    hand.press("a");
    assert_eq!(hand.current(), 2);
    assert_eq!(hand.app.data.rows[&1].status, Status::Gold, "shown before the disk has it");
    hand.command(Command::SelectAll);
    assert_eq!(hand.app.data.about(), [2, 3, 4, 5], "nor is it meant by what is done to all");
    hand.command(Command::SelectAll);
    hand.press("down");
    // The store says what waits now: the accepted record does not, and another came.
    let effects = {
        hand.give(Msg::Changed(vec![1, 6]));
        std::mem::take(&mut hand.effects)
    };
    let number = asked(&effects).iter().find_map(|ask| match ask {
        Ask::Find { number, .. } => Some(*number),
        _ => None,
    });
    hand.give(Msg::Found { number: number.unwrap(), ids: Ok(vec![2, 3, 4, 5, 6]) });
    assert_eq!(hand.app.data.ids, [1, 2, 3, 4, 5, 6]);
    assert_eq!(hand.current(), 3);
    // What is done to all that the filter finds is not done to what was decided a moment ago.
    hand.command(Command::SelectAll);
    assert_eq!(hand.app.data.about(), [2, 3, 4, 5, 6]);
    hand.command(Command::SelectAll);
    assert!(hand.app.data.selected.is_empty());
    // An answer to an older question changes nothing.
    hand.give(Msg::Found { number: 0, ids: Ok(vec![]) });
    assert_eq!(hand.app.data.ids.len(), 6);
}

#[test]
pub(in crate::app) fn rejecting_asks_why_and_offers_the_reason_again() {
    let mut hand = Hand::new(3);
    hand.press("x");
    hand.give(Msg::Commit("短すぎる".into()));
    let effects = hand.press("enter");
    let reason = Act::Reject("短すぎる".into());
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act, .. } if *act == reason)));
    assert_eq!(hand.current(), 2);
    hand.press("x down");
    let effects = hand.press("enter");
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act, records, .. }
        if *act == reason && *records == [2])));
    hand.press("x");
    assert!(asked(&hand.press("esc")).is_empty(), "leaving rejects nothing");
    assert_eq!(hand.current(), 3);
}

#[test]
pub(in crate::app) fn time_away_is_not_counted() {
    let mut hand = Hand::new(2);
    hand.now += Duration::from_secs(20);
    hand.press("J");
    hand.now += Duration::from_hours(1);
    let effects = hand.press("a");
    let seconds = asked(&effects).into_iter().find_map(|ask| match ask {
        Ask::Act { seconds, .. } => *seconds,
        _ => None,
    });
    assert!((seconds.unwrap() - 20.5).abs() < 0.6, "{seconds:?}");
}

#[test]
pub(in crate::app) fn a_selection_is_previewed_and_done_as_one() {
    let mut hand = Hand::new(4);
    let effects = hand.press("space space a");
    let previewed = asked(&effects).into_iter().find_map(|ask| match ask {
        Ask::Preview { act, records } => Some((act.clone(), records.clone())),
        _ => None,
    });
    let (act, records) = previewed.unwrap();
    assert_eq!((&act, &records[..]), (&Act::Accept, &[1, 2][..]));
    hand.give(Msg::Preview { act, records, would: 2, refused: 0 });
    assert!(asked(&hand.press("n")).is_empty(), "no is no");
    hand.press("a");
    hand.give(Msg::Preview { act: Act::Accept, records: vec![1, 2], would: 2, refused: 0 });
    let effects = hand.press("y");
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act: Act::Accept, records, seconds: None }
        if *records == [1, 2])));
    assert!(hand.app.data.selected.is_empty());
}

#[test]
pub(in crate::app) fn what_is_skipped_stays_as_it_is_and_the_next_that_waits_comes() {
    let mut hand = Hand::new(4);
    hand.give(Msg::Rows(vec![Row { status: Status::Gold, ..row(2) }]));
    let effects = hand.command(Command::Skip);
    assert_eq!((hand.current(), acts(&effects)), (3, Vec::new()), "2 is decided on already");
    assert!(asked(&effects).contains(&&Ask::Claim { record: Some(3), release: None }));
    hand.commands(&[Command::Skip, Command::Skip]);
    assert_eq!(hand.current(), 1, "from the last, back to what was left out");
    let mut alone = Hand::new(1);
    alone.command(Command::Skip);
    assert!(alone.is_told("nothing else waits here"));
}

#[test]
pub(in crate::app) fn a_record_is_marked_and_the_cursor_stays() {
    let mut hand = Hand::new(2);
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    hand.give(Msg::Names { categories: names(&["billing", "travel"]), people: names(&["aiko", "mika"]) });
    hand.command(Command::Category);
    hand.write("tra");
    let effects = hand.commands(&[Command::AskDown, Command::AskDone]);
    assert_eq!(acts(&effects), [(Act::Category("travel".into()), vec![1])]);
    // A suggestion that was marked and let go of is not taken.
    hand.commands(&[Command::Assign, Command::AskDown, Command::AskUp]);
    hand.write("ken");
    assert_eq!(acts(&hand.command(Command::AskDone)), [(Act::Assign("ken".into()), vec![1])]);
    hand.command(Command::Split);
    assert_eq!(hand.list(), (names(&["train", "valid", "test", "none"]), 0));
    let effects = hand.commands(&[Command::PickDown, Command::PickDone]);
    assert_eq!(acts(&effects), [(Act::Split(Some(Split::Valid)), vec![1])]);
    hand.commands(&[Command::Split, Command::PickPageDown]);
    assert_eq!(acts(&hand.command(Command::PickDone)), [(Act::Split(None), vec![1])]);
    hand.commands(&[Command::Split, Command::PickPageDown, Command::PickPageUp, Command::PickDown, Command::PickUp]);
    assert_eq!(hand.list().1, 0);
    assert_eq!(hand.command(Command::PickLeave), [], "leaving marks nothing");
    assert!(hand.app.overlay.is_none());
    assert_eq!(acts(&hand.command(Command::Restore)), [(Act::Status(Status::Inbox), vec![1])]);
    assert_eq!(hand.current(), 1);
}

#[test]
pub(in crate::app) fn a_category_begins_with_the_records_own_unless_there_are_several() {
    let mut hand = Hand::new(3);
    hand.give(Msg::Rows(vec![Row { category: Some("travel".into()), ..row(1) }]));
    hand.command(Command::Category);
    assert_eq!(hand.line(), "travel");
    hand.command(Command::AskLeave);
    hand.commands(&[Command::Select, Command::Select, Command::Category]);
    assert_eq!(hand.line(), "", "two may have two");
    let effects = hand.command(Command::AskDone);
    let preview = Ask::Preview { act: Act::Category(String::new()), records: vec![1, 2] };
    assert_eq!(asked(&effects), [&preview], "what is done to several is shown first");
}

#[test]
pub(in crate::app) fn everything_listed_is_selected_and_let_go_of() {
    let mut hand = Hand::new(3);
    hand.command(Command::SelectAll);
    assert_eq!(hand.app.data.about(), [1, 2, 3]);
    hand.command(Command::SelectAll);
    assert!(hand.app.data.selected.is_empty());
    hand.commands(&[Command::Select, Command::ListTop, Command::Select]);
    assert!(hand.app.data.selected.is_empty(), "the same key lets it go");
    hand.command(Command::SelectAll);
    hand.command(Command::FilterClear);
    assert!(hand.app.data.selected.is_empty());
    assert_eq!(hand.app.data.query, "status:inbox,draft", "the filter stays");
    let effects = hand.command(Command::FilterClear);
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Find { query, .. } if query.is_empty())));
}

#[test]
pub(in crate::app) fn a_preview_that_comes_late_takes_no_key_that_was_meant_for_something_else() {
    let mut hand = Hand::new(3);
    hand.commands(&[Command::Select, Command::Select, Command::Accept, Command::Filter]);
    hand.give(Msg::Preview { act: Act::Accept, records: vec![1, 2], would: 2, refused: 0 });
    let effects = hand.press("y");
    assert_eq!(acts(&effects), [], "y is a letter of the filter");
    assert_eq!(hand.line(), "status:inbox,draft y");
    assert!(hand.is_told("accept 2 records"), "and the person knows that nothing was done");
    // A selection that was let go of before the preview came is no decision on the record at the cursor.
    hand.commands(&[Command::AskLeave, Command::Accept, Command::FilterClear]);
    hand.give(Msg::Preview { act: Act::Accept, records: vec![1, 2], would: 2, refused: 0 });
    let effects = hand.command(Command::ConfirmYes);
    let done = Ask::Act { act: Act::Accept, records: vec![1, 2], seconds: None };
    assert_eq!((asked(&effects), hand.current()), (vec![&done], 3));
}

#[test]
pub(in crate::app) fn a_model_drafts_what_is_selected() {
    let mut hand = Hand::new(3);
    let run = |name: &str| System::Run(name.into());
    hand.give(Msg::Systems(vec![System::Base, run("a1"), run("a1@20")]));
    let effects = hand.commands(&[Command::Select, Command::Select, Command::Drafts]);
    assert_eq!(asked(&effects), [&Ask::Systems], "there may be newer ones");
    assert_eq!(hand.list().1, 1, "a run at its best, not a checkpoint of it");
    // The list has the newer ones as soon as they are known, and the mark stays.
    hand.give(Msg::Systems(vec![System::Base, run("a0"), run("a1"), run("a1@20"), run("a1@now")]));
    let (items, at) = hand.list();
    assert_eq!((items.len(), items[at].as_str()), (5, "a1  its best checkpoint"));
    let effects = hand.command(Command::PickDone);
    assert_eq!(asked(&effects), [&Ask::Drafts { records: vec![1, 2], system: run("a1") }]);
    assert!(hand.is_told("a1 drafts 2 records"));
    assert!(hand.app.data.selected.is_empty());
    // Before anything is known there is the base.
    let mut hand = Hand::new(1);
    hand.command(Command::Drafts);
    assert_eq!(hand.list(), (vec!["base  the model as it was".to_owned()], 0));
    let effects = hand.command(Command::PickDone);
    assert_eq!(asked(&effects), [&Ask::Drafts { records: vec![1], system: System::Base }]);
    assert!(hand.is_told("base drafts 1 record in"));
}

#[test]
pub(in crate::app) fn where_there_is_no_record_the_person_is_told() {
    use Command as C;
    for command in [
        C::Accept,
        C::Reject,
        C::Restore,
        C::Edit,
        C::EditOutside,
        C::Category,
        C::Split,
        C::Assign,
        C::Neighbours,
        C::History,
        C::Select,
        C::Drafts,
    ] {
        let mut hand = Hand::new(0);
        let effects = hand.command(command);
        assert_eq!(effects, [], "{command:?}");
        assert!(hand.app.overlay.is_none(), "{command:?}");
        assert!(hand.is_told("there is no record here"), "{command:?}");
    }
    let mut hand = Hand::new(0);
    for command in [C::ListDown, C::ListUp, C::ListPageDown, C::ListBottom, C::PartNext, C::SelectAll, C::NextFlagged] {
        assert_eq!(hand.command(command), [], "{command:?}");
    }
}
