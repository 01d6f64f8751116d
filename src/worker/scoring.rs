//! A model measured on test records: answers scored against the gold ones, and the gold answers' likelihood.

use crate::evaluate::likelihood::Likelihood;
use crate::evaluate::{Scores, score};
use crate::model::decoder::Decoder;
use crate::model::lora::Adapter;
use crate::prompt::{Kind, Mode, Record};
use crate::train::batch::{Packed, Row, micro_batches};
use crate::train::step::Engine;

use super::answers::{AnswerError, Answering, Limits};
use super::model::Opened;

/// Tokens of one pass over gold answers.
const PASS: usize = 2048;

/// What of the test records is being measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// How likely the gold answers are.
    Likelihood,
    /// The model's own answers.
    Answers,
}

/// What one system did on the test records.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Absent where the records ask nothing (raw text).
    pub scores: Option<Scores>,
    pub likelihood: Likelihood,
    /// The answers, in the order of the records.
    pub answers: Vec<String>,
    /// Tokens generated, and the seconds that took, prompts included.
    pub generated: usize,
    pub seconds: f64,
}

/// Answers and scores `records` with `adapter` or the base alone. `see` learns how many records of how many a stage has
/// done, and may stop it by returning false: what is missing then counts as unanswered.
///
/// # Errors
/// When a record cannot be rendered or read.
pub fn measure(
    opened: &Opened,
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    records: &[Record],
    limits: &Limits,
    window: usize,
    see: &mut dyn FnMut(Stage, usize, usize) -> bool,
) -> Result<Measured, AnswerError> {
    let likelihood = likelihood(opened, decoder, adapter, records, window, see)?;
    let asking: Vec<Record> = records.iter().filter(|r| !matches!(r.kind, Kind::Text { .. })).cloned().collect();
    if asking.is_empty() {
        return Ok(Measured { scores: None, likelihood, answers: Vec::new(), generated: 0, seconds: 0.0 });
    }
    let started = std::time::Instant::now();
    let mut answered = |done| see(Stage::Answers, done, asking.len());
    let answers = Answering { opened, decoder }.many(&asking, adapter, limits, &mut answered)?;
    let seconds = started.elapsed().as_secs_f64();
    let generated = answers.iter().map(|a| a.tokens.len()).sum();
    let answers: Vec<String> = answers.into_iter().map(|a| a.text.trim().to_owned()).collect();
    let pairs: Vec<(&str, Vec<String>)> =
        answers.iter().zip(&asking).map(|(answer, record)| (answer.as_str(), record.accepted())).collect();
    let scores = Some(score(&pairs));
    Ok(Measured { scores, likelihood, answers, generated, seconds })
}

/// The gold texts' likelihood, in nats over supervised tokens and bytes. Records without an answer are passed over; a
/// text longer than `window` tokens is read in windows of that length.
fn likelihood(
    opened: &Opened,
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    records: &[Record],
    window: usize,
    see: &mut dyn FnMut(Stage, usize, usize) -> bool,
) -> Result<Likelihood, AnswerError> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    for record in records {
        let text = matches!(record.kind, Kind::Text { .. });
        if !text && record.answer().is_none() {
            continue;
        }
        let rendered = opened
            .renderer
            .render(record, Mode::Train { supervise_prompt: false })
            .map_err(|cause| AnswerError::Record { id: record.id.clone(), cause })?;
        bytes += match &record.kind {
            Kind::Text { text } => text.len(),
            _ => record.answer().map_or(0, str::len),
        };
        let window = if text { window } else { usize::MAX };
        rows.extend(Row::windows(&rendered.tokens, &rendered.loss_mask, window));
    }
    let mut engine = Engine::new();
    let mut sum = Likelihood { nats: 0.0, tokens: 0, bytes };
    let rows: Vec<&Row> = rows.iter().collect();
    let mut done = 0;
    for part in micro_batches(&rows, PASS) {
        let packed = Packed::new(&part, true);
        sum.nats += engine.evaluate(decoder, adapter, &packed).sum(&packed);
        sum.tokens += packed.predicting.len();
        done += part.len();
        if !see(Stage::Likelihood, done, rows.len()) {
            break;
        }
    }
    Ok(sum)
}
