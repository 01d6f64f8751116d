//! The constants of an update by `AdamW` (Loshchilov & Hutter 2019, algorithm 2), which processor and device take alike.

/// What is the same for all numbers of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// `1 - rate * weight_decay`
    pub keep: f32,
    /// The learning rate over `1 - beta1^updates`.
    pub rate: f32,
    /// `1 / sqrt(1 - beta2^updates)`
    pub root: f32,
}
