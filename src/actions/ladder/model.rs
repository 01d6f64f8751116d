//! One model of a ladder, with what all its cells share.

use std::path::Path;

use serde_json::json;

use super::super::context::{ActionError, Context, Download};
use super::super::evaluation::system;
use super::Request;
use crate::prompt::{Mode, Record};
use crate::worker::BaseModel;
use crate::worker::answers::AnswerError;
use crate::worker::model::Opened;

/// A model of the ladder, opened once for all its cells.
pub(super) struct Model<'a> {
    /// As it was named; none for the project's.
    pub(super) name: Option<&'a str>,
    pub(super) context: Context,
    pub(super) base: BaseModel,
    pub(super) parameters: u64,
    /// The settings of every cell, with one window for all of them.
    pub(super) set: Vec<String>,
}

impl<'a> Model<'a> {
    /// Opens it. Where no window is set, it is the longest of `records`, at most what a run would choose for itself: one chosen from
    /// a small cell's rows would be another one, and too short for the records validated on.
    ///
    /// # Errors
    /// When the model, a setting or a record cannot be read.
    pub(super) fn open<'r>(
        context: &Context,
        name: Option<&'a str>,
        request: &Request,
        records: impl Iterator<Item = &'r Record>,
        tell: &mut dyn FnMut(Download),
    ) -> Result<Self, ActionError> {
        let mut context = context.of_model(name);
        let (base, source) = context.open_base(None, tell)?;
        let parameters = source.parameters() as u64;
        let mut set = request.set.clone();
        if context.settings(&set)?.max_length == 0 {
            let opened = Opened::of(source, context.prompt()?)?;
            let most = crate::worker::training::LONGEST.min(opened.source.description().context);
            let mut longest = 1;
            for record in records {
                let rendered = opened.renderer.render(record, Mode::Train { supervise_prompt: false });
                let rendered = rendered.map_err(|cause| AnswerError::Record { id: record.id.clone(), cause })?;
                longest = longest.max(rendered.tokens.len().min(most));
            }
            set.push(format!("max_length={longest}"));
        }
        Ok(Self { name, context, base, parameters, set })
    }

    /// The hash of all that decides a cell of this model, as things stand now.
    ///
    /// # Errors
    /// When settings or prompt cannot be read.
    pub(super) fn key(&self, rows: &[&Record], valid: &[Record]) -> Result<String, ActionError> {
        let files = system::small_files(Path::new(&self.base.path));
        let (mut settings, prompt) = (self.context.settings(&self.set)?, self.context.prompt()?);
        // A cell that was trained when the length was still a default of its own is the same cell.
        settings.pass_tokens = settings.passes(false);
        let key = json!({ "base": self.base.identity, "files": files, "rows": rows, "valid": valid, "settings": settings, "prompt": prompt });
        Ok(blake3::hash(key.to_string().as_bytes()).to_hex().to_string())
    }
}
