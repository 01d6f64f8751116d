//! Model families: each reads a checkpoint's configuration into a [`Description`] and names its tensors.
//!
//! Adding a family is adding one file here with three things: the description from a Hugging Face `config.json`, the
//! same from GGUF metadata where that exists, and what it calls each [`Slot`]. No arithmetic lives here, and no file
//! is opened here.

mod fields;
mod gemma3;
mod gpt_neox;
mod llama;
mod names;
mod qwen2;
mod qwen3;
mod rotary;

use serde_json::{Map, Value};

use super::description::{Description, Family, Linear, Norm, Slot};
use super::weights::gguf::Header;
pub(crate) use fields::Specials;
use fields::{Config, Keys};
pub(crate) use rotary::recognise_llama3;

/// What togi reads, for messages that refuse something else.
pub const SUPPORTED: &str = "Llama (SmolLM2, Llama 3, Mistral), Qwen2, Qwen3, Gemma 3 (text) and GPT-NeoX";

/// Why a checkpoint's configuration does not describe a model that togi can run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FamilyError(pub String);

/// Reads a Hugging Face `config.json`. `bos` and `eos` are left as the file has them; tokenizer files may know better.
///
/// # Errors
/// When the architecture or a switch in it is not supported (the message names it), or a number is missing or absurd.
pub fn from_config(config: &Map<String, Value>) -> Result<Description, FamilyError> {
    let config = Config(config);
    let architecture = config.architecture();
    let described = match architecture.as_str() {
        "LlamaForCausalLM" | "MistralForCausalLM" => llama::from_config(&config),
        "Qwen2ForCausalLM" => qwen2::from_config(&config),
        "Qwen3ForCausalLM" => qwen3::from_config(&config),
        "Gemma3ForCausalLM" => gemma3::from_config(&config),
        "GPTNeoXForCausalLM" => gpt_neox::from_config(&config),
        "" => Err(FamilyError(format!("it names no architecture (`architectures`); supported are {SUPPORTED}"))),
        other => Err(FamilyError(format!("its architecture {other:?} is not supported; supported are {SUPPORTED}"))),
    }?;
    checked(described)
}

/// Reads GGUF metadata. `bos` and `eos` are left empty: the tokenizer's metadata has them.
///
/// # Errors
/// As [`from_config`].
pub fn from_gguf(header: &Header) -> Result<Description, FamilyError> {
    let architecture = header.text("general.architecture").unwrap_or_default();
    if let Some(kind) = header.text("general.type").filter(|&kind| kind != "model") {
        return Err(FamilyError(format!("it holds a GGUF {kind:?}, not a model")));
    }
    let keys = Keys { header, architecture };
    let described = match architecture {
        "llama" => llama::from_gguf(&keys),
        "qwen2" => qwen2::from_gguf(&keys),
        "qwen3" => qwen3::from_gguf(&keys),
        "gemma3" => gemma3::from_gguf(&keys),
        other => Err(FamilyError(format!(
            "its architecture {other:?} is not supported as GGUF; supported are llama, qwen2, qwen3 and gemma3"
        ))),
    }?;
    checked(described)
}

fn checked(description: Description) -> Result<Description, FamilyError> {
    description.check().map_err(FamilyError)?;
    Ok(description)
}

/// The name of the tensor in `slot` in a Hugging Face checkpoint.
#[must_use]
pub fn hf_name(family: Family, slot: Slot) -> String {
    match family {
        Family::GptNeox => gpt_neox::hf_name(slot),
        Family::Gemma3 => names::hf(slot, &gemma3::NORMS),
        Family::Llama | Family::Qwen2 | Family::Qwen3 => names::hf(slot, &names::NORMS),
    }
}

/// The name of the tensor in `slot` in a GGUF file.
#[must_use]
pub fn gguf_name(slot: Slot) -> String {
    names::gguf(slot)
}

/// Whether a checkpoint may have the tensor `name` without the decoder using it: buffers that can be computed.
#[must_use]
pub fn is_buffer(name: &str) -> bool {
    name == "rope_freqs.weight"
        || name.ends_with(".rotary_emb.inv_freq")
        || (name.starts_with("gpt_neox.layers.")
            && (name.ends_with(".attention.bias") || name.ends_with(".attention.masked_bias")))
}

/// Whether GGUF stores this family's q and k rows permuted for interleaved rotary.
#[must_use]
pub fn gguf_permutes(family: Family) -> bool {
    family == Family::Llama
}

/// What is added to norm weights of a Hugging Face checkpoint to make them the factors they stand for.
#[must_use]
pub fn norm_offset(family: Family) -> f32 {
    if family == Family::Gemma3 { 1.0 } else { 0.0 }
}

/// The linear roles of a block, in the order in which the block uses them.
#[must_use]
pub fn linears(description: &Description) -> Vec<Linear> {
    if description.family == Family::GptNeox {
        return vec![Linear::QueryKeyValue, Linear::Output, Linear::Up, Linear::Down];
    }
    let mut roles = vec![Linear::Query, Linear::Key, Linear::Value, Linear::Output];
    if description.gated_mlp {
        roles.push(Linear::Gate);
    }
    roles.extend([Linear::Up, Linear::Down]);
    roles
}

/// What PEFT calls a linear role, as in `target_modules`: `q_proj`, `dense_h_to_4h`.
#[must_use]
pub fn short_name(linear: Linear, family: Family) -> &'static str {
    let path = match family {
        Family::GptNeox => gpt_neox::module(linear),
        _ => names::module(linear),
    };
    path.rsplit('.').next().unwrap_or(path)
}

/// The path of a linear module as PEFT and transformers name it: `model.layers.0.self_attn.q_proj`.
#[must_use]
pub fn peft_module(description: &Description, layer: usize, linear: Linear) -> String {
    match description.family {
        Family::GptNeox => format!("gpt_neox.layers.{layer}.{}", gpt_neox::module(linear)),
        _ => format!("model.layers.{layer}.{}", names::module(linear)),
    }
}

/// The shape of a linear's weight, `[out, in]`.
#[must_use]
pub fn linear_shape(description: &Description, linear: Linear) -> [usize; 2] {
    let d = description;
    match linear {
        Linear::Query => [d.heads * d.head_dim, d.hidden],
        Linear::Key | Linear::Value => [d.kv_heads * d.head_dim, d.hidden],
        Linear::QueryKeyValue => [d.qkv_rows(), d.hidden],
        Linear::Output => [d.hidden, d.heads * d.head_dim],
        Linear::Gate | Linear::Up => [d.intermediate, d.hidden],
        Linear::Down => [d.hidden, d.intermediate],
    }
}

/// Whether a linear has a bias.
#[must_use]
pub fn has_bias(description: &Description, linear: Linear) -> bool {
    match linear {
        Linear::Query | Linear::Key | Linear::Value | Linear::QueryKeyValue => description.qkv_bias,
        Linear::Output => description.output_bias,
        Linear::Gate | Linear::Up | Linear::Down => description.mlp_bias,
    }
}

/// Every tensor that a checkpoint of this model must have, with its shape. [`Slot::Head`] is left out where tied.
#[must_use]
pub fn slots(description: &Description) -> Vec<(Slot, Vec<usize>)> {
    let d = description;
    let hidden = vec![d.hidden];
    let layer_norm = matches!(d.norm, Norm::Layer { .. });
    let mut all = vec![(Slot::Embedding, vec![d.vocab, d.hidden]), (Slot::FinalNorm, hidden.clone())];
    if layer_norm {
        all.push((Slot::FinalNormBias, hidden.clone()));
    }
    if !d.tied {
        all.push((Slot::Head, vec![d.vocab, d.hidden]));
    }
    for l in 0..d.layers {
        all.extend([(Slot::AttentionNorm(l), hidden.clone()), (Slot::MlpNorm(l), hidden.clone())]);
        if layer_norm {
            all.extend([(Slot::AttentionNormBias(l), hidden.clone()), (Slot::MlpNormBias(l), hidden.clone())]);
        }
        if d.post_norms {
            all.extend([(Slot::PostAttentionNorm(l), hidden.clone()), (Slot::PostMlpNorm(l), hidden.clone())]);
        }
        if d.qk_norm {
            all.extend([(Slot::QueryNorm(l), vec![d.head_dim]), (Slot::KeyNorm(l), vec![d.head_dim])]);
        }
        for linear in linears(d) {
            let shape = linear_shape(d, linear);
            all.push((Slot::Weight(l, linear), shape.to_vec()));
            if has_bias(d, linear) {
                all.push((Slot::Bias(l, linear), vec![shape[0]]));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests;
