//! What the keys of the pane do, and what becomes of the renderings and answers that are told.

use serde_json::Map;

use super::super::hand::{Given, Hand, asked, opened_as, wished};
use super::super::wish::{Granted, Question, System, Told, Wish};
use super::super::{Ask, Content, Effect, Msg, Overlay, State, Status};
use super::*;
use crate::keymap::Command as C;

/// The test that gives each command.
pub(in crate::app) const GIVEN: Given = &[
    (C::PromptEdit, what_is_written_is_rendered_at_a_glance_and_kept_at_a_pause),
    (C::PromptSave, a_text_is_a_draft_until_it_is_saved),
    (C::PromptName, a_version_is_saved_under_another_name),
    (C::PromptUse, the_project_uses_what_was_saved),
    (C::PromptVersion, another_version_is_shown_and_nothing_that_was_written_is_lost),
    (C::PromptDiff, the_right_side_shows_tokens_differences_or_answers),
    (C::PromptRevert, going_back_to_the_saved_text_can_be_taken_back),
    (C::PromptNext, the_records_are_walked_through_and_rendered),
    (C::PromptBefore, the_records_are_walked_through_and_rendered),
    (C::PromptVariable, a_field_of_the_record_is_put_in),
    (C::PromptExample, a_record_is_shown_as_an_example_or_no_longer),
    (C::PromptPin, what_is_tried_is_pinned_records_by_templates_and_systems),
    (C::PromptTry, what_is_tried_is_pinned_records_by_templates_and_systems),
    (C::PromptBeside, what_is_tried_is_pinned_records_by_templates_and_systems),
    (C::PromptRepeat, each_is_asked_once_twice_or_three_times),
    (C::PromptStop, answers_come_cell_by_cell_until_they_are_stopped),
    (C::PromptScrollDown, a_long_rendering_is_scrolled_also_while_one_writes),
    (C::PromptScrollUp, a_long_rendering_is_scrolled_also_while_one_writes),
];

fn version(name: &str, text: &str) -> Version {
    Version { name: name.into(), text: text.into(), draft: None, used: name == "short" }
}

fn versions() -> Vec<Version> {
    vec![version("long", "Q: {{ question }}\nA:"), version("short", "{{ question }}")]
}

/// A workbench at the pane with three records, two versions, and base and a run to ask.
fn prompting() -> Hand {
    let mut hand = Hand::new(3);
    let effects = hand.command(C::PanePrompt);
    assert!(asked(&effects).contains(&&Ask::Prompts), "{effects:?}");
    hand.give(Msg::Prompts { versions: versions(), examples: vec![2] });
    hand.give(Msg::Systems(vec![System::Base, System::Run("a1".into())]));
    hand.give(Msg::Found { number: 0, ids: Ok(vec![1, 2, 3]) });
    hand.answer_opens();
    hand.wait(PAUSE);
    hand
}

/// A workbench in whose project nothing is yet.
fn nothing() -> Hand {
    let mut hand = Hand::new(0);
    hand.command(C::PanePrompt);
    hand.give(Msg::Prompts { versions: Vec::new(), examples: Vec::new() });
    hand.give(Msg::Found { number: 0, ids: Ok(Vec::new()) });
    hand
}

/// What is to be rendered: the record and the template.
fn rendered(effects: &[Effect]) -> Option<(u64, i64, String)> {
    wished(effects).into_iter().find_map(|(number, wish)| match wish {
        Wish::Render { question: Question::Record(id), template: Some(template) } => Some((number, id, template)),
        _ => None,
    })
}

fn draft(name: &str, text: &str) -> Ask {
    Ask::PromptDraft { name: name.into(), text: text.into() }
}

fn saved(name: &str, text: &str) -> Ask {
    Ask::PromptSave { name: name.into(), text: text.into() }
}

#[test]
pub(in crate::app) fn the_records_are_walked_through_and_rendered() {
    let mut hand = prompting();
    assert_eq!((hand.app.prompt.name.as_str(), hand.app.prompt.text().as_str()), ("short", "{{ question }}"));
    assert!(asked(&hand.command(C::PromptNext)).contains(&&Ask::Open(2)));
    let (number, id, _) = rendered(&hand.wait(GLANCE)).unwrap();
    assert_eq!(id, 2);
    hand.commands(&[C::PromptBefore, C::PromptBefore]);
    assert_eq!(hand.app.prompt.record().map(|open| open.record.id), Some(1), "there is none before the first");
    let (newer, id, _) = rendered(&hand.wait(GLANCE)).unwrap();
    assert_eq!(id, 1);
    // Tokens of the record before are none of this one.
    hand.give(Msg::Granted { number, granted: Granted::Rendered { tokens: Vec::new(), window: 7 } });
    assert_eq!(hand.app.prompt.window, 0);
    hand.give(Msg::Granted { number: newer, granted: Granted::Rendered { tokens: Vec::new(), window: 512 } });
    assert_eq!(hand.app.prompt.window, 512);
}

#[test]
pub(in crate::app) fn what_is_written_is_rendered_at_a_glance_and_kept_at_a_pause() {
    let mut hand = prompting();
    hand.command(C::PromptEdit);
    hand.write("{% if");
    let effects = hand.wait(GLANCE);
    let (number, _, template) = rendered(&effects).unwrap();
    assert_eq!(template, "{{ question }}{% if");
    assert_eq!(asked(&effects), Vec::<&Ask>::new(), "a person who writes on is not waited for");
    hand.give(Msg::Granted { number, granted: Granted::Failed("the template, line 1: an end is missing".into()) });
    assert_eq!((hand.app.prompt.problem_line(), hand.app.prompt.text().as_str()), (Some(1), "{{ question }}{% if"));
    assert_eq!(asked(&hand.wait(PAUSE)), [&draft("short", "{{ question }}{% if")]);
    hand.write(" x %}");
    assert_eq!(asked(&hand.command(C::EditorDone)), [&draft("short", "{{ question }}{% if x %}")]);
    assert!(!hand.app.is_writing());
    assert_eq!(asked(&hand.wait(PAUSE)), Vec::<&Ask>::new(), "once is enough");
    // Leaving togi keeps what was written a moment before.
    hand.command(C::PromptEdit);
    hand.write("!");
    let effects = hand.command(C::Leave);
    assert_eq!(asked(&effects), [&draft("short", "{{ question }}{% if x %}!")]);
    assert!(hand.app.is_quitting());
}

#[test]
pub(in crate::app) fn a_text_is_a_draft_until_it_is_saved() {
    let mut hand = prompting();
    hand.command(C::PromptEdit);
    hand.write("!");
    let text = "{{ question }}!";
    let effects = hand.command(C::EditorSave);
    assert_eq!(asked(&effects), [&draft("short", text), &saved("short", text)], "what is refused is kept all the same");
    assert!(hand.app.is_writing(), "one goes on writing");
    hand.effects.clear();
    hand.give(Msg::PromptSaved("short-2".into()));
    assert!(hand.is_told("saved as short-2; U lets the project use it"));
    let told = std::mem::take(&mut hand.effects);
    assert_eq!(asked(&told), [&draft("short", "{{ question }}"), &Ask::Prompts], "short has nothing unsaved any more");
    assert_eq!(hand.app.prompt.name, "short-2");
    hand.give(Msg::Prompts { versions: [versions(), vec![version("short-2", text)]].concat(), examples: Vec::new() });
    assert!(!hand.app.prompt.is_changed());
    hand.wait(PAUSE);
    hand.command(C::EditorAccept);
    assert!(!hand.app.is_writing(), "saved, and done");
    assert_eq!(asked(&hand.command(C::PromptSave)), [&saved("short-2", text)]);
}

#[test]
pub(in crate::app) fn a_version_is_saved_under_another_name() {
    let mut hand = prompting();
    hand.command(C::PromptName);
    assert_eq!(hand.line(), "short");
    hand.write("-和文");
    assert_eq!(asked(&hand.command(C::AskDone)), [&saved("short-和文", "{{ question }}")]);
    hand.command(C::PromptName);
    let Some(Overlay::Ask(line)) = &mut hand.app.overlay else { panic!("no line") };
    line.field.set(" ");
    assert_eq!(hand.command(C::AskDone), []);
    assert!(hand.is_told("needs a name"));
}

#[test]
pub(in crate::app) fn the_project_uses_what_was_saved() {
    let mut hand = prompting();
    assert_eq!(asked(&hand.command(C::PromptUse)), [&Ask::PromptUse("short".into())]);
    assert_eq!(hand.notes(), "", "the store tells");
    hand.command(C::PromptEdit);
    hand.write("!");
    hand.command(C::EditorDone);
    assert_eq!(asked(&hand.command(C::PromptUse)), [&Ask::PromptUse("short".into())]);
    assert!(hand.is_told("as it was saved"), "what is written now is not used, and the person knows");
    // What was written and never saved comes back with the next workbench, and is no version either.
    let first = Version { name: "first".into(), draft: Some("{{ x }}".into()), ..Version::default() };
    let mut hand = Hand::new(0);
    hand.command(C::PanePrompt);
    hand.give(Msg::Prompts { versions: vec![first], examples: Vec::new() });
    assert_eq!(hand.app.prompt.text(), "{{ x }}");
    for mut hand in [hand, nothing()] {
        assert_eq!(hand.command(C::PromptUse), []);
        assert!(hand.is_told("no version yet; ctrl-s saves it"));
    }
}

#[test]
pub(in crate::app) fn another_version_is_shown_and_nothing_that_was_written_is_lost() {
    let mut hand = prompting();
    hand.command(C::PromptEdit);
    hand.write("!");
    hand.commands(&[C::EditorDone, C::PromptVersion]);
    assert_eq!(hand.list(), (vec!["long".into(), "short (in use) (with a text that is not saved)".into()], 1));
    hand.commands(&[C::PickUp, C::PickDone]);
    assert_eq!((hand.app.prompt.name.as_str(), hand.app.prompt.is_changed()), ("long", false));
    // Back before the versions were read again: what was written is there.
    hand.commands(&[C::PromptVersion, C::PickDown, C::PickDone]);
    assert_eq!(hand.app.prompt.text(), "{{ question }}!");
    // And what is no version yet stays when another one comes into the project.
    let mut hand = nothing();
    hand.command(C::PromptVersion);
    assert!(hand.app.overlay.is_none() && hand.is_told("ctrl-s saves this text as the first"));
    hand.command(C::PromptEdit);
    hand.write("mine");
    hand.command(C::EditorDone);
    let text = hand.app.prompt.text();
    hand.give(Msg::Prompts { versions: versions(), examples: Vec::new() });
    assert_eq!((hand.app.prompt.name.as_str(), hand.app.prompt.text()), ("first", text));
}

#[test]
pub(in crate::app) fn going_back_to_the_saved_text_can_be_taken_back() {
    let mut hand = prompting();
    hand.command(C::PromptEdit);
    hand.write("!");
    hand.commands(&[C::EditorDone, C::PromptRevert]);
    assert!(!hand.app.prompt.is_changed());
    // In this pane it is the template that undo is about, and no record.
    assert_eq!(asked(&hand.command(C::Undo)), Vec::<&Ask>::new());
    assert_eq!(hand.app.prompt.text(), "{{ question }}!");
    hand.command(C::Redo);
    assert_eq!(hand.app.prompt.text(), "{{ question }}");
    hand.command(C::Redo);
    assert!(hand.is_told("nothing to do again in the template"));
    assert_eq!(asked(&hand.wait(PAUSE)), [&draft("short", "{{ question }}")]);
    hand.command(C::PromptEdit);
    hand.write("?");
    hand.command(C::EditorRevert);
    assert!(!hand.app.prompt.is_changed() && hand.app.is_writing());
}

#[test]
pub(in crate::app) fn the_right_side_shows_tokens_differences_or_answers() {
    let mut hand = prompting();
    let mut right = |command| {
        hand.command(command);
        hand.app.prompt.right
    };
    assert_eq!((right(C::PromptDiff), right(C::PromptDiff)), (Right::Diff, Right::Tokens));
    assert_eq!(
        (right(C::PromptTry), right(C::PromptDiff), right(C::PromptStop)),
        (Right::Trial, Right::Diff, Right::Tokens)
    );
}

#[test]
pub(in crate::app) fn a_field_of_the_record_is_put_in() {
    let mut hand = prompting();
    hand.command(C::PromptVariable);
    assert_eq!(hand.list().0, ["question"]);
    hand.command(C::PickDone);
    assert_eq!(hand.app.prompt.text(), "{{ question }}{{ question }}");
    assert!(rendered(&hand.wait(GLANCE)).is_some());
    // While one writes, tab does it.
    hand.command(C::PromptEdit);
    hand.write("\n");
    hand.commands(&[C::EditorPartNext, C::PickDone]);
    assert_eq!(hand.app.prompt.text(), "{{ question }}{{ question }}\n{{ question }}");
    hand.command(C::EditorPartBefore);
    assert!(hand.app.is_writing() && hand.app.overlay.is_none());
    hand.command(C::EditorDone);
    let content = Content::Pair { fields: Map::new(), draft: None, gold: Some("x".into()) };
    hand.give(Msg::Opened(Box::new(opened_as(1, State::new(content, Status::Gold)))));
    hand.command(C::PromptVariable);
    assert!(hand.app.overlay.is_none() && hand.is_told("no fields to name"));
}

#[test]
pub(in crate::app) fn a_record_is_shown_as_an_example_or_no_longer() {
    let mut hand = prompting();
    assert_eq!(asked(&hand.command(C::PromptExample)), [&Ask::PromptExamples(vec![2, 1])]);
    hand.give(Msg::Prompts { versions: versions(), examples: vec![2, 1] });
    hand.command(C::PromptNext);
    assert_eq!(asked(&hand.command(C::PromptExample)), [&Ask::PromptExamples(vec![1])]);
    let mut hand = nothing();
    for command in [C::PromptExample, C::PromptPin] {
        assert_eq!(hand.command(command), []);
        assert!(hand.is_told("there is no record here"), "{command:?}");
    }
}

/// What is asked: records and column headings, and the temperature.
fn tried(hand: &Hand, effects: &[Effect]) -> (Vec<i64>, Vec<String>, usize, f64) {
    let [.., (_, Wish::Answer { cells, how })] = &wished(effects)[..] else { panic!("{effects:?}") };
    let trial = &hand.app.prompt.trial;
    let titles = trial.columns.iter().map(|column| column.title.clone()).collect();
    (trial.rows.clone(), titles, cells.len(), how.temperature)
}

#[test]
pub(in crate::app) fn what_is_tried_is_pinned_records_by_templates_and_systems() {
    let mut hand = prompting();
    let effects = hand.command(C::PromptTry);
    let columns = |columns: &[&str]| columns.iter().map(|&column| column.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        tried(&hand, &effects),
        (vec![1], columns(&["short base", "short a1"]), 2, 0.0),
        "the one that is shown"
    );
    hand.commands(&[C::PromptPin, C::PromptNext, C::PromptPin, C::PromptBeside]);
    hand.command(C::PickDone);
    let effects = hand.command(C::PromptTry);
    let four = columns(&["short base", "short a1", "long base", "long a1"]);
    assert_eq!(tried(&hand, &effects), (vec![1, 2], four, 8, 0.0));
    // Chosen again, it is tried no longer; and the text is tried beside the version that it began as.
    hand.commands(&[C::PromptBeside, C::PickDone, C::PromptBeside, C::PickDown, C::PickDone]);
    hand.command(C::PromptEdit);
    hand.write("!");
    hand.command(C::EditorDone);
    let effects = hand.command(C::PromptTry);
    let own = columns(&["short, written base", "short, written a1", "short base", "short a1"]);
    assert_eq!(tried(&hand, &effects).1, own);
    let texts: Vec<&str> = hand.app.prompt.trial.columns.iter().map(|column| column.template.as_str()).collect();
    assert_eq!(texts, ["{{ question }}!", "{{ question }}!", "{{ question }}", "{{ question }}"]);
    // Let go of, a record is tried no longer.
    hand.command(C::PromptPin);
    let effects = hand.command(C::PromptTry);
    assert_eq!(tried(&hand, &effects).0, [1]);
    let mut hand = nothing();
    assert_eq!(hand.command(C::PromptTry), []);
    assert!(hand.is_told("no record to try it on"));
    hand.command(C::PromptBeside);
    assert!(hand.app.overlay.is_none() && hand.is_told("no version is saved yet"));
}

#[test]
pub(in crate::app) fn no_more_is_pinned_than_can_be_read() {
    let mut hand = prompting();
    hand.give(Msg::Found { number: 0, ids: Ok(vec![1, 2, 3, 4]) });
    for _ in 0..3 {
        hand.commands(&[C::PromptPin, C::PromptNext]);
    }
    hand.command(C::PromptPin);
    assert!(hand.is_told("3 records can be read side by side"));
    assert_eq!(hand.app.prompt.pinned, [1, 2, 3]);
}

#[test]
pub(in crate::app) fn each_is_asked_once_twice_or_three_times() {
    let mut hand = prompting();
    let mut told = Vec::new();
    for _ in 0..4 {
        hand.command(C::PromptRepeat);
        let effects = hand.command(C::PromptTry);
        let (_, titles, _, temperature) = tried(&hand, &effects);
        told.push((titles.iter().filter(|title| title.starts_with("short base")).count(), temperature > 0.0));
    }
    assert_eq!(told, [(2, true), (3, true), (1, false), (2, true)], "no press does nothing");
    hand.commands(&[C::PromptRepeat, C::PromptTry]);
    assert!(hand.is_told("6 columns are too many to read: the first 4"));
    assert_eq!(hand.app.prompt.trial.columns.len(), 4);
}

#[test]
pub(in crate::app) fn answers_come_cell_by_cell_until_they_are_stopped() {
    let mut hand = prompting();
    let number = wished(&hand.command(C::PromptTry))[0].0;
    let text =
        |cell, text: &str| Msg::Granted { number, granted: Granted::Told(Told::Text { cell, text: text.into() }) };
    hand.give(text(1, "東"));
    hand.give(text(1, "京"));
    hand.give(Msg::Granted {
        number,
        granted: Granted::Told(Told::Done { cell: 1, tokens: 2, stop: "end".into(), seconds: 0.1 }),
    });
    assert_eq!(hand.app.prompt.trial.answers, [(String::new(), false), ("東京".into(), true)]);
    let effects = hand.command(C::PromptStop);
    assert!(matches!(wished(&effects)[..], [(_, Wish::Stop)]), "{effects:?}");
    assert_eq!((hand.app.prompt.right, hand.app.prompt.is_trying()), (Right::Tokens, false));
    assert_eq!(wished(&hand.command(C::PromptStop)), [], "there is nothing to stop");
    hand.give(text(0, "late"));
    assert_eq!(hand.app.prompt.trial.answers[0].0, "");
    // Why nothing comes is told, and the text stays.
    let number = wished(&hand.command(C::PromptTry))[0].0;
    hand.give(Msg::Granted { number, granted: Granted::Failed("not enough memory".into()) });
    assert_eq!((hand.app.prompt.problem.as_deref(), hand.app.prompt.is_trying()), (Some("not enough memory"), false));
    let number = wished(&hand.command(C::PromptTry))[0].0;
    hand.give(Msg::Granted { number, granted: Granted::Ended });
    assert!(!hand.app.prompt.is_trying());
}

#[test]
pub(in crate::app) fn a_long_rendering_is_scrolled_also_while_one_writes() {
    let mut hand = prompting();
    hand.commands(&[C::PromptScrollDown, C::PromptScrollDown, C::PromptScrollUp]);
    let one = hand.app.prompt.scroll.lines();
    assert!(one > 0);
    hand.commands(&[C::PromptEdit, C::EditorScrollDown]);
    assert_eq!(hand.app.prompt.scroll.lines(), 2 * one);
    hand.commands(&[C::EditorScrollUp, C::EditorDone, C::PromptNext]);
    assert_eq!(hand.app.prompt.scroll.lines(), 0, "another record is read from its beginning");
}
