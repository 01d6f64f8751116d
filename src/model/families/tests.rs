//! Configurations as they are published, in the spellings of the years, and those that must be refused.

use serde_json::{Map, Value, json};

use super::rotary::{llama3_factors, recognise_llama3};
use super::*;
use crate::model::description::{Activation, Rotary, RotaryScaling};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// A configuration with the fields of `change` put over `base`; null takes a field away.
fn with(base: &Value, change: Value) -> Map<String, Value> {
    let mut map = object(base.clone());
    map.extend(object(change));
    map.retain(|_, value| !value.is_null());
    map
}

fn read(base: &Value, change: Value) -> Description {
    from_config(&with(base, change)).unwrap()
}

fn refused(base: &Value, change: Value) -> String {
    from_config(&with(base, change)).unwrap_err().to_string()
}

/// Llama-3.2-1B's.
fn llama() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "bos_token_id": 128_000,
        "eos_token_id": [128_001, 128_008, 128_009], "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048,
        "intermediate_size": 8192, "max_position_embeddings": 131_072, "mlp_bias": false, "num_attention_heads": 32,
        "num_hidden_layers": 16, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
        "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "vocab_size": 128_256
    })
}

/// Pythia-160M's.
fn neox() -> Value {
    json!({
        "architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu", "hidden_size": 768, "intermediate_size": 3072,
        "layer_norm_eps": 1e-5, "max_position_embeddings": 2048, "num_attention_heads": 12, "num_hidden_layers": 12,
        "rotary_emb_base": 10_000, "rotary_pct": 0.25, "tie_word_embeddings": false, "use_parallel_residual": true,
        "vocab_size": 50_304, "bos_token_id": 0, "eos_token_id": 0
    })
}

const LLAMA3: RotaryScaling =
    RotaryScaling::Llama3 { factor: 32.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192 };

#[test]
fn llama_3_is_read_in_all_three_spellings() {
    let d = read(&llama(), json!({}));
    assert_eq!((d.family, d.layers, d.kv_heads, d.head_dim, d.context), (Family::Llama, 16, 8, 64, 131_072));
    assert_eq!(d.rotary, Rotary { dims: 64, theta: 500_000.0, scaling: LLAMA3 });
    assert_eq!((d.bos, d.eos.as_slice()), (Some(128_000), [128_001, 128_008, 128_009].as_slice()));
    assert_eq!(d.parameters(), 1_235_814_400);
    let scaling = llama()["rope_scaling"].clone();
    let mut old = scaling.clone();
    old["type"] = old["rope_type"].take();
    assert_eq!(read(&llama(), json!({"rope_scaling": with(&old, json!({}))})), d);
    let mut new = scaling;
    new["rope_theta"] = json!(500_000.0);
    assert_eq!(read(&llama(), json!({"rope_scaling": null, "rope_theta": null, "rope_parameters": new})), d);
}

#[test]
fn biases_head_size_and_scaling_of_llama_are_honoured() {
    let d = read(&llama(), json!({"attention_bias": true, "mlp_bias": true, "tie_word_embeddings": null}));
    assert!(d.qkv_bias && d.output_bias && d.mlp_bias && !d.tied);
    let d = read(&llama(), json!({"head_dim": 128, "rope_scaling": {"type": "linear", "factor": 2.0}}));
    assert_eq!((d.head_dim, d.rotary.dims), (128, 128));
    assert_eq!(d.rotary.scaling, RotaryScaling::Linear { factor: 2.0 });
    let d = read(&llama(), json!({"head_dim": null, "num_key_value_heads": null, "rope_scaling": null}));
    assert_eq!((d.head_dim, d.kv_heads, d.rotary.scaling), (64, 32, RotaryScaling::None));
}

#[test]
fn mistral_has_a_window_unless_it_is_null() {
    let mistral = json!({"architectures": ["MistralForCausalLM"], "rope_scaling": null, "sliding_window": 4096});
    let d = read(&llama(), mistral.clone());
    assert_eq!((d.window_of(0), d.window_of(15)), (Some(4096), Some(4096)));
    let mut without = mistral;
    without["sliding_window"] = Value::Null;
    assert_eq!(read(&llama(), without).window, None);
}

#[test]
fn qwen2_has_qkv_biases_and_a_window_only_where_it_is_switched_on() {
    let qwen = json!({"architectures": ["Qwen2ForCausalLM"], "rope_scaling": null, "sliding_window": 32_768,
        "max_window_layers": 12, "use_sliding_window": false});
    let d = read(&llama(), qwen.clone());
    assert!(d.family == Family::Qwen2 && d.qkv_bias && !d.output_bias && !d.mlp_bias);
    assert_eq!(d.window, None);
    let mut on = qwen;
    on["use_sliding_window"] = json!(true);
    let d = read(&llama(), on);
    assert_eq!((d.window_of(11), d.window_of(12)), (None, Some(32_768)));
}

#[test]
fn qwen3_norms_heads_whose_size_is_its_own() {
    let qwen = json!({"architectures": ["Qwen3ForCausalLM"], "rope_scaling": null, "head_dim": 128});
    let d = read(&llama(), qwen);
    assert!(d.qk_norm && !d.qkv_bias && !d.post_norms);
    assert_eq!(linear_shape(&d, Linear::Query), [4096, 2048]);
    assert_eq!(linear_shape(&d, Linear::Output), [2048, 4096]);
    assert!(slots(&d).contains(&(Slot::QueryNorm(15), vec![128])));
}

#[test]
fn gemma_3_is_the_same_in_old_and_new_spelling() {
    let old = json!({
        "architectures": ["Gemma3ForCausalLM"], "hidden_size": 1152, "intermediate_size": 6912, "head_dim": 256,
        "num_attention_heads": 4, "num_key_value_heads": 1, "num_hidden_layers": 26, "vocab_size": 262_144,
        "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 32_768, "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-6, "rope_theta": 1_000_000, "rope_local_base_freq": 10_000, "rope_scaling": null,
        "sliding_window": 512, "sliding_window_pattern": 6, "final_logit_softcapping": null, "attention_bias": false
    });
    let d = read(&old, json!({}));
    assert!(d.tied && d.qk_norm && d.post_norms && d.activation == Activation::GeluTanh);
    assert_eq!((d.window_of(0), d.window_of(5), d.window_of(24)), (Some(512), None, Some(512)));
    let kinds: Vec<&str> = (1..=26).map(|l| if l % 6 == 0 { "full_attention" } else { "sliding_attention" }).collect();
    let new = json!({"rope_theta": null, "rope_local_base_freq": null, "sliding_window_pattern": null,
        "layer_types": kinds, "rope_parameters": {
            "full_attention": {"rope_theta": 1_000_000.0, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"}}});
    assert_eq!(read(&old, new), d);
    // Scaling is for global layers alone.
    let scaled = read(&old, json!({"rope_scaling": {"rope_type": "linear", "factor": 8.0}}));
    assert_eq!(scaled.rotary_of(5).scaling, RotaryScaling::Linear { factor: 8.0 });
    assert_eq!(scaled.rotary_of(0).scaling, RotaryScaling::None);
    assert!(refused(&old, json!({"final_logit_softcapping": 30.0})).contains("final_logit_softcapping"));
}

#[test]
fn gpt_neox_turns_a_share_of_each_head() {
    let d = read(&neox(), json!({}));
    assert_eq!((d.rotary.dims, d.kv_heads, d.parallel_residual, d.gated_mlp), (16, 12, true, false));
    assert!(d.qkv_bias && d.output_bias && d.mlp_bias && !d.tied && d.activation == Activation::GeluErf);
    assert_eq!(d.parameters(), 162_322_944);
    let d = read(&neox(), json!({"rotary_pct": 1.0, "use_parallel_residual": false}));
    assert_eq!((d.rotary.dims, d.parallel_residual), (64, false));
    let new = json!({"rotary_pct": null, "rotary_emb_base": null,
        "rope_parameters": {"rope_theta": 10_000.0, "partial_rotary_factor": 0.25, "rope_type": "default"}});
    assert_eq!(read(&neox(), new), read(&neox(), json!({})));
}

#[test]
fn modules_have_the_names_that_peft_gives_them() {
    let (llama, neox) = (read(&llama(), json!({})), read(&neox(), json!({})));
    assert_eq!(peft_module(&llama, 0, Linear::Query), "model.layers.0.self_attn.q_proj");
    assert_eq!(peft_module(&llama, 3, Linear::Down), "model.layers.3.mlp.down_proj");
    assert_eq!(peft_module(&neox, 11, Linear::QueryKeyValue), "gpt_neox.layers.11.attention.query_key_value");
    let short = |d: &Description| linears(d).into_iter().map(|l| short_name(l, d.family)).collect::<Vec<_>>();
    assert_eq!(short(&llama), ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);
    assert_eq!(short(&neox), ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]);
}

#[test]
fn slots_count_every_parameter_once() {
    for d in [read(&llama(), json!({})), read(&neox(), json!({})), read(&llama(), json!({"attention_bias": true}))] {
        let sum: usize = slots(&d).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(sum, d.parameters(), "{:?}", d.family);
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let cases = [
        (json!({"architectures": ["MixtralForCausalLM"]}), "MixtralForCausalLM"),
        (json!({"architectures": null}), "no architecture"),
        (json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}), "yarn"),
        (json!({"rope_scaling": {"rope_type": "linear"}}), "factor"),
        (json!({"hidden_act": "relu"}), "relu"),
        (json!({"hidden_size": "2048"}), "hidden_size"),
        (json!({"hidden_size": -1}), "hidden_size"),
        (json!({"vocab_size": null}), "vocab_size"),
        (json!({"num_attention_heads": 0}), "num_attention_heads"),
        (json!({"num_hidden_layers": 4_000_000_000_u64}), "num_hidden_layers"),
        (json!({"num_key_value_heads": 5}), "heads"),
        (json!({"vocab_size": 0}), "vocabulary"),
        (json!({"tie_word_embeddings": "yes"}), "tie_word_embeddings"),
    ];
    for (change, named) in cases {
        let error = refused(&llama(), change);
        assert!(error.contains(named), "{error}");
    }
    assert!(refused(&llama(), json!({"architectures": ["X"]})).contains("GPT-NeoX"), "says what is supported");
    assert!(refused(&neox(), json!({"rotary_pct": 0.0})).contains("rotary"));
}

#[test]
fn llama_3s_scaling_is_recognised_in_the_divisors_that_gguf_stores() {
    let divisors: Vec<f32> = llama3_factors(64, 500_000.0, LLAMA3).into_iter().map(|f| f as f32).collect();
    assert_eq!((divisors[0], divisors[31]), (1.0, 32.0));
    assert_eq!(recognise_llama3(&divisors, 64, 500_000.0), Ok(LLAMA3));
    assert_eq!(recognise_llama3(&[1.0; 32], 64, 500_000.0), Ok(RotaryScaling::None));
    let mut other = divisors.clone();
    other[16] *= 1.5;
    for wrong in [other.as_slice(), &divisors[1..], &[], &[f32::NAN; 32]] {
        assert!(recognise_llama3(wrong, 64, 500_000.0).unwrap_err().to_string().contains("rope_freqs"));
    }
}
