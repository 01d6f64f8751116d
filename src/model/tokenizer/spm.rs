//! SentencePiece vocabularies with scores, as GGUF files carry them: pairs are merged by score, the best first and of
//! equals the leftmost, and what is in no vocabulary is spelt in bytes. This is llama.cpp's algorithm
//! (`llm_tokenizer_spm`), token for token.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::ops::Range;

use super::{Encoded, TokenizerError};

/// SentencePiece writes a space as this character.
const SPACE: char = '▁';

/// What a token is for (`llama_token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Text,
    /// Matched in a text before anything else, and standing for itself.
    UserDefined,
    /// Marks structure; stands for no text.
    Control,
    Byte(u8),
}

/// A token as the file describes it.
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) role: Role,
}

pub(super) struct Spm {
    pieces: Vec<Piece>,
    ids: HashMap<String, u32>,
    /// For each byte the token that spells it.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// A space is put before a text, and taken away again on decoding.
    add_space: bool,
    /// Lengths in bytes of the tokens that are matched before merging, longest first, and their texts' first bytes.
    marked_lengths: Vec<usize>,
    marked_starts: Vec<bool>,
    marked: HashSet<u32>,
}

/// A run of characters on the way to becoming a token. `start..end` are bytes of the escaped text.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: usize,
    next: usize,
}

/// No symbol.
const NONE: usize = usize::MAX;

/// A possible merge of two neighbours.
struct Merge {
    score: f32,
    left: usize,
    right: usize,
    size: usize,
}

impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Merge {}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Merge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl Spm {
    pub(super) fn new(pieces: Vec<Piece>, unknown: Option<u32>, add_space: bool) -> Self {
        let mut ids = HashMap::with_capacity(pieces.len());
        let mut bytes = vec![None; 256];
        let mut marked = HashSet::new();
        let mut marked_starts = vec![false; 256];
        let mut marked_lengths = Vec::new();
        for (id, piece) in (0u32..).zip(&pieces) {
            ids.insert(piece.text.clone(), id);
            match piece.role {
                Role::Byte(byte) => {
                    if let Some(place) = bytes.get_mut(usize::from(byte)) {
                        *place = Some(id);
                    }
                }
                Role::Control | Role::UserDefined => {
                    if let Some(start) = piece.text.bytes().next().and_then(|b| marked_starts.get_mut(usize::from(b))) {
                        *start = true;
                        marked_lengths.push(piece.text.len());
                        marked.insert(id);
                    }
                }
                Role::Text => {}
            }
        }
        marked_lengths.sort_unstable_by(|a, b| b.cmp(a));
        marked_lengths.dedup();
        Self { pieces, ids, bytes, unknown, add_space, marked_lengths, marked_starts, marked }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn adds_space(&self) -> bool {
        self.add_space
    }

    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub(super) fn token(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(|piece| piece.text.as_str())
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.pieces.get(id as usize).is_some_and(|piece| piece.role == Role::Control)
    }

    /// The bytes a token stands for.
    pub(super) fn bytes(&self, id: u32) -> Vec<u8> {
        match self.pieces.get(id as usize) {
            Some(Piece { role: Role::Byte(byte), .. }) => vec![*byte],
            Some(Piece { role: Role::Text, text, .. }) => text.replace(SPACE, " ").into_bytes(),
            Some(piece) => piece.text.clone().into_bytes(),
            None => Vec::new(),
        }
    }

    pub(super) fn decode(&self, ids: &[u32], skip_special: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut first = true;
        for &id in ids.iter().filter(|&&id| !(skip_special && self.is_special(id))) {
            let bytes = self.bytes(id);
            let strip = std::mem::take(&mut first) && self.add_space;
            out.extend_from_slice(bytes.strip_prefix(b" ").filter(|_| strip).unwrap_or(&bytes));
        }
        out
    }

    pub(super) fn encode(&self, text: &str) -> Result<Encoded, TokenizerError> {
        let mut out = Encoded::default();
        let mut at = 0;
        for (range, id) in self.marked_in(text) {
            self.merge(text, at..range.start, &mut out)?;
            at = range.end;
            out.ids.push(id);
            out.spans.push(range);
        }
        self.merge(text, at..text.len(), &mut out)?;
        Ok(out)
    }

    /// The control and user-defined tokens written in a text, in order. Longer ones are carved out first wherever they
    /// stand, which is not the same as longest-from-the-left.
    fn marked_in(&self, text: &str) -> Vec<(Range<usize>, u32)> {
        let mut found: Vec<(Range<usize>, u32)> = Vec::new();
        for (start, first) in text.bytes().enumerate() {
            if !self.marked_starts.get(usize::from(first)).copied().unwrap_or(false) {
                continue;
            }
            for &length in &self.marked_lengths {
                let Some(part) = text.get(start..start + length) else { continue };
                if let Some(id) = self.id_of(part).filter(|id| self.marked.contains(id)) {
                    found.push((start..start + length, id));
                }
            }
        }
        found.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.start.cmp(&b.start)));
        let mut taken = vec![false; if found.is_empty() { 0 } else { text.len() }];
        found.retain(|(range, _)| {
            let Some(place) = taken.get_mut(range.clone()) else { return false };
            let free = !place.contains(&true);
            if free {
                place.fill(true);
            }
            free
        });
        found.sort_by_key(|(range, _)| range.start);
        found
    }

    /// Merges the characters of `text[range]`, which follows the text's start or a marked token, into tokens.
    fn merge(&self, text: &str, range: Range<usize>, out: &mut Encoded) -> Result<(), TokenizerError> {
        let offset = range.start;
        let raw = text.get(range).unwrap_or_default();
        if raw.is_empty() {
            return Ok(());
        }
        // `origin[i]` is where in `text` symbol i comes from.
        let mut escaped = String::with_capacity(raw.len() + 3);
        let mut symbols: Vec<Symbol> = Vec::with_capacity(raw.len());
        let mut origin: Vec<Range<usize>> = Vec::with_capacity(raw.len());
        let prefix = self.add_space.then_some((offset..offset, ' '));
        let characters = raw.char_indices().map(|(i, c)| (offset + i..offset + i + c.len_utf8(), c));
        for (from, character) in prefix.into_iter().chain(characters) {
            let start = escaped.len();
            escaped.push(if character == ' ' { SPACE } else { character });
            let index = symbols.len();
            let previous = if index == 0 { NONE } else { index - 1 };
            symbols.push(Symbol { start, end: escaped.len(), previous, next: index + 1 });
            origin.push(from);
        }
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        let mut queue = BinaryHeap::new();
        for right in 1..symbols.len() {
            self.consider(&escaped, &symbols, right - 1, right, &mut queue);
        }
        while let Some(merge) = queue.pop() {
            let (Some(&left), Some(&right)) = (symbols.get(merge.left), symbols.get(merge.right)) else { continue };
            let (left_size, right_size) = (left.end - left.start, right.end - right.start);
            if left_size == 0 || right_size == 0 || left_size + right_size != merge.size {
                continue; // one of the two has been merged since
            }
            if let Some(symbol) = symbols.get_mut(merge.left) {
                (symbol.end, symbol.next) = (right.end, right.next);
            }
            if let Some(symbol) = symbols.get_mut(merge.right) {
                symbol.end = symbol.start;
            }
            if let Some(symbol) = symbols.get_mut(right.next) {
                symbol.previous = merge.left;
            }
            self.consider(&escaped, &symbols, left.previous, merge.left, &mut queue);
            self.consider(&escaped, &symbols, merge.left, right.next, &mut queue);
        }
        let mut at = 0;
        while let Some(&symbol) = symbols.get(at) {
            let until = if symbol.next == NONE { symbols.len() } else { symbol.next };
            let from = origin.get(at).map_or(offset, |r| r.start);
            let to = origin.get(until - 1).map_or(from, |r| r.end);
            self.finish(escaped.get(symbol.start..symbol.end).unwrap_or_default(), from..to, out)?;
            at = symbol.next;
        }
        Ok(())
    }

    /// Puts the merge of two neighbours into the queue if it is a token.
    fn consider(&self, text: &str, symbols: &[Symbol], left: usize, right: usize, queue: &mut BinaryHeap<Merge>) {
        let (Some(l), Some(r)) = (symbols.get(left), symbols.get(right)) else { return };
        let piece = text.get(l.start..r.end).and_then(|part| self.ids.get(part)).map(|&id| id as usize);
        if let Some(piece) = piece.and_then(|id| self.pieces.get(id)) {
            queue.push(Merge { score: piece.score, left, right, size: r.end - l.start });
        }
    }

    /// Writes a finished symbol: its token, or the bytes it is made of.
    fn finish(&self, part: &str, span: Range<usize>, out: &mut Encoded) -> Result<(), TokenizerError> {
        if let Some(id) = self.id_of(part) {
            out.ids.push(id);
            out.spans.push(span);
            return Ok(());
        }
        for byte in part.bytes() {
            let id = self.bytes.get(usize::from(byte)).copied().flatten().or(self.unknown);
            out.ids.push(id.ok_or_else(|| TokenizerError(format!("the vocabulary cannot spell {part:?}")))?);
            out.spans.push(span.clone());
        }
        Ok(())
    }
}
