//! Checks that look at one record.

use super::*;

#[test]
fn what_people_write_every_day_is_not_alarmed() {
    assert_eq!(said(&sound_and(&[])), []);
    for (prompt, answer) in [
        ("Where is order 4111111111111112 of 2024-01-31?", "It left on 2024-02-01, track it as JP-2024-0012-3456."),
        ("Which ISBN has the book?", "978-3-16-148410-0, in the edition of 1998-2001."),
        (
            "How do I reset my password?",
            "Password: at least eight characters, then press Reset. Password must hold a digit.",
        ),
        ("パスワードは何文字ですか", "パスワードは8文字以上の英数字です。"),
        ("Call the hotline?", "Yes: 0120-123-456 or 1-800-555-0199, or write to help@example.com."),
        ("Is 1 < 2 and a>b & c?", "Yes, 1 < 2; [see page 3] and {x | x > 0}."),
        ("What does <b> do in HTML?", "<b>text</b> makes text bold."),
        ("東京はどこ", "日本"),
        ("What is the Japanese name of the largest city?", "東京"),
        ("略称は何ですか", "UNTSO"),
        ("Which commit was it?", "e83c5163316f89bfbde7d9ab23ca2e25604af290"),
        ("Where is the file?", "https://example.org/a/Zk3J9vQ2LmX8bT5nR7wY1cD4fG6hS0pA?x=1"),
        ("着物の模様は", "繧繝錦という。糸が縺れるので縺れないように織る。"),
        ("Sound of laughter?", "ha ha ha ha ha"),
        ("What does the shop offer?", "I hope this helps: it sells shoes, and it is open until six."),
        ("価格は？", "4980円（税込）、〒マークは郵便の記号です。"),
    ] {
        assert_eq!(of_one(prompt, answer), Vec::<&str>::new(), "{prompt} / {answer}");
    }
}

#[test]
fn tokens_of_chat_formats_are_found_in_prompts_and_answers() {
    for text in [
        "yes<|im_end|>",
        "[/INST] yes",
        "### Response:\nyes",
        "<|start_header_id|>x",
        "<｜User｜>",
        "<NL>はい",
        "yes</s>",
    ] {
        assert_eq!(of_one("Is it?", text), ["template-token"], "{text}");
        assert_eq!(of_one(text, "It is."), ["template-token"], "{text}");
    }
    assert_eq!(of_one("何年？", "システム: 1956年"), ["template-token"]);
    assert_eq!(of_one("Translate this dialogue: \nAssistant: hello", "Bonjour"), Vec::<&str>::new());
}

struct Fixed(Vec<String>, Vec<String>);

impl Measure for Fixed {
    fn length(&self, record: &Record) -> Option<usize> {
        record.state.content.answer().map(|answer| answer.split(' ').count())
    }
    fn ends(&self) -> &[String] {
        &self.0
    }
    fn special(&self) -> &[String] {
        &self.1
    }
}

#[test]
fn the_models_own_end_in_an_answer_is_an_error_and_its_other_tokens_are_not() {
    let measure = Fixed(vec!["<end>".into()], vec!["<end>".into(), "<mask>".into()]);
    let records = [
        pair(1, &[("prompt", "a")], Some("one <end> two")),
        pair(2, &[("prompt", "b <end>")], Some("one two")),
        pair(3, &[("prompt", "c")], Some("a <mask> b")),
        pair(4, &[("prompt", "d")], Some("one two three four five")),
    ];
    let settings = Settings { max_length: Some(4), ..Settings::default() };
    let findings = lint(&records, &settings, Some(&measure));
    let found: Vec<_> = findings.iter().filter_map(|f| Some((f.record?, f.check, f.severity))).collect();
    assert_eq!(
        found,
        [
            (1, "template-token", Severity::Error),
            (2, "template-token", Severity::Warning),
            (3, "template-token", Severity::Warning),
            (4, "too-long", Severity::Warning)
        ]
    );
    let span = findings.iter().find(|finding| finding.record == Some(1)).and_then(|finding| finding.span.clone());
    assert_eq!(span, Some(Span { field: "gold".into(), start: 4, end: 9 }));
}

#[test]
fn a_models_phrases_are_found_in_both_languages() {
    for answer in [
        "As an AI language model, I cannot have a favourite.",
        "I'm sorry, but I can't assist with that request.",
        "AI言語モデルとして、お答えすることはできません。",
        "申し訳ございませんが、私はAIなので個人的な意見を持っていません。",
        "As of my last knowledge update in September 2021, it had not been built.",
        "Certainly! Here is the list you asked for: red, blue. I hope this helps!",
    ] {
        let prompt =
            if answer.is_ascii() { "Which one do you like best of these?" } else { "どれが好きですか" };
        assert_eq!(of_one(prompt, answer), ["boilerplate"], "{answer}");
    }
    let many: Vec<(&str, &str)> = vec![("Do you?", "As an AI, I have nothing to say about a cart."); 1];
    let found = said(&sound_and(&many));
    assert_eq!(found, [(21, "boilerplate", Severity::Error)], "one in 21 is over a hundredth");
}

#[test]
fn people_are_recognised_by_their_numbers_and_addresses() {
    for (text, place) in [
        ("Please mail john.smith@contoso.com about it", "john.smith@contoso.com"),
        ("my phone is +1 415 555 0132", "+1 415 555 0132"),
        ("携帯は090-1234-5678です", "090-1234-5678"),
        ("電話：０３－１２３４－５６７８まで", "０３－１２３４－５６７８"),
        ("携帯は０９０ー１２３４ー５６７８です", "０９０ー１２３４ー５６７８"),
        ("call (415) 555-0132 today", "(415) 555-0132"),
        ("card 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("amex 378282246310005 ok", "378282246310005"),
        ("ssn 078-05-1120", "078-05-1120"),
        ("〒100-0001 東京都", "〒100-0001"),
        ("住所は100-0001 東京都千代田区", "100-0001 東京都"),
        ("個人番号は123456789018です", "123456789018"),
        ("1234-5678-9018", "1234-5678-9018"),
    ] {
        let record = pair(1, &[("prompt", text)], Some("ok then"));
        let findings = lint(&[record], &Settings::default(), None);
        let found: Vec<_> = findings.iter().filter(|f| f.check == "personal-data").collect();
        assert_eq!(found.len(), 1, "{text}: {findings:?}");
        let span = found[0].span.as_ref().unwrap();
        assert_eq!((span.field.as_str(), text.get(span.start..span.end)), ("prompt", Some(place)));
    }
    for text in [
        "123456789018",
        "4111 1111 1111 1112",
        "000-12-3456",
        "12-090-1234-5678-9",
        "2024-01-31 10:22",
        "個人番号は123456789017です",
    ] {
        assert_eq!(of_one(text, "ok then"), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn keys_and_passwords_are_found() {
    for text in [
        "AWS key AKIAIOSFODNN7EXAMPLE",
        "token ghp_0123456789abcdefABCDEF0123456789abcd",
        "server 192.168.10.24 password=hunter2",
        "-----BEGIN RSA PRIVATE KEY-----",
        "export API_KEY=\"Zk3J9vQ2LmX8bT5n\"",
        "パスワード：abc12345",
        "use 9Zk3J9vQ2LmX8bT5nR7wY1cD4fG6hS0pA please",
    ] {
        assert_eq!(of_one(text, "ok then"), ["secret"], "{text}");
    }
    let mut records = sound_and(&[]);
    for record in records.iter_mut().step_by(3) {
        let Content::Pair { fields, .. } = &mut record.state.content else { continue };
        fields.insert("input".into(), json!(format!("{} 9Zk3J9vQ2LmX8bT5nR7wY1cD4fG6hS0pA", record.id)));
    }
    assert_eq!(said(&records), [], "data that is full of such words has them as its own");
}

#[test]
fn wrong_encodings_are_found() {
    for (text, check) in [
        ("caf\u{fffd}", true),
        ("cafÃ© donâ€™t", true),
        ("縺ゅ＞縺�縺医♀", true),
        ("蜊ｱ髯ｺ諤ｧ縺碁ｫ倥＞縺九ｉ縺ｧ縺ゅｋ", true),
        ("a\u{93}quoted\u{94}", true),
        ("ÃO PAULO and SÃO, Château, déjà vu — “quoted”…", false),
        ("カフェ、Ærø、naïve", false),
    ] {
        let found = of_one(text, "42");
        assert_eq!(found.contains(&"mojibake"), check, "{text}: {found:?}");
    }
    let record = pair(1, &[("prompt", "ﾔﾏﾀﾞ ﾀﾛｳ")], Some("42"));
    assert_eq!(said(&[record]), [(1, "mojibake", Severity::Info)], "names in half-width kana are written so by some");
}

#[test]
fn loops_are_found_wherever_they_begin() {
    let circle = "水色 ".repeat(100);
    assert_eq!(of_one("何色か", &circle), ["repetition"]);
    let story = sound().iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>().join(" ");
    let late = format!("{story} {}{}", story, "and so on, and so on, ".repeat(120));
    assert_eq!(of_one("Tell me a story.", &late), ["repetition"], "at the end of a long answer");
    assert_eq!(of_one("Draw a table.", &format!("a | b\n{}\n1 | 2", "-".repeat(200))), Vec::<&str>::new());
    assert_eq!(said(&[document(1, &circle)]), [(1, "repetition", Severity::Warning)]);
}

#[test]
fn chats_and_texts_are_checked_where_they_speak() {
    let records = [
        chat(
            1,
            vec![
                turn("user", "Hi, who are you?"),
                turn("assistant", "As an AI, I am nobody."),
                turn("user", "Oh."),
                turn("assistant", "Yes."),
            ],
        ),
        chat(2, vec![turn("user", "As an AI language model, what would you say?"), turn("assistant", "Good day.")]),
        chat(3, vec![turn("user", "Are you there at all?"), turn("assistant", "  ")]),
        document(4, "Write to ann@contoso.com for the rest of this document."),
    ];
    let findings = lint(&records, &Settings::default(), None);
    let found: Vec<_> = findings
        .iter()
        .filter_map(|f| Some((f.record?, f.check, f.span.as_ref().map_or("", |span| span.field.as_str()))))
        .collect();
    let expected =
        [(1, "boilerplate", "turns[1].content"), (3, "empty", "turns[1].content"), (4, "personal-data", "text")];
    assert_eq!(found, expected);
}
