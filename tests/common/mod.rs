//! What several integration tests need: seeded checkpoints and the stored reference numbers.

#![allow(dead_code)] // each test uses a part

pub mod reference;
pub mod seeded;
