//! The verbs over records, as an annotator and a script use them.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;
use togi::actions::Context;
use togi::actions::records::{self, Marks, Query, Status};

/// A project without a model, and room for files.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        fs::write(desk.path("config.toml"), "").unwrap();
        fs::write(desk.path("togi.toml"), "[project]\nname = \"desk\"\n").unwrap();
        desk
    }

    /// With three pairs, whose answers are drafts.
    fn with_pairs() -> Self {
        let desk = Self::new();
        let rows = [("What is 東京?", "a city"), ("Cancel my order", "Done, it is cancelled"), ("Hello", "Hi")];
        let lines = rows.map(|(q, a)| json!({ "instruction": q, "output": a }).to_string() + "\n").concat();
        desk.write("rows.jsonl", &lines);
        desk.run(&["import", "rows.jsonl"], 0);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        self.run_with(arguments, code, &[])
    }

    fn run_with(&self, arguments: &[&str], code: i32, environment: &[(&str, &str)]) -> (String, String) {
        let mut command = Command::cargo_bin("togi").unwrap();
        command.current_dir(self.0.path()).env("TOGI_CONFIG", self.path("config.toml")).args(arguments);
        let out = command.envs(environment.iter().copied()).output().unwrap();
        let [stdout, stderr] = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(out.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
        (stdout, stderr)
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let (stdout, _) = self.run(arguments, 0);
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn record(&self, id: i64) -> Value {
        self.json(&["show", &id.to_string(), "--json"]).remove(0)
    }

    fn count(&self, query: &str) -> usize {
        self.run(&["records", "--count", query], 0).0.trim().parse().unwrap()
    }
}

#[test]
fn an_import_shows_what_it_will_do_and_adds_a_file_once() {
    let desk = Desk::new();
    desk.write("faq.csv", "質問,回答,番号\n返品は？,10日以内です,1\n送料は？,無料です,2\n,,\n");
    let (_, told) = desk.run(&["import", "faq.csv", "--dry-run"], 0);
    for words in ["csv", "質問", "回答", "返品は？", "10日以内です", "would be imported"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(desk.count(""), 0);
    let report = &desk.json(&["import", "faq.csv", "--json", "--origin", "traffic", "--split", "test"])[0];
    assert_eq!((&report["rows"], &report["format"], &report["encoding"]), (&json!(2), &json!("csv"), &json!("utf-8")));
    let record = desk.record(1);
    assert_eq!(
        (&record["status"], &record["origin"], &record["split"]),
        (&json!("inbox"), &json!("traffic"), &json!("test"))
    );
    assert_eq!((&record["draft"], &record["fields"]["question"]), (&json!("10日以内です"), &json!("返品は？")));
    assert_eq!((&record["source"]["file"], &record["source"]["line"]), (&json!("faq.csv"), &json!(2)));
    // Again, and under another name, it adds nothing; a row more adds that row.
    assert_eq!(desk.json(&["import", "faq.csv", "--json"])[0]["skipped"], 2);
    fs::copy(desk.path("faq.csv"), desk.path("copy.csv")).unwrap();
    assert_eq!(desk.json(&["import", "copy.csv", "--json"])[0]["rows"], 0);
    desk.write("faq.csv", "質問,回答,番号\n返品は？,10日以内です,1\n送料は？,無料です,2\n領収書は？,あります,3\n");
    let report = &desk.json(&["import", "faq.csv", "--json"])[0];
    assert_eq!((&report["rows"], &report["skipped"]), (&json!(1), &json!(2)));
    assert_eq!(desk.count(""), 3);
    // A file whose columns say nothing is asked about, and nothing of it is taken.
    desk.write("odd.csv", "foo,bar\n1,2\n");
    let (_, told) = desk.run(&["import", "odd.csv"], 1);
    assert!(told.contains("foo") && told.contains("--map"), "{told}");
    desk.run(&["import", "odd.csv", "--map", "prompt=foo,output=bar"], 0);
    assert_eq!(desk.count(""), 4);
    // What people wrote is gold at once.
    desk.write("gold.jsonl", "{\"prompt\": \"p\", \"completion\": \"c\"}\n");
    desk.run(&["import", "gold.jsonl", "--origin", "human"], 0);
    assert_eq!(desk.record(5)["gold"], "c");
}

#[test]
fn a_bad_row_waits_in_quarantine_until_it_is_mended() {
    let desk = Desk::new();
    desk.write(
        "rows.jsonl",
        "{\"instruction\": \"a\", \"output\": \"1\"}\n{\"instruction\": \"b\", \"output\": 2}\nnonsense\n",
    );
    let report = &desk.json(&["import", "rows.jsonl", "--json", "--split", "valid"])[0];
    let lines: Vec<_> = report["errors"].as_array().unwrap().iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!((lines, &report["rows"]), (vec![2, 3], &json!(1)));
    let waiting = desk.json(&["quarantine", "--json"]);
    assert_eq!(waiting[0]["raw"].as_str().unwrap().trim(), "{\"instruction\": \"b\", \"output\": 2}");
    let id = waiting[0]["id"].to_string();
    desk.write("mended", "{\"instruction\": \"b\", \"output\": 3}");
    let (_, told) = desk.run(&["quarantine", "mend", &id, "mended"], 1);
    assert!(told.contains("line 2") && told.contains("number"), "{told}");
    desk.write("mended", "{\"instruction\": \"b\", \"output\": \"2\"}");
    desk.run(&["quarantine", "mend", &id, "mended"], 0);
    let record = desk.record(2);
    assert_eq!(
        (&record["draft"], &record["split"], &record["source"]["line"]),
        (&json!("2"), &json!("valid"), &json!(2))
    );
    assert_eq!(desk.json(&["quarantine", "--json"]).len(), 1);
    desk.run(&["quarantine", "write", "bad.txt"], 0);
    assert_eq!(fs::read_to_string(desk.path("bad.txt")).unwrap(), "nonsense\n");
    // Importing the file again lists its bad rows once, not twice.
    desk.run(&["import", "rows.jsonl"], 0);
    assert_eq!(desk.json(&["quarantine", "--json"]).len(), 2);
}

#[test]
fn undo_brings_rows_back_into_quarantine_and_takes_them_out_again() {
    let desk = Desk::new();
    desk.write(
        "rows.jsonl",
        "{\"instruction\": \"a\", \"output\": \"1\"}\n{\"instruction\": \"b\", \"output\": 2}\nnonsense\n",
    );
    let waiting = |count: usize| {
        let rows = desk.json(&["quarantine", "--json"]);
        assert_eq!(rows.len(), count, "{rows:?}");
        rows.iter().map(|row| row["id"].to_string()).collect::<Vec<_>>()
    };
    // A rehearsal leaves nothing, and says what is here already.
    let rehearsed = &desk.json(&["import", "rows.jsonl", "--dry-run", "--json"])[0];
    assert_eq!((&rehearsed["rows"], rehearsed["errors"].as_array().unwrap().len()), (&json!(1), 2));
    waiting(0);
    desk.run(&["import", "rows.jsonl"], 0);
    let ids = waiting(2);
    assert_eq!(desk.json(&["import", "rows.jsonl", "--dry-run", "--json"])[0]["skipped"], 1);
    // Importing it again does nothing at all, so there is nothing new to take back.
    desk.run(&["import", "rows.jsonl"], 0);
    assert_eq!(waiting(2), ids);
    desk.write("mended", "{\"instruction\": \"b\", \"output\": \"2\"}");
    desk.run(&["quarantine", "mend", &ids[0], "mended"], 0);
    desk.run(&["quarantine", "drop", &ids[1]], 0);
    waiting(0);
    desk.run(&["undo"], 0);
    assert_eq!(waiting(1), ids[1..]);
    desk.run(&["undo"], 0);
    assert_eq!((waiting(2), desk.count("")), (ids.clone(), 1));
    desk.run(&["undo"], 0);
    waiting(0);
    assert_eq!(desk.count(""), 0);
    desk.run(&["redo", "3"], 0);
    waiting(0);
    assert_eq!(desk.count(""), 2);
    // A file whose rows were mended in place leaves none of its old ones waiting.
    desk.run(&["undo", "2"], 0);
    waiting(2);
    desk.write(
        "rows.jsonl",
        "{\"instruction\": \"a\", \"output\": \"1\"}\n{\"instruction\": \"b\", \"output\": \"2\"}\n",
    );
    desk.run(&["import", "rows.jsonl"], 0);
    waiting(0);
    assert_eq!(desk.count(""), 2);
    let (_, told) = desk.run(&["quarantine", "drop", "999"], 1);
    assert!(told.contains("no rows in quarantine"), "{told}");
}

#[test]
fn what_is_kept_for_the_test_does_not_slip_into_training_by_an_export() {
    let desk = Desk::with_pairs();
    desk.run(&["mark", "3", "--split", "test"], 0);
    let written = &desk.json(&["export", "jumpstart", "js", "--json"])[0];
    assert_eq!((&written["rows"], &written["left_out"][0][0]), (&json!(2), &json!(3)));
    fs::create_dir(desk.path("out")).unwrap();
    desk.run(&["export", "alpaca", "out"], 0);
    desk.run(&["mark", "3", "--split", "train"], 0);
    let (_, told) = desk.run(&["export", "alpaca", "out"], 1);
    assert!(told.contains("test.jsonl") && told.contains("remove it first"), "{told}");
}

#[test]
fn an_annotators_walk_can_be_taken_back_step_by_step() {
    let desk = Desk::with_pairs();
    desk.run(&["accept", "1"], 0);
    desk.run(&["edit", "2", "--gold", "It is cancelled now.", "--accept", "--seconds", "12.5"], 0);
    desk.run(&["reject", "3", "--why", "small talk"], 0);
    desk.run(&["mark", "1", "2", "--category", "返品", "--tag", "checked"], 0);
    assert_eq!(
        [desk.count("status:gold"), desk.count("status:rejected"), desk.count("category:返品 tag:checked")],
        [2, 1, 2]
    );
    let second = desk.record(2);
    assert_eq!((&second["draft"], &second["gold"]), (&json!("Done, it is cancelled"), &json!("It is cancelled now.")));
    assert_eq!(desk.record(3)["notes"], "small talk");
    let (history, _) = desk.run(&["show", "2", "--history"], 0);
    assert!(history.contains("12 s") && history.contains("gold: It is cancelled now."), "{history}");
    let (_, told) = desk.run(&["undo", "2"], 0);
    assert!(told.contains("sort, 2 records") && told.contains("reject (small talk), 1 records"), "{told}");
    assert_eq!([desk.count("status:rejected"), desk.count("tag:checked")], [0, 0]);
    desk.run(&["undo", "3"], 0);
    assert_eq!(desk.count(""), 0, "the import was an act too");
    desk.run(&["redo", "5"], 0);
    assert_eq!([desk.count("status:gold"), desk.count("status:rejected"), desk.count("category:返品")], [2, 1, 2]);
    let (_, told) = desk.run(&["redo"], 1);
    assert!(told.contains("nothing to do again"), "{told}");
}

#[test]
fn an_edit_on_an_old_revision_keeps_both_texts() {
    let desk = Desk::with_pairs();
    let base = desk.record(1)["revision"].to_string();
    desk.run(&["edit", "1", "--gold", "the capital"], 0);
    let (_, told) = desk.run(&["edit", "1", "--base", &base, "--gold", "a big city"], 1);
    assert!(told.contains("your text is kept"), "{told}");
    let (page, _) = desk.run(&["show", "1"], 0);
    assert!(page.contains("the capital") && page.contains("a big city"), "{page}");
    assert_eq!(desk.record(1)["gold"], "the capital");
}

#[test]
fn an_editor_gets_the_record_as_text_and_a_slip_costs_nothing() {
    let desk = Desk::with_pairs();
    let editor = |script: &str, code| desk.run_with(&["edit", "1"], code, &[("VISUAL", ""), ("EDITOR", script)]);
    let (_, told) = editor("true", 0);
    assert!(told.contains("nothing was changed"), "{told}");
    editor("sed -i 's/a city/日本の首都/'", 0);
    let record = desk.record(1);
    // The draft's line was changed as well, since a new gold answer begins as the draft.
    assert_eq!((&record["gold"], &record["status"]), (&json!("日本の首都"), &json!("draft")));
    let (_, told) = editor("sed -i 's/^gold = /gold == /'", 1);
    let file = told.split("your text is in ").nth(1).unwrap().split("; mend it").next().unwrap();
    let text = fs::read_to_string(file).unwrap().replace("gold == ", "gold = ").replace("日本の首都", "首都");
    fs::write(file, text).unwrap();
    desk.run(&["edit", "1", "--from", file], 0);
    assert_eq!(desk.record(1)["gold"], "首都");
    let (_, told) = editor("sed -i 's/^status = .*/stauts = \"gold\"/'", 1);
    assert!(told.contains("stauts"), "{told}");
}

#[test]
fn what_cannot_be_done_is_refused_with_the_record_and_the_reason() {
    let desk = Desk::with_pairs();
    desk.write("asked.jsonl", "{\"prompt\": \"only asked\"}\n");
    desk.run(&["import", "asked.jsonl"], 0);
    let (_, told) = desk.run(&["accept", "3", "4"], 1);
    assert!(told.contains("accepted 1 records") && told.contains("record 4") && told.contains("no answer"), "{told}");
    assert_eq!(desk.count("status:gold"), 1);
    let (_, told) = desk.run(&["accept", "1", "99"], 1);
    assert!(told.contains("no record 99"), "{told}");
    assert_eq!(desk.count("status:gold"), 1, "an act is done whole or not at all");
    let (_, told) = desk.run(&["records", "statsu:gold"], 2);
    assert!(told.contains("did you mean status"), "{told}");
    let (_, told) = desk.run(&["lint", "--check", "leek"], 2);
    assert!(told.contains("did you mean leak"), "{told}");
    let (_, told) = desk.run(&["train"], 1);
    assert!(told.contains("no model") || told.contains("gold"), "{told}");
}

#[test]
fn lint_prints_a_finding_a_line_and_records_can_be_asked_for_by_it() {
    let desk = Desk::new();
    let rows = [
        json!({ "id": "x1", "instruction": "What is the capital of Japan?", "output": "Tokyo<|im_end|>" }),
        json!({ "id": "x2", "instruction": "What is the capital of France?", "output": "Paris is the capital." }),
        json!({ "id": "x3", "instruction": "What is the capital of France?", "output": "PARIS is the capital!" }),
        json!({ "id": "x4", "instruction": "Who wrote Kokoro?", "output": "As an AI language model, I cannot say." }),
    ];
    desk.write("rows.jsonl", &rows.map(|row| row.to_string() + "\n").concat());
    desk.run(&["import", "rows.jsonl"], 0);
    let found = desk.json(&["lint", "--json"]);
    let of = |check: &str| found.iter().filter(|f| f["check"] == check).collect::<Vec<_>>();
    let token = of("template-token")[0];
    assert_eq!((&token["record"], &token["source_id"]), (&json!(1), &json!("x1")));
    let (start, end) =
        (token["span"]["start"].as_u64().unwrap() as usize, token["span"]["end"].as_u64().unwrap() as usize);
    assert_eq!("Tokyo<|im_end|>".get(start..end), Some("<|im_end|>"));
    assert!(!token["reason"].as_str().unwrap().is_empty() && token["severity"].is_string());
    assert_eq!(of("boilerplate")[0]["source_id"], "x4");
    assert!(!of("exact-duplicate").is_empty());
    assert_eq!(desk.count("flag:template-token"), 1);
    assert_eq!(
        desk.run(&["records", "flag:exact-duplicate", "--count"], 0).0.trim(),
        "1",
        "the copy, not the one that stays"
    );
    // A fix is shown first, and is one act.
    let (_, told) = desk.run(&["lint", "--fix", "template-token", "--dry-run"], 0);
    assert!(told.contains("+ Tokyo") && told.contains("would be changed"), "{told}");
    desk.run(&["lint", "--fix", "template-token"], 0);
    assert_eq!(desk.record(1)["draft"], "Tokyo");
    desk.run(&["undo"], 0);
    assert_eq!(desk.record(1)["draft"], "Tokyo<|im_end|>");
    let (_, told) = desk.run(&["lint", "--fix", "leak"], 2);
    assert!(told.contains("takes a person"), "{told}");

    let done = &desk.json(&["dedupe", "--json"])[0];
    assert_eq!(done["sets"], json!([[2, [3]]]));
    assert_eq!(desk.record(3)["status"], "rejected");
    desk.run(&["undo"], 0);
    assert_eq!(desk.record(3)["status"], "inbox");
    // Records that ask the same are drawn together.
    desk.run(&["split", "--valid", "25%", "--test", "25%"], 0);
    assert_eq!(desk.record(2)["split"], desk.record(3)["split"]);
}

#[test]
fn a_row_that_only_lacks_its_answer_is_a_finding_too() {
    let desk = Desk::new();
    let rows = [
        json!({ "id": "x1", "instruction": "a", "output": "1" }),
        json!({ "id": "x2", "instruction": "b", "output": "" }),
    ];
    desk.write("rows.jsonl", &rows.map(|row| row.to_string() + "\n").concat());
    desk.run(&["import", "rows.jsonl"], 0);
    let found = desk.json(&["lint", "--json", "--check", "empty"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["record"], &found[0]["source_id"]), (&json!(null), &json!("x2")));
    assert!(found[0]["reason"].as_str().unwrap().contains("rows.jsonl, line 2"), "{found:?}");
}

#[test]
fn next_gives_a_record_that_stays_until_it_is_done() {
    let desk = Desk::with_pairs();
    assert_eq!(desk.run(&["next"], 0).0.trim(), "1");
    assert_eq!(desk.run(&["next"], 0).0.trim(), "1");
    desk.run(&["accept", "1"], 0);
    assert_eq!(desk.json(&["next", "--json"])[0]["id"], 2);
    desk.run(&["reject", "--query", "status:inbox,draft", "--why", "done"], 0);
    let (_, told) = desk.run(&["next"], 1);
    assert!(told.contains("nothing left"), "{told}");
}

#[test]
fn records_go_out_in_every_layout_and_a_folder_gets_a_file_a_split() {
    let desk = Desk::with_pairs();
    desk.run(&["accept", "1", "2"], 0);
    desk.run(&["mark", "2", "--split", "test"], 0);
    let written = &desk.json(&["export", "messages", "out.jsonl", "--status", "gold", "--json"])[0];
    assert_eq!(written["rows"], 2);
    let first: Value =
        serde_json::from_str(fs::read_to_string(desk.path("out.jsonl")).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(first["messages"][1], json!({ "role": "assistant", "content": "a city" }));
    fs::create_dir(desk.path("data")).unwrap();
    desk.run(&["export", "alpaca", "data"], 0);
    assert_eq!(fs::read_to_string(desk.path("data/train.jsonl")).unwrap().lines().count(), 2);
    assert_eq!(fs::read_to_string(desk.path("data/test.jsonl")).unwrap().lines().count(), 1);
    for format in ["prompt-completion", "csv", "parquet", "jumpstart"] {
        desk.run(&["export", format, &format!("as-{format}")], 0);
    }
    assert!(desk.path("as-jumpstart/template.json").is_file());
    // In another project it is what it was here.
    let other = Desk::new();
    other.run(&["import", &desk.path("as-parquet").display().to_string()], 0);
    for id in 1..=3 {
        assert_eq!(other.record(id)["fields"], desk.record(id)["fields"]);
        assert_eq!(other.record(id)["draft"], desk.record(id)["draft"]);
    }
    let (_, told) = desk.run(&["export", "csv", "x.csv", "--query", "nothing like it"], 1);
    assert!(told.contains("no record to export"), "{told}");
}

#[test]
fn a_verb_and_the_function_that_a_key_will_call_do_the_same() {
    let by_verb = Desk::with_pairs();
    let by_call = Desk::with_pairs();
    by_verb.run(&["accept", "1"], 0);
    by_verb.run(&["reject", "2", "--why", "no"], 0);
    by_verb.run(&["mark", "3", "--tag", "t", "--status", "gold"], 0);
    by_verb.run(&["undo"], 0);
    by_verb.run(&["redo"], 0);
    let mut store = Context::find(by_call.0.path(), None).unwrap().store().unwrap();
    records::accept(&mut store, &[1], None).unwrap();
    records::reject(&mut store, &[2], "no", None).unwrap();
    let marks = Marks { tag: vec!["t".into()], status: Some(Status::Gold), ..Marks::default() };
    records::mark(&mut store, &[3], &marks).unwrap();
    records::undo(&mut store, 1).unwrap();
    records::redo(&mut store, 1).unwrap();
    let mine = store.records(&Query::default()).unwrap();
    let theirs = Context::find(by_verb.0.path(), None).unwrap().store().unwrap().records(&Query::default()).unwrap();
    assert_eq!(mine, theirs);
}

#[test]
fn an_export_never_replaces_the_project_nor_a_file_by_nothing() {
    let desk = Desk::with_pairs();
    for own in ["togi.db", "togi.toml", "./togi.db-wal", "runs/x.jsonl"] {
        let (_, told) = desk.run(&["export", "alpaca", own], 1);
        assert!(told.contains("belongs to the project"), "{told}");
    }
    assert_eq!(desk.count(""), 3);
    desk.write("kept.jsonl", "kept");
    let (_, told) = desk.run(&["export", "preference", "kept.jsonl"], 1);
    assert!(told.contains("nothing is written") && told.contains("draft"), "{told}");
    assert_eq!(fs::read_to_string(desk.path("kept.jsonl")).unwrap(), "kept");
    desk.run(&["export", "alpaca", "new/"], 0);
    assert!(desk.path("new/train.jsonl").is_file());
}

#[test]
fn a_text_written_on_an_old_revision_overwrites_nobody() {
    let desk = Desk::with_pairs();
    let editor = [("VISUAL", ""), ("EDITOR", "sed -i 's/^gold = /gold == /'")];
    let (_, told) = desk.run_with(&["edit", "1"], 1, &editor);
    let file = told.split("your text is in ").nth(1).unwrap().split("; mend it").next().unwrap();
    desk.run(&["edit", "1", "--gold", "the capital"], 0);
    let mended = fs::read_to_string(file).unwrap().replace("gold == \"a city\"", "gold = \"a big city\"");
    fs::write(file, mended).unwrap();
    let (_, told) = desk.run(&["edit", "1", "--from", file], 1);
    assert!(told.contains("your text is kept"), "{told}");
    assert_eq!(desk.record(1)["gold"], "the capital");
    let (page, _) = desk.run(&["show", "1"], 0);
    assert!(page.contains("a big city"), "{page}");
    let (_, told) = desk.run(&["edit", "2", "--from", file], 1);
    assert!(told.contains("written from record 1"), "{told}");
}

#[test]
fn an_edit_keeps_the_order_of_fields() {
    let desk = Desk::new();
    desk.write(
        "rows.jsonl",
        "{\"prompt\": \"p\", \"context\": \"c\", \"about\": {\"z\": 1, \"a\": 2}, \"completion\": \"x\"}\n",
    );
    desk.run(&["import", "rows.jsonl"], 0);
    let before = desk.record(1)["fields"].to_string();
    desk.run_with(&["edit", "1"], 0, &[("VISUAL", ""), ("EDITOR", "sed -i 's/^gold = .*/gold = \"y\"/'")]);
    let record = desk.record(1);
    assert_eq!((record["fields"].to_string(), &record["gold"]), (before, &json!("y")));
}

#[test]
fn a_record_whose_answer_is_taken_away_is_no_longer_gold() {
    let desk = Desk::with_pairs();
    desk.run(&["accept", "1", "2"], 0);
    let (_, told) = desk.run(&["edit", "1", "--gold", ""], 0);
    assert!(told.contains("no answer"), "{told}");
    desk.run_with(&["edit", "2"], 0, &[("VISUAL", ""), ("EDITOR", "sed -i 's/^gold = .*/gold = \"\"/'")]);
    assert_eq!([desk.count("status:gold"), desk.count("status:draft")], [0, 2]);
}

#[test]
fn a_query_turned_round_finds_the_rest_and_an_empty_one_is_explained() {
    let desk = Desk::with_pairs();
    desk.run(&["mark", "1", "--category", "返品、交換"], 0);
    // The balance of the categories is a finding of no record.
    desk.run(&["mark", "2", "3", "--category", "b"], 0);
    let found = desk.json(&["lint", "--json"]);
    assert!(found.iter().any(|finding| finding["record"].is_null()), "{found:?}");
    assert_eq!(desk.run(&["records", "--count", "--", "-flag:balance"], 0).0.trim(), "3");
    let flagged = desk.count("flag:any");
    assert_eq!(desk.run(&["records", "--count", "--", "-flag:any"], 0).0.trim(), (3 - flagged).to_string());
    assert_eq!(desk.run(&["records", "--count", "--of-category", "返品、交換"], 0).0.trim(), "1");
    for empty in [&["records", "tag:,"][..], &["records", "--status", ""]] {
        let (_, told) = desk.run(empty, 2);
        assert!(told.contains("it can be"), "{told}");
    }
}

#[test]
fn bad_rows_of_two_files_of_one_name_wait_side_by_side() {
    let desk = Desk::new();
    let project = desk.0.path().display().to_string();
    for (folder, bad) in [("a", "BAD A"), ("b", "BAD B")] {
        fs::create_dir(desk.path(folder)).unwrap();
        desk.write(
            &format!("{folder}/rows.jsonl"),
            &format!("{{\"prompt\": \"{folder}\", \"completion\": \"x\"}}\n{bad}\n"),
        );
        let mut command = Command::cargo_bin("togi").unwrap();
        command.current_dir(desk.path(folder)).env("TOGI_CONFIG", desk.path("config.toml"));
        command.args(["--project", &project, "import", "rows.jsonl"]).assert().success();
    }
    let raw: Vec<String> = desk.json(&["quarantine", "--json"]).iter().map(|row| row["raw"].to_string()).collect();
    assert!(raw.len() == 2 && raw[0].contains("BAD A") && raw[1].contains("BAD B"), "{raw:?}");
    // The same file by another way of writing its path is the same file.
    desk.run(&["import", "a/rows.jsonl"], 0);
    assert_eq!(desk.json(&["quarantine", "--json"]).len(), 2);
}

#[test]
fn bad_rows_of_a_table_are_written_under_one_header() {
    let desk = Desk::new();
    desk.write("faq.csv", "question,answer\nq1,a1\nq2\nq3,a3,more\nq4,a4\n");
    desk.run(&["import", "faq.csv"], 0);
    desk.run(&["quarantine", "write", "bad.csv"], 0);
    let text = fs::read_to_string(desk.path("bad.csv")).unwrap();
    assert_eq!(text, "question,answer\nq2\nq3,a3,more\n");
    desk.write("bad.csv", &text.replace("q2", "q2,a2").replace(",more", ""));
    assert_eq!(desk.json(&["import", "bad.csv", "--json"])[0]["rows"], 2);
}

#[test]
fn a_text_that_was_not_saved_stays_on_view_until_its_author_sees_to_the_record() {
    let desk = Desk::with_pairs();
    let base = desk.record(1)["revision"].to_string();
    desk.run(&["edit", "1", "--gold", "the capital"], 0);
    desk.run(&["edit", "1", "--base", &base, "--gold", "a big city"], 1);
    desk.run(&["mark", "1", "2", "3", "--tag", "spring"], 0);
    desk.run(&["split"], 0);
    assert!(desk.run(&["show", "1"], 0).0.contains("a big city"));
    desk.run(&["accept", "1"], 0);
    assert!(!desk.run(&["show", "1"], 0).0.contains("a big city"));
}

#[test]
fn a_text_on_a_record_that_was_taken_away_is_told_and_comes_back_with_it() {
    let desk = Desk::with_pairs();
    let undo = format!("{} undo && sed -i s/Hi/Howdy/", env!("CARGO_BIN_EXE_togi"));
    let (_, told) = desk.run_with(&["edit", "3"], 1, &[("VISUAL", ""), ("EDITOR", &undo)]);
    assert!(told.contains("took it away") && told.contains("Howdy"), "{told}");
    desk.run(&["import", "rows.jsonl"], 0);
    assert!(desk.run(&["show", "3"], 0).0.contains("Howdy"));
}

#[test]
fn a_text_from_the_editor_stays_until_it_is_saved() {
    let desk = Desk::new();
    desk.write("doc.txt", "a document\n");
    desk.run(&["import", "doc.txt"], 0);
    let editor = |script| [("VISUAL", ""), ("EDITOR", script)];
    let blank = "sed -i 's/^text = .*/text = \"\"\\nnotes = \"an hour of work\"/'";
    let (_, told) = desk.run_with(&["edit", "1", "--accept"], 1, &editor(blank));
    let file = told.split("your text is in ").nth(1).unwrap().split("; mend it").next().unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("an hour of work"));
    // Read, left as it is, and accepted.
    desk.run_with(&["edit", "1", "--accept"], 0, &editor("true"));
    assert_eq!(desk.record(1)["status"], "gold");
    assert_eq!(
        fs::read_dir(desk.0.path())
            .unwrap()
            .filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().starts_with(".togi-edit"))
            .count(),
        1
    );
}

#[test]
fn a_chat_that_nobody_answered_is_not_gold() {
    let desk = Desk::new();
    desk.write("chats.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"hello?\"}]}\n");
    desk.run(&["import", "chats.jsonl", "--origin", "human"], 0);
    assert_eq!(desk.record(1)["status"], "inbox");
}
