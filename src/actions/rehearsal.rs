//! Answers that were rehearsed for an audience: kept with their times, to be played back without a model.

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::adapters::Choice;
use super::answer::{Answerer, Cell, Question, Told};
use super::context::{ActionError, Context, Download};
use super::generate::Limits;
use crate::project::durable;

/// The file they are in, in the project's folder: one a line.
const FILE: &str = "rehearsed.jsonl";

/// A question's answers as they were written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// What was asked.
    pub question: Question,
    /// Who answered: left and right.
    pub systems: [String; 2],
    /// Milliseconds since it was asked, the side (0 left, 1 right), and what it wrote then.
    pub events: Vec<(u64, usize, String)>,
}

fn path(context: &Context) -> PathBuf {
    context.project.root().join(FILE)
}

/// All rehearsed answers, the newest of each question and systems last.
///
/// # Errors
/// When the file is there and cannot be read, or a line of it is none.
pub fn list(context: &Context) -> Result<Vec<Rehearsed>, ActionError> {
    let path = path(context);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(ActionError::File { action: "read the rehearsed answers", path, cause }),
    };
    let parsed = text.lines().enumerate().map(|(index, line)| {
        serde_json::from_str(line).map_err(|error| {
            ActionError::Refused(format!("{}, line {}: {error}; delete the line", path.display(), index + 1))
        })
    });
    parsed.collect()
}

/// Keeps rehearsed answers, in the place of earlier ones to the same question by the same systems.
///
/// # Errors
/// When the file cannot be read or written.
pub fn keep(context: &Context, rehearsed: &Rehearsed) -> Result<(), ActionError> {
    let mut all = list(context)?;
    all.retain(|other| other.question != rehearsed.question || other.systems != rehearsed.systems);
    all.push(rehearsed.clone());
    let lines: Result<Vec<String>, _> = all.iter().map(serde_json::to_string).collect();
    let text = lines.map_err(|error| ActionError::Refused(error.to_string()))?.join("\n") + "\n";
    durable::write(&path(context), text.as_bytes()).map_err(|error| ActionError::Refused(error.to_string()))
}

/// Asks two systems a question (`base`, or a run as `--run` takes it), and keeps what they write with its times. `see` is told each
/// piece and its side; the answers are not kept where it returns false.
///
/// # Errors
/// When model, run or record cannot be read, or the file cannot be written.
pub fn rehearse(
    context: &mut Context,
    question: Question,
    systems: &[String; 2],
    limits: &Limits,
    tell: &mut dyn FnMut(Download),
    see: &mut dyn FnMut(usize, &str) -> bool,
) -> Result<Rehearsed, ActionError> {
    let named = systems.each_ref().map(|name| named(context, name));
    let [left, right] = named;
    let systems = [left?, right?];
    let cell = |name: &String| Cell {
        question: question.clone(),
        choice: Choice { run: Some(name.clone()).filter(|name| name != BASE), adapter: None },
        template: None,
        stream: 0,
    };
    let cells = systems.each_ref().map(cell);
    let store = matches!(question, Question::Record(_)).then(|| context.store()).transpose()?;
    let mut events = Vec::new();
    let (mut asked, mut done) = (None, 0);
    Answerer::default().answer(context, store.as_ref(), &cells, limits, tell, &mut |told| {
        // The time counts from when the models are there: an audience does not wait for a disk.
        let asked = *asked.get_or_insert_with(Instant::now);
        match told {
            Told::Text { cell, text } => {
                let goes_on = see(cell, &text);
                events.push((u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX), cell, text));
                goes_on
            }
            Told::Done { .. } => {
                done += 1;
                true
            }
            Told::Begins { .. } | Told::Apart { .. } => true,
        }
    })?;
    if done < cells.len() {
        return Err(ActionError::Refused("the answers were not written to their ends; nothing is kept".into()));
    }
    let rehearsed = Rehearsed { question, systems, events };
    keep(context, &rehearsed)?;
    Ok(rehearsed)
}

/// What the base is called.
const BASE: &str = "base";

/// The name of a system as the workbench has it: of a run the whole one, with the step where one was named.
fn named(context: &Context, name: &str) -> Result<String, ActionError> {
    if name == BASE {
        return Ok(BASE.to_owned());
    }
    let (run, step) = name.split_once('@').map_or((name, None), |(run, step)| (run, Some(step)));
    let run = context.run(run)?.name();
    Ok(step.map_or_else(|| run.clone(), |step| format!("{run}@{step}")))
}
