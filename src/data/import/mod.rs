//! Readers of files that hold records.
