//! An answer in a language that no part of its prompt is in.
//!
//! A task may ask for that: where most answers to an instruction are in the language, where its words say so ("translate",
//! 「英語で」), or by setting, there is no alarm. JSON, labels, names and short answers have no language.

use std::sync::LazyLock;

use regex::Regex;

use super::super::text::Language;
use super::super::{Check, Finding, Look, Scope, Severity};

/// `language`.
pub struct LanguageCheck;

/// Share of an instruction's answers from which their language is the task's.
const USUAL: f64 = 0.3;

static ASKED_FOR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\btranslat|\b(?:in|into|to) (?:english|japanese|french|german|spanish|italian|portuguese|chinese|korean|russian|arabic|dutch)\b",
        r"|翻訳|[英和独仏中]訳|訳し|(?:英|日本|中国|韓国|フランス|ドイツ|スペイン)語(?:で|に|訳|の(?:文|単語|名))",
    ))
    .ok()
});

impl Check for LanguageCheck {
    fn name(&self) -> &'static str {
        "language"
    }

    fn why(&self) -> &'static str {
        "an answer in another language than its question teaches the model to change languages"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let (Some(language), Some(part)) = (look.facts.language, look.answer()) else { return Vec::new() };
        let asked_in = &look.facts.asked_in;
        let agrees = asked_in.iter().any(|asked| asked.may_be(language));
        if look.index.settings().answers_in_another_language || asked_in.is_empty() || agrees {
            return Vec::new();
        }
        let group = look.index.group(look.facts);
        let alike: usize =
            group.languages.iter().filter(|(other, _)| other.may_be(language)).map(|(_, count)| *count).sum();
        let usual = group.told >= super::super::group::OWN && alike as f64 > USUAL * group.told as f64;
        let asked = look.parts.iter().filter(|part| part.role.is_asked());
        let asked_for = asked.clone().any(|part| ASKED_FOR.as_ref().is_some_and(|asks| asks.is_match(&part.text)));
        if usual || asked_for {
            return Vec::new();
        }
        let names: Vec<&str> = asked_in.iter().map(|language: &Language| language.name()).collect();
        let reason = format!("the prompt is in {}, the answer in {}", names.join(" and "), language.name());
        vec![look.finding(self.name(), Severity::Warning, reason).over(part)]
    }
}
