//! Models of known sizes without their files: seeded random weights, for speed and memory only.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde_json::{Value, json};

use crate::model::decoder::Decoder;
use crate::model::description::{Description, Slot};
use crate::model::families;
use crate::model::weights::{TensorError, TensorSource};

/// Names of the shapes there are.
pub const SHAPES: [&str; 4] = ["smollm2-135m", "llama-3.2-1b", "qwen2.5-1.5b", "qwen2.5-7b"];

/// The published configuration of a shape; none of an unknown name.
fn config(name: &str) -> Option<Value> {
    let qwen =
        |hidden: usize, intermediate: usize, layers: usize, heads: usize, kv: usize, vocab: usize, tied: bool| {
            json!({
                "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": hidden,
                "intermediate_size": intermediate, "max_position_embeddings": 32_768, "num_attention_heads": heads,
                "num_hidden_layers": layers, "num_key_value_heads": kv, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0,
                "tie_word_embeddings": tied, "vocab_size": vocab
            })
        };
    Some(match name {
        "smollm2-135m" => json!({
            "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 576, "intermediate_size": 1536,
            "max_position_embeddings": 8192, "num_attention_heads": 9, "num_hidden_layers": 30,
            "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "rope_theta": 100_000.0, "tie_word_embeddings": true,
            "vocab_size": 49_152
        }),
        "llama-3.2-1b" => json!({
            "architectures": ["LlamaForCausalLM"], "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048,
            "intermediate_size": 8192, "max_position_embeddings": 131_072, "num_attention_heads": 32,
            "num_hidden_layers": 16, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
            "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192, "rope_type": "llama3"},
            "tie_word_embeddings": true, "vocab_size": 128_256
        }),
        "qwen2.5-1.5b" => qwen(1536, 8960, 28, 12, 2, 151_936, true),
        "qwen2.5-7b" => qwen(3584, 18_944, 28, 28, 4, 152_064, false),
        _ => return None,
    })
}

/// What the decoder of a shape is made of; `None` of an unknown name.
#[must_use]
pub fn description(name: &str) -> Option<Description> {
    let Value::Object(config) = config(name)? else { return None };
    families::from_config(&config).ok()
}

/// A decoder with seeded weights: one row of draws from ±0.02 again and again, since drawing billions would take minutes.
///
/// # Errors
/// When the description makes no decoder.
pub fn decoder(description: &Description) -> Result<Decoder, TensorError> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // A length that no matrix' width divides, so that rows are unlike.
    let drawn = (0..1_000_003).map(|_| rng.random_range(-0.02f32..0.02)).collect();
    Decoder::load(&Repeated(drawn), description)
}

struct Repeated(Vec<f32>);

impl TensorSource for Repeated {
    fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
        let count = shape.iter().product();
        Ok(match slot {
            Slot::Weight(..) | Slot::Embedding | Slot::Head => self.0.iter().copied().cycle().take(count).collect(),
            Slot::Bias(..) => vec![0.0; count],
            _ => vec![1.0; count],
        })
    }

    fn has(&self, _: Slot) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_the_parameters_of_its_name() {
        let parameters = SHAPES.map(|name| description(name).map(|d| d.parameters()));
        // As transformers counts them.
        assert_eq!(parameters, [Some(134_515_008), Some(1_235_814_400), Some(1_543_714_304), Some(7_615_616_512)]);
        assert!(description("gpt-5").is_none());
    }
}
