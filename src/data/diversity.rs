//! How much of the space of inputs a set of records covers, where it is crowded, and what is near a given record.
//!
//! An input is what a record asks, apart from its instruction (of a text, all of it). It becomes a TF-IDF vector over runs of
//! letters of its [normal form](super::duplicates::normal): three with the ends of words, two in scripts without spaces; term
//! weight (1 + ln tf) · ln(1 + n / df), the [`FEATURES`] heaviest runs kept, runs that a fifth of the records have left out,
//! length 1. The similarity of two inputs is the cosine, 0 to 1: it sees common wording, not common meaning.
//!
//! [`Coverage`] says three things of n inputs, none of which depends on a random choice:
//!
//! - **distinct**: how many inputs remain if, going from the first to the last, an input is dropped that has a cosine of at
//!   least [`ALIKE`] to one that was kept. What was dropped for the sake of one is a *corner*; the large ones are crowded.
//! - **effective**: the Vendi score of order 2 with the cosine as kernel, n² / Σᵢⱼ k²ᵢⱼ (Friedman and Dieng 2023, "The Vendi
//!   Score"; order q after Pasarkar and Dieng 2024): n where all inputs differ wholly, 1 where all are one. No eigenvalue is
//!   needed, since those of K/n have Σλ² = Σᵢⱼ k²ᵢⱼ / n².
//! - **mean distance** to the nearest other input, 1 − cosine.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use super::duplicates::normal::{is_wide, join, normal};
use super::view::{Role, parts};
use crate::store::{Record, Status};

/// Runs kept of an input.
pub const FEATURES: usize = 96;
/// The cosine from which two inputs are wordings of one.
pub const ALIKE: f32 = 0.6;
/// Share of the records from which a run tells nothing.
const COMMON: f64 = 0.2;
/// Records under which no run is common.
const FEW: usize = 20;

/// The inputs of many records as vectors, and for each run of letters who has it.
#[derive(Debug, Default)]
pub struct Space {
    ids: Vec<i64>,
    vectors: Vec<Vec<(u32, f32)>>,
    runs: HashMap<u64, (u32, f32)>,
    holders: Vec<Vec<(u32, f32)>>,
}

/// How much of the space of inputs is covered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Inputs that were looked at.
    pub records: usize,
    /// Inputs that are left when wordings of one another are dropped.
    pub distinct: usize,
    /// How many wholly different inputs would be as diverse (Vendi score of order 2).
    pub effective: f64,
    /// Mean of 1 − cosine to the nearest other input; 1 for a single one.
    pub mean_distance: f64,
    /// Corners with at least three inputs, the most crowded first, ten at most.
    pub crowded: Vec<Corner>,
}

/// Inputs that are wordings of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Corner {
    /// The input that was kept.
    pub record: i64,
    /// The others, in the order of their numbers.
    pub others: Vec<i64>,
}

impl Space {
    /// Takes in the records that are not rejected and ask something; for `prompt_fields` see [`parts`].
    #[must_use]
    pub fn new(records: &[Record], prompt_fields: Option<&[String]>) -> Self {
        let mut counted: Vec<(i64, Vec<(u64, u32)>)> = records
            .par_iter()
            .filter(|record| record.state.status != Status::Rejected)
            .map(|record| (record.id, counts(record, prompt_fields)))
            .filter(|(_, counts)| !counts.is_empty())
            .collect();
        counted.sort_by_key(|(id, _)| *id);
        let mut frequency: HashMap<u64, u32> = HashMap::new();
        for (run, _) in counted.iter().flat_map(|(_, counts)| counts) {
            *frequency.entry(*run).or_default() += 1;
        }
        let all = counted.len();
        let common = if all < FEW { u32::MAX } else { (COMMON * all as f64) as u32 };
        let mut space = Self::default();
        for (run, _) in counted.iter().flat_map(|(_, counts)| counts) {
            if let Some(found) = frequency.get(run).filter(|found| **found <= common) {
                let next = space.runs.len() as u32;
                let weight = (1.0 + all as f64 / f64::from(*found)).ln() as f32;
                space.runs.entry(*run).or_insert((next, weight));
            }
        }
        space.vectors = counted.par_iter().map(|(_, counts)| space.vector(counts)).collect();
        space.ids = counted.into_iter().map(|(id, _)| id).collect();
        space.holders = vec![Vec::new(); space.runs.len()];
        for (place, vector) in space.vectors.iter().enumerate() {
            for (run, weight) in vector {
                if let Some(holders) = space.holders.get_mut(*run as usize) {
                    holders.push((place as u32, *weight));
                }
            }
        }
        space
    }

    /// The `count` records nearest to `record`, which need not be one of the space's, by cosine, the nearest first; itself
    /// and what it has nothing in common with are left out.
    #[must_use]
    pub fn neighbours(&self, record: &Record, prompt_fields: Option<&[String]>, count: usize) -> Vec<(i64, f32)> {
        let vector = self.vector(&counts(record, prompt_fields));
        let mut scores = Scores::new(self.ids.len());
        scores.add(&vector, &self.holders);
        let mut near: Vec<(i64, f32)> = scores
            .take()
            .filter_map(|(place, score)| Some((*self.ids.get(place as usize)?, score)))
            .filter(|(id, _)| *id != record.id)
            .collect();
        near.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        near.truncate(count);
        near
    }

    /// How much of the space is covered. Needs time in proportion to the pairs of records that share rarer runs of letters:
    /// seconds for ten thousand.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let all = self.ids.len();
        if all == 0 {
            return Coverage::default();
        }
        // For each input the cosine to the nearest other, and the sum of squares over all others.
        let sums: Vec<(f32, f64)> = self
            .vectors
            .par_iter()
            .enumerate()
            .map_init(
                || Scores::new(all),
                |scores, (place, vector)| {
                    scores.add(vector, &self.holders);
                    let others = scores.take().filter(|(other, _)| *other as usize != place);
                    others.fold((0.0, 0.0), |(nearest, squares): (f32, f64), (_, score)| {
                        (nearest.max(score), squares + f64::from(score) * f64::from(score))
                    })
                },
            )
            .collect();
        let squares: f64 = sums.iter().map(|(_, squares)| squares).sum();
        let distance: f64 = sums.iter().map(|(nearest, _)| f64::from((1.0 - nearest).max(0.0))).sum();
        let corners = self.corners();
        let distinct = corners.len();
        let mut crowded: Vec<Corner> = corners.into_iter().filter(|corner| corner.others.len() >= 2).collect();
        crowded.sort_by_key(|corner| (std::cmp::Reverse(corner.others.len()), corner.record));
        crowded.truncate(10);
        let count = all as f64;
        Coverage {
            records: all,
            distinct,
            effective: count * count / (count + squares),
            mean_distance: distance / count,
            crowded,
        }
    }

    /// Every input goes to the nearest of those kept before it, or is kept.
    fn corners(&self) -> Vec<Corner> {
        let mut corners: Vec<Corner> = Vec::new();
        let mut holders: Vec<Vec<(u32, f32)>> = vec![Vec::new(); self.holders.len()];
        let mut scores = Scores::new(self.ids.len());
        for (vector, id) in self.vectors.iter().zip(&self.ids) {
            scores.add(vector, &holders);
            let nearest = scores.take().filter(|(_, score)| *score >= ALIKE);
            let nearest = nearest.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
            if let Some(corner) = nearest.and_then(|(corner, _)| corners.get_mut(corner as usize)) {
                corner.others.push(*id);
                continue;
            }
            for (run, weight) in vector {
                if let Some(holders) = holders.get_mut(*run as usize) {
                    holders.push((corners.len() as u32, *weight));
                }
            }
            corners.push(Corner { record: *id, others: Vec::new() });
        }
        corners
    }

    /// The vector of an input with these runs; those that the space does not know are left out.
    fn vector(&self, counts: &[(u64, u32)]) -> Vec<(u32, f32)> {
        let weighted = counts.iter().filter_map(|(run, count)| {
            let (number, weight) = self.runs.get(run)?;
            Some((*number, (1.0 + (*count as f32).ln()) * weight))
        });
        let mut vector: Vec<(u32, f32)> = weighted.collect();
        vector.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        vector.truncate(FEATURES);
        vector.sort_unstable_by_key(|(run, _)| *run);
        let length = vector.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
        for (_, weight) in &mut vector {
            *weight /= length;
        }
        vector
    }
}

/// Dot products of one vector with many, gathered run by run.
struct Scores {
    scores: Vec<f32>,
    touched: Vec<u32>,
}

impl Scores {
    fn new(count: usize) -> Self {
        Self { scores: vec![0.0; count], touched: Vec::new() }
    }

    fn add(&mut self, vector: &[(u32, f32)], holders: &[Vec<(u32, f32)>]) {
        for (run, own) in vector {
            for (place, weight) in holders.get(*run as usize).into_iter().flatten() {
                if let Some(score) = self.scores.get_mut(*place as usize) {
                    if *score == 0.0 {
                        self.touched.push(*place);
                    }
                    *score += own * weight;
                }
            }
        }
    }

    /// Hands out the products that are not 0, and starts anew.
    fn take(&mut self) -> impl Iterator<Item = (u32, f32)> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().filter_map(|place| {
            let score = std::mem::take(self.scores.get_mut(place as usize)?);
            Some((place, score))
        })
    }
}

/// The runs of letters of a record's input with their counts.
fn counts(record: &Record, prompt_fields: Option<&[String]>) -> Vec<(u64, u32)> {
    let mut runs: Vec<u64> = Vec::new();
    let parts = parts(&record.state.content, prompt_fields);
    let asked = parts.iter().filter(|part| matches!(part.role, Role::Prompt | Role::Reply | Role::Document));
    for part in asked {
        let text = normal(&part.text);
        for word in text.split(' ') {
            let letters: Vec<char> = word.chars().collect();
            let wide = letters.iter().any(|c| is_wide(*c));
            let code = |letters: &[char]| join(7, letters.iter().map(|c| u64::from(u32::from(*c))));
            if wide && letters.len() > 1 {
                runs.extend(letters.windows(2).map(code));
            } else {
                let bounded: Vec<char> = std::iter::once(' ').chain(letters).chain(std::iter::once(' ')).collect();
                runs.extend(bounded.windows(3).map(code));
            }
        }
    }
    runs.sort_unstable();
    runs.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len() as u32))).collect()
}

#[cfg(test)]
mod tests;
