//! A decoder's frozen weights and an adapter's numbers on a device.

use super::ops::NormSpans;
use super::{DeviceError, Kind, Span};
use crate::model::decoder::{Block, Decoder, Fused, Product};
use crate::model::matrix::Matrix;
use crate::model::ops::norm;

use super::pool::{Buffer, Pool};

/// Linear layers that share their input.
pub struct Linear {
    /// `[outputs, inputs]`
    pub weight: Buffer,
    /// `[outputs]`, f32.
    pub bias: Option<Buffer>,
    pub inputs: usize,
    pub outputs: usize,
}

/// Scale and shift of a norm, f32.
pub struct NormWeights {
    scale: Buffer,
    bias: Option<Buffer>,
}

impl NormWeights {
    /// Where they lie.
    #[must_use]
    pub fn spans(&self) -> NormSpans {
        NormSpans { scale: self.scale.span, bias: self.bias.as_ref().map(|bias| bias.span) }
    }
}

/// One layer.
pub struct Layer {
    pub attention_norm: NormWeights,
    pub query_norm: Option<Buffer>,
    pub key_norm: Option<Buffer>,
    pub post_attention_norm: Option<NormWeights>,
    pub mlp_norm: NormWeights,
    pub post_mlp_norm: Option<NormWeights>,
    /// In the order of [`Product::ALL`].
    products: [Linear; 4],
}

impl Layer {
    /// One of its products.
    #[must_use]
    pub fn product(&self, product: Product) -> &Linear {
        &self.products[product as usize]
    }
}

/// All of a decoder.
pub struct Weights {
    /// `[vocab, hidden]`
    pub embedding: Buffer,
    /// `None` where the head is tied to the embedding.
    head: Option<Buffer>,
    pub final_norm: NormWeights,
    pub layers: Vec<Layer>,
}

impl Weights {
    /// Copies a decoder's weights: matrices as `kind`, the rest as f32.
    ///
    /// # Errors
    /// When the device has no room for them.
    pub fn upload(pool: &Pool, kind: Kind, decoder: &Decoder) -> Result<Self, DeviceError> {
        let layers = decoder.blocks.iter().map(|block| layer(pool, kind, block)).collect::<Result<_, _>>()?;
        Ok(Self {
            embedding: matrix(pool, kind, &decoder.embedding)?,
            head: if decoder.description.tied { None } else { Some(matrix(pool, kind, &decoder.head)?) },
            final_norm: norm_weights(pool, &decoder.final_norm)?,
            layers,
        })
    }

    /// The head's weight, `[vocab, hidden]`.
    #[must_use]
    pub fn head(&self) -> Span {
        self.head.as_ref().unwrap_or(&self.embedding).span
    }
}

fn layer(pool: &Pool, kind: Kind, block: &Block) -> Result<Layer, DeviceError> {
    let [qkv, output, mlp_in, down] = Product::ALL.map(|product| linear(pool, kind, block.product(product)));
    let scale = |values: &[f32]| if values.is_empty() { Ok(None) } else { floats(pool, values).map(Some) };
    let post = |weights: &norm::NormWeights| {
        if weights.scale.is_empty() { Ok(None) } else { norm_weights(pool, weights).map(Some) }
    };
    Ok(Layer {
        attention_norm: norm_weights(pool, &block.attention_norm)?,
        query_norm: scale(&block.query_norm)?,
        key_norm: scale(&block.key_norm)?,
        post_attention_norm: post(&block.post_attention_norm)?,
        mlp_norm: norm_weights(pool, &block.mlp_norm)?,
        post_mlp_norm: post(&block.post_mlp_norm)?,
        products: [qkv?, output?, mlp_in?, down?],
    })
}

fn linear(pool: &Pool, kind: Kind, fused: &Fused) -> Result<Linear, DeviceError> {
    let bias = if fused.bias.is_empty() { None } else { Some(floats(pool, &fused.bias)?) };
    let weight = matrix(pool, kind, &fused.weight)?;
    Ok(Linear { weight, bias, inputs: fused.weight.inputs(), outputs: fused.weight.outputs() })
}

fn norm_weights(pool: &Pool, weights: &norm::NormWeights) -> Result<NormWeights, DeviceError> {
    let bias = if weights.bias.is_empty() { None } else { Some(floats(pool, &weights.bias)?) };
    Ok(NormWeights { scale: floats(pool, &weights.scale)?, bias })
}

fn matrix(pool: &Pool, kind: Kind, matrix: &Matrix) -> Result<Buffer, DeviceError> {
    put(pool, kind, &matrix.to_f32())
}

/// f32 numbers that stay.
///
/// # Errors
/// When the device has no room for them.
pub fn floats(pool: &Pool, values: &[f32]) -> Result<Buffer, DeviceError> {
    put(pool, Kind::F32, values)
}

fn put(pool: &Pool, kind: Kind, values: &[f32]) -> Result<Buffer, DeviceError> {
    let buffer = pool.keep(values.len(), kind)?;
    write(pool, buffer.span, values)?;
    Ok(buffer)
}

/// Numbers turned into bytes at once.
const STRETCH: usize = 1 << 20;

/// Copies numbers to a span of f32 or bf16 of the same length.
///
/// # Errors
/// When the device fails.
pub fn write(pool: &Pool, to: Span, values: &[f32]) -> Result<(), DeviceError> {
    let mut bytes = Vec::with_capacity(STRETCH.min(values.len()) * to.kind.bytes());
    for (i, stretch) in values.chunks(STRETCH).enumerate() {
        bytes.clear();
        match to.kind {
            Kind::Bf16 => {
                bytes.extend(stretch.iter().flat_map(|&x| half::bf16::from_f32(x).to_bits().to_le_bytes()));
            }
            _ => bytes.extend(stretch.iter().flat_map(|x| x.to_le_bytes())),
        }
        pool.device().write(to.part(i * STRETCH, stretch.len()).at, &bytes)?;
    }
    Ok(())
}

/// Copies f32 numbers from the device.
///
/// # Errors
/// When the device fails.
pub fn read(pool: &Pool, from: Span, values: &mut [f32]) -> Result<(), DeviceError> {
    let mut bytes = vec![0; STRETCH.min(values.len()) * 4];
    for (i, stretch) in values.chunks_mut(STRETCH).enumerate() {
        let bytes = &mut bytes[..stretch.len() * 4];
        pool.device().read(from.part(i * STRETCH, stretch.len()).at, bytes)?;
        for (value, bytes) in stretch.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
    }
    Ok(())
}
