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
mod shared;
pub mod simd;

/// Numbers for tests.
#[cfg(test)]
pub(in crate::model) mod fixture {
    /// `n` numbers between -1 and 1 without a pattern that a sum would show; others for another `salt`.
    pub fn numbers(n: usize, salt: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }
}
