//! The runs of a project, told from their directories alone, and steered while they run.

mod chart;
mod follow;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::evaluate::curve::{self, Smooth};
use crate::job::{self, Job, State};
use crate::project::durable;

use super::context::{ActionError, Context};
use super::train::spelt;

pub use crate::job::{Progress, Request};
pub use crate::worker::Sample;
pub use chart::svg;
pub use follow::{Follower, Seen};

/// The file in a run's folder that holds what a person wrote about it.
const NOTE: &str = "note.txt";

/// A run, as `togi runs --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Run {
    /// The name of its folder.
    pub run: String,
    /// waiting, running, finished, stopped, failed, interrupted; `unreadable` where it does not open.
    pub state: String,
    /// Of a running one: starting, running, paused, stopping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Steps done, and in all.
    pub step: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The loss of the last step that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The lowest validation loss and its step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<(f64, u64)>,
    /// What its curve says, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curve: Option<String>,
    /// Tokens a second, over the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<f64>,
    /// Processor time that its process takes, in percent of one core, where the system says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Seconds that are left, by estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// How it ended, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person wrote about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The base model, as a person called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Training rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Why it does not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Steps with their losses.
type Points = Vec<(u64, f64)>;

/// Lists the project's runs, oldest first. One that cannot be read stays in the list, with the reason.
///
/// # Errors
/// When the folder of the runs cannot be read.
pub fn runs(context: &Context) -> Result<Vec<Run>, ActionError> {
    let dir = context.project.runs_dir();
    let mut follower = Follower::new(&dir);
    follower.watch(Job::names(&dir)?);
    let (mut runs, mut curves) = (Vec::new(), std::collections::HashMap::new());
    follower.look(&mut |seen| match seen {
        Seen::Runs(listed) => runs = listed.to_vec(),
        Seen::Steps { run, steps, .. } => {
            let (train, valid): &mut (Points, Points) = curves.entry(run.to_owned()).or_default();
            train.extend(steps.iter().filter_map(|line| Some((line.step, line.loss?))));
            valid.extend(steps.iter().filter_map(|line| Some((line.step, line.valid_loss?))));
        }
        Seen::Samples { .. } => {}
    })?;
    for run in &mut runs {
        let Some((train, valid)) = curves.get_mut(&run.run).filter(|(train, _)| !train.is_empty()) else { continue };
        let mut smooth = Smooth::of_run(run.steps);
        for (_, loss) in train.iter_mut() {
            *loss = smooth.push(*loss);
        }
        run.curve = Some(curve::words(train, valid, run.state != "running"));
    }
    Ok(runs)
}

/// Names by which runs can answer (`--run`): each run that has a checkpoint, oldest first, and behind it its checkpoints, and of a
/// run in progress its weights as they are now.
///
/// # Errors
/// When the folder of the runs cannot be read.
pub fn systems(context: &Context) -> Result<Vec<String>, ActionError> {
    let mut names = Vec::new();
    for job in Job::list(&context.project.runs_dir())?.into_iter().flatten() {
        let checkpoints = job.checkpoints()?;
        if !checkpoints.is_empty() {
            names.push(job.name());
            names.extend(checkpoints.iter().map(|checkpoint| format!("{}@{}", job.name(), checkpoint.step)));
        }
        if matches!(job.state(), Ok(State::Running(_))) {
            names.push(format!("{}@{}", job.name(), super::adapters::NOW));
        }
    }
    Ok(names)
}

/// Steps that a job's plan has in all, for a job that counts steps.
pub(super) fn steps(job: &Job) -> Result<Option<u64>, ActionError> {
    #[derive(Deserialize)]
    struct Steps {
        steps: Option<u64>,
    }
    Ok(job.plan::<Steps>()?.steps)
}

/// Asks something of a run that is carried out by whatever process; returns its name and how it stands.
///
/// # Errors
/// When there is no such run, it does not run, or does not answer.
pub fn control(context: &Context, name: &str, request: Request) -> Result<(String, Progress), ActionError> {
    let job = context.run(name)?;
    let progress = job::send(job.dir(), request).map_err(|error| ActionError::Refused(error.to_string()))?;
    Ok((job.name(), progress))
}

/// Writes down what a person has to say about a run, in the place of what was there; an empty text takes it away.
///
/// # Errors
/// When there is no such run, or its folder cannot be written.
pub fn note(context: &Context, name: &str, text: &str) -> Result<String, ActionError> {
    let job = context.run(name)?;
    let path = job.dir().join(NOTE);
    if text.trim().is_empty() {
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(ActionError::File { action: "remove", path, cause });
            }
            _ => {}
        }
    } else {
        durable::write(&path, format!("{}\n", text.trim_end()).as_bytes()).map_err(job::JobError::from)?;
    }
    Ok(job.name())
}

fn read_note(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join(NOTE)).ok()?;
    Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
}

/// A key of two runs' plans with another value in each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `train.rank`, `base.name`, `prompt.system`, `data`.
    pub key: String,
    /// The value of the first run; absent where it has none.
    pub a: Option<String>,
    /// That of the second.
    pub b: Option<String>,
}

/// Compares what two runs were made of: model, prompt, settings, records.
///
/// # Errors
/// When there is no such run, or its plan cannot be read.
pub fn compare(context: &Context, a: &str, b: &str) -> Result<(String, String, Vec<Difference>), ActionError> {
    let (a, b) = (context.run(a)?, context.run(b)?);
    let (first, second) = (made_of(&a)?, made_of(&b)?);
    let mut keys: Vec<&String> = first.iter().chain(&second).map(|(key, _)| key).collect();
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(*key));
    let value = |of: &[(String, String)], key: &str| of.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
    let differences = keys.into_iter().filter_map(|key| {
        let (a, b) = (value(&first, key), value(&second, key));
        (a != b).then(|| Difference { key: key.clone(), a, b })
    });
    Ok((a.name(), b.name(), differences.collect()))
}

/// A run's plan as keys and values, the settings first.
fn made_of(job: &Job) -> Result<Vec<(String, String)>, ActionError> {
    let mut plan: toml::Table = job.plan()?;
    let settings = plan.remove("settings");
    let mut flat = Vec::new();
    if let Some(settings) = settings {
        flatten("train", &settings, &mut flat);
    }
    flatten("", &toml::Value::Table(plan), &mut flat);
    let rows: Vec<String> = job.header().rows.iter().map(|(split, rows)| format!("{rows} {split}")).collect();
    let hash = job.header().inputs_blake3.get(..8).unwrap_or_default();
    flat.push(("data".into(), format!("{} ({hash})", rows.join(", "))));
    Ok(flat)
}

fn flatten(key: &str, value: &toml::Value, flat: &mut Vec<(String, String)>) {
    if let toml::Value::Table(table) = value {
        for (name, value) in table {
            flatten(&if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, value, flat);
        }
    } else {
        flat.push((key.to_owned(), spelt(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_laid_out_as_keys() {
        let plan: toml::Value =
            toml::from_str("steps = 3\n[base]\nname = \"m\"\n[base.more]\nlist = [1, 2]\n").unwrap();
        let mut flat = Vec::new();
        flatten("", &plan, &mut flat);
        let flat: Vec<(&str, &str)> = flat.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(flat, [("base.more.list", "[1, 2]"), ("base.name", "m"), ("steps", "3")]);
    }
}
