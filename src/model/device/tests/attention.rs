//! Attention over packed segments, forward and backward.

use super::super::ops::{self, Tiling};
use super::super::{Kind, Span};
use super::{Desk, numbers, on_desks};
use crate::model::ops::attention::{self, Segment, Shape};

/// Segments behind one another: length, and which one each stands on.
fn packed(parts: &[(usize, Option<usize>)]) -> Vec<Segment> {
    let mut start = 0;
    let mut segments = Vec::new();
    for &(len, prefix) in parts {
        segments.push(Segment { start, len, prefix });
        start += len;
    }
    segments
}

struct Found {
    out: Span,
    lse: Span,
    gradient: Span,
    /// Numbers of partial sums.
    partial: usize,
}

/// Both passes on the device.
fn run(desk: &Desk, shape: Shape, segments: &[Segment], qkv: &[f32], d_out: &[f32]) -> Found {
    let (machine, kind) = (desk.device(), &desk.kind);
    let tiling = Tiling::new(segments);
    let words = desk.put_words(&tiling.words);
    let (on_qkv, on_d_out) = (desk.put(qkv), desk.put(d_out));
    let (out, gradient) = (desk.room(*kind, d_out.len()), desk.room(*kind, qkv.len()));
    let lse = desk.room(Kind::F32, tiling.rows() * shape.heads);
    ops::attention(machine, *kind, shape, &tiling, words, on_qkv, out, lse).expect("forward");
    let scratch = desk.room(Kind::F32, ops::attention_scratch(shape, &tiling));
    ops::attention_backward(machine, *kind, shape, &tiling, words, on_qkv, out, lse, on_d_out, gradient, scratch)
        .expect("backward");
    desk.check();
    for span in [words, on_qkv, on_d_out, scratch] {
        machine.release(super::super::Address(span.at.0 / 256 * 256));
    }
    Found { out, lse, gradient, partial: scratch.len - tiling.rows() * shape.heads }
}

/// Compares both passes with the processor's; returns the number of partial sums.
fn compare(desk: &Desk, shape: Shape, segments: &[Segment]) -> usize {
    let rows = segments.iter().map(|s| s.start + s.len).max().unwrap_or(0);
    let (narrow, wide) = (shape.heads * shape.head_dim, (shape.heads + 2 * shape.kv_heads) * shape.head_dim);
    let qkv: Vec<f32> = desk.held(numbers(rows * wide, 1).iter().map(|x| x * 1.5).collect());
    let d_out = desk.held(numbers(rows * narrow, 2));
    // What no segment holds is neither read nor, by the processor, written: on the device its result is 0.
    let (mut out, mut lse, mut gradient) =
        (vec![0.0; d_out.len()], vec![0.0; rows * shape.heads], vec![0.0; qkv.len()]);
    attention::forward(shape, segments, &qkv, &mut out, &mut lse);
    attention::backward(shape, segments, &qkv, &out, &lse, &d_out, &mut gradient);
    let found = run(desk, shape, segments, &qkv, &d_out);
    let name = |what: &str| format!("{what} of {shape:?} over {segments:?}");
    desk.expect(&name("result"), found.out, &out, 1e-5);
    desk.expect(&name("log-sum-exp"), found.lse, &lse, 1e-5);
    desk.expect(&name("gradient"), found.gradient, &gradient, 2e-5);
    found.partial
}

fn shape(heads: usize, kv_heads: usize, head_dim: usize, window: Option<usize>) -> Shape {
    Shape { heads, kv_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt(), window }
}

#[test]
fn attention_of_separate_segments_is_the_processors() {
    on_desks(|desk| {
        for parts in [vec![1], vec![5], vec![64], vec![65], vec![130], vec![40, 1, 33, 70], vec![63, 64, 1]] {
            let segments = packed(&parts.iter().map(|&len| (len, None)).collect::<Vec<_>>());
            compare(desk, shape(2, 1, 20, None), &segments);
        }
    });
}

#[test]
fn heads_of_every_size_and_grouping_are_the_processors() {
    let segments = packed(&[(20, None), (50, Some(0)), (9, Some(0))]);
    on_desks(|desk| {
        for (heads, kv_heads, dim) in
            [(1, 1, 16), (4, 4, 17), (6, 2, 32), (3, 1, 64), (2, 2, 80), (2, 1, 128), (2, 1, 256)]
        {
            compare(desk, shape(heads, kv_heads, dim, None), &segments);
        }
    });
}

#[test]
fn windows_reach_into_prefixes_as_on_the_processor() {
    let segments = packed(&[(90, None), (30, Some(0)), (1, Some(0)), (75, Some(0)), (150, None)]);
    on_desks(|desk| {
        for window in [1, 7, 33, 64, 100, 165, 1000] {
            compare(desk, shape(2, 1, 16, Some(window)), &segments);
        }
    });
}

#[test]
fn prefixes_before_and_behind_and_rows_of_no_segment() {
    on_desks(|desk| {
        // The prefix may lie behind those that stand on it, and rows between may belong to nobody.
        let segments = [
            Segment { start: 3, len: 40, prefix: Some(3) },
            Segment { start: 50, len: 30, prefix: None },
            Segment { start: 80, len: 66, prefix: Some(1) },
            Segment { start: 150, len: 10, prefix: None },
            Segment { start: 161, len: 3, prefix: Some(1) },
        ];
        compare(desk, shape(2, 2, 16, None), &segments);
        compare(desk, shape(2, 1, 16, Some(20)), &segments);
    });
}

#[test]
fn a_prefix_that_many_share_is_summed_in_shares_that_repeat_bit_for_bit() {
    let mut parts = vec![(70, None)];
    parts.extend((0..28).map(|i| (15 + i % 9, Some(0))));
    let segments = packed(&parts);
    on_desks(|desk| {
        let shape = shape(2, 1, 24, None);
        assert!(compare(desk, shape, &segments) > 0, "the prefix's tiles are shared");
        let rows = segments.iter().map(|s| s.len).sum::<usize>();
        let (qkv, d_out) = (desk.held(numbers(rows * 96, 3)), desk.held(numbers(rows * 48, 4)));
        let (one, two) = (run(desk, shape, &segments, &qkv, &d_out), run(desk, shape, &segments, &qkv, &d_out));
        assert!(desk.get(one.gradient) == desk.get(two.gradient), "two runs differ");
    });
}

#[test]
fn an_empty_pack_is_nothing_to_do() {
    on_desks(|desk| {
        let found = run(desk, shape(2, 1, 16, None), &[], &[], &[]);
        assert_eq!(found.gradient.len, 0);
    });
}

#[test]
fn heads_too_wide_are_refused() {
    on_desks(|desk| {
        let tiling = Tiling::new(&packed(&[(2, None)]));
        let (words, out) = (desk.put_words(&tiling.words), desk.room(desk.kind, 2 * 300));
        let (qkv, lse) = (desk.room(desk.kind, 2 * 900), desk.room(Kind::F32, 2));
        let done = ops::attention(desk.device(), desk.kind, shape(1, 1, 300, None), &tiling, words, qkv, out, lse);
        let why = done.expect_err("too wide").to_string();
        assert!(why.contains("1 to 256"), "{why}");
    });
}
