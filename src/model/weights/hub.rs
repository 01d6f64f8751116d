//! Models from the Hugging Face Hub, by way of the cache that every Hugging Face tool shares.
//!
//! What is in the cache is taken from there without asking the network. Everything else goes through `hf-hub`: the
//! token of a gated model from `HF_TOKEN` or the place where `hf auth login` keeps it, files whole or not at all, and
//! those that an interrupted call has brought are not brought again.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, FileStatus, ProgressEvent, ProgressHandler};
use hf_hub::{HFClient, HFError, split_id};

use super::{SMALL_FILES, SourceError};

/// Longest wait for the Hub's first answer. A slow line needs seconds, a missing one is known sooner.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// How far a download is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub files_done: usize,
    pub files: usize,
    pub bytes_done: u64,
    /// Zero until the Hub has said.
    pub bytes: u64,
}

/// A model in the local cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// A folder for [`Source::open`](super::Source::open).
    pub folder: PathBuf,
    /// The commit, for `togi.toml` to pin.
    pub revision: String,
}

/// Brings a model into the local cache, or finds it there. Without a `revision` that is the cache's newest, and where
/// the cache has none, the Hub's `main`. Blocks; `progress` is called on this thread.
///
/// # Errors
/// When `id` is no Hub id, the Hub cannot be reached or refuses, or the model has no safetensors or tokenizer.json.
pub fn fetch(id: &str, revision: Option<&str>, progress: &mut dyn FnMut(Progress)) -> Result<Fetched, SourceError> {
    fetch_by(HFClient::builder(), id, revision, FIRST_ANSWER, progress)
}

/// Whether a model is in the local cache, so that [`fetch`] asks nobody.
#[must_use]
pub fn is_here(id: &str, revision: Option<&str>) -> bool {
    check_id(id).is_ok()
        && HFClient::builder().build().is_ok_and(|c| cached(c.cache_dir(), id, revision.unwrap_or("main")).is_some())
}

fn fetch_by(
    client: hf_hub::HFClientBuilder,
    id: &str,
    revision: Option<&str>,
    patience: Duration,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fetched, SourceError> {
    check_id(id)?;
    if let Some(revision) = revision {
        check_revision(revision)?;
    }
    let client = client.retry_max_attempts(2).build().map_err(|e| explain(id, revision, &e))?;
    if let Some(found) = cached(client.cache_dir(), id, revision.unwrap_or("main")) {
        return Ok(found);
    }
    let (sender, events) = mpsc::channel();
    let (id, revision) = (id.to_owned(), revision.map(str::to_owned));
    // A thread of its own, so that this works inside another runtime too; the channel ends when it does.
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| SourceError::Hub(format!("no download could be started: {e}")))?;
        runtime.block_on(download(&client, &id, revision.as_deref(), patience, sender))
    });
    for event in events {
        progress(event);
    }
    worker.join().unwrap_or_else(|_| Err(SourceError::Hub("the download broke off; run the command again".to_owned())))
}

async fn download(
    client: &HFClient,
    id: &str,
    revision: Option<&str>,
    patience: Duration,
    sender: Sender<Progress>,
) -> Result<Fetched, SourceError> {
    let (owner, name) = split_id(id);
    let model = client.model(owner, name);
    let asked = model.info().maybe_revision(revision.map(str::to_owned)).send();
    let info = match tokio::time::timeout(patience, asked).await {
        Ok(info) => info.map_err(|e| explain(id, revision, &e))?,
        Err(_) => return Err(unreachable_hub(id, "no answer in time")),
    };
    let names: Vec<String> = info.siblings.unwrap_or_default().into_iter().map(|file| file.rfilename).collect();
    let wanted = wanted(id, &names)?;
    let snapshot = model.snapshot_download().revision(revision.unwrap_or("main")).allow_patterns(wanted);
    let folder = snapshot.progress(Reporter::new(sender)).send().await.map_err(|e| explain(id, revision, &e))?;
    let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Fetched { folder, revision: commit })
}

/// The files to bring out of those a repository has.
fn wanted(id: &str, names: &[String]) -> Result<Vec<String>, SourceError> {
    let has = |name: &str| names.iter().any(|n| n == name);
    let mut files: Vec<String> = SMALL_FILES.iter().filter(|name| has(name)).map(|&name| name.to_owned()).collect();
    let lacking = |what: &str| Err(SourceError::Hub(format!("{id} {what}")));
    if !has("config.json") {
        return lacking("has no config.json: it is not a model in Hugging Face's form (is it a GGUF or an adapter?)");
    }
    if !has("tokenizer.json") {
        return lacking(
            "has no tokenizer.json, only a tokenizer in another form; load it once with transformers' AutoTokenizer, \
             save it with save_pretrained beside the weights, and give that folder",
        );
    }
    if has("model.safetensors") {
        files.push("model.safetensors".to_owned());
    } else if has("model.safetensors.index.json") {
        files.push("model.safetensors.index.json".to_owned());
        let shard = |name: &&String| name.starts_with("model-") && name.ends_with(".safetensors");
        files.extend(names.iter().filter(shard).cloned());
    } else {
        return lacking("has no safetensors weights; choose a revision or a copy of the model that does");
    }
    Ok(files)
}

/// A whole model in the cache: `models--owner--name/snapshots/COMMIT`, by commit or by what `refs/REVISION` says.
fn cached(cache: &Path, id: &str, revision: &str) -> Option<Fetched> {
    let repository = cache.join(format!("models--{}", id.replace('/', "--")));
    let is_commit = revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    let commit = if is_commit {
        revision.to_owned()
    } else {
        std::fs::read_to_string(repository.join("refs").join(revision)).ok()?.trim().to_owned()
    };
    let plain = !commit.is_empty() && commit.bytes().all(|b| b.is_ascii_alphanumeric());
    let folder = repository.join("snapshots").join(&commit);
    (plain && whole(&folder)).then_some(Fetched { folder, revision: commit })
}

/// Which shard has which tensor.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// Whether a folder has a configuration, a tokenizer and every weight file.
fn whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    if !has("config.json") || !has("tokenizer.json") {
        return false;
    }
    if has("model.safetensors") {
        return true;
    }
    let index = std::fs::read(folder.join("model.safetensors.index.json")).ok();
    let index = index.and_then(|json| serde_json::from_slice::<Index>(&json).ok());
    index.is_some_and(|index| {
        let shards: BTreeSet<&String> = index.weight_map.values().collect();
        !shards.is_empty() && shards.iter().all(|shard| has(shard))
    })
}

/// Hub ids are `name` or `owner/name` of letters, digits, `-`, `_` and `.` (`huggingface_hub`, `validate_repo_id`).
fn check_id(id: &str) -> Result<(), SourceError> {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !part.contains("..")
            && !part.contains("--")
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
    };
    let parts: Vec<&str> = id.split('/').collect();
    if parts.len() <= 2 && parts.iter().all(|p| part(p)) {
        return Ok(());
    }
    Err(SourceError::Hub(format!(
        "{id:?} is neither a file or folder that is there nor a Hub id such as HuggingFaceTB/SmolLM2-135M-Instruct"
    )))
}

/// A revision becomes a path in the cache: no way out of it.
fn check_revision(revision: &str) -> Result<(), SourceError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
    let parts_fit = revision.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !revision.is_empty() && revision.bytes().all(plain) && parts_fit {
        return Ok(());
    }
    Err(SourceError::Hub(format!("{revision:?} is no revision: give a branch, a tag or a commit")))
}

fn unreachable_hub(id: &str, why: &str) -> SourceError {
    SourceError::Hub(format!(
        "the Hub cannot be reached ({why}), and {id} is not in the local cache; give a folder or a GGUF file instead, \
         or run again with a network"
    ))
}

/// Puts the Hub's refusals into words that say what to do.
fn explain(id: &str, revision: Option<&str>, error: &HFError) -> SourceError {
    match error {
        HFError::Request { source, .. } => unreachable_hub(id, &innermost(source)),
        HFError::AuthRequired { .. } | HFError::Forbidden { .. } => SourceError::Hub(format!(
            "the Hub does not give {id} without permission: accept its terms on https://huggingface.co/{id}, then set \
             HF_TOKEN or run `hf auth login`"
        )),
        HFError::RepoNotFound { .. } => SourceError::Hub(format!(
            "the Hub has no model {id}, or it is private: check the spelling, or set HF_TOKEN"
        )),
        HFError::RevisionNotFound { .. } => SourceError::Hub(format!(
            "{id} has no revision {:?}: give a branch, a tag or a commit of it",
            revision.unwrap_or("main")
        )),
        HFError::RateLimited { .. } => {
            SourceError::Hub("the Hub asks for a pause (too many requests); run again in a few minutes".to_owned())
        }
        other => SourceError::Hub(format!("{id} could not be brought from the Hub: {other}; run again to go on")),
    }
}

/// The cause at the end of a chain of errors, which is the one a person can act on.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What has been reported so far.
#[derive(Default)]
struct Reported {
    progress: Progress,
    /// Of each file the bytes that came, and whether it is whole.
    files: HashMap<String, (u64, bool)>,
    /// Bytes of the files that come together, by Xet.
    batch: u64,
}

/// Adds up what the files of a download report.
struct Reporter {
    sender: Sender<Progress>,
    state: Mutex<Reported>,
}

impl Reporter {
    fn new(sender: Sender<Progress>) -> Self {
        Self { sender, state: Mutex::default() }
    }
}

impl ProgressHandler for Reporter {
    fn on_progress(&self, event: &ProgressEvent) {
        let ProgressEvent::Download(event) = event else { return };
        let Ok(mut state) = self.state.lock() else { return };
        let Reported { progress, files, batch } = &mut *state;
        match event {
            // Each file of a snapshot announces itself once more.
            DownloadEvent::Start { total_files, total_bytes } => {
                progress.files = progress.files.max(*total_files);
                progress.bytes = progress.bytes.max(*total_bytes);
            }
            DownloadEvent::Progress { files: changed } => {
                for file in changed {
                    let done = file.status == FileStatus::Complete;
                    files.insert(file.filename.clone(), (file.bytes_completed, done));
                }
            }
            DownloadEvent::AggregateProgress { bytes_completed, .. } => *batch = *bytes_completed,
            DownloadEvent::Complete => {}
        }
        // Files of a Xet batch report their bytes together, and one by one only when they are whole.
        let bytes = files.values().map(|(bytes, _)| bytes).sum::<u64>().max(*batch);
        progress.bytes_done = bytes.min(progress.bytes);
        progress.files_done = files.values().filter(|(_, done)| *done).count();
        let _ = self.sender.send(progress.clone());
    }
}

#[cfg(test)]
mod tests;
