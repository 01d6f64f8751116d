//! What a decoder is made of: the numbers and switches that tell one model family from another.
//!
//! A family (`families/`) reads a checkpoint's configuration into a [`Description`] and names its tensors; the one
//! [`Decoder`](super::decoder::Decoder) runs whatever a description says. Nothing here touches a file.

use serde::{Deserialize, Serialize};

use super::ops::attention::Shape;
use super::ops::norm::Heads;

/// The checkpoint families togi reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `LlamaForCausalLM` and `MistralForCausalLM`: `SmolLM2`, Llama 3.x, Mistral.
    Llama,
    /// `Qwen2ForCausalLM`: biases on the q, k and v projections.
    Qwen2,
    /// `Qwen3ForCausalLM`: an RMS norm over each head of q and k.
    Qwen3,
    /// `Gemma3ForCausalLM`: local and global layers, norms after attention and MLP, scaled embeddings.
    Gemma3,
    /// `GPTNeoXForCausalLM`: `LayerNorm`, partial rotary, a plain MLP; `OpenCALM`, rinna, Pythia.
    GptNeox,
}

/// The normalisation in front of attention and MLP, and before the head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// `x / sqrt(mean(x^2) + eps) * w` (Zhang & Sennrich 2019, eq. 4). Gemma's `1 + w` is folded into `w` on loading.
    Rms { eps: f32 },
    /// `(x - mean) / sqrt(var + eps) * w + b` (Ba et al. 2016, eq. 4).
    Layer { eps: f32 },
}

impl Norm {
    /// What is added under the root.
    #[must_use]
    pub fn eps(self) -> f32 {
        match self {
            Self::Rms { eps } | Self::Layer { eps } => eps,
        }
    }
}

/// How rotary frequencies are stretched for long contexts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryScaling {
    None,
    /// Every frequency divided by `factor`.
    Linear {
        factor: f64,
    },
    /// Llama 3.1's rule: long wavelengths divided by `factor`, short ones kept, a smooth passage between.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_context: usize,
    },
}

/// Rotary position embedding (Su et al. 2021), in the half-split form: dimension `i` turns with `i + dims / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rotary {
    /// Leading dimensions of each head that turn; the rest pass through (`rotary_pct` of `GPT-NeoX`).
    pub dims: usize,
    /// Base of the geometric row of wavelengths (`rope_theta`).
    pub theta: f64,
    pub scaling: RotaryScaling,
}

/// The MLP's non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `GELU` by its tanh approximation (`gelu_pytorch_tanh`, `gelu_new`, `gelu_fast`).
    GeluTanh,
    /// `GELU` by the error function (`gelu`).
    GeluErf,
}

/// Everything the decoder needs to know about a model apart from its weights.
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own in the checkpoints' configurations
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub family: Family,
    /// Rows of the embedding table.
    pub vocab: usize,
    pub hidden: usize,
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads` (grouped-query attention).
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Width of the MLP's inner layer.
    pub intermediate: usize,
    /// Longest sequence the model was made for, in tokens.
    pub context: usize,
    pub norm: Norm,
    /// An RMS norm over each head of q and k before rotary (Qwen3, Gemma 3).
    pub qk_norm: bool,
    /// Norms on the outputs of attention and MLP, before the residual sum (Gemma 3).
    pub post_norms: bool,
    /// `y = x + attention(norm1(x)) + mlp(norm2(x))` in place of the two sums in turn (`GPT-NeoX`).
    pub parallel_residual: bool,
    pub qkv_bias: bool,
    /// A bias on the attention's output projection.
    pub output_bias: bool,
    pub mlp_bias: bool,
    /// `down(act(gate(x)) * up(x))`, or `down(act(up(x)))` where false.
    pub gated_mlp: bool,
    pub activation: Activation,
    /// The head shares the embedding table.
    pub tied: bool,
    /// Factor on embeddings (`sqrt(hidden)` for Gemma, 1 elsewhere).
    pub embedding_scale: f32,
    /// Factor on attention scores, `1 / sqrt(head_dim)` unless the family says otherwise.
    pub attention_scale: f32,
    pub rotary: Rotary,
    /// The rotary of local layers, where it differs (Gemma 3).
    pub local_rotary: Option<Rotary>,
    /// Tokens a local layer looks back on, itself included; `None` where every layer is global.
    pub window: Option<usize>,
    /// For each layer whether it is local, that is, bound by `window`. Empty: all global.
    pub local_layers: Vec<bool>,
    /// Token put before a text, if the model wants one.
    pub bos: Option<u32>,
    /// Tokens that end a generation; the first one ends a supervised answer.
    pub eos: Vec<u32>,
}

impl Description {
    /// Rows of the fused q|k|v projection.
    #[must_use]
    pub fn qkv_rows(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Rows of the first MLP projection: gate|up, or up alone.
    #[must_use]
    pub fn mlp_rows(&self) -> usize {
        if self.gated_mlp { 2 * self.intermediate } else { self.intermediate }
    }

    /// Whether layer `layer` sees only `window` tokens back.
    #[must_use]
    pub fn is_local(&self, layer: usize) -> bool {
        self.window.is_some() && self.local_layers.get(layer).copied().unwrap_or(false)
    }

    /// The rotary embedding of layer `layer`.
    #[must_use]
    pub fn rotary_of(&self, layer: usize) -> Rotary {
        match self.local_rotary {
            Some(local) if self.is_local(layer) => local,
            _ => self.rotary,
        }
    }

    /// How many tokens layer `layer` may look back on, itself included.
    #[must_use]
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        if self.is_local(layer) { self.window } else { None }
    }

    /// The attention of layer `layer`.
    #[must_use]
    pub fn attention(&self, layer: usize) -> Shape {
        Shape {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            scale: self.attention_scale,
            window: self.window_of(layer),
        }
    }

    /// The queries in rows of q|k|v.
    #[must_use]
    pub fn queries(&self) -> Heads {
        Heads { stride: self.qkv_rows(), first: 0, count: self.heads, dim: self.head_dim }
    }

    /// The keys in rows of q|k|v.
    #[must_use]
    pub fn keys(&self) -> Heads {
        Heads { first: self.heads * self.head_dim, count: self.kv_heads, ..self.queries() }
    }

    /// Number of parameters, embeddings counted once when tied.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let norm = match self.norm {
            Norm::Rms { .. } => self.hidden,
            Norm::Layer { .. } => 2 * self.hidden,
        };
        let q = self.heads * self.head_dim;
        let mut block = self.qkv_rows() * self.hidden + q * self.hidden;
        block += self.mlp_rows() * self.hidden + self.intermediate * self.hidden;
        block += norm * if self.post_norms { 4 } else { 2 };
        if self.qk_norm {
            block += 2 * self.head_dim;
        }
        if self.qkv_bias {
            block += self.qkv_rows();
        }
        if self.output_bias {
            block += self.hidden;
        }
        if self.mlp_bias {
            block += self.mlp_rows() + self.hidden;
        }
        let tables = if self.tied { 1 } else { 2 };
        tables * self.vocab * self.hidden + self.layers * block + norm
    }

    /// Refuses numbers that no decoder could have, so that a damaged file is found before memory is asked for.
    ///
    /// # Errors
    /// A sentence that names the field and its value.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("vocabulary", self.vocab),
            ("hidden size", self.hidden),
            ("layer count", self.layers),
            ("head count", self.heads),
            ("key/value head count", self.kv_heads),
            ("head size", self.head_dim),
            ("MLP size", self.intermediate),
            ("context length", self.context),
        ];
        for (name, value) in positive {
            if value == 0 || value > 1 << 26 {
                return Err(format!("its {name} is {value}, which no model has"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!("{} heads cannot share {} key/value heads", self.heads, self.kv_heads));
        }
        if self.layers > 1024 || self.heads > 4096 || self.head_dim > 4096 {
            return Err(format!(
                "{} layers of {} heads of {} is beyond any model",
                self.layers, self.heads, self.head_dim
            ));
        }
        for rotary in [Some(self.rotary), self.local_rotary].into_iter().flatten() {
            if rotary.dims == 0 || !rotary.dims.is_multiple_of(2) || rotary.dims > self.head_dim {
                return Err(format!("{} rotary dimensions do not fit heads of {}", rotary.dims, self.head_dim));
            }
            if !rotary.theta.is_finite() || rotary.theta <= 0.0 {
                return Err(format!("its rotary base is {}", rotary.theta));
            }
        }
        if self.window == Some(0) {
            return Err("its attention window is 0".to_owned());
        }
        if !self.local_layers.is_empty() && self.local_layers.len() != self.layers {
            return Err(format!("{} layer kinds for {} layers", self.local_layers.len(), self.layers));
        }
        Ok(())
    }
}

/// A linear layer of a block, by its role. Fused families map several roles to one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linear {
    Query,
    Key,
    Value,
    /// q, k and v in one tensor, interleaved per head (`GPT-NeoX`).
    QueryKeyValue,
    Output,
    Gate,
    Up,
    Down,
}

/// One tensor of a checkpoint, by its role in the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// `[vocab, hidden]`
    Embedding,
    /// `[hidden]`
    FinalNorm,
    FinalNormBias,
    /// `[vocab, hidden]`
    Head,
    /// `[hidden]`, in front of attention.
    AttentionNorm(usize),
    AttentionNormBias(usize),
    /// `[hidden]`, in front of the MLP.
    MlpNorm(usize),
    MlpNormBias(usize),
    /// `[hidden]`, on the attention's output.
    PostAttentionNorm(usize),
    /// `[hidden]`, on the MLP's output.
    PostMlpNorm(usize),
    /// `[head_dim]`
    QueryNorm(usize),
    /// `[head_dim]`
    KeyNorm(usize),
    /// `[out, in]`
    Weight(usize, Linear),
    /// `[out]`
    Bias(usize, Linear),
}
