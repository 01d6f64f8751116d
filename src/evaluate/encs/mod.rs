//! Expected net cost savings: what a suggested reply saves or costs a message, in money.
//!
//! After Howell et al., ACL 2023 industry track (arXiv 2306.07402). A person who answers messages is shown a
//! suggestion, and uses it as it is, edits it, or ignores it. For each of the three, `S = R (T_r - T) - C_m`: the
//! person's cost per second times the seconds saved, less what the suggestion cost, which is paid in every case; and
//! `ENCS = sum of P S`. Ignoring saves nothing and costs the time to read, so `T_ignore` should not be under `T_r`.
//!
//! The cost of building the model is no part of it; it is shown apart, with the number of messages that pay it back.

use serde::{Deserialize, Serialize};

pub mod judged;

pub use judged::{Judged, Judgement, Kind, Times};

/// How often suggestions were used, edited and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Used as they were.
    #[serde(rename = "use")]
    pub used: u64,
    /// Used after an edit.
    #[serde(rename = "edit")]
    pub edited: u64,
    /// Not used.
    #[serde(rename = "ignore")]
    pub ignored: u64,
}

impl Counts {
    /// All judgements.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.used.saturating_add(self.edited).saturating_add(self.ignored)
    }

    fn each(&self) -> [f64; 3] {
        [self.used as f64, self.edited as f64, self.ignored as f64]
    }
}

/// What the savings are computed from; every field can be shown and edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// The currency of all amounts; only shown.
    pub currency: String,
    /// `R`: what the person who answers costs, currency per hour.
    pub rate_per_hour: f64,
    /// `T_r`: seconds to answer a message unaided.
    pub t_reply_s: f64,
    /// `T_use`: seconds to answer by using the suggestion as it is.
    pub t_use_s: f64,
    /// `T_edit`: seconds to answer by editing the suggestion.
    pub t_edit_s: f64,
    /// `T_ignore`: seconds to answer after reading and ignoring the suggestion.
    pub t_ignore_s: f64,
    /// How often each happened.
    pub counts: Counts,
    /// `C_m`: what one suggestion costs, currency.
    pub cost_per_suggestion: f64,
    /// What was paid once (records, tuning), currency; 0 where nothing was.
    #[serde(default)]
    pub fixed_cost: f64,
    /// Messages a month; absent where nobody knows.
    #[serde(default)]
    pub messages_per_month: Option<f64>,
}

/// What the suggestions save, per message where nothing else is said; below 0 where they cost more than they save.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Savings {
    /// `S_use`: currency saved where the suggestion is used.
    pub saving_if_use: f64,
    /// `S_edit`: currency saved where it is edited.
    pub saving_if_edit: f64,
    /// `S_ignore`: currency saved where it is ignored.
    pub saving_if_ignore: f64,
    /// `ENCS`, currency.
    pub encs_per_message: f64,
    /// The same without the cost of the suggestion, currency.
    pub gross_saving_per_message: f64,
    /// The cost of a suggestion at which nothing is saved any more: the gross saving, currency. Below 0, no cost is low
    /// enough.
    pub break_even_cost_per_suggestion: f64,
    /// Standard error of `ENCS` from the counts alone: `sqrt((sum of P S^2 - ENCS^2) / n)`, the multinomial's. It is 0
    /// where all judgements were of one kind, which says that they are few and not that it is sure.
    pub std_error: f64,
    /// Seconds saved.
    pub seconds_saved_per_message: f64,
    /// `ENCS` of a month's messages, currency, without the fixed cost; none where the messages are not known.
    pub monthly_net: Option<f64>,
    /// Messages after which the fixed cost is paid back; none where there is no fixed cost, or nothing is saved.
    pub break_even_messages: Option<f64>,
    /// What is odd about the assumptions, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Why no savings can be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is not one judgement.
    #[error("no suggestion was judged yet: use, edit or ignore some suggestions first, savings are told from these")]
    NoJudgements,
    /// An assumption is no amount.
    #[error("`{field}` is {value}: give a number that is not below 0")]
    NoAmount {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

impl Assumptions {
    /// The expected savings.
    ///
    /// # Errors
    /// There are no judgements, or a field is below 0 or no finite number.
    pub fn savings(&self) -> Result<Savings, Refusal> {
        self.check()?;
        let n = self.counts.total() as f64;
        if self.counts.total() == 0 {
            return Err(Refusal::NoJudgements);
        }
        let a_second = self.rate_per_hour / 3600.0;
        let seconds = [self.t_use_s, self.t_edit_s, self.t_ignore_s].map(|taken| self.t_reply_s - taken);
        let saved = seconds.map(|seconds| a_second * seconds - self.cost_per_suggestion);
        let share = self.counts.each().map(|count| count / n);
        let expected = |of: [f64; 3]| -> f64 { share.iter().zip(of).map(|(share, of)| share * of).sum() };
        let encs = expected(saved);
        let seconds_saved = expected(seconds);
        // About the mean: the difference of two squares would lose its digits where the three savings are close.
        let variance = expected(saved.map(|saved| (saved - encs).powi(2)));
        let gross = a_second * seconds_saved;
        let [saving_if_use, saving_if_edit, saving_if_ignore] = saved;
        Ok(Savings {
            saving_if_use,
            saving_if_edit,
            saving_if_ignore,
            encs_per_message: encs,
            gross_saving_per_message: gross,
            break_even_cost_per_suggestion: gross,
            std_error: (variance / n).sqrt(),
            seconds_saved_per_message: seconds_saved,
            monthly_net: self.messages_per_month.map(|messages| messages * encs),
            break_even_messages: (self.fixed_cost > 0.0 && encs > 0.0).then(|| self.fixed_cost / encs),
            notes: self.notes(encs),
        })
    }

    fn check(&self) -> Result<(), Refusal> {
        let fields = [
            ("rate_per_hour", self.rate_per_hour),
            ("t_reply_s", self.t_reply_s),
            ("t_use_s", self.t_use_s),
            ("t_edit_s", self.t_edit_s),
            ("t_ignore_s", self.t_ignore_s),
            ("cost_per_suggestion", self.cost_per_suggestion),
            ("fixed_cost", self.fixed_cost),
            ("messages_per_month", self.messages_per_month.unwrap_or_default()),
        ];
        match fields.into_iter().find(|(_, value)| !value.is_finite() || *value < 0.0) {
            Some((field, value)) => Err(Refusal::NoAmount { field, value: value.to_string() }),
            None => Ok(()),
        }
    }

    fn notes(&self, encs: f64) -> Vec<String> {
        let mut notes = Vec::new();
        if self.t_ignore_s < self.t_reply_s {
            notes.push(format!(
                "answering after ignoring a suggestion takes {} s, less than the {} s unaided: reading costs time, so one of \
                 the two is probably not measured on like messages",
                self.t_ignore_s, self.t_reply_s
            ));
        }
        if self.t_edit_s > self.t_reply_s {
            notes.push(format!(
                "editing a suggestion takes {} s, more than the {} s of answering unaided: each edit costs time",
                self.t_edit_s, self.t_reply_s
            ));
        }
        if self.t_use_s > self.t_edit_s && self.counts.used > 0 && self.counts.edited > 0 {
            notes.push(format!(
                "using a suggestion as it is takes {} s, more than the {} s of editing one",
                self.t_use_s, self.t_edit_s
            ));
        }
        let kinds = self.counts.each().iter().filter(|count| **count > 0.0).count();
        if kinds == 1 {
            notes.push(format!(
                "all {} judgements are of one kind, so the standard error is 0; it says nothing of how sure the figure is",
                self.counts.total()
            ));
        }
        if encs <= 0.0 && self.fixed_cost > 0.0 {
            notes.push("the suggestions save nothing, so the fixed cost is never paid back".to_owned());
        }
        notes
    }
}

#[cfg(test)]
mod tests;
