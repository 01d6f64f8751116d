//! Carrying out a verb of togi's own in a process of its own, for what it prints as JSON.
//!
//! A pane that checks or starts something does what a person at a shell would do, and shows the same words where it fails.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;

/// What `togi VERB … --json` prints for the project under `root`.
///
/// # Errors
/// Its words where it fails, or why it could not be started or read.
pub fn run<T: DeserializeOwned>(
    root: &Path,
    verb: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<T, String> {
    let togi = std::env::current_exe().map_err(|error| format!("the program itself is not found: {error}"))?;
    let output = Command::new(&togi)
        .arg("--project")
        .arg(root)
        .arg(verb)
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::null())
        // Of a group of its own: a terminal that goes away does not end it half-way.
        .process_group(0)
        .output()
        .map_err(|error| format!("{} cannot be started: {error}", togi.display()))?;
    if output.status.success() {
        return serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("togi {verb} said what is no answer: {error}"));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let error = error_in(&words);
    Err(if error.is_empty() { format!("togi {verb} ended with {}", output.status) } else { error.to_owned() })
}

/// The error in what a verb told: what stands before it is no part of it; of a wrong option only the first line is.
fn error_in(words: &str) -> &str {
    match (words.split_once("togi: "), words.strip_prefix("error: ")) {
        (Some((_, error)), _) => error.trim_end(),
        (None, Some(error)) => error.lines().next().unwrap_or_default(),
        (None, None) => words.trim_end(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_verb_told_only_the_error_is_shown() {
        assert_eq!(error_in("  12 rows\ntogi: no record fits\nlower it\n"), "no record fits\nlower it");
        assert_eq!(error_in("error: unexpected argument '--tset'\n\n  tip: --set\n"), "unexpected argument '--tset'");
        assert_eq!(error_in("killed\n"), "killed");
    }
}
