//! Creating a job: a name that nobody else has, the inputs frozen under it, and the plan last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Header, INPUTS, Input, Job, JobError, Kind, LAYOUT, PLAN, PlanFile, names};
use crate::project::durable::{self, FileError};

/// A job that has its name and not yet its plan. Dropped before [`Draft::seal`], it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    dir: PathBuf,
    kind: Kind,
    inputs: BufWriter<File>,
    hash: blake3::Hasher,
    rows: BTreeMap<String, usize>,
    sealed: bool,
}

impl Draft {
    /// Makes the folder of the next name of today. Creating a folder is atomic, so two starters never share one.
    pub(super) fn claim(runs: &Path, kind: Kind) -> Result<Self, JobError> {
        durable::create_dir_all(runs)?;
        let today = jiff::Zoned::now().date().to_string();
        let taken = names(runs)?
            .iter()
            .filter_map(|name| number(name.strip_prefix(&today)?.strip_prefix('-')?))
            .max()
            .map_or(0, |last| last + 1);
        let mut next = taken;
        let dir = loop {
            let dir = runs.join(format!("{today}-{}", label(next)));
            match durable::create_dir(&dir) {
                Ok(()) => break dir,
                Err(error) if error.cause.kind() == io::ErrorKind::AlreadyExists => next += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let path = dir.join(INPUTS);
        let inputs = File::create_new(&path).map_err(FileError::on("create", &path))?;
        durable::share(&path)?;
        let rows = BTreeMap::new();
        Ok(Self { dir, kind, inputs: BufWriter::new(inputs), hash: blake3::Hasher::new(), rows, sealed: false })
    }

    /// The directory that will be the job's.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Freezes `rows` as those of `split`, behind the rows that the split already has.
    ///
    /// # Errors
    ///
    /// Where a row cannot be written as JSON or the disk is full.
    pub fn freeze<R: Serialize>(
        &mut self,
        split: &str,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<&mut Self, JobError> {
        let mut count = 0;
        for row in rows {
            let mut line = serde_json::to_vec(&Input { split: split.to_owned().into(), row })
                .map_err(|error| JobError::Line { file: INPUTS, reason: error.to_string() })?;
            line.push(b'\n');
            self.hash.update(&line);
            self.inputs.write_all(&line).map_err(FileError::on("write", &self.dir.join(INPUTS)))?;
            count += 1;
        }
        *self.rows.entry(split.to_owned()).or_default() += count;
        Ok(self)
    }

    /// Writes the plan. From here on the job exists and nothing of what it reads changes any more.
    ///
    /// # Errors
    ///
    /// Where the plan has no TOML form (a number over 2^63 - 1, say) or the disk is full.
    pub fn seal<P: Serialize>(mut self, plan: &P) -> Result<Job, JobError> {
        let path = self.dir.join(INPUTS);
        self.inputs.flush().map_err(FileError::on("write", &path))?;
        self.inputs.get_ref().sync_all().map_err(FileError::on("sync", &path))?;
        let header = Header {
            layout: LAYOUT,
            kind: self.kind,
            togi: env!("CARGO_PKG_VERSION").to_owned(),
            created: jiff::Timestamp::now(),
            inputs_blake3: self.hash.finalize().to_hex().to_string(),
            rows: self.rows.clone(),
        };
        let body = toml::to_string(&PlanFile { job: header, plan })
            .map_err(|error| JobError::Unwritable(error.to_string()))?;
        let text =
            format!("# Frozen when the run was created: it reads this file and {INPUTS}, and nothing else.\n{body}");
        durable::write(&self.dir.join(PLAN), text.as_bytes())?;
        durable::sync_dir(durable::parent(&self.dir))?;
        self.sealed = true;
        Job::open(&self.dir)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.sealed {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Returns the label of the day's job `number`, from 0: a1 … a9, b1 … z9, za1 … zz9, zza1 … Names in the order of their
/// bytes are in the order of their numbers, however many there are.
fn label(number: usize) -> String {
    const DIGITS: usize = 9;
    const LETTERS: usize = 26;
    let (letter, digit) = (number / DIGITS, number % DIGITS + 1);
    let (rounds, letter) = (letter / LETTERS, u8::try_from(letter % LETTERS).unwrap_or(0));
    format!("{}{}{digit}", "z".repeat(rounds), char::from(b'a' + letter))
}

/// The inverse of [`label`]; `None` for what is no label.
fn number(label: &str) -> Option<usize> {
    let mut chars: Vec<char> = label.chars().collect();
    let digit = chars.pop()?.to_digit(10).filter(|&digit| digit > 0)? as usize - 1;
    let letter = chars.pop().filter(char::is_ascii_lowercase)?;
    let letter = usize::from(u8::try_from(letter).ok()? - b'a');
    chars.iter().all(|&z| z == 'z').then(|| (chars.len() * 26 + letter) * 9 + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Plan {
        rate: f64,
        name: Option<String>,
        lora: Lora,
        steps: u64,
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Lora {
        rank: usize,
        targets: Vec<String>,
    }

    fn plan() -> Plan {
        let lora = Lora { rank: 16, targets: vec!["q_proj".into(), "v_proj".into()] };
        Plan { rate: 3e-4, name: None, lora, steps: 180 }
    }

    #[test]
    fn labels_sort_as_they_are_counted() {
        let labels: Vec<_> = (0..1000).map(label).collect();
        assert_eq!([&labels[0], &labels[8], &labels[9], &labels[233], &labels[234]], ["a1", "a9", "b1", "z9", "za1"]);
        assert!(labels.is_sorted());
        assert!((0..1000).all(|n| number(&label(n)) == Some(n)));
        assert_eq!([number(""), number("a0"), number("notes"), number("ba1")], [None; 4]);
    }

    #[test]
    fn a_job_gives_back_what_was_frozen() {
        let runs = tempfile::tempdir().unwrap();
        let mut draft = Job::create(&runs.path().join("runs"), Kind::Train).unwrap();
        draft.freeze("train", ["一", "two\nlines"]).unwrap().freeze("valid", ["three"]).unwrap();
        draft.freeze("train", ["four"]).unwrap();
        let made = draft.seal(&plan()).unwrap();
        // Only its directory is needed, wherever it lies.
        let elsewhere = runs.path().join("elsewhere");
        fs::rename(made.dir(), &elsewhere).unwrap();
        let job = Job::open(&elsewhere).unwrap();
        assert_eq!(job.plan::<Plan>().unwrap(), plan());
        assert_eq!(job.inputs::<String>("train").unwrap(), ["一", "two\nlines", "four"]);
        assert_eq!(job.inputs::<String>("valid").unwrap(), ["three"]);
        assert_eq!(job.inputs::<String>("test").unwrap(), Vec::<String>::new());
        assert_eq!((job.header().kind, job.header().rows["train"]), (Kind::Train, 3));
    }

    #[test]
    fn starters_at_the_same_time_get_different_names() {
        let runs = tempfile::tempdir().unwrap();
        let mut names: Vec<String> = std::thread::scope(|scope| {
            let start = || Job::create(runs.path(), Kind::Train).unwrap().seal(&plan()).unwrap().name();
            let starters: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn a_later_job_has_a_later_name_even_after_a_deletion() {
        let runs = tempfile::tempdir().unwrap();
        let first = Job::create(runs.path(), Kind::Train).unwrap().seal(&plan()).unwrap();
        let second = Job::create(runs.path(), Kind::Train).unwrap().seal(&plan()).unwrap();
        fs::remove_dir_all(first.dir()).unwrap();
        let third = Job::create(runs.path(), Kind::Train).unwrap().seal(&plan()).unwrap();
        assert!(third.name() > second.name());
        assert_eq!(Job::find(runs.path(), "latest").unwrap().name(), third.name());
        assert_eq!(Job::find(runs.path(), "a2").unwrap().name(), second.name());
        let message = Job::find(runs.path(), "b7").unwrap_err().to_string();
        assert!(message.contains("b7") && message.contains(&second.name()), "{message}");
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let runs = tempfile::tempdir().unwrap();
        let mut draft = Job::create(runs.path(), Kind::Train).unwrap();
        draft.freeze("train", [1]).unwrap();
        let dir = draft.dir().to_owned();
        assert!(matches!(Job::open(&dir), Err(JobError::NotAJob(_))));
        drop(draft);
        assert!(!dir.exists());
    }

    #[test]
    fn changed_inputs_and_broken_plans_are_refused_with_the_file() {
        let runs = tempfile::tempdir().unwrap();
        let mut draft = Job::create(runs.path(), Kind::Train).unwrap();
        draft.freeze("train", ["one"]).unwrap();
        let job = draft.seal(&plan()).unwrap();
        fs::write(job.dir().join(INPUTS), "{\"split\":\"train\",\"row\":\"two\"}\n").unwrap();
        assert!(matches!(job.inputs::<String>("train"), Err(JobError::InputsChanged(_))));

        let path = job.dir().join(PLAN);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("rank = 16", "rank = \"many\"")).unwrap();
        let message = job.plan::<Plan>().unwrap_err().to_string();
        assert!(message.contains("plan.toml") && message.contains("rank"), "{message}");
        fs::write(&path, text.replace("layout = 1", "layout = 99")).unwrap();
        assert!(Job::open(job.dir()).unwrap_err().to_string().contains("newer togi"));
    }
}
