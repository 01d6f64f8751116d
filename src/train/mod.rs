//! Training: from rendered rows to an adapter.
//!
//! [`batch`] packs rows, [`block`] and [`step`] are the explicit forward and backward, [`linear`] a linear layer with
//! its adapter. Knows the model and the job's directory; knows nothing of projects, stores or screens.

pub mod batch;
pub mod block;
pub mod linear;
pub mod optimizer;
pub mod schedule;
pub mod settings;
pub mod step;
