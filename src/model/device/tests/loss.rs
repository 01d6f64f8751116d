//! The loss and the update.

use super::super::Kind;
use super::super::ops::{self, PARTIALS};
use super::{numbers, on_desks};
use crate::model::ops::adamw::Terms;

/// Losses and gradient in f64, from the definition.
fn reference(logits: &[f32], targets: &[u32], weights: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let vocab = logits.len() / targets.len();
    let mut gradient = Vec::new();
    let mut losses = Vec::new();
    for ((row, &target), &weight) in logits.chunks_exact(vocab).zip(targets).zip(weights) {
        let top = row.iter().fold(f64::MIN, |top, &x| top.max(f64::from(x)));
        let sum: f64 = row.iter().map(|&x| (f64::from(x) - top).exp()).sum();
        losses.push((top + sum.ln() - f64::from(row[target as usize])) as f32);
        for (i, &x) in row.iter().enumerate() {
            let hot = if i == target as usize { 1.0 } else { 0.0 };
            gradient.push((f64::from(weight) * ((f64::from(x) - top).exp() / sum - hot)) as f32);
        }
    }
    (losses, gradient)
}

#[test]
fn cross_entropy_and_its_gradient_follow_the_definition() {
    on_desks(|desk| {
        for vocab in [2, 31, 1000, 5003] {
            let rows = 4;
            let logits: Vec<f32> = numbers(rows * vocab, 1).iter().map(|x| x * 20.0).collect();
            let targets: Vec<u32> = (0..rows as u32).map(|i| (i * 977) % vocab as u32).collect();
            let weights = [1.0, 0.25, 0.0, 3.0];
            let (losses, gradient) = reference(&logits, &targets, &weights);
            let (on_logits, on_targets) = (desk.put_as(Kind::F32, &logits), desk.put_words(&targets));
            let (on_weights, on_losses) = (desk.put_as(Kind::F32, &weights), desk.room(Kind::F32, rows));
            let run = |gradient| {
                ops::cross_entropy(desk.device(), desk.kind, on_logits, on_targets, on_weights, on_losses, gradient)
                    .expect("computed");
                desk.expect("losses", on_losses, &losses, 1e-5);
            };
            run(None);
            let on_gradient = desk.room(desk.kind, logits.len());
            run(Some(on_gradient));
            desk.expect("gradient", on_gradient, &gradient, 1e-5);
            if desk.kind == Kind::F32 {
                run(Some(on_logits));
                desk.expect("gradient in the logits' place", on_logits, &gradient, 1e-5);
            }
        }
    });
}

#[test]
fn a_logit_that_is_no_number_shows_in_the_loss() {
    on_desks(|desk| {
        let mut logits = numbers(600, 1);
        logits[177] = f32::NAN;
        let (on_logits, targets) = (desk.put_as(Kind::F32, &logits), desk.put_words(&[5, 5, 200]));
        let (weights, losses) = (desk.put_as(Kind::F32, &[1.0; 3]), desk.room(Kind::F32, 3));
        ops::cross_entropy(desk.device(), desk.kind, on_logits, targets, weights, losses, None).expect("computed");
        let got = desk.get(losses);
        assert!(got[0].is_nan() && got[1].is_finite() && got[2].is_nan(), "{got:?}"); // 200 is beyond the vocabulary
    });
}

#[test]
fn weighted_losses_add_to_the_sum_and_squares_replace_it() {
    on_desks(|desk| {
        for len in [1, 255, 3000] {
            let (losses, weights) = (numbers(len, 1), numbers(len, 2));
            let (on_losses, on_weights) = (desk.put_as(Kind::F32, &losses), desk.put_as(Kind::F32, &weights));
            let sum = desk.put_as(Kind::F64, &[2.5]);
            ops::weigh_losses(desk.device(), on_losses, on_weights, sum).expect("summed");
            let want: f64 = losses.iter().zip(&weights).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((desk.get(sum)[0] - 2.5 - want).abs() < 1e-12 * len as f64, "{} for {want}", desk.get(sum)[0]);
        }
        for len in [0, 3, 70_001] {
            let x = numbers(len, 3);
            let (on_x, partial) = (desk.put_as(Kind::F32, &x), desk.room(Kind::F64, PARTIALS));
            let sum = desk.put_as(Kind::F64, &[7.0]);
            ops::squared_norm(desk.device(), on_x, partial, sum).expect("summed");
            let want: f64 = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            assert!((desk.get(sum)[0] - want).abs() <= 1e-12 * want, "{} for {want}", desk.get(sum)[0]);
        }
    });
}

/// One update in f64; the factor for clipping is given.
fn updated(u: Terms, factor: f64, [p, g, m, v]: [f32; 4]) -> [f32; 3] {
    let [p, g, m, v] = [p, g, m, v].map(f64::from);
    let (beta1, beta2) = (f64::from(u.beta1), f64::from(u.beta2));
    let g = g * factor;
    let (m, v) = (beta1 * m + (1.0 - beta1) * g, beta2 * v + (1.0 - beta2) * g * g);
    let p = p * f64::from(u.keep) - f64::from(u.rate) * m / (v.sqrt() * f64::from(u.root) + f64::from(u.eps));
    [p as f32, m as f32, v as f32]
}

#[test]
fn the_update_is_adamw_with_clipping_and_leaves_out_what_is_not_finite() {
    let update = Terms { beta1: 0.9, beta2: 0.999, eps: 1e-8, keep: 0.9995, rate: 0.02, root: 20.0 };
    on_desks(|desk| {
        for (len, clip, norm2, loss) in [
            (1, 0.0, 9.0, 1.0),
            (1030, 0.5, 9.0, 1.0),
            (1030, 5.0, 9.0, 1.0),
            (77, 1.0, f32::NAN, 1.0),
            (77, 1.0, 1.0, f32::INFINITY),
        ] {
            let moments: Vec<f32> = numbers(len, 4).iter().map(|x| x * x).collect();
            let (p, g, m) = (numbers(len, 1), numbers(len, 2), numbers(len, 3));
            let [on_p, on_g, on_m, on_v] = [&p, &g, &m, &moments].map(|x| desk.put_as(Kind::F32, x));
            let (norm2_span, loss_span) = (desk.put_as(Kind::F64, &[norm2]), desk.put_as(Kind::F64, &[loss]));
            let copy = desk.room(Kind::Bf16, len);
            desk.device().zero(copy.at, copy.bytes()).expect("zero");
            ops::adamw(desk.device(), update, clip, norm2_span, loss_span, on_p, on_g, on_m, on_v, Some(copy))
                .expect("done");
            let finite = norm2.is_finite() && loss.is_finite();
            let factor = if clip > 0.0 { (f64::from(clip) / (f64::from(norm2).sqrt() + 1e-6)).min(1.0) } else { 1.0 };
            let want: Vec<[f32; 3]> = (0..len)
                .map(|i| {
                    let now = [p[i], g[i], m[i], moments[i]];
                    if finite { updated(update, factor, now) } else { [now[0], now[2], now[3]] }
                })
                .collect();
            for (i, (name, span)) in [("p", on_p), ("m", on_m), ("v", on_v)].into_iter().enumerate() {
                desk.expect(name, span, &want.iter().map(|w| w[i]).collect::<Vec<_>>(), 1e-6);
            }
            let rounded = desk.get(on_p);
            let copied = desk.get(copy).iter().zip(&rounded).all(|(copy, p)| (copy - p).abs() <= 0.004 * p.abs());
            assert!(copied == finite, "the working copy of {len} numbers");
        }
    });
}
