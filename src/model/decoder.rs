//! The one decoder's weights: what every family's checkpoint becomes in memory.
//!
//! Linear layers that read the same input lie in one matrix (q|k|v, gate|up), so that one product serves them all.
//! The training passes over it are in [`train::passes`](crate::train), inference in [`infer`](super::infer).

use std::ops::Range;

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::description::{Description, Family, Linear, Norm, Slot};
use super::matrix::Matrix;
use super::ops::norm::NormWeights;
use super::ops::pages;
use super::weights::{TensorError, TensorSource};

/// The four products of a block, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// q|k|v from the normed input.
    Qkv,
    /// The attention's output projection.
    Output,
    /// gate|up, or up alone.
    MlpIn,
    /// Back to the hidden size.
    Down,
}

impl Product {
    /// All four, in order.
    pub const ALL: [Self; 4] = [Self::Qkv, Self::Output, Self::MlpIn, Self::Down];
}

/// A linear layer of the checkpoint inside a fused matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub linear: Linear,
    /// Its rows in the fused matrix.
    pub rows: Range<usize>,
}

/// Linear layers that share their input, in one matrix.
#[derive(Clone, Debug, Default)]
pub struct Fused {
    /// `[outputs, inputs]`
    pub weight: Matrix,
    /// `[outputs]`, or empty.
    pub bias: Vec<f32>,
    pub inputs: usize,
    pub outputs: usize,
    pub members: Vec<Member>,
}

/// One layer.
#[derive(Clone, Debug, Default)]
pub struct Block {
    pub attention_norm: NormWeights,
    pub qkv: Fused,
    /// `[head_dim]` each, where the family norms q and k.
    pub query_norm: Vec<f32>,
    pub key_norm: Vec<f32>,
    pub output: Fused,
    /// Empty where the family has none.
    pub post_attention_norm: NormWeights,
    pub mlp_norm: NormWeights,
    pub mlp_in: Fused,
    pub down: Fused,
    /// Empty where the family has none.
    pub post_mlp_norm: NormWeights,
}

impl Block {
    /// The matrix of one product.
    #[must_use]
    pub fn product(&self, product: Product) -> &Fused {
        match product {
            Product::Qkv => &self.qkv,
            Product::Output => &self.output,
            Product::MlpIn => &self.mlp_in,
            Product::Down => &self.down,
        }
    }

    /// The matrix of one product, to change.
    pub fn product_mut(&mut self, product: Product) -> &mut Fused {
        match product {
            Product::Qkv => &mut self.qkv,
            Product::Output => &mut self.output,
            Product::MlpIn => &mut self.mlp_in,
            Product::Down => &mut self.down,
        }
    }
}

/// A model's weights, ready to run: matrices in `f32` or as their file stores them, the rest in `f32`.
#[derive(Clone, Debug)]
pub struct Decoder {
    pub description: Description,
    /// `[vocab, hidden]`
    pub embedding: Matrix,
    /// `[vocab, hidden]`; empty where the head is tied to the embedding.
    pub head: Matrix,
    pub final_norm: NormWeights,
    pub blocks: Vec<Block>,
}

/// The linear layers in each product of a family's block, with their widths.
fn members(description: &Description, product: Product) -> Vec<Member> {
    let d = description;
    let (q, kv) = (d.heads * d.head_dim, d.kv_heads * d.head_dim);
    let parts = match product {
        Product::Qkv if d.family == Family::GptNeox => vec![(Linear::QueryKeyValue, q + 2 * kv)],
        Product::Qkv => vec![(Linear::Query, q), (Linear::Key, kv), (Linear::Value, kv)],
        Product::Output => vec![(Linear::Output, d.hidden)],
        Product::MlpIn if d.gated_mlp => vec![(Linear::Gate, d.intermediate), (Linear::Up, d.intermediate)],
        Product::MlpIn => vec![(Linear::Up, d.intermediate)],
        Product::Down => vec![(Linear::Down, d.hidden)],
    };
    let mut start = 0;
    parts
        .into_iter()
        .map(|(linear, rows)| {
            start += rows;
            Member { linear, rows: start - rows..start }
        })
        .collect()
}

impl Fused {
    fn empty(description: &Description, product: Product) -> Self {
        let members = members(description, product);
        let inputs = match product {
            Product::Qkv | Product::MlpIn => description.hidden,
            Product::Output => description.heads * description.head_dim,
            Product::Down => description.intermediate,
        };
        let outputs = members.last().map_or(0, |m| m.rows.end);
        Self { weight: Matrix::default(), bias: Vec::new(), inputs, outputs, members }
    }

    fn load(
        source: &dyn TensorSource,
        description: &Description,
        layer: usize,
        product: Product,
    ) -> Result<Self, TensorError> {
        let mut fused = Self::empty(description, product);
        let biased = match product {
            Product::Qkv => description.qkv_bias,
            Product::Output => description.output_bias,
            Product::MlpIn | Product::Down => description.mlp_bias,
        };
        fused.weight = load_weight(source, description, layer, &fused.members, fused.inputs)?;
        for member in fused.members.iter().filter(|_| biased) {
            let mut bias = source.tensor(Slot::Bias(layer, member.linear), &[member.rows.len()])?;
            if member.linear == Linear::QueryKeyValue {
                bias = split_heads(&bias, description, 1);
            }
            fused.bias.extend_from_slice(&bias);
        }
        Ok(fused)
    }
}

/// Reads linear layers that share their input into one matrix: packed where all of them are, or each into its rows.
fn load_weight(
    source: &dyn TensorSource,
    description: &Description,
    layer: usize,
    members: &[Member],
    inputs: usize,
) -> Result<Matrix, TensorError> {
    let place = |member: &Member| (Slot::Weight(layer, member.linear), [member.rows.len(), inputs]);
    let mut packed = Vec::with_capacity(members.len());
    for member in members {
        let (slot, shape) = place(member);
        // The reordered rows of a fused q|k|v are not packed.
        packed.push(if member.linear == Linear::QueryKeyValue { None } else { source.packed(slot, shape)? });
    }
    if packed.iter().all(Option::is_some) {
        let parts = packed.into_iter().flatten().map(Matrix::from);
        return Ok(parts.fold(Matrix::default(), Matrix::then));
    }
    let mut values = pages::zeros(members.last().map_or(0, |member| member.rows.end) * inputs);
    for (member, packed) in members.iter().zip(packed) {
        let (slot, shape) = place(member);
        let out = &mut values[member.rows.start * inputs..member.rows.end * inputs];
        match packed {
            Some(panels) => Matrix::from(panels).write_to(out),
            None if member.linear == Linear::QueryKeyValue => {
                out.copy_from_slice(&split_heads(&source.tensor(slot, &shape)?, description, inputs));
            }
            None => source.tensor_into(slot, &shape, out)?,
        }
    }
    Ok(Matrix::plain(values, inputs))
}

/// For each row of q|k|v the row of a `query_key_value` tensor, which holds q, k and v of one head after the other.
#[must_use]
pub fn interleaved_rows(description: &Description) -> Vec<usize> {
    let (heads, dim) = (description.heads, description.head_dim);
    (0..3).flat_map(|part| (0..heads).flat_map(move |h| (0..dim).map(move |i| (h * 3 + part) * dim + i))).collect()
}

/// Reorders rows of width `width` from one head's q, k, v after the other to all q, all k, all v.
fn split_heads(rows: &[f32], description: &Description, width: usize) -> Vec<f32> {
    interleaved_rows(description).into_iter().flat_map(|row| &rows[row * width..(row + 1) * width]).copied().collect()
}

/// The linear layers of one block with their outputs and inputs.
pub(super) fn linear_shapes(description: &Description) -> Vec<(Linear, [usize; 2])> {
    let of = |product| {
        let fused = Fused::empty(description, product);
        fused.members.into_iter().map(move |member| (member.linear, [member.rows.len(), fused.inputs]))
    };
    Product::ALL.into_iter().flat_map(of).collect()
}

fn norm(
    source: &dyn TensorSource,
    description: &Description,
    scale: Slot,
    bias: Slot,
) -> Result<NormWeights, TensorError> {
    let shape = [description.hidden];
    let bias = match description.norm {
        Norm::Rms { .. } => Vec::new(),
        Norm::Layer { .. } => source.tensor(bias, &shape)?,
    };
    Ok(NormWeights { scale: source.tensor(scale, &shape)?, bias })
}

impl Decoder {
    /// Reads all weights of a checkpoint.
    ///
    /// # Errors
    /// When the description makes no decoder, or a tensor is missing, misshapen or unreadable.
    pub fn load(source: &dyn TensorSource, description: &Description) -> Result<Self, TensorError> {
        description.check().map_err(TensorError)?;
        let d = description;
        let table = [d.vocab, d.hidden];
        let mut blocks = Vec::with_capacity(d.layers);
        for layer in 0..d.layers {
            let head_norm = |slot| if d.qk_norm { source.tensor(slot, &[d.head_dim]) } else { Ok(Vec::new()) };
            let post_norm = |slot| -> Result<NormWeights, TensorError> {
                let scale = if d.post_norms { source.tensor(slot, &[d.hidden])? } else { Vec::new() };
                Ok(NormWeights { scale, bias: Vec::new() })
            };
            blocks.push(Block {
                attention_norm: norm(source, d, Slot::AttentionNorm(layer), Slot::AttentionNormBias(layer))?,
                qkv: Fused::load(source, d, layer, Product::Qkv)?,
                query_norm: head_norm(Slot::QueryNorm(layer))?,
                key_norm: head_norm(Slot::KeyNorm(layer))?,
                output: Fused::load(source, d, layer, Product::Output)?,
                post_attention_norm: post_norm(Slot::PostAttentionNorm(layer))?,
                mlp_norm: norm(source, d, Slot::MlpNorm(layer), Slot::MlpNormBias(layer))?,
                mlp_in: Fused::load(source, d, layer, Product::MlpIn)?,
                down: Fused::load(source, d, layer, Product::Down)?,
                post_mlp_norm: post_norm(Slot::PostMlpNorm(layer))?,
            });
        }
        Ok(Self {
            embedding: source.matrix(Slot::Embedding, table)?,
            head: if d.tied { Matrix::default() } else { source.matrix(Slot::Head, table)? },
            final_norm: norm(source, d, Slot::FinalNorm, Slot::FinalNormBias)?,
            blocks,
            description: d.clone(),
        })
    }

    /// A model from a random start: matrices normal with standard deviation 0.02, those that write to the residual
    /// stream divided by `sqrt(2 * layers)` (Radford et al. 2019, section 2.3), norms 1, biases 0.
    ///
    /// # Errors
    /// When the description makes no decoder.
    pub fn random(description: &Description, seed: u64) -> Result<Self, TensorError> {
        Self::load(&RandomStart { description, seed }, description)
    }

    /// The head's weight, `[vocab, hidden]`.
    #[must_use]
    pub fn head(&self) -> &Matrix {
        if self.description.tied { &self.embedding } else { &self.head }
    }

    /// Bytes of the matrices in memory: what decoding one token reads, but for the embedding table where it is not tied.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().flat_map(|block| Product::ALL.map(|p| block.product(p).weight.bytes()));
        self.head().bytes() + blocks.sum::<usize>()
    }

    /// Bytes of all weights in memory.
    #[must_use]
    pub fn all_bytes(&self) -> usize {
        let norm = |norm: &NormWeights| norm.scale.len() + norm.bias.len();
        let block = |block: &Block| {
            let norms = [&block.attention_norm, &block.post_attention_norm, &block.mlp_norm, &block.post_mlp_norm];
            let biases = Product::ALL.map(|p| block.product(p).bias.len());
            norms.into_iter().map(norm).chain(biases).sum::<usize>() + block.query_norm.len() + block.key_norm.len()
        };
        let small = norm(&self.final_norm) + self.blocks.iter().map(block).sum::<usize>();
        let table = if self.description.tied { 0 } else { self.embedding.bytes() };
        self.bytes() + table + small * size_of::<f32>()
    }

    /// The same model with every matrix in `f32`: what is to be trained whole.
    #[must_use]
    pub fn into_plain(mut self) -> Self {
        let plain = |matrix: &mut Matrix| *matrix = std::mem::take(matrix).into_plain();
        plain(&mut self.embedding);
        plain(&mut self.head);
        for block in &mut self.blocks {
            for product in Product::ALL {
                plain(&mut block.product_mut(product).weight);
            }
        }
        self
    }

    /// The same shapes filled with zeros: where a full-parameter step gathers its gradients.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        let mut zeros = self.clone();
        zeros.visit_mut(&mut |_, values| values.fill(0.0));
        zeros
    }

    /// Shows every tensor in a fixed order, fused matrices as they lie, with a name of the place. Packed matrices cannot
    /// be changed and have nothing to show: see [`Decoder::into_plain`].
    pub fn visit_mut(&mut self, see: &mut dyn FnMut(&str, &mut [f32])) {
        see("embedding", self.embedding.values_mut());
        see("head", self.head.values_mut());
        see("final_norm.scale", &mut self.final_norm.scale);
        see("final_norm.bias", &mut self.final_norm.bias);
        for (layer, block) in self.blocks.iter_mut().enumerate() {
            let mut one = |name: &str, values: &mut [f32]| see(&format!("blocks.{layer}.{name}"), values);
            one("attention_norm.scale", &mut block.attention_norm.scale);
            one("attention_norm.bias", &mut block.attention_norm.bias);
            one("query_norm", &mut block.query_norm);
            one("key_norm", &mut block.key_norm);
            one("post_attention_norm", &mut block.post_attention_norm.scale);
            one("mlp_norm.scale", &mut block.mlp_norm.scale);
            one("mlp_norm.bias", &mut block.mlp_norm.bias);
            one("post_mlp_norm", &mut block.post_mlp_norm.scale);
            for product in Product::ALL {
                let fused = block.product_mut(product);
                one(&format!("{product:?}.weight"), fused.weight.values_mut());
                one(&format!("{product:?}.bias"), &mut fused.bias);
            }
        }
    }

    /// Every tensor by the slot a checkpoint keeps it in, fused matrices split into their members.
    ///
    /// `GPT-NeoX`'s `query_key_value` comes in the checkpoint's order of rows.
    #[must_use]
    pub fn tensors(&self) -> Vec<(Slot, Vec<usize>, Vec<f32>)> {
        let d = &self.description;
        let mut all = Vec::new();
        let mut put = |slot, shape: &[usize], values: &[f32]| {
            if !values.is_empty() {
                all.push((slot, shape.to_vec(), values.to_vec()));
            }
        };
        put(Slot::Embedding, &[d.vocab, d.hidden], &self.embedding.to_f32());
        put(Slot::Head, &[d.vocab, d.hidden], &self.head.to_f32());
        put(Slot::FinalNorm, &[d.hidden], &self.final_norm.scale);
        put(Slot::FinalNormBias, &[d.hidden], &self.final_norm.bias);
        for (layer, block) in self.blocks.iter().enumerate() {
            put(Slot::AttentionNorm(layer), &[d.hidden], &block.attention_norm.scale);
            put(Slot::AttentionNormBias(layer), &[d.hidden], &block.attention_norm.bias);
            put(Slot::MlpNorm(layer), &[d.hidden], &block.mlp_norm.scale);
            put(Slot::MlpNormBias(layer), &[d.hidden], &block.mlp_norm.bias);
            put(Slot::PostAttentionNorm(layer), &[d.hidden], &block.post_attention_norm.scale);
            put(Slot::PostMlpNorm(layer), &[d.hidden], &block.post_mlp_norm.scale);
            put(Slot::QueryNorm(layer), &[d.head_dim], &block.query_norm);
            put(Slot::KeyNorm(layer), &[d.head_dim], &block.key_norm);
            for fused in Product::ALL.map(|p| block.product(p)) {
                let weight = fused.weight.to_f32();
                for member in &fused.members {
                    let rows = &weight[member.rows.start * fused.inputs..member.rows.end * fused.inputs];
                    let bias = fused.bias.get(member.rows.clone()).unwrap_or(&[]);
                    let shape = [member.rows.len(), fused.inputs];
                    if member.linear == Linear::QueryKeyValue {
                        let (rows, bias) = (join_heads(rows, d, fused.inputs), join_heads(bias, d, 1));
                        put(Slot::Weight(layer, member.linear), &shape, &rows);
                        put(Slot::Bias(layer, member.linear), &shape[..1], &bias);
                    } else {
                        put(Slot::Weight(layer, member.linear), &shape, rows);
                        put(Slot::Bias(layer, member.linear), &shape[..1], bias);
                    }
                }
            }
        }
        all
    }
}

/// The inverse of [`split_heads`]; an empty slice stays empty.
pub(crate) fn join_heads(rows: &[f32], description: &Description, width: usize) -> Vec<f32> {
    let mut joined = vec![0f32; rows.len()];
    for (from, to) in rows.chunks_exact(width).zip(interleaved_rows(description)) {
        joined[to * width..(to + 1) * width].copy_from_slice(from);
    }
    joined
}

/// Weights of [`Decoder::random`].
struct RandomStart<'a> {
    description: &'a Description,
    seed: u64,
}

impl TensorSource for RandomStart<'_> {
    fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
        let n = shape.iter().product();
        // Nguyen & Salazar 2019: sqrt(2 / 5h).
        let spread = (2.0 / (5.0 * self.description.hidden as f32)).sqrt();
        let spread = match slot {
            Slot::Weight(_, Linear::Output | Linear::Down) => spread / (2.0 * self.description.layers as f32).sqrt(),
            Slot::Weight(..) | Slot::Embedding | Slot::Head => spread,
            Slot::Bias(..) | Slot::FinalNormBias | Slot::AttentionNormBias(_) | Slot::MlpNormBias(_) => {
                return Ok(vec![0.0; n]);
            }
            _ => return Ok(vec![1.0; n]),
        };
        let name = format!("{slot:?}");
        let mut seed = *blake3::hash(name.as_bytes()).as_bytes();
        for (byte, extra) in seed.iter_mut().zip(self.seed.to_le_bytes()) {
            *byte ^= extra;
        }
        let mut rng = ChaCha8Rng::from_seed(seed);
        Ok(std::iter::repeat_with(|| normal(&mut rng) * spread).take(n).collect())
    }

    fn has(&self, _: Slot) -> bool {
        true
    }
}

/// One draw from the standard normal (Box & Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let u: f32 = 1.0 - rng.random::<f32>();
    let v: f32 = rng.random();
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f32::consts::PI * v).cos()
}
