//! Llama and Mistral: `SmolLM2`, Llama 3.x, `TinyLlama`, Mistral 7B, sarashina2.2, llm-jp-3.

use super::fields::{Config, Keys};
use super::{FamilyError, rotary};
use crate::model::description::{Description, Family, Rotary};

pub(super) fn from_config(config: &Config) -> Result<Description, FamilyError> {
    let (theta, scaling) = rotary::from_config(config, "full_attention", 10_000.0)?;
    let mut d = config.decoder(Family::Llama, |dims| Rotary { dims, theta, scaling })?;
    let attention_bias = config.flag("attention_bias", false)?;
    (d.qkv_bias, d.output_bias) = (attention_bias, attention_bias);
    d.mlp_bias = config.flag("mlp_bias", false)?;
    if config.architecture() == "MistralForCausalLM"
        && let Some(window) = config.count_maybe("sliding_window")?
        && window < d.context
    {
        d.window = Some(window);
        d.local_layers = vec![true; d.layers];
    }
    Ok(d)
}

pub(super) fn from_gguf(keys: &Keys) -> Result<Description, FamilyError> {
    let mut d = keys.decoder(Family::Llama)?;
    d.rotary.scaling = rotary::from_gguf(keys)?;
    if d.rotary.dims != d.head_dim {
        return Err(FamilyError(format!(
            "its rotary turns {} of {} dimensions, which no Llama does",
            d.rotary.dims, d.head_dim
        )));
    }
    if let Some(window) = keys.count_maybe("attention.sliding_window")?
        && window > 0
        && window < d.context
    {
        d.window = Some(window);
        d.local_layers = vec![true; d.layers];
    }
    Ok(d)
}
