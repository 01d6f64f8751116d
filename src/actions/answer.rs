//! A loaded model that answers again and again: any adapters, any prompt templates, over one set of frozen weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::adapters::Choice;
use super::context::{ActionError, Context};
use super::generate::{Limits, record_of, word};
pub use crate::companion::Question;
use crate::data::view::rendered;
use crate::model::decoder::Decoder;
use crate::model::generate::{Event, Generator, Request};
use crate::model::weights::hub;
use crate::prompt::{Kind, Mode, Prompt, Record, Rendered, Renderer};
use crate::store::Store;
use crate::worker::Adapter;
use crate::worker::answers::AnswerError;
use crate::worker::model::{Opened, Stamp, read_adapter};

impl Question {
    /// The record to be rendered, without its answer.
    ///
    /// # Errors
    /// When there is no such record.
    pub fn record(&self, store: Option<&Store>) -> Result<Record, ActionError> {
        match (self, store) {
            (Self::Typed(text), _) => Ok(record_of(text)),
            (Self::Record(id), Some(store)) => Ok(rendered(&store.get(*id)?)),
            (Self::Record(id), None) => Err(ActionError::Refused(format!("record {id} needs the project's records"))),
        }
    }
}

/// One answer that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What is asked.
    pub question: Question,
    /// The tuned model; the base where neither run nor adapter is named.
    #[serde(flatten)]
    pub choice: Choice,
    /// A prompt template in place of the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Which of the seed's streams it draws from; equal for cells to be compared.
    #[serde(default)]
    pub stream: u64,
}

/// What is told while cells are answered. `cell` is a cell's place among those asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Told {
    /// Who answers the cell, and how long its prompt is.
    Begins {
        /// The cell.
        cell: usize,
        /// The adapter's fingerprint; none for the base.
        adapter: Option<String>,
        /// The checkpoint's folder name.
        checkpoint: Option<String>,
        /// Tokens of the prompt.
        prompt_tokens: usize,
    },
    /// More of its answer: whole characters.
    Text {
        /// The cell.
        cell: usize,
        /// What is new.
        text: String,
    },
    /// How far its logits at the first token are from those of the first cell of the same question.
    Apart {
        /// The cell.
        cell: usize,
        /// The greatest difference; 0 where both compute the same.
        difference: f32,
    },
    /// It is done.
    Done {
        /// The cell.
        cell: usize,
        /// Tokens of the answer.
        tokens: usize,
        /// Why it ended, as `togi generate` says it.
        stop: String,
        /// Seconds from the first prompt token to here.
        seconds: f64,
    },
}

/// A model that has been loaded, and what was read for it.
#[derive(Default)]
pub struct Answerer {
    loaded: Option<Loaded>,
}

struct Loaded {
    /// The base's file or folder, and as what it was found there.
    base: (String, Stamp),
    /// The project's prompt.
    prompt: Prompt,
    opened: Opened,
    decoder: Decoder,
    /// By the template that stands in for the project's.
    renderers: HashMap<Option<String>, Renderer>,
    adapters: HashMap<PathBuf, Adapter>,
}

/// A cell made ready.
struct Ready {
    prompt: Rendered,
    ends: Vec<u32>,
    folder: Option<PathBuf>,
    stream: u64,
}

impl Answerer {
    /// Answers cells as rows of one batch, telling `see` what happens; it stops when `see` returns false.
    ///
    /// # Errors
    /// When model, adapter, template or record cannot be read.
    pub fn answer(
        &mut self,
        context: &mut Context,
        store: Option<&Store>,
        cells: &[Cell],
        limits: &Limits,
        tell: &mut dyn FnMut(hub::Progress),
        see: &mut dyn FnMut(Told) -> bool,
    ) -> Result<(), ActionError> {
        let loaded = self.load(context, tell)?;
        let mut ready = Vec::with_capacity(cells.len());
        for cell in cells {
            ready.push(loaded.ready(context, store, cell)?);
        }
        for (cell, ready) in ready.iter().enumerate() {
            let adapter = ready.folder.as_ref().and_then(|folder| loaded.adapters.get(folder)).map(Adapter::identity);
            let checkpoint =
                ready.folder.as_ref().and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
            if !see(Told::Begins { cell, adapter, checkpoint, prompt_tokens: ready.prompt.tokens.len() }) {
                return Ok(());
            }
        }
        let requests: Vec<Request<'_>> = ready
            .iter()
            .map(|ready| Request {
                prompt: &ready.prompt.tokens,
                adapter: ready.folder.as_ref().and_then(|folder| loaded.adapters.get(folder)),
                sampling: &limits.sampling,
                stream: ready.stream,
                max_tokens: limits.max_tokens,
                stops: &limits.stops,
                ends: &ready.ends,
            })
            .collect();
        let tokenizer = loaded.opened.renderer.tokenizer();
        let started = Instant::now();
        Generator::new(&loaded.decoder, tokenizer)
            .side_by_side(&requests, &mut |event| match event {
                Event::Text { request, text } => see(Told::Text { cell: request, text: text.to_owned() }),
                Event::Apart { request, difference } => see(Told::Apart { cell: request, difference }),
                Event::Done { request, answer, .. } => see(Told::Done {
                    cell: request,
                    tokens: answer.tokens.len(),
                    stop: word(&answer.stop).to_owned(),
                    seconds: started.elapsed().as_secs_f64(),
                }),
                Event::Step { .. } => true,
            })
            .map_err(AnswerError::from)?;
        Ok(())
    }

    /// The loaded model, read anew where the project's base is another one now.
    fn load(&mut self, context: &mut Context, tell: &mut dyn FnMut(hub::Progress)) -> Result<&mut Loaded, ActionError> {
        let found = context.base(tell)?;
        let (stamp, prompt) = (Stamp::of(Path::new(&found.path)), context.prompt()?);
        let base = (found.path, stamp);
        let loaded = if let Some(mut loaded) = self.loaded.take().filter(|loaded| loaded.base == base) {
            if loaded.prompt != prompt {
                loaded.renderers.clear();
                loaded.prompt = prompt;
            }
            loaded
        } else {
            let opened = Opened::open(Path::new(&base.0), prompt.clone())?;
            let decoder = opened.load()?;
            Loaded { base, prompt, opened, decoder, renderers: HashMap::new(), adapters: HashMap::new() }
        };
        Ok(self.loaded.insert(loaded))
    }
}

impl Loaded {
    /// Reads what a cell needs and renders its prompt.
    fn ready(&mut self, context: &Context, store: Option<&Store>, cell: &Cell) -> Result<Ready, ActionError> {
        let folder = cell.choice.folder(context)?;
        // `best` moves on while a run goes on.
        let folder = folder.map(|folder| folder.canonicalize().unwrap_or(folder));
        if let Some(folder) = folder.as_ref().filter(|folder| !self.adapters.contains_key(*folder)) {
            let adapter = read_adapter(folder, &self.decoder)?;
            self.adapters.insert(folder.clone(), adapter);
        }
        let mut record = cell.question.record(store)?;
        if let Kind::Pair { answer, .. } = &mut record.kind {
            *answer = None;
        }
        let template = &cell.template;
        if !self.renderers.contains_key(template) {
            let prompt = Prompt { template: template.clone().or(self.prompt.template.clone()), ..self.prompt.clone() };
            self.renderers.insert(template.clone(), self.opened.renderer_of(prompt)?);
        }
        let renderer = self.renderers.get(template).unwrap_or(&self.opened.renderer);
        let prompt = renderer.render(&record, Mode::Generate).map_err(AnswerError::from)?;
        Ok(Ready { prompt, ends: self.opened.ends_of(renderer), folder, stream: cell.stream })
    }
}
