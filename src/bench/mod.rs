//! How fast this machine is, and how near togi comes to that: limits, counted work, measured rates.
//!
//! Rates are the best and the median of several runs in one process; on a shared machine only ratios within one run mean
//! anything. A model is measured as it is, with a seeded adapter, on seeded tokens: the numbers do not matter to speed.

use std::time::Instant;

use serde::Serialize;

use crate::model::decoder::Decoder;
use crate::model::infer::{InferError, Inference, Row as InferRow, Want};
use crate::model::kv_cache::KvCache;
use crate::model::lora::{Adapter, LoraConfig};
use crate::model::ops::gemm::{Mat, MatMut, gemm};
use crate::train::batch::{Packed, Row};
use crate::train::metrics::memory_mib;
use crate::train::optimizer::{AdamW, Moments};
use crate::train::step::{Engine, Options, Sink};

/// The machine's limits.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub threads: usize,
    /// Best of a 2048 x 2048 x 2048 product in f32, in GFLOP/s.
    pub gemm_gflops: f64,
    /// Best of reading 256 MiB with every thread, in GB/s.
    pub read_gb_s: f64,
}

/// A rate and how it was reached.
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    /// Best and median tokens a second.
    pub tokens_per_s: f64,
    pub median_tokens_per_s: f64,
    /// Share of what the machine's limit allows for the counted work (arithmetic for training and prompts, bytes of
    /// weights for decoding).
    pub fraction: f64,
    pub peak_mib: u64,
}

/// Everything `togi bench` measures of a model.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub machine: Machine,
    pub model: String,
    /// Rows and tokens a row of the training batch.
    pub batch: usize,
    pub length: usize,
    /// A training step with LoRA of rank 16 on every linear layer, AdamW included; the first half of each row masked.
    pub train: Rate,
    /// Supervised tokens a second of it.
    pub supervised_per_s: f64,
    /// Reading a prompt of 512 tokens (or what the context allows).
    pub prompt: Rate,
    /// One greedy stream.
    pub decode: Rate,
    /// Base and tuned as two rows of one batch, in steps a second.
    pub pair: Rate,
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

/// The best and the median of `times` runs, in seconds, after one that is not counted.
fn best(times: usize, mut run: impl FnMut()) -> (f64, f64) {
    run();
    let mut seconds: Vec<f64> = (0..times)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    (seconds[0], seconds[seconds.len() / 2])
}

/// Floating-point operations of one training step: the base's forward and its gradient of activations, the adapter's
/// three products, causal attention forward and backward, and the head on supervised rows.
#[must_use]
pub fn training_flops(decoder: &Decoder, adapter: &Adapter, batch: usize, length: usize, supervised: usize) -> f64 {
    let d = &decoder.description;
    let tokens = (batch * length) as f64;
    let linear = (d.qkv_rows() + d.hidden) * d.hidden + (d.heads * d.head_dim - d.hidden) * d.hidden;
    let linears = (d.layers * (linear + d.mlp_rows() * d.hidden + d.intermediate * d.hidden)) as f64;
    let attention = (d.layers * d.heads * d.head_dim) as f64 * (length as f64 / 2.0) * 2.0;
    let base = 2.0 * tokens * linears * 2.0;
    let lora = 2.0 * tokens * adapter.values.len() as f64 * 3.0;
    let head = 2.0 * (supervised * d.vocab * d.hidden) as f64 * 2.0;
    base + lora + 2.0 * tokens * attention * 3.5 + head
}

/// Measures a model: training on `batch` rows of `length` tokens, reading a prompt, one stream, and two.
///
/// # Errors
/// When the shape is longer than the model's context.
pub fn measure(
    machine: Machine,
    name: &str,
    decoder: &Decoder,
    config: &LoraConfig,
    batch: usize,
    length: usize,
    runs: usize,
) -> Result<Measured, InferError> {
    let d = &decoder.description;
    if length > d.context {
        return Err(InferError::TooLong { tokens: length, context: d.context });
    }
    let token = |i: usize| ((i * 7919 + 13) % d.vocab) as u32;
    let mut adapter = Adapter::new(decoder, config, 0);

    // Distinct first tokens keep the rows from sharing a beginning: this measures the fixed batch as it is.
    let rows: Vec<Row> = (0..batch)
        .map(|r| Row {
            tokens: (0..length).map(|i| token(r * 4099 + i)).collect(),
            weights: (0..length).map(|i| if i < length / 2 { 0.0 } else { 1.0 }).collect(),
        })
        .collect();
    let packed = Packed::new(&rows.iter().collect::<Vec<_>>(), false);
    let supervised = packed.predicting.len();
    let flops = training_flops(decoder, &adapter, batch, length, supervised);
    let mut engine = Engine::new();
    let mut gradient = vec![0f32; adapter.values.len()];
    let mut moments = Moments::new(adapter.values.len());
    let options = Options { scale: 1.0 / supervised.max(1) as f32, ..Options::default() };
    let step = best(runs, || {
        gradient.fill(0.0);
        engine.step(decoder, Some(&adapter), &packed, options, Sink::Adapter(&mut gradient));
        moments.begin();
        moments.apply(AdamW::default(), 1e-4, 1.0, 0, true, &mut adapter.values, &gradient);
    });
    let tokens = (batch * length) as f64;
    let peak = memory_mib().1;
    let train = Rate {
        tokens_per_s: tokens / step.0,
        median_tokens_per_s: tokens / step.1,
        fraction: flops / step.0 / 1e9 / machine.gemm_gflops,
        peak_mib: peak,
    };

    let mut inference = Inference::new(decoder);
    let long = 512.min(d.context);
    let prompt: Vec<u32> = (0..long).map(token).collect();
    let mut failed = Ok(());
    let read = best(runs, || {
        let mut cache = KvCache::of(d, long);
        let row = InferRow { tokens: &prompt, cache: &mut cache, adapter: None };
        failed = inference.forward(&mut [row], Want::Last).map(drop);
    });
    failed?;
    let matrices = (d.parameters() - d.vocab * d.hidden * if d.tied { 1 } else { 2 }) as f64;
    let prompt_rate = Rate {
        tokens_per_s: long as f64 / read.0,
        median_tokens_per_s: long as f64 / read.1,
        fraction: 2.0 * matrices * long as f64 / read.0 / 1e9 / machine.gemm_gflops,
        peak_mib: memory_mib().1,
    };

    let bytes = 4.0 * (matrices + (d.vocab * d.hidden) as f64);
    let steps = 32.min(d.context / 4).max(1);
    let mut decode = |both: bool| -> Result<Rate, InferError> {
        let mut result = Ok(());
        let time = best(runs.min(3), || {
            let mut caches = [KvCache::of(d, 16 + steps), KvCache::of(d, 16 + steps)];
            result = (|| {
                for i in 0..steps {
                    let next = if i == 0 { prompt[..16.min(prompt.len())].to_vec() } else { vec![token(i)] };
                    let [one, two] = &mut caches;
                    let mut rows = vec![InferRow { tokens: &next, cache: one, adapter: None }];
                    if both {
                        rows.push(InferRow { tokens: &next, cache: two, adapter: Some(&adapter) });
                    }
                    inference.forward(&mut rows, Want::Last)?;
                }
                Ok(())
            })();
        });
        result?;
        let rate = steps as f64 / time.0;
        Ok(Rate {
            tokens_per_s: rate,
            median_tokens_per_s: steps as f64 / time.1,
            fraction: rate * bytes / 1e9 / machine.read_gb_s,
            peak_mib: memory_mib().1,
        })
    };
    let (one, two) = (decode(false)?, decode(true)?);
    Ok(Measured {
        model: name.to_owned(),
        batch,
        length,
        supervised_per_s: supervised as f64 / step.0,
        train,
        prompt: prompt_rate,
        decode: one,
        pair: two,
        machine,
    })
}
