//! The scores that make the picks and the prior likeliest.

use super::{Judgement, Pick, Score, Warning, chance};

/// How often each system was picked over each other one, a tie as half for both.
pub struct Picks {
    systems: usize,
    /// Row over column, `[systems, systems]` in one list.
    won: Vec<f64>,
}

/// Steps after which Newton's method is given up; it needs about 5.
const STEPS: usize = 100;

impl Picks {
    pub fn of<'a>(systems: usize, judgements: impl Iterator<Item = &'a Judgement>) -> Self {
        let mut picks = Self { systems, won: vec![0.0; systems * systems] };
        for Judgement { first, second, pick } in judgements {
            let (forth, back) = match pick {
                Pick::First => (1.0, 0.0),
                Pick::Second => (0.0, 1.0),
                Pick::Tie => (0.5, 0.5),
            };
            picks.add(*first, *second, forth);
            picks.add(*second, *first, back);
        }
        picks
    }

    fn add(&mut self, over: usize, under: usize, share: f64) {
        if let Some(won) = self.won.get_mut(over * self.systems + under) {
            *won += share;
        }
    }

    fn won(&self, over: usize, under: usize) -> f64 {
        self.won.get(over * self.systems + under).copied().unwrap_or_default()
    }

    /// The log-odds at the most likely place, by Newton's method. It is unique, as the prior makes the function
    /// strictly concave, and its mean is 0: each pick pulls one up as much as the other down.
    pub fn fit(&self, prior: f64) -> Vec<f64> {
        let n = self.systems;
        let mut scores = vec![0.0; n];
        let mut best = self.likelihood(&scores, prior);
        for _ in 0..STEPS {
            let (slope, curve) = self.derivatives(&scores, prior);
            let Some(step) = solve(curve, slope) else { break };
            // A full step may overshoot far from the top: it is halved until it climbs.
            let mut share = 1.0;
            let next = loop {
                let next: Vec<f64> = scores.iter().zip(&step).map(|(score, step)| score + share * step).collect();
                let likelihood = self.likelihood(&next, prior);
                if likelihood >= best {
                    best = likelihood;
                    break Some(next);
                }
                share /= 2.0;
                if share < 1e-6 {
                    break None;
                }
            };
            let Some(next) = next else { break };
            let moved = next.iter().zip(&scores).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            scores = next;
            if moved < 1e-12 {
                break;
            }
        }
        let mean = scores.iter().sum::<f64>() / n.max(1) as f64;
        scores.iter().map(|score| score - mean).collect()
    }

    fn likelihood(&self, scores: &[f64], prior: f64) -> f64 {
        let mut sum = -prior / 2.0 * scores.iter().map(|score| score * score).sum::<f64>();
        for (a, score) in scores.iter().enumerate() {
            for (b, other) in scores.iter().enumerate() {
                let won = self.won(a, b);
                if won > 0.0 {
                    let behind = other - score;
                    // ln(1 + e^x), safe for large x.
                    sum -= won * (behind.max(0.0) + (-behind.abs()).exp().ln_1p());
                }
            }
        }
        sum
    }

    /// The slope of the log likelihood, and its curvature with the sign turned.
    fn derivatives(&self, scores: &[f64], prior: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut slope: Vec<f64> = Vec::with_capacity(self.systems);
        let mut curve: Vec<Vec<f64>> = Vec::with_capacity(self.systems);
        for (a, score) in scores.iter().enumerate() {
            let (mut up, mut diagonal) = (-prior * score, prior);
            let mut row = Vec::with_capacity(self.systems);
            for (b, other) in scores.iter().enumerate() {
                let (won, lost) = (self.won(a, b), self.won(b, a));
                let share = chance(score - other);
                let bend = (won + lost) * share * (1.0 - share);
                up += won - (won + lost) * share;
                diagonal += bend;
                row.push(-bend);
            }
            if let Some(own) = row.get_mut(a) {
                *own += diagonal;
            }
            slope.push(up);
            curve.push(row);
        }
        (slope, curve)
    }

    /// Where the scores rest on the prior. The picks alone give finite scores if, and only if, from each system one
    /// gets to each other along "was picked at least half a time over" (L. R. Ford, 1957).
    pub fn warnings(&self, scores: &[Score]) -> Vec<Warning> {
        let n = self.systems;
        let mut warnings = Vec::new();
        for (at, score) in scores.iter().enumerate() {
            match (score.won, score.lost, score.tied) {
                (0, 0, 0) => warnings.push(Warning::NeverJudged(at)),
                (0, _, 0) => warnings.push(Warning::NeverWon(at)),
                (_, 0, 0) => warnings.push(Warning::NeverLost(at)),
                _ => {}
            }
        }
        let judged: Vec<usize> =
            scores.iter().enumerate().filter(|(_, s)| s.won + s.lost + s.tied > 0).map(|(at, _)| at).collect();
        let linked = reach(n, |a, b| self.won(a, b) + self.won(b, a) > 0.0);
        let groups = group(&judged, &linked);
        let one_group = groups.len() < 2;
        if !one_group {
            warnings.push(Warning::Disconnected(groups.clone()));
        }
        let beats = reach(n, |a, b| self.won(a, b) > 0.0);
        for connected in groups {
            // Systems that get to each other both ways stand together; a set of them that nobody outside gets to never
            // lost.
            let classes = group(&connected, &|a, b| beats(a, b) && beats(b, a));
            let ahead = |class: &Vec<usize>| {
                let outside = connected.iter().filter(|at| !class.contains(at));
                class.first().is_some_and(|first| outside.clone().all(|other| !beats(*other, *first)))
            };
            if classes.len() > 1 {
                warnings
                    .extend(classes.into_iter().filter(|class| class.len() > 1 && ahead(class)).map(Warning::OneSided));
            }
        }
        warnings
    }
}

/// From which system one gets to which, in any number of steps (S. Warshall, 1962).
fn reach(systems: usize, step: impl Fn(usize, usize) -> bool) -> impl Fn(usize, usize) -> bool {
    let mut to: Vec<bool> = (0..systems * systems).map(|at| step(at / systems, at % systems)).collect();
    let at = move |to: &[bool], a: usize, b: usize| to.get(a * systems + b).copied().unwrap_or_default();
    for over in 0..systems {
        for a in 0..systems {
            for b in 0..systems {
                if at(&to, a, over)
                    && at(&to, over, b)
                    && let Some(there) = to.get_mut(a * systems + b)
                {
                    *there = true;
                }
            }
        }
    }
    move |a, b| a == b || at(&to, a, b)
}

/// The systems in groups of those that belong together.
fn group(systems: &[usize], together: &impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for system in systems {
        let joined = groups.iter_mut().find(|group| group.first().is_some_and(|first| together(*first, *system)));
        match joined {
            Some(group) => group.push(*system),
            None => groups.push(vec![*system]),
        }
    }
    groups
}

/// Solves `matrix x = right` for a symmetric positive definite matrix by Gaussian elimination, which needs no pivoting
/// for one; `None` where it is none.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for column in 0..n {
        let pivot_row = matrix.get(column)?.clone();
        let (pivot, pivot_right) = (*pivot_row.get(column)?, *right.get(column)?);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        for (row, value) in matrix.iter_mut().zip(right.iter_mut()).skip(column + 1) {
            let factor = row.get(column)? / pivot;
            for (cell, above) in row.iter_mut().zip(&pivot_row).skip(column) {
                *cell -= factor * above;
            }
            *value -= factor * pivot_right;
        }
    }
    let mut solution = vec![0.0; n];
    for (at, row) in matrix.iter().enumerate().rev() {
        let known: f64 = row.iter().zip(&solution).skip(at + 1).map(|(cell, x)| cell * x).sum();
        *solution.get_mut(at)? = (right.get(at)? - known) / row.get(at)?;
    }
    Some(solution)
}
