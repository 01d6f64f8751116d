//! Nothing that was acknowledged is lost: processes that are killed at random, a full disk, a file without the right to
//! write, two accounts on one project.
//!
//! `TOGI_DURABILITY=full cargo test --release --test durability` kills 200 times in 20,000 acts; a normal run is a tenth of it.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use togi::store::{Act, Cause, Change, Content, New, Origin, Query, State, Status, Store, StoreError};

const WORKERS: usize = 8;
const RECORDS: i64 = 60;

/// Where a process of the storm finds its project; set, the test below is such a process.
const PLACE: &str = "TOGI_DURABILITY_PLACE";

fn pair(number: i64) -> State {
    let fields = json!({ "instruction": format!("question {number}") }).as_object().unwrap().clone();
    State::new(Content::Pair { fields, draft: Some("draft".into()), gold: None }, Status::Inbox)
}

fn gold(state: &State, text: &str) -> State {
    let mut after = state.clone();
    if let Content::Pair { gold, .. } = &mut after.content {
        *gold = Some(text.to_owned());
    }
    after
}

fn add(store: &mut Store, states: impl IntoIterator<Item = State>) -> Result<(), StoreError> {
    let act = Act::new(Cause::Import, "");
    store
        .add(&act, |adder| {
            for state in states {
                adder.add(&New { state, origin: Origin::Human, source: None, key: None })?;
            }
            Ok(())
        })
        .map(drop)
}

/// Acts at random until it is killed. Each act is written down once the store has acknowledged it: a line of act, record,
/// revision and text.
fn storm(place: &Path, name: &str) {
    let mut store = Store::open(&place.join("togi.db")).unwrap();
    let mut log = OpenOptions::new().append(true).create(true).open(place.join(format!("{name}.log"))).unwrap();
    let mut rng = StdRng::seed_from_u64(name.bytes().fold(7, |h, b| h * 31 + u64::from(b)));
    let mut acknowledge = |act: i64, changed: &[(i64, i64)], text: &str| {
        let line = json!({ "act": act, "changed": changed, "text": text }).to_string() + "\n";
        log.write_all(line.as_bytes()).unwrap();
    };
    for count in 0.. {
        let record = rng.random_range(1..=RECORDS);
        match rng.random_range(0..10) {
            0..6 => {
                let Ok(before) = store.get(record) else { continue };
                let text = format!("{name} {count}");
                let change = Change { record, base: before.revision, after: gold(&before.state, &text) };
                // Another process may have been faster: a conflict is no act.
                let done = store.act(&Act::new(Cause::Edit, ""), &[change]).unwrap();
                if let Some(act) = done.act {
                    acknowledge(act, &done.changed, &text);
                }
            }
            6..8 => {
                let few = [record, record % RECORDS + 1];
                let done = store
                    .change(&Act::new(Cause::Accept, ""), &few, |_, state| {
                        let status = if state.status == Status::Gold { Status::Inbox } else { Status::Gold };
                        Some(State { status, ..state.clone() })
                    })
                    .unwrap();
                acknowledge(done.act.unwrap(), &done.changed, "");
            }
            8 => {
                if let Some(undone) = store.undo().unwrap() {
                    acknowledge(undone.done.act.unwrap(), &undone.done.changed, "");
                }
            }
            _ => {
                if let Some(redone) = store.redo().unwrap() {
                    acknowledge(redone.done.act.unwrap(), &redone.done.changed, "");
                }
            }
        }
    }
}

/// Lines that a process has written to the end.
fn acknowledged(place: &Path) -> Vec<Value> {
    let logs = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    logs.flat_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default()).to_owned();
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    })
    .collect()
}

struct Swarm(HashMap<String, Child>);

impl Drop for Swarm {
    fn drop(&mut self) {
        for child in self.0.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_every_kill() {
    if let Some(place) = std::env::var_os(PLACE) {
        storm(Path::new(&place), &std::env::var("TOGI_DURABILITY_NAME").unwrap());
        return;
    }
    let full = std::env::var("TOGI_DURABILITY").is_ok_and(|size| size == "full");
    let (acts, kills) = if full { (20_000, 200) } else { (2_000, 20) };
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let mut store = Store::open(&place.join("togi.db")).unwrap();
    add(&mut store, (1..=RECORDS).map(pair)).unwrap();

    let mut rng = StdRng::seed_from_u64(11);
    let mut swarm = Swarm(HashMap::new());
    let (mut born, mut killed, mut done) = (0, 0, 0);
    while done < acts || killed < kills {
        while swarm.0.len() < WORKERS {
            let name = format!("p{born}");
            born += 1;
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["what_was_acknowledged_outlives_every_kill", "--exact", "--nocapture"])
                .env(PLACE, place)
                .env("TOGI_DURABILITY_NAME", &name)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            swarm.0.insert(name, child);
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(20..120)));
        done = acknowledged(place).len();
        // No more often than the acts allow, so that both counts are reached together.
        if killed * acts <= done * kills {
            let mut names: Vec<String> = swarm.0.keys().cloned().collect();
            names.sort();
            let name = names.swap_remove(rng.random_range(0..names.len()));
            let mut child = swarm.0.remove(&name).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "{name} ended by itself");
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
    }
    drop(swarm);

    let log = acknowledged(place);
    let numbers: HashSet<i64> = log.iter().map(|line| line["act"].as_i64().unwrap()).collect();
    assert_eq!(numbers.len(), log.len(), "an act was acknowledged twice");
    let store = Store::open(&place.join("togi.db")).unwrap();
    let mut by_revision = HashMap::new();
    for record in 1..=RECORDS {
        let history = store.history(record).unwrap();
        assert!(history.is_sorted_by(|a, b| a.id < b.id));
        let newest = history.last().unwrap();
        assert_eq!(
            store.get(record).unwrap().state,
            newest.state.clone().unwrap(),
            "record {record} is its newest state"
        );
        by_revision.extend(history.into_iter().map(|revision| (revision.id, (record, revision))));
    }
    for line in &log {
        for changed in line["changed"].as_array().unwrap() {
            let (record, revision) = (changed[0].as_i64().unwrap(), changed[1].as_i64().unwrap());
            let (of, kept) =
                by_revision.get(&revision).unwrap_or_else(|| panic!("revision {revision} is lost: {line}"));
            assert_eq!((*of, kept.act), (record, line["act"].as_i64().unwrap()));
            let text = line["text"].as_str().unwrap();
            if !text.is_empty() {
                assert_eq!(kept.state.as_ref().unwrap().content.answer(), Some(text));
            }
        }
    }
    // Each text was written by one act: an edit is there once, whatever was undone and done again.
    let mut texts = HashSet::new();
    for (_, revision) in by_revision.values().filter(|(_, revision)| revision.cause == Cause::Edit) {
        assert!(texts.insert(revision.state.as_ref().unwrap().content.answer().unwrap().to_owned()));
    }
    let raw = rusqlite::Connection::open(place.join("togi.db")).unwrap();
    let one = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let sound: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    assert_eq!(one("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(
        one("SELECT count(*) FROM revision v WHERE v.before IS NOT (
                 SELECT max(id) FROM revision w WHERE w.record = v.record AND w.id < v.id)"),
        0,
        "a revision does not follow the one before it"
    );
    eprintln!("{} acts acknowledged, {killed} kills", log.len());
}

#[test]
fn a_claim_ends_with_its_process_and_every_process_gets_a_different_record() {
    const WANTS_ONE: &str = "TOGI_DURABILITY_CLAIM";
    if let Some(place) = std::env::var_os(WANTS_ONE) {
        let mut store = Store::open(&Path::new(&place).join("togi.db")).unwrap();
        let record = store.next(None).unwrap().unwrap().id;
        fs::write(Path::new(&place).join(format!("{}.claim", std::process::id())), record.to_string()).unwrap();
        std::thread::sleep(Duration::from_mins(1));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let mut store = Store::open(&place.join("togi.db")).unwrap();
    add(&mut store, (1..=4).map(pair)).unwrap();
    let children: Vec<(String, Child)> = (0..3)
        .map(|i| {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["a_claim_ends_with_its_process", "--nocapture"])
                .env(WANTS_ONE, place)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            (i.to_string(), child)
        })
        .collect();
    let mut swarm = Swarm(children.into_iter().collect());
    let claimed = |child: &Child| -> Option<i64> {
        fs::read_to_string(place.join(format!("{}.claim", child.id()))).ok()?.parse().ok()
    };
    while !swarm.0.values().all(|child| claimed(child).is_some()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let held: HashSet<i64> = swarm.0.values().filter_map(claimed).collect();
    assert_eq!(held.len(), 3, "each has another record");
    let left = store.next(None).unwrap().unwrap().id;
    assert!(!held.contains(&left));
    assert_eq!(store.next(Some(left)).unwrap().map(|record| record.id).filter(|id| held.contains(id)), None);
    let mut child = swarm.0.remove("0").unwrap();
    let freed = claimed(&child).unwrap();
    assert!(matches!(store.claim(freed), Err(StoreError::Taken { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    store.claim(freed).unwrap();
}

/// Whether this process may do what the test needs; says so where not.
fn is_root(what: &str) -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        eprintln!("skipped: {what} needs root");
    }
    root
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_that_was_saved() {
    if !is_root("mounting a small disk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1500k", "togi-test"]).arg(folder.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no disk can be mounted here");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let path = folder.path().join("togi.db");
        let mut store = Store::open(&path).unwrap();
        add(&mut store, (1..=3).map(pair)).unwrap();
        let mut saved = 0;
        let error = loop {
            let before = store.get(1).unwrap();
            let text = format!("{saved} {}", "x".repeat(20_000));
            let change = Change { record: 1, base: before.revision, after: gold(&before.state, &text) };
            match store.act(&Act::new(Cause::Edit, ""), &[change]) {
                Ok(_) => saved += 1,
                Err(error) => break error,
            }
            assert!(saved < 1_000, "the disk never fills");
        };
        assert!(saved > 3, "{error}");
        let message = error.to_string();
        assert!(message.contains("full") && message.contains("free some space"), "{message}");
        drop(store);
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.history(1).unwrap().len(), saved + 1);
        assert!(store.get(1).unwrap().state.content.answer().unwrap().starts_with(&format!("{} ", saved - 1)));
        // With room again it goes on.
        assert!(Command::new("mount").args(["-o", "remount,size=8m"]).arg(folder.path()).status().unwrap().success());
        add(&mut store, [pair(4)]).unwrap();
        assert_eq!(store.ids(&Query::default()).unwrap().len(), 4);
    });
    let _ = Command::new("umount").arg(folder.path()).status();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// A copy of the binary that other accounts may run, beside a folder for a project.
fn open_place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("togi");
    fs::copy(env!("CARGO_BIN_EXE_togi"), &binary).unwrap();
    // A process that another test has just forked may hold the copy's file open for writing until it becomes another program.
    for _ in 0..200 {
        match Command::new(&binary).arg("--version").output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            other => {
                assert!(other.unwrap().status.success());
                return (folder, binary);
            }
        }
    }
    panic!("{} stays open for writing", binary.display());
}

const GROUP: u32 = 54_320;

fn run_as(binary: &Path, desk: &Path, user: u32, arguments: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(binary)
        .args(arguments)
        .current_dir(desk)
        .env("HOME", "/nonexistent")
        .env("TOGI_CONFIG", desk.join("config.toml"))
        .uid(user)
        .gid(GROUP)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code(), said)
}

#[test]
fn two_accounts_share_a_group_writable_project_and_each_has_their_own_undo() {
    if !is_root("running as two accounts") {
        return;
    }
    let (folder, togi) = open_place();
    let desk = folder.path().join("desk");
    fs::create_dir(&desk).unwrap();
    fs::write(desk.join("togi.toml"), "[project]\nname = \"desk\"\n").unwrap();
    fs::write(desk.join("config.toml"), "").unwrap();
    let rows = "{\"instruction\": \"a\", \"output\": \"one\"}\n{\"instruction\": \"b\", \"output\": \"two\"}\n";
    fs::write(desk.join("rows.jsonl"), rows).unwrap();
    std::os::unix::fs::chown(&desk, Some(54_321), Some(GROUP)).unwrap();
    fs::set_permissions(&desk, fs::Permissions::from_mode(0o2775)).unwrap();
    let (mika, jun) = (54_321, 54_322);
    let run = |user, arguments: &[&str]| run_as(&togi, &desk, user, arguments);

    let (code, said) = run(mika, &["import", "rows.jsonl", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(jun, &["edit", "1", "--gold", "jun's", "--accept"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(mika, &["accept", "2"]);
    assert_eq!(code, Some(0), "{said}");
    // While one has it open (so that -wal and -shm are there, theirs), the other writes.
    let holder = Store::open(&desk.join("togi.db")).unwrap();
    let (code, said) = run(jun, &["undo"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("accept") || said.contains("edit"), "{said}");
    drop(holder);
    let (_, said) = run(jun, &["undo"]);
    assert!(said.contains("nothing of yours"), "{said}");
    let (_, said) = run(mika, &["show", "1", "--history"]);
    assert!(said.contains("uid-54321") && said.contains("uid-54322"), "{said}");
    let (_, said) = run(mika, &["records", "--json", "id:2"]);
    assert!(said.contains("\"status\":\"gold\""), "{said}");

    // Someone outside the group, where others may not write, is told so.
    fs::set_permissions(&desk, fs::Permissions::from_mode(0o2775)).unwrap();
    let out = Command::new(&togi)
        .args(["accept", "1"])
        .current_dir(&desk)
        .env("TOGI_CONFIG", desk.join("config.toml"))
        .uid(54_323)
        .gid(54_323)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written") && said.contains("togi.db"), "{said}");
    let (_, said) = run(mika, &["records", "status:gold", "--count"]);
    assert_eq!(said.trim(), "1");
}
