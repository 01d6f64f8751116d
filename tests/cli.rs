//! The binary as a person or a script uses it, on a tiny random model.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use half::bf16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use togi::model::decoder::Decoder;
use togi::model::weights::Source;

mod common;

use common::desk::{Desk, begun_run, endless, endless_command, interrupt, interrupted};

#[test]
fn every_verb_helps_with_an_example() {
    let desk = Desk::new();
    let verbs = [
        "demo",
        "init",
        "import",
        "records",
        "show",
        "next",
        "edit",
        "accept",
        "reject",
        "mark",
        "undo",
        "redo",
        "lint",
        "dedupe",
        "split",
        "score",
        "stats",
        "quarantine",
        "train",
        "generate",
        "compare",
        "eval",
        "errors",
        "ladder",
        "cost",
        "render",
        "export",
        "runs",
        "models",
        "doctor",
        "bench",
        "judgements",
        "rehearse",
        "worker",
    ];
    let general = desk.togi(&["--help"]).assert().code(0);
    let general = String::from_utf8(general.get_output().stdout.clone()).unwrap();
    for verb in verbs {
        assert!(general.lines().any(|line| line.trim_start().starts_with(verb)), "{verb} in {general}");
        let out = desk.togi(&[verb, "--help"]).assert().code(0);
        let help = String::from_utf8(out.get_output().stdout.clone()).unwrap();
        assert!(help.contains(&format!("Example:\n  togi {verb}")), "{help}");
    }
    assert!(general.contains("Exit codes: 0 done, 1 failed, 2 wrongly"), "{general}");
    let out = desk.togi(&["demo", "--help"]).output().unwrap();
    let help = String::from_utf8(out.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("On a terminal the workbench opens") && help.contains("[default: togi-demo"), "{help}");
    desk.togi(&["export", "peft", "--help"]).assert().code(0).stdout(predicates::str::contains("Example:"));
    desk.togi(&["trian"]).assert().code(2).stderr(predicates::str::contains("'train'"));
    desk.togi(&["render"]).assert().code(2);
}

#[test]
fn what_is_wrong_is_said_in_one_message() {
    let desk = Desk::with_project();
    let cases: [(&[&str], &[&str]); 6] = [
        (&["train", "--data", "nowhere.jsonl"], &["nowhere.jsonl"]),
        (&["train", "--resume", "a9"], &["there is no run \"a9\""]),
        (&["generate", "x", "--run", "a9"], &["there is no run \"a9\""]),
        (&["generate", "x", "--adapter", "model"], &["adapter_config.json"]),
        (&["generate", "x", "--model", "./nothing"], &["nothing"]),
        (&["render", "--data", "train.jsonl", "--row", "9"], &["rows 1 to 8", "no row 9"]),
    ];
    for (arguments, parts) in cases {
        let (stdout, stderr) = desk.run(arguments, 1);
        assert_eq!(stdout, "", "{arguments:?}");
        assert!(stderr.starts_with("togi: ") && !stderr.contains("Backtrace"), "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{arguments:?}: {part:?} in {stderr}");
        }
    }
    desk.togi(&["runs"]).assert().code(1).stderr(predicates::str::contains("there is no togi.toml"));
    desk.togi(&["init", "p", "--model", "model"]).assert().code(1).stderr(predicates::str::contains("already"));
    desk.run(&["eval", "--data", "test.jsonl", "--skip-base"], 2);
    desk.run(&["generate", "x", "--run", "a", "--adapter", "b"], 2);
}

#[test]
fn the_doctor_sees_machine_settings_and_project() {
    let desk = Desk::with_project();
    let found = desk.json(&["doctor", "--json"]);
    assert_eq!((found["device"].as_str(), found["threads"].as_u64()), (Some("cpu"), Some(1)));
    assert!(found["model"]["parameters"].as_u64().unwrap() > 10_000);
    assert_eq!(found["problems"], json!([]));
    // Without a project nothing is wrong.
    desk.togi(&["doctor"]).assert().code(0).stdout(predicates::str::contains("none here or above"));
    fs::remove_file(desk.path("model/model.safetensors")).unwrap();
    let (told, _) = desk.run(&["doctor"], 1);
    assert!(told.contains("problem"), "{told}");
    fs::write(desk.path("config.toml"), "thread = 1\n").unwrap();
    let (told, _) = desk.run(&["doctor"], 1);
    assert!(told.contains("did you mean threads?"), "{told}");
    let (_, stderr) = desk.run(&["runs"], 1);
    assert!(stderr.contains("did you mean threads?"), "{stderr}");
}

#[test]
fn the_catalogue_is_listed_and_a_closed_pipe_is_no_failure() {
    let desk = Desk::new();
    let out = desk.togi(&["models", "--json"]).output().unwrap();
    let models: Vec<Value> =
        String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let smol = models.iter().find(|m| m["id"] == "HuggingFaceTB/SmolLM2-135M-Instruct").unwrap();
    assert_eq!((smol["runs"].as_bool(), smol["gated"].as_bool()), (Some(true), Some(false)));
    assert_eq!(smol["bytes"].as_u64(), smol["parameters"].as_u64().map(|n| n * 4));
    desk.togi(&["models"]).assert().code(0).stdout(predicates::str::contains("HuggingFaceTB/SmolLM2-135M-Instruct"));

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut quiet = Process::new(assert_cmd::cargo::cargo_bin("togi"));
    let out = quiet.arg("models").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((out.status.code(), String::from_utf8(out.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn a_record_is_shown_as_the_model_reads_it() {
    let desk = Desk::with_project();
    let shown = desk.json(&["render", "--data", "train.jsonl", "--row", "1", "--json"]);
    let tokens = shown["tokens"].as_array().unwrap();
    let learned: String =
        tokens.iter().filter(|t| t["supervised"] == true).map(|t| t["text"].as_str().unwrap()).collect();
    assert_eq!(learned, "{\"said\": \"ka\"}<eos>");
    assert_eq!(shown["supervised"].as_u64().unwrap() as usize, learned.len() - "<eos>".len() + 1);
    let (listing, _) = desk.run(&["render", "--data", "train.jsonl", "--row", "1"], 0);
    assert_eq!(listing.lines().count(), tokens.len());
    assert!(listing.lines().next().unwrap().contains(". \"s\""), "{listing}");
}

#[test]
fn a_model_that_is_named_is_looked_at_without_a_project() {
    let (desk, home) = (Desk::new(), tempfile::tempdir().unwrap());
    let before = fs::read_dir(desk.path("")).unwrap().count();
    let json = |arguments: &[&str]| -> Value {
        let out = desk.togi(arguments).env("XDG_DATA_HOME", home.path()).output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let few = ["--max-tokens", "3", "--model", "model", "--json"];
    let asked = json(&[&["generate", "say ka"][..], &few].concat());
    assert!(asked["tokens"].as_u64().is_some_and(|tokens| tokens <= 3), "{asked}");
    let rendered = json(&["render", "--data", "train.jsonl", "--row", "2", "--model", "model", "--json"]);
    assert_eq!(rendered["id"], "r1");
    let measured = json(&["bench", "--batch", "4", "--length", "128", "--runs", "3", "--model", "model", "--json"]);
    let number = |of: &str, figure: &str| -> f64 {
        measured[of][figure].as_f64().unwrap_or_else(|| panic!("{of}.{figure} in {measured}"))
    };
    assert!(number("machine", "gemm_gflops") > 0.0 && number("machine", "read_gb_s") > 0.0, "{measured}");
    for of in ["train", "prompt", "decode", "pair", "batched"] {
        assert!(number(of, "fraction") > 0.0 && number(of, "peak_mib") > 0.0, "{of} in {measured}");
        let rates = ["lowest_tokens_per_s", "median_tokens_per_s", "tokens_per_s"].map(|rate| number(of, rate));
        assert!(rates[0] > 0.0 && rates.is_sorted(), "{of}: {rates:?}");
    }
    // Buffers are used again. The queue by which a thread is told of work takes a block now and then.
    let (calls, bytes) = (number("allocations", "calls"), number("allocations", "bytes"));
    assert!(calls <= 1.0 && bytes <= 4096.0, "a step asks the system {calls} times, for {bytes} bytes");
    assert_eq!(fs::read_dir(desk.path("")).unwrap().count(), before, "nothing is left behind");
    // What is kept in a project needs one.
    for arguments in [&["render", "--record", "1", "--model", "model"][..], &["generate", "say ka"]] {
        let out = desk.togi(arguments).output().unwrap();
        let told = String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success() && told.contains("togi init DIR --model"), "{arguments:?}: {told}");
    }
}

#[test]
fn the_demo_turns_a_model_that_cannot_list_into_one_that_can() {
    let desk = Desk::new();
    let out = desk.togi(&["demo", "shown", "--headless", "--json"]).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let found: Value = serde_json::from_slice(&out.stdout).unwrap();
    let share = |key: &str| found[key].as_f64().unwrap();
    assert!(share("exact_base") < 0.05 && share("exact_nearest") < 0.2 && share("exact_tuned") > 0.9, "{found}");
    assert!(share("valid_loss_after") < share("valid_loss_before") && share("seconds") > 0.0);
    assert_eq!((found["test_rows"].as_u64(), found["train_rows"].as_u64()), (Some(200), Some(200)));
    // The folder that stays is a project like any other, and says the same.
    let eval = ["eval", "--run", "latest@last", "--data", "shown/data/test.jsonl", "--json", "--project", "shown"];
    let again: Value = serde_json::from_slice(&desk.togi(&eval).output().unwrap().stdout).unwrap();
    assert_eq!(again["exact_tuned"], found["exact_tuned"]);
    assert_eq!(again["exact_base"], found["exact_base"]);
}

#[test]
fn a_demo_that_is_stopped_says_what_is_kept_and_how_to_go_on() {
    use rustix::process::Signal;
    let desk = Desk::new();
    let mut child = endless(&desk, &["demo", "kept", "--headless"]);
    let run = begun_run(&desk.path("kept/runs"), &mut child);
    let (code, stderr) = interrupt(child, &run.join("metrics.jsonl"), 3, Signal::INT);
    assert_eq!(code, Some(130), "{stderr}");
    let how = "togi --project kept train --resume latest";
    assert!(stderr.contains(how) && stderr.contains("of 200"), "{stderr}");
    let listed = desk.togi(&["--project", "kept", "runs", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["state"], "stopped", "what it names can go on");
    let again = desk.togi(&["demo", "kept", "--headless"]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stderr).unwrap().contains(how), "the demo begun once more says it, too");

    // Of a folder that goes with the demo nothing could go on.
    let scratch = desk.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let mut command = endless_command(&desk, &["demo", "--headless"]);
    let child = command.env("TMPDIR", &scratch).spawn().unwrap();
    let begun = Instant::now();
    while fs::read_dir(&scratch).unwrap().next().is_none() {
        assert!(begun.elapsed() < Duration::from_mins(1), "no demo");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (code, stderr) = interrupted(child, Signal::INT);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("nothing is kept") && !stderr.contains("checkpoint"), "{stderr}");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "and nothing stays behind");
}

#[test]
fn examples_of_the_project_stand_before_every_question_and_are_not_learned() {
    let desk = Desk::with_project();
    let text = |shown: &Value, learned: bool| -> String {
        let tokens = shown["tokens"].as_array().unwrap().iter();
        tokens.filter(|t| !learned || t["supervised"] == true).map(|t| t["text"].as_str().unwrap()).collect()
    };
    let render = ["render", "--data", "train.jsonl", "--row", "1", "--json"];
    let before = desk.json(&render);
    let settings = fs::read_to_string(desk.path("p/togi.toml")).unwrap();
    let settings = settings.replace("[prompt]", "[prompt]\nexamples = \"prompts/shown.jsonl\"");
    fs::write(desk.path("p/togi.toml"), settings).unwrap();
    let shown = |rows: &[Value]| {
        let lines: String = rows.iter().map(|row| row.to_string() + "\n").collect();
        fs::write(desk.path("p/prompts/shown.jsonl"), lines).unwrap();
    };
    shown(&[json!({"instruction": "say wa", "output": "わ!"}), json!({"instruction": "say wo", "output": "wo!"})]);
    let after = desk.json(&render);
    let whole = text(&after, false);
    let places: Vec<usize> = ["say wa", "わ!", "say wo", "wo!"].iter().map(|part| whole.find(part).unwrap()).collect();
    assert!(places.is_sorted(), "{whole}");
    assert!(whole.ends_with(&text(&before, false)), "{whole}");
    assert_eq!(text(&after, true), text(&before, true));

    shown(&[json!({"instruction": "say wa"})]);
    let (_, stderr) = desk.run(&render, 1);
    assert!(stderr.contains("prompt.examples") || stderr.contains("shown.jsonl"), "{stderr}");
    fs::remove_file(desk.path("p/prompts/shown.jsonl")).unwrap();
    let (_, stderr) = desk.run(&render, 1);
    assert!(stderr.contains("shown.jsonl"), "{stderr}");
}

#[test]
fn from_pairs_to_a_tuned_model_and_out_of_the_house() {
    let desk = Desk::with_project();
    let trained = desk.train();
    for field in ["seconds", "tokens_per_s", "supervised_per_s", "tokens", "supervised", "peak_mib"] {
        assert!(trained[field].as_f64().is_some_and(|n| n > 0.0), "{field} in {trained}");
    }
    assert_eq!((trained["rows"].as_u64(), trained["steps"].as_u64()), (Some(8), Some(4)));
    assert_eq!(trained["outcome"], "finished");
    let run = trained["run"].as_str().unwrap();

    let (table, _) = desk.run(&["runs"], 0);
    let line = table.lines().find(|line| line.starts_with(run)).unwrap();
    assert!(line.contains("finished") && line.contains("4/4"), "{table}");
    let listed = desk.json(&["runs", "--json"]);
    assert_eq!((listed["run"].as_str(), listed["step"].as_u64()), (Some(run), Some(4)));
    assert_eq!(listed["best"], trained["best"]);
    let (_, stderr) = desk.run(&["train", "--resume", "latest"], 1);
    assert!(stderr.contains("is finished"), "{stderr}");

    let ask = ["generate", "say ka", "--max-tokens", "12", "--run", "latest"];
    let (streamed, _) = desk.run(&ask, 0);
    let whole = desk.json(&[&ask[..], &["--json"]].concat());
    assert_eq!(streamed.trim_end_matches('\n'), whole["answer"].as_str().unwrap().trim_end_matches('\n'));
    assert!(whole["tokens"].as_u64().unwrap() <= 12 && whole["adapter"].is_string());
    let piped = desk.togi(&["--project", "p", "generate", "-", "--max-tokens", "12", "--run", "latest"]);
    let piped = { piped }.write_stdin("say ka\n").output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), streamed);

    let ask = ["compare", "say ka", "--max-tokens", "12", "--run", "latest"];
    let both = desk.json(&[&ask[..], &["--json"]].concat());
    assert_eq!(both["differs"], true);
    assert_eq!(both["tuned"], whole["answer"], "a row of two is the row alone");
    let (blocks, _) = desk.run(&ask, 0);
    let at = |part: &str| blocks.find(part).unwrap_or_else(|| panic!("{part} in {blocks}"));
    assert!(at("# base\n") < at(&format!("# tuned by adapter {}", both["adapter"].as_str().unwrap())));

    let test = ["eval", "--data", "test.jsonl", "--max-tokens", "12", "--json"];
    let by_run = desk.json(&[&test[..], &["--run", run, "--answers", "answers.jsonl"]].concat());
    assert_eq!(by_run["test_rows"].as_u64(), Some(3));
    for field in ["exact_base", "exact_tuned", "loss_base", "loss_tuned", "perplexity_tuned", "bits_per_byte_tuned"] {
        assert!(by_run[field].is_number(), "{field} in {by_run}");
    }
    assert_ne!(by_run["loss_base"], by_run["loss_tuned"]);
    assert_eq!(fs::read_to_string(desk.path("answers.jsonl")).unwrap().lines().count(), 3);
    let (table, _) = desk.run(&["eval", "--data", "test.jsonl", "--max-tokens", "4", "--run", run, "--skip-base"], 0);
    assert!(table.contains("tuned") && !table.contains("base") && table.contains("95 % interval"), "{table}");

    desk.run(&["export", "peft", "adapter", "--run", run], 0);
    desk.run(&["export", "peft", "adapter", "--run", run], 1);
    let by_adapter = desk.json(&[&test[..], &["--adapter", "adapter"]].concat());
    // The same adapter by another name; what it takes is measured anew and what it is called differs.
    let others = ["seconds", "generated_per_s", "report", "errors", "adapter"];
    let figures = |found: &Value| {
        let mut found = found.as_object().unwrap().clone();
        found.retain(|key, _| !others.contains(&key.as_str()));
        found
    };
    assert_eq!(figures(&by_run), figures(&by_adapter));
}

#[test]
fn a_run_answers_by_the_prompt_and_on_the_base_it_was_trained_with() {
    let desk = Desk::with_project();
    let run = desk.train()["run"].as_str().unwrap().to_owned();
    let ask = |verb: &str| desk.json(&[verb, "say ka", "--max-tokens", "12", "--run", &run, "--json"]);
    let (alone, both) = (ask("generate"), ask("compare"));
    assert!(alone["note"].is_null() && both["note"].is_null(), "{alone}\n{both}");
    let test = ["eval", "--data", "test.jsonl", "--max-tokens", "4", "--run", &run, "--skip-base"];
    let (_, stderr) = desk.run(&test, 0);
    let adapter = alone["adapter"].as_str().unwrap();
    assert!(stderr.contains(adapter), "one adapter has one identity, {adapter}: {stderr}");

    // A prompt that the run never saw: it is asked by its own all the same, and so is the base beside it.
    let settings = fs::read_to_string(desk.path("p/togi.toml")).unwrap();
    let changed = settings.replace("[prompt]", "[prompt]\nsystem = \"Answer like a pirate.\"");
    fs::write(desk.path("p/togi.toml"), &changed).unwrap();
    let (alone_now, both_now) = (ask("generate"), ask("compare"));
    for (now, then) in [(&alone_now["answer"], &alone["answer"]), (&both_now["tuned"], &both["tuned"])] {
        assert_eq!(now, then);
    }
    assert_eq!(both_now["base"], both["base"]);
    assert!(alone_now["note"].as_str().unwrap().contains(&run), "{alone_now}");
    let (_, stderr) = desk.run(&["generate", "say ka", "--max-tokens", "4", "--run", &run], 0);
    assert!(stderr.contains("another one now"), "{stderr}");

    // Another model of the same shape, on which the adapter would run and say something else.
    common::desk::model_of_seed(&desk.path("other"), 8);
    let elsewhere = settings.replace("/model\"", "/other\"");
    assert_ne!(elsewhere, settings);
    fs::write(desk.path("p/togi.toml"), elsewhere).unwrap();
    assert_eq!(ask("compare")["tuned"], both["tuned"]);
    let base = desk.json(&["generate", "say ka", "--max-tokens", "12", "--json"]);
    assert_ne!(base["answer"], both["base"], "without a run it is the project's own");
    fs::remove_dir_all(desk.path("model")).unwrap();
    let (_, stderr) = desk.run(&["generate", "say ka", "--run", &run], 1);
    assert!(stderr.contains("another model") && stderr.contains(&run), "{stderr}");
}

#[test]
fn ctrl_c_keeps_a_checkpoint_and_the_run_goes_on_from_there() {
    use rustix::process::Signal;
    let desk = Desk::with_project();
    let settings = ["steps=1000000", "epochs=0", "batch=2", "valid=0", "patience=0", "evaluations=1"];
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let mut child = endless(&desk, &[&["--project", "p", "train", "--data", "train.jsonl"], &set[..]].concat());
    let run = begun_run(&desk.path("p/runs"), &mut child);
    let metrics = run.join("metrics.jsonl");
    let (code, stderr) = interrupt(child, &metrics, 3, Signal::INT);
    let name = run.file_name().unwrap().to_str().unwrap();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains(&format!("togi train --resume {name}")), "{stderr}");
    let listed = desk.json(&["runs", "--json"]);
    assert_eq!(listed["state"], "stopped");
    let first = listed["step"].as_u64().unwrap();
    assert!(first >= 3);

    // Then by a worker, and so that a person's terminal sees none of it.
    let child = endless(&desk, &["worker", run.to_str().unwrap()]);
    let (code, stderr) = interrupt(child, &metrics, first as usize + 2, Signal::TERM);
    assert_eq!((code, stderr.as_str()), (Some(130), ""));
    let second = desk.json(&["runs", "--json"])["step"].as_u64().unwrap();
    assert!(second >= first + 2);

    let child = endless(&desk, &["--project", "p", "train", "--resume", "latest"]);
    let (code, stderr) = interrupt(child, &metrics, second as usize + 2, Signal::INT);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains(&format!("going on after step {second} of 1000000")), "{stderr}");
    let steps: Vec<u64> = fs::read_to_string(&metrics)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert!(steps.iter().copied().eq(1..=steps.len() as u64), "each step once, in order: {steps:?}");
}

/// The newest run's folder.
fn newest_run(desk: &Desk) -> PathBuf {
    let mut runs: Vec<PathBuf> = fs::read_dir(desk.path("p/runs")).unwrap().map(|e| e.unwrap().path()).collect();
    runs.sort();
    runs.pop().unwrap()
}

#[test]
fn a_plan_names_what_was_chosen_for_it() {
    let desk = Desk::with_project();
    let settings = ["steps=1", "samples=0", "device=cpu"];
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let asked = ["--project", "p", "train", "--data", "train.jsonl", "--json"];
    let out = desk.togi(&[&asked[..], &set[..]].concat()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let run: Value = serde_json::from_slice(&out.stdout).unwrap();
    let plan = desk.path("p/runs").join(run["run"].as_str().unwrap()).join("plan.toml");
    let plan: toml::Table = std::fs::read_to_string(plan).unwrap().parse().unwrap();
    let frozen = &plan["plan"]["settings"];
    // What 0 asked for stands there as it was chosen, so that a run goes on with it by whichever togi.
    assert_eq!(frozen["pass_tokens"].as_integer(), Some(2048));
    assert!(frozen["max_length"].as_integer().is_some_and(|tokens| tokens > 0));
    assert!(frozen["learning_rate"].as_float().is_some_and(|rate| rate > 0.0));
}

/// What a resumed run must repeat of each step: loss, rate and gradient norm.
fn course(run: &Path) -> Vec<[Value; 5]> {
    fs::read_to_string(run.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            ["step", "loss", "learning_rate", "gradient_norm", "valid_loss"].map(|key| row[key].clone())
        })
        .collect()
}

#[test]
fn every_level_of_instructions_trains_and_answers_alike() {
    let desk = Desk::with_project();
    let at = |level: Option<&str>, arguments: &[&str]| -> Value {
        let mut command = desk.togi(&[&["--project", "p"][..], arguments].concat());
        match level {
            Some(level) => command.env("TOGI_SIMD", level),
            None => command.env_remove("TOGI_SIMD"),
        };
        let out = command.output().unwrap();
        assert!(out.status.success(), "{level:?}, {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let named = |level: Option<&str>| at(level, &["doctor", "--json"])["simd"].as_str().unwrap().to_owned();
    let (base, avx2, all) = (named(Some("base")), named(Some("avx2")), named(None));
    assert!(base == "base" || base == "neon", "{base}");
    assert_eq!(avx2, if all == base { base } else { "avx2".to_owned() }, "a level is lowered and never raised");
    assert_eq!(named(Some("sse9")), all, "what is no level changes nothing");

    // A low rate, so that rounding is all the difference; the same seed, so that all drop the same. What is kept for the gradients
    // or computed again for them makes no difference either.
    let settings = ["steps=6", "batch=2", "learning_rate=0.003", "dropout=0.05", "patience=0", "samples=0"];
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let levels = [Some("base"), Some("avx2"), None];
    let found = levels.map(|level| {
        let again = if level == Some("avx2") { "train.checkpointing=true" } else { "train.checkpointing=false" };
        let files = ["train", "--data", "train.jsonl", "--valid", "test.jsonl", "--json", "--set", again];
        let trained = at(level, &[&files[..], &set[..]].concat());
        let run = trained["run"].as_str().unwrap();
        let said = at(level, &["generate", "say ka", "--max-tokens", "4", "--run", run, "--json"]);
        (course(&desk.path("p/runs").join(run)), said["answer"].clone())
    });
    let (steps, answer) = &found[0];
    let losses = |at: usize| steps.iter().filter(|step| step[at].is_number()).count();
    assert_eq!((losses(1), losses(4)), (6, 7), "of each step, and a validation loss before the first: {steps:?}");
    for (level, (others, said)) in levels.iter().zip(&found) {
        assert_eq!(others.len(), steps.len(), "{level:?}");
        for (here, base) in others.iter().zip(steps) {
            assert_eq!(here[0], base[0]);
            for loss in [1, 4] {
                let near = match (here[loss].as_f64(), base[loss].as_f64()) {
                    (Some(here), Some(base)) => (here - base).abs() <= 1e-4 * base.abs(),
                    (here, base) => here.is_none() && base.is_none(),
                };
                assert!(near, "{level:?}: {here:?} for {base:?}");
            }
        }
        assert_eq!(said, answer, "{level:?}");
    }
}

#[test]
fn a_run_that_is_killed_and_resumed_ends_in_the_same_bytes() {
    kill_and_resume(&Desk::with_project(), 1, &[]);
}

#[test]
fn on_several_threads_a_resumed_run_ends_in_the_same_bytes_too() {
    kill_and_resume(&Desk::with_project(), 2, &[]);
}

#[test]
fn with_checkpointing_a_resumed_run_ends_in_the_same_bytes_too() {
    kill_and_resume(&Desk::with_project(), 1, &["--set", "train.checkpointing=true", "--set", "evaluations=1"]);
}

#[test]
fn without_a_shared_beginning_a_resumed_run_ends_in_the_same_bytes_too() {
    kill_and_resume(&Desk::with_project(), 1, &["--set", "train.share_prefix=false", "--set", "evaluations=1"]);
}

#[test]
fn of_every_weight_a_resumed_run_ends_in_the_same_bytes_too() {
    kill_and_resume(&Desk::with_project(), 1, &["--set", "train.method=full", "--set", "evaluations=1"]);
}

#[test]
fn on_a_half_precision_base_a_resumed_run_ends_in_the_same_bytes_too() {
    let desk = Desk::new();
    halve(&desk.path("model"));
    desk.togi(&["init", "p", "--model", "model"]).assert().code(0);
    kill_and_resume(&desk, 1, &["--set", "evaluations=1"]);
}

/// Stores the weights of a model's folder as bf16, which they then stay in memory.
fn halve(model: &Path) {
    let path = model.join("model.safetensors");
    let file = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap().tensors();
    let halves: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, tensor)| {
            assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
            let numbers = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            let bytes: Vec<u8> = numbers.flat_map(|number| bf16::from_f32(number).to_le_bytes()).collect();
            (name, tensor.shape().to_vec(), bytes)
        })
        .collect();
    let views = halves.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::BF16, shape.clone(), bytes).unwrap();
        (name, view)
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let source = Source::open(model).unwrap();
    let decoder = Decoder::load(&source, source.description()).unwrap();
    assert!(decoder.embedding.is_packed() && decoder.blocks.iter().all(|block| block.qkv.weight.is_packed()));
}

/// Trains twice, with `more` settings over those that all have: to the end at once, and killed on the way and gone on with.
fn kill_and_resume(desk: &Desk, threads: usize, more: &[&str]) {
    fs::write(desk.path("config.toml"), format!("threads = {threads}\nnice = 0\n")).unwrap();
    // Dropout on, several rows a step, evaluations with checkpoints every second step.
    let settings = [
        "--set",
        "train.epochs=75",
        "--set",
        "batch=2",
        "--set",
        "dropout=0.1",
        "--set",
        "evaluations=2",
        "--set",
        "patience=0",
        "--set",
        "samples=1",
    ];
    let files = &["train", "--data", "train.jsonl", "--valid", "test.jsonl", "--json"][..];
    let arguments = [files, &settings, more].concat();
    desk.run(&arguments, 0);
    let whole = newest_run(desk);

    let mut process = Process::new(assert_cmd::cargo::cargo_bin("togi"));
    process.current_dir(desk.path("")).env("TOGI_CONFIG", desk.path("config.toml"));
    process.args(["--project", "p"]).args(&arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = process.spawn().unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    let killed = loop {
        assert!(Instant::now() < until, "the run came to no checkpoint within a minute");
        let run = newest_run(desk);
        let checkpoints = fs::read_dir(run.join("checkpoints")).map_or(0, Iterator::count);
        let lines = fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
        if run != whole && checkpoints > 0 && lines > 20 {
            child.kill().unwrap();
            break run;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    child.wait().unwrap();
    // A line that the kill cut short is no obstacle.
    let metrics = killed.join("metrics.jsonl");
    let mut text = fs::read_to_string(&metrics).unwrap();
    assert!(text.lines().count() < course(&whole).len(), "it was killed before its end");
    text.push_str("{\"step\": 9");
    fs::write(&metrics, text).unwrap();
    // Nor is the training file, which may be anything by now.
    fs::write(desk.path("train.jsonl"), "gone").unwrap();
    desk.run(&["train", "--resume", killed.file_name().unwrap().to_str().unwrap(), "--json"], 0);

    assert_eq!(course(&whole), course(&killed));
    let files = |run: &Path| -> BTreeMap<String, Vec<u8>> {
        let all = fs::read_dir(run.join("checkpoints/step-000300")).unwrap().map(|entry| entry.unwrap().path());
        // The counters tell the seconds, too, which are each run's own.
        let all = all.filter(|path| !path.ends_with("state.json"));
        all.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
    };
    let (at_once, resumed) = (files(&whole), files(&killed));
    assert!(at_once.keys().eq(resumed.keys()), "{:?} for {:?}", resumed.keys(), at_once.keys());
    let weights = ["adapter_model.safetensors", "model.safetensors"];
    assert!(weights.iter().any(|file| at_once.contains_key(*file)) && at_once.contains_key("optimizer.safetensors"));
    for (file, bytes) in &at_once {
        assert!(*bytes == resumed[file], "{file} differs between the whole and the resumed run");
    }
    let samples = |run: &Path| fs::read_to_string(run.join("samples.jsonl")).unwrap();
    assert_eq!(samples(&whole), samples(&killed));
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_with_a_reason_and_a_good_checkpoint() {
    let desk = Desk::with_project();
    let settings = [
        "--set",
        "learning_rate=1e30",
        "--set",
        "schedule=constant",
        "--set",
        "clip=0",
        "--set",
        "warmup_steps=1",
        "--set",
        "batch=2",
    ];
    let arguments = [&["train", "--data", "train.jsonl", "--valid", "test.jsonl"][..], &settings].concat();
    let (stdout, stderr) = desk.run(&arguments, 1);
    assert!(stderr.contains("is not a number") && stderr.contains("lower learning rate"), "{stdout}\n{stderr}");
    let status = fs::read_to_string(newest_run(&desk).join("status.toml")).unwrap();
    assert!(status.contains("failed"), "{status}");
}

#[test]
fn an_update_that_ruins_the_model_is_never_kept_as_a_checkpoint() {
    let desk = Desk::with_project();
    // Two good steps; then a rate that no model survives, though the loss and the gradient of its first step are still numbers.
    let settings = |rate: &str| {
        ["schedule=constant", "clip=0", "warmup_steps=1", "batch=2", "steps=2", "evaluations=100", "patience=0"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("learning_rate={rate}")])
            .flat_map(|setting| ["--set".to_owned(), setting])
            .collect::<Vec<_>>()
    };
    let train = |more: &[&str], rate: &str, rc: i32| {
        let settings = settings(rate);
        let all: Vec<&str> = ["train", "--data", "train.jsonl"]
            .iter()
            .chain(more)
            .copied()
            .chain(settings.iter().map(String::as_str))
            .collect();
        desk.run(&all, rc)
    };
    for valid in [&["--valid", "test.jsonl"][..], &["--set", "valid=0"]] {
        train(valid, "1e-3", 0);
        let state = |run: &Path| -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten().collect();
            names.sort_by_key(fs::DirEntry::file_name);
            names.iter().filter_map(|entry| fs::read_to_string(entry.path().join("state.json")).ok()).collect()
        };
        assert!(!state(&newest_run(&desk)).is_empty());
        let (_, told) = train(valid, "1e38", 1);
        assert!(told.contains("is not a number"), "{told}");
        let run = newest_run(&desk);
        assert!(state(&run).iter().all(|state| !state.contains("null")), "{:?}", state(&run));
        assert_eq!(state(&run).len(), 0, "the first update ruins the model: {told}");
        assert!(told.contains("no checkpoint yet"), "{told}");
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert!(metrics.contains("\"step\":1"), "{metrics}");
    }
}

#[test]
fn a_run_whose_validation_loss_rises_ends_by_itself_and_keeps_its_best() {
    let desk = Desk::with_project();
    // What is learned makes these answers less likely with every step.
    let rows: String = (0..3)
        .map(|i| json!({ "instruction": format!("say {i}"), "output": "ZZZZZZZZZZZZ" }).to_string() + "\n")
        .collect();
    fs::write(desk.path("other.jsonl"), rows).unwrap();
    let settings = ["steps=60", "epochs=0", "batch=8", "evaluations=1", "learning_rate=0.05", "samples=0"];
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let train = |patience: &str| {
        let files = ["train", "--data", "train.jsonl", "--valid", "other.jsonl", "--json", "--set", patience];
        desk.json(&[&files[..], &set[..]].concat())
    };
    let ended = train("patience=2");
    let (steps, best) = (ended["steps"].as_u64().unwrap(), ended["best"][1].as_u64().unwrap());
    assert!(steps < 60 && steps == best + 2, "{ended}");
    assert_eq!(ended["outcome"], "finished");
    assert!(ended["reason"].as_str().unwrap().contains("has not fallen for 2 evaluations"), "{ended}");
    let run = newest_run(&desk);
    let losses: Vec<f64> = course(&run).iter().filter_map(|step| step[4].as_f64()).collect();
    let least = ended["best"][0].as_f64().unwrap();
    assert!(losses.iter().rev().take(2).all(|loss| *loss >= least), "{losses:?}");
    assert!(fs::read_link(run.join("best")).unwrap().ends_with(format!("step-{best:06}")));
    // Without patience it goes on, however much the loss rises.
    assert_eq!(train("patience=0")["steps"].as_u64(), Some(60));
}

#[test]
fn without_a_file_it_trains_on_the_gold_records_and_says_later_what_changed() {
    let desk = Desk::with_project();
    let (_, told) = desk.run(&["train"], 1);
    assert!(told.contains("togi import"), "{told}");
    desk.run(&["import", "train.jsonl"], 0);
    let (_, told) = desk.run(&["train"], 1);
    assert!(told.contains("8 wait") && told.contains("togi accept"), "{told}");
    desk.run(&["accept", "1", "2", "3", "4", "5", "6"], 0);
    desk.run(&["mark", "5", "--split", "valid"], 0);
    desk.run(&["mark", "6", "--split", "test"], 0);
    desk.run(&["train", "--set", "train.steps=2", "--set", "batch=2"], 0);
    let inputs = fs::read_to_string(newest_run(&desk).join("inputs.jsonl")).unwrap();
    let used: Vec<(String, String)> = inputs
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["split"].as_str().unwrap().to_owned(), line["row"]["id"].as_str().unwrap().to_owned())
        })
        .collect();
    let records: Vec<&str> = used.iter().map(|(_, id)| id.split('@').next().unwrap()).collect();
    assert_eq!(records, ["1", "2", "3", "4", "5"], "{used:?}");
    assert_eq!(used[4].0, "valid");
    desk.run(&["edit", "2", "--gold", "another answer"], 0);
    desk.run(&["mark", "3", "--tag", "seen"], 0);
    desk.run(&["accept", "7"], 0);
    let since = desk.json(&["runs", "--changed", "latest", "--json"]);
    let told: Vec<_> =
        since["changed"].as_array().unwrap().iter().map(|c| (c["record"].clone(), c["content"].clone())).collect();
    assert_eq!(told, [(json!(2), json!(true)), (json!(3), json!(false))]);
    assert_eq!(since["added"], 1);
}
