//! Answers, token by token: many requests in one running batch, each with its own settings, adapter and end.
//!
//! A finished request's place is taken by the next one waiting. The beginning that all prompts of one adapter share is
//! read once and its cache copied. None of that shows in an answer: inference is row-invariant, and a request draws its
//! random numbers from a stream of its own. So base and tuned compared as two rows of one batch are what each gives alone.

use std::cell::RefCell;
use std::time::Instant;

use super::decoder::Decoder;
use super::infer::{Cache, Infer, InferError, Inference, Turn, Want};
use super::lora::Adapter;
use super::sample::{SampleError, Sampler, Sampling};
use super::tokenizer::{TokenStream, Tokenizer};

/// Requests answered together at most, unless told otherwise: from here on more rows gain little on a CPU.
const BATCH: usize = 32;
/// Prompt tokens read before the caller is asked again whether to go on, about half a second of a small model.
const READ: usize = 512;

/// What is to be answered, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The rendered prompt's tokens, at least one.
    pub prompt: &'a [u32],
    /// The adapter that answers, or the base model alone.
    pub adapter: Option<&'a Adapter>,
    pub sampling: &'a Sampling,
    /// Which of the seed's streams of random numbers it draws from; equal for rows to be compared.
    pub stream: u64,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// Texts that end an answer and are not part of it.
    pub stops: &'a [String],
    /// Tokens that end an answer and are not part of it.
    pub ends: &'a [u32],
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model wrote this end token.
    End(u32),
    /// The text came to this stop string.
    Text(String),
    /// It reached `max_tokens`.
    Length,
    /// It reached the end of the model's context.
    Context,
    /// The caller did not want more.
    Cancelled,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the model wrote, without an end token; those of a stop string are in it.
    pub tokens: Vec<u32>,
    /// Its text, up to a stop string.
    pub text: String,
    pub stop: Stop,
}

/// Seconds that the device was busy with a request. A pass over several requests, and over prompts and answers at once, is shared
/// out by their tokens, each of which goes through the same products; what several prompts begin with is shared out evenly. So the
/// requests of a batch together have all its seconds, and none twice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Reading the prompt, which gives the first token's logits, too.
    pub prompt: f64,
    /// Writing the tokens after it.
    pub answer: f64,
}

/// What happens while answers are written.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Request `request` has new text: whole characters, and surely not part of a stop string.
    Text { request: usize, text: &'a str },
    /// Request `request` is done.
    Done { request: usize, answer: &'a Answer, spent: Spent },
    /// The greatest difference between the logits of request `request` and of request 0 at the first token of the answer; 0 where
    /// both compute the same.
    Apart { request: usize, difference: f32 },
    /// A step or a stretch of a prompt has been computed.
    Step { active: usize, waiting: usize },
}

/// Why nothing could be generated. Whoever asked for several knows what `request` is about; in the message its number would only
/// puzzle.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GenerateError {
    #[error("{error}")]
    Infer { request: usize, error: InferError },
    #[error("{error}")]
    Sample { request: usize, error: SampleError },
}

/// Generates with one decoder and its tokenizer.
pub struct Generator<'d> {
    inference: Box<dyn Infer + 'd>,
    tokenizer: &'d Tokenizer,
    batch: usize,
}

/// An answer being written.
struct Active<'a> {
    request: usize,
    asked: Request<'a>,
    cache: Cache,
    /// Tokens the model has not read yet.
    unread: Vec<u32>,
    sampler: Sampler,
    /// Gone once the answer is at its end.
    stream: Option<TokenStream>,
    tokens: Vec<u32>,
    text: String,
    /// Bytes of `text` handed out.
    shown: usize,
    spent: Spent,
}

/// The beginning that the prompts of one adapter share.
struct Stem<'a> {
    adapter: Option<&'a Adapter>,
    tokens: &'a [u32],
    cache: Cache,
    /// Seconds that reading it took, for each of its requests.
    each: f64,
}

fn same(a: Option<&Adapter>, b: Option<&Adapter>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => std::ptr::eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

impl<'d> Generator<'d> {
    /// Prepares to generate on the processor.
    #[must_use]
    pub fn new(decoder: &'d Decoder, tokenizer: &'d Tokenizer) -> Self {
        Self::on(Inference::new(decoder), tokenizer)
    }

    /// Prepares to generate with a model that runs anywhere.
    #[must_use]
    pub fn on(inference: impl Infer + 'd, tokenizer: &'d Tokenizer) -> Self {
        Self { inference: Box::new(inference), tokenizer, batch: BATCH }
    }

    /// Answers at most `batch` requests together. More are faster and hold more caches in memory.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch.max(1);
        self
    }

    /// Answers all requests, telling `see` what happens; once it returns false, what is written so far is returned.
    ///
    /// # Errors
    /// When a prompt cannot be read (no token, an unknown one, longer than the context), settings mean nothing, or the
    /// model's numbers are not finite; names the request.
    pub fn run(
        &mut self,
        requests: &[Request<'_>],
        see: &mut dyn FnMut(Event<'_>) -> bool,
    ) -> Result<Vec<Answer>, GenerateError> {
        self.drive(requests, see, &mut |_, _| ())
    }

    /// As [`Generator::run`], telling of each request but the first how far its logits at the first token of the answer are
    /// from the first request's, as soon as both are there ([`Event::Apart`]).
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub fn side_by_side(
        &mut self,
        requests: &[Request<'_>],
        see: &mut dyn FnMut(Event<'_>) -> bool,
    ) -> Result<Vec<Answer>, GenerateError> {
        let first: RefCell<Vec<Vec<f32>>> = RefCell::new(vec![Vec::new(); requests.len()]);
        let mut told = vec![false; requests.len()];
        let mut tell = |event: Event<'_>, see: &mut dyn FnMut(Event<'_>) -> bool| {
            let first = first.borrow();
            let Some((one, others)) = first.split_first().filter(|(one, _)| !one.is_empty()) else { return see(event) };
            for (request, other) in others.iter().enumerate().filter(|(_, other)| !other.is_empty()) {
                if let Some(told) = told.get_mut(request + 1).filter(|told| !**told) {
                    *told = true;
                    let difference = one.iter().zip(other).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
                    if !see(Event::Apart { request: request + 1, difference }) {
                        return false;
                    }
                }
            }
            see(event)
        };
        self.drive(requests, &mut |event| tell(event, see), &mut |request, logits| {
            if let Some(kept) = first.borrow_mut().get_mut(request).filter(|kept| kept.is_empty()) {
                kept.extend_from_slice(logits);
            }
        })
    }

    /// [`Generator::run`], showing `observe` each request's logits before a token is chosen by them.
    fn drive(
        &mut self,
        requests: &[Request<'_>],
        see: &mut dyn FnMut(Event<'_>) -> bool,
        observe: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<Vec<Answer>, GenerateError> {
        self.inference.begin();
        for (i, request) in requests.iter().enumerate() {
            let failed = |error| GenerateError::Infer { request: i, error };
            self.inference.check_prompt(request.prompt).map_err(failed)?;
            request.sampling.check().map_err(|error| GenerateError::Sample { request: i, error })?;
        }
        let mut answers: Vec<Answer> = requests.iter().map(|_| cancelled()).collect();
        let Some(stems) = self.stems(requests, see)? else { return Ok(answers) };
        let mut waiting = requests.iter().copied().enumerate();
        let mut active: Vec<Active<'_>> = Vec::new();
        loop {
            let mut unread = 0;
            while active.len() < self.batch && unread < READ {
                let Some((request, asked)) = waiting.next() else { break };
                if asked.max_tokens == 0 {
                    answers[request].stop = Stop::Length;
                    see(Event::Done { request, answer: &answers[request], spent: Spent::default() });
                    continue;
                }
                let Some(one) = self.begin(request, asked, &stems, see)? else {
                    finish_all(active, &mut answers);
                    return Ok(answers);
                };
                unread += one.unread.len();
                active.push(one);
            }
            if active.is_empty() {
                return Ok(answers);
            }
            let mut go_on = self.step(&mut active, &mut answers, see, observe)?;
            go_on &= see(Event::Step { active: active.len(), waiting: waiting.len() });
            if !go_on {
                finish_all(active, &mut answers);
                return Ok(answers);
            }
        }
    }

    /// Reads what several prompts of one adapter begin with; `None` when the caller wants no more.
    fn stems<'a>(
        &mut self,
        requests: &[Request<'a>],
        see: &mut dyn FnMut(Event<'_>) -> bool,
    ) -> Result<Option<Vec<Stem<'a>>>, GenerateError> {
        let mut stems: Vec<Stem<'a>> = Vec::new();
        for (i, request) in requests.iter().enumerate() {
            if stems.iter().any(|stem| same(stem.adapter, request.adapter)) {
                continue;
            }
            let mut others = requests.iter().skip(i + 1).filter(|r| same(r.adapter, request.adapter)).peekable();
            let mut shared = if others.peek().is_some() { request.prompt.len() - 1 } else { 0 };
            for other in others {
                let alike = request.prompt.iter().zip(other.prompt).take_while(|(a, b)| a == b).count();
                // The last token of a prompt is always read anew, for its logits.
                shared = shared.min(alike).min(other.prompt.len() - 1);
            }
            let mut cache = self.inference.cache(shared).map_err(|error| GenerateError::Infer { request: i, error })?;
            let tokens = &request.prompt[..shared];
            let Some(seconds) = self.read(tokens, &mut cache, request.adapter, i, requests.len(), see)? else {
                return Ok(None);
            };
            let sharers = requests.iter().filter(|r| same(r.adapter, request.adapter)).count();
            stems.push(Stem { adapter: request.adapter, tokens, cache, each: seconds / sharers.max(1) as f64 });
        }
        Ok(Some(stems))
    }

    /// Fills a cache with `tokens`, a stretch at a time, and returns the seconds it took; none when the caller wants no more.
    fn read(
        &mut self,
        tokens: &[u32],
        cache: &mut Cache,
        adapter: Option<&Adapter>,
        request: usize,
        waiting: usize,
        see: &mut dyn FnMut(Event<'_>) -> bool,
    ) -> Result<Option<f64>, GenerateError> {
        let mut seconds = 0.0;
        for tokens in tokens.chunks(READ) {
            let row = Turn { tokens, cache: &mut *cache, adapter };
            let begun = Instant::now();
            self.inference
                .forward(&mut [row], Want::Nothing)
                .map_err(|error| GenerateError::Infer { request, error })?;
            seconds += begun.elapsed().as_secs_f64();
            if !see(Event::Step { active: 0, waiting }) {
                return Ok(None);
            }
        }
        Ok(Some(seconds))
    }

    fn begin<'a>(
        &mut self,
        request: usize,
        asked: Request<'a>,
        stems: &[Stem<'_>],
        see: &mut dyn FnMut(Event<'_>) -> bool,
    ) -> Result<Option<Active<'a>>, GenerateError> {
        let answer = asked.max_tokens.min(self.inference.ahead());
        let room = asked.prompt.len().saturating_add(answer).min(self.inference.description().context);
        let stem = stems.iter().find(|stem| same(stem.adapter, asked.adapter) && !stem.tokens.is_empty());
        let mut cache = match stem {
            Some(stem) => self.inference.fork(&stem.cache, stem.tokens.len(), room),
            None => self.inference.cache(room),
        }
        .map_err(|error| GenerateError::Infer { request, error })?;
        let rest = &asked.prompt[cache.len()..];
        // A long rest is read in stretches; what is left of it goes with the others' tokens.
        let early = rest.len().saturating_sub(1) / READ * READ;
        let Some(seconds) = self.read(&rest[..early], &mut cache, asked.adapter, request, 0, see)? else {
            return Ok(None);
        };
        let sampler = Sampler::new(asked.sampling, asked.stream, asked.prompt)
            .map_err(|error| GenerateError::Sample { request, error })?;
        Ok(Some(Active {
            request,
            asked,
            cache,
            unread: rest[early..].to_vec(),
            sampler,
            stream: Some(self.tokenizer.stream(true)),
            tokens: Vec::new(),
            text: String::new(),
            shown: 0,
            spent: Spent { prompt: seconds + stem.map_or(0.0, |stem| stem.each), answer: 0.0 },
        }))
    }

    /// One token more for every active request; those that are done leave. False when the caller wants no more.
    fn step(
        &mut self,
        active: &mut Vec<Active<'_>>,
        answers: &mut [Answer],
        see: &mut dyn FnMut(Event<'_>) -> bool,
        observe: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<bool, GenerateError> {
        let description = self.inference.description();
        let (vocab, context) = (description.vocab, description.context);
        let first = active.first().map_or(0, |one| one.request);
        let mut rows: Vec<Turn<'_>> = active
            .iter_mut()
            .map(|one| Turn { tokens: &one.unread, cache: &mut one.cache, adapter: one.asked.adapter })
            .collect();
        let read: usize = rows.iter().map(|row| row.tokens.len()).sum();
        let begun = Instant::now();
        let logits = self
            .inference
            .forward(&mut rows, Want::Last)
            .map_err(|error| GenerateError::Infer { request: first, error })?;
        let each = begun.elapsed().as_secs_f64() / read.max(1) as f64;
        let mut go_on = true;
        let mut going = Vec::with_capacity(active.len());
        for (mut one, logits) in active.drain(..).zip(logits.chunks_exact(vocab)) {
            let request = one.request;
            // Before its first token a request reads its prompt.
            if one.tokens.is_empty() {
                one.spent.prompt += each * one.unread.len() as f64;
            } else {
                one.spent.answer += each;
            }
            observe(request, logits);
            let token = one.sampler.choose(logits).map_err(|error| GenerateError::Sample { request, error })?;
            let stop = one.take(token, context);
            let safe = if stop.is_some() { one.text.len() } else { one.certain() };
            if let Some(text) = one.text.get(one.shown..safe).filter(|text| !text.is_empty()) {
                go_on &= see(Event::Text { request, text });
                one.shown = safe;
            }
            if let Some(stop) = stop {
                answers[request] = Answer { tokens: one.tokens, text: one.text, stop };
                go_on &= see(Event::Done { request, answer: &answers[request], spent: one.spent });
            } else {
                going.push(one);
            }
        }
        self.inference.reuse(logits);
        *active = going;
        Ok(go_on)
    }
}

impl Active<'_> {
    /// Takes the next token; says when it is the last.
    fn take(&mut self, token: u32, context: usize) -> Option<Stop> {
        if self.asked.ends.contains(&token) {
            return Some(self.settle(Stop::End(token)));
        }
        self.tokens.push(token);
        self.unread.clear();
        self.unread.push(token);
        if let Some(text) = self.stream.as_mut().and_then(|stream| stream.push(token)) {
            self.text.push_str(&text);
            if let Some(stop) = self.cut() {
                return Some(stop);
            }
        }
        if self.tokens.len() >= self.asked.max_tokens {
            return Some(self.settle(Stop::Length));
        }
        (self.cache.len() >= context).then(|| self.settle(Stop::Context))
    }

    /// Cuts the text at the first stop string, if there is one.
    fn cut(&mut self) -> Option<Stop> {
        let found = |stop: &String| {
            let unseen = self.text.get(self.shown..)?;
            (!stop.is_empty()).then(|| unseen.find(stop.as_str()))?.map(|at| (self.shown + at, stop.clone()))
        };
        let (at, stop) = self.asked.stops.iter().filter_map(found).min_by_key(|(at, _)| *at)?;
        self.text.truncate(at);
        Some(Stop::Text(stop))
    }

    /// Adds what the token stream still held back to the text of an answer that is at its end.
    fn settle(&mut self, stop: Stop) -> Stop {
        let Some(held) = self.stream.take().and_then(TokenStream::finish) else { return stop };
        self.text.push_str(&held);
        self.cut().unwrap_or(stop)
    }

    /// Bytes of the text that no stop string can begin in.
    fn certain(&self) -> usize {
        let begun = |stop: &String| {
            let beginnings = stop.char_indices().skip(1).filter_map(|(i, _)| stop.get(..i));
            beginnings.filter(|beginning| self.text.ends_with(beginning)).map(str::len).max()
        };
        self.text.len() - self.asked.stops.iter().filter_map(begun).max().unwrap_or(0)
    }
}

/// The answer of a request that was not come to.
fn cancelled() -> Answer {
    Answer { tokens: Vec::new(), text: String::new(), stop: Stop::Cancelled }
}

/// Keeps what requests have written when the caller wants no more.
fn finish_all(active: Vec<Active<'_>>, answers: &mut [Answer]) {
    for mut one in active {
        let stop = one.settle(Stop::Cancelled);
        answers[one.request] = Answer { tokens: one.tokens, text: one.text, stop };
    }
}

#[cfg(test)]
pub(super) mod tests;
