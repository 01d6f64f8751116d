//! What scores count, and which of them to read for a language.

use serde::Serialize;

use crate::evaluate::script::is_japanese;
use crate::evaluate::tokens::Tokens;

/// A note that goes with scores. The first two name keys of `rouge` and `bleu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The tokens whose ROUGE fits the language.
    pub rouge: &'static str,
    /// The tokens whose BLEU fits the language.
    pub bleu: &'static str,
    /// What `f1_squad` counts.
    pub f1_squad: &'static str,
    /// What `f1_char` counts.
    pub f1_char: &'static str,
    /// What `chrF2` counts.
    #[serde(rename = "chrF2")]
    pub chrf2: &'static str,
    /// What `chrF2++` counts.
    #[serde(rename = "chrF2++")]
    pub chrf2pp: &'static str,
    /// What `lev` and `indel_ratio` count.
    pub lev: &'static str,
    /// Whether the text is Japanese.
    #[serde(skip)]
    pub japanese: bool,
}

impl Note {
    /// The note for a language, which the references' script tells where `lang` does not.
    pub(super) fn new(lang: Option<&str>, refs: &[&str], words: bool) -> Self {
        let lang = lang.map(|lang| lang.split(['-', '_']).next().unwrap_or(lang).to_ascii_lowercase());
        let kind = match lang.as_deref() {
            Some("ja") => Kind::Japanese,
            Some("zh" | "ko" | "th" | "lo" | "km" | "my") => Kind::Unspaced,
            Some("en") => Kind::Latin,
            Some(_) => Kind::of(refs).min(Kind::Spaced),
            None => Kind::of(refs),
        };
        let (rouge, bleu) = match kind {
            Kind::Latin => (Tokens::Rouge, Tokens::Mteval13a),
            // ROUGE's own tokens know a-z only.
            Kind::Spaced => (Tokens::Characters, Tokens::International),
            Kind::Japanese if words => (Tokens::Japanese, Tokens::Japanese),
            Kind::Japanese | Kind::Unspaced => (Tokens::Characters, Tokens::Characters),
        };
        // The key of ROUGE over Japanese words.
        let rouge = if rouge == Tokens::Japanese { "mecab" } else { rouge.name() };
        Self {
            rouge,
            bleu: bleu.name(),
            f1_squad: "words (SQuAD)",
            f1_char: "characters",
            chrf2: "characters",
            chrf2pp: "characters and words",
            lev: "characters",
            japanese: kind == Kind::Japanese,
        }
    }
}

/// What the figure of this name (as in [`RowScores::figures`](super::RowScores::figures)) counts, in words.
#[must_use]
pub fn tokens_of(figure: &str) -> &'static str {
    const ENDS: [(&str, &str); 10] = [
        ("_default_f", "words of a-z and 0-9"),
        ("_stem_f", "words of a-z and 0-9, stemmed"),
        ("_char_f", "characters"),
        ("_mecab_f", "Japanese words (MeCab, ipadic)"),
        ("_13a", "13a: words and marks"),
        ("_13a_lc", "13a in lower case"),
        ("_intl", "intl: words and marks, any script"),
        ("bleu_char", "characters"),
        ("_ja-mecab", "Japanese words (MeCab, ipadic)"),
        ("_none", "what white space separates"),
    ];
    const WHOLE: [(&str, &str); 7] = [
        ("f1_squad", "words (SQuAD)"),
        ("chrF2++", "characters and words"),
        ("em_", "the whole text"),
        ("json_f1", "JSON leaves, path and value"),
        ("json_", "the whole text as JSON"),
        ("aio_fuzz", "characters, quiz form"),
        ("", "characters"),
    ];
    let ends = ENDS.iter().find(|(end, _)| figure.ends_with(end));
    ends.or_else(|| WHOLE.iter().find(|(start, _)| figure.starts_with(start))).map_or("", |(_, words)| words)
}

/// How a language is written, as far as tokens go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// In Latin letters.
    Latin,
    /// In others, with blanks between words.
    Spaced,
    /// Without blanks between words, or with blanks between phrases only.
    Unspaced,
    Japanese,
}

impl Kind {
    /// By the references' characters: kana makes Japanese, else the commonest kind wins.
    fn of(refs: &[&str]) -> Self {
        if is_japanese(refs) {
            return Self::Japanese;
        }
        let (mut latin, mut other, mut unspaced) = (0, 0, 0);
        for c in refs.iter().flat_map(|text| text.chars()).filter(|c| c.is_alphabetic()) {
            match c {
                '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => latin += 1,
                // Thai and Lao, Burmese, Hangul, Khmer, Han.
                '\u{e00}'..='\u{eff}'
                | '\u{1000}'..='\u{11ff}'
                | '\u{1780}'..='\u{17ff}'
                | '\u{3400}'..='\u{9fff}'
                | '\u{ac00}'..='\u{d7af}'
                | '\u{f900}'..='\u{faff}'
                | '\u{20000}'..='\u{3ffff}' => unspaced += 1,
                _ => other += 1,
            }
        }
        if unspaced > latin.max(other) {
            Self::Unspaced
        } else if other > latin {
            Self::Spaced
        } else {
            Self::Latin
        }
    }
}
