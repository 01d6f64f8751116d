use serde_json::{Map, json};

use super::*;
use crate::store::{Content, Origin, State};

fn asking(texts: &[&str]) -> Vec<Record> {
    let record = |(at, text): (usize, &&str)| {
        let fields = Map::from_iter([("question".to_owned(), json!(text))]);
        let content = Content::Pair { fields, draft: None, gold: Some("a".into()) };
        let state = State::new(content, Status::Gold);
        Record { id: at as i64 + 1, revision: 1, state, origin: Origin::Import, source: None }
    };
    texts.iter().enumerate().map(record).collect()
}

#[test]
fn the_same_again_covers_nothing_new_and_what_shares_nothing_counts_in_full() {
    let same = Space::new(&asking(&["where is my parcel"; 6]), None).coverage();
    assert_eq!((same.records, same.distinct), (6, 1));
    assert!((same.effective - 1.0).abs() < 1e-4 && same.mean_distance < 1e-4, "{same:?}");
    assert_eq!(same.crowded, [Corner { record: 1, others: vec![2, 3, 4, 5, 6] }]);
    let apart = ["where is my parcel", "返品したい", "bonjour tout le monde", "шифр ключа"];
    let apart = Space::new(&asking(&apart), None).coverage();
    assert_eq!((apart.distinct, apart.crowded.len()), (4, 0));
    assert!((apart.effective - 4.0).abs() < 0.2 && apart.mean_distance > 0.9, "{apart:?}");
    assert_eq!(Space::new(&[], None).coverage(), Coverage::default());
}

#[test]
fn wordings_of_one_question_are_its_neighbours_and_its_corner() {
    let texts = [
        "How do I return the shoes I ordered?",
        "I want to return the shoes I ordered",
        "How can I return the shoes that I ordered?",
        "商品の返品方法を教えてください",
        "返品方法を教えてください",
        "商品を返品する方法を教えてください",
        "What is the balance of my savings account?",
        "Is the pool open on Sunday?",
    ];
    let records = asking(&texts);
    let space = Space::new(&records, None);
    let near = |at: usize| space.neighbours(&records[at], None, 2).iter().map(|(id, _)| *id).collect::<Vec<_>>();
    for (at, expected) in [(0, [2, 3]), (4, [4, 6])] {
        let mut found = near(at);
        found.sort_unstable();
        assert_eq!(found, expected, "{}", texts[at]);
    }
    let coverage = space.coverage();
    assert!(coverage.distinct < texts.len() && coverage.effective < 7.0, "{coverage:?}");
    assert_eq!(coverage.crowded, [Corner { record: 1, others: vec![2, 3] }]);
    let mut stranger = asking(&["return of ordered shoes"]).remove(0);
    stranger.id = 99;
    assert!([1, 2, 3].contains(&space.neighbours(&stranger, None, 1)[0].0));
    stranger.id = 1;
    assert!(space.neighbours(&stranger, None, 9).iter().all(|(id, _)| *id != 1), "a record is no neighbour of its own");
}

#[test]
fn what_all_records_are_told_is_no_part_of_an_input() {
    let mut records = asking(&["red", "green", "blue"]);
    for record in &mut records {
        let Content::Pair { fields, .. } = &mut record.state.content else { continue };
        let question = fields.remove("question").unwrap_or_default();
        fields.insert("instruction".into(), json!("Name the opposite of this word, please."));
        fields.insert("input".into(), question);
    }
    assert_eq!(Space::new(&records, None).coverage().distinct, 3);
    records[2].state.status = Status::Rejected;
    assert_eq!(Space::new(&records, None).coverage().records, 2);
}
