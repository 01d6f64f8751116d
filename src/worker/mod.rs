//! The process that carries out a job, and the only code that loads weights.
//!
//! [`model`] opens a model with the prompt that a project gives it; [`training`] prepares and runs a training job;
//! [`answers`] generates for one prompt or many, base and tuned together; [`scoring`] measures a model on test rows.
//! Actions call these in the foreground; `togi worker JOB` calls the same functions in a process of its own, which
//! outlives the terminal.

pub mod answers;
pub mod device;
pub mod making;
pub mod model;
mod room;
pub mod scoring;
pub mod training;

pub use crate::model::lora::Adapter;
pub use crate::model::sample::Sampling;
pub use crate::train::explained::EXPLAINED;
pub use crate::train::metrics::{Metrics, Sample, Summary};
pub use crate::train::plan::{BaseModel, Plan};
pub use crate::train::settings::{Method, Settings, SettingsError, TooLong};
pub use crate::train::trainer::Event;
