//! Inference against transformers: the same tokens, greedily, on tiny checkpoints of every family and, where their
//! files are there, on two real models; adapters that PEFT saved.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests: what fails here fails the test

mod common;

use std::path::PathBuf;

use common::reference::{self, Tensors, close, ids, numbers};
use common::seeded::{self, Seeded};
use serde_json::Value;
use togi::model::decoder::Decoder;
use togi::model::infer::{Inference, Row, Want};
use togi::model::kv_cache::KvCache;
use togi::model::lora::Adapter;
use togi::model::peft;
use togi::model::weights::Source;
use togi::train::batch::{Packed, Row as TrainingRow};
use togi::train::step::{Engine, Options, Sink};

/// Of logits on tiny checkpoints, relative to their length. Measured: 1.5e-6.
const TINY: f64 = 1e-5;
/// Of logits on real models, in `f32`. Measured: 2.1e-6 (SmolLM2), 3.4e-6 (Gemma 3).
const REAL: f64 = 1e-4;
/// The same where weights stay codes, whose inputs are rounded to 16 bits. Measured: 2.8e-4 (SmolLM2), 4.0e-4 (Gemma 3).
const CODED: f64 = 1e-3;

fn load(name: &str) -> Decoder {
    let description = reference::description(name);
    Decoder::load(&Seeded { description: &description }, &description).unwrap()
}

fn largest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.unwrap().0 as u32
}

/// What greedy decoding adds to each prompt, all of them in one batch, and the logits at the prompts' last positions.
fn greedy(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    prompts: &[Vec<u32>],
    count: usize,
) -> (Vec<Vec<u32>>, Vec<Vec<f32>>) {
    let d = &decoder.description;
    let mut inference = Inference::new(decoder);
    let mut caches: Vec<KvCache> = prompts.iter().map(|p| KvCache::of(d, p.len() + count)).collect();
    let mut next: Vec<Vec<u32>> = prompts.to_vec();
    let (mut answers, mut first) = (vec![Vec::new(); prompts.len()], Vec::new());
    for step in 0..count {
        let mut rows: Vec<Row> =
            caches.iter_mut().zip(&next).map(|(cache, tokens)| Row { tokens, cache, adapter }).collect();
        let logits = inference.forward(&mut rows, Want::Last).unwrap();
        let logits: Vec<Vec<f32>> = logits.chunks_exact(d.vocab).map(<[f32]>::to_vec).collect();
        for ((answer, next), logits) in answers.iter_mut().zip(&mut next).zip(&logits) {
            let token = largest(logits);
            answer.push(token);
            *next = vec![token];
        }
        if step == 0 {
            first = logits;
        }
    }
    (answers, first)
}

/// Logits of a row's last `count` positions, the row read at once.
fn last_logits(decoder: &Decoder, adapter: Option<&Adapter>, tokens: &[u32], count: usize) -> Vec<f32> {
    let mut cache = KvCache::of(&decoder.description, tokens.len());
    let mut rows = [Row { tokens, cache: &mut cache, adapter }];
    let logits = Inference::new(decoder).forward(&mut rows, Want::All).unwrap();
    logits[(tokens.len() - count) * decoder.description.vocab..].to_vec()
}

fn continues_as_transformers_does(name: &str) {
    let (stored, file) = (reference::json(&format!("{name}.json")), Tensors::read(&format!("{name}.safetensors")));
    let decoder = load(name);
    let adapter = seeded::adapter(&decoder, 4, 8.0, false);
    for (kind, adapter) in [("base", None), ("adapter", Some(&adapter))] {
        for (i, row) in stored["rows"].as_array().unwrap().iter().enumerate() {
            let logits = last_logits(&decoder, adapter, &ids(&row["ids"]), 2);
            close(&format!("{name}, {kind}, row {i}"), &logits, &file.get(&format!("{kind}.logits.{i}")), TINY);
        }
        let wanted = &stored[kind]["greedy"];
        let (answers, _) = greedy(&decoder, adapter, &[ids(&wanted["prompt"])], 24);
        assert_eq!(answers[0], ids(&wanted["tokens"]), "{name}, {kind}");
    }
}

#[test]
fn llama_models_continue_as_in_transformers() {
    for name in ["llama", "llama3", "llama_linear", "mistral", "mistral_window"] {
        continues_as_transformers_does(name);
    }
}

#[test]
fn qwen_models_continue_as_in_transformers() {
    for name in ["qwen2", "qwen3"] {
        continues_as_transformers_does(name);
    }
}

#[test]
fn gemma3_continues_as_in_transformers() {
    continues_as_transformers_does("gemma3");
}

#[test]
fn gpt_neox_models_continue_as_in_transformers() {
    for name in ["neox_parallel", "neox_sequential"] {
        continues_as_transformers_does(name);
    }
}

#[test]
fn adapters_that_peft_saved_give_pefts_logits() {
    for name in ["llama", "neox_parallel"] {
        let (stored, file) = (reference::json(&format!("{name}.json")), Tensors::read(&format!("{name}.safetensors")));
        let decoder = load(name);
        let adapter = peft::read(&reference::path(stored["peft"].as_str().unwrap()), &decoder).unwrap();
        for (i, row) in stored["rows"].as_array().unwrap().iter().enumerate() {
            let logits = last_logits(&decoder, Some(&adapter), &ids(&row["ids"]), 2);
            close(&format!("{name}, row {i}"), &logits, &file.get(&format!("adapter.logits.{i}")), TINY);
        }
    }
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let error = peft::read(&reference::path("peft_llama"), &load("neox_parallel")).unwrap_err().to_string();
    assert!(error.contains("adapter_model.safetensors"), "{error}");
    let error = peft::read(&reference::path("peft_llama"), &load("mistral")).unwrap_err().to_string();
    assert!(error.contains("q_proj") || error.contains("k_proj"), "{error}");
}

/// The GGUF file of a real model: in `TOGI_MODELS`, or where `shared/models/fetch.sh` puts it.
fn real_model(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TOGI_MODELS").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/togi-models")));
    let path = folder.map(|folder| folder.join(file)).filter(|path| path.is_file());
    if path.is_none() {
        assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"), "{file} is not there");
        println!("skipped: {file} is not there");
    }
    path
}

fn real_model_continues_as_transformers_does(name: &str, file: &str) {
    let Some(path) = real_model(file) else { return };
    let source = Source::open(&path).unwrap();
    let decoder = Decoder::load(&source, source.description()).unwrap();
    assert!(decoder.bytes() < 3 * decoder.description.parameters(), "the file's codes are kept");
    as_stored(name, &decoder, CODED);
    as_stored(name, &decoder.into_plain(), REAL);
}

/// Tokens as transformers', and the logits before the first of them within `bound`.
fn as_stored(name: &str, decoder: &Decoder, bound: f64) {
    let stored = reference::json(&format!("greedy_{name}.json"));
    let stored: &Vec<Value> = stored["prompts"].as_array().unwrap();
    let prompts: Vec<Vec<u32>> = stored.iter().map(|p| ids(&p["ids"])).collect();
    let (answers, first) = greedy(decoder, None, &prompts, 64);
    let factors = seeded::uniform("checksum", decoder.description.vocab);
    let mut worst = 0f64;
    for ((stored, answer), logits) in stored.iter().zip(&answers).zip(&first) {
        let prompt = stored["prompt"].as_str().unwrap();
        assert_eq!(*answer, ids(&stored["tokens"]), "after {prompt:?}");
        let norm = stored["norm"].as_f64().unwrap();
        for (token, wanted) in ids(&stored["top_ids"]).into_iter().zip(numbers(&stored["top_logits"])) {
            let apart = (f64::from(logits[token as usize]) - wanted).abs() / wanted.abs();
            assert!(apart < bound, "after {prompt:?}, logit of {token}: relative error {apart:.1e}");
            worst = worst.max(apart);
        }
        let sum: f64 = logits.iter().zip(&factors).map(|(&l, &f)| f64::from(l) * f64::from(f)).sum();
        let apart = (sum - stored["checksum"].as_f64().unwrap()).abs() / norm;
        assert!(apart < bound, "after {prompt:?}, all logits: relative error {apart:.1e}");
        worst = worst.max(apart);
    }
    println!("{name}: logits within {worst:.1e}");
}

#[test]
fn shared_smollm2_continues_as_in_transformers() {
    real_model_continues_as_transformers_does("smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

#[test]
fn shared_gemma3_continues_as_in_transformers() {
    real_model_continues_as_transformers_does("gemma3", "gemma-3-270m-q4_k_m.gguf");
}

/// Of the loss and of each adapter tensor's gradient on the real model. Measured: below 2e-5.
const STEP: f64 = 1e-4;

#[test]
fn shared_smollm2_learns_by_the_same_gradients_as_with_peft() {
    let Some(path) = real_model("SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    let source = Source::open(&path).unwrap();
    let decoder = Decoder::load(&source, source.description()).unwrap();
    let stored = reference::json("smollm2_step.json");
    let rank = stored["rank"].as_u64().unwrap() as usize;
    let mut adapter = seeded::adapter(&decoder, rank, stored["alpha"].as_f64().unwrap(), false);
    for value in &mut adapter.values {
        *value *= 0.125;
    }
    let masked = ids(&stored["masked"]);
    let rows: Vec<TrainingRow> = stored["ids"]
        .as_array()
        .unwrap()
        .iter()
        .zip(masked)
        .map(|(row, masked)| {
            let tokens = ids(row);
            let weights = (0..tokens.len()).map(|i| if i < masked as usize { 0.0 } else { 1.0 }).collect();
            TrainingRow { tokens, weights }
        })
        .collect();
    let packed = Packed::new(&rows.iter().collect::<Vec<_>>(), true);
    let count = packed.predicting.len();
    let mut gradient = vec![0f32; adapter.values.len()];
    let options = Options { scale: 1.0 / count as f32, ..Options::default() };
    let mut engine = Engine::new();
    let losses = engine.step(&decoder, Some(&adapter), &packed, options, Sink::Adapter(&mut gradient));
    let (loss, wanted) = (losses.sum(&packed) / count as f64, stored["loss"].as_f64().unwrap());
    assert!((loss - wanted).abs() / wanted < 1e-5, "loss {loss}, PEFT's {wanted}");
    let mut worst = (0f64, String::new());
    for tensor in adapter.tensors(&decoder.description) {
        let stored = numbers(&stored["gradients"][&tensor.name]);
        let own = &gradient[tensor.range.clone()];
        let norm = own.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
        let mut apart = (norm - stored[0]).abs() / stored[0];
        let every = (own.len() / 8).max(1);
        // A single number is compared on the scale of the tensor's typical one.
        let typical = stored[0] / (own.len() as f64).sqrt();
        for (&g, &wanted) in own.iter().step_by(every).zip(&stored[1..]) {
            apart = apart.max((f64::from(g) - wanted).abs() / typical.max(wanted.abs()));
        }
        assert!(apart < STEP, "{}: relative error {apart:.1e}", tensor.name);
        if apart > worst.0 {
            worst = (apart, tensor.name);
        }
    }
    println!("loss {loss:.7} for {wanted:.7}; worst gradient {:.1e} ({})", worst.0, worst.1);
}
