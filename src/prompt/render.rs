//! The renderer: a record and a project's [`Prompt`] to text, tokens, spans and loss mask.
//!
//! # Where the prompt ends and the answer begins
//!
//! Tokenising two halves apart and tokenising the whole can differ: a byte-pair merge may cross the seam. In generation
//! there is no choice, as the prompt is all there is when it is tokenised. So here the seam is a token boundary in
//! training too: **the trained tokens are the tokens of the prompt alone, then the tokens of the answer alone, then the
//! end token**, and the trained prefix is, token for token, what generation reads. A mask laid by character offsets over
//! a tokenisation of the whole would train on prefixes that generation never sees. The turns of a chat are cut at the
//! same places (before each assistant's content), in training and where the earlier turns of a chat are a prompt.
//!
//! # What is supervised
//!
//! - pair: the answer and its end token.
//! - chat: every assistant turn's content and the token that ends it, unless the turn's weight is 0. A `{% generation %}`
//!   block in the template decides where a turn's own text is; without one it begins where the rendering of the turns
//!   before it, with a generation prompt, ends.
//! - text: all of it and an end-of-sequence token.
//! - the first token of a sequence never is: nothing comes before it that could predict it.
//!
//! The end of an answer is the token that the chat template writes after an assistant's turn, found by rendering a
//! conversation once; without a template, or where the template writes none, it is the model's end-of-sequence token.
//! Generation stops at either ([`Renderer::stops`]).
//!
//! The beginning-of-sequence token is decided here, once: it is put before a rendering that does not begin with it, if
//! the tokenizer is one that adds it.

mod turns;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::question::Questions;
use super::record::{HEADS, Kind, Message, Record};
use super::template::{Output, Template, TemplateError};
use super::{Prompt, Style};
use crate::model::tokenizer::{Tokenizer, TokenizerError};

/// An answer that no template changes, to see what a template writes after an answer.
const PROBE: &str = "togiprobe";

/// The tokens of a model that mark structure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// Beginning of sequence: id and text. Templates may print it even where the tokenizer does not add it.
    pub bos: Option<(u32, String)>,
    /// Whether the tokenizer puts the beginning of sequence before every text (`add_bos_token`).
    pub add_bos: bool,
    /// End of sequence: id and text.
    pub eos: (u32, String),
    /// The model's padding token.
    pub pad: Option<u32>,
}

/// What a rendering is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To learn from: prompt and answer.
    Train {
        /// Whether the prompt is learned too.
        supervise_prompt: bool,
    },
    /// To be answered: it stops where the answer begins.
    Generate,
}

/// What the model reads of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The whole text, special tokens written out.
    pub text: String,
    /// Token ids, beginning and end tokens included.
    pub tokens: Vec<u32>,
    /// For each token its bytes of `text`. Tokens that share a character have overlapping ranges.
    pub spans: Vec<Range<usize>>,
    /// For each token whether it is learned, that is, predicted from those before it.
    pub loss_mask: Vec<bool>,
    /// Tokens that are neither answer nor end of an answer.
    pub prompt_tokens: usize,
    /// Tokens of answers with their ends (of a text: all but a beginning of sequence).
    pub answer_tokens: usize,
}

impl Rendered {
    /// Number of learned tokens.
    #[must_use]
    pub fn supervised(&self) -> usize {
        self.loss_mask.iter().filter(|&&on| on).count()
    }
}

/// Why a record cannot be rendered, or a renderer not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A template failed.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The template prints fields that the record does not have.
    #[error(
        "the prompt template names {}, which the record does not have; its fields are: {}. Give it what is missing (a typed prompt: \
         as a JSON object), or use another template (prompt.template)",
        missing.join(", "), fields.join(", ")
    )]
    MissingField {
        /// Names in the template.
        missing: Vec<String>,
        /// Names in the record.
        fields: Vec<String>,
    },
    /// A pair without instruction, prompt or question, and no template to say what its prompt is.
    #[error("no field {} and no prompt template; set `prompt.template`, which may use: {}", HEADS.join(", "), fields.join(", "))]
    NoPrompt {
        /// Names in the record.
        fields: Vec<String>,
    },
    /// Nothing to learn from.
    #[error("the record has no answer to learn from")]
    NoAnswer,
    /// Everything is masked.
    #[error("no token of the record is supervised; {0}")]
    NothingSupervised(&'static str),
    /// A chat, and no template that could write it.
    #[error("a chat needs a chat template and the model has none; set `prompt.chat_template`, or give pairs")]
    NoChatTemplate,
    /// A text asks nothing.
    #[error("a text record holds no question; only a pair or a chat can be answered")]
    NothingToAnswer,
    /// An assistant's turn cannot be found in the rendered conversation.
    #[error(
        "messages[{turn}]: the chat template rewrites this turn, so that its text cannot be found; give it as a record of its own"
    )]
    Turn {
        /// Index of the message.
        turn: usize,
    },
    /// An example that is no answered pair.
    #[error("prompt.examples: \"{id}\" is not a pair with an answer")]
    Example {
        /// The example's id.
        id: String,
    },
    /// The tokenizer failed.
    #[error("cannot tokenise: {0}")]
    Tokenizer(String),
    /// No token is left to pad with.
    #[error("the padding token ends answers too, and the vocabulary has no other special token to pad with")]
    Padding,
}

impl From<TokenizerError> for RenderError {
    fn from(error: TokenizerError) -> Self {
        Self::Tokenizer(error.to_string())
    }
}

/// Renders records one way for every use. Cheap to share between threads.
pub struct Renderer {
    tokenizer: Arc<Tokenizer>,
    special: Special,
    questions: Questions,
    chat: Option<Template>,
    end: (u32, String),
}

/// A stretch of text that is tokenised by itself.
struct Segment {
    text: String,
    /// A token that is known by its id.
    token: Option<u32>,
    role: Role,
    supervised: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Prompt,
    Answer,
}

impl Segment {
    fn new(text: impl Into<String>, role: Role) -> Self {
        Self { text: text.into(), token: None, role, supervised: role == Role::Answer }
    }

    fn token((id, text): &(u32, String), role: Role) -> Self {
        Self { token: Some(*id), ..Self::new(text.clone(), role) }
    }
}

impl Renderer {
    /// Reads the templates and finds out how an answer ends. `chat_template` is the model's own, if it has one.
    ///
    /// # Errors
    /// When a template does not parse, the style asks for a chat template that is not there, or an example is no pair
    /// with an answer.
    pub fn new(
        tokenizer: Arc<Tokenizer>,
        chat_template: Option<&str>,
        special: Special,
        prompt: Prompt,
    ) -> Result<Self, RenderError> {
        let source = prompt.chat_template.as_deref().or(chat_template).filter(|_| prompt.style != Style::Plain);
        let chat = source.map(Template::chat).transpose()?;
        if prompt.style == Style::Chat && chat.is_none() {
            return Err(RenderError::NoChatTemplate);
        }
        let questions = Questions::new(prompt)?;
        let mut renderer = Self { tokenizer, end: special.eos.clone(), special, questions, chat };
        if let Some(end) = renderer.find_end()? {
            renderer.end = end;
        }
        Ok(renderer)
    }

    /// One for the same model with another prompt. `chat_template` is the model's own, if it has one.
    ///
    /// # Errors
    /// As [`Renderer::new`].
    pub fn with_prompt(&self, chat_template: Option<&str>, prompt: Prompt) -> Result<Self, RenderError> {
        Self::new(Arc::clone(&self.tokenizer), chat_template, self.special.clone(), prompt)
    }

    /// The token that ends an answer.
    #[must_use]
    pub fn end(&self) -> (u32, &str) {
        (self.end.0, &self.end.1)
    }

    /// The tokens at which generation stops: the end of an answer, and the end of sequence.
    #[must_use]
    pub fn stops(&self) -> Vec<u32> {
        let mut stops = vec![self.end.0, self.special.eos.0];
        stops.dedup();
        stops
    }

    /// Whether a chat template lays out the prompts.
    #[must_use]
    pub fn is_chat(&self) -> bool {
        self.chat.is_some()
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// A token to pad with that never ends an answer: the model's own, or, where that one is an end token (as in
    /// `SmolLM2`), another special token of the vocabulary.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn padding(&self) -> Result<u32, RenderError> {
        let stops = self.stops();
        if let Some(pad) = self.special.pad.filter(|pad| !stops.contains(pad)) {
            return Ok(pad);
        }
        let names = ["<pad>", "<|pad|>", "[PAD]", "<|endoftext|>", "<unk>", "[UNK]"];
        let named = names.iter().filter_map(|name| self.tokenizer.id_of(name));
        let bos = self.special.bos.iter().map(|(id, _)| *id);
        let any = (0..self.tokenizer.len() as u32).filter(|&id| self.tokenizer.is_special(id));
        named.chain(bos).chain(any).find(|id| !stops.contains(id)).ok_or(RenderError::Padding)
    }

    /// Renders a record.
    ///
    /// # Errors
    /// When a template fails or names what is not there, when there is nothing to learn (training) or nothing to answer
    /// (generation), or when no token would be supervised.
    pub fn render(&self, record: &Record, mode: Mode) -> Result<Rendered, RenderError> {
        let generate = mode == Mode::Generate;
        let mut segments = match &record.kind {
            Kind::Pair { fields, answer } => {
                let mut segments = vec![Segment::new(self.pair_prompt(fields)?, Role::Prompt)];
                if !generate {
                    let answer = answer.as_deref().ok_or(RenderError::NoAnswer)?;
                    segments.push(Segment::new(answer, Role::Answer));
                    segments.push(Segment::token(&self.end, Role::Answer));
                }
                segments
            }
            Kind::Chat { messages, tools } => self.chat_segments(messages, tools.as_ref(), generate)?,
            Kind::Text { .. } if generate => return Err(RenderError::NothingToAnswer),
            Kind::Text { text } if text.is_empty() => return Err(RenderError::NothingSupervised("the text is empty")),
            Kind::Text { text } => {
                vec![Segment::new(text.clone(), Role::Answer), Segment::token(&self.special.eos, Role::Answer)]
            }
        };
        if let Some(bos) = self.special.bos.as_ref().filter(|_| self.special.add_bos) {
            let begun = segments.iter().find(|s| !s.text.is_empty()).is_some_and(|s| s.text.starts_with(&bos.1));
            if !begun {
                segments.insert(0, Segment::token(bos, Role::Prompt));
            }
        }
        if mode == (Mode::Train { supervise_prompt: true }) {
            for segment in &mut segments {
                segment.supervised = true;
            }
        }
        let rendered = self.tokenise(&segments)?;
        if !generate && rendered.supervised() == 0 {
            return Err(RenderError::NothingSupervised("its assistant turns have weight 0, or there is none"));
        }
        Ok(rendered)
    }

    /// Text before the answer, without the beginning of sequence.
    fn pair_prompt(&self, fields: &Map<String, Value>) -> Result<String, RenderError> {
        let asked = &self.questions;
        if let Some(chat) = &self.chat {
            return Ok(self.write_chat(chat, &asked.pair(fields)?, None, true)?.text);
        }
        let seam = if asked.fields.is_some() { "" } else { "\n" };
        let mut text = asked.system(fields).map(|s| format!("{s}\n")).unwrap_or_default();
        for (fields, answer) in asked.examples() {
            let _ = write!(text, "{}{seam}{answer}\n\n", asked.question(fields)?);
        }
        Ok(text + &asked.question(fields)? + seam)
    }

    fn write_chat(
        &self,
        template: &Template,
        messages: &[Message],
        tools: Option<&Value>,
        generation_prompt: bool,
    ) -> Result<Output, RenderError> {
        let messages = messages.iter().map(variables_of).collect();
        let bos = self.special.bos.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
        let context = Map::from_iter([
            ("messages".to_owned(), Value::Array(messages)),
            ("tools".to_owned(), tools.cloned().unwrap_or_default()),
            ("documents".to_owned(), Value::Null),
            ("add_generation_prompt".to_owned(), Value::Bool(generation_prompt)),
            ("bos_token".to_owned(), Value::String(bos)),
            ("eos_token".to_owned(), Value::String(self.special.eos.1.clone())),
        ]);
        Ok(template.render(&context)?)
    }

    /// The token a chat template writes after an assistant's turn.
    fn find_end(&self) -> Result<Option<(u32, String)>, RenderError> {
        let Some(chat) = &self.chat else { return Ok(None) };
        let messages = [Message::new("user", "a"), Message::new("assistant", PROBE)];
        let whole = self.write_chat(chat, &messages, None, false)?.text;
        let Some((_, after)) = whole.split_once(PROBE) else { return Ok(None) };
        let first = self.tokenizer.encode(after.trim_start())?.ids.first().copied();
        let Some(id) = first.filter(|&id| self.tokenizer.is_special(id)) else { return Ok(None) };
        Ok(self.tokenizer.token(id).map(|text| (id, text)))
    }

    /// Tokenises each segment by itself and joins them.
    fn tokenise(&self, segments: &[Segment]) -> Result<Rendered, RenderError> {
        let mut out = Rendered::default();
        for segment in segments {
            let base = out.text.len();
            out.text.push_str(&segment.text);
            let before = out.tokens.len();
            if let Some(id) = segment.token {
                out.tokens.push(id);
                out.spans.push(base..out.text.len());
            } else if !segment.text.is_empty() {
                let encoded = self.tokenizer.encode(&segment.text)?;
                out.tokens.extend(encoded.ids);
                // Tokenizers leave white space out of their offsets; every byte is given to a token here.
                let mut reached = 0;
                let last = encoded.spans.len().saturating_sub(1);
                for (i, span) in encoded.spans.into_iter().enumerate() {
                    let start = span.start.min(reached);
                    let end = if i == last { segment.text.len() } else { span.end.max(start) };
                    reached = reached.max(end);
                    out.spans.push(base + start..base + end);
                }
            }
            let added = out.tokens.len() - before;
            out.loss_mask.resize(out.tokens.len(), segment.supervised);
            match segment.role {
                Role::Prompt => out.prompt_tokens += added,
                Role::Answer => out.answer_tokens += added,
            }
        }
        if let Some(first) = out.loss_mask.first_mut() {
            *first = false;
        }
        Ok(out)
    }
}

/// A message as chat templates see it: role, content (null where there is none), and what else it carries.
fn variables_of(message: &Message) -> Value {
    let mut map = Map::new();
    map.insert("role".to_owned(), Value::String(message.role.clone()));
    map.insert("content".to_owned(), message.content.clone().map_or(Value::Null, Value::String));
    map.extend(message.more.iter().map(|(k, v)| (k.clone(), v.clone())));
    Value::Object(map)
}

#[cfg(test)]
mod tests;
