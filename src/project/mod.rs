//! (being written)
pub mod durable;
