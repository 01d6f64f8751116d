//! Following a log that another process appends to.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::JobError;
use crate::project::durable::FileError;

/// Follows a file of JSON lines, each of which is a `T`.
#[derive(Debug)]
pub struct Reader<T> {
    path: PathBuf,
    // Kept open, so that no new file can get its inode number.
    open: Option<File>,
    offset: u64,
    line: usize,
    kind: PhantomData<fn() -> T>,
}

/// What has come since the last [`Reader::poll`].
#[derive(Debug, PartialEq)]
pub struct Tail<T> {
    /// The file was cut (the run was resumed): `lines` begins at its beginning again, and what was read before is void.
    pub restarted: bool,
    /// The new lines, in order.
    pub lines: Vec<T>,
    /// The new lines that are not a `T`.
    pub unreadable: Vec<Unreadable>,
}

/// A whole line that does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: usize,
    /// What serde said.
    pub reason: String,
}

impl<T: DeserializeOwned> Reader<T> {
    /// Follows the file at `path` from its beginning. The file need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, offset: 0, line: 0, kind: PhantomData }
    }

    /// Reads up to the last end of a line; a line that is being written is left for the next time.
    ///
    /// # Errors
    ///
    /// Where the file is there and cannot be read.
    pub fn poll(&mut self) -> Result<Tail<T>, JobError> {
        self.poll_up_to(u64::MAX)
    }

    /// Reads as [`Reader::poll`], but about `limit` bytes at most (a longer line whole): for who must not hold a long log in
    /// memory. The rest comes the next time.
    ///
    /// # Errors
    ///
    /// As [`Reader::poll`].
    pub fn poll_up_to(&mut self, limit: u64) -> Result<Tail<T>, JobError> {
        let mut tail = Tail { restarted: false, lines: Vec::new(), unreadable: Vec::new() };
        let failed = |error| FileError::on("read", &self.path)(error);
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(tail),
            open => open.map_err(failed)?,
        };
        let now = file.metadata().map_err(failed)?;
        if let Some(before) = &self.open {
            let before = before.metadata().map_err(failed)?;
            let same = (before.dev(), before.ino()) == (now.dev(), now.ino());
            if !same || now.len() < self.offset {
                tail.restarted = self.offset > 0;
                (self.offset, self.line) = (0, 0);
            }
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        loop {
            let read = (&file).take(limit).read_to_end(&mut bytes).map_err(failed)?;
            if read == 0 || bytes.contains(&b'\n') {
                break;
            }
        }
        self.open = Some(file);
        for line in bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            self.offset += line.len() as u64;
            self.line += 1;
            match serde_json::from_slice(line) {
                Ok(parsed) => tail.lines.push(parsed),
                Err(error) => tail.unreadable.push(Unreadable { line: self.line, reason: error.to_string() }),
            }
        }
        Ok(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Job, Kind};
    use serde_json::{Value, json};
    use std::io::Write;

    fn steps(tail: &Tail<Value>) -> Vec<u64> {
        tail.lines.iter().map(|line| line["step"].as_u64().unwrap()).collect()
    }

    #[test]
    fn lines_come_once_and_only_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut reader = Reader::<Value>::new(&path);
        assert_eq!(steps(&reader.poll().unwrap()), [0; 0]);
        let mut file = File::create(&path).unwrap();
        file.write_all(b"{\"step\":1}\n{\"step\":2}\n{\"st").unwrap();
        assert_eq!(steps(&reader.poll().unwrap()), [1, 2]);
        assert_eq!(steps(&reader.poll().unwrap()), [0; 0]);
        file.write_all(b"ep\":3}\nnot json\n{\"step\":4}\n").unwrap();
        let tail = reader.poll().unwrap();
        assert_eq!(steps(&tail), [3, 4]);
        assert_eq!(tail.unreadable.iter().map(|bad| bad.line).collect::<Vec<_>>(), [4]);
        assert!(!tail.restarted);
    }

    #[test]
    fn a_long_log_comes_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let lines: String =
            (1..=100).fold(String::new(), |lines, step| lines + &json!({ "step": step }).to_string() + "\n");
        std::fs::write(&path, lines).unwrap();
        let mut reader = Reader::<Value>::new(&path);
        let (mut seen, mut polls) = (Vec::new(), 0);
        while seen.len() < 100 {
            let tail = reader.poll_up_to(64).unwrap();
            assert!(!tail.lines.is_empty() && tail.unreadable.is_empty() && !tail.restarted);
            seen.extend(steps(&tail));
            polls += 1;
        }
        assert_eq!(seen, (1..=100).collect::<Vec<_>>());
        assert!(polls > 10);
        assert_eq!(steps(&reader.poll_up_to(3).unwrap()), [0; 0]);
    }

    #[test]
    fn a_resumed_run_is_noticed_even_when_it_has_grown_past_the_old_end() {
        let runs = tempfile::tempdir().unwrap();
        let job = Job::create(runs.path(), Kind::Train).unwrap().seal(&toml::Table::new()).unwrap();
        let hold = job.hold().unwrap();
        let mut reader = Reader::<Value>::new(&job.metrics_path());
        let mut writer = hold.writer().unwrap();
        for step in 1..=4 {
            writer.metrics(&json!({ "step": step })).unwrap();
        }
        assert_eq!(steps(&reader.poll().unwrap()), [1, 2, 3, 4]);
        let mut writer = hold.resume_writer(2).unwrap();
        for step in 3..=9 {
            writer.metrics(&json!({ "step": step, "again": true })).unwrap();
        }
        let tail = reader.poll().unwrap();
        assert!(tail.restarted);
        assert_eq!(steps(&tail), (1..=9).collect::<Vec<_>>());
        assert!(!reader.poll().unwrap().restarted);
    }
}
