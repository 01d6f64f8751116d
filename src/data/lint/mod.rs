//! Checks over records.
