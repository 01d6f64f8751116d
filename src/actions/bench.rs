//! Measuring machine and model.

pub use crate::bench::device::Measured as OnDevice;
use crate::bench::saved::{self, Saved, SavedOnDevice};
use crate::bench::{self, shapes};
pub use crate::bench::{Measured, Rate};
pub use crate::model::device::choose::Precision;
use crate::model::device::choose::{Wish, choose};
use crate::model::weights::hub;
use crate::worker::Settings;
use crate::worker::device::kernels;

use super::context::{ActionError, Context};

/// What was measured.
pub struct Benched {
    pub measured: Measured,
    /// Why it could not be kept for estimates, if it could not.
    pub kept: Option<String>,
}

/// Measures this machine with the base model and keeps what it found for estimates of plans ([`bench::saved`]): a training step on `batch` rows of `length` tokens, prompts, decoding.
///
/// # Errors
/// When the model cannot be read, or rows of that length are longer than its context.
pub fn run(
    context: &mut Context,
    batch: usize,
    length: usize,
    runs: usize,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<Benched, ActionError> {
    if batch == 0 || length < 2 {
        let why = format!(
            "a batch of {batch} rows of {length} tokens trains nothing: give a row or more of two tokens or more"
        );
        return Err(ActionError::Asked(why));
    }
    check_runs(runs)?;
    let (opened, ..) = context.open(tell)?;
    let decoder = opened.load()?;
    let config = Settings::default().lora(&decoder.description)?;
    let machine = bench::machine();
    let bench = bench::Bench { name: opened.source.name(), decoder: &decoder, config: &config, batch, length, runs };
    let measured = bench.measure(machine).map_err(|e| ActionError::Refused(e.to_string()))?;
    let identity = opened.source.identity().to_owned();
    let kept = saved::file().map(|file| {
        let saved = Saved { machine: saved::machine_name(), identity, measured: measured.clone() };
        saved::save(&file, &saved)
    });
    Ok(Benched { measured, kept: kept.and_then(Result::err).map(|error| error.to_string()) })
}

/// What is to be measured of training on a GPU.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// A shape with random weights in place of the project's model.
    pub shape: Option<String>,
    pub precision: Precision,
    pub rows: usize,
    /// Tokens of the shortest and of the longest row.
    pub lengths: [usize; 2],
    pub pass_tokens: usize,
    pub checkpointing: bool,
    pub runs: usize,
    /// Compare the loss of the first row with the processor's.
    pub compare: bool,
}

/// Refuses to measure without a run that counts.
fn check_runs(runs: usize) -> Result<(), ActionError> {
    if runs == 0 {
        return Err(ActionError::Asked("--runs 0 measures nothing: give 1 or more".into()));
    }
    Ok(())
}

/// Measures a training step on the GPU, with the project's model (`context` finds it) or a shape of random weights. What is found of
/// a model in the precision that a training chooses by itself is kept for estimates of plans.
///
/// # Errors
/// When there is no GPU to use, the model cannot be read, the shape is unknown, or the GPU has no room.
pub fn on_device(
    context: impl FnOnce() -> Result<Context, ActionError>,
    request: &DeviceRequest,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<OnDevice, ActionError> {
    let refused = |why: String| Err(ActionError::Refused(why));
    let [shortest, longest] = request.lengths;
    if request.rows == 0 || shortest < 2 || shortest > longest {
        let why = format!("{} rows of {shortest} to {longest} tokens train nothing", request.rows);
        return Err(ActionError::Asked(why));
    }
    check_runs(request.runs)?;
    let failed = |error: crate::model::device::DeviceError| ActionError::Refused(error.to_string());
    let found = choose(Wish::Cuda, kernels().as_deref()).map_err(failed)?;
    let Some(device) = found.device else { return refused(found.words) };
    let (name, decoder, identity) = if let Some(name) = &request.shape {
        let Some(description) = shapes::description(name) else {
            let why = format!("there is no shape {name:?}; there are {}", shapes::SHAPES.join(", "));
            return Err(ActionError::Asked(why));
        };
        let decoder = shapes::decoder(&description).map_err(|e| ActionError::Refused(e.to_string()))?;
        (format!("{name}, random weights"), decoder, None)
    } else {
        let mut context = context()?;
        let (opened, ..) = context.open(tell)?;
        (opened.source.name().to_owned(), opened.load()?, Some(opened.source.identity().to_owned()))
    };
    if longest > decoder.description.context {
        return refused(format!("the model reads at most {} tokens", decoder.description.context));
    }
    let config = Settings::default().lora(&decoder.description)?;
    let kind = request.precision.kind(device.as_ref());
    let limits = bench::device::limits(device.as_ref(), kind).map_err(failed)?;
    let bench = bench::device::Bench {
        name: &name,
        decoder: &decoder,
        config: &config,
        rows: request.rows,
        lengths: request.lengths,
        pass_tokens: request.pass_tokens,
        recompute: request.checkpointing,
        runs: request.runs,
        compare: request.compare,
    };
    let mut measured = bench.measure(&device, kind, limits).map_err(failed)?;
    if let (Some(identity), Precision::Auto, Some(file)) = (identity, request.precision, saved::file()) {
        let saved = SavedOnDevice { device: device.name(), identity, flops_per_s: measured.flops_per_s() };
        measured.not_kept = saved::save_on_device(&file, &saved).err().map(|error| error.to_string());
    }
    Ok(measured)
}
