//! The prompt as the model reads it.

use std::path::Path;

use crate::model::weights::hub;
use crate::prompt::{Mode, Record, Rendered, display};
use crate::worker::model::Kept;
use crate::worker::training::LONGEST;

use super::context::{ActionError, Context, read_template, records};
use crate::data::view::rendered;

pub use crate::prompt::display::{Row as Token, listing};

/// One record's rendering, token by token.
pub struct Shown {
    pub id: String,
    pub rendered: Rendered,
    pub rows: Vec<Token>,
    /// The window of a training in tokens: what is longer is left out, or stops the run.
    pub window: usize,
}

/// Where the record is.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A row of a file, from 1.
    Row(&'a Path, usize),
    /// One of the project's records.
    Record(i64),
}

/// Renders a record as for training, or, where it has no answer, as for generation; with the template in the file `template` in
/// place of the project's where one is given.
///
/// # Errors
/// When there is no such record, or it cannot be rendered.
pub fn render(
    context: &mut Context,
    source: &Source<'_>,
    template: Option<&Path>,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<Shown, ActionError> {
    let template = template.map(read_template).transpose()?;
    match *source {
        Source::Row(data, row) => {
            let all = records(data)?;
            if all.is_empty() {
                return Err(ActionError::Refused(format!("{} has no record", data.display())));
            }
            let record = row.checked_sub(1).and_then(|i| all.get(i)).ok_or_else(|| {
                ActionError::Refused(format!("{} has rows 1 to {}; there is no row {row}", data.display(), all.len()))
            })?;
            one(context, record, template, tell)
        }
        Source::Record(id) => {
            let record = rendered(&context.store()?.get(id)?);
            one(context, &record, template, tell)
        }
    }
}

/// Renders a record as [`render`] does, with `template` in place of the project's where it is given.
///
/// # Errors
/// When it cannot be rendered; a template's error says its line.
pub fn one(
    context: &mut Context,
    record: &Record,
    template: Option<String>,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<Shown, ActionError> {
    with(&mut Kept::default(), context, record, template, tell)
}

/// Renders a record as [`one`] does, with the base that was kept from the last time.
///
/// # Errors
/// As [`one`].
pub fn with(
    kept: &mut Kept,
    context: &mut Context,
    record: &Record,
    template: Option<String>,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<Shown, ActionError> {
    let settings = context.settings(&[])?;
    let base = context.base(tell)?;
    let mut prompt = context.prompt()?;
    prompt.template = template.or(prompt.template);
    let opened = kept.open(Path::new(&base.path), prompt)?;
    let mode = if record.answer().is_some() || matches!(record.kind, crate::prompt::Kind::Text { .. }) {
        Mode::Train { supervise_prompt: settings.supervise_prompt }
    } else {
        Mode::Generate
    };
    let rendered = opened.renderer.render(record, mode).map_err(crate::worker::answers::AnswerError::from)?;
    let rows = display::rows(&opened.renderer, &rendered);
    let reach = opened.source.description().context;
    let window = if settings.max_length > 0 { settings.max_length.min(reach) } else { reach.min(LONGEST) };
    Ok(Shown { id: record.id.clone(), rendered, rows, window })
}
