//! Measuring machine and model.

use crate::bench;
use crate::bench::saved::{self, Saved};
pub use crate::bench::{Measured, Rate};
use crate::model::weights::hub;
use crate::worker::Settings;

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
        return Err(ActionError::Refused(why));
    }
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
