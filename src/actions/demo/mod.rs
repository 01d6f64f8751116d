//! The demo: a small model that comes with togi, and the job it is tuned for.
//!
//! The world is minutes of small meetings, in English and in Japanese. The base model was pre-trained by togi itself on
//! [`pages`] and can continue minutes; tuned on the [`pairs`], it draws from minutes the list of who does what by when.
//! [`world`] draws the meetings, [`vocabulary`] trains the tokenizer,
//! [`assets`] holds the stored files; [`desk()`] makes the project that the workbench opens on.

pub mod assets;
mod desk;
pub mod make;
pub mod pages;
pub mod pairs;
pub mod run;
pub mod vocabulary;
mod words;
pub mod world;

pub use desk::{DESK, desk};
