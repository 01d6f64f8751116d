//! The categories of a project that names none.

use super::rules::{Language, Length, NotEqual, Refused, To, Unit, ValidJson};
use super::{Category, Cause, Rule};

/// An answer over this many times the longest right one, and [`SLACK`] more, is verbose.
const VERBOSE: f64 = 2.0;
/// Characters that any answer may be longer: next to a one-word answer, a short sentence is not verbose yet.
const SLACK: u32 = 40;

/// `wrong-format`, `empty`, `verbose`, `language` and `refused`, which are behaviour; `off-task`, which is behaviour too, and
/// `wrong-fact`, a lack of knowledge, which only people find; and `wrong`, of which nobody can tell the cause by a rule, where
/// none of these explains why an answer is not the right one.
#[must_use]
pub fn defaults() -> Vec<Category> {
    let category = |name: &str, doc: &str, cause, rule: Option<Rule>| Category {
        name: name.to_owned(),
        doc: doc.to_owned(),
        cause,
        rules: rule.into_iter().collect(),
    };
    let empty = Length { min: Some(1), ..Length::default() };
    let verbose = Length { unit: Unit::Characters, max_ratio: Some(VERBOSE), slack: SLACK, ..Length::default() };
    vec![
        category(
            "wrong-format",
            "The right answer is JSON and this one is not",
            Cause::Behaviour,
            Some(Rule::ValidJson(ValidJson { where_gold_is: true })),
        ),
        category("empty", "There is no answer", Cause::Behaviour, Some(Rule::Length(empty))),
        category(
            "verbose",
            "The answer is far longer than the right one",
            Cause::Behaviour,
            Some(Rule::Length(verbose)),
        ),
        category(
            "language",
            "The answer is in another language than the right one",
            Cause::Behaviour,
            Some(Rule::Language(Language { is: None })),
        ),
        category(
            "refused",
            "The model declines to answer, and should not",
            Cause::Behaviour,
            Some(Rule::Refused(Refused::default())),
        ),
        category("off-task", "The answer does something else than what was asked", Cause::Behaviour, None),
        category("wrong-fact", "The answer says what is not so", Cause::Knowledge, None),
        category(
            "wrong",
            "The answer is not the right one, and no other error explains it",
            Cause::Unknown,
            Some(Rule::NotEqual(NotEqual { to: To::Gold, otherwise: true })),
        ),
    ]
}
