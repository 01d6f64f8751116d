//! Every family against transformers, PEFT and torch: the same tiny checkpoints, seeded by their tensors' names, give
//! the same logits, losses and gradients. `tests/reference/make.py` made the stored numbers.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests: what fails here fails the test

mod common;

use common::reference::{self, Tensors, close, ids, numbers};
use common::seeded::{self, Seeded};
use proptest::prelude::*;
use serde_json::Value;
use togi::model::decoder::Decoder;
use togi::model::description::{Activation, Description, Linear, Norm, RotaryScaling};
use togi::model::families;
use togi::model::lora::{Adapter, LoraConfig};
use togi::train::batch::{Packed, Row, packs, shared_prefix};
use togi::train::optimizer::{AdamW, Moments, clip_factor, norm};
use togi::train::schedule::{Rate, Schedule};
use togi::train::step::{Engine, Options, Sink};

/// Measured: logits within 1.5e-6, gradients within 4e-6.
const LOGITS: f64 = 1e-5;
const GRADIENTS: f64 = 2e-5;

const CASES: [&str; 10] = [
    "llama",
    "llama3",
    "llama_linear",
    "mistral",
    "mistral_window",
    "qwen2",
    "qwen3",
    "gemma3",
    "neox_parallel",
    "neox_sequential",
];

fn load(name: &str) -> Decoder {
    let description = reference::description(name);
    Decoder::load(&Seeded { description: &description }, &description).unwrap()
}

/// Stored rows: a label of -100 has no weight.
fn rows(stored: &Value) -> Vec<Row> {
    let row = |row: &Value| Row {
        tokens: ids(&row["ids"]),
        weights: numbers(&row["labels"]).iter().map(|&label| if label < 0.0 { 0.0 } else { 1.0 }).collect(),
    };
    stored.as_array().unwrap().iter().map(row).collect()
}

fn pack(rows: &[Row], share: bool) -> Packed {
    Packed::new(&rows.iter().collect::<Vec<_>>(), share)
}

fn weight(rows: &[Row]) -> f64 {
    rows.iter().map(Row::weight).sum()
}

/// Logits at every position of every row, computed from one pack of all of them.
fn logits(decoder: &Decoder, adapter: Option<&Adapter>, rows: &[Row]) -> Vec<Vec<Vec<f32>>> {
    // A token more, so that the last one of the row predicts as well.
    let longer: Vec<Row> = rows
        .iter()
        .map(|row| Row { tokens: [&row.tokens[..], &[3]].concat(), weights: vec![1.0; row.tokens.len() + 1] })
        .collect();
    let hidden = Engine::new().hidden(decoder, adapter, &pack(&longer, false));
    let width = decoder.description.hidden;
    let dot = |h: &[f32], w: &[f32]| h.iter().zip(w).map(|(&h, &w)| f64::from(h) * f64::from(w)).sum::<f64>() as f32;
    let mut states = hidden.chunks_exact(width);
    rows.iter()
        .map(|row| {
            let states = states.by_ref().take(row.tokens.len());
            states.map(|h| decoder.head().to_f32().chunks_exact(width).map(|w| dot(h, w)).collect()).collect()
        })
        .collect()
}

/// The loss and the gradient of an adapter's numbers, of the mean over all supervised tokens.
fn adapter_gradient(
    decoder: &Decoder,
    adapter: &Adapter,
    rows: &[Row],
    share: bool,
    recompute: bool,
) -> (f64, Vec<f32>) {
    let packed = pack(rows, share);
    let mut gradient = vec![0.0; adapter.values.len()];
    let options = Options { scale: (1.0 / weight(rows)) as f32, recompute, ..Options::default() };
    let mut engine = Engine::new();
    let losses = engine.step(decoder, Some(adapter), &packed, options, Sink::Adapter(&mut gradient));
    (losses.sum(&packed) / weight(rows), gradient)
}

/// Compares logits at all positions (by a weighted sum), those of the last two positions, and the mean loss.
fn same_outputs(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    rows: &[Row],
    stored: &Value,
    file: &Tensors,
    prefix: &str,
) {
    let vocab = decoder.description.vocab;
    let factors = seeded::uniform("checksum", vocab);
    for (i, (logits, row)) in logits(decoder, adapter, rows).iter().zip(rows).enumerate() {
        let sums: Vec<f32> = logits.iter().map(|l| l.iter().zip(&factors).map(|(l, f)| l * f).sum()).collect();
        let wanted: Vec<f32> = numbers(&stored["checksums"][i]).iter().map(|&x| x as f32).collect();
        close(&format!("{prefix}: checksums of row {i}"), &sums, &wanted, LOGITS);
        let last = logits[row.tokens.len() - 2..].concat();
        let wanted = file.get(&format!("{prefix}.logits.{i}"));
        close(&format!("{prefix}: last logits of row {i}"), &last, &wanted, LOGITS);
    }
    let packed = pack(rows, false);
    let loss = Engine::new().evaluate(decoder, adapter, &packed).sum(&packed) / weight(rows);
    let wanted = stored["loss"].as_f64().unwrap();
    assert!((loss - wanted).abs() < 1e-6 * wanted, "{prefix}: loss {loss}, by PyTorch {wanted}");
}

/// Compares the gradients of every tensor of an adapter with those stored under `prefix`.
fn same_gradients(adapter: &Adapter, gradient: &[f32], d: &Description, file: &Tensors, prefix: &str) {
    let tensors = adapter.tensors(d);
    assert_eq!(tensors.len(), file.count(prefix), "tensors that have a gradient");
    for tensor in tensors {
        let name = seeded::short(&tensor.name);
        let mut wanted = file.get(&format!("{prefix}{name}"));
        if tensor.interleaved {
            wanted = seeded::from_file(&wanted, d, tensor.shape[1]);
        }
        close(&name, &gradient[tensor.range], &wanted, GRADIENTS);
    }
}

fn agrees_with_transformers_and_peft(name: &str) {
    let (stored, file, decoder) =
        (reference::json(&format!("{name}.json")), Tensors::read(&format!("{name}.safetensors")), load(name));
    let rows = rows(&stored["rows"]);
    same_outputs(&decoder, None, &rows, &stored["base"], &file, "base");
    let adapter = seeded::adapter(&decoder, 4, 8.0, false);
    same_outputs(&decoder, Some(&adapter), &rows, &stored["adapter"], &file, "adapter");
    let (loss, gradient) = adapter_gradient(&decoder, &adapter, &rows, false, false);
    let wanted = stored["adapter"]["loss"].as_f64().unwrap();
    assert!((loss - wanted).abs() < 1e-6 * wanted, "loss of the step {loss}, by PEFT {wanted}");
    same_gradients(&adapter, &gradient, &decoder.description, &file, "grad.");
}

#[test]
fn llama() {
    agrees_with_transformers_and_peft("llama");
}

#[test]
fn llama_with_llama3_scaling() {
    agrees_with_transformers_and_peft("llama3");
}

#[test]
fn llama_with_linear_scaling_and_biases() {
    agrees_with_transformers_and_peft("llama_linear");
}

#[test]
fn mistral() {
    agrees_with_transformers_and_peft("mistral");
}

#[test]
fn mistral_with_a_window() {
    agrees_with_transformers_and_peft("mistral_window");
}

#[test]
fn qwen2() {
    agrees_with_transformers_and_peft("qwen2");
}

#[test]
fn qwen3() {
    agrees_with_transformers_and_peft("qwen3");
}

#[test]
fn gemma3() {
    agrees_with_transformers_and_peft("gemma3");
}

#[test]
fn gpt_neox_with_parallel_residual() {
    agrees_with_transformers_and_peft("neox_parallel");
}

#[test]
fn gpt_neox_with_sequential_residual() {
    agrees_with_transformers_and_peft("neox_sequential");
}

#[test]
fn rank_stabilised_scaling_agrees_with_peft() {
    let (stored, file, decoder) = (reference::json("llama.json"), Tensors::read("llama.safetensors"), load("llama"));
    let rows = rows(&stored["rows"]);
    let adapter = seeded::adapter(&decoder, 4, 8.0, true);
    same_outputs(&decoder, Some(&adapter), &rows, &stored["rslora"], &file, "rslora");
    let (_, gradient) = adapter_gradient(&decoder, &adapter, &rows, false, false);
    same_gradients(&adapter, &gradient, &decoder.description, &file, "rslora.grad.");
}

#[test]
fn full_parameter_gradients_agree_with_torch() {
    let (stored, file, decoder) = (reference::json("llama.json"), Tensors::read("llama.safetensors"), load("llama"));
    let rows = rows(&stored["rows"]);
    let packed = pack(&rows, false);
    let mut gradient = decoder.zeros_like();
    let options = Options { scale: (1.0 / weight(&rows)) as f32, ..Options::default() };
    Engine::new().step(&decoder, None, &packed, options, Sink::Full(&mut gradient));
    let tensors = gradient.tensors();
    assert_eq!(tensors.len(), file.count("full."), "tensors that have a gradient");
    for (slot, _, found) in tensors {
        let name = families::hf_name(decoder.description.family, slot);
        close(&name, &found, &file.get(&format!("full.{name}")), GRADIENTS);
    }
}

/// The trainer's parts in the trainer's order: micro-batches, clipping, schedule, `AdamW`.
fn follows_torch(stored: &Value, file: &Tensors) {
    let decoder = load("llama");
    let mut adapter = seeded::adapter(&decoder, 4, 8.0, false);
    let number = |key: &str| stored[key].as_f64().unwrap();
    let decay = number("weight_decay");
    let adam = AdamW { weight_decay: decay, ..AdamW::default() };
    let schedule = Rate {
        schedule: Schedule::Cosine,
        peak: number("rate"),
        final_share: 0.1,
        warmup: number("warm") as u64,
        steps: number("total") as u64,
    };
    let mut moments = Moments::new(adapter.values.len());
    let mut clipped = 0;
    for (i, step) in stored["steps"].as_array().unwrap().iter().enumerate() {
        let rows = rows(&step["rows"]);
        let (mut loss, mut gradient) = (0.0, vec![0.0; adapter.values.len()]);
        for row in &rows {
            let packed = Packed::new(&[row], false);
            let options = Options { scale: (1.0 / weight(&rows)) as f32, ..Options::default() };
            let mut engine = Engine::new();
            let losses = engine.step(&decoder, Some(&adapter), &packed, options, Sink::Adapter(&mut gradient));
            loss += losses.sum(&packed) / weight(&rows);
        }
        let (length, rate) = (norm(&gradient), schedule.at(i as u64 + 1));
        let factor = clip_factor(length, number("clip"));
        clipped += usize::from(factor < 1.0);
        moments.begin();
        moments.apply(adam, rate, factor, 0, true, &mut adapter.values, &gradient);
        for (what, found, limit) in [("loss", loss, 2e-5), ("norm", length, 2e-4), ("rate", rate, 1e-9)] {
            let wanted = step[what].as_f64().unwrap();
            assert!((found - wanted).abs() < limit * wanted, "{what} of step {}: {found}, by torch {wanted}", i + 1);
        }
    }
    assert!(clipped > 0, "no step was clipped");
    for tensor in adapter.tensors(&decoder.description) {
        let wanted = file.get(&format!("adamw.{decay:?}.{}", seeded::short(&tensor.name)));
        close(&tensor.name, &adapter.values[tensor.range], &wanted, 1e-4);
    }
}

#[test]
fn eight_optimizer_steps_follow_torch() {
    let (stored, file) = (reference::json("llama.json"), Tensors::read("llama.safetensors"));
    for course in stored["adamw"].as_array().unwrap() {
        follows_torch(course, &file);
    }
}

/// Three rows that begin alike, longer than any window, one of them ending where the others go on.
fn related_rows() -> Vec<Row> {
    let number =
        |name: &str, n: usize| seeded::uniform(name, n).iter().map(|u| ((u + 1.0) * 50.0) as u32).collect::<Vec<_>>();
    [("one", 9), ("two", 14), ("three", 1)]
        .iter()
        .map(|&(name, n)| {
            let tokens = [number("beginning", 13), number(name, n)].concat();
            Row { weights: (0..tokens.len()).map(|i| if i < 13 { 0.0 } else { 1.0 }).collect(), tokens }
        })
        .collect()
}

#[test]
fn a_shared_beginning_and_recomputing_change_neither_loss_nor_gradient() {
    for name in CASES {
        let decoder = load(name);
        let adapter = seeded::adapter(&decoder, 4, 8.0, false);
        let rows = related_rows();
        assert!(pack(&rows, true).tokens.len() < pack(&rows, false).tokens.len(), "nothing was shared");
        let (loss, gradient) = adapter_gradient(&decoder, &adapter, &rows, false, false);
        for (share, recompute) in [(true, false), (true, true), (false, true)] {
            let (other_loss, other) = adapter_gradient(&decoder, &adapter, &rows, share, recompute);
            assert!((loss - other_loss).abs() < 1e-6 * loss, "{name}: loss {loss} and {other_loss}");
            close(name, &other, &gradient, GRADIENTS);
        }
    }
}

/// Mean loss and the adapter's gradient over packs of one step's rows.
fn over(decoder: &Decoder, adapter: &Adapter, packs: &[Packed], options: Options) -> (f64, Vec<f32>) {
    let mut gradient = vec![0.0; adapter.values.len()];
    let mut engine = Engine::new();
    let mut sum = 0.0;
    for packed in packs {
        let losses = engine.step(decoder, Some(adapter), packed, options, Sink::Adapter(&mut gradient));
        sum += losses.sum(packed);
    }
    (sum * f64::from(options.scale), gradient)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_have_the_gradients_of_rows_alone_however_they_are_packed(
        case in 0..CASES.len(),
        beginning in prop::collection::vec(0u32..101, 0..40),
        tails in prop::collection::vec((prop::collection::vec(0u32..101, 1..30), 0usize..20), 1..7),
        budget in 1usize..300,
        (masked, recompute) in any::<(bool, bool)>(),
    ) {
        let decoder = load(CASES[case]);
        let adapter = seeded::adapter(&decoder, 4, 8.0, false);
        let row = |(tail, silent): &(Vec<u32>, usize)| {
            let tokens = [&beginning[..], &tail[..]].concat();
            let from = beginning.len() + silent;
            // Of several weights, none among them.
            let weights = tokens.iter().enumerate().map(|(i, t)| if i < from { 0.0 } else { (t % 3) as f32 / 2.0 });
            Row { weights: weights.collect(), tokens }
        };
        let rows: Vec<Row> = tails.iter().map(row).collect();
        prop_assume!(weight(&rows) > 0.0);
        let rows_of: Vec<&Row> = rows.iter().collect();
        let dropout = masked.then_some((0.2, [7, 3]));
        let options = Options { dropout, recompute: false, scale: (1.0 / weight(&rows)) as f32 };
        // Each row alone, masked as the step's rows are.
        let prefix = shared_prefix(&rows_of, true);
        let alone: Vec<Packed> = (0..rows.len()).map(|i| Packed::of(&rows_of[i..=i], i, prefix)).collect();
        let (loss, gradient) = over(&decoder, &adapter, &alone, options);
        let options = Options { recompute, ..options };
        let (other_loss, other) = over(&decoder, &adapter, &packs(&rows_of, budget, true).collect::<Vec<_>>(), options);
        prop_assert!((loss - other_loss).abs() <= 2e-6 * loss, "{}: loss {loss} and {other_loss}", CASES[case]);
        close(CASES[case], &other, &gradient, GRADIENTS);
        if !masked {
            let (apart_loss, apart) = over(&decoder, &adapter, &packs(&rows_of, budget, false).collect::<Vec<_>>(), options);
            prop_assert!((loss - apart_loss).abs() <= 2e-6 * loss, "{}: loss {loss} and {apart_loss}", CASES[case]);
            close(CASES[case], &apart, &gradient, GRADIENTS);
        }
    }
}

#[test]
fn every_adapted_tensor_gets_a_gradient_whichever_layers_are_chosen() {
    for name in CASES {
        let decoder = load(name);
        let d = &decoder.description;
        let all = seeded::adapter(&decoder, 4, 8.0, false);
        for linear in families::linears(d) {
            let config = LoraConfig { targets: vec![linear], ..all.config.clone() };
            let mut adapter = Adapter::zeros(&decoder, &config);
            let own = adapter.tensors(d);
            assert_eq!(own.len(), 2 * d.layers);
            for tensor in &own {
                let from = all.tensors(d).into_iter().find(|other| other.name == tensor.name).unwrap();
                adapter.values[tensor.range.clone()].copy_from_slice(&all.values[from.range]);
            }
            let (_, gradient) = adapter_gradient(&decoder, &adapter, &related_rows(), true, false);
            for tensor in own {
                let part = norm(&gradient[tensor.range]);
                assert!(part > 1e-4 && part.is_finite(), "{name}: gradient of {} has norm {part}", tensor.name);
            }
        }
    }
}

#[test]
fn configurations_of_both_forms_give_one_description() {
    for name in CASES {
        assert_eq!(reference::description(name), reference::description(&format!("{name}.hub")), "{name}");
    }
}

#[test]
fn configurations_say_what_tells_the_families_apart() {
    let llama3 = reference::description("llama3");
    let scaling =
        RotaryScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 32 };
    assert_eq!(llama3.rotary.scaling, scaling);
    assert!(!llama3.tied && reference::description("llama").tied);
    let window = reference::description("mistral_window");
    assert_eq!([window.window_of(0), window.window_of(1)], [Some(6), Some(6)]);
    assert_eq!(reference::description("mistral").window_of(0), None);
    let qwen2 = reference::description("qwen2");
    assert!(qwen2.qkv_bias && !qwen2.output_bias && !qwen2.mlp_bias);
    let qwen3 = reference::description("qwen3");
    assert!(qwen3.qk_norm && qwen3.head_dim == 16 && qwen3.hidden == 32 && !qwen3.qkv_bias);
    let gemma = reference::description("gemma3");
    assert_eq!([gemma.window_of(0), gemma.window_of(1), gemma.window_of(2)], [Some(6), None, Some(6)]);
    assert_eq!([0, 1].map(|layer| gemma.rotary_of(layer).theta as u32), [100, 10_000]);
    assert!((gemma.attention_scale - 24f32.powf(-0.5)).abs() < 1e-7 && gemma.post_norms && gemma.qk_norm);
    assert_eq!(gemma.activation, Activation::GeluTanh);
    let neox = reference::description("neox_parallel");
    assert!(neox.parallel_residual && neox.rotary.dims == 4 && neox.activation == Activation::GeluErf);
    assert!(matches!(neox.norm, Norm::Layer { .. }) && !neox.gated_mlp && neox.mlp_bias && neox.output_bias);
    let sequential = reference::description("neox_sequential");
    assert!(!sequential.parallel_residual && sequential.rotary.dims == 16);
    assert_eq!(sequential.activation, Activation::GeluTanh);
    assert_eq!(families::linears(&sequential)[0], Linear::QueryKeyValue);
}
