//! What the Train pane's keys do, by the verbs that are their twins: a run that is started, watched, steered and taken up again
//! while nobody holds it by a terminal.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;
use togi::actions::demo;

/// The demo's project, with room for a home of its own.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        std::fs::write(desk.path("config.toml"), "threads = 1\nnice = 0\n").unwrap();
        demo::desk(&desk.path("p")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn togi(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::cargo_bin("togi").unwrap();
        command.current_dir(self.0.path()).env("TOGI_CONFIG", self.path("config.toml"));
        let out = command.args(["--project", "p"]).args(arguments).output().unwrap();
        let [stdout, stderr] = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (out.status.code(), stdout, stderr)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, stdout, stderr) = self.togi(arguments);
        assert_eq!(code, Some(0), "{arguments:?}\n{stdout}\n{stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{stdout}"))
    }

    /// The newest run as it is listed, once it is as it should be.
    fn wait(&self, run: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let (_, stdout, _) = self.togi(&["runs", "--json"]);
            let listed = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let found = listed.into_iter().find(|listed| listed["run"] == run).unwrap();
            if wanted(&found) {
                return found;
            }
            assert!(started.elapsed() < Duration::from_mins(1), "{found}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The session of a process, as the system tells it.
fn session(pid: u64) -> Option<u64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // Behind the name in brackets: state, parent, group, session.
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

#[test]
fn a_run_in_the_background_outlives_its_starter_and_is_steered_from_elsewhere() {
    let desk = Desk::new();
    let few = ["--set", "batch=1", "--set", "train.valid=0.05", "--set", "samples=0", "--set", "patience=0"];
    let checked = desk.json(&[&["train", "--check", "--json"][..], &few].concat());
    assert_eq!((checked["rows"].as_u64(), checked["valid_rows"].as_u64()), (Some(150), Some(40)));
    assert!(desk.togi(&["runs", "--json"]).1.is_empty(), "a check makes no run");

    let started = desk.json(&[&["train", "--background", "--json"][..], &few].concat());
    let run = started["run"].as_str().unwrap().to_owned();
    assert_eq!(started["steps"], checked["steps"], "what is started is what was checked");
    let dir = desk.path("p/runs").join(&run);
    let live = desk.wait(&run, |run| run["step"].as_u64() > Some(2));
    assert_eq!(live["state"], "running");
    let lock = std::fs::read_to_string(dir.join("lock")).unwrap();
    let pid = lock.lines().find_map(|line| line.strip_prefix("pid = ")).unwrap().parse::<u64>().unwrap();
    assert_eq!(session(pid), Some(pid), "the worker has a session of its own");

    let (code, _, stderr) = desk.togi(&["train", "--resume", &run, "--background"]);
    assert!(code == Some(1) && stderr.contains("running already"), "{stderr}");
    desk.json(&["runs", "--pause", &run, "--json"]);
    let paused = desk.wait(&run, |run| run["phase"] == "paused");
    assert_eq!(paused["state"], "running");
    desk.json(&["runs", "--checkpoint", &run, "--json"]);
    let asked = desk.json(&["runs", "--continue", &run, "--json"]);
    assert_eq!((asked["run"].as_str(), asked["phase"].as_str()), (Some(run.as_str()), Some("running")));
    desk.json(&["runs", "--stop", &run, "--json"]);
    let stopped = desk.wait(&run, |run| run["state"] == "stopped");
    let step = stopped["step"].as_u64().unwrap();
    let (code, _, stderr) = desk.togi(&["runs", "--pause", &run]);
    assert!(code == Some(1) && stderr.contains("is not running"), "{stderr}");

    let again = desk.json(&["train", "--resume", &run, "--background", "--json"]);
    assert_eq!((again["run"].as_str(), again["step"].as_u64()), (Some(run.as_str()), Some(step)));
    desk.wait(&run, |run| run["step"].as_u64() > Some(step + 1));
    desk.json(&["runs", "--stop", &run, "--json"]);
    desk.wait(&run, |run| run["state"] == "stopped");

    desk.json(&["runs", "--note", &run, "半分だけ", "--json"]);
    assert_eq!(desk.wait(&run, |_| true)["note"], "半分だけ");
    let file = desk.path("chart.svg");
    desk.json(&["runs", "--svg", &run, file.to_str().unwrap(), "--log", "--json"]);
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(picture.contains("<svg") && picture.contains(&run), "{picture}");
    let other =
        desk.json(&["train", "--background", "--json", "--set", "rank=4", "--set", "steps=1", "--set", "samples=0"]);
    let other = other["run"].as_str().unwrap();
    desk.wait(other, |run| run["state"] == "finished");
    let differ = desk.json(&["runs", "--compare", &run, other, "--json"]);
    let keys: Vec<&str> =
        differ["differences"].as_array().unwrap().iter().filter_map(|one| one["key"].as_str()).collect();
    assert!(keys.contains(&"train.rank") && keys.contains(&"train.batch") && !keys.contains(&"base.name"), "{keys:?}");
}

/// Whether a process is still at work; one that has ended and that nobody has asked after does not count.
fn works(pid: u64) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

#[test]
fn a_run_whose_project_is_deleted_ends_be_it_paused_or_not() {
    for paused in [false, true] {
        let desk = Desk::new();
        let long = ["--set", "batch=1", "--set", "epochs=500", "--set", "samples=0", "--set", "patience=0"];
        let started = desk.json(&[&["train", "--background", "--json"][..], &long].concat());
        let run = started["run"].as_str().unwrap().to_owned();
        desk.wait(&run, |run| run["step"].as_u64() > Some(1));
        if paused {
            desk.json(&["runs", "--pause", &run, "--json"]);
            desk.wait(&run, |run| run["phase"] == "paused");
        }
        let lock = std::fs::read_to_string(desk.path("p/runs").join(&run).join("lock")).unwrap();
        let pid = lock.lines().find_map(|line| line.strip_prefix("pid = ")).unwrap().parse::<u64>().unwrap();
        assert!(works(pid));
        // What is being written just then may be in the way of the first try.
        let begun = Instant::now();
        while desk.path("p").exists() && std::fs::remove_dir_all(desk.path("p")).is_err() || works(pid) {
            assert!(begun.elapsed() < Duration::from_mins(1), "it goes on, paused: {paused}");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!desk.path("p/runs").exists(), "and leaves nothing behind");
    }
}

#[test]
fn a_snapshot_of_a_run_in_progress_is_a_checkpoint_of_the_moment() {
    let desk = Desk::new();
    let long = ["--set", "batch=1", "--set", "epochs=500", "--set", "samples=0", "--set", "evaluations=1"];
    let started = desk.json(&[&["train", "--background", "--json"][..], &long].concat());
    let run = started["run"].as_str().unwrap().to_owned();
    let step = desk.wait(&run, |run| run["step"].as_u64() > Some(2))["step"].as_u64().unwrap();
    let steps = || {
        let folders = std::fs::read_dir(desk.path("p/runs").join(&run).join("checkpoints"));
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let folders = folders.into_iter().flatten().map(name);
        folders.filter_map(|name| name.strip_prefix("step-")?.parse::<u64>().ok()).max()
    };
    assert!(steps().is_none_or(|newest| newest < step), "{:?}", steps());
    let question = r#"{"instruction": "To do:", "input": "Ben will order the chairs."}"#;
    let asks =
        |at: &str| desk.json(&["generate", "--max-tokens", "2", "--run", &format!("{run}@{at}"), "--json", question]);
    asks("now");
    let first = steps().unwrap();
    assert!(first >= step, "step {first} is older than the moment it was asked for, {step}");
    desk.wait(&run, |run| run["step"].as_u64() > Some(first));
    asks("now");
    assert!(steps().unwrap() > first, "each time anew");
    desk.json(&["runs", "--stop", &run, "--json"]);
    desk.wait(&run, |run| run["state"] == "stopped");
    asks("now");
}

#[test]
fn a_start_that_cannot_be_says_why_and_leaves_no_run() {
    let desk = Desk::new();
    let (code, stdout, stderr) = desk.togi(&["train", "--background", "--json", "--set", "max_length=20"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("longer than the window of 20 tokens") && stderr.contains("too_long=drop"), "{stderr}");
    let (_, listed, _) = desk.togi(&["runs", "--json"]);
    assert_eq!(listed, "");
    let (_, settings, _) = desk.togi(&["train", "--settings", "--json", "--set", "rank=4"]);
    let rank =
        settings.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|one| one["key"] == "rank");
    let rank = rank.unwrap();
    assert_eq!((rank["value"].as_str(), rank["default"].as_str()), (Some("4"), Some("16")));
}
