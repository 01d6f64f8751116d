//! AdamW (Loshchilov & Hutter 2019, algorithm 2) over flat vectors, as PyTorch computes it, and gradient clipping.

use rayon::prelude::*;

use crate::model::ops::adamw::Terms;
use crate::model::ops::pages;
use crate::multiversion;

/// Numbers a task takes at once.
const CHUNK: usize = 32_768;

/// The constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The optimizer's memory: both moments of every number, and how many updates they have seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
    pub updates: u64,
}

impl AdamW {
    /// The terms of update number `updates`, counted from 1, at a learning rate of `rate`.
    #[must_use]
    pub fn terms(self, rate: f64, updates: u64) -> Terms {
        Terms {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            eps: self.eps as f32,
            keep: (1.0 - rate * self.weight_decay) as f32,
            rate: (rate / (1.0 - self.beta1.powf(updates as f64))) as f32,
            root: (1.0 / (1.0 - self.beta2.powf(updates as f64)).sqrt()) as f32,
        }
    }
}

multiversion! {
    fn update<S>(u: Terms, scale: f32, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = g * scale;
            *m = S::fma(g - *m, 1.0 - u.beta1, *m);
            *v = S::fma(g * g, 1.0 - u.beta2, *v * u.beta2);
            let denominator = v.sqrt() * u.root + u.eps;
            *p = *p * u.keep - u.rate * *m / denominator;
        }
    }
}

impl Moments {
    /// Moments of `count` numbers before the first update.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { first: pages::zeros(count), second: pages::zeros(count), updates: 0 }
    }

    /// Counts an update; [`apply`](Self::apply) then brings it to each stretch of numbers.
    pub fn begin(&mut self) {
        self.updates += 1;
    }

    /// Updates the numbers `p`, which begin at `offset` of the whole, by the gradients `g` times `scale`. Weight decay
    /// is left out where not `decay`.
    #[allow(clippy::too_many_arguments)] // the formula's own terms
    pub fn apply(&mut self, adam: AdamW, rate: f64, scale: f64, offset: usize, decay: bool, p: &mut [f32], g: &[f32]) {
        let weight_decay = if decay { adam.weight_decay } else { 0.0 };
        let terms = AdamW { weight_decay, ..adam }.terms(rate, self.updates);
        let m = &mut self.first[offset..offset + p.len()];
        let v = &mut self.second[offset..offset + p.len()];
        p.par_chunks_mut(CHUNK)
            .zip(g.par_chunks(CHUNK))
            .zip(m.par_chunks_mut(CHUNK))
            .zip(v.par_chunks_mut(CHUNK))
            .for_each(|(((p, g), m), v)| update(terms, scale as f32, p, g, m, v));
    }
}

/// The Euclidean norm, summed in a fixed order in `f64` so that a resumed run finds the same number.
#[must_use]
pub fn norm(gradient: &[f32]) -> f64 {
    let parts: Vec<f64> =
        gradient.par_chunks(CHUNK).map(|part| part.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>()).collect();
    parts.iter().sum::<f64>().sqrt()
}

/// The factor that brings a gradient of norm `norm` to at most `limit`, as `torch.nn.utils.clip_grad_norm_` has it.
#[must_use]
pub fn clip_factor(norm: f64, limit: f64) -> f64 {
    if limit > 0.0 { (limit / (norm + 1e-6)).min(1.0) } else { 1.0 }
}
