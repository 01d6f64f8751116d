//! A `tokenizer.json`: read by the `tokenizers` crate, looked over first.
//!
//! The crate trusts what it reads (a merge longer than every token, or an escape that is no character, makes it panic),
//! so what is known of that is checked here, and what is not known is caught; and a description needs to know which
//! token is put before a text, which the post-processor says.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Tokenizer, TokenizerError, guarded};

/// What a `tokenizer.json` says apart from its vocabulary.
#[derive(Deserialize, Default)]
pub struct Outline {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    post_processor: Value,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

impl Outline {
    /// Reads the outline of a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is no JSON, or no tokenizer.
    pub fn read(json: &[u8]) -> Result<Self, TokenizerError> {
        serde_json::from_slice(json).map_err(|e| TokenizerError(format!("it is not a tokenizer.json: {e}")))
    }

    /// The id of an added token.
    #[must_use]
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.added_tokens.iter().find(|added| added.content == token).map(|added| added.id)
    }

    /// The text of an added token.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&str> {
        self.added_tokens.iter().find(|added| added.id == id).map(|added| added.content.as_str())
    }

    /// The token that the post-processor puts before a text.
    #[must_use]
    pub fn first_token(&self) -> Option<u32> {
        first_token(&self.post_processor)
    }
}

fn first_token(processor: &Value) -> Option<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match processor.get("type")?.as_str()? {
        "Sequence" => processor.get("processors")?.as_array()?.iter().find_map(first_token),
        "TemplateProcessing" => {
            let name = processor.get("single")?.get(0)?.get("SpecialToken")?.get("id")?.as_str()?;
            id(processor.get("special_tokens")?.get(name)?.get("ids")?.get(0)?)
        }
        "BertProcessing" | "RobertaProcessing" => id(processor.get("cls")?.get(1)?),
        _ => None,
    }
}

/// The parts that the crate takes on trust, each as a value of its own so that it is known to be sound JSON.
#[derive(Deserialize)]
struct Checked<'a> {
    #[serde(borrow)]
    model: Model<'a>,
    #[serde(default, rename = "normalizer")]
    _normalizer: Value,
    #[serde(default, rename = "pre_tokenizer")]
    _pre_tokenizer: Value,
    #[serde(default, rename = "post_processor")]
    _post_processor: Value,
    #[serde(default, rename = "decoder")]
    _decoder: Value,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(default, borrow)]
    merges: Option<Vec<Merge<'a>>>,
    #[serde(default)]
    vocab: Longest,
}

/// Length in bytes of a vocabulary's longest token; the vocabulary itself is passed over.
#[derive(Default)]
struct Longest(usize);

impl<'de> Deserialize<'de> for Longest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Longest;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Longest, A::Error> {
                let mut longest = 0;
                while let Some(token) = map.next_key::<Token>()? {
                    map.next_value::<IgnoredAny>()?;
                    longest = longest.max(token.0.len());
                }
                Ok(Longest(longest))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Longest, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Longest(usize::MAX)) // Unigram's: no merges to check
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

/// A text that is borrowed from the file where it has no escapes.
#[derive(Deserialize)]
struct Token<'a>(#[serde(borrow)] Cow<'a, str>);

/// A merge, written `"a b"` or `["a", "b"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge<'a> {
    Line(#[serde(borrow)] Cow<'a, str>),
    Pair(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>),
}

/// Reads a `tokenizer.json`.
///
/// # Errors
/// When it is no tokenizer, or its merges do not fit its vocabulary.
pub fn tokenizer(json: &[u8]) -> Result<Tokenizer, TokenizerError> {
    check(json)?;
    let read = guarded(|| tokenizers::Tokenizer::from_bytes(json))?;
    read.map(Tokenizer::new).map_err(|e| TokenizerError(format!("it is not a tokenizer.json: {e}")))
}

fn check(json: &[u8]) -> Result<(), TokenizerError> {
    let failed = |e: serde_json::Error| TokenizerError(format!("it is not a tokenizer.json: {e}"));
    let checked: Checked = serde_json::from_slice(json).map_err(failed)?;
    let longest = checked.model.vocab.0;
    for merge in checked.model.merges.iter().flatten() {
        let length = match merge {
            Merge::Line(line) => line.len().saturating_sub(1),
            Merge::Pair(a, b) => a.len() + b.len(),
        };
        if length > longest {
            return Err(TokenizerError("a merge makes a token longer than every token of its vocabulary".to_owned()));
        }
    }
    Ok(())
}
