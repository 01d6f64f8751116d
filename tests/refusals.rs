//! What is refused, with which exit code, and in words that say what failed, where, and what to do.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

mod common;

use common::desk::Desk;

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
