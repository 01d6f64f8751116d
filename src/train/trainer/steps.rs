//! Optimizer steps: one on the processor, several on a device before what they found is read.

use std::time::Instant;

use crate::model::device::DeviceError;
use crate::train::batch::{Row, packs};
use crate::train::device;
use crate::train::optimizer::{clip_factor, norm};
use crate::train::settings::Settings;
use crate::train::step::{Options, Sink};

use super::{Trained, Trainer, chosen};

/// Seconds of a device's work that are asked for before what it found is read: so long nobody sees a loss, nor is a command heard.
const UNSEEN_S: f64 = 0.25;

/// A step that was done.
pub(super) struct Done {
    pub step: u64,
    /// Mean over the supervised tokens in nats.
    pub loss: f64,
    pub learning_rate: f64,
    /// The gradient's norm before clipping.
    pub norm: f64,
    pub tokens: u64,
    pub supervised: u64,
    pub seconds: f64,
}

impl Done {
    fn new(step: u64, learning_rate: f64, rows: &[&Row]) -> Self {
        let tokens = rows.iter().map(|row| row.tokens.len() as u64).sum();
        let supervised = rows.iter().map(|row| row.supervised() as u64).sum();
        Self { step, loss: f64::NAN, learning_rate, norm: f64::NAN, tokens, supervised, seconds: 0.0 }
    }
}

/// Steps that are asked of a device at once where one took `seconds` and `left` may come before something else is due.
fn at_once(seconds: Option<f64>, left: u64) -> u64 {
    let some = seconds.map_or(1.0, |seconds| (UNSEEN_S / seconds.max(1e-6)).clamp(1.0, device::AHEAD as f64));
    (some as u64).min(left.max(1))
}

/// Dropout's probability and the numbers its masks are drawn from.
fn dropout(settings: &Settings, step: u64) -> Option<(f32, [u64; 2])> {
    (settings.dropout > 0.0).then_some((settings.dropout as f32, [settings.seed, step]))
}

impl Trainer<'_> {
    /// The steps from `first` on, up to `last` at most: one, or a few of a device's. Where the loss or the gradient of one is no finite
    /// number, it has changed nothing.
    pub(super) fn steps(&mut self, first: u64, last: u64) -> Result<Vec<Done>, DeviceError> {
        let started = Instant::now();
        let count = if self.device.is_some() { at_once(self.device_step_s, last - first + 1) } else { 1 };
        let settings = &self.plan.settings;
        let rate = settings.rate(self.plan.steps);
        let (mut done, mut batches) = (Vec::new(), Vec::new());
        for step in first..first + count {
            let chosen = chosen(step, self.data.train.len(), settings.batch, settings.seed);
            let rows: Vec<&Row> = chosen.iter().map(|&i| &self.data.train[i]).collect();
            done.push(Done::new(step, rate.at(step), &rows));
            batches.push(chosen);
        }
        if self.device.is_some() {
            self.device_steps(&batches, &mut done)?;
            let each = started.elapsed().as_secs_f64() / count as f64;
            self.device_step_s = Some(each);
            for done in &mut done {
                done.seconds = each;
            }
        } else if let (Some(batch), Some(done)) = (batches.first(), done.first_mut()) {
            (done.loss, done.norm) = self.step(batch, done.step, done.learning_rate);
            done.seconds = started.elapsed().as_secs_f64();
        }
        Ok(done)
    }

    fn device_steps(&mut self, batches: &[Vec<usize>], done: &mut [Done]) -> Result<(), DeviceError> {
        let Some(engine) = &mut self.device else { return Ok(()) };
        let settings = &self.plan.settings;
        let asked: Vec<_> = batches
            .iter()
            .zip(&*done)
            .map(|(batch, done)| device::Step {
                rows: batch.iter().map(|&i| &self.data.train[i]).collect(),
                options: device::Options {
                    pass_tokens: settings.pass_tokens,
                    share_prefix: settings.share_prefix,
                    recompute: settings.checkpointing,
                    dropout: dropout(settings, done.step),
                },
                update: device::Update { adam: settings.adam(), rate: done.learning_rate, clip: settings.clip },
            })
            .collect();
        for ((done, asked), found) in done.iter_mut().zip(&asked).zip(engine.steps(&asked)?) {
            let weight: f64 = asked.rows.iter().map(|row| row.weight()).sum();
            (done.loss, done.norm) = (if weight > 0.0 { found.loss / weight } else { 0.0 }, found.norm);
        }
        Ok(())
    }

    /// One step on the processor; returns the mean loss and the gradient's norm before clipping. Where either is no finite
    /// number, nothing is changed.
    fn step(&mut self, batch: &[usize], step: u64, learning_rate: f64) -> (f64, f64) {
        let settings = &self.plan.settings;
        let rows: Vec<&Row> = batch.iter().map(|&i| &self.data.train[i]).collect();
        let weight: f64 = rows.iter().map(|row| row.weight()).sum();
        let scale = if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };
        self.gradient.fill(0.0);
        if let Trained::Full(gradients) = &mut self.trained {
            gradients.visit_mut(&mut |_, values| values.fill(0.0));
        }
        let mut sum = 0.0;
        let dropout = dropout(settings, step);
        for packed in packs(&rows, settings.pass_tokens, settings.share_prefix) {
            let options = Options { dropout, recompute: settings.checkpointing, scale };
            let losses = match &mut self.trained {
                Trained::Adapter(adapter) => {
                    let sink = Sink::Adapter(&mut self.gradient);
                    self.engine.step(&self.decoder, Some(adapter), &packed, options, sink)
                }
                Trained::Full(gradients) => {
                    self.engine.step(&self.decoder, None, &packed, options, Sink::Full(gradients))
                }
            };
            sum += losses.sum(&packed);
        }
        if let Trained::Full(gradients) = &mut self.trained {
            let mut at = 0;
            gradients.visit_mut(&mut |_, values| {
                self.gradient[at..at + values.len()].copy_from_slice(values);
                at += values.len();
            });
        }
        let gradient_norm = norm(&self.gradient);
        let loss = if weight > 0.0 { sum / weight } else { 0.0 };
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return (loss, gradient_norm);
        }
        let factor = clip_factor(gradient_norm, settings.clip);
        let adam = settings.adam();
        self.moments.begin();
        match &mut self.trained {
            Trained::Adapter(adapter) => {
                self.moments.apply(adam, learning_rate, factor, 0, true, &mut adapter.values, &self.gradient);
            }
            Trained::Full(_) => {
                let (mut at, moments, gradient) = (0, &mut self.moments, &self.gradient);
                self.decoder.visit_mut(&mut |name, values| {
                    let decays = name.ends_with("weight") || name == "embedding" || name == "head";
                    let stretch = &gradient[at..at + values.len()];
                    moments.apply(adam, learning_rate, factor, at, decays, values, stretch);
                    at += values.len();
                });
            }
        }
        (loss, gradient_norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_steps_are_asked_for_together_and_long_ones_alone() {
        assert_eq!(at_once(None, 100), 1, "nothing is known yet");
        assert_eq!(at_once(Some(0.002), 100), device::AHEAD as u64);
        assert_eq!(at_once(Some(0.1), 100), 2);
        assert_eq!(at_once(Some(3.0), 100), 1);
        assert_eq!(at_once(Some(0.0), 3), 3, "something is due then");
    }
}
