//! A verb of togi's own in a process of its own: for what needs a tokenizer or a dictionary, which are gone with it before their memory
//! is missed here.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde::de::DeserializeOwned;

/// How a line begins that tells how far a download is.
const FETCHING: &str = "fetching";

/// What `togi VERB … --json` prints in the project at `root`, or its words where it fails. `hear` is told how far a download is.
///
/// # Errors
/// In the verb's own words, or why it could not be started or understood.
pub fn json<T: DeserializeOwned>(
    root: &Path,
    verb: &str,
    arguments: &[String],
    hear: &mut dyn FnMut(&str),
) -> Result<T, String> {
    let togi = std::env::current_exe().map_err(|error| format!("the program itself is not found: {error}"))?;
    let failed = |error: std::io::Error| format!("{} cannot be started: {error}", togi.display());
    let mut child = Command::new(&togi)
        .arg("--project")
        .arg(root)
        .arg(verb)
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Of a group of its own: a terminal that goes away does not end it half-way.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // Both are read at once: who writes much to one would wait for ever for the other.
    let reader = thread::Builder::new().name("reading".into()).spawn(move || {
        let mut bytes = Vec::new();
        let read = out.map(|mut out| out.read_to_end(&mut bytes));
        read.transpose().map(|_| bytes)
    });
    let mut words = Vec::new();
    for line in err.map(BufReader::new).into_iter().flat_map(|err| err.split(b'\n').map_while(Result::ok)) {
        let line = String::from_utf8_lossy(&line);
        if line.starts_with(FETCHING) {
            hear(line.trim_end());
        } else {
            words.push(line.into_owned());
        }
    }
    let read = reader.map_err(failed)?.join().unwrap_or_else(|_| Ok(Vec::new()));
    let status = child.wait().map_err(failed)?;
    if status.success() {
        let wrong = |error: &dyn std::fmt::Display| format!("togi {verb} said what is no answer: {error}");
        return serde_json::from_slice(&read.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error));
    }
    let said = reason(&words.join("\n"));
    Err(if said.is_empty() { format!("togi {verb} ended with {status}") } else { said })
}

/// Of what a verb says on standard error its reason: what it told before is no part of it; of a wrong option only the first line is.
fn reason(words: &str) -> String {
    let reason = match (words.split_once("togi: "), words.strip_prefix("error: ")) {
        (Some((_, error)), _) => error.trim_end(),
        (None, Some(error)) => error.lines().next().unwrap_or_default(),
        (None, None) => words.trim_end(),
    };
    reason.to_owned()
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_is_what_is_wrong_and_no_more() {
        assert_eq!(reason("run a1\ntogi: there is no record\nto train on\n"), "there is no record\nto train on");
        assert_eq!(reason("error: unexpected argument '--x'\n\nUsage: togi eval\n"), "unexpected argument '--x'");
        assert_eq!(reason("thread panicked\n"), "thread panicked");
    }
}
