//! The append-only logs of a job: metrics, samples, TensorBoard events and the worker's own words.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{EventFile, Hold, JobError, LOG, METRICS, SAMPLES};
use crate::project::durable::{self, FileError};

/// Writes a job's logs. Every line goes to the system whole and at once, so a killed process loses at most the line it was
/// just writing.
#[derive(Debug)]
pub struct Writer {
    metrics: File,
    samples: File,
    events: EventFile,
    log: File,
    dir: std::path::PathBuf,
}

/// What every line of metrics and samples must have.
#[derive(Deserialize)]
struct Step {
    step: u64,
}

impl Hold {
    /// Opens the logs of a job that starts at its beginning. Metrics and samples of an earlier start are cut.
    ///
    /// # Errors
    ///
    /// Where a log cannot be opened or written.
    pub fn writer(&self) -> Result<Writer, JobError> {
        Writer::open(self.job().dir(), None)
    }

    /// Opens the logs of a job that goes on after `step`: metrics and samples of later steps, and a last line that was
    /// written half, are cut, and a new event file tells TensorBoard to do the same.
    ///
    /// # Errors
    ///
    /// Where a log cannot be opened or written.
    pub fn resume_writer(&self, step: u64) -> Result<Writer, JobError> {
        Writer::open(self.job().dir(), Some(step))
    }
}

impl Writer {
    fn open(dir: &Path, resumed: Option<u64>) -> Result<Self, JobError> {
        for name in [METRICS, SAMPLES] {
            cut(&dir.join(name), resumed)?;
        }
        // A start from the beginning beside the events of an earlier one is a session that starts over, too.
        let again_from = resumed.map(|step| step + 1).or_else(|| has_events(dir).then_some(0));
        Ok(Self {
            metrics: durable::append(&dir.join(METRICS))?,
            samples: durable::append(&dir.join(SAMPLES))?,
            events: EventFile::create(dir, again_from)?,
            log: durable::append(&dir.join(LOG))?,
            dir: dir.to_owned(),
        })
    }

    /// Appends one line to `metrics.jsonl`. The line is an object with a whole number `step`; a number that is not finite
    /// is written as `null`.
    ///
    /// # Errors
    ///
    /// Where the line has no step or the disk is full.
    pub fn metrics(&mut self, line: &impl Serialize) -> Result<(), JobError> {
        append(&mut self.metrics, &self.dir, METRICS, line)
    }

    /// Appends one line to `samples.jsonl`; an object with a `step`, as for [`Writer::metrics`].
    ///
    /// # Errors
    ///
    /// Where the line has no step or the disk is full.
    pub fn sample(&mut self, line: &impl Serialize) -> Result<(), JobError> {
        append(&mut self.samples, &self.dir, SAMPLES, line)
    }

    /// Writes these values (tag and number, `("train/loss", 2.1)`) at `step` for TensorBoard.
    ///
    /// # Errors
    ///
    /// Where the disk is full.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), JobError> {
        Ok(self.events.scalars(step, values)?)
    }

    /// Appends a line with the time to `worker.log`.
    ///
    /// # Errors
    ///
    /// Where the disk is full.
    pub fn log(&mut self, message: &str) -> Result<(), JobError> {
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let line = format!("{time} {}\n", message.replace('\n', "\n    "));
        Ok(self.log.write_all(line.as_bytes()).map_err(FileError::on("write", &self.dir.join(LOG)))?)
    }

    /// Syncs metrics and samples to the disk. Called before a checkpoint is written, it makes sure that after a power cut
    /// the log reaches at least as far as the checkpoint.
    ///
    /// # Errors
    ///
    /// Where the disk fails.
    pub fn sync(&mut self) -> Result<(), JobError> {
        self.metrics.sync_data().map_err(FileError::on("sync", &self.dir.join(METRICS)))?;
        Ok(self.samples.sync_data().map_err(FileError::on("sync", &self.dir.join(SAMPLES)))?)
    }
}

fn append(file: &mut File, dir: &Path, name: &'static str, line: &impl Serialize) -> Result<(), JobError> {
    let failed = |error: serde_json::Error| JobError::Line { file: name, reason: error.to_string() };
    let mut bytes = serde_json::to_vec(line).map_err(failed)?;
    // Without a step the line could not be cut on resuming.
    serde_json::from_slice::<Step>(&bytes).map_err(failed)?;
    bytes.push(b'\n');
    Ok(file.write_all(&bytes).map_err(FileError::on("write", &dir.join(name)))?)
}

/// Cuts `path` before its first line of a step after `last` (before the first line of all for `None`), and before a last
/// line without an end. A line that cannot be read stays where it is.
///
/// The rest goes into a new file of the same name, not a shorter form of the old one: that is how a [`super::Reader`] that has
/// the old one open notices, however far the new one has grown meanwhile.
fn cut(path: &Path, last: Option<u64>) -> Result<(), JobError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(FileError::on("read", path))?,
    };
    let stays = |line: &[u8]| {
        let Some(last) = last else { return false };
        line.ends_with(b"\n") && serde_json::from_slice::<Step>(line).map_or(true, |line| line.step <= last)
    };
    let kept = bytes.split_inclusive(|&byte| byte == b'\n').take_while(|line| stays(line)).map(<[u8]>::len).sum();
    if let Some(kept) = bytes.get(..kept).filter(|kept| kept.len() < bytes.len()) {
        durable::write(path, kept)?;
    }
    Ok(())
}

fn has_events(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("events.out.tfevents."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Job, Kind};
    use serde_json::json;

    fn held(runs: &Path) -> Hold {
        Job::create(runs, Kind::Train).unwrap().seal(&toml::Table::new()).unwrap().hold().unwrap()
    }

    #[test]
    fn resuming_cuts_what_comes_after_the_step_and_a_half_line() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        let mut writer = hold.writer().unwrap();
        for step in 1..=5 {
            writer.metrics(&json!({ "step": step, "loss": 1.0 / f64::from(step) })).unwrap();
            writer.sample(&json!({ "step": step, "answer": "はい" })).unwrap();
        }
        drop(writer);
        let path = hold.job().metrics_path();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":6,\"lo");
        fs::write(&path, &text).unwrap();

        let mut writer = hold.resume_writer(3).unwrap();
        writer.metrics(&json!({ "step": 4, "loss": f64::NAN })).unwrap();
        let lines: Vec<_> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2..], [r#"{"step":3,"loss":0.3333333333333333}"#, r#"{"step":4,"loss":null}"#]);
        assert_eq!(fs::read_to_string(hold.job().samples_path()).unwrap().lines().count(), 3);
        drop(hold.writer().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "a start from the beginning cuts all");
    }

    #[test]
    fn a_line_without_a_step_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        let mut writer = hold.writer().unwrap();
        let message = writer.metrics(&json!({ "loss": 1.0 })).unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl") && message.contains("step"), "{message}");
        assert_eq!(fs::read_to_string(hold.job().metrics_path()).unwrap(), "");
    }

    #[test]
    fn the_log_has_a_line_a_message() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        hold.writer().unwrap().log("loaded 135 M weights").unwrap();
        hold.resume_writer(0).unwrap().log("stopped:\nout of memory").unwrap();
        let log = fs::read_to_string(hold.job().log_path()).unwrap();
        assert!(log.contains("Z loaded 135 M weights\n") && log.contains("Z stopped:\n    out of memory\n"), "{log}");
    }
}
