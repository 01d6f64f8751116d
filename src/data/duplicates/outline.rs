//! A record brought down to what comparing takes: its prompt and answer in normal form, block by block.

use std::sync::LazyLock;

use regex::Regex;

use super::normal::{hash, is_wide, join, normal};
use super::shingles;
use crate::data::view::{Part, Role, parts};
use crate::store::{Content, Record, Split};

/// One line of a prompt or an answer, or the question at the end of a longer line.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The normal form.
    pub text: String,
    /// A number for it.
    pub hash: u64,
    /// Its length in cells: two a Japanese letter.
    pub cells: usize,
    /// Whether it belongs to the answer.
    pub answer: bool,
}

impl Block {
    fn new(text: &str, answer: bool) -> Option<Self> {
        let text = normal(text);
        if text.is_empty() {
            return None;
        }
        let cells = text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum();
        Some(Self { hash: hash(&text), cells, text, answer })
    }

    /// Whether two blocks are near.
    pub(super) fn is_near(&self, other: &Self) -> bool {
        let (long, short) = (self.cells.max(other.cells), self.cells.min(other.cells));
        let set = |block: &Self| shingles::of(std::iter::once(block.text.as_str()), false);
        // The shingles of the shorter are at most about as many as its letters.
        short * 10 >= long * 7 && shingles::jaccard(&set(self), &set(other)) >= super::NEAR
    }
}

/// What is compared of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// The record.
    pub id: i64,
    /// Prompt and answer, block by block; of a text all of it.
    pub blocks: Vec<Block>,
    /// A number for all of it.
    pub whole: u64,
    /// A number for what is asked, instruction included; `None` for a text and for what asks nothing.
    pub prompt: Option<u64>,
    /// A number for the answer; `None` where there is none, or nothing but white space.
    pub answer: Option<u64>,
    /// Whether the record is a text.
    pub is_document: bool,
    /// Whether the record is kept from training, for validation or test.
    pub held: bool,
}

impl Outline {
    /// The outline of a record; for `prompt_fields` see [`parts`].
    #[must_use]
    pub fn of(record: &Record, prompt_fields: Option<&[String]>) -> Self {
        Self::from_parts(record, &parts(&record.state.content, prompt_fields))
    }

    /// The outline of a record whose parts are at hand.
    #[must_use]
    pub fn from_parts(record: &Record, parts: &[Part<'_>]) -> Self {
        let mut blocks = Vec::new();
        let (mut asked, mut said) = (Vec::new(), Vec::new());
        for part in parts {
            match part.role {
                Role::Other => {}
                Role::Answer | Role::Call => {
                    let own: Vec<Block> = part.text.lines().filter_map(|line| Block::new(line, true)).collect();
                    said.extend(own.iter().map(|block| block.hash));
                    blocks.extend(own);
                }
                role => {
                    let own: Vec<Block> = part
                        .text
                        .lines()
                        .flat_map(|line| split_question(line, role != Role::Document))
                        .filter_map(|line| Block::new(line, false))
                        .collect();
                    // Where a prompt has its line breaks does not count; which part says it does.
                    asked.push(join(role as u64, own.iter().flat_map(|block| letters(&block.text))));
                    blocks.extend(own);
                }
            }
        }
        let is_document = matches!(record.state.content, Content::Text { .. });
        let held = matches!(record.state.split, Some(Split::Valid | Split::Test));
        let has_prompt = !is_document && blocks.iter().any(|block| !block.answer);
        let prompt = join(1, asked);
        let answer =
            (!said.is_empty()).then(|| join(2, blocks.iter().filter(|b| b.answer).flat_map(|b| letters(&b.text))));
        let whole = join(3, [prompt, answer.unwrap_or_default()]);
        Self { id: record.id, blocks, whole, prompt: has_prompt.then_some(prompt), answer, is_document, held }
    }

    /// Whether the prompt is compared by words.
    pub(super) fn is_wordy(&self) -> bool {
        shingles::is_wordy(self.blocks.iter().filter(|block| !block.answer).map(|block| block.text.as_str()))
    }
}

fn letters(text: &str) -> impl Iterator<Item = u64> {
    text.chars().filter(|c| *c != ' ').map(|c| u64::from(u32::from(c)))
}

/// Labels that begin a question behind its passage.
static LABEL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:質問|設問|問い|問題|(?-u:\b)(?i:question|query)|(?-u:\b)Q)\s*[:：]").ok());

/// A line in two where a question ends it: before its label, or before the last sentence where that one asks. A passage and
/// the question about it often share a line.
fn split_question(line: &str, may: bool) -> [&str; 2] {
    /// Bytes under which a line is no passage with a question.
    const LONG: usize = 60;
    let cut = |at: usize| line.split_at_checked(at).map_or([line, ""], |(a, b)| [a, b]);
    if !may || line.len() < LONG {
        return [line, ""];
    }
    if let Some(label) = LABEL.as_ref().and_then(|label| label.find_iter(line).last()).filter(|label| label.start() > 0)
    {
        return cut(label.start());
    }
    let trimmed = line.trim_end();
    let asks = ["?", "？", "か。", "か"].iter().any(|end| trimmed.ends_with(end));
    let body = trimmed.trim_end_matches(['?', '？', '。']);
    let end = body.char_indices().rev().find(|(at, c)| {
        let next = body.get(at + c.len_utf8()..).and_then(|rest| rest.chars().next());
        matches!(c, '。' | '！' | '？') || matches!(c, '.' | '!' | '?') && next == Some(' ')
    });
    match end.filter(|_| asks) {
        Some((at, c)) => cut(at + c.len_utf8()),
        None => [line, ""],
    }
}
