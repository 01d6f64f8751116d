//! A model in a Hugging Face folder: `config.json`, `tokenizer.json`, one or several `*.safetensors`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

use super::mapped::Mapped;
use super::{Facts, SourceError, fingerprint, quants, values};
use crate::model::description::{Description, Slot};
use crate::model::families::{self, Specials};
use crate::model::ops::packed::{Code, Panels};
use crate::model::tokenizer::json::Outline;
use crate::model::tokenizer::{self, Tokenizer, TokenizerError};

/// Configurations are a few kilobytes; the largest known tokenizer.json has 34 MB.
const LARGEST_CONFIG: u64 = 16 << 20;
const LARGEST_TOKENIZER: u64 = 512 << 20;

pub(super) struct Folder {
    path: PathBuf,
    shards: Vec<Mapped>,
    tensors: HashMap<String, Tensor>,
}

/// Where a tensor lies.
struct Tensor {
    shard: usize,
    kind: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<(Facts, Self), SourceError> {
        let config_path = path.join("config.json");
        if !config_path.is_file() {
            let reason = "it has no config.json; give a Hugging Face folder or a .gguf file".to_owned();
            return Err(SourceError::NoModel { path: path.to_owned(), reason });
        }
        let config = object(&config_path)?;
        let mut description = families::from_config(&config).map_err(|e| SourceError::broken(&config_path, e))?;
        let mut folder = Self { path: path.to_owned(), shards: Vec::new(), tensors: HashMap::new() };
        let mut hasher = blake3::Hasher::new();
        let mut file_bytes = 0;
        for shard in shards(path)? {
            file_bytes += folder.add(&shard, &mut hasher)?;
        }
        let optional = |name: &str| {
            let path = path.join(name);
            if path.is_file() { object(&path).map(Some) } else { Ok(None) }
        };
        let tokenizer_config = optional("tokenizer_config.json")?.unwrap_or_default();
        let generation = optional("generation_config.json")?.unwrap_or_default();
        let outline = outline(path)?;
        let tokens = Tokens::read(&config, &tokenizer_config, &generation, &outline);
        description.bos = tokens.bos.filter(|_| tokens.add_bos);
        description.eos = tokens.eos;
        let resolved = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let facts = Facts {
            name: resolved.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            description,
            chat_template: chat_template(path, &tokenizer_config)?,
            bos_text: tokens.bos_text,
            eos_text: tokens.eos_text,
            pad: tokens.pad,
            identity: hasher.finalize().to_hex().to_string(),
            file_bytes,
        };
        Ok((facts, folder))
    }

    /// Maps a shard and takes up its tensors. Returns its length in bytes.
    fn add(&mut self, path: &Path, hasher: &mut blake3::Hasher) -> Result<u64, SourceError> {
        let map = Mapped::open(path)?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| {
            SourceError::broken(path, format!("it is no whole safetensors file ({e}); download it again"))
        })?;
        let start = header + 8;
        let mut ranges = Vec::new();
        for (name, info) in metadata.tensors() {
            let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
            ranges.push(bytes.clone());
            let tensor = Tensor { shard: self.shards.len(), kind: info.dtype, shape: info.shape.clone(), bytes };
            if self.tensors.insert(name.clone(), tensor).is_some() {
                return Err(SourceError::broken(path, format!("its tensor {name} is in another shard already")));
            }
        }
        fingerprint(hasher, &map, start, &mut ranges);
        let length = map.len() as u64;
        self.shards.push(map);
        Ok(length)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|tensor| tensor.shape.clone())
    }

    /// Bytes of memory that all tensors take once they are read, those named `plain` as `f32`.
    pub(super) fn memory(&self, plain: &HashSet<String>) -> u64 {
        let kind = |name: &String, kind| match kind {
            _ if plain.contains(name) => GgmlDType::F32,
            Dtype::BF16 => GgmlDType::BF16,
            Dtype::F16 => GgmlDType::F16,
            _ => GgmlDType::F32,
        };
        self.tensors.iter().map(|(name, tensor)| quants::memory(kind(name, tensor.kind), &tensor.shape)).sum()
    }

    pub(super) fn tokenizer(&self) -> Result<Tokenizer, TokenizerError> {
        let failed = |e: SourceError| TokenizerError(e.to_string());
        tokenizer::json::tokenizer(&bytes(&self.path.join("tokenizer.json"), LARGEST_TOKENIZER).map_err(failed)?)
    }

    /// Shows `read` the bytes of a tensor and gives their pages back.
    fn once<T>(&self, name: &str, read: impl FnOnce(&Tensor, &[u8]) -> Result<T, String>) -> Result<T, String> {
        let tensor = self.tensors.get(name).ok_or_else(|| "is missing".to_owned())?;
        let shard = self.shards.get(tensor.shard).ok_or_else(|| "is in no shard".to_owned())?;
        let bytes = shard.get(tensor.bytes.clone()).ok_or_else(|| "lies outside its file".to_owned())?;
        let found = read(tensor, bytes);
        shard.give_back(tensor.bytes.clone());
        found
    }

    /// Reads a matrix of half-precision numbers as it is stored; `None` where it is stored as something else.
    pub(super) fn packed(&self, name: &str) -> Result<Option<Panels>, String> {
        self.once(name, |tensor, bytes| {
            let &[outputs, inputs] = tensor.shape.as_slice() else { return Ok(None) };
            match tensor.kind {
                Dtype::BF16 => quants::halves(bytes, Code::Bf16, outputs, inputs, &|row| row),
                Dtype::F16 => quants::halves(bytes, Code::F16, outputs, inputs, &|row| row),
                _ => Ok(None),
            }
        })
    }

    /// Reads a tensor into `out`, norm weights as the factors they stand for.
    pub(super) fn read(
        &self,
        name: &str,
        slot: Slot,
        description: &Description,
        out: &mut [f32],
    ) -> Result<(), String> {
        self.once(name, |tensor, bytes| values::from_float(bytes, tensor.kind, out))?;
        let offset = families::norm_offset(description.family);
        let norm = matches!(
            slot,
            Slot::FinalNorm
                | Slot::AttentionNorm(_)
                | Slot::MlpNorm(_)
                | Slot::PostAttentionNorm(_)
                | Slot::PostMlpNorm(_)
                | Slot::QueryNorm(_)
                | Slot::KeyNorm(_)
        );
        if norm && offset != 0.0 {
            for w in out {
                *w += offset;
            }
        }
        Ok(())
    }
}

/// The weight files of a folder, in the order of their names.
fn shards(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let index_path = folder.join("model.safetensors.index.json");
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    if !index_path.is_file() {
        let reason =
            if folder.join("pytorch_model.bin").is_file() || folder.join("pytorch_model.bin.index.json").is_file() {
                "its weights are pytorch_model.bin, which can run code when read; get or make a safetensors version"
            } else {
                "it has neither model.safetensors nor model.safetensors.index.json"
            };
        return Err(SourceError::NoModel { path: folder.to_owned(), reason: reason.to_owned() });
    }
    let index = object(&index_path)?;
    let names = index.get("weight_map").and_then(Value::as_object);
    let names = names.ok_or_else(|| SourceError::broken(&index_path, "it has no `weight_map`"))?;
    let mut files = Vec::new();
    for file in names.values() {
        // A shard lies beside its index: a name with a folder in it would read files elsewhere.
        let file = file.as_str().filter(|file| Path::new(file).file_name() == Some(file.as_ref()));
        let file = file.ok_or_else(|| SourceError::broken(&index_path, "its `weight_map` names no plain file"))?;
        files.push(folder.join(file));
    }
    files.sort();
    files.dedup();
    match files.iter().find(|file| !file.is_file()) {
        Some(missing) => Err(SourceError::broken(
            &index_path,
            format!("the shard {} is not there; download it again", missing.display()),
        )),
        None => Ok(files),
    }
}

/// The chat template: a file of its own, or a field of `tokenizer_config.json` (a text, or a list with a default).
fn chat_template(folder: &Path, tokenizer_config: &Map<String, Value>) -> Result<Option<String>, SourceError> {
    let path = folder.join("chat_template.jinja");
    if path.is_file() {
        let text = String::from_utf8(bytes(&path, LARGEST_CONFIG)?);
        return text.map(Some).map_err(|_| SourceError::broken(&path, "it is not valid UTF-8"));
    }
    let path = folder.join("chat_template.json");
    let in_file = if path.is_file() { object(&path)?.remove("chat_template") } else { None };
    Ok(match in_file.as_ref().or_else(|| tokenizer_config.get("chat_template")) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(templates)) => {
            let named = |name: &str| templates.iter().find(|t| t.get("name").and_then(Value::as_str) == Some(name));
            let template = named("default").or_else(|| templates.first());
            template.and_then(|t| t.get("template")).and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    })
}

fn outline(folder: &Path) -> Result<Outline, SourceError> {
    let path = folder.join("tokenizer.json");
    if path.is_file() {
        let json = bytes(&path, LARGEST_TOKENIZER)?;
        return Outline::read(&json).map_err(|e| SourceError::broken(&path, e));
    }
    let spm = ["tokenizer.model", "spiece.model"].iter().any(|name| folder.join(name).is_file());
    let reason = if spm {
        "it has only a SentencePiece model and no tokenizer.json; load it once with transformers' AutoTokenizer and \
         save it again with save_pretrained, which writes one"
    } else {
        "it has no tokenizer.json"
    };
    Err(SourceError::NoModel { path: folder.to_owned(), reason: reason.to_owned() })
}

/// Begin, end and padding tokens, gathered from the four files that speak of them.
struct Tokens {
    bos: Option<u32>,
    add_bos: bool,
    eos: Vec<u32>,
    pad: Option<u32>,
    bos_text: Option<String>,
    eos_text: Option<String>,
}

impl Tokens {
    fn read(
        config: &Map<String, Value>,
        tokenizer_config: &Map<String, Value>,
        generation: &Map<String, Value>,
        outline: &Outline,
    ) -> Self {
        let (config, generation) = (Specials::read(config), Specials::read(generation));
        // A token is written as its text, or as an object that has it as `content`.
        let named = |key: &str| {
            let value = tokenizer_config.get(key)?;
            value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
        };
        let id = |text: &Option<String>| text.as_deref().and_then(|text| outline.id_of(text));
        let text = |id: Option<u32>| id.and_then(|id| outline.token(id)).map(str::to_owned);
        let (bos_text, eos_text) = (named("bos_token"), named("eos_token"));
        let first = outline.first_token();
        let bos = first.or_else(|| id(&bos_text)).or(config.bos);
        // The tokenizer's own end token ends an answer; the others may end a generation too.
        let mut eos = Vec::new();
        for id in id(&eos_text).into_iter().chain(generation.eos).chain(config.eos) {
            if !eos.contains(&id) {
                eos.push(id);
            }
        }
        Self {
            bos,
            add_bos: tokenizer_config.get("add_bos_token").and_then(Value::as_bool).unwrap_or(first.is_some()),
            pad: id(&named("pad_token")).or(generation.pad).or(config.pad),
            bos_text: bos_text.or_else(|| text(bos)),
            eos_text: eos_text.or_else(|| text(eos.first().copied())),
            eos,
        }
    }
}

fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>, SourceError> {
    let length = std::fs::metadata(path).map_err(|e| SourceError::io(path, e))?.len();
    if length > largest {
        return Err(SourceError::broken(path, format!("it has {length} bytes, more than any such file")));
    }
    std::fs::read(path).map_err(|e| SourceError::io(path, e))
}

fn object(path: &Path) -> Result<Map<String, Value>, SourceError> {
    let json = bytes(path, LARGEST_CONFIG)?;
    serde_json::from_slice(&json).map_err(|e| SourceError::broken(path, format!("it is not a JSON object: {e}")))
}
