//! The records of a project: an SQLite database that loses nothing.

mod record;

pub use record::{Content, Origin, Record, Source, Split, State, Status, Turn};
