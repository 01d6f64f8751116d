//! Small decoders of every family, adapters for them, and a device to compare on.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Device;
use super::choose::{Wish, choose};
use super::emulated::Machine;
use crate::model::decoder::Decoder;
use crate::model::families;
use crate::model::lora::{Adapter, LoraConfig};

/// A decoder of a family with small random weights, biases and norms included.
pub(crate) fn decoder(change: Value) -> Decoder {
    let base = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 48, "intermediate_size": 80,
        "max_position_embeddings": 256, "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "tie_word_embeddings": true, "vocab_size": 131, "head_dim": 16
    });
    let (Value::Object(mut config), Value::Object(change)) = (base, change) else { panic!("no objects") };
    config.extend(change);
    let config: Map<String, Value> = config.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let mut decoder = Decoder::random(&families::from_config(&config).unwrap(), 3).unwrap();
    let mut salt = 0u32;
    decoder.visit_mut(&mut |name, values| {
        for value in values {
            salt = salt.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let noise = (salt >> 8) as f32 / 8_388_608.0 - 1.0;
            // Norms and biases start at one and zero; matrices are made large enough to matter at this size.
            *value += noise * if name.ends_with("weight") || name == "embedding" { 0.15 } else { 0.3 };
        }
    });
    decoder
}

pub(crate) fn all_families() -> Vec<(&'static str, Decoder)> {
    vec![
        ("llama", decoder(json!({}))),
        (
            "llama with biases, untied",
            decoder(json!({
                "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": false, "num_key_value_heads": 1,
                "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                    "original_max_position_embeddings": 64, "rope_type": "llama3"}
            })),
        ),
        ("mistral", decoder(json!({"architectures": ["MistralForCausalLM"], "sliding_window": 9}))),
        ("qwen2", decoder(json!({"architectures": ["Qwen2ForCausalLM"], "num_key_value_heads": 4}))),
        ("qwen3", decoder(json!({"architectures": ["Qwen3ForCausalLM"], "head_dim": 24}))),
        (
            "gemma3",
            decoder(json!({
                "architectures": ["Gemma3ForCausalLM"], "hidden_act": null, "hidden_activation": "gelu_pytorch_tanh",
                "query_pre_attn_scalar": 16, "sliding_window": 11, "rope_local_base_freq": 1_000.0,
                "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]
            })),
        ),
        (
            "gpt-neox",
            decoder(json!({
                "architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu", "layer_norm_eps": 1e-5, "rotary_pct": 0.25,
                "rotary_emb_base": 10_000, "use_parallel_residual": true, "tie_word_embeddings": false, "head_dim": null,
                "num_attention_heads": 3, "num_key_value_heads": null, "rms_norm_eps": null, "rope_theta": null
            })),
        ),
        (
            "gpt-neox in turn",
            decoder(json!({
                "architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "rotary_pct": 1.0,
                "rotary_emb_base": 10_000, "use_parallel_residual": false, "tie_word_embeddings": false, "head_dim": null,
                "num_attention_heads": 3, "num_key_value_heads": null, "rms_norm_eps": null, "rope_theta": null
            })),
        ),
    ]
}

/// An adapter of random numbers, `B` included, so that every gradient is there.
pub(crate) fn adapter(decoder: &Decoder, seed: u32) -> Adapter {
    let targets = families::linears(&decoder.description);
    let config = LoraConfig { rank: 5, alpha: 10.0, dropout: 0.1, targets, rslora: false };
    let mut adapter = Adapter::new(decoder, &config, u64::from(seed));
    let mut salt = seed;
    for value in &mut adapter.values {
        salt = salt.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        *value += ((salt >> 8) as f32 / 8_388_608.0 - 1.0) * 0.1;
    }
    adapter
}

/// The emulated device; where `TOGI_TEST_GPU` is set, the GPU of this machine (`.ci/cuda`, `tests/bench/gpu.sh`).
pub(crate) fn device() -> Option<Arc<dyn Device>> {
    if std::env::var_os("TOGI_TEST_GPU").is_some() {
        return choose(Wish::Cuda, Some(&super::emulated::folder())).unwrap().device;
    }
    Machine::new(None).map(|machine| Arc::new(machine) as Arc<dyn Device>)
}
