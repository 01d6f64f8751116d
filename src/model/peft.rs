//! Adapters as PEFT writes and reads them: `adapter_config.json` beside `adapter_model.safetensors`.
//!
//! Reading is strict: a key that is missing, or one that nothing here takes, is an error; an adapter that does not fit
//! would otherwise answer silently as the base model does.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::decoder::{Decoder, interleaved_rows};
use super::families;
use super::lora::{Adapter, LoraConfig};
use super::tensors;

/// The two files of an adapter.
pub const CONFIG: &str = "adapter_config.json";
/// The adapter's tensors.
pub const WEIGHTS: &str = "adapter_model.safetensors";
/// The same as PEFT once wrote it, a Python pickle.
const OLD_WEIGHTS: &str = "adapter_model.bin";

/// Why an adapter could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    File { action: &'static str, path: PathBuf, cause: String },
    /// The folder holds something else, or is none.
    #[error("there is no PEFT adapter in {}: {missing} is missing; name a folder that holds {CONFIG} and {WEIGHTS}{hint}", dir.display())]
    Absent { dir: PathBuf, missing: &'static str, hint: &'static str },
    /// A file is not whole.
    #[error("{} is cut short or damaged ({cause}); copy it again", path.display())]
    Damaged { path: PathBuf, cause: String },
    /// The configuration asks for something togi does not do.
    #[error("{} is no LoRA adapter that togi reads: {reason}", path.display())]
    Unsupported { path: PathBuf, reason: String },
    /// The tensors are not those the base model's layers would have.
    #[error("{} does not fit the base model: {reason}", path.display())]
    Unfit { path: PathBuf, reason: String },
}

/// `adapter_config.json`, in PEFT's names.
#[allow(clippy::struct_excessive_bools)] // PEFT's own switches
#[derive(Debug, Serialize, Deserialize)]
struct Config {
    peft_type: String,
    #[serde(default)]
    task_type: Option<String>,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    revision: Option<String>,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    target_modules: serde_json::Value,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    inference_mode: bool,
    #[serde(default)]
    init_lora_weights: serde_json::Value,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    modules_to_save: Option<serde_json::Value>,
    #[serde(default)]
    rank_pattern: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, serde_json::Value>,
}

/// What an adapter was trained on, for its configuration.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// Path or Hub id.
    pub name: String,
    pub revision: Option<String>,
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(&dyn std::fmt::Display) -> AdapterError {
    let path = path.to_owned();
    move |cause| AdapterError::File { action, path, cause: cause.to_string() }
}

/// Writes `adapter` into the folder `dir`, which must exist.
///
/// # Errors
/// When a file cannot be written.
pub fn write(adapter: &Adapter, decoder: &Decoder, base: &Base, dir: &Path) -> Result<(), AdapterError> {
    let d = &decoder.description;
    let targets: Vec<_> = adapter.config.targets.iter().map(|&l| families::short_name(l, d.family)).collect();
    let config = Config {
        peft_type: "LORA".into(),
        task_type: Some("CAUSAL_LM".into()),
        base_model_name_or_path: Some(base.name.clone()),
        revision: base.revision.clone(),
        r: adapter.config.rank,
        lora_alpha: adapter.config.alpha,
        lora_dropout: adapter.config.dropout,
        bias: Some("none".into()),
        target_modules: serde_json::json!(targets),
        fan_in_fan_out: false,
        inference_mode: true,
        init_lora_weights: serde_json::Value::Bool(true),
        use_rslora: adapter.config.rslora,
        use_dora: false,
        modules_to_save: None,
        rank_pattern: BTreeMap::new(),
        alpha_pattern: BTreeMap::new(),
    };
    let path = dir.join(CONFIG);
    let mut text = serde_json::to_string_pretty(&config).map_err(|e| file("write", &path)(&e))?;
    // PEFT writes a whole alpha as an integer; some readers of its files insist on that.
    if adapter.config.alpha.fract() == 0.0 {
        text = text.replace(
            &format!("\"lora_alpha\": {:?}", adapter.config.alpha),
            &format!("\"lora_alpha\": {}", adapter.config.alpha as i64),
        );
    }
    fs::write(&path, text + "\n").map_err(|e| file("write", &path)(&e))?;

    let numbers = adapter.tensors(d).into_iter().map(|t| {
        let values = &adapter.values[t.range.clone()];
        let values = if t.interleaved {
            let mut rows = vec![0f32; values.len()];
            for (from, to) in values.chunks_exact(t.shape[1]).zip(interleaved_rows(d)) {
                rows[to * t.shape[1]..(to + 1) * t.shape[1]].copy_from_slice(from);
            }
            Cow::Owned(rows)
        } else {
            Cow::Borrowed(values)
        };
        (t.name, Numbers { shape: t.shape.to_vec(), values })
    });
    let path = dir.join(WEIGHTS);
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    tensors::write(numbers, metadata, &path).map_err(|e| file("write", &path)(&e))
}

/// A tensor of `f32` that becomes bytes when it is written, one at a time.
pub(crate) struct Numbers<'a> {
    shape: Vec<usize>,
    values: Cow<'a, [f32]>,
}

impl<'a> Numbers<'a> {
    /// All of `values` in a row.
    pub(crate) fn flat(values: &'a [f32]) -> Self {
        Self { shape: vec![values.len()], values: Cow::Borrowed(values) }
    }
}

impl View for Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(bytemuck::cast_slice(&self.values));
        }
        Cow::Owned(le_bytes(&self.values))
    }

    fn data_len(&self) -> usize {
        size_of_val(&*self.values)
    }
}

/// The numbers as safetensors holds them.
pub(crate) fn le_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Reads one of an adapter's files.
fn bytes_of(dir: &Path, name: &'static str) -> Result<Vec<u8>, AdapterError> {
    let path = dir.join(name);
    fs::read(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let hint = if name == WEIGHTS && dir.join(OLD_WEIGHTS).exists() {
                " (adapter_model.bin is PEFT's older form: save the adapter again with safe_serialization=True)"
            } else {
                ""
            };
            AdapterError::Absent { dir: dir.to_owned(), missing: name, hint }
        }
        _ => file("read", &path)(&e),
    })
}

fn configuration(path: &Path, bytes: &[u8]) -> Result<Config, AdapterError> {
    serde_json::from_slice(bytes).map_err(|e| {
        if e.is_data() {
            return AdapterError::Unsupported { path: path.to_owned(), reason: e.to_string() };
        }
        AdapterError::Damaged { path: path.to_owned(), cause: e.to_string() }
    })
}

fn whole<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, AdapterError> {
    SafeTensors::deserialize(bytes).map_err(|e| AdapterError::Damaged { path: path.to_owned(), cause: e.to_string() })
}

/// The two files of the adapter in the folder `dir` by their names, as they are, for a copy of it. Whether the adapter fits a model
/// is not looked at.
///
/// # Errors
/// When a file is missing or damaged, or holds no LoRA adapter.
pub fn files(dir: &Path) -> Result<[(&'static str, Vec<u8>); 2], AdapterError> {
    let (text, bytes) = (bytes_of(dir, CONFIG)?, bytes_of(dir, WEIGHTS)?);
    let path = dir.join(CONFIG);
    let config = configuration(&path, &text)?;
    if config.peft_type != "LORA" {
        let reason = format!("its peft_type is {:?}", config.peft_type);
        return Err(AdapterError::Unsupported { path, reason });
    }
    let path = dir.join(WEIGHTS);
    if !whole(&path, &bytes)?.names().iter().any(|name| name.contains(".lora_")) {
        let reason = "it has no tensor of a LoRA".to_owned();
        return Err(AdapterError::Unsupported { path, reason });
    }
    Ok([(CONFIG, text), (WEIGHTS, bytes)])
}

/// Reads the adapter in the folder `dir` for the model `decoder`.
///
/// # Errors
/// When a file is missing or damaged, the adapter is of another kind, or its tensors are not exactly those that the
/// model's layers take.
pub fn read(dir: &Path, decoder: &Decoder) -> Result<Adapter, AdapterError> {
    let d = &decoder.description;
    let path = dir.join(CONFIG);
    let config = configuration(&path, &bytes_of(dir, CONFIG)?)?;
    let unsupported = |reason: String| AdapterError::Unsupported { path: path.clone(), reason };
    if config.peft_type != "LORA" {
        return Err(unsupported(format!("its peft_type is {:?}, and only LORA is read", config.peft_type)));
    }
    let named = |v: &Option<serde_json::Value>| v.as_ref().is_some_and(|v| v.as_array().is_none_or(|a| !a.is_empty()));
    for (wrong, what) in [
        (config.use_dora, "it uses DoRA"),
        (config.fan_in_fan_out, "fan_in_fan_out is on"),
        (!config.rank_pattern.is_empty(), "its ranks differ between layers (rank_pattern)"),
        (!config.alpha_pattern.is_empty(), "its alphas differ between layers (alpha_pattern)"),
        (config.bias.as_deref().is_some_and(|b| b != "none"), "it trains biases"),
        (named(&config.modules_to_save), "it carries whole modules (modules_to_save)"),
        (config.r == 0, "its rank is 0"),
    ] {
        if wrong {
            return Err(unsupported(what.to_owned()));
        }
    }

    let path = dir.join(WEIGHTS);
    let bytes = bytes_of(dir, WEIGHTS)?;
    let tensors = whole(&path, &bytes)?;
    let unfit = |reason: String| AdapterError::Unfit { path: path.clone(), reason };
    // The adapted layers are those whose tensors are there; PEFT's target_modules may be a pattern.
    let targets: Vec<_> = families::linears(d)
        .into_iter()
        .filter(|&l| {
            (0..d.layers).any(|layer| {
                let module = families::peft_module(d, layer, l);
                tensors.tensor(&format!("base_model.model.{module}.lora_A.weight")).is_ok()
            })
        })
        .collect();
    if targets.is_empty() {
        let first = tensors.names().into_iter().min().map_or("none at all".to_owned(), |n| format!("such as {n}"));
        return Err(unfit(format!("none of its tensors ({first}) belongs to a layer of this model")));
    }
    let lora = LoraConfig {
        rank: config.r,
        alpha: config.lora_alpha,
        dropout: config.lora_dropout,
        targets,
        rslora: config.use_rslora,
    };
    // Names and shapes first: the rank is only a word until tensors of that size are there, and memory is asked for after that.
    let frame = Adapter::zeros(decoder, &LoraConfig { rank: 1, ..lora.clone() }).tensors(d);
    let names: HashSet<_> = frame.iter().map(|t| t.name.as_str()).collect();
    let mut unexpected: Vec<_> = tensors.names().into_iter().filter(|n| !names.contains(n)).collect();
    unexpected.sort_unstable();
    if let Some(name) = unexpected.first() {
        return Err(unfit(format!("{} of its tensors belong to no layer, {name} among them", unexpected.len())));
    }
    for t in frame {
        let view = tensors.tensor(&t.name).map_err(|_| unfit(format!("{} is missing", t.name)))?;
        let [rows, columns] = t.shape;
        let takes = if t.name.ends_with("lora_A.weight") { [config.r, columns] } else { [rows, config.r] };
        if view.shape() != takes {
            return Err(unfit(format!(
                "{} is {:?}, the model's layer takes {takes:?} at the rank of {} that {CONFIG} names",
                t.name,
                view.shape(),
                config.r
            )));
        }
    }
    let mut adapter = Adapter::zeros(decoder, &lora);
    for t in adapter.tensors(d) {
        let view = tensors.tensor(&t.name).map_err(|_| unfit(format!("{} is missing", t.name)))?;
        let values = floats(view.dtype(), view.data())
            .ok_or_else(|| unfit(format!("{} has numbers of type {:?}", t.name, view.dtype())))?;
        let target = &mut adapter.values[t.range.clone()];
        if t.interleaved {
            for (to, from) in target.chunks_exact_mut(t.shape[1]).zip(interleaved_rows(d)) {
                to.copy_from_slice(&values[from * t.shape[1]..(from + 1) * t.shape[1]]);
            }
        } else {
            target.copy_from_slice(&values);
        }
    }
    if let Some(bad) = adapter.values.iter().find(|v| !v.is_finite()) {
        return Err(unfit(format!("it holds a number that is not finite ({bad})")));
    }
    Ok(adapter)
}

/// Little-endian floats as `f32`; `None` for any other type.
fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves =
        |convert: fn([u8; 2]) -> f32| bytes.chunks_exact(2).filter_map(|c| c.try_into().ok()).map(convert).collect();
    match dtype {
        Dtype::F32 => Some(bytes.chunks_exact(4).filter_map(|c| c.try_into().ok()).map(f32::from_le_bytes).collect()),
        Dtype::F16 => Some(halves(|b| half::f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Some(halves(|b| half::bf16::from_le_bytes(b).to_f32())),
        _ => None,
    }
}
