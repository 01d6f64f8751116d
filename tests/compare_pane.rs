//! What the Compare pane keeps, by its keys in the real binary and by the verbs that are their twins: blind picks and rehearsed answers.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

mod common;

use std::fs;

use portable_pty::CommandBuilder;
use serde_json::{Value, json};

use common::desk::Desk;
use common::screen::Screen;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A project with gold records to ask, three of them held out, and a run.
fn desk() -> (Desk, String) {
    let desk = Desk::with_project();
    let run = desk.train()["run"].as_str().unwrap().to_owned();
    desk.run(&["import", "train.jsonl", "--origin", "human"], 0);
    desk.run(&["accept", "--query", "id:1-8"], 0);
    desk.run(&["mark", "--query", "id:1-3", "--split", "test"], 0);
    fs::write(desk.path("config.toml"), "threads = 1\nnice = 0\ntheme = \"dark\"\n").unwrap();
    (desk, run)
}

fn open(desk: &Desk) -> Screen {
    let mut command = CommandBuilder::new(assert_cmd::cargo::cargo_bin("togi"));
    command.args(["--project", "p"]);
    command.cwd(desk.path("."));
    let mut screen = Screen::run(command, &desk.path("."), 120, 36);
    screen.wait_for("4 Compare");
    screen.keys("4");
    // The question's own text stands in the pane of the records, too.
    screen.wait_for("question 1 of");
    screen
}

#[test]
fn picks_by_keys_and_by_the_verb_are_kept_alike() {
    let (desk, run) = desk();
    let mut screen = open(&desk);
    screen.keys("B");
    for (at, pick) in ["a", "t", "x"].into_iter().enumerate() {
        // A pick that comes too soon is refused; it is made again until it counts.
        loop {
            screen.keys(pick);
            screen.settle();
            let (listed, _) = desk.run(&["judgements", "--json"], 0);
            if lines(&listed).len() > at {
                break;
            }
        }
    }
    screen.keys("\x1bq");
    let (listed, _) = desk.run(&["judgements", "--json"], 0);
    let kept = lines(&listed);
    assert_eq!(kept.iter().map(|one| one["pick"].as_str().unwrap()).collect::<Vec<_>>(), ["left", "tie", "bad"]);
    for one in &kept {
        let mut sides = [one["left"].as_str().unwrap(), one["right"].as_str().unwrap()];
        sides.sort_unstable();
        assert!(sides.contains(&"base") && sides.contains(&run.as_str()), "{one}");
        assert_eq!(one["blind"], true);
    }
    // The verb keeps what the keys kept; who and when are its own.
    fs::write(desk.path("picks.jsonl"), &listed).unwrap();
    let added = desk.json(&["judgements", "--add", desk.path("picks.jsonl").to_str().unwrap(), "--json"]);
    assert_eq!(added["added"], json!([4, 5, 6]));
    let all = lines(&desk.run(&["judgements", "--json"], 0).0);
    let plain = |one: &Value| {
        let mut one = one.clone();
        one.as_object_mut().unwrap().retain(|key, _| !["id", "at"].contains(&key.as_str()));
        one
    };
    let (by_key, by_verb) = all.split_at(3);
    assert_eq!(by_key.iter().map(plain).collect::<Vec<_>>(), by_verb.iter().map(plain).collect::<Vec<_>>());
    // What says what cannot be is refused, with its line, and nothing of it is kept.
    for (wrong, why) in [
        (json!({ "pick": "middle" }), "a pick is left, right, tie, bad"),
        (json!({ "record": 99 }), "line 2"),
        (json!({ "right": kept[0]["left"] }), "between two systems"),
        (json!({ "question": " " }), "needs the question"),
    ] {
        let mut line = kept[0].clone();
        line.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        fs::write(desk.path("wrong.jsonl"), format!("{}\n{line}\n", kept[0])).unwrap();
        let (_, told) = desk.run(&["judgements", "--add", desk.path("wrong.jsonl").to_str().unwrap()], 1);
        assert!(told.contains(why), "{wrong}: {told}");
    }
    assert_eq!(lines(&desk.run(&["judgements", "--json"], 0).0).len(), 6);
}

#[test]
fn answers_rehearsed_by_key_and_by_verb_are_the_same_and_play_without_a_model() {
    let (desk, run) = desk();
    let list = || lines(&desk.run(&["rehearse", "--list", "--json"], 0).0);
    // The pane's own number of tokens is as much as the verb takes unless told otherwise.
    let by_verb = desk.json(&["rehearse", "--record", "1", "--right", &run, "--json"]);
    assert_eq!((by_verb["systems"].clone(), list().len()), (json!(["base", run]), 1));
    let mut screen = open(&desk);
    screen.keys("P");
    screen.settle();
    screen.keys("\r");
    let text = |one: &Value, side: u64| -> String {
        let events = one["events"].as_array().unwrap().iter();
        events.filter(|event| event[1] == side).map(|event| event[2].as_str().unwrap()).collect()
    };
    let begun = std::time::Instant::now();
    while list()[0]["events"] == by_verb["events"] {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "{}", screen.text());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let by_key = list();
    assert_eq!(by_key.len(), 1, "the newer takes the older one's place");
    assert_eq!((&by_key[0]["question"], &by_key[0]["systems"]), (&by_verb["question"], &by_verb["systems"]));
    assert_eq!([text(&by_key[0], 0), text(&by_key[0], 1)], [text(&by_verb, 0), text(&by_verb, 1)]);
    assert!(!text(&by_verb, 0).is_empty());
    screen.keys("\x1bq");
    // A question that was typed, by a name that is spelt short; a run that there is none of.
    desk.json(&["rehearse", "when?", "--right", "latest", "--max-tokens", "4", "--json"]);
    assert_eq!(list()[1]["systems"], json!(["base", run]));
    desk.run(&["rehearse", "when?", "--right", "a9"], 1);
    // With no model at hand the pane plays what was kept.
    fs::rename(desk.path("model"), desk.path("gone")).unwrap();
    let mut screen = open(&desk);
    screen.keys("P");
    screen.settle();
    screen.keys(" k");
    screen.wait("the rehearsed answer", |shown| {
        let start: String = text(&by_verb, 0).chars().filter(char::is_ascii_alphanumeric).take(2).collect();
        shown.contains("rehearsed") || !start.is_empty() && shown.contains(&start)
    });
    screen.keys("\x1bq");
}
