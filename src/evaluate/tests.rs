use std::path::PathBuf;

use super::nearest::Nearest;
use super::*;

/// What Python's `json` and `str.strip` say of the same pairs.
#[test]
fn exact_match_judges_as_the_reference_script_does() {
    let long = "9".repeat(4301);
    let cases = [
        ("1", "1.0", false),
        ("1e2", "100.0", true),
        ("100", "1e2", false),
        ("{\"a\":1,\"a\":2}", "{\"a\": 2}", true),
        ("{\"b\":1,\"a\":[1,2]}", " {\"a\":[1, 2],\"b\":1}\u{a}", true),
        ("NaN", "NaN", true),
        ("-Infinity", "-1e999", true),
        ("1e999", "Infinity", true),
        ("12345678901234567890123", "12345678901234567890124", false),
        ("12345678901234567890123", " 12345678901234567890123", true),
        ("-0", "0", true),
        ("-0.0", "0.0", false),
        ("\"\\u00e9\"", "\"\u{e9}\"", true),
        ("\"\\ud83d\\ude00\"", "\"\u{1f600}\"", true),
        ("\"\\ud83d\"", "\"\\ud83d\"", true),
        ("true", "1", false),
        ("yes \u{1f}", "yes", true),
        ("yes\u{3000}", "yes", true),
        ("yes\u{200b}", "yes", false),
        ("01", "1", false),
        ("1.", "1", false),
        ("'a'", "\"a\"", false),
        ("{\"a\":1,}", "{\"a\":1}", false),
        ("\"a\u{9}b\"", "\"a\\tb\"", false),
        ("[1,2]", "[2,1]", false),
        ("\u{feff}1", "1", false),
        ("\"/\"", "\"\\/\"", true),
        ("nan", "NaN", false),
        ("+1", "1", false),
        ("1E5", "1e5", true),
        ("0.1", "0.10", true),
        ("1e-7", "0.0000001", true),
        ("[]", "[ ]", true),
        ("", "  ", true),
        ("null", "None", false),
        ("{}", "[]", false),
        ("1 2", "1 2 ", true),
        ("{\"a\" : {\"c\":1,\"b\":2}}", "{\"a\":{\"b\":2,\"c\":1}}", true),
        ("\u{b}1", "1", true),
        ("\"\\u12\"", "\"\\u12\"", true),
        ("\"\\u+123\"", "\"x\"", false),
        ("1.5e+3", "1500.0", true),
        ("-", "-", true),
        ("--1", "--1", true),
        (long.as_str(), long.as_str(), true),
    ];
    for (answer, reference, same) in cases {
        assert_eq!(exact_match(answer, &[reference]), same, "{answer:?} and {reference:?}");
        assert_eq!(exact_match(reference, &[answer]), same, "{reference:?} and {answer:?}");
    }
    assert!(exact_match("b", &["a", "b "]), "any of the references");
    assert!(!exact_match::<&str>("", &[]), "nothing is right where there is no reference");
    assert!(!json_valid(&long), "Python refuses integers this long");
    assert!(json_valid(" {\"a\": [1]}\n") && !json_valid("Sure! {\"a\": 1}"));
}

#[test]
fn deep_nesting_is_refused_and_harmless() {
    assert!(json_valid(&format!("{}{}", "[".repeat(400), "]".repeat(400))));
    assert!(!json_valid(&"[".repeat(1_000_000)));
    assert!(!json_valid(&"{\"a\":".repeat(1_000_000)));
}

fn close(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-4, "{got} is not {want}");
}

#[test]
fn fields_are_counted_over_all_rows() {
    let rows = [
        (
            r#"{"intents":["a","b"],"slots":{"date":"16","n":"4"}}"#,
            r#"{"intents":["b","c"],"slots":{"date":"16","n":"5"}}"#,
        ),
        (r#"{"intents":["a","a"],"slots":{},"mood":"sad"}"#, r#"{"intents":["a"],"slots":{}}"#),
        ("not json", r#"{"intents":["d"],"slots":{"who":"x"}}"#),
    ];
    let fields = fields::json_field_f1(rows);
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["intents", "slots"], "keys that no right answer has are left out");
    let intents = fields["intents"];
    assert_eq!((intents.correct, intents.answered, intents.right), (2, 3, 4));
    close(intents.precision, 2.0 / 3.0);
    close(intents.recall, 0.5);
    close(intents.f1, 4.0 / 7.0);
    let slots = fields["slots"];
    assert_eq!((slots.correct, slots.answered, slots.right), (1, 2, 3));
    // One value is one item, a number's form counts, and a list of objects is a set of objects.
    let fields = fields::json_field_f1([(r#"{"n":1.0,"l":[{"b":1,"a":2}]}"#, r#"{"n":1,"l":[{"a":2,"b":1}]}"#)]);
    assert_eq!((fields["n"].correct, fields["l"].correct), (0, 1));
    close(fields["n"].f1, 0.0);
    assert!(fields::json_field_f1([("a", "plain text")]).is_empty());
}

#[test]
fn scores_and_reports_have_the_names_that_scripts_read() {
    let scores =
        score(&[("{\"a\": 1}", vec!["{\"a\":1}"]), ("x", vec!["y", "x"]), ("", vec!["z"]), ("[1]", vec!["q"])]);
    assert_eq!(scores.rows, 4);
    close(scores.exact, 0.5);
    close(scores.json_valid, 0.5);
    assert!(scores.exact_interval.contains(0.5));
    let likelihood = Likelihood { nats: 3.0, tokens: 2, bytes: 4 };
    let report = Report::default().with_base(None, Some(&likelihood)).with_tuned(Some(&scores), None);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["exact_tuned"], 0.5);
    assert_eq!(json["test_rows"], 4);
    assert_eq!(json["loss_base"], 1.5);
    assert!(json.get("exact_base").is_none(), "what was not measured is not there: {json}");
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    close(score::<&str, &str>(&[]).exact, 0.0);
}

#[test]
fn intervals_are_wilsons() {
    // Worked with the formula in exact arithmetic elsewhere: 8 of 10, and the 66 of 500 of the reference run.
    for (hits, rows, low, high) in
        [(8, 10, 0.4902, 0.9433), (66, 500, 0.1051, 0.1645), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
    {
        let interval = interval::wilson95(hits, rows);
        close(interval.low, low);
        close(interval.high, high);
        assert!(interval.contains(hits as f64 / rows as f64));
    }
    assert_eq!(interval::wilson95(0, 0), Interval { low: 0.0, high: 1.0 });
}

#[test]
fn likelihoods_add_up() {
    let mut sum = Likelihood { nats: 2.0 * std::f64::consts::LN_2, tokens: 2, bytes: 3 };
    sum.add(&Likelihood { nats: 4.0 * std::f64::consts::LN_2, tokens: 1, bytes: 3 });
    close(sum.loss().unwrap(), 2.0 * std::f64::consts::LN_2);
    close(sum.perplexity().unwrap(), 4.0);
    close(sum.bits_per_byte().unwrap(), 1.0);
    let none = Likelihood::default();
    assert_eq!((none.loss(), none.perplexity(), none.bits_per_byte()), (None, None, None));
}

#[test]
fn the_nearest_pair_is_the_most_similar_one() {
    let nearest =
        Nearest::new(&["Is my card blocked?", "How do I book a room?", "部屋を予約したい", "", "Is my card blocked?"]);
    assert_eq!(nearest.find("is my   CARD blocked"), Some(0), "case and white space do not count; the earliest wins");
    assert_eq!(nearest.find("can I book rooms"), Some(1));
    assert_eq!(nearest.find("部屋を取りたい"), Some(2));
    assert_eq!(nearest.find("ξψω"), None);
    assert_eq!(Nearest::new::<&str>(&[]).find("a"), None);
}

/// The floor under the measured example: about 13 % exact, as one lookup measured before gave 13.2 %.
#[test]
fn looking_up_the_nearest_nlupp_pair_scores_what_it_is_known_to_score() {
    let shared = std::env::var_os("TOGI_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("data/nlupp_json_en");
    let read = |name: &str| -> Option<Vec<serde_json::Value>> {
        let text = std::fs::read_to_string(shared.join(name)).ok()?;
        Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    };
    let (Some(train), Some(test)) = (read("train_1000.jsonl"), read("test_500.jsonl")) else {
        assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"), "{} is not there", shared.display());
        eprintln!("skipped: {} is not there (set TOGI_SHARED)", shared.display());
        return;
    };
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let inputs: Vec<String> = train.iter().map(|row| text(row, "input")).collect();
    let nearest = Nearest::new(&inputs);
    let answers: Vec<(String, Vec<String>)> = test
        .iter()
        .map(|row| {
            let found = nearest.find(&text(row, "input")).map(|i| text(&train[i], "output"));
            (found.unwrap_or_default(), vec![text(row, "output")])
        })
        .collect();
    let scores = score(&answers);
    eprintln!("{scores:?}");
    assert!(interval::wilson95(66, 500).contains(scores.exact), "{}", scores.exact);
    assert!((0.5..0.65).contains(&scores.fields["intents"].f1), "{:?}", scores.fields);
    assert!((0.08..0.25).contains(&scores.fields["slots"].f1), "{:?}", scores.fields);
    let gold: Vec<(String, Vec<String>)> = answers.into_iter().map(|(_, right)| (right[0].clone(), right)).collect();
    assert!((score(&gold).exact - 1.0).abs() < f64::EPSILON);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_harm_and_its_form_is_final(text in r#"([\[\]{}:,"\\ue0-9.+\-a-fntr\u{0}é研😀]|true|null|NaN|"a"|\\ud83d){0,24}"#) {
        if let Some(form) = json::canonical(&text) {
            proptest::prop_assert_eq!(json::canonical(&form), Some(form.clone()));
            proptest::prop_assert!(form.is_ascii());
            // Without the extensions that Python has, it is plain JSON.
            if !form.contains(['N', 'I']) && !form.contains("\\ud") && !form.contains('e') {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        } else {
            proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{}", text);
        }
    }
}
