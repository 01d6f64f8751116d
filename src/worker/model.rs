//! A model as it is used: opened with a prompt, and, when numbers are wanted, loaded with or without an adapter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::decoder::Decoder;
use crate::model::lora::Adapter;
use crate::model::peft::{self, AdapterError};
use crate::model::weights::{Source, SourceError, TensorError};
use crate::prompt::{Prompt, RenderError, Renderer, Special};

/// Why a model could not be opened or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{}: {cause}", path.display())]
    Tensor { path: PathBuf, cause: TensorError },
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error("the prompt cannot be used with this model: {0}")]
    Prompt(#[from] RenderError),
    #[error("{} has no end-of-sequence token, so no answer could be learnt to end; its configuration must name one", .0.display())]
    NoEnd(PathBuf),
    #[error("{0}")]
    Memory(String),
}

/// A model whose files are open, with the renderer that serves it. No weights are in memory.
pub struct Opened {
    pub source: Source,
    pub renderer: Renderer,
}

impl Opened {
    /// Opens the GGUF file or folder `path` and lays `prompt` over its chat template.
    ///
    /// # Errors
    /// When the model cannot be read, has no end token, or the prompt's templates do not parse.
    pub fn open(path: &Path, prompt: Prompt) -> Result<Self, ModelError> {
        Self::of(Source::open(path)?, prompt)
    }

    /// The same with a model whose files are open.
    ///
    /// # Errors
    /// When it has no tokenizer or no end token, or the prompt's templates do not parse.
    pub fn of(source: Source, prompt: Prompt) -> Result<Self, ModelError> {
        let tokenizer = Arc::new(source.tokenizer()?.clone());
        let description = source.description();
        let named = |id: u32| tokenizer.token(id).map(|text| (id, text));
        let bos = description
            .bos
            .and_then(named)
            .or_else(|| source.bos_text().and_then(|text| Some((tokenizer.id_of(text)?, text.to_owned()))));
        let eos = source
            .eos_text()
            .and_then(|text| Some((tokenizer.id_of(text)?, text.to_owned())))
            .or_else(|| description.eos.first().copied().and_then(named))
            .ok_or_else(|| ModelError::NoEnd(source.path().to_owned()))?;
        let special = Special { bos, add_bos: description.bos.is_some(), eos, pad: source.pad() };
        let renderer = Renderer::new(tokenizer, source.chat_template(), special, prompt)?;
        Ok(Self { source, renderer })
    }

    /// Lays another prompt over the model's chat template.
    ///
    /// # Errors
    /// When the prompt's templates do not parse.
    pub fn ask_by(&mut self, prompt: Prompt) -> Result<(), ModelError> {
        self.renderer = self.renderer_of(prompt)?;
        Ok(())
    }

    /// The renderer of another prompt over the model's chat template; the tokenizer is the same one, not read again.
    ///
    /// # Errors
    /// When the prompt's templates do not parse.
    pub fn renderer_of(&self, prompt: Prompt) -> Result<Renderer, ModelError> {
        Ok(self.renderer.with_prompt(self.source.chat_template(), prompt)?)
    }

    /// Reads the weights into memory: matrices of `f32` as they are, those of fewer bits packed.
    ///
    /// # Errors
    /// When there is not enough memory for them, or a tensor cannot be read.
    pub fn load(&self) -> Result<Decoder, ModelError> {
        load(&self.source)
    }

    /// The same as [`Opened::of`] and [`Opened::load`], the tokenizer being read beside the weights.
    ///
    /// # Errors
    /// As these two.
    pub fn with_weights(source: Source, prompt: Prompt) -> Result<(Self, Decoder), ModelError> {
        // The source keeps its tokenizer, and what is wrong with it is told where it is used.
        let (_, decoder) = rayon::join(|| source.tokenizer().is_ok(), || load(&source));
        let decoder = decoder?;
        Ok((Self::of(source, prompt)?, decoder))
    }

    /// Tokens at which an answer ends: the renderer's and the model's own.
    #[must_use]
    pub fn ends(&self) -> Vec<u32> {
        self.ends_of(&self.renderer)
    }

    /// The same of another prompt's renderer.
    #[must_use]
    pub fn ends_of(&self, renderer: &Renderer) -> Vec<u32> {
        let mut ends = renderer.stops();
        ends.extend(self.source.description().eos.iter().filter(|id| !ends.contains(id)).copied().collect::<Vec<_>>());
        ends
    }
}

/// By what the files of a model are told to be the same as before without being read: names, lengths, times of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Stamp {
    /// Of a file, or of a folder and what lies in it.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let one = |path: PathBuf| {
            let found = std::fs::metadata(&path).ok()?;
            Some((path, found.len(), found.modified().ok()))
        };
        let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut all: Vec<_> = std::iter::once(path.to_owned()).chain(inside).filter_map(one).collect();
        all.sort();
        Self(all)
    }
}

/// A base that is opened once for as long as its files stay as they are: reading a large tokenizer takes a good part of a second.
#[derive(Default)]
pub struct Kept(Option<(PathBuf, Stamp, Opened)>);

impl Kept {
    /// The base at `path`, opened with a prompt.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub fn open(&mut self, path: &Path, prompt: Prompt) -> Result<&mut Opened, ModelError> {
        let stamp = Stamp::of(path);
        let opened = match self.0.take() {
            Some((was, at, mut opened)) if was == path && at == stamp => match opened.ask_by(prompt) {
                Ok(()) => opened,
                // A template that is wrong is no reason to forget the tokenizer.
                Err(error) => {
                    self.0 = Some((was, at, opened));
                    return Err(error);
                }
            },
            _ => Opened::open(path, prompt)?,
        };
        Ok(&mut self.0.insert((path.to_owned(), stamp, opened)).2)
    }
}

fn load(source: &Source) -> Result<Decoder, ModelError> {
    let need = source.memory_bytes();
    if let Some(free) = available_bytes().filter(|&free| free < need) {
        return Err(ModelError::Memory(format!(
            "{} needs {:.1} GiB and {:.1} GiB are free; close other programs or choose a smaller model",
            source.name(),
            gib(need),
            gib(free)
        )));
    }
    let path = source.path().to_owned();
    Decoder::load(source, source.description()).map_err(|cause| ModelError::Tensor { path, cause })
}

/// Reads the adapter in `dir` for `decoder`.
///
/// # Errors
/// When it cannot be read or does not fit.
pub fn read_adapter(dir: &Path, decoder: &Decoder) -> Result<Adapter, ModelError> {
    Ok(peft::read(dir, decoder)?)
}

/// Bytes of memory that could be had without swapping; `None` where the system does not say.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("MemAvailable:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Bytes as GiB.
#[must_use]
pub fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1u32 << 30)
}
