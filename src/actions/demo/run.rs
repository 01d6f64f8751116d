//! The demo itself: a project with the embedded model and its pairs, measured, tuned, and measured again.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::evaluate::exact_match;
use crate::evaluate::interval::wilson95;
use crate::job::{Control, Outcome};
use crate::project::{FILE, ModelRef, Project, durable};
use crate::prompt::Record;
use crate::worker::{Event, Summary};

use super::assets::{CONFIG, MODEL, TEST, TOKENIZER, TRAIN, VALID};
use super::pairs::{Pair, TEMPLATE, nearest};
use crate::actions::adapters::Choice;
use crate::actions::context::{ActionError, Context, records};
use crate::actions::evaluation;
use crate::actions::train::{self, Standing};

/// The demo's own rate and epochs: a model of two million parameters learns faster than a large one.
const SETTINGS: [(&str, f64); 3] = [("learning_rate", 4e-3), ("alpha", 32.0), ("dropout", 0.0)];
/// The whole numbers among its settings.
const COUNTS: [(&str, i64); 6] =
    [("rank", 16), ("batch", 8), ("epochs", 8), ("evaluations", 1), ("patience", 0), ("samples", 1)];

/// Something that a person who watches the demo sees.
pub enum Seen<'a> {
    /// A stage begins.
    Stage(&'a str),
    /// Test answers that are done, of how many.
    Answers(usize, usize),
    /// The training goes on.
    Training(&'a Event<'a>, u64),
}

/// One test record before and after.
#[derive(Clone, Debug, Serialize)]
pub struct BeforeAfter {
    pub minutes: String,
    pub gold: String,
    pub before: String,
    pub after: String,
}

/// What the demo measured.
#[derive(Clone, Debug, Serialize)]
pub struct Demonstrated {
    /// Seconds from the start to the last number.
    pub seconds: f64,
    /// Shares of test records answered exactly, 0 to 1.
    pub exact_base: f64,
    pub exact_tuned: f64,
    /// The same when each is answered as the most similar training pair was.
    pub exact_nearest: f64,
    pub test_rows: usize,
    pub train_rows: usize,
    pub parameters: usize,
    /// Validation loss before and after, in nats a supervised token.
    pub valid_loss_before: f64,
    pub valid_loss_after: f64,
    pub training: Summary,
    pub examples: Vec<BeforeAfter>,
}

/// Puts the demo's project into `dir`: the embedded model, the pairs, the prompt and the settings.
///
/// # Errors
/// When a project is there already or a file cannot be written.
pub fn unpack(dir: &Path) -> Result<Project, ActionError> {
    let file = |path: &Path, bytes: &[u8]| -> Result<(), ActionError> {
        durable::write(path, bytes).map_err(|e| ActionError::Refused(e.to_string()))
    };
    let folder = |path: &Path| durable::create_dir_all(path).map_err(|e| ActionError::Refused(e.to_string()));
    folder(dir)?;
    if dir.join(FILE).exists() {
        let more = if let Left::Resumable(..) = left(dir) {
            format!("; to go on with its run: togi --project {} train --resume latest", dir.display())
        } else {
            String::new()
        };
        return Err(ActionError::Refused(format!(
            "{} is a project already; give the demo a folder of its own{more}",
            dir.display()
        )));
    }
    let model = dir.join("model");
    let data = dir.join("data");
    folder(&model)?;
    folder(&data)?;
    for (name, bytes) in
        [("config.json", CONFIG.as_bytes()), ("tokenizer.json", TOKENIZER.as_bytes()), ("model.safetensors", MODEL)]
    {
        file(&model.join(name), bytes)?;
    }
    for (name, text) in [("train.jsonl", TRAIN), ("valid.jsonl", VALID), ("test.jsonl", TEST)] {
        file(&data.join(name), text.as_bytes())?;
    }
    let mut project = Project::init(dir, &ModelRef::Path(model))?;
    let template = project.prompts_dir().join("to-do.jinja");
    file(&template, format!("{TEMPLATE}\n").as_bytes())?;
    project.set("prompt", "template", "prompts/to-do.jinja")?;
    project.set("prompt", "style", "plain")?;
    for (key, value) in SETTINGS {
        project.set("train", key, value)?;
    }
    for (key, value) in COUNTS {
        project.set("train", key, value)?;
    }
    Ok(project)
}

/// Runs the demo in `dir`: unpacks it, measures the base, tunes it, measures again. Every number is measured here.
///
/// # Errors
/// When a file cannot be written, or the training is stopped or fails.
pub fn run(dir: &Path, control: &Control, see: &mut (dyn FnMut(Seen<'_>) + Send)) -> Result<Demonstrated, ActionError> {
    let started = Instant::now();
    unpack(dir)?;
    let mut context = Context::find(dir, None)?;
    let data = dir.join("data");
    let test: Vec<Record> = records(&data.join("test.jsonl"))?;
    let measured = |context: &mut Context, choice: Choice, tuned: bool, see: &mut dyn FnMut(Seen<'_>)| {
        let request = evaluation::Request {
            data: Some(data.join("test.jsonl")),
            choice,
            skip_base: tuned,
            examples: 0,
            ..evaluation::Request::default()
        };
        evaluation::evaluate(context, &request, &mut |_| (), &mut |p| {
            if p.stage == evaluation::Stage::Answers {
                see(Seen::Answers(p.done, p.rows));
            }
            !control.is_stopping()
        })
    };
    see(Seen::Stage("The base model answers the test records"));
    let base = measured(&mut context, Choice::default(), false, see)?;

    see(Seen::Stage("LoRA learns from the training pairs"));
    let request = train::Request {
        data: Some(data.join("train.jsonl")),
        valid: Some(data.join("valid.jsonl")),
        ..Default::default()
    };
    let (job, facts) = train::prepare(&mut context, &request, &mut |_| ())?;
    let mut valid = Vec::new();
    let summary = train::run(&job, false, control, &mut |event| {
        if let Event::Metrics(m) = &event {
            valid.extend(m.valid_loss);
        }
        see(Seen::Training(&event, facts.steps));
    })?;
    if summary.outcome != Outcome::Finished {
        return Err(ActionError::Refused(summary.reason));
    }

    see(Seen::Stage("The tuned model answers the same records"));
    let choice = Choice { run: Some(format!("{}@last", job.name())), adapter: None };
    let tuned = measured(&mut context, choice, true, see)?;

    let pairs: Vec<Pair> = TRAIN.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let found = test.iter().filter(|record| {
        let crate::prompt::Kind::Pair { fields, .. } = &record.kind else { return false };
        let input = fields.get("input").and_then(|v| v.as_str()).unwrap_or_default();
        nearest(&pairs, input).is_some_and(|pair| exact_match(&pair.output, &record.accepted()))
    });
    let hits = found.count();
    Ok(Demonstrated {
        seconds: started.elapsed().as_secs_f64(),
        exact_base: base.summary.exact_base.unwrap_or(0.0),
        exact_tuned: tuned.summary.exact_tuned.unwrap_or(0.0),
        exact_nearest: hits as f64 / test.len().max(1) as f64,
        test_rows: test.len(),
        train_rows: facts.rows,
        parameters: super::make::description().parameters(),
        valid_loss_before: valid.first().copied().unwrap_or(f64::NAN),
        valid_loss_after: valid.last().copied().unwrap_or(f64::NAN),
        training: summary,
        examples: examples(&test, &base, &tuned),
    })
}

/// What a demo that was stopped has left in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// No project.
    Nothing,
    /// The project, and no run of which something is there.
    Untuned,
    /// A run that can go on after a step, and its steps in all.
    Resumable(u64, u64),
    /// A run that is finished.
    Tuned,
}

/// Finds out what a stopped demo has left in `dir`.
#[must_use]
pub fn left(dir: &Path) -> Left {
    // A project that lies above the folder is none of the demo's.
    if !dir.join(FILE).exists() {
        return Left::Nothing;
    }
    let Ok(context) = Context::find(dir, None) else { return Left::Nothing };
    let Ok(job) = context.run("latest") else { return Left::Untuned };
    match train::resumable(&context, "latest") {
        Ok((_, Standing { step: Some(step), steps })) => Left::Resumable(step, steps),
        Err(_) if job.latest_checkpoint().is_ok_and(|newest| newest.is_some()) => Left::Tuned,
        _ => Left::Untuned,
    }
}

/// The first test record of each language, before and after.
fn examples(test: &[Record], base: &evaluation::Evaluated, tuned: &evaluation::Evaluated) -> Vec<BeforeAfter> {
    let answers = |of: &evaluation::Evaluated| -> Vec<String> {
        let all = of.answers.last().into_iter().flat_map(|(_, answers)| answers);
        all.map(|answer| answer.clone().unwrap_or_default()).collect()
    };
    let (before, after) = (answers(base), answers(tuned));
    test.iter()
        .zip(before.into_iter().zip(after))
        .take(2)
        .filter_map(|(record, (before, after))| {
            let crate::prompt::Kind::Pair { fields, .. } = &record.kind else { return None };
            let minutes = fields.get("input")?.as_str()?.trim().to_owned();
            Some(BeforeAfter { minutes, gold: record.answer()?.to_owned(), before, after })
        })
        .collect()
}

impl Demonstrated {
    /// The tuned model's share with its 95 % interval, in percent, for a line of text.
    #[must_use]
    pub fn tuned_interval(&self) -> (f64, f64) {
        let hits = (self.exact_tuned * self.test_rows as f64).round() as usize;
        let interval = wilson95(hits, self.test_rows);
        (100.0 * interval.low, 100.0 * interval.high)
    }
}
