//! Embedding, norms, rotary, gathering and scattering.

use super::super::ops::{self, NormSpans, RotarySpans};
use super::super::{DeviceError, Kind};
use super::{numbers, on_desks};
use crate::model::description::{Norm, Rotary, RotaryScaling};
use crate::model::ops::norm::{self, Heads, NormWeights};
use crate::model::ops::rotary::{self, Table};

const WIDTHS: [usize; 6] = [1, 7, 32, 130, 576, 1030];

#[test]
fn embedding_takes_the_tokens_rows_times_the_scale() {
    on_desks(|desk| {
        for width in WIDTHS {
            let table = desk.held(numbers(11 * width, 1));
            let tokens = [3u32, 0, 10, 3, 7];
            let x = desk.room(desk.kind, tokens.len() * width);
            let (spans, words) = (desk.put(&table), desk.put_words(&tokens));
            ops::embed(desk.device(), desk.kind, spans, width, words, 1.5, x).expect("embedded");
            let want: Vec<f32> =
                tokens.iter().flat_map(|&t| &table[t as usize * width..][..width]).map(|x| x * 1.5).collect();
            desk.expect("embed", x, &want, 1e-7);
        }
    });
}

#[test]
fn a_token_beyond_the_table_gives_nan_and_reads_nothing() {
    on_desks(|desk| {
        let x = desk.room(desk.kind, 16);
        let (table, tokens) = (desk.put(&numbers(32, 1)), desk.put_words(&[4, 3]));
        ops::embed(desk.device(), desk.kind, table, 8, tokens, 1.0, x).expect("embedded");
        let got = desk.get(x);
        assert!(got[..8].iter().all(|x| x.is_nan()) && got[8..].iter().all(|x| x.is_finite()), "{got:?}");
    });
}

#[test]
fn norms_and_their_gradients_are_the_processors() {
    on_desks(|desk| {
        for width in WIDTHS {
            for (layer, bias) in [(false, false), (true, true), (true, false)] {
                let rows = 19;
                let rule = if layer { Norm::Layer { eps: 1e-5 } } else { Norm::Rms { eps: 1e-6 } };
                let shift = if bias { numbers(width, 3) } else { vec![0.0; width] };
                let weights = NormWeights { scale: numbers(width, 2), bias: shift };
                let x: Vec<f32> = desk.held(numbers(rows * width, 1).iter().map(|x| x * 2.0 + 0.3).collect());
                let (dy, dx) = (desk.held(numbers(rows * width, 4)), desk.held(numbers(rows * width, 5)));
                let spans = NormSpans {
                    scale: desk.put_as(Kind::F32, &weights.scale),
                    bias: bias.then(|| desk.put_as(Kind::F32, &weights.bias)),
                };
                let (on_x, on_y) = (desk.put(&x), desk.room(desk.kind, x.len()));
                ops::norm(desk.device(), desk.kind, rule, spans, on_x, on_y).expect("normed");
                let mut y = vec![0.0; x.len()];
                norm::forward(rule, &weights, &x, &mut y);
                desk.expect(&format!("norm of {width}"), on_y, &y, 1e-5);
                let (on_dy, on_dx) = (desk.put(&dy), desk.put(&dx));
                ops::norm_backward(desk.device(), desk.kind, rule, spans, on_x, on_dy, on_dx).expect("backward");
                let mut want = dx.clone();
                norm::backward(rule, &weights, &x, &dy, &mut want);
                desk.expect(&format!("gradient of norm of {width}"), on_dx, &want, 1e-5);
            }
        }
    });
}

#[test]
fn norms_of_heads_and_their_gradients_are_the_processors() {
    on_desks(|desk| {
        for (dim, count, first, stride) in [(16, 3, 0, 80), (20, 2, 20, 70), (64, 2, 128, 256), (7, 1, 3, 11)] {
            let rows = 13;
            let heads = Heads { stride, first, count, dim };
            let scale = numbers(dim, 2);
            let x = desk.held(numbers(rows * stride, 1));
            let on_scale = desk.put_as(Kind::F32, &scale);
            let on_x = desk.put(&x);
            ops::head_norm(desk.device(), desk.kind, heads, on_scale, 1e-6, on_x).expect("normed");
            let mut want = x.clone();
            norm::heads_forward(heads, &scale, 1e-6, &mut want);
            desk.expect("norm of heads", on_x, &want, 1e-5);
            let gradient = desk.held(numbers(rows * stride, 3));
            let (on_x, on_gradient) = (desk.put(&x), desk.put(&gradient));
            ops::head_norm_backward(desk.device(), desk.kind, heads, on_scale, 1e-6, on_x, on_gradient).expect("done");
            let mut want = gradient.clone();
            norm::heads_backward(heads, &scale, 1e-6, &x, &mut want, None);
            desk.expect("gradient of norm of heads", on_gradient, &want, 2e-5);
        }
    });
}

/// Cosines and sines as [`Table`] has them.
fn table_of(dims: usize, length: usize) -> (Rotary, Vec<f32>, Vec<f32>) {
    let turning = Rotary { dims, theta: 10_000.0, scaling: RotaryScaling::None };
    let angles: Vec<f32> = (0..length)
        .flat_map(|position| rotary::frequencies(&turning).into_iter().map(move |f| position as f32 * f))
        .collect();
    (turning, angles.iter().map(|a| a.cos()).collect(), angles.iter().map(|a| a.sin()).collect())
}

#[test]
fn rotary_turns_whole_heads_and_parts_of_heads_both_ways() {
    on_desks(|desk| {
        for (dim, dims, heads, stride) in [(16, 16, 3, 60), (64, 16, 2, 192), (256, 256, 2, 600), (6, 6, 1, 6)] {
            let positions: Vec<u32> = vec![0, 1, 2, 3, 0, 1, 30, 31];
            let (turning, cos, sin) = table_of(dims, 32);
            let table =
                RotarySpans { cos: desk.put_as(Kind::F32, &cos), sin: desk.put_as(Kind::F32, &sin), half: dims / 2 };
            let x = desk.held(numbers(positions.len() * stride, 1));
            for backward in [false, true] {
                let (on_x, on_positions) = (desk.put(&x), desk.put_words(&positions));
                let kind = desk.kind;
                ops::rotary(desk.device(), kind, table, on_positions, on_x, stride, heads, dim, backward)
                    .expect("turned");
                let mut want = x.clone();
                rotary::apply(&Table::new(&turning, 32), &positions, &mut want, stride, heads, dim, backward);
                desk.expect("rotary", on_x, &want, 1e-6);
            }
        }
    });
}

#[test]
fn gathered_rows_scatter_back_and_leave_zeros_between() {
    on_desks(|desk| {
        for width in WIDTHS {
            let (total, rows) = (9, [7u32, 0, 4]);
            let x = desk.held(numbers(total * width, 1));
            let (on_x, on_rows) = (desk.put(&x), desk.put_words(&rows));
            let few = desk.room(desk.kind, rows.len() * width);
            ops::gather(desk.device(), desk.kind, on_x, width, on_rows, few).expect("gathered");
            let want: Vec<f32> = rows.iter().flat_map(|&row| x[row as usize * width..][..width].to_vec()).collect();
            desk.expect("gather", few, &want, 0.0);
            let all = desk.room(desk.kind, x.len());
            ops::scatter(desk.device(), desk.kind, few, width, on_rows, all).expect("scattered");
            let want: Vec<f32> =
                (0..x.len()).map(|i| if rows.contains(&((i / width) as u32)) { x[i] } else { 0.0 }).collect();
            desk.expect("scatter", all, &want, 0.0);
        }
    });
}

/// What an operation says that was given something unfit.
fn refusal(done: Result<(), DeviceError>) -> String {
    done.expect_err("it does not fit").to_string()
}

#[test]
fn unfit_spans_are_refused_by_name_before_anything_runs() {
    on_desks(|desk| {
        let (machine, kind) = (desk.device(), desk.kind);
        let (x, y) = (desk.room(kind, 24), desk.room(kind, 23));
        let scale = desk.put_as(Kind::F32, &[1.0; 8]);
        let weights = NormSpans { scale, bias: None };
        let rule = Norm::Rms { eps: 1e-6 };
        let short = refusal(ops::norm(machine, kind, rule, weights, x, y));
        assert!(short.contains("norm") && short.contains("y holds 23 numbers"), "{short}");
        let words = desk.put_words(&[1, 2, 3]);
        let wrong = refusal(ops::norm(machine, kind, rule, weights, words, x));
        assert!(wrong.contains("numbers of u32, not of"), "{wrong}");
        let wrong = refusal(ops::gather(machine, kind, x, 7, words, x.part(0, 21)));
        assert!(wrong.contains("gather") && wrong.contains("no rows of 7"), "{wrong}");
        let wrong = refusal(ops::add(machine, Kind::F64, x, x));
        assert!(wrong.contains("f32 or bf16, not f64"), "{wrong}");
        assert!(machine.launch("nothing", kind, [1, 1, 1], 256, &[]).is_err());
    });
}
