//! Models: what they are made of, where their weights come from, and the one decoder that runs them.
//!
//! Knows files, tensors and tokens; knows nothing of projects, prompts, records or runs.

pub mod catalogue;
pub mod decoder;
pub mod description;
pub mod device;
pub mod families;
pub mod generate;
pub mod infer;
pub mod kv_cache;
pub mod lora;
pub mod matrix;
pub mod ops;
pub mod peft;
pub mod sample;
pub(crate) mod tensors;
pub mod tokenizer;
pub mod weights;
