//! Perplexity and bits per byte from summed log-likelihoods.

use serde::{Deserialize, Serialize};

/// How likely a model finds a set of texts. Sums, so that parts can be added in a fixed order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// Summed negative log-likelihood in nats.
    pub nats: f64,
    /// Tokens it was summed over.
    pub tokens: usize,
    /// UTF-8 bytes of text these tokens stand for; special tokens stand for none.
    pub bytes: usize,
}

impl Likelihood {
    /// Adds a part.
    pub fn add(&mut self, part: &Self) {
        self.nats += part.nats;
        self.tokens += part.tokens;
        self.bytes += part.bytes;
    }

    /// Mean negative log-likelihood, nats a token; `None` without tokens.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nats / self.tokens as f64)
    }

    /// `exp(loss)`; depends on the tokenizer, so it compares only models that share one.
    #[must_use]
    pub fn perplexity(&self) -> Option<f64> {
        self.loss().map(f64::exp)
    }

    /// Bits for a byte of text, which compares models of any tokenizer; `None` without bytes.
    #[must_use]
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / std::f64::consts::LN_2 / self.bytes as f64)
    }
}
