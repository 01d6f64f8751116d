//! What was measured on this machine, kept for those who ask how long a plan will take.
//!
//! One file in the user's data folder, a measurement for each model; a new one takes the old one's place. Machines that
//! share a home folder are told apart by processor, threads and level of instructions.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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

/// All measurements of a file; none where it is missing or is no such file.
#[must_use]
pub fn load(path: &Path) -> Vec<Saved> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Keeps a measurement in place of an older one of the same model on the same machine.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, saved: Saved) -> Result<(), SaveError> {
    let failed = |source| SaveError { path: path.to_owned(), source };
    let mut all = load(path);
    all.retain(|other| (&other.machine, &other.identity) != (&saved.machine, &saved.identity));
    all.push(saved);
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    serde_json::to_writer(&mut file, &all).map_err(|e| failed(e.into()))?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// The measurement of a model on `machine`; that of another model there where this one was never measured.
#[must_use]
pub fn find<'a>(all: &'a [Saved], machine: &str, identity: &str) -> Option<&'a Saved> {
    let here = || all.iter().rev().filter(|saved| saved.machine == machine);
    here().find(|saved| saved.identity == identity).or_else(|| here().next())
}
