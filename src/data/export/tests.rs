use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::data::import::{self, ImportError, Item, Options, Row};
use crate::store::{Origin, Source, State, Status, Turn};

fn record(id: i64, content: Content) -> Record {
    let source = Source { file: "f".into(), line: 1, id: Some(format!("row {id}")) };
    Record { id, revision: id, state: State::new(content, Status::Gold), origin: Origin::Human, source: Some(source) }
}

fn pair(fields: &Value, draft: Option<&str>, gold: &str) -> Content {
    let fields = fields.as_object().unwrap().clone();
    Content::Pair { fields, draft: draft.map(str::to_owned), gold: Some(gold.to_owned()) }
}

fn written(format: Format, records: &[Record], list: bool) -> (Vec<u8>, Vec<(i64, String)>) {
    let made = export(format, records, &Prompt::default(), list).unwrap();
    (made.files.into_iter().next().unwrap().1, made.left_out)
}

fn read_back(name: &str, bytes: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    import::read_bytes(name, bytes, &Options::default(), &mut |item| -> Result<(), ImportError> {
        match item {
            Item::Row(row) => rows.push(row),
            Item::Refused { line, reason, raw } => panic!("line {line}: {reason}: {raw}"),
        }
        Ok(())
    })
    .unwrap();
    rows
}

fn assert_same(records: &[Record], rows: &[Row]) {
    assert_eq!(rows.len(), records.len());
    for (record, row) in records.iter().zip(rows) {
        assert_eq!(row.content, record.state.content);
        assert_eq!(row.id, record.source.as_ref().and_then(|source| source.id.clone()));
        assert_eq!(row.category, record.state.category);
        assert_eq!(row.tags, record.state.tags);
        assert_eq!(row.references, record.state.references);
    }
}

fn text() -> impl Strategy<Value = String> {
    let signs = prop_oneof![
        4 => "[a-zA-Z0-9 ]{1,12}",
        2 => "[ぁ-んァ-ヶ一-龠。、「」]{1,12}",
        1 => Just("\"quoted\", and; more".to_owned()),
        1 => Just("two\nlines\n\nand three".to_owned()),
        1 => Just("{{name}} <b>|\t| # - `x`".to_owned()),
        1 => Just("\u{1F600}e\u{301}\u{200B}".to_owned()),
    ];
    proptest::collection::vec(signs, 1..4).prop_map(|parts| format!("x{}x", parts.concat()))
}

fn pairs() -> impl Strategy<Value = Vec<Record>> {
    let one = (text(), text(), text(), proptest::option::of(text()), proptest::collection::vec("[a-z]{1,6}", 0..3));
    proptest::collection::vec(one, 1..6).prop_map(|all| {
        let all = all.into_iter().enumerate();
        all.map(|(i, (instruction, input, output, category, mut tags))| {
            let mut record =
                record(i as i64 + 1, pair(&json!({ "instruction": instruction, "input": input }), None, &output));
            record.state.category = category;
            tags.sort();
            tags.dedup();
            record.state.tags = tags;
            record
        })
        .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_comes_back_the_same(records in pairs()) {
        for (format, list) in [(Format::Alpaca, false), (Format::Alpaca, true), (Format::Csv, false), (Format::Parquet, false)] {
            let (bytes, left_out) = written(format, &records, list);
            prop_assert!(left_out.is_empty());
            assert_same(&records, &read_back("f", &bytes));
        }
    }

    #[test]
    fn prompts_and_preferences_come_back_the_same(prompt in text(), draft in text(), gold in text()) {
        let one = [record(1, pair(&json!({ "prompt": prompt }), None, &gold))];
        assert_same(&one, &read_back("f", &written(Format::PromptCompletion, &one, false).0));
        let both = [record(1, pair(&json!({ "prompt": prompt }), Some(&draft), &format!("{gold}!")))];
        if draft != format!("{gold}!") {
            assert_same(&both, &read_back("f", &written(Format::Preference, &both, true).0));
        }
    }
}

fn turn(role: &str, content: &str) -> Turn {
    Turn { role: role.into(), content: Some(content.into()), ..Turn::default() }
}

#[test]
fn a_chat_with_tools_and_weights_comes_back_the_same() {
    let call =
        json!([{ "id": "c1", "type": "function", "function": { "name": "find", "arguments": { "q": "東京" } } }]);
    let calling = Turn {
        role: "assistant".into(),
        content: None,
        more: json!({ "tool_calls": call }).as_object().unwrap().clone(),
        ..Turn::default()
    };
    let answer = Turn { more: json!({ "tool_call_id": "c1" }).as_object().unwrap().clone(), ..turn("tool", "[]") };
    let turns = vec![
        turn("system", "be kind"),
        turn("user", "where?"),
        calling,
        answer,
        Turn { weight: Some(0), ..turn("assistant", "nowhere") },
        turn("user", "really?"),
        turn("assistant", "yes"),
    ];
    let tools =
        Some(json!([{ "type": "function", "function": { "name": "find", "parameters": { "type": "object" } } }]));
    let mut one = record(1, Content::Chat { turns, tools });
    one.state.category = Some("places".into());
    let one = [one];
    let bytes = written(Format::Messages, &one, false).0;
    assert!(String::from_utf8_lossy(&bytes).contains(r#""arguments":"{\"q\":\"東京\"}""#), "a text, as others read it");
    assert_same(&one, &read_back("f", &bytes));
    assert!(written(Format::Alpaca, &one, false).1[0].1.contains("tools"));

    // A plain one fits Alpaca's history as well.
    let turns = ["hello", "hi", "and?", "so"];
    let turns = turns.iter().enumerate().map(|(i, text)| turn(["user", "assistant"][i % 2], text)).collect();
    let plain = [record(2, Content::Chat { turns, tools: None })];
    assert_same(&plain, &read_back("f", &written(Format::Alpaca, &plain, true).0));
}

#[test]
fn what_a_layout_cannot_say_is_left_out_by_name() {
    let records = [
        record(1, pair(&json!({ "question": "q" }), None, "a")),
        record(2, Content::Text { text: "t".into() }),
        record(3, pair(&json!({ "instruction": "i" }), None, " ")),
    ];
    let (bytes, left_out) = written(Format::Alpaca, &records, false);
    assert!(bytes.is_empty());
    let why: Vec<&str> = left_out.iter().map(|(_, why)| why.as_str()).collect();
    assert!(why[0].contains("question") && why[1].contains("text") && why[2].contains("no answer"), "{why:?}");
    assert_eq!(written(Format::PromptCompletion, &records, false).1.len(), 2);
    assert_eq!(written(Format::Preference, &records, false).1.len(), 3);
}

#[test]
fn jumpstart_says_the_projects_prompt_in_its_own_notation() {
    let records = [record(1, pair(&json!({ "place": "Kyoto", "month": "May" }), None, "fine {weather}"))];
    let prompt = |source: &str| Prompt { template: Some(source.into()), ..Prompt::default() };
    let made = |prompt: &Prompt| {
        let made = export(Format::JumpStart, &records, prompt, false).unwrap();
        assert_eq!(made.files.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["train.jsonl", "template.json"]);
        let [row, template] = [0, 1].map(|i| serde_json::from_slice::<Value>(&made.files[i].1).unwrap());
        (row, template)
    };
    let (row, template) = made(&prompt("{{ place }} in {{month}}: {\n"));
    assert_eq!(template, json!({ "prompt": "{place} in {month}: {{\n", "completion": "{response}" }));
    assert_eq!(row, json!({ "place": "Kyoto", "month": "May", "response": "fine {weather}", "id": "row 1" }));
    // A template that decides has no such form, so its result is written.
    let (row, template) = made(&prompt("{% if month %}{{ month }}!{% endif %}"));
    assert_eq!(template["prompt"], "{prompt}");
    assert_eq!((&row["prompt"], &row["response"]), (&json!("May!"), &json!("fine {weather}")));
    // Read again with its template, it is the record it was.
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in
        export(Format::JumpStart, &records, &prompt("{{ place }} in {{ month }}?"), false).unwrap().files
    {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut rows = Vec::new();
    let path = folder.path().join("train.jsonl");
    import::read(&path, &Options::default(), &mut |item| -> Result<(), ImportError> {
        if let Item::Row(row) = item {
            rows.push(row);
        }
        Ok(())
    })
    .unwrap();
    assert_same(&records, &rows);
}
