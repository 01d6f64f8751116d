//! Answers of a loaded model: one prompt or many records.

use crate::model::decoder::Decoder;
use crate::model::device::DeviceError;
use crate::model::device::infer::OnDevice;
use crate::model::generate::{Answer, Event, GenerateError, Generator, Request, Spent, Stop};
use crate::model::lora::Adapter;
use crate::model::sample::Sampling;
use crate::prompt::{Mode, Record, RenderError, Rendered};

use super::model::Opened;

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("record {id}: {cause}")]
    Record { id: String, cause: RenderError },
    #[error("record {id} cannot be answered: {why}")]
    Unanswered { id: String, why: String },
    #[error(transparent)]
    Generate(#[from] GenerateError),
    #[error("{0}; answer on the processor with train.device=cpu")]
    Device(#[from] DeviceError),
}

/// How long answers may be, where they end, and how tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    pub max_tokens: usize,
    /// Texts that end an answer.
    pub stops: Vec<String>,
    pub sampling: Sampling,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_tokens: 256, stops: Vec::new(), sampling: Sampling::default() }
    }
}

/// An answer that is there.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Its record's place among those asked.
    pub place: usize,
    /// Tokens of its prompt.
    pub prompt_tokens: usize,
    pub answer: &'a Answer,
    /// What it took; none where the model was not asked.
    pub spent: Option<Spent>,
}

/// Requests that a device answers together: its products take more rows before they take longer.
const ON_DEVICE: usize = 64;

/// A model that answers.
pub struct Answering<'a> {
    pub opened: &'a Opened,
    pub decoder: &'a Decoder,
    /// The decoder on the device that answers; none for the processor.
    pub on: Option<&'a OnDevice>,
}

impl<'a> Answering<'a> {
    /// What generates.
    #[must_use]
    pub fn generator(&self) -> Generator<'a> {
        let tokenizer = self.opened.renderer.tokenizer();
        match self.on {
            Some(on) => Generator::on(on.borrow_mut(), tokenizer).with_batch(ON_DEVICE),
            None => Generator::new(self.decoder, tokenizer),
        }
    }

    /// Answers one record, with `adapter` or the base alone, telling `see` each piece of text; it stops when `see`
    /// returns false.
    ///
    /// # Errors
    /// When the record cannot be rendered or its prompt cannot be read.
    pub fn one(
        &self,
        record: &Record,
        adapter: Option<&Adapter>,
        limits: &Limits,
        see: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Answer, AnswerError> {
        let prompt = self.opened.renderer.render(record, Mode::Generate)?;
        let ends = self.opened.ends();
        let request = Self::request(&prompt.tokens, &ends, adapter, limits);
        let mut answers = self
            .generator()
            .run(&[request], &mut |event| if let Event::Text { text, .. } = event { see(text) } else { true })?;
        Ok(answers.remove(0))
    }

    /// Answers many records together, in their order, telling `see` how many are done; it stops when `see` returns
    /// false. Records whose answers take long are begun first, so that the batch stays full.
    ///
    /// # Errors
    /// As [`Answering::one`], naming the record.
    pub fn many(
        &self,
        records: &[Record],
        adapter: Option<&Adapter>,
        limits: &Limits,
        see: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<Answer>, AnswerError> {
        let mut done = 0;
        self.each(records, adapter, limits, &mut |_| {
            done += 1;
            see(done)
        })
    }

    /// As [`Answering::many`], telling `see` each answer as soon as it is there.
    ///
    /// # Errors
    /// As [`Answering::one`], naming the record.
    pub fn each(
        &self,
        records: &[Record],
        adapter: Option<&Adapter>,
        limits: &Limits,
        see: &mut dyn FnMut(Answered<'_>) -> bool,
    ) -> Result<Vec<Answer>, AnswerError> {
        let prompts = self.rendered(records)?;
        let asked: Vec<(&Record, &Rendered)> = records.iter().zip(&prompts).collect();
        self.rendered_each(&asked, adapter, limits, see)
    }

    /// As [`Answering::each`], but a record whose prompt the model cannot read to its end is told at once, with an empty answer that
    /// stopped at [`Stop::Context`], and does not keep the others from being answered.
    ///
    /// # Errors
    /// As [`Answering::each`], but for prompts that are too long.
    pub fn each_that_fits(
        &self,
        records: &[Record],
        adapter: Option<&Adapter>,
        limits: &Limits,
        see: &mut dyn FnMut(Answered<'_>) -> bool,
    ) -> Result<(), AnswerError> {
        let prompts = self.rendered(records)?;
        let context = self.decoder.description.context;
        let nothing = Answer { tokens: Vec::new(), text: String::new(), stop: Stop::Context };
        let mut places = Vec::with_capacity(records.len());
        let mut asked: Vec<(&Record, &Rendered)> = Vec::with_capacity(records.len());
        for (place, (record, prompt)) in records.iter().zip(&prompts).enumerate() {
            let prompt_tokens = prompt.tokens.len();
            if prompt_tokens <= context {
                places.push(place);
                asked.push((record, prompt));
            } else if !see(Answered { place, prompt_tokens, answer: &nothing, spent: None }) {
                return Ok(());
            }
        }
        let mut see = |done: Answered<'_>| match places.get(done.place) {
            Some(&place) => see(Answered { place, ..done }),
            None => true,
        };
        self.rendered_each(&asked, adapter, limits, &mut see).map(drop)
    }

    /// What is asked for each record.
    fn rendered(&self, records: &[Record]) -> Result<Vec<Rendered>, AnswerError> {
        let render = |record: &Record| {
            let rendered = self.opened.renderer.render(record, Mode::Generate);
            rendered.map_err(|cause| AnswerError::Record { id: record.id.clone(), cause })
        };
        records.iter().map(render).collect()
    }

    fn rendered_each(
        &self,
        asked: &[(&Record, &Rendered)],
        adapter: Option<&Adapter>,
        limits: &Limits,
        see: &mut dyn FnMut(Answered<'_>) -> bool,
    ) -> Result<Vec<Answer>, AnswerError> {
        let ends = self.opened.ends();
        let requests: Vec<_> = asked.iter().map(|(_, p)| Self::request(&p.tokens, &ends, adapter, limits)).collect();
        let mut generator = self.generator();
        let answers = generator.run(&requests, &mut |event| match event {
            Event::Done { request, answer, spent } => {
                let prompt_tokens = asked.get(request).map_or(0, |(_, p)| p.tokens.len());
                see(Answered { place: request, prompt_tokens, answer, spent: Some(spent) })
            }
            _ => true,
        });
        answers.map_err(|error| {
            let (GenerateError::Infer { request, .. } | GenerateError::Sample { request, .. }) = &error;
            match asked.get(*request) {
                Some((record, _)) => AnswerError::Unanswered { id: record.id.clone(), why: error.to_string() },
                None => error.into(),
            }
        })
    }

    fn request<'r>(
        prompt: &'r [u32],
        ends: &'r [u32],
        adapter: Option<&'r Adapter>,
        limits: &'r Limits,
    ) -> Request<'r> {
        Request {
            prompt,
            adapter,
            sampling: &limits.sampling,
            stream: 0,
            max_tokens: limits.max_tokens,
            stops: &limits.stops,
            ends,
        }
    }
}
