use std::path::Path;

use serde_json::json;

use super::*;

fn read_row(value: &Value) -> Result<Record, RecordError> {
    Record::from_json(value, 7)
}

fn pair(value: &Value) -> (Vec<String>, Option<String>) {
    match read_row(value).unwrap().kind {
        Kind::Pair { fields, answer } => (fields.keys().cloned().collect(), answer),
        other => panic!("no pair: {other:?}"),
    }
}

#[test]
fn the_usual_pairs_are_recognised() {
    let (fields, answer) = pair(&json!({"instruction": "i", "input": "x", "output": "o", "id": 3}));
    assert_eq!((fields, answer.as_deref()), (vec!["instruction".into(), "input".into()], Some("o")));
    assert_eq!(pair(&json!({"prompt": "p", "completion": "c"})).1.as_deref(), Some("c"));
    assert_eq!(pair(&json!({"question": "q", "answer": "a"})).1.as_deref(), Some("a"));
    assert_eq!(pair(&json!({"instruction": "i", "context": "c", "response": "r"})).1.as_deref(), Some("r"));
    assert_eq!(pair(&json!({"prompt": "p"})).1, None, "a row that only asks");
    // Names of one's own, for a template.
    assert_eq!(pair(&json!({"会話": "k", "担当": "t", "output": "o"})).0, ["会話", "担当"]);
}

#[test]
fn ids_references_and_categories_are_the_records_own() {
    let record =
        read_row(&json!({"id": 12, "question": "q", "answer": "a", "references": ["a", "A"], "category": 2})).unwrap();
    assert_eq!(record.id, "12");
    assert_eq!(record.accepted(), ["a", "A"]);
    assert_eq!(record.category.as_deref(), Some("2"));
    assert_eq!(read_row(&json!({"question": "q", "answer": "a"})).unwrap().id, "row-7");
    assert_eq!(read_row(&json!({"question": "q", "answer": "a"})).unwrap().accepted(), ["a"]);
}

#[test]
fn what_is_ambiguous_or_unknown_is_an_error_that_names_the_keys() {
    for (row, word) in [
        (json!({"messages": [], "prompt": "p"}), "chat, a text or a pair"),
        (json!({"text": "t", "output": "o"}), "chat, a text or a pair"),
        (json!({"text": "t", "label": 1}), "a text has no field label"),
        (json!({"messages": [], "verdict": "good"}), "a chat has no field verdict"),
        (json!({"prompt": "p", "output": "o", "response": "r"}), "could be the answer (output, response)"),
        (json!({"prompt": "p", "question": "q", "output": "o"}), "could be the prompt (prompt, question)"),
        (json!({"instruction": "i", "input": "q", "context": "c", "output": "o"}), "could be the input"),
        (json!({"prompt": "p", "chosen": "a", "rejected": "b"}), "preference pair"),
        (json!({"conversations": []}), "neither a prompt nor an answer"),
        (json!({}), "neither a prompt nor an answer"),
    ] {
        let error = read_row(&row).unwrap_err();
        let RecordError::Shape { keys, .. } = &error else { panic!("{row}: {error}") };
        assert_eq!(keys.len(), row.as_object().unwrap().len());
        assert!(error.to_string().contains(word), "{row}: {error}");
    }
    for (row, message) in [
        (json!({"question": "q", "answer": 4}), "`answer` is a number; write it as a text"),
        (json!({"instruction": ["i"], "output": "o"}), "`instruction` is a list; write it as a text"),
        (json!({"prompt": "p", "references": "r"}), "`references` is a text, not a list of texts"),
        (json!({"id": [1], "prompt": "p"}), "`id` is a list, not a text or a number"),
        (json!([1]), "a row is a JSON object with named fields; this is a list"),
    ] {
        assert_eq!(read_row(&row).unwrap_err().to_string(), message);
    }
}

#[test]
fn chats_keep_weights_and_calls() {
    let record = read_row(&json!({"messages": [
        {"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "text", "text": "now?"}]},
        {"role": "assistant", "content": null, "weight": 0, "tool_calls":
            [{"type": "function", "function": {"name": "f", "arguments": "{\"b\": 1, \"a\": 2}"}}]},
        {"role": "tool", "content": "4", "tool_call_id": "x"},
        {"role": "assistant", "content": "Four.", "weight": 1.0, "refusal": null},
    ], "tools": [{"type": "function"}]}))
    .unwrap();
    let Kind::Chat { messages, tools } = &record.kind else { panic!("no chat") };
    assert_eq!(messages[0].content.as_deref(), Some("What now?"));
    assert_eq!((messages[1].weight, messages[3].weight), (Some(0), Some(1)));
    assert_eq!(messages[1].more["tool_calls"][0]["function"]["arguments"], json!({"b": 1, "a": 2}));
    assert!(messages[3].more.is_empty());
    assert!(tools.is_some());
    assert_eq!(record.answer(), Some("Four."));
    let stored = serde_json::to_value(&record).unwrap();
    assert_eq!(stored["kind"], "chat");
    assert_eq!(serde_json::from_value::<Record>(stored).unwrap(), record, "a frozen record reads back the same");
}

#[test]
fn a_message_is_read_strictly() {
    for (message, start) in [
        (json!({"role": "user"}), "`messages[0].content` is missing"),
        (json!({"role": "human", "content": "a"}), "`messages[0].role` is \"human\"; known roles are system"),
        (json!({"content": "a"}), "`messages[0].role` is missing"),
        (
            json!({"role": "user", "content": "a", "value": "b"}),
            "`messages[0]` does not fit: a message has no field value",
        ),
        (
            json!({"role": "user", "content": [{"type": "image_url"}]}),
            "`messages[0].content` has a part of type image_url",
        ),
        (json!({"role": "assistant", "content": "a", "weight": 0.5}), "`messages[0].weight` is 0.5"),
        (json!("hello"), "`messages[0]` is a text"),
    ] {
        let error = read_row(&json!({"messages": [message]})).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}");
    }
    assert!(read_row(&json!({"messages": []})).unwrap_err().to_string().contains("empty"));
}

#[test]
fn an_alpaca_history_becomes_a_chat() {
    let record =
        read_row(&json!({"instruction": "c", "input": "d", "output": "e", "system": "s", "history": [["a", "b"]]}))
            .unwrap();
    let Kind::Chat { messages, .. } = record.kind else { panic!("no chat") };
    let turns: Vec<(&str, &str)> = messages.iter().map(|m| (m.role.as_str(), m.content.as_deref().unwrap())).collect();
    assert_eq!(turns, [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c\nd"), ("assistant", "e")]);
    assert!(matches!(read_row(&json!({"prompt": "p", "history": []})).unwrap().kind, Kind::Pair { .. }));
    assert!(read_row(&json!({"prompt": "p", "history": [["a"]]})).is_err());
}

#[test]
fn every_line_of_a_file_is_a_record_or_a_listed_error() {
    let mut bytes = b"\xEF\xBB\xBF{\"prompt\":\"p\",\"completion\":\"c\"}\r\n\r\n{\"prompt\":\n".to_vec();
    bytes.extend_from_slice(b"{\"prompt\":\"\xFF\"}\n{\"text\":\"t\"}");
    let rows = parse_jsonl(&bytes);
    let ids: Vec<&str> = rows.records.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["row-1", "row-5"]);
    assert_eq!(rows.errors.iter().map(|e| e.line).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(rows.lines, [1, 5]);
    assert_eq!(rows.errors[0].to_string(), "line 3: not JSON: EOF while parsing a value (column 10)");
}

#[test]
fn a_markdown_file_is_one_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("章1.md");
    std::fs::write(&path, "# 題\r\n本文\r\n").unwrap();
    let rows = read(&path).unwrap();
    assert_eq!(rows.records[0].id, "章1");
    assert_eq!(rows.records[0].kind, Kind::Text { text: "# 題\n本文\n".into() });
    std::fs::write(&path, b"ok \xFF").unwrap();
    assert!(matches!(read(&path), Err(ReadError::Encoding { line: 1, .. })));
    assert!(matches!(read(folder.path()), Err(ReadError::Folder { .. })));
    assert!(matches!(read(Path::new("x.xlsx")), Err(ReadError::Extension { .. })));
    assert!(matches!(read(Path::new("no-such.jsonl")), Err(ReadError::Io { .. })));
}
