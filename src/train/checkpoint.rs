//! What a run must keep to go on exactly where it stopped: weights, both moments, and its own counters.
//!
//! An adapter lies in the folder as PEFT writes it, so every checkpoint is an adapter that other programs load. The
//! moments lie beside it as two flat tensors, the counters in `state.json`.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::model::decoder::Decoder;
use crate::model::families;
use crate::model::lora::Adapter;
use crate::model::peft::{self, AdapterError, Base, Numbers, le_bytes};
use crate::model::tensors;

use super::optimizer::Moments;

/// The moments' file.
const OPTIMIZER: &str = "optimizer.safetensors";
/// The counters' file.
const STATE: &str = "state.json";
/// The weights' file of a full-parameter run.
const MODEL: &str = "model.safetensors";

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error("cannot {action} {}: {cause}", path.display())]
    File { action: &'static str, path: PathBuf, cause: String },
    #[error("{} does not belong to this run: {reason}", path.display())]
    Unfit { path: PathBuf, reason: String },
}

/// A run's counters after a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Optimizer steps done.
    pub step: u64,
    /// Tokens of the rows trained on, shared beginnings counted for each row.
    pub tokens: u64,
    /// Supervised tokens trained on.
    pub supervised: u64,
    /// Seconds of training, without evaluation.
    pub seconds: f64,
    /// The lowest validation loss so far, in nats a supervised token, and its step.
    pub best: Option<(f64, u64)>,
    /// Evaluations since then.
    pub stale: u64,
    /// Tokens of a pass that a device's memory was found to suffice for, where it did not for what the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_tokens: Option<usize>,
}

fn error(action: &'static str, path: &Path, cause: &dyn std::fmt::Display) -> CheckpointError {
    CheckpointError::File { action, path: path.to_owned(), cause: cause.to_string() }
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).filter_map(|c| c.try_into().ok()).map(f32::from_le_bytes).collect()
}

/// Writes moments and counters into the folder `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn write_progress(dir: &Path, moments: &Moments, state: &State) -> Result<(), CheckpointError> {
    let path = dir.join(OPTIMIZER);
    let metadata = [("updates".to_owned(), moments.updates.to_string())].into();
    let numbers = [("first", Numbers::flat(&moments.first)), ("second", Numbers::flat(&moments.second))];
    tensors::write(numbers, metadata, &path).map_err(|e| error("write", &path, &e))?;
    let path = dir.join(STATE);
    let text = serde_json::to_string_pretty(state).map_err(|e| error("write", &path, &e))?;
    fs::write(&path, text + "\n").map_err(|e| error("write", &path, &e))
}

/// Reads moments and counters of `count` numbers back.
///
/// # Errors
/// When a file is missing, damaged, or of another size.
pub fn read_progress(dir: &Path, count: usize) -> Result<(Moments, State), CheckpointError> {
    let path = dir.join(STATE);
    let text = fs::read_to_string(&path).map_err(|e| error("read", &path, &e))?;
    let state: State = serde_json::from_str(&text).map_err(|e| error("read", &path, &e))?;
    let path = dir.join(OPTIMIZER);
    let data = fs::read(&path).map_err(|e| error("read", &path, &e))?;
    let tensors = SafeTensors::deserialize(&data).map_err(|e| error("read", &path, &e))?;
    let get = |name: &str| {
        let view = tensors.tensor(name).map_err(|e| error("read", &path, &e))?;
        if view.dtype() != Dtype::F32 || view.shape() != [count] {
            let reason = format!("it holds {:?} numbers, the run trains {count}", view.shape());
            return Err(CheckpointError::Unfit { path: path.clone(), reason });
        }
        Ok(numbers(view.data()))
    };
    Ok((Moments { first: get("first")?, second: get("second")?, updates: state.step }, state))
}

/// Writes the adapter of a LoRA run into `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn write_adapter(dir: &Path, adapter: &Adapter, decoder: &Decoder, base: &Base) -> Result<(), CheckpointError> {
    Ok(peft::write(adapter, decoder, base, dir)?)
}

/// Writes all weights of a decoder into `dir`, by the names of a Hugging Face checkpoint, in `f32`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_model(dir: &Path, decoder: &Decoder) -> Result<(), CheckpointError> {
    write_weights(dir, decoder, Dtype::F32)
}

/// Writes all weights as [`write_model`] does, in `f16`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_model_f16(dir: &Path, decoder: &Decoder) -> Result<(), CheckpointError> {
    write_weights(dir, decoder, Dtype::F16)
}

fn write_weights(dir: &Path, decoder: &Decoder, dtype: Dtype) -> Result<(), CheckpointError> {
    let path = dir.join(MODEL);
    let family = decoder.description.family;
    let offset = families::norm_offset(family);
    let tensors: Vec<_> = decoder
        .tensors()
        .into_iter()
        .map(|(slot, shape, mut values)| {
            let name = families::hf_name(family, slot);
            if offset != 0.0 && shape.len() == 1 && name.contains("norm") {
                for v in &mut values {
                    *v -= offset;
                }
            }
            let bytes = if dtype == Dtype::F16 {
                values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect()
            } else {
                le_bytes(&values)
            };
            (name, shape, bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, b)| Ok((name.as_str(), TensorView::new(dtype, shape.clone(), b)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| error("write", &path, &e))?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    tensors::write(views, metadata, &path).map_err(|e| error("write", &path, &e))
}

/// Reads the weights of a full-parameter checkpoint back into `decoder`, bit for bit.
///
/// # Errors
/// When the file is missing, damaged, or of another model.
pub fn read_model(dir: &Path, decoder: &Decoder) -> Result<Decoder, CheckpointError> {
    use crate::model::description::Slot;
    use crate::model::weights::{TensorError, TensorSource};
    struct Plain<'a>(SafeTensors<'a>, &'a Decoder);
    impl TensorSource for Plain<'_> {
        fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
            let family = self.1.description.family;
            let name = families::hf_name(family, slot);
            let view = self.0.tensor(&name).map_err(|e| TensorError(format!("{name}: {e}")))?;
            if view.shape() != shape || view.dtype() != Dtype::F32 {
                return Err(TensorError(format!("{name} is {:?}, not {shape:?} in f32", view.shape())));
            }
            let mut values = numbers(view.data());
            let offset = families::norm_offset(family);
            if offset != 0.0 && shape.len() == 1 && name.contains("norm") {
                for v in &mut values {
                    *v += offset;
                }
            }
            Ok(values)
        }
        fn has(&self, slot: Slot) -> bool {
            self.0.tensor(&families::hf_name(self.1.description.family, slot)).is_ok()
        }
    }
    let path = dir.join(MODEL);
    let data = fs::read(&path).map_err(|e| error("read", &path, &e))?;
    let tensors = SafeTensors::deserialize(&data).map_err(|e| error("read", &path, &e))?;
    Decoder::load(&Plain(tensors, decoder), &decoder.description)
        .map_err(|e| CheckpointError::Unfit { path, reason: e.to_string() })
}
