//! The query language: which records are meant.
//!
//! ```text
//! status:gold category:返品 flag:too-long "exact words" -word author:me
//! ```
//!
//! Parts stand side by side and all of them hold. A word or a quoted text is looked for in fields, answers and notes, after NFKC
//! and in lower case, anywhere in the text, so that Japanese needs no blanks. `KEY:VALUE` asks for a mark; a value
//! with blanks is quoted; several values with commas between them are alternatives. A `-` in front turns a part round. The
//! full-width signs of a Japanese input method do as well: `：`, `－`, `＂` and the wide blank.

use memchr::memmem::Finder;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::search::normal;
use super::{Origin, Split, Status};
use crate::config;

/// The marks that can be asked for, and what their values are.
pub const KEYS: [(&str, &str); 11] = [
    ("status", "inbox, draft, gold, rejected"),
    ("split", "train, valid, test, none"),
    ("category", "a category, or none"),
    ("flag", "the name of a check that found something at the last togi lint, or any, or none"),
    ("author", "who changed it last; me"),
    ("assignee", "who is to work on it; me, none"),
    ("origin", "import, traffic, human, model"),
    ("tag", "a tag, or none"),
    ("kind", "pair, chat, text"),
    ("source", "part of the name of the file it was read from"),
    ("id", "a number or a range, 12 or 10-20, or a row's own id"),
];

/// Which records are meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    not: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// Normalised words.
    Words(String),
    /// A mark and its alternatives.
    Mark(&'static str, Vec<String>),
}

/// Why a query is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A mark that there is none of, near one that there is.
    #[error(
        "{given}: there is no such mark to ask for; did you mean {meant}:? To look for the words, put them in \"quotes\""
    )]
    Key {
        /// What was typed.
        given: String,
        /// What may have been meant.
        meant: &'static str,
    },
    /// A value that the mark cannot have.
    #[error("{key}:{given}: it can be {known}")]
    Value {
        /// The mark.
        key: &'static str,
        /// What was typed.
        given: String,
        /// What it can be.
        known: &'static str,
    },
    /// A quotation that does not end.
    #[error("the quotation from {0:?} on has no end")]
    Quote(String),
}

impl Query {
    /// Reads a query. The empty one finds everything.
    ///
    /// # Errors
    /// Where a mark has a value that it cannot have or is misspelt, or a quotation has no end.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut parts = Vec::new();
        for Token { not, text, quoted } in tokens(text)? {
            let mark = if quoted == Quoted::All { None } else { mark(&text)? };
            let what = match mark {
                Some((key, value)) => What::Mark(key, values(key, value, quoted == Quoted::Value)?),
                None => What::Words(normal(&text)),
            };
            parts.push(Part { not, what });
        }
        Ok(Self { parts })
    }

    /// Narrows the query to what also has `key` at `value`.
    ///
    /// # Errors
    /// Where the mark cannot have the value.
    pub fn and(mut self, key: &str, value: &str) -> Result<Self, QueryError> {
        if let Some((key, _)) = KEYS.iter().find(|(known, _)| *known == key) {
            // A category is a person's words, with commas or none at all; the others are togi's, which commas may join.
            let quoted = *key == "category";
            self.parts.push(Part { not: false, what: What::Mark(key, values(key, value, quoted)?) });
        }
        Ok(self)
    }

    /// Whether it finds everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether it says which values of a mark it wants.
    #[must_use]
    pub fn asks_for(&self, mark: &str) -> bool {
        self.parts.iter().any(|part| matches!(part.what, What::Mark(key, _) if key == mark))
    }

    /// The numbers of the records it finds, in order. Words are looked for by reading the `search` table through: 100,000
    /// records of 120 characters take tens of milliseconds, and no query is too short for it.
    pub(super) fn run(&self, connection: &Connection, me: &str) -> rusqlite::Result<Vec<i64>> {
        let mut conditions = vec!["r.gone = 0".to_owned()];
        let mut values: Vec<Value> = Vec::new();
        let mut words: Vec<(bool, Finder<'_>)> = Vec::new();
        for part in &self.parts {
            match &part.what {
                What::Words(text) => words.push((part.not, Finder::new(text.as_bytes()))),
                What::Mark(key, alternatives) => {
                    let one = alternatives.iter().map(|value| condition(key, value, me, &mut values));
                    let any = one.collect::<Vec<_>>().join(" OR ");
                    conditions.push(format!("{}({any})", if part.not { "NOT " } else { "" }));
                }
            }
        }
        let marked = (conditions.len() > 1 || words.is_empty()).then(|| {
            let sql = format!("SELECT r.id FROM record r NOT INDEXED WHERE {} ORDER BY r.id", conditions.join(" AND "));
            connection.prepare_cached(&sql)?.query_map(rusqlite::params_from_iter(values), |row| row.get(0))?.collect()
        });
        let marked: Option<Vec<i64>> = marked.transpose()?;
        let Some(marked) = marked else { return scan(connection, &words, |_| true) };
        if words.is_empty() {
            return Ok(marked);
        }
        if marked.len() > FEW {
            let mut rest = marked.iter().copied().peekable();
            return scan(connection, &words, |record| {
                while rest.next_if(|&next| next < record).is_some() {}
                rest.peek() == Some(&record)
            });
        }
        let mut statement = connection.prepare_cached("SELECT text FROM search WHERE record = ?")?;
        let mut found = Vec::new();
        for record in marked {
            let fits = statement.query_row([record], |row| Ok(fits(&words, row.get_ref(0)?.as_bytes_or_null()?)))?;
            if fits {
                found.push(record);
            }
        }
        Ok(found)
    }
}

/// Records up to which looking up their words one by one is faster than reading all words through.
const FEW: usize = 2_000;

type Words<'a> = [(bool, Finder<'a>)];

fn fits(words: &Words<'_>, text: Option<&[u8]>) -> bool {
    let text = text.unwrap_or_default();
    words.iter().all(|(not, finder)| finder.find(text).is_some() != *not)
}

/// Reads the words of all records through, in order.
fn scan(connection: &Connection, words: &Words<'_>, mut wanted: impl FnMut(i64) -> bool) -> rusqlite::Result<Vec<i64>> {
    // Only records that are there have words.
    let mut statement = connection.prepare_cached("SELECT record, text FROM search ORDER BY record")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let record = row.get(0)?;
        if wanted(record) && fits(words, row.get_ref(1)?.as_bytes_or_null()?) {
            found.push(record);
        }
    }
    Ok(found)
}

/// A mark's condition in SQL; what it compares with is added to `values`.
fn condition(key: &str, value: &str, me: &str, values: &mut Vec<Value>) -> String {
    let mut bind = |value: &str| {
        values.push(Value::Text(value.to_owned()));
        format!("?{}", values.len())
    };
    let none = value == "none";
    match key {
        "split" | "category" | "assignee" | "tag" if none => {
            format!("r.{} IS NULL", if key == "tag" { "tags" } else { key })
        }
        "flag" if none => "r.id NOT IN (SELECT record FROM finding WHERE record IS NOT NULL)".to_owned(),
        // What concerns all records names none: a NULL among the numbers would leave "not in" without an answer.
        "flag" if value == "any" => "r.id IN (SELECT record FROM finding WHERE record IS NOT NULL)".to_owned(),
        "flag" => {
            format!("r.id IN (SELECT record FROM finding WHERE record IS NOT NULL AND name = {})", bind(value))
        }
        "author" | "assignee" => format!("coalesce(r.{key}, '') = {}", bind(if value == "me" { me } else { value })),
        "tag" => format!("coalesce(instr(r.tags, {}), 0) > 0", bind(&format!("\n{value}\n"))),
        "source" => format!("coalesce(instr(r.source_file, {}), 0) > 0", bind(value)),
        "id" => {
            let own = format!("coalesce(r.source_id, '') = {}", bind(value));
            let range = value.split_once('-').unwrap_or((value, value));
            match (range.0.parse::<i64>(), range.1.parse::<i64>()) {
                (Ok(from), Ok(to)) => format!("(r.id BETWEEN {from} AND {to} OR {own})"),
                _ => own,
            }
        }
        // status, kind and origin are always there; category and split may be NULL, which NOT must turn to true.
        _ => format!("coalesce(r.{key}, '') = {}", bind(value)),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Quoted {
    No,
    /// Behind `KEY:`.
    Value,
    All,
}

struct Token {
    not: bool,
    text: String,
    quoted: Quoted,
}

/// Splits at blanks outside quotation marks.
fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut signs = rest.chars();
        let not = matches!(signs.clone().next(), Some('-' | '－'))
            && signs.clone().nth(1).is_some_and(|c| !c.is_whitespace());
        if not {
            signs.next();
        }
        let (mut token, mut quoted, mut open) = (String::new(), Quoted::No, false);
        let start = signs.as_str();
        while let Some(sign) = signs.clone().next() {
            if matches!(sign, '"' | '＂' | '“' | '”') {
                if !open {
                    quoted = if token.is_empty() { Quoted::All } else { Quoted::Value };
                }
                open = !open;
            } else if sign.is_whitespace() && !open {
                break;
            } else {
                token.push(sign);
            }
            signs.next();
        }
        if open {
            return Err(QueryError::Quote(start.to_owned()));
        }
        if !token.is_empty() {
            tokens.push(Token { not, text: token, quoted });
        }
        rest = signs.as_str().trim_start();
    }
    Ok(tokens)
}

/// Splits `KEY:VALUE`; `None` where the text is words, such as `12:30` or `https://…`.
fn mark(text: &str) -> Result<Option<(&'static str, &str)>, QueryError> {
    let Some((key, value)) = text.split_once([':', '：']) else { return Ok(None) };
    if value.is_empty() || value.starts_with("//") || !key.chars().all(|c| c.is_ascii_alphabetic()) || key.is_empty() {
        return Ok(None);
    }
    let lower = key.to_ascii_lowercase();
    if let Some((known, _)) = KEYS.iter().find(|(known, _)| *known == lower) {
        return Ok(Some((known, value)));
    }
    let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
    match config::nearest(&lower, &names).and_then(|near| KEYS.iter().find(|(known, _)| *known == near)) {
        Some((meant, _)) => Err(QueryError::Key { given: text.to_owned(), meant }),
        None => Ok(None),
    }
}

/// A mark's alternatives, checked.
fn values(key: &'static str, value: &str, quoted: bool) -> Result<Vec<String>, QueryError> {
    let given: Vec<String> = if quoted {
        vec![value.to_owned()]
    } else {
        value.split([',', '、', '，']).filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let known = KEYS.iter().find(|(name, _)| *name == key).map_or("", |(_, known)| known);
    if given.is_empty() {
        return Err(QueryError::Value { key, given: value.to_owned(), known });
    }
    for one in &given {
        let good = match key {
            "status" => one.parse::<Status>().is_ok(),
            "split" => one == "none" || one.parse::<Split>().is_ok(),
            "origin" => one.parse::<Origin>().is_ok(),
            "kind" => ["pair", "chat", "text"].contains(&one.as_str()),
            _ => true,
        };
        if !good {
            return Err(QueryError::Value { key, given: one.clone(), known });
        }
    }
    Ok(given)
}
