//! Reading numbers and switches out of a `config.json` or GGUF metadata, with messages that name the field.

use serde_json::{Map, Value};

use super::{FamilyError, names};
use crate::model::description::{Activation, Description, Family, Linear, Norm, Rotary, RotaryScaling, Slot};
use crate::model::weights::gguf::{self, Header};

/// More layers than this no model has; asked before anything is made per layer.
const MOST_LAYERS: usize = 1024;

/// Begin and end tokens as configurations write them: a number, or a list of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Specials {
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Vec<u32>,
    pub(crate) pad: Option<u32>,
}

impl Specials {
    /// Reads `bos_token_id`, `eos_token_id` and `pad_token_id`; what is no token id is passed over.
    pub(crate) fn read(object: &Map<String, Value>) -> Self {
        let one = |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let eos = match object.get("eos_token_id") {
            Some(Value::Array(list)) => list.iter().filter_map(|v| one(Some(v))).collect(),
            other => one(other).into_iter().collect(),
        };
        Self { bos: one(object.get("bos_token_id")), eos, pad: one(object.get("pad_token_id")) }
    }
}

/// A Hugging Face configuration.
pub(super) struct Config<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Config<'a> {
    /// The class that transformers would use.
    pub(super) fn architecture(&self) -> String {
        let first = self.0.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
        first.unwrap_or_default().to_owned()
    }

    /// The field, unless it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    pub(super) fn object(&self, name: &str) -> Option<Config<'a>> {
        self.get(name).and_then(Value::as_object).map(Config)
    }

    pub(super) fn count_maybe(&self, name: &str) -> Result<Option<usize>, FamilyError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count.map(Some).ok_or_else(|| FamilyError(format!("`{name}` is {}, not a whole number", shown(value))))
    }

    pub(super) fn count(&self, name: &str) -> Result<usize, FamilyError> {
        self.count_maybe(name)?.ok_or_else(|| FamilyError(format!("`{name}` is missing")))
    }

    pub(super) fn number_maybe(&self, name: &str) -> Result<Option<f64>, FamilyError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().filter(|x| x.is_finite());
        number.map(Some).ok_or_else(|| FamilyError(format!("`{name}` is {}, not a number", shown(value))))
    }

    pub(super) fn number(&self, name: &str, default: f64) -> Result<f64, FamilyError> {
        Ok(self.number_maybe(name)?.unwrap_or(default))
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, FamilyError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| FamilyError(format!("`{name}` is {}, not true or false", shown(value))))
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    pub(super) fn layers(&self) -> Result<usize, FamilyError> {
        let layers = self.count("num_hidden_layers")?;
        if layers > MOST_LAYERS {
            return Err(FamilyError(format!("`num_hidden_layers` is {layers}, which no model has")));
        }
        Ok(layers)
    }

    pub(super) fn activation(&self, name: &str, default: &str) -> Result<Activation, FamilyError> {
        match self.text(name).unwrap_or(default) {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Ok(Activation::GeluTanh),
            "gelu" => Ok(Activation::GeluErf),
            other => Err(FamilyError(format!(
                "`{name}` is {other:?}, which is not supported (silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh are)"
            ))),
        }
    }

    /// Refuses a switch that would change the arithmetic, unless it is off.
    pub(super) fn refuse(&self, name: &str) -> Result<(), FamilyError> {
        match self.get(name) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(Value::Number(n)) if n.as_f64() == Some(0.0) => Ok(()),
            Some(other) => Err(FamilyError(format!("`{name}` is {}, which is not supported", shown(other)))),
        }
    }

    /// For each layer whether it is local, by `layer_types`; `None` where the field is missing.
    pub(super) fn layer_types(&self, layers: usize) -> Result<Option<Vec<bool>>, FamilyError> {
        let Some(value) = self.get("layer_types") else { return Ok(None) };
        let kinds = value.as_array().map(Vec::as_slice).unwrap_or_default();
        if kinds.len() != layers {
            return Err(FamilyError(format!("`layer_types` has {} entries for {layers} layers", kinds.len())));
        }
        let kinds = kinds.iter().map(|kind| match kind.as_str() {
            Some("full_attention") => Ok(false),
            Some("sliding_attention") => Ok(true),
            _ => Err(FamilyError(format!("`layer_types` names {}, which is not supported", shown(kind)))),
        });
        kinds.collect::<Result<_, _>>().map(Some)
    }

    /// What every family that descends from Llama shares; the family then says where it differs.
    pub(super) fn decoder(&self, family: Family, rotary: impl Fn(usize) -> Rotary) -> Result<Description, FamilyError> {
        let hidden = self.count("hidden_size")?;
        let heads = self.count("num_attention_heads")?;
        if heads == 0 {
            return Err(FamilyError("`num_attention_heads` is 0".to_owned()));
        }
        let head_dim = self.count_maybe("head_dim")?.unwrap_or(hidden / heads);
        let specials = Specials::read(self.0);
        Ok(Description {
            family,
            vocab: self.count("vocab_size")?,
            hidden,
            layers: self.layers()?,
            heads,
            kv_heads: self.count_maybe("num_key_value_heads")?.unwrap_or(heads),
            head_dim,
            intermediate: self.count("intermediate_size")?,
            context: self.count_maybe("max_position_embeddings")?.unwrap_or(2048),
            norm: Norm::Rms { eps: self.number("rms_norm_eps", 1e-6)? as f32 },
            qk_norm: false,
            post_norms: false,
            parallel_residual: false,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            gated_mlp: true,
            activation: self.activation("hidden_act", "silu")?,
            tied: self.flag("tie_word_embeddings", false)?,
            embedding_scale: 1.0,
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            rotary: rotary(head_dim),
            local_rotary: None,
            window: None,
            local_layers: Vec::new(),
            bos: specials.bos,
            eos: specials.eos,
        })
    }
}

/// GGUF metadata of one architecture.
pub(super) struct Keys<'a> {
    pub(super) header: &'a Header,
    pub(super) architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.header.text(&self.key(name))
    }

    pub(super) fn count_maybe(&self, name: &str) -> Result<Option<usize>, FamilyError> {
        let key = self.key(name);
        if self.header.get(&key).is_none() {
            return Ok(None);
        }
        let count = self.header.unsigned(&key).and_then(|n| usize::try_from(n).ok());
        count.map(Some).ok_or_else(|| FamilyError(format!("its metadata `{key}` is not a whole number")))
    }

    pub(super) fn count(&self, name: &str) -> Result<usize, FamilyError> {
        let count = self.count_maybe(name)?;
        count.ok_or_else(|| FamilyError(format!("its metadata has no `{}`", self.key(name))))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, FamilyError> {
        let key = self.key(name);
        match self.header.get(&key) {
            None => Ok(None),
            Some(gguf::Value::Float(x)) if x.is_finite() => Ok(Some(*x)),
            Some(gguf::Value::Unsigned(n)) => Ok(Some(*n as f64)),
            Some(_) => Err(FamilyError(format!("its metadata `{key}` is not a number"))),
        }
    }

    pub(super) fn has(&self, slot: Slot) -> bool {
        self.header.tensor(&names::gguf(slot)).is_some()
    }

    /// What every GGUF architecture shares; the family then says where it differs.
    pub(super) fn decoder(&self, family: Family) -> Result<Description, FamilyError> {
        if self.count_maybe("expert_count")?.is_some_and(|n| n > 0) {
            return Err(FamilyError("it is a mixture of experts, which is not supported".to_owned()));
        }
        let hidden = self.count("embedding_length")?;
        let heads = self.count("attention.head_count")?;
        let layers = self.count("block_count")?;
        if heads == 0 || layers > MOST_LAYERS {
            return Err(FamilyError(format!("{layers} layers of {heads} heads are no model")));
        }
        let head_dim = self.count_maybe("attention.key_length")?.unwrap_or(hidden / heads);
        if self.count_maybe("attention.value_length")?.is_some_and(|n| n != head_dim) {
            return Err(FamilyError("its keys and values differ in length, which is not supported".to_owned()));
        }
        let dims = self.count_maybe("rope.dimension_count")?.unwrap_or(head_dim);
        let embedding = self.header.tensor(&names::gguf(Slot::Embedding));
        let vocab = embedding.and_then(|info| info.shape.first().copied());
        let eps = self.number("attention.layer_norm_rms_epsilon")?;
        Ok(Description {
            family,
            vocab: vocab.ok_or_else(|| FamilyError("it has no token_embd.weight".to_owned()))?,
            hidden,
            layers,
            heads,
            kv_heads: self.count_maybe("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            intermediate: self.count("feed_forward_length")?,
            context: self.count("context_length")?,
            norm: Norm::Rms {
                eps: eps.ok_or_else(|| FamilyError("its metadata has no norm epsilon".to_owned()))? as f32,
            },
            qk_norm: false,
            post_norms: false,
            parallel_residual: false,
            qkv_bias: self.has(Slot::Bias(0, Linear::Query)),
            output_bias: self.has(Slot::Bias(0, Linear::Output)),
            mlp_bias: self.has(Slot::Bias(0, Linear::Up)),
            gated_mlp: true,
            activation: Activation::Silu,
            tied: !self.has(Slot::Head),
            embedding_scale: 1.0,
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            rotary: Rotary {
                dims,
                theta: self.number("rope.freq_base")?.unwrap_or(10_000.0),
                scaling: RotaryScaling::None,
            },
            local_rotary: None,
            window: None,
            local_layers: Vec::new(),
            bos: None,
            eos: Vec::new(),
        })
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain(['…']).collect() }
}
