//! Low-rank adapters (Hu et al. 2021): `y = x W^T + scale * (x A^T) B^T`, `A` `[rank, in]`, `B` `[out, rank]`.
//!
//! All of an adapter's numbers lie in one flat vector, in the order of layers, products and members: the optimizer, the
//! gradient norm and the checkpoint see one array. Within a product the `A` of all its members are one matrix, so that
//! linear layers which share an input share a product for `x A^T` as well.

use std::ops::Range;

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

use super::decoder::{Decoder, Product, linear_shapes};
use super::description::{Description, Family, Linear};
use super::families;

/// What an adapter looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    pub rank: usize,
    pub alpha: f64,
    /// Probability of dropping an input of `A` in training. One mask serves all linear layers that share the input.
    pub dropout: f64,
    /// The adapted linear layers, by role.
    pub targets: Vec<Linear>,
    /// Scale by `alpha / sqrt(rank)` (Kalajdzievski 2023) in place of `alpha / rank`.
    pub rslora: bool,
}

impl LoraConfig {
    /// Numbers in an adapter of this kind for a model: `A`, `[rank, inputs]`, and `B`, `[outputs, rank]`, of each layer.
    #[must_use]
    pub fn parameters(&self, description: &Description) -> usize {
        let adapted = linear_shapes(description).into_iter().filter(|(linear, _)| self.targets.contains(linear));
        description.layers * adapted.map(|(_, [outputs, inputs])| self.rank * (outputs + inputs)).sum::<usize>()
    }

    /// The factor on the adapter's output.
    #[must_use]
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        (self.alpha / if self.rslora { rank.sqrt() } else { rank }) as f32
    }
}

/// One adapted linear layer within a product.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptedMember {
    pub linear: Linear,
    /// Columns of the product's output that it adds to.
    pub outputs: Range<usize>,
    /// Where its `B`, `[outputs, rank]`, begins in the flat vector.
    pub b: usize,
}

/// The adapted members of one product.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptedProduct {
    pub inputs: usize,
    pub rank: usize,
    /// Where the members' stacked `A`, `[members * rank, inputs]`, begins in the flat vector.
    pub a: usize,
    pub members: Vec<AdaptedMember>,
}

impl AdaptedProduct {
    /// Rows of the stacked `A`.
    #[must_use]
    pub fn ranks(&self) -> usize {
        self.rank * self.members.len()
    }

    /// The range of the stacked `A`.
    #[must_use]
    pub fn a_range(&self) -> Range<usize> {
        self.a..self.a + self.ranks() * self.inputs
    }

    /// The range of one member's `B`.
    #[must_use]
    pub fn b_range(&self, member: usize) -> Range<usize> {
        let member = &self.members[member];
        member.b..member.b + member.outputs.len() * self.rank
    }
}

/// One tensor of an adapter as PEFT names and shapes it.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterTensor {
    /// `base_model.model.….lora_A.weight` or `….lora_B.weight`.
    pub name: String,
    pub shape: [usize; 2],
    /// Its numbers in the flat vector.
    pub range: Range<usize>,
    /// `GPT-NeoX`'s `query_key_value` keeps its `B` rows in another order in files than here.
    pub interleaved: bool,
}

/// An adapter's numbers and where each lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    pub config: LoraConfig,
    pub values: Vec<f32>,
    /// For each layer its products, in the order of [`Product::ALL`].
    products: Vec<[Option<AdaptedProduct>; 4]>,
}

impl Adapter {
    /// An adapter that changes nothing yet: `A` uniform in `±1/sqrt(in)`, as PEFT's default (Kaiming's uniform with
    /// `a = sqrt(5)`), `B` zero.
    #[must_use]
    pub fn new(decoder: &Decoder, config: &LoraConfig, seed: u64) -> Self {
        let mut adapter = Self::zeros(decoder, config);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for product in adapter.products.iter().flatten().flatten() {
            let bound = 1.0 / (product.inputs as f32).sqrt();
            for value in &mut adapter.values[product.a_range()] {
                *value = rng.random_range(-bound..bound);
            }
        }
        adapter
    }

    /// An adapter of zeros.
    #[must_use]
    pub fn zeros(decoder: &Decoder, config: &LoraConfig) -> Self {
        let mut at = 0;
        let mut products = Vec::with_capacity(decoder.blocks.len());
        for block in &decoder.blocks {
            products.push(Product::ALL.map(|p| {
                let fused = block.product(p);
                let chosen: Vec<_> = fused.members.iter().filter(|m| config.targets.contains(&m.linear)).collect();
                if chosen.is_empty() {
                    return None;
                }
                let a = at;
                at += chosen.len() * config.rank * fused.inputs;
                let members = chosen
                    .into_iter()
                    .map(|member| {
                        let b = at;
                        at += member.rows.len() * config.rank;
                        AdaptedMember { linear: member.linear, outputs: member.rows.clone(), b }
                    })
                    .collect();
                Some(AdaptedProduct { inputs: fused.inputs, rank: config.rank, a, members })
            }));
        }
        Self { config: config.clone(), values: vec![0.0; at], products }
    }

    /// The adapted part of a layer's product, if any.
    #[must_use]
    pub fn product(&self, layer: usize, product: Product) -> Option<&AdaptedProduct> {
        self.products.get(layer)?[product as usize].as_ref()
    }

    /// Its tensors by PEFT's names.
    #[must_use]
    pub fn tensors(&self, description: &Description) -> Vec<AdapterTensor> {
        let mut tensors = Vec::new();
        for (layer, products) in self.products.iter().enumerate() {
            for product in products.iter().flatten() {
                for (i, member) in product.members.iter().enumerate() {
                    let module = families::peft_module(description, layer, member.linear);
                    let rows = product.a + i * product.rank * product.inputs;
                    tensors.push(AdapterTensor {
                        name: format!("base_model.model.{module}.lora_A.weight"),
                        shape: [product.rank, product.inputs],
                        range: rows..rows + product.rank * product.inputs,
                        interleaved: false,
                    });
                    tensors.push(AdapterTensor {
                        name: format!("base_model.model.{module}.lora_B.weight"),
                        shape: [member.outputs.len(), product.rank],
                        range: product.b_range(i),
                        interleaved: member.linear == Linear::QueryKeyValue && description.family == Family::GptNeox,
                    });
                }
            }
        }
        tensors
    }
}
