use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::*;

/// The folder of shared data, or `None`, said aloud, where it is not there.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("TOGI_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("data");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"), "{} is not there", folder.display());
    eprintln!("skipped: {} is not there (set TOGI_SHARED)", folder.display());
    None
}

/// A record of a row as an importer makes it: instruction, input, output, the rest beside.
fn of_row(id: i64, row: &Value, split: Option<Split>) -> Record {
    let mut fields = Map::new();
    for name in ["instruction", "input", "question", "context"] {
        if let Some(value) = row.get(name) {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    let gold = ["output", "response"].iter().find_map(|name| row.get(*name)).and_then(Value::as_str).map(str::to_owned);
    let mut state = State::new(Content::Pair { fields, draft: None, gold }, Status::Gold);
    state.split = split;
    state.category = row.get("category").and_then(Value::as_str).map(str::to_owned);
    let name = row.get("id").and_then(Value::as_str).map(str::to_owned);
    let source = Some(Source { file: "rows.jsonl".into(), line: id as u64, id: name });
    Record { id, revision: 1, state, origin: Origin::Import, source }
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn name(record: &Record) -> String {
    record.source.as_ref().and_then(|source| source.id.clone()).unwrap_or_default()
}

#[test]
fn shared_seeded_defects_are_found_and_little_else() {
    let Some(folder) = shared() else { return };
    let mut records: Vec<Record> = Vec::new();
    for (path, split) in [("lint_seeded/data.jsonl", None), ("nlupp_json_en/test_500.jsonl", Some(Split::Test))] {
        for row in read(&folder.join(path)) {
            records.push(of_row(records.len() as i64 + 1, &row, split));
        }
    }
    let truth: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("lint_seeded/truth.json")).unwrap()).unwrap();
    let names: HashMap<i64, String> = records.iter().map(|record| (record.id, name(record))).collect();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let checks: BTreeMap<String, Vec<String>> =
        truth["checks"].as_object().unwrap().iter().map(|(kind, list)| (kind.clone(), texts(list))).collect();
    let findings = lint(&records, &Settings::default(), None);
    let flagged: BTreeSet<(String, &str)> =
        findings.iter().filter_map(|f| Some((names.get(&f.record?)?.clone(), f.check))).collect();

    let mut seeds = BTreeSet::new();
    let (mut found, mut all) = (0, 0);
    for (kind, defects) in truth["defects"].as_object().unwrap() {
        let mut of_kind = 0;
        let defects = defects.as_array().unwrap();
        for defect in defects {
            let ids: Vec<String> =
                ["id", "ref"].iter().filter_map(|key| defect[key].as_str()).map(str::to_owned).collect();
            let hit = checks[kind]
                .iter()
                .any(|check| ids.iter().any(|id| flagged.iter().any(|(record, name)| record == id && name == check)));
            if !hit {
                eprintln!("missed {kind}: {ids:?}");
            }
            of_kind += usize::from(hit);
            seeds.extend(ids);
        }
        eprintln!("{kind}: {of_kind} of {}", defects.len());
        assert!(of_kind as f64 > 0.9 * defects.len() as f64, "{kind}: {of_kind} of {}", defects.len());
        found += of_kind;
        all += defects.len();
    }
    assert_eq!(all, 114);
    assert!(found as f64 > 0.95 * all as f64, "recall {found} of {all}");

    let judged: BTreeSet<&str> =
        checks.values().flatten().map(String::as_str).filter(|name| *name != "length").collect();
    let natural = |id: &str, check: &str| texts(&truth["natural"][check]).iter().any(|name| name == id);
    let (mut right, mut said) = (0, 0);
    for finding in findings.iter().filter(|finding| judged.contains(finding.check)) {
        let Some(record) = finding.record else { continue };
        let id = &names[&record];
        let good = seeds.contains(id) || natural(id, finding.check);
        if !good {
            eprintln!("alarm on {id}: {} {}", finding.check, finding.reason);
        }
        right += usize::from(good);
        said += 1;
    }
    eprintln!("recall {found} of {all}, precision {right} of {said}");
    assert!(right as f64 > 0.9 * f64::from(said), "precision {right} of {said}");
}

/// The rows of a real set as records.
fn real(folder: &Path, path: &str) -> Vec<Record> {
    let rows = if Path::new(path).extension().is_some_and(|ending| ending == "csv") {
        let mut reader = csv::Reader::from_path(folder.join(path)).unwrap();
        let rows: Vec<HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
        let field = |row: &HashMap<String, String>, name: &str| row[name].clone();
        rows.iter()
            .map(|row| serde_json::json!({"instruction": field(row, "instruction"), "response": field(row, "response"), "category": field(row, "intent")}))
            .collect()
    } else {
        read(&folder.join(path))
    };
    rows.iter().enumerate().map(|(at, row)| of_row(at as i64 + 1, row, None)).collect()
}

/// What these checks look for is not in the sets but for a few rows, which people who read them found.
const QUIET: [&str; 11] = [
    "template-token",
    "boilerplate",
    "language",
    "repetition",
    "markup",
    "invalid-json",
    "mojibake",
    "personal-data",
    "secret",
    "empty",
    "leak",
];

#[test]
fn shared_real_sets_are_not_littered_with_alarms() {
    let Some(folder) = shared() else { return };
    for (path, known) in [
        ("nlupp_json_en/train_1000.jsonl", &[][..]),
        ("jglue/jsquad_train.jsonl", &[]),
        ("jglue/jsquad_test.jsonl", &[]),
        ("jglue/jcqa_train_1000.jsonl", &[]),
        ("jglue/jcqa_valid.jsonl", &[]),
        ("jemhopqa/train.jsonl", &[]),
        // Six questions are answered by a dash.
        ("niilc_qa/train.jsonl", &[("empty", 6)]),
        ("banking77/train_13per_intent.jsonl", &[]),
        ("e2e_cleaned/train_1000.jsonl", &[]),
        ("bitext_support/Bitext_Sample_6480_lf.csv", &[]),
    ] {
        let records = real(&folder, path);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let findings = lint(&records, &Settings::default(), None);
        for finding in findings.iter().filter(|finding| QUIET.contains(&finding.check)) {
            *counts.entry(finding.check).or_default() += 1;
            eprintln!("{path}: {finding:?}");
        }
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), known, "{path}");
        let long = findings.iter().filter(|finding| finding.check == "length").count();
        assert!(long * 50 <= records.len(), "{path}: {long} answers of strange lengths");
    }
}

#[test]
fn shared_questions_about_one_passage_are_near_only_where_the_questions_are() {
    let Some(folder) = shared() else { return };
    let records = real(&folder, "jglue/jsquad_train.jsonl");
    let question = |id: i64| {
        let parts = parts(&records[id as usize - 1].state.content, None);
        let text =
            parts.iter().find(|part| part.field == "input").map(|part| part.text.to_string()).unwrap_or_default();
        let letters: Vec<char> =
            text.rsplit("質問:").next().unwrap_or_default().chars().filter(|c| c.is_alphanumeric()).collect();
        letters.windows(2).map(|pair| (pair[0], pair[1])).collect::<BTreeSet<_>>()
    };
    let findings = lint(&records, &Settings::default(), None);
    let near: Vec<&Finding> = findings.iter().filter(|finding| finding.check == "near-duplicate").collect();
    assert!((30..70).contains(&near.len()), "{}", near.len());
    for finding in near {
        let own = question(finding.record.unwrap_or_default());
        for other in &finding.others {
            let theirs = question(*other);
            let both = own.intersection(&theirs).count() as f64;
            assert!(both / own.union(&theirs).count() as f64 > 0.6, "{finding:?}");
        }
    }
}
