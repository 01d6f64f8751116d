use super::*;

fn metric(key: &str, pool: Pool) -> Metric {
    Metric { key: key.into(), name: key.into(), tokens: String::new(), pool }
}

fn metrics() -> Vec<Metric> {
    vec![metric(EXACT, Pool::Mean), metric("f1", Pool::Mean)]
}

/// A test set of `rows` questions in two categories.
fn test_set(rows: usize) -> Test {
    let question = |at: usize| Question {
        id: format!("q{at}"),
        category: Some(if at.is_multiple_of(2) { "even" } else { "odd" }.into()),
        asks: format!("what is {at}? | <b>"),
        gold: at.to_string(),
    };
    Test { name: "test.jsonl".into(), hash: "0123456789abcdef".into(), questions: (0..rows).map(question).collect() }
}

/// A system that is right on the rows where `right` says so, and on the others half right.
fn system(name: &str, rows: usize, tuned: bool, prompted: bool, right: impl Fn(usize) -> bool) -> Candidate {
    let given = |at: usize| {
        let exact = f64::from(u8::from(right(at)));
        Given {
            text: if right(at) { at.to_string() } else { format!("not {at}") },
            tokens: Some(3),
            scores: vec![Some(exact), Some(exact.max(0.5))],
            sums: vec![Sums::default(); 2],
            ..Given::default()
        }
    };
    Candidate {
        name: name.into(),
        tuned,
        prompted,
        answers: (0..rows).map(|at| Some(given(at))).collect(),
        likelihoods: (0..rows).map(|_| Some((2.0, 2, 4))).collect(),
        ..Candidate::default()
    }
}

fn quick() -> Resampling {
    Resampling { resamples: 200, ..Resampling::default() }
}

#[test]
fn a_gain_is_told_from_chance_and_the_rows_behind_it_are_named() {
    let rows = 200;
    let base = system("base", rows, false, false, |at| at < 20);
    let shown = system("base + 4 examples", rows, false, true, |at| at < 30);
    let tuned = system("a1", rows, true, false, |at| (10..130).contains(&at));
    let report = build(&test_set(rows), &metrics(), &[base, shown, tuned], &quick());
    assert_eq!((report.counted, report.pairs.len()), (200, 3));
    assert!((report.systems[2].scores[EXACT].value - 0.6).abs() < 1e-12);
    assert!(report.systems[2].scores[EXACT].interval.unwrap().contains(0.6));
    assert!((report.systems[0].perplexity.unwrap() - 1f64.exp()).abs() < 1e-12);
    let even = report.systems[2].categories["even"][EXACT];
    assert_eq!(even.rows, 100);
    // The verdict is against the best of those that are not tuned.
    let verdict = report.verdict.as_ref().unwrap();
    assert_eq!((verdict.prompted.as_str(), verdict.tuned.as_str()), ("base + 4 examples", "a1"));
    assert!(verdict.significant && verdict.text.contains("tuning beats"), "{}", verdict.text);
    assert!(!verdict.text.contains("no better prompt"), "{}", verdict.text);
    let pair = report.told_pair().unwrap();
    assert_eq!((pair.mcnemar.gained, pair.mcnemar.lost), (100, 10));
    assert_eq!((pair.changes.better.len(), pair.changes.worse.len()), (100, 10));
    assert_eq!(pair.changes.stayed_right, 20);
    assert_eq!(pair.changes.stayed_wrong.len(), 70);
    assert!(pair.changes.worse.iter().all(|change| change.turned == Turned::Broken));
    assert!((pair.differences[EXACT].difference - 0.45).abs() < 1e-12);
    assert!(pair.p_holm >= pair.mcnemar.p);
}

#[test]
fn what_may_be_chance_is_called_that() {
    let rows = 60;
    let base = system("base", rows, false, false, |at| at % 3 == 0);
    let tuned = system("a1", rows, true, false, |at| at % 3 == 1 || at == 2);
    let report = build(&test_set(rows), &metrics(), &[base, tuned], &quick());
    let verdict = report.verdict.unwrap();
    assert!(!verdict.significant && verdict.text.contains("do not tell the two apart"), "{}", verdict.text);
    // Nobody tried to prompt better, so nothing is said of that.
    assert!(verdict.text.contains("no better prompt"), "{}", verdict.text);
    assert!(report.notes.iter().any(|note| note.contains("60 rows")), "{:?}", report.notes);
}

#[test]
fn only_rows_that_all_have_answered_count() {
    let rows = 50;
    let base = system("base", rows, false, false, |_| true);
    let mut tuned = system("a1", rows, true, false, |_| true);
    for given in tuned.answers.iter_mut().skip(30) {
        *given = None;
    }
    let report = build(&test_set(rows), &metrics(), &[base, tuned], &quick());
    assert_eq!((report.rows, report.counted), (50, 30));
    assert_eq!(report.systems[0].scores[EXACT].rows, 30);
    assert!(report.notes[0].starts_with("20 rows are not counted"), "{:?}", report.notes);
}

#[test]
fn where_nothing_is_exact_the_graded_score_decides() {
    let rows = 150;
    let wrong = |name: &str, tuned, grade: f64| {
        let mut one = system(name, rows, tuned, false, |_| false);
        for given in one.answers.iter_mut().flatten() {
            given.scores = vec![Some(0.0), Some(grade), Some(0.0)];
        }
        one
    };
    // A stricter kind of exactness that is nowhere reached, either, must not hide it.
    let metrics = [metric(EXACT, Pool::Mean), metric("f1", Pool::Mean), metric("em_squad", Pool::Mean)];
    let report = build(&test_set(rows), &metrics, &[wrong("base", false, 0.2), wrong("a1", true, 0.6)], &quick());
    let verdict = report.verdict.as_ref().unwrap();
    assert_eq!(verdict.metric, "f1");
    assert!(verdict.significant && verdict.text.starts_with("f1: a1 60.0 %"), "{}", verdict.text);
    let changes = &report.told_pair().unwrap().changes;
    assert_eq!((changes.better.len(), changes.stayed_wrong.len()), (150, 0));
    assert!(changes.better.iter().all(|change| change.turned == Turned::Closer));
}

#[test]
fn a_pooled_metric_is_that_of_all_rows_together() {
    let metrics = [metric(EXACT, Pool::Mean), metric("field_f1", Pool::MicroF1)];
    let mut one = system("base", 2, false, false, |_| false);
    let counts: [Sums; 2] = [[1, 1, 10, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]];
    for (given, counts) in one.answers.iter_mut().flatten().zip(counts) {
        given.sums = vec![Sums::default(), counts];
    }
    let report = build(&test_set(2), &metrics, &[one], &quick());
    // 2 of 2 answered fields are right, of 11 asked for: not the mean of the two rows.
    assert!((report.systems[0].scores["field_f1"].value - 4.0 / 13.0).abs() < 1e-12);
}

#[test]
fn pages_hold_the_figures_and_no_markup_of_answers() {
    let rows = 120;
    let base = system("base", rows, false, false, |at| at < 5);
    let mut tuned = system("a1 <i>|", rows, true, false, |at| at < 90);
    tuned.about = "ラーメン <script>".into();
    let report = build(&test_set(rows), &metrics(), &[base, tuned], &quick());
    let page = html::page(&report).unwrap();
    assert!(page.contains("75.0 %") && page.contains("<svg") && page.contains("ラーメン &lt;script&gt;"), "{page}");
    assert!(!page.contains("<script>") && !page.contains("<i>|") && !page.contains("http"), "{page}");
    let page = markdown::page(&report);
    assert!(page.contains("75.0 %") && page.contains("ラーメン &lt;script>"), "{page}");
    // A bar in a name does not open another column.
    let heads = page.lines().find(|line| line.starts_with("| metric")).unwrap();
    assert_eq!(heads.matches('|').count() - heads.matches("\\|").count(), 4, "{heads}");
}

#[test]
fn pages_of_nothing_are_pages() {
    for (rows, systems) in [(0, vec![]), (0, vec![system("base", 0, false, false, |_| true)]), (1, vec![])] {
        let report = build(&test_set(rows), &metrics(), &systems, &quick());
        assert!(html::page(&report).unwrap().contains("</html>"));
        assert!(markdown::page(&report).starts_with("# Evaluation"));
    }
    let texts = build_texts(&test_set(3), &[system("base", 3, false, false, |_| true)]);
    assert!((texts.systems[0].bits_per_byte.unwrap() - 0.5 / std::f64::consts::LN_2).abs() < 1e-12);
    assert!(html::page(&texts).unwrap().contains("</html>"));
}

#[test]
fn where_every_row_is_nought_no_interval_is_claimed() {
    let metrics = [metric(EXACT, Pool::Mean), metric("bleu", Pool::CorpusBleu), metric("field_f1", Pool::MicroF1)];
    let none_right = |name: &str, tuned| {
        let mut one = system(name, 120, tuned, false, |_| false);
        for given in one.answers.iter_mut().flatten() {
            given.scores = vec![Some(0.0); 3];
            given.sums = vec![Sums::default(), [0, 0, 0, 0, 9, 8, 7, 6, 9, 9], [0, 2, 2, 0, 0, 0, 0, 0, 0, 0]];
        }
        one
    };
    let report = build(&test_set(120), &metrics, &[none_right("base", false), none_right("a1", true)], &quick());
    let scores = &report.systems[0].scores;
    for key in ["bleu", "field_f1"] {
        assert_eq!((scores[key].value, scores[key].interval), (0.0, None), "{key}");
        assert_eq!(report.systems[0].categories["even"][key].interval, None);
        assert_eq!(report.pairs[0].differences[key].interval, None);
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["systems"][0]["scores"][key]["interval"].is_null(), "{json}");
    }
    // Of right or wrong Wilson's interval knows that the next row may be right.
    assert!(scores[EXACT].interval.is_some_and(|interval| interval.low <= 0.0 && interval.high > 0.0));
    let lines = report.lines();
    assert_eq!(lines[1].cells[0].as_ref().unwrap().to_string(), "0.0 % (-)");
    assert!(lines[0].cells[0].as_ref().unwrap().to_string().starts_with("0.0 % (0.0 to 3."), "{lines:?}");
    for page in [markdown::page(&report), html::page(&report).unwrap()] {
        assert!(page.contains("0.0 % (-)") && !page.contains("0.0 to 0.0") && !page.contains("+0.0 to"), "{page}");
    }
}

#[test]
fn the_same_figures_stand_on_every_page() {
    let rows = 40;
    let mut slow = system("base", rows, false, false, |at| at < 5);
    slow.tokens_per_s = Some(12.0);
    slow.speeds = Some(Speeds { prompt_tokens: 40.0, prompt_tokens_per_s: 900.0, answer_tokens_per_s: 20.0 });
    slow.answers[0].as_mut().unwrap().cut = true;
    let report = build(&test_set(rows), &metrics(), &[slow, system("a1", rows, true, false, |at| at < 30)], &quick());
    let lines = report.lines();
    let labels: Vec<&str> = lines.iter().map(|line| line.label.as_str()).collect();
    let shown = [
        "exact",
        "f1",
        "loss (nats a token)",
        "perplexity",
        "bits a byte",
        "tokens an answer",
        "answers cut",
        "tokens a prompt",
        "prompt tokens a second",
        "answer tokens a second",
        "tokens a second, prompts included",
    ];
    assert_eq!(labels, shown);
    assert!(lines[..2].iter().all(Line::has_intervals) && !lines[2..].iter().any(Line::has_intervals));
    assert!(lines[7..].iter().all(|line| line.cells[1].is_none()), "nobody measured how fast the other was");
    let (md, html) = (markdown::page(&report), html::page(&report).unwrap());
    for line in &lines {
        let cell = line.cells[0].as_ref().unwrap().to_string();
        assert!(md.contains(&format!("| {} | {cell} |", line.label)), "{md}");
        assert!(html.contains(&format!("<tr><td>{}</td><td>{cell}</td>", line.label)), "{html}");
    }
}

#[test]
fn intervals_that_cannot_be_taken_at_their_word_are_named() {
    let notes = |rows: usize, right: fn(usize) -> bool| {
        let systems = [system("base", rows, false, false, |_| false), system("a1", rows, true, false, right)];
        build(&test_set(rows), &metrics(), &systems, &quick()).notes
    };
    // The base is half right everywhere: its resamples are all alike. Right or wrong is a share, with Wilson's interval.
    let many = notes(200, |at| at < 70);
    let untold = many.iter().find(|note| note.contains("shown as -")).unwrap();
    assert!(untold.contains("f1 of base") && !untold.contains("exact") && !untold.contains("of a1"), "{untold}");
    assert!(!many.iter().any(|note| note.contains("too narrow")), "{many:?}");
    let few = notes(20, |at| at < 7);
    let narrow = few.iter().find(|note| note.contains("too narrow")).unwrap();
    assert!(narrow.starts_with("over 20 rows the intervals of f1 come out"), "{narrow}");
    // Enough in all, and not in each category.
    let halves = notes(60, |at| at < 20);
    assert!(halves.iter().any(|note| note.contains("in categories of under 34 rows (even, odd)")), "{halves:?}");
}
