//! What the answers to one instruction look like: counted once, so that a check can tell an outlier from the task's own way.

use std::collections::HashMap;

use super::index::{Facts, Said};
use super::text::Language;

/// Records from which an instruction has figures of its own; smaller ones are taken together.
pub const OWN: usize = 10;

/// Counts over the records that share an instruction.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Records.
    pub records: usize,
    /// Records with an answer that says something or is a filler.
    pub answered: usize,
    /// Answers that are JSON lists or objects.
    pub json: usize,
    /// Answers that stand word for word in their prompt.
    pub quoted: usize,
    /// Answers with each kind of markup: tags, entities, placeholders.
    pub markup: [usize; 3],
    /// Equal answers, by their number.
    pub answers: HashMap<u64, usize>,
    /// Answers whose language, and whose prompt's, is known.
    pub told: usize,
    /// The same, by the answer's language.
    pub languages: HashMap<Language, usize>,
    /// Log lengths of answers in narrow and in wide letters: count, sum, sum of squares.
    pub lengths: [[f64; 3]; 2],
}

impl Group {
    /// Counts a record in, or out with a sign of −1.
    pub(super) fn tally(&mut self, facts: &Facts, add: bool) {
        let step = |count: &mut usize| *count = if add { *count + 1 } else { count.saturating_sub(1) };
        step(&mut self.records);
        if facts.said != Said::Something {
            return;
        }
        step(&mut self.answered);
        if facts.json {
            step(&mut self.json);
        }
        if facts.quoted {
            step(&mut self.quoted);
        }
        for (count, has) in self.markup.iter_mut().zip(facts.markup) {
            if has {
                step(count);
            }
        }
        if let Some(answer) = facts.answer {
            let count = self.answers.entry(answer).or_default();
            step(count);
            if *count == 0 {
                self.answers.remove(&answer);
            }
        }
        if let Some(language) = facts.language.filter(|_| !facts.asked_in.is_empty()) {
            step(&mut self.told);
            step(self.languages.entry(language).or_default());
        }
        if let Some(length) = facts.log_length {
            let sign = if add { 1.0 } else { -1.0 };
            let [narrow, wide] = &mut self.lengths;
            let sums = if facts.wide { wide } else { narrow };
            for (sum, value) in sums.iter_mut().zip([1.0, length, length * length]) {
                *sum += sign * value;
            }
        }
    }

    /// Share of the answers, 0 where there are none.
    #[must_use]
    pub fn share(&self, count: usize) -> f64 {
        if self.answered == 0 { 0.0 } else { count as f64 / self.answered as f64 }
    }

    /// Whether the answers are JSON lists or objects, nine in ten (formats.md).
    #[must_use]
    pub fn wants_json(&self) -> bool {
        self.answered >= OWN && self.share(self.json) >= 0.9
    }

    /// Whether a kind of markup that so many answers have is the task's own: a tenth of them, and more than the first few of
    /// a set, which cannot show what is usual.
    #[must_use]
    pub fn is_usual(&self, count: usize) -> bool {
        self.share(count) >= 0.1 && count > 3
    }

    /// Whether a language is that of three in ten answers, so that it is the task's.
    #[must_use]
    pub fn is_usual_language(&self, language: Language) -> bool {
        let alike = self.languages.iter().filter(|(other, _)| other.may_be(language));
        let alike: usize = alike.map(|(_, count)| *count).sum();
        self.told >= OWN && alike as f64 > 0.3 * self.told as f64
    }

    /// Whether an answer is right or wrong here rather than better or worse: a label out of few, JSON, or words taken from
    /// the prompt.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        /// Answers from which the share of different ones says something.
        const ENOUGH: usize = 20;
        let labels = self.answered >= ENOUGH && self.answers.len() * 5 <= self.answered;
        self.wants_json() || labels || self.answered >= OWN && self.share(self.quoted) >= 0.8
    }

    /// Mean and standard deviation of the log length of the answers in wide or in narrow letters; `None` for fewer than 20.
    #[must_use]
    pub fn length(&self, wide: bool) -> Option<(f64, f64)> {
        const ENOUGH: f64 = 20.0;
        let [narrow_letters, wide_letters] = self.lengths;
        let [count, sum, squares] = if wide { wide_letters } else { narrow_letters };
        (count >= ENOUGH).then(|| {
            let mean = sum / count;
            (mean, (squares / count - mean * mean).max(0.0).sqrt())
        })
    }
}
