//! The demo's pairs: minutes, and the to-do list that is to be drawn from them.
//!
//! A list has a line for every job taken on, behind the number of its point, and nothing for the remarks. Its lines are
//! `2. Aiko: order the chairs by 12 June` and `2.田中、椅子の注文、6月12日`. Every sign in them stands in the pages too: one that the
//! base model has never had to write is one that LoRA, which leaves the embeddings alone, could hardly bring it to write.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::world::{Action, Language, Meeting, Share, World, date_text, line};

/// The prompt of a pair, as a template over its fields; the answer follows it.
pub const TEMPLATE: &str = "{{ input }}\n{{ instruction }}\n";

/// What asks for the list in English.
pub const ENGLISH_INSTRUCTION: &str = "To do:";

/// What asks for the list in Japanese.
pub const JAPANESE_INSTRUCTION: &str = "やること：";

/// A training or held-out pair, with the fields of the Alpaca layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// What is asked for.
    pub instruction: String,
    /// The minutes.
    pub input: String,
    /// The to-do list, without a newline at its end.
    pub output: String,
}

impl Pair {
    /// The prompt, as [`TEMPLATE`] renders it.
    #[must_use]
    pub fn prompt(&self) -> String {
        format!("{}\n{}\n", self.input, self.instruction)
    }
}

/// The pairs of a share, English and Japanese in turn; no two have the same minutes.
#[must_use]
pub fn pairs(seed: u64, share: Share, count: usize) -> Vec<Pair> {
    meetings(seed, share, count).into_iter().map(|(_, pair)| pair).collect()
}

/// The pairs of a share, each with the meeting it tells of.
pub(super) fn meetings(seed: u64, share: Share, count: usize) -> Vec<(Meeting, Pair)> {
    let world = World::new();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Streams from the top, so that no pair is drawn with the numbers of a page.
    rng.set_stream(u64::MAX - share as u64);
    let mut seen = BTreeSet::new();
    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count {
        let language = Language::ALL[pairs.len() % Language::ALL.len()];
        let meeting = world.meeting(language, share, &mut rng);
        let input = meeting.minutes();
        if seen.insert(input.clone()) {
            let instruction = match language {
                Language::English => ENGLISH_INSTRUCTION,
                Language::Japanese => JAPANESE_INSTRUCTION,
            };
            let output = to_do_list(&meeting);
            pairs.push((meeting, Pair { instruction: instruction.to_owned(), input, output }));
        }
    }
    pairs
}

/// The to-do list of a meeting.
#[must_use]
pub fn to_do_list(meeting: &Meeting) -> String {
    meeting.numbered_actions().map(to_do).collect::<String>().trim_end().to_owned()
}

/// The same list with colons and brackets, in which people put dates: what the tokenizer is to know besides.
pub(super) fn bracketed_list(meeting: &Meeting) -> String {
    let entry = |(number, action): (usize, &Action)| {
        let (who, what, when) = (action.owner, action.task.text(), date_text(action.language(), action.due));
        let text = match action.language() {
            Language::English => format!("{who}: {what} ({when})"),
            Language::Japanese => format!("{who}：{what}（{when}）"),
        };
        line(action.language(), number, &text)
    };
    meeting.numbered_actions().map(entry).collect::<String>().trim_end().to_owned()
}

/// One line of a to-do list.
fn to_do((number, action): (usize, &Action)) -> String {
    let language = action.language();
    let (who, what, when) = (action.owner, action.task.text(), date_text(language, action.due));
    let text = match language {
        Language::English => format!("{who}: {what} by {when}"),
        Language::Japanese => format!("{who}、{what}、{when}"),
    };
    line(language, number, &text)
}

/// The training pair whose minutes are nearest to `input`: what one would answer without a model.
///
/// Nearness is the Jaccard index of the sets of character 3-grams. `None` when there is no training pair.
#[must_use]
pub fn nearest<'a>(train: &'a [Pair], input: &str) -> Option<&'a Pair> {
    let wanted = grams(input);
    let mut best: Option<(f64, &Pair)> = None;
    for pair in train {
        let have = grams(&pair.input);
        let shared = wanted.intersection(&have).count();
        let score = shared as f64 / (wanted.len() + have.len() - shared).max(1) as f64;
        if best.is_none_or(|(top, _)| score > top) {
            best = Some((score, pair));
        }
    }
    best.map(|(_, pair)| pair)
}

fn grams(text: &str) -> BTreeSet<[char; 3]> {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(3).filter_map(|w| w.try_into().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_in_its_minutes_word_for_word() {
        for (meeting, pair) in meetings(1, Share::Test, 200) {
            assert_eq!(pair.output.lines().count(), meeting.actions().count());
            for (line, action) in pair.output.lines().zip(meeting.actions()) {
                let date = date_text(meeting.language, action.due);
                for part in [action.owner, &action.task.text(), &date] {
                    assert!(line.contains(part) && pair.input.contains(part), "{line}\n{}", pair.input);
                }
            }
        }
    }

    #[test]
    fn held_out_pairs_share_no_owner_and_job_with_training_pairs() {
        let bindings = |share| -> BTreeSet<(&str, String)> {
            let found = meetings(1, share, 200);
            found.iter().flat_map(|(m, _)| m.actions().map(|a| (a.owner, a.task.text())).collect::<Vec<_>>()).collect()
        };
        let (train, valid, test) = (bindings(Share::Train), bindings(Share::Valid), bindings(Share::Test));
        assert!(train.len() > 400);
        assert!(train.is_disjoint(&valid) && train.is_disjoint(&test) && valid.is_disjoint(&test));
    }

    #[test]
    fn the_nearest_training_pair_does_not_know_the_answer() {
        let (train, test) = (pairs(1, Share::Train, 200), pairs(1, Share::Test, 200));
        let same = nearest(&train, &train[5].input).expect("there are training pairs");
        assert_eq!(same, &train[5]);
        let right = test.iter().filter(|pair| nearest(&train, &pair.input).is_some_and(|n| n.output == pair.output));
        assert_eq!(right.count(), 0);
    }

    #[test]
    fn both_languages_have_half_of_the_pairs() {
        let pairs = pairs(1, Share::Valid, 40);
        assert_eq!(pairs.iter().filter(|pair| pair.instruction == ENGLISH_INSTRUCTION).count(), 20);
        assert_eq!(pairs.iter().filter(|pair| pair.instruction == JAPANESE_INSTRUCTION).count(), 20);
    }
}
