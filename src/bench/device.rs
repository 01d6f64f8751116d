//! What a device reaches in training and answering: its limits, rates, memory, and how far its numbers are from the processor's.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{best, rows, token};
use crate::model::decoder::Decoder;
use crate::model::device::infer::Inference;
use crate::model::device::{Address, Batch, Device, DeviceError, Gemm, Kind, Operand, Span};
use crate::model::infer::{Infer, InferError, Turn, Want};
use crate::model::lora::{Adapter, LoraConfig};
use crate::train::batch::{Packed, Row, largest, packs};
use crate::train::device::{self, Engine, Estimate, Update};
use crate::train::optimizer::{AdamW, Moments};
use crate::train::step;
use crate::train::work::{Trained, Work};

/// A device's limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub name: String,
    pub precision: String,
    /// Best of a product of square matrices in the precision of the activations, in TFLOP/s.
    pub gemm_tflops: f64,
    /// Best of copying within the device's memory, bytes read and written together, in GB/s.
    pub copy_gb_s: f64,
}

/// What training on a device reaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub device: Limits,
    pub model: String,
    pub rows: usize,
    /// Tokens of the shortest and of the longest row.
    pub lengths: [usize; 2],
    /// Best and median tokens a second of a step, AdamW included; the first half of each row masked.
    pub tokens_per_s: f64,
    pub median_tokens_per_s: f64,
    pub supervised_per_s: f64,
    /// Share of the device's product rate that the counted work reaches at best.
    pub fraction: f64,
    /// Share of the median step in which the device was still being given its work: in the rest nothing is left but to wait.
    pub asked_share: f64,
    /// Seconds of a median step.
    pub step_s: f64,
    /// Memory that loading and training took of the device, as the driver tells it, and what was foretold, in MiB; neither with what
    /// the driver takes for itself.
    pub used_mib: u64,
    pub told_mib: u64,
    /// When the steps that are counted began and ended, in seconds since 1970: whoever samples how busy the device is finds them so.
    pub steps_began_s: f64,
    pub steps_ended_s: f64,
    /// Loss of the first row before training on the device, and on the processor where that was asked for.
    pub loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_on_cpu: Option<f64>,
    /// Mean loss of the first and of the last step.
    pub first_loss: f64,
    pub last_loss: f64,
    /// Tokens a second that one text is written at, and 32 side by side, behind 128 tokens each; the choice of tokens left aside.
    pub answer_per_s: f64,
    pub answers_per_s: f64,
    /// Why this could not be kept for estimates of plans, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

impl Measured {
    /// Floating-point operations a second of the median step, counted as those of a plan are.
    #[must_use]
    pub fn flops_per_s(&self) -> f64 {
        self.fraction * self.device.gemm_tflops * 1e12 * self.median_tokens_per_s / self.tokens_per_s
    }
}

/// What is to be measured.
pub struct Bench<'a> {
    pub name: &'a str,
    pub decoder: &'a Decoder,
    pub config: &'a LoraConfig,
    pub rows: usize,
    pub lengths: [usize; 2],
    pub pass_tokens: usize,
    pub recompute: bool,
    /// Steps measured, after two that are not.
    pub runs: usize,
    /// Compare the first row's loss with the processor's.
    pub compare: bool,
}

/// Steps before those that are counted.
const UNCOUNTED: usize = 2;

/// Side of the square matrices whose product is timed.
const SIDE: usize = 8192;

/// Memory that is given back when it is let go.
struct Held<'a> {
    device: &'a dyn Device,
    at: Address,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.device.release(self.at);
    }
}

/// Measures a device's limits.
///
/// # Errors
/// When it has no room for three matrices, or fails.
pub fn limits(device: &dyn Device, kind: Kind) -> Result<Limits, DeviceError> {
    let bytes = SIDE * SIDE * kind.bytes();
    let hold = || device.allocate(bytes).map(|at| Held { device, at });
    let (a, b, c) = (hold()?, hold()?, hold()?);
    for matrix in [&a, &b] {
        device.zero(matrix.at, bytes)?;
    }
    let span = |held: &Held| Span { at: held.at, len: SIDE * SIDE, kind };
    let operand = |held, turned| Operand { span: span(held), stride: SIDE, turned };
    let (a_operand, b_operand) = (operand(&a, false), operand(&b, true));
    let gemm = Gemm {
        m: SIDE,
        n: SIDE,
        k: SIDE,
        alpha: 1.0,
        beta: 0.0,
        a: a_operand,
        b: b_operand,
        c: span(&c),
        c_stride: SIDE,
        batch: Batch::ALONE,
    };
    let mut failed = Ok(());
    let mut timed = |work: &dyn Fn() -> Result<(), DeviceError>| {
        const TIMES: usize = 8;
        let seconds = best(3, || {
            let all = (0..TIMES).try_for_each(|_| work()).and_then(|()| device.wait());
            if failed.is_ok() {
                failed = all;
            }
        });
        seconds.0 / TIMES as f64
    };
    let product = timed(&|| device.gemm(&gemm));
    let copy = timed(&|| device.copy(a.at, c.at, bytes));
    failed?;
    Ok(Limits {
        name: device.name(),
        precision: kind.to_string(),
        gemm_tflops: 2.0 * (SIDE as f64).powi(3) / product / 1e12,
        copy_gb_s: 2.0 * bytes as f64 / copy / 1e9,
    })
}

impl Bench<'_> {
    /// Answers, then trains a few steps on the device: what samples the device's load from outside ends with steps.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    pub fn measure(&self, device: &Arc<dyn Device>, kind: Kind, limits: Limits) -> Result<Measured, DeviceError> {
        let d = &self.decoder.description;
        let rows = rows(self.rows, self.lengths, d.vocab);
        let rows: Vec<&Row> = rows.iter().collect();
        let adapter = Adapter::new(self.decoder, self.config, 0);
        let moments = Moments::new(adapter.values.len());
        let packs: Vec<Packed> = packs(&rows, self.pass_tokens, true).collect();
        let trained = Trained::Adapter(adapter.values.len());
        let flops: f64 = packs.iter().map(|p| Work::of(p).flops(d, trained, self.recompute)).sum();
        let told = Estimate::of(d, kind, self.config, largest(&packs), self.recompute).beside_context();

        let (answer_per_s, answers_per_s) = (self.answers(device, kind, 1)?, self.answers(device, kind, 32)?);
        // What answers took is given back once that is done.
        device.wait()?;
        let before = device.memory()?.free;
        let mut engine = Engine::new(Arc::clone(device), kind, self.decoder, &adapter, &moments)?;
        let first = &rows[..1.min(rows.len())];
        let weight: f64 = first.iter().map(|row| row.weight()).sum();
        let loss = engine.evaluate(first, self.pass_tokens)? / weight;
        let loss_on_cpu = self.compare.then(|| {
            let packed = Packed::new(first, false);
            step::Engine::new().evaluate(self.decoder, Some(&adapter), &packed).sum(&packed) / weight
        });
        let options = device::Options {
            pass_tokens: self.pass_tokens,
            share_prefix: true,
            recompute: self.recompute,
            dropout: None,
        };
        let update = Update { adam: AdamW::default(), rate: 1e-4, clip: 1.0 };
        let mut each = Vec::new();
        let mut losses = Vec::new();
        let mut steps_began_s = 0.0;
        for number in 0..self.runs.max(1) + UNCOUNTED {
            if number == UNCOUNTED {
                steps_began_s = seconds_now();
            }
            let started = Instant::now();
            let found = engine.step(&rows, options, update)?;
            each.push((started.elapsed().as_secs_f64(), found.asked_s));
            losses.push(found.loss);
        }
        let steps_ended_s = seconds_now();
        let used = before.saturating_sub(device.memory()?.free);
        drop(engine);
        each.drain(..UNCOUNTED);
        each.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (quickest, (median, asked)) = (each[0].0, each[each.len() / 2]);
        let tokens: usize = rows.iter().map(|row| row.tokens.len()).sum();
        let supervised: usize = rows.iter().map(|row| row.supervised()).sum();
        let all: f64 = rows.iter().map(|row| row.weight()).sum();
        Ok(Measured {
            fraction: flops / quickest / 1e12 / limits.gemm_tflops,
            device: limits,
            model: self.name.to_owned(),
            rows: self.rows,
            lengths: self.lengths,
            tokens_per_s: tokens as f64 / quickest,
            median_tokens_per_s: tokens as f64 / median,
            supervised_per_s: supervised as f64 / quickest,
            asked_share: asked / median,
            step_s: median,
            used_mib: used >> 20,
            told_mib: told >> 20,
            steps_began_s,
            steps_ended_s,
            loss,
            loss_on_cpu,
            first_loss: losses[0] / all,
            last_loss: losses[losses.len() - 1] / all,
            answer_per_s,
            answers_per_s,
            not_kept: None,
        })
    }

    /// Tokens a second that `texts` texts are written at. Nothing of it stays on the device.
    fn answers(&self, device: &Arc<dyn Device>, kind: Kind, texts: usize) -> Result<f64, DeviceError> {
        const PROMPT: usize = 128;
        const TOKENS: usize = 32;
        let failed = |error: InferError| DeviceError::Failed { what: "answer".to_owned(), why: error.to_string() };
        let vocab = self.decoder.description.vocab;
        let inference = RefCell::new(Inference::new(Arc::clone(device), kind, self.decoder)?);
        let mut inference = inference.borrow_mut();
        let mut caches = Vec::with_capacity(texts);
        for _ in 0..texts {
            caches.push(inference.cache(PROMPT + 2 * TOKENS).map_err(failed)?);
        }
        let mut write = |len: usize| {
            let tokens: Vec<u32> = (0..len).map(|i| token(i, vocab)).collect();
            let mut rows: Vec<_> =
                caches.iter_mut().map(|cache| Turn { tokens: &tokens, cache, adapter: None }).collect();
            inference.forward(&mut rows, Want::Last).map(drop).map_err(failed)
        };
        write(PROMPT)?;
        (0..TOKENS).try_for_each(|_| write(1))?;
        let started = Instant::now();
        (0..TOKENS).try_for_each(|_| write(1))?;
        Ok((texts * TOKENS) as f64 / started.elapsed().as_secs_f64())
    }
}

/// Seconds since 1970.
fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
