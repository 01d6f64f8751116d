//! A desk to try the binary at: a folder with a tiny model of random weights, records, and room for projects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use togi::model::decoder::Decoder;
use togi::model::families;
use togi::train::checkpoint::write_model;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// A folder with a model, records and room for projects.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        fs::write(desk.path("config.toml"), "threads = 1\nnice = 0\n").unwrap();
        model(&desk.path("model"));
        let row = |i: usize, word: &str| json!({ "id": format!("r{i}"), "instruction": format!("say {word}"), "output": format!("{{\"said\": \"{word}\"}}") });
        let words = ["ka", "ki", "ku", "ke", "ko", "研ぎ", "sa", "shi"];
        let rows: String = words.iter().enumerate().map(|(i, w)| row(i, w).to_string() + "\n").collect();
        fs::write(desk.path("train.jsonl"), &rows).unwrap();
        let first: String = rows.lines().take(3).map(|line| line.to_owned() + "\n").collect();
        fs::write(desk.path("test.jsonl"), first).unwrap();
        desk
    }

    /// A desk with a project `p` on it.
    pub fn with_project() -> Self {
        let desk = Self::new();
        desk.togi(&["init", "p", "--model", "model"]).assert().code(0);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn togi(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("togi").unwrap();
        command.current_dir(self.0.path()).env("TOGI_CONFIG", self.path("config.toml")).args(arguments);
        command
    }

    /// Runs a verb in the project and returns its standard output and standard error.
    pub fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let out = self.togi(&[&["--project", "p"], arguments].concat()).output().unwrap();
        let [stdout, stderr] = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(out.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
        (stdout, stderr)
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let (stdout, _) = self.run(arguments, 0);
        assert_eq!(stdout.lines().count(), 1, "one object on one line: {stdout}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// Trains four steps and returns the summary.
    pub fn train(&self) -> Value {
        let few = ["--set", "train.steps=4", "--set", "batch=2", "--set", "learning_rate=0.05"];
        self.json(&[&["train", "--data", "train.jsonl", "--valid", "test.jsonl", "--json"][..], &few].concat())
    }
}

/// A Llama of two layers over single bytes, as a Hugging Face folder.
pub fn model(dir: &Path) {
    model_of_seed(dir, 7);
}

/// The same with weights drawn from another seed.
pub fn model_of_seed(dir: &Path, seed: u64) {
    model_of(dir, 2, seed);
}

/// The same of so many layers.
pub fn model_of(dir: &Path, layers: usize, seed: u64) {
    fs::create_dir_all(dir).unwrap();
    let mut letters: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    letters.sort_unstable();
    let mut vocab: serde_json::Map<String, Value> =
        letters.iter().zip(1..).map(|(c, i)| (c.to_string(), json!(i))).collect();
    vocab.insert("<eos>".into(), json!(0));
    vocab.insert("<pad>".into(), json!(257));
    let special = |id: u32, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true })
    };
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0, "<eos>"), special(257, "<pad>")],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": [] },
    });
    fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 32,
        "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": layers,
        "head_dim": 8, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "vocab_size": 258, "eos_token_id": 0, "bos_token_id": null,
        "attention_bias": false, "mlp_bias": false, "torch_dtype": "float32",
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let description = families::from_config(config.as_object().unwrap()).unwrap();
    write_model(dir, &Decoder::random(&description, seed).unwrap()).unwrap();
}

/// The command of a process that ends by a signal.
pub fn endless_command(desk: &Desk, arguments: &[&str]) -> Process {
    let mut command = Process::new(assert_cmd::cargo::cargo_bin("togi"));
    command.current_dir(desk.path("")).env("TOGI_CONFIG", desk.path("config.toml")).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A process that ends by a signal, or too late.
pub fn endless(desk: &Desk, arguments: &[&str]) -> Child {
    endless_command(desk, arguments).spawn().unwrap()
}

/// Waits until a run in `runs` has logged something, and returns its folder.
pub fn begun_run(runs: &Path, child: &mut Child) -> PathBuf {
    let begun = Instant::now();
    loop {
        let found = fs::read_dir(runs).into_iter().flatten().map(|entry| entry.unwrap().path());
        if let Some(run) = found.into_iter().find(|run| run.join("metrics.jsonl").exists()) {
            return run;
        }
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        if begun.elapsed() > Duration::from_mins(5) {
            child.kill().unwrap();
            panic!("no run");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the log has `lines` lines, interrupts the process, and returns its exit code and standard error.
pub fn interrupt(mut child: Child, metrics: &Path, lines: usize, signal: Signal) -> (Option<i32>, String) {
    let started = Instant::now();
    let count = || fs::read_to_string(metrics).unwrap_or_default().lines().count();
    while count() < lines {
        assert!(started.elapsed() < Duration::from_mins(1), "no steps");
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupted(child, signal)
}

/// Interrupts a process and returns its exit code and standard error.
pub fn interrupted(child: Child, signal: Signal) -> (Option<i32>, String) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
    let out = child.wait_with_output().unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}
