//! What a person can ask for, one function each. The command line and the workbench both call these, and nobody else.
//!
//! An action finds the project, reads settings and files, freezes what a job needs, and hands the work to
//! [`worker`](crate::worker). It never prints: it returns what a verb prints and a pane shows.

pub mod adapters;
pub mod answer;
pub mod bench;
pub mod companion;
pub mod context;
pub mod cost;
pub mod demo;
pub mod doctor;
pub mod evaluation;
pub mod generate;
pub mod init;
pub mod judge;
pub mod ladder;
pub mod models;
pub mod prompts;
pub mod records;
pub mod rehearsal;
pub mod render;
pub mod runs;
pub mod score;
pub mod train;

pub use context::{ActionError, Context};
