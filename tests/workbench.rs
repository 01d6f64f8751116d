//! The workbench as a person has it: the real binary in a pseudo-terminal.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

mod common;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use portable_pty::CommandBuilder;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use common::screen::Screen;

/// A project without a model, with pairs that wait.
struct Desk(TempDir);

impl Desk {
    fn new(pairs: usize) -> Self {
        let desk = Self(TempDir::new().unwrap());
        fs::write(desk.path("config.toml"), "theme = \"dark\"\n").unwrap();
        fs::write(desk.path("togi.toml"), "[project]\nname = \"机\"\n").unwrap();
        let line = |index: usize| {
            let question = format!("質問{index} where is parcel {index}?");
            json!({ "instruction": question, "output": format!("draft {index} 返品は{index}日以内") }).to_string()
                + "\n"
        };
        fs::write(desk.path("rows.jsonl"), (1..=pairs).map(line).collect::<String>()).unwrap();
        desk.run(&["import", "rows.jsonl"]);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::cargo_bin("togi").unwrap();
        command.current_dir(self.0.path()).env("TOGI_CONFIG", self.path("config.toml")).args(arguments);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn record(&self, id: usize) -> Value {
        serde_json::from_str(&self.run(&["show", &id.to_string(), "--history", "--json"])).unwrap()
    }

    fn statuses(&self) -> Vec<String> {
        let out = self.run(&["records", "--json", "--limit", "1000"]);
        let status = |line: &str| serde_json::from_str::<Value>(line).unwrap()["status"].as_str().unwrap().to_owned();
        out.lines().map(status).collect()
    }

    fn open(&self) -> Screen {
        let screen = Screen::open(self.0.path(), 120, 36);
        screen.wait_for("質問1");
        screen
    }
}

/// The end of a text: the editor's own key for it.
const END: &str = "\x05";
const ACCEPT: &str = "\x07";
const ESC: &str = "\x1b";

#[test]
fn an_annotator_walks_fifty_records() {
    let desk = Desk::new(50);
    let mut screen = desk.open();
    for record in 1..=50 {
        screen.wait(&format!("record {record}"), |text| {
            text.contains("instruction") && text.contains(&format!("│ {record} "))
        });
        match record % 10 {
            // One in ten is rejected with a reason, two are corrected, one is left for later, the others are good.
            1 => screen.keys("xtoo short\r"),
            2 | 3 => {
                screen.keys("e");
                screen.wait_for("writing");
                screen.keys(&format!("{END} です"));
                screen.wait_for("です");
                screen.keys(ACCEPT);
            }
            4 => screen.keys("n"),
            _ => screen.keys("a"),
        }
    }
    screen.wait_for("40 / 1,000 gold");
    // The ones left for later are what still waits; the last key of the round wraps to the first of them.
    screen.wait("the first that waits", |text| text.contains("│ 4 "));
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
    let statuses = desk.statuses();
    let count = |wanted: &str| statuses.iter().filter(|status| *status == wanted).count();
    assert_eq!((count("gold"), count("rejected"), count("inbox")), (40, 5, 5));
    let edited = desk.record(2);
    assert_eq!(edited["gold"], "draft 2 返品は2日以内 です");
    assert_eq!(edited["draft"], "draft 2 返品は2日以内");
    let seconds = edited["history"].as_array().unwrap().last().unwrap()["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0, "the time at it is kept");
    assert_eq!(desk.record(1)["notes"], "too short");
}

#[test]
fn keys_and_verbs_do_the_same() {
    let (by_keys, by_verbs) = (Desk::new(6), Desk::new(6));
    let mut screen = by_keys.open();
    screen.keys("a");
    screen.wait_for("│ 2 ");
    screen.keys("xwrong\r");
    screen.wait_for("│ 3 ");
    screen.keys("creturns\r");
    screen.wait_for("returns");
    screen.keys("s");
    screen.wait_for("what this one is for");
    screen.keys("\x1b[B\r");
    screen.wait_for("valid");
    screen.keys("e");
    screen.wait_for("writing");
    screen.keys(&format!("{END}!{ACCEPT}"));
    screen.wait_for("│ 4 ");
    screen.keys("  a");
    screen.wait_for("changes 2");
    screen.keys("y");
    screen.wait_for("4 / 1,000 gold");
    screen.keys("u");
    screen.wait_for("taken back");
    screen.wait_for("2 / 1,000 gold");
    screen.keys("q");
    screen.ended();
    let draft = by_verbs.record(3)["draft"].as_str().unwrap().to_owned();
    for arguments in [
        vec!["accept", "1"],
        vec!["reject", "2", "--why", "wrong"],
        vec!["mark", "3", "--category", "returns"],
        vec!["mark", "3", "--split", "valid"],
        vec!["edit", "3", "--gold", &format!("{draft}!"), "--accept"],
        vec!["accept", "4", "5"],
        vec!["undo"],
    ] {
        by_verbs.run(&arguments);
    }
    for id in 1..=6 {
        let plain = |desk: &Desk| {
            let mut record = desk.record(id);
            let history = record["history"].take();
            let acts: Vec<(Value, Value)> = history
                .as_array()
                .unwrap()
                .iter()
                .map(|revision| (revision["cause"].clone(), revision["state"].clone()))
                .collect();
            record["revision"].take();
            (record, acts)
        };
        assert_eq!(plain(&by_keys), plain(&by_verbs), "record {id}");
    }
}

#[test]
fn leaving_gives_the_terminal_back() {
    let desk = Desk::new(2);
    let mut screen = desk.open();
    assert!(!screen.is_cooked());
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
    given_back(&screen);
}

/// The terminal echoes again, and what was switched on is off.
fn given_back(screen: &Screen) {
    assert!(screen.is_cooked());
    // The process has ended; its last bytes may still be on their way to here.
    let leaves = b"\x1b[?1049l";
    screen.wait("the other screen", |_| screen.raw().windows(leaves.len()).any(|window| window == leaves));
    let raw = screen.raw();
    let last = |bytes: &[u8]| raw.windows(bytes.len()).rposition(|window| window == bytes);
    assert!(last(b"\x1b[?1049l") > last(b"\x1b[?1049h"), "the other screen");
    assert!(last(b"\x1b[?2004l") > last(b"\x1b[?2004h"), "pastes told apart");
    assert!(last(b"\x1b[?25h") > last(b"\x1b[?25l"), "the cursor");
}

/// Not a test of its own: what [`a_panic_can_be_read`] runs in a terminal.
#[test]
fn panics_in_a_terminal() {
    if std::env::var_os("TOGI_TEST_PANICS").is_some() {
        togi::terminal::tell_panics();
        let _guard = togi::terminal::Guard::take(true).unwrap();
        panic!("what went wrong");
    }
}

#[test]
fn a_panic_can_be_read() {
    let dir = TempDir::new().unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "panics_in_a_terminal", "--nocapture"]);
    command.env("TOGI_TEST_PANICS", "1");
    let mut screen = Screen::run(command, dir.path(), 100, 30);
    screen.wait_for("what went wrong");
    screen.ended();
    given_back(&screen);
    let raw = screen.raw();
    let at = |bytes: &[u8]| raw.windows(bytes.len()).position(|window| window == bytes).unwrap();
    assert!(at(b"\x1b[?1049l") < at(b"what went wrong"), "its words are on the person's own screen");
}

#[test]
fn what_is_marked_as_saved_survives_a_kill() {
    let desk = Desk::new(2);
    let mut screen = desk.open();
    screen.keys("e");
    screen.wait_for("writing");
    screen.keys(&format!("{END} kept"));
    screen.wait_for("✓ saved");
    screen.wait_for("kept");
    screen.signal(Signal::KILL);
    screen.ended();
    assert_eq!(desk.record(1)["gold"], "draft 1 返品は1日以内 kept");
}

#[test]
fn a_dropped_connection_loses_nothing_that_was_typed() {
    for signal in [Signal::HUP, Signal::TERM] {
        let desk = Desk::new(1);
        let mut screen = desk.open();
        screen.keys("e");
        screen.wait_for("writing");
        screen.keys(&format!("{END} typed"));
        screen.wait_for("typed");
        if signal == Signal::HUP {
            screen.hang_up();
        } else {
            screen.signal(signal);
        }
        screen.ended();
        assert_eq!(desk.record(1)["gold"], "draft 1 返品は1日以内 typed", "{signal:?}");
    }
}

#[test]
fn an_idle_workbench_writes_nothing() {
    let desk = Desk::new(30);
    let screen = desk.open();
    screen.settle();
    let before = screen.written();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(screen.written() - before, 0);
}

#[test]
fn it_comes_back_from_a_tiny_screen() {
    let desk = Desk::new(3);
    let mut screen = desk.open();
    screen.resize(20, 5);
    screen.wait_for("needs 60 x 16");
    screen.resize(60, 16);
    screen.wait_for("質問1");
    screen.resize(1, 1);
    screen.resize(200, 50);
    screen.wait_for("instruction");
    screen.keys("a");
    screen.wait_for("1 / 1,000 gold");
}

#[test]
fn keys_typed_while_the_terminal_is_asked_for_its_colours_all_arrive() {
    let desk = Desk::new(9);
    fs::write(desk.path("config.toml"), "theme = \"auto\"\n").unwrap();
    let asked = |screen: &Screen| screen.raw().windows(5).any(|bytes| bytes == b"\x1b]11;");
    // A terminal that never answers: typed before anything is on the screen.
    let mut screen = Screen::open(desk.0.path(), 120, 36);
    screen.keys("jj\x1b[Bj");
    screen.wait_for("5 of 9");
    assert!(asked(&screen), "the terminal is asked");
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
    // One that answers in the middle of what is typed, whole or in parts.
    for parts in [
        &["j\x1b]11;rgb:ffff/ffff/ffff\x07j"][..],
        &["j\x1b]11;rg", "b:ffff/ff", "ff/ffff\x1b\\j"],
        &["j\x1b]11;rgb:ffff/ffff/ffff\x1b\\", "j"],
    ] {
        let mut screen = Screen::open(desk.0.path(), 120, 36);
        screen.wait("the question", |_| asked(&screen));
        let before = screen.raw().len();
        for part in parts {
            screen.keys(part);
            thread::sleep(Duration::from_millis(20));
        }
        screen.wait_for("3 of 9");
        screen.settle();
        // The light theme's ground colours the line of the cursor.
        let after = screen.raw().split_off(before);
        let light = String::from_utf8_lossy(&after).contains("48;5;254");
        assert!(light, "{parts:?}: {}", String::from_utf8_lossy(&after).escape_debug());
        // What only begins like an answer is keys: nothing of it is kept back for long.
        screen.keys("\x1b]j");
        screen.wait_for("4 of 9");
        screen.keys("q");
        assert_eq!(screen.ended(), 0);
    }
}

#[test]
fn a_paste_is_text_and_never_commands() {
    let desk = Desk::new(3);
    let mut screen = desk.open();
    screen.keys("\x1b[200~aaaxq\r\x1b[201~");
    screen.wait_for("a paste goes into a text");
    screen.keys("e");
    screen.wait_for("writing");
    screen.keys(&format!("{END}\x1b[200~\r\nq: 二行目\x1b[201~"));
    screen.wait_for("二行目");
    screen.keys(ESC);
    screen.wait("the end of writing", |text| !text.contains("writing"));
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
    assert_eq!(desk.record(1)["gold"], "draft 1 返品は1日以内\nq: 二行目");
    assert!(desk.statuses().iter().all(|status| status != "gold" && status != "rejected"));
}

#[test]
fn an_edit_in_one_workbench_appears_in_another() {
    let desk = Desk::new(4);
    let mut one = desk.open();
    let other = desk.open();
    one.keys("e");
    one.wait_for("writing");
    // Machines are shared: the quickest of three tells what the workbench does.
    let quickest = ["uno", "due", "tre"]
        .map(|word| {
            one.keys(&format!("{END} {word}\x13"));
            one.wait("the mark", |text| text.contains(word) && text.contains("✓ saved"));
            let saved = Instant::now();
            other.wait_for(word);
            saved.elapsed()
        })
        .into_iter()
        .min();
    assert!(quickest < Some(Duration::from_millis(500)), "{quickest:?}");
    // Both at one record: the later text is not lost, and nobody's is written over.
    let mut other = other;
    one.keys(ESC);
    one.wait("the end of writing", |text| !text.contains("writing"));
    one.keys("e");
    one.wait_for("writing");
    other.keys("e");
    other.wait_for("writing");
    other.keys(&format!("{END} theirs\x13"));
    other.wait_for("✓ saved");
    one.keys(&format!("{END} mine\x13"));
    one.wait_for("was changed by");
    one.keys("t");
    one.wait_for("uno due tre theirs");
    assert_eq!(desk.record(1)["gold"], "draft 1 返品は1日以内 uno due tre theirs");
}

#[test]
fn the_cursor_is_where_one_writes() {
    let desk = Desk::new(1);
    let mut screen = desk.open();
    screen.settle();
    assert!(!screen.cursor().1, "no cursor where nothing is written");
    screen.keys("e");
    screen.wait_for("writing");
    screen.keys(END);
    screen.settle();
    let ((row, column), shown) = screen.cursor();
    assert!(shown);
    // Behind the last letter of the draft, whose Japanese letters take two cells each.
    let line = screen.text().lines().nth(usize::from(row)).unwrap().to_owned();
    assert!(line.contains("draft 1 返品は1日以内"), "{line}");
    let left = line.split("│ ").next().unwrap();
    let cells = togi::text::width(left) + 2 + togi::text::width("draft 1 返品は1日以内");
    assert_eq!(usize::from(column), cells);
}

#[test]
fn a_conflict_in_the_keys_is_told_before_the_screen_opens() {
    let desk = Desk::new(1);
    fs::write(desk.path("keymap.toml"), "\"data.accept\" = \"x\"\n").unwrap();
    let mut screen = Screen::open(desk.0.path(), 100, 30);
    screen.wait_for("data.reject");
    assert_ne!(screen.ended(), 0);
    assert!(screen.is_cooked());
    fs::write(desk.path("keymap.toml"), "\"data.accept\" = \"Z\"\n").unwrap();
    let mut screen = desk.open();
    screen.keys("Z");
    screen.wait_for("1 / 1,000 gold");
}

#[test]
fn outside_a_project_it_offers_to_make_one() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("config.toml"), "theme = \"dark\"\n").unwrap();
    let mut screen = Screen::open(dir.path(), 100, 30);
    screen.wait_for("1, 2, or enter to leave");
    screen.keys("2\r");
    screen.wait_for("390 / 1,000 gold");
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
    assert!(dir.path().join("togi-demo/togi.toml").exists());
}

#[test]
fn a_run_outlives_the_terminal_and_the_next_workbench_goes_on_watching() {
    let desk = Desk::new(1);
    // The demo's own project, with a model to train.
    let mut command = CommandBuilder::new(assert_cmd::cargo::cargo_bin("togi"));
    command.args(["demo", "demo"]);
    command.cwd(desk.0.path());
    let mut screen = Screen::run(command, desk.0.path(), 120, 36);
    screen.wait_for("390 / 1,000 gold");
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
    let project = desk.path("demo");
    let togi = |arguments: &[&str]| {
        let all: Vec<&str> = ["--project", project.to_str().unwrap()].iter().chain(arguments).copied().collect();
        desk.run(&all)
    };
    togi(&["train", "--background", "--set", "epochs=200"]);
    let runs = || serde_json::from_str::<Value>(togi(&["runs", "--json"]).lines().last().unwrap()).unwrap();
    let watch = || {
        let mut command = CommandBuilder::new(assert_cmd::cargo::cargo_bin("togi"));
        command.args(["--project", "demo"]);
        command.cwd(desk.0.path());
        let mut screen = Screen::run(command, desk.0.path(), 120, 36);
        screen.wait_for("/ 1,000 gold");
        screen.keys("3");
        screen.wait_for("running");
        screen
    };
    let mut one = watch();
    let mut two = watch();
    thread::sleep(Duration::from_secs(2));
    one.hang_up();
    one.ended();
    two.signal(Signal::KILL);
    two.ended();
    let before = runs();
    assert_eq!(before["state"], "running");
    let again = watch();
    let begun = Instant::now();
    while runs()["step"].as_u64() <= before["step"].as_u64() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it does not go on: {before} {}", runs());
        thread::sleep(Duration::from_millis(100));
    }
    drop(again);
    togi(&["runs", "--stop", "latest"]);
    let begun = Instant::now();
    while runs()["state"] == "running" {
        assert!(begun.elapsed() < Duration::from_mins(1));
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(runs()["state"], "stopped");
}

#[test]
fn a_click_goes_where_it_points_and_the_mouse_is_not_taken_unasked() {
    const MOUSE: &[u8] = b"\x1b[?1000h";
    let desk = Desk::new(5);
    let takes = |screen: &Screen| screen.raw().windows(MOUSE.len()).any(|bytes| bytes == MOUSE);
    let mut screen = desk.open();
    assert!(!takes(&screen));
    screen.keys("q");
    assert_eq!(screen.ended(), 0);

    fs::write(desk.path("config.toml"), "theme = \"dark\"\nmouse = true\n").unwrap();
    let mut screen = desk.open();
    assert!(takes(&screen));
    // Columns and lines from 1, as terminals count them: the third record is in the fifth line.
    let click = |screen: &mut Screen, column: usize, line: usize| {
        screen.keys(&format!("\x1b[<0;{column};{line}M\x1b[<0;{column};{line}m"));
    };
    click(&mut screen, 5, 5);
    screen.wait("record 3", |text| text.contains("│ 3 "));
    let head = screen.text().lines().next().unwrap_or_default().to_owned();
    let before = head.split("3 Train").next().unwrap_or_default();
    click(&mut screen, togi::text::width(before) + 1, 1);
    screen.wait_for("There are no runs yet");
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
}

#[test]
fn a_text_typed_right_behind_a_mark_meets_no_conflict_with_oneself() {
    let desk = Desk::new(3);
    let mut screen = desk.open();
    // All of it at once: the editor opens before the mark is heard to be on the disk.
    for _ in 0..2 {
        screen.keys(&format!("s\x1b[B\re{END}!{ACCEPT}"));
        screen.settle();
    }
    let text = screen.text();
    assert!(!text.contains("was changed by"), "{text}");
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
    for record in [1, 2] {
        let told = desk.record(record);
        assert_eq!((told["status"].as_str(), told["split"].as_str()), (Some("gold"), Some("valid")), "{told}");
        assert!(told["gold"].as_str().is_some_and(|gold| gold.ends_with('!')), "{told}");
    }
}
