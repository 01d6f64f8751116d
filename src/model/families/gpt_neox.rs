//! `GPT-NeoX`: `OpenCALM`, rinna 3.6b, Pythia. `LayerNorm`, rotary on a share of each head, q, k and v in one tensor.

use super::fields::Config;
use super::{FamilyError, rotary};
use crate::model::description::{Description, Family, Linear, Norm, Rotary, Slot};

pub(super) fn from_config(config: &Config) -> Result<Description, FamilyError> {
    // transformers 5 writes the share as `partial_rotary_factor`, either beside the base or at the top.
    let parameters = config.object("rope_parameters");
    let mut share = config.number_maybe("rotary_pct")?;
    for place in [parameters.as_ref(), Some(config)].into_iter().flatten() {
        if share.is_none() {
            share = place.number_maybe("partial_rotary_factor")?;
        }
    }
    let share = share.unwrap_or(0.25);
    if !(0.0..=1.0).contains(&share) {
        return Err(FamilyError(format!("`rotary_pct` is {share}, not a share")));
    }
    let base = config.number("rotary_emb_base", 10_000.0)?;
    let (theta, scaling) = rotary::from_config(config, "full_attention", base)?;
    let mut d = config.decoder(Family::GptNeox, |head_dim| Rotary {
        dims: (head_dim as f64 * share) as usize,
        theta,
        scaling,
    })?;
    d.norm = Norm::Layer { eps: config.number("layer_norm_eps", 1e-5)? as f32 };
    d.kv_heads = d.heads;
    d.parallel_residual = config.flag("use_parallel_residual", true)?;
    let attention_bias = config.flag("attention_bias", true)?;
    (d.qkv_bias, d.output_bias, d.mlp_bias) = (attention_bias, attention_bias, true);
    d.gated_mlp = false;
    d.activation = config.activation("hidden_act", "gelu")?;
    Ok(d)
}

/// The module of a linear within its block. The roles that `GPT-NeoX` fuses all lie in `query_key_value`.
pub(super) fn module(linear: Linear) -> &'static str {
    match linear {
        Linear::QueryKeyValue | Linear::Query | Linear::Key | Linear::Value => "attention.query_key_value",
        Linear::Output => "attention.dense",
        Linear::Up | Linear::Gate => "mlp.dense_h_to_4h",
        Linear::Down => "mlp.dense_4h_to_h",
    }
}

pub(super) fn hf_name(slot: Slot) -> String {
    match slot {
        Slot::Embedding => "gpt_neox.embed_in.weight".to_owned(),
        Slot::FinalNorm => "gpt_neox.final_layer_norm.weight".to_owned(),
        Slot::FinalNormBias => "gpt_neox.final_layer_norm.bias".to_owned(),
        Slot::Head => "embed_out.weight".to_owned(),
        Slot::AttentionNorm(l) => format!("gpt_neox.layers.{l}.input_layernorm.weight"),
        Slot::AttentionNormBias(l) => format!("gpt_neox.layers.{l}.input_layernorm.bias"),
        Slot::MlpNorm(l) => format!("gpt_neox.layers.{l}.post_attention_layernorm.weight"),
        Slot::MlpNormBias(l) => format!("gpt_neox.layers.{l}.post_attention_layernorm.bias"),
        Slot::PostAttentionNorm(l) => format!("gpt_neox.layers.{l}.no_post_attention_norm"),
        Slot::PostMlpNorm(l) => format!("gpt_neox.layers.{l}.no_post_mlp_norm"),
        Slot::QueryNorm(l) => format!("gpt_neox.layers.{l}.no_query_norm"),
        Slot::KeyNorm(l) => format!("gpt_neox.layers.{l}.no_key_norm"),
        Slot::Weight(l, linear) => format!("gpt_neox.layers.{l}.{}.weight", module(linear)),
        Slot::Bias(l, linear) => format!("gpt_neox.layers.{l}.{}.bias", module(linear)),
    }
}
