//! What mending does, and what it leaves to people.

use super::*;

/// The answer after the first finding of a check has been mended, if it can be.
fn mended(check: &str, answer: &str) -> Option<String> {
    let records = sound_and(&[("And the cart?", answer)]);
    let findings = lint(&records, &Settings::default(), None);
    let finding = findings.iter().find(|finding| finding.check == check && finding.record == Some(21));
    let finding = finding.unwrap_or_else(|| panic!("{answer}: {findings:?}"));
    let state = named(check).unwrap().fix(&records[20].state, finding)?;
    state.content.answer().map(str::to_owned)
}

#[test]
fn tokens_at_the_ends_of_an_answer_go_and_those_inside_stay() {
    for (before, after) in [
        ("It rolls.<|im_end|>", Some("It rolls.")),
        ("<|im_start|>assistant\nIt rolls.<|im_end|>\n<|endoftext|>", Some("It rolls.")),
        ("### Response:\nIt rolls.", Some("It rolls.")),
        ("システム: It rolls.", Some("It rolls.")),
        ("It <|im_end|> rolls.", None),
        ("<|im_end|>", None),
    ] {
        assert_eq!(mended("template-token", before).as_deref(), after, "{before}");
    }
}

#[test]
fn text_is_read_back_only_where_all_of_it_goes_back() {
    for (before, after) in [
        ("The cafÃ© donâ€™t roll.", Some("The café don’t roll.")),
        ("The caf\u{fffd} rolls, cafÃ©.", None),
        ("ﾊﾞｲｸとは the bike of the cart.", Some("バイクとは the bike of the cart.")),
    ] {
        assert_eq!(mended("mojibake", before).as_deref(), after, "{before}");
    }
    let (wrong, _, _) = encoding_rs::SHIFT_JIS.decode("なのにひとつ".as_bytes());
    assert_eq!(mended("mojibake", &wrong).as_deref(), Some("なのにひとつ"), "{wrong}");
}

#[test]
fn entities_are_written_out_and_tags_are_left() {
    assert_eq!(
        mended("markup", "Salt &amp; pepper &#39;roll&#x27;&nbsp;on.").as_deref(),
        Some("Salt & pepper 'roll' on.")
    );
    assert_eq!(mended("markup", "<b>Salt</b> &amp; pepper roll on."), None);
    assert_eq!(mended("markup", "Dear [NAME], the cart rolls."), None);
}

#[test]
fn a_copy_is_rejected_with_a_note_and_an_empty_answer_is_a_persons() {
    let records = sound_and(&[("What can be said about the river", "A river flows what people bring to it, number 0")]);
    let findings = lint(&records, &Settings::default(), None);
    let finding = findings.iter().find(|finding| finding.record == Some(21)).unwrap();
    let state = named(finding.check).unwrap().fix(&records[20].state, finding).unwrap();
    assert_eq!(state.status, Status::Rejected);
    assert!(state.notes.contains("record 1"), "{}", state.notes);
    assert_eq!(mended("empty", "???"), None);
}
