//! The numbers that transformers, PEFT and torch gave, as `tests/reference/make.py` stored them.

use std::path::PathBuf;

use safetensors::SafeTensors;
use serde_json::Value;
use togi::model::description::Description;
use togi::model::families;

/// A file under `tests/reference`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

/// A stored JSON file.
pub fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap()
}

/// The description in a stored `config.json`.
pub fn description(name: &str) -> Description {
    families::from_config(json(&format!("configs/{name}.json")).as_object().unwrap()).unwrap()
}

/// A stored safetensors file.
pub struct Tensors(Vec<u8>);

impl Tensors {
    pub fn read(name: &str) -> Self {
        Self(std::fs::read(path(name)).unwrap())
    }

    /// All numbers of one tensor.
    pub fn get(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    /// How many tensors' names begin with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        SafeTensors::deserialize(&self.0).unwrap().names().iter().filter(|name| name.starts_with(prefix)).count()
    }
}

/// A list of token ids.
pub fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Euclidean distance over the reference's length.
pub fn distance(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let square = |x: f64| x * x;
    let apart: f64 = found.iter().zip(wanted).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let length: f64 = wanted.iter().map(|&b| square(f64::from(b))).sum();
    (apart / length).sqrt()
}

/// Fails unless `found` is within `limit` of `wanted`, relative to it; NaN fails too.
#[track_caller]
pub fn close(what: &str, found: &[f32], wanted: &[f32], limit: f64) {
    let distance = distance(found, wanted);
    assert!(distance < limit, "{what}: relative error {distance:.2e}, allowed {limit:.0e}");
}
