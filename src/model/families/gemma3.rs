//! Gemma 3, text only: five local layers to a global one, norms on both sides of attention and MLP, scaled embeddings.

use super::fields::{Config, Keys};
use super::names::NormNames;
use super::{FamilyError, rotary};
use crate::model::description::{Activation, Description, Family, Rotary, RotaryScaling};

pub(super) const NORMS: NormNames = NormNames {
    attention: "input_layernorm",
    post_attention: "post_attention_layernorm",
    mlp: "pre_feedforward_layernorm",
    post_mlp: "post_feedforward_layernorm",
};

/// Every sixth layer is global (Gemma 3 report, section 2).
const PATTERN: usize = 6;
/// Rotary base of local and global layers (Gemma 3 report, section 2).
const LOCAL_THETA: f64 = 10_000.0;
const GLOBAL_THETA: f64 = 1_000_000.0;
/// The 27B model, by its layer count, scales attention by the hidden size a head has; the others by the head size.
const LAYERS_OF_27B: usize = 62;

pub(super) fn from_config(config: &Config) -> Result<Description, FamilyError> {
    for switch in ["attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention", "attention_bias"]
    {
        config.refuse(switch)?;
    }
    let (theta, scaling) = rotary::from_config(config, "full_attention", GLOBAL_THETA)?;
    let mut d = config.decoder(Family::Gemma3, |dims| Rotary { dims, theta, scaling })?;
    if config.get("head_dim").is_none() {
        d.head_dim = 256; // Gemma3TextConfig's own default
        d.rotary.dims = d.head_dim;
    }
    shape(&mut d);
    d.tied = config.flag("tie_word_embeddings", true)?;
    d.activation = config.activation("hidden_activation", "gelu_pytorch_tanh")?;
    let scalar = config.number("query_pre_attn_scalar", 256.0)?;
    if scalar <= 0.0 {
        return Err(FamilyError(format!("`query_pre_attn_scalar` is {scalar}")));
    }
    d.attention_scale = 1.0 / (scalar as f32).sqrt();
    let local_theta = match config.object("rope_parameters").and_then(|all| all.object("sliding_attention")) {
        Some(local) => local.number("rope_theta", LOCAL_THETA)?,
        None => config.number("rope_local_base_freq", LOCAL_THETA)?,
    };
    let pattern = match config.count_maybe("sliding_window_pattern")? {
        Some(pattern) => pattern,
        None => config.count_maybe("_sliding_window_pattern")?.unwrap_or(PATTERN),
    };
    let local = match config.layer_types(d.layers)? {
        Some(local) => local,
        None => pattern_of(d.layers, pattern),
    };
    let window = config.count_maybe("sliding_window")?.unwrap_or(4096);
    set_window(&mut d, window, local, local_theta);
    Ok(d)
}

pub(super) fn from_gguf(keys: &Keys) -> Result<Description, FamilyError> {
    if keys.number("final_logit_softcapping")?.is_some_and(|x| x != 0.0) {
        return Err(FamilyError("it caps its logits, which is not supported".to_owned()));
    }
    let mut d = keys.decoder(Family::Gemma3)?;
    shape(&mut d);
    d.activation = Activation::GeluTanh;
    if keys.number("rope.freq_base")?.is_none() {
        d.rotary.theta = GLOBAL_THETA;
    }
    d.rotary.scaling = rotary::from_gguf(keys)?;
    if d.layers == LAYERS_OF_27B {
        d.attention_scale = 1.0 / ((d.hidden / d.heads) as f32).sqrt();
    }
    let local_theta = keys.number("rope.freq_base_swa")?.unwrap_or(LOCAL_THETA);
    let pattern = keys.count_maybe("attention.sliding_window_pattern")?.unwrap_or(PATTERN);
    let window = keys.count_maybe("attention.sliding_window")?.unwrap_or(0);
    let local = pattern_of(d.layers, pattern);
    set_window(&mut d, window, local, local_theta);
    Ok(d)
}

fn shape(d: &mut Description) {
    d.qk_norm = true;
    d.post_norms = true;
    d.embedding_scale = (d.hidden as f32).sqrt();
    d.attention_scale = 1.0 / (d.head_dim as f32).sqrt();
}

/// Local layers where every `pattern`-th is global; a pattern of 0 or 1 leaves none.
fn pattern_of(layers: usize, pattern: usize) -> Vec<bool> {
    (1..=layers).map(|layer| pattern > 1 && !layer.is_multiple_of(pattern)).collect()
}

fn set_window(d: &mut Description, window: usize, local: Vec<bool>, theta: f64) {
    if window == 0 || !local.contains(&true) {
        return;
    }
    d.window = Some(window);
    d.local_layers = local;
    d.local_rotary = Some(Rotary { dims: d.rotary.dims, theta, scaling: RotaryScaling::None });
}
