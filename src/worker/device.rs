//! The device that trains and answers, and whether a plan fits it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use crate::job::facts::Needs;
use crate::model::decoder::Decoder;
use crate::model::description::Description;
use crate::model::device::choose::{Found, Wish, choose};
use crate::model::device::infer::{Inference, OnDevice};
use crate::model::device::{Device, DeviceError};
use crate::train::device::{Estimate, shorter};
use crate::train::plan_packs::PlanPacks;
use crate::train::settings::{Method, Settings, SettingsError};

use super::model::gib;

/// Why a plan cannot be carried out on a device.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "the model and its adapter alone take about {:.1} GiB of {name}, where {:.1} GiB are free; choose a smaller model, end what \
         else is on it, or compute on the processor with train.device=cpu",
        gib(*.least_bytes), gib(*.free_bytes)
    )]
    Short { name: String, least_bytes: u64, free_bytes: u64 },
}

/// The device that settings ask for. All weights of a model are trained on the processor only.
///
/// # Errors
/// When a GPU is demanded and there is none to use.
pub fn find(settings: &Settings) -> Result<Found, DeviceError> {
    match (settings.method, settings.device) {
        (Method::Full, Wish::Cuda) => Err(DeviceError::Absent(
            "method = \"full\" is trained on the processor; leave train.device at auto or cpu".to_owned(),
        )),
        (Method::Full, _) => choose(Wish::Cpu, None),
        (Method::Lora, wish) => choose(wish, kernels().as_deref()),
    }
}

/// The decoder on the device that answers: that which trains. None for the processor; so, too, where a model does not fit on a device
/// that nobody demanded.
///
/// # Errors
/// When a GPU is demanded and there is none to use or it has no room, or it fails.
pub fn answering(settings: &Settings, decoder: &Decoder) -> Result<Option<OnDevice>, DeviceError> {
    let Some(device) = choose(settings.device, kernels().as_deref())?.device else { return Ok(None) };
    let kind = settings.precision.kind(device.as_ref());
    match Inference::new(device, kind, decoder) {
        Ok(inference) => Ok(Some(RefCell::new(inference))),
        Err(DeviceError::OutOfMemory { .. }) if settings.device == Wish::Auto => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a plan under `settings` needs of a device, beside what the driver has taken for itself already, where passes of so many tokens
/// give `packs` of such sizes. Where no length of passes is set it is told for one that has room: a run begins with the longest and
/// makes them shorter when it finds that they do not fit.
///
/// # Errors
/// When the settings' adapter does not fit the model, the device does not tell its memory, or has too little.
pub fn fit(
    device: &Arc<dyn Device>,
    d: &Description,
    settings: &Settings,
    packs: impl Fn(usize) -> PlanPacks,
) -> Result<Needs, Unfit> {
    let (kind, lora) = (settings.precision.kind(device.as_ref()), settings.lora(d)?);
    let estimate = |passes: usize| {
        let packs = packs(passes);
        let estimate = Estimate::of(d, kind, &lora, packs.steps, settings.checkpointing);
        (estimate.with_losses(d, kind, &lora, packs.losses), packs.steps[0].max(packs.losses[0]))
    };
    let (name, free_bytes) = (device.name(), device.memory()?.free);
    let mut passes = settings.passes(true);
    let (mut found, mut largest) = estimate(passes);
    // Passes are made shorter where memory does not suffice, so what has no room at all is what is refused.
    let least_bytes = found.weights + found.adapter;
    if least_bytes > free_bytes {
        return Err(Unfit::Short { name, least_bytes, free_bytes });
    }
    while settings.pass_tokens == 0 && found.beside_context() > free_bytes {
        // Passes that are longer than any pack change nothing.
        let Some(next) = shorter(passes, largest.next_power_of_two()) else { break };
        passes = next;
        (found, largest) = estimate(passes);
    }
    Ok(Needs { name, needs_bytes: found.beside_context(), free_bytes, pass_tokens: passes })
}

/// Where compiled kernels are kept: `kernels` in the user's cache folder.
#[must_use]
pub fn kernels() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "togi")?.cache_dir().join("kernels"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::device::emulated::Machine;
    use crate::model::device::fixtures::decoder;

    #[test]
    fn a_plan_needs_what_its_largest_packs_do_and_is_refused_where_not_even_the_weights_have_room() {
        let device = |limit| Some(Arc::new(Machine::new(limit)?) as Arc<dyn Device>);
        let (Some(roomy), Some(narrow)) = (device(None), device(Some(100_000))) else { return };
        let (d, settings) = (decoder(json!({})).description, Settings::default());
        let needs = |steps, losses| fit(&roomy, &d, &settings, |_| PlanPacks { steps, losses }).unwrap();
        let usual = needs([400, 200], [400, 200]);
        assert_eq!(usual.free_bytes, roomy.memory().unwrap().free);
        assert!(usual.needs_bytes > 2 * d.parameters() as u64, "the weights in bf16: {usual:?}");
        assert!(usual.needs_bytes < 64 << 20, "and not what the driver has taken: {usual:?}");
        assert!(needs([800, 400], [400, 200]).needs_bytes > usual.needs_bytes);
        assert!(needs([400, 200], [9000, 4000]).needs_bytes > usual.needs_bytes, "evaluations count as well");
        let refused = fit(&narrow, &d, &settings, |_| PlanPacks::default()).unwrap_err().to_string();
        for part in ["the model and its adapter alone take", "0.0 GiB are free", "train.device=cpu"] {
            assert!(refused.contains(part), "{part:?} in {refused}");
        }
    }

    #[test]
    fn passes_that_nobody_has_set_are_told_as_short_as_memory_makes_them() {
        let d = decoder(json!({})).description;
        let device = |limit| Some(Arc::new(Machine::new(limit)?) as Arc<dyn Device>);
        let Some(roomy) = device(None) else { return };
        // Of rows that have `all` tokens together.
        let with = |device: &Arc<dyn Device>, all: usize, pass_tokens| {
            let packs = |passes: usize| PlanPacks { steps: [passes.min(all), 200], losses: [0, 0] };
            let needs = fit(device, &d, &Settings { pass_tokens, ..Settings::default() }, packs).unwrap();
            (needs.needs_bytes, needs.pass_tokens)
        };
        let many = 1 << 20;
        let (longest, half) = (with(&roomy, many, 16_384), with(&roomy, many, 8192));
        assert_eq!(with(&roomy, many, 0), longest);
        assert!(half.0 < longest.0);
        let narrow = device(Some(longest.0 as usize - 1)).expect("a compiler was found above");
        assert_eq!(with(&narrow, many, 0), half, "the longest that have room");
        assert_eq!(with(&narrow, many, 16_384), longest, "a length that is set is told as it is");
        // Where all rows are one short pack, the first passes that are tried are shorter than it.
        let narrow = device(Some(with(&roomy, 600, 600).0 as usize - 1)).expect("a compiler was found above");
        assert_eq!(with(&narrow, 600, 0), with(&roomy, 600, 512));
    }
}
