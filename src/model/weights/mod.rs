//! Where weights come from: a GGUF file, a Hugging Face folder, the Hub.
//!
//! [`Source::open`] reads either kind far enough to know what model it is and that every tensor is there with the right
//! shape; the weights themselves stay in the mapped file until they are asked for. Files come from strangers: whatever
//! is wrong with one is an error with a sentence, never a panic and never an allocation larger than the file warrants.

mod folder;
pub mod gguf;
mod gguf_file;
pub mod hub;
mod mapped;
mod quants;
mod values;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::description::{Description, Family, Linear, Slot};
use super::families;
use super::matrix::Matrix;
use super::ops::packed::Panels;
use super::ops::pages;
use super::tokenizer::{Tokenizer, TokenizerError};
use folder::Folder;
use gguf_file::GgufFile;
use mapped::Mapped;

/// Files beside the weights of a Hugging Face folder that decide what is read and written, where a model has them. New ones go to
/// the end: fingerprints are taken in this order.
pub const SMALL_FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Why a tensor could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TensorError(pub String);

/// Something that hands out a decoder's tensors by role, as `f32` in row-major order.
///
/// Layouts are those of Hugging Face checkpoints: linear weights `[out, in]`, rotary in the half-split form (GGUF's
/// permutation of Llama's q and k undone), norm weights as they are multiplied (Gemma's `1 + w` already added).
pub trait TensorSource {
    /// Reads the tensor in `slot`, which must have exactly `shape`.
    ///
    /// # Errors
    /// When the tensor is missing, has another shape, or cannot be read.
    fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError>;

    /// Reads the tensor in `slot` into `out`, which has as many numbers as `shape`.
    ///
    /// # Errors
    /// As [`TensorSource::tensor`].
    fn tensor_into(&self, slot: Slot, shape: &[usize], out: &mut [f32]) -> Result<(), TensorError> {
        out.copy_from_slice(&self.tensor(slot, shape)?);
        Ok(())
    }

    /// Reads the matrix in `slot` packed as it is stored; `None` where it can only be had as `f32`.
    ///
    /// # Errors
    /// As [`TensorSource::tensor`].
    fn packed(&self, slot: Slot, shape: [usize; 2]) -> Result<Option<Panels>, TensorError> {
        let _ = (slot, shape);
        Ok(None)
    }

    /// Reads the matrix in `slot`, packed as it is stored where that can be computed with.
    ///
    /// # Errors
    /// As [`TensorSource::tensor`].
    fn matrix(&self, slot: Slot, shape: [usize; 2]) -> Result<Matrix, TensorError> {
        match self.packed(slot, shape)? {
            Some(panels) => Ok(panels.into()),
            None => Ok(Matrix::plain(self.tensor(slot, &shape)?, shape[1])),
        }
    }

    /// Whether the checkpoint has a tensor in `slot`.
    fn has(&self, slot: Slot) -> bool;
}

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing, or no model, lies there.
    #[error("{path}: {reason}", path = .path.display())]
    NoModel { path: PathBuf, reason: String },
    /// The system would not let it be read.
    #[error("{path} cannot be read: {source}", path = .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// The file is damaged, cut short, or of a kind or with a switch that is not supported.
    #[error("{path}: {reason}", path = .path.display())]
    Broken { path: PathBuf, reason: String },
    /// The Hub has no such model, does not give it, or cannot be reached.
    #[error("{0}")]
    Hub(String),
}

impl SourceError {
    fn broken(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Broken { path: path.to_owned(), reason: reason.to_string() }
    }

    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// A model on disk: its description, its tokenizer, and its tensors on demand.
pub struct Source {
    path: PathBuf,
    facts: Facts,
    store: Store,
    tokenizer: OnceLock<Result<Tokenizer, TokenizerError>>,
}

/// What is known about a model apart from its tensors.
struct Facts {
    name: String,
    description: Description,
    chat_template: Option<String>,
    bos_text: Option<String>,
    eos_text: Option<String>,
    pad: Option<u32>,
    identity: String,
    file_bytes: u64,
}

/// The two kinds of checkpoint.
enum Store {
    Gguf(GgufFile),
    Folder(Folder),
}

impl Source {
    /// Opens a `.gguf` file or a Hugging Face folder (`config.json`, `tokenizer.json`, `*.safetensors`).
    ///
    /// # Errors
    /// When nothing is there, a file cannot be read or is damaged, the model is of a family that is not supported, or
    /// a tensor is missing, has another shape than its description says, or is one that the family does not have.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let (facts, store) = if path.is_dir() {
            let (facts, folder) = Folder::open(path)?;
            (facts, Store::Folder(folder))
        } else if path.is_file() {
            let (facts, file) = GgufFile::open(path)?;
            (facts, Store::Gguf(file))
        } else {
            let reason = "there is no such file or folder; give a .gguf file or a Hugging Face folder".to_owned();
            return Err(SourceError::NoModel { path: path.to_owned(), reason });
        };
        let source = Self { path: path.to_owned(), facts, store, tokenizer: OnceLock::new() };
        source.check_tensors()?;
        Ok(source)
    }

    /// Compares the tensors that are there with those that the description asks for.
    fn check_tensors(&self) -> Result<(), SourceError> {
        let description = self.description();
        let wanted = families::slots(description);
        let mut known = HashSet::new();
        for (slot, shape) in wanted {
            let name = self.name_of(slot);
            let found = self.shape_of(&name);
            if found.as_ref() != Some(&shape) {
                let found = found.map_or_else(|| "is missing".to_owned(), |found| format!("has shape {found:?}"));
                let reason = format!(
                    "its tensor {name} {found}, where a {:?} of its configuration has {shape:?}: the weights are \
                     incomplete, or belong to another configuration",
                    description.family
                );
                return Err(SourceError::broken(&self.path, reason));
            }
            known.insert(name);
        }
        let names = match &self.store {
            Store::Gguf(file) => file.names(),
            Store::Folder(folder) => folder.names(),
        };
        let head = self.name_of(Slot::Head);
        let extra = names.iter().filter(|name| !known.contains(**name) && !families::is_buffer(name) && **name != head);
        // Tensors that would be passed over mean a model that computes something else: better refused than wrong.
        if let Some(name) = extra.min() {
            let reason = format!(
                "it has a tensor {:?} that no {:?} has, so togi would compute something else than the model does; \
                 supported are {}",
                name.chars().take(80).collect::<String>(),
                description.family,
                families::SUPPORTED
            );
            return Err(SourceError::broken(&self.path, reason));
        }
        Ok(())
    }

    fn name_of(&self, slot: Slot) -> String {
        match &self.store {
            Store::Gguf(_) => families::gguf_name(slot),
            Store::Folder(_) => families::hf_name(self.facts.description.family, slot),
        }
    }

    fn shape_of(&self, name: &str) -> Option<Vec<usize>> {
        match &self.store {
            Store::Gguf(file) => file.shape(name),
            Store::Folder(folder) => folder.shape(name),
        }
    }

    /// Where the model lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the model is made of.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.facts.description
    }

    /// The model's tokenizer, read on the first call.
    ///
    /// # Errors
    /// When the file has no tokenizer, or one that is damaged or not supported.
    pub fn tokenizer(&self) -> Result<&Tokenizer, SourceError> {
        let tokenizer = self.tokenizer.get_or_init(|| match &self.store {
            Store::Gguf(file) => file.tokenizer(),
            Store::Folder(folder) => folder.tokenizer(),
        });
        tokenizer.as_ref().map_err(|e| SourceError::broken(&self.path, format!("its tokenizer: {e}")))
    }

    /// The chat template, in Jinja, if the model has one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.facts.chat_template.as_deref()
    }

    /// The begin token's text, `bos_token` in chat templates, whether or not the model wants it before a text.
    #[must_use]
    pub fn bos_text(&self) -> Option<&str> {
        self.facts.bos_text.as_deref()
    }

    /// The end token's text, `eos_token` in chat templates.
    #[must_use]
    pub fn eos_text(&self) -> Option<&str> {
        self.facts.eos_text.as_deref()
    }

    /// The padding token.
    #[must_use]
    pub fn pad(&self) -> Option<u32> {
        self.facts.pad
    }

    /// A fingerprint of the weights: BLAKE3 over the headers, the length, and pieces of every tensor. It does not
    /// depend on where the model lies.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.facts.identity
    }

    /// What the model is called: the file's own name for itself, or the file's or folder's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.facts.description.parameters()
    }

    /// Bytes of memory that the weights take once they are read: as `f32`, or packed as they are stored.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let d = self.description();
        // A `query_key_value` is read row by row in another order, which makes it plain.
        let neox = if d.family == Family::GptNeox { d.layers } else { 0 };
        let plain: HashSet<String> =
            (0..neox).map(|layer| self.name_of(Slot::Weight(layer, Linear::QueryKeyValue))).collect();
        match &self.store {
            Store::Gguf(file) => file.memory(&plain),
            Store::Folder(folder) => folder.memory(&plain),
        }
    }

    /// Size of the weight files in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.facts.file_bytes
    }
}

impl Source {
    fn read(&self, slot: Slot, name: &str, out: &mut [f32]) -> Result<(), String> {
        match &self.store {
            Store::Gguf(file) => file.read(name, slot, self.description(), out),
            Store::Folder(folder) => folder.read(name, slot, self.description(), out),
        }
    }

    /// Finds the tensor in `slot`, which must have exactly `shape`, and reads it by its name.
    fn find<T>(
        &self,
        slot: Slot,
        shape: &[usize],
        read: impl FnOnce(Slot, &str) -> Result<T, String>,
    ) -> Result<T, TensorError> {
        // A tied head is the embedding table, even where a checkpoint carries a second copy of it.
        let slot = if slot == Slot::Head && self.description().tied { Slot::Embedding } else { slot };
        let name = self.name_of(slot);
        let failed = |reason: String| TensorError(format!("{}: tensor {name} {reason}", self.path.display()));
        match self.shape_of(&name) {
            None => Err(failed("is missing".to_owned())),
            Some(found) if found != shape => Err(failed(format!("has shape {found:?} where {shape:?} is wanted"))),
            Some(_) => read(slot, &name).map_err(failed),
        }
    }
}

impl TensorSource for Source {
    fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
        self.find(slot, shape, |slot, name| {
            let mut out = pages::zeros(shape.iter().product());
            self.read(slot, name, &mut out)?;
            Ok(out)
        })
    }

    fn tensor_into(&self, slot: Slot, shape: &[usize], out: &mut [f32]) -> Result<(), TensorError> {
        self.find(slot, shape, |slot, name| self.read(slot, name, out))
    }

    fn packed(&self, slot: Slot, shape: [usize; 2]) -> Result<Option<Panels>, TensorError> {
        self.find(slot, &shape, |slot, name| match &self.store {
            Store::Gguf(file) => file.packed(name, slot, self.description()),
            Store::Folder(folder) => folder.packed(name),
        })
    }

    fn has(&self, slot: Slot) -> bool {
        if slot == Slot::Head && self.description().tied {
            return false;
        }
        self.shape_of(&self.name_of(slot)).is_some()
    }
}

/// Bytes of each tensor's beginning, middle and end that go into a fingerprint.
const SAMPLE: usize = 1024;

/// Adds a file to a fingerprint: its header, its length, and a piece of the beginning, middle and end of each tensor.
fn fingerprint(hasher: &mut blake3::Hasher, data: &Mapped, header: usize, tensors: &mut [std::ops::Range<usize>]) {
    hasher.update(data.get(..header).unwrap_or(data));
    hasher.update(&(data.len() as u64).to_le_bytes());
    tensors.sort_by_key(|range| range.start);
    for range in tensors {
        let middle = range.start + range.len() / 2;
        for start in [range.start, middle, range.end.saturating_sub(SAMPLE).max(range.start)] {
            hasher.update(data.get(start..(start + SAMPLE).min(range.end)).unwrap_or_default());
        }
    }
    // The system reads ahead around every piece.
    data.give_back(0..data.len());
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod tests;
