//! The language of an answer, as far as it can be told.
//!
//! Kana are looked for first, as whatlang takes 東京 for Chinese; short texts, JSON and code have no language.

use std::collections::BTreeSet;

use super::super::script::{is_han, is_japanese, is_kana};

/// What a text can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// A language: its ISO 639-3 code, and whether it is written in Latin letters.
    Known(&'static str, bool),
    /// Han characters alone, too few of them to tell Japanese from Chinese.
    Han,
    /// Latin letters, too few to tell.
    Latin,
}

/// Words under which a text in an alphabet is a name or a label.
const WORDS: usize = 4;
/// Letters under which whatlang's trigrams are a guess.
const TRIGRAMS: usize = 60;
/// Different Han characters without one kana from which a text is Chinese: no Japanese sentence of that length goes
/// without.
const NO_KANA: usize = 25;
/// Alphabet letters that say about as much as one Japanese character.
const DENSER: usize = 3;

impl Tongue {
    /// The language of a text; `None` where it has none or is too short.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with(['{', '[', '<', '`']) {
            return None;
        }
        let count = |is: fn(char) -> bool| text.chars().filter(|c| is(*c)).count();
        let (kana, hangul, han) = (count(is_kana), count(is_hangul), count(is_han));
        let wide = kana + hangul + han;
        let alphabet = count(char::is_alphabetic).saturating_sub(wide);
        if wide > 0 && wide * DENSER >= alphabet {
            let different = || text.chars().filter(|c| is_han(*c)).collect::<BTreeSet<char>>().len();
            return Some(match () {
                () if hangul > kana + han => Self::Known("kor", false),
                () if is_japanese([text]) => Self::Known("jpn", false),
                () if different() >= NO_KANA => Self::Known("cmn", false),
                () => Self::Han,
            });
        }
        let is_word = |word: &&str| {
            word.chars().filter(|c| c.is_alphabetic()).count() > 1 && !word.contains(['_', '/', '=', '@'])
        };
        if text.split_whitespace().filter(is_word).count() < WORDS {
            return None;
        }
        let reliable = || whatlang::detect(text).filter(whatlang::Info::is_reliable);
        if let Some(info) = (alphabet >= TRIGRAMS).then(reliable).flatten() {
            return Some(Self::Known(info.lang().code(), info.script() == whatlang::Script::Latin));
        }
        let latin = count(|c| c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}'));
        (latin * 2 > alphabet).then_some(Self::Latin)
    }

    /// The language of an English name or an ISO 639-3 code: `English`, `eng`.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim();
        let is = |lang: &&whatlang::Lang| {
            lang.code().eq_ignore_ascii_case(name) || lang.eng_name().eq_ignore_ascii_case(name)
        };
        let chinese = name.eq_ignore_ascii_case("Chinese").then_some(whatlang::Lang::Cmn);
        let lang = chinese.or_else(|| whatlang::Lang::all().iter().find(is).copied())?;
        Some(Self::Known(lang.code(), whatlang::Script::Latin.langs().contains(&lang)))
    }

    /// Whether two texts may be in one language.
    pub fn may_be(self, other: Self) -> bool {
        match (self, other) {
            (Self::Known(a, _), Self::Known(b, _)) => a == b,
            (Self::Han, Self::Known(code, _)) | (Self::Known(code, _), Self::Han) => matches!(code, "jpn" | "cmn"),
            (Self::Latin, Self::Known(_, latin)) | (Self::Known(_, latin), Self::Latin) => latin,
            (a, b) => a == b,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Known("cmn", _) => "Chinese",
            Self::Known(code, _) => whatlang::Lang::from_code(code).map_or(code, |lang| lang.eng_name()),
            Self::Han => "Chinese characters",
            Self::Latin => "a language in Latin letters",
        }
    }
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}')
}
