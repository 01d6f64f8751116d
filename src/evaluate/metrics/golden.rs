//! Comparison with the shared reference numbers, field by field.

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::evaluate::mecab::tests::dictionary;
use crate::evaluate::tokens::porter;

/// What a number may be off by.
const CLOSE: f64 = 1e-6;

/// A file of the shared reference numbers; `None`, with a word, where the folder is not there and need not be.
fn shared(name: &str) -> Option<String> {
    let folder = std::env::var_os("TOGI_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = folder.join("golden").join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"), "{} is not there", path.display());
        eprintln!("skipped: {} is not there (set TOGI_SHARED)", path.display());
    }
    text
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// Compares `want` with the same place in `got`, field by field; returns how many fields there were.
fn compare(place: &str, want: &Value, got: &Value, wrong: &mut Vec<String>) -> usize {
    match want {
        Value::Object(fields) => {
            fields.iter().map(|(key, want)| compare(&format!("{place}.{key}"), want, &got[key.as_str()], wrong)).sum()
        }
        Value::Array(items) => {
            if got.as_array().map(Vec::len) != Some(items.len()) {
                wrong.push(format!("{place}: {got} is not {want}"));
            }
            items.iter().enumerate().map(|(i, want)| compare(&format!("{place}[{i}]"), want, &got[i], wrong)).sum()
        }
        want => {
            let exact = [".lev", ".counts", ".totals", "_len"].iter().any(|name| place.contains(name));
            let off = if exact { 0.0 } else { CLOSE };
            let same = match (want.as_f64(), got.as_f64()) {
                (Some(want), Some(got)) => (want - got).abs() <= off,
                _ => want == got,
            };
            if !same {
                wrong.push(format!("{place}: {got} is not {want}"));
            }
            1
        }
    }
}

/// Takes out of the reference numbers what only a dictionary gives.
fn without_words(scores: &mut Value) {
    for (kind, name) in [("rouge", "mecab"), ("bleu", "ja-mecab")] {
        if let Some(by_tokens) = scores.get_mut(kind).and_then(Value::as_object_mut) {
            by_tokens.remove(name);
        }
    }
}

fn cases(text: &str) -> (Vec<Value>, Vec<RowScores>) {
    let cases = lines(text);
    let asked: Vec<Row<'_>> = cases
        .iter()
        .map(|case| Row {
            hyp: case["hyp"].as_str().unwrap(),
            refs: strings(&case["refs"]),
            lang: case["lang"].as_str(),
        })
        .collect();
    let scored = rows(&asked, dictionary());
    (cases, scored)
}

#[test]
fn shared_row_scores_are_the_references() {
    let Some(text) = shared("metrics.jsonl") else { return };
    let (cases, scored) = cases(&text);
    let mut wrong = Vec::new();
    let mut fields = 0;
    for (case, scored) in cases.iter().zip(&scored) {
        let mut want = case["scores"].clone();
        if dictionary().is_none() {
            without_words(&mut want);
        }
        let got = serde_json::to_value(scored).unwrap();
        fields += compare(case["id"].as_str().unwrap(), &want, &got, &mut wrong);
    }
    eprintln!("{} cases, {fields} numbers", cases.len());
    assert_eq!(cases.len(), 429);
    assert!(wrong.is_empty(), "{} of {fields} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn shared_corpus_scores_are_the_references() {
    let (Some(text), Some(corpora)) = (shared("metrics.jsonl"), shared("corpus.json")) else { return };
    let (cases, scored) = cases(&text);
    let corpora: Vec<Value> = serde_json::from_str(&corpora).unwrap();
    let mut wrong = Vec::new();
    let mut fields = 0;
    for want in &corpora {
        let ids = strings(&want["ids"]);
        let of = |id: &str| scored.get(cases.iter().position(|case| case["id"] == id).unwrap()).unwrap();
        let got = serde_json::to_value(corpus(ids.iter().map(|id| of(id)), dictionary())).unwrap();
        let mut want = want.clone();
        for key in ["ids", "corpus"] {
            want.as_object_mut().unwrap().remove(key);
        }
        if dictionary().is_none() {
            without_words(&mut want);
        }
        fields += compare(&format!("{} rows", want["n"]), &want, &got, &mut wrong);
    }
    eprintln!("{} corpora, {fields} numbers", corpora.len());
    assert!(wrong.is_empty(), "{} of {fields} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn shared_tokens_are_the_references() {
    let Some(text) = shared("tokens.jsonl") else { return };
    let names = [
        ("13a", Tokens::Mteval13a),
        ("intl", Tokens::International),
        ("char", Tokens::Characters),
        ("ja-mecab", Tokens::Japanese),
        ("rouge", Tokens::Rouge),
        ("rouge_stem", Tokens::RougeStemmed),
    ];
    let mut wrong = Vec::new();
    let cases = lines(&text);
    for case in &cases {
        let text = case["text"].as_str().unwrap();
        for (name, tokens) in names {
            if let Some(got) = tokens.of(text, dictionary())
                && got != strings(&case[name])
            {
                wrong.push(format!("{name} of {text:.80?}: {got:?} is not {}", case[name]));
            }
        }
    }
    eprintln!("{} texts", cases.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn shared_stems_are_nltks() {
    let Some(text) = shared("porter_nltk.json") else { return };
    let stems: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let wrong: Vec<String> = stems
        .iter()
        .filter(|(word, stem)| **stem != porter::stem(word))
        .map(|(word, stem)| format!("{word}: {} is not {stem}", porter::stem(word)))
        .collect();
    eprintln!("{} words", stems.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), stems.len(), wrong.join("\n"));
}
