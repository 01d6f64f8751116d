//! Where dictionaries lie.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::VARIABLE;

/// Folders of the packages of Debian, Fedora, Homebrew and of a build from source.
const SYSTEM: [&str; 9] = [
    "/var/lib/mecab/dic/ipadic-utf8",
    "/usr/share/mecab/dic/ipadic-utf8",
    "/usr/lib/mecab/dic/ipadic-utf8",
    "/usr/lib/mecab/dic/ipadic",
    "/usr/lib64/mecab/dic/ipadic",
    "/usr/local/lib/mecab/dic/ipadic-utf8",
    "/usr/local/lib/mecab/dic/ipadic",
    "/opt/homebrew/lib/mecab/dic/ipadic",
    "/var/lib/mecab/dic/debian",
];

/// The folder that the environment names, else the first of the usual ones that holds a dictionary. One that is named
/// is returned whatever it holds.
pub fn folder() -> Option<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let holds = |folder: &PathBuf| folder.join("sys.dic").is_file();
    SYSTEM.iter().map(PathBuf::from).find(holds).or_else(|| prefixes().iter().find_map(|prefix| package(prefix)))
}

/// Where Pythons are installed: the active environments, the user's own packages, and what is on the path.
fn prefixes() -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(env::var_os).map(PathBuf::from).collect();
    prefixes.extend(env::home_dir().map(|home| home.join(".local")));
    let path = env::var_os("PATH").unwrap_or_default();
    prefixes.extend(env::split_paths(&path).filter_map(|bin| Some(bin.parent()?.to_owned())));
    prefixes
}

/// The dictionary of pip's `ipadic` under a prefix.
fn package(prefix: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(prefix.join("lib")).ok()?;
    let mut pythons: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
        .collect();
    // Which one wins must not depend on the order of a folder's entries.
    pythons.sort();
    pythons
        .iter()
        .flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name).join("ipadic/dicdir")))
        .find(|folder| folder.join("sys.dic").is_file())
}
