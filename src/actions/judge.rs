//! What people preferred: kept, counted, and as pairs to train on.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::context::ActionError;
use crate::evaluate::interval::{Interval, wilson95};
use crate::store::Store;

pub use crate::store::Judgement;

/// Keeps a judgement.
///
/// # Errors
/// When the database cannot be written.
pub fn judge(store: &mut Store, judgement: &Judgement) -> Result<i64, ActionError> {
    Ok(store.judge(judgement)?)
}

/// What the judgements of two systems come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// The two systems, in the order of the alphabet but the base first.
    pub systems: [String; 2],
    /// How often the first was preferred.
    pub first: usize,
    /// How often the second was preferred.
    pub second: usize,
    /// How often they were as good.
    pub tie: usize,
    /// How often neither would do.
    pub bad: usize,
    /// The second one's share of the decided ones; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Wilson's interval of that share, at 95 %.
    pub interval: Interval,
}

/// Counts judgements, pair of systems by pair of systems; `blind` counts only those given without names.
#[must_use]
pub fn tallies(judgements: &[Judgement], blind: bool) -> Vec<Tally> {
    let mut by: BTreeMap<[String; 2], Tally> = BTreeMap::new();
    for judgement in judgements.iter().filter(|judgement| judgement.blind || !blind) {
        let mut systems = [judgement.left.clone(), judgement.right.clone()];
        let turned = (systems[0] != "base", &systems[0]) > (systems[1] != "base", &systems[1]);
        if turned {
            systems.swap(0, 1);
        }
        let tally = by.entry(systems.clone()).or_insert_with(|| Tally { systems, ..Tally::default() });
        match (judgement.pick.as_str(), turned) {
            ("left", false) | ("right", true) => tally.first += 1,
            ("right", false) | ("left", true) => tally.second += 1,
            ("tie", _) => tally.tie += 1,
            _ => tally.bad += 1,
        }
    }
    let mut tallies: Vec<Tally> = by.into_values().collect();
    for tally in &mut tallies {
        let decided = tally.first + tally.second;
        tally.share = (decided > 0).then(|| tally.second as f64 / decided as f64);
        tally.interval = wilson95(tally.second, decided);
    }
    tallies
}

/// The decided judgements as preference pairs: `{"prompt", "chosen", "rejected"}`. Of a question that the same person judged
/// again with the same answers, the last word counts.
#[must_use]
pub fn pairs(judgements: &[Judgement]) -> Vec<Value> {
    let mut last: BTreeMap<(String, String, [String; 2]), (i64, Value)> = BTreeMap::new();
    for judgement in judgements {
        let (chosen, rejected) = match judgement.pick.as_str() {
            "left" => (&judgement.left_answer, &judgement.right_answer),
            "right" => (&judgement.right_answer, &judgement.left_answer),
            _ => continue,
        };
        let mut answers = [chosen.clone(), rejected.clone()];
        answers.sort();
        let pair = json!({ "prompt": judgement.question, "chosen": chosen, "rejected": rejected });
        last.insert((judgement.author.clone(), judgement.question.clone(), answers), (judgement.id, pair));
    }
    let mut pairs: Vec<(i64, Value)> = last.into_values().collect();
    pairs.sort_by_key(|(id, _)| *id);
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(left: &str, right: &str, pick: &str) -> Judgement {
        let (left_answer, right_answer) = (format!("{left} says"), format!("{right} says"));
        Judgement {
            question: "q".into(),
            left: left.into(),
            right: right.into(),
            left_answer,
            right_answer,
            pick: pick.into(),
            blind: true,
            ..Judgement::default()
        }
    }

    #[test]
    fn sides_do_not_matter_and_ties_decide_nothing() {
        let all = [
            judged("base", "a1", "right"),
            judged("a1", "base", "left"),
            judged("a1", "base", "right"),
            judged("base", "a1", "tie"),
            judged("base", "a1", "bad"),
            Judgement { blind: false, ..judged("base", "a1", "left") },
        ];
        let tallies = tallies(&all, true);
        assert_eq!(tallies.len(), 1);
        let tally = &tallies[0];
        assert_eq!(tally.systems, ["base", "a1"]);
        assert_eq!((tally.first, tally.second, tally.tie, tally.bad), (1, 2, 1, 1));
        assert!((tally.share.unwrap() - 2.0 / 3.0).abs() < 1e-12 && tally.interval.contains(2.0 / 3.0));
    }

    #[test]
    fn the_last_word_on_a_question_is_the_pair() {
        let all = [judged("base", "a1", "left"), judged("a1", "base", "left"), judged("base", "b2", "tie")];
        assert_eq!(pairs(&all), [json!({ "prompt": "q", "chosen": "a1 says", "rejected": "base says" })]);
    }
}
