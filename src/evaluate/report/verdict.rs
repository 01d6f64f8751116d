//! Whether tuning beats prompting, in one sentence that the figures bear out.

use serde::{Deserialize, Serialize};

use super::super::significance::{Estimate, SIGNIFICANT};
use super::changes::GRADES;
use super::{EXACT, Figures, Metric, Pair, p_text, percent};

/// The share that the best system must reach in a metric for it to tell anything.
const SEEN: f64 = 0.02;

/// What the report says of tuning against prompting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The best tuned system.
    pub tuned: String,
    /// The best of those that are not tuned.
    pub prompted: String,
    /// The metric that decided: exact answers, or the first one that tells anything where hardly any answer is exact.
    pub metric: String,
    /// The p value: McNemar's for exact answers, of the paired bootstrap for other metrics; after Holm's correction.
    pub p: f64,
    /// Whether the difference is more than chance.
    pub significant: bool,
    /// The sentence.
    pub text: String,
}

impl Verdict {
    /// The verdict; none where no tuned system or nothing but tuned ones were measured.
    pub(super) fn of(metrics: &[Metric], systems: &[Figures], pairs: &[Pair]) -> Option<Self> {
        let score = |figures: &Figures, key: &str| figures.scores.get(key).map_or(0.0, |e: &Estimate| e.value);
        let most = |key: &str| systems.iter().map(|figures| score(figures, key)).fold(0.0, f64::max);
        let graded = metrics.iter().find(|metric| GRADES.contains(&metric.key.as_str()) && most(&metric.key) >= SEEN);
        let metric = metrics
            .iter()
            .find(|metric| metric.key == EXACT && most(EXACT) >= SEEN)
            .or(graded)
            .or_else(|| metrics.first())?;
        let best = |tuned: bool| {
            let of = systems.iter().filter(|figures| figures.tuned == tuned);
            // Of equals the one whose answers come closer.
            let close = |f: &Figures| graded.map_or(0.0, |graded| score(f, &graded.key));
            of.max_by(|a, b| {
                score(a, &metric.key).total_cmp(&score(b, &metric.key)).then(close(a).total_cmp(&close(b)))
            })
        };
        let (tuned, other) = (best(true)?, best(false)?);
        let pair = pairs.iter().find(|pair| {
            (pair.first == other.name && pair.second == tuned.name)
                || (pair.first == tuned.name && pair.second == other.name)
        })?;
        let found = pair.differences.get(&metric.key)?;
        let sign = if pair.second == tuned.name { 1.0 } else { -1.0 };
        let p = if metric.key == EXACT { pair.p_holm } else { pair.holm.get(&metric.key).copied().unwrap_or(1.0) };
        let significant = p < SIGNIFICANT;
        let gain = sign * found.difference;
        let interval = found.interval.map_or_else(String::new, |i| {
            let (low, high) = if sign > 0.0 { (i.low, i.high) } else { (-i.high, -i.low) };
            format!(" (95 %: {:+.1} to {:+.1})", 100.0 * low, 100.0 * high)
        });
        let what = if metric.key == EXACT { "exact answers" } else { metric.name.as_str() };
        let tested = if systems.iter().any(|figures| figures.prompted) {
            String::new()
        } else {
            "; no better prompt and no examples were tried against it, so this does not say whether prompting would do"
                .into()
        };
        let meaning = match (significant, gain > 0.0) {
            (true, true) => "tuning beats the best that was reached by asking",
            (true, false) => "asking a ready-made model does better than this tuning",
            (false, _) => "these rows do not tell the two apart",
        };
        let text = format!(
            "{what}: {} {} %, {} {} %, a difference of {:+.1} points{interval}, {}: {meaning}{tested}.",
            tuned.name,
            percent(score(tuned, &metric.key)),
            other.name,
            percent(score(other, &metric.key)),
            100.0 * gain,
            p_text(p),
        );
        Some(Self {
            tuned: tuned.name.clone(),
            prompted: other.name.clone(),
            metric: metric.key.clone(),
            p,
            significant,
            text,
        })
    }
}
