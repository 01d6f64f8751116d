//! BLEU (Papineni et al., "BLEU: a method for automatic evaluation of machine translation", 2002) as sacreBLEU 2.6.0
//! computes it: n-grams of 1 to 4 tokens, exponential smoothing.

use serde::Serialize;

use super::VERSION;
use super::grams::{Grams, WORD};

/// Lengths of n-grams.
const ORDERS: usize = 4;

/// What a precision of 0 counts for as a logarithm, in the reference.
const LOG_ZERO: f64 = -9_999_999_999.0;

/// BLEU of an answer or of a corpus.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bleu {
    /// 0 to 100.
    pub score: f64,
    /// n-grams of the answer that a reference has, by length.
    pub counts: [u64; ORDERS],
    /// n-grams of the answer.
    pub totals: [u64; ORDERS],
    /// Per cent, after smoothing; 0 where nothing matched or an answer is too short for the length.
    pub precisions: [f64; ORDERS],
    /// Brevity penalty, 0 to 1.
    pub bp: f64,
    /// Tokens of the answer.
    pub sys_len: u64,
    /// Tokens of the reference nearest in length, the shorter one of two; 0 where there is none.
    pub ref_len: u64,
    /// How the score was made; of a corpus only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// BLEU of one answer, with the effective order: lengths that the answer is too short for do not count.
pub fn sentence(answer: &[u32], references: &[Vec<u32>]) -> Bleu {
    let mut bleu = Bleu { sys_len: answer.len() as u64, ..Bleu::default() };
    let nearest = references.iter().map(Vec::len).min_by_key(|len| (len.abs_diff(answer.len()), *len));
    bleu.ref_len = nearest.unwrap_or(0) as u64;
    for (n, (count, total)) in (1..).zip(bleu.counts.iter_mut().zip(&mut bleu.totals)) {
        let own = Grams::count(answer, n, WORD);
        let right = references.iter().map(|reference| Grams::count(reference, n, WORD));
        *count = right.reduce(|a, b| a.most(&b)).map_or(0, |right| own.matched(&right));
        *total = own.total();
    }
    bleu.finish(true)
}

/// BLEU of all answers together, from those of each: what is counted is summed, then divided. All lengths count.
///
/// `tokens`, `lowercase` and `references` (how many each answer has, `None` where that varies) go into the signature.
pub fn corpus<'a>(
    rows: impl IntoIterator<Item = &'a Bleu>,
    tokens: &str,
    lowercase: bool,
    references: Option<usize>,
) -> Bleu {
    let mut bleu = Bleu::default();
    for row in rows {
        bleu.sys_len += row.sys_len;
        bleu.ref_len += row.ref_len;
        bleu.counts.iter_mut().zip(&row.counts).for_each(|(sum, count)| *sum += count);
        bleu.totals.iter_mut().zip(&row.totals).for_each(|(sum, total)| *sum += total);
    }
    let case = if lowercase { "lc" } else { "mixed" };
    let nrefs = super::nrefs(references);
    bleu.signature = Some(format!("nrefs:{nrefs}|case:{case}|eff:no|tok:{tokens}|smooth:exp|version:{VERSION}"));
    bleu.finish(false)
}

impl Bleu {
    /// What of it is summed over a corpus: counts, totals and the two lengths.
    #[must_use]
    pub fn sums(&self) -> [u64; 2 * ORDERS + 2] {
        let mut sums = [0; 2 * ORDERS + 2];
        let parts = self.counts.iter().chain(&self.totals).chain([&self.sys_len, &self.ref_len]);
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum = *part);
        sums
    }

    /// A corpus' score, 0 to 100, from the sums of its rows.
    #[must_use]
    pub fn of_sums(sums: &[u64; 2 * ORDERS + 2]) -> f64 {
        let mut bleu = Self::default();
        let parts = bleu.counts.iter_mut().chain(&mut bleu.totals).chain([&mut bleu.sys_len, &mut bleu.ref_len]);
        parts.zip(sums).for_each(|(part, sum)| *part = *sum);
        bleu.finish(false).score
    }

    /// Fills in what follows from the counts.
    fn finish(mut self, effective: bool) -> Self {
        let (sys, right) = (self.sys_len as f64, self.ref_len as f64);
        self.bp = match self.sys_len {
            _ if self.sys_len >= self.ref_len => 1.0,
            0 => 0.0,
            _ => (1.0 - right / sys).exp(),
        };
        if self.counts.iter().all(|count| *count == 0) {
            return self;
        }
        let mut halved = 1.0;
        let mut reached = 0;
        for (precision, (&count, &total)) in self.precisions.iter_mut().zip(self.counts.iter().zip(&self.totals)) {
            if total == 0 {
                break;
            }
            reached += 1;
            // NIST's smoothing: the first length without a match counts as half a match, the next as a quarter.
            *precision = if count == 0 {
                halved *= 2.0;
                100.0 / (halved * total as f64)
            } else {
                100.0 * count as f64 / total as f64
            };
        }
        let order = if effective { reached } else { ORDERS };
        let log = |p: &f64| if *p > 0.0 { p.ln() } else { LOG_ZERO };
        let sum: f64 = self.precisions.iter().take(order).map(log).sum();
        self.score = self.bp * (sum / order as f64).exp();
        self
    }
}
