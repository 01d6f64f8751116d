//! What several integration tests need: seeded checkpoints and the stored reference numbers.

pub mod reference;
pub mod seeded;
