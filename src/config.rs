//! The user's settings, and how a settings file is read: known keys, located errors.
//!
//! `config.toml` lies in the user's configuration folder (`~/.config/togi/` on Linux) or where `TOGI_CONFIG` says. It holds
//! what belongs to a person and a machine; what belongs to a project stands in its `togi.toml`, and what a run did in its
//! plan. Every key has a default, and one that togi does not know is an error:
//!
//! ```toml
//! threads = 8                  # threads of the CPU engine; default: one for each core
//! models_dir = "~/models"      # where models are kept; default: togi-models in the user's cache folder
//! nice = 10                    # how far a worker steps back for other processes, 0 to 19; default: 10
//! theme = "auto"               # colours of the workbench: auto, dark, light, contrast, kiri, or the path of a theme; default: auto
//! glyphs = "auto"              # signs of the workbench: auto, unicode, ascii; default: auto
//! mouse = false                # whether the workbench takes the mouse; default: false
//! ```
//!
//! `togi config --defaults` prints all of them, documented.

mod toml_file;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::{env, fs, thread};

use rapidfuzz::distance::levenshtein::distance;

pub use toml_file::{Keys, TomlFile};

/// The variable that names another settings file.
pub const VARIABLE: &str = "TOGI_CONFIG";
const KEYS: &[&str] = &["threads", "models_dir", "nice", "theme", "glyphs", "mouse"];
const DEFAULT_NICE: i64 = 10;

/// What is wrong with a settings file.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("could not read the settings {}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: {reason}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// A key or table that togi does not know.
    #[error("{}, line {line}: {what} is not a setting{}", file.display(), hint(nearest.as_deref(), known))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key or table in words.
        what: String,
        /// The known one that is most like it.
        nearest: Option<String>,
        /// The known ones.
        known: Vec<String>,
    },
    /// A value that its key cannot have.
    #[error("{}, line {line}: {key} {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong, as the words after the key.
        reason: String,
    },
    /// A table's name that stands for something else.
    #[error("{}: {table} must be a table, written [{table}]", file.display())]
    NotATable {
        /// The file.
        file: PathBuf,
        /// The table.
        table: String,
    },
    /// The user has no home folder.
    #[error("this user has no home folder; set {VARIABLE} to a settings file that names models_dir")]
    NoHome,
}

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => format!("; there are {}", known.join(", ")),
    }
}

/// The settings file that `TOGI_CONFIG` names.
fn named() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Where the settings file lies, there or not: where `TOGI_CONFIG` says, else in the user's configuration folder; `None` where the
/// user has neither.
#[must_use]
pub fn file() -> Option<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "togi");
    named().or(folders.map(|folders| folders.config_dir().join("config.toml")))
}

/// The user's settings, each at its default where the file does not name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Threads of the CPU engine: one for each core.
    pub threads: usize,
    /// Where models are kept: `togi-models` in the user's cache folder.
    pub models_dir: PathBuf,
    /// How far a worker steps back for other processes (`nice`), 0 to 19: 10.
    pub nice: i32,
    /// The colours of the workbench: a theme's name, the path of one, or `auto` for dark or light as the terminal is.
    pub theme: String,
    /// Whether the workbench draws with ASCII only; `None` where the terminal decides.
    pub ascii: Option<bool>,
    /// Whether the workbench takes the mouse: no.
    pub mouse: bool,
}

/// The settings file with every key at its default and what it means, as `togi config --defaults` prints it.
pub const DEFAULTS: &str = "\
# togi's settings. Each line shows a default; uncomment it to change it.

# Threads of the CPU engine. Default: one for each core.
#threads = 8

# Where models are kept. A path that begins with ~/ lies in your home folder, a relative one beside this file.
# Default: togi-models in your cache folder.
#models_dir = \"~/models\"

# How far a worker steps back for other processes, 0 to 19.
#nice = 10

# Colours of the workbench: auto (dark or light as the terminal is), dark, light, contrast, kiri,
# or the path of a theme file, beside this file where it is relative. NO_COLOR takes all colours away.
#theme = \"auto\"

# Signs of the workbench: auto (ascii where the terminal or the locale has no more), unicode or ascii.
#glyphs = \"auto\"

# Whether the workbench takes the mouse: a click goes to a pane, a record, a run or a row, a second one there does what enter
# does, and the wheel does what the arrow keys do. Without it the terminal's own selecting and copying works as ever.
#mouse = false
";

impl Config {
    /// Reads the settings from where `TOGI_CONFIG` says, else from the user's configuration folder; a file that is missing
    /// there is one that changes nothing.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, has a key that togi does not know or a value that it cannot have, or `TOGI_CONFIG`
    /// names a file that is not there.
    pub fn load() -> Result<Self, SettingsError> {
        let must_exist = named().is_some();
        match file() {
            Some(file) => match fs::read_to_string(&file) {
                Ok(text) => Self::parse(&file, &text),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Self::parse(&file, ""),
                Err(cause) => Err(SettingsError::Unreadable { file, cause }),
            },
            None => Err(SettingsError::NoHome),
        }
    }

    /// Reads `text` as the settings file `file`.
    fn parse(file: &Path, text: &str) -> Result<Self, SettingsError> {
        let toml = TomlFile::parse(file, text)?;
        toml.check_root(KEYS)?;
        let within = |key, least: i64, most: i64| match toml.integer("", key)? {
            Some(value) if (least..=most).contains(&value) => Ok(Some(value)),
            Some(value) => Err(toml.wrong("", key, &format!("must be from {least} to {most}, not {value}"))),
            None => Ok(None),
        };
        let folders = directories::BaseDirs::new();
        let models_dir = match (toml.string("", "models_dir")?, &folders) {
            (Some(path), folders) => {
                let home = folders.as_ref().map(directories::BaseDirs::home_dir);
                match (path.strip_prefix("~/"), home) {
                    (Some(rest), Some(home)) => home.join(rest),
                    _ => file.parent().unwrap_or(Path::new("")).join(path),
                }
            }
            (None, Some(folders)) => folders.cache_dir().join("togi-models"),
            (None, None) => return Err(SettingsError::NoHome),
        };
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Self {
            threads: within("threads", 1, 1024)?.map_or(cores, |threads| threads as usize),
            models_dir,
            nice: within("nice", 0, 19)?.unwrap_or(DEFAULT_NICE) as i32,
            theme: toml.string("", "theme")?.unwrap_or_else(|| "auto".into()),
            ascii: match toml.string("", "glyphs")?.as_deref() {
                None | Some("auto") => None,
                Some("unicode") => Some(false),
                Some("ascii") => Some(true),
                Some(other) => {
                    let reason = format!("is {other:?}; it is auto, unicode or ascii");
                    return Err(toml.wrong("", "glyphs", &reason));
                }
            },
            mouse: toml.boolean("", "mouse")?.unwrap_or(false),
        })
    }
}

/// Returns the one of `known` that is most like `name`, if one is like it at all: at most a third of its letters differ.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = known
        .iter()
        .map(|&other| (distance(name.chars(), other.chars()), other))
        .min_by_key(|&(distance, _)| distance)?;
    (distance * 3 <= best.chars().count().max(3)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, SettingsError> {
        Config::parse(Path::new("/home/somebody/.config/togi/config.toml"), text)
    }

    #[test]
    fn every_key_has_a_default() {
        let config = parse("").unwrap();
        assert!(config.threads >= 1);
        assert!(config.models_dir.ends_with("togi-models") && config.models_dir.is_absolute());
        assert_eq!(config.nice, 10);
        assert_eq!((config.theme.as_str(), config.ascii, config.mouse), ("auto", None, false));
    }

    #[test]
    fn the_documented_defaults_are_the_keys_and_parse() {
        let text: String = DEFAULTS
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        parse(&text).unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table.keys().collect::<Vec<_>>().len(), KEYS.len());
        assert!(KEYS.iter().all(|key| table.contains_key(*key)));
    }

    #[test]
    fn what_is_set_is_taken() {
        let config = parse("threads = 3\nnice = 0\nmodels_dir = \"../models\" # beside\n").unwrap();
        assert_eq!((config.threads, config.nice), (3, 0));
        assert_eq!(config.models_dir, Path::new("/home/somebody/.config/togi/../models"));
        let home = parse("models_dir = \"~/m\"").unwrap().models_dir;
        assert!(home.is_absolute() && home.ends_with("m") && !home.to_string_lossy().contains('~'), "{home:?}");
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (text, parts) in [
            ("nice = 1\nthread = 2\n", ["line 2", "did you mean threads?"]),
            ("colour = \"red\"", ["line 1", "threads, models_dir, nice"]),
            ("\n\nnice = 40", ["line 3", "nice must be from 0 to 19, not 40"]),
            ("threads = \"all\"", ["line 1", "whole number"]),
            ("threads = 0", ["line 1", "from 1"]),
            ("threads = ", ["config.toml", "line 1"]),
            ("[threads]\nx = 1", ["line 1", "threads"]),
            ("mouse = 1", ["line 1", "true or false"]),
            ("glyphs = \"braille\"", ["line 1", "auto, unicode or ascii"]),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{text:?} gives {message:?}");
        }
    }

    #[test]
    fn near_means_near() {
        let known = ["template", "system", "style"];
        assert_eq!(nearest("sistem", &known), Some("system"));
        assert_eq!(nearest("stile", &known), Some("style"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
