//! The normal form in which texts are compared: NFKC, lower case, letters and digits, words parted by one space.
//!
//! Signs that decide what a text says are kept: operators and points between digits (`3-4` is not `3+4`, `14.9` is not
//! `149`; the comma of 1,000 goes), and `+` and `#` behind a letter (`C`, `C++`, `C#`). A text of nothing but other signs
//! (`???`, 👍) is its own form.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Signs that count between two digits, spaces or not.
const OPERATORS: &str = "+-−*/×÷=<>^%";
/// Signs that count directly between two digits.
const POINTS: &str = ".:";

/// The normal form of a text; empty only where the text is nothing but white space.
#[must_use]
pub fn normal(text: &str) -> String {
    let text: Cow<'_, str> = if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfkc().collect()) };
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    // The last character that is no white space, and the one directly before.
    let (mut last, mut before) = (' ', ' ');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kept = if c.is_alphanumeric() {
            true
        } else if matches!(c, '+' | '#') && (before.is_alphabetic() || before == c && out.ends_with(c)) {
            !chars.peek().is_some_and(|next| next.is_alphanumeric())
        } else if last.is_numeric() && OPERATORS.contains(c) {
            chars.clone().find(|next| !next.is_whitespace()).is_some_and(char::is_numeric)
        } else {
            before.is_numeric() && POINTS.contains(c) && chars.peek().is_some_and(|next| next.is_numeric())
        };
        if kept {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.extend(c.to_lowercase());
        } else {
            gap = true;
        }
        before = c;
        if !c.is_whitespace() {
            last = c;
        }
    }
    if out.is_empty() { text.trim().to_owned() } else { out }
}

/// A number for the letters of a normal form, the same for every run and machine. Where words end does not count.
#[must_use]
pub fn hash(normal: &str) -> u64 {
    join(0, normal.chars().filter(|c| *c != ' ').map(|c| u64::from(u32::from(c))))
}

/// Folds numbers into one.
#[must_use]
pub fn join(start: u64, numbers: impl IntoIterator<Item = u64>) -> u64 {
    // Multiplier of FxHash; the end is the finaliser of SplitMix64 (Steele et al. 2014), so that all bits count.
    let folded = numbers
        .into_iter()
        .fold(start, |sum, number| (sum.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95));
    let mut mixed = folded.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Whether a letter stands in a script that is written without spaces, two cells wide: kana, Han, Hangul.
#[must_use]
pub fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}
