//! Measuring machine and model.

use crate::bench::{self, Measured};
use crate::model::weights::hub;
use crate::worker::Settings;

use super::context::{ActionError, Context};

/// Measures this machine with the base model: a training step on `batch` rows of `length` tokens, prompts, decoding.
///
/// # Errors
/// When the model cannot be read, or rows of that length are longer than its context.
pub fn run(
    context: &mut Context,
    batch: usize,
    length: usize,
    runs: usize,
    tell: &mut dyn FnMut(hub::Progress),
) -> Result<Measured, ActionError> {
    let (opened, ..) = context.open(tell)?;
    let decoder = opened.load()?;
    let config = Settings::default().lora(&decoder.description)?;
    let machine = bench::machine();
    bench::measure(machine, opened.source.name(), &decoder, &config, batch, length, runs.max(1))
        .map_err(|e| ActionError::Refused(e.to_string()))
}
