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
use crate::train::device::Estimate;
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
        "this plan needs about {:.1} GiB on {} and {:.1} GiB are free there; lower train.pass_tokens, set \
         train.checkpointing = true, choose a smaller model, or compute on the processor with train.device=cpu",
        gib(.0.needs_bytes), .0.name, gib(.0.free_bytes)
    )]
    Short(Needs),
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

/// What passes of `settings` need of a device, `share` of their tokens being predicted.
///
/// # Errors
/// When the settings' adapter does not fit the model, the device does not tell its memory, or has too little.
pub fn fit(device: &Arc<dyn Device>, d: &Description, settings: &Settings, share: f64) -> Result<Needs, Unfit> {
    let rows = settings.pass_tokens.min(settings.batch * settings.max_length).max(settings.max_length);
    let predicting = ((rows as f64 * share).ceil() as usize).clamp(1, rows);
    let lora = settings.lora(d)?;
    let estimate =
        Estimate::of(d, settings.precision.kind(device.as_ref()), &lora, [rows, predicting], settings.checkpointing);
    let needs = Needs { name: device.name(), needs_bytes: estimate.bytes(), free_bytes: device.memory()?.free };
    // Passes are made shorter where memory does not suffice, so what has no room at all is what is refused.
    let least = estimate.bytes() - estimate.kept - estimate.passing;
    if least > needs.free_bytes { Err(Unfit::Short(needs)) } else { Ok(needs) }
}

/// Where compiled kernels are kept: `kernels` in the user's cache folder.
#[must_use]
pub fn kernels() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "togi")?.cache_dir().join("kernels"))
}
