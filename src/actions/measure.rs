//! Evaluation of base and tuned on test records.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::evaluate::Report;
use crate::model::weights::hub;
use crate::worker::answers::Limits;
use crate::worker::model::read_adapter;
use crate::worker::scoring::{Measured, measure};

use super::adapters::Choice;
use super::context::{ActionError, Context, records};

pub use crate::evaluate::{FieldScore, Interval};
pub use crate::worker::scoring::Stage;

/// What is to be measured.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub data: PathBuf,
    pub choice: Choice,
    /// Only the first rows.
    pub rows: Option<usize>,
    pub skip_base: bool,
    /// Tokens of an answer at most.
    pub max_tokens: usize,
    /// Where the answers are written, one JSON a line.
    pub answers: Option<PathBuf>,
}

/// One line of the answers' file.
#[derive(Serialize)]
struct AnswerLine<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a str>,
}

/// Which of the two is at work at what, and how many rows of all are done.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub tuned: bool,
    pub stage: Stage,
    pub done: usize,
    pub rows: usize,
}

/// The report and what it took.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluated {
    #[serde(flatten)]
    pub report: Report,
    /// Generated tokens a second, prompts included, of whichever ran last.
    pub generated_per_s: f64,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

/// Measures base and tuned (or the base alone, where no adapter is named) on the test records.
///
/// # Errors
/// When model, adapter or data cannot be read.
pub fn evaluate(
    context: &mut Context,
    request: &Request,
    tell: &mut dyn FnMut(hub::Progress),
    see: &mut dyn FnMut(Progress) -> bool,
) -> Result<Evaluated, ActionError> {
    let mut test = records(&request.data)?;
    if let Some(rows) = request.rows {
        test.truncate(rows);
    }
    if test.is_empty() {
        return Err(ActionError::Refused(format!("{} has no record to test on", request.data.display())));
    }
    let folder = request.choice.folder(context)?;
    let (opened, ..) = context.open(tell)?;
    let decoder = opened.load()?;
    let adapter = folder.map(|dir| read_adapter(&dir, &decoder)).transpose()?;
    let limits = Limits { max_tokens: request.max_tokens, ..Limits::default() };
    let window = 1024.min(opened.source.description().context);
    let started = std::time::Instant::now();
    let mut one = |tuned: bool| {
        let adapter = if tuned { adapter.as_ref() } else { None };
        let see = &mut |stage, done, rows| see(Progress { tuned, stage, done, rows });
        measure(&opened, &decoder, adapter, &test, &limits, window, see)
    };
    let base = if request.skip_base { None } else { Some(one(false)?) };
    let tuned = if adapter.is_some() { Some(one(true)?) } else { None };
    let mut report = Report { test_rows: test.len(), ..Report::default() };
    if let Some(m) = &base {
        report = report.with_base(m.scores.as_ref(), Some(&m.likelihood));
    }
    if let Some(m) = &tuned {
        report = report.with_tuned(m.scores.as_ref(), Some(&m.likelihood));
    }
    if let Some(path) = &request.answers {
        let ids: Vec<&str> = test.iter().map(|r| r.id.as_str()).collect();
        write_answers(path, &ids, base.as_ref(), tuned.as_ref())?;
    }
    let last = tuned.as_ref().or(base.as_ref());
    let rate = last.map_or(0.0, |m| m.generated as f64 / m.seconds.max(f64::MIN_POSITIVE));
    Ok(Evaluated {
        report,
        generated_per_s: rate,
        seconds: started.elapsed().as_secs_f64(),
        adapter: adapter.map(|a| a.identity()),
    })
}

fn write_answers(
    path: &Path,
    ids: &[&str],
    base: Option<&Measured>,
    tuned: Option<&Measured>,
) -> Result<(), ActionError> {
    let mut text = String::new();
    for (i, id) in ids.iter().enumerate() {
        let of = |m: Option<&'_ Measured>| m.and_then(|m| m.answers.get(i)).cloned();
        let (base, answer) = (of(base), of(tuned));
        let line = AnswerLine { id, base: base.as_deref(), answer: answer.as_deref() };
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
    let file = |cause| ActionError::File { action: "write", path: path.to_owned(), cause };
    std::fs::write(path, text).map_err(file)
}
