//! Fused operations, each with its forward and its backward.

pub mod elementary;
pub mod simd;
