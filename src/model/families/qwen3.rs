//! Qwen3 (dense): an RMS norm over each head of q and k, a head size of its own, no biases.

use super::fields::{Config, Keys};
use super::{FamilyError, qwen2, rotary};
use crate::model::description::{Description, Family, Rotary};

pub(super) fn from_config(config: &Config) -> Result<Description, FamilyError> {
    let (theta, scaling) = rotary::from_config(config, "full_attention", 10_000.0)?;
    let mut d = config.decoder(Family::Qwen3, |dims| Rotary { dims, theta, scaling })?;
    if config.get("head_dim").is_none() {
        d.head_dim = 128; // Qwen3Config's own default, not hidden / heads
        d.rotary.dims = d.head_dim;
        d.attention_scale = 1.0 / (d.head_dim as f32).sqrt();
    }
    d.qk_norm = true;
    let attention_bias = config.flag("attention_bias", false)?;
    (d.qkv_bias, d.output_bias) = (attention_bias, attention_bias);
    qwen2::window(config, &mut d)?;
    Ok(d)
}

pub(super) fn from_gguf(keys: &Keys) -> Result<Description, FamilyError> {
    let mut d = keys.decoder(Family::Qwen3)?;
    d.rotary.scaling = rotary::from_gguf(keys)?;
    d.qk_norm = true;
    Ok(d)
}
