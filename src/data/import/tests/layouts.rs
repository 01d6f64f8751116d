//! Small files of every layout: what becomes a record, and of which kind.

use serde_json::{Value, json};

use super::{Read, pair, read_all, read_with, refused, rows};
use crate::data::import::{Format, ImportError, Options, Row, read_bytes};
use crate::store::{Content, Turn};

fn chat(row: &Row) -> Vec<(&str, &str)> {
    let Content::Chat { turns, .. } = &row.content else { panic!("{row:?} is no chat") };
    turns.iter().map(|turn| (turn.role.as_str(), turn.content.as_deref().unwrap_or("-"))).collect()
}

fn turns(row: &Row) -> &[Turn] {
    let Content::Chat { turns, .. } = &row.content else { panic!("{row:?} is no chat") };
    turns
}

#[test]
fn an_alpaca_row_keeps_every_field_in_its_order_and_its_own_parts_apart() {
    let Read { items, summary } = read_all(
        r#"{"id": 7, "note": {"k": 1}, "instruction": "do", "input": "it", "output": "done", "category": "c", "tags": "a, b、a", "references": ["x", "y"], "none": null}"#,
    );
    let rows = rows(&items);
    let row = rows[0];
    assert_eq!(summary.format, Format::Alpaca);
    assert_eq!(pair(row), (json!({"note": {"k": 1}, "instruction": "do", "input": "it"}), None, Some("done")));
    assert_eq!((row.id.as_deref(), row.category.as_deref()), (Some("7"), Some("c")));
    assert_eq!((&row.tags, &row.references), (&vec!["a".into(), "b".into()], &vec!["x".into(), "y".into()]));
    let names: Vec<String> = match &row.content {
        Content::Pair { fields, .. } => fields.keys().cloned().collect(),
        _ => Vec::new(),
    };
    assert_eq!(names, ["note", "instruction", "input"]);
}

#[test]
fn an_alpaca_row_with_history_is_a_chat() {
    let Read { items, .. } = read_all(
        r#"{"instruction": "and now?", "input": "x", "output": "end", "system": "be kind", "history": [["q", "a"]], "src": "s"}
{"instruction": "plain", "output": "p", "history": []}"#,
    );
    let rows = rows(&items);
    assert_eq!(
        chat(rows[0]),
        [("system", "be kind"), ("user", "q"), ("assistant", "a"), ("user", "and now?\nx"), ("assistant", "end")]
    );
    assert_eq!(Value::Object(rows[0].extra.clone()), json!({"src": "s"}));
    assert_eq!(pair(rows[1]).2, Some("p"));
}

#[test]
fn sharegpt_roles_and_calls_become_turns_that_a_chat_template_knows() {
    let Read { items, summary } = read_all(
        r#"[{"id": "s", "system": "be brief", "tools": "[{\"name\": \"f\"}]", "conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"a\": 1}}"}, {"from": "observation", "value": "3"}, {"from": "gpt", "value": "it is 3", "weight": 0}]},
           {"conversations": [{"from": "human", "value": "q"}, {"from": "bot", "value": "a"}]}]"#,
    );
    let rows = rows(&items);
    assert_eq!(summary.format, Format::ShareGpt);
    assert_eq!(
        chat(rows[0]),
        [("system", "be brief"), ("user", "q"), ("assistant", "-"), ("tool", "3"), ("assistant", "it is 3")]
    );
    let call = json!([{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]);
    assert_eq!(turns(rows[0])[2].more["tool_calls"], call);
    assert_eq!(turns(rows[0])[4].weight, Some(0));
    assert!(matches!(&rows[0].content, Content::Chat { tools: Some(tools), .. } if *tools == json!([{"name": "f"}])));
    assert_eq!(refused(&items).len(), 1);
    assert!(refused(&items)[0].1.contains("\"bot\""), "{:?}", refused(&items));
}

#[test]
fn messages_keep_parts_weights_names_calls_and_what_else_a_row_has() {
    let Read { items, summary } = read_all(
        r#"{"messages": [{"role": "user", "name": "taro", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 2}"}}]}, {"role": "tool", "tool_call_id": "1", "content": "2"}, {"role": "assistant", "content": "two", "weight": 1}], "tools": [{"type": "function"}], "source": "s"}
{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, {"role": "assistant", "content": "a cat"}]}
{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": " "}]}"#,
    );
    let found = rows(&items);
    assert_eq!(summary.format, Format::Messages);
    assert_eq!(chat(found[0]), [("user", "ab"), ("assistant", "-"), ("tool", "2"), ("assistant", "two")]);
    let turns = turns(found[0]);
    assert_eq!((&turns[0].more["name"], &turns[2].more["tool_call_id"]), (&json!("taro"), &json!("1")));
    assert_eq!(turns[1].more["tool_calls"][0]["function"]["arguments"], json!({"x": 2}));
    assert_eq!(Value::Object(found[0].extra.clone()), json!({"source": "s"}));
    let reasons: Vec<String> = refused(&items).into_iter().map(|(line, reason)| format!("{line} {reason}")).collect();
    assert!(reasons[0].starts_with("2 ") && reasons[0].contains("image_url"), "{reasons:?}");
    assert!(reasons[1].starts_with("3 ") && reasons[1].contains("empty"), "{reasons:?}");
}

#[test]
fn prompts_and_completions_may_be_messages() {
    let Read { items, summary } = read_all(
        r#"{"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}
{"prompt": "plain", "completion": "p"}"#,
    );
    assert_eq!(summary.format, Format::PromptCompletion);
    assert_eq!(chat(rows(&items)[0]), [("user", "q"), ("assistant", "a")]);
    assert_eq!(pair(rows(&items)[1]), (json!({"prompt": "plain"}), None, Some("p")));
}

#[test]
fn of_two_answers_the_better_is_gold_and_the_worse_the_draft() {
    let Read { items, summary } = read_all(
        r#"{"prompt": "q", "chosen": "good", "rejected": "bad"}
{"prompt": "q", "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}], "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}]}
{"prompt": "q", "chosen": "good"}"#,
    );
    assert_eq!(summary.format, Format::Preference);
    assert_eq!(pair(rows(&items)[0]), (json!({"prompt": "q"}), Some("bad"), Some("good")));
    assert_eq!(turns(rows(&items)[1])[1].draft.as_deref(), Some("bad"));
    assert_eq!(refused(&items)[0].0, 3);
}

#[test]
fn texts_are_rows_or_whole_files_and_a_label_beside_one_is_asked_about() {
    let Read { items, summary } = read_all("{\"text\": \"one\", \"title\": \"t\"}\n{\"text\": \"two\"}");
    assert_eq!((summary.format, rows(&items).len()), (Format::Text, 2));
    assert_eq!(rows(&items)[0].content, Content::Text { text: "one".into() });
    let Read { items, summary } = read_all("Once upon a time,\r\nthere was a file.\r\n");
    assert_eq!(summary.format, Format::Text);
    assert_eq!(rows(&items)[0].content, Content::Text { text: "Once upon a time,\nthere was a file.\n".into() });
    let error = super::fails("{\"text\": \"one\", \"label\": \"good\"}");
    assert!(
        matches!(&error, ImportError::Unrecognised { found, example, .. }
        if found == &["text", "label"] && example == "--map prompt=text,output=label"),
        "{error}"
    );
}

#[test]
fn the_branch_that_was_kept_is_the_conversation() {
    let node = |parent: &str, message: Value| json!({"parent": parent, "message": message});
    let say = |role: &str, parts: Value| json!({"author": {"role": role}, "content": {"content_type": "text", "parts": parts}});
    let export = json!([{"title": "t", "conversation_id": "c1", "current_node": "e", "mapping": {
        "root": {"message": null},
        "a": node("root", say("system", json!([""]))),
        "b": node("a", say("user", json!(["one", "two"]))),
        "c": node("b", say("assistant", json!(["thrown away"]))),
        "d": node("b", json!({"author": {"role": "assistant"}, "recipient": "python", "content": {"content_type": "code", "text": "1+1"}})),
        "e": node("d", say("assistant", json!(["kept"]))),
    }}]);
    let Read { items, summary } = read_all(&export.to_string());
    assert_eq!(summary.format, Format::ChatGptExport);
    let row = rows(&items)[0];
    assert_eq!(chat(row), [("user", "one\ntwo"), ("assistant", "-"), ("assistant", "kept")]);
    assert_eq!(turns(row)[1].more["tool_calls"][0]["function"], json!({"name": "python", "arguments": "1+1"}));
    assert_eq!((row.id.as_deref(), &row.extra["title"]), (Some("c1"), &json!("t")));
}

#[test]
fn questions_and_answers_are_found_in_markdown_of_several_habits() {
    let bold = "intro\n\n**Q1: first?**\n\nA: one\n\nmore\n\n## Next part\n\n**Q2: second?**\nA. two\n";
    let Read { items, summary } = read_all(bold);
    assert_eq!(summary.format, Format::Markdown);
    let found: Vec<_> = rows(&items).into_iter().map(pair).collect();
    assert_eq!(found[0], (json!({"question": "first?"}), None, Some("one\n\nmore")));
    assert_eq!(found[1], (json!({"question": "second?", "section": "Next part"}), None, Some("two")));
    assert_eq!(rows(&items)[1].line, 11);
    let japanese = "問：首都は？\n答：東京\n\n問：山は？\n\n問：海は？\n答：太平洋\n";
    let Read { items, .. } = read_all(japanese);
    assert_eq!(pair(rows(&items)[1]).2, Some("太平洋"));
    assert_eq!(refused(&items)[0].0, 4);
    let headings = "## Q: what?\n**A:** this\n### why\nso\n## Q: who?\n**A:** you\n";
    let Read { items, .. } = read_all(headings);
    assert_eq!(pair(rows(&items)[0]).2, Some("this\n### why\nso"));
}

#[test]
fn a_jumpstart_folder_is_read_by_its_template_and_a_row_of_it_again() {
    let folder = tempfile::tempdir().expect("folder");
    let row = r#"{"Question": "q", "extra": "x", "verdict": "yes"}"#;
    std::fs::write(folder.path().join("train.jsonl"), format!("{row}\n{{\"Question\": \"q\", \"extra\": \"\"}}\n"))
        .expect("write");
    let template = r#"{"prompt": "{Question} in {extra}?", "completion": " {verdict}"}"#;
    std::fs::write(folder.path().join("template.json"), template).expect("write");
    let mut items = Vec::new();
    let summary = crate::data::import::read::<ImportError>(
        &folder.path().join("train.jsonl"),
        &Options::default(),
        &mut |item| {
            items.push(item);
            Ok(())
        },
    )
    .expect("reads");
    assert_eq!(summary.format, Format::JumpStart);
    assert_eq!(pair(rows(&items)[0]), (json!({"Question": "q", "extra": "x"}), None, Some("yes")));
    assert_eq!(refused(&items)[0].0, 2);
    let again = summary.again();
    let Read { items, .. } = read_with(row.as_bytes(), &again).expect("reads again");
    assert_eq!(pair(rows(&items)[0]), (json!({"Question": "q", "extra": "x"}), None, Some("yes")));
}

#[test]
fn a_refused_row_is_handed_back_so_that_mending_it_is_enough() {
    let table = "ID;質問;回答\r\n1;\"多い\r\n行\";はい\r\n2;足りない\r\n";
    let Read { items, summary } = read_all(table);
    let raw = items.iter().find_map(|item| match item {
        crate::data::import::Item::Refused { raw, line: 4, .. } => Some(raw.clone()),
        _ => None,
    });
    let raw = raw.expect("line 4 is refused");
    assert_eq!(raw, "ID;質問;回答\n2;足りない");
    let again = summary.again();
    let Read { items, .. } = read_with(format!("{raw};足りた").as_bytes(), &again).expect("reads");
    assert_eq!(pair(rows(&items)[0]), (json!({"question": "足りない"}), None, Some("足りた")));
    assert_eq!(rows(&items)[0].id.as_deref(), Some("2"));
}

#[test]
fn what_the_taker_says_ends_the_reading_and_comes_back() {
    #[derive(Debug)]
    struct Full;
    impl From<ImportError> for Full {
        fn from(_: ImportError) -> Self {
            panic!("the file is good")
        }
    }
    let mut taken = 0;
    let done = read_bytes::<Full>(
        "x",
        b"{\"prompt\": \"a\", \"completion\": \"b\"}\n".repeat(9).as_slice(),
        &Options::default(),
        &mut |_| {
            taken += 1;
            if taken < 3 { Ok(()) } else { Err(Full) }
        },
    );
    assert!(matches!(done, Err(Full)));
    assert_eq!(taken, 3);
}
