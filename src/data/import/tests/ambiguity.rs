//! What a file says, what it leaves open, and what a person says about it.

use serde_json::json;

use super::{Read, fails, options, pair, read_all, read_with, refused, rows};
use crate::data::import::{Format, ImportError, Options, files_of, inspect, read};
use crate::store::Split;

#[test]
fn plain_names_are_known_whatever_their_case_space_and_width() {
    for (text, prompt) in [
        ("Question , ANSWER\nq,a\n", "question"),
        ("ＱＵＥＳＴＩＯＮ,answer\nq,a\n", "question"),
        ("質問,回答\nq,a\n", "question"),
        ("指示\t出力\nq\ta\n", "instruction"),
        ("Query;Response\nq;a\n", "prompt"),
        ("入力,出力\nq,a\n", "prompt"),
    ] {
        let Read { items, .. } = read_all(text);
        assert_eq!(pair(rows(&items)[0]), (json!({prompt: "q"}), None, Some("a")), "{text}");
    }
}

#[test]
fn what_is_ambiguous_names_the_columns_and_shows_a_mapping_that_works() {
    for (text, words) in [
        ("質問,問い合わせ,回答\na,b,c\n", "several columns could be the prompt (質問, 問い合わせ)"),
        ("質問,回答,応答\na,b,c\n", "several columns could be the answer (回答, 応答)"),
        ("{\"utterance\": \"a\", \"answer\": \"b\"}", "no column is plainly the prompt"),
        ("{\"a\": \"a\", \"b\": \"b\"}", "neither a prompt nor an answer"),
        ("{\"messages\": [], \"output\": \"b\"}", "could be a chat"),
    ] {
        let error = fails(text);
        assert!(error.to_string().contains(words), "{error}");
        let ImportError::Unrecognised { example, .. } = error else { panic!("{error}") };
        let map = example.strip_prefix("--map ").expect("a mapping").split(',');
        let map = map.filter_map(|part| part.split_once('=')).map(|(role, column)| (role.into(), column.into()));
        let mapped = Options { map: map.collect(), ..Options::default() };
        let done = read_with(text.as_bytes(), &mapped);
        assert!(text.contains("messages") || done.is_ok_and(|read| rows(&read.items).len() == 1), "{text}");
    }
}

#[test]
fn a_mapping_wins_over_names_and_must_name_what_is_there() {
    let text = "番号,本文,答え,正解\n1,q,wrong,right\n";
    let Read { items, .. } = read_with(
        text.as_bytes(),
        &options(&[("prompt", "本文"), ("output", "正解"), ("id", "番号"), ("old", "答え")]),
    )
    .expect("reads");
    assert_eq!(pair(rows(&items)[0]), (json!({"prompt": "q", "old": "wrong"}), None, Some("right")));
    assert_eq!(rows(&items)[0].id.as_deref(), Some("1"));
    let error = read_with(text.as_bytes(), &options(&[("prompt", "ない")])).expect_err("no such column");
    assert!(error.to_string().contains("番号, 本文, 答え, 正解"), "{error}");
    // With only the answer named, the other columns are fields for a template.
    let Read { items, .. } = read_with(text.as_bytes(), &options(&[("output", "正解")])).expect("reads");
    assert_eq!(pair(rows(&items)[0]), (json!({"番号": "1", "本文": "q", "答え": "wrong"}), None, Some("right")));
}

#[test]
fn prompts_alone_are_taken_and_a_missing_answer_among_answers_is_not() {
    let Read { items, summary } = read_all("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n");
    assert_eq!((rows(&items).len(), summary.answers), (2, false));
    assert_eq!(pair(rows(&items)[1]), (json!({"prompt": "b"}), None, None));
    let Read { items, summary } = read_all("{\"prompt\": \"a\", \"completion\": \"x\"}\n{\"prompt\": \"b\"}\n");
    assert_eq!((rows(&items).len(), refused(&items)[0].0, summary.answers), (1, 2, true));
    let Read { items, .. } = read_all("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}");
    assert_eq!(rows(&items).len(), 1);
    let Read { items, .. } = read_all("prompt\n\"to be, or not\"\nsecond\n");
    assert_eq!(rows(&items).len(), 2);
}

#[test]
fn a_person_can_say_what_a_file_is() {
    let text = "**Q: a?**\nA: b\n**Q: c?**\nA: d\n";
    let asked = Options { format: Some(Format::Text), ..Options::default() };
    assert_eq!(rows(&read_with(text.as_bytes(), &asked).expect("reads").items).len(), 1);
    let asked = Options { format: Some(Format::Messages), ..Options::default() };
    let error = read_with(b"{\"prompt\": \"a\", \"completion\": \"b\"}", &asked);
    assert_eq!(refused(&error.expect("is read").items)[0].0, 1);
    assert_eq!("sharegpt".parse(), Ok(Format::ShareGpt));
    assert!("share-gpt".parse::<Format>().is_err_and(|e| e.contains("sharegpt")));
}

#[test]
fn two_columns_of_one_name_count_once_and_must_not_contradict() {
    let Read { items, .. } = read_all("Question;Answer;Answer\na;x;\nb;;y\nc;x;y\nd;z;z\n");
    let answers: Vec<_> = rows(&items).into_iter().map(|row| pair(row).2.unwrap_or_default()).collect();
    assert_eq!(answers, ["x", "y", "z"]);
    assert!(refused(&items)[0].1.contains("two columns are named Answer"), "{:?}", refused(&items));
}

#[test]
fn lines_are_those_that_an_editor_shows() {
    let text = "質問,回答\r\n\"a\r\nb\",c\r\n\r\nd\r\ne,f\r\n";
    let Read { items, .. } = read_all(text);
    assert_eq!(rows(&items).iter().map(|row| row.line).collect::<Vec<_>>(), [2, 6]);
    assert_eq!(pair(rows(&items)[0]).0, json!({"question": "a\r\nb"}));
    assert_eq!(refused(&items)[0].0, 5);
    let old_mac = "prompt,output\ra,b\rc\rd,e\r";
    let Read { items, .. } = read_all(old_mac);
    assert_eq!((rows(&items)[1].line, refused(&items)[0].0), (4, 3));
    let list = "[\n {\"prompt\": \"a\", \"output\": \"b\"},\n {\"prompt\": 1, \"output\": \"b\"},\n {\"prompt\": \"c\", \"output\": \"d\"}\n";
    let Read { items, .. } = read_all(list);
    assert_eq!(rows(&items).iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(refused(&items).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
    assert!(refused(&items)[1].1.contains("never closed"));
}

#[test]
fn a_bad_row_of_a_table_costs_that_row_and_no_other() {
    let Read { items, .. } = read_all("prompt,output\n\"he said \"hi\" to\",x\na,b\n\"c\" ,d\ne,\"f\n");
    let kept: Vec<_> = rows(&items).into_iter().map(|row| pair(row).2.unwrap_or_default()).collect();
    assert_eq!(kept, ["b", "d"]);
    let why = refused(&items);
    assert!(why[0].0 == 2 && why[0].1.contains("closing quote"), "{why:?}");
    assert!(why[1].0 == 5 && why[1].1.contains("never closed"), "{why:?}");
    // Where tabs part the fields, quotes may be letters.
    let Read { items, .. } = read_all("prompt\toutput\n\"Yes\" or no?\ta\nx\t\"b\" it is\n");
    assert_eq!(pair(rows(&items)[0]).0, json!({"prompt": "\"Yes\" or no?"}));
}

#[test]
fn a_folder_is_its_splits() {
    let folder = tempfile::tempdir().expect("folder");
    assert!(files_of(folder.path()).is_err());
    for name in ["test.jsonl", "train-00000-of-00002.parquet", "validation.csv", "README.md", "template.json"] {
        std::fs::write(folder.path().join(name), "").expect("write");
    }
    let found = files_of(folder.path()).expect("files");
    let names: Vec<_> = found.iter().map(|(file, split)| (file.file_name().and_then(|n| n.to_str()), *split)).collect();
    assert_eq!(
        names,
        [
            (Some("train-00000-of-00002.parquet"), Some(Split::Train)),
            (Some("validation.csv"), Some(Split::Valid)),
            (Some("test.jsonl"), Some(Split::Test))
        ]
    );
    let file = folder.path().join("any");
    assert_eq!(files_of(&file).expect("file"), [(file, None)]);
}

#[test]
fn a_preview_shows_what_would_be_read_and_takes_no_more_than_three_rows() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("x");
    std::fs::write(&file, "番号,質問,回答\n1,a,b\n2,c,d\n3,e,f\n4,g,h\n").expect("write");
    let preview = inspect(&file, &Options::default()).expect("reads");
    assert_eq!((preview.format, preview.first.len()), (Format::Csv, 3));
    assert_eq!(preview.columns, ["番号", "質問", "回答"]);
    assert_eq!(preview.mapping, [("question".into(), "質問".into()), ("output".into(), "回答".into())]);
}

/// What a file of this name and text gives: its layout, how many rows, and the lines of those that are refused.
fn read_named(name: &str, text: &str) -> (Format, usize, Vec<u64>) {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join(name);
    std::fs::write(&file, text).expect("write");
    let mut items = Vec::new();
    let summary = read::<ImportError>(&file, &Options::default(), &mut |item| {
        items.push(item);
        Ok(())
    });
    let format = summary.unwrap_or_else(|error| panic!("{name}: {error}")).format;
    (format, rows(&items).len(), refused(&items).into_iter().map(|(line, _)| line).collect())
}

#[test]
fn a_table_with_most_of_its_rows_ragged_is_still_a_table() {
    let ragged = "question,answer\nq1,a1\nq2\nq3,a3,more\n";
    for name in ["faq.csv", "faq.txt", "faq"] {
        assert_eq!(read_named(name, ragged), (Format::Csv, 1, vec![3, 4]), "{name}");
    }
    assert_eq!(read_named("faq", "質問;回答\nはい\nq;a;b\n\nq;a\n"), (Format::Csv, 1, vec![2, 3]));
    assert_eq!(read_named("faq", "指示\t出力\tメモ\nq\ta\nq\n"), (Format::Tsv, 0, vec![2, 3]));
    // The name alone says so: none of these columns is known, or but one.
    assert_eq!(read_named("x.csv", "question,x\nq,y\nq\nq\n"), (Format::Csv, 1, vec![3, 4]));
    assert_eq!(read_named("x.tsv", "a, b\tc\nd\ne, f\ng, h\n"), (Format::Tsv, 0, vec![2, 3, 4]));
}

#[test]
fn prose_is_a_document_whatever_its_first_line_lists() {
    for text in [
        "Question, answer, and what lies between them: that is all a lesson has.\n\nIt begins, as a rule, late.\nThen it \
         goes on.\nAnd, in time, after a while, it ends.\nThat is all.\n",
        "Prompt; completion; and so on.\nThese words, however, are prose.\nNobody, ever, asked.\n",
        "Dear all, hello\nthis is a letter, with commas, here, and there\nand it ends.\n",
    ] {
        for name in ["letter.txt", "letter.md", "letter"] {
            assert_eq!(read_named(name, text), (Format::Text, 1, vec![]), "{name}: {text}");
        }
    }
}
