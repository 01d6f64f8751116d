//! What the Evaluate pane's keys do, by the verbs that are their twins and in the real binary: an evaluation in the background, its
//! report, a mark.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

mod common;

use std::fs;
use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;
use rustix::process::Signal;
use serde_json::{Value, json};

use common::desk::Desk;
use common::screen::Screen;

/// What `togi eval --jobs` lists.
fn jobs(desk: &Desk) -> Vec<Value> {
    let (listed, _) = desk.run(&["eval", "--jobs", "--json"], 0);
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the newest evaluation is as it should be.
fn wait(desk: &Desk, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(job) = jobs(desk).pop().filter(&wanted) {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", jobs(desk));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// So many that the tiny model is at it for seconds.
const ROWS: usize = 12_000;

/// Test rows whose answers take the tiny model a while.
fn many_rows(desk: &Desk, count: usize) {
    let row =
        |at: usize| json!({ "id": format!("r{at}"), "instruction": format!("say {at}"), "output": format!("n{at}") });
    fs::write(desk.path("test.jsonl"), (0..count).map(|at| row(at).to_string() + "\n").collect::<String>()).unwrap();
}

/// A figure as the pane writes it.
fn shown(system: &Value, key: &str) -> String {
    let score = &system["scores"][key];
    let percent = |value: &Value| 100.0 * value.as_f64().unwrap();
    let value = percent(&score["value"]);
    // Where the rows do not tell one there is no interval.
    match &score["interval"] {
        Value::Null => format!("{value:.1}"),
        interval => format!("{value:.1}  {:.0}–{:.0}", percent(&interval["low"]), percent(&interval["high"])),
    }
}

#[test]
fn in_the_background_the_same_is_answered_as_in_the_foreground() {
    let desk = Desk::with_project();
    let trained = desk.train();
    let run = trained["run"].as_str().unwrap().to_owned();
    let asked = ["eval", "--data", "test.jsonl", "--max-tokens", "8", "--run", &run, "--examples", "2"];
    let begun = desk.json(&[&asked[..], &["--background", "--json"]].concat());
    assert_eq!(begun["systems"], json!(["base", "base + 2 examples", run]));
    let job = wait(&desk, |job| job["state"] == "finished");
    assert_eq!((job["evaluation"].as_str(), job["test"].as_str()), (begun["evaluation"].as_str(), Some("test.jsonl")));
    let all = job["systems"].as_array().unwrap();
    assert!(all.iter().all(|system| system["answered"] == 3 && system["rows"] == 3), "{job}");
    // A run is still what the newest run is.
    assert_eq!(desk.json(&["runs", "--json"])["run"], run.as_str());
    let test = begun["test"].to_string();
    let stored = desk.json(&["eval", "--test", &test, "--stored", "--json"]);
    let (_, told) = desk.run(&[&asked[..], &["--background"]].concat(), 1);
    assert!(told.contains("answered already"), "{told}");

    let other = Desk::with_project();
    let again = other.train();
    let here =
        other.json(&[&asked[..5], &["--run", again["run"].as_str().unwrap(), "--examples", "2", "--json"]].concat());
    for at in 0..3 {
        for key in ["scores", "perplexity", "tokens"] {
            assert_eq!(stored["report"]["systems"][at][key], here["report"]["systems"][at][key], "{at} {key}");
        }
    }
    // Any of them can be chosen by its name.
    let two = desk.json(&["eval", "--test", &test, "--stored", "--only", &run, "--only", "base", "--json"]);
    let names: Vec<&str> =
        two["report"]["systems"].as_array().unwrap().iter().filter_map(|system| system["name"].as_str()).collect();
    assert_eq!(names, ["base", &run]);
    let (_, told) = desk.run(&["eval", "--test", &test, "--stored", "--only", "nobody"], 1);
    assert!(told.contains("nobody has not answered test.jsonl; stored is base"), "{told}");
    let (_, told) = desk.run(&["eval", "--test", "77", "--stored"], 1);
    assert!(told.contains("no frozen test set of the number 77; there is 1 (test.jsonl)"), "{told}");
}

#[test]
fn one_that_is_stopped_or_killed_goes_on_where_it_was() {
    let desk = Desk::with_project();
    many_rows(&desk, ROWS);
    let asked = ["eval", "--data", "test.jsonl", "--max-tokens", "96", "--system", "base", "--background", "--json"];
    desk.json(&asked);
    wait(&desk, |job| job["systems"][0]["answered"].as_u64() > Some(0));
    let (_, told) = desk.run(&asked, 1);
    assert!(told.contains("already: wait for it, or stop it with"), "{told}");
    // What has answered some is compared on those.
    let partly = desk.json(&["eval", "--test", "1", "--stored", "--only", "base", "--json"]);
    assert!(partly["report"]["counted"].as_u64().unwrap() > 0, "{partly}");
    desk.json(&["eval", "--pause", "latest", "--json"]);
    let paused = wait(&desk, |job| job["phase"] == "paused");
    std::thread::sleep(Duration::from_millis(700));
    let waiting = wait(&desk, |job| job["phase"] == "paused");
    let again = wait(&desk, |job| job["phase"] == "paused");
    assert_eq!(waiting["step"], again["step"], "it waits: {paused}");
    desk.json(&["eval", "--continue", "latest", "--json"]);
    wait(&desk, |job| job["phase"] == "running" && job["step"].as_u64() > waiting["step"].as_u64());
    desk.json(&["eval", "--stop", "latest", "--json"]);
    let stopped = wait(&desk, |job| job["state"] == "stopped");
    assert!(stopped["reason"].as_str().unwrap().contains("what it has answered is kept"), "{stopped}");
    let kept = stopped["systems"][0]["answered"].as_u64().unwrap();
    assert!((1..ROWS as u64).contains(&kept), "{stopped}");
    let (_, told) = desk.run(&["eval", "--stop", "latest"], 1);
    assert!(told.contains("no evaluation runs"), "{told}");

    let again = desk.json(&asked);
    assert_eq!(
        again["missing"].as_u64(),
        Some(2 * ROWS as u64 - stopped["step"].as_u64().unwrap()),
        "{again} {stopped}"
    );
    let more = wait(&desk, |job| job["state"] == "running" && job["step"].as_u64() > Some(kept));
    let dir = desk.path("p/evaluations").join(more["evaluation"].as_str().unwrap());
    let lock = fs::read_to_string(dir.join("lock")).unwrap();
    let pid = lock.lines().find_map(|line| line.strip_prefix("pid = ")).unwrap().parse::<i32>().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    wait(&desk, |job| job["state"] == "interrupted");
    desk.json(&asked);
    let done = wait(&desk, |job| job["state"] == "finished");
    assert_eq!(
        (done["systems"][0]["answered"].as_u64(), done["step"].as_u64()),
        (Some(ROWS as u64), Some(2 * ROWS as u64))
    );
}

#[test]
fn the_pane_shows_the_verbs_numbers_and_its_marks_are_the_verbs() {
    let desk = Desk::with_project();
    let trained = desk.train();
    let run = trained["run"].as_str().unwrap().to_owned();
    desk.json(&["eval", "--data", "test.jsonl", "--max-tokens", "8", "--run", &run, "--examples", "0", "--json"]);
    let told = desk.json(&["eval", "--test", "1", "--stored", "--json"]);
    fs::write(desk.path("config.toml"), "threads = 1\nnice = 0\ntheme = \"dark\"\n").unwrap();
    let mut command = CommandBuilder::new(assert_cmd::cargo::cargo_bin("togi"));
    command.args(["--project", "p"]);
    command.cwd(desk.path("."));
    let mut screen = Screen::run(command, &desk.path("."), 120, 36);
    screen.wait_for("5 Evaluate");
    screen.keys("5");
    screen.wait_for("figures, %");
    let systems = told["report"]["systems"].as_array().unwrap().clone();
    for metric in told["report"]["metrics"].as_array().unwrap() {
        let text = screen.text();
        let mut table = text.lines().skip_while(|line| !line.contains("figures, %"));
        let line = table.find(|line| line.contains(metric["name"].as_str().unwrap())).unwrap();
        for system in &systems {
            let number = shown(system, metric["key"].as_str().unwrap());
            assert!(line.contains(&number), "{number} is not in {line:?}\n{text}");
        }
    }
    let change = &told["report"]["errors"]["matrix"]["changes"][0];
    let line =
        |text: &str| text.lines().find(|line| line.contains(change["category"].as_str().unwrap())).map(str::to_owned);
    assert!(line(&screen.text()).unwrap().contains(&change["after"].to_string()), "{change}\n{}", screen.text());

    // Random weights are wrong: the first row that stayed so is opened, and the tuned answer is marked as free of its first error.
    let row = |desk: &Desk| desk.json(&["errors", "--test", "1", "--row", "r0", "--json"]);
    let before = row(&desk);
    let category = before["answers"][1]["errors"][0]["category"].as_str().unwrap().to_owned();
    let place = before["categories"].as_array().unwrap().iter().position(|name| *name == category.as_str()).unwrap();
    screen.keys("\r");
    screen.wait("a row", |text| text.contains("asks") && text.contains("gold"));
    while !screen.text().lines().any(|line| line.trim_start().starts_with("r0 ")) {
        screen.keys("n");
        screen.settle();
    }
    screen.keys("m");
    screen.wait_for(&format!("[x] {category}"));
    screen.keys(&"\x1b[B".repeat(place));
    screen.keys("\r");
    screen.wait_for(&format!("free of {category}"));
    let said = row(&desk);
    assert_eq!(said["answers"][1]["said"][&category], false, "{said}");
    let after = desk.json(&["errors", "--test", "1", "--json"]);
    assert_ne!(after["matrix"], told["report"]["errors"]["matrix"], "the mark counts");
    screen.keys("u");
    screen.wait_for("taken back");
    assert_eq!(row(&desk), before, "as if nothing had been said");
    assert_eq!(desk.json(&["errors", "--test", "1", "--json"])["matrix"], told["report"]["errors"]["matrix"]);
    // The verb does, and takes back, the same.
    let mark = ["errors", "--test", "1", "--mark", "r0", "--of", &run, "--category", &category];
    desk.run(&[&mark[..], &["--not"]].concat(), 0);
    assert_eq!(row(&desk), said);
    desk.run(&[&mark[..], &["--forget"]].concat(), 0);
    assert_eq!(row(&desk), before);
    // A mark that this session did not make, taken back by the key and by its twin.
    desk.run(&[&mark[..], &["--not"]].concat(), 0);
    screen.keys("u");
    screen.wait_for(&format!("taken back: {category}"));
    assert_eq!(row(&desk), before);
    screen.keys("u");
    screen.wait_for("no mark of yours to take back");
    desk.run(&[&mark[..], &["--not"]].concat(), 0);
    let undone = desk.json(&["errors", "--test", "1", "--undo", "--json"]);
    assert_eq!((&undone["category"], &undone["was"]), (&json!(category), &json!(false)), "{undone}");
    assert_eq!(row(&desk), before);
    let (_, told) = desk.run(&["errors", "--test", "1", "--undo"], 1);
    assert!(told.contains("no mark of yours"), "{told}");

    // An evaluation is begun from the pane, and what it answers is seen.
    many_rows(&desk, 12);
    screen.keys("\x1b");
    screen.wait_for("figures, %");
    screen.keys("e");
    screen.wait_for("togi eval --background");
    screen.keys("\x01\x0b");
    screen.keys(&format!("--data {} --max-tokens 4 --system base\r", desk.path("test.jsonl").display()));
    screen.wait_for("all is answered");
    screen.wait("the other test set", |text| text.contains("12 rows"));
    assert_eq!(jobs(&desk).len(), 1);
    screen.keys("q");
    assert_eq!(screen.ended(), 0);
}
