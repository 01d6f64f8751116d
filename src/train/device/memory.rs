//! What a training takes of a device's memory, counted before it starts.

use crate::model::description::Description;
use crate::model::device::{Kind, ops};
use crate::model::lora::LoraConfig;

use super::HELD;
use crate::model::device::pool::class;

/// A driver's context, its compiled kernels and the workspace of the products, in bytes. Reasoned (an H200's context takes about
/// half a GiB, the workspace 32 MiB), not measured.
const CONTEXT: u64 = 544 << 20;

/// Bytes of a device's memory, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The driver's own.
    pub context: u64,
    /// Frozen weights.
    pub weights: u64,
    /// The adapter with its working copy, gradient and moments.
    pub adapter: u64,
    /// What blocks keep for the backward.
    pub kept: u64,
    /// What comes and goes: the most of a block's backward, or logits held at once and their gradients.
    pub passing: u64,
}

impl Estimate {
    /// Of training an adapter `lora` on a model with passes of `rows` packed rows, of which `predicting` carry loss.
    #[must_use]
    pub fn of(d: &Description, kind: Kind, lora: &LoraConfig, [rows, predicting]: [usize; 2], recompute: bool) -> Self {
        let number = kind.bytes();
        let sized = |numbers: usize| class(numbers * number) as u64;
        let floats = |numbers: usize| class(numbers * 4) as u64;
        let wide = d.heads * d.head_dim;
        let count = lora.parameters(d);
        let adapter = 4 * 4 * count + if kind == Kind::F32 { 0 } else { number * count };

        // What a block keeps of `all` rows before the attention's output and of `kept` after it.
        let post = usize::from(d.post_norms) * 2;
        let ranks = lora.targets.len() * lora.rank;
        let block = |all: usize, kept: usize| {
            let before = sized(all * d.hidden) + sized(all * d.qkv_rows()) + floats(all * d.heads) + sized(all * wide);
            let after = (1 + post as u64) * sized(kept * d.hidden) + sized(kept * d.mlp_rows());
            let gathered = if kept < all { sized(kept * d.hidden) + sized(kept * wide) } else { 0 };
            before + after + gathered + sized(all * ranks)
        };
        let layers = d.layers as u64;
        // With recomputing a block's own come while its backward runs.
        let (kept, again) = if recompute {
            (layers * sized(rows * d.hidden), block(rows, rows) - sized(rows * d.hidden))
        } else {
            ((layers - 1) * block(rows, rows) + block(rows, predicting), 0)
        };
        // In passing, the more of two: in the MLP the activation, its gradient and its masked copy; in attention the gradients of
        // q|k|v and of attention's result, the norm's result, its gradient and what an adapter's dropout has masked. Beside either
        // the gradient of the block's result and, where the forward runs again, that result.
        let dropped = u64::from(lora.dropout > 0.0);
        let mlp = (2 + dropped) * sized(rows * d.intermediate);
        let attention = (1 + u64::from(d.qk_norm)) * sized(rows * d.qkv_rows())
            + sized(rows * wide)
            + (1 + dropped) * sized(rows * d.hidden)
            + floats(rows * d.heads);
        let blocks = again + mlp.max(attention) + 2 * sized(rows * d.hidden);
        let most = (HELD / d.vocab.max(1)).clamp(16, 4096).min(predicting.max(1));
        let states = 3 * sized(predicting * d.hidden);
        Self {
            context: CONTEXT,
            weights: (d.parameters() * number) as u64,
            adapter: (adapter + 8 * (2 + ops::PARTIALS)) as u64,
            kept,
            passing: blocks.max(floats(most * d.vocab) + sized(most * d.vocab) + states),
        }
    }

    /// In all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.context + self.weights + self.adapter + self.kept + self.passing
    }
}
