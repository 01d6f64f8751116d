//! How quick and how quiet the workbench is: the real binary in a pseudo-terminal, alone and while a run saturates the machine.
//!
//! `cargo bench --bench screen [-- MODEL]`: with a model's file or folder a training run of it goes on beside the second half.
//! Prints figures, asserts nothing: machines are shared.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // it prints, and what it cannot have ends it

#[allow(dead_code)] // it uses a part
#[path = "../common/screen.rs"]
mod screen;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use screen::Screen;
use serde_json::json;
use tempfile::TempDir;

fn togi(dir: &Path, arguments: &[&str]) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("togi"));
    command.current_dir(dir).env("TOGI_CONFIG", dir.join("config.toml")).args(arguments);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A project with so many pairs of 120 letters, the odd ones gold.
fn project(records: usize, model: Option<&str>) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("config.toml"), "theme = \"dark\"\n").unwrap();
    let model = model.map(|path| format!("[model]\npath = {path:?}\n")).unwrap_or_default();
    fs::write(dir.path().join("togi.toml"), format!("[project]\nname = \"bench\"\n{model}")).unwrap();
    let line = |index: usize| {
        let question = format!(
            "Where is parcel {index}? It was sent on the {}th, and 返品 is not what I want to do.",
            index % 28 + 1
        );
        json!({ "instruction": question, "output": format!("Parcel {index} is on its way.") }).to_string() + "\n"
    };
    fs::write(dir.path().join("rows.jsonl"), (1..=records).map(line).collect::<String>()).unwrap();
    togi(dir.path(), &["import", "rows.jsonl"]);
    dir
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[at].as_secs_f64() * 1e3
}

/// Presses a key again and again and tells how long the screen took to show it, and how many bytes that was.
fn keys(screen: &mut Screen, name: &str, count: usize, mut key: impl FnMut(usize) -> (String, String)) {
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for index in 0..count {
        let (key, shows) = key(index);
        let before = screen.written();
        let begun = Instant::now();
        screen.keys(&key);
        while !screen.text().contains(&shows) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{shows:?} does not come:\n{}", screen.text());
            thread::sleep(Duration::from_micros(200));
        }
        times.push(begun.elapsed());
        // A person types five letters a second at most; what follows the letter belongs to it.
        thread::sleep(Duration::from_millis(60));
        bytes.push(screen.written() - before);
    }
    times.sort_unstable();
    bytes.sort_unstable();
    println!(
        "  {name:<34} p50 {:6.1} ms   p99 {:6.1} ms   median {:5} bytes",
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        bytes[bytes.len() / 2]
    );
}

/// Resident memory of a process, in MB.
fn memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
    };
    line("RssAnon:").max(line("VmRSS:") - line("RssFile:"))
}

/// Measures a project whose records `first` to `last` wait.
fn measure(dir: &Path, what: &str, first: usize, last: usize) {
    println!("{what}");
    let mut starts: Vec<Duration> = (0..10)
        .map(|_| {
            let begun = Instant::now();
            let mut screen = Screen::open(dir, 160, 40);
            while !screen.text().contains("togi") {
                thread::sleep(Duration::from_micros(200));
            }
            let first = begun.elapsed();
            screen.wait_for("instruction");
            screen.keys("q");
            screen.ended();
            first
        })
        .collect();
    starts.sort_unstable();
    println!(
        "  {:<34} p50 {:6.1} ms   worst {:6.1} ms",
        "first frame",
        percentile(&starts, 0.5),
        percentile(&starts, 1.0)
    );
    let mut screen = Screen::open(dir, 160, 40);
    screen.wait_for("instruction");
    screen.settle();
    keys(&mut screen, "j, to the next record", 200, |index| ("j".into(), format!("│ {} ", first + index + 1)));
    screen.keys("gg");
    screen.wait_for(&format!("│ {first} "));
    keys(&mut screen, "page down", 50, |index| ("\x06".into(), format!("│ {} ", first + (index + 1) * 34)));
    screen.keys("G");
    println!("  {:<34} {:10.1} ms", "to the last record", screen.wait_for(&format!("│ {last} ")).as_secs_f64() * 1e3);
    screen.keys("gg");
    screen.wait_for(&format!("│ {first} "));
    screen.keys("e");
    screen.wait_for("writing");
    screen.keys("\x05");
    screen.settle();
    let letters = "abcdefghijklmnopqrstuvwxyz";
    let mut typed = String::new();
    keys(&mut screen, "a letter in the editor", 100, |index| {
        let letter = letters.chars().nth(index % 26).unwrap();
        typed.push(letter);
        let tail: String = typed.chars().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect();
        (letter.to_string(), tail)
    });
    println!("  {:<34} {:10.1} MB", "memory of the workbench (private)", memory(screen.child.process_id().unwrap()));
    screen.keys("\x1b");
    screen.settle();
    keys(&mut screen, "a, accept and next", 100, |index| ("a".into(), format!("│ {} ", first + index + 1)));
    screen.keys("q");
    screen.ended();
}

/// What a watched run writes to the screen, update by update.
fn curve(dir: &Path) {
    let mut screen = Screen::open(dir, 160, 40);
    screen.wait_for("instruction");
    screen.keys("3");
    screen.settle_for(Duration::from_millis(100), Duration::from_secs(3));
    let mut updates = Vec::new();
    let mut before = screen.written();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        thread::sleep(Duration::from_millis(20));
        let now = screen.written();
        if now != before {
            // A frame is one write; what came within 20 ms is one update.
            updates.push(now - before);
            before = now;
        }
    }
    updates.sort_unstable();
    if let Some(median) = updates.get(updates.len() / 2) {
        println!(
            "  {:<34} median {median} bytes of {} updates in 60 s",
            "the pane of the runs, watched",
            updates.len()
        );
    }
}

fn main() {
    let model = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let large = project(100_000, None);
    measure(large.path(), "100,000 records, nothing else running", 1, 100_000);
    drop(large);
    let desk = project(10_000, model.as_deref());
    measure(desk.path(), "10,000 records, nothing else running", 1, 10_000);
    if model.is_none() {
        println!("no model was named: nothing is measured beside a run");
        return;
    }
    togi(desk.path(), &["accept", "--query", "id:8001-10000"]);
    togi(desk.path(), &["train", "--background", "--set", "epochs=20", "--set", "samples=0"]);
    thread::sleep(Duration::from_secs(20));
    measure(desk.path(), "10,000 records, beside a run on all cores", 101, 8_000);
    curve(desk.path());
    togi(desk.path(), &["runs", "--stop", "latest"]);
}
