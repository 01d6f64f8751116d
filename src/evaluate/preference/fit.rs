//! The scores that make the picks and the prior likeliest.

use super::{Judgement, Pick, Score, Warning};

/// How often each system was picked over each other one, and how often neither was.
pub struct Picks {
    systems: usize,
    /// Row over column, `[systems, systems]` in one list.
    won: Vec<f64>,
    /// The same for ties, each at both of its places.
    tied: Vec<f64>,
}

/// The most likely place.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Log-odds by system; their mean is 0.
    pub log_odds: Vec<f64>,
    /// Davidson's ν; 0 where ties were not fitted.
    pub nu: f64,
}

/// Steps after which Newton's method is given up; it needs about 5.
const STEPS: usize = 100;

/// The chances of a judgement: first, second, neither.
#[derive(Clone, Copy)]
pub struct Chances {
    pub first: f64,
    pub second: f64,
    pub tie: f64,
}

impl Chances {
    /// With so much more in log-odds for the first, and Davidson's ν.
    pub fn of(ahead: f64, nu: f64) -> Self {
        // Both odds and ν over the greatest of them, so that none overflows.
        let half = ahead / 2.0;
        let top = half.abs().max(if nu > 0.0 { nu.ln() } else { f64::NEG_INFINITY });
        let (first, second, tie) = ((half - top).exp(), (-half - top).exp(), nu * (-top).exp());
        let all = first + second + tie;
        Self { first: first / all, second: second / all, tie: tie / all }
    }
}

impl Picks {
    pub fn of<'a>(systems: usize, judgements: impl Iterator<Item = &'a Judgement>) -> Self {
        let mut picks = Self { systems, won: vec![0.0; systems * systems], tied: vec![0.0; systems * systems] };
        for Judgement { first, second, pick } in judgements {
            match pick {
                Pick::First => add(&mut picks.won, first * systems + second),
                Pick::Second => add(&mut picks.won, second * systems + first),
                Pick::Tie => {
                    add(&mut picks.tied, first * systems + second);
                    add(&mut picks.tied, second * systems + first);
                }
            }
        }
        picks
    }

    fn won(&self, over: usize, under: usize) -> f64 {
        self.won.get(over * self.systems + under).copied().unwrap_or_default()
    }

    fn tied(&self, one: usize, other: usize) -> f64 {
        self.tied.get(one * self.systems + other).copied().unwrap_or_default()
    }

    /// Whether neither was picked in any judgement.
    pub fn has_ties(&self) -> bool {
        self.tied.iter().any(|ties| *ties > 0.0)
    }

    /// The log-odds, and with `ties` the ν, at the most likely place, by Newton's method. It is unique, as the prior makes the
    /// function strictly concave in the log-odds and ln ν, and the mean of the log-odds is 0: each pick pulls one up as much as
    /// the other down.
    pub fn fit(&self, prior: f64, ties: bool) -> Fit {
        let n = self.systems;
        // The last place is that of ln ν.
        let mut at = vec![0.0; n + usize::from(ties)];
        let mut best = self.likelihood(&at, prior);
        for _ in 0..STEPS {
            let (slope, curve) = self.derivatives(&at, prior);
            let Some(step) = solve(curve, slope) else { break };
            // A full step may overshoot far from the top: it is halved until it climbs.
            let mut share = 1.0;
            let next = loop {
                let next: Vec<f64> = at.iter().zip(&step).map(|(value, step)| value + share * step).collect();
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
            let moved = next.iter().zip(&at).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            at = next;
            if moved < 1e-12 {
                break;
            }
        }
        let nu = self.nu(&at);
        at.truncate(n);
        let mean = at.iter().sum::<f64>() / n.max(1) as f64;
        Fit { log_odds: at.iter().map(|score| score - mean).collect(), nu }
    }

    /// Davidson's ν at a place; 0 where it has none.
    fn nu(&self, at: &[f64]) -> f64 {
        at.get(self.systems).map_or(0.0, |ln| ln.exp())
    }

    fn likelihood(&self, at: &[f64], prior: f64) -> f64 {
        let nu = self.nu(at);
        let mut sum = -prior / 2.0 * at.iter().map(|value| value * value).sum::<f64>();
        let scores = at.get(..self.systems).unwrap_or_default();
        for (a, score) in scores.iter().enumerate() {
            for (b, other) in scores.iter().enumerate().skip(a + 1) {
                let (won, lost, tied) = (self.won(a, b), self.won(b, a), self.tied(a, b));
                if won + lost + tied > 0.0 {
                    let half = (score - other) / 2.0;
                    let (ln, top) = if nu > 0.0 { (nu.ln(), half.abs().max(nu.ln())) } else { (0.0, half.abs()) };
                    let all = (half - top).exp() + (-half - top).exp() + nu * (-top).exp();
                    sum += (won - lost) * half + tied * ln - (won + lost + tied) * (top + all.ln());
                }
            }
        }
        sum
    }

    /// The slope of the log likelihood, and its curvature with the sign turned.
    fn derivatives(&self, at: &[f64], prior: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = self.systems;
        let nu = self.nu(at);
        let mut slope: Vec<f64> = at.iter().map(|value| -prior * value).collect();
        let mut curve = vec![vec![0.0; at.len()]; at.len()];
        let mut bend = |a: usize, b: usize, by: f64| {
            if let Some(cell) = curve.get_mut(a).and_then(|row| row.get_mut(b)) {
                *cell += by;
            }
        };
        let mut rise = |a: usize, by: f64| {
            if let Some(cell) = slope.get_mut(a) {
                *cell += by;
            }
        };
        (0..at.len()).for_each(|a| bend(a, a, prior));
        let scores = at.get(..n).unwrap_or_default();
        for (a, score) in scores.iter().enumerate() {
            for (b, other) in scores.iter().enumerate().skip(a + 1) {
                let (won, lost, tied) = (self.won(a, b), self.won(b, a), self.tied(a, b));
                let all = won + lost + tied;
                if all <= 0.0 {
                    continue;
                }
                let p = Chances::of(score - other, nu);
                let ahead = p.first - p.second;
                let up = (won - lost - all * ahead) / 2.0;
                rise(a, up);
                rise(b, -up);
                let own = all * (p.first + p.second - ahead * ahead) / 4.0;
                bend(a, a, own);
                bend(b, b, own);
                bend(a, b, -own);
                bend(b, a, -own);
                if at.len() > n {
                    rise(n, tied - all * p.tie);
                    bend(n, n, all * p.tie * (1.0 - p.tie));
                    let across = -all * ahead * p.tie / 2.0;
                    for (system, across) in [(a, across), (b, -across)] {
                        bend(system, n, across);
                        bend(n, system, across);
                    }
                }
            }
        }
        (slope, curve)
    }

    /// Where the scores rest on the prior. The picks alone give finite scores if, and only if, from each system one
    /// gets to each other along "was picked, or was as good" (L. R. Ford, 1957).
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
        let linked = reach(n, |a, b| self.won(a, b) + self.won(b, a) + self.tied(a, b) > 0.0);
        let groups = group(&judged, &linked);
        let one_group = groups.len() < 2;
        if !one_group {
            warnings.push(Warning::Disconnected(groups.clone()));
        }
        let beats = reach(n, |a, b| self.won(a, b) + self.tied(a, b) > 0.0);
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

fn add(counts: &mut [f64], at: usize) {
    if let Some(count) = counts.get_mut(at) {
        *count += 1.0;
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
