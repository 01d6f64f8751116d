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

/// A task that changes languages, whichever they are.
static TRANSLATES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)(?-u:\b)translat|翻訳|[英和独仏中]訳|訳し").ok());

/// Languages that a prompt can ask for by name.
static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?P<eng>(?-u:\b)english(?-u:\b)|英語)|(?P<jpn>(?-u:\b)japanese(?-u:\b)|日本語)|(?P<cmn>(?-u:\b)chinese(?-u:\b)|中国語)|(?P<kor>(?-u:\b)korean(?-u:\b)|韓国語)",
        r"|(?P<fra>(?-u:\b)french(?-u:\b)|フランス語)|(?P<deu>(?-u:\b)german(?-u:\b)|ドイツ語)|(?P<spa>(?-u:\b)spanish(?-u:\b)|スペイン語)",
        r"|(?P<ita>(?-u:\b)italian(?-u:\b)|イタリア語)|(?P<por>(?-u:\b)portuguese(?-u:\b)|ポルトガル語)|(?P<rus>(?-u:\b)russian(?-u:\b)|ロシア語)",
        r"|(?P<lat>ローマ字|(?-u:\b)romaji(?-u:\b)|ラテン語|アルファベット)",
    ))
    .ok()
});

/// Whether a prompt asks, by its words, for an answer in a language.
fn asks_for(prompt: &str, language: Language) -> bool {
    if TRANSLATES.as_ref().is_some_and(|translates| translates.is_match(prompt)) {
        return true;
    }
    let named = NAMES.iter().flat_map(|names| names.captures_iter(prompt));
    let languages = named.filter_map(|hit| {
        let codes = ["eng", "fra", "deu", "spa", "ita", "por"];
        let other = ["jpn", "cmn", "kor", "rus"];
        match (
            codes.into_iter().find(|code| hit.name(code).is_some()),
            other.into_iter().find(|code| hit.name(code).is_some()),
        ) {
            (Some(code), _) => Some(Language::Spoken(code, true)),
            (_, Some("jpn")) => Some(Language::Japanese),
            (_, Some("cmn")) => Some(Language::Chinese),
            (_, Some("kor")) => Some(Language::Korean),
            (_, Some(code)) => Some(Language::Spoken(code, false)),
            _ => hit.name("lat").map(|_| Language::Latin),
        }
    });
    languages.into_iter().any(|asked| asked.may_be(language))
}

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
        let usual = group.is_usual_language(language);
        let mut asked = look.parts.iter().filter(|part| part.role.is_asked());
        let asked_for = asked.any(|part| asks_for(&part.text, language));
        if usual || asked_for {
            return Vec::new();
        }
        let names: Vec<&str> = asked_in.iter().map(|language: &Language| language.name()).collect();
        let reason = format!("the prompt is in {}, the answer in {}", names.join(" and "), language.name());
        vec![look.finding(self.name(), Severity::Warning, reason).over(part)]
    }
}
