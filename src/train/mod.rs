//! Training: from rendered rows to an adapter.
//!
//! - [`settings`], [`plan`]: what a person may set, and what is frozen of it; [`plan_packs`]: how large its packs will be.
//! - [`batch`]: packing rows without padding, shared beginnings once.
//! - [`linear`], [`block`], [`step`]: the explicit forward and backward.
//! - [`device`]: the same on a GPU.
//! - [`optimizer`], [`schedule`]: AdamW, clipping, the learning rate.
//! - [`checkpoint`], [`metrics`], [`trainer`]: what a run keeps, what it reports, and the loop.
//!
//! Knows the model, the renderer and the job's directory; knows nothing of projects, stores or screens.

pub mod batch;
pub mod block;
pub mod checkpoint;
pub mod device;
pub mod explained;
pub mod linear;
pub mod metrics;
pub mod optimizer;
pub mod plan;
pub mod plan_packs;
pub mod schedule;
pub mod settings;
pub mod step;
pub mod trainer;
pub mod work;
