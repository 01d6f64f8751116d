//! The key: where it is read from, and that it is never shown.

use std::env;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::settings::Settings;

/// Bytes that a key file may have. Keys have about 200, signed tokens a few thousand.
const MAX_BYTES: u64 = 64 << 10;
/// The bits of a file's mode that let others than its owner in.
const OTHERS: u32 = 0o077;

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The variable is not set, or empty.
    #[error("the environment variable {name} that key_env names is {what}; set it to the endpoint's key")]
    Variable {
        /// The variable.
        name: String,
        /// `not set`, `empty`, `no text`.
        what: &'static str,
    },
    /// The file could not be read.
    #[error("could not read the key file {}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// Others may read the file.
    #[error(
        "the key file {} lets others in (mode {mode:04o}); run chmod 600 {0}, and change the key if others \
         use this machine",
        file.display()
    )]
    Open {
        /// The file.
        file: PathBuf,
        /// Its mode's last bits.
        mode: u32,
    },
    /// The file holds no key.
    #[error("the key file {} {what}; it holds the key and nothing else, on one line", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong, after the file's name.
        what: &'static str,
    },
    /// The key has characters that no header takes.
    #[error("the key from {origin} has spaces or characters that a header cannot carry; copy it again")]
    Characters {
        /// The variable or the file.
        origin: String,
    },
}

/// Reads the key that the settings name; `None` where they name none.
///
/// # Errors
/// [`KeyError`]: no message holds any of the key.
pub(super) fn read(settings: &Settings) -> Result<Option<SecretString>, KeyError> {
    let (text, origin) = match (&settings.key_env, &settings.key_file) {
        (Some(name), _) => (from_variable(name)?, name.clone()),
        (None, Some(path)) => {
            let path = at_home(path);
            (from_file(&path)?, path.display().to_string())
        }
        (None, None) => return Ok(None),
    };
    if !text.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::Characters { origin });
    }
    Ok(Some(text))
}

fn from_variable(name: &str) -> Result<SecretString, KeyError> {
    let error = |what| KeyError::Variable { name: name.to_owned(), what };
    let text = env::var(name)
        .map_err(|cause| error(if matches!(cause, env::VarError::NotPresent) { "not set" } else { "no text" }))?;
    let text = text.trim();
    if text.is_empty() { Err(error("empty")) } else { Ok(text.into()) }
}

fn from_file(path: &Path) -> Result<SecretString, KeyError> {
    let unreadable = |cause| KeyError::Unreadable { file: path.to_path_buf(), cause };
    let content = |what| KeyError::Content { file: path.to_path_buf(), what };
    // A pipe would wait for a writer before its kind could be asked of the open file.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(content("is no file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    // Asked of the open file, so that it is the one that is read.
    let found = file.metadata().map_err(unreadable)?;
    if found.mode() & OTHERS != 0 {
        return Err(KeyError::Open { file: path.to_path_buf(), mode: found.mode() & 0o7777 });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(content("is too long for a key"));
    }
    let text: SecretString = String::from_utf8(bytes).map_err(|_| content("is no text"))?.into();
    let key = text.expose_secret().trim();
    if key.is_empty() { Err(content("is empty")) } else { Ok(key.into()) }
}

/// `~/…` in the home folder.
fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    }
}

/// `text` without the key, in case a server repeats what it was sent.
pub(super) fn scrubbed(text: &str, key: Option<&SecretString>) -> String {
    match key {
        Some(key) => text.replace(key.expose_secret(), "[key]"),
        None => text.to_owned(),
    }
}
