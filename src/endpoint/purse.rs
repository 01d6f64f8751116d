//! The money and the requests that may still be spent.
//!
//! Before a request its worst case is set aside, after it the real cost takes the place of that. A request goes only
//! where what is spent, what is set aside and its own worst case together stay within the cap; so the cap holds however
//! many requests are under way. What an endpoint may have billed though no usage came (a time-out, a torn connection)
//! stays spent at its worst case.

use super::answer::Usage;
use super::prompt::{self, Message, bytes};
use super::settings::Settings;

/// Tokens that a chat template may put around one message: its role, its marks, its line breaks.
const TOKENS_PER_MESSAGE: u64 = 16;
/// Tokens that a chat template may add to a whole prompt: a system prompt of its own, a date. The longest of the open
/// models' templates add about a hundred.
const TOKENS_PER_PROMPT: u64 = 256;

/// Money per token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    input: f64,
    output: f64,
    cached: f64,
}

impl Prices {
    /// `None` where the settings have no prices.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let input = settings.price_input? / 1e6;
        let cached = settings.price_cached_input.map_or(input, |price| price / 1e6);
        Some(Self { input, output: settings.price_output? / 1e6, cached })
    }

    /// What `usage` costs.
    pub(super) fn cost(self, usage: Usage) -> f64 {
        let cached = usage.cached.min(usage.prompt);
        (usage.prompt - cached) as f64 * self.input
            + cached as f64 * self.cached
            + usage.completion as f64 * self.output
    }

    /// What a prompt of at most `prompt` tokens and an answer of at most `completion` can cost.
    fn worst(self, prompt: u64, completion: u64) -> f64 {
        prompt as f64 * self.input.max(self.cached) + completion as f64 * self.output
    }
}

/// Tokens that a prompt has at most: one a byte, the least that a vocabulary over bytes puts together, and what a
/// template adds. Real prompts have a quarter of that, so the last few requests under a tight cap may stay unsent.
fn most_tokens(messages: &[Message]) -> u64 {
    bytes(messages) + TOKENS_PER_MESSAGE * messages.len() as u64 + TOKENS_PER_PROMPT
}

/// What has been spent before, so that a run that goes on keeps to the same caps.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Money, what may have been billed included: [`Summary::spent`](super::Summary::spent).
    pub money: f64,
    /// Requests sent.
    pub requests: u64,
}

/// Whether a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not before something under way is settled.
    Wait,
    /// Never: the money does not reach.
    NoMoney,
    /// Never: the requests are used up.
    NoRequests,
}

/// How a request that went was settled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bill {
    /// It cost this much.
    Cost(f64),
    /// It was refused or never arrived: nothing is billed.
    Nothing,
    /// It may have been billed, up to its worst case.
    Unknown,
}

/// The money of one run.
#[derive(Debug, Clone)]
pub(super) struct Purse {
    prices: Option<Prices>,
    max_tokens: u64,
    /// Bytes of `extra` without its braces: a schema or tools in it become part of every prompt.
    extra: u64,
    cap: Option<f64>,
    request_cap: Option<u64>,
    known: f64,
    unknown: f64,
    set_aside: f64,
    under_way: usize,
    sent: u64,
    before: Spent,
}

impl Purse {
    pub(super) fn new(settings: &Settings, before: Spent) -> Self {
        Self {
            prices: Prices::of(settings),
            max_tokens: u64::from(settings.max_tokens),
            extra: (prompt::extra(settings).to_string().len() as u64).saturating_sub(2),
            cap: settings.spend_cap,
            request_cap: settings.request_cap,
            known: 0.0,
            unknown: 0.0,
            set_aside: 0.0,
            under_way: 0,
            sent: 0,
            before,
        }
    }

    /// What a request with these messages can cost; 0 without prices.
    pub(super) fn worst(&self, messages: &[Message]) -> f64 {
        self.prices.map_or(0.0, |prices| prices.worst(most_tokens(messages) + self.extra, self.max_tokens))
    }

    /// What `usage` cost, where prices are known.
    pub(super) fn cost(&self, usage: Usage) -> Option<f64> {
        self.prices.map(|prices| prices.cost(usage))
    }

    pub(super) fn gate(&self, worst: f64) -> Gate {
        if self.request_cap.is_some_and(|cap| self.before.requests + self.sent >= cap) {
            return Gate::NoRequests;
        }
        match self.cap {
            Some(cap) if self.before.money + self.spent() + self.set_aside + worst > cap => {
                if self.under_way > 0 {
                    Gate::Wait
                } else {
                    Gate::NoMoney
                }
            }
            _ => Gate::Open,
        }
    }

    /// Sets the worst case of a request aside that goes now.
    pub(super) fn set_aside(&mut self, worst: f64) {
        self.set_aside += worst;
        self.under_way += 1;
        self.sent += 1;
    }

    /// Puts the bill of a request in the place of its worst case.
    pub(super) fn settle(&mut self, worst: f64, bill: Bill) {
        self.under_way = self.under_way.saturating_sub(1);
        // Sums and differences of fractions leave a rest, which must not add up.
        self.set_aside = if self.under_way == 0 { 0.0 } else { self.set_aside - worst };
        match bill {
            Bill::Cost(cost) => self.known += cost,
            Bill::Nothing => {}
            Bill::Unknown => self.unknown += worst,
        }
    }

    /// Takes what is still under way for billed, when nobody waits for it any more.
    pub(super) fn close(&mut self) {
        self.unknown += self.set_aside;
        self.set_aside = 0.0;
        self.under_way = 0;
    }

    /// Money of this run, what may have been billed included.
    pub(super) fn spent(&self) -> f64 {
        self.known + self.unknown
    }

    /// Money of this run that may or may not have been billed.
    pub(super) fn unknown(&self) -> f64 {
        self.unknown
    }

    /// Requests sent in this run.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::prompt::Role;
    use crate::endpoint::tests::settings;

    fn purse(cap: f64, before: Spent) -> Purse {
        let mut settings = settings("http://localhost");
        settings.price_input = Some(1e6);
        settings.price_output = Some(2e6);
        settings.price_cached_input = Some(0.5e6);
        settings.max_tokens = 10;
        settings.spend_cap = Some(cap);
        Purse::new(&settings, before)
    }

    #[test]
    fn a_cost_counts_cached_tokens_at_their_own_price() {
        let purse = purse(1.0, Spent::default());
        assert_eq!(purse.cost(Usage { prompt: 10, cached: 4, completion: 3 }), Some(6.0 + 2.0 + 6.0));
        // More cached than there is, as a broken server may say, is not a negative price.
        assert_eq!(purse.cost(Usage { prompt: 10, cached: 40, completion: 0 }), Some(5.0));
    }

    #[test]
    fn what_is_set_aside_counts_until_it_is_settled() {
        let mut purse = purse(100.0, Spent::default());
        purse.set_aside(60.0);
        assert_eq!(purse.gate(60.0), Gate::Wait);
        purse.settle(60.0, Bill::Cost(30.0));
        assert_eq!(purse.gate(60.0), Gate::Open);
        purse.set_aside(60.0);
        purse.settle(60.0, Bill::Unknown);
        assert_eq!(purse.gate(60.0), Gate::NoMoney);
        assert_eq!(purse.gate(10.0), Gate::Open, "up to the cap, and not over it");
        assert_eq!((purse.spent(), purse.unknown()), (90.0, 60.0));
    }

    #[test]
    fn a_run_that_goes_on_keeps_what_was_spent_before() {
        assert_eq!(purse(100.0, Spent { money: 50.0, requests: 3 }).gate(60.0), Gate::NoMoney);
        let mut settings = settings("http://localhost");
        settings.request_cap = Some(3);
        assert_eq!(Purse::new(&settings, Spent { money: 0.0, requests: 3 }).gate(0.0), Gate::NoRequests);
        assert_eq!(Purse::new(&settings, Spent { money: 0.0, requests: 2 }).gate(0.0), Gate::Open);
    }

    #[test]
    fn the_worst_case_is_never_less_than_the_bytes() {
        let messages = [Message::new(Role::User, "日本語🦀 and \u{1}\u{2} rare bytes")];
        assert!(most_tokens(&messages) >= messages[0].content.len() as u64);
        let worst = purse(1.0, Spent::default()).worst(&messages);
        assert!((worst - (most_tokens(&messages) as f64 + 20.0)).abs() < 1e-9, "{worst}");
    }
}
