//! The prompt as the model reads it.

use std::path::Path;

use crate::model::weights::hub;
use crate::prompt::{Mode, Rendered, display};

use super::context::{ActionError, Context, records};

pub use crate::prompt::display::listing;

/// One record's rendering, token by token.
pub struct Shown {
    pub id: String,
    pub rendered: Rendered,
    pub rows: Vec<display::Row>,
}

/// Renders row `row` (from 1) of a file as for training, or, where it has no answer, as for generation.
///
/// # Errors
/// When there is no such row, or it cannot be rendered.
pub fn render(
    context: &mut Context,
    data: &Path,
    row: usize,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<Shown, ActionError> {
    let settings = context.settings(&[])?;
    let all = records(data)?;
    let record = row.checked_sub(1).and_then(|i| all.get(i)).ok_or_else(|| {
        ActionError::Refused(format!("{} has rows 1 to {}; there is no row {row}", data.display(), all.len()))
    })?;
    let (opened, ..) = context.open(tell)?;
    let mode = if record.answer().is_some() || matches!(record.kind, crate::prompt::Kind::Text { .. }) {
        Mode::Train { supervise_prompt: settings.supervise_prompt }
    } else {
        Mode::Generate
    };
    let rendered = opened.renderer.render(record, mode).map_err(crate::worker::answers::AnswerError::from)?;
    let rows = display::rows(&opened.renderer, &rendered);
    Ok(Shown { id: record.id.clone(), rendered, rows })
}
