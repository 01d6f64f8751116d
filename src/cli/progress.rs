//! Progress on standard error: drawn where it is a terminal, silent where it is not.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::actions::context::Download;
use crate::text;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

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
    move |d: Download| {
        let of = if d.bytes > 0 { format!(" of {}", text::bytes(d.bytes)) } else { String::new() };
        spinner.set_message(format!(
            "fetching the model: file {} of {}, {}{of}",
            (d.files_done + 1).min(d.files.max(1)),
            d.files.max(1),
            text::bytes(d.bytes_done)
        ));
        if d.files > 0 && d.files_done == d.files {
            spinner.set_message("reading the model");
        }
    }
}
