//! How likely a model finds the right answers of test records. What is found is told record by record, so that it can be kept while
//! the rest goes on.

use std::borrow::Cow;

use crate::model::infer::Infer;
use crate::model::lora::Adapter;
use crate::prompt::{Kind, Mode, Record};
use crate::train::batch::{Row, packs_of_losses};
use crate::train::step::Engine;

use super::answers::{AnswerError, Answering};

/// Tokens of one pass over right answers.
const PASS: usize = 2048;
/// The same on a device.
const DEVICE_PASS: usize = 8192;

/// How likely a right answer was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// Negative log-likelihood of the supervised tokens, in nats.
    pub nats: f64,
    /// Supervised tokens.
    pub tokens: usize,
    /// Bytes of the answer, or of the text where the record is one.
    pub bytes: usize,
}

/// Who is told records' places with what was found of them, and says whether to go on.
pub type Listener<'l> = dyn FnMut(&[(usize, Found)]) -> bool + 'l;

/// Finds how likely the right answers of `records` are, telling `see` those that a pass has found, each with its record's place;
/// it stops when `see` returns false. A text longer than `window` tokens is read in windows of that length. Told with no tokens
/// are records without an answer, and those whose question and answer together are longer than the model's context: it has learnt
/// nothing of such places, and without its question an answer would be another one's.
///
/// # Errors
/// When a record cannot be rendered, or a device fails.
pub fn likelihoods(
    answering: &Answering<'_>,
    adapter: Option<&Adapter>,
    records: &[Record],
    window: usize,
    see: &mut Listener<'_>,
) -> Result<(), AnswerError> {
    let Answering { opened, decoder, on } = *answering;
    let mut rows = Vec::new();
    let mut found = vec![Found::default(); records.len()];
    let mut waiting = vec![0usize; records.len()];
    let mut owners = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let text = matches!(record.kind, Kind::Text { .. });
        if !text && record.answer().is_none() {
            continue;
        }
        let rendered = opened
            .renderer
            .render(record, Mode::Train { supervise_prompt: false })
            .map_err(|cause| AnswerError::Record { id: record.id.clone(), cause })?;
        if !text && rendered.tokens.len() > decoder.description.context {
            continue;
        }
        found[place].bytes = match &record.kind {
            Kind::Text { text } => text.len(),
            _ => record.answer().map_or(0, str::len),
        };
        let window = if text { window } else { usize::MAX };
        let before = rows.len();
        rows.extend(Row::windows(&rendered.tokens, &rendered.loss_mask, window));
        waiting[place] = rows.len() - before;
        owners.resize(rows.len(), place);
    }
    let silent: Vec<(usize, Found)> =
        (0..records.len()).filter(|&place| waiting[place] == 0).map(|place| (place, found[place])).collect();
    if !silent.is_empty() && !see(&silent) {
        return Ok(());
    }
    let mut engine = Engine::new();
    let rows: Vec<&Row> = rows.iter().collect();
    if let Some(on) = on {
        on.borrow_mut().begin();
    }
    let mut first = 0;
    let pass = if on.is_some() { DEVICE_PASS } else { PASS };
    for (rows, packed) in packs_of_losses(&rows, pass) {
        let losses = match on {
            Some(on) => Cow::Owned(on.borrow_mut().losses(packed.pack(), adapter)?),
            None => Cow::Borrowed(engine.evaluate(decoder, adapter, &packed).each.as_slice()),
        };
        for ((&owner, &loss), &weight) in packed.owners.iter().zip(losses.iter()).zip(&packed.weights) {
            let of = &mut found[owners[first + owner as usize]];
            of.nats += f64::from(loss) * f64::from(weight);
            of.tokens += 1;
        }
        let mut done = Vec::new();
        for &place in &owners[first..first + rows] {
            waiting[place] -= 1;
            if waiting[place] == 0 {
                done.push((place, found[place]));
            }
        }
        first += rows;
        if !done.is_empty() && !see(&done) {
            break;
        }
    }
    Ok(())
}
