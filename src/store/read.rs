//! Reading records, their history and what changed.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::act::{Cause, parse};
use super::{Conflict, Origin, Query, Record, Source, State, Status, Store, StoreError};

/// Part of what a query finds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Records, by number.
    pub records: Vec<Record>,
    /// How many there are in all.
    pub total: usize,
}

/// One state of a record, and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Revision {
    /// Its number.
    pub id: i64,
    /// The act.
    pub act: i64,
    /// Who did it.
    pub author: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Why.
    pub cause: Cause,
    /// The act's words.
    pub note: String,
    /// Seconds the person was at it, idle time left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Whether the act was taken back since.
    pub reverted: bool,
    /// The record from then on; `None` where it was taken away.
    pub state: Option<State>,
}

/// How many records there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them.
    pub records: usize,
    /// By status, split, origin, kind, category and the author of the newest revision; `-` where there is none.
    pub status: Vec<(String, usize)>,
    /// By split.
    pub split: Vec<(String, usize)>,
    /// By origin.
    pub origin: Vec<(String, usize)>,
    /// By kind.
    pub kind: Vec<(String, usize)>,
    /// By category.
    pub category: Vec<(String, usize)>,
    /// By the author of the newest revision.
    pub author: Vec<(String, usize)>,
}

/// Who wrote a text that was not saved, what it met, both states as text, and the revision of the newest.
type Met = (String, Conflict, Option<String>, Option<String>, i64);

const COLUMNS: &str = "r.id, r.head, v.state, r.origin, r.source_file, r.source_line, r.source_id";

impl Store {
    /// A record as it stands.
    ///
    /// # Errors
    /// [`StoreError::NoRecord`] where there is none, or it was taken away.
    pub fn get(&self, record: i64) -> Result<Record, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM record r JOIN revision v ON v.id = r.head WHERE r.id = ? AND r.gone = 0");
        let row = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([record], raw).optional())
            .map_err(self.fail())?;
        finish(row.ok_or(StoreError::NoRecord(record))?)
    }

    /// Who gave a record its newest revision.
    ///
    /// # Errors
    /// [`StoreError::NoRecord`] where there is none.
    pub fn author_of(&self, record: i64) -> Result<String, StoreError> {
        let author = self
            .connection
            .prepare_cached("SELECT author FROM record WHERE id = ?")
            .and_then(|mut statement| statement.query_row([record], |row| row.get(0)).optional());
        author.map_err(self.fail())?.ok_or(StoreError::NoRecord(record))
    }

    /// The numbers of the records that a query finds, in order.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn ids(&self, query: &Query) -> Result<Vec<i64>, StoreError> {
        query.run(&self.connection, &self.author).map_err(self.fail())
    }

    /// What a query finds: `limit` records from `offset` on, and how many there are.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn page(&self, query: &Query, offset: usize, limit: usize) -> Result<Page, StoreError> {
        let ids = self.ids(query)?;
        let records = ids.iter().skip(offset).take(limit).map(|&id| self.get(id)).collect::<Result<_, _>>()?;
        Ok(Page { records, total: ids.len() })
    }

    /// Everything that a query finds.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn records(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        if !query.is_all() {
            return Ok(self.page(query, 0, usize::MAX)?.records);
        }
        let sql =
            format!("SELECT {COLUMNS} FROM record r JOIN revision v ON v.id = r.head WHERE r.gone = 0 ORDER BY r.id");
        let fail = self.fail();
        let mut statement = self.connection.prepare_cached(&sql).map_err(&fail)?;
        let rows = statement.query_map([], raw).map_err(&fail)?;
        rows.map(|row| finish(row.map_err(&fail)?)).collect()
    }

    /// Every state a record ever had, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NoRecord`] where there never was one.
    pub fn history(&self, record: i64) -> Result<Vec<Revision>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT v.id, a.id, a.author, a.at, a.cause, a.note, a.seconds, a.reverted, v.state
                 FROM revision v JOIN act a ON a.id = v.act WHERE v.record = ? ORDER BY v.id",
            )
            .map_err(&fail)?;
        let rows: Vec<(Revision, Option<String>)> = statement
            .query_map([record], |row| {
                let revision = Revision {
                    id: row.get(0)?,
                    act: row.get(1)?,
                    author: row.get(2)?,
                    at: row.get(3)?,
                    cause: Cause::from_word(&row.get::<_, String>(4)?),
                    note: row.get(5)?,
                    seconds: row.get(6)?,
                    reverted: row.get(7)?,
                    state: None,
                };
                Ok((revision, row.get(8)?))
            })
            .and_then(Iterator::collect)
            .map_err(&fail)?;
        if rows.is_empty() {
            return Err(StoreError::NoRecord(record));
        }
        rows.into_iter()
            .map(|(revision, text)| {
                let state = text.map(|text| parse(record, revision.id, &text)).transpose()?;
                Ok(Revision { state, ..revision })
            })
            .collect()
    }

    /// Texts that were not saved because another change of the record came first, and that their author has not seen to.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn conflicts(&self, record: Option<i64>) -> Result<Vec<(String, Conflict)>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT c.author, c.record, c.base, c.head, r.author, c.state, v.state, v.id
                 FROM conflict c JOIN record r ON r.id = c.record JOIN revision v ON v.id = r.head
                 WHERE c.open = 1 AND (?1 IS NULL OR c.record = ?1) ORDER BY c.id",
            )
            .map_err(&fail)?;
        let rows: Vec<Met> = statement
            .query_map([record], |row| {
                let conflict = Conflict {
                    record: row.get(1)?,
                    base: row.get(2)?,
                    head: row.get(3)?,
                    by: row.get(4)?,
                    ours: None,
                    theirs: None,
                };
                Ok((row.get(0)?, conflict, row.get(5)?, row.get(6)?, row.get(7)?))
            })
            .and_then(Iterator::collect)
            .map_err(&fail)?;
        rows.into_iter()
            .map(|(author, mut conflict, ours, theirs, head)| {
                conflict.ours = ours.map(|text| parse(conflict.record, conflict.base, &text)).transpose()?;
                conflict.theirs = theirs.map(|text| parse(conflict.record, head, &text)).transpose()?;
                Ok((author, conflict))
            })
            .collect()
    }

    /// How many records there are, by each of their marks.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let by = |column: &str| -> Result<Vec<(String, usize)>, StoreError> {
            let sql = format!(
                "SELECT coalesce({column}, '-'), count(*) FROM record WHERE gone = 0 GROUP BY 1 ORDER BY 2 DESC, 1"
            );
            let fail = self.fail();
            let mut statement = self.connection.prepare(&sql).map_err(&fail)?;
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))
                .and_then(Iterator::collect)
                .map_err(&fail)
        };
        let status = by("status")?;
        Ok(Counts {
            records: status.iter().map(|(_, count)| count).sum(),
            status,
            split: by("split")?,
            origin: by("origin")?,
            kind: by("kind")?,
            category: by("category")?,
            author: by("author")?,
        })
    }

    /// How many records there are of each status.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn statuses(&self) -> Result<Vec<(Status, usize)>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached("SELECT status, count(*) FROM record WHERE gone = 0 GROUP BY status")
            .map_err(&fail)?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as usize)))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
            .map_err(&fail)?;
        Ok(rows.into_iter().filter_map(|(word, count)| Some((word.parse().ok()?, count))).collect())
    }

    /// A number that is another one when another process has written since it was asked last: a few microseconds.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn pulse(&self) -> Result<i64, StoreError> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(self.fail())
    }

    /// The newest act.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn newest(&self) -> Result<i64, StoreError> {
        self.connection.query_row("SELECT coalesce(max(id), 0) FROM act", [], |row| row.get(0)).map_err(self.fail())
    }

    /// The records that were changed by acts after `act`, each once.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn changed(&self, act: i64) -> Result<Vec<i64>, StoreError> {
        let fail = self.fail();
        let mut statement = self
            .connection
            .prepare_cached("SELECT DISTINCT record FROM revision WHERE act > ? ORDER BY record")
            .map_err(&fail)?;
        statement.query_map(params![act], |row| row.get(0)).and_then(Iterator::collect).map_err(&fail)
    }
}

/// A row before its words are understood.
struct Raw {
    id: i64,
    revision: i64,
    state: String,
    origin: String,
    source: Option<Source>,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let source = match row.get::<_, Option<String>>(4)? {
        Some(file) => {
            Some(Source { file, line: row.get::<_, Option<i64>>(5)?.unwrap_or(0).cast_unsigned(), id: row.get(6)? })
        }
        None => None,
    };
    Ok(Raw { id: row.get(0)?, revision: row.get(1)?, state: row.get(2)?, origin: row.get(3)?, source })
}

fn finish(raw: Raw) -> Result<Record, StoreError> {
    let state = parse(raw.id, raw.revision, &raw.state)?;
    let origin = raw.origin.parse().unwrap_or(Origin::Import);
    Ok(Record { id: raw.id, revision: raw.revision, state, origin, source: raw.source })
}
