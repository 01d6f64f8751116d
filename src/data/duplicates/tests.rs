use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, json};

use super::normal::normal;
use super::*;
use crate::store::{Content, Origin, State};

fn pair(id: i64, instruction: &str, input: &str, answer: &str) -> Record {
    let mut fields = Map::new();
    fields.insert("instruction".into(), json!(instruction));
    fields.insert("input".into(), json!(input));
    let state = State::new(Content::Pair { fields, draft: None, gold: Some(answer.into()) }, Status::Gold);
    Record { id, revision: 1, state, origin: Origin::Import, source: None }
}

fn likeness(records: &[Record]) -> Likeness {
    Likeness::new(records.iter().map(|record| Outline::of(record, None)).collect())
}

fn near(all: &Likeness, record: &Record) -> Vec<i64> {
    all.near(&Outline::of(record, None), |_| true).iter().map(|(other, _)| other.id).collect()
}

#[test]
fn normal_forms_forget_dress_and_keep_meaning() {
    assert_eq!(normal("  Ｔｏｇｉ、\tIS—sharp!  "), "togi is sharp");
    assert_eq!(normal("ｶﾞｷﾞ 9、6億"), "ガギ 9 6億");
    for (a, b) in
        [("3-4", "3+4"), ("14.9万人", "149万人"), ("C++ とは", "C# とは"), ("C++", "C"), ("???", "!!"), ("👍", "👎")]
    {
        assert_ne!(normal(a), normal(b), "{a} {b}");
    }
    for (a, b) in
        [("1,000 yen", "1000 yen"), ("well-known", "well known"), ("終わった。", "終わった"), ("5 - 3", "5-3")]
    {
        assert_eq!(normal::hash(&normal(a)), normal::hash(&normal(b)), "{a} {b}");
    }
}

/// Pairs of texts, the second with some words (or letters) changed, inserted or gone.
fn changed_pairs(random: &mut ChaCha8Rng, japanese: bool, count: usize) -> Vec<(String, String)> {
    let letters: Vec<char> = if japanese {
        "あいうえおかきくけこさしすせそたちつてとなにぬねの日本東京文章質問答学校電話番号会社年月".chars().collect()
    } else {
        ('a'..='z').collect()
    };
    let unit = |random: &mut ChaCha8Rng| -> String {
        let length = if japanese { 1 } else { random.random_range(2..9) };
        (0..length).map(|_| letters[random.random_range(0..letters.len())]).collect()
    };
    let seam = if japanese { "" } else { " " };
    let mut pairs = Vec::new();
    for _ in 0..count {
        let length = random.random_range(30..140);
        let first: Vec<String> = (0..length).map(|_| unit(random)).collect();
        let mut second = first.clone();
        for _ in 0..random.random_range(1..=1 + length / 50) {
            let at = random.random_range(0..second.len());
            match random.random_range(0..3) {
                0 => second[at] = unit(random),
                1 => second.insert(at, unit(random)),
                _ => drop(second.remove(at)),
            }
        }
        pairs.push((first.join(seam), second.join(seam)));
    }
    pairs
}

#[test]
fn bands_find_nearly_all_pairs_that_are_near_and_few_others() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for japanese in [false, true] {
        let pairs = changed_pairs(&mut random, japanese, 1200);
        let sets: Vec<[Vec<u32>; 2]> = pairs
            .iter()
            .map(|(a, b)| [a, b].map(|text| shingles::of(std::iter::once(normal(text).as_str()), !japanese)))
            .collect();
        let mut bands = Bands::default();
        for (place, [first, _]) in sets.iter().enumerate() {
            bands.insert(&minhash::keys(first), place as u32);
        }
        let (mut wanted, mut hit, mut strangers) = (0, 0, 0);
        for (place, [first, second]) in sets.iter().enumerate() {
            let mut found = Vec::new();
            bands.candidates(&minhash::keys(second), place as u32, &mut found);
            strangers += found.iter().filter(|other| **other != place as u32).count();
            if (0.85..1.0).contains(&jaccard(first, second)) {
                wanted += 1;
                hit += usize::from(found.contains(&(place as u32)));
            }
        }
        assert!(wanted >= 300, "{wanted} pairs are a poor sample");
        assert!(f64::from(hit as u32) >= 0.95 * f64::from(wanted), "japanese {japanese}: {hit} of {wanted}");
        assert_eq!(strangers, 0, "random texts share no bucket");
        // The same through records: prompts with an answer each.
        let records: Vec<Record> = pairs
            .iter()
            .enumerate()
            .flat_map(|(at, (a, b))| {
                let id = at as i64 * 2 + 1;
                [pair(id, "Reply.", a, "fine"), pair(id + 1, "Reply.", b, "fine")]
            })
            .collect();
        let all = likeness(&records);
        let wanted = sets.iter().enumerate().filter(|(_, [a, b])| (0.85..1.0).contains(&jaccard(a, b)));
        let (hit, count) = wanted.fold((0, 0), |(hit, count), (at, _)| {
            (hit + u32::from(near(&all, &records[at * 2]) == [records[at * 2 + 1].id]), count + 1)
        });
        assert!(f64::from(hit) >= 0.95 * f64::from(count), "japanese {japanese}: {hit} of {count} records");
    }
}

const PASSAGE: &str = "平和維持活動が開始されると初期に報道機関の関心が集中する傾向にある。この際に適量かつ適当な情報を報道機関に\
提供することは以後の平和維持活動の効率にも関係してくる場合もある。ただし報道機関が危険地帯への侵入には警告は行うが、それ以上の措置は行わない。";

#[test]
fn questions_about_one_passage_are_not_near_and_the_same_question_is() {
    let ask = |id, passage: &str, question: &str, answer: &str| {
        pair(id, "文章を読んで質問に答えてください。", &format!("文章: {passage}\n質問: {question}"), answer)
    };
    let other_passage = PASSAGE.replace("危険地帯", "緩衝地帯").replace("警告は行う", "反対はしない");
    let one_line = |id, question: &str, answer: &str| pair(id, "Read.", &format!("{PASSAGE}{question}"), answer);
    let records = [
        ask(1, PASSAGE, "何の関心が集中するか。", "報道機関"),
        ask(2, PASSAGE, "どこへの侵入に警告を行うか。", "危険地帯"),
        ask(3, &other_passage, "どこへの侵入に反対しないか。", "緩衝地帯"),
        ask(4, &other_passage, "いつ関心が集中するか。", "初期"),
        ask(5, &PASSAGE.replace("適量かつ", "適量で"), "何の関心が集中するか。", "報道機関"),
        one_line(6, "報道機関の関心が集中するのはいつですか？", "初期"),
        one_line(7, "警告はどこへの侵入に行われますか？", "危険地帯"),
    ];
    let all = likeness(&records);
    assert_eq!(near(&all, &records[0]), [5], "one word of the passage differs, question and answer are the same");
    assert_eq!(near(&all, &records[4]), [1]);
    for at in [1, 3, 5, 6] {
        assert_eq!(near(&all, &records[at]), Vec::<i64>::new(), "record {}", at + 1);
    }
}

#[test]
fn a_changed_line_in_the_midst_of_a_letter_leaves_it_near_and_another_question_below_it_does_not() {
    let letter = |day: &str, end: &str| {
        format!(
            "Dear team of the harbour office,\nthe crane at the second pier has been out of order for three weeks now.\n\
             It stopped on {day}.\nPlease send somebody who can mend it before the large ships come in.\n\
             We cannot unload anything until then, and the goods are getting old.\n{end}"
        )
    };
    let records = [
        pair(1, "Sum up.", &letter("Monday", "The dockers"), "The crane is broken."),
        pair(2, "Sum up.", &letter("Friday", "The dockers"), "The crane is broken."),
        pair(3, "Sum up.", &letter("Monday", "Who writes this?"), "The crane is broken."),
    ];
    let all = likeness(&records);
    assert_eq!([0, 1, 2].map(|at| near(&all, &records[at])), [vec![2], vec![1], vec![]]);
}

#[test]
fn a_crowd_under_one_instruction_is_neither_near_nor_slow() {
    let instruction = "Extract the customer's intents and slots from the message. Answer with one line of JSON, and nothing \
else, please: {\"intents\": [...], \"slots\": {...}}.";
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut records: Vec<Record> = changed_pairs(&mut random, false, 300)
        .into_iter()
        .enumerate()
        .map(|(at, (text, _))| pair(at as i64 + 1, instruction, &text, "{\"intents\": [], \"slots\": {}}"))
        .collect();
    let all = likeness(&records);
    assert!(records.iter().all(|record| near(&all, record).is_empty()));
    // Hundreds that hardly differ from one another: each is told of some.
    let text =
        "please send the invoice for my order of last week to the address of our office in the harbour by post number";
    records.extend((0..400).map(|at| pair(1000 + at, instruction, &format!("{text} {at}"), "{}")));
    let all = likeness(&records);
    assert!(records.iter().skip(300).all(|record| near(&all, record).len() == ENOUGH));
}

#[test]
fn short_prompts_have_no_near_ones_and_an_answer_alone_makes_none() {
    let answer = "Please open your account page, choose the order, and press the button that says Cancel Order there.";
    let records = [
        pair(1, "Reply.", "yes", answer),
        pair(2, "Reply.", "yes!!", "No."),
        pair(3, "Reply.", "yep", answer),
        pair(4, "Reply.", "I want to cancel the blue shoes", answer),
        pair(5, "Reply.", "How can an order be taken back", answer),
    ];
    let all = likeness(&records);
    assert!(records.iter().all(|record| near(&all, record).is_empty()));
    let outline = Outline::of(&records[0], None);
    assert_eq!(all.same_prompt(&outline).map(|other| other.id).collect::<Vec<_>>(), [2]);
}

#[test]
fn sets_join_all_that_say_or_ask_the_same_and_leave_rejected_records_out() {
    let long = "could you tell me how long the delivery of my parcel to the north of the country will take this winter";
    let mut records = vec![
        pair(1, "Reply.", "Where is it?", "There."),
        pair(2, "Reply.", "where is it", "Here."),
        pair(3, "Reply.", long, "Two days."),
        pair(4, "Reply.", &format!("hello {long}"), "Two days."),
        pair(5, "Reply.", "When?", "Now."),
        pair(6, "Reply.", "WHEN", "Now."),
        pair(7, "Reply.", "Who?", "Me."),
    ];
    assert_eq!(groups(&records, None), [vec![1, 2], vec![3, 4], vec![5, 6]]);
    records[5].state.status = Status::Rejected;
    assert_eq!(groups(&records, None), [vec![1, 2], vec![3, 4]]);
}

#[test]
fn an_index_that_was_updated_knows_what_a_new_one_knows() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let texts = changed_pairs(&mut random, true, 40);
    let mut records: Vec<Record> = texts
        .iter()
        .enumerate()
        .flat_map(|(at, (a, b))| {
            [pair(at as i64 * 2, "答えて。", a, "はい"), pair(at as i64 * 2 + 1, "答えて。", b, "はい")]
        })
        .collect();
    let mut all = likeness(&records);
    for at in (0..records.len()).step_by(3) {
        let id = records[at].id;
        records[at] = pair(id, "答えて。", &texts[(at / 2 + 7) % texts.len()].1, "いいえ");
        all.update(Outline::of(&records[at], None));
    }
    let gone = records.remove(10);
    all.remove(gone.id);
    let new = likeness(&records);
    for record in records.iter().chain([&gone]) {
        let outline = Outline::of(record, None);
        assert_eq!(near(&all, record), near(&new, record), "{}", record.id);
        let ids = |all: &Likeness| -> Vec<i64> {
            all.equal(&outline).chain(all.same_prompt(&outline)).map(|other| other.id).collect()
        };
        assert_eq!(ids(&all), ids(&new));
    }
}
