//! What looking up the most similar training pair would score: the floor that a tuned model has to beat to have learned
//! more than its examples.
//!
//! Texts are bags of character trigrams (of the text in lower case, white space as single spaces, a space at each end;
//! the same for English and Japanese), weighted by how often they occur times how rare they are in the training texts,
//! and compared by cosine. Of equally near texts the earliest wins.

use std::collections::HashMap;

const GRAM: usize = 3;

type Gram = [char; GRAM];

/// Training inputs, ready to be looked up.
pub struct Nearest {
    /// For each trigram the training texts that hold it, with their weights (unit length a text).
    postings: HashMap<Gram, Vec<(usize, f64)>>,
    rarity: HashMap<Gram, f64>,
    texts: usize,
}

impl Nearest {
    /// Takes the inputs of the training pairs.
    pub fn new<S: AsRef<str>>(inputs: &[S]) -> Self {
        let bags: Vec<Vec<(Gram, f64)>> = inputs.iter().map(|input| bag(input.as_ref())).collect();
        let mut seen: HashMap<Gram, f64> = HashMap::new();
        for (gram, _) in bags.iter().flatten() {
            *seen.entry(*gram).or_default() += 1.0;
        }
        // Inverse document frequency, smoothed so that a trigram in every text still counts a little.
        let rarity: HashMap<Gram, f64> =
            seen.into_iter().map(|(gram, n)| (gram, ((1.0 + inputs.len() as f64) / (1.0 + n)).ln() + 1.0)).collect();
        let mut postings: HashMap<Gram, Vec<(usize, f64)>> = HashMap::new();
        for (text, bag) in bags.into_iter().enumerate() {
            let weight = |(gram, count): &(Gram, f64)| count * rarity.get(gram).copied().unwrap_or_default();
            let length = bag.iter().map(weight).map(|w| w * w).sum::<f64>().sqrt();
            for item in &bag {
                postings.entry(item.0).or_default().push((text, weight(item) / length));
            }
        }
        Self { postings, rarity, texts: inputs.len() }
    }

    /// The place of the training input nearest to `input`; `None` where it shares no trigram with any.
    #[must_use]
    pub fn find(&self, input: &str) -> Option<usize> {
        let mut likeness = vec![0.0; self.texts];
        for (gram, count) in bag(input) {
            let weight = count * self.rarity.get(&gram).copied().unwrap_or_default();
            for &(text, other) in self.postings.get(&gram).into_iter().flatten() {
                if let Some(sum) = likeness.get_mut(text) {
                    *sum += weight * other;
                }
            }
        }
        let better = |best: Option<(usize, f64)>, (i, &x): (usize, &f64)| {
            if x > best.map_or(0.0, |(_, most)| most) { Some((i, x)) } else { best }
        };
        likeness.iter().enumerate().fold(None, better).map(|(i, _)| i)
    }
}

/// Trigrams with their counts, in the order of first appearance (so that sums are made in one order).
fn bag(text: &str) -> Vec<(Gram, f64)> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let chars: Vec<char> = format!(" {} ", words.join(" ")).chars().collect();
    let mut places: HashMap<Gram, usize> = HashMap::new();
    let mut bag: Vec<(Gram, f64)> = Vec::new();
    for gram in chars.windows(GRAM).filter_map(|w| Gram::try_from(w).ok()) {
        let place = *places.entry(gram).or_insert(bag.len());
        match bag.get_mut(place) {
            Some((_, count)) => *count += 1.0,
            None => bag.push((gram, 1.0)),
        }
    }
    bag
}
