//! What is refused, with which exit code, and in words that say what failed, where, and what to do.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

mod common;

use common::desk::{Desk, model_of};

/// Runs a verb outside any project and returns its standard error.
fn refused(desk: &Desk, arguments: &[&str], code: i32) -> String {
    let out = desk.togi(arguments).output().unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "", "{arguments:?}");
    stderr
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Cuts a file to its first half.
fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, bytes.get(..bytes.len() / 2).unwrap()).unwrap();
}

#[test]
fn what_is_no_model_makes_no_project() {
    let desk = Desk::new();
    fs::write(desk.path("empty.gguf"), "").unwrap();
    // A header that speaks of tensors which are not there.
    fs::write(desk.path("cut.gguf"), b"GGUF\x03\0\0\0\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x14\0\0").unwrap();
    fs::create_dir(desk.path("folder")).unwrap();
    copy(&desk.path("model"), &desk.path("halved"));
    cut(&desk.path("halved/model.safetensors"));
    copy(&desk.path("model"), &desk.path("mute"));
    fs::write(desk.path("mute/tokenizer.json"), "{").unwrap();
    let cases = [
        ("./nowhere.gguf", "no such file or folder"),
        ("empty.gguf", "is empty"),
        ("cut.gguf", "cut short"),
        ("train.jsonl", "no GGUF file"),
        ("./folder", "no config.json"),
        ("./halved", "no whole safetensors file"),
        ("./mute", "tokenizer"),
    ];
    for (model, part) in cases {
        let stderr = refused(&desk, &["init", "q", "--model", model], 1);
        assert!(stderr.contains(part) && stderr.contains(model.trim_start_matches("./")), "{model}: {stderr}");
        assert!(!desk.path("q").exists(), "{model}: what would have to be cleared away");
    }
    desk.togi(&["init", "q", "--model", "./model"]).assert().code(0);
}

#[test]
fn what_is_wrongly_asked_ends_with_2_and_what_is_not_there_with_1() {
    let desk = Desk::with_project();
    let train = ["train", "--data", "train.jsonl", "--set"];
    let wrong: [(&[&str], &[&str]); 14] = [
        (&[&train[..], &["train.rnk=3"]].concat(), &["train.rnk", "did you mean train.rank?"]),
        (&[&train[..], &["rank=0"]].concat(), &["train.rank = 0", "between 1 and 4096"]),
        (&[&train[..], &["rank"]].concat(), &["--set rank has no value", "train.rank=8"]),
        (&[&train[..], &["train.targets=q_proj,v_proj"]].concat(), &["'train.targets=[\"q_proj\", \"v_proj\"]'"]),
        (&["generate", "x", "--top-p", "3"], &["--top-p is 3", "at most 1"]),
        (&["compare", "x", "--run", "latest", "--repetition-penalty", "0"], &["--repetition-penalty is 0"]),
        (&["eval", "--data", "test.jsonl", "--temperature=-1"], &["--temperature is -1"]),
        (&["generate", ""], &["the prompt is empty"]),
        (&["compare", "x"], &["--run RUN"]),
        (&["export", "peft", "out"], &["--run RUN"]),
        (&["bench", "--runs", "0"], &["--runs 0", "1 or more"]),
        (&["bench", "--batch", "0"], &["trains nothing"]),
        (&["records", "statsu:gold"], &["did you mean status"]),
        (&["split", "--valid", "60%", "--test", "40%"], &["nothing to train on"]),
    ];
    for (arguments, parts) in wrong {
        let (stdout, stderr) = desk.run(arguments, 2);
        assert_eq!(stdout, "", "{arguments:?}");
        for part in parts {
            assert!(stderr.contains(part), "{arguments:?}: {part:?} in {stderr}");
        }
    }
    // The same in the project's own file is no matter of the command line.
    let file = desk.path("p/togi.toml");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings.replace("# rank = 16", "rank = 0")).unwrap();
    let (_, stderr) = desk.run(&["train", "--data", "train.jsonl", "--set", "batch=2"], 1);
    assert!(stderr.contains("train.rank = 0"), "{stderr}");
    desk.run(&["train", "--data", "train.jsonl", "--check", "--set", "rank=8"], 0);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_a_run_and_an_export_leave_may_be_read_by_whom_other_files_may() {
    let desk = Desk::with_project();
    desk.train();
    let usual = mode(&desk.path("train.jsonl"));
    let run = fs::read_dir(desk.path("p/runs")).unwrap().next().unwrap().unwrap().path();
    let best = run.join("best");
    for file in ["adapter_config.json", "adapter_model.safetensors", "optimizer.safetensors", "state.json"] {
        assert_eq!(mode(&best.join(file)), usual, "{file}");
    }
    // As an older togi left it.
    fs::set_permissions(best.join("adapter_model.safetensors"), fs::Permissions::from_mode(0o600)).unwrap();
    desk.run(&["export", "peft", "adapter", "--run", "latest"], 0);
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        assert_eq!(mode(&desk.path("adapter").join(file)), usual, "{file}");
        assert_eq!(fs::read(desk.path("adapter").join(file)).unwrap(), fs::read(best.join(file)).unwrap());
    }
}

#[test]
fn what_is_no_adapter_is_said_and_not_exported() {
    let desk = Desk::with_project();
    desk.train();
    desk.run(&["export", "peft", "whole", "--run", "latest"], 0);
    copy(&desk.path("whole"), &desk.path("halved"));
    cut(&desk.path("halved/adapter_model.safetensors"));
    copy(&desk.path("whole"), &desk.path("pickled"));
    fs::rename(desk.path("pickled/adapter_model.safetensors"), desk.path("pickled/adapter_model.bin")).unwrap();
    copy(&desk.path("whole"), &desk.path("torn"));
    cut(&desk.path("torn/adapter_config.json"));
    copy(&desk.path("whole"), &desk.path("other"));
    let config = fs::read_to_string(desk.path("other/adapter_config.json")).unwrap().replace("LORA", "IA3");
    fs::write(desk.path("other/adapter_config.json"), config).unwrap();
    let cases: [(&str, &[&str]); 6] = [
        ("model", &["no PEFT adapter in model", "adapter_config.json is missing"]),
        ("nowhere", &["no PEFT adapter in nowhere"]),
        ("halved", &["halved/adapter_model.safetensors is cut short or damaged", "copy it again"]),
        ("pickled", &["adapter_model.safetensors is missing", "safe_serialization=True"]),
        ("torn", &["torn/adapter_config.json is cut short or damaged"]),
        ("other", &["IA3"]),
    ];
    for (adapter, parts) in cases {
        for verb in [&["generate", "x"][..], &["export", "peft", "out"]] {
            let (_, stderr) = desk.run(&[verb, &["--adapter", adapter]].concat(), 1);
            for part in parts {
                assert!(stderr.contains(part), "{verb:?} {adapter}: {part:?} in {stderr}");
            }
        }
        assert!(!desk.path("out").exists(), "{adapter}");
    }
}

#[test]
fn a_file_that_cannot_be_trained_on_is_told_with_its_line_and_a_remedy() {
    let desk = Desk::with_project();
    let rows = fs::read_to_string(desk.path("train.jsonl")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(desk.path(name), bytes).unwrap();
    write("broken.jsonl", format!("{rows}{{\"instruction\": \"say ka\" \"output\": 1}}\n").as_bytes());
    write("latin.jsonl", &[rows.as_bytes(), b"{\"instruction\": \"caf\xE9\", \"output\": \"x\"}\n"].concat());
    let wide: Vec<u8> = rows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    write("wide.jsonl", &wide);
    write("marked.jsonl", &[&b"\xFF\xFE"[..], &wide].concat());
    write("empty.jsonl", b"\n");
    write("list.json", b"[]");
    write(
        "silent.jsonl",
        format!("{rows}{{\"instruction\": \"say na\"}}\n{{\"id\": \"m\", \"instruction\": \"\"}}\n").as_bytes(),
    );
    let cases: [(&str, &[&str]); 8] = [
        ("broken.jsonl", &["broken.jsonl: 1 line of it is no record", "line 9: not JSON", "(column 26)"]),
        ("latin.jsonl", &["latin.jsonl is not UTF-8", "line 9", "iconv -f LATIN1", "togi import"]),
        ("wide.jsonl", &["wide.jsonl is not UTF-8", "iconv -f UTF-16"]),
        ("marked.jsonl", &["marked.jsonl is not UTF-8", "iconv -f UTF-16"]),
        ("empty.jsonl", &["empty.jsonl has no record to train on"]),
        ("list.json", &["list.json: data is read from .jsonl", "togi import list.json"]),
        ("model", &["model is a folder"]),
        (
            "silent.jsonl",
            &[
                "2 records cannot be trained on",
                "silent.jsonl, line 9: the record has no answer",
                "m (silent.jsonl, line 10)",
            ],
        ),
    ];
    for (file, parts) in cases {
        let (_, stderr) = desk.run(&["train", "--data", file, "--valid", "test.jsonl"], 1);
        for part in parts {
            assert!(stderr.contains(part), "{file}: {part:?} in {stderr}");
        }
        assert!(!stderr.contains("at line 1"), "{stderr}");
    }
    let (_, stderr) = desk.run(&["train", "--data", "train.jsonl", "--valid", "empty.jsonl"], 1);
    assert!(stderr.contains("empty.jsonl has no record to validate on"), "{stderr}");
    let (_, stderr) = desk.run(&["render", "--data", "empty.jsonl"], 1);
    assert!(stderr.contains("empty.jsonl has no record"), "{stderr}");
    assert_eq!(fs::read_dir(desk.path("p/runs")).unwrap().count(), 0, "nothing was begun");

    // An id that two rows have is no reason to refuse them, but worth a word.
    let row = json!({ "id": "r1", "instruction": "say na", "output": "na" });
    write("twice.jsonl", format!("{rows}{row}\n").as_bytes());
    let (_, stderr) = desk.run(&["train", "--data", "twice.jsonl", "--check"], 0);
    assert!(
        stderr.contains("twice.jsonl: 2 records share an id") && stderr.contains("\"r1\" in lines 2, 9"),
        "{stderr}"
    );
    let (_, stderr) = desk.run(&["train", "--data", "train.jsonl", "--check"], 0);
    assert!(!stderr.contains("note:"), "{stderr}");
}

#[test]
fn a_field_that_the_template_misses_is_told_with_what_to_do() {
    let desk = Desk::with_project();
    fs::write(desk.path("short.jinja"), "{{ instruction }} ({{ input }})").unwrap();
    let render = ["render", "--data", "train.jsonl", "--template", desk.path("short.jinja").to_str().unwrap()]
        .map(str::to_owned);
    let (_, stderr) = desk.run(&render.each_ref().map(String::as_str), 1);
    for part in ["names input", "its fields are: instruction", "prompt.template", "JSON object"] {
        assert!(stderr.contains(part), "{part:?} in {stderr}");
    }
    let out = desk.togi(&["generate", "--help"]).output().unwrap();
    assert!(String::from_utf8(out.stdout).unwrap().contains("as a JSON object"));
}

#[test]
fn a_record_that_is_too_long_stops_the_run_or_is_left_out_and_never_cut() {
    let desk = Desk::with_project();
    let long = json!({ "id": "long", "instruction": "say na", "output": "na".repeat(60) });
    let rows = fs::read_to_string(desk.path("train.jsonl")).unwrap();
    fs::write(desk.path("longer.jsonl"), format!("{rows}{long}\n")).unwrap();
    let train =
        ["train", "--data", "longer.jsonl", "--valid", "test.jsonl", "--set", "max_length=64", "--set", "steps=2"];
    let (_, stderr) = desk.run(&train, 1);
    for part in ["1 record is longer than the window of 64", "long (longer.jsonl, line 9): ", "too_long=drop"] {
        assert!(stderr.contains(part), "{part:?} in {stderr}");
    }
    assert_eq!(fs::read_dir(desk.path("p/runs")).unwrap().count(), 0, "nothing was begun");

    let (_, stderr) = desk.run(&[&train[..], &["--set", "too_long=drop"]].concat(), 0);
    assert!(stderr.contains("1 row is too long and left out: long (") && stderr.contains("8 rows"), "{stderr}");
    let run = fs::read_dir(desk.path("p/runs")).unwrap().next().unwrap().unwrap().path();
    let ids: Vec<String> = fs::read_to_string(run.join("inputs.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["split"] == "train")
        .map(|line| line["row"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, (0..8).map(|i| format!("r{i}")).collect::<Vec<_>>());
}

#[test]
fn a_plan_that_the_memory_does_not_hold_is_refused_before_it_begins() {
    let desk = Desk::with_project();
    let (_, stderr) =
        desk.run(&["train", "--data", "train.jsonl", "--set", "device=cpu", "--set", "pass_tokens=1000000000"], 1);
    for part in ["this plan needs about", "GiB are free", "lower train.pass_tokens"] {
        assert!(stderr.contains(part), "{part:?} in {stderr}");
    }
    assert_eq!(fs::read_dir(desk.path("p/runs")).unwrap().count(), 0, "nothing was begun");
}

#[test]
fn a_run_does_not_go_on_upon_another_base_and_its_adapter_does_not_fit_one() {
    let desk = Desk::with_project();
    desk.train();
    desk.run(&["export", "peft", "adapter", "--run", "latest"], 0);
    for (layers, what) in [(1, "belong to no layer"), (3, "is missing")] {
        model_of(&desk.path("other"), layers, 7);
        let (_, stderr) = desk.run(&["generate", "x", "--adapter", "adapter", "--model", "./other"], 1);
        assert!(stderr.contains("does not fit the base model") && stderr.contains(what), "{stderr}");
    }

    // A run that failed can be taken up again, but on the weights that it began on.
    let failing = ["learning_rate=1e30", "schedule=constant", "clip=0", "warmup_steps=1", "batch=2"];
    let set: Vec<&str> = failing.iter().flat_map(|setting| ["--set", setting]).collect();
    desk.run(&[&["train", "--data", "train.jsonl", "--valid", "test.jsonl"][..], &set[..]].concat(), 1);
    model_of(&desk.path("model"), 2, 8);
    let (_, stderr) = desk.run(&["train", "--resume", "latest"], 1);
    assert!(stderr.contains("the base model has changed since the run began"), "{stderr}");
    model_of(&desk.path("model"), 2, 7);
    let (_, stderr) = desk.run(&["train", "--resume", "latest"], 1);
    assert!(!stderr.contains("has changed"), "on its own weights it goes on, to where it failed: {stderr}");
}
