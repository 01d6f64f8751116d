//! Files that are nearly right: whatever is done to their bytes, reading them ends, and ends without a panic of ours.
//!
//! A short run belongs to the tests; `TOGI_FUZZ_SECONDS` makes it a long one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::bytes::{codecs, gzip, parquet_file, sheet, workbook};
use super::{Read, read_with};
use crate::data::import::{Format, ImportError, Item, Options};

/// One small file of each layout.
fn seeds() -> Vec<Vec<u8>> {
    let alpaca =
        r#"{"id": 1, "instruction": "do", "input": "it", "output": "東京", "history": [["a", "b"]], "tags": ["x"]}"#;
    let messages = r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "content": "3"}, {"role": "assistant", "content": "b", "weight": 0}], "tools": []}"#;
    let sharegpt = r#"[{"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "{\"name\": \"f\"}"}, {"from": "gpt", "value": "a"}]}, {"items": []}]"#;
    let tree = r#"[{"mapping": {"r": {"message": null, "parent": null}, "a": {"parent": "r", "message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["x"]}}}, "b": {"parent": "a", "message": {"author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["y"]}}}}, "current_node": "b"}]"#;
    let preference = r#"{"prompt": "q", "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]}"#;
    let table = "ID;質問;回答;回答\r\n1;\"多い \"\"行\"\"\r\n\";はい;\r\n2;x;y;z\r\n";
    let markdown = "# FAQ\n\n**Q: a?**\n\nA: b\n\n## Next\n\n問：c？\n答：d\n";
    let rows = sheet(&[&["prompt", "output"], &["q", "a"], &["1.5", "2"]]);
    let book = workbook(&[("one", &rows)], r#"uniqueCount="1"><si><t>x</t></si>"#);
    let data = [[Some("q1"), Some("a1")], [Some("q2"), None], [Some("q3"), Some("a3")]];
    let pretty =
        serde_json::from_str::<serde_json::Value>(alpaca).and_then(|value| serde_json::to_string_pretty(&value));
    let utf16: Vec<u8> = [0xFEFF].into_iter().chain(table.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let mut seeds: Vec<Vec<u8>> = [alpaca, messages, sharegpt, tree, preference, table, markdown, "some text\n"]
        .iter()
        .map(|text| text.repeat(if text.starts_with('{') { 1 } else { 2 }).into_bytes())
        .collect();
    seeds.extend([
        format!("{alpaca}\n{messages}\n{preference}\nx\n{{\"text\": \"t\"}}\n").into_bytes(),
        pretty.unwrap_or_default().into_bytes(),
        encoding_rs::SHIFT_JIS.encode(table).0.into_owned(),
        encoding_rs::EUC_JP.encode(markdown).0.into_owned(),
        utf16,
        gzip(alpaca.as_bytes()),
        book,
    ]);
    for codec in codecs() {
        seeds.push(parquet_file(&data, codec));
    }
    seeds
}

/// One change to a file's bytes; places are shares of its length, so that they fit any file.
#[derive(Clone, Debug)]
enum Change {
    Set(u32, u8),
    Flip(u32, u8),
    Insert(u32, Vec<u8>),
    Remove(u32, u16),
    Repeat(u32, u16),
    Cut(u32),
    Swap(u32, u32),
}

fn change() -> impl Strategy<Value = Change> {
    let pieces = prop::sample::select(vec![
        "\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "\r",
        "\t",
        ";",
        "\\",
        "\\ud800",
        "null",
        "\0",
        "\u{feff}",
        "１",
        "Q: ",
        "A: ",
        "NaN",
        "1e999",
        "<",
        "</",
        "&#0;",
        "r=\"",
        "count=\"99\"",
    ]);
    prop_oneof![
        3 => (any::<u32>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => (any::<u32>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => (any::<u32>(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (any::<u32>(), pieces).prop_map(|(at, text)| Change::Insert(at, text.as_bytes().to_vec())),
        2 => (any::<u32>(), 1..40u16).prop_map(|(at, len)| Change::Remove(at, len)),
        1 => (any::<u32>(), 1..400u16).prop_map(|(at, len)| Change::Repeat(at, len)),
        1 => any::<u32>().prop_map(Change::Cut),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Change::Swap(a, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    let place = |at: u32| ((u64::from(at) * len as u64) >> 32) as usize;
    match change {
        Change::Set(at, byte) => bytes[place(*at)] = *byte,
        Change::Flip(at, bit) => bytes[place(*at)] ^= 1 << bit,
        Change::Insert(at, new) => drop(bytes.splice(place(*at)..place(*at), new.iter().copied())),
        Change::Remove(at, count) => drop(bytes.drain(place(*at)..(place(*at) + usize::from(*count)).min(len))),
        Change::Repeat(at, count) => {
            let part = bytes[place(*at)..(place(*at) + usize::from(*count)).min(len)].to_vec();
            bytes.splice(place(*at)..place(*at), part);
        }
        Change::Cut(at) => bytes.truncate(place(*at)),
        Change::Swap(a, b) => bytes.swap(place(*a), place(*b)),
    }
}

fn case() -> impl Strategy<Value = (Vec<u8>, Options)> {
    let seeds = seeds();
    let changes = prop::collection::vec(change(), 0..6);
    let format = prop::option::weighted(0.3, prop::sample::select(Format::ALL.to_vec()));
    let map = prop::sample::select(vec![
        vec![],
        vec![],
        vec![("output", "回答")],
        vec![("prompt", "instruction"), ("output", "output")],
    ]);
    (0..seeds.len(), changes, format, map).prop_map(move |(seed, changes, format, map)| {
        let mut bytes = seeds[seed].clone();
        for change in &changes {
            apply(&mut bytes, change);
        }
        (bytes, Options { format, ..super::options(&map) })
    })
}

/// Reads a file, and each row that it refuses once more.
fn check(bytes: &[u8], options: &Options) -> Result<(), TestCaseError> {
    let read = catch_unwind(AssertUnwindSafe(|| read_with(bytes, options)));
    let Ok(read) = read else { return Err(TestCaseError::fail("reading panicked")) };
    let Ok(Read { items, summary }) = read else { return Ok(()) };
    let again = summary.again();
    for item in items {
        let Item::Refused { reason, raw, line } = item else { continue };
        prop_assert!(!reason.is_empty() && line > 0);
        let second: Result<Read, ImportError> = read_with(raw.as_bytes(), &again);
        prop_assert!(second.is_err() || !raw.trim().is_empty());
    }
    Ok(())
}

#[test]
fn no_bytes_make_an_importer_panic() {
    let seconds = std::env::var("TOGI_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let cases = if seconds.is_some() { 20_000 } else { 1500 };
    let mut total = 0u64;
    loop {
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let mut runner = TestRunner::new(config);
        runner.run(&case(), |(bytes, options)| check(&bytes, &options)).unwrap_or_else(|error| panic!("{error}"));
        total += u64::from(cases);
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            break;
        }
    }
    println!("{total} files");
}
