//! Checks that compare records, and what is said of a whole set.

use super::*;

#[test]
fn copies_are_reported_and_the_accepted_or_first_one_is_kept() {
    let mut records = sound_and(&[
        ("WHAT can be said about the river", "A river flows what people bring to it - number 0"),
        ("What can be said about the  winter?", "A winter cools what people bring to it, number 1!"),
    ]);
    records[0].state.status = Status::Draft;
    let findings = lint(&records, &Settings::default(), None);
    let found: Vec<_> = findings.iter().filter_map(|f| Some((f.record?, f.check, f.others.clone()))).collect();
    assert_eq!(found, [(1, "exact-duplicate", vec![21]), (22, "exact-duplicate", vec![2])]);
    records[20].state.status = Status::Rejected;
    assert_eq!(said(&records), [(22, "exact-duplicate", Severity::Warning)], "rejected records count for nothing");
}

#[test]
fn another_answer_is_an_error_where_answers_are_right_or_wrong() {
    let labels: Vec<(String, &str)> = (0..30)
        .map(|at| (format!("message {at} of somebody else"), if at % 2 == 0 { "spam" } else { "ham" }))
        .collect();
    let mut rows: Vec<(&str, &str)> = labels.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    rows.push(("Message 4 of somebody else!", "ham"));
    let found = said(&pairs("Label it.", &rows));
    assert_eq!(found, [(5, "contradiction", Severity::Error), (31, "contradiction", Severity::Error)]);
    let free =
        said(&sound_and(&[("What can be said about the river?", "Nothing much, since it has long run dry and gone.")]));
    assert_eq!(free, [(1, "contradiction", Severity::Info), (21, "contradiction", Severity::Info)]);
    rows.pop();
    rows.push(("Message 4 of somebody else!", "TODO"));
    assert_eq!(said(&pairs("Label it.", &rows)), [(31, "empty", Severity::Error)], "a filler contradicts nobody");
}

#[test]
fn a_held_out_prompt_that_is_trained_on_is_a_leak_on_both_sides() {
    let long =
        "Could you tell me how long the delivery of my parcel to the north of the country will take this winter?";
    let mut records = sound_and(&[
        ("What can be said about the river?", "It is long."),
        (long, "Two days."),
        (&long.replace("this winter", "this Winter, please"), "About two days."),
    ]);
    for at in [20, 22] {
        records[at] = split(records[at].clone(), Split::Test);
    }
    let leaks: Vec<_> = said(&records).into_iter().filter(|(_, check, _)| *check == "leak").collect();
    assert_eq!(
        leaks,
        [
            (1, "leak", Severity::Error),
            (21, "leak", Severity::Error),
            (22, "leak", Severity::Warning),
            (23, "leak", Severity::Warning)
        ]
    );
    assert!(said(&records).iter().all(|(_, check, _)| *check != "near-duplicate"), "one fault is told once");
    for record in &mut records {
        record.state.split = Some(Split::Train);
    }
    assert!(said(&records).iter().all(|(_, check, _)| *check != "leak"));
}

#[test]
fn an_answer_in_another_language_is_found_unless_the_task_asks_for_it() {
    let foreign = ("What can be said about the ship?", "船は港に泊まっていて、明日の朝に出ます。");
    assert_eq!(said(&sound_and(&[foreign])), [(21, "language", Severity::Warning)]);
    let asked = ("Name the ship in Japanese, as a sailor would say it.", "港に泊まっている船のことです。");
    assert_eq!(said(&sound_and(&[asked])), []);
    let sound = sound();
    let translated: Vec<(&str, &str)> = sound.iter().map(|(question, _)| (question.as_str(), foreign.1)).collect();
    let records = pairs("Do as before, but for the other office.", &translated);
    assert!(said(&records).iter().all(|(_, check, _)| *check != "language"), "all answers are in that language");
    assert_eq!(
        of_one("船はいつ出ますか。港に泊まっています。", "The answer is not written in the passage."),
        ["language"]
    );
    assert_eq!(of_one("UNTSOを日本語でこたえよ", "The answer is not written in the passage."), ["language"]);
    let settings = Settings { answers_in_another_language: true, ..Settings::default() };
    assert!(lint(&sound_and(&[foreign]), &settings, None).iter().all(|finding| finding.record.is_none()));
}

#[test]
fn an_answer_of_quite_another_length_is_found() {
    let long = "It carries what the people of the coast have made. ".to_owned()
        + &sound().iter().map(|(_, answer)| answer.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(said(&sound_and(&[("And the cart?", &long)])), [(21, "length", Severity::Warning)]);
    assert_eq!(said(&sound_and(&[("And the cart?", "Ox")])), [(21, "length", Severity::Warning)]);
}

#[test]
fn fillers_are_found_where_others_answer_and_labels_are_not() {
    for filler in ["???", "TODO", "N/A", "なし", "...", "(TBD)", "-"] {
        let found = said(&sound_and(&[("And the cart?", filler)]));
        assert!(found.contains(&(21, "empty", Severity::Error)), "{filler}: {found:?}");
    }
    for blank in ["", "  \n"] {
        assert_eq!(said(&sound_and(&[("And the cart?", blank)])), [(21, "empty", Severity::Error)]);
    }
    let labels: Vec<(String, &str)> =
        (0..40).map(|at| (format!("text {at} about nothing"), if at % 3 == 0 { "none" } else { "person" })).collect();
    let rows: Vec<(&str, &str)> = labels.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    assert_eq!(said(&pairs("Which kind of name is in it?", &rows)), []);
    let mut waiting = sound_and(&[]);
    for record in &mut waiting {
        record.state.status = Status::Inbox;
        let Content::Pair { gold, .. } = &mut record.state.content else { continue };
        *gold = None;
    }
    assert_eq!(said(&waiting), [], "what is still to be answered is no fault");
    waiting[3].state.status = Status::Gold;
    assert_eq!(said(&waiting), [(4, "empty", Severity::Error)]);
}

#[test]
fn markup_is_found_where_the_others_have_none() {
    for answer in [
        "<p>Hello&nbsp;<b>there</b></p>",
        "Call {{Customer Support Phone Number}} for a sentence.",
        "Dear [NAME], it is a cart.",
        "TODO: write answer",
        "lorem ipsum dolor sit amet",
        "〇〇株式会社",
    ] {
        let found = said(&sound_and(&[("And the cart?", answer)]));
        assert!(found.contains(&(21, "markup", Severity::Warning)), "{answer}: {found:?}");
    }
    let usual: Vec<(String, String)> =
        sound().into_iter().map(|(a, b)| (a, format!("{b} Call {{{{Phone}}}}."))).collect();
    let rows: Vec<(&str, &str)> = usual.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(said(&pairs("Reply.", &rows)), []);
}

#[test]
fn broken_json_is_found_among_json_only() {
    let rows: Vec<(String, String)> =
        (0..20).map(|at| (format!("thing number {at}"), format!("{{\"n\": {at}, \"kind\": [\"k{at}\"]}}"))).collect();
    let mut rows: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    rows.push(("thing number 20", "{\"n\": 20, \"kind\": [\"k2"));
    assert_eq!(said(&pairs("As JSON.", &rows)), [(21, "invalid-json", Severity::Error)]);
    assert_eq!(said(&sound_and(&[("And the cart?", "{\"n\": 20, \"kind\": \"of a cart with")])), []);
}

#[test]
fn small_and_large_categories_and_a_models_share_are_told_of_the_set() {
    let mut records = Vec::new();
    for (category, count) in [("returns", 12), ("delivery", 15), ("rare", 3), ("common", 200)] {
        for _ in 0..count {
            let id = records.len() as i64 + 1;
            let mut record = pair(id, &[("prompt", &format!("{category} {id}"))], Some("ok"));
            record.state.category = Some(category.into());
            record.origin = if id % 2 == 0 { Origin::Model } else { Origin::Human };
            records.push(record);
        }
    }
    let findings = lint(&records, &Settings::default(), None);
    let set: Vec<_> = findings.iter().filter(|f| f.record.is_none()).collect();
    assert_eq!(
        set.iter().map(|f| (f.check, f.severity)).collect::<Vec<_>>(),
        [("balance", Severity::Warning), ("balance", Severity::Warning), ("machine-written", Severity::Warning)]
    );
    assert!(set[0].reason.contains("rare (3)") && set[1].reason.contains("common has 200"), "{set:?}");
    assert!(set[2].reason.contains("115 of 230 gold answers (50 %)"), "{}", set[2].reason);
    for record in &mut records {
        let Content::Pair { draft, .. } = &mut record.state.content else { continue };
        *draft = Some("another".into());
    }
    let findings = lint(&records, &Settings::default(), None);
    let share = findings.iter().find(|f| f.check == "machine-written").unwrap();
    assert_eq!((share.severity, share.others.len()), (Severity::Info, 0), "people changed them all");
}

#[test]
fn an_edited_record_is_judged_as_a_whole_run_would_judge_it() {
    let mut records = sound_and(&[("And the cart?", "It rolls, as carts do, on two wheels.")]);
    let mut index = Index::new(&records, &Settings::default());
    let edits = [
        "It rolls, as carts do, on two wheels.<|im_end|>",
        "車輪が二つあって、馬が引いて進みます。",
        "",
        "It rolls, as carts do; mail ann@contoso.com.",
    ];
    for answer in edits {
        let Content::Pair { gold, .. } = &mut records[20].state.content else { continue };
        *gold = Some(answer.into());
        let at_once = relint(&index, &records[20], None);
        let full: Vec<Finding> =
            lint(&records, &Settings::default(), None).into_iter().filter(|f| f.record == Some(21)).collect();
        assert_eq!(at_once, full, "{answer}");
        assert_eq!(at_once.len(), 1);
        index.update(&records[20]);
        assert_eq!(relint(&index, &records[20], None), full, "{answer}");
    }
    // A copy of another record, and a record that the index has never seen.
    records[20] = Record { id: 21, ..records[4].clone() };
    assert_eq!(relint(&index, &records[20], None)[0].others, [5]);
    let stranger = Record { id: 500, ..records[4].clone() };
    assert_eq!(relint(&index, &stranger, None)[0].check, "exact-duplicate");
    records[20].state.status = Status::Rejected;
    index.update(&records[20]);
    assert_eq!(relint(&index, &records[20], None), []);
    assert!(index.facts(21).is_none() && index.totals().records == 20);
}

#[test]
fn the_order_of_records_and_threads_changes_nothing() {
    let records =
        sound_and(&[("What can be said about the river?", "???"), ("What can be said about the winter?", "cafÃ©")]);
    let found = lint(&records, &Settings::default(), None);
    let mut turned = records.clone();
    turned.reverse();
    assert_eq!(lint(&turned, &Settings::default(), None), found);
    let settings = Settings { off: vec!["empty".into()], ..Settings::default() };
    let less = lint(&records, &settings, None);
    assert!(less.len() < found.len() && less.iter().all(|finding| finding.check != "empty"));
}

#[test]
fn checks_have_names_of_their_own_and_say_why() {
    let mut names: Vec<&str> = CHECKS.iter().map(|check| check.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CHECKS.len());
    assert!(CHECKS.iter().all(|check| check.why().len() > 20));
    assert!(named("near-duplicate").is_some_and(|check| check.scope() == Scope::Across) && named("no").is_none());
}
