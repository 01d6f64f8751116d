//! Checkpoints that need no file: every number follows from its tensor's name and flat index, as in
//! `tests/reference/seeded.py`, bit for bit.

use togi::model::decoder::{Decoder, interleaved_rows};
use togi::model::description::{Description, Slot};
use togi::model::families;
use togi::model::lora::{Adapter, LoraConfig};
use togi::model::weights::{TensorError, TensorSource};

/// FNV-1a over the name (Fowler, Noll & Vo), 64 bits.
fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// `SplitMix64`'s output function (Steele et al. 2014).
fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `count` numbers in [-1, 1).
pub fn uniform(name: &str, count: usize) -> Vec<f32> {
    let start = fnv1a64(name);
    let fraction = |i: usize| (splitmix64(start.wrapping_add(i as u64)) >> 40) as f32;
    (0..count).map(|i| fraction(i) * 2f32.powi(-23) - 1.0).collect()
}

fn is_norm(name: &str) -> bool {
    name.contains("norm") && name.ends_with(".weight")
}

fn scale(name: &str) -> f32 {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if is_norm(name) {
        0.25
    } else if name.rsplit('.').next() == Some("bias") {
        0.125
    } else if name.starts_with("lora_A.") {
        0.25
    } else if name.starts_with("lora_B.") {
        0.125
    } else if has(&["embed_tokens", "embed_in", "embed_out", "lm_head"]) {
        0.25
    } else if has(&["o_proj", "down_proj", "attention.dense", "dense_4h_to_h"]) {
        0.5
    } else if has(&["q_proj", "k_proj", "query_key_value"]) {
        0.375
    } else {
        0.25
    }
}

/// The tensor `name`, norm weights lying around 1.
pub fn values(name: &str, count: usize) -> Vec<f32> {
    let (scale, offset) = (scale(name), if is_norm(name) { 1.0 } else { 0.0 });
    uniform(name, count).into_iter().map(|u| offset + u * scale).collect()
}

/// A checkpoint of any family, its numbers seeded by the tensors' names in Hugging Face checkpoints.
pub struct Seeded<'a> {
    pub description: &'a Description,
}

impl TensorSource for Seeded<'_> {
    fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
        Ok(values(&families::hf_name(self.description.family, slot), shape.iter().product()))
    }

    fn has(&self, slot: Slot) -> bool {
        families::slots(self.description).iter().any(|(known, _)| *known == slot)
    }
}

/// An adapter on all linear layers, every number of it seeded, `B` too.
pub fn adapter(decoder: &Decoder, rank: usize, alpha: f64, rslora: bool) -> Adapter {
    let targets = families::linears(&decoder.description);
    let mut adapter = Adapter::zeros(decoder, &LoraConfig { rank, alpha, dropout: 0.0, targets, rslora });
    for tensor in adapter.tensors(&decoder.description) {
        let numbers = values(&short(&tensor.name), tensor.range.len());
        let numbers =
            if tensor.interleaved { from_file(&numbers, &decoder.description, tensor.shape[1]) } else { numbers };
        adapter.values[tensor.range].copy_from_slice(&numbers);
    }
    adapter
}

/// `lora_A.model.layers.0.self_attn.q_proj` for PEFT's `base_model.model.….lora_A.weight`.
pub fn short(peft: &str) -> String {
    let path = peft.strip_prefix("base_model.model.").and_then(|p| p.strip_suffix(".weight")).unwrap();
    let (module, which) = path.rsplit_once('.').unwrap();
    format!("{which}.{module}")
}

/// Rows of a `query_key_value` tensor as files have them, in the decoder's order.
pub fn from_file(rows: &[f32], description: &Description, width: usize) -> Vec<f32> {
    interleaved_rows(description).into_iter().flat_map(|r| rows[r * width..(r + 1) * width].to_vec()).collect()
}
