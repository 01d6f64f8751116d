//! How large a plan's packs will be, counted before it starts: a device has to have room for the largest.

use super::batch::{Row, micro_batches, shared_prefix};
use super::settings::Settings;
use super::trainer::chosen;

/// Epochs that are looked at. Each has an order of its own, so that a later one may still make a pack that is a little larger.
const EPOCHS: u64 = 8;

/// The most packed rows that a plan's packs hold, and the most of them that carry loss; these two may be of different packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanPacks {
    /// Of its steps.
    pub steps: [usize; 2],
    /// Of the losses that are taken over the validation rows on the way.
    pub losses: [usize; 2],
}

impl PlanPacks {
    /// Of `steps` steps over the rows `train`, which are all that the run will have, in their order, and of losses over `valid`, in
    /// passes of `pass_tokens` tokens. The packs of the first eight epochs are counted.
    #[must_use]
    pub fn of(train: &[Row], valid: &[Row], settings: &Settings, pass_tokens: usize, steps: u64) -> Self {
        let batch = settings.batch.max(1);
        let each = train.len().div_ceil(batch) as u64;
        let epochs = if each == 0 { 0 } else { steps.div_ceil(each).min(EPOCHS) };
        let mut found = Self::default();
        for epoch in 0..epochs {
            // With all rows in one batch a step is an epoch, and what is chosen for it is the epoch's order.
            let order = chosen(epoch + 1, train.len(), train.len(), settings.seed);
            let left = (steps - epoch * each).min(each) as usize;
            for step in order.chunks(batch).take(left) {
                let rows: Vec<&Row> = step.iter().map(|&i| &train[i]).collect();
                found.steps = larger(found.steps, of_step(&rows, pass_tokens, settings.share_prefix));
            }
        }
        let valid: Vec<&Row> = valid.iter().collect();
        let prefix = shared_prefix(&valid, true);
        let packs = micro_batches(&valid, pass_tokens, prefix);
        // There each pack shares what its own rows begin with.
        found.losses = packs.iter().map(|rows| size(rows, shared_prefix(rows, true))).fold([0, 0], larger);
        found
    }
}

/// The same of the packs of one step's rows, without packing them.
fn of_step(rows: &[&Row], budget: usize, share: bool) -> [usize; 2] {
    let prefix = shared_prefix(rows, share);
    micro_batches(rows, budget, prefix).iter().map(|rows| size(rows, prefix)).fold([0, 0], larger)
}

/// The rows of one pack, and those that carry loss.
fn size(rows: &[&Row], prefix: usize) -> [usize; 2] {
    // A row alone has its beginning in itself.
    let shared = if rows.len() > 1 { prefix } else { 0 };
    let own: usize = rows.iter().map(|row| row.tokens.len() - shared).sum();
    [shared + own, rows.iter().map(|row| row.supervised()).sum()]
}

fn larger([rows, predicting]: [usize; 2], [other, others]: [usize; 2]) -> [usize; 2] {
    [rows.max(other), predicting.max(others)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::batch::{Packed, largest, packs, packs_of_losses};

    #[test]
    fn the_largest_packs_are_those_that_the_plans_steps_and_evaluations_make() {
        let row = |i: usize| {
            let length = 24 + i * 17 % 40;
            let token = |t: usize| if t < 12 { t } else { 100 + t * 31 + i * 17 };
            let weight = |t: usize| if t > 14 + i % 5 { 1.0 } else { 0.0 };
            Row { tokens: (0..length).map(|t| token(t) as u32).collect(), weights: (0..length).map(weight).collect() }
        };
        let (train, valid): (Vec<Row>, Vec<Row>) = ((0..23).map(row).collect(), (30..37).map(row).collect());
        let plans = [(true, 120, 4, 17), (false, 120, 4, 17), (true, 30, 5, 5), (true, 4000, 7, 3), (true, 100, 1, 2)];
        for (share_prefix, pass_tokens, batch, steps) in plans {
            let settings = Settings { batch, share_prefix, ..Settings::default() };
            let mut made: Vec<Packed> = Vec::new();
            for step in 1..=steps {
                let order = chosen(step, train.len(), batch, settings.seed);
                let rows: Vec<&Row> = order.iter().map(|&i| &train[i]).collect();
                made.extend(packs(&rows, pass_tokens, share_prefix));
            }
            let rows: Vec<&Row> = valid.iter().collect();
            let of_losses: Vec<Packed> = packs_of_losses(&rows, pass_tokens).map(|(_, packed)| packed).collect();
            let expected = PlanPacks { steps: largest(&made), losses: largest(&of_losses) };
            assert_eq!(PlanPacks::of(&train, &valid, &settings, pass_tokens, steps), expected, "{settings:?}");
        }
        let nothing = PlanPacks::of(&[], &[], &Settings::default(), 2048, 3);
        assert_eq!(nothing, PlanPacks::default(), "without rows there are no packs");
    }
}
