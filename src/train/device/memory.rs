//! What a training takes of a device's memory, counted before it starts.

use crate::model::description::Description;
use crate::model::device::layers::stretch;
use crate::model::device::pool::class;
use crate::model::device::{Kind, ops};
use crate::model::lora::LoraConfig;

/// A driver's context, its compiled kernels and the workspace of the products, in bytes. Reasoned (an H200's context takes about
/// half a GiB, the workspace 32 MiB), not measured.
const CONTEXT: u64 = 544 << 20;

/// Bytes of a device's memory, by what they are for.
///
/// What samples on the way take is not counted: they begin by giving back all that passes have left, how much they ask for then
/// depends on where their answers end, and a run goes on without them where there is no room.
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
    /// What comes and goes: the most of a block's backward, or logits held at once and their gradients; of losses that are taken on
    /// the way what is more than that and what is kept.
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
        let most = stretch(d, predicting.max(1));
        let states = 3 * sized(predicting * d.hidden);
        Self {
            context: CONTEXT,
            weights: (d.parameters() * number) as u64,
            adapter: (adapter + 8 * (2 + ops::PARTIALS)) as u64,
            kept,
            passing: blocks.max(floats(most * d.vocab) + sized(most * d.vocab) + states),
        }
    }

    /// The same where losses are taken on the way, over packs of `rows` packed rows, of which `predicting` carry loss. Nothing of the
    /// steps lies there then, and no block keeps anything.
    #[must_use]
    pub fn with_losses(self, d: &Description, kind: Kind, lora: &LoraConfig, [rows, predicting]: [usize; 2]) -> Self {
        let sized = |numbers: usize| class(numbers * kind.bytes()) as u64;
        let floats = |numbers: usize| class(numbers * 4) as u64;
        let (state, attended) = (sized(rows * d.hidden), sized(rows * d.heads * d.head_dim));
        let adapted = sized(rows * lora.targets.len() * lora.rank);
        // Beside a block's input: the norm's result and q|k|v, then q|k|v and what attention makes of it; in the MLP what attention has
        // made, the middle, its norm's result, both sides of the activation.
        let attention = sized(rows * d.qkv_rows()) + state.max(attended + floats(rows * d.heads));
        let mlp = attended + 2 * state + sized(rows * d.mlp_rows()) + sized(rows * d.intermediate);
        let blocks = state + adapted + attention.max(mlp);
        let head = floats(stretch(d, predicting) * d.vocab) + 2 * sized(predicting * d.hidden) + floats(predicting);
        Self { passing: self.passing.max(blocks.max(head).saturating_sub(self.kept)), ..self }
    }

    /// In all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.context + self.weights + self.adapter + self.kept + self.passing
    }

    /// All but the driver's own, which is there already once a device is open.
    #[must_use]
    pub fn beside_context(&self) -> u64 {
        self.bytes() - self.context
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::model::device::emulated::Machine;
    use crate::model::device::fixtures::{adapter, decoder};
    use crate::train::batch::{Packed, Row, largest, packs_of_losses};
    use crate::train::device::Engine;
    use crate::train::optimizer::Moments;

    #[test]
    fn losses_over_longer_packs_than_the_steps_are_foretold_as_well() {
        let wide = json!({"hidden_size": 128, "intermediate_size": 352, "head_dim": 32, "num_hidden_layers": 5});
        let large = json!({"vocab_size": 3000});
        let row = |i: u32| {
            let tokens = (0..40).map(|t| (t * 7 + i * 13) % 131).collect();
            Row { tokens, weights: (0..40).map(|t| if t > 20 { 1.0 } else { 0.0 }).collect() }
        };
        let rows: Vec<Row> = (0..12).map(row).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        for (change, kind) in [(&wide, Kind::F32), (&wide, Kind::Bf16), (&large, Kind::F32), (&large, Kind::Bf16)] {
            let Some(machine) = Machine::new(None).map(Arc::new) else { return };
            let decoder = decoder(change.clone());
            let (d, adapter) = (&decoder.description, adapter(&decoder, 7));
            let moments = Moments::new(adapter.values.len());
            let mut engine = Engine::new(machine.clone(), kind, &decoder, &adapter, &moments).unwrap();
            engine.evaluate(&rows, 600).unwrap();
            let made: Vec<Packed> = packs_of_losses(&rows, 600).map(|(_, packed)| packed).collect();
            assert_eq!(made.len(), 1);
            let size = largest(&made);
            // A step of one row takes less than that.
            let steps = Estimate::of(d, kind, &adapter.config, [40, 19], false);
            let all = steps.with_losses(d, kind, &adapter.config, size);
            assert!(all.bytes() > steps.bytes(), "{kind}: {all:?} {steps:?}");
            let (told, used) = (all.beside_context() as f64, machine.peak() as f64);
            assert!((told / used - 1.0).abs() < 0.15, "{kind}: {told} told, {used} used, {all:?}");
        }
    }
}
