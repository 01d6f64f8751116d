//! The tables, as migrations: each is applied once, in order, and never changed after it has been released.

use rusqlite_migration::{M, Migrations};

/// Marks the file as togi's (`PRAGMA application_id`): "togi" in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x746f_6769;

/// All migrations of this togi.
pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

const STEPS: &[M<'static>] = &[M::up(RECORDS), M::up(JUDGEMENTS), M::up(EVALUATIONS), M::up(SPEEDS)];

/// - `act`: what somebody did, at one stroke. `reverts` names the act that an undo or a redo takes back; `reverted` is set on
///   that one.
/// - `revision`: a record's state after an act, `NULL` where it was taken away. Nothing here is ever changed or deleted.
/// - `record`: what stays of a record, its newest revision, and copies of what is filtered by.
/// - `file`: files that were imported.
/// - `search`: a record's words, normalised; read from its beginning to its end by a search.
/// - `finding`: what `togi lint` found last; can be made again from the records.
/// - `claim`: who is at a record. Means something only while the session's lock is held.
/// - `conflict`: the text of somebody whose record was changed by another meanwhile.
/// - `quarantine`: rows of imported files that are no records; `move`: the acts by which they came and went.
const RECORDS: &str = "
CREATE TABLE act (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    author   TEXT NOT NULL,
    at       INTEGER NOT NULL,              -- milliseconds since 1970, UTC
    cause    TEXT NOT NULL,
    note     TEXT NOT NULL DEFAULT '',
    seconds  REAL,                          -- a person's time at it, idle time left out
    reverts  INTEGER REFERENCES act(id),
    reverted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX act_open ON act(author, id) WHERE reverted = 0;

CREATE TABLE record (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    head        INTEGER NOT NULL,           -- revision.id
    gone        INTEGER NOT NULL DEFAULT 0,
    kind        TEXT NOT NULL,
    origin      TEXT NOT NULL,
    status      TEXT NOT NULL,
    split       TEXT,
    category    TEXT,
    assignee    TEXT,
    tags        TEXT,                       -- each between line feeds
    author      TEXT NOT NULL,              -- of the newest revision
    source_file TEXT,
    source_line INTEGER,
    source_id   TEXT,
    origin_key  BLOB                        -- what makes a row of a file the same row again
) STRICT;
CREATE UNIQUE INDEX record_key ON record(origin_key) WHERE origin_key IS NOT NULL;
CREATE INDEX record_work ON record(status, assignee) WHERE gone = 0;

CREATE TABLE revision (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    record INTEGER NOT NULL REFERENCES record(id),
    act    INTEGER NOT NULL REFERENCES act(id),
    before INTEGER REFERENCES revision(id),
    state  TEXT
) STRICT;
CREATE INDEX revision_record ON revision(record);
CREATE INDEX revision_act ON revision(act);

CREATE TABLE file (
    hash BLOB PRIMARY KEY,                  -- of its bytes
    name TEXT NOT NULL                      -- under which its rows are known
) STRICT, WITHOUT ROWID;

CREATE TABLE search (
    record INTEGER PRIMARY KEY REFERENCES record(id),
    text   TEXT NOT NULL
) STRICT;

CREATE TABLE finding (
    record   INTEGER REFERENCES record(id), -- NULL for what concerns all of them
    name     TEXT NOT NULL,
    severity TEXT NOT NULL,
    reason   TEXT NOT NULL,
    detail   TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX finding_record ON finding(record);
CREATE INDEX finding_name ON finding(name, record);

CREATE TABLE claim (
    record  INTEGER PRIMARY KEY REFERENCES record(id),
    session TEXT NOT NULL,
    author  TEXT NOT NULL,
    since   INTEGER NOT NULL
) STRICT;

CREATE TABLE conflict (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    record INTEGER NOT NULL REFERENCES record(id),
    base   INTEGER NOT NULL,                -- the revision the text was written on
    head   INTEGER NOT NULL,                -- the revision it met
    author TEXT NOT NULL,
    at     INTEGER NOT NULL,
    state  TEXT,
    open   INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX conflict_open ON conflict(record) WHERE open = 1;

CREATE TABLE quarantine (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    path   TEXT NOT NULL,                   -- the whole path: two folders may each hold a train.jsonl
    file   TEXT NOT NULL,                   -- as it was named
    line   INTEGER NOT NULL,
    reason TEXT NOT NULL,
    raw    TEXT NOT NULL,
    how    TEXT NOT NULL,                   -- how the file was read, for reading the row again
    author TEXT NOT NULL,
    at     INTEGER NOT NULL,
    act    INTEGER NOT NULL REFERENCES act(id),
    gone   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX quarantine_path ON quarantine(path) WHERE gone = 0;

CREATE TABLE move (
    quarantine INTEGER NOT NULL REFERENCES quarantine(id),
    act        INTEGER NOT NULL REFERENCES act(id),
    gone       INTEGER NOT NULL             -- what the act made of it
) STRICT;
CREATE INDEX move_act ON move(act);
";

/// What people preferred, seeing two answers to one question.
const JUDGEMENTS: &str = "
CREATE TABLE judgement (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    author       TEXT NOT NULL,
    at           INTEGER NOT NULL,          -- milliseconds since 1970, UTC
    record       INTEGER REFERENCES record(id),
    question     TEXT NOT NULL,
    left_system  TEXT NOT NULL,             -- base, or a run
    right_system TEXT NOT NULL,
    left_answer  TEXT NOT NULL,
    right_answer TEXT NOT NULL,
    pick         TEXT NOT NULL CHECK (pick IN ('left', 'right', 'tie', 'bad')),
    blind        INTEGER NOT NULL,
    seconds      REAL
) STRICT;
";

/// - `test`, `test_row`: test sets, frozen by their content.
/// - `system`: whoever answers, known by the hash of all that decides its answers.
/// - `generation`, `likelihood`: what a system answered on a row, and how likely it found the right answer.
/// - `work`: how long the device was busy answering. `mark`: what people said about an answer.
const EVALUATIONS: &str = "
CREATE TABLE test (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    name   TEXT NOT NULL,
    hash   TEXT NOT NULL UNIQUE,            -- BLAKE3 of its rows
    at     INTEGER NOT NULL,
    author TEXT NOT NULL
) STRICT;

CREATE TABLE test_row (
    test  INTEGER NOT NULL REFERENCES test(id),
    place INTEGER NOT NULL,                 -- from 0
    row   TEXT NOT NULL,                    -- JSON
    PRIMARY KEY (test, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE system (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    hash  TEXT NOT NULL UNIQUE,
    name  TEXT NOT NULL,
    about TEXT NOT NULL                     -- JSON
) STRICT;

CREATE TABLE generation (
    test          INTEGER NOT NULL REFERENCES test(id),
    system        INTEGER NOT NULL REFERENCES system(id),
    place         INTEGER NOT NULL,
    answer        TEXT NOT NULL,
    stop          TEXT NOT NULL,
    prompt_tokens INTEGER,
    tokens        INTEGER,
    seconds       REAL,                     -- where the row was asked alone
    cost          REAL,
    at            INTEGER NOT NULL,
    PRIMARY KEY (test, system, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE likelihood (
    test   INTEGER NOT NULL REFERENCES test(id),
    system INTEGER NOT NULL REFERENCES system(id),
    place  INTEGER NOT NULL,
    nats   REAL NOT NULL,
    tokens INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (test, system, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE work (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    test          INTEGER NOT NULL REFERENCES test(id),
    system        INTEGER NOT NULL REFERENCES system(id),
    seconds       REAL NOT NULL,
    rows          INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    tokens        INTEGER NOT NULL,
    money         REAL NOT NULL,            -- an endpoint's, failed requests included
    requests      INTEGER NOT NULL,
    at            INTEGER NOT NULL
) STRICT;
CREATE INDEX work_of ON work(test, system);

CREATE TABLE mark (
    test     INTEGER NOT NULL REFERENCES test(id),
    system   INTEGER NOT NULL REFERENCES system(id),
    place    INTEGER NOT NULL,
    category TEXT NOT NULL,
    present  INTEGER NOT NULL,
    author   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    UNIQUE (test, system, place, category, author)
) STRICT;
";

/// How long this machine was busy with an answer's prompt and with the answer. Unknown of what was answered before.
const SPEEDS: &str = "
ALTER TABLE generation ADD COLUMN prompt_seconds REAL;
ALTER TABLE generation ADD COLUMN answer_seconds REAL;
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Generation, Store};

    #[test]
    fn answers_of_an_older_database_are_there_and_have_no_speeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("togi.db");
        let older = STEPS.get(..3).unwrap();
        let connection = crate::store::open::connect(&path, &Migrations::from_slice(older)).unwrap();
        connection
            .execute_batch(
                "INSERT INTO test(name, hash, at, author) VALUES ('t', 'h', 1, 'mika');
                 INSERT INTO system(hash, name, about) VALUES ('s', 'base', '{}');
                 INSERT INTO generation(test, system, place, answer, stop, prompt_tokens, tokens, at)
                     VALUES (1, 1, 0, 'ka', 'end', 7, 2, 1);",
            )
            .unwrap();
        drop(connection);
        let mut store = Store::open(&path).unwrap();
        let old = store.generations(1, 1).unwrap();
        assert_eq!((old[0].answer.as_str(), old[0].prompt_tokens, old[0].prompt_seconds), ("ka", Some(7), None));
        let new =
            Generation { place: 1, prompt_seconds: Some(0.25), answer_seconds: Some(0.5), ..Generation::default() };
        store.keep_generations(1, 1, std::slice::from_ref(&new), None).unwrap();
        assert_eq!(store.generations(1, 1).unwrap()[1], new);
    }
}
