//! What the workbench does in every pane, key by key, without a screen, a clock or a file; what a pane does is tested beside it.

mod every;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::compare::Mode;
use super::hand::{Given, Hand, acts, asked, opened};
use super::*;
use crate::keymap::Command as C;

/// The test that gives each command that no pane has to itself.
const GIVEN: Given = &[
    (C::PaneData, every_pane_has_a_number_and_asks_for_what_it_shows),
    (C::PanePrompt, every_pane_has_a_number_and_asks_for_what_it_shows),
    (C::PaneTrain, every_pane_has_a_number_and_asks_for_what_it_shows),
    (C::PaneCompare, every_pane_has_a_number_and_asks_for_what_it_shows),
    (C::PaneEvaluate, every_pane_has_a_number_and_asks_for_what_it_shows),
    (C::PaneNext, every_pane_has_a_number_and_asks_for_what_it_shows),
    (C::PaneBefore, every_pane_has_a_number_and_asks_for_what_it_shows),
    (C::Undo, what_was_done_to_records_is_taken_back_and_done_again),
    (C::Redo, what_was_done_to_records_is_taken_back_and_done_again),
    (C::Copy, what_is_shown_is_copied_in_each_pane),
    (C::Help, every_command_is_in_help_and_can_be_given_from_it),
    (C::HelpAnywhere, help_over_help_still_knows_where_one_is),
    (C::Theme, the_screen_is_given_another_theme_and_drawn_anew),
    (C::Repaint, the_screen_is_given_another_theme_and_drawn_anew),
    (C::Quit, leaving_is_one_key_in_every_pane),
    (C::Leave, quitting_saves_what_is_being_written),
];

#[test]
pub(in crate::app) fn a_paste_is_never_commands() {
    let mut hand = Hand::new(3);
    hand.effects.clear();
    hand.give(Msg::Paste("aaaxq\n".into()));
    assert!(hand.effects.is_empty());
    assert_eq!(hand.current(), 1);
    assert!(!hand.app.is_quitting());
    hand.press("e");
    hand.give(Msg::Paste("q\na".into()));
    assert_eq!(hand.app.data.editor.as_ref().unwrap().field.text(), "draft 1q\na");
}

#[test]
pub(in crate::app) fn full_width_keys_are_keys_and_in_a_text_letters() {
    let mut hand = Hand::new(3);
    hand.press("ｊ");
    assert_eq!(hand.current(), 2);
    hand.give(Msg::Commit("ｊｋ".into()));
    assert_eq!(hand.current(), 2, "down and up again");
    hand.press("e ｊ");
    assert_eq!(hand.app.data.editor.as_ref().unwrap().field.text(), "draft 2ｊ");
}

#[test]
pub(in crate::app) fn every_command_is_in_help_and_can_be_given_from_it() {
    let mut hand = Hand::new(2);
    hand.press("?");
    let Some(Overlay::Help { fitting, .. }) = &hand.app.overlay else { panic!("no help") };
    assert!(Command::ALL.iter().all(|command| fitting.contains(command)));
    hand.give(Msg::Commit("accept the answer".into()));
    let effects = hand.press("enter");
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act: Act::Accept, .. })));
    assert_eq!(hand.current(), 2);
    // In the middle of a text, too, and back in it.
    hand.press("e");
    hand.give(Msg::Key(KeyEvent::new(KeyCode::F(1), KeyModifiers::NONE)));
    hand.press("esc");
    assert!(hand.app.overlay.is_none() && hand.app.is_writing());
}

#[test]
pub(in crate::app) fn keys_one_after_the_other_show_what_may_follow() {
    let mut hand = Hand::new(9);
    hand.press("G");
    assert_eq!(hand.current(), 9);
    hand.press("g");
    assert!(hand.app.hints().iter().any(|(_, command)| *command == Command::ListTop));
    hand.press("g");
    assert_eq!((hand.current(), hand.app.hints().len()), (1, 0));
    hand.press("g x");
    assert!(hand.app.overlay.is_none(), "what is no key after g does nothing");
}

#[test]
pub(in crate::app) fn quitting_saves_what_is_being_written() {
    let mut hand = Hand::new(1);
    hand.press("e !");
    let effects = hand.command(C::Leave);
    assert!(matches!(&effects[..], [.., Effect::Store(Ask::Save { .. }), Effect::Quit]), "{effects:?}");
    assert!(hand.app.is_quitting());
}

#[test]
pub(in crate::app) fn nothing_to_show_is_nothing_to_draw() {
    let mut hand = Hand::new(3);
    hand.app.take_dirty();
    hand.give(Msg::Changed(vec![]));
    hand.give(Msg::Opened(Box::new(opened(1))));
    let tally = hand.app.tally;
    hand.give(Msg::Tally(tally));
    hand.give(Msg::Resize(120, 36));
    assert!(!hand.app.take_dirty());
    assert_eq!(hand.app.wake(), None, "nothing wants the time");
}

#[test]
pub(in crate::app) fn every_pane_has_a_number_and_asks_for_what_it_shows() {
    let mut hand = Hand::new(2);
    let mut seen = Vec::new();
    for command in [C::PanePrompt, C::PaneTrain, C::PaneCompare, C::PaneEvaluate, C::PaneData] {
        let effects = hand.command(command);
        let asks: Vec<Ask> = asked(&effects).into_iter().cloned().collect();
        seen.push((hand.app.pane, asks));
    }
    let [prompt, train, compare, evaluate, data] = &seen[..] else { panic!() };
    assert!(prompt.0 == Pane::Prompt && prompt.1.contains(&Ask::Prompts) && prompt.1.contains(&Ask::Open(1)));
    assert_eq!(train, &(Pane::Train, Vec::new()), "runs are watched, not asked for");
    assert_eq!(compare, &(Pane::Compare, vec![Ask::Systems, Ask::Questions]));
    assert_eq!(evaluate, &(Pane::Evaluate, vec![Ask::Systems]));
    assert_eq!(data, &(Pane::Data, Vec::new()));
    hand.command(C::PaneBefore);
    assert_eq!(hand.app.pane, Pane::Evaluate, "round and round");
    hand.commands(&[C::PaneNext, C::PaneNext]);
    assert_eq!(hand.app.pane, Pane::Prompt);
}

#[test]
pub(in crate::app) fn what_was_done_to_records_is_taken_back_and_done_again() {
    let mut hand = Hand::new(3);
    hand.command(C::Accept);
    assert_eq!(asked(&hand.command(C::Undo)), [&Ask::Undo { redo: false }]);
    let taken_back = Acted {
        words: "taken back: accept, record 1".into(),
        changed: vec![1],
        refused: Vec::new(),
        conflicts: Vec::new(),
        tell: true,
    };
    hand.give(Msg::Acted(taken_back));
    assert!(hand.is_told("taken back: accept, record 1"));
    assert_eq!(hand.current(), 1, "to be seen");
    assert_eq!(asked(&hand.command(C::Redo)), [&Ask::Undo { redo: true }]);
    // What could not be done is told with its reason.
    let refused = vec![(2, "there is no answer".to_owned()), (3, "there is no answer".to_owned())];
    hand.give(Msg::Acted(Acted {
        words: String::new(),
        changed: Vec::new(),
        refused,
        conflicts: Vec::new(),
        tell: false,
    }));
    assert!(hand.is_told("2 stays as it is: there is no answer, and 1 more"));
}

#[test]
pub(in crate::app) fn what_is_shown_is_copied_in_each_pane() {
    let copied = |effects: &[Effect]| {
        effects.iter().find_map(|effect| if let Effect::Copy(text) = effect { Some(text.clone()) } else { None })
    };
    let mut hand = Hand::new(1);
    assert_eq!(copied(&hand.command(C::Copy)).as_deref(), Some("draft 1"), "what gold would begin with");
    assert!(hand.is_told("copied"));
    hand.commands(&[C::PartNext]);
    assert_eq!(copied(&hand.command(C::Copy)).as_deref(), Some("質問 1"));
    for pane in [C::PanePrompt, C::PaneTrain, C::PaneCompare, C::PaneEvaluate] {
        hand.command(pane);
        hand.app.toasts.clear();
        assert_eq!(copied(&hand.command(C::Copy)), None, "{pane:?}");
        assert!(hand.is_told("nothing to copy here"), "{pane:?}");
    }
    hand.give(Msg::Prompts { versions: Vec::new(), examples: Vec::new() });
    hand.command(C::PanePrompt);
    assert_eq!(copied(&hand.command(C::Copy)), Some(hand.app.prompt.text()));
    hand.commands(&[C::PaneTrain, C::TrainNew]);
    assert_eq!(copied(&hand.command(C::Copy)).as_deref(), Some("togi train"), "the command line of the form");
    hand.command(C::PaneCompare);
    hand.app.compare.answers[1].text = "tuned".into();
    assert_eq!(copied(&hand.command(C::Copy)).as_deref(), Some("tuned"));
}

#[test]
pub(in crate::app) fn the_screen_is_given_another_theme_and_drawn_anew() {
    let mut hand = Hand::new(1);
    assert_eq!(hand.command(C::Theme), [Effect::NextTheme]);
    assert_eq!(hand.command(C::Repaint), [Effect::Repaint]);
    // In the middle of a text, too.
    hand.command(C::Edit);
    assert_eq!(hand.command(C::Repaint), [Effect::Repaint]);
    assert!(hand.app.is_writing());
}

#[test]
pub(in crate::app) fn leaving_is_one_key_in_every_pane() {
    for pane in [C::PaneData, C::PanePrompt, C::PaneTrain, C::PaneCompare, C::PaneEvaluate] {
        let mut hand = Hand::new(1);
        hand.command(pane);
        assert_eq!(hand.command(C::Quit), [Effect::Quit], "{pane:?}");
        assert!(hand.app.is_quitting());
    }
}

#[test]
pub(in crate::app) fn help_over_help_still_knows_where_one_is() {
    let mut hand = Hand::new(2);
    hand.command(C::Edit);
    hand.write("!");
    // The keys of what is being written, from a second look at help.
    hand.commands(&[C::HelpAnywhere, C::HelpAnywhere]);
    hand.write("text.accept");
    let effects = hand.command(C::PickDone);
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Save { then_accept: true, .. })), "{effects:?}");
    assert!(!hand.app.is_writing() && hand.app.overlay.is_none());
}

#[test]
pub(in crate::app) fn a_command_of_another_pane_is_given_there() {
    let mut hand = Hand::new(2);
    hand.command(C::Help);
    hand.write("compare.present");
    hand.command(C::PickDone);
    assert!(hand.app.pane == Pane::Compare && matches!(hand.app.compare.mode, Mode::Present(_)));
    // One that belongs to something that is not open says where it belongs.
    hand.commands(&[C::PresentLeave, C::Help]);
    hand.write("confirm.yes");
    hand.command(C::PickDone);
    assert!(hand.is_told("confirm.yes belongs where one is asked yes or no"));
    hand.command(C::Help);
    hand.write("data.accept");
    assert_eq!(acts(&hand.command(C::PickDone)), [(Act::Accept, vec![1])]);
    assert_eq!(hand.app.pane, Pane::Data);
}
