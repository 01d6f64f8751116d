//! What a training needs of this machine's own memory, and whether that is there.

use crate::model::description::Description;
use crate::model::ops::attention;
use crate::train::settings::{Method, Settings, SettingsError};

use super::model::gib;

/// Bytes of a training process that are no weights and no buffers.
const PROGRAM: u64 = 128 << 20;

/// Peak bytes of a training on the processor: weights, which take `loaded` bytes once they are read, adapter with its gradient and
/// moments, activations of a pass, scores that each of `threads` keeps, logits, optimizer.
#[must_use]
pub fn on_processor(d: &Description, loaded: u64, settings: &Settings, threads: usize) -> u64 {
    let weights = d.parameters();
    let linears = d.qkv_rows() + 3 * d.hidden + d.heads * d.head_dim + d.mlp_rows() + d.intermediate;
    let trained = match settings.method {
        Method::Lora => d.layers * settings.rank * linears,
        Method::Full => weights,
    };
    let rows = settings.passes(false).max(settings.max_length);
    let post_norms = if d.post_norms { 2 * d.hidden } else { 0 };
    let kept = 2 * d.hidden + post_norms + d.qkv_rows() + d.heads * (d.head_dim + 1) + d.mlp_rows() + 7 * settings.rank;
    let layers = if settings.checkpointing { 1 } else { d.layers };
    let activations = rows * (layers * kept + d.layers * d.hidden * usize::from(settings.checkpointing));
    let passing = rows * 3 * (d.mlp_rows() + d.hidden);
    let logits = (8 << 20).max(16 * d.vocab);
    let scores = threads * attention::thread_room(d.attention(0), settings.max_length);
    // Buffers come in steps of an eighth of a doubling, so a sixteenth is lost on average; the tokenizer, the program and what
    // the allocator keeps are about as much for every model.
    let buffers = activations + passing;
    // A base that is trained whole is turned into `f32`; a packed one needs room for a stretch of a matrix.
    let base = match settings.method {
        Method::Lora => loaded + (8 << 20),
        Method::Full => 4 * weights as u64,
    };
    base + 4 * (4 * trained + buffers + buffers / 16 + logits + scores) as u64 + PROGRAM
}

/// The same where a device trains an adapter: the weights as they are read, from which they are copied over, and the adapter with its
/// moments and the device's engine's copy of it. How long passes are does not matter to it.
///
/// # Errors
/// When a target is no layer of the model.
pub fn beside_device(d: &Description, loaded: u64, settings: &Settings) -> Result<u64, SettingsError> {
    // A packed matrix is turned into `f32` on its way; plain ones are sent as they are.
    let is_packed = loaded < 4 * d.parameters() as u64;
    let largest = d.hidden * d.vocab.max(d.mlp_rows()).max(d.qkv_rows());
    let sent = if is_packed { 4 * largest as u64 } else { 0 };
    Ok(loaded + sent + 4 * 4 * settings.lora(d)?.parameters(d) as u64 + PROGRAM)
}

/// Refuses a plan that needs more than is free, where the system says how much is; `device` is the one that trains, if one does, in
/// passes of `pass_tokens` tokens.
///
/// # Errors
/// With both numbers and what to do.
pub fn check(needs: u64, free: Option<u64>, device: Option<&str>, pass_tokens: usize) -> Result<(), String> {
    let Some(free) = free.filter(|&free| free < needs) else { return Ok(()) };
    let (needs, free) = (gib(needs), gib(free));
    Err(match device {
        None => format!(
            "this plan needs about {needs:.1} GiB and {free:.1} GiB are free; lower train.pass_tokens from {pass_tokens}, set \
             train.checkpointing = true, or choose a smaller model"
        ),
        Some(device) => format!(
            "this plan trains on {device} and needs about {needs:.1} GiB of this machine's own memory to read the model \
             into, and {free:.1} GiB are free; close other programs, or choose a smaller model or a quantised file of this one"
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::families;

    #[test]
    fn a_plan_of_long_passes_that_a_device_carries_out_asks_of_this_machine_only_what_the_weights_take() {
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 576, "intermediate_size": 1536,
            "num_attention_heads": 9, "num_key_value_heads": 3, "num_hidden_layers": 30, "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5, "rope_theta": 100_000.0, "tie_word_embeddings": true, "vocab_size": 49_152,
            "eos_token_id": 2,
        });
        let d = families::from_config(config.as_object().unwrap()).unwrap();
        let loaded = 4 * d.parameters() as u64;
        let (usual, long) = (Settings::default(), Settings { pass_tokens: 1 << 20, ..Settings::default() });
        let free = Some(loaded + (512 << 20));
        let refused = check(on_processor(&d, loaded, &long, 2), free, None, 1 << 20).unwrap_err();
        assert!(refused.contains("lower train.pass_tokens from 1048576,"), "{refused}");
        let needs = beside_device(&d, loaded, &long).unwrap();
        assert_eq!(check(needs, free, Some("a GPU"), 1 << 20), Ok(()));
        assert_eq!(needs, beside_device(&d, loaded, &usual).unwrap());
        // Weights that do not fit are refused with a device as well, and a packed base needs room to be unpacked in.
        let refused = check(needs, Some(loaded), Some("a GPU"), 2048).unwrap_err();
        for part in ["trains on a GPU and needs about 0.7 GiB", "0.5 GiB are free", "choose a smaller model"] {
            assert!(refused.contains(part), "{part:?} in {refused}");
        }
        assert!(!refused.contains("pass_tokens"), "what does not help is not advised: {refused}");
        let packed = beside_device(&d, loaded / 7, &usual).unwrap();
        assert!(packed - loaded / 7 > needs - loaded && packed < needs);
        assert_eq!(
            check(u64::MAX, None, None, 2048),
            Ok(()),
            "a system that does not say what is free refuses nothing"
        );
    }
}
