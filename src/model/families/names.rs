//! What tensors and modules are called in the checkpoints that descend from Llama, and in every GGUF file.

use crate::model::description::{Linear, Slot};

/// Names of a block's norms in a Hugging Face checkpoint, which differ between families.
pub(super) struct NormNames {
    pub(super) attention: &'static str,
    pub(super) post_attention: &'static str,
    pub(super) mlp: &'static str,
    pub(super) post_mlp: &'static str,
}

/// Llama's names; it has no norms after attention and MLP.
pub(super) const NORMS: NormNames = NormNames {
    attention: "input_layernorm",
    post_attention: "post_self_attn_layernorm",
    mlp: "post_attention_layernorm",
    post_mlp: "post_mlp_layernorm",
};

/// The module of a linear within its block.
pub(super) fn module(linear: Linear) -> &'static str {
    match linear {
        Linear::Query => "self_attn.q_proj",
        Linear::Key => "self_attn.k_proj",
        Linear::Value => "self_attn.v_proj",
        Linear::QueryKeyValue => "self_attn.qkv_proj",
        Linear::Output => "self_attn.o_proj",
        Linear::Gate => "mlp.gate_proj",
        Linear::Up => "mlp.up_proj",
        Linear::Down => "mlp.down_proj",
    }
}

pub(super) fn hf(slot: Slot, norms: &NormNames) -> String {
    match slot {
        Slot::Embedding => "model.embed_tokens.weight".to_owned(),
        Slot::FinalNorm => "model.norm.weight".to_owned(),
        Slot::FinalNormBias => "model.norm.bias".to_owned(),
        Slot::Head => "lm_head.weight".to_owned(),
        Slot::AttentionNorm(l) => format!("model.layers.{l}.{}.weight", norms.attention),
        Slot::AttentionNormBias(l) => format!("model.layers.{l}.{}.bias", norms.attention),
        Slot::MlpNorm(l) => format!("model.layers.{l}.{}.weight", norms.mlp),
        Slot::MlpNormBias(l) => format!("model.layers.{l}.{}.bias", norms.mlp),
        Slot::PostAttentionNorm(l) => format!("model.layers.{l}.{}.weight", norms.post_attention),
        Slot::PostMlpNorm(l) => format!("model.layers.{l}.{}.weight", norms.post_mlp),
        Slot::QueryNorm(l) => format!("model.layers.{l}.self_attn.q_norm.weight"),
        Slot::KeyNorm(l) => format!("model.layers.{l}.self_attn.k_norm.weight"),
        Slot::Weight(l, linear) => format!("model.layers.{l}.{}.weight", module(linear)),
        Slot::Bias(l, linear) => format!("model.layers.{l}.{}.bias", module(linear)),
    }
}

/// GGUF's names, the same in every architecture.
pub(super) fn gguf(slot: Slot) -> String {
    let linear = |linear| match linear {
        Linear::Query => "attn_q",
        Linear::Key => "attn_k",
        Linear::Value => "attn_v",
        Linear::QueryKeyValue => "attn_qkv",
        Linear::Output => "attn_output",
        Linear::Gate => "ffn_gate",
        Linear::Up => "ffn_up",
        Linear::Down => "ffn_down",
    };
    match slot {
        Slot::Embedding => "token_embd.weight".to_owned(),
        Slot::FinalNorm => "output_norm.weight".to_owned(),
        Slot::FinalNormBias => "output_norm.bias".to_owned(),
        Slot::Head => "output.weight".to_owned(),
        Slot::AttentionNorm(l) => format!("blk.{l}.attn_norm.weight"),
        Slot::AttentionNormBias(l) => format!("blk.{l}.attn_norm.bias"),
        Slot::MlpNorm(l) => format!("blk.{l}.ffn_norm.weight"),
        Slot::MlpNormBias(l) => format!("blk.{l}.ffn_norm.bias"),
        Slot::PostAttentionNorm(l) => format!("blk.{l}.post_attention_norm.weight"),
        Slot::PostMlpNorm(l) => format!("blk.{l}.post_ffw_norm.weight"),
        Slot::QueryNorm(l) => format!("blk.{l}.attn_q_norm.weight"),
        Slot::KeyNorm(l) => format!("blk.{l}.attn_k_norm.weight"),
        Slot::Weight(l, role) => format!("blk.{l}.{}.weight", linear(role)),
        Slot::Bias(l, role) => format!("blk.{l}.{}.bias", linear(role)),
    }
}
