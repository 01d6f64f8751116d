//! What people preferred: kept, counted, and as pairs to train on.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Value, json};

use super::context::ActionError;
pub use crate::evaluate::agreement::Agreement;
use crate::evaluate::interval::{Interval, wilson95};
use crate::evaluate::preference::{self, Pick, Ranking};
use crate::store::Store;

pub use crate::evaluate::significance::Estimate;
pub use crate::store::Judgement;

/// What a person can prefer, as it is stored.
pub const PICKS: [&str; 4] = ["left", "right", "tie", "bad"];

/// Keeps a judgement.
///
/// # Errors
/// When it says what cannot be (another pick, no question, one system on both sides, a record that is not there), or the database
/// cannot be written.
pub fn judge(store: &mut Store, judgement: &Judgement) -> Result<i64, ActionError> {
    check(store, judgement)?;
    Ok(store.judge(judgement)?)
}

/// Refuses what is no judgement.
fn check(store: &Store, judgement: &Judgement) -> Result<(), ActionError> {
    let refused = |why: String| Err(ActionError::Refused(why));
    let Judgement { question, left, right, pick, seconds, .. } = judgement;
    if !PICKS.contains(&pick.as_str()) {
        return refused(format!("a pick is {}, and none is {pick:?}", PICKS.join(", ")));
    }
    if question.trim().is_empty() {
        return refused("a judgement needs the question that was asked".into());
    }
    if left.is_empty() || right.is_empty() || left == right {
        return refused(format!("a judgement is between two systems, and these are {left:?} and {right:?}"));
    }
    if seconds.is_some_and(|seconds| !seconds.is_finite() || seconds < 0.0) {
        return refused("the seconds of a judgement are a number from 0 on".into());
    }
    if let Some(record) = judgement.record {
        store.get(record)?;
    }
    Ok(())
}

/// Keeps judgements that are written one JSON object a line, as `togi judgements --json` prints them; who judged and when is whoever
/// keeps them, and now. All lines are looked at before the first is kept. Returns their numbers.
///
/// # Errors
/// With the line, when one is no judgement; as [`judge`].
pub fn add(store: &mut Store, lines: &str) -> Result<Vec<i64>, ActionError> {
    let numbered = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = numbered.map(|(at, line)| {
        let wrong = |error: &dyn std::fmt::Display| ActionError::Refused(format!("line {}: {error}", at + 1));
        let judgement = serde_json::from_str::<Judgement>(line).map_err(|error| wrong(&error))?;
        check(store, &judgement).map_err(|error| wrong(&error))?;
        Ok(judgement)
    });
    let judgements = read.collect::<Result<Vec<_>, ActionError>>()?;
    judgements.iter().map(|judgement| Ok(store.judge(judgement)?)).collect()
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

/// A system and what it answered.
type Side<'a> = (&'a str, &'a str);

/// A question, a record's where it is one, with the two answers that were judged, and who judged.
type Item<'a> = (Option<i64>, &'a str, [Side<'a>; 2], &'a str);

/// A judgement that stands.
struct Stands<'a> {
    question: &'a str,
    /// In the order of the alphabet but the base first.
    sides: [Side<'a>; 2],
    author: &'a str,
    /// None where both are bad.
    pick: Option<Pick>,
}

/// The judgements that stand, in the order they were given: of those that one person gave on the same answers of the same two systems
/// to one question (a record's, where it is one) the last word; only those given without names where `blind`.
fn standing(judgements: &[Judgement], blind: bool) -> Vec<Stands<'_>> {
    let mut last: HashMap<Item<'_>, (usize, Option<Pick>)> = HashMap::new();
    for (at, judgement) in judgements.iter().enumerate().filter(|(_, judgement)| judgement.blind || !blind) {
        let mut sides = [(&*judgement.left, &*judgement.left_answer), (&*judgement.right, &*judgement.right_answer)];
        let turned = (sides[0].0 != "base", sides[0]) > (sides[1].0 != "base", sides[1]);
        if turned {
            sides.swap(0, 1);
        }
        let pick = match (judgement.pick.as_str(), turned) {
            ("left", false) | ("right", true) => Some(Pick::First),
            ("right", false) | ("left", true) => Some(Pick::Second),
            ("tie", _) => Some(Pick::Tie),
            _ => None,
        };
        last.insert((judgement.record, &judgement.question, sides, &judgement.author), (at, pick));
    }
    let mut standing: Vec<_> = last.into_iter().collect();
    standing.sort_by_key(|(_, (at, _))| *at);
    standing
        .into_iter()
        .map(|((_, question, sides, author), (_, pick))| Stands { question, sides, author, pick })
        .collect()
}

/// Counts judgements, pair of systems by pair of systems; `blind` counts only those given without names.
#[must_use]
pub fn tallies(judgements: &[Judgement], blind: bool) -> Vec<Tally> {
    let mut by: BTreeMap<[&str; 2], Tally> = BTreeMap::new();
    for Stands { sides, pick, .. } in standing(judgements, blind) {
        let systems = sides.map(|(system, _)| system);
        let new = || Tally { systems: systems.map(str::to_owned), ..Tally::default() };
        let tally = by.entry(systems).or_insert_with(new);
        match pick {
            Some(Pick::First) => tally.first += 1,
            Some(Pick::Second) => tally.second += 1,
            Some(Pick::Tie) => tally.tie += 1,
            None => tally.bad += 1,
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

/// All systems on one scale, by Bradley and Terry's model, with Davidson's ties where there are any.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// The systems, the best first.
    pub systems: Vec<RankedSystem>,
    /// How readily people found two as good; none where they never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ties: Option<preference::Ties>,
    /// Where the scores rest on little, in words.
    pub warnings: Vec<String>,
    /// Judgements that counted. That both are bad says nothing of which is better and does not count.
    pub judgements: usize,
}

/// A system's place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedSystem {
    /// Its name.
    pub system: String,
    /// Its score.
    #[serde(flatten)]
    pub score: preference::Score,
}

/// Ranks the systems; none where nothing was decided. `blind` counts only judgements given without names.
#[must_use]
pub fn ranking(judgements: &[Judgement], blind: bool) -> Option<Ranked> {
    let mut names: Vec<&str> = Vec::new();
    let mut picks = Vec::new();
    for Stands { sides: [left, right], pick, .. } in standing(judgements, blind) {
        let Some(pick) = pick.filter(|_| left.0 != right.0) else { continue };
        let mut number = |name| {
            names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        };
        let (first, second) = (number(left.0), number(right.0));
        picks.push(preference::Judgement { first, second, pick });
    }
    let ranking = Ranking::of(names.len(), &picks, &preference::Settings::default()).ok()?;
    let warnings = ranking.warnings.iter().map(|warning| warning.words(&names)).collect();
    let scores = ranking.scores.into_iter();
    let mut systems: Vec<RankedSystem> =
        names.iter().zip(scores).map(|(name, score)| RankedSystem { system: (*name).to_owned(), score }).collect();
    systems.sort_by(|a, b| b.score.log_odds.total_cmp(&a.score.log_odds));
    Some(Ranked { systems, ties: ranking.ties, warnings, judgements: ranking.judgements })
}

/// How far people agree who judged the same two answers, over first, second, as good and both bad; none where no two did.
#[must_use]
pub fn agreement(judgements: &[Judgement]) -> Option<Agreement> {
    let mut items: BTreeMap<(&str, [Side<'_>; 2]), BTreeMap<&str, u32>> = BTreeMap::new();
    for Stands { question, sides, author, pick } in standing(judgements, false) {
        let label = match pick {
            Some(Pick::First) => 0,
            Some(Pick::Second) => 1,
            Some(Pick::Tie) => 2,
            None => 3,
        };
        items.entry((question, sides)).or_default().insert(author, label);
    }
    Agreement::of(items.into_values())
}

/// The decided judgements as preference pairs: `{"prompt", "chosen", "rejected"}`. Who answered does not count there: of the same two
/// answers to one question, whichever systems gave them, a person's last word stands.
#[must_use]
pub fn pairs(judgements: &[Judgement]) -> Vec<Value> {
    let mut last: BTreeMap<(&str, &str, [&str; 2]), (usize, Stands<'_>)> = BTreeMap::new();
    for (at, stands) in standing(judgements, false).into_iter().enumerate() {
        let mut answers = stands.sides.map(|(_, answer)| answer);
        answers.sort_unstable();
        last.insert((stands.author, stands.question, answers), (at, stands));
    }
    let mut pairs: Vec<(usize, Stands<'_>)> = last.into_values().collect();
    pairs.sort_by_key(|(at, _)| *at);
    let pair = |Stands { question, sides: [first, second], pick, .. }: Stands<'_>| {
        let (chosen, rejected) = match pick? {
            Pick::First => (first.1, second.1),
            Pick::Second => (second.1, first.1),
            Pick::Tie => return None,
        };
        Some(json!({ "prompt": question, "chosen": chosen, "rejected": rejected }))
    };
    pairs.into_iter().filter_map(|(_, stands)| pair(stands)).collect()
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

    /// Each of another question.
    fn asked(judgements: impl IntoIterator<Item = Judgement>) -> Vec<Judgement> {
        (0..).zip(judgements).map(|(at, judged)| Judgement { question: format!("q{at}"), ..judged }).collect()
    }

    #[test]
    fn of_a_question_judged_again_the_last_word_stands() {
        let by = |author: &str, judged: Judgement| Judgement { author: author.into(), ..judged };
        let all = [
            by("aiko", judged("base", "a1", "left")),
            by("ben", judged("base", "a1", "left")),
            by("aiko", judged("a1", "base", "left")),
            // Other answers to the same question are another judgement.
            by("aiko", Judgement { left_answer: "once more".into(), ..judged("base", "a1", "right") }),
        ];
        let tally = &tallies(&all, true)[0];
        assert_eq!((tally.first, tally.second), (1, 2));
        assert_eq!(ranking(&all, true).unwrap().judgements, 3);
        assert_eq!(pairs(&all).len(), 3);
        // For a pair it does not matter who gave the answers.
        let same = |system: &str, pick: &str| Judgement { left_answer: "x".into(), ..judged(system, "base", pick) };
        let again = pairs(&[same("a1@100", "left"), same("a1@200", "right")]);
        assert_eq!(again, [json!({ "prompt": "q", "chosen": "base says", "rejected": "x" })]);
        // Who takes a decision back has no pair.
        let undecided = [judged("base", "a1", "left"), judged("a1", "base", "bad")];
        assert!(pairs(&undecided).is_empty());
    }

    #[test]
    fn sides_do_not_matter_and_ties_decide_nothing() {
        let all = asked([
            judged("base", "a1", "right"),
            judged("a1", "base", "left"),
            judged("a1", "base", "right"),
            judged("base", "a1", "tie"),
            judged("base", "a1", "bad"),
            Judgement { blind: false, ..judged("base", "a1", "left") },
        ]);
        let tallies = tallies(&all, true);
        assert_eq!(tallies.len(), 1);
        let tally = &tallies[0];
        assert_eq!(tally.systems, ["base", "a1"]);
        assert_eq!((tally.first, tally.second, tally.tie, tally.bad), (1, 2, 1, 1));
        assert!((tally.share.unwrap() - 2.0 / 3.0).abs() < 1e-12 && tally.interval.contains(2.0 / 3.0));
    }

    #[test]
    fn systems_are_ranked_over_others_and_both_bad_does_not_count() {
        assert!(ranking(&[judged("base", "a1", "bad")], true).is_none());
        let mut all = vec![judged("base", "a1", "right"); 6];
        all.push(judged("a1", "base", "right"));
        all.extend(vec![judged("a1", "b2", "right"); 5]);
        all.push(judged("b2", "a1", "right"));
        let ranked = ranking(&asked(all), true).unwrap();
        let names: Vec<&str> = ranked.systems.iter().map(|system| system.system.as_str()).collect();
        assert_eq!((names, ranked.judgements), (vec!["b2", "a1", "base"], 13), "b2 and base never met");
        assert!(ranked.warnings.iter().any(|warning| warning.contains("base")) || ranked.warnings.is_empty());
    }

    #[test]
    fn people_who_judge_the_same_answers_agree_or_not() {
        let by = |author: &str, question: &str, pick: &str, turned: bool| {
            let (left, right) = if turned { ("a1", "base") } else { ("base", "a1") };
            Judgement { author: author.into(), question: question.into(), ..judged(left, right, pick) }
        };
        assert!(agreement(&[by("aiko", "q1", "left", false), by("ben", "q2", "left", false)]).is_none());
        // The same picks, seen on other sides.
        let mut all = Vec::new();
        for (question, pick, turned) in
            [("q1", "left", "right"), ("q2", "right", "left"), ("q3", "tie", "tie"), ("q4", "bad", "bad")]
        {
            all.push(by("aiko", question, pick, false));
            all.push(by("ben", question, turned, true));
        }
        let found = agreement(&all).unwrap();
        let value = |estimate: Option<Estimate>| estimate.unwrap().value;
        assert_eq!((found.items, found.people.len()), (4, 2));
        assert!((value(found.alpha) - 1.0).abs() < 1e-12 && (value(found.fleiss) - 1.0).abs() < 1e-12);
        assert!((found.cohen[0].3.value - 1.0).abs() < 1e-12);
        // One who sees it the other way round every time.
        all.push(by("ben", "q1", "left", true));
        all.push(by("ben", "q2", "right", true));
        assert!(agreement(&all).unwrap().cohen[0].3.value < 0.5);
        // No chance to disagree: no figure, and the reason.
        let same = [by("aiko", "q1", "left", false), by("ben", "q1", "left", false)];
        let found = agreement(&same).unwrap();
        assert!(found.alpha.is_none() && found.notes.iter().any(|note| note.contains("all labels are the same")));
    }

    #[test]
    fn the_last_word_on_a_question_is_the_pair() {
        let all = [judged("base", "a1", "left"), judged("a1", "base", "left"), judged("base", "b2", "tie")];
        assert_eq!(pairs(&all), [json!({ "prompt": "q", "chosen": "a1 says", "rejected": "base says" })]);
    }
}
