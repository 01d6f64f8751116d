//! The loop: steps, evaluations, checkpoints, and an end that is always said.
//!
//! Everything a step draws (the order of rows, dropout) comes from the plan's seed and the step's number, so a run that
//! resumes from a checkpoint repeats what an uninterrupted one would have done, bit for bit, on the same machine with
//! the same number of threads.

mod leaves;
mod steps;

use std::sync::Arc;

use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::job::{Command, Control, Hold, JobError, Outcome, Writer};
use crate::model::decoder::Decoder;
use crate::model::device::infer::OnDevice;
use crate::model::device::{Device, DeviceError, Kind};
use crate::model::lora::Adapter;
use crate::model::ops::pages;

use super::batch::{Row, packs_of_losses};
use super::checkpoint::{self, CheckpointError, State};
use super::device;
use super::metrics::{Metrics, Sample, Summary};
use super::optimizer::Moments;
use super::plan::Plan;
use super::settings::{Method, SettingsError};
use super::step::Engine;

use steps::Done;

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("there is nothing to train on: no row has a supervised token")]
    Empty,
    #[error("the run cannot resume: it has no checkpoint; start it anew")]
    NothingToResume,
}

/// What a run tells who watches it in the same process.
pub enum Event<'a> {
    /// A step or an evaluation was done.
    Metrics(&'a Metrics),
    /// An answer was sampled.
    Sample(&'a Sample),
    /// Something for a person.
    Note(&'a str),
}

/// What a run trains: the weights that change, and what they change in.
enum Trained {
    Adapter(Adapter),
    /// The decoder itself, and room for its gradients.
    Full(Box<Decoder>),
}

/// The data of a run, tokenised.
pub struct Data {
    pub train: Vec<Row>,
    pub valid: Vec<Row>,
}

/// Draws answers at an evaluation, from whatever fixed records it knows.
pub type Sampler<'a> = dyn FnMut(&Decoder, Option<&Adapter>, Option<&OnDevice>) -> Vec<(String, String)> + Send + 'a;

/// A run in progress.
pub struct Trainer<'a> {
    plan: &'a Plan,
    hold: &'a Hold,
    writer: Writer,
    control: Control,
    decoder: Decoder,
    trained: Trained,
    gradient: Vec<f32>,
    moments: Moments,
    state: State,
    data: Data,
    engine: Engine,
    /// Where an adapter is trained on a device: it then holds the newest numbers, and `trained` and `moments` are as they were
    /// when last fetched.
    device: Option<device::Engine>,
    /// Its memory that was in use when it was last asked, and the most that ever was, in MiB.
    device_mib: Option<[u64; 2]>,
    /// Seconds that the last step took.
    step_s: Option<f64>,
    last_loss: f64,
}

impl<'a> Trainer<'a> {
    /// Prepares a run, from its beginning or, with `resume`, from its newest checkpoint.
    ///
    /// # Errors
    /// When there is nothing to train on, a target is no layer of the model, or the checkpoint cannot be read.
    pub fn new(
        plan: &'a Plan,
        hold: &'a Hold,
        control: Control,
        mut decoder: Decoder,
        data: Data,
        resume: bool,
    ) -> Result<Self, TrainError> {
        if data.train.iter().all(|row| row.supervised() == 0) {
            return Err(TrainError::Empty);
        }
        let settings = &plan.settings;
        let from = if resume { hold.job().latest_checkpoint()? } else { None };
        if resume && from.is_none() {
            return Err(TrainError::NothingToResume);
        }
        let (mut trained, count) = match settings.method {
            Method::Lora => {
                let config = settings.lora(&decoder.description)?;
                let adapter = Adapter::new(&decoder, &config, settings.seed);
                let count = adapter.values.len();
                (Trained::Adapter(adapter), count)
            }
            Method::Full => {
                let mut count = 0;
                decoder = decoder.into_plain();
                decoder.visit_mut(&mut |_, values| count += values.len());
                (Trained::Full(Box::new(decoder.zeros_like())), count)
            }
        };
        let (mut moments, mut state) = (Moments::new(count), State::default());
        let writer = if let Some(from) = from {
            (moments, state) = checkpoint::read_progress(&from.dir, count)?;
            match &mut trained {
                Trained::Adapter(adapter) => {
                    let read = crate::model::peft::read(&from.dir, &decoder).map_err(CheckpointError::from)?;
                    adapter.values = read.values;
                }
                Trained::Full(_) => decoder = checkpoint::read_model(&from.dir, &decoder)?,
            }
            hold.rewind(state.step)?;
            hold.resume_writer(state.step)?
        } else {
            hold.writer()?
        };
        Ok(Self {
            plan,
            hold,
            writer,
            control,
            decoder,
            trained,
            gradient: pages::zeros(count),
            moments,
            state,
            data,
            engine: Engine::new(),
            device: None,
            device_mib: None,
            step_s: None,
            last_loss: f64::NAN,
        })
    }

    /// The same run on a device, weights and activations stored as `kind`. Only adapters are trained there.
    ///
    /// # Errors
    /// When the device has no room for the weights, or all weights are to be trained.
    pub fn on(mut self, device: Arc<dyn Device>, kind: Kind) -> Result<Self, TrainError> {
        let Trained::Adapter(adapter) = &self.trained else {
            let why = "method = \"full\" is trained on the processor; set device = \"cpu\"".to_owned();
            return Err(DeviceError::Absent(why).into());
        };
        let mut engine = device::Engine::new(device, kind, &self.decoder, adapter, &self.moments)?;
        if let Some(tokens) = self.state.pass_tokens {
            engine.keep_to(tokens);
        }
        self.device = Some(engine);
        Ok(self)
    }

    /// Brings back what a device has changed.
    fn fetch(&mut self) -> Result<(), TrainError> {
        if let (Some(device), Trained::Adapter(adapter)) = (&self.device, &mut self.trained) {
            device.fetch(adapter, &mut self.moments)?;
            self.state.pass_tokens = device.fitting();
        }
        Ok(())
    }

    /// The adapter as it stands; none in a full-parameter run.
    #[must_use]
    pub fn adapter(&self) -> Option<&Adapter> {
        match &self.trained {
            Trained::Adapter(adapter) => Some(adapter),
            Trained::Full(_) => None,
        }
    }

    /// The decoder, with the weights as they stand in a full-parameter run.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Gives decoder and adapter back.
    #[must_use]
    pub fn into_model(self) -> (Decoder, Option<Adapter>) {
        match self.trained {
            Trained::Adapter(adapter) => (self.decoder, Some(adapter)),
            Trained::Full(_) => (self.decoder, None),
        }
    }

    /// Trains to the end, to a stop that is asked for, or to a loss that is no number.
    ///
    /// # Errors
    /// When the job's directory cannot be written.
    pub fn run(
        &mut self,
        sampler: &mut Sampler<'_>,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Summary, TrainError> {
        let steps = self.plan.steps;
        if self.state.step == 0 && !self.data.valid.is_empty() {
            let loss = self.evaluate(Rows::Valid)?;
            self.report(None, loss, watch)?;
            self.sample(sampler, watch)?;
        }
        let (mut outcome, mut reason) = (Outcome::Finished, format!("all {steps} steps are done"));
        while self.state.step < steps {
            loop {
                match self.control.command() {
                    Command::Go => break,
                    Command::Checkpoint => {
                        if !self.checkpoint(None)? {
                            return self.diverged("loss", self.state.step);
                        }
                    }
                    Command::Stop => {
                        self.hold.still_there()?;
                        if !self.checkpoint(None)? {
                            return self.diverged("loss", self.state.step);
                        }
                        let reason = format!("stopped at step {} of {steps}, with a checkpoint", self.state.step);
                        return self.finish(Outcome::Stopped, reason);
                    }
                }
            }
            // Writing a checkpoint would make the folder again.
            self.hold.still_there()?;
            let mut shown = None;
            let next = self.state.step + 1;
            let next_due = next.checked_next_multiple_of(self.plan.evaluate_every).unwrap_or(steps).min(steps);
            let done = self.steps(next, next_due)?;
            for note in self.device.as_mut().map(device::Engine::take_notes).unwrap_or_default() {
                self.writer.log(&note)?;
                watch(Event::Note(&note));
            }
            for Done { step, loss, learning_rate, norm, tokens, supervised, seconds } in done {
                self.state.tokens += tokens;
                self.state.supervised += supervised;
                if !loss.is_finite() || !norm.is_finite() {
                    return self.diverged(if loss.is_finite() { "gradient" } else { "loss" }, step);
                }
                self.state.step = step;
                self.state.seconds += seconds;
                self.last_loss = loss;
                let due = step == next_due && !self.data.valid.is_empty();
                let valid = if due { self.evaluate(Rows::Valid)? } else { None };
                self.report(Some((loss, learning_rate, norm)), valid, watch)?;
                shown = valid;
            }
            let step = self.state.step;
            if step == next_due {
                // Before the samples: what no longer gives a number has nothing to say.
                if !self.checkpoint(shown)? {
                    return self.diverged(if shown.is_some() { "validation loss" } else { "loss" }, step);
                }
                self.sample(sampler, watch)?;
                let patience = self.plan.settings.patience;
                if patience > 0 && self.state.stale >= patience && step < steps {
                    let (best, at) = self.state.best.unwrap_or((f64::NAN, step));
                    reason = format!(
                        "the validation loss has not fallen for {patience} evaluations; the best is {best:.4} at step {at}"
                    );
                    outcome = Outcome::Finished;
                    break;
                }
            }
        }
        self.finish(outcome, reason)
    }
}

/// Rows to take a loss over.
#[derive(Clone, Copy)]
enum Rows {
    /// Those that are set aside.
    Valid,
    /// The first of those that are trained on: enough to see whether the model still gives numbers.
    FirstTrained,
}

/// The rows of step `step`, counted from 1: the epoch's own order, cut into batches. Rows of one length are not put together: they are
/// packed behind one another, so there is no padding to be saved, and a step's mixture is not given away for it.
#[must_use]
pub fn chosen(step: u64, rows: usize, batch: usize, seed: u64) -> Vec<usize> {
    let each = rows.div_ceil(batch) as u64;
    let (epoch, at) = ((step - 1) / each, ((step - 1) % each) as usize);
    let mut order: Vec<usize> = (0..rows).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch + 1);
    order.shuffle(&mut rng);
    order.into_iter().skip(at * batch).take(batch).collect()
}

/// Mean negative log-likelihood of the rows' supervised tokens in nats, and their number.
pub fn mean_loss(
    engine: &mut Engine,
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    rows: &[Row],
    pass_tokens: usize,
) -> (f64, f64) {
    let rows: Vec<&Row> = rows.iter().collect();
    let weight: f64 = rows.iter().map(|row| row.weight()).sum();
    let mut sum = 0.0;
    for (_, packed) in packs_of_losses(&rows, pass_tokens) {
        sum += engine.evaluate(decoder, adapter, &packed).sum(&packed);
    }
    (if weight > 0.0 { sum / weight } else { f64::NAN }, weight)
}
