//! Event files that TensorBoard reads (and `wandb sync` uploads).
//!
//! A file is a sequence of records, `u64 length, u32 masked CRC-32C(length), bytes, u32 masked CRC-32C(bytes)`, all little
//! endian (TensorFlow, `core/lib/io/record_writer.cc`), of which each holds one `Event` message (`core/util/event.proto`).
//! The messages are declared here with the fields that are written and no others.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::hold;
use crate::project::durable::{self, FileError};

/// The first record of every file says so.
const FILE_VERSION: &str = "brain.Event:2";
/// The constant of the checksum's mask (`core/lib/hash/crc32c.h`).
const MASK_DELTA: u32 = 0xa282_ead8;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    // Optional, because a value of 0 that is not written is read as no value.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(enumeration = "SessionStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum SessionStatus {
    Unspecified = 0,
    Start = 1,
}

/// An event file being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Starts a new event file in `dir`: `events.out.tfevents.<seconds since 1970>.<host>`.
    ///
    /// A run that is resumed starts another file beside the earlier ones. TensorBoard reads them in the order of their names
    /// as one run; the session start at step `again_from` tells it to forget what the earlier files hold from there on.
    ///
    /// # Errors
    ///
    /// Where the file cannot be created.
    pub fn create(dir: &Path, again_from: Option<u64>) -> Result<Self, FileError> {
        let host: String = hold::host().chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
        let seconds = now() as u64;
        let mut again = 0;
        let (path, file) = loop {
            // Two starts within a second: the later name sorts behind the earlier.
            let end = if again == 0 { String::new() } else { format!(".{again:03}") };
            let path = dir.join(format!("events.out.tfevents.{seconds:010}.{host}{end}"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && again < 999 => again += 1,
                Err(error) => return Err(FileError::on("create", &path)(error)),
            }
        };
        durable::share(&path)?;
        let mut events = Self { path, file };
        events.write(0, What::FileVersion(FILE_VERSION.to_owned()))?;
        if let Some(step) = again_from {
            events.write(step, What::SessionLog(SessionLog { status: SessionStatus::Start.into() }))?;
        }
        Ok(events)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one event with these tags (`train/loss`) and values at `step`.
    ///
    /// # Errors
    ///
    /// Where the disk is full.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), FileError> {
        let value = |&(tag, value): &(&str, f64)| Value { tag: tag.to_owned(), simple_value: Some(value as f32) };
        self.write(step, What::Summary(Summary { value: values.iter().map(value).collect() }))
    }

    fn write(&mut self, step: u64, what: What) -> Result<(), FileError> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let event = Event { wall_time: now(), step, what: Some(what) };
        // One write a record: what is cut off by a kill is one half record at the end, where TensorBoard waits for more.
        self.file.write_all(&record(&event.encode_to_vec())).map_err(FileError::on("write", &self.path))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Frames `data` as one record.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked_crc(data).to_le_bytes());
    record
}

/// CRC-32C, rotated right by 15 bits, plus a constant: so that a checksum of data that holds checksums is sound.
fn masked_crc(data: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, data) as u32;
    crc.rotate_right(15).wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Takes a file apart again, checking every checksum.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = std::fs::read(path).unwrap();
        let (mut rest, mut events) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked_crc(data).to_le_bytes());
            events.push(Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    #[test]
    fn records_are_those_of_tensorboards_own_writer() {
        // What `RecordWriter` of the Python package tensorboard 2.21.0 writes for the same events.
        let value = |tag: &str, value| Value { tag: tag.to_owned(), simple_value: Some(value) };
        let summary = Summary { value: vec![value("train/loss", 2.5), value("損失", 0.0)] };
        for (wall_time, step, what, theirs) in [
            (
                1_700_000_000.5,
                0,
                What::FileVersion(FILE_VERSION.to_owned()),
                "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110",
            ),
            (
                1_700_000_001.25,
                3,
                What::Summary(summary),
                "2f000000000000006d5d1d500900005040fc54d94110032a220a110a0a747261696e2f6c6f737315000020400a0d0a06e6\
                 908de5a4b11500000000b28515bb",
            ),
            (
                1_700_000_002.0,
                31,
                What::SessionLog(SessionLog { status: SessionStatus::Start.into() }),
                "0f000000000000006d532b090900008040fc54d941101f3a0208014b4d00d4",
            ),
        ] {
            let event = Event { wall_time, step, what: Some(what) };
            assert_eq!(hex(&record(&event.encode_to_vec())), theirs);
        }
    }

    #[test]
    fn a_resumed_file_begins_with_version_and_session_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(dir.path(), None).unwrap();
        first.scalars(1, &[("train/loss", 2.5), ("train/rate", 0.0)]).unwrap();
        let mut second = EventFile::create(dir.path(), Some(31)).unwrap();
        second.scalars(31, &[("train/loss", f64::NAN)]).unwrap();
        assert!(first.path() < second.path());

        let events = read(first.path());
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
        let Some(What::Summary(summary)) = &events[1].what else { panic!("{events:?}") };
        let values: Vec<_> = summary.value.iter().map(|value| (value.tag.as_str(), value.simple_value)).collect();
        assert_eq!((events[1].step, values), (1, vec![("train/loss", Some(2.5)), ("train/rate", Some(0.0))]));

        let events = read(second.path());
        assert_eq!((events[1].step, &events[1].what), (31, &Some(What::SessionLog(SessionLog { status: 1 }))));
    }
}
