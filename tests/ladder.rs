//! The ladder in the background as a person uses it: cells one after another in a process of its own, told of, stopped, gone on
//! with, and several that wait for each other.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

mod common;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use common::desk::Desk;

/// What `togi ladder --jobs` lists.
fn jobs(desk: &Desk) -> Vec<Value> {
    let (listed, _) = desk.run(&["ladder", "--jobs", "--json"], 0);
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until a ladder is as it should be.
fn wait(desk: &Desk, name: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(job) = jobs(desk).into_iter().find(|job| job["ladder"] == *name).filter(&wanted) {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", jobs(desk));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ended(job: &Value) -> bool {
    ["finished", "stopped", "failed"].iter().any(|state| job["state"] == *state)
}

/// A ladder over `sizes`; of two rows an epoch is a step.
fn ladder<'a>(sizes: &'a str, epochs: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut asked = vec!["ladder", "--data", "train.jsonl", "--test", "test.jsonl", "--valid", "test.jsonl"];
    asked.extend(["--max-tokens", "6", "--set", "batch=2", "--set", "evaluations=1"]);
    // A tiny model soon learns no more, and would stop early.
    asked.extend(["--set", "patience=1000000", "--set", epochs, "--sizes", sizes]);
    asked.extend(more);
    asked
}

#[test]
fn in_the_background_the_same_cells_are_climbed_as_in_the_foreground_and_a_stopped_one_goes_on() {
    let desk = Desk::with_project();
    // Nothing is trained or answered yet, and that can be told.
    let plan = desk.json(&ladder("2,5", "epochs=40", &["--plan", "--json"]));
    assert_eq!((plan["waiting"].as_u64(), plan["cells"].as_array().map(Vec::len)), (Some(2), Some(0)), "{plan}");

    let background = ladder("2,5", "epochs=40", &["--target", "0.0", "--background", "--json"]);
    let begun = desk.json(&background);
    let name = &begun["ladder"];
    assert_eq!((begun["cells"].as_u64(), begun["trained"].as_u64()), (Some(2), Some(0)), "{begun}");
    let at_work = wait(&desk, name, |job| job["cells"][0]["step"].as_u64() > Some(0) || ended(job));
    assert_eq!(at_work["cells"][0]["state"], "training", "{at_work}");
    let doing = at_work["doing"].as_str().unwrap();
    assert!(doing.starts_with("cell 1 of 2: 2 rows, run ") && doing.ends_with("of 40"), "{doing}");
    let (told, _) = desk.run(&["ladder", "--jobs"], 0);
    assert!(
        told.contains("0 of 2 cells trained") && told.contains("1: the project's model on 2 rows: training"),
        "{told}"
    );

    desk.json(&["ladder", "--stop", "latest", "--json"]);
    let stopped = wait(&desk, name, ended);
    assert_eq!((stopped["state"].as_str(), stopped["cells"][0]["state"].as_str()), (Some("stopped"), Some("begun")));
    let kept = stopped["cells"][0]["step"].as_u64().unwrap();
    assert!((1..40).contains(&kept), "{stopped}");
    let (_, told) = desk.run(&["ladder", "--stop", "latest"], 1);
    assert!(told.contains("no ladder is climbed"), "{told}");

    let again = desk.json(&background);
    let done = wait(&desk, &again["ladder"], ended);
    assert_eq!(done["state"], "finished", "{done}");
    assert_eq!(done["cells"][0]["run"], stopped["cells"][0]["run"], "the run went on");
    assert!(done["cells"].as_array().unwrap().iter().all(|cell| cell["state"] == "trained"), "{done}");
    assert!(
        done["reason"].as_str().unwrap().starts_with("2 cells are trained and tested; the smallest whose"),
        "{done}"
    );

    let found = desk.json(&ladder("2,5", "epochs=40", &["--plan", "--json"]));
    let other = Desk::with_project();
    let here = other.json(&ladder("2,5", "epochs=40", &["--json"]));
    let cells = |found: &Value| -> Vec<(u64, String)> {
        let of = |cell: &Value| (cell["rows"].as_u64().unwrap(), cell["quality"].to_string());
        found["cells"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!((cells(&found).len(), found["waiting"].as_u64()), (3, Some(0)));
    assert_eq!(cells(&found), cells(&here), "stopped and gone on in the background, or in the foreground");
}

#[test]
fn ladders_wait_for_each_other_and_what_has_changed_meanwhile_is_not_trained() {
    let desk = Desk::with_project();
    let settings = desk.path("p/togi.toml");
    let text = fs::read_to_string(&settings).unwrap().replace("# examples = \"prompts/", "examples = \"prompts/");
    fs::write(&settings, &text).unwrap();
    let examples = desk.path("p/prompts/examples.jsonl");
    fs::write(&examples, "{\"instruction\": \"say na\", \"output\": \"na\"}\n").unwrap();
    // Long enough for the whole test.
    let long = ladder("2,5", "epochs=200000", &["--background", "--json"]);
    let first = desk.json(&long);
    wait(&desk, &first["ladder"], |job| job["cells"][0]["step"].as_u64() > Some(0));
    let (_, told) = desk.run(&long, 1);
    assert!(told.contains("climbs these cells already") && told.contains("togi ladder --stop"), "{told}");
    let (_, told) = desk.run(&ladder("3", "epochs=2", &[]), 1);
    assert!(told.contains("is climbing a ladder of this project") && told.contains("--background"), "{told}");

    let second = desk.json(&ladder("3", "epochs=2", &["--background", "--json"]));
    assert_eq!(second["behind"], first["ladder"]);
    let queued = wait(&desk, &second["ladder"], |job| job["phase"] == "queued" || ended(job));
    assert!(queued["doing"].as_str().unwrap().contains(first["ladder"].as_str().unwrap()), "{queued}");
    let third = desk.json(&ladder("4", "epochs=2", &["--background", "--json"]));
    let fourth = desk.json(&ladder("6", "epochs=2", &["--background", "--json"]));
    // One that waits can be stopped before its turn.
    desk.json(&["ladder", "--stop", fourth["ladder"].as_str().unwrap(), "--json"]);
    let stopped = wait(&desk, &fourth["ladder"], ended);
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert!(stopped["reason"].as_str().unwrap().contains("before its turn"), "{stopped}");

    desk.json(&["ladder", "--stop", first["ladder"].as_str().unwrap(), "--json"]);
    assert_eq!(wait(&desk, &first["ladder"], ended)["state"], "stopped");
    assert_eq!(wait(&desk, &second["ladder"], ended)["state"], "finished");
    assert_eq!(wait(&desk, &third["ladder"], ended)["state"], "finished");

    // What decides a cell is looked at again when its turn comes.
    let again = desk.json(&long);
    wait(&desk, &again["ladder"], |job| job["cells"][0]["state"] == "training");
    let waits = desk.json(&ladder("7", "epochs=2", &["--background", "--json"]));
    fs::write(&examples, "{\"instruction\": \"say ni\", \"output\": \"ni\"}\n").unwrap();
    desk.json(&["ladder", "--stop", again["ladder"].as_str().unwrap(), "--json"]);
    let refused = wait(&desk, &waits["ladder"], ended);
    assert_eq!(refused["state"], "failed", "{refused}");
    assert!(refused["reason"].as_str().unwrap().contains("has changed since this ladder was begun"), "{refused}");
    assert_eq!(refused["cells"][0]["state"], "waits", "nothing was trained");
}
