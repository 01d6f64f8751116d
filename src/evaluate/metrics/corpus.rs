//! Many answers together: means, and the metrics that sum counts before they divide.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Bleu, Bleus, FieldF1, Rouge, RowScores, bleu, chrf};
use crate::evaluate::mecab::Mecab;

/// The scores of many answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CorpusScores {
    /// How many answers.
    pub n: usize,
    /// BLEU over all of them, by tokens, with signatures.
    pub bleu: Bleus,
    /// chrF over all of them.
    pub chrf: Chrfs,
    /// Means over the answers, in the order of [`RowScores::figures`].
    #[serde(serialize_with = "by_name")]
    pub mean: Vec<(&'static str, f64)>,
    /// Of those answers whose references are JSON; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonTotals>,
}

/// chrF and chrF++ over a corpus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chrfs {
    #[serde(rename = "chrF2")]
    pub chrf2: Chrf,
    #[serde(rename = "chrF2++")]
    pub chrf2pp: Chrf,
}

/// A score over a corpus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chrf {
    /// 0 to 100.
    pub score: f64,
    /// How it was made.
    pub signature: String,
}

/// Answers that were to be JSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct JsonTotals {
    /// How many.
    pub n: usize,
    /// Share of them that are JSON.
    pub valid: f64,
    /// Share of them that are a reference in canonical form.
    pub exact: f64,
    /// Their leaves, micro-averaged.
    pub fields: FieldF1,
}

fn by_name<S: Serializer>(means: &[(&'static str, f64)], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(means.len()))?;
    for (name, mean) in means {
        map.serialize_entry(name, mean)?;
    }
    map.end()
}

/// Puts scored answers together; the parts for Japanese words are there where all answers have them. `words` is the
/// dictionary they were made with, for the signature.
#[must_use]
pub fn corpus<'a>(rows: impl IntoIterator<Item = &'a RowScores>, words: Option<&Mecab>) -> CorpusScores {
    let rows: Vec<&RowScores> = rows.into_iter().collect();
    let mut counts = rows.iter().map(|row| row.references);
    let first = counts.next().unwrap_or(0);
    let references = counts.all(|count| count == first).then_some(first);
    let bleu = |of: fn(&RowScores) -> &Bleu, tokens: &str, lowercase: bool| {
        bleu::corpus(rows.iter().map(|row| of(row)), tokens, lowercase, references)
    };
    let japanese: Option<Vec<&Bleu>> = rows.iter().map(|row| row.bleu.ja_mecab.as_ref()).collect();
    let ja_mecab = japanese.zip(words).map(|(rows, words)| bleu::corpus(rows, &words.signature(), false, references));
    CorpusScores {
        n: rows.len(),
        bleu: Bleus {
            mteval13a: bleu(|row| &row.bleu.mteval13a, "13a", false),
            mteval13a_lc: bleu(|row| &row.bleu.mteval13a_lc, "13a", true),
            intl: bleu(|row| &row.bleu.intl, "intl", false),
            char: bleu(|row| &row.bleu.char, "char", false),
            ja_mecab,
            none: bleu(|row| &row.bleu.none, "none", false),
        },
        chrf: Chrfs { chrf2: total_chrf(&rows, 0, references), chrf2pp: total_chrf(&rows, 1, references) },
        mean: means(&rows),
        json: json(&rows),
    }
}

/// chrF (0) or chrF++ (1) from the summed counts.
fn total_chrf(rows: &[&RowScores], which: usize, references: Option<usize>) -> Chrf {
    let mut sum = chrf::Stats::default();
    for stats in rows.iter().filter_map(|row| row.chrf.get(which)) {
        sum.add(stats);
    }
    Chrf { score: sum.score(), signature: chrf::signature(which == 1, references) }
}

/// The mean of each figure over the answers that have it.
fn means(rows: &[&RowScores]) -> Vec<(&'static str, f64)> {
    let mut sums: Vec<(&'static str, f64, usize)> = Vec::new();
    for row in rows {
        for (name, value) in row.figures() {
            match sums.iter_mut().find(|(known, _, _)| *known == name) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1;
                }
                None => sums.push((name, value, 1)),
            }
        }
    }
    sums.into_iter().map(|(name, sum, count)| (name, sum / count as f64)).collect()
}

fn json(rows: &[&RowScores]) -> Option<JsonTotals> {
    let scored: Vec<(f64, f64, FieldF1)> =
        rows.iter().filter_map(|row| Some((row.json_valid?, row.json_exact?, row.json_f1?))).collect();
    let n = scored.len();
    let mean = |of: fn(&(f64, f64, FieldF1)) -> f64| scored.iter().map(of).sum::<f64>() / n as f64;
    (n > 0).then(|| JsonTotals {
        n,
        valid: mean(|row| row.0),
        exact: mean(|row| row.1),
        fields: FieldF1::micro(scored.iter().map(|row| row.2)),
    })
}

/// The names of ROUGE's F1 by tokens: ROUGE-1, -2, -L, -Lsum.
type RougeNames = [&'static str; 4];
const DEFAULT: RougeNames = ["rouge1_default_f", "rouge2_default_f", "rougeL_default_f", "rougeLsum_default_f"];
const STEM: RougeNames = ["rouge1_stem_f", "rouge2_stem_f", "rougeL_stem_f", "rougeLsum_stem_f"];
const CHAR: RougeNames = ["rouge1_char_f", "rouge2_char_f", "rougeL_char_f", "rougeLsum_char_f"];
const MECAB: RougeNames = ["rouge1_mecab_f", "rouge2_mecab_f", "rougeL_mecab_f", "rougeLsum_mecab_f"];

impl RowScores {
    /// Every score as one number with its name, in one order: those that have precision, recall and F1 by their F1.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let [_, _, f1_squad] = self.f1_squad;
        let [_, _, f1_char] = self.f1_char;
        let mut figures = vec![
            ("em_raw", self.em.raw),
            ("em_strip", self.em.strip),
            ("em_nfkc", self.em.nfkc),
            ("em_squad", self.em.squad),
            ("em_aio", self.em.aio),
            ("f1_squad", f1_squad),
            ("f1_char", f1_char),
            ("lev", self.lev as f64),
            ("indel_ratio", self.indel_ratio),
            ("aio_fuzz", self.aio_fuzz),
        ];
        let rouges = [
            (DEFAULT, Some(self.rouge.default)),
            (STEM, Some(self.rouge.stem)),
            (CHAR, Some(self.rouge.char)),
            (MECAB, self.rouge.mecab),
        ];
        for (names, rouge) in rouges {
            let Some(Rouge { rouge1, rouge2, rouge_l, rouge_lsum }) = rouge else { continue };
            figures.extend(names.into_iter().zip([rouge1, rouge2, rouge_l, rouge_lsum].map(|[_, _, f1]| f1)));
        }
        let bleus = [
            ("bleu_13a", Some(&self.bleu.mteval13a)),
            ("bleu_13a_lc", Some(&self.bleu.mteval13a_lc)),
            ("bleu_intl", Some(&self.bleu.intl)),
            ("bleu_char", Some(&self.bleu.char)),
            ("bleu_ja-mecab", self.bleu.ja_mecab.as_ref()),
            ("bleu_none", Some(&self.bleu.none)),
        ];
        figures.extend(bleus.into_iter().filter_map(|(name, bleu)| Some((name, bleu?.score))));
        figures.extend([("chrF2", self.chrf2), ("chrF2++", self.chrf2pp)]);
        let json = [
            ("json_valid", self.json_valid),
            ("json_exact", self.json_exact),
            ("json_f1", self.json_f1.map(|fields| fields.f1)),
        ];
        figures.extend(json.into_iter().filter_map(|(name, value)| Some((name, value?))));
        figures
    }
}
