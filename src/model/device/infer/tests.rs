//! The device's inference beside the processor's, on the emulated device: every family, with and without adapters, in batches.

use std::cell::RefCell;

use super::*;
use crate::model::description::Family;
use crate::model::device::fixtures::{adapter, all_families, device};
use crate::model::infer;

/// The last tokens' logits of texts that are read in pieces, each after the piece before it, all texts side by side.
fn read_on(engine: &mut dyn Infer, texts: &[(Vec<u32>, Option<&Adapter>)], pieces: &[usize]) -> Vec<Vec<f32>> {
    let vocab = engine.description().vocab;
    let mut caches: Vec<Cache> = texts.iter().map(|_| engine.cache(8).unwrap()).collect();
    let mut found = Vec::new();
    let mut from = 0;
    for &piece in pieces {
        let mut rows: Vec<Turn<'_>> = caches
            .iter_mut()
            .zip(texts)
            .enumerate()
            .map(|(i, (cache, (tokens, adapter)))| {
                // Pieces of unlike lengths, as answers and prompts in one batch are.
                let (from, to) = (from + i * usize::from(from > 0), from + piece + i);
                Turn { tokens: &tokens[from..to], cache, adapter: *adapter }
            })
            .collect();
        let logits = engine.forward(&mut rows, Want::Last).unwrap();
        found.extend(logits.chunks_exact(vocab).map(<[f32]>::to_vec));
        from += piece;
    }
    found
}

fn text(salt: usize, len: usize) -> Vec<u32> {
    (0..len).map(|t| ((t * 31 + salt * 17) % 131) as u32).collect()
}

/// The greatest difference, over the greatest number.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let most = |x: &mut dyn Iterator<Item = f32>| x.fold(0f32, |most, x| most.max(x.abs()));
    most(&mut a.iter().zip(b).map(|(a, b)| a - b)) / most(&mut b.iter().copied())
}

#[test]
fn every_family_reads_on_as_on_the_processor_with_adapters_of_each_text() {
    let Some(device) = device() else { return };
    for (name, decoder) in all_families() {
        let (one, other) = (adapter(&decoder, 7), adapter(&decoder, 8));
        let texts: Vec<_> = [None, Some(&one), Some(&other), Some(&one), None]
            .into_iter()
            .enumerate()
            .map(|(i, a)| (text(i, 90), a))
            .collect();
        // Past a tile, past a window, past the room that was asked for.
        let pieces = [30, 1, 1, 28, 6];
        let expected = read_on(&mut infer::Inference::new(&decoder), &texts, &pieces);
        let on = RefCell::new(Inference::new(device.clone(), Kind::F32, &decoder).unwrap());
        let found = read_on(&mut on.borrow_mut(), &texts, &pieces);
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let off = apart(found, expected);
            assert!(off < 2e-5, "{name}, piece {} of text {}: off by {off}", i / texts.len(), i % texts.len());
        }
        let (base, tuned) = (&found[0], &found[1]);
        assert!(apart(base, tuned) > 1e-3, "{name}: the adapter changes nothing");
    }
}

#[test]
fn bf16_is_near_and_every_tokens_logits_come_in_order() {
    let Some(device) = device() else { return };
    let (_, decoder) = all_families().swap_remove(0);
    let one = adapter(&decoder, 7);
    let vocab = decoder.description.vocab;
    let all = |engine: &mut dyn Infer| {
        let mut caches = [engine.cache(1).unwrap(), engine.cache(1).unwrap()];
        let [a, b] = &mut caches;
        let (first, second) = (text(1, 70), text(2, 9));
        let mut rows =
            [Turn { tokens: &first, cache: a, adapter: Some(&one) }, Turn { tokens: &second, cache: b, adapter: None }];
        engine.forward(&mut rows, Want::All).unwrap()
    };
    let expected = all(&mut infer::Inference::new(&decoder));
    for (kind, most) in [(Kind::F32, 2e-5), (Kind::Bf16, 3e-2)] {
        if kind == Kind::Bf16 && !device.has_bf16() {
            eprintln!("skipped in bf16: the GPU does not multiply it");
            continue;
        }
        let on = RefCell::new(Inference::new(device.clone(), kind, &decoder).unwrap());
        let found = all(&mut on.borrow_mut());
        assert_eq!(found.len(), 79 * vocab);
        for (row, (found, expected)) in found.chunks(vocab).zip(expected.chunks(vocab)).enumerate() {
            let off = apart(found, expected);
            assert!(off < most, "{kind}, row {row}: off by {off}");
        }
    }
}

#[test]
fn texts_come_and_go_in_an_arena_and_a_fork_shares_the_beginning_only() {
    let Some(device) = device() else { return };
    let (_, decoder) = all_families().swap_remove(5);
    let on = RefCell::new(Inference::new(device, Kind::F32, &decoder).unwrap());
    let mut engine = on.borrow_mut();
    let mut by_host = infer::Inference::new(&decoder);
    let last = |engine: &mut dyn Infer, cache: &mut Cache, tokens: &[u32]| {
        engine.forward(&mut [Turn { tokens, cache, adapter: None }], Want::Last).unwrap()
    };
    let whole = text(3, 100);
    let expected = |by_host: &mut infer::Inference<'_>, tokens: &[u32]| {
        let mut cache = by_host.cache(1).unwrap();
        last(by_host, &mut cache, tokens)
    };
    let mut stem = engine.cache(40).unwrap();
    last(&mut engine, &mut stem, &whole[..40]);
    // Others fill the arena beyond its first size and go, and their places are used again.
    let mut others: Vec<Cache> = (0..30).map(|_| engine.cache(70).unwrap()).collect();
    for (i, other) in others.iter_mut().enumerate() {
        last(&mut engine, other, &text(i, 5));
    }
    others.truncate(3);
    let mut forks: Vec<Cache> = [40, 25].map(|tokens| engine.fork(&stem, tokens, 50).unwrap()).into_iter().collect();
    assert_eq!((forks[0].len(), forks[1].len(), stem.len()), (40, 25, 40));
    for (fork, from) in forks.iter_mut().zip([40, 25]) {
        // Grows past the room it asked for.
        let found = last(&mut engine, fork, &whole[from..]);
        assert!(apart(&found, &expected(&mut by_host, &whole)) < 2e-5);
    }
    let different = text(9, 7);
    let found = last(&mut engine, &mut stem, &different);
    let all = [&whole[..40], &different].concat();
    assert!(apart(&found, &expected(&mut by_host, &all)) < 2e-5, "a fork's tokens are not in the stem");
    let found = last(&mut engine, &mut others[2], &text(1, 4));
    let all = [text(2, 5), text(1, 4)].concat();
    assert!(apart(&found, &expected(&mut by_host, &all)) < 2e-5);
}

#[test]
fn what_cannot_be_read_is_refused_and_leaves_the_cache_as_it_was() {
    let Some(device) = device() else { return };
    let (_, decoder) = all_families().swap_remove(0);
    let on = RefCell::new(Inference::new(device.clone(), Kind::F32, &decoder).unwrap());
    let other = RefCell::new(Inference::new(device, Kind::F32, &decoder).unwrap());
    let mut engine = on.borrow_mut();
    let mut cache = engine.cache(4).unwrap();
    let mut refused = |cache: &mut Cache, tokens: &[u32]| {
        engine.forward(&mut [Turn { tokens, cache, adapter: None }], Want::Last).unwrap_err()
    };
    assert_eq!(refused(&mut cache, &[]), InferError::Empty);
    assert_eq!(refused(&mut cache, &[131]), InferError::Token { token: 131, vocab: 131 });
    assert_eq!(refused(&mut cache, &[1; 257]), InferError::TooLong { tokens: 257, context: 256 });
    let mut elsewhere = other.borrow_mut().cache(4).unwrap();
    assert_eq!(refused(&mut elsewhere, &[1]), InferError::Cache);
    let mut host = infer::Inference::new(&decoder).cache(4).unwrap();
    assert_eq!(refused(&mut host, &[1]), InferError::Cache);
    assert_eq!(cache.len(), 0);
}

#[test]
fn base_and_tuned_answer_side_by_side_as_on_the_processor() {
    use crate::model::generate::{Event, Generator, Request};
    use crate::model::sample::Sampling;
    let Some(device) = device() else { return };
    let decoder = infer::tests::decoder(Family::Llama);
    let one = infer::tests::adapter(&decoder, 1);
    let tokenizer = crate::model::generate::tests::tokenizer();
    let sampling = Sampling::default();
    let prompts: Vec<Vec<u32>> =
        (0..5).map(|i| [text(0, 20), text(i, 3 + i)].concat().into_iter().map(|t| t % 67).collect()).collect();
    let requests: Vec<Request<'_>> = prompts
        .iter()
        .enumerate()
        .map(|(i, prompt)| Request {
            prompt,
            adapter: (i % 2 == 1).then_some(&one),
            sampling: &sampling,
            stream: 0,
            max_tokens: 12,
            stops: &[],
            ends: &[],
        })
        .collect();
    let run = |generator: Generator<'_>| {
        let mut differences = Vec::new();
        let answers = generator.with_batch(3).side_by_side(&requests, &mut |event| {
            if let Event::Apart { difference, .. } = event {
                differences.push(difference);
            }
            true
        });
        (answers.unwrap(), differences)
    };
    let (expected, _) = run(Generator::new(&decoder, &tokenizer));
    let on = RefCell::new(Inference::new(device, Kind::F32, &decoder).unwrap());
    // Twice: what one set of requests has left is no matter to the next.
    for _ in 0..2 {
        let (found, differences) = run(Generator::on(on.borrow_mut(), &tokenizer));
        assert_eq!(found, expected);
        assert!(differences.first().is_some_and(|difference| *difference > 0.0), "{differences:?}");
    }
}
