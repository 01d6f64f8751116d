//! What the keys of the pane do in each way of using it, and what becomes of the answers.

use std::time::Duration;

use super::super::hand::{Given, Hand, asked, wished};
use super::super::wish::{Granted, Question, System, Told, Wish};
use super::super::{Ask, Effect, Msg, Overlay};
use super::*;
use crate::keymap::Command as C;

/// The test that gives each command.
pub(in crate::app) const GIVEN: Given = &[
    (C::CompareRun, base_and_the_newest_run_answer_side_by_side_and_stale_tokens_are_dropped),
    (C::CompareNext, base_and_the_newest_run_answer_side_by_side_and_stale_tokens_are_dropped),
    (C::CompareBefore, base_and_the_newest_run_answer_side_by_side_and_stale_tokens_are_dropped),
    (C::CompareType, a_question_of_ones_own_is_asked_and_the_records_come_back),
    (C::CompareLeft, who_answers_is_chosen_and_sides_change_without_asking_again),
    (C::CompareRight, who_answers_is_chosen_and_sides_change_without_asking_again),
    (C::CompareSwap, who_answers_is_chosen_and_sides_change_without_asking_again),
    (C::CompareSeed, another_seed_draws_and_the_likeliest_answer_is_kept),
    (C::CompareGreedy, another_seed_draws_and_the_likeliest_answer_is_kept),
    (C::CompareBlind, blind_picks_count_for_the_system_whichever_side_it_was_on),
    (C::ComparePresent, an_audience_sees_no_half_answer_and_the_first_question_plays_too),
    (C::CompareStop, what_is_being_written_is_stopped),
    (C::CompareScrollDown, a_long_question_is_scrolled),
    (C::CompareScrollUp, a_long_question_is_scrolled),
    (C::BlindLeft, blind_picks_count_for_the_system_whichever_side_it_was_on),
    (C::BlindRight, blind_picks_count_for_the_system_whichever_side_it_was_on),
    (C::BlindTie, a_question_that_is_picked_on_again_counts_once),
    (C::BlindBad, a_question_that_is_picked_on_again_counts_once),
    (C::BlindSkip, judging_needs_two_answers_and_ends_with_its_result),
    (C::BlindBefore, a_question_that_is_picked_on_again_counts_once),
    (C::BlindScrollDown, a_long_question_is_scrolled),
    (C::BlindScrollUp, a_long_question_is_scrolled),
    (C::BlindLeave, judging_needs_two_answers_and_ends_with_its_result),
    (C::PresentNext, an_audience_sees_no_half_answer_and_the_first_question_plays_too),
    (C::PresentBefore, rehearsed_answers_play_at_the_speed_they_were_written_without_a_model),
    (C::PresentAgain, rehearsed_answers_play_at_the_speed_they_were_written_without_a_model),
    (C::PresentLeave, an_audience_sees_no_half_answer_and_the_first_question_plays_too),
];

/// A workbench at its Compare pane, with three test records.
fn comparing() -> Hand {
    let mut hand = Hand::new(3);
    hand.press("4");
    hand.give(Msg::Systems(vec![System::Base, System::Run("a1".into()), System::Run("a1@20".into())]));
    hand.give(Msg::Questions(vec![1, 2, 3]));
    hand.answer_opens();
    hand
}

fn both(effects: &[Effect]) -> Option<(u64, Vec<System>)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Wish { number, wish: Wish::Answer { cells, .. } } => {
            Some((*number, cells.iter().map(|cell| cell.system.clone()).collect()))
        }
        _ => None,
    })
}

fn answered(hand: &mut Hand, number: u64, texts: [&str; 2]) {
    for (cell, text) in texts.into_iter().enumerate() {
        let granted = Granted::Told(Told::Begins { cell, adapter: None, checkpoint: None, prompt_tokens: 9 });
        hand.give(Msg::Granted { number, granted });
        hand.give(Msg::Granted { number, granted: Granted::Told(Told::Text { cell, text: text.into() }) });
        hand.give(Msg::Granted {
            number,
            granted: Granted::Told(Told::Done { cell, tokens: 3, stop: "end".into(), seconds: 0.1 }),
        });
    }
    hand.give(Msg::Granted { number, granted: Granted::Ended });
}

#[test]
pub(in crate::app) fn base_and_the_newest_run_answer_side_by_side_and_stale_tokens_are_dropped() {
    let mut hand = comparing();
    let (first, systems) = both(&hand.press("enter")).unwrap();
    assert_eq!(systems, [System::Base, System::Run("a1".into())]);
    let (second, _) = both(&hand.press("j")).unwrap();
    hand.give(Msg::Granted { number: first, granted: Granted::Told(Told::Text { cell: 0, text: "stale".into() }) });
    assert_eq!(hand.app.compare.answers[0].text, "");
    answered(&mut hand, second, ["x", "y"]);
    assert_eq!(hand.app.compare.answers[1].text, "y");
    // Back and forth: what was answered is there without being asked again.
    let (third, _) = both(&hand.press("k")).unwrap();
    answered(&mut hand, third, ["p", "q"]);
    assert_eq!(both(&hand.press("j")), None);
    assert_eq!(hand.app.compare.answers[1].text, "y");
}

#[test]
pub(in crate::app) fn blind_picks_count_for_the_system_whichever_side_it_was_on() {
    let mut hand = comparing();
    hand.app.compare.seed = 7;
    let mut effects = hand.press("B");
    let mut sides = Vec::new();
    for _ in 0..3 {
        let (number, systems) = both(&effects).unwrap();
        answered(&mut hand, number, ["left", "right"]);
        // The person always prefers the run.
        let left = systems[0] != System::Base;
        sides.push(left);
        effects = hand.press(if left { "a" } else { "b" });
        let judged = asked(&effects).into_iter().find_map(|ask| match ask {
            Ask::Judge(judged) => Some((**judged).clone()),
            _ => None,
        });
        let judged = judged.unwrap();
        assert_eq!(judged.pick, if left { Pick::Left } else { Pick::Right });
        assert_eq!(judged.systems[usize::from(!left)], "a1");
        assert!(!judged.question.is_empty());
    }
    assert_eq!(hand.app.compare.mode, Mode::Walk);
    let Some(Overlay::Score { score, systems }) = &hand.app.overlay else { panic!("no result") };
    assert_eq!((score.counts, systems[1].as_str()), ([0, 3, 0, 0], "a1"));
    let (share, interval) = score.second();
    assert!((share - 1.0).abs() < 1e-12 && interval.low < 0.5, "three picks prove little: {interval:?}");
}

#[test]
pub(in crate::app) fn a_run_in_progress_is_picked_by_name_and_judged_as_the_checkpoint_it_wrote() {
    let mut hand = comparing();
    let run = |name: &str| System::Run(name.into());
    hand.give(Msg::Systems(vec![System::Base, run("a1"), run("a1@20"), run("a1@now")]));
    hand.press("b");
    let Some(Overlay::Pick { items, .. }) = &hand.app.overlay else { panic!("no list") };
    assert_eq!(items.last().unwrap(), "a1@now  a snapshot of the run in progress");
    for _ in 0..2 {
        hand.press("down");
    }
    let (_, systems) = both(&hand.press("enter")).unwrap();
    assert_eq!(systems, [System::Base, run("a1@now")]);
    hand.app.compare.seed = 7;
    let effects = hand.press("B");
    let (number, systems) = both(&effects).unwrap();
    for (cell, system) in systems.iter().enumerate() {
        let checkpoint = system.is_moving().then(|| "step-000120".to_owned());
        for granted in [
            Granted::Told(Told::Begins { cell, adapter: None, checkpoint, prompt_tokens: 3 }),
            Granted::Told(Told::Done { cell, tokens: 3, stop: "end".into(), seconds: 0.1 }),
        ] {
            hand.give(Msg::Granted { number, granted });
        }
    }
    hand.give(Msg::Granted { number, granted: Granted::Ended });
    let effects = hand.press("=");
    let judged = asked(&effects).into_iter().find_map(|ask| match ask {
        Ask::Judge(judged) => Some((**judged).clone()),
        _ => None,
    });
    let mut systems = judged.unwrap().systems;
    systems.sort();
    assert_eq!(systems, ["a1@120", "base"]);
}

#[test]
pub(in crate::app) fn rehearsed_answers_play_at_the_speed_they_were_written_without_a_model() {
    let mut hand = comparing();
    hand.press("P");
    let (number, _) = both(&hand.press("enter")).unwrap();
    hand.now += Duration::from_millis(700);
    hand.give(Msg::Granted { number, granted: Granted::Told(Told::Text { cell: 0, text: "one".into() }) });
    hand.now += Duration::from_millis(300);
    hand.effects.clear();
    answered(&mut hand, number, [" two", "2"]);
    let kept = hand.effects.iter().find_map(|effect| match effect {
        Effect::Store(Ask::Rehearsed(recording)) => Some((**recording).clone()),
        _ => None,
    });
    assert_eq!(kept.unwrap().events.len(), 3);
    hand.press("space");
    let effects = hand.press("k");
    assert_eq!(both(&effects), None, "no model is asked");
    let began = hand.now;
    assert_eq!(hand.app.wake(), Some(began + Duration::from_millis(700)));
    hand.now = began + Duration::from_millis(800);
    hand.give(Msg::Wake);
    assert_eq!(hand.app.compare.answers[0].text, "one");
    hand.now = began + Duration::from_secs(2);
    hand.give(Msg::Wake);
    assert_eq!(
        (hand.app.compare.answers[0].text.as_str(), hand.app.compare.answers[1].text.as_str()),
        ("one two", "2")
    );
}

/// The first question, answered.
fn compared() -> Hand {
    let mut hand = comparing();
    let (number, _) = both(&hand.command(C::CompareRun)).unwrap();
    answered(&mut hand, number, ["from base", "from a1"]);
    hand
}

fn texts(hand: &Hand) -> [&str; 2] {
    [0, 1].map(|side| hand.app.compare.answers[side].text.as_str())
}

#[test]
pub(in crate::app) fn a_question_of_ones_own_is_asked_and_the_records_come_back() {
    let mut hand = compared();
    hand.command(C::CompareType);
    assert_eq!(hand.command(C::AskDone), [], "an empty line asks nothing");
    assert_eq!(texts(&hand), ["from base", "from a1"]);
    hand.command(C::CompareType);
    hand.write("今日は？");
    let effects = hand.command(C::AskDone);
    let [(_, Wish::Answer { cells, .. })] = &wished(&effects)[..] else { panic!("{effects:?}") };
    assert!(cells.iter().all(|cell| cell.question == Question::Typed("今日は？".into())));
    hand.command(C::CompareType);
    assert_eq!(hand.line(), "今日は？", "it can be written on");
    hand.command(C::AskLeave);
    // Going on, and a line that is emptied, come back to the records.
    hand.command(C::CompareNext);
    assert_eq!(hand.app.compare.question(), Some(Question::Record(2)));
    hand.command(C::CompareType);
    hand.write("x");
    hand.commands(&[C::AskDone, C::CompareType]);
    let Some(Overlay::Ask(line)) = &mut hand.app.overlay else { panic!("no line") };
    line.field.set("");
    hand.command(C::AskDone);
    assert_eq!(hand.app.compare.question(), Some(Question::Record(2)));
    // Where there is no test record, the person is told what to do.
    let mut hand = Hand::new(1);
    hand.command(C::PaneCompare);
    for command in [C::CompareRun, C::CompareBlind] {
        hand.command(command);
        assert!(hand.is_told("still being read"), "{command:?}: nobody knows yet that there are none");
    }
    hand.give(Msg::Questions(Vec::new()));
    hand.command(C::CompareRun);
    assert!(hand.is_told("e takes a question of your own"));
    hand.command(C::CompareBlind);
    assert!(hand.is_told("there are none") && hand.app.compare.mode == Mode::Walk);
}

#[test]
pub(in crate::app) fn who_answers_is_chosen_and_sides_change_without_asking_again() {
    let mut hand = compared();
    hand.app.compare.answers[1].apart = Some(0.5);
    hand.app.compare.kept.values_mut().for_each(|answers| answers[1].apart = Some(0.5));
    assert_eq!(both(&hand.command(C::CompareSwap)), None, "both answers are there");
    assert_eq!(texts(&hand), ["from a1", "from base"]);
    assert_eq!(hand.app.compare.answers[1].apart, Some(0.5), "it is told at the right, whoever is there");
    assert_eq!(hand.app.compare.shown_sides(), [System::Run("a1".into()), System::Base]);
    hand.command(C::CompareSwap);
    assert_eq!(texts(&hand), ["from base", "from a1"]);
    // A list that is open while other runs become known means what it shows.
    hand.command(C::CompareLeft);
    hand.commands(&[C::PickDown, C::PickDown]);
    let run = |name: &str| System::Run(name.into());
    hand.give(Msg::Systems(vec![System::Base, run("a1"), run("a1@10"), run("a1@20")]));
    let (items, at) = hand.list();
    assert_eq!(items[at], "a1@20");
    let (_, systems) = both(&hand.command(C::PickDone)).unwrap();
    assert_eq!(systems, [run("a1@20"), run("a1")]);
    hand.commands(&[C::CompareRight, C::PickPageDown]);
    hand.command(C::PickDone);
    hand.command(C::CompareBlind);
    assert!(hand.is_told("choose another with a or b"), "a system is not judged against itself");
    // What a person has chosen stays when a newer run is there.
    hand.give(Msg::Systems(vec![System::Base, run("a1"), run("a1@20"), run("a2")]));
    assert_eq!(hand.app.compare.sides, [run("a1@20"), run("a1@20")]);
}

#[test]
pub(in crate::app) fn a_newer_run_takes_the_right_side_but_never_the_answers_of_another() {
    let mut hand = comparing();
    let (number, _) = both(&hand.command(C::CompareRun)).unwrap();
    hand.give(Msg::Granted { number, granted: Granted::Told(Told::Text { cell: 1, text: "from a1".into() }) });
    hand.give(Msg::Systems(vec![System::Base, System::Run("a1".into()), System::Run("a2".into())]));
    assert_eq!(hand.app.compare.sides[1], System::Run("a2".into()));
    assert_eq!(texts(&hand), ["", ""]);
    answered(&mut hand, number, ["from base", "from a1"]);
    assert_eq!(texts(&hand), ["", ""], "nobody waits for those any more");
    let (number, systems) = both(&hand.command(C::CompareRun)).unwrap();
    assert_eq!(systems[1], System::Run("a2".into()));
    answered(&mut hand, number, ["from base", "from a2"]);
    // The test records are others now: the one that is shown stays, with its answers.
    hand.give(Msg::Questions(vec![7, 1, 2]));
    assert_eq!((hand.app.compare.at, texts(&hand)), (1, ["from base", "from a2"]));
    hand.give(Msg::Questions(vec![7, 2]));
    assert_eq!((hand.app.compare.question(), texts(&hand)), (Some(Question::Record(2)), ["", ""]));
}

#[test]
pub(in crate::app) fn another_seed_draws_and_the_likeliest_answer_is_kept() {
    let mut hand = compared();
    let how = |effects: &[Effect]| match &wished(effects)[..] {
        [.., (number, Wish::Answer { how, .. })] => (*number, how.temperature, how.seed),
        _ => panic!("{effects:?}"),
    };
    let (number, temperature, seed) = how(&hand.command(C::CompareSeed));
    assert!(temperature > 0.0 && seed == 1, "{temperature}, {seed}");
    answered(&mut hand, number, ["drawn", "drawn"]);
    let (_, same, seed) = how(&hand.command(C::CompareSeed));
    assert!((same - temperature).abs() < 1e-12 && seed == 2);
    assert_eq!(both(&hand.command(C::CompareGreedy)), None, "it was answered, and no seed changes that");
    assert_eq!(texts(&hand), ["from base", "from a1"]);
}

#[test]
pub(in crate::app) fn what_is_being_written_is_stopped() {
    let mut hand = comparing();
    let (number, _) = both(&hand.command(C::CompareRun)).unwrap();
    hand.give(Msg::Granted { number, granted: Granted::Told(Told::Text { cell: 0, text: "half".into() }) });
    let effects = hand.command(C::CompareStop);
    assert!(matches!(wished(&effects)[..], [(_, Wish::Stop)]), "{effects:?}");
    assert!(hand.is_told("stopped") && !hand.app.compare.is_busy());
    assert_eq!(texts(&hand), ["half", ""], "what is written stays to be read");
    assert_eq!(hand.command(C::CompareStop), [], "there is nothing to stop");
    assert!(!hand.is_told("stopped"));
}

#[test]
pub(in crate::app) fn what_cannot_be_answered_says_why() {
    let mut hand = comparing();
    let (number, _) = both(&hand.command(C::CompareRun)).unwrap();
    hand.give(Msg::Granted { number, granted: Granted::Failed("not enough memory".into()) });
    assert_eq!(hand.app.compare.problem.as_deref(), Some("not enough memory"));
    hand.command(C::CompareNext);
    assert_eq!(hand.app.compare.problem, None, "another question, another try");
}

#[test]
pub(in crate::app) fn a_long_question_is_scrolled() {
    let mut hand = comparing();
    hand.commands(&[C::CompareScrollDown, C::CompareScrollDown, C::CompareScrollUp]);
    assert!(hand.app.compare.scroll.lines() > 0);
    hand.command(C::CompareNext);
    assert_eq!(hand.app.compare.scroll.lines(), 0, "the next one is read from its beginning");
    hand.command(C::CompareBefore);
    hand.command(C::CompareBefore);
    assert!(hand.is_told("this is the first question"));
    hand.command(C::CompareBlind);
    hand.commands(&[C::BlindScrollDown, C::BlindScrollDown, C::BlindScrollUp]);
    assert!(hand.app.compare.scroll.lines() > 0, "whoever judges has to read it, too");
}

/// What was judged.
fn judged(effects: &[Effect]) -> Option<Judged> {
    asked(effects).into_iter().find_map(|ask| match ask {
        Ask::Judge(judged) => Some((**judged).clone()),
        _ => None,
    })
}

#[test]
pub(in crate::app) fn a_question_that_is_picked_on_again_counts_once() {
    let mut hand = comparing();
    let (number, _) = both(&hand.command(C::CompareBlind)).unwrap();
    answered(&mut hand, number, ["x", "y"]);
    hand.now += Duration::from_secs(4);
    let effects = hand.command(C::BlindTie);
    let tie = judged(&effects).unwrap();
    assert_eq!((tie.record, tie.pick, tie.question.as_str()), (Some(1), Pick::Tie, "質問 1"));
    assert!((tie.seconds - 4.5).abs() < 1e-9, "{}", tie.seconds);
    // u is for records; a pick is corrected where it was made.
    assert_eq!(hand.command(C::Undo), []);
    assert!(hand.is_told("k goes back"));
    hand.command(C::BlindBefore);
    assert_eq!(judged(&hand.command(C::BlindBad)).map(|judged| judged.pick), Some(Pick::Bad));
    hand.command(C::BlindLeave);
    let Some(Overlay::Score { score, .. }) = &hand.app.overlay else { panic!("no result") };
    assert_eq!(score.counts, [0, 0, 0, 1]);
}

#[test]
pub(in crate::app) fn judging_needs_two_answers_and_ends_with_its_result() {
    let mut hand = comparing();
    let (number, _) = both(&hand.command(C::CompareBlind)).unwrap();
    assert_eq!(judged(&hand.command(C::BlindLeft)), None);
    assert!(hand.is_told("wait until both have answered"));
    hand.give(Msg::Granted { number, granted: Granted::Failed("no memory".into()) });
    assert_eq!(judged(&hand.command(C::BlindRight)), None);
    assert!(hand.is_told("n goes on"), "there is nothing to wait for");
    let (number, _) = both(&hand.command(C::BlindSkip)).unwrap();
    answered(&mut hand, number, ["x", "y"]);
    assert!(judged(&hand.command(C::BlindLeft)).is_some());
    let effects = hand.command(C::BlindLeave);
    assert!(matches!(wished(&effects)[..], [(_, Wish::Stop)]), "the third was being answered: {effects:?}");
    let Some(Overlay::Score { score, .. }) = &hand.app.overlay else { panic!("no result") };
    assert_eq!(score.all(), 1);
    hand.command(C::PickLeave);
    // Without a pick there is no result to show.
    hand.commands(&[C::CompareBlind, C::BlindLeave]);
    assert!(hand.app.overlay.is_none() && hand.app.compare.mode == Mode::Walk);
}

#[test]
pub(in crate::app) fn an_audience_sees_no_half_answer_and_the_first_question_plays_too() {
    let mut hand = comparing();
    let (number, _) = both(&hand.command(C::CompareRun)).unwrap();
    hand.give(Msg::Granted { number, granted: Granted::Told(Told::Text { cell: 0, text: "half an".into() }) });
    let effects = hand.command(C::ComparePresent);
    assert!(matches!(wished(&effects)[..], [(_, Wish::Stop)]), "{effects:?}");
    assert!(asked(&effects).contains(&&Ask::Recordings));
    hand.give(Msg::Granted { number, granted: Granted::Told(Told::Text { cell: 0, text: " answer".into() }) });
    assert_eq!(texts(&hand), ["", ""], "the question stands there alone");
    let recording = |id, text: &str| Recording {
        question: Question::Record(id),
        systems: ["base".into(), "a1".into()],
        events: vec![(0, 1, text.into())],
    };
    hand.give(Msg::Recordings(vec![recording(1, "first"), recording(2, "second")]));
    assert_eq!(both(&hand.command(C::PresentNext)), None, "no model is asked");
    hand.wait(Duration::from_millis(1));
    assert_eq!((hand.app.compare.at, texts(&hand)), (0, ["", "first"]));
    hand.command(C::PresentNext);
    hand.wait(Duration::from_millis(1));
    assert_eq!((hand.app.compare.at, texts(&hand)), (1, ["", "second"]));
    assert_eq!(hand.command(C::Undo), [], "before an audience nothing is taken back");
    hand.command(C::PresentLeave);
    assert_eq!((texts(&hand), &hand.app.compare.mode), (["", ""], &Mode::Walk));
}

#[test]
pub(in crate::app) fn one_companion_answers_one_question_and_nobody_waits_for_another() {
    let mut hand = comparing();
    hand.command(C::CompareRun);
    assert!(hand.app.compare.is_busy());
    hand.command(C::PanePrompt);
    let version =
        super::super::prompt::Version { name: "short".into(), text: "{{ question }}".into(), ..Default::default() };
    hand.give(Msg::Prompts { versions: vec![version], examples: Vec::new() });
    hand.give(Msg::Found { number: 0, ids: Ok(vec![1, 2, 3]) });
    hand.command(C::PromptTry);
    assert!(hand.app.prompt.is_trying() && !hand.app.compare.is_busy());
    hand.commands(&[C::PaneCompare, C::CompareRun]);
    assert!(hand.app.compare.is_busy() && !hand.app.prompt.is_trying());
}
