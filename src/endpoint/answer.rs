//! What one answer is, and the figures of many.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It was cut at `max_tokens`.
    Length,
    /// The provider's filter cut or withheld it.
    ContentFilter,
    /// The model called a tool instead of answering.
    ToolCalls,
    /// Another reason, in the endpoint's word.
    Other(String),
    /// The endpoint did not say.
    Missing,
}

/// The tokens that the endpoint counted, which are those that it bills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, `cached` among them.
    pub prompt: u64,
    /// Tokens of the prompt that came from the endpoint's cache; 0 where it does not say.
    pub cached: u64,
    /// Tokens of the answer, reasoning included.
    pub completion: u64,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The text; empty where the model gave none (`notes` says why). A refusal's words where it refused.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Whether the model declined in the field that the interface has for it. A refusal in plain text is not known
    /// here.
    pub refused: bool,
    /// The tokens; `None` where the endpoint does not count them.
    pub usage: Option<Usage>,
    /// Seconds of the attempt that succeeded, from sending to the last byte.
    pub latency_seconds: f64,
    /// Seconds from the first attempt's start to the answer, waits between attempts included.
    pub waited_seconds: f64,
    /// Attempts, the one that succeeded included.
    pub attempts: u32,
    /// Money, by the settings' prices; `None` without prices or without `usage`.
    pub cost: Option<f64>,
    /// The model that the endpoint says has answered, often a dated version of the one asked for.
    pub model: Option<String>,
    /// What a person should know of this answer, each a sentence.
    pub notes: Vec<String>,
}

/// Figures of the answers of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of answers.
    pub answers: usize,
    /// Answers cut at `max_tokens`.
    pub cut: usize,
    /// Answers that the provider's filter cut or withheld.
    pub filtered: usize,
    /// Answers that decline.
    pub refused: usize,
    /// Answers without text.
    pub empty: usize,
    /// Answers whose tokens the endpoint did not count; they are in no number of tokens and no cost below.
    pub uncounted: usize,
    /// Answers that took more than one attempt.
    pub retried: usize,
    /// Median of the latencies in seconds; `None` without answers.
    pub latency_median: Option<f64>,
    /// 95th percentile of the latencies in seconds.
    pub latency_p95: Option<f64>,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Of these, tokens from the endpoint's cache.
    pub cached_tokens: u64,
    /// Tokens of all answers.
    pub completion_tokens: u64,
    /// Tokens of answers per second of latency: what one request at a time sees, its prompt's time included.
    pub tokens_per_second: Option<f64>,
    /// Money for all answers; `None` where no answer has a cost.
    pub cost: Option<f64>,
    /// Money for 1,000 requests like the answered ones whose cost is known.
    pub cost_per_thousand: Option<f64>,
    /// The models that the endpoint says have answered.
    pub models: BTreeSet<String>,
}

impl Figures {
    /// Counts up `answers`, of one run or of several that together answered a test set.
    #[must_use]
    pub fn of<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        let mut tally = Tally::default();
        for answer in answers {
            tally.add(answer);
        }
        tally.figures()
    }
}

/// [`Figures`] while answers still come. Keeps no text.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    figures: Figures,
    latencies: Vec<f64>,
    counted_seconds: f64,
    priced: usize,
}

impl Tally {
    pub(super) fn add(&mut self, answer: &Answer) {
        let figures = &mut self.figures;
        figures.answers += 1;
        figures.cut += usize::from(answer.finish == Finish::Length);
        figures.filtered += usize::from(answer.finish == Finish::ContentFilter);
        figures.refused += usize::from(answer.refused);
        figures.empty += usize::from(answer.text.trim().is_empty());
        figures.retried += usize::from(answer.attempts > 1);
        self.latencies.push(answer.latency_seconds);
        match answer.usage {
            Some(usage) => {
                figures.prompt_tokens = figures.prompt_tokens.saturating_add(usage.prompt);
                figures.cached_tokens = figures.cached_tokens.saturating_add(usage.cached);
                figures.completion_tokens = figures.completion_tokens.saturating_add(usage.completion);
                self.counted_seconds += answer.latency_seconds;
            }
            None => figures.uncounted += 1,
        }
        if let Some(cost) = answer.cost {
            self.priced += 1;
            *figures.cost.get_or_insert(0.0) += cost;
        }
        if let Some(model) = &answer.model {
            figures.models.insert(model.clone());
        }
    }

    pub(super) fn answers(&self) -> usize {
        self.figures.answers
    }

    pub(super) fn figures(mut self) -> Figures {
        self.latencies.sort_by(f64::total_cmp);
        let mut figures = self.figures;
        figures.latency_median = percentile(&self.latencies, 0.5);
        figures.latency_p95 = percentile(&self.latencies, 0.95);
        if self.counted_seconds > 0.0 {
            figures.tokens_per_second = Some(figures.completion_tokens as f64 / self.counted_seconds);
        }
        figures.cost_per_thousand = figures.cost.map(|cost| cost / self.priced as f64 * 1000.0);
        figures
    }
}

/// The percentile `share` (0 to 1) of sorted numbers, on the line between the two nearest ranks (definition 7 of
/// Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996); `None` of nothing.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = share * sorted.len().checked_sub(1)? as f64;
    let below = *sorted.get(rank.floor() as usize)?;
    let above = *sorted.get(rank.ceil() as usize)?;
    Some(below + (above - below) * rank.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(latency: f64, completion: Option<u64>) -> Answer {
        Answer {
            text: "yes".to_owned(),
            finish: Finish::Stop,
            refused: false,
            usage: completion.map(|completion| Usage { prompt: 10, cached: 4, completion }),
            latency_seconds: latency,
            waited_seconds: latency,
            attempts: 1,
            cost: completion.map(|tokens| tokens as f64),
            model: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn figures_leave_uncounted_answers_out_of_tokens_and_money() {
        let answers = [answer(1.0, Some(10)), answer(2.0, Some(30)), answer(4.0, None)];
        let figures = Figures::of(&answers);
        assert_eq!((figures.answers, figures.uncounted), (3, 1));
        assert_eq!((figures.prompt_tokens, figures.cached_tokens, figures.completion_tokens), (20, 8, 40));
        assert_eq!(figures.latency_median, Some(2.0));
        // numpy.percentile([1, 2, 4], 95) is 3.8.
        assert!((figures.latency_p95.unwrap() - 3.8).abs() < 1e-12);
        assert!((figures.tokens_per_second.unwrap() - 40.0 / 3.0).abs() < 1e-12);
        assert_eq!(figures.cost, Some(40.0));
        assert_eq!(figures.cost_per_thousand, Some(20_000.0));
    }

    #[test]
    fn no_answers_have_no_figures() {
        assert_eq!(Figures::of([]), Figures::default());
    }

    #[test]
    fn an_answer_is_the_same_after_storing() {
        let mut first = answer(0.1 + 0.2, Some(3));
        first.finish = Finish::Other("recitation".to_owned());
        let again: Answer = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
        assert_eq!(first, again);
    }
}
