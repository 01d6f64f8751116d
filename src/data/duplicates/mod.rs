//! Which records say the same: equal ones, near ones, and those that ask the same.
//!
//! *Equal* is equality of the [`normal`] form: NFKC, lower case, letters and digits. *Near* is a Jaccard similarity of at
//! least [`NEAR`] between sets of shingles ([`shingles`]), found through `MinHash` bands ([`minhash`]) and then computed
//! exactly. A text with fewer than [`TINY`] letters has no near ones: there every letter counts.
//!
//! Records often share a long text that is not what they ask: an instruction, a passage with several questions about it.
//! Two rules keep that from looking like duplication. A block (a line of the prompt, or the question at its end) that more
//! than [`FREQUENT`] records have is left out. And where two prompts share a passage (blocks that are equal, or long and
//! near) and differ at their beginning or end, where a question stands, what differs has to be near as well, together with
//! the answers. A changed line in the midst of a document is no other question.
//!
//! Nothing here is quadratic: of each of its buckets a record looks at no more than [`minhash::WINDOW`] others, and compares
//! itself with no more than 32 of all these.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::store::{Record, Status};

pub mod minhash;
pub mod normal;
pub mod outline;
pub mod shingles;

pub use outline::{Block, Outline};

use minhash::Bands;
use shingles::{Shingles, jaccard};

/// The similarity from which two texts are near (formats.md, lint thresholds).
pub const NEAR: f64 = 0.8;
/// Letters and digits below which a text has no near ones: one changed letter changes what such a text says.
pub const TINY: usize = 20;
/// A block that more records have than this is taken for an instruction.
pub const FREQUENT: u32 = 10;
/// Cells (two a Japanese letter, as on a screen) from which blocks can be a passage that several questions share.
const PASSAGE: usize = 40;
/// Others that a record is compared with at most, those that share most buckets with it.
const COMPARED: usize = 32;
/// A record with this many near ones is near enough to be reported; finding all of thousands helps nobody.
const ENOUGH: usize = 5;

/// What is kept of many records to find, for one of them, those that say the same.
#[derive(Debug, Default)]
pub struct Likeness {
    outlines: Vec<Outline>,
    asked: Vec<Shingles>,
    places: HashMap<i64, u32>,
    frequency: HashMap<u64, u32>,
    whole: HashMap<u64, Vec<u32>>,
    prompts: HashMap<u64, Vec<u32>>,
    words: Bands,
    letters: Bands,
}

impl Likeness {
    /// Takes in the outlines of records, each record once.
    #[must_use]
    pub fn new(outlines: Vec<Outline>) -> Self {
        let mut all = Self::default();
        for outline in &outlines {
            all.count(outline, true);
        }
        let shingled: Vec<_> = outlines
            .par_iter()
            .map(|outline| {
                let asked = all.shingles(outline);
                let keys = (asked.words().map(minhash::keys), asked.letters().map(minhash::keys));
                (asked, keys)
            })
            .collect();
        for (outline, (asked, keys)) in outlines.into_iter().zip(shingled) {
            let place = all.outlines.len() as u32;
            all.places.insert(outline.id, place);
            all.enter(place, &outline, keys);
            all.outlines.push(outline);
            all.asked.push(asked);
        }
        all
    }

    /// Takes in a record, in place of what was known of it.
    pub fn update(&mut self, outline: Outline) {
        if let Some(place) = self.places.get(&outline.id).copied() {
            self.leave(place);
            self.count(&outline, true);
            let asked = self.shingles(&outline);
            let keys = (asked.words().map(minhash::keys), asked.letters().map(minhash::keys));
            self.enter(place, &outline, keys);
            if let (Some(old), Some(old_asked)) =
                (self.outlines.get_mut(place as usize), self.asked.get_mut(place as usize))
            {
                *old = outline;
                *old_asked = asked;
            }
        } else {
            self.count(&outline, true);
            let asked = self.shingles(&outline);
            let keys = (asked.words().map(minhash::keys), asked.letters().map(minhash::keys));
            let place = self.outlines.len() as u32;
            self.places.insert(outline.id, place);
            self.enter(place, &outline, keys);
            self.outlines.push(outline);
            self.asked.push(asked);
        }
    }

    /// Forgets a record.
    pub fn remove(&mut self, id: i64) {
        if let Some(place) = self.places.remove(&id) {
            self.leave(place);
        }
    }

    /// What is known of a record.
    #[must_use]
    pub fn get(&self, id: i64) -> Option<&Outline> {
        self.places.get(&id).and_then(|place| self.outlines.get(*place as usize))
    }

    /// The records, this one excepted, whose prompt and answer are equal to its own; in the order they were taken in.
    pub fn equal(&self, outline: &Outline) -> impl Iterator<Item = &Outline> {
        self.others(self.whole.get(&outline.whole), outline.id)
    }

    /// The records, this one excepted, that ask the same.
    pub fn same_prompt(&self, outline: &Outline) -> impl Iterator<Item = &Outline> {
        self.others(outline.prompt.and_then(|prompt| self.prompts.get(&prompt)), outline.id)
    }

    fn others<'a>(&'a self, places: Option<&'a Vec<u32>>, id: i64) -> impl Iterator<Item = &'a Outline> {
        let places = places.map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.outlines.get(*place as usize)).filter(move |other| other.id != id)
    }

    /// Records whose prompt is near, but not equal, to this one's, with the similarity. `keep` says which to look at.
    pub fn near_prompt(&self, outline: &Outline, keep: impl Fn(&Outline) -> bool) -> Vec<(&Outline, f64)> {
        self.near_by(outline, |_, other, similarity| {
            let differs = outline.prompt != other.prompt && keep(other);
            (differs && self.rest_is_near(outline, other, false)).then_some(similarity)
        })
    }

    /// Records whose prompt and answer together are near, but not equal, to this one's, with the similarity.
    pub fn near(&self, outline: &Outline, keep: impl Fn(&Outline) -> bool) -> Vec<(&Outline, f64)> {
        self.near_by(outline, |asked, other, _| {
            if outline.whole == other.whole || !keep(other) {
                return None;
            }
            let similarity = self.whole_similarity(outline, asked, other);
            (similarity >= NEAR && self.rest_is_near(outline, other, true)).then_some(similarity)
        })
    }

    fn near_by<'a>(
        &'a self,
        outline: &Outline,
        judge: impl Fn(&Shingles, &Outline, f64) -> Option<f64>,
    ) -> Vec<(&'a Outline, f64)> {
        let own = self.places.get(&outline.id).copied();
        let kept = own.filter(|place| self.outlines.get(*place as usize) == Some(outline));
        let computed;
        let asked = if let Some(asked) = kept.and_then(|place| self.asked.get(place as usize)) {
            asked
        } else {
            computed = self.shingles(outline);
            &computed
        };
        let mut places = Vec::new();
        // A new record stands behind all others.
        let around = own.unwrap_or(self.outlines.len() as u32);
        if let Some(words) = asked.words() {
            self.words.candidates(&minhash::keys(words), around, &mut places);
        }
        if let Some(letters) = asked.letters() {
            self.letters.candidates(&minhash::keys(letters), around, &mut places);
        }
        let mut found = Vec::new();
        for place in likeliest(places) {
            let (Some(other), Some(theirs)) = (self.outlines.get(place as usize), self.asked.get(place as usize))
            else {
                continue;
            };
            if other.id == outline.id {
                continue;
            }
            let similarity = asked.similarity(theirs);
            if similarity < NEAR {
                continue;
            }
            if let Some(similarity) = judge(asked, other, similarity) {
                found.push((other, similarity));
                if found.len() == ENOUGH {
                    break;
                }
            }
        }
        found.sort_by_key(|(other, _)| other.id);
        found
    }

    fn whole_similarity(&self, outline: &Outline, asked: &Shingles, other: &Outline) -> f64 {
        let by_word = asked.words().is_some() && other.is_wordy();
        let whole = |outline: &Outline| {
            let blocks = outline.blocks.iter().filter(|block| block.answer || !self.is_frequent(block));
            shingles::of(blocks.map(|block| block.text.as_str()), by_word)
        };
        jaccard(&whole(outline), &whole(other))
    }

    /// Whether what two records have besides a passage they share is near, too. True where they share none.
    fn rest_is_near(&self, a: &Outline, b: &Outline, with_answer: bool) -> bool {
        if a.is_document || b.is_document {
            return true;
        }
        let mut left: Vec<&Block> = self.asked(a).collect();
        let mut right: Vec<&Block> = self.asked(b).collect();
        let ends = [left.first(), left.last(), right.first(), right.last()].map(|block| block.map(|block| block.hash));
        let mut shared = 0;
        left.retain(|block| {
            let same = right.iter().position(|other| other.hash == block.hash);
            let long = || right.iter().position(|other| block.cells >= PASSAGE && block.is_near(other));
            let found = same.or_else(long).map(|at| right.remove(at));
            shared += found.map_or(0, |_| block.cells);
            found.is_none()
        });
        let differs_in = |hash: &Option<u64>| left.iter().chain(&right).any(|block| Some(block.hash) == *hash);
        let question = ends.iter().any(differs_in);
        if shared < PASSAGE || !question && !left.is_empty() {
            // No passage; or one document with a changed line in its midst.
            return true;
        }
        if with_answer {
            left.extend(a.blocks.iter().filter(|block| block.answer));
            right.extend(b.blocks.iter().filter(|block| block.answer));
        }
        let set = |blocks: &[&Block]| shingles::short(blocks.iter().map(|block| block.text.as_str()));
        jaccard(&set(&left), &set(&right)) >= NEAR
    }

    /// The blocks of a prompt that are its own.
    fn asked<'a>(&'a self, outline: &'a Outline) -> impl Iterator<Item = &'a Block> + Clone {
        outline.blocks.iter().filter(|block| !block.answer && !self.is_frequent(block))
    }

    fn is_frequent(&self, block: &Block) -> bool {
        self.frequency.get(&block.hash).is_some_and(|count| *count > FREQUENT)
    }

    fn shingles(&self, outline: &Outline) -> Shingles {
        Shingles::of(self.asked(outline).map(|block| block.text.as_str()))
    }

    fn count(&mut self, outline: &Outline, add: bool) {
        let mut hashes: Vec<u64> =
            outline.blocks.iter().filter(|block| !block.answer).map(|block| block.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        for hash in hashes {
            let count = self.frequency.entry(hash).or_default();
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    fn enter(
        &mut self,
        place: u32,
        outline: &Outline,
        (words, letters): (Option<minhash::Keys>, Option<minhash::Keys>),
    ) {
        insert(self.whole.entry(outline.whole).or_default(), place);
        if let Some(prompt) = outline.prompt {
            insert(self.prompts.entry(prompt).or_default(), place);
        }
        if let Some(keys) = words {
            self.words.insert(&keys, place);
        }
        if let Some(keys) = letters {
            self.letters.insert(&keys, place);
        }
    }

    fn leave(&mut self, place: u32) {
        let (Some(outline), Some(asked)) = (self.outlines.get(place as usize), self.asked.get(place as usize)) else {
            return;
        };
        let outline = outline.clone();
        let keys = (asked.words().map(minhash::keys), asked.letters().map(minhash::keys));
        self.count(&outline, false);
        let gone = |list: Option<&mut Vec<u32>>| list.map(|list| list.retain(|other| *other != place));
        gone(self.whole.get_mut(&outline.whole));
        outline.prompt.and_then(|prompt| gone(self.prompts.get_mut(&prompt)));
        if let Some(keys) = keys.0 {
            self.words.remove(&keys, place);
        }
        if let Some(keys) = keys.1 {
            self.letters.remove(&keys, place);
        }
    }
}

/// The places that come most often, that is, share most buckets; of equals those taken in first.
fn likeliest(mut places: Vec<u32>) -> Vec<u32> {
    places.sort_unstable();
    let mut counted: Vec<(usize, u32)> =
        places.chunk_by(|a, b| a == b).filter_map(|run| Some((run.len(), *run.first()?))).collect();
    counted.sort_by_key(|(count, place)| (std::cmp::Reverse(*count), *place));
    counted.into_iter().take(COMPARED).map(|(_, place)| place).collect()
}

/// Keeps a list of places in order.
fn insert(list: &mut Vec<u32>, place: u32) {
    if let Err(at) = list.binary_search(&place) {
        list.insert(at, place);
    }
}

/// Sets of records that say or ask the same, equal or near: what a split must not tear apart, and what can be thinned out.
///
/// Rejected records are left out. Sets have at least two records; the records of a set, and the sets by their first record,
/// are in ascending order. Records that merely share a passage are in no common set.
#[must_use]
pub fn groups(records: &[Record], prompt_fields: Option<&[String]>) -> Vec<Vec<i64>> {
    let used: Vec<&Record> = records.iter().filter(|record| record.state.status != Status::Rejected).collect();
    let all = Likeness::new(used.par_iter().map(|record| Outline::of(record, prompt_fields)).collect());
    let links: Vec<Vec<i64>> = all
        .outlines
        .par_iter()
        .map(|outline| {
            // One equal record links the whole set of them.
            let equal = [all.equal(outline).next(), all.same_prompt(outline).next()];
            let near = all.near_prompt(outline, |_| true);
            let equal = equal.into_iter().flatten().map(|other| other.id);
            equal.chain(near.iter().map(|(other, _)| other.id)).collect()
        })
        .collect();
    let mut parent: HashMap<i64, i64> = used.iter().map(|record| (record.id, record.id)).collect();
    for (outline, others) in all.outlines.iter().zip(links) {
        for other in others {
            let (a, b) = (root(&mut parent, outline.id), root(&mut parent, other));
            parent.insert(a.max(b), a.min(b));
        }
    }
    let mut ids: Vec<i64> = parent.keys().copied().collect();
    ids.sort_unstable();
    let mut sets: HashMap<i64, Vec<i64>> = HashMap::new();
    for id in ids {
        let root = root(&mut parent, id);
        sets.entry(root).or_default().push(id);
    }
    let mut sets: Vec<Vec<i64>> = sets.into_values().filter(|set| set.len() > 1).collect();
    sets.sort_unstable();
    sets
}

fn root(parent: &mut HashMap<i64, i64>, id: i64) -> i64 {
    let mut at = id;
    while let Some(above) = parent.get(&at).copied().filter(|above| *above != at) {
        // Halve the way for the next.
        let higher = parent.get(&above).copied().unwrap_or(above);
        parent.insert(at, higher);
        at = higher;
    }
    at
}

#[cfg(test)]
mod tests;
