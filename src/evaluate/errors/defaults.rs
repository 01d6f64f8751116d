//! The categories of a project that names none.

use super::rules::{Language, Length, NotEqual, Refused, To, Unit, ValidJson};
use super::{Category, Cause, Rule};

/// An answer over this many times the longest right one, and [`SLACK`] more, is verbose.
const VERBOSE: f64 = 2.0;
/// Characters that any answer may be longer: next to a one-word answer, a short sentence is not verbose yet.
const SLACK: u32 = 40;

/// `wrong-format`, `empty`, `verbose`, `language` and `refused`, which are behaviour; and `wrong`, taken for a lack of
/// knowledge, where none of these explains why an answer is not the right one.
#[must_use]
pub fn defaults() -> Vec<Category> {
    let category = |name: &str, doc: &str, cause, rule| Category {
        name: name.to_owned(),
        doc: doc.to_owned(),
        cause,
        rules: vec![rule],
    };
    let empty = Length { min: Some(1), ..Length::default() };
    let verbose = Length { unit: Unit::Characters, max_ratio: Some(VERBOSE), slack: SLACK, ..Length::default() };
    vec![
        category(
            "wrong-format",
            "The right answer is JSON and this one is not",
            Cause::Behaviour,
            Rule::ValidJson(ValidJson { where_gold_is: true }),
        ),
        category("empty", "There is no answer", Cause::Behaviour, Rule::Length(empty)),
        category("verbose", "The answer is far longer than the right one", Cause::Behaviour, Rule::Length(verbose)),
        category(
            "language",
            "The answer is in another language than the right one",
            Cause::Behaviour,
            Rule::Language(Language { is: None }),
        ),
        category(
            "refused",
            "The model declines to answer, and should not",
            Cause::Behaviour,
            Rule::Refused(Refused::default()),
        ),
        category(
            "wrong",
            "The answer is not the right one, and no other error explains it",
            Cause::Knowledge,
            Rule::NotEqual(NotEqual { to: To::Gold, otherwise: true }),
        ),
    ]
}
