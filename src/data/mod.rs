//! What is done with records as data: reading and writing files, checks, duplicates, splits.

pub mod diversity;
pub mod duplicates;
pub mod export;
pub mod import;
pub mod lint;
pub mod split;
pub mod view;
