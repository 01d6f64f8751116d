//! `togi score` as a person or a script uses it. The numbers are those of sacreBLEU 2.6.0 and `rouge_score`
//! 0.1.2.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

const LINES: &str = r#"{"id": "a", "hyp": "Soak the stone for ten minutes before you sharpen the knife.", "refs": ["Before sharpening the knife, soak the stone for ten minutes."], "lang": "en"}

{"hyp": "No.", "refs": "No."}
{"id": 7, "hyp": "{\"a\": 1, \"b\": 2}", "refs": ["{\"a\": 1, \"b\": 3}", null]}
"#;

/// Scores `lines` in an empty folder with nothing in the environment that could bring a dictionary.
fn togi(lines: &str, arguments: &[&str], code: i32) -> (String, String) {
    let desk = TempDir::new().unwrap();
    fs::write(desk.path().join("answers.jsonl"), lines).unwrap();
    let mut command = Command::cargo_bin("togi").unwrap();
    command.current_dir(desk.path()).env("TOGI_CONFIG", desk.path().join("config.toml"));
    let out = command.arg("score").arg("answers.jsonl").args(arguments).output().unwrap();
    let [stdout, stderr] = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(out.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

fn close(value: &Value, want: f64) {
    assert!((value.as_f64().unwrap() - want).abs() < 1e-6, "{value} is not {want}");
}

#[test]
fn each_line_is_scored_in_the_shape_of_the_reference_file() {
    let (stdout, _) = togi(LINES, &["--json"], 0);
    let rows: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&json!("a"), &json!(3), &json!(7)], "a line without a name has its number");
    let scores = &rows[0]["scores"];
    close(&scores["bleu"]["13a"]["score"], 37.700_638_045);
    close(&scores["bleu"]["char"]["score"], 76.713_016_7);
    close(&scores["rouge"]["stem"]["rouge2"][2], 0.736_842_105);
    close(&scores["chrF2++"], 66.747_268_357);
    assert_eq!(scores["lev"], 45);
    assert_eq!(scores["tokens"]["rouge"], "default");
    close(&rows[1]["scores"]["em"]["raw"], 1.0);
    close(&rows[2]["scores"]["json_f1"]["f1"], 0.5);
    assert!(scores.get("json_f1").is_none(), "what was not to be JSON is not scored as such");
}

#[test]
fn a_corpus_is_one_object_with_signatures() {
    let (stdout, _) = togi(LINES, &["--corpus", "--json", "--metric", "bleu,chrf"], 0);
    assert_eq!(stdout.lines().count(), 1);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(found["n"], 3);
    let signature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0";
    assert_eq!(found["bleu"]["13a"]["signature"], signature);
    assert!(found["mean"].get("chrF2").is_some() && found["mean"].get("em_raw").is_none(), "{found}");
    assert!(found.get("json").is_none(), "only what was asked for: {found}");
    let (table, _) = togi(LINES, &["--corpus"], 0);
    assert!(table.contains(signature) && table.contains("json_f1"), "{table}");
}

#[test]
fn a_table_says_the_tokens_of_every_mean() {
    let (table, told) = togi(LINES, &["--metric", "rouge,em"], 0);
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("rouge1_stem_f").contains("stemmed"), "{table}");
    assert!(line("em_raw").ends_with("0.3333"), "{table}");
    assert!(!table.contains("chrF"), "{table}");
    assert!(table.starts_with("mean of") && table.contains("3 lines"), "{table}");
    assert!(told.contains("ROUGE by default"), "{told}");
}

#[test]
fn a_line_that_cannot_be_scored_is_named() {
    for (line, why) in [
        ("{\"hyp\": \"x\"", "not JSON"),
        ("[1]", "no object"),
        ("{\"refs\": [\"x\"]}", "no hyp"),
        ("{\"hyp\": 3, \"refs\": [\"x\"]}", "hyp, the answer, is a number"),
        ("{\"hyp\": \"x\"}", "no refs"),
        ("{\"hyp\": \"x\", \"refs\": []}", "refs is empty"),
        ("{\"hyp\": \"x\", \"refs\": [null]}", "refs is empty"),
        ("{\"hyp\": \"x\", \"refs\": [1]}", "one of refs is a number"),
        ("{\"hyp\": \"x\", \"refs\": [\"x\"], \"lang\": 1}", "lang is a number"),
    ] {
        let (stdout, told) = togi(&format!("{LINES}{line}\n"), &["--json"], 1);
        assert!(stdout.is_empty() && told.contains("answers.jsonl, line 5") && told.contains(why), "{told}");
    }
    assert!(togi("", &["--metric", "bluu"], 2).1.contains("rouge"), "the metrics that there are");
}

#[test]
fn a_dictionary_that_is_named_must_be_one() {
    let (_, told) = togi(LINES, &["--mecab-dict", "nowhere"], 1);
    assert!(told.contains("nowhere") && told.contains("sys.dic"), "{told}");
}

#[test]
fn japanese_is_scored_by_words_where_there_is_a_dictionary_and_told_where_there_is_none() {
    let line = "{\"hyp\": \"包丁は研ぐ前に十分ほど砥石を水に浸します。\", \"refs\": \"包丁を研ぐ前に、砥石を十分間水に浸しておきます。\"}\n";
    let (stdout, told) = togi(line, &["--json"], 0);
    let scores = &serde_json::from_str::<Value>(&stdout).unwrap()["scores"];
    let named = std::env::var_os("TOGI_MECAB_DICT").is_some_and(|folder| Path::new(&folder).is_dir());
    assert!(!named || scores["bleu"].get("ja-mecab").is_some(), "{told}");
    if scores["bleu"].get("ja-mecab").is_some() {
        close(&scores["bleu"]["ja-mecab"]["score"], 18.478_280_305);
    } else {
        assert_eq!(scores["tokens"]["rouge"], "char");
        assert!(told.contains("pip install ipadic"), "{told}");
    }
}
