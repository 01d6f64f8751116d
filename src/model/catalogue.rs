//! The models togi knows by name: what they are, what they ask for, whether togi can run them.
//!
//! The list lies in `assets/models.toml` and is built in. It is advice for choosing; a model that is not in it opens
//! just as well, and what a checkpoint says about itself always counts for more.

use serde::{Deserialize, Serialize};

use super::description::Family;

/// How a model's vocabulary is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    /// A `tokenizer.json`, which togi reads.
    Json,
    /// Only a `SentencePiece` model, which has to be converted once.
    SentencePiece,
    /// Another model's.
    External,
}

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// On the Hugging Face Hub.
    pub id: String,
    /// The class in its `config.json`.
    pub architecture: String,
    /// How togi runs it; `None` where it does not.
    pub family: Option<Family>,
    /// Number of parameters, rounded.
    pub parameters: u64,
    pub licence: String,
    /// The Hub asks for an account and accepted terms.
    #[serde(default)]
    pub gated: bool,
    /// Ships a chat template.
    #[serde(default)]
    pub template: bool,
    pub tokenizer: TokenizerKind,
    /// Longest sequence in tokens, where known.
    pub context: Option<usize>,
    /// What a person should know before choosing it.
    pub note: Option<String>,
}

impl Entry {
    /// Whether togi can run it as the Hub has it, with nothing converted first.
    #[must_use]
    pub fn runs_as_is(&self) -> bool {
        self.family.is_some() && self.tokenizer == TokenizerKind::Json
    }
}

/// Why a catalogue cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the list of models cannot be read: {0}")]
pub struct CatalogueError(#[from] toml::de::Error);

/// The list of models, in the order in which it is shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "model")]
    models: Vec<Entry>,
}

impl Catalogue {
    /// The list that is built in.
    ///
    /// # Errors
    /// Never in a build that passes its tests; the list is data, so reading it can fail in principle.
    pub fn embedded() -> Result<Self, CatalogueError> {
        Self::parse(include_str!("../../assets/models.toml"))
    }

    /// Reads a list in the form of `assets/models.toml`.
    ///
    /// # Errors
    /// When it is no TOML, or an entry lacks a field or has one that is not known.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        Ok(toml::from_str(text)?)
    }

    /// Every model.
    #[must_use]
    pub fn models(&self) -> &[Entry] {
        &self.models
    }

    /// The model with this Hub id. Upper and lower case are the same, as they are on the Hub.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.id.eq_ignore_ascii_case(id))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_embedded_list_is_whole() {
        let catalogue = Catalogue::embedded().unwrap();
        let ids: HashSet<String> = catalogue.models().iter().map(|entry| entry.id.to_lowercase()).collect();
        assert_eq!(ids.len(), catalogue.models().len(), "an id occurs twice");
        assert!(ids.len() > 50);
        for entry in catalogue.models() {
            assert!(entry.id.split_once('/').is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty()));
            assert!(entry.parameters >= 10_000_000 && !entry.licence.is_empty(), "{}", entry.id);
            // Whatever keeps a model from running as it is, and whatever it asks for, is said.
            assert!(entry.note.is_some() || (entry.runs_as_is() && !entry.gated), "{}", entry.id);
        }
    }

    #[test]
    fn a_model_is_found_by_its_id() {
        let catalogue = Catalogue::embedded().unwrap();
        let smol = catalogue.get("huggingfacetb/smollm2-135m-instruct").unwrap();
        assert!(smol.runs_as_is() && smol.template && !smol.gated);
        assert_eq!(smol.family, Some(Family::Llama));
        let rinna = catalogue.get("rinna/japanese-gpt-neox-3.6b").unwrap();
        assert!(!rinna.runs_as_is() && rinna.note.as_deref().unwrap().contains("SentencePiece"));
        assert!(catalogue.get("google/gemma-3-270m").unwrap().gated);
        assert!(catalogue.get("no/such-model").is_none());
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text =
            "[[model]]\nid = \"a/b\"\narchitecture = \"X\"\nparameters = 1\nlicense = \"MIT\"\ntokenizer = \"json\"\n";
        assert!(Catalogue::parse(text).unwrap_err().to_string().contains("license"));
    }
}
