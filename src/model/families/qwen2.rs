//! Qwen2 and Qwen2.5: biases on q, k and v; a sliding window that is off in every published checkpoint.

use super::fields::{Config, Keys};
use super::{FamilyError, rotary};
use crate::model::description::{Description, Family, Rotary};

pub(super) fn from_config(config: &Config) -> Result<Description, FamilyError> {
    let (theta, scaling) = rotary::from_config(config, "full_attention", 10_000.0)?;
    let mut d = config.decoder(Family::Qwen2, |dims| Rotary { dims, theta, scaling })?;
    d.qkv_bias = true;
    window(config, &mut d)?;
    Ok(d)
}

/// Qwen's window: only with `use_sliding_window`, and then on the layers from `max_window_layers` on.
pub(super) fn window(config: &Config, d: &mut Description) -> Result<(), FamilyError> {
    let Some(window) = config.count_maybe("sliding_window")? else { return Ok(()) };
    if !config.flag("use_sliding_window", false)? || window >= d.context {
        return Ok(());
    }
    let first = config.count_maybe("max_window_layers")?.unwrap_or(28);
    let local = match config.layer_types(d.layers)? {
        Some(local) => local,
        None => (0..d.layers).map(|layer| layer >= first).collect(),
    };
    if local.contains(&true) {
        d.window = Some(window);
        d.local_layers = local;
    }
    Ok(())
}

pub(super) fn from_gguf(keys: &Keys) -> Result<Description, FamilyError> {
    let mut d = keys.decoder(Family::Qwen2)?;
    d.rotary.scaling = rotary::from_gguf(keys)?;
    d.qkv_bias = true;
    Ok(d)
}
