//! Where weights come from: a GGUF file, a Hugging Face folder, the Hub.

use super::description::Slot;

/// Why a tensor could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TensorError(pub String);

/// Something that hands out a decoder's tensors by role, as `f32` in row-major order.
///
/// Layouts are those of Hugging Face checkpoints: linear weights `[out, in]`, rotary in the half-split form (GGUF's
/// permutation of Llama's q and k undone), norm weights as they are multiplied (Gemma's `1 + w` already added).
pub trait TensorSource {
    /// Reads the tensor in `slot`, which must have exactly `shape`.
    ///
    /// # Errors
    /// When the tensor is missing, has another shape, or cannot be read.
    fn tensor(&self, slot: Slot, shape: &[usize]) -> Result<Vec<f32>, TensorError>;

    /// Whether the checkpoint has a tensor in `slot`.
    fn has(&self, slot: Slot) -> bool;
}
