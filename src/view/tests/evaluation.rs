//! The pane of evaluations on a fixed report, and what it must and must not show.

use serde_json::{Value, json};

use super::*;
use crate::app::evaluate::{Answer, Job, Known, Mark, Msg as Told, Report, Row as TestRow, Test};

const NOW: Duration = Duration::from_secs(3);

fn estimate(value: f64) -> Value {
    json!({ "value": value, "interval": { "low": value - 0.1, "high": value + 0.1 }, "rows": 40, "resamples": 2000 })
}

fn system(name: &str, tuned: bool, exact: f64) -> Value {
    json!({
        "name": name, "about": "small", "tuned": tuned, "prompted": false,
        "scores": { "exact": estimate(exact), "f1": estimate(exact + 0.1), "bleu": estimate(exact / 2.0) },
        "perplexity": 3.25, "bits_per_byte": 0.91, "tokens": 17.5, "characters": 61.0, "cut": 0.05, "tokens_per_s": 412.0,
    })
}

fn change(words: &Words, at: usize, turned: &str) -> Value {
    json!({
        "id": format!("row-{at}"), "place": at, "turned": turned, "category": words.category, "asks": words.question,
        "gold": words.gold, "before": words.draft, "after": "", "score": 0.4, "gain": -0.35,
    })
}

fn pair(words: &Words, first: &str, second: &str) -> Value {
    let difference = json!({ "first": 0.1, "second": 0.6, "difference": 0.5, "interval": null, "p": 0.01,
        "second_better": 0.99, "rows": 40, "resamples": 2000 });
    json!({
        "first": first, "second": second,
        "mcnemar": { "lost": 2, "gained": 21, "p": 0.0004, "mid_p": 0.0002 }, "p_holm": 0.0012,
        "differences": { "exact": difference }, "holm": { "exact": 0.02 },
        "changes": {
            "graded_by": "f1", "stayed_right": 3,
            "better": [change(words, 1, "fixed"), change(words, 4, "closer")],
            "worse": [change(words, 2, "broken"), change(words, 7, "further")],
            "stayed_wrong": [change(words, 3, "wrong")],
        },
    })
}

fn report(words: &Words) -> Report {
    let metric =
        |key: &str, name: &str, tokens: &str| json!({ "key": key, "name": name, "tokens": tokens, "pool": "mean" });
    let names = ["verbose", "wrong-format", "wrong", "none"];
    let error = |name: &str, before: usize, after: usize| {
        let rows = |count: usize| (0..count).map(|at| format!("row-{at}")).collect::<Vec<_>>();
        json!({ "category": name, "cause": "behaviour", "before": before, "after": after, "fixed": rows(before),
            "new": rows(after), "stayed": [], "test": { "lost": 1, "gained": 2, "p": 1.0, "mid_p": 0.6 }, "p_adjusted": 1.0 })
    };
    let text = "exact answers: 2026-11-22-a1 60.0 %, base + 4 examples 15.0 %, a difference of +45.0 points (95 %: +30.0 to \
                +60.0), p < 0.001: tuning beats the best that was reached by asking.";
    serde_json::from_value(json!({
        "test": "test.jsonl", "hash": "ab", "rows": 42, "counted": 40,
        "metrics": [metric("exact", "exact answers", ""), metric("f1", "F1", "SQuAD words"), metric("bleu", "BLEU", "13a")],
        "systems": [system("base", false, 0.1), system("base + 4 examples", false, 0.15), system("2026-11-22-a1", true, 0.6)],
        "pairs": [
            pair(words, "base", "base + 4 examples"),
            pair(words, "base", "2026-11-22-a1"),
            pair(words, "base + 4 examples", "2026-11-22-a1"),
        ],
        "verdict": { "tuned": "2026-11-22-a1", "prompted": "base + 4 examples", "metric": "exact", "p": 0.0004,
            "significant": true, "text": text },
        "errors": {
            "before": "base", "after": "2026-11-22-a1", "prompted": "base + 4 examples",
            "matrix": {
                "records": 40, "left_out": 0, "names": names, "transitions": vec![vec![0; 4]; 4], "clean_before": 4, "clean_after": 24,
                "changes": [error("verbose", 12, 1), error("wrong-format", 9, 0), error("wrong", 15, 15)],
            },
            "advice": {
                "verdict": "instruction-tune", "why": "16 of 40 answers still have an error, most of them of behaviour: more or better pairs",
                "records": ["row-2"],
                "gap": { "records": 40, "base": 36, "prompted": 34, "tuned": 16, "knowledge": 3, "behaviour": 12, "both": 1 },
                "tuned_errors": { "low": 0.26, "high": 0.55 },
                "base_tuned": { "lost": 0, "gained": 20, "p": 0.0, "mid_p": 0.0 }, "prompted_tuned": null,
                "causes": { "lost": 3, "gained": 12, "p": 0.03, "mid_p": 0.02 }, "notes": [],
            },
        },
        "notes": ["40 rows tell systems apart only where they differ much"],
    }))
    .unwrap()
}

fn take(app: &mut App, told: Told) -> Vec<Effect> {
    app.update(Msg::Evaluate(told), NOW)
}

fn test() -> Test {
    let known = |id: i64, name: &str| Known {
        id,
        hash: format!("hash-{id}"),
        name: name.into(),
        about: "small".into(),
        answered: 40,
    };
    Test {
        id: 1,
        name: "test.jsonl".into(),
        hash: "ab".into(),
        rows: 42,
        asked: 40,
        systems: vec![known(1, "base"), known(2, "base + 4 examples"), known(3, "2026-11-22-a1")],
    }
}

/// A report, while another system is being asked.
pub fn reporting(words: &Words, size: (u16, u16)) -> App {
    let mut app = workbench(words, size);
    command(&mut app, Command::PaneEvaluate);
    take(&mut app, Told::Tests(vec![test()]));
    let systems = vec!["hash-1".into(), "hash-2".into(), "hash-3".into()];
    take(&mut app, Told::Reported { test: 1, systems, result: Ok(Box::new(report(words))) });
    let job = Job {
        name: "2026-11-22-a1".into(),
        state: "running".into(),
        phase: Some("running".into()),
        test: "test.jsonl".into(),
        hash: "ab".into(),
        step: 120,
        steps: 320,
        seconds_left: Some(75.0),
        systems: vec![("2026-11-22-a2".into(), "hash-4".into(), 7, 40)],
        ..Job::default()
    };
    take(&mut app, Told::Jobs(vec![job]));
    app
}

/// An open row of it.
pub fn reading(words: &Words, size: (u16, u16)) -> App {
    let mut app = reporting(words, size);
    command(&mut app, Command::EvaluateOpen);
    let mark = |category: &str, reason: &str, by_person: bool| Mark {
        category: category.into(),
        reason: reason.into(),
        by_person,
    };
    let answer = |system: i64, name: &str, text: &str, errors: Vec<Mark>| Answer {
        system,
        name: name.into(),
        tuned: system == 3,
        text: Some(text.into()),
        stop: "end".into(),
        tokens: Some(21),
        said: errors.iter().filter(|mark| mark.by_person).map(|mark| (mark.category.clone(), true)).collect(),
        errors,
    };
    let row = TestRow {
        test: 1,
        place: 2,
        id: "row-2".into(),
        category: Some(words.category.into()),
        asks: words.question.into(),
        right: vec![words.gold.into()],
        answers: vec![
            answer(1, "base", words.draft, vec![mark("verbose", "2.1 times as long as the right answer", false)]),
            answer(2, "base + 4 examples", words.gold, Vec::new()),
            answer(3, "2026-11-22-a1", "", vec![mark("wrong", "a person says so", true)]),
        ],
        categories: ["verbose", "wrong-format", "wrong"].map(str::to_owned).to_vec(),
    };
    take(&mut app, Told::Row(Box::new(row)));
    app
}

fn text(app: &App, size: (u16, u16)) -> String {
    screen(&drawn(app, &theme(Colours::All), size))
}

#[test]
fn figures_verdict_and_rows_are_there_at_every_size() {
    for size in [(60, 16), (80, 24), (120, 36), (200, 50)] {
        let mut app = reporting(&ENGLISH, size);
        let shown = text(&app, size);
        for words in ["test.jsonl", "40 of 42 rows", "38 %", "[got worse 2]", "5 Evaluate", "row-2"] {
            assert!(shown.contains(words), "{size:?} without {words:?}:\n{shown}");
        }
        if size.1 >= 24 {
            for words in ["tuning beats the best", "21 gained, 2 lost, McNemar p < 0.001", "60.0  50–70"] {
                assert!(shown.contains(words), "{size:?} without {words:?}:\n{shown}");
            }
        }
        command(&mut app, Command::EvaluateTable);
        command(&mut app, Command::EvaluateList);
        let shown = text(&app, size);
        assert!(shown.contains("[stayed wrong 1]"), "{shown}");
        if size.1 >= 24 {
            for words in ["wrong-format", "fixed", "without any"] {
                assert!(shown.contains(words), "{size:?} without {words:?}:\n{shown}");
            }
        }
    }
}

#[test]
fn an_open_row_has_gold_every_answer_and_its_errors() {
    for size in SIZES {
        let app = reading(&JAPANESE, size);
        let shown = text(&app, size);
        for words in ["row-2", "1 of 2 that got worse", "▸ 2026-11-22-a1 (tuned)", "wrong: you say so", "議事録"] {
            assert!(shown.contains(words), "{size:?} without {words:?}:\n{shown}");
        }
    }
    let shown = text(&reading(&ENGLISH, (120, 50)), (120, 50));
    for words in ["exactly right", "verbose: 2.1 times as long", "(nothing)"] {
        assert!(shown.contains(words), "without {words:?}:\n{shown}");
    }
}

#[test]
fn an_empty_pane_says_what_to_do() {
    let mut app = workbench(&ENGLISH, SIZES[0]);
    command(&mut app, Command::PaneEvaluate);
    assert!(text(&app, SIZES[0]).contains("looking for answers"));
    take(&mut app, Told::Tests(Vec::new()));
    let shown = text(&app, SIZES[0]);
    assert!(shown.contains("No system has answered a test yet.") && shown.contains("e measures some"), "{shown}");
    take(&mut app, Told::Tests(vec![test()]));
    let systems = vec!["hash-1".into(), "hash-2".into(), "hash-3".into()];
    take(&mut app, Told::Reported { test: 1, systems, result: Err("no system has answered".into()) });
    assert!(text(&app, SIZES[0]).contains("no system has answered"));
}

#[test]
fn every_panes_heading_tells_how_far_an_evaluation_is_beside_a_run() {
    for size in [(60, 16), (80, 24), (120, 36)] {
        let mut app = reporting(&ENGLISH, size);
        for pane in [Command::PaneData, Command::PanePrompt, Command::PaneTrain, Command::PaneCompare] {
            command(&mut app, pane);
            let shown = text(&app, size);
            let words = if size.0 >= 100 { "◇ measuring 38 %" } else { "◇ 38 %" };
            assert!(shown.lines().next().unwrap().contains(words), "{size:?}:\n{shown}");
        }
        let paused = Job { phase: Some("paused".into()), ..app.evaluate.jobs[0].clone() };
        take(&mut app, Told::Jobs(vec![paused]));
        command(&mut app, Command::PaneEvaluate);
        assert!(text(&app, size).contains("waits"), "{}", text(&app, size));
        take(&mut app, Told::Jobs(Vec::new()));
        assert!(!text(&app, size).contains('◇'));
    }
}
