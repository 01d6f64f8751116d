//! Optimizer steps: one on the processor, several on a device before what they found is read.

use std::ops::Range;
use std::time::Instant;

use crate::model::device::DeviceError;
use crate::train::batch::{Row, packs};
use crate::train::device;
use crate::train::optimizer::{clip_factor, norm};
use crate::train::settings::Settings;
use crate::train::step::{Options, Sink};

use super::{Data, Trained, Trainer, chosen};

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

/// The rows of a step.
fn rows<'a>(data: &'a Data, settings: &Settings, step: u64) -> Vec<&'a Row> {
    chosen(step, data.train.len(), settings.batch, settings.seed).into_iter().map(|i| &data.train[i]).collect()
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
        let mut done = if self.device.is_some() {
            let count = at_once(self.step_s, last - first + 1);
            let done = self.device_steps(first..first + count)?;
            self.look_at_memory();
            done
        } else {
            vec![self.step(first)]
        };
        let each = started.elapsed().as_secs_f64() / done.len().max(1) as f64;
        self.step_s = Some(each);
        for done in &mut done {
            done.seconds = each;
        }
        Ok(done)
    }

    fn device_steps(&mut self, steps: Range<u64>) -> Result<Vec<Done>, DeviceError> {
        let Some(engine) = &mut self.device else { return Ok(Vec::new()) };
        let settings = &self.plan.settings;
        let rate = settings.rate(self.plan.steps);
        let asked: Vec<_> = steps
            .clone()
            .map(|step| device::Step {
                rows: rows(&self.data, settings, step),
                options: device::Options {
                    pass_tokens: settings.passes(true),
                    share_prefix: settings.share_prefix,
                    recompute: settings.checkpointing,
                    dropout: dropout(settings, step),
                },
                update: device::Update { adam: settings.adam(), rate: rate.at(step), clip: settings.clip },
            })
            .collect();
        let found = engine.steps(&asked)?;
        let done = steps.zip(&asked).zip(found).map(|((step, asked), found)| {
            let weight: f64 = asked.rows.iter().map(|row| row.weight()).sum();
            let loss = if weight > 0.0 { found.loss / weight } else { 0.0 };
            Done { loss, norm: found.norm, ..Done::new(step, asked.update.rate, &asked.rows) }
        });
        Ok(done.collect())
    }

    /// One step on the processor.
    fn step(&mut self, step: u64) -> Done {
        let settings = &self.plan.settings;
        let rows = rows(&self.data, settings, step);
        let mut done = Done::new(step, settings.rate(self.plan.steps).at(step), &rows);
        let weight: f64 = rows.iter().map(|row| row.weight()).sum();
        let scale = if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };
        self.gradient.fill(0.0);
        if let Trained::Full(gradients) = &mut self.trained {
            gradients.visit_mut(&mut |_, values| values.fill(0.0));
        }
        let mut sum = 0.0;
        let dropout = dropout(settings, step);
        for packed in packs(&rows, settings.passes(false), settings.share_prefix) {
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
        done.norm = norm(&self.gradient);
        done.loss = if weight > 0.0 { sum / weight } else { 0.0 };
        if !done.loss.is_finite() || !done.norm.is_finite() {
            return done;
        }
        let factor = clip_factor(done.norm, settings.clip);
        let adam = settings.adam();
        self.moments.begin();
        match &mut self.trained {
            Trained::Adapter(adapter) => {
                self.moments.apply(adam, done.learning_rate, factor, 0, true, &mut adapter.values, &self.gradient);
            }
            Trained::Full(_) => {
                let (mut at, moments, gradient) = (0, &mut self.moments, &self.gradient);
                self.decoder.visit_mut(&mut |name, values| {
                    let decays = name.ends_with("weight") || name == "embedding" || name == "head";
                    let stretch = &gradient[at..at + values.len()];
                    moments.apply(adam, done.learning_rate, factor, at, decays, values, stretch);
                    at += values.len();
                });
            }
        }
        done
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
