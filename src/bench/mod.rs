//! How fast this machine is, and how near togi comes to that: limits, counted work, measured rates.
//!
//! Rates are the best, the median and the lowest of several runs in one process; on a shared machine only ratios within one run mean
//! anything. A model is measured as it is, with a seeded adapter, on seeded tokens: the numbers do not matter to speed.
//! [`device`] measures training on a GPU, also of models whose files are not there ([`shapes`]). [`saved`] keeps what was measured,
//! so that a plan's work can be told in minutes before it is begun.

pub mod allocations;
pub mod device;
pub mod saved;
pub mod shapes;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::model::decoder::Decoder;
use crate::model::infer::{InferError, Inference, Row as InferRow, Want};
use crate::model::kv_cache::KvCache;
use crate::model::lora::{Adapter, LoraConfig};
use crate::model::ops::gemm::{Mat, MatMut, gemm};
use crate::train::batch::{Packed, Row};
use crate::train::metrics::memory_mib;
use crate::train::optimizer::{AdamW, Moments};
use crate::train::step::{Engine, Options, Phases, Sink};
use crate::train::work::{Trained, Work};
use allocations::Allocations;

/// The machine's limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub threads: usize,
    /// Best of a 2048 x 2048 x 2048 product in f32, in GFLOP/s.
    pub gemm_gflops: f64,
    /// Best of reading 256 MiB with every thread, in GB/s.
    pub read_gb_s: f64,
}

/// A rate and how it was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Tokens a second: the best run's, the median one's, and the slowest one's (0 in what was kept before that was).
    pub tokens_per_s: f64,
    pub median_tokens_per_s: f64,
    #[serde(default)]
    pub lowest_tokens_per_s: f64,
    /// Share of what the machine's limit allows for the counted work (arithmetic in `f32` for training and prompts, bytes of
    /// weights for decoding few streams). Prompts and many streams of codes may pass 1: whole numbers are multiplied faster than `f32`.
    pub fraction: f64,
    /// The counted work for one token: floating-point operations in training and prompts, bytes of weights in decoding.
    pub work_per_token: f64,
    pub peak_mib: u64,
}

/// Seconds of one training step; the median step's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    #[serde(flatten)]
    pub phases: Phases,
    /// AdamW.
    pub optimizer: f64,
    pub all: f64,
}

/// Everything `togi bench` measures of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub machine: Machine,
    pub model: String,
    /// Bytes of all weights in memory.
    pub weight_bytes: u64,
    /// Rows and tokens a row of the training batch.
    pub batch: usize,
    pub length: usize,
    /// A training step with LoRA of rank 16 on every linear layer, AdamW included; the first half of each row masked.
    pub train: Rate,
    /// Supervised tokens a second of it.
    pub supervised_per_s: f64,
    #[serde(rename = "phases")]
    pub step: Seconds,
    /// What one such step asks the allocator for, once buffers are there; nothing where that is not counted.
    pub allocations: Option<Allocations>,
    /// Reading a prompt of 512 tokens (or what the context allows).
    pub prompt: Rate,
    /// One greedy stream.
    pub decode: Rate,
    /// Base and tuned as two rows of one batch, in steps a second.
    pub pair: Rate,
    /// 32 streams in one batch, in tokens a second of all of them.
    pub batched: Rate,
}

impl Measured {
    /// Seconds that `flops` of training take at the median rate that was measured.
    #[must_use]
    pub fn seconds(&self, flops: f64) -> f64 {
        let usual = self.train.median_tokens_per_s / self.train.tokens_per_s;
        flops / (self.train.fraction * usual * self.machine.gemm_gflops * 1e9)
    }
}

/// Measures the limits of this machine.
#[must_use]
pub fn machine() -> Machine {
    let n = 2048;
    let a: Vec<f32> = (0..n * n).map(|i| (i % 13) as f32).collect();
    let mut c = vec![0f32; n * n];
    let product = best(5, || {
        gemm(1.0, Mat::full(&a, n, n), Mat::full(&a, n, n), 0.0, MatMut::full(&mut c, n, n));
    });
    let long = vec![1f32; 64 << 20];
    let read = best(5, || {
        use rayon::prelude::*;
        let sum: f32 = long.par_chunks(1 << 16).map(crate::model::ops::norm::total).sum();
        std::hint::black_box(sum);
    });
    Machine {
        threads: rayon::current_num_threads(),
        gemm_gflops: 2.0 * (n as f64).powi(3) / product.0 / 1e9,
        read_gb_s: (long.len() * 4) as f64 / read.0 / 1e9,
    }
}

/// The quickest, the median and the slowest of `times` runs, in seconds, after one that is not counted.
fn best(times: usize, mut run: impl FnMut()) -> (f64, f64, f64) {
    run();
    let mut seconds: Vec<f64> = (0..times.max(1))
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    (seconds[0], seconds[seconds.len() / 2], seconds[seconds.len() - 1])
}

/// Seeded token number `i`: which ones they are does not matter to speed.
fn token(i: usize, vocab: usize) -> u32 {
    ((i * 7919 + 13) % vocab) as u32
}

/// The rows of a training batch: lengths spread over the range, the first half of each masked. Their first tokens differ, so no
/// beginning is shared: what is measured is the batch as it stands.
fn rows(count: usize, [shortest, longest]: [usize; 2], vocab: usize) -> Vec<Row> {
    let row = |r: usize| {
        let length = shortest + r * 7919 % (longest - shortest + 1);
        let weight = |i: usize| if i < length / 2 { 0.0 } else { 1.0 };
        Row {
            tokens: (0..length).map(|i| token(r * 4099 + i, vocab)).collect(),
            weights: (0..length).map(weight).collect(),
        }
    };
    (0..count).map(row).collect()
}

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    pub name: &'a str,
    pub decoder: &'a Decoder,
    pub config: &'a LoraConfig,
    /// Rows and tokens a row of the training batch.
    pub batch: usize,
    pub length: usize,
    /// Runs of each measurement.
    pub runs: usize,
}

/// Streams that are decoded together.
const STREAMS: usize = 32;
/// Tokens that streams have seen when measuring begins, and steps that are measured.
const SEEN: usize = 16;
const STEPS: usize = 32;

impl Bench<'_> {
    /// Measures training on a batch, reading a prompt, one stream, two, and many.
    ///
    /// # Errors
    /// When the shape is longer than the model's context.
    pub fn measure(self, machine: Machine) -> Result<Measured, InferError> {
        let d = &self.decoder.description;
        if self.length > d.context {
            return Err(InferError::TooLong { tokens: self.length, context: d.context });
        }
        let mut adapter = Adapter::new(self.decoder, self.config, 0);
        let training = self.training(&machine, &mut adapter);
        let prompt = self.prompt(&machine)?;
        let decode = self.decode(&machine, &[None])?;
        let pair = self.decode(&machine, &[None, Some(&adapter)])?;
        let batched = self.decode(&machine, &[Some(&adapter); STREAMS])?;
        // So many streams are bound by arithmetic, not by reading.
        let work = 2.0 * (d.parameters() - if d.tied { 0 } else { d.vocab * d.hidden }) as f64;
        let batched = Rate {
            tokens_per_s: batched.tokens_per_s * STREAMS as f64,
            median_tokens_per_s: batched.median_tokens_per_s * STREAMS as f64,
            lowest_tokens_per_s: batched.lowest_tokens_per_s * STREAMS as f64,
            fraction: batched.tokens_per_s * STREAMS as f64 * work / 1e9 / machine.gemm_gflops,
            work_per_token: work,
            ..batched
        };
        Ok(Measured {
            model: self.name.to_owned(),
            weight_bytes: self.decoder.all_bytes() as u64,
            batch: self.batch,
            length: self.length,
            train: training.rate,
            supervised_per_s: training.supervised_per_s,
            step: training.step,
            allocations: training.allocations,
            prompt,
            decode,
            pair,
            batched,
            machine,
        })
    }

    fn token(&self, i: usize) -> u32 {
        token(i, self.decoder.description.vocab)
    }

    fn training(&self, machine: &Machine, adapter: &mut Adapter) -> Training {
        let (batch, length) = (self.batch, self.length);
        let rows = rows(batch, [length, length], self.decoder.description.vocab);
        let packed = Packed::new(&rows.iter().collect::<Vec<_>>(), false);
        let supervised = packed.predicting.len();
        let flops = Work::of(&packed).flops(&self.decoder.description, Trained::Adapter(adapter.values.len()), false);
        let mut engine = Engine::new();
        let mut gradient = vec![0f32; adapter.values.len()];
        let mut moments = Moments::new(adapter.values.len());
        let options = Options { scale: 1.0 / supervised.max(1) as f32, ..Options::default() };
        let mut each: Vec<(Seconds, Allocations)> = Vec::new();
        let step = best(self.runs, || {
            let (started, before) = (Instant::now(), Allocations::so_far());
            gradient.fill(0.0);
            engine.step(self.decoder, Some(adapter), &packed, options, Sink::Adapter(&mut gradient));
            let stepped = Instant::now();
            moments.begin();
            moments.apply(AdamW::default(), 1e-4, 1.0, 0, true, &mut adapter.values, &gradient);
            let optimizer = stepped.elapsed().as_secs_f64();
            let all = started.elapsed().as_secs_f64();
            let asked = Allocations::so_far().since(before);
            each.push((Seconds { phases: engine.take_phases(), optimizer, all }, asked));
        });
        each.remove(0); // the one that is not counted
        let last = each.last().map(|(_, allocations)| *allocations).unwrap_or_default();
        each.sort_by(|(a, _), (b, _)| a.all.total_cmp(&b.all));
        let tokens = (batch * length) as f64;
        Training {
            rate: Rate {
                tokens_per_s: tokens / step.0,
                median_tokens_per_s: tokens / step.1,
                lowest_tokens_per_s: tokens / step.2,
                fraction: flops / step.0 / 1e9 / machine.gemm_gflops,
                work_per_token: flops / tokens,
                peak_mib: memory_mib().1,
            },
            supervised_per_s: supervised as f64 / step.0,
            step: each.swap_remove(each.len() / 2).0,
            allocations: (Allocations::so_far().calls > 0).then_some(last),
        }
    }

    fn prompt(&self, machine: &Machine) -> Result<Rate, InferError> {
        let d = &self.decoder.description;
        let mut inference = Inference::new(self.decoder);
        let long = 512.min(d.context);
        let prompt: Vec<u32> = (0..long).map(|i| self.token(i)).collect();
        let mut failed = Ok(());
        let read = best(self.runs, || {
            let mut cache = KvCache::of(d, long);
            let row = InferRow { tokens: &prompt, cache: &mut cache, adapter: None };
            failed = inference.forward(&mut [row], Want::Last).map(|logits| inference.reuse(logits));
        });
        failed?;
        let tables = if d.tied { 1 } else { 2 };
        let work = 2.0 * (d.parameters() - tables * d.vocab * d.hidden) as f64;
        Ok(Rate {
            tokens_per_s: long as f64 / read.0,
            median_tokens_per_s: long as f64 / read.1,
            lowest_tokens_per_s: long as f64 / read.2,
            fraction: work * long as f64 / read.0 / 1e9 / machine.gemm_gflops,
            work_per_token: work,
            peak_mib: memory_mib().1,
        })
    }

    /// Steps a second of one stream for each of `adapters`, all in one batch.
    fn decode(&self, machine: &Machine, adapters: &[Option<&Adapter>]) -> Result<Rate, InferError> {
        let d = &self.decoder.description;
        let mut inference = Inference::new(self.decoder);
        let seen = SEEN.min(d.context / 2).max(1);
        let steps = STEPS.min(d.context - seen).max(1);
        let start: Vec<u32> = (0..seen).map(|i| self.token(i)).collect();
        let mut caches: Vec<KvCache> = adapters.iter().map(|_| KvCache::of(d, seen + steps)).collect();
        for (cache, &adapter) in caches.iter_mut().zip(adapters) {
            inference.forward(&mut [InferRow { tokens: &start, cache, adapter }], Want::Nothing)?;
        }
        let mut result = Ok(());
        let time = best(self.runs, || {
            for cache in &mut caches {
                cache.truncate(seen);
            }
            for i in 0..steps {
                let next = [self.token(i)];
                let mut rows: Vec<_> = caches
                    .iter_mut()
                    .zip(adapters)
                    .map(|(cache, &adapter)| InferRow { tokens: &next, cache, adapter })
                    .collect();
                match inference.forward(&mut rows, Want::Last) {
                    Ok(logits) => inference.reuse(logits),
                    Err(error) => {
                        result = Err(error);
                        return;
                    }
                }
            }
        });
        result?;
        let (rate, bytes) = (steps as f64 / time.0, self.decoder.bytes() as f64);
        Ok(Rate {
            tokens_per_s: rate,
            median_tokens_per_s: steps as f64 / time.1,
            lowest_tokens_per_s: steps as f64 / time.2,
            fraction: rate * bytes / 1e9 / machine.read_gb_s,
            work_per_token: bytes,
            peak_mib: memory_mib().1,
        })
    }
}

/// What training a batch took.
struct Training {
    rate: Rate,
    supervised_per_s: f64,
    step: Seconds,
    allocations: Option<Allocations>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A measurement at `speed` tokens a second.
    pub(super) fn measured(speed: f64) -> Measured {
        let rate = Rate {
            tokens_per_s: 2.0 * speed,
            median_tokens_per_s: speed,
            lowest_tokens_per_s: 0.5 * speed,
            fraction: 0.5,
            work_per_token: 1e9,
            peak_mib: 1,
        };
        Measured {
            machine: Machine { threads: 2, gemm_gflops: 4.0 * speed, read_gb_s: 1.0 },
            model: "m".into(),
            weight_bytes: 1,
            batch: 4,
            length: 256,
            train: rate.clone(),
            supervised_per_s: speed,
            step: Seconds::default(),
            allocations: None,
            prompt: rate.clone(),
            decode: rate.clone(),
            pair: rate.clone(),
            batched: rate,
        }
    }

    #[test]
    fn a_plan_takes_as_long_as_its_tokens_at_the_median_rate() {
        // The batch that was measured does 1e9 operations a token: 300 tokens at 100 tokens a second.
        let seconds = measured(100.0).seconds(300.0 * 1e9);
        assert!((seconds - 3.0).abs() < 1e-9, "{seconds}");
    }
}
