//! What the pane's commands ask for, and what becomes of what is told.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::hand::Given;
use super::super::{App, Effect as AppEffect, Msg as AppMsg, Overlay, Pane, hand, wish};
use super::*;
use crate::job::Request;
use crate::keymap::{Command, Keymap};

/// The test that gives each command.
pub(in crate::app) const GIVEN: Given = &[
    (Command::EvaluateOpen, rows_are_walked_and_the_cursor_stays_on_its_row),
    (Command::EvaluateStart, an_evaluation_is_begun_with_the_verbs_own_words_and_stopped),
    (Command::EvaluateStop, an_evaluation_is_begun_with_the_verbs_own_words_and_stopped),
    (Command::EvaluatePause, an_evaluation_is_begun_with_the_verbs_own_words_and_stopped),
    (Command::EvaluateTest, who_is_compared_and_on_what_is_chosen),
    (Command::EvaluateSystems, who_is_compared_and_on_what_is_chosen),
    (Command::EvaluatePair, the_two_systems_whose_rows_are_listed_are_chosen),
    (Command::EvaluateList, rows_are_walked_and_the_cursor_stays_on_its_row),
    (Command::EvaluateListBefore, the_cursor_goes_by_rows_pages_and_lists),
    (Command::EvaluateTable, the_upper_half_shows_figures_or_errors_and_is_scrolled),
    (Command::EvaluateAgain, the_report_is_of_those_who_have_answered_all_and_is_asked_for_once),
    (Command::EvaluateDown, the_cursor_goes_by_rows_pages_and_lists),
    (Command::EvaluateUp, the_cursor_goes_by_rows_pages_and_lists),
    (Command::EvaluatePageDown, the_cursor_goes_by_rows_pages_and_lists),
    (Command::EvaluatePageUp, the_cursor_goes_by_rows_pages_and_lists),
    (Command::EvaluateTop, the_cursor_goes_by_rows_pages_and_lists),
    (Command::EvaluateBottom, the_cursor_goes_by_rows_pages_and_lists),
    (Command::EvaluateScrollDown, the_upper_half_shows_figures_or_errors_and_is_scrolled),
    (Command::EvaluateScrollUp, the_upper_half_shows_figures_or_errors_and_is_scrolled),
    (Command::RowMark, a_mark_is_kept_taken_back_and_put_again),
    (Command::RowNext, rows_are_walked_and_the_cursor_stays_on_its_row),
    (Command::RowBefore, rows_are_walked_and_the_cursor_stays_on_its_row),
    (Command::RowAnswer, rows_are_walked_and_the_cursor_stays_on_its_row),
    (Command::RowAnswerBefore, rows_are_walked_and_the_cursor_stays_on_its_row),
    (Command::RowScrollDown, a_long_row_is_scrolled_and_the_next_begins_at_its_top),
    (Command::RowScrollUp, a_long_row_is_scrolled_and_the_next_begins_at_its_top),
    (Command::RowLeave, rows_are_walked_and_the_cursor_stays_on_its_row),
];

struct Hand {
    app: App,
    now: Duration,
}

impl Hand {
    /// The pane is shown, and what is stored is told.
    fn new(tests: Vec<Test>) -> (Self, Vec<Effect>) {
        let (app, _) = App::new("desk".into(), "mika".into(), Keymap::default(), (120, 36));
        let mut hand = Self { app, now: Duration::from_secs(1) };
        let mut effects = hand.give(Command::PaneEvaluate);
        effects.extend(hand.take(Msg::Tests(tests)));
        (hand, effects)
    }

    fn told(effects: Vec<AppEffect>) -> Vec<Effect> {
        let of = |effect| if let AppEffect::Evaluate(effect) = effect { Some(effect) } else { None };
        effects.into_iter().filter_map(of).collect()
    }

    fn take(&mut self, msg: Msg) -> Vec<Effect> {
        Self::told(self.app.update(AppMsg::Evaluate(msg), self.now))
    }

    /// Gives a command by its key.
    fn give(&mut self, command: Command) -> Vec<Effect> {
        Self::told(hand::give(&mut self.app, command, self.now))
    }

    fn notes(&self) -> String {
        self.app.toasts.iter().map(|toast| toast.text.as_str()).collect::<Vec<_>>().join("; ")
    }
}

fn test(id: i64, answered: &[usize]) -> Test {
    let system = |(at, answered): (usize, &usize)| Known {
        id: at as i64 + 1,
        hash: format!("h{}", at + 1),
        name: format!("s{}", at + 1),
        about: String::new(),
        answered: *answered,
    };
    let systems = answered.iter().enumerate().map(system).collect();
    Test { id, name: format!("test {id}"), hash: format!("t{id}"), rows: 10, asked: 10, systems }
}

fn change(place: usize) -> Value {
    json!({ "id": format!("r{place}"), "place": place, "turned": "broken", "asks": "?", "gold": "g", "before": "b",
        "after": "a", "score": 0.1, "gain": -0.5 })
}

fn report(worse: &[usize]) -> Report {
    let figures = |name: &str, tuned: bool| json!({ "name": name, "about": "", "tuned": tuned, "prompted": false, "scores": {}, "characters": 1.0, "cut": 0.0 });
    let rows: Vec<Value> = worse.iter().copied().map(change).collect();
    serde_json::from_value(json!({
        "test": "t", "hash": "t1", "rows": 10, "counted": 10, "metrics": [],
        "systems": [figures("s1", false), figures("s2", true)],
        "pairs": [{ "first": "s1", "second": "s2", "mcnemar": { "lost": 1, "gained": 0, "p": 1.0, "mid_p": 1.0 },
            "p_holm": 1.0, "differences": {}, "holm": {},
            "changes": { "graded_by": "f1", "stayed_right": 2, "better": [], "worse": rows, "stayed_wrong": [change(9)] } }],
    }))
    .unwrap()
}

fn reported(hand: &mut Hand, worse: &[usize]) -> Vec<Effect> {
    let systems = vec!["h1".to_owned(), "h2".to_owned()];
    hand.take(Msg::Reported { test: 1, systems, result: Ok(Box::new(report(worse))) })
}

fn row(place: usize) -> Box<Row> {
    let answer = |system: i64| Answer {
        system,
        name: format!("s{system}"),
        text: Some("text".into()),
        errors: vec![Mark { category: "verbose".into(), reason: "too long".into(), by_person: false }],
        ..Answer::default()
    };
    let categories = ["verbose", "rude"].map(str::to_owned).to_vec();
    Box::new(Row { test: 1, place, answers: vec![answer(1), answer(2)], categories, ..Row::default() })
}

fn asks_report(test: i64, systems: &[&str]) -> Effect {
    Effect::Report { test, systems: systems.iter().map(|hash| (*hash).to_owned()).collect() }
}

#[test]
pub(in crate::app) fn the_report_is_of_those_who_have_answered_all_and_is_asked_for_once() {
    let (mut hand, effects) = Hand::new(vec![test(1, &[10, 10, 3])]);
    assert_eq!(effects, [Effect::Watch(true), asks_report(1, &["h1", "h2"])]);
    assert_eq!(hand.give(Command::EvaluateDown), [], "one is being made");
    assert_eq!(reported(&mut hand, &[4]), []);
    assert_eq!(hand.give(Command::EvaluateDown), [], "nothing is new");
    // With r it is made anew.
    assert_eq!(hand.give(Command::EvaluateAgain), [asks_report(1, &["h1", "h2"])]);
    reported(&mut hand, &[4]);
    // Where nobody has answered all, all are shown.
    let (_, effects) = Hand::new(vec![test(1, &[4, 3])]);
    assert_eq!(effects.last(), Some(&asks_report(1, &["h1", "h2"])));
    // Another pane needs no report.
    hand.app.pane = Pane::Data;
    assert_eq!(hand.take(Msg::Tests(vec![test(1, &[10, 10, 10])])), [Effect::Watch(false)]);
    assert_eq!(hand.app.wake(), None, "and no waking");
}

#[test]
pub(in crate::app) fn while_answers_come_reports_leave_the_machine_time() {
    let live = |answered: usize| Job {
        name: "a1".into(),
        state: "running".into(),
        hash: "t1".into(),
        systems: vec![("s1".into(), "h1".into(), 10, 10), ("s2".into(), "h2".into(), answered, 10)],
        ..Job::default()
    };
    let (mut hand, _) = Hand::new(Vec::new());
    hand.take(Msg::Jobs(vec![live(2)]));
    let effects = hand.take(Msg::Tests(vec![test(1, &[10, 2])]));
    assert_eq!(effects, [asks_report(1, &["h1", "h2"])], "one that is being asked is compared on the rows it has");
    hand.now += Duration::from_secs(2);
    reported(&mut hand, &[]);
    // Two seconds were needed; for eight the machine is left to those who answer.
    assert_eq!(hand.take(Msg::Tests(vec![test(1, &[10, 3])])), []);
    assert_eq!(hand.app.wake(), Some(hand.now + Duration::from_secs(8)));
    hand.now += Duration::from_secs(8);
    assert_eq!(Hand::told(hand.app.update(AppMsg::Wake, hand.now)), [asks_report(1, &["h1", "h2"])]);
    let ended = Job { state: "finished".into(), reason: "all is answered".into(), ..live(10) };
    hand.take(Msg::Jobs(vec![ended]));
    assert!(hand.notes().contains("evaluation a1 finished: all is answered"), "{}", hand.notes());
}

#[test]
pub(in crate::app) fn an_evaluation_that_is_over_before_it_was_seen_to_run_is_told_all_the_same() {
    let (mut hand, _) = Hand::new(Vec::new());
    hand.take(Msg::Started(Ok(("a1".into(), 1))));
    hand.take(Msg::Jobs(Vec::new()));
    let over = Job { name: "a1".into(), state: "finished".into(), reason: "all is answered".into(), ..Job::default() };
    hand.take(Msg::Jobs(vec![over.clone()]));
    assert!(hand.notes().contains("evaluation a1 finished: all is answered"), "{}", hand.notes());
    hand.now += Duration::from_mins(1);
    hand.app.update(AppMsg::Wake, hand.now);
    hand.take(Msg::Jobs(vec![over]));
    assert!(!hand.notes().contains("all is answered"), "once: {}", hand.notes());
}

#[test]
pub(in crate::app) fn who_is_compared_and_on_what_is_chosen() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10, 3]), test(2, &[10, 10])]);
    assert_eq!(hand.app.evaluate.test().unwrap().id, 2, "the newest");
    let systems = vec!["h1".to_owned(), "h2".to_owned()];
    hand.take(Msg::Reported { test: 2, systems, result: Err("no".into()) });
    hand.give(Command::EvaluateTest);
    hand.give(Command::PickDown);
    assert_eq!(hand.give(Command::PickDone), [asks_report(1, &["h1", "h2"])]);
    reported(&mut hand, &[1]);
    hand.give(Command::EvaluateSystems);
    hand.give(Command::PickDown);
    hand.give(Command::PickDown);
    assert_eq!(hand.give(Command::PickDone), [asks_report(1, &["h1", "h2", "h3"])], "s3 is in, though not whole");
    assert!(matches!(&hand.app.overlay, Some(Overlay::Pick { at: 2, .. })), "several are chosen one after the other");
    // What was being made is not what is wanted any more.
    hand.give(Command::PickUp);
    hand.give(Command::PickDone);
    let systems = vec!["h1".to_owned(), "h2".to_owned(), "h3".to_owned()];
    let effects = hand.take(Msg::Reported { test: 1, systems, result: Err("x".into()) });
    assert_eq!(effects, [asks_report(1, &["h1", "h3"])]);
    hand.give(Command::PickUp);
    hand.give(Command::PickDone);
    hand.give(Command::PickDown);
    hand.give(Command::PickDown);
    hand.give(Command::PickDone);
    assert!(hand.notes().contains("one system at least"), "{}", hand.notes());
}

#[test]
pub(in crate::app) fn rows_are_walked_and_the_cursor_stays_on_its_row() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10])]);
    reported(&mut hand, &[4, 5, 6]);
    hand.give(Command::EvaluateDown);
    assert_eq!(hand.app.evaluate.current().unwrap().place, 5);
    hand.give(Command::EvaluateAgain);
    reported(&mut hand, &[7, 4, 8, 5]);
    assert_eq!(hand.app.evaluate.current().unwrap().place, 5, "wherever it stands now");
    let open = Effect::Row { test: 1, place: 5, systems: vec![1, 2] };
    assert_eq!(hand.give(Command::EvaluateOpen), [open]);
    hand.take(Msg::Row(row(5)));
    let names = |hand: &Hand| {
        hand.app.evaluate.row.as_ref().unwrap().answers.iter().map(|one| one.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&hand), hand.app.evaluate.focus),
        (vec!["s2".into(), "s1".into()], 0),
        "the answer after comes first"
    );
    assert_eq!(hand.give(Command::RowNext), []);
    assert!(hand.notes().contains("the last row that got worse"), "{}", hand.notes());
    assert_eq!(hand.give(Command::RowBefore), [Effect::Row { test: 1, place: 8, systems: vec![1, 2] }]);
    hand.give(Command::RowAnswer);
    assert_eq!(hand.app.evaluate.focus, 1);
    hand.give(Command::RowAnswerBefore);
    assert_eq!(hand.app.evaluate.focus, 0);
    hand.give(Command::RowLeave);
    hand.give(Command::EvaluateList);
    assert_eq!((hand.app.evaluate.list, hand.app.evaluate.current().unwrap().place), (List::Wrong, 9));
    hand.give(Command::EvaluateList);
    assert_eq!(hand.give(Command::EvaluateOpen), []);
    assert!(hand.notes().contains("no row that got better"), "{}", hand.notes());
}

#[test]
pub(in crate::app) fn a_mark_is_kept_taken_back_and_put_again() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10])]);
    reported(&mut hand, &[4]);
    hand.give(Command::EvaluateOpen);
    hand.take(Msg::Row(row(4)));
    let at = At { test: 1, system: 2, place: 4 };
    let said = |category: &str, word| Said { at, category: category.into(), word };
    hand.give(Command::RowMark);
    let Some(Overlay::Pick { items, .. }) = &hand.app.overlay else { panic!("errors are chosen from a list") };
    assert_eq!(*items, ["[x] verbose  by a rule", "[ ] rude"]);
    // A rule found it verbose: choosing that says that it is not.
    let effects = hand.give(Command::PickDone);
    assert_eq!(effects, [Effect::Say { said: said("verbose", Some(false)), step: Step::Say }]);
    assert_eq!(hand.give(Command::Undo), [], "what it was before is not yet known");
    let effects = hand.take(Msg::Said { said: said("verbose", Some(false)), before: None, step: Step::Say });
    let read = Effect::Row { test: 1, place: 4, systems: vec![1, 2] };
    assert_eq!(effects, [read, asks_report(1, &["h1", "h2"])], "the row and the matrix are read again");
    let back = said("verbose", None);
    assert_eq!(hand.give(Command::Undo), [Effect::Say { said: back.clone(), step: Step::Undo }]);
    hand.take(Msg::Said { said: back, before: Some(false), step: Step::Undo });
    let again = Effect::Say { said: said("verbose", Some(false)), step: Step::Redo };
    assert_eq!(hand.give(Command::Redo), [again]);
    hand.app.update(AppMsg::Failed("the disk is full".into()), hand.now);
    // It is lost, and nothing more was said in this session: what was said before it is known to the store.
    assert_eq!(hand.give(Command::Undo), [Effect::TakeBack { test: 1 }]);
    assert_eq!(hand.give(Command::Undo), [], "one at a time");
    let stored = Said { at: At { place: 7, ..at }, category: "rude".into(), word: None };
    hand.take(Msg::Said { said: stored.clone(), before: Some(true), step: Step::Undo });
    assert!(hand.notes().contains("taken back: rude of row 8"), "{}", hand.notes());
    assert_eq!(hand.give(Command::Redo), [Effect::Say { said: Said { word: Some(true), ..stored }, step: Step::Redo }]);
    hand.app.update(AppMsg::Failed("the disk is full".into()), hand.now);
    hand.give(Command::Undo);
    hand.take(Msg::NothingSaid);
    assert!(hand.notes().contains("no mark of yours to take back"), "{}", hand.notes());
}

#[test]
pub(in crate::app) fn an_evaluation_is_begun_with_the_verbs_own_words_and_stopped() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10])]);
    let run = |name: &str| wish::System::Run(name.into());
    let systems = vec![wish::System::Base, run("a1"), run("a1@20"), run("a2")];
    hand.app.update(AppMsg::Systems(systems), hand.now);
    hand.give(Command::EvaluateStart);
    let Some(Overlay::Ask(asked)) = &hand.app.overlay else { panic!("a line is asked for") };
    assert_eq!(asked.field.text(), "--test 1 --run a2");
    assert!(asked.suggestions.contains(&"--run a1@20".to_owned()), "{:?}", asked.suggestions);
    hand.app.update(AppMsg::Paste(" --rows 5".into()), hand.now);
    let words = ["--test", "1", "--run", "a2", "--rows", "5"].map(str::to_owned).to_vec();
    assert_eq!(hand.give(Command::AskDone), [Effect::Start(words)]);
    hand.give(Command::EvaluateStart);
    assert!(hand.notes().contains("is being started"), "{}", hand.notes());
    hand.take(Msg::Started(Ok(("2026-11-22-a1".into(), 2))));
    hand.give(Command::EvaluateStop);
    assert!(hand.notes().contains("no evaluation runs"), "{}", hand.notes());
    let live = Job { name: "2026-11-22-a1".into(), state: "running".into(), hash: "t2".into(), ..Job::default() };
    hand.take(Msg::Jobs(vec![live.clone()]));
    hand.take(Msg::Tests(vec![test(1, &[10, 10]), test(2, &[1])]));
    assert_eq!(hand.app.evaluate.test().unwrap().id, 2, "its test set is shown once there are answers");
    let asks = |request| [Effect::Control { name: "2026-11-22-a1".into(), request }];
    assert_eq!(hand.give(Command::EvaluatePause), asks(Request::Pause));
    let paused = Job { phase: Some("paused".into()), step: 3, steps: 4, ..live };
    hand.take(Msg::Jobs(vec![paused]));
    assert_eq!(hand.app.evaluate.share(), Some(75));
    assert_eq!(hand.give(Command::EvaluatePause), asks(Request::Resume));
    assert_eq!(hand.give(Command::EvaluateStop), asks(Request::Stop));
    hand.take(Msg::Started(Err("there is no run \"a9\"".into())));
    assert!(hand.notes().contains("no run \"a9\""), "{}", hand.notes());
}

#[test]
pub(in crate::app) fn the_pane_has_a_number_and_its_commands_are_found_from_elsewhere() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10])]);
    hand.give(Command::PaneNext);
    assert_eq!(hand.app.pane, Pane::Data);
    hand.give(Command::PaneBefore);
    assert_eq!(hand.app.pane, Pane::Evaluate);
    assert_eq!(hand.app.keymap.first(Command::PaneEvaluate), "5");
}

#[test]
pub(in crate::app) fn the_cursor_goes_by_rows_pages_and_lists() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10])]);
    reported(&mut hand, &(0..25).collect::<Vec<_>>());
    let mut at = |command| {
        hand.give(command);
        hand.app.evaluate.current().unwrap().place
    };
    assert_eq!((at(Command::EvaluateDown), at(Command::EvaluateUp), at(Command::EvaluateUp)), (1, 0, 0));
    assert_eq!((at(Command::EvaluatePageDown), at(Command::EvaluatePageUp)), (10, 0));
    assert_eq!((at(Command::EvaluateBottom), at(Command::EvaluateDown), at(Command::EvaluateTop)), (24, 24, 0));
    hand.give(Command::EvaluateDown);
    hand.give(Command::EvaluateListBefore);
    assert_eq!((hand.app.evaluate.list, hand.app.evaluate.current()), (List::Better, None), "none got better");
    hand.give(Command::EvaluateListBefore);
    assert_eq!((hand.app.evaluate.list, hand.app.evaluate.current().unwrap().place), (List::Wrong, 9));
}

#[test]
pub(in crate::app) fn the_upper_half_shows_figures_or_errors_and_is_scrolled() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10])]);
    reported(&mut hand, &[4]);
    hand.give(Command::EvaluateScrollDown);
    hand.give(Command::EvaluateScrollDown);
    hand.give(Command::EvaluateScrollUp);
    assert!(hand.app.evaluate.scroll.lines() > 0);
    hand.give(Command::EvaluateTable);
    assert_eq!((hand.app.evaluate.errors, hand.app.evaluate.scroll.lines()), (true, 0));
    hand.give(Command::EvaluateTable);
    assert!(!hand.app.evaluate.errors);
}

#[test]
pub(in crate::app) fn the_two_systems_whose_rows_are_listed_are_chosen() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10, 10])]);
    hand.give(Command::EvaluatePair);
    assert!(hand.notes().contains("there is no report yet"), "{}", hand.notes());
    hand.give(Command::EvaluateOpen);
    assert!(hand.notes().contains("no report yet, and so no row"), "{}", hand.notes());
    let systems: Vec<String> = ["h1", "h2", "h3"].map(str::to_owned).to_vec();
    let mut three = report(&[4, 5]);
    let other = Pair { second: "s3".into(), ..report(&[7]).pairs.remove(0) };
    three.pairs.push(other);
    hand.take(Msg::Reported { test: 1, systems: systems.clone(), result: Ok(Box::new(three)) });
    hand.give(Command::EvaluateDown);
    hand.give(Command::EvaluatePair);
    let Some(Overlay::Pick { items, .. }) = &hand.app.overlay else { panic!("two are chosen from a list") };
    assert_eq!(*items, ["s1, then s2", "s1, then s3"]);
    hand.give(Command::PickPageDown);
    hand.give(Command::PickDone);
    assert_eq!(hand.app.evaluate.pair().unwrap().second, "s3");
    assert_eq!(hand.app.evaluate.current().unwrap().place, 7, "from the first of its rows");
    // With one pair there is nothing to choose.
    hand.give(Command::EvaluateAgain);
    hand.take(Msg::Reported { test: 1, systems, result: Ok(Box::new(report(&[4]))) });
    hand.give(Command::EvaluatePair);
    assert!(hand.app.overlay.is_none() && hand.notes().contains("no other two systems"), "{}", hand.notes());
}

#[test]
pub(in crate::app) fn a_long_row_is_scrolled_and_the_next_begins_at_its_top() {
    let (mut hand, _) = Hand::new(vec![test(1, &[10, 10])]);
    reported(&mut hand, &[4, 5]);
    hand.give(Command::EvaluateOpen);
    hand.take(Msg::Row(row(4)));
    hand.give(Command::RowScrollDown);
    hand.give(Command::RowScrollDown);
    hand.give(Command::RowScrollUp);
    assert!(hand.app.evaluate.scroll.lines() > 0);
    hand.give(Command::RowNext);
    assert_eq!(hand.app.evaluate.scroll.lines(), 0);
}

#[test]
pub(in crate::app) fn where_nobody_has_answered_every_command_says_so_or_does_nothing() {
    for command in Command::ALL.iter().filter(|command| command.scope() == Scope::Evaluate) {
        let (mut hand, _) = Hand::new(Vec::new());
        let asks = hand.give(*command);
        assert_eq!(asks, [], "{command:?}");
        let nobody = [Command::EvaluateTest, Command::EvaluateSystems, Command::EvaluateAgain].contains(command);
        assert_eq!(nobody, hand.notes().contains("no system has answered a test yet; e measures some"), "{command:?}");
    }
}
