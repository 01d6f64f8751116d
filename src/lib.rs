//! togi (研ぎ, sharpening): tunes a small language model on one's own data, on the machine one is logged in to.
//!
//! # The house
//!
//! One crate, a library and a thin binary. Data flows one way; `tests/arrows.rs` holds the list of allowed imports and
//! fails on any other.
//!
//! - [`cli`]: one file a verb; parses, calls one action, prints.
//! - [`actions`]: what a person can ask for, one function each. Freezes inputs into jobs and reads their outputs.
//! - [`project`]: a project on disk: its layout, `togi.toml`, opening and creating.
//! - [`store`]: the records in SQLite: acts, revisions, undo, claims, the query language.
//! - [`data`]: readers and writers of files, checks, duplicates, splits.
//! - [`prompt`]: the one renderer: template and record to text, tokens, character spans and loss mask.
//! - [`model`]: catalogue, weights, tokenizer, families as descriptions of one decoder, LoRA, KV cache, sampling;
//!   `model::ops` has the fused operations, each with its forward and its backward.
//! - [`train`]: plan, batches, step, optimizer, schedule, checkpoints, trainer.
//! - [`job`]: a job's directory: frozen plan, frozen inputs, append-only logs, lock, control.
//! - [`worker`]: the process that carries out a job.
//! - [`evaluate`]: metrics, their significance, error categories, preferences, cost: pure functions from texts and numbers to
//!   numbers, and the report made of them.
//! - [`endpoint`]: a client for OpenAI-compatible endpoints: many prompts to answers, seconds, tokens and money.
//! - [`mod@bench`]: the machine's limits, counted work, measured rates.
//! - [`companion`]: what the workbench and the processes that hold a tokenizer or weights for it say to each other.
//! - [`keymap`], [`theme`]: the table of commands and keys; what things look like.
//! - [`app`]: the workbench's state: a message and the time go in, effects come out. No clock, no file, nothing drawn.
//! - [`view`]: the state as a frame; one file a region.
//! - [`terminal`]: the task that owns the state, draws it and carries out its effects by calling actions.
//! - [`config`], [`text`]: the user's settings; the only place that measures and cuts text for the screen.
//!
//! Actions may name all of `model` and `worker`: a verb such as `togi train` or `togi generate` does its work in the
//! foreground through the very functions that `togi worker` calls. The workbench reaches them through processes only: runs
//! and drafts in sessions of their own, which outlive it, and two companions ([`actions::companion`]), which end with it, one
//! with a tokenizer and all records for checks and renderings, one with weights for answers. So the process that draws stays
//! small, and what happens on the device does not take the screen along.
//!
//! An evaluation keeps each answer in the store as it comes ([`actions::evaluation`]), in the foreground of whoever asked or as a job
//! that outlives the terminal ([`actions::evaluation::background`]), so what was stopped goes on where it was. A ladder
//! ([`actions::ladder`]) is runs and an evaluation in turn, here or as such a job; one of a project is at work at a time, the others
//! wait. A report is made of what is stored, without a model. In the workbench it has a pane of its own, behind the one that compares: comparing is two
//! answers to one question, as they are written; a report is any number of systems on a frozen test, its rows and the marks on
//! them, and its keys are others. There the report comes from a process that is gone when it is made, for it may need a dictionary.
//!
//! [`app`] names one crate of the screen's: the text editor of `ratatui-textarea`, whose undo, selection and cursor are state.
//!
//! # What holds everywhere
//!
//! - **One renderer, one decoder.** What trains is what was shown; a family is a description, not another forward pass.
//! - **No autograd graph.** A block's forward returns what its backward needs. On the CPU the engine works on plain `f32` buffers,
//!   whose layouts the docs of each function give; frozen weights stay as their file has them ([`model::matrix`]), and codes are
//!   turned into numbers where they are multiplied. Answers round what codes are multiplied with to 16 bits ([`model::ops::packed`]);
//!   training rounds nothing.
//! - **A GPU is a second engine of the same steps.** [`train::device`] is [`train`]'s block and step once more, written against
//!   [`model::device::Device`]: memory, launches and products in one order. Kernels lie as text in `assets/kernels` and are compiled at
//!   run time, by NVRTC on a GPU, and by a C++ compiler in tests, which compare the two engines on the processor. Libraries of CUDA
//!   are opened when asked for, never linked, so one binary serves machines with and without; candle's own CUDA kernels are not used.
//!   Answers are computed there by the same kernels and the same forward ([`model::device::layers`]); whoever generates sees
//!   [`model::infer::Infer`] only.
//! - **Packs change nothing.** Rows lie behind one another in packs and share a beginning; what is shared is decided for an optimizer
//!   step, and a dropout's mask belongs to a row and a place in it. So a step's gradient is that of its rows alone, up to the order of
//!   sums, however memory has it cut.
//! - **Row-invariant inference.** A row's numbers do not depend on the rows beside it nor on how a prompt was split.
//! - **Nothing is overwritten.** An act gives a record a new revision; undo is one more act; an edit names the revision it was
//!   made on.
//! - **Frozen jobs.** A job reads its own directory only, so a file that changes meanwhile changes nothing.
//! - **Nothing silently wrong.** What would train nothing, cut an answer or overwrite a run is refused before step 0.

pub mod actions;
pub mod app;
pub mod bench;
pub mod cli;
pub mod companion;
pub mod config;
pub mod data;
pub mod endpoint;
pub mod evaluate;
pub mod job;
pub mod keymap;
pub mod model;
pub mod project;
pub mod prompt;
pub mod store;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod train;
pub mod view;
pub mod worker;
