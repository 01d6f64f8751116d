//! Progress on standard error: drawn where it is a terminal, silent where it is not.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::say;
use crate::actions::context::Download;
use crate::text;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// How long a line about a download stands before the next.
const LINE: Duration = Duration::from_millis(400);

/// A bar of `length` with the words after it. Nothing is drawn where standard error is no terminal.
pub fn bar(length: u64, words: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}  {wide_msg}") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_message(words.to_owned());
    bar
}

/// A spinner for work whose length is not known, such as reading a model.
pub fn spinner(words: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        spinner.set_style(style);
    }
    spinner.set_message(words.to_owned());
    spinner.enable_steady_tick(TURN);
    spinner
}

/// Shows a download in the spinner's words.
pub fn download(spinner: &ProgressBar) -> impl FnMut(Download) + use<> {
    let spinner = spinner.clone();
    move |download: Download| {
        spinner.set_message(words(&download));
        if download.files > 0 && download.files_done == download.files {
            spinner.set_message("reading the model");
        }
    }
}

/// Tells of a download by lines on standard error, for a program that reads them: the first word at once, then some a second.
pub fn lines() -> impl FnMut(Download) {
    let mut told: Option<Instant> = None;
    move |download: Download| {
        if told.is_none_or(|told| told.elapsed() >= LINE) {
            told = Some(Instant::now());
            say!("{}", words(&download));
        }
    }
}

fn words(d: &Download) -> String {
    let of = if d.bytes > 0 { format!(" of {}", text::bytes(d.bytes)) } else { String::new() };
    format!(
        "fetching the model: file {} of {}, {}{of}",
        (d.files_done + 1).min(d.files.max(1)),
        d.files.max(1),
        text::bytes(d.bytes_done)
    )
}
