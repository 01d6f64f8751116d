//! A metric as a report sees it: a column of scores, and how rows become one figure.

use serde::{Deserialize, Serialize};

use super::super::metrics::{Bleu, FieldF1};

/// What a column of scores is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name in JSON: `exact`, `f1`, `rouge_l` …
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// The tokens it counts: `13a`, characters, …; empty where it counts none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tokens: String,
    /// How rows become one figure.
    pub pool: Pool,
}

/// How rows become one figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// The mean of the rows' scores.
    #[default]
    Mean,
    /// BLEU of the whole corpus, from the rows' counts.
    CorpusBleu,
    /// F1 of all rows' fields together (micro-averaged).
    MicroF1,
}

/// Counts of a row that a pooled metric adds up.
pub type Sums = [u64; 10];

impl Pool {
    /// The figure, 0 to 1, of summed counts.
    fn of(self, sums: &Sums) -> f64 {
        match self {
            Self::Mean => 0.0,
            Self::CorpusBleu => Bleu::of_sums(sums) / 100.0,
            Self::MicroF1 => FieldF1::new(sums[0], sums[1], sums[2]).f1,
        }
    }

    pub(super) fn over(self, rows: &[Sums], chosen: &[usize]) -> f64 {
        let mut sums = Sums::default();
        for row in chosen.iter().filter_map(|&at| rows.get(at)) {
            sums.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        self.of(&sums)
    }
}

impl Metric {
    /// Its name with the tokens it counts.
    #[must_use]
    pub fn label(&self) -> String {
        if self.tokens.is_empty() { self.name.clone() } else { format!("{} ({})", self.name, self.tokens) }
    }
}
