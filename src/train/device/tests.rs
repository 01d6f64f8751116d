//! The device's engine beside the processor's, on the emulated device: every family, every option, the same numbers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;
use crate::job::{Control, Job, Kind as JobKind, Outcome};
use crate::model::decoder::Decoder;
use crate::model::device::emulated::Machine;
use crate::model::device::fixtures::{adapter, all_families, decoder, device};
use crate::model::device::infer::{self, OnDevice};
use crate::model::infer::{Infer, Inference, Turn, Want};
use crate::prompt::Prompt;
use crate::train::batch::largest;
use crate::train::optimizer::{clip_factor, norm};
use crate::train::plan::{BaseModel, Plan};
use crate::train::settings::Settings;
use crate::train::step::Sink;
use crate::train::trainer::{Data, Event, Trainer};

/// Rows that begin alike, of several lengths, their answers supervised.
fn rows(count: usize, longest: usize) -> Vec<Row> {
    (0..count)
        .map(|i| {
            let length = 20 + (i * 13) % (longest - 20);
            let tokens = (0..length).map(|t| if t < 12 { t as u32 * 3 } else { ((t * 31 + i * 17) % 131) as u32 });
            let weights = (0..length).map(|t| if t > 14 { 1.0 } else { 0.0 });
            Row { tokens: tokens.collect(), weights: weights.collect() }
        })
        .collect()
}

const OPTIONS: Options = Options { pass_tokens: 120, share_prefix: true, recompute: false, dropout: None };
const UPDATE: Update =
    Update { adam: AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }, rate: 1e-2, clip: 0.5 };

fn emulated(limit: Option<usize>) -> Option<Arc<Machine>> {
    Machine::new(limit).map(Arc::new)
}

/// A step of the processor's engine with the same options; the gradient, the losses' sum.
fn by_processor(decoder: &Decoder, adapter: &Adapter, rows: &[&Row], options: Options) -> (Vec<f32>, f64) {
    let mut engine = step::Engine::new();
    let mut gradient = vec![0.0; adapter.values.len()];
    let scale = (1.0 / rows.iter().map(|row| row.weight()).sum::<f64>()) as f32;
    let mut sum = 0.0;
    for packed in packs(rows, options.pass_tokens, options.share_prefix) {
        let options = step::Options { dropout: options.dropout, recompute: options.recompute, scale };
        let losses = engine.step(decoder, Some(adapter), &packed, options, Sink::Adapter(&mut gradient));
        sum += losses.sum(&packed);
    }
    (gradient, sum)
}

fn gradient_of(engine: &Engine) -> Vec<f32> {
    let mut gradient = vec![0.0; engine.adapter.values.len()];
    read(&engine.pool, engine.trained.gradient.span, &mut gradient).unwrap();
    gradient
}

/// The length of the difference over that of `b`.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(b)
}

#[test]
fn every_family_has_the_processors_loss_and_gradient() {
    let Some(machine) = device() else { return };
    let rows = rows(6, 50);
    let rows: Vec<&Row> = rows.iter().collect();
    for (name, decoder) in all_families() {
        let adapter = adapter(&decoder, 7);
        let moments = Moments::new(adapter.values.len());
        for (share_prefix, recompute, dropout) in [
            (true, false, None),
            (false, false, None),
            (true, true, Some((0.2, [5, 9]))),
            (true, false, Some((0.2, [5, 9]))),
        ] {
            let options = Options { share_prefix, recompute, dropout, ..OPTIONS };
            let (gradient, loss) = by_processor(&decoder, &adapter, &rows, options);
            let mut engine = Engine::new(machine.clone(), Kind::F32, &decoder, &adapter, &moments).unwrap();
            let found = engine.step(&rows, options, UPDATE).unwrap();
            let off = (found.loss - loss).abs() / loss;
            assert!(off < 1e-5, "{name}, {options:?}: loss {} against {loss}", found.loss);
            let off = apart(&gradient_of(&engine), &gradient);
            assert!(off < 2e-5, "{name}, {options:?}: gradient off by {off}");
            assert!((found.norm - norm(&gradient)).abs() < 1e-4 * found.norm, "{name}: norm {}", found.norm);
        }
    }
}

#[test]
fn every_family_finds_right_answers_as_likely_as_the_processor_does() {
    let Some(machine) = device() else { return };
    let rows = rows(7, 60);
    let rows: Vec<&Row> = rows.iter().collect();
    for (name, decoder) in all_families() {
        let adapter = adapter(&decoder, 7);
        let mut inference = infer::Inference::new(machine.clone(), Kind::F32, &decoder).unwrap();
        for adapter in [None, Some(&adapter)] {
            for share in [true, false] {
                let packed = Packed::new(&rows, share);
                let expected = step::Engine::new().evaluate(&decoder, adapter, &packed).each.clone();
                let found = inference.losses(packed.pack(), adapter).unwrap();
                assert_eq!(found.len(), expected.len());
                let off = apart(&found, &expected);
                assert!(off < 1e-5, "{name}, {share}: off by {off}");
            }
        }
    }
}

#[test]
fn a_few_steps_end_where_the_processors_end_and_come_back_with_their_moments() {
    let Some(machine) = device() else { return };
    let rows = rows(8, 60);
    let decoder = decoder(json!({}));
    let (mut ours, mut theirs) = (adapter(&decoder, 7), adapter(&decoder, 7));
    let mut moments = Moments::new(ours.values.len());
    let mut fetched = moments.clone();
    let mut engine = Engine::new(machine, Kind::F32, &decoder, &ours, &moments).unwrap();
    for step in 1..=4 {
        let chosen: Vec<&Row> = rows.iter().skip((step as usize % 2) * 4).take(4).collect();
        let options = Options { dropout: Some((0.1, [1, step])), ..OPTIONS };
        let (gradient, _) = by_processor(&decoder, &theirs, &chosen, options);
        moments.begin();
        let factor = clip_factor(norm(&gradient), UPDATE.clip);
        moments.apply(UPDATE.adam, UPDATE.rate, factor, 0, true, &mut theirs.values, &gradient);
        engine.step(&chosen, options, UPDATE).unwrap();
    }
    engine.fetch(&mut ours, &mut fetched).unwrap();
    assert_eq!(fetched.updates, moments.updates);
    assert!(apart(&ours.values, &theirs.values) < 1e-4, "{}", apart(&ours.values, &theirs.values));
    assert!(apart(&fetched.first, &moments.first) < 1e-3, "{}", apart(&fetched.first, &moments.first));
    assert!(apart(&fetched.second, &moments.second) < 1e-3);
    // The validation loss of what is there now.
    let all: Vec<&Row> = rows.iter().collect();
    let (mean, weight) =
        crate::train::trainer::mean_loss(&mut step::Engine::new(), &decoder, Some(&theirs), &rows, 120);
    let found = engine.evaluate(&all, 120).unwrap();
    assert!((found / weight - mean).abs() < 1e-4 * mean, "{} against {mean}", found / weight);
}

#[test]
fn a_pass_that_does_not_fit_is_begun_again_in_halves_with_the_same_gradient() {
    let Some(roomy) = emulated(None) else { return };
    let rows = rows(12, 60);
    let rows: Vec<&Row> = rows.iter().collect();
    let all: usize = rows.iter().map(|row| row.tokens.len()).sum();
    let decoder = decoder(json!({}));
    let adapter = adapter(&decoder, 7);
    let moments = Moments::new(adapter.values.len());
    for (share_prefix, dropout) in [(true, None), (true, Some((0.1, [3, 1]))), (false, Some((0.1, [3, 1])))] {
        let options = Options { pass_tokens: 16_384, share_prefix, dropout, ..OPTIONS };
        let Some(roomy) = emulated(None) else { return };
        let mut engine = Engine::new(roomy.clone(), Kind::F32, &decoder, &adapter, &moments).unwrap();
        let whole = engine.step(&rows, options, UPDATE).unwrap();
        assert!(engine.take_notes().is_empty());
        let wanted = gradient_of(&engine);
        drop(engine);

        let Some(narrow) = emulated(Some(roomy.peak() * 2 / 3)) else { return };
        let mut engine = Engine::new(narrow, Kind::F32, &decoder, &adapter, &moments).unwrap();
        let found = engine.step(&rows, options, UPDATE).unwrap();
        let notes = engine.take_notes();
        // Longer passes than all rows together would be the same pass once more.
        let first = format!("no room for passes of {all} tokens; going on with {}", all / 2);
        assert!(notes[0].contains(&first), "{notes:?}");
        assert!((found.loss - whole.loss).abs() < 1e-5 * whole.loss, "{options:?}");
        let off = apart(&gradient_of(&engine), &wanted);
        assert!(off < 1e-5, "{options:?}: {off}");
        // What was found to fit is kept to, also by a run that goes on later, which then repeats it bit for bit.
        let (fitting, halved) = (engine.fitting(), gradient_of(&engine));
        engine.step(&rows, options, UPDATE).unwrap();
        assert!(engine.take_notes().is_empty());
        drop(engine);
        let mut engine = Engine::new(roomy, Kind::F32, &decoder, &adapter, &moments).unwrap();
        engine.keep_to(fitting.unwrap());
        engine.step(&rows, options, UPDATE).unwrap();
        assert_eq!(gradient_of(&engine), halved, "{options:?}");
    }
    let mut engine = Engine::new(roomy.clone(), Kind::F32, &decoder, &adapter, &moments).unwrap();
    engine.step(&rows, Options { pass_tokens: 600, ..OPTIONS }, UPDATE).unwrap();
    drop(engine);

    let Some(hopeless) = emulated(Some(roomy.peak() / 20)) else { return };
    let refused = Engine::new(hopeless, Kind::F32, &decoder, &adapter, &moments).err();
    assert!(matches!(refused, Some(DeviceError::OutOfMemory { .. })), "{refused:?}");
}

#[test]
fn in_bf16_a_run_learns_what_it_learns_in_f32() {
    let Some(machine) = device() else { return };
    if !machine.has_bf16() {
        return eprintln!("skipped: the GPU does not multiply bf16");
    }
    let rows = rows(6, 40);
    let rows: Vec<&Row> = rows.iter().collect();
    let decoder = decoder(json!({"architectures": ["Qwen3ForCausalLM"]}));
    let adapter = adapter(&decoder, 7);
    let moments = Moments::new(adapter.values.len());
    let losses = |kind| -> Vec<f64> {
        let mut engine = Engine::new(machine.clone(), kind, &decoder, &adapter, &moments).unwrap();
        (0..8).map(|_| engine.step(&rows, OPTIONS, UPDATE).unwrap().loss).collect()
    };
    let (exact, rough) = (losses(Kind::F32), losses(Kind::Bf16));
    assert!(exact[7] < 0.9 * exact[0], "{exact:?}");
    for (a, b) in exact.iter().zip(&rough) {
        assert!((a - b).abs() < 0.02 * a, "{exact:?} {rough:?}");
    }
}

#[test]
fn a_loss_that_is_no_number_changes_nothing_and_a_run_repeats_itself_bit_for_bit() {
    let Some(machine) = device() else { return };
    let rows = rows(4, 40);
    let good: Vec<&Row> = rows.iter().collect();
    let decoder = decoder(json!({}));
    let adapter = adapter(&decoder, 7);
    let moments = Moments::new(adapter.values.len());
    let mut wild = rows[0].clone();
    wild.weights[17] = f32::INFINITY;
    let mut ended = Vec::new();
    for disturb in [false, true] {
        let mut engine = Engine::new(machine.clone(), Kind::F32, &decoder, &adapter, &moments).unwrap();
        let options = Options { dropout: Some((0.1, [3, 1])), ..OPTIONS };
        engine.step(&good, options, UPDATE).unwrap();
        if disturb {
            let found = engine.step(&[&wild], options, UPDATE).unwrap();
            assert!(!found.loss.is_finite() || !found.norm.is_finite(), "{found:?}");
        }
        engine.step(&good, options, UPDATE).unwrap();
        let (mut adapter, mut moments) = (adapter.clone(), moments.clone());
        engine.fetch(&mut adapter, &mut moments).unwrap();
        ended.push((adapter.values, moments));
    }
    assert!(ended[0] == ended[1]);
}

#[test]
fn steps_asked_for_together_are_bit_for_bit_the_steps_alone() {
    let Some(machine) = device() else { return };
    let rows = rows(5, 40);
    let decoder = decoder(json!({"num_hidden_layers": 2}));
    let adapter = adapter(&decoder, 7);
    let moments = Moments::new(adapter.values.len());
    // More than are read at once, each with rows, masks and a rate of its own.
    let asked: Vec<Step> = (0..AHEAD + 3)
        .map(|i| Step {
            rows: rows.iter().cycle().skip(i).take(2).collect(),
            options: Options { dropout: Some((0.1, [3, i as u64])), ..OPTIONS },
            update: Update { rate: 1e-3 * (1 + i) as f64, ..UPDATE },
        })
        .collect();
    let run = |together: bool| {
        let mut engine = Engine::new(machine.clone(), Kind::F32, &decoder, &adapter, &moments).unwrap();
        let found = if together {
            engine.steps(&asked).unwrap()
        } else {
            asked.iter().map(|step| engine.step(&step.rows, step.options, step.update).unwrap()).collect()
        };
        // An evaluation has sums of its own.
        let valid = engine.evaluate(&rows.iter().collect::<Vec<_>>(), 120).unwrap();
        let (mut adapter, mut moments) = (adapter.clone(), moments.clone());
        engine.fetch(&mut adapter, &mut moments).unwrap();
        let numbers: Vec<_> = found.iter().map(|found| (found.loss.to_bits(), found.norm.to_bits())).collect();
        (numbers, valid.to_bits(), adapter.values, moments)
    };
    let (together, alone) = (run(true), run(false));
    assert_eq!(together.0.len(), AHEAD + 3);
    assert!(together.0.windows(2).all(|pair| pair[0] != pair[1]), "each step found numbers of its own");
    assert!(together == alone);
}

#[test]
fn the_estimate_is_what_is_used() {
    let wide = json!({"hidden_size": 128, "intermediate_size": 352, "head_dim": 32, "num_hidden_layers": 5});
    let normed = json!({
        "architectures": ["Qwen3ForCausalLM"], "hidden_size": 96, "intermediate_size": 320, "head_dim": 48,
        "num_hidden_layers": 4, "vocab_size": 900
    });
    let mut found = Vec::new();
    for (change, kind, recompute, pass_tokens) in [
        (&wide, Kind::F32, false, 600),
        (&wide, Kind::Bf16, false, 400),
        (&wide, Kind::F32, true, 600),
        (&wide, Kind::Bf16, true, 300),
        (&normed, Kind::F32, false, 500),
        (&normed, Kind::Bf16, true, 500),
    ] {
        let Some(machine) = emulated(None) else { return };
        let decoder = decoder(change.clone());
        let adapter = adapter(&decoder, 7);
        let moments = Moments::new(adapter.values.len());
        let rows = rows(14, 64);
        let rows: Vec<&Row> = rows.iter().collect();
        let mut engine = Engine::new(machine.clone(), kind, &decoder, &adapter, &moments).unwrap();
        let options = Options { pass_tokens, recompute, dropout: Some((0.1, [1, 1])), ..OPTIONS };
        engine.step(&rows, options, UPDATE).unwrap();
        let packs: Vec<Packed> = packs(&rows, pass_tokens, true).collect();
        let estimate = Estimate::of(&decoder.description, kind, &adapter.config, largest(&packs), recompute);
        let (told, used) = (estimate.beside_context() as f64, machine.peak() as f64);
        found.push((told / used, kind, recompute, used, estimate));
    }
    assert!(found.iter().all(|(ratio, ..)| (ratio - 1.0).abs() < 0.15), "{found:#?}");
}

#[test]
fn a_run_on_a_device_that_is_stopped_and_resumed_ends_in_the_same_bytes() {
    let Some(machine) = device() else { return };
    let decoder = decoder(json!({"num_hidden_layers": 2}));
    let settings = Settings {
        rank: 4,
        dropout: 0.1,
        batch: 3,
        pass_tokens: 64,
        learning_rate: 5e-3,
        evaluations: 1,
        patience: 0,
        ..Settings::default()
    };
    let base = BaseModel { path: "none".into(), name: "none".into(), revision: None, identity: "none".into() };
    let plan = Plan { base, settings, steps: 6, evaluate_every: 2, threads: 1, prompt: Prompt::default() };
    // Samples on the way are the device's, by the adapter as it is at that moment.
    let mut asked = |decoder: &Decoder, adapter: Option<&Adapter>, on: Option<&OnDevice>| {
        let last = |engine: &mut dyn Infer| {
            let mut cache = engine.cache(4).unwrap();
            engine.forward(&mut [Turn { tokens: &[3, 1, 4], cache: &mut cache, adapter }], Want::Last).unwrap()
        };
        let expected = last(&mut Inference::new(decoder));
        let off = apart(&last(&mut on.unwrap().borrow_mut()), &expected);
        assert!(off < 1e-4, "off by {off}");
        vec![("asked".to_owned(), format!("{:?}", expected.first()))]
    };
    let folder = tempfile::tempdir().unwrap();
    let mut ends = Vec::new();
    for stop_at in [None, Some(3)] {
        let job = Job::create(folder.path(), JobKind::Train).unwrap().seal(&plan).unwrap();
        let mut losses = Vec::new();
        let mut run = |resume: bool, stop_at: Option<u64>| {
            let hold = job.hold().unwrap();
            let control = Control::new();
            let data = Data { train: rows(9, 40), valid: rows(2, 30) };
            let trainer = Trainer::new(&plan, &hold, control.clone(), decoder.clone(), data, resume).unwrap();
            let mut trainer = trainer.on(machine.clone(), Kind::F32).unwrap();
            let mut watch = |event: Event<'_>| {
                let Event::Metrics(metrics) = event else { return };
                losses.extend(metrics.loss.map(|loss| (metrics.step, loss.to_bits())));
                if stop_at == Some(metrics.step) {
                    control.stop_flag().store(true, Ordering::SeqCst);
                }
            };
            let summary = trainer.run(&mut asked, &mut watch).unwrap();
            (summary.outcome, trainer.adapter().unwrap().values.clone())
        };
        let (mut outcome, mut values) = run(false, stop_at);
        if stop_at.is_some() {
            assert_eq!(outcome, Outcome::Stopped);
            (outcome, values) = run(true, None);
        }
        assert_eq!(outcome, Outcome::Finished);
        let samples = std::fs::read_to_string(job.dir().join("samples.jsonl")).unwrap();
        assert_eq!(samples.lines().count(), 4, "before the first step and every second one: {samples}");
        ends.push((losses, values));
    }
    assert_eq!(ends[0].0.len(), 6);
    assert!(ends[0] == ends[1], "{:?} {:?}", ends[0].0, ends[1].0);
}
