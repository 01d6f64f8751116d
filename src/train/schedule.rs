//! The learning rate over the steps of a run.

use serde::{Deserialize, Serialize};

/// The shape after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to the final share (Loshchilov & Hutter 2017, eq. 5).
    Cosine,
    /// A straight line down to the final share.
    Linear,
    /// No change.
    Constant,
}

/// A schedule laid over a number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub schedule: Schedule,
    /// The rate after warm-up.
    pub peak: f64,
    /// What is left of it at the end, as a share.
    pub final_share: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub steps: u64,
}

impl Rate {
    /// The rate of step `step`, counted from 1: a straight line up to the peak at step `warmup`, then the schedule.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let left = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let done = ((step - self.warmup) as f64 / left).min(1.0);
        let falling = match self.schedule {
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Schedule::Linear => 1.0 - done,
            Schedule::Constant => return self.peak,
        };
        self.peak * (self.final_share + (1.0 - self.final_share) * falling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_peaks_and_falls_to_the_final_share() {
        let rate = Rate { schedule: Schedule::Cosine, peak: 3e-4, final_share: 0.1, warmup: 10, steps: 189 };
        assert!((rate.at(1) - 3e-5).abs() < 1e-12);
        assert!((rate.at(10) - 3e-4).abs() < 1e-12);
        assert!((rate.at(189) - 3e-5).abs() < 1e-12);
        // Half-way between: (1 + 0.1) / 2 of the peak.
        let halfway = Rate { steps: 190, ..rate };
        assert!((halfway.at(100) - 3e-4 * 0.55).abs() < 1e-12);
        let linear = Rate { schedule: Schedule::Linear, steps: 190, ..rate };
        assert!((linear.at(100) - 3e-4 * 0.55).abs() < 1e-12);
        assert!((Rate { schedule: Schedule::Constant, ..rate }.at(150) - 3e-4).abs() < 1e-12);
    }
}
