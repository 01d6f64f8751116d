//! Activations, dropout, sums, conversion.

use half::bf16;

use super::super::{Kind, ops};
use super::{numbers, on_desks};
use crate::model::description::Activation;
use crate::model::ops::activation;
use crate::model::ops::dropout::{Dropout, row_key};

#[test]
fn activations_and_their_gradients_are_the_processors() {
    on_desks(|desk| {
        for (act, gated) in
            [Activation::Silu, Activation::GeluTanh, Activation::GeluErf].map(|a| [(a, true), (a, false)]).concat()
        {
            for width in [1, 9, 64, 1500] {
                let rows = 5;
                let wide = if gated { 2 * width } else { width };
                let x: Vec<f32> = desk.held(numbers(rows * wide, 1).iter().map(|x| x * 6.0).collect());
                let dy = desk.held(numbers(rows * width, 2));
                let (on_x, on_y, on_dy) = (desk.put(&x), desk.room(desk.kind, dy.len()), desk.put(&dy));
                ops::activate(desk.device(), desk.kind, act, gated, on_x, width, on_y).expect("activated");
                let mut y = vec![0.0; dy.len()];
                activation::forward(act, gated, &x, width, &mut y);
                desk.expect(&format!("{act:?}"), on_y, &y, 1e-6);
                ops::activate_backward(desk.device(), desk.kind, act, gated, on_x, width, on_dy).expect("backward");
                let mut want = x.clone();
                activation::backward(act, gated, &mut want, width, &dy);
                desk.expect(&format!("gradient of {act:?}"), on_x, &want, 2e-6);
            }
        }
    });
}

#[test]
fn dropout_draws_the_processors_mask_bit_for_bit() {
    on_desks(|desk| {
        for (count, width) in [(1, 1), (3, 2), (4, 256), (3, 1667), (100, 400)] {
            let len = count * width;
            let keys: Vec<u32> = (0..count as u64).map(|row| row_key(row / 3, row % 3)).collect();
            let rows = desk.put_words(&keys);
            let dropout = Dropout::new(0.3, &[5, len as u64]).expect("a probability over zero");
            let (x, start) = (desk.held(numbers(len, 1)), desk.held(numbers(len, 2)));
            let (on_x, on_y) = (desk.put(&x), desk.room(desk.kind, len));
            ops::drop(desk.device(), desk.kind, dropout, rows, on_x, on_y).expect("dropped");
            let mut want = vec![0.0; len];
            dropout.over(&keys).apply(&x, &mut want);
            let want = desk.held(want);
            let same = desk.get(on_y).iter().zip(&want).all(|(got, want)| got.to_bits() == f64::from(*want).to_bits());
            assert!(same, "the mask of {len} numbers in {}", desk.kind);
            let on_y = desk.put(&start);
            ops::drop_add(desk.device(), desk.kind, dropout, rows, on_x, on_y).expect("added");
            let mut want = start.clone();
            dropout.over(&keys).add(&x, &mut want);
            let want = desk.held(want);
            let same = desk.get(on_y).iter().zip(&want).all(|(got, want)| got.to_bits() == f64::from(*want).to_bits());
            assert!(same, "the sum with a mask of {len} numbers in {}", desk.kind);
        }
    });
}

#[test]
fn sums_and_biases_are_added() {
    on_desks(|desk| {
        for width in [1, 10, 1028] {
            let rows = 3;
            let (y, other, bias) = (numbers(rows * width, 1), numbers(rows * width, 2), numbers(width, 3));
            let (y, other) = (desk.held(y), desk.held(other));
            let on_y = desk.put(&y);
            ops::add(desk.device(), desk.kind, on_y, desk.put(&other)).expect("added");
            let want: Vec<f32> = y.iter().zip(&other).map(|(a, b)| a + b).collect();
            desk.expect("add", on_y, &want, 1e-7);
            let on_y = desk.put(&y);
            ops::add_bias(desk.device(), desk.kind, desk.put_as(Kind::F32, &bias), on_y).expect("added");
            let want: Vec<f32> = y.iter().enumerate().map(|(i, y)| y + bias[i % width]).collect();
            desk.expect("add_bias", on_y, &want, 1e-7);
        }
    });
}

#[test]
fn conversion_rounds_as_the_processor_does_and_keeps_what_is_no_number() {
    on_desks(|desk| {
        let mut x = numbers(1003, 1);
        // The largest, which rounds to infinity; the smallest; signs of zero.
        x.extend([f32::MAX, f32::MIN_POSITIVE, 1e-42, 0.0, -0.0, f32::INFINITY, f32::NAN]);
        // Ties, both ways, and NaNs whose upper halves are those of infinities.
        x.extend([0x3f80_8000, 0x3f81_8000, 0x7f80_0001, 0xff80_0001].map(f32::from_bits));
        let (from, to) = (desk.put_as(Kind::F32, &x), desk.room(desk.kind, x.len()));
        ops::convert(desk.device(), from, to).expect("converted");
        for (i, (got, x)) in desk.get(to).iter().zip(&x).enumerate() {
            let want = if desk.kind == Kind::Bf16 { bf16::from_f32(*x).to_f64() } else { f64::from(*x) };
            let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(same, "number {i}: {got} for {want}");
        }
    });
}
