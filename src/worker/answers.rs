//! Answers of a loaded model: one prompt or many records.

use crate::model::decoder::Decoder;
use crate::model::generate::{Answer, Event, GenerateError, Generator, Request};
use crate::model::lora::Adapter;
use crate::model::sample::Sampling;
use crate::prompt::{Mode, Record, RenderError};

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

/// A model that answers.
pub struct Answering<'a> {
    pub opened: &'a Opened,
    pub decoder: &'a Decoder,
}

impl Answering<'_> {
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
        let mut answers = Generator::new(self.decoder, self.opened.renderer.tokenizer())
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
        self.each(records, adapter, limits, &mut |_, _, _| {
            done += 1;
            see(done)
        })
    }

    /// As [`Answering::many`], telling `see` each answer as soon as it is there: its record's place, the tokens of its prompt,
    /// and the answer.
    ///
    /// # Errors
    /// As [`Answering::one`], naming the record.
    pub fn each(
        &self,
        records: &[Record],
        adapter: Option<&Adapter>,
        limits: &Limits,
        see: &mut dyn FnMut(usize, usize, &Answer) -> bool,
    ) -> Result<Vec<Answer>, AnswerError> {
        let render = |record: &Record| {
            let rendered = self.opened.renderer.render(record, Mode::Generate);
            rendered.map_err(|cause| AnswerError::Record { id: record.id.clone(), cause })
        };
        let prompts = records.iter().map(render).collect::<Result<Vec<_>, _>>()?;
        let ends = self.opened.ends();
        let requests: Vec<_> = prompts.iter().map(|p| Self::request(&p.tokens, &ends, adapter, limits)).collect();
        let mut generator = Generator::new(self.decoder, self.opened.renderer.tokenizer());
        let answers = generator.run(&requests, &mut |event| match event {
            Event::Done { request, answer } => see(request, prompts.get(request).map_or(0, |p| p.tokens.len()), answer),
            _ => true,
        });
        answers.map_err(|error| {
            let (GenerateError::Infer { request, .. } | GenerateError::Sample { request, .. }) = &error;
            match records.get(*request) {
                Some(record) => AnswerError::Unanswered { id: record.id.clone(), why: error.reason() },
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
