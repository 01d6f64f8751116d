//! Fused operations, each with its forward and its backward.
//!
//! All work on row-major `f32` slices, rows in parallel over the current rayon pool, with every sum in a fixed order.
//! Knows shapes; knows nothing of models, adapters or runs.

pub mod activation;
pub mod adamw;
pub mod attend;
pub mod attention;
pub mod dropout;
pub mod elementary;
pub mod gemm;
pub mod linear_ce;
pub mod narrow;
pub mod norm;
pub mod packed;
pub mod pages;
pub mod pool;
pub mod rotary;
pub mod rows;
pub mod scratch;
pub mod simd;
