//! Inference: the decoder's forward over many sequences at once, each with its own cache and its own adapter or none.
//!
//! All rows' tokens go through each matrix together, so one pass over the frozen weights serves them all; what a row's
//! adapter adds is computed for its tokens alone. **Row invariance**: a token's numbers depend on its sequence and its
//! adapter, not on the rows beside it nor on how the text was split, bit for bit on one machine. What answers are asked of is
//! [`Infer`]: the processor ([`Inference`]) or a device.

mod host;

use super::description::Description;
use super::device::infer::Place;
use super::kv_cache::KvCache;
use super::lora::Adapter;

pub use host::{Inference, Row};

/// Which tokens' logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// None: the caches are to be filled.
    Nothing,
    /// Each row's last token's.
    Last,
    /// Every token's; `tokens * vocab` floats.
    All,
}

/// Why rows could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    #[error("token {token} is not in the model's vocabulary of {vocab}; the tokenizer is that of another model")]
    Token { token: u32, vocab: usize },
    #[error("the text is {tokens} tokens long and the model reads {context} at most; shorten it")]
    TooLong { tokens: usize, context: usize },
    #[error("the cache was made for another model")]
    Cache,
    #[error("the prompt has no token; give it a beginning, such as the model's start token")]
    Empty,
    #[error("{0}; answer on the processor with train.device=cpu")]
    Device(String),
}

/// What a text's attention has seen, where it is kept.
#[derive(Debug)]
pub enum Cache {
    Host(KvCache),
    Device(Place),
}

impl Cache {
    /// Tokens seen.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Host(cache) => cache.len(),
            Self::Device(place) => place.len(),
        }
    }

    /// Whether no token has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// New tokens of one sequence, wherever its cache is kept.
pub struct Turn<'a> {
    pub tokens: &'a [u32],
    /// What the sequence has seen; the tokens are added to it.
    pub cache: &'a mut Cache,
    /// Added to the frozen weights for this row, or the base model alone.
    pub adapter: Option<&'a Adapter>,
}

/// A decoder that reads tokens: on the processor ([`Inference`]) or on a device
/// ([`device::infer::Inference`](super::device::infer::Inference)).
pub trait Infer {
    /// The model.
    fn description(&self) -> &Description;

    /// Forgets what it kept of the adapters of earlier requests.
    fn begin(&mut self) {}

    /// Tokens of an answer that room is made for before the first is written. On the processor room is not memory before it is
    /// written, so there is none too much; a longer answer than this makes its cache grow.
    fn ahead(&self) -> usize {
        usize::MAX
    }

    /// An empty cache with room for `capacity` tokens before it grows.
    ///
    /// # Errors
    /// When there is no memory for it.
    fn cache(&mut self, capacity: usize) -> Result<Cache, InferError>;

    /// A cache of its own that begins with the first `tokens` tokens of another and has room for `capacity`.
    ///
    /// # Errors
    /// When there is no memory for it, or the other one is not kept here.
    fn fork(&mut self, of: &Cache, tokens: usize, capacity: usize) -> Result<Cache, InferError>;

    /// Adds every row's tokens to its cache and returns the wanted logits, `[wanted tokens, vocab]` in the order of rows.
    ///
    /// # Errors
    /// As [`Inference::forward`], and when a device fails.
    fn forward(&mut self, rows: &mut [Turn<'_>], want: Want) -> Result<Vec<f32>, InferError>;

    /// Takes logits back that [`Infer::forward`] returned, for their room.
    fn reuse(&mut self, _logits: Vec<f32>) {}

    /// Says whether a prompt can be read and at least one token be written behind it.
    ///
    /// # Errors
    /// When it has no token, one that is not in the vocabulary, or leaves no room in the model's context.
    fn check_prompt(&self, tokens: &[u32]) -> Result<(), InferError> {
        check(self.description(), tokens, 0).map(drop)
    }
}

/// The length of a text of `seen` tokens with `tokens` behind them, where the model can read it.
pub(super) fn check(d: &Description, tokens: &[u32], seen: usize) -> Result<usize, InferError> {
    if tokens.is_empty() {
        return Err(InferError::Empty);
    }
    if let Some(&token) = tokens.iter().find(|&&token| token as usize >= d.vocab) {
        return Err(InferError::Token { token, vocab: d.vocab });
    }
    let tokens = seen + tokens.len();
    if tokens > d.context {
        return Err(InferError::TooLong { tokens, context: d.context });
    }
    Ok(tokens)
}

/// A stretch of one row's tokens in a pass.
pub(super) struct Part {
    pub row: usize,
    /// Tokens of the row in earlier passes.
    pub from: usize,
    pub len: usize,
    /// Its first row among the pass's tokens.
    pub at: usize,
}

/// Rows of these lengths in passes of at most `most` tokens.
pub(super) fn parts(lengths: &[usize], most: usize) -> Vec<Vec<Part>> {
    let mut passes = Vec::new();
    let (mut row, mut from) = (0, 0);
    while row < lengths.len() {
        let (mut parts, mut total) = (Vec::new(), 0);
        while row < lengths.len() && total < most {
            let len = (lengths[row] - from).min(most - total);
            parts.push(Part { row, from, len, at: total });
            total += len;
            from += len;
            if from == lengths[row] {
                (row, from) = (row + 1, 0);
            }
        }
        passes.push(parts);
    }
    passes
}

#[cfg(test)]
pub(super) mod tests;
