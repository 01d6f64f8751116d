use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::*;

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("togi.db")
    }

    fn open(&self, author: &str) -> Store {
        Store::open_as(&self.path(), author.to_owned()).unwrap()
    }
}

fn pair(question: &str, draft: &str) -> State {
    let fields = json!({ "instruction": question }).as_object().unwrap().clone();
    State::new(Content::Pair { fields, draft: Some(draft.to_owned()), gold: None }, Status::Inbox)
}

fn gold(state: &State, text: &str) -> State {
    let mut after = state.clone();
    if let Content::Pair { gold, .. } = &mut after.content {
        *gold = Some(text.to_owned());
    }
    after.status = Status::Gold;
    after
}

fn new(state: State) -> New {
    New { state, origin: Origin::Traffic, source: None, key: None }
}

/// Adds records and returns their numbers.
fn add(store: &mut Store, states: impl IntoIterator<Item = State>) -> Vec<i64> {
    let act = Act::new(Cause::Import, "a file");
    let (numbers, _) = store
        .add::<_, StoreError>(&act, |adder| {
            states
                .into_iter()
                .map(|state| adder.add(&new(state)).map(|number| number.unwrap()))
                .collect::<Result<Vec<_>, _>>()
        })
        .unwrap();
    numbers
}

fn edit(store: &mut Store, record: i64, text: &str) -> Done {
    let before = store.get(record).unwrap();
    let after = gold(&before.state, text);
    let change = Change { record, base: before.revision, after };
    store.act(&Act { seconds: Some(4.5), ..Act::new(Cause::Edit, "") }, &[change]).unwrap()
}

fn answer(store: &Store, record: i64) -> String {
    store.get(record).unwrap().state.content.answer().unwrap().to_owned()
}

fn find(store: &Store, query: &str) -> Vec<i64> {
    store.ids(&Query::parse(query).unwrap()).unwrap()
}

#[test]
fn every_act_stays_in_the_history_with_author_cause_and_seconds() {
    let desk = Desk::new();
    let mut mika = desk.open("mika");
    let record = add(&mut mika, [pair("何時？", "12時")])[0];
    edit(&mut mika, record, "正午");
    let mut jun = desk.open("jun");
    jun.change(&Act::new(Cause::Reject, "wrong"), &[record], |_, state| {
        Some(State { status: Status::Rejected, notes: "wrong".into(), ..state.clone() })
    })
    .unwrap();
    let history = jun.history(record).unwrap();
    let told: Vec<_> = history.iter().map(|r| (r.author.as_str(), r.cause, r.seconds, r.note.as_str())).collect();
    assert_eq!(
        told,
        [
            ("mika", Cause::Import, None, "a file"),
            ("mika", Cause::Edit, Some(4.5), ""),
            ("jun", Cause::Reject, None, "wrong")
        ]
    );
    assert_eq!(history[0].state.as_ref().unwrap().content.answer(), Some("12時"));
    assert_eq!(history[2].state.as_ref(), Some(&jun.get(record).unwrap().state));
    assert_eq!(jun.get(record).unwrap().revision, history[2].id);
}

#[test]
fn undo_and_redo_reach_over_everything_an_author_did_and_over_restarts() {
    let desk = Desk::new();
    let mut mika = desk.open("mika");
    let record = add(&mut mika, [pair("q", "draft")])[0];
    edit(&mut mika, record, "one");
    edit(&mut mika, record, "two");
    drop(mika);
    let mut mika = desk.open("mika");
    assert_eq!(mika.undo().unwrap().unwrap().cause, Cause::Edit);
    assert_eq!(answer(&mika, record), "one");
    mika.undo().unwrap().unwrap();
    assert_eq!((answer(&mika, record).as_str(), mika.get(record).unwrap().state.status), ("draft", Status::Inbox));
    assert_eq!(mika.undo().unwrap().unwrap().cause, Cause::Import);
    assert!(matches!(mika.get(record), Err(StoreError::NoRecord(_))));
    assert!(mika.undo().unwrap().is_none());
    drop(mika);
    let mut mika = desk.open("mika");
    assert_eq!(mika.redo().unwrap().unwrap().cause, Cause::Import);
    mika.redo().unwrap().unwrap();
    mika.redo().unwrap().unwrap();
    assert_eq!(answer(&mika, record), "two");
    assert!(mika.redo().unwrap().is_none());
    // Something new closes the way forward, as in any editor.
    mika.undo().unwrap().unwrap();
    edit(&mut mika, record, "three");
    assert!(mika.redo().unwrap().is_none());
    mika.undo().unwrap().unwrap();
    assert_eq!(answer(&mika, record), "one");
}

#[test]
fn undo_is_each_authors_own_and_never_takes_another_ones_text_away() {
    let desk = Desk::new();
    let (mut mika, mut jun) = (desk.open("mika"), desk.open("jun"));
    let records = add(&mut mika, [pair("a", "x"), pair("b", "x"), pair("c", "x")]);
    mika.change(&Act::new(Cause::Accept, ""), &records, |_, state| Some(gold(state, "mika's"))).unwrap();
    edit(&mut jun, records[1], "jun's");
    let undone = mika.undo().unwrap().unwrap();
    assert_eq!(undone.done.changed.iter().map(|&(record, _)| record).collect::<Vec<_>>(), [records[0], records[2]]);
    let [conflict] = &undone.done.conflicts[..] else { panic!("{undone:?}") };
    assert_eq!((conflict.record, conflict.by.as_str()), (records[1], "jun"));
    assert_eq!(conflict.theirs.as_ref().unwrap().content.answer(), Some("jun's"));
    assert_eq!(conflict.ours.as_ref().unwrap().content.answer(), Some("x"));
    assert_eq!(records.iter().map(|&r| answer(&mika, r)).collect::<Vec<_>>(), ["x", "jun's", "x"]);
    // Redo puts back what undo took, and leaves jun's alone as well.
    mika.redo().unwrap().unwrap();
    assert_eq!(records.iter().map(|&r| answer(&mika, r)).collect::<Vec<_>>(), ["mika's", "jun's", "mika's"]);
    // Jun has only one act to undo.
    assert_eq!(jun.undo().unwrap().unwrap().cause, Cause::Edit);
    assert!(jun.undo().unwrap().is_none());
    assert_eq!(answer(&jun, records[1]), "mika's");
}

#[test]
fn of_two_edits_of_one_revision_the_second_is_told_and_both_texts_are_kept() {
    let desk = Desk::new();
    let (mut mika, mut jun) = (desk.open("mika"), desk.open("jun"));
    let record = add(&mut mika, [pair("q", "draft")])[0];
    let seen = mika.get(record).unwrap();
    edit(&mut jun, record, "jun's");
    let change = Change { record, base: seen.revision, after: gold(&seen.state, "mika's") };
    let done = mika.act(&Act::new(Cause::Edit, ""), std::slice::from_ref(&change)).unwrap();
    assert_eq!((done.act, done.changed.len()), (None, 0));
    assert_eq!(done.conflicts[0].by, "jun");
    assert_eq!(answer(&mika, record), "jun's");
    let kept = jun.conflicts(Some(record)).unwrap();
    let [(author, conflict)] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(author, "mika");
    assert_eq!(conflict.ours.as_ref().unwrap().content.answer(), Some("mika's"));
    assert_eq!(conflict.theirs.as_ref().unwrap().content.answer(), Some("jun's"));
    // Once mika has written on the newest revision it is settled.
    edit(&mut mika, record, "both");
    assert!(mika.conflicts(None).unwrap().is_empty());
    // Whoever wrote the same is in nobody's way.
    let same = Change { record, base: seen.revision, after: mika.get(record).unwrap().state };
    assert!(jun.act(&Act::new(Cause::Edit, ""), &[same]).unwrap().conflicts.is_empty());
}

#[test]
fn an_import_is_all_or_nothing_and_a_row_that_is_here_is_not_added_again() {
    let desk = Desk::new();
    let mut store = desk.open("mika");
    let keyed = |n: u8| New { key: Some([n; 16]), ..new(pair(&format!("q{n}"), "a")) };
    let import = |store: &mut Store, numbers: &[u8], broken: bool| {
        store.add(&Act::new(Cause::Import, "f"), |adder| {
            let added: Vec<_> = numbers.iter().map(|&n| adder.add(&keyed(n))).collect::<Result<_, _>>()?;
            if broken { Err(StoreError::NoRecord(0)) } else { Ok(added.iter().flatten().count()) }
        })
    };
    assert!(import(&mut store, &[1, 2], true).is_err());
    assert_eq!(find(&store, "").len(), 0);
    assert_eq!(import(&mut store, &[1, 2], false).unwrap().0, 2);
    let (added, done) = import(&mut store, &[1, 2, 3], false).unwrap();
    assert_eq!((added, done.changed.len()), (1, 1));
    let (added, done) = import(&mut store, &[1, 2, 3], false).unwrap();
    assert_eq!((added, done.act), (0, None));
    // What an undo took away comes back under its own number, with its history.
    store.undo().unwrap().unwrap();
    let third = store.changed(0).unwrap()[2];
    assert_eq!(import(&mut store, &[3], false).unwrap().1.changed[0].0, third);
    assert_eq!(store.history(third).unwrap().len(), 3);
}

#[test]
fn a_claim_holds_as_long_as_its_session_and_next_gives_each_a_different_record() {
    let desk = Desk::new();
    let (mut mika, mut jun) = (desk.open("mika"), desk.open("jun"));
    let records = add(&mut mika, (0..4).map(|i| pair(&format!("q{i}"), "a")));
    mika.change(&Act::new(Cause::Sort, ""), &records[3..], |_, state| {
        Some(State { assignee: Some("jun".into()), ..state.clone() })
    })
    .unwrap();
    assert_eq!(mika.next(None).unwrap().unwrap().id, records[0]);
    // What is assigned to somebody comes first for them, and for nobody else.
    assert_eq!(jun.next(None).unwrap().unwrap().id, records[3]);
    assert_eq!(jun.next(None).unwrap().unwrap().id, records[3], "their own claim does not stand in their way");
    let mut kim = desk.open("kim");
    assert_eq!(kim.next(None).unwrap().unwrap().id, records[1]);
    assert_eq!(kim.next(Some(records[1])).unwrap().unwrap().id, records[2]);
    assert_eq!(kim.next(Some(records[2])).unwrap(), None);
    let refused = jun.claim(records[0]).unwrap_err().to_string();
    assert!(refused.contains("mika"), "{refused}");
    let who = kim.claims().unwrap();
    assert_eq!(
        who.iter().map(|claim| (claim.record, claim.ours)).collect::<Vec<_>>(),
        [(records[0], false), (records[1], true), (records[2], true), (records[3], false)]
    );
    drop(mika);
    jun.claim(records[0]).unwrap();
    kim.release(records[1]).unwrap();
    assert_eq!(jun.next(Some(records[0])).unwrap().unwrap().id, records[3]);
    jun.claim(records[1]).unwrap();
}

#[test]
fn what_another_process_did_is_seen() {
    let desk = Desk::new();
    let (mut mika, jun) = (desk.open("mika"), desk.open("jun"));
    let (pulse, newest) = (jun.pulse().unwrap(), jun.newest().unwrap());
    assert_eq!(jun.pulse().unwrap(), pulse);
    let record = add(&mut mika, [pair("q", "a")])[0];
    assert_ne!(jun.pulse().unwrap(), pulse);
    assert_eq!(jun.changed(newest).unwrap(), [record]);
    assert!(jun.changed(jun.newest().unwrap()).unwrap().is_empty());
}

#[test]
fn the_newest_mark_that_is_taken_back_is_ones_own() {
    let desk = Desk::new();
    let (mut mika, mut jun) = (desk.open("mika"), desk.open("jun"));
    let test = mika.freeze_test("test.jsonl", &["{}".to_owned(), "[]".to_owned()]).unwrap().id;
    let system = mika.keep_system("hash", "base", "{}").unwrap();
    mika.mark_error(test, system, 0, "verbose", true).unwrap();
    mika.mark_error(test, system, 1, "wrong", false).unwrap();
    jun.mark_error(test, system, 1, "wrong", true).unwrap();
    let newest = |store: &Store| store.newest_mark(test).unwrap().map(|(_, mark)| (mark.place, mark.present));
    assert_eq!((newest(&mika), newest(&jun)), (Some((1, false)), Some((1, true))));
    mika.forget_mark(test, system, 1, "wrong").unwrap();
    assert_eq!((newest(&mika), newest(&jun)), (Some((0, true)), Some((1, true))));
    mika.forget_mark(test, system, 0, "verbose").unwrap();
    assert_eq!((newest(&mika), newest(&jun)), (None, Some((1, true))), "another one's stays");
    assert_eq!(mika.newest_mark(test + 1).unwrap(), None);
}

#[test]
fn a_query_asks_for_marks_and_words_in_any_language() {
    let desk = Desk::new();
    let mut store = desk.open("mika");
    let mut returns = pair("ﾍﾝﾋﾟﾝしたい東京のお店", "返品は10日以内です");
    returns.category = Some("返品".into());
    returns.tags = vec!["急ぎ".into(), "a b".into()];
    let mut order = gold(&pair("Cancel my Order", "x"), "Please call 12:30 sharp");
    order.split = Some(Split::Test);
    let mut note = pair("third", "y");
    note.notes = "see ticket 7".into();
    let [a, b, c] = add(&mut store, [returns, order, note])[..] else { panic!() };
    let flag = Flag {
        record: Some(c),
        name: "too-long".into(),
        severity: "warning".into(),
        reason: String::new(),
        detail: String::new(),
    };
    store.set_flags(&[flag]).unwrap();
    for (query, expected) in [
        ("", vec![a, b, c]),
        ("東京", vec![a]),
        ("返品", vec![a]),
        ("ヘンピン", vec![a]),
        ("品", vec![a]),
        ("order", vec![b]),
        ("ORDER cancel", vec![b]),
        ("\"my order\"", vec![b]),
        ("\"order my\"", vec![]),
        ("12:30", vec![b]),
        ("-order", vec![a, c]),
        ("－order -東京", vec![c]),
        ("ticket", vec![c]),
        ("status:gold", vec![b]),
        ("status:inbox,gold -status:gold", vec![a, c]),
        ("category：返品　東京", vec![a]),
        ("category:none", vec![b, c]),
        ("-category:返品", vec![b, c]),
        ("tag:急ぎ", vec![a]),
        ("tag:\"a b\"", vec![a]),
        ("tag:急", vec![]),
        ("split:test", vec![b]),
        ("split:none order", vec![]),
        ("flag:too-long", vec![c]),
        ("flag:none", vec![a, b]),
        ("author:me", vec![a, b, c]),
        ("-author:me", vec![]),
        ("origin:traffic kind:pair author:mika", vec![a, b, c]),
        (&format!("id:{b}-{c}"), vec![b, c]),
    ] {
        assert_eq!(find(&store, query), expected, "{query}");
    }
    for (query, word) in [("statsu:gold", "status"), ("status:golden", "rejected"), ("\"open", "no end")] {
        let message = Query::parse(query).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn the_log_is_copied_beside_the_writer_and_never_in_its_commits() {
    let desk = Desk::new();
    let mut store = desk.open("hana");
    let mut keeper = Keeper::of(&store).unwrap();
    let numbers = add(&mut store, [pair("q", "d")]);
    // Far more than the thousand pages at which SQLite would copy the log by itself.
    let long = "長い答え".repeat(4000);
    for n in 0..200 {
        edit(&mut store, numbers[0], &format!("{long}{n}"));
    }
    // What lies in the database's own file, without the log.
    let alone = || {
        let copy = desk.folder.path().join("alone.db");
        // By another process: closing a second handle here would drop SQLite's locks.
        let copied = std::process::Command::new("cp").arg(desk.path()).arg(&copy).status().unwrap();
        assert!(copied.success());
        let alone = rusqlite::Connection::open(&copy).unwrap();
        alone.query_row("SELECT count(*) FROM revision", [], |row| row.get::<_, i64>(0)).unwrap_or(0)
    };
    assert!(alone() < 2, "{} of 201 revisions were copied in a commit", alone());
    for _ in 0..40 {
        keeper.committed();
    }
    drop(keeper);
    assert_eq!(alone(), 201);
    assert!(edit(&mut store, numbers[0], "the next one").conflicts.is_empty());
}

#[test]
fn a_full_disk_is_told_and_what_was_saved_stays() {
    let desk = Desk::new();
    let mut store = desk.open("mika");
    add(&mut store, [pair("q", "a")]);
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let act = Act::new(Cause::Import, "big");
    let long = "x".repeat(100_000);
    let error = store.add::<_, StoreError>(&act, |adder| adder.add(&new(pair(&long, "a")))).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }) && error.to_string().contains("free some space"), "{error}");
    assert_eq!(find(&store, ""), [1]);
    edit(&mut store, 1, "small acts still fit");
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Edit(usize, u8),
    Accept(Vec<usize>),
    Undo,
    Redo,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        1 => (1usize..4).prop_map(Step::Add),
        2 => (0usize..6, any::<u8>()).prop_map(|(record, text)| Step::Edit(record, text)),
        1 => proptest::collection::vec(0usize..6, 0..4).prop_map(Step::Accept),
        3 => Just(Step::Undo),
        2 => Just(Step::Redo),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec((0usize..2, step), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// One author alone: undoing everything leaves nothing, redoing everything leaves what was there. Two authors: whatever
    /// they do, no revision goes away, and a record is only ever changed by the act that says so.
    #[test]
    fn undo_all_then_redo_all_is_the_identity(steps in steps(), alone in any::<bool>()) {
        let desk = Desk::new();
        let names = ["mika", if alone { "mika" } else { "jun" }];
        let mut stores = names.map(|name| desk.open(name));
        for (who, step) in steps {
            let who = if alone { 0 } else { who };
            let store = &mut stores[who];
            let ids = find(store, "");
            let of = |index: &usize| ids.get(*index).copied();
            match step {
                Step::Add(count) => drop(add(store, (0..count).map(|i| pair(&format!("q{i}"), "a")))),
                Step::Edit(index, text) => if let Some(record) = of(&index) {
                    edit(store, record, &text.to_string());
                },
                Step::Accept(indexes) => {
                    let mut records: Vec<i64> = indexes.iter().filter_map(of).collect();
                    records.sort_unstable();
                    records.dedup();
                    store.change(&Act::new(Cause::Accept, ""), &records, |_, state| Some(gold(state, "accepted"))).unwrap();
                }
                Step::Undo => drop(store.undo().unwrap()),
                Step::Redo => drop(store.redo().unwrap()),
                Step::Restart => stores[who] = desk.open(names[who]),
            }
        }
        let store = &mut stores[0];
        let everything = |store: &Store| store.records(&Query::default()).unwrap().into_iter().map(|r| (r.id, r.state)).collect::<Vec<_>>();
        let (before, revisions) = (everything(store), store.changed(0).unwrap().iter().map(|&r| store.history(r).unwrap().len()).sum::<usize>());
        let mut count = 0;
        let mut conflicts = 0;
        while let Some(undone) = store.undo().unwrap() {
            count += 1;
            conflicts += undone.done.conflicts.len();
        }
        if alone {
            prop_assert_eq!(conflicts, 0);
            prop_assert_eq!(everything(store).len(), 0);
        }
        for _ in 0..count {
            conflicts += store.redo().unwrap().unwrap().done.conflicts.len();
        }
        if conflicts == 0 {
            prop_assert_eq!(everything(store), before);
        }
        let later = store.changed(0).unwrap().iter().map(|&r| store.history(r).unwrap().len()).sum::<usize>();
        prop_assert!(later >= revisions);
        for record in store.changed(0).unwrap() {
            let history = store.history(record).unwrap();
            prop_assert!(history.is_sorted_by_key(|revision| revision.id));
        }
        let sound: String = store.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        prop_assert_eq!(sound, "ok");
    }
}
