//! What checks ask of a model: lengths in tokens and the tokens that mark structure, through the one renderer.

use crate::data::view::rendered;
use crate::prompt::{Mode, Renderer};
use crate::store::Record;

/// The model's side of the checks.
pub trait Measure: Sync {
    /// Tokens of prompt, answer and end as a run reads them; `None` where the record cannot be rendered or would teach
    /// nothing, which other checks and the preflight report.
    fn length(&self, record: &Record) -> Option<usize>;

    /// The texts of the tokens that end an answer.
    fn ends(&self) -> &[String];

    /// The texts of all tokens of the model that mark structure.
    fn special(&self) -> &[String];
}

/// A renderer with the texts of its special tokens looked up once.
pub struct Rendering<'a> {
    renderer: &'a Renderer,
    ends: Vec<String>,
    special: Vec<String>,
}

impl<'a> Rendering<'a> {
    /// Looks the tokens up.
    #[must_use]
    pub fn new(renderer: &'a Renderer) -> Self {
        let tokenizer = renderer.tokenizer();
        let ends = renderer.stops().into_iter().filter_map(|id| tokenizer.token(id)).collect();
        let ids = 0..tokenizer.len() as u32;
        let special = ids.filter(|id| tokenizer.is_special(*id)).filter_map(|id| tokenizer.token(id)).collect();
        Self { renderer, ends, special }
    }
}

impl Measure for Rendering<'_> {
    fn length(&self, record: &Record) -> Option<usize> {
        let mode = Mode::Train { supervise_prompt: false };
        self.renderer.render(&rendered(record), mode).ok().map(|rendered| rendered.tokens.len())
    }

    fn ends(&self) -> &[String] {
        &self.ends
    }

    fn special(&self) -> &[String] {
        &self.special
    }
}
