//! Which device a training runs on: what a person wishes, what is found, and a plain word on both.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Device, DeviceError, Kind};

/// Where a person wishes to train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// On a GPU where one is found, on the processor otherwise.
    #[default]
    Auto,
    Cpu,
    /// On an NVIDIA GPU; refused where none is found.
    Cuda,
}

/// How weights and activations are stored on a device. Adapter, optimizer and loss are always f32, and the processor computes
/// in f32 whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 where the device multiplies it, f32 on older ones.
    #[default]
    Auto,
    F32,
    Bf16,
}

impl Precision {
    /// The kind of weights and activations on a device.
    #[must_use]
    pub fn kind(self, device: &dyn Device) -> Kind {
        match self {
            Self::Bf16 => Kind::Bf16,
            Self::Auto if device.has_bf16() => Kind::Bf16,
            Self::Auto | Self::F32 => Kind::F32,
        }
    }
}

/// What was found.
pub struct Found {
    /// `None` is the processor.
    pub device: Option<Arc<dyn Device>>,
    /// A sentence for a person.
    pub words: String,
}

/// Looks for the device that is wished for. Compiled kernels are kept in `cache`.
///
/// # Errors
/// When a GPU is demanded and there is none to use, with the reason and what to do.
pub fn choose(wish: Wish, cache: Option<&Path>) -> Result<Found, DeviceError> {
    let cpu = |words: String| Ok(Found { device: None, words });
    if wish == Wish::Cpu {
        return cpu("computing on the processor, as device = \"cpu\" asks".to_owned());
    }
    match gpu(cache) {
        Ok(device) => {
            let words = match device.memory() {
                Ok(memory) => {
                    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
                    format!(
                        "computing on {}, {:.1} of {:.1} GiB free",
                        device.name(),
                        gib(memory.free),
                        gib(memory.total)
                    )
                }
                Err(_) => format!("computing on {}", device.name()),
            };
            Ok(Found { device: Some(device), words })
        }
        Err(why) if wish == Wish::Auto => cpu(format!("computing on the processor: {why}")),
        Err(why) => Err(DeviceError::Absent(format!("device = \"cuda\" cannot be had: {why}"))),
    }
}

#[cfg(feature = "cuda")]
fn gpu(cache: Option<&Path>) -> Result<Arc<dyn Device>, DeviceError> {
    super::cuda::open(0, cache).map(|device| Arc::new(device) as Arc<dyn Device>)
}

#[cfg(not(feature = "cuda"))]
fn gpu(_cache: Option<&Path>) -> Result<Arc<dyn Device>, DeviceError> {
    Err(DeviceError::Absent(none_built_in(cfg!(target_os = "macos")).to_owned()))
}

/// Why a program without CUDA knows no GPU; `mac` says that it is one for macOS, for which no other can be built.
#[cfg(not(feature = "cuda"))]
fn none_built_in(mac: bool) -> &'static str {
    if mac {
        "a Mac has no NVIDIA GPU, and trains with the portable form of every kernel"
    } else {
        "this togi was built without CUDA (cargo build --release --features cuda has it)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn nobody_is_told_to_build_on_a_mac_what_cannot_be_built_there() {
        assert!(none_built_in(false).contains("--features cuda"));
        assert!(!none_built_in(true).contains("CUDA") && !none_built_in(true).contains("built"));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_where_it_is_demanded_and_told_where_it_is_not() {
        if gpu(None).is_ok() {
            return; // this machine has one
        }
        assert!(choose(Wish::Cpu, None).unwrap().device.is_none());
        let found = choose(Wish::Auto, None).unwrap();
        assert!(found.device.is_none());
        assert!(found.words.starts_with("computing on the processor: "), "{}", found.words);
        let refused = choose(Wish::Cuda, None).map(|_| ()).unwrap_err().to_string();
        assert!(refused.starts_with("device = \"cuda\" cannot be had: "), "{refused}");
    }
}
