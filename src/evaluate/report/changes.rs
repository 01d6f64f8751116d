//! What became of each row from one system to another.

use serde::{Deserialize, Serialize};

use super::{Candidate, EXACT, Metric, Test};

/// The least change of a graded score, of 1, that counts for a row that neither system gets exactly right.
pub const STEP: f64 = 0.1;
/// Metrics that grade an answer, the best judge first.
pub(super) const GRADES: [&str; 5] = ["field_f1", "f1", "rouge_l", "chrf", "indel"];

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turned {
    /// Wrong before, right after.
    Fixed,
    /// Wrong in both, and closer to the right answer by [`STEP`].
    Closer,
    /// Right before, wrong after.
    Broken,
    /// Wrong in both, and further from the right answer by [`STEP`].
    Further,
    /// Wrong in both, and about as far.
    Wrong,
}

/// A row that changed or stayed wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The row's id.
    pub id: String,
    /// Its place in the test set, from 0.
    pub place: usize,
    /// What became of it.
    pub turned: Turned,
    /// Its category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What it asks.
    pub asks: String,
    /// The right answer.
    pub gold: String,
    /// The first system's answer.
    pub before: String,
    /// The second system's.
    pub after: String,
    /// The second one's graded score, 0 to 1.
    pub score: f64,
    /// By how much that is more than the first one's.
    pub gain: f64,
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// The metric that graded wrong answers.
    pub graded_by: String,
    /// Rows that both get right.
    pub stayed_right: usize,
    /// Rows that got better, the greatest gain first.
    pub better: Vec<Change>,
    /// Rows that got worse, the greatest loss first.
    pub worse: Vec<Change>,
    /// Rows that stayed wrong, the worst answer first.
    pub stayed_wrong: Vec<Change>,
}

impl Changes {
    /// Sorts the rows at `places` by what became of them.
    pub(super) fn between(
        test: &Test,
        metrics: &[Metric],
        (first, second): (&Candidate, &Candidate),
        places: &[usize],
    ) -> Self {
        let at = |key: &str| metrics.iter().position(|metric| metric.key == key);
        let exact = at(EXACT);
        let grade = GRADES.into_iter().find_map(|key| at(key).map(|at| (key, at)));
        let mut changes = Self { graded_by: grade.map_or(EXACT, |(key, _)| key).to_owned(), ..Self::default() };
        for &place in places {
            let (Some(Some(before)), Some(Some(after)), Some(question)) =
                (first.answers.get(place), second.answers.get(place), test.questions.get(place))
            else {
                continue;
            };
            let score = |scores: &[Option<f64>], at: Option<usize>| {
                at.and_then(|at| scores.get(at).copied().flatten()).unwrap_or(0.0)
            };
            let (was, is) = (score(&before.scores, exact) >= 1.0, score(&after.scores, exact) >= 1.0);
            let at = grade.map(|(_, at)| at).or(exact);
            let (old, new) = (score(&before.scores, at), score(&after.scores, at));
            let turned = match (was, is) {
                (true, true) => {
                    changes.stayed_right += 1;
                    continue;
                }
                (false, true) => Turned::Fixed,
                (true, false) => Turned::Broken,
                _ if new - old >= STEP => Turned::Closer,
                _ if old - new >= STEP => Turned::Further,
                _ => Turned::Wrong,
            };
            let change = Change {
                id: question.id.clone(),
                place,
                turned,
                category: question.category.clone(),
                asks: question.asks.clone(),
                gold: question.gold.clone(),
                before: before.text.clone(),
                after: after.text.clone(),
                score: new,
                gain: new - old,
            };
            match turned {
                Turned::Fixed | Turned::Closer => changes.better.push(change),
                Turned::Broken | Turned::Further => changes.worse.push(change),
                Turned::Wrong => changes.stayed_wrong.push(change),
            }
        }
        // A row that is right now counts before one that is only closer, a row that is lost before one that is only further.
        let lesser = |change: &Change| matches!(change.turned, Turned::Closer | Turned::Further);
        changes.better.sort_by(|a, b| lesser(a).cmp(&lesser(b)).then(b.gain.total_cmp(&a.gain)));
        changes.worse.sort_by(|a, b| lesser(a).cmp(&lesser(b)).then(a.gain.total_cmp(&b.gain)));
        changes.stayed_wrong.sort_by(|a, b| a.score.total_cmp(&b.score));
        changes
    }
}
