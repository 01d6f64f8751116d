use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;

use super::stored::{CASES, CHRF, CORPUS};
use super::*;
use crate::evaluate::mecab::tests::dictionary;

fn close(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() < 1e-6, "{what}: {got} is not {want}");
}

fn figures(hyp: &str, refs: &[&str]) -> HashMap<&'static str, f64> {
    row(hyp, refs, None, None).figures().into_iter().collect()
}

#[test]
fn stored_texts_score_what_the_references_say() {
    let words = dictionary();
    for (hyp, refs, want) in &CASES {
        // Those that the libraries have, including Japanese words, whether or not there is a dictionary here.
        let made = row(hyp, refs, None, words);
        let mut got = made.figures();
        got.retain(|(name, _)| !name.starts_with("em_") && !name.starts_with("f1_") && *name != "aio_fuzz");
        let numbers = want.split([' ', '|']).filter(|number| !number.is_empty()).map(|number| number.parse().unwrap());
        let here = numbers.enumerate().filter(|(i, _)| words.is_some() || !matches!(i, 14..=17 | 22));
        let want: Vec<f64> = here.map(|(_, number)| number).collect();
        assert_eq!(got.len(), want.len());
        for ((name, got), want) in got.into_iter().zip(want) {
            close(got, want, &format!("{name} of {hyp:?}"));
        }
    }
}

#[test]
fn stored_texts_score_as_a_corpus_what_the_references_say() {
    let words = dictionary();
    let asked: Vec<Row<'_>> = CASES.iter().map(|(hyp, refs, _)| Row { hyp, refs: refs.to_vec(), lang: None }).collect();
    let scored = rows(&asked, words);
    let found = corpus(&scored, words);
    for (tokens, score, counts, totals, bp, [sys_len, ref_len], signature) in CORPUS {
        let got = match tokens {
            "13a" => &found.bleu.mteval13a,
            "13a_lc" => &found.bleu.mteval13a_lc,
            "intl" => &found.bleu.intl,
            "char" => &found.bleu.char,
            "none" => &found.bleu.none,
            _ => match &found.bleu.ja_mecab {
                Some(bleu) => bleu,
                None => continue,
            },
        };
        close(got.score, score, tokens);
        close(got.bp, bp, tokens);
        assert_eq!((got.counts, got.totals, got.sys_len, got.ref_len), (counts, totals, sys_len, ref_len), "{tokens}");
        assert_eq!(got.signature.as_deref(), Some(signature));
    }
    close(found.chrf.chrf2.score, CHRF[0], "chrF2");
    close(found.chrf.chrf2pp.score, CHRF[1], "chrF2++");
    assert_eq!(found.chrf.chrf2pp.signature, "nrefs:var|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0");
    // A corpus is made of scored rows, so any choice of them can be one.
    let twice = corpus(scored.iter().chain(&scored), words);
    close(twice.bleu.mteval13a.score, found.bleu.mteval13a.score, "the same twice over");
    assert_eq!(twice.n, 2 * found.n);
}

#[test]
fn exact_matches_differ_by_what_counts_as_equal() {
    // raw, strip, nfkc, squad, aio
    let cases = [
        ("knife", "knife", [1, 1, 1, 1, 1]),
        (" knife\u{1f}", "knife", [0, 1, 1, 1, 1]),
        ("Ｋｎｉｆｅ　１", "knife 1", [0, 0, 1, 0, 1]),
        ("The knife's edge.", "a knifes edge", [0, 0, 0, 1, 0]),
        ("a\u{301} la carte", "a la carte", [0, 0, 0, 0, 0]),
        ("『堺』の「包丁」", "堺の包丁", [0, 0, 0, 0, 1]),
        ("堺（さかい）", "堺", [0, 0, 0, 0, 1]),
        ("サンタ・マリア", "サンタ マリア", [0, 0, 0, 0, 1]),
        ("10～20", "10〜20", [0, 0, 0, 0, 1]),
        ("「開いたまま", "開いたまま", [0, 0, 0, 0, 0]),
        ("「二\n行」", "二行", [0, 0, 0, 0, 0]),
        ("", "", [1, 1, 1, 1, 1]),
        ("the", "an", [0, 0, 0, 1, 0]),
    ];
    for (hyp, reference, want) in cases {
        let em = ExactMatch::of(hyp, &["something else", reference]);
        let got = [em.raw, em.strip, em.nfkc, em.squad, em.aio];
        assert_eq!(got.map(|one| one as i32), want, "{hyp:?} and {reference:?}");
    }
}

#[test]
fn bags_and_distances_are_counted_over_the_best_reference() {
    let got = figures("the sharp knife", &["sharp", "a sharp blue knife"]);
    close(got["f1_squad"], 2.0 * (1.0 * 2.0 / 3.0) / (1.0 + 2.0 / 3.0), "two of two words, two of three");
    close(figures("研ぐ。", &["研ぎ"])["f1_char"], 0.5, "punctuation is no character");
    close(figures("...", &["!"])["f1_char"], 1.0, "nothing equals nothing");
    close(figures("...", &["x"])["f1_char"], 0.0, "nothing has nothing of something");
    close(figures("研石", &["砥石"])["lev"], 1.0, "code points are counted, not bytes");
    close(figures("ab", &["ab", "xyz"])["lev"], 0.0, "the nearest reference");
    close(figures("", &[""])["indel_ratio"], 1.0, "equal texts");
    // 5 of 8 characters: 62.5 per cent goes to the even 62.
    close(figures("abcde", &["abcdefghijk"])["aio_fuzz"], 0.62, "whole per cents");
}

#[test]
fn json_is_scored_by_its_leaves_and_only_where_it_is_asked_for() {
    let score = |hyp: &str, refs: &[&str]| row(hyp, refs, None, None);
    let gold = r#"{"intents": ["book", "cancel"], "slots": {"date": "Monday", "people": 2}}"#;
    let right = score(r#"{"slots":{"people":2,"date":"Monday"},"intents":["cancel","book"]}"#, &[gold]);
    assert_eq!(
        (right.json_valid, right.json_exact),
        (Some(1.0), Some(0.0)),
        "the order of a list counts for exactness"
    );
    close(right.json_f1.unwrap().f1, 1.0, "and not for leaves");
    let half = score(r#"{"intents": ["book", "book"], "slots": {"date": "Tuesday"}, "mood": null}"#, &[gold]);
    let fields = half.json_f1.unwrap();
    assert_eq!((fields.matched, fields.answered, fields.gold), (1, 4, 4), "a value counts as often as it occurs");
    let broken = score("Sure! {}", &[gold]);
    assert_eq!((broken.json_valid, broken.json_exact), (Some(0.0), Some(0.0)));
    let fields = broken.json_f1.unwrap();
    assert_eq!((fields.matched, fields.answered, fields.gold), (0, 0, 4), "what is no JSON misses all");
    let best = score(r#"{"a": 1}"#, &[r#"{"a": 2, "b": 3}"#, r#"{"a": 1.0}"#, r#"{"a": 1, "b": 3}"#]);
    assert_eq!(best.json_f1.unwrap().gold, 2);
    close(best.json_f1.unwrap().f1, 2.0 / 3.0, "the best reference");
    assert_eq!(score("[]", &["[]"]).json_f1.unwrap().gold, 1, "an empty list is a leaf");
    assert_eq!(score("{}", &["[]"]).json_f1.unwrap().matched, 0);
    let deep = format!("{}1{}", "[".repeat(400), "]".repeat(400));
    close(score(&deep, &[&deep]).json_f1.unwrap().f1, 1.0, "deep");
    for text in ["17", "true", "\"x\"", "{not json", "[cut"] {
        let plain = score("17", &[text]);
        assert_eq!(plain.json_f1, None, "{text} is text");
        assert!(serde_json::to_value(plain).unwrap().get("json_valid").is_none());
    }
    let rows = [right, half, broken, score("x", &["y"])];
    let json = corpus(&rows, None).json.unwrap();
    assert_eq!((json.n, json.fields.matched, json.fields.answered, json.fields.gold), (3, 5, 8, 12));
    close(json.valid, 2.0 / 3.0, "of those that were to be JSON");
    close(json.fields.f1, 0.5, "micro-averaged");
}

#[test]
fn scores_say_which_tokens_they_rest_on() {
    let note = |lang: Option<&str>, text: &str| row("x", &[text], lang, None).tokens;
    let read = |lang, text| (note(lang, text).rouge, note(lang, text).bleu);
    assert_eq!(read(None, "Sharpen it."), ("default", "13a"));
    assert_eq!(read(None, "Rustで研ぐ"), ("char", "char"));
    assert_eq!(read(Some("ja-JP"), "OK"), ("char", "char"), "no dictionary, no words");
    assert_eq!(read(None, "안녕하세요"), ("char", "char"));
    assert_eq!(read(Some("ru"), "мир"), ("char", "intl"));
    assert_eq!(read(Some("de"), "Messer schärfen"), ("default", "13a"));
    let without = serde_json::to_value(row("研ぐ", &["研ぐ"], Some("ja"), None)).unwrap();
    assert!(without["rouge"].get("mecab").is_none() && without["bleu"].get("ja-mecab").is_none(), "{without}");
    for (figure, tokens) in [
        ("em_raw", "the whole text"),
        ("rougeLsum_stem_f", "words of a-z and 0-9, stemmed"),
        ("bleu_13a_lc", "13a in lower case"),
        ("chrF2", "characters"),
        ("chrF2++", "characters and words"),
        ("json_f1", "JSON leaves, path and value"),
    ] {
        assert_eq!(tokens_of(figure), tokens, "{figure}");
    }
    let Some(words) = dictionary() else { return };
    let with = serde_json::to_value(row("研ぐ", &["研ぐ"], Some("ja"), Some(words))).unwrap();
    assert_eq!((&with["tokens"]["rouge"], &with["tokens"]["bleu"]), (&"mecab".into(), &"ja-mecab".into()));
    assert_eq!(with["rouge"]["mecab"]["rouge1"][2], 1.0);
}

#[test]
fn nothing_is_right_without_a_reference_and_nothing_breaks() {
    let none = row("an answer", &[], None, None);
    assert!(none.figures().iter().all(|(name, value)| *name == "lev" || *value == 0.0), "{:?}", none.figures());
    let found = corpus(&[none, row("x", &["x"], None, None)], None);
    assert_eq!(found.bleu.none.signature.as_deref().unwrap().split('|').next(), Some("nrefs:var"));
    let empty = serde_json::to_value(corpus(&[], None)).unwrap();
    assert_eq!((&empty["n"], &empty["bleu"]["13a"]["score"]), (&0.into(), &0.0.into()));
}

#[test]
fn very_long_texts_are_scored() {
    let long: String = (0..20_000).map(|i| char::from(b'a' + (i * i % 23) as u8)).collect();
    let lines = "とても長い行\nもう一行\n".repeat(300);
    for (text, other) in [(long.as_str(), "abc"), (&lines, &long), (&long, &long)] {
        let scores = row(text, &[other], None, None);
        assert!(scores.figures().iter().all(|(_, value)| value.is_finite()));
    }
    // One unbroken line against two, so that the table is read out, in blocks.
    let two = format!("{long}\n{long}");
    let [precision, recall, _] = row(&long, &[&two], None, None).rouge.char.rouge_lsum;
    close(precision, 1.0, "precision");
    close(recall, 0.5, "recall");
}

/// Every figure with the range it lies in.
fn in_range(name: &str, value: f64) -> bool {
    let top = if name.starts_with("bleu") || name.starts_with("chrF") { 100.0 + 1e-9 } else { 1.0 + 1e-12 };
    value >= 0.0 && (name == "lev" || value <= top)
}

const TEXT: &str = r#"([a-cA-C0-9 .,'&$\n\r\t(){}\[\]":-]|the |日本|研|ー|。|「|」|・|e\x{301}|Σ|İ|😀|\x{0}|\x{1c}|\x{feff}|\x{3000}|\x{ffff}){0,40}"#;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn figures_lie_in_their_ranges(hyp in TEXT, refs in proptest::collection::vec(TEXT, 0..4)) {
        let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
        let scores = row(&hyp, &refs, None, None);
        for (name, value) in scores.figures() {
            prop_assert!(in_range(name, value), "{} is {}", name, value);
        }
        // More references never make an answer worse.
        if let [first, ..] = refs.as_slice() {
            let alone = row(&hyp, &[first], None, None);
            prop_assert!(scores.lev <= alone.lev);
            for ((name, many), (_, one)) in scores.figures().into_iter().zip(alone.figures()) {
                let may_fall = name.starts_with("bleu") || name.starts_with("json") || name == "lev";
                prop_assert!(may_fall || many >= one - 1e-12, "{}: {} below {}", name, many, one);
            }
        }
        prop_assert!(serde_json::to_value(&scores).unwrap().is_object());
    }

    #[test]
    fn an_answer_that_is_the_reference_scores_all(text in TEXT) {
        let scores = row(&text, &[&text], None, None);
        let has = |tokens: Tokens| !tokens.of(&text, None).unwrap().is_empty();
        for (name, value) in scores.figures() {
            let full = match name {
                "lev" => 0.0,
                "rouge1_default_f" | "rougeL_default_f" | "rougeLsum_default_f" => f64::from(u8::from(has(Tokens::Rouge))),
                "rouge1_char_f" | "rougeL_char_f" | "rougeLsum_char_f" => f64::from(u8::from(has(Tokens::Characters))),
                "bleu_13a" | "bleu_none" | "chrF2" | "chrF2++" if has(Tokens::Characters) => value.max(100.0 - 1e-9),
                name if name.starts_with("em_") || name.starts_with("f1_") || name.starts_with("json") => 1.0,
                "indel_ratio" | "aio_fuzz" => 1.0,
                _ => value,
            };
            prop_assert!((value - full).abs() < 1e-9, "{}: {} is not {}", name, value, full);
        }
    }

    #[test]
    fn distances_and_f1_do_not_depend_on_which_text_is_the_answer(a in TEXT, b in TEXT) {
        let (there, back) = (row(&a, &[&b], None, None), row(&b, &[&a], None, None));
        prop_assert_eq!(there.lev, back.lev);
        prop_assert_eq!(there.em, back.em);
        for ((name, one), (_, other)) in there.figures().into_iter().zip(back.figures()) {
            let symmetric = name.ends_with("_ratio")
                || name.starts_with("f1_")
                || name == "aio_fuzz"
                || (name.starts_with("rouge") && !name.starts_with("rougeLsum"));
            prop_assert!(!symmetric || (one - other).abs() < 1e-12, "{}: {} and {}", name, one, other);
        }
    }

    #[test]
    fn many_rows_are_scored_as_one_by_one(texts in proptest::collection::vec((TEXT, TEXT), 0..20)) {
        let asked: Vec<Row<'_>> = texts.iter().map(|(a, b)| Row { hyp: a, refs: vec![b], lang: None }).collect();
        let alone: Vec<RowScores> = texts.iter().map(|(a, b)| row(a, &[b], None, None)).collect();
        prop_assert_eq!(rows(&asked, None), alone);
    }
}

#[test]
fn the_names_of_a_corpus_are_those_of_the_reference_file() {
    let found = serde_json::to_value(corpus(&[row("a b", &["a b"], None, None)], None)).unwrap();
    for path in ["/bleu/13a_lc/signature", "/chrf/chrF2++/signature", "/mean/em_squad", "/mean/rougeLsum_default_f"] {
        assert!(found.pointer(path).is_some_and(|value| *value != Value::Null), "{path}: {found}");
    }
}
