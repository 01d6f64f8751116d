//! The models on this machine that systems stand on, each found, opened and fingerprinted once however many systems it carries.

use std::path::Path;

use super::super::context::{ActionError, Context, Download};
use super::system::small_files;
use crate::model::weights::Source;
use crate::prompt::Prompt;
use crate::worker::BaseModel;
use crate::worker::model::Opened;

/// The bases of one evaluation. A model that changes on the disk meanwhile is not looked at again.
#[derive(Default)]
pub struct Bases {
    /// By the name that was asked for; none for the project's own.
    named: Vec<(Option<String>, BaseModel)>,
    /// By path: the hash of the small files beside the weights.
    files: Vec<(String, Option<String>)>,
    /// Those that no prompt was laid over yet.
    sources: Vec<Source>,
    opened: Vec<Opened>,
}

impl Bases {
    /// The project's base, or the one that `model` names.
    ///
    /// # Errors
    /// When it cannot be found or read.
    pub fn find(
        &mut self,
        context: &mut Context,
        model: Option<&str>,
        tell: &mut dyn FnMut(Download),
    ) -> Result<BaseModel, ActionError> {
        if let Some((_, base)) = self.named.iter().find(|(name, _)| name.as_deref() == model) {
            return Ok(base.clone());
        }
        let (base, source) = context.open_base(model, tell)?;
        self.named.push((model.map(str::to_owned), base.clone()));
        self.sources.push(source);
        Ok(base)
    }

    /// The hash of the small files that lie beside the weights at `path`.
    pub fn files(&mut self, path: &str) -> Option<String> {
        if let Some((_, hash)) = self.files.iter().find(|(of, _)| of == path) {
            return hash.clone();
        }
        let hash = small_files(Path::new(path));
        self.files.push((path.to_owned(), hash.clone()));
        hash
    }

    /// The model at `path` with `prompt` over it; [`keep`](Self::keep) it for the next one.
    ///
    /// # Errors
    /// When the model cannot be read or the prompt does not fit it.
    pub fn open(&mut self, path: &str, prompt: Prompt) -> Result<Opened, ActionError> {
        let at = Path::new(path);
        if let Some(found) = self.opened.iter().position(|opened| opened.source.path() == at) {
            let mut opened = self.opened.swap_remove(found);
            opened.ask_by(prompt)?;
            return Ok(opened);
        }
        let found = self.sources.iter().position(|source| source.path() == at);
        let source = found.map(|found| self.sources.swap_remove(found));
        Ok(source.map_or_else(|| Opened::open(at, prompt.clone()), |source| Opened::of(source, prompt.clone()))?)
    }

    /// Keeps an open model for the next system on it.
    pub fn keep(&mut self, opened: Opened) {
        self.opened.push(opened);
    }
}
