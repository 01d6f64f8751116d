//! What was measured on this machine, kept for those who ask how long a plan will take.
//!
//! One file in the user's data folder, a measurement for each model; a new one takes the old one's place. Machines that
//! share a home folder are told apart by processor, threads and level of instructions.

use std::fs::File;
use std::path::{Path, PathBuf};

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
    let failed = |source| SaveError { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Another bench may be ending now: whoever comes second reads what the first one wrote. The lock ends with the file's life here.
    let lock = File::options().create(true).append(true).open(path.with_extension("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut all = held(path).map_err(failed)?;
    all.retain(|other| other["machine"] != saved.machine || other["identity"] != saved.identity);
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
