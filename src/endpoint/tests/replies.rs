//! Replies as servers write them.

use serde_json::Value;

use crate::endpoint::answer::{Finish, Usage};
use crate::endpoint::reply::{Reply, models, read};

fn reply(body: &Value) -> Reply {
    read(body.to_string().as_bytes(), false).unwrap()
}

fn of_choice(choice: &str) -> Reply {
    let choice: Value = serde_json::from_str(choice).unwrap();
    reply(&serde_json::json!({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}))
}

#[test]
fn text_is_found_in_every_form() {
    for (choice, text) in [
        (r#"{"message": {"content": "a b"}, "finish_reason": "stop"}"#, "a b"),
        (r#"{"message": {"content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}}"#, "a b"),
        (
            r#"{"message": {"content": [{"type": "thinking", "text": "hm"}, {"type": "output_text", "text": "b"}]}}"#,
            "b",
        ),
        (r#"{"message": {"content": ["a", "b"]}}"#, "ab"),
        (r#"{"text": "plain"}"#, "plain"),
        (
            r#"{"message": {"content": "x", "refusal": null, "reasoning_content": "hm", "audio": {}}, "logprobs": 1}"#,
            "x",
        ),
    ] {
        let found = of_choice(choice);
        assert_eq!((found.text.as_str(), found.refused), (text, false), "{choice}");
    }
}

#[test]
fn a_refusal_is_an_answer_that_says_so() {
    for choice in [
        r#"{"message": {"content": null, "refusal": "I will not."}, "finish_reason": "stop"}"#,
        r#"{"message": {"content": [{"type": "refusal", "refusal": "I will not."}]}, "finish_reason": "stop"}"#,
    ] {
        let found = of_choice(choice);
        assert_eq!((found.text.as_str(), found.refused), ("I will not.", true), "{choice}");
        assert_eq!(found.notes, ["The model declined to answer."]);
    }
}

#[test]
fn an_answer_without_text_says_why() {
    for (choice, words) in [
        (r#"{"message": {"content": null}, "finish_reason": "length"}"#, "raise max_tokens"),
        (r#"{"message": {"content": ""}, "finish_reason": "content_filter"}"#, "Withheld by the provider's filter"),
        (r#"{"message": {"content": null, "tool_calls": []}, "finish_reason": "tool_calls"}"#, "called a tool"),
        (r#"{"message": null, "finish_reason": "stop"}"#, "has no message"),
        (r#"{"message": {"content": 7}, "finish_reason": "stop"}"#, "No text."),
        ("{}", "has no message"),
        ("5", "has no message"),
    ] {
        let found = of_choice(choice);
        assert_eq!(found.text, "", "{choice}");
        assert!(found.notes[0].contains(words), "{choice}: {:?}", found.notes);
    }
}

#[test]
fn why_an_answer_ended_is_told() {
    for (word, finish, note) in [
        (r#""stop""#, Finish::Stop, None),
        (r#""length""#, Finish::Length, Some("Cut at max_tokens.")),
        (r#""content_filter""#, Finish::ContentFilter, Some("Cut by the provider's filter.")),
        (r#""recitation""#, Finish::Other("recitation".to_owned()), Some("reason of the endpoint's own: recitation")),
        ("null", Finish::Missing, None),
        ("3", Finish::Missing, None),
    ] {
        let found = of_choice(&format!(r#"{{"message": {{"content": "x"}}, "finish_reason": {word}}}"#));
        assert_eq!(found.finish, finish);
        assert_eq!(found.notes.len(), usize::from(note.is_some()), "{word}");
        assert!(note.is_none_or(|note| found.notes[0].contains(note)), "{:?}", found.notes);
    }
}

#[test]
fn tokens_are_read_as_servers_count_them() {
    for (usage, want) in [
        (r#"{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}"#, Some((5, 0, 2))),
        (
            r#"{"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}"#,
            Some((5, 4, 2)),
        ),
        (r#"{"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}"#, Some((5, 3, 2))),
        // Reasoning that stands in the total alone.
        (r#"{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 107}"#, Some((5, 0, 102))),
        (r#"{"prompt_tokens": 5.0, "completion_tokens": 2.0, "prompt_tokens_details": null}"#, Some((5, 0, 2))),
        (r#"{"completion_tokens": 2, "total_tokens": 7}"#, Some((5, 0, 2))),
        (r#"{"prompt_tokens": -5, "completion_tokens": "two"}"#, None),
        ("{}", None),
        ("null", None),
        ("[]", None),
    ] {
        let usage: Value = serde_json::from_str(usage).unwrap();
        let found = reply(&serde_json::json!({"choices": [{"message": {"content": "x"}}], "usage": usage}));
        let want = want.map(|(prompt, cached, completion)| Usage { prompt, cached, completion });
        assert_eq!(found.usage, want, "{usage}");
    }
}

#[test]
fn models_are_listed_in_every_form() {
    for body in [
        r#"{"object": "list", "data": [{"id": "a"}, {"id": "b"}, {"no": 1}]}"#,
        r#"{"models": [{"name": "a"}, {"model": "b"}]}"#,
        r#"[{"id": "a"}, "b"]"#,
    ] {
        assert_eq!(models(body.as_bytes(), false).unwrap(), ["a", "b"], "{body}");
    }
    assert!(models(b"{\"data\": 5}", false).unwrap_err().to_string().contains("lists no models"));
    assert!(models(b"<html>", false).unwrap_err().to_string().contains("HTML page"));
}

#[test]
fn no_body_makes_the_reader_fail_otherwise_than_in_words() {
    let good =
        br#"{"choices":[{"message":{"content":[{"type":"text","text":"a"}]},"finish_reason":"stop"}],"usage":{}}"#;
    assert!(read(good, false).is_ok());
    for end in 0..good.len() {
        assert!(read(&good[..end], false).is_err());
    }
    let deep = "[".repeat(100_000);
    assert!(read(deep.as_bytes(), false).is_err());
    assert!(read(&[0xff, 0xfe, 0x00], true).is_err());
}
