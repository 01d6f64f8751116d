//! Short answers: exact matches under five readings, bags of tokens, and edit distances.

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::{Prf, prf};
use crate::evaluate::tokens::{Class, white};

/// Whether an answer equals a reference, 0 or 1, by what is taken for equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ExactMatch {
    /// The same code points.
    pub raw: f64,
    /// The same without white space at the ends.
    pub strip: f64,
    /// The same in [`nfkc`] form.
    pub nfkc: f64,
    /// The same in [`squad`] form.
    pub squad: f64,
    /// The same in [`aio`] form.
    pub aio: f64,
}

impl ExactMatch {
    /// Compares an answer with the references.
    pub fn of(answer: &str, references: &[&str]) -> Self {
        Self {
            raw: any(answer, references, str::to_owned),
            strip: any(answer, references, |text| white::strip(text).to_owned()),
            nfkc: any(answer, references, nfkc),
            squad: any(answer, references, squad),
            aio: any(answer, references, aio),
        }
    }
}

/// 1 where the answer equals a reference once both are in a form.
fn any(answer: &str, references: &[&str], form: impl Fn(&str) -> String) -> f64 {
    let own = form(answer);
    if references.iter().any(|reference| form(reference) == own) { 1.0 } else { 0.0 }
}

/// Compatibility forms made one (NFKC), lower case, runs of white space as single blanks, none at the ends.
#[must_use]
pub fn nfkc(text: &str) -> String {
    white::words(&folded(text)).collect::<Vec<_>>().join(" ")
}

fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfkc().collect::<String>().to_lowercase() }
}

/// The form of the `SQuAD` script (P. Rajpurkar et al., 2016): lower case, without ASCII punctuation, without the words
/// a, an and the, runs of white space as single blanks.
#[must_use]
pub fn squad(text: &str) -> String {
    let mut lower = text.to_lowercase();
    lower.retain(|c| !c.is_ascii_punctuation());
    // A word, as Python's `\b` sees it, is a run of letters, digits and other numbers (and `_`, which is gone).
    let of_word = |c: char| Class::Letter.holds(c) || Class::Number.holds(c);
    let mut rest = lower.as_str();
    let mut kept = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let inside = of_word(first);
        let end = rest.find(|c| of_word(c) != inside).unwrap_or(rest.len());
        let (run, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        kept.push_str(if matches!(run, "a" | "an" | "the") { " " } else { run });
        rest = after;
    }
    white::words(&kept).collect::<Vec<_>>().join(" ")
}

/// The form of the Japanese quiz competition AI王 (AIO) and of JAQKET's official scoring: the wave dashes made one,
/// NFKC, lower case, out of their quotation marks 「」 and 『』, without ・ = - and white space, without what stands in
/// parentheses.
#[must_use]
pub fn aio(text: &str) -> String {
    let form = folded(&text.replace('\u{ff5e}', "\u{301c}"));
    let chars = unwrapped(form.chars().collect(), ('「', '」'), true);
    let mut chars = unwrapped(chars, ('『', '』'), true);
    chars.retain(|c| !matches!(c, '・' | '=' | '-') && !white::is_space(*c));
    unwrapped(chars, ('(', ')'), false).into_iter().collect()
}

/// Takes away pairs of marks, from each opening one to the next closing one in its line; what is between stays or goes.
fn unwrapped(chars: Vec<char>, (open, close): (char, char), keep: bool) -> Vec<char> {
    if !chars.contains(&open) {
        return chars;
    }
    // For each place, how far the next closing mark of the line is.
    let mut closing = vec![None; chars.len()];
    let mut next = None;
    for ((at, c), closing) in chars.iter().enumerate().zip(closing.iter_mut()).rev() {
        if *c == close {
            next = Some(at);
        } else if *c == '\n' {
            next = None;
        }
        *closing = next;
    }
    let mut out = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        match closing.get(at + 1).copied().flatten() {
            Some(end) if *c == open => {
                if keep {
                    out.extend_from_slice(chars.get(at + 1..end).unwrap_or_default());
                }
                at = end + 1;
            }
            _ => {
                out.push(*c);
                at += 1;
            }
        }
    }
    out
}

/// Precision, recall and F1 of the words in [`squad`] form, as bags, against the reference with the best F1.
pub fn f1_squad(answer: &str, references: &[&str]) -> Prf {
    bags(answer, references, |text| white::words(&squad(text)).map(str::to_owned).collect())
}

/// The same of the characters: NFKC, lower case, without white space and punctuation (Unicode's P).
pub fn f1_char(answer: &str, references: &[&str]) -> Prf {
    bags(answer, references, |text| {
        folded(text).chars().filter(|c| !white::is_space(*c) && !Class::Punctuation.holds(*c)).collect()
    })
}

fn bags<T: Ord>(answer: &str, references: &[&str], cut: impl Fn(&str) -> Vec<T>) -> Prf {
    let sorted = |text: &str| {
        let mut bag = cut(text);
        bag.sort_unstable();
        bag
    };
    let own = sorted(answer);
    let mut best: Option<Prf> = None;
    for reference in references {
        let other = sorted(reference);
        let found = if own.is_empty() && other.is_empty() {
            [1.0; 3]
        } else {
            prf(shared(&own, &other), own.len() as u64, other.len() as u64)
        };
        let [_, _, f1] = found;
        if best.is_none_or(|[_, _, most]| f1 > most) {
            best = Some(found);
        }
    }
    best.unwrap_or_default()
}

/// How many items two sorted bags share.
fn shared<T: Ord>(mut a: &[T], mut b: &[T]) -> u64 {
    let mut count = 0;
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
        let order = x.cmp(y);
        count += u64::from(order.is_eq());
        a = if order.is_le() { rest_a } else { a };
        b = if order.is_ge() { rest_b } else { b };
    }
    count
}

/// Levenshtein distance in code points, to the nearest reference; the answer's length where there is none.
pub fn levenshtein(answer: &str, references: &[&str]) -> usize {
    let distances = references
        .iter()
        .map(|reference| rapidfuzz::distance::levenshtein::distance(answer.chars(), reference.chars()));
    distances.min().unwrap_or_else(|| answer.chars().count())
}

/// 1 − the least number of insertions and deletions / the lengths of both, in code points: 1 for equal texts, 0 for
/// texts with nothing in common. The best over the references.
pub fn indel_ratio(answer: &str, references: &[&str]) -> f64 {
    let ratio = |reference: &&str| rapidfuzz::distance::indel::normalized_similarity(answer.chars(), reference.chars());
    references.iter().map(ratio).fold(0.0, f64::max)
}

/// The indel ratio of the texts in [`aio`] form, to whole per cents (halves to even), as flexeval's `CharF1` has it;
/// the best over the references.
pub fn aio_fuzz(answer: &str, references: &[&str]) -> f64 {
    let own = aio(answer);
    let per_cent = |reference: &&str| (100.0 * indel_ratio(&own, &[&aio(reference)])).round_ties_even() / 100.0;
    references.iter().map(per_cent).fold(0.0, f64::max)
}
