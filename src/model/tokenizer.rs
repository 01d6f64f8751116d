//! Text to tokens and back, whatever file the vocabulary came from.
//!
//! A `tokenizer.json`, and the byte-level vocabularies of GGUF files, run on the `tokenizers` crate; SentencePiece
//! vocabularies of GGUF files run on code of our own, which merges by score as llama.cpp does. Both recognise special tokens
//! that are written out in a text and add none of their own: who wants a begin token asks `prompt` for it.

pub mod gguf;
pub mod json;
mod spm;
mod stream;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use tokenizers::DecoderWrapper;

pub use stream::TokenStream;

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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenizerError(pub String);

/// A vocabulary with its rules. Cloning is cheap: clones share the tables.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

enum Inner {
    Library {
        tokenizer: Box<tokenizers::Tokenizer>,
        special: HashSet<u32>,
        /// Whether tokens spell bytes in GPT-2's alphabet, so that each token's bytes are known by themselves.
        byte_level: bool,
    },
    Spm(spm::Spm),
}

impl Tokenizer {
    /// Wraps a tokenizer of the `tokenizers` crate. Truncation and padding are switched off, and so is the
    /// post-processor, which would add special tokens and trim spaces from the spans.
    #[must_use]
    pub fn new(mut tokenizer: tokenizers::Tokenizer) -> Self {
        // Setting no truncation cannot fail: the error is about a stride that does not fit a length.
        let _ = tokenizer.with_truncation(None);
        tokenizer.with_padding(None);
        tokenizer.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
        let byte_level = matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        Self { inner: Arc::new(Inner::Library { tokenizer: Box::new(tokenizer), special, byte_level }) }
    }

    fn from_spm(spm: spm::Spm) -> Self {
        Self { inner: Arc::new(Inner::Spm(spm)) }
    }

    /// Tokenises `text`. Special tokens written in it are recognised; none is added.
    ///
    /// # Errors
    /// When the tokenizer's own rules fail on the text.
    pub fn encode(&self, text: &str) -> Result<Encoded, TokenizerError> {
        match &*self.inner {
            Inner::Spm(spm) => spm.encode(text),
            Inner::Library { tokenizer, .. } => {
                let encoding = guarded(|| tokenizer.encode(text, false))?.map_err(|e| TokenizerError(e.to_string()))?;
                Ok(Encoded {
                    ids: encoding.get_ids().to_vec(),
                    spans: encoding.get_offsets().iter().map(|&(start, end)| start..end).collect(),
                })
            }
        }
    }

    /// The text of `ids`; special tokens are left out where `skip_special`.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        match &*self.inner {
            Inner::Spm(spm) => Ok(String::from_utf8_lossy(&spm.decode(ids, skip_special)).into_owned()),
            Inner::Library { tokenizer, .. } => {
                guarded(|| tokenizer.decode(ids, skip_special))?.map_err(|e| TokenizerError(e.to_string()))
            }
        }
    }

    /// Starts decoding token by token, as a model writes them. Special tokens are left out where `skip_special`.
    #[must_use]
    pub fn stream(&self, skip_special: bool) -> TokenStream {
        TokenStream::new(self.clone(), skip_special)
    }

    /// The id of a token by its exact vocabulary text.
    #[must_use]
    pub fn id_of(&self, token: &str) -> Option<u32> {
        match &*self.inner {
            Inner::Spm(spm) => spm.id_of(token),
            Inner::Library { tokenizer, .. } => tokenizer.token_to_id(token),
        }
    }

    /// The vocabulary text of a token.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        match &*self.inner {
            Inner::Spm(spm) => spm.token(id).map(str::to_owned),
            Inner::Library { tokenizer, .. } => tokenizer.id_to_token(id),
        }
    }

    /// Whether a token is special: it marks structure and stands for no text.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        match &*self.inner {
            Inner::Spm(spm) => spm.is_special(id),
            Inner::Library { special, .. } => special.contains(&id),
        }
    }

    /// Number of tokens, added ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        match &*self.inner {
            Inner::Spm(spm) => spm.len(),
            Inner::Library { tokenizer, .. } => tokenizer.get_vocab_size(true),
        }
    }

    /// Whether the vocabulary has no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that token `id` adds to a text, where that does not depend on its neighbours.
    fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        match &*self.inner {
            Inner::Spm(spm) => Some(spm.bytes(id)),
            Inner::Library { tokenizer, byte_level: true, .. } => {
                Some(tokenizer.id_to_token(id).map(|token| gguf::spelt_bytes(&token)).unwrap_or_default())
            }
            Inner::Library { .. } => None,
        }
    }

    /// Whether the first token of a text loses the space in front of it when decoded.
    fn strips_first_space(&self) -> bool {
        matches!(&*self.inner, Inner::Spm(spm) if spm.adds_space())
    }
}

/// Calls into the `tokenizers` crate, which panics on vocabularies that contradict themselves in ways nobody has listed.
/// It holds no lock and no half-made state of ours, so a caught panic is an error like any other.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, TokenizerError> {
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    called.map_err(|_| TokenizerError("its rules contradict themselves: the file is damaged; download it again".into()))
}

#[cfg(test)]
mod tests;
