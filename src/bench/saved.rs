//! What was measured on this machine, kept for those who ask how long a plan will take.
//!
//! One file in the user's data folder, a measurement for each model; a new one takes the old one's place. Machines that
//! share a home folder are told apart by processor, threads and level of instructions, GPUs by their names.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Measured;
use crate::model::ops::simd;

/// A measurement and what it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Processor, threads, instructions.
    pub machine: String,
    /// Fingerprint of the weights.
    pub identity: String,
    pub measured: Measured,
}

/// What training a model on a device was found to reach, in the precision that a training there chooses by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedOnDevice {
    /// The device's name.
    pub device: String,
    /// Fingerprint of the weights.
    pub identity: String,
    /// Floating-point operations a second of the median step, counted as those of a plan are.
    pub flops_per_s: f64,
}

impl SavedOnDevice {
    /// Seconds that `flops` of training take.
    #[must_use]
    pub fn seconds(&self, flops: f64) -> f64 {
        flops / self.flops_per_s
    }
}

/// Why a measurement could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the measurement cannot be kept: {source}", path = .path.display())]
pub struct SaveError {
    path: PathBuf,
    source: std::io::Error,
}

/// The file of measurements; `None` for a user without a home folder.
#[must_use]
pub fn file() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "togi")?.data_local_dir().join("bench.json"))
}

/// What tells this machine from another.
#[must_use]
pub fn machine_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{processor}, {} threads, {}", rayon::current_num_threads(), simd::level().name())
}

/// The measurements of a file that this version can read; none where it is missing or is no such file.
#[must_use]
pub fn load(path: &Path) -> Vec<Saved> {
    of_kind(path)
}

/// The same of what was measured on devices.
#[must_use]
pub fn load_on_device(path: &Path) -> Vec<SavedOnDevice> {
    of_kind(path)
}

/// The entries of a file that can be read as `T`.
fn of_kind<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
    all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect()
}

/// What a file holds, whoever wrote it. One that is no list of measurements is put aside as `bench.json.bad`.
fn held(path: &Path) -> std::io::Result<Vec<Value>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    if let Ok(all) = serde_json::from_str(&text) {
        return Ok(all);
    }
    std::fs::rename(path, path.with_extension("json.bad"))?;
    Ok(Vec::new())
}

/// Keeps a measurement in place of an older one of the same model on the same machine, and all the others as they are.
///
/// # Errors
/// When the file cannot be read or written.
pub fn save(path: &Path, saved: &Saved) -> Result<(), SaveError> {
    put(path, saved, |other| other["machine"] == saved.machine && other["identity"] == saved.identity)
}

/// Keeps what was measured on a device in place of what was of the same model on a device of the same name before.
///
/// # Errors
/// As [`save`].
pub fn save_on_device(path: &Path, saved: &SavedOnDevice) -> Result<(), SaveError> {
    put(path, saved, |other| other["device"] == saved.device && other["identity"] == saved.identity)
}

/// Puts an entry in the place of its elders.
fn put(path: &Path, saved: &impl Serialize, is_elder: impl Fn(&Value) -> bool) -> Result<(), SaveError> {
    let failed = |source| SaveError { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Another bench may be ending now: whoever comes second reads what the first one wrote. The lock ends with the file's life here.
    let lock = File::options().create(true).append(true).open(path.with_extension("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut all = held(path).map_err(failed)?;
    all.retain(|other| !is_elder(other));
    all.push(serde_json::to_value(saved).map_err(|e| failed(e.into()))?);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    serde_json::to_writer(&mut file, &all).map_err(|e| failed(e.into()))?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// The measurement of a model on `machine`.
#[must_use]
pub fn find<'a>(all: &'a [Saved], machine: &str, identity: &str) -> Option<&'a Saved> {
    all.iter().find(|saved| saved.machine == machine && saved.identity == identity)
}

/// What was measured of a model on a device of that name.
#[must_use]
pub fn find_on_device<'a>(all: &'a [SavedOnDevice], device: &str, identity: &str) -> Option<&'a SavedOnDevice> {
    all.iter().find(|saved| saved.device == device && saved.identity == identity)
}

#[cfg(test)]
mod tests {
    use super::super::tests::measured;
    use super::*;

    #[test]
    fn none_of_many_benches_that_end_at_once_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        std::thread::scope(|scope| {
            for i in 0..24 {
                let path = &path;
                scope.spawn(move || {
                    let saved = Saved { machine: "a".into(), identity: format!("m{i}"), measured: measured(1.0) };
                    save(path, &saved).unwrap();
                });
            }
        });
        assert_eq!(load(&path).len(), 24);
    }

    #[test]
    fn what_a_device_reached_stands_beside_what_the_processor_did_and_each_is_found_as_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        let on_device = |device: &str, identity: &str, flops_per_s: f64| SavedOnDevice {
            device: device.into(),
            identity: identity.into(),
            flops_per_s,
        };
        save(&path, &Saved { machine: "a".into(), identity: "m".into(), measured: measured(1.0) }).unwrap();
        for one in [on_device("gpu", "m", 1e12), on_device("other", "m", 2e12), on_device("gpu", "m", 4e12)] {
            save_on_device(&path, &one).unwrap();
        }
        save(&path, &Saved { machine: "a".into(), identity: "m".into(), measured: measured(2.0) }).unwrap();
        let (here, there) = (load(&path), load_on_device(&path));
        assert_eq!((here.len(), there.len()), (1, 2));
        assert_eq!(find(&here, "a", "m").unwrap().measured, measured(2.0));
        let seconds = find_on_device(&there, "gpu", "m").unwrap().seconds(8e12);
        assert!((seconds - 2.0).abs() < 1e-9, "the newest: {seconds}");
        assert_eq!(find_on_device(&there, "a", "m"), None, "a processor's rate says nothing of a device's");
        assert_eq!(find_on_device(&there, "gpu", "n"), None);
    }

    #[test]
    fn what_was_kept_before_the_lowest_rate_was_is_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        let saved = Saved { machine: "a".into(), identity: "m".into(), measured: measured(100.0) };
        let mut old = serde_json::to_value(&saved).unwrap();
        for rate in ["train", "prompt", "decode", "pair", "batched"] {
            assert!(old["measured"][rate].as_object_mut().unwrap().remove("lowest_tokens_per_s").is_some());
        }
        std::fs::write(&path, serde_json::json!([old]).to_string()).unwrap();
        let all = load(&path);
        let seconds = find(&all, "a", "m").unwrap().measured.seconds(300.0 * 1e9);
        assert!((seconds - 3.0).abs() < 1e-9, "it says as before how long a plan takes: {seconds}");
    }

    #[test]
    fn a_measurement_replaces_its_own_elder_and_nothing_else_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/bench.json");
        let saved = |machine: &str, identity: &str, speed: f64| Saved {
            machine: machine.into(),
            identity: identity.into(),
            measured: measured(speed),
        };
        assert!(load(&path).is_empty());
        for one in [saved("a", "m", 1.0), saved("a", "n", 2.0), saved("b", "m", 3.0), saved("a", "m", 4.0)] {
            save(&path, &one).unwrap();
        }
        let all = load(&path);
        assert_eq!(all.len(), 3);
        assert_eq!(find(&all, "a", "m"), Some(&saved("a", "m", 4.0)));
        assert_eq!(find(&all, "b", "n"), None, "another machine's and another model's tell nothing");
        // What another version wrote is kept, though this one cannot read it.
        let mut raw: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        raw.push(serde_json::json!({ "machine": "c", "identity": "m", "measured": { "new": 1 } }));
        std::fs::write(&path, serde_json::to_string(&raw).unwrap()).unwrap();
        save(&path, &saved("a", "n", 5.0)).unwrap();
        assert_eq!(load(&path).len(), 3);
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"new\":1"));
        // A file that is no such list is put aside.
        std::fs::write(&path, "not a list").unwrap();
        save(&path, &saved("a", "m", 6.0)).unwrap();
        assert_eq!(load(&path), [saved("a", "m", 6.0)]);
        assert_eq!(std::fs::read_to_string(path.with_extension("json.bad")).unwrap(), "not a list");
    }
}
