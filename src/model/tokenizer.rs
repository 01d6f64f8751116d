//! Text to tokens and back, whatever file the vocabulary came from.

use std::ops::Range;

/// A text's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids in order.
    pub ids: Vec<u32>,
    /// For each token the bytes of the text it stands for; empty or overlapping ranges are possible where a character
    /// takes several tokens.
    pub spans: Vec<Range<usize>>,
}

/// Why a text could not be tokenised, or a vocabulary not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenizerError(pub String);

/// A vocabulary with its rules.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Wraps a tokenizer of the `tokenizers` crate.
    #[must_use]
    pub fn new(inner: tokenizers::Tokenizer) -> Self {
        Self { inner }
    }

    /// Tokenises `text`. Special tokens written in it are recognised; none is added.
    ///
    /// # Errors
    /// When the tokenizer's own rules fail on the text.
    pub fn encode(&self, text: &str) -> Result<Encoded, TokenizerError> {
        let encoding = self.inner.encode(text, false).map_err(|e| TokenizerError(e.to_string()))?;
        Ok(Encoded {
            ids: encoding.get_ids().to_vec(),
            spans: encoding.get_offsets().iter().map(|&(start, end)| start..end).collect(),
        })
    }

    /// The text of `ids`; special tokens are left out where `skip_special`.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        self.inner.decode(ids, skip_special).map_err(|e| TokenizerError(e.to_string()))
    }

    /// The id of a token by its exact vocabulary text.
    #[must_use]
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The vocabulary text of a token.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether a token is special: it marks structure and stands for no text.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&id).is_some_and(|t| t.special)
    }

    /// Number of tokens, added ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether the vocabulary has no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
