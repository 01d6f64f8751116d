//! What several integration tests need: seeded checkpoints, the stored reference numbers, a screen.

#![allow(dead_code)] // each test uses a part

pub mod desk;
pub mod reference;
pub mod screen;
pub mod seeded;
