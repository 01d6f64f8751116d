//! A loaded model that answers again and again: any adapters, any prompt templates, over one set of frozen weights.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::adapters::{self, Choice, Chosen};
use super::context::{ActionError, Context};
use super::generate::{Limits, record_of, word};
pub use crate::companion::{Question, Told};
use crate::data::view::rendered;
use crate::model::decoder::Decoder;
use crate::model::device::infer::OnDevice;
use crate::model::generate::{Event, Request};
use crate::model::weights::hub;
use crate::prompt::{Kind, Mode, Prompt, Record, Rendered, Renderer};
use crate::store::Store;
use crate::worker::Adapter;
use crate::worker::answers::{AnswerError, Answering};
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

/// A model that has been loaded, and what was read for it.
#[derive(Default)]
pub struct Answerer {
    loaded: Option<Loaded>,
}

struct Loaded {
    /// The base's file or folder, and as what it was found there.
    base: (PathBuf, Stamp),
    opened: Opened,
    decoder: Decoder,
    /// The decoder on the device that answers; none for the processor.
    on: Option<OnDevice>,
    /// By their prompts, the newest last.
    renderers: Vec<(Prompt, Renderer)>,
    /// With their identities.
    adapters: HashMap<PathBuf, (String, Adapter)>,
}

/// Prompts whose renderers are kept: as many as are tried side by side, and more.
const PROMPTS: usize = 32;

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
        let chosen: Vec<Chosen> = cells.iter().map(|cell| cell.choice.find(context)).collect::<Result<_, _>>()?;
        let loaded = self.load(context, &chosen, tell)?;
        let shared = shared_prompt(context, &chosen)?;
        let mut ready = Vec::with_capacity(cells.len());
        for (cell, chosen) in cells.iter().zip(chosen) {
            ready.push(loaded.ready(store, cell, chosen, &shared)?);
        }
        for (cell, ready) in ready.iter().enumerate() {
            let adapter = ready.folder.as_ref().and_then(|folder| loaded.adapters.get(folder));
            let adapter = adapter.map(|(identity, _)| adapters::short(identity));
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
                adapter: ready.folder.as_ref().and_then(|folder| Some(&loaded.adapters.get(folder)?.1)),
                sampling: &limits.sampling,
                stream: ready.stream,
                max_tokens: limits.max_tokens,
                stops: &limits.stops,
                ends: &ready.ends,
            })
            .collect();
        let answering = Answering { opened: &loaded.opened, decoder: &loaded.decoder, on: loaded.on.as_ref() };
        let started = Instant::now();
        answering
            .generator()
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

    /// The model that the cells are answered on, read anew where it is another one than before.
    fn load(
        &mut self,
        context: &mut Context,
        chosen: &[Chosen],
        tell: &mut dyn FnMut(hub::Progress),
    ) -> Result<&mut Loaded, ActionError> {
        let none = Chosen::default();
        let first = chosen.iter().find(|chosen| chosen.trained.is_some()).unwrap_or(&none);
        let path = first.base(context, tell)?;
        let base = (path.clone(), Stamp::of(&path));
        let loaded = if let Some(loaded) = self.loaded.take().filter(|loaded| loaded.base == base) {
            loaded
        } else {
            let opened = Opened::open(&path, first.prompt(context)?)?;
            first.check(context, &opened.source)?;
            let decoder = opened.load()?;
            let on = context.on_device(&decoder)?;
            Loaded { base, opened, decoder, on, renderers: Vec::new(), adapters: HashMap::new() }
        };
        for chosen in chosen {
            chosen.check(context, &loaded.opened.source)?;
        }
        Ok(self.loaded.insert(loaded))
    }
}

/// The prompt by which the base is asked: that of the runs it is compared with, where they have one and the same, so that all
/// answer to the same words; otherwise the project's.
fn shared_prompt(context: &Context, chosen: &[Chosen]) -> Result<Prompt, ActionError> {
    let mut trained = chosen.iter().filter_map(|chosen| Some(&chosen.trained.as_ref()?.plan.prompt));
    match trained.next() {
        Some(first) if trained.all(|prompt| prompt == first) => Ok(first.clone()),
        _ => context.prompt(),
    }
}

impl Loaded {
    /// Reads what a cell needs and renders its prompt.
    fn ready(
        &mut self,
        store: Option<&Store>,
        cell: &Cell,
        chosen: Chosen,
        shared: &Prompt,
    ) -> Result<Ready, ActionError> {
        let Chosen { folder, trained } = chosen;
        if let Some(folder) = folder.as_ref().filter(|folder| !self.adapters.contains_key(*folder)) {
            let adapter = read_adapter(folder, &self.decoder)?;
            self.adapters.insert(folder.clone(), (adapters::identity(folder)?, adapter));
        }
        let mut record = cell.question.record(store)?;
        if let Kind::Pair { answer, .. } = &mut record.kind {
            *answer = None;
        }
        let mut prompt = trained.map_or_else(|| shared.clone(), |trained| trained.plan.prompt);
        if cell.template.is_some() {
            prompt.template.clone_from(&cell.template);
        }
        let at = self.renderers.iter().position(|(known, _)| *known == prompt);
        let at = if let Some(at) = at {
            at
        } else {
            let renderer = self.opened.renderer_of(prompt.clone())?;
            if self.renderers.len() == PROMPTS {
                self.renderers.remove(0);
            }
            self.renderers.push((prompt, renderer));
            self.renderers.len() - 1
        };
        let renderer = self.renderers.get(at).map_or(&self.opened.renderer, |(_, renderer)| renderer);
        let prompt = renderer.render(&record, Mode::Generate).map_err(AnswerError::from)?;
        Ok(Ready { prompt, ends: self.opened.ends_of(renderer), folder, stream: cell.stream })
    }
}
