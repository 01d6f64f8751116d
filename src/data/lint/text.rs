//! What several checks ask of a text: its language, whether it is JSON, its digits in one form.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::IgnoredAny;

use crate::data::duplicates::normal::is_wide;

/// A language, as far as a text of its length tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// Kana are there.
    Japanese,
    /// Hangul is there.
    Korean,
    /// Han without kana, enough of it not to be a name or a heading in Japanese.
    Chinese,
    /// Han without kana, too little of it to tell.
    Han,
    /// Latin letters, too few words to tell the language.
    Latin,
    /// Told by its words: the ISO 639-3 code, and whether it is written in Latin letters.
    Spoken(&'static str, bool),
}

impl Language {
    /// Whether a text in `other` may be in the same language.
    #[must_use]
    pub fn may_be(self, other: Self) -> bool {
        let latin = |language| matches!(language, Self::Latin | Self::Spoken(_, true));
        match (self, other) {
            (a, b) if a == b => true,
            (Self::Han, Self::Japanese | Self::Chinese) | (Self::Japanese | Self::Chinese, Self::Han) => true,
            (Self::Latin, b) => latin(b),
            (a, Self::Latin) => latin(a),
            _ => false,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Japanese => "Japanese",
            Self::Korean => "Korean",
            Self::Chinese | Self::Han => "Chinese",
            Self::Latin => "a language in Latin letters",
            Self::Spoken(code, _) => whatlang::Lang::from_code(code).map_or(code, |lang| lang.eng_name()),
        }
    }
}

/// Letters of a text that are looked at; more make no language clearer.
const LOOKED_AT: usize = 600;
/// Words under which a text in Latin letters is a name or a label.
const WORDS: usize = 4;
/// Letters under which whatlang's trigrams are a guess.
const TRIGRAMS: usize = 60;
/// Different Han letters without a single kana from which a text is no Japanese one.
const NO_KANA: usize = 25;

/// The language of a text, if it can be told: kana are looked for first (whatlang takes 東京 for Chinese), and JSON, code,
/// labels and short texts have none.
#[must_use]
pub fn language_of(text: &str) -> Option<Language> {
    let text = text.trim();
    if text.starts_with(['{', '[', '<', '`']) {
        return None;
    }
    let end = text.char_indices().nth(LOOKED_AT).map_or(text.len(), |(at, _)| at);
    let text = text.get(..end)?;
    let (mut kana, mut hangul, mut han, mut latin, mut other) = (0, 0, 0, 0, 0);
    for c in text.chars() {
        match c {
            '\u{3041}'..='\u{30fa}' | '\u{ff66}'..='\u{ff9d}' if c != '\u{30fb}' => kana += 1,
            '\u{ac00}'..='\u{d7a3}' => hangul += 1,
            c if is_wide(c) => han += 1,
            c if c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}') => latin += 1,
            c if c.is_alphabetic() => other += 1,
            _ => {}
        }
    }
    // A Japanese letter says about as much as two or three Latin ones.
    if (kana + han + hangul) * 3 >= latin + other && kana + han + hangul > 0 {
        return match (kana, hangul) {
            (_, hangul) if hangul > kana + han => Some(Language::Korean),
            (kana, _) if kana > 0 => Some(Language::Japanese),
            _ => {
                let different: HashSet<char> = text.chars().filter(|c| is_wide(*c)).collect();
                Some(if different.len() >= NO_KANA { Language::Chinese } else { Language::Han })
            }
        };
    }
    let is_word = |word: &&str| {
        let letters = word.chars().filter(|c| c.is_alphabetic()).count();
        letters > 1 && !word.contains(['_', '/', '=', '[', '{', '<', '@'])
    };
    let words = text.split_whitespace().filter(is_word).count();
    if words < WORDS {
        return None;
    }
    let mut told = None;
    if latin + other >= TRIGRAMS {
        let info = whatlang::detect(text).filter(whatlang::Info::is_reliable);
        told = info.map(|info| Language::Spoken(info.lang().code(), info.script() == whatlang::Script::Latin));
    }
    told.or((latin > other).then_some(Language::Latin))
}

/// Whether a text is one JSON list or object. Numbers and quoted words parse too, but nobody asked for JSON by them.
#[must_use]
pub fn is_json_container(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A text with full-width ASCII in its plain form, and the way back to its bytes.
pub struct Folded<'a> {
    text: Cow<'a, str>,
    /// For each byte of the folded text, where it stood; empty where nothing was folded.
    from: Vec<usize>,
}

impl<'a> Folded<'a> {
    /// Folds `０９０－` to `090-` and the hyphens and dashes that people type between digits to `-`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let folds = |c: char| matches!(c, '\u{ff01}'..='\u{ff5e}' | '\u{3000}' | '‐'..='―' | '−' | 'ー');
        if !text.contains(folds) {
            return Self { text: Cow::Borrowed(text), from: Vec::new() };
        }
        let mut folded = String::with_capacity(text.len());
        let mut from = Vec::with_capacity(text.len() + 1);
        let mut digit = false;
        for (at, c) in text.char_indices() {
            let plain = match c {
                '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
                '\u{3000}' => ' ',
                '‐'..='―' | '−' | 'ー' if digit => '-',
                c => c,
            };
            digit = plain.is_ascii_digit();
            folded.push(plain);
            from.extend((0..plain.len_utf8()).map(|byte| at + if plain == c { byte } else { 0 }));
        }
        from.push(text.len());
        Self { text: Cow::Owned(folded), from }
    }

    /// The folded text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the text itself that a range of the folded one comes from.
    #[must_use]
    pub fn back(&self, start: usize, end: usize) -> (usize, usize) {
        let place = |at: usize| self.from.get(at).copied().unwrap_or(at);
        (place(start), place(end))
    }
}
