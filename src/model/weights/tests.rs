//! Real files against what is known of them, and each kind of file against the other.

use std::path::PathBuf;

use super::{Source, TensorSource};
use crate::model::description::{Description, Family, Linear, Slot};
use crate::model::families;

/// A file that `../shared/models/fetch.sh` brings, or `None` with a note where it is not there.
pub(crate) fn model_file(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    present(home.join(".cache/togi-models").join(name))
}

/// A Hugging Face folder made of one of those files, under the folder that `TOGI_HF` names.
pub(crate) fn model_folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TOGI_HF").map(PathBuf::from)?;
    present(root.join(name))
}

fn present(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none(), "{} is not there", path.display());
    println!("skipped: {} is not there", path.display());
    None
}

const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GEMMA3: &str = "gemma-3-270m-q4_k_m.gguf";

#[test]
fn smollm2_is_described_as_its_makers_say() {
    let Some(path) = model_file(SMOLLM2) else { return };
    let source = Source::open(&path).unwrap();
    let d = source.description();
    assert_eq!((d.family, d.vocab, d.hidden, d.layers), (Family::Llama, 49_152, 576, 30));
    assert_eq!((d.heads, d.kv_heads, d.head_dim, d.intermediate, d.context), (9, 3, 64, 1536, 8192));
    assert!(d.tied && !d.qkv_bias && d.gated_mlp && d.window.is_none());
    assert_eq!((d.bos, d.eos.as_slice(), source.pad()), (None, [2].as_slice(), Some(2)));
    assert_eq!((source.bos_text(), source.eos_text()), (Some("<|im_start|>"), Some("<|im_end|>")));
    assert!(source.chat_template().unwrap().contains("add_generation_prompt"));
    assert_eq!(source.parameters(), 134_515_008);
    assert_eq!(source.identity(), Source::open(&path).unwrap().identity());
}

#[test]
fn gemma3_is_described_as_its_makers_say() {
    let Some(path) = model_file(GEMMA3) else { return };
    let source = Source::open(&path).unwrap();
    let d = source.description();
    assert_eq!((d.family, d.vocab, d.hidden, d.layers), (Family::Gemma3, 262_144, 640, 18));
    assert_eq!((d.heads, d.kv_heads, d.head_dim, d.intermediate, d.context), (4, 1, 256, 2048, 32_768));
    assert!(d.tied && d.qk_norm && d.post_norms);
    assert_eq!((d.bos, d.eos.as_slice(), source.pad()), (Some(2), [1].as_slice(), Some(0)));
    assert!((d.attention_scale - 1.0 / 16.0).abs() < 1e-7 && (d.embedding_scale - 640f32.sqrt()).abs() < 1e-5);
    assert_eq!(d.window, Some(512));
    let global: Vec<usize> = (0..d.layers).filter(|&l| !d.is_local(l)).collect();
    assert_eq!(global, [5, 11, 17]);
    assert!((d.rotary_of(0).theta - 1e4).abs() < 1.0 && (d.rotary_of(5).theta - 1e6).abs() < 1.0);
}

/// The same weights as a folder, made by `gguf_to_hf.py`: the same description, and every tensor the same numbers.
fn agree(file: &str, folder: &str) {
    let (Some(file), Some(folder)) = (model_file(file), model_folder(folder)) else { return };
    let (gguf, hf) = (Source::open(&file).unwrap(), Source::open(&folder).unwrap());
    assert_eq!(gguf.description(), &Description { eos: gguf.description().eos.clone(), ..hf.description().clone() });
    assert_eq!(gguf.description().eos, hf.description().eos);
    let mut worst = (0.0f32, Slot::Embedding);
    let mut count = 0;
    for (slot, shape) in families::slots(gguf.description()) {
        let (a, b) = (gguf.tensor(slot, &shape).unwrap(), hf.tensor(slot, &shape).unwrap());
        assert_eq!(a.len(), b.len());
        let difference = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if difference > worst.0 {
            worst = (difference, slot);
        }
        count += 1;
    }
    println!("{count} tensors, largest difference {} in {:?}", worst.0, worst.1);
    assert!(worst.0 <= 1e-6, "{worst:?}");
}

#[test]
fn smollm2_has_the_same_weights_from_either_kind_of_file() {
    agree(SMOLLM2, "smollm2");
}

#[test]
fn gemma3_has_the_same_weights_from_either_kind_of_file() {
    agree(GEMMA3, "gemma3");
}

#[test]
fn a_tied_head_is_the_embedding_table() {
    let Some(path) = model_file(SMOLLM2) else { return };
    let source = Source::open(&path).unwrap();
    assert!(!source.has(Slot::Head) && source.has(Slot::Weight(29, Linear::Down)));
    let shape = [49_152, 576];
    assert_eq!(source.tensor(Slot::Head, &shape).unwrap(), source.tensor(Slot::Embedding, &shape).unwrap());
}

#[test]
fn a_tensor_asked_for_with_another_shape_is_refused_by_name() {
    let Some(path) = model_file(SMOLLM2) else { return };
    let error = Source::open(&path).unwrap().tensor(Slot::FinalNorm, &[577]).unwrap_err().to_string();
    assert!(error.contains("output_norm.weight") && error.contains("[576]") && error.contains("[577]"), "{error}");
}
