//! A settings file as it is read: known tables and keys, and errors that say where.

use std::path::{Path, PathBuf};

use super::{SettingsError, nearest};

/// The keys that a table may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// These.
    Only(&'static [&'static str]),
    /// Any; somebody else checks them.
    Any,
    /// It is a list of tables, `[[name]]`, with any keys.
    List,
}

/// A TOML file that remembers its name and its lines, so that whatever is wrong in it can be pointed at.
///
/// Where a method takes a table and a key, the empty table is the root.
#[derive(Debug)]
pub struct TomlFile {
    file: PathBuf,
    document: toml_edit::Document<String>,
}

impl TomlFile {
    /// Parses `text`, the content of `file`.
    ///
    /// # Errors
    ///
    /// Where it is no TOML.
    pub fn parse(file: &Path, text: &str) -> Result<Self, SettingsError> {
        match toml_edit::Document::parse(text.to_owned()) {
            Ok(document) => Ok(Self { file: file.to_owned(), document }),
            Err(error) => {
                let line = line_of(text, error.span().map_or(0, |span| span.start));
                let reason = error.message().trim().replace('\n', "; ");
                Err(SettingsError::Syntax { file: file.to_owned(), line, reason })
            }
        }
    }

    /// Checks that the file has only the tables of `known`, each with only its keys.
    ///
    /// # Errors
    ///
    /// For the first table or key that it does not know.
    pub fn check(&self, known: &[(&str, Keys)]) -> Result<(), SettingsError> {
        self.check_with(&[], known)
    }

    /// As [`TomlFile::check`], for a file that has keys outside of any table too.
    ///
    /// # Errors
    ///
    /// For the first table or key that it does not know.
    pub fn check_with(&self, keys: &[&str], known: &[(&str, Keys)]) -> Result<(), SettingsError> {
        let names: Vec<&str> = keys.iter().copied().chain(known.iter().map(|(name, _)| *name)).collect();
        let root = self.document.as_table();
        self.check_keys(root, "", &names)?;
        for (name, keys) in known {
            let Some(item) = root.get(name) else { continue };
            if *keys == Keys::List {
                self.list(name)?;
                continue;
            }
            let Some(table) = item.as_table_like() else {
                return Err(SettingsError::NotATable { file: self.file.clone(), table: (*name).to_owned() });
            };
            if let Keys::Only(keys) = keys {
                self.check_keys(table, name, keys)?;
            }
        }
        Ok(())
    }

    /// Checks that the file has only the keys `known`, outside of any table.
    ///
    /// # Errors
    ///
    /// For the first key that it does not know.
    pub fn check_root(&self, known: &[&str]) -> Result<(), SettingsError> {
        self.check_keys(self.document.as_table(), "", known)
    }

    fn check_keys(&self, table: &dyn toml_edit::TableLike, name: &str, known: &[&str]) -> Result<(), SettingsError> {
        let unknown = table.iter().find(|(key, _)| !known.contains(key));
        unknown.map_or(Ok(()), |(key, item)| {
            let what = match (name.is_empty(), item.is_table()) {
                (true, true) => format!("[{key}]"),
                (true, false) => key.to_owned(),
                (false, _) => format!("{key} of [{name}]"),
            };
            Err(SettingsError::Unknown {
                file: self.file.clone(),
                line: self.line(table, key),
                what,
                nearest: nearest(key, known).map(str::to_owned),
                known: known.iter().map(|&key| key.to_owned()).collect(),
            })
        })
    }

    /// Returns the string at a key; `None` where the key is missing.
    ///
    /// # Errors
    ///
    /// Where it is not a string.
    pub fn string(&self, table: &str, key: &str) -> Result<Option<String>, SettingsError> {
        let Some(item) = self.item(table, key)? else { return Ok(None) };
        match item.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(self.wrong(table, key, &format!("must be a string, not {}", kind(item)))),
        }
    }

    /// Returns the whole number at a key; `None` where the key is missing.
    ///
    /// # Errors
    ///
    /// Where it is not a whole number.
    pub fn integer(&self, table: &str, key: &str) -> Result<Option<i64>, SettingsError> {
        let Some(item) = self.item(table, key)? else { return Ok(None) };
        match item.as_integer() {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(table, key, &format!("must be a whole number, not {}", kind(item)))),
        }
    }

    /// Returns the yes or no at a key; `None` where the key is missing.
    ///
    /// # Errors
    ///
    /// Where it is neither `true` nor `false`.
    pub fn boolean(&self, table: &str, key: &str) -> Result<Option<bool>, SettingsError> {
        let Some(item) = self.item(table, key)? else { return Ok(None) };
        match item.as_bool() {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(table, key, &format!("must be true or false, not {}", kind(item)))),
        }
    }

    /// Returns the strings at a key, which may be one or a list; `None` where the key is missing.
    ///
    /// # Errors
    ///
    /// Where it is neither.
    pub fn strings(&self, table: &str, key: &str) -> Result<Option<Vec<String>>, SettingsError> {
        let Some(item) = self.item(table, key)? else { return Ok(None) };
        let one = item.as_str().map(|text| vec![text.to_owned()]);
        let list = || item.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect();
        match one.or_else(list) {
            Some(texts) => Ok(Some(texts)),
            None => Err(self.wrong(table, key, &format!("must be a string or a list of strings, not {}", kind(item)))),
        }
    }

    /// Returns a table as plain values; an empty one where it is missing.
    ///
    /// # Errors
    ///
    /// Where the name stands for something else.
    pub fn table(&self, name: &str) -> Result<toml::Table, SettingsError> {
        let not_a_table = || SettingsError::NotATable { file: self.file.clone(), table: name.to_owned() };
        if self.document.as_table().get(name).is_some_and(|item| !item.is_table_like()) {
            return Err(not_a_table());
        }
        let mut root: toml::Table = toml::from_str(self.document.raw()).map_err(|_| not_a_table())?;
        match root.remove(name) {
            Some(toml::Value::Table(table)) => Ok(table),
            _ => Ok(toml::Table::new()),
        }
    }

    /// Returns a list of tables, `[[name]]`, as plain values; an empty one where it is missing.
    ///
    /// # Errors
    ///
    /// Where the name stands for something else.
    pub fn list(&self, name: &str) -> Result<Vec<toml::Table>, SettingsError> {
        let not_a_list = || self.wrong("", name, &format!("must be a list of tables, each begun by [[{name}]]"));
        let root: toml::Table = toml::from_str(self.document.raw()).map_err(|_| not_a_list())?;
        match root.get(name) {
            None => Ok(Vec::new()),
            Some(toml::Value::Array(items)) => {
                items.iter().map(|item| item.as_table().cloned().ok_or_else(not_a_list)).collect()
            }
            Some(_) => Err(not_a_list()),
        }
    }

    /// Returns the error that the value at a key `reason`, which are the words after the key's name.
    #[must_use]
    pub fn wrong(&self, table: &str, key: &str, reason: &str) -> SettingsError {
        let root: &dyn toml_edit::TableLike = self.document.as_table();
        let holder =
            if table.is_empty() { Some(root) } else { root.get(table).and_then(toml_edit::Item::as_table_like) };
        let line = holder.map_or(1, |holder| self.line(holder, key));
        SettingsError::Value { file: self.file.clone(), line, key: key.to_owned(), reason: reason.to_owned() }
    }

    /// Gives the document for editing; comments and order stay.
    #[must_use]
    pub fn into_mut(self) -> toml_edit::DocumentMut {
        self.document.into_mut()
    }

    fn item(&self, table: &str, key: &str) -> Result<Option<&toml_edit::Item>, SettingsError> {
        let root = self.document.as_table();
        if table.is_empty() {
            return Ok(root.get(key));
        }
        let Some(item) = root.get(table) else { return Ok(None) };
        match item.as_table_like() {
            Some(holder) => Ok(holder.get(key)),
            None => Err(SettingsError::NotATable { file: self.file.clone(), table: table.to_owned() }),
        }
    }

    fn line(&self, table: &dyn toml_edit::TableLike, key: &str) -> usize {
        let span = table.key(key).and_then(toml_edit::Key::span);
        // A table's own line is that of its header.
        let span = span.or_else(|| table.get(key).and_then(toml_edit::Item::span));
        line_of(self.document.raw(), span.map_or(0, |span| span.start))
    }
}

fn kind(item: &toml_edit::Item) -> String {
    format!("a value of type {}", item.type_name())
}

/// Returns the line, from 1, of the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}
