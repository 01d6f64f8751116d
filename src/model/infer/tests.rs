use super::super::decoder::{Decoder, Product};
use super::super::description::{Activation, Description, Family, Norm, Rotary, RotaryScaling};
use super::super::lora::LoraConfig;
use super::*;

/// A small description with the switches of a family.
pub fn description(family: Family) -> Description {
    let (gemma, neox) = (family == Family::Gemma3, family == Family::GptNeox);
    let rotary = |theta| Rotary { dims: if neox { 6 } else { 20 }, theta, scaling: RotaryScaling::None };
    Description {
        family,
        vocab: 67,
        hidden: 40,
        layers: 3,
        heads: 4,
        kv_heads: if neox { 4 } else { 2 },
        head_dim: 20,
        intermediate: 72,
        context: 600,
        norm: if neox { Norm::Layer { eps: 1e-5 } } else { Norm::Rms { eps: 1e-6 } },
        qk_norm: gemma || family == Family::Qwen3,
        post_norms: gemma,
        parallel_residual: neox,
        qkv_bias: neox || family == Family::Qwen2,
        output_bias: neox,
        mlp_bias: neox,
        gated_mlp: !neox,
        activation: match family {
            Family::Gemma3 => Activation::GeluTanh,
            Family::GptNeox => Activation::GeluErf,
            _ => Activation::Silu,
        },
        tied: !neox,
        embedding_scale: if gemma { 6.3 } else { 1.0 },
        attention_scale: 0.3,
        rotary: rotary(10_000.0),
        local_rotary: gemma.then(|| rotary(1_000.0)),
        window: gemma.then_some(5),
        local_layers: if gemma { vec![true, false, true] } else { Vec::new() },
        bos: None,
        eos: vec![0],
    }
}

/// A random decoder whose layers do something: larger weights than a random start has, and biases.
pub fn decoder(family: Family) -> Decoder {
    let mut decoder = Decoder::random(&description(family), 5).unwrap();
    decoder.visit_mut(&mut |name, values| {
        for (i, value) in values.iter_mut().enumerate() {
            *value = *value * 8.0 + if name.ends_with("bias") { (i % 5) as f32 * 0.1 } else { 0.0 };
        }
    });
    decoder
}

/// An adapter on every linear layer that changes the logits.
pub fn adapter(decoder: &Decoder, seed: u64) -> Adapter {
    let targets = decoder.blocks[0].clone();
    let targets = Product::ALL.iter().flat_map(|&p| targets.product(p).members.clone()).map(|m| m.linear).collect();
    let config = LoraConfig { rank: 2 + seed as usize % 3, alpha: 6.0, dropout: 0.0, targets, rslora: false };
    let mut adapter = Adapter::new(decoder, &config, seed);
    for (i, value) in adapter.values.iter_mut().enumerate() {
        *value += ((i % 11) as f32 - 5.0) * 0.02;
    }
    adapter
}

#[test]
fn an_adapters_numbers_are_counted_without_making_it() {
    for family in FAMILIES {
        let decoder = decoder(family);
        let adapter = adapter(&decoder, 1);
        assert_eq!(adapter.config.parameters(&decoder.description), adapter.values.len(), "{family:?}");
    }
}

const FAMILIES: [Family; 5] = [Family::Llama, Family::Qwen2, Family::Qwen3, Family::Gemma3, Family::GptNeox];

fn text(seed: u32, len: usize) -> Vec<u32> {
    (0..len as u32).map(|i| (i * i + 7 * i * seed + seed) % 67).collect()
}

/// One sequence's logits, its tokens given in steps of `split`.
fn alone(decoder: &Decoder, tokens: &[u32], adapter: Option<&Adapter>, split: usize) -> Vec<f32> {
    let mut inference = Inference::new(decoder);
    let mut cache = KvCache::of(&decoder.description, 4);
    let mut logits = Vec::new();
    for tokens in tokens.chunks(split) {
        let row = Row { tokens, cache: &mut cache, adapter };
        logits.extend(inference.forward(&mut [row], Want::All).unwrap());
    }
    logits
}

#[test]
fn a_prompts_split_does_not_show_in_any_familys_logits() {
    for family in FAMILIES {
        let decoder = decoder(family);
        let adapter = adapter(&decoder, 1);
        let tokens = text(3, 290);
        let whole = alone(&decoder, &tokens, Some(&adapter), 290);
        assert!(whole.iter().all(|x| x.is_finite()));
        for split in [1, 7, 64] {
            assert!(alone(&decoder, &tokens, Some(&adapter), split) == whole, "{family:?} in steps of {split}");
        }
    }
}

#[test]
fn rows_of_one_batch_equal_each_row_alone() {
    for family in FAMILIES {
        let decoder = decoder(family);
        let adapters = [adapter(&decoder, 1), adapter(&decoder, 2)];
        let of = |i: usize| [None, Some(&adapters[0]), Some(&adapters[1])][i % 3];
        let texts: Vec<_> = (0..8).map(|i| text(i, 20 + 13 * i as usize)).collect();
        let vocab = decoder.description.vocab;
        let singles: Vec<Vec<f32>> =
            texts.iter().enumerate().map(|(i, t)| alone(&decoder, t, of(i), t.len())).collect();
        let mut caches: Vec<_> = texts.iter().map(|_| KvCache::of(&decoder.description, 0)).collect();
        let mut inference = Inference::new(&decoder);
        let mut rows = |want, range: fn(&[u32]) -> &[u32]| {
            let mut rows: Vec<_> = texts
                .iter()
                .zip(&mut caches)
                .enumerate()
                .map(|(i, (t, cache))| Row { tokens: range(t), cache, adapter: of(i) })
                .collect();
            inference.forward(&mut rows, want).unwrap()
        };
        assert!(rows(Want::Nothing, |t| &t[..4]).is_empty());
        let middle = rows(Want::All, |t| &t[4..t.len() - 1]);
        let last = rows(Want::Last, |t| &t[t.len() - 1..]);
        let mut middle = middle.as_slice();
        for (i, (single, last)) in singles.iter().zip(last.chunks(vocab)).enumerate() {
            let (expected, end) = single[4 * vocab..].split_at((texts[i].len() - 5) * vocab);
            let (got, rest) = middle.split_at(expected.len());
            assert!(got == expected && last == end, "{family:?} row {i}");
            middle = rest;
        }
        assert!(middle.is_empty());
        assert_ne!(singles[0][..vocab], alone(&decoder, &texts[0], of(1), 99)[..vocab], "{family:?}: no effect");
    }
}

#[test]
fn what_cannot_be_run_is_refused_and_leaves_the_cache_as_it_was() {
    let decoder = decoder(Family::Llama);
    let mut inference = Inference::new(&decoder);
    let mut cache = KvCache::of(&decoder.description, 0);
    let mut run = |tokens: &[u32]| {
        let got = inference.forward(&mut [Row { tokens, cache: &mut cache, adapter: None }], Want::Last);
        (got.map(|_| ()), cache.len())
    };
    assert_eq!(run(&[1, 67]), (Err(InferError::Token { token: 67, vocab: 67 }), 0));
    assert_eq!(run(&[]), (Err(InferError::Empty), 0));
    assert_eq!(run(&[1; 601]), (Err(InferError::TooLong { tokens: 601, context: 600 }), 0));
    assert_eq!(run(&[1; 600]), (Ok(()), 600));
    let mut other = KvCache::new(3, 2, 16, 0);
    let row = Row { tokens: &[1], cache: &mut other, adapter: None };
    assert_eq!(inference.forward(&mut [row], Want::Last), Err(InferError::Cache));
}
