//! What is asked of the companions, the processes that hold a tokenizer or weights, and what they answer.

pub use crate::companion::{Cell, Found, Granted, How, Question, System, Told, Wish};
