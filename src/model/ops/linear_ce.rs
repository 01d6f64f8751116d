//! The head and the cross-entropy in one: `loss = sum_i w_i * -log softmax(h_i E^T)[target_i]`.
//!
//! Only rows that carry loss come here, and they go in chunks: logits of size rows x vocabulary are never held. The
//! gradient of `h` comes out of the same pass, while a chunk's logits are still there.

use rayon::prelude::*;

use super::gemm::{Mat, MatMut, gemm};
use super::pages;
use super::pool::Pool;
use super::simd::exponentials;
use crate::model::matrix::Matrix;
use crate::multiversion;

/// Logits held at once, in floats (32 MiB), but never fewer than 16 rows of them.
const HELD: usize = 8 << 20;

/// Rows of hidden states with what each should predict.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    /// The token each row should predict.
    pub tokens: &'a [u32],
    /// The weight of each row's loss.
    pub weights: &'a [f32],
}

/// Where gradients go: of the hidden rows always, of the head's weight in full-parameter training.
pub struct Gradients<'a> {
    /// `[rows, hidden]`, overwritten.
    pub hidden: &'a mut [f32],
    /// `[vocab, hidden]`, added to.
    pub head: Option<&'a mut [f32]>,
}

multiversion! {
    /// Negative log-likelihood of `target`; turns the row into `weight * (softmax - onehot)` where `keep`.
    fn nll<S>(row: &mut [f32], target: usize, weight: f32, keep: bool) -> f32 {
        let wanted = row[target];
        let (top, sum) = exponentials::<S>(row);
        if keep {
            let factor = weight / sum;
            for x in row.iter_mut() {
                *x *= factor;
            }
            row[target] -= weight;
        }
        top + sum.ln() - wanted
    }
}

/// Computes each row's negative log-likelihood in nats into `losses` (unweighted), and the gradients of the weighted
/// sum where asked. `hidden` is `[rows, width]`, `head` `[vocab, width]`; `scratch` and `pool` are reused between calls.
///
/// # Panics
/// When shapes disagree or a target is outside the vocabulary: a mistake of the caller.
pub fn linear_cross_entropy(
    hidden: &[f32],
    head: &Matrix,
    targets: Targets<'_>,
    losses: &mut [f32],
    mut gradients: Option<Gradients<'_>>,
    scratch: &mut Vec<f32>,
    pool: &mut Pool,
) {
    let rows = targets.tokens.len();
    let (width, vocab) = (head.inputs(), head.outputs());
    assert!(hidden.len() == rows * width && losses.len() == rows && targets.weights.len() == rows, "unlike row counts");
    let chunk = (HELD / vocab.max(1) / 16 * 16).clamp(16, 256).min(rows.max(1));
    if scratch.len() < chunk * vocab {
        *scratch = pages::zeros(chunk * vocab);
    }
    for start in (0..rows).step_by(chunk) {
        let n = chunk.min(rows - start);
        let h = Mat::full(&hidden[start * width..(start + n) * width], n, width);
        let logits = &mut scratch[..n * vocab];
        head.forward(h, &[], n, logits, pool);
        let keep = gradients.is_some();
        logits
            .par_chunks_mut(vocab)
            .zip(&targets.tokens[start..start + n])
            .zip(&targets.weights[start..start + n])
            .zip(&mut losses[start..start + n])
            .for_each(|(((row, &token), &weight), loss)| *loss = nll(row, token as usize, weight, keep));
        if let Some(g) = &mut gradients {
            let dh = &mut g.hidden[start * width..(start + n) * width];
            head.backward(logits, &[], n, dh, pool);
            if let Some(d) = &mut g.head {
                gemm(1.0, Mat::full(logits, n, vocab).t(), h, 1.0, MatMut::full(d, vocab, width));
            }
        }
    }
}
