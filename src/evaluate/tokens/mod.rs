//! The ways a text is cut into tokens before it is scored. A figure means little without the name of its tokens.
//!
//! Each follows, token for token, what a reference implementation does: the BLEU tokenisers sacreBLEU 2.6.0, the ROUGE
//! ones `rouge_score` 0.1.2 with NLTK's Porter stemmer. White space is Python's ([`white`]). General categories are
//! those of the `regex` crate's Unicode tables, which may be newer than those of the Python that a figure is compared
//! with: a code point assigned since then can fall into another category.
//!
//! Words of Japanese come from a dictionary that is opened elsewhere ([`mecab`](super::mecab)).

mod bleu;
mod class;
pub mod porter;
mod rouge;
pub mod white;

use super::mecab::Mecab;

pub(super) use class::Class;

/// A way to cut a text into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tokens {
    /// sacreBLEU's `13a`, after mteval-v13a: punctuation apart, numbers whole; right for most European languages.
    Mteval13a,
    /// sacreBLEU's `intl`, after mteval-v14: the same by Unicode's categories.
    International,
    /// Every character that is no white space; sacreBLEU's `char`, and the tokens of ROUGE that fit any script.
    Characters,
    /// What stands between white space; sacreBLEU's `none`.
    Plain,
    /// Words of Japanese by `MeCab`'s dictionary; sacreBLEU's `ja-mecab`.
    Japanese,
    /// `rouge_score`'s own: runs of a-z and 0-9 in lower case. Text in another script has none.
    Rouge,
    /// The same, of which those longer than three characters are stemmed.
    RougeStemmed,
}

impl Tokens {
    /// Every way.
    pub const ALL: [Self; 7] = [
        Self::Mteval13a,
        Self::International,
        Self::Characters,
        Self::Plain,
        Self::Japanese,
        Self::Rouge,
        Self::RougeStemmed,
    ];

    /// What scores call these tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::International => "intl",
            Self::Characters => "char",
            Self::Plain => "none",
            Self::Japanese => "ja-mecab",
            Self::Rouge => "default",
            Self::RougeStemmed => "stem",
        }
    }

    /// Cuts `text`; `None` where it is to be cut into Japanese words and there is no dictionary.
    #[must_use]
    pub fn of(self, text: &str, words: Option<&Mecab>) -> Option<Vec<String>> {
        Some(match self {
            Self::Mteval13a => bleu::mteval13a(text),
            Self::International => bleu::international(text),
            Self::Characters => text.chars().filter(|c| !white::is_space(*c)).map(String::from).collect(),
            Self::Plain => white::words(text).map(str::to_owned).collect(),
            Self::Japanese => words?.words(text),
            Self::Rouge => rouge::plain(text),
            Self::RougeStemmed => rouge::stemmed(text),
        })
    }
}

#[cfg(test)]
mod tests;
