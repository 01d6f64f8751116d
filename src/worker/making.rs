//! Models made here: a Hugging Face folder around a decoder's weights, from a random start or after training.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::model::decoder::Decoder;
use crate::model::description::{Description, Family, Norm};
use crate::model::weights::TensorError;
use crate::train::checkpoint::{self, CheckpointError};

/// Why a model's folder could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("a model of these numbers cannot be made: {0}")]
    Random(#[from] TensorError),
    #[error("only Llama-like models are made here, not {0:?}")]
    Family(Family),
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    #[error("cannot write {}: {cause}", path.display())]
    File { path: PathBuf, cause: std::io::Error },
}

/// The width of the stored numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
}

/// Makes the folder `dir` of a model from a random start, ready to be trained with every weight.
///
/// # Errors
/// When the description makes no Llama-like decoder, or a file cannot be written.
pub fn start(dir: &Path, description: &Description, tokenizer: &str, seed: u64) -> Result<(), MakeError> {
    write(dir, &Decoder::random(description, seed)?, tokenizer, Precision::F32)
}

/// Makes the folder `to` of the model that a full-parameter run has trained: the weights of the checkpoint folder
/// `from` in the shape of `like`, with the tokenizer.
///
/// # Errors
/// When the checkpoint is of another shape, or a file cannot be read or written.
pub fn finish(
    to: &Path,
    from: &Path,
    description: &Description,
    tokenizer: &str,
    precision: Precision,
) -> Result<(), MakeError> {
    let like = Decoder::random(description, 0)?;
    write(to, &checkpoint::read_model(from, &like)?, tokenizer, precision)
}

fn write(dir: &Path, decoder: &Decoder, tokenizer: &str, precision: Precision) -> Result<(), MakeError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |cause| MakeError::File { path, cause }
    };
    std::fs::create_dir_all(dir).map_err(file(dir))?;
    let config = config(&decoder.description, precision)?;
    for (name, text) in [("config.json", &config), ("tokenizer.json", &tokenizer.to_owned())] {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(file(&path))?;
    }
    match precision {
        Precision::F32 => checkpoint::write_model(dir, decoder)?,
        Precision::F16 => checkpoint::write_model_f16(dir, decoder)?,
    }
    Ok(())
}

/// `config.json` of a Llama-like model.
fn config(d: &Description, precision: Precision) -> Result<String, MakeError> {
    let (architecture, kind, eps) = match (d.family, d.norm) {
        (Family::Llama, Norm::Rms { eps }) => ("LlamaForCausalLM", "llama", eps),
        (Family::Qwen2, Norm::Rms { eps }) => ("Qwen2ForCausalLM", "qwen2", eps),
        (Family::Qwen3, Norm::Rms { eps }) => ("Qwen3ForCausalLM", "qwen3", eps),
        _ => return Err(MakeError::Family(d.family)),
    };
    let config = json!({
        "architectures": [architecture],
        "model_type": kind,
        "vocab_size": d.vocab,
        "hidden_size": d.hidden,
        "num_hidden_layers": d.layers,
        "num_attention_heads": d.heads,
        "num_key_value_heads": d.kv_heads,
        "head_dim": d.head_dim,
        "intermediate_size": d.intermediate,
        "max_position_embeddings": d.context,
        "rms_norm_eps": f64::from(eps),
        "rope_theta": d.rotary.theta,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": d.tied,
        "bos_token_id": d.bos,
        "eos_token_id": d.eos.first(),
        "torch_dtype": if precision == Precision::F16 { "float16" } else { "float32" },
    });
    Ok(format!("{config:#}\n"))
}
