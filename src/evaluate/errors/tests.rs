use super::advice::{Lines, Systems};
use super::matrix::Marked;
use super::*;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    errors: Vec<Category>,
}

fn catalogue(toml: &str) -> Catalogue {
    Catalogue::new(toml::from_str::<File>(toml).unwrap().errors).unwrap()
}

/// One category with one rule.
fn rule(rule: &str) -> Catalogue {
    catalogue(&format!("[[errors]]\nname = \"it\"\ncause = \"behaviour\"\nrules = [{rule}]\n"))
}

fn refuse(toml: &str) -> String {
    match toml::from_str::<File>(toml) {
        Err(error) => error.to_string(),
        Ok(file) => Catalogue::new(file.errors).unwrap_err().to_string(),
    }
}

fn names(marks: &[Mark]) -> Vec<&str> {
    marks.iter().map(|mark| mark.category.as_str()).collect()
}

/// The reason for which the only rule fires.
#[track_caller]
fn why(rule_toml: &str, answer: &str, gold: &str) -> Option<String> {
    let gold: &[&str] = if gold.is_empty() { &[] } else { &[gold] };
    rule(rule_toml).mark(answer, gold, "the input").pop().map(|mark| mark.reason)
}

#[track_caller]
fn fires(rule_toml: &str, answer: &str, gold: &str) {
    assert!(why(rule_toml, answer, gold).is_some(), "{rule_toml} does not fire on {answer:?}, gold {gold:?}");
}

#[track_caller]
fn passes(rule_toml: &str, answer: &str, gold: &str) {
    let why = why(rule_toml, answer, gold);
    assert!(why.is_none(), "{rule_toml} fires on {answer:?}, gold {gold:?}: {why:?}");
}

#[test]
fn patterns_and_texts_fire_where_present_or_absent() {
    let order = r#"{ kind = "regex", pattern = '\bORD-\d{4}\b', when = "absent" }"#;
    fires(order, "It is on its way.", "");
    passes(order, "ORD-1234 is on its way.", "");
    let html = r#"{ kind = "regex", pattern = "<[a-z]+>" }"#;
    assert_eq!(why(html, "a <b> c", "").unwrap(), "`<b>` matches `<[a-z]+>`");
    passes(html, "a b c", "");
    let folded = r#"{ kind = "contains", texts = ["ＡＢＣ ｶﾞ", "straße"] }"#;
    fires(folded, "xx abc ガ xx", "");
    fires(folded, "STRASSE", "");
    passes(folded, "abd", "");
    let exact = r#"{ kind = "contains", texts = ["Dear"], fold = false, when = "absent" }"#;
    assert_eq!(why(exact, "dear Ann", "").unwrap(), "`Dear` is missing");
    passes(exact, "Dear Ann", "");
}

#[test]
fn json_rules_say_what_is_wrong_and_where() {
    for schema in [
        r#"{ kind = "json-schema", schema = { type = "object", required = ["intent"], properties = { n = { type = "integer" } } } }"#,
        r#"{ kind = "json-schema", schema = '{"type": "object", "required": ["intent"], "properties": {"n": {"type": "integer"}}}' }"#,
    ] {
        passes(schema, r#"{"intent": "book", "n": 2}"#, "");
        assert!(why(schema, r#"{"n": 2}"#, "").unwrap().contains("intent"));
        assert!(why(schema, r#"{"intent": "book", "n": "two"}"#, "").unwrap().contains("/n"));
        assert!(why(schema, "intent: book", "").unwrap().contains("no JSON"));
    }
    let json = r#"{ kind = "valid-json" }"#;
    fires(json, "{'a': 1}", "");
    passes(json, "[1, 2]", "");
    let like_gold = r#"{ kind = "valid-json", where_gold_is = true }"#;
    fires(like_gold, "a: 1", "{\"a\": 1}");
    passes(like_gold, "a: 1", "a is one");
    passes(like_gold, "forty-two", "42");
    passes(like_gold, "a: 1", "");
}

#[test]
fn lengths_are_counted_in_characters_words_or_right_answers() {
    let most = r#"{ kind = "length", max = 5 }"#;
    passes(most, "  日本語です ", "");
    assert_eq!(why(most, "日本語です。", "").unwrap(), "6 characters, over 5");
    fires(r#"{ kind = "length", min = 1 }"#, " \n", "");
    let words = r#"{ kind = "length", unit = "words", min = 2, max = 3 }"#;
    passes(words, "one two", "");
    fires(words, "onetwothree", "");
    fires(words, "one two three four", "");
    let ratio = r#"{ kind = "length", unit = "words", max_ratio = 2, min_ratio = 0.5, slack = 1 }"#;
    passes(ratio, "a b c d e", "a b");
    assert_eq!(why(ratio, "a b c d e f", "a b").unwrap(), "6 words, over 2 times the 2 of the right answer");
    fires(ratio, "a", "a b c d e");
    passes(ratio, "a", "");
}

#[test]
fn an_answer_in_another_language_is_found_and_one_in_kanji_is_not_chinese() {
    let like_gold = r#"{ kind = "language" }"#;
    let english = "The meeting was moved to next Tuesday because the room was already taken by somebody else, \
                   and they would like to know whether you are free at three o'clock.";
    let german = "Die Besprechung wurde auf nächsten Dienstag verschoben, weil der Raum schon vergeben war, \
                  und sie möchten gerne wissen, ob ihr um drei Uhr nachmittags noch frei seid.";
    assert_eq!(
        why(like_gold, english, "会議は来週の火曜日に変更されました。").unwrap(),
        "it is in English, not in Japanese"
    );
    fires(like_gold, "会議は来週の火曜日に変更されました。", english);
    fires(like_gold, german, english);
    passes(like_gold, "東京都千代田区", "東京です。");
    passes(like_gold, "東京", english.split_at(5).0);
    passes(like_gold, "Tokyo", "東京です。");
    passes(like_gold, "{\"a\": \"the room was taken by somebody\"}", "東京です。");
    for named in ["Japanese", "jpn"] {
        let asked = format!("{{ kind = \"language\", is = \"{named}\" }}");
        fires(&asked, english, english);
        passes(&asked, "はい、空いています。", english);
        passes(&asked, "明日午後三時", "");
    }
    let latin = r#"{ kind = "language", is = "French" }"#;
    fires(latin, "会議は来週の火曜日です。", "");
    passes(latin, "oui mon cher ami", "");
}

#[test]
fn refusals_are_found_in_english_and_japanese_unless_they_are_right() {
    let refused = r#"{ kind = "refused", phrases = ["no comment"] }"#;
    fires(refused, "I’m sorry, but I CAN’T help with that.", "It costs 5 euros.");
    fires(refused, "申し訳ありませんが、お答えできません。", "五百円です。");
    fires(refused, "ＡＩとして、意見は持ちません。", "");
    assert_eq!(why(refused, "No comment.", "").unwrap(), "it says `no comment`");
    passes(refused, "I cannot help with that.", "I can't assist you with this.");
    passes(refused, "申し訳ありませんが、品切れです。", "品切れです。");
}

#[test]
fn equality_is_that_of_exact_match() {
    fires(r#"{ kind = "equal", to = "input" }"#, "the input ", "x");
    passes(r#"{ kind = "equal", to = "input" }"#, "another", "x");
    fires(r#"{ kind = "equal" }"#, "{\"a\":1, \"b\":2}", "{\"b\": 2, \"a\": 1}");
    let other = r#"{ kind = "not-equal", otherwise = false }"#;
    fires(other, "a", "b");
    passes(other, "{\"a\":1}", "{\"a\": 1}");
    passes(other, "a", "");
}

#[test]
fn a_project_without_categories_has_some() {
    let defaults = Catalogue::new(Vec::new()).unwrap();
    let mark = |answer: &str, gold: &str| -> Vec<String> {
        defaults.mark(answer, &[gold], "").into_iter().map(|mark| mark.category).collect()
    };
    assert_eq!(mark("{\"a\": 1}", "{\"a\":1}"), [""; 0]);
    assert_eq!(mark("a is 1", "{\"a\":1}"), ["wrong-format"]);
    assert_eq!(mark("{\"a\": 2}", "{\"a\":1}"), ["wrong"], "no rule says otherwise");
    assert_eq!(mark("", "yes"), ["empty"]);
    assert_eq!(mark("", "{\"a\":1}"), ["wrong-format", "empty"]);
    assert_eq!(mark(&"very ".repeat(20), "long"), ["verbose"]);
    assert_eq!(mark("Yes, it does.", "Yes"), ["wrong"]);
    assert_eq!(mark("I'm unable to say.", "42"), ["refused"]);
    assert_eq!(mark("分かりかねます。", "はい"), ["refused"]);
    assert_eq!(
        mark(
            "The shop opens at nine in the morning on weekdays and at ten on Sundays.",
            "平日は九時から、日曜日は十時から開いています。"
        ),
        ["language"]
    );
    let no_gold: &[&str] = &[];
    assert!(defaults.mark("anything", no_gold, "").is_empty());
    // The built-in ones can be written down, edited and read again.
    let text = toml::to_string(&File { errors: super::defaults() }).unwrap();
    assert_eq!(toml::from_str::<File>(&text).unwrap().errors, super::defaults(), "{text}");
}

#[test]
fn a_person_has_the_last_word() {
    let defaults = Catalogue::new(Vec::new()).unwrap();
    let said = |category: &str, present| Correction {
        record: "r1".to_owned(),
        system: "tuned".to_owned(),
        category: category.to_owned(),
        present,
    };
    let mark = |answer: &str, all: &[Correction]| {
        defaults.mark_corrected(answer, &["It opens at 9."], "", &corrections_of(all, "r1", "tuned"))
    };
    let typed = mark("It opens at 10.", &[said("refused", true)]);
    assert_eq!(names(&typed), ["refused"], "another error explains it, so it is not `wrong` too");
    assert!(typed[0].by_person);
    assert_eq!(names(&mark("I'm unable to say.", &[said("refused", false)])), ["wrong"], "it still is not right");
    assert_eq!(names(&mark("It opens at 9 o'clock.", &[said("wrong", false)])), [""; 0]);
    assert_eq!(names(&mark("It opens at 9.", &[said("wrong", true)])), ["wrong"]);
    assert_eq!(names(&mark("It opens at 9.", &[said("wrong", true), said("wrong", false)])), [""; 0], "the later word");
    assert_eq!(names(&mark("It opens at 9.", &[said("gone", true)])), [""; 0]);
    let other = [Correction { system: "base".to_owned(), ..said("wrong", true) }];
    assert_eq!(names(&mark("It opens at 9.", &other)), [""; 0], "that is said of another system");
}

#[test]
fn wrong_categories_are_refused_by_name() {
    let with = |rule: &str| refuse(&format!("[[errors]]\nname = \"tone\"\ncause = \"behaviour\"\nrules = [{rule}]\n"));
    for (rule, part) in [
        (r#"{ kind = "regex", pattern = "(" }"#, "`(` is no regular expression"),
        (r#"{ kind = "json-schema", schema = { type = "objekt" } }"#, "no JSON schema"),
        (r#"{ kind = "json-schema", schema = "{" }"#, "no JSON schema"),
        (r#"{ kind = "json-schema", schema = { "$ref" = "https://example.com/s.json" } }"#, "no JSON schema"),
        (r#"{ kind = "language", is = "Klingon" }"#, "Klingon"),
        (r#"{ kind = "length" }"#, "max_ratio"),
        (r#"{ kind = "length", max_ratio = 0 }"#, "above 0"),
        (r#"{ kind = "contains", texts = [""] }"#, "empty text"),
    ] {
        let error = with(rule);
        assert!(error.contains("`tone`") && error.contains(part), "{rule}: {error}");
    }
    for (rule, part) in [
        (r#"{ kind = "regex", patern = "a" }"#, "patern"),
        (r#"{ kind = "length", max = 3, unit = "bytes" }"#, "bytes"),
        (r#"{ kind = "valid-json", where_gold = true }"#, "where_gold"),
        (r#"{ kind = "rhyme" }"#, "rhyme"),
    ] {
        let error = with(rule);
        assert!(error.contains(part), "{rule}: {error}");
    }
    assert!(refuse("[[errors]]\nname = \"a\"\ncause = \"luck\"").contains("luck"));
    assert!(refuse("[[errors]]\nname = \"a\"\ncause = \"behaviour\"\nrule = 1").contains("rule"));
    for name in ["", " ", "none", "twice"] {
        let twice = format!(
            "[[errors]]\nname = \"twice\"\ncause = \"behaviour\"\n[[errors]]\nname = \"{name}\"\ncause = \"knowledge\""
        );
        assert!(refuse(&twice).contains(&format!("`{name}`")));
    }
}

const TWO: &str =
    "[[errors]]\nname = \"fact\"\ncause = \"knowledge\"\n[[errors]]\nname = \"tone\"\ncause = \"behaviour\"\n";

/// Records with a letter for each error: `f`act and `t`one.
fn marked<'a>(of: impl IntoIterator<Item = &'a str>) -> Marked {
    let name = |c| if c == 'f' { "fact" } else { "tone" }.to_owned();
    let record = |(at, errors): (usize, &str)| (format!("r{at}"), errors.chars().map(name).collect());
    Marked { records: of.into_iter().enumerate().map(record).collect() }
}

#[test]
fn a_matrix_tells_what_was_fixed_what_is_new_and_what_stayed() {
    let catalogue = catalogue(TWO);
    let before = marked(["f", "f", "ft", "t", "", "", "t"]);
    let mut after = marked(["", "f", "t", "f", "", "t"]);
    after.records.push(("other".to_owned(), BTreeSet::new()));
    let matrix = Matrix::of(&catalogue, &before, &after);
    assert_eq!((matrix.records, matrix.left_out), (6, 2), "`r6` and `other` were answered by one system only");
    let fact = &matrix.changes[0];
    assert_eq!((fact.category.as_str(), fact.before, fact.after), ("fact", 3, 2));
    assert_eq!(
        (fact.fixed.join(","), fact.new.join(","), fact.stayed.join(",")),
        ("r0,r2".into(), "r3".into(), "r1".into())
    );
    let tone = &matrix.changes[1];
    assert_eq!((tone.before, tone.after, tone.fixed.len(), tone.new.len(), tone.stayed.len()), (2, 2, 1, 1, 1));
    assert_eq!((fact.test.gained, fact.test.lost), (2, 1));
    assert_eq!(matrix.names, ["fact", "tone", NONE]);
    // r0 f->none, r1 f->f, r2 f,t->t, r3 t->f, r4 none->none, r5 none->t.
    assert_eq!(matrix.transitions, [[1, 1, 1], [1, 1, 0], [0, 1, 1]]);
    assert_eq!((matrix.clean_before, matrix.clean_after), (2, 2));
}

#[test]
fn p_values_of_a_matrix_are_corrected_over_its_categories() {
    let catalogue = catalogue(TWO);
    let before = marked(std::iter::repeat_n("f", 6).chain(std::iter::repeat_n("", 4)));
    let after = marked(std::iter::repeat_n("", 10));
    let matrix = Matrix::of(&catalogue, &before, &after);
    assert!((matrix.changes[0].test.mid_p - 0.015_625).abs() < 1e-12);
    assert!((matrix.changes[0].p_adjusted - 0.031_25).abs() < 1e-12);
    assert!((matrix.changes[1].p_adjusted - 1.0).abs() < 1e-12);
}

/// Errors over 100 records: so many of one kind, then of the next, and none on the rest.
fn hundred(kinds: &[(&'static str, usize)]) -> Marked {
    let errors = kinds.iter().flat_map(|(errors, times)| std::iter::repeat_n(*errors, *times));
    marked(errors.chain(std::iter::repeat("")).take(100))
}

fn advise(base: &Marked, prompted: Option<&Marked>, tuned: &Marked) -> Advice {
    let advice = Advice::of(&catalogue(TWO), Systems { base, prompted, tuned }, &Lines::default());
    eprintln!("{:?}: {} {:?}", advice.verdict, advice.why, advice.notes);
    advice
}

#[test]
fn advice_follows_what_remains() {
    let base = hundred(&[("t", 60), ("f", 20)]);
    let knowledge = advise(&base, None, &hundred(&[("t", 3), ("", 57), ("f", 20)]));
    assert_eq!(knowledge.verdict, Verdict::ContinuePretraining);
    assert_eq!((knowledge.gap.knowledge, knowledge.gap.behaviour, knowledge.records.len()), (20, 3, 20));
    assert!(knowledge.why.contains("20 lack knowledge") && knowledge.records[0] == "r60", "{knowledge:?}");
    let behaviour = advise(&base, None, &hundred(&[("t", 40)]));
    assert_eq!((behaviour.verdict, behaviour.records.len()), (Verdict::InstructionTune, 40));
    assert!(behaviour.notes.iter().any(|note| note.contains("nobody tried a better prompt")));
    let even = advise(&base, None, &hundred(&[("t", 12), ("f", 10), ("ft", 5)]));
    assert_eq!((even.verdict, even.gap.both), (Verdict::CannotTell, 5));
    assert!(even.why.contains("cannot be told"), "{}", even.why);
    let ready = advise(&base, None, &hundred(&[]));
    assert_eq!((ready.verdict, ready.records.len()), (Verdict::Ready, 0));
    let few = advise(&base, None, &hundred(&[("t", 3)]));
    assert_eq!(few.verdict, Verdict::CannotTell, "3 of 100 may be more than 5 %");
    assert!(few.why.contains("test on more of them"), "{}", few.why);
}

#[test]
fn wrong_answers_alone_do_not_tell_what_is_lacking() {
    // A project that names no errors, and a tuned model whose answers are merely not the right ones.
    let usual = Catalogue::new(Vec::new()).unwrap();
    let answered = |wrong: usize, format: usize| {
        let mut marked = Marked::default();
        for at in 0..100 {
            let answer = match at {
                at if at < wrong => "{\"a\": 2}",
                at if at < wrong + format => "a is 1",
                _ => "{\"a\": 1}",
            };
            marked.add(format!("r{at}"), &usual.mark(answer, &["{\"a\": 1}"], ""));
        }
        marked
    };
    let advise = |tuned: &Marked| {
        let systems = Systems { base: &answered(0, 100), prompted: None, tuned };
        Advice::of(&usual, systems, &Lines::default())
    };
    let merely_wrong = advise(&answered(60, 0));
    assert_eq!((merely_wrong.verdict, merely_wrong.gap.unknown), (Verdict::CannotTell, 60), "{}", merely_wrong.why);
    assert!(
        merely_wrong.why.contains("do not tell") && merely_wrong.why.contains("[[errors]]"),
        "{}",
        merely_wrong.why
    );
    assert_eq!((merely_wrong.records.len(), merely_wrong.records[0].as_str()), (60, "r0"));
    assert_eq!(merely_wrong.rests_on().unwrap(), "it rests on r0, r1, r2, r3, r4, r5, r6, r7 and 52 more");
    // Behaviour that outweighs them, whatever they are, still is behaviour; and if they might outweigh it, nothing is said.
    assert_eq!(advise(&answered(10, 40)).verdict, Verdict::InstructionTune);
    let open = advise(&answered(35, 40));
    assert_eq!((open.verdict, open.records.len()), (Verdict::CannotTell, 35), "{}", open.why);
    // A person who reads them and says what they are settles it.
    let mut sorted = answered(0, 0);
    let fact =
        Correction { record: String::new(), system: String::new(), category: "wrong-fact".to_owned(), present: true };
    for at in 0..60 {
        let marks = usual.mark_corrected("{\"a\": 2}", &["{\"a\": 1}"], "", &[&fact]);
        assert_eq!(names(&marks), ["wrong-fact"]);
        sorted.add(format!("r{at}"), &marks);
    }
    assert_eq!(advise(&sorted).verdict, Verdict::ContinuePretraining);
}

#[test]
fn advice_weighs_a_better_prompt_against_tuning() {
    let base = hundred(&[("t", 60), ("f", 20)]);
    let tuned = hundred(&[("", 50), ("t", 10), ("f", 20)]);
    let as_good = advise(&base, Some(&hundred(&[("", 48), ("t", 10), ("f", 20)])), &tuned);
    assert_eq!(as_good.verdict, Verdict::PromptBetter);
    assert!(as_good.why.contains("right on 48 of the 50"), "{}", as_good.why);
    let better = advise(&base, Some(&hundred(&[("", 60), ("f", 10)])), &tuned);
    assert_eq!(better.verdict, Verdict::PromptBetter);
    let worse = advise(&base, Some(&hundred(&[("", 20), ("t", 40), ("f", 20)])), &tuned);
    assert_eq!(worse.verdict, Verdict::CannotTell, "what remains is as much the one as the other");
    assert_eq!(worse.prompted_tuned.unwrap().gained, 30);
    let no_help = advise(&base, Some(&base), &hundred(&[("t", 40)]));
    assert_eq!(no_help.verdict, Verdict::InstructionTune);
    // 10 of the other 20 for each: nothing to tell them apart by, and they fix different records.
    let mixed = advise(&base, Some(&hundred(&[("t", 30), ("", 50)])), &hundred(&[("", 50), ("t", 30)]));
    assert_eq!(mixed.verdict, Verdict::CannotTell);
    assert!(mixed.why.contains("which of the two is better cannot be told"), "{}", mixed.why);
    assert_eq!(mixed.records.len(), 60);
}

#[test]
fn advice_says_where_there_is_too_little() {
    let none = advise(&marked([]), None, &marked([]));
    assert_eq!((none.verdict, none.gap.records), (Verdict::CannotTell, 0));
    assert!(none.why.contains("same test set"), "{}", none.why);
    let two = advise(&marked(["t", "t"]), None, &marked(["t", ""]));
    assert_eq!(two.verdict, Verdict::CannotTell);
    assert!(two.notes.iter().any(|note| note.contains("no difference that can be told from chance")));
    let worse = advise(&hundred(&[("t", 10)]), None, &hundred(&[("t", 40)]));
    assert!(worse.notes.iter().any(|note| note.contains("made it worse")));
}
