//! A folder in place of a file: `train.jsonl`, `valid.jsonl`, `test.jsonl` and what else they are called.

use std::path::{Path, PathBuf};

use crate::store::Split;

use super::ImportError;

/// Endings of files that hold rows, without `.gz`.
const ENDINGS: [&str; 8] = ["jsonl", "ndjson", "json", "csv", "tsv", "parquet", "xlsx", "txt"];

/// The files to read for `path`: itself where it is a file; of a folder those named after a split, in the order train,
/// valid, test. `train-00000-of-00002.parquet` is of `train` too.
///
/// # Errors
/// When the folder cannot be read, or holds no such file.
pub fn files_of(path: &Path) -> Result<Vec<(PathBuf, Option<Split>)>, ImportError> {
    let folder = path.display().to_string();
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), None)]);
    }
    let io = |source| ImportError::Io { file: folder.clone(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if let Some(split) = split_of(&file).filter(|_| file.is_file()) {
            files.push((file, Some(split)));
        }
    }
    files.sort_by(|(one, a), (other, b)| (a, one).cmp(&(b, other)));
    if files.is_empty() { Err(ImportError::Folder { folder }) } else { Ok(files) }
}

/// The split that a file is named after.
fn split_of(file: &Path) -> Option<Split> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let (stem, ending) = name.rsplit_once('.')?;
    if !ENDINGS.contains(&ending) {
        return None;
    }
    let word = stem.split_once('-').map_or(stem, |(word, _)| word);
    match word {
        "train" | "training" => Some(Split::Train),
        "valid" | "validation" | "val" | "dev" | "eval" => Some(Split::Valid),
        "test" => Some(Split::Test),
        _ => None,
    }
}
