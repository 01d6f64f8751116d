//! What can be done in the workbench and with which keys.
//!
//! One table ([`Command`]) names every command, its keys, what it does and where it can be given. Help, palette, footer and the
//! hints after a first key are read from it, and so is a key that is pressed. `keymap.toml` beside the settings gives commands
//! other keys:
//!
//! ```toml
//! "data.accept" = ["a", "enter"]
//! "data.top" = "g g"            # one after the other
//! "pane.next" = []              # no key; still in the palette
//! ```
//!
//! A command that there is none of, a key that is none, and a key that could mean two things are errors when the file is read.

mod table;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crokey::{KeyCombination, KeyCombinationFormat, OneToThree};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::config::{self, SettingsError, TomlFile};

pub use table::{Command, Scope};

/// A key with its modifiers, as commands are bound to.
pub type Key = KeyCombination;

/// Brings what a terminal sends to the form in which keys are compared: a full-width letter or mark of an input method is the
/// half-width one, and shift counts for letters and keys without a letter only.
#[must_use]
pub fn normal(event: KeyEvent) -> Key {
    let mut modifiers = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
    let code = match event.code {
        KeyCode::Char(c) => {
            let c = half_width(c);
            if c.is_alphabetic() {
                if c.is_uppercase() {
                    modifiers |= KeyModifiers::SHIFT;
                }
            } else {
                modifiers -= KeyModifiers::SHIFT;
            }
            KeyCode::Char(c)
        }
        code => code,
    };
    KeyCombination::one_key(code, modifiers).normalized()
}

/// The half-width form of a full-width letter, digit, mark or blank.
fn half_width(c: char) -> char {
    match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// The letter that a key writes into a text, if it does.
#[must_use]
pub fn letter(event: KeyEvent) -> Option<char> {
    match event.code {
        KeyCode::Char(c) if (event.modifiers & !KeyModifiers::SHIFT).is_empty() => Some(c),
        _ => None,
    }
}

/// Spells a key as people write it: `a`, `A`, `ctrl-s`, `esc`, `space`.
#[must_use]
pub fn spell(key: Key) -> String {
    if key == KeyCombination::one_key(KeyCode::Char(' '), KeyModifiers::NONE) {
        return "space".into();
    }
    if let OneToThree::One(KeyCode::BackTab) = key.codes {
        return "shift-tab".into();
    }
    let letter = matches!(key.codes, OneToThree::One(KeyCode::Char(_)));
    let plain = letter && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    let format = KeyCombinationFormat::default();
    let spelt = if plain { format.with_implicit_shift().to_string(key) } else { format.to_string(key).to_lowercase() };
    match spelt.as_str() {
        "up" => "↑".into(),
        "down" => "↓".into(),
        "left" => "←".into(),
        "right" => "→".into(),
        _ => spelt,
    }
}

/// Spells keys that are pressed one after the other.
#[must_use]
pub fn spell_all(keys: &[Key]) -> String {
    keys.iter().map(|key| spell(*key)).collect::<Vec<_>>().join(" ")
}

/// What is wrong with a `keymap.toml`.
#[derive(Debug, thiserror::Error)]
pub enum KeymapError {
    /// It cannot be read, is no TOML, or names a command that there is none of.
    #[error(transparent)]
    File(#[from] SettingsError),
    /// A key could mean two things.
    #[error("{}: {keys} would be {one} and {other} at once{}; give one of them another key", file.display(), place(*scope))]
    Conflict {
        /// The file; the table itself has no conflicts.
        file: PathBuf,
        /// The keys.
        keys: String,
        /// A command.
        one: &'static str,
        /// Another.
        other: &'static str,
        /// Where both can be given.
        scope: Scope,
    },
}

fn place(scope: Scope) -> String {
    format!(" ({})", scope.word())
}

/// What a key means at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A command.
    Command(Command),
    /// The beginning of longer keys: what may follow, and to which command it leads.
    Prefix(Vec<(Key, Command)>),
    /// Nothing.
    Nothing,
}

/// Which keys give which commands.
#[derive(Clone, Debug)]
pub struct Keymap {
    keys: HashMap<Command, Vec<Vec<Key>>>,
}

impl Default for Keymap {
    fn default() -> Self {
        let keys = Command::ALL.iter().map(|command| {
            let keys = command.keys().iter().filter_map(|text| parse(text).ok()).collect();
            (*command, keys)
        });
        Self { keys: keys.collect() }
    }
}

impl Keymap {
    /// The keys of the table, with those that `file` gives in their place; a file that is not there changes nothing.
    ///
    /// # Errors
    /// With the line where the file says what cannot be.
    pub fn load(file: &Path) -> Result<Self, KeymapError> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::read(file, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(SettingsError::Unreadable { file: file.to_owned(), cause }.into()),
        }
    }

    /// Where the user's `keymap.toml` lies, beside the settings.
    #[must_use]
    pub fn path() -> Option<PathBuf> {
        Some(config::file()?.with_file_name("keymap.toml"))
    }

    /// Reads `text` as the file `file`.
    ///
    /// # Errors
    /// As [`Keymap::load`].
    pub fn read(file: &Path, text: &str) -> Result<Self, KeymapError> {
        let toml = TomlFile::parse(file, text)?;
        let names: Vec<&str> = Command::ALL.iter().map(|command| command.name()).collect();
        toml.check_root(&names)?;
        let mut keymap = Self::default();
        for command in Command::ALL {
            let Some(given) = toml.strings("", command.name())? else { continue };
            let parsed: Result<Vec<Vec<Key>>, String> = given.iter().map(|text| parse(text)).collect();
            let parsed = parsed.map_err(|reason| toml.wrong("", command.name(), &reason))?;
            keymap.keys.insert(*command, parsed);
        }
        keymap.check(file)?;
        Ok(keymap)
    }

    /// Finds a key, or the beginning of one, that could mean two things at one place.
    fn check(&self, file: &Path) -> Result<(), KeymapError> {
        for (index, one) in Command::ALL.iter().enumerate() {
            for other in &Command::ALL[index + 1..] {
                let Some(scope) = one.scope().meets(other.scope()) else { continue };
                for (a, b) in self.keys(*one).iter().flat_map(|a| self.keys(*other).iter().map(move |b| (a, b))) {
                    let short = a.len().min(b.len());
                    if a.get(..short) == b.get(..short) {
                        return Err(KeymapError::Conflict {
                            file: file.to_owned(),
                            keys: spell_all(a.get(..short).unwrap_or_default()),
                            one: one.name(),
                            other: other.name(),
                            scope,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The keys of a command; each may be several pressed one after the other.
    #[must_use]
    pub fn keys(&self, command: Command) -> &[Vec<Key>] {
        self.keys.get(&command).map_or(&[], Vec::as_slice)
    }

    /// The first keys of a command, spelt; empty where it has none.
    #[must_use]
    pub fn first(&self, command: Command) -> String {
        self.keys(command).first().map(|keys| spell_all(keys)).unwrap_or_default()
    }

    /// What `pressed` means where commands of `scopes` can be given, the first scope winning.
    #[must_use]
    pub fn meaning(&self, scopes: &[Scope], pressed: &[Key]) -> Meaning {
        let mut next: Vec<(Key, Command)> = Vec::new();
        for scope in scopes {
            for command in Command::ALL.iter().filter(|command| command.scope() == *scope) {
                for keys in self.keys(*command) {
                    if keys == pressed {
                        return Meaning::Command(*command);
                    }
                    if keys.starts_with(pressed)
                        && let Some(key) = keys.get(pressed.len())
                    {
                        next.push((*key, *command));
                    }
                }
            }
        }
        if next.is_empty() { Meaning::Nothing } else { Meaning::Prefix(next) }
    }

    /// The commands and their keys as a commented `keymap.toml`.
    #[must_use]
    pub fn documented(&self) -> String {
        let mut out =
            String::from("# Keys of the workbench. Uncomment a line and change it; [] takes a command's keys away.\n");
        let mut scope = None;
        for command in Command::ALL {
            if scope != Some(command.scope()) {
                scope = Some(command.scope());
                let _ = write!(out, "\n# {}\n", command.scope().word());
            }
            let keys: Vec<String> = command.keys().iter().map(|key| format!("{key:?}")).collect();
            let line = format!("#{:?} = [{}]", command.name(), keys.join(", "));
            let _ = writeln!(out, "{line:<44} # {}", command.doc());
        }
        out
    }
}

/// Reads keys as a person writes them: `a`, `A`, `ctrl-s`, `g g`.
fn parse(text: &str) -> Result<Vec<Key>, String> {
    let keys: Result<Vec<Key>, String> = text
        .split_whitespace()
        .map(|word| {
            // A capital is its letter with shift.
            let mut letters = word.chars();
            if let (Some(c), None) = (letters.next(), letters.next())
                && c.is_uppercase()
            {
                return Ok(normal(KeyEvent::new(KeyCode::Char(c), KeyModifiers::SHIFT)));
            }
            let key = crokey::parse(&word.to_lowercase().replace("shift-tab", "backtab"))
                .map_err(|_| format!("has {word:?}, which is no key; write a, A, ctrl-s, esc, tab, f5 or \"g g\""))?;
            match key.codes {
                OneToThree::One(code) => Ok(normal(KeyEvent::new(code, key.modifiers))),
                _ => Err(format!("has {word:?}: keys are pressed one after the other here, written \"g g\"")),
            }
        })
        .collect();
    let keys = keys?;
    if keys.is_empty() { Err("has an empty text; write [] for no key".into()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Key {
        normal(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn the_table_is_sound() {
        let keymap = Keymap::default();
        keymap.check(Path::new("the table")).unwrap();
        for command in Command::ALL {
            assert_eq!(keymap.keys(*command).len(), command.keys().len(), "{}: a key does not parse", command.name());
            assert!(!command.doc().is_empty());
            let same = Command::ALL.iter().filter(|other| other.name() == command.name());
            assert_eq!(same.count(), 1, "{} is there twice", command.name());
        }
    }

    #[test]
    fn a_full_width_key_is_the_half_width_one() {
        let plain = key(KeyCode::Char('j'), KeyModifiers::NONE);
        assert_eq!(key(KeyCode::Char('ｊ'), KeyModifiers::NONE), plain);
        assert_eq!(key(KeyCode::Char('？'), KeyModifiers::NONE), key(KeyCode::Char('?'), KeyModifiers::SHIFT));
        assert_eq!(key(KeyCode::Char('　'), KeyModifiers::NONE), key(KeyCode::Char(' '), KeyModifiers::NONE));
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::NONE), key(KeyCode::Char('G'), KeyModifiers::SHIFT));
        assert_ne!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), key(KeyCode::Char('g'), KeyModifiers::NONE));
        assert_eq!(spell(key(KeyCode::Char('G'), KeyModifiers::SHIFT)), "G");
        assert_eq!(spell(key(KeyCode::Char('s'), KeyModifiers::CONTROL)), "ctrl-s");
        assert_eq!(spell(key(KeyCode::BackTab, KeyModifiers::SHIFT)), "shift-tab");
    }

    #[test]
    fn a_file_gives_other_keys_and_says_what_cannot_be() {
        let file = Path::new("keymap.toml");
        let keymap = Keymap::read(file, "\"data.accept\" = \"ctrl-k\"\n\"data.reject\" = [\"z z\", \"X\"]\n").unwrap();
        let data = [Scope::Data, Scope::Normal, Scope::Anywhere];
        let k = key(KeyCode::Char('k'), KeyModifiers::CONTROL);
        assert_eq!(keymap.meaning(&data, &[k]), Meaning::Command(Command::Accept));
        let a = key(KeyCode::Char('a'), KeyModifiers::NONE);
        assert_eq!(keymap.meaning(&data, &[a]), Meaning::Nothing, "the old key is free");
        let z = key(KeyCode::Char('z'), KeyModifiers::NONE);
        assert_eq!(keymap.meaning(&data, &[z]), Meaning::Prefix(vec![(z, Command::Reject)]));
        assert_eq!(keymap.meaning(&data, &[z, z]), Meaning::Command(Command::Reject));
        let told = |text: &str| Keymap::read(file, text).unwrap_err().to_string();
        let conflict = told("\"data.accept\" = \"q\"\n");
        assert!(conflict.contains("data.accept") && conflict.contains("app.quit"), "{conflict}");
        let prefix = told("\"data.accept\" = \"g\"\n");
        assert!(prefix.contains("data.top"), "g begins g g: {prefix}");
        let typo = told("\n\"data.acept\" = \"a\"\n");
        assert!(typo.contains("line 2") && typo.contains("data.accept"), "{typo}");
        let unknown = told("\"data.accept\" = \"hyper-q\"\n");
        assert!(unknown.contains("line 1") && unknown.contains("hyper-q"), "{unknown}");
    }

    #[test]
    fn the_documented_file_is_the_table() {
        let keymap = Keymap::default();
        let lines = keymap.documented();
        let lines =
            lines.lines().map(|line| line.strip_prefix('#').filter(|line| line.starts_with('"')).unwrap_or(line));
        let text = lines.collect::<Vec<_>>().join("\n");
        let read = Keymap::read(Path::new("keymap.toml"), &text).unwrap();
        assert!(Command::ALL.iter().all(|command| read.keys(*command) == keymap.keys(*command)));
    }
}
