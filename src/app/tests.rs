//! What the workbench does, key by key, without a screen, a clock or a file.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Map, Value};

use super::compare::{Mode, Pick};
use super::record::{Place, text_of};
use super::wish::{Found, Granted, System, Wish};
use super::*;

/// A workbench with `count` records in the inbox, and a hand on its keyboard.
struct Hand {
    app: App,
    now: Duration,
    /// Effects since they were taken last.
    effects: Vec<Effect>,
}

fn state(id: i64) -> State {
    let mut fields = Map::new();
    fields.insert("question".into(), Value::String(format!("質問 {id}")));
    let draft = Some(format!("draft {id}"));
    State::new(Content::Pair { fields, draft, gold: None }, Status::Inbox)
}

fn opened(id: i64) -> Opened {
    let record = Record { id, revision: 10 * id, state: state(id), origin: Origin::Traffic, source: None };
    Opened { record, flags: Vec::new(), taken: None, conflicts: Vec::new() }
}

fn row(id: i64) -> Row {
    Row {
        id,
        status: Status::Inbox,
        split: None,
        origin: Origin::Traffic,
        category: None,
        assignee: None,
        author: "mika".into(),
        flags: Vec::new(),
        taken: None,
        head: format!("質問 {id}"),
    }
}

impl Hand {
    fn new(count: i64) -> Self {
        let (app, effects) = App::new("desk".into(), "mika".into(), Keymap::default(), (120, 36));
        let mut hand = Self { app, now: Duration::ZERO, effects };
        let Some(Effect::Store(Ask::Find { number, query })) = hand.effects.first().cloned() else {
            panic!("the list is asked for first: {:?}", hand.effects)
        };
        assert_eq!(query, "status:inbox,draft");
        hand.give(Msg::Found { number, ids: Ok((1..=count).collect()) });
        hand.give(Msg::Rows((1..=count).map(row).collect()));
        hand.answer_opens();
        hand.effects.clear();
        hand
    }

    fn give(&mut self, msg: Msg) {
        let effects = self.app.update(msg, self.now);
        self.effects.extend(effects);
    }

    /// Gives the records that were asked for.
    fn answer_opens(&mut self) {
        let ids: Vec<i64> = self
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Store(Ask::Open(id)) => Some(*id),
                _ => None,
            })
            .collect();
        for id in ids {
            self.give(Msg::Opened(Box::new(opened(id))));
        }
    }

    fn press(&mut self, keys: &str) -> Vec<Effect> {
        self.effects.clear();
        for word in keys.split(' ') {
            self.now += Duration::from_millis(500);
            let event = match word {
                "enter" => KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
                "esc" => KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
                "tab" => KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE),
                "space" => KeyEvent::new(KeyCode::Char(' '), KeyModifiers::NONE),
                "down" => KeyEvent::new(KeyCode::Down, KeyModifiers::NONE),
                ctrl if ctrl.starts_with("ctrl-") => {
                    KeyEvent::new(KeyCode::Char(ctrl.chars().last().unwrap()), KeyModifiers::CONTROL)
                }
                letter => KeyEvent::new(KeyCode::Char(letter.chars().next().unwrap()), KeyModifiers::NONE),
            };
            self.give(Msg::Key(event));
        }
        self.answer_opens();
        std::mem::take(&mut self.effects)
    }

    fn asked(effects: &[Effect]) -> Vec<&Ask> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Store(ask) => Some(ask),
                _ => None,
            })
            .collect()
    }

    fn current(&self) -> i64 {
        self.app.data.current().unwrap()
    }
}

#[test]
fn a_hundred_records_take_a_hundred_keys() {
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
fn what_was_decided_stays_in_the_list_and_the_cursor_with_its_record() {
    let mut hand = Hand::new(5);
    hand.press("a");
    assert_eq!(hand.current(), 2);
    assert_eq!(hand.app.data.rows[&1].status, Status::Gold, "shown before the disk has it");
    hand.press("down");
    // The store says what waits now: the accepted record does not, and another came.
    let effects = {
        hand.give(Msg::Changed(vec![1, 6]));
        std::mem::take(&mut hand.effects)
    };
    let number = Hand::asked(&effects).iter().find_map(|ask| match ask {
        Ask::Find { number, .. } => Some(*number),
        _ => None,
    });
    hand.give(Msg::Found { number: number.unwrap(), ids: Ok(vec![2, 3, 4, 5, 6]) });
    assert_eq!(hand.app.data.ids, [1, 2, 3, 4, 5, 6]);
    assert_eq!(hand.current(), 3);
    // An answer to an older question changes nothing.
    hand.give(Msg::Found { number: 0, ids: Ok(vec![]) });
    assert_eq!(hand.app.data.ids.len(), 6);
}

#[test]
fn rejecting_asks_why_and_offers_the_reason_again() {
    let mut hand = Hand::new(3);
    hand.press("x");
    hand.give(Msg::Commit("短すぎる".into()));
    let effects = hand.press("enter");
    let reason = Act::Reject("短すぎる".into());
    assert!(Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act, .. } if *act == reason)));
    assert_eq!(hand.current(), 2);
    hand.press("x down");
    let effects = hand.press("enter");
    assert!(Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act, records, .. }
        if *act == reason && *records == [2])));
    hand.press("x");
    assert!(Hand::asked(&hand.press("esc")).is_empty(), "leaving rejects nothing");
    assert_eq!(hand.current(), 3);
}

#[test]
fn an_edit_is_saved_at_a_pause_and_when_it_is_left() {
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
fn accepting_from_the_editor_is_one_stroke() {
    let mut hand = Hand::new(2);
    let effects = hand.press("e z ctrl-g");
    let one = Hand::asked(&effects).into_iter().find_map(|ask| match ask {
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
fn time_away_is_not_counted() {
    let mut hand = Hand::new(2);
    hand.now += Duration::from_secs(20);
    hand.press("J");
    hand.now += Duration::from_hours(1);
    let effects = hand.press("a");
    let seconds = Hand::asked(&effects).into_iter().find_map(|ask| match ask {
        Ask::Act { seconds, .. } => *seconds,
        _ => None,
    });
    assert!((seconds.unwrap() - 20.5).abs() < 0.6, "{seconds:?}");
}

#[test]
fn a_paste_is_never_commands() {
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
fn full_width_keys_are_keys_and_in_a_text_letters() {
    let mut hand = Hand::new(3);
    hand.press("ｊ");
    assert_eq!(hand.current(), 2);
    hand.give(Msg::Commit("ｊｋ".into()));
    assert_eq!(hand.current(), 2, "down and up again");
    hand.press("e ｊ");
    assert_eq!(hand.app.data.editor.as_ref().unwrap().field.text(), "draft 2ｊ");
}

#[test]
fn a_selection_is_previewed_and_done_as_one() {
    let mut hand = Hand::new(4);
    let effects = hand.press("space space a");
    let previewed = Hand::asked(&effects).into_iter().find_map(|ask| match ask {
        Ask::Preview { act, records } => Some((act.clone(), records.clone())),
        _ => None,
    });
    let (act, records) = previewed.unwrap();
    assert_eq!((&act, &records[..]), (&Act::Accept, &[1, 2][..]));
    hand.give(Msg::Preview { act, records, would: 2, refused: 0 });
    assert!(Hand::asked(&hand.press("n")).is_empty(), "no is no");
    hand.press("a");
    hand.give(Msg::Preview { act: Act::Accept, records: vec![1, 2], would: 2, refused: 0 });
    let effects = hand.press("y");
    assert!(
        Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act: Act::Accept, records, seconds: None }
        if *records == [1, 2]))
    );
    assert!(hand.app.data.selected.is_empty());
}

#[test]
fn a_filter_searches_while_one_types_and_leaving_puts_the_old_one_back() {
    let mut hand = Hand::new(2);
    let effects = hand.press("/ f l");
    let queries: Vec<&str> = Hand::asked(&effects)
        .into_iter()
        .filter_map(|ask| match ask {
            Ask::Find { query, .. } => Some(query.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(queries, ["status:inbox,draft f", "status:inbox,draft fl"]);
    hand.press("down");
    let effects = hand.press("enter");
    assert!(
        Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Find { query, .. }
        if query == "status:inbox,draft flag:any")),
        "{effects:?}"
    );
    let effects = hand.press("/ x esc");
    assert!(Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Find { query, .. }
        if query == "status:inbox,draft flag:any")));
    assert_eq!(hand.app.data.query, "status:inbox,draft flag:any");
}

#[test]
fn a_taken_record_is_passed_over() {
    let mut hand = Hand::new(3);
    let effects = hand.press("a");
    assert!(Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Claim { record: Some(2), .. })));
    hand.give(Msg::Taken { record: 2, by: "aiko".into() });
    assert_eq!(hand.current(), 3);
    hand.give(Msg::Taken { record: 3, by: "aiko".into() });
    hand.press("k");
    assert_eq!(hand.current(), 2, "one may look at it all the same");
}

#[test]
fn a_conflict_shows_both_texts_and_nothing_is_lost() {
    let mut hand = Hand::new(2);
    hand.press("e ! ctrl-s");
    let ours = super::record::put(&state(1), &Place::Gold, "mine");
    let theirs = super::record::put(&state(1), &Place::Gold, "theirs");
    let conflict =
        Conflict { record: 1, base: 10, head: 99, by: "aiko".into(), ours: Some(ours.clone()), theirs: Some(theirs) };
    hand.give(Msg::Conflict(Box::new(conflict.clone())));
    let effects = hand.press("m");
    assert!(
        Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Save { base: 99, after, .. } if **after == ours))
    );
    hand.give(Msg::Conflict(Box::new(conflict)));
    let effects = hand.press("t");
    assert!(!Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Save { .. })));
    assert!(hand.app.overlay.is_none());
}

#[test]
fn findings_of_an_older_text_are_not_shown() {
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

#[test]
fn every_command_is_in_help_and_can_be_given_from_it() {
    let mut hand = Hand::new(2);
    hand.press("?");
    let Some(Overlay::Help { fitting, .. }) = &hand.app.overlay else { panic!("no help") };
    assert!(Command::ALL.iter().all(|command| fitting.contains(command)));
    hand.give(Msg::Commit("accept the answer".into()));
    let effects = hand.press("enter");
    assert!(Hand::asked(&effects).iter().any(|ask| matches!(ask, Ask::Act { act: Act::Accept, .. })));
    assert_eq!(hand.current(), 2);
    // In the middle of a text, too, and back in it.
    hand.press("e");
    hand.give(Msg::Key(KeyEvent::new(KeyCode::F(1), KeyModifiers::NONE)));
    hand.press("esc");
    assert!(hand.app.overlay.is_none() && hand.app.is_writing());
}

#[test]
fn keys_one_after_the_other_show_what_may_follow() {
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
fn quitting_saves_what_is_being_written() {
    let mut hand = Hand::new(1);
    hand.press("e !");
    hand.effects.clear();
    hand.give(Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(matches!(&hand.effects[..], [.., Effect::Store(Ask::Save { .. }), Effect::Quit]), "{:?}", hand.effects);
    assert!(hand.app.is_quitting());
}

#[test]
fn nothing_to_show_is_nothing_to_draw() {
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

/// A workbench at its Compare pane, with three test records.
fn comparing() -> Hand {
    let mut hand = Hand::new(3);
    hand.press("4");
    hand.give(Msg::Systems(vec![System::Base, System::Run("a1".into()), System::Run("a1@20".into())]));
    hand.give(Msg::Questions(vec![1, 2, 3]));
    hand.answer_opens();
    hand
}

fn wished(effects: &[Effect]) -> Option<(u64, Vec<System>)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Wish { number, wish: Wish::Answer { cells, .. } } => {
            Some((*number, cells.iter().map(|cell| cell.system.clone()).collect()))
        }
        _ => None,
    })
}

fn answered(hand: &mut Hand, number: u64, texts: [&str; 2]) {
    for (cell, text) in texts.into_iter().enumerate() {
        let granted = Granted::Begins { cell, adapter: None, checkpoint: None, prompt_tokens: 9 };
        hand.give(Msg::Granted { number, granted });
        hand.give(Msg::Granted { number, granted: Granted::Text { cell, text: text.into() } });
        hand.give(Msg::Granted {
            number,
            granted: Granted::Done { cell, tokens: 3, stop: "end".into(), seconds: 0.1 },
        });
    }
    hand.give(Msg::Granted { number, granted: Granted::Ended });
}

#[test]
fn base_and_the_newest_run_answer_side_by_side_and_stale_tokens_are_dropped() {
    let mut hand = comparing();
    let (first, systems) = wished(&hand.press("enter")).unwrap();
    assert_eq!(systems, [System::Base, System::Run("a1".into())]);
    let (second, _) = wished(&hand.press("j")).unwrap();
    hand.give(Msg::Granted { number: first, granted: Granted::Text { cell: 0, text: "stale".into() } });
    assert_eq!(hand.app.compare.answers[0].text, "");
    answered(&mut hand, second, ["x", "y"]);
    assert_eq!(hand.app.compare.answers[1].text, "y");
    // Back and forth: what was answered is there without being asked again.
    let (third, _) = wished(&hand.press("k")).unwrap();
    answered(&mut hand, third, ["p", "q"]);
    assert_eq!(wished(&hand.press("j")), None);
    assert_eq!(hand.app.compare.answers[1].text, "y");
}

#[test]
fn blind_picks_count_for_the_system_whichever_side_it_was_on() {
    let mut hand = comparing();
    hand.app.compare.seed = 7;
    let mut effects = hand.press("B");
    let mut sides = Vec::new();
    for _ in 0..3 {
        let (number, systems) = wished(&effects).unwrap();
        answered(&mut hand, number, ["left", "right"]);
        // The person always prefers the run.
        let left = systems[0] != System::Base;
        sides.push(left);
        effects = hand.press(if left { "a" } else { "b" });
        let judged = Hand::asked(&effects).into_iter().find_map(|ask| match ask {
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
fn a_run_in_progress_is_picked_by_name_and_judged_as_the_checkpoint_it_wrote() {
    let mut hand = comparing();
    let run = |name: &str| System::Run(name.into());
    hand.give(Msg::Systems(vec![System::Base, run("a1"), run("a1@20"), run("a1@now")]));
    hand.press("b");
    let Some(Overlay::Pick { items, .. }) = &hand.app.overlay else { panic!("no list") };
    assert_eq!(items.last().unwrap(), "a1@now  a snapshot of the run in progress");
    for _ in 0..2 {
        hand.press("down");
    }
    let (_, systems) = wished(&hand.press("enter")).unwrap();
    assert_eq!(systems, [System::Base, run("a1@now")]);
    hand.app.compare.seed = 7;
    let effects = hand.press("B");
    let (number, systems) = wished(&effects).unwrap();
    for (cell, system) in systems.iter().enumerate() {
        let checkpoint = system.is_moving().then(|| "step-000120".to_owned());
        for granted in [
            Granted::Begins { cell, adapter: None, checkpoint, prompt_tokens: 3 },
            Granted::Done { cell, tokens: 3, stop: "end".into(), seconds: 0.1 },
        ] {
            hand.give(Msg::Granted { number, granted });
        }
    }
    hand.give(Msg::Granted { number, granted: Granted::Ended });
    let effects = hand.press("=");
    let judged = Hand::asked(&effects).into_iter().find_map(|ask| match ask {
        Ask::Judge(judged) => Some((**judged).clone()),
        _ => None,
    });
    let mut systems = judged.unwrap().systems;
    systems.sort();
    assert_eq!(systems, ["a1@120", "base"]);
}

#[test]
fn rehearsed_answers_play_at_the_speed_they_were_written_without_a_model() {
    let mut hand = comparing();
    hand.press("P");
    let (number, _) = wished(&hand.press("enter")).unwrap();
    hand.now += Duration::from_millis(700);
    hand.give(Msg::Granted { number, granted: Granted::Text { cell: 0, text: "one".into() } });
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
    assert_eq!(wished(&effects), None, "no model is asked");
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
