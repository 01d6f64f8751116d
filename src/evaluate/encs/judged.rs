//! Savings from judgements as they were recorded: what a person did with each suggestion, and how long that took.

use serde::{Deserialize, Serialize};

use super::super::significance::{Estimate, Resampling};
use super::{Assumptions, Counts, Refusal};

/// What a person did with a suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Used it as it was.
    Accept,
    /// Used it after an edit.
    Edit,
    /// Did not use it.
    Ignore,
}

/// A suggestion judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What was done.
    pub kind: Kind,
    /// Seconds from when the suggestion was shown until the message was answered. What is below 0 or no finite number
    /// was not measured: the judgement counts, the time does not.
    pub seconds: f64,
}

impl Judgement {
    fn measured(&self) -> Option<f64> {
        Some(self.seconds).filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
    }
}

/// What is assumed besides the judgements; the fields are those of [`Assumptions`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// The currency of all amounts; only shown. Default `USD`.
    pub currency: String,
    /// What the person who answers costs, currency per hour. Default 25.
    pub rate_per_hour: f64,
    /// Seconds to answer a message unaided. Default 60; to be measured.
    pub t_reply_s: f64,
    /// What one suggestion costs, currency. Default 0.
    pub cost_per_suggestion: f64,
    /// What was paid once, currency. Default 0.
    pub fixed_cost: f64,
    /// Messages a month; absent where nobody knows.
    pub messages_per_month: Option<f64>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            currency: "USD".to_owned(),
            rate_per_hour: 25.0,
            t_reply_s: 60.0,
            cost_per_suggestion: 0.0,
            fixed_cost: 0.0,
            messages_per_month: None,
        }
    }
}

/// What judgements say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The assumptions, with the counts and the mean seconds of the judgements put in; they can be edited and computed
    /// again.
    pub assumptions: Assumptions,
    /// The mean seconds of each kind, with a bootstrap interval: used, edited, ignored; none where no time was
    /// measured.
    pub t_use_s: Option<Estimate>,
    /// See `t_use_s`.
    pub t_edit_s: Option<Estimate>,
    /// See `t_use_s`.
    pub t_ignore_s: Option<Estimate>,
    /// `ENCS` with a bootstrap interval over judgements: kinds and times vary together in it, where the standard error
    /// of [`Savings`](super::Savings) takes the times for known.
    pub encs: Option<Estimate>,
    /// What is odd about the judgements, in plain words; the notes of the savings come on top.
    pub notes: Vec<String>,
}

/// The longest time of a kind is worth a note from this many times the median: somebody probably left the screen.
const OUTLIER: f64 = 10.0;

impl Judged {
    /// Reads judgements.
    ///
    /// A kind that never happened, or whose time was never measured, is given the unaided time, so that it saves
    /// nothing; a note says so.
    ///
    /// # Errors
    /// There are no judgements, or an assumption is below 0 or no finite number.
    pub fn of(judgements: &[Judgement], times: &Times, resampling: &Resampling) -> Result<Self, Refusal> {
        let seconds = |kind| -> Vec<f64> {
            judgements.iter().filter(|judged| judged.kind == kind).filter_map(Judgement::measured).collect()
        };
        let kinds = [Kind::Accept, Kind::Edit, Kind::Ignore];
        let [used, edited, ignored] = kinds.map(|kind| resampling.mean(&seconds(kind)));
        let mut notes = Vec::new();
        for (kind, mean) in kinds.into_iter().zip([used, edited, ignored]) {
            let happened = judgements.iter().filter(|judged| judged.kind == kind).count();
            notes.extend(note(kind, happened, mean.map(|_| seconds(kind)), times.t_reply_s));
        }
        let assumptions = assume(judgements.iter(), times);
        let savings = assumptions.savings()?;
        let mut encs = resampling.statistic(judgements.len(), |rows| {
            let drawn = rows.iter().filter_map(|row| judgements.get(*row));
            assume(drawn, times).savings().map_or(f64::NAN, |savings| savings.encs_per_message)
        });
        if let Some(encs) = &mut encs {
            encs.value = savings.encs_per_message;
        }
        Ok(Self { assumptions, t_use_s: used, t_edit_s: edited, t_ignore_s: ignored, encs, notes })
    }
}

/// The assumptions with the counts and the mean times of the judgements.
fn assume<'a>(judgements: impl Iterator<Item = &'a Judgement>, times: &Times) -> Assumptions {
    let mut counts = Counts::default();
    let mut sums = [(0.0, 0.0); 3];
    for judged in judgements {
        let [used, edited, ignored] = &mut sums;
        let (count, sum) = match judged.kind {
            Kind::Accept => (&mut counts.used, used),
            Kind::Edit => (&mut counts.edited, edited),
            Kind::Ignore => (&mut counts.ignored, ignored),
        };
        *count += 1;
        if let Some(seconds) = judged.measured() {
            *sum = (sum.0 + seconds, sum.1 + 1.0);
        }
    }
    let [t_use_s, t_edit_s, t_ignore_s] =
        sums.map(|(sum, count)| if count > 0.0 { sum / count } else { times.t_reply_s });
    Assumptions {
        currency: times.currency.clone(),
        rate_per_hour: times.rate_per_hour,
        t_reply_s: times.t_reply_s,
        t_use_s,
        t_edit_s,
        t_ignore_s,
        counts,
        cost_per_suggestion: times.cost_per_suggestion,
        fixed_cost: times.fixed_cost,
        messages_per_month: times.messages_per_month,
    }
}

fn note(kind: Kind, happened: usize, seconds: Option<Vec<f64>>, unaided: f64) -> Option<String> {
    let name = match kind {
        Kind::Accept => "used",
        Kind::Edit => "edited",
        Kind::Ignore => "ignored",
    };
    let Some(mut seconds) = seconds else {
        let why = if happened == 0 { "no suggestion was" } else { "no time was measured where a suggestion was" };
        return Some(format!("{why} {name}: its time is taken for the {unaided} s unaided, which saves nothing"));
    };
    seconds.sort_by(f64::total_cmp);
    let (median, longest) = (seconds.get(seconds.len() / 2)?, seconds.last()?);
    (*median > 0.0 && *longest > OUTLIER * median).then(|| {
        format!(
            "where a suggestion was {name}, the longest time is {longest} s and the median {median} s: if somebody was away, \
             leave that judgement out"
        )
    })
}
