use std::path::PathBuf;

use super::super::significance::Resampling;
use super::*;

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
}

fn assumptions(used: u64, edited: u64, ignored: u64) -> Assumptions {
    Assumptions {
        currency: "EUR".to_owned(),
        rate_per_hour: 36.0,
        t_reply_s: 40.0,
        t_use_s: 10.0,
        t_edit_s: 25.0,
        t_ignore_s: 44.0,
        counts: Counts { used, edited, ignored },
        cost_per_suggestion: 0.01,
        fixed_cost: 90.0,
        messages_per_month: Some(1_000.0),
    }
}

/// Worked with Python's `fractions`: a second costs 0.01, so the three save 0.29, 0.14 and -0.05.
#[test]
fn a_worked_case() {
    let savings = assumptions(5, 3, 2).savings().unwrap();
    near(savings.saving_if_use, 0.29);
    near(savings.saving_if_edit, 0.14);
    near(savings.saving_if_ignore, -0.05);
    near(savings.encs_per_message, 0.177);
    near(savings.gross_saving_per_message, 0.187);
    near(savings.break_even_cost_per_suggestion, 0.187);
    near(savings.seconds_saved_per_message, 18.7);
    // (0.5 * 0.29^2 + 0.3 * 0.14^2 + 0.2 * 0.05^2 - 0.177^2) / 10
    near(savings.std_error, 0.001_710_1_f64.sqrt());
    near(savings.monthly_net.unwrap(), 177.0);
    near(savings.break_even_messages.unwrap(), 90.0 / 0.177);
    assert!(savings.notes.is_empty(), "{:?}", savings.notes);
}

#[test]
fn what_cannot_be_told_is_refused() {
    assert_eq!(assumptions(0, 0, 0).savings(), Err(Refusal::NoJudgements));
    for wrong in [-1.0, f64::NAN, f64::INFINITY] {
        let error = Assumptions { t_edit_s: wrong, ..assumptions(1, 1, 1) }.savings().unwrap_err().to_string();
        assert!(error.contains("t_edit_s"), "{error}");
    }
    let error = toml::from_str::<Counts>("use = 1\nedit = 1\nignore = 1\nskip = 2").unwrap_err().to_string();
    assert!(error.contains("skip"), "{error}");
}

#[test]
fn odd_assumptions_are_noted() {
    let notes = |of: Assumptions| of.savings().unwrap().notes.join("; ");
    assert!(notes(Assumptions { t_ignore_s: 35.0, ..assumptions(1, 1, 1) }).contains("reading costs time"));
    assert!(notes(Assumptions { t_edit_s: 50.0, ..assumptions(1, 1, 1) }).contains("each edit costs time"));
    assert!(notes(Assumptions { t_use_s: 30.0, ..assumptions(1, 1, 1) }).contains("more than the 25 s of editing"));
    assert!(notes(assumptions(4, 0, 0)).contains("all 4 judgements are of one kind"));
    let lost = assumptions(0, 1, 9).savings().unwrap();
    assert!(lost.encs_per_message < 0.0 && lost.break_even_messages.is_none());
    assert!(lost.notes.iter().any(|note| note.contains("never paid back")));
}

fn judged(kind: Kind, seconds: &[f64]) -> Vec<Judgement> {
    seconds.iter().map(|seconds| Judgement { kind, seconds: *seconds }).collect()
}

fn times() -> Times {
    Times { rate_per_hour: 36.0, t_reply_s: 40.0, cost_per_suggestion: 0.01, fixed_cost: 90.0, ..Times::default() }
}

#[test]
fn judgements_become_counts_and_mean_seconds() {
    let mut all = judged(Kind::Accept, &[8.0, 12.0, 10.0, 9.0, 11.0]);
    all.extend(judged(Kind::Edit, &[20.0, 30.0, 25.0]));
    all.extend(judged(Kind::Ignore, &[43.0, 45.0]));
    let found = Judged::of(&all, &times(), &Resampling::default()).unwrap();
    assert_eq!(found.assumptions.counts, Counts { used: 5, edited: 3, ignored: 2 });
    near(found.assumptions.t_use_s, 10.0);
    near(found.t_edit_s.unwrap().value, 25.0);
    let interval = found.t_edit_s.unwrap().interval.unwrap();
    assert!(interval.low >= 20.0 && interval.low < 25.0 && interval.high <= 30.0 && interval.high > 25.0);
    near(found.encs.unwrap().value, 0.177);
    near(found.assumptions.savings().unwrap().encs_per_message, 0.177);
    let interval = found.encs.unwrap().interval.unwrap();
    // About 0.177 +- 2 standard errors of 0.041.
    assert!((0.06..0.12).contains(&interval.low) && (0.22..0.28).contains(&interval.high), "{interval:?}");
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}

#[test]
fn a_kind_that_never_happened_saves_nothing_and_is_noted() {
    let mut all = judged(Kind::Accept, &[10.0, 10.0, 10.0, 10.0, 400.0]);
    all.extend(judged(Kind::Ignore, &[-1.0, f64::NAN]));
    let found = Judged::of(&all, &times(), &Resampling::default()).unwrap();
    assert_eq!(found.assumptions.counts, Counts { used: 5, edited: 0, ignored: 2 });
    assert_eq!((found.t_edit_s, found.t_ignore_s), (None, None));
    near(found.assumptions.t_ignore_s, 40.0);
    let notes = found.notes.join("; ");
    assert!(notes.contains("no suggestion was edited"), "{notes}");
    assert!(notes.contains("no time was measured where a suggestion was ignored"), "{notes}");
    assert!(notes.contains("the longest time is 400 s and the median 10 s"), "{notes}");
    assert_eq!(Judged::of(&[], &times(), &Resampling::default()), Err(Refusal::NoJudgements));
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(flatten)]
    fields: serde_json::Map<String, serde_json::Value>,
}

/// Every field of every case, to 1e-9; a case without `expect`, or with an error there, must be refused.
#[test]
fn shared_golden_cases_are_equal() {
    let path = std::env::var_os("TOGI_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("golden/encs_cases.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"), "{} is not there", path.display());
        eprintln!("skipped: {} is not there (set TOGI_SHARED)", path.display());
        return;
    };
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 9, "{}", cases.len());
    for Case { name, mut fields } in cases {
        let expect = fields.remove("expect");
        let given: Assumptions = serde_json::from_value(serde_json::Value::Object(fields)).unwrap();
        let savings = given.savings();
        let Some(expect) = expect.as_ref().and_then(|expect| expect.as_object()).filter(|e| !e.contains_key("error"))
        else {
            assert!(savings.is_err(), "{name}: {savings:?}");
            continue;
        };
        let got = serde_json::to_value(savings.unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap();
        for (field, want) in expect {
            let got = got.get(field).unwrap_or_else(|| panic!("{name}: there is no field {field}"));
            match (want.as_f64(), got.as_f64()) {
                (Some(want), Some(got)) => {
                    assert!((want - got).abs() <= 1e-9 * want.abs().max(1.0), "{name}, {field}: {got} is not {want}");
                }
                _ => assert_eq!(want, got, "{name}, {field}"),
            }
        }
        let computed = got.as_object().unwrap().keys().filter(|key| *key != "notes").count();
        assert_eq!(computed, expect.len(), "{name}: a figure is not in the case");
    }
}
