//! The tokens of `rouge_score`: what is left of a text in lower case when only a-z and 0-9 stay.

use super::porter;

/// Characters up to which a token is not stemmed.
const SHORT: usize = 3;

/// Runs of a-z and 0-9.
pub fn plain(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let kept = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    lower.split(|c| !kept(c)).filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

/// The same, stemmed.
pub fn stemmed(text: &str) -> Vec<String> {
    let stem = |token: String| if token.len() > SHORT { porter::stem(&token) } else { token };
    plain(text).into_iter().map(stem).filter(|token| !token.is_empty()).collect()
}
