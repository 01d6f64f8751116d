use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

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

fn read(path: &std::path::Path) -> Vec<Value> {
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
            let hit = checks[kind].iter().any(|check| {
                ids.iter().any(|id| flagged.iter().any(|(record, name)| record == id && name == check))
            });
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

    let judged: BTreeSet<&str> = checks.values().flatten().map(String::as_str).filter(|name| *name != "length").collect();
    let natural = |id: &str, check: &str| texts(&truth["natural"][check]).iter().any(|name| name == id);
    let (mut right, mut said) = (0, 0);
    for finding in findings.iter().filter(|finding| judged.contains(finding.check)) {
        let Some(record) = finding.record else { continue };
        let id = &names[&record];
        let good = seeds.contains(id) || natural(id, finding.check);
        if !good {
            eprintln!("alarm on {id}: {} {} {:?}", finding.check, finding.reason, std::iter::once(&record).chain(&finding.others).map(|id| { let r = records.iter().find(|r| r.id == *id).unwrap(); let p = parts(&r.state.content, None); (p[1].text.lines().last().unwrap_or_default().to_owned(), p[2].text.to_string(), name(r)) }).collect::<Vec<_>>());
        }
        right += usize::from(good);
        said += 1;
    }
    eprintln!("recall {found} of {all}, precision {right} of {said}");
    assert!(right as f64 > 0.9 * f64::from(said), "precision {right} of {said}");
}

#[test]
fn shared_timing() {
    let Some(_) = shared() else { return };
    let mut x = 12345_u64;
    let mut next = move |n: usize| { x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); (x >> 33) as usize % n };
    let en: Vec<String> = (0..3000).map(|_| { let l = 2 + next(8); (0..l).map(|_| (b'a' + next(26) as u8) as char).collect() }).collect();
    let en_words = ["the", "of", "and", "to", "is", "in", "that", "it", "was", "for"];
    let ja: Vec<char> = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもらりるれろわをんがぎぐげござじず日本東京文章質問答学校電話番号会社年月、。カタカナ".chars().collect();
    let mut records = Vec::new();
    for id in 1..=10_000i64 {
        let english = id % 2 == 0;
        let mut text = |chars: usize| -> String {
            let mut s = String::new();
            while s.chars().count() < chars {
                if english { if next(3) == 0 { s.push_str(en_words[next(10)]) } else { s.push_str(&en[next(3000)]) }; s.push(' '); } else { s.push(ja[next(ja.len())]); }
            }
            s
        };
        let (input, output) = (text(200), text(100));
        let mut r = pair(id, &[("instruction", if english { "Answer the question of the customer politely." } else { "お客様の質問に丁寧に答えてください。" }), ("input", &input)], Some(&output));
        if id % 10 == 0 { r.state.split = Some(Split::Test); }
        records.push(r);
    }
    for kind in ["random", "one prompt", "template", "passage"] {
        let mut records = records.clone();
        for r in &mut records {
            let Content::Pair { fields, .. } = &mut r.state.content else { continue };
            let input = fields["input"].as_str().unwrap().to_owned();
            let new = match kind {
                "one prompt" => "What is the same prompt for all records in this set of ten thousand records?".to_owned(),
                "template" => format!("Dear team, please send the invoice number {} for my order of last week to the address of our office in the harbour, and tell me when it will be there. {}", r.id, "The order was placed by our assistant on the phone and paid by card. ".repeat(2)),
                "passage" => format!("{}\n質問: {}", super::super::tests::PASSAGE.repeat(2), input.chars().take(30).collect::<String>()),
                _ => input,
            };
            fields.insert("input".into(), json!(new));
        }
        let begin = std::time::Instant::now();
        let index = Index::new(&records, &Settings::default());
        let built = begin.elapsed();
        let findings = index.lint(&records, None);
        let all = begin.elapsed();
        let begin = std::time::Instant::now();
        let mut worst = std::time::Duration::ZERO;
        for r in records.iter().step_by(100) { let b = std::time::Instant::now(); let _ = relint(&index, r, None); worst = worst.max(b.elapsed()); }
        eprintln!("TIMING {kind}: built {built:?}, all {all:?}, {} findings, relint mean {:?} worst {worst:?}", findings.len(), begin.elapsed() / 100);
        if kind == "random" || kind == "template" {
            let begin = std::time::Instant::now();
            let space = crate::data::diversity::Space::new(&records, None);
            let made = begin.elapsed();
            let c = space.coverage();
            let all = begin.elapsed();
            let b = std::time::Instant::now();
            let _ = space.neighbours(&records[5], None, 10);
            eprintln!("TIMING diversity {kind}: made {made:?} all {all:?} neighbours {:?}: {} distinct {} effective", b.elapsed(), c.distinct, c.effective);
        }
        let mut alone: Vec<(std::time::Duration, &str)> = CHECKS.iter().map(|c| { let b = std::time::Instant::now(); for r in records.iter().step_by(10) { let p = parts(&r.state.content, None); let f = index.facts(r.id).unwrap(); let _ = c.check(&Look { record: r, parts: &p, facts: f, index: &index, measure: None }); } (b.elapsed(), c.name()) }).collect();
        alone.sort(); alone.reverse();
        eprintln!("   1000 records, one thread: {:?}", &alone[..6]);
        let b = std::time::Instant::now(); for r in records.iter().step_by(10) { let p = parts(&r.state.content, None); let _ = Facts::of(r, &p); } eprintln!("   facts {:?}", b.elapsed());
    }
}
const _PASSAGE: () = ();

#[test]
fn shared_survey() {
    let Some(folder) = shared() else { return };
    for path in [
        "nlupp_json_en/train_1000.jsonl",
        "jglue/jsquad_train.jsonl",
        "jglue/jsquad_test.jsonl",
        "jglue/jcqa_train_1000.jsonl",
        "jemhopqa/train.jsonl",
        "niilc_qa/train.jsonl",
        "banking77/train_13per_intent.jsonl",
        "e2e_cleaned/train_1000.jsonl",
        "/tmp/bitext.jsonl",
    ] {
        let rows = read(&folder.join(path));
        let records: Vec<Record> = rows.iter().enumerate().map(|(i, row)| of_row(i as i64 + 1, row, None)).collect();
        let begin = std::time::Instant::now();
        let findings = lint(&records, &Settings::default(), None);
        let took = begin.elapsed();
        let mut counts: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for finding in &findings {
            counts.entry(finding.check).or_default().push(finding);
        }
        eprintln!("== {path}: {} records, {took:?}", records.len());
        for (check, list) in counts {
            eprintln!("  {check}: {}", list.len());
            for finding in list.iter().step_by((list.len() / 4).max(1)).take(5) {
                let cut = |text: &str| text.chars().rev().take(90).collect::<Vec<_>>().into_iter().rev().collect::<String>();
                let record = finding.record.map(|id| &records[id as usize - 1]);
                let shown = |record: &Record| {
                    let parts = parts(&record.state.content, None);
                    parts.iter().skip(usize::from(parts.len() > 2)).map(|p| cut(&p.text)).collect::<Vec<_>>()
                };
                eprintln!("    {:?} {} {:?}", finding.severity, finding.reason, record.map(shown));
                if let Some(other) = finding.others.first().filter(|_| record.is_some()) {
                    eprintln!("        other {:?}", shown(&records[*other as usize - 1]));
                }
            }
        }
    }
}
