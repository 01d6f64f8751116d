//! Which system people like better, from blind picks between two answers at a time.
//!
//! The Bradley-Terry model (R. A. Bradley & M. E. Terry, 1952): a system has a score in log-odds, and the chance that
//! `a` is picked over `b` is `1 / (1 + e^(b - a))`. Where ties occur it is R. R. Davidson's extension ("On extending the
//! Bradley-Terry model to accommodate ties in paired comparison experiments", 1970): with the strengths `p = e^score`, `a` is
//! picked with the chance `p_a / D`, `b` with `p_b / D` and neither with `ν √(p_a p_b) / D`, where `D` is the sum of the three.
//! ν says how readily people find two answers as good: between equal systems `ν / (2 + ν)` of the judgements are ties. Without
//! ties ν is 0, and the model is Bradley's and Terry's.
//!
//! A system that won or lost everything, or that was never compared with some others, has no finite score by the picks
//! alone. A weak prior gives one: each score, and `ln ν`, is normal about 0 with a variance of `1 / prior`. A [`Warning`] says
//! where the figures rest on it.

use serde::{Deserialize, Serialize};

use super::interval::Interval;
use super::significance::Resampling;

/// What was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The first answer.
    First,
    /// The second answer.
    Second,
    /// Neither is better.
    Tie,
}

/// One judgement between two systems, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The first system.
    pub first: usize,
    /// The second system.
    pub second: usize,
    /// What was picked.
    pub pick: Pick,
}

/// Points for a factor of ten in the odds: 400, as in Elo's ratings.
const POINTS: f64 = 400.0 / std::f64::consts::LN_10;
/// Points of a system of mean score.
pub const MEAN_POINTS: f64 = 1_000.0;
/// The default of [`Settings::prior`]. With it, 3 wins of 3 give a chance of 0.95 to win the next one, 10 of 10 give
/// 0.98; after 100 picks, 60 to 40, it moves 0.600 to 0.5998.
pub const PRIOR: f64 = 0.1;

/// How scores are computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// One over the variance of the prior of a score in log-odds, above 0. Default [`PRIOR`].
    pub prior: f64,
    /// The bootstrap over judgements that intervals come from.
    pub resampling: Resampling,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prior: PRIOR, resampling: Resampling::default() }
    }
}

/// What the picks say of a system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Log-odds; the mean over systems is 0.
    pub log_odds: f64,
    /// The bootstrap interval of it; none where there are fewer than two judgements.
    pub interval: Option<Interval>,
    /// The same as points as in chess, [`MEAN_POINTS`] on average, 400 more for ten times the odds.
    pub points: f64,
    /// The interval of the points.
    pub points_interval: Option<Interval>,
    /// Judgements in which it was picked.
    pub won: usize,
    /// Judgements in which the other one was.
    pub lost: usize,
    /// Judgements in which neither was.
    pub tied: usize,
}

/// Where the scores rest on the prior, or on little.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warning {
    /// A system has no judgement: its score is the prior's, 0.
    NeverJudged(usize),
    /// A system never won nor tied: by the picks alone its score would be without end, and its interval is too narrow.
    NeverWon(usize),
    /// A system never lost nor tied.
    NeverLost(usize),
    /// No picks, directly or over others, connect these groups of systems: their scores cannot be compared.
    Disconnected(Vec<Vec<usize>>),
    /// The systems of one group never lost nor tied against those outside of it, so how far apart they are is the
    /// prior's.
    OneSided(Vec<usize>),
}

impl Warning {
    /// The warning in plain words, systems by their names.
    #[must_use]
    pub fn words<S: AsRef<str>>(&self, names: &[S]) -> String {
        let name = |at: &usize| names.get(*at).map_or_else(|| format!("system {at}"), |name| name.as_ref().to_owned());
        let list = |group: &[usize]| group.iter().map(name).collect::<Vec<_>>().join(", ");
        match self {
            Self::NeverJudged(at) => format!("{} was not judged yet: its score says nothing", name(at)),
            Self::NeverWon(at) => {
                format!("{} was never picked: how far it is behind is a guess, judge more answers", name(at))
            }
            Self::NeverLost(at) => {
                format!("{} was always picked: how far it is ahead is a guess, judge more answers", name(at))
            }
            Self::Disconnected(groups) => {
                let groups: Vec<String> = groups.iter().map(|group| list(group)).collect();
                format!("never compared with each other: {}; judge some of one against the other", groups.join(" / "))
            }
            Self::OneSided(group) => {
                format!("{} never lost against the others: how far ahead is a guess, judge more answers", list(group))
            }
        }
    }
}

/// How readily people found two answers as good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ties {
    /// Davidson's ν.
    pub nu: f64,
    /// The bootstrap interval of it.
    pub interval: Option<Interval>,
    /// The share of ties that are to be expected between equal systems, `ν / (2 + ν)`.
    pub between_equals: f64,
    /// The interval of that share.
    pub between_equals_interval: Option<Interval>,
}

/// What picks say of all systems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// By system.
    pub scores: Vec<Score>,
    /// The chance that the row's system is picked over the column's, a tie as half; one half on the diagonal.
    pub wins: Vec<Vec<f64>>,
    /// How readily people found two as good; none where they never did.
    pub ties: Option<Ties>,
    /// Judgements that counted.
    pub judgements: usize,
    /// Where the scores rest on the prior, or on little.
    pub warnings: Vec<Warning>,
}

/// Why there is no ranking.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was judged.
    #[error("there are no judgements: pick the better of two answers first")]
    NoJudgements,
    /// A judgement names a system that there is not, or one twice.
    #[error("judgement {at} compares systems {first} and {second} of {systems}: it must name two of them")]
    NoSuchPair {
        /// The judgement, counting from 0.
        at: usize,
        /// Its first system.
        first: usize,
        /// Its second system.
        second: usize,
        /// How many systems there are.
        systems: usize,
    },
}

impl Ranking {
    /// Ranks so many systems by judgements.
    ///
    /// # Errors
    /// There are no judgements, or one does not name two of the systems.
    pub fn of(systems: usize, judgements: &[Judgement], settings: &Settings) -> Result<Self, Refusal> {
        let wrong = |judged: &Judgement| judged.first.max(judged.second) >= systems || judged.first == judged.second;
        if let Some((at, judged)) = judgements.iter().enumerate().find(|(_, judged)| wrong(judged)) {
            return Err(Refusal::NoSuchPair { at, first: judged.first, second: judged.second, systems });
        }
        if judgements.is_empty() {
            return Err(Refusal::NoJudgements);
        }
        let prior = if settings.prior.is_finite() && settings.prior > 0.0 { settings.prior } else { PRIOR };
        let picks = Picks::of(systems, judgements.iter());
        let has_ties = picks.has_ties();
        let Fit { log_odds, nu } = picks.fit(prior, has_ties);
        let drawn = settings.resampling.draw(judgements.len(), |rows| {
            Some(Picks::of(systems, rows.iter().filter_map(|row| judgements.get(*row))).fit(prior, has_ties))
        });
        let score = |(at, log_odds): (usize, &f64)| {
            let mut values: Vec<f64> = drawn.iter().filter_map(|fit| fit.log_odds.get(at).copied()).collect();
            let interval = settings.resampling.interval(&mut values);
            let (won, lost, tied) = tally(judgements, at);
            Score {
                log_odds: *log_odds,
                interval,
                points: points(*log_odds),
                points_interval: interval
                    .map(|Interval { low, high }| Interval { low: points(low), high: points(high) }),
                won,
                lost,
                tied,
            }
        };
        let scores: Vec<Score> = log_odds.iter().enumerate().map(score).collect();
        let share = |nu: f64| nu / (2.0 + nu);
        let ties = has_ties.then(|| {
            let interval = settings.resampling.interval(&mut drawn.iter().map(|fit| fit.nu).collect::<Vec<f64>>());
            Ties {
                nu,
                interval,
                between_equals: share(nu),
                between_equals_interval: interval.map(|i| Interval { low: share(i.low), high: share(i.high) }),
            }
        });
        let chance = |ahead: f64| {
            let chances = Chances::of(ahead, nu);
            chances.first + chances.tie / 2.0
        };
        let row = |a: &f64| log_odds.iter().map(|b| chance(a - b)).collect();
        let wins = log_odds.iter().map(row).collect();
        let warnings = picks.warnings(&scores);
        Ok(Self { scores, wins, ties, judgements: judgements.len(), warnings })
    }
}

fn points(log_odds: f64) -> f64 {
    MEAN_POINTS + POINTS * log_odds
}

fn tally(judgements: &[Judgement], system: usize) -> (usize, usize, usize) {
    judgements.iter().fold((0, 0, 0), |(won, lost, tied), judged| match (judged.pick, judged.first == system) {
        _ if judged.first != system && judged.second != system => (won, lost, tied),
        (Pick::Tie, _) => (won, lost, tied + 1),
        (Pick::First, true) | (Pick::Second, false) => (won + 1, lost, tied),
        (Pick::First, false) | (Pick::Second, true) => (won, lost + 1, tied),
    })
}

mod fit;
use fit::{Chances, Fit, Picks};

#[cfg(test)]
mod tests;
