//! What a run leaves on its way: losses, metrics, samples, checkpoints, and how it ended.

use crate::job::{Keep, Outcome, Phase, Progress};
use crate::model::device::infer::OnDevice;
use crate::model::peft::Base;
use crate::train::batch::Row;
use crate::train::metrics::{Metrics, Sample, Summary, memory_mib};
use crate::train::{checkpoint, device};

use super::{Event, Rows, Sampler, TrainError, Trained, Trainer, mean_loss};

impl Trainer<'_> {
    /// Ends a run whose `what` at `step` is no number.
    pub(super) fn diverged(&mut self, what: &str, step: u64) -> Result<Summary, TrainError> {
        let last = self.hold.job().latest_checkpoint()?.map_or("there is no checkpoint yet".to_owned(), |c| {
            format!("the checkpoint of step {} is the last good one", c.step)
        });
        let reason = format!("the {what} of step {step} is not a number; {last}; try a lower learning rate");
        self.finish(Outcome::Failed, reason)
    }

    /// Mean loss over the rows' supervised tokens in nats; none where none is supervised.
    pub(super) fn evaluate(&mut self, rows: Rows) -> Result<Option<f64>, TrainError> {
        let rows = match rows {
            Rows::Valid => &self.data.valid[..],
            Rows::FirstTrained => self.data.train.get(..1).unwrap_or_default(),
        };
        let pass_tokens = self.plan.settings.passes(self.device.is_some());
        if let Some(device) = &mut self.device {
            let rows: Vec<&Row> = rows.iter().collect();
            let weight: f64 = rows.iter().map(|row| row.weight()).sum();
            let sum = device.evaluate(&rows, pass_tokens)?;
            self.look_at_memory();
            return Ok((weight > 0.0).then(|| sum / weight));
        }
        let adapter = match &self.trained {
            Trained::Adapter(adapter) => Some(adapter),
            Trained::Full(_) => None,
        };
        let (mean, weight) = mean_loss(&mut self.engine, &self.decoder, adapter, rows, pass_tokens);
        Ok((weight > 0.0).then_some(mean))
    }

    /// Asks a device how much of its memory is in use.
    pub(super) fn look_at_memory(&mut self) {
        let Some(now) = self.device.as_ref().and_then(device::Engine::used_mib) else { return };
        let most = self.device_mib.map_or(now, |[_, most]| most.max(now));
        self.device_mib = Some([now, most]);
    }

    pub(super) fn report(
        &mut self,
        step: Option<(f64, f64, f64)>,
        valid_loss: Option<f64>,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), TrainError> {
        let settings = &self.plan.settings;
        let each = self.data.train.len().div_ceil(settings.batch).max(1);
        let metrics = Metrics {
            step: self.state.step,
            epoch: self.state.step as f64 / each as f64,
            loss: step.map(|s| s.0),
            learning_rate: step.map(|s| s.1),
            gradient_norm: step.map(|s| s.2),
            tokens: self.state.tokens,
            supervised: self.state.supervised,
            seconds: self.state.seconds,
            memory_mib: self.device_mib.map_or_else(|| memory_mib().0, |[now, _]| now),
            valid_loss,
        };
        self.writer.metrics(&metrics)?;
        let tagged = [
            ("train/loss", metrics.loss),
            ("train/learning_rate", metrics.learning_rate),
            ("train/gradient_norm", metrics.gradient_norm),
            ("valid/loss", metrics.valid_loss),
            ("tokens", step.map(|_| metrics.tokens as f64)),
        ];
        let values: Vec<_> = tagged.iter().filter_map(|&(tag, v)| Some((tag, v?))).collect();
        self.writer.scalars(metrics.step, &values)?;
        let left = self.plan.steps - self.state.step;
        self.control.publish(Progress {
            phase: Phase::Running,
            step: self.state.step,
            steps: self.plan.steps,
            loss: metrics.loss,
            seconds_left: (self.state.step > 0).then(|| self.state.seconds / self.state.step as f64 * left as f64),
            ..Progress::default()
        });
        watch(Event::Metrics(&metrics));
        Ok(())
    }

    pub(super) fn sample(
        &mut self,
        sampler: &mut Sampler<'_>,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), TrainError> {
        self.fetch()?;
        let adapter = match &self.trained {
            Trained::Adapter(adapter) => Some(adapter),
            Trained::Full(_) => None,
        };
        let on = self.device.as_ref().map(|device| OnDevice::new(device.inference()));
        for (id, answer) in sampler(&self.decoder, adapter, on.as_ref()) {
            let sample = Sample { step: self.state.step, id, answer };
            self.writer.sample(&sample)?;
            watch(Event::Sample(&sample));
        }
        Ok(())
    }

    /// Writes a checkpoint of the state as it is; with a validation loss, keeps count of the best. Writes nothing and returns false
    /// where the model gives no number any more: an update may blow it up whose own loss and gradient were still numbers.
    pub(super) fn checkpoint(&mut self, valid_loss: Option<f64>) -> Result<bool, TrainError> {
        let shown = match valid_loss {
            Some(loss) => Some(loss),
            None => self.evaluate(Rows::FirstTrained)?,
        };
        if shown.is_some_and(|loss| !loss.is_finite()) {
            return Ok(false);
        }
        self.fetch()?;
        let step = self.state.step;
        let better = valid_loss.is_some_and(|loss| self.state.best.is_none_or(|(best, _)| loss < best));
        if let Some(loss) = valid_loss {
            if better {
                self.state.best = Some((loss, step));
                self.state.stale = 0;
            } else {
                self.state.stale += 1;
            }
        }
        self.writer.sync()?;
        let Self { plan, hold, decoder, trained, moments, state, .. } = self;
        let base = Base { name: plan.base.name.clone(), revision: plan.base.revision.clone() };
        hold.write_checkpoint(step, |dir| {
            match trained {
                Trained::Adapter(adapter) => checkpoint::write_adapter(dir, adapter, decoder, &base)?,
                Trained::Full(_) => checkpoint::write_model(dir, decoder)?,
            }
            checkpoint::write_progress(dir, moments, state)
        })?;
        if better {
            hold.mark_best(step)?;
        }
        hold.prune(Keep::default())?;
        Ok(true)
    }

    pub(super) fn finish(&mut self, outcome: Outcome, reason: String) -> Result<Summary, TrainError> {
        self.fetch()?;
        let seconds = self.state.seconds.max(f64::MIN_POSITIVE);
        self.writer.log(&reason)?;
        Ok(Summary {
            run: self.hold.job().name(),
            rows: self.data.train.len(),
            steps: self.state.step,
            seconds: self.state.seconds,
            tokens_per_s: self.state.tokens as f64 / seconds,
            supervised_per_s: self.state.supervised as f64 / seconds,
            tokens: self.state.tokens,
            supervised: self.state.supervised,
            peak_mib: self.device_mib.map_or_else(|| memory_mib().1, |[_, most]| most),
            loss: self.last_loss,
            best: self.state.best,
            outcome,
            reason,
        })
    }
}
