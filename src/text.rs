//! Text for the screen: the only place that measures, cuts, wraps, normalises and spells out.
//!
//! Widths are terminal cells. What is cut is cut between graphemes (what a reader takes for one letter), never within one.
//! Nothing here is for data: a record keeps every byte it came with, and only what is drawn goes through [`display`].

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// What stands for the part that was cut off; one cell wide.
pub const ELLIPSIS: &str = "…";

/// Returns the number of cells that `text` takes, when it has gone through [`display`].
#[must_use]
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// Returns `text` as a terminal can show it without its cells going astray.
///
/// Half-width kana become full-width (ｶﾞ becomes ガ: terminals disagree on its width). Variation selectors, joiners, other
/// characters without width of their own that rule how text runs, and control characters go. A tab becomes a space; the end
/// of a line stays.
#[must_use]
pub fn display(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unruly(c) || is_half_width_kana(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut kana = String::new();
    for c in text.chars() {
        if is_half_width_kana(c) {
            kana.push(c);
            continue;
        }
        shown.extend(kana.drain(..).nfkc());
        match c {
            '\t' => shown.push(' '),
            c if is_unruly(c) => {}
            c => shown.push(c),
        }
    }
    shown.extend(kana.drain(..).nfkc());
    Cow::Owned(shown)
}

/// Returns `text` on one line with everything visible that [`display`] would drop, as Rust writes it in a string: `\n`,
/// `\t`, `\u{1b}`. A backslash is doubled.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unruly(c) || matches!(c, '\n' | '\\')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' | '\\' => shown.extend(c.escape_default()),
            c if is_unruly(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// U+FF61 to U+FF9F: half-width Japanese punctuation, kana and voicing marks.
fn is_half_width_kana(c: char) -> bool {
    matches!(c, '\u{ff61}'..='\u{ff9f}')
}

/// Returns whether `c` would move the cursor, turn the direction of the text, or change the width of its neighbours.
fn is_unruly(c: char) -> bool {
    let invisible = matches!(
        c,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
        '\u{ad}' | '\u{61c}' | '\u{180e}'
        // Zero-width space, joiners, marks of direction; line and paragraph separator, embeddings and overrides.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        // Invisible operators and isolates; variation selectors; byte order mark; annotations; tags and more selectors.
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}'
    );
    invisible || c != '\n' && c.is_control()
}

/// Cuts `text` to at most `cells`, with an ellipsis in the last of them where something is missing.
#[must_use]
pub fn cut(text: &str, cells: usize) -> Cow<'_, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    if cells == 0 {
        return Cow::Borrowed("");
    }
    let mut short = head(text, cells - 1).to_owned();
    short.push_str(ELLIPSIS);
    Cow::Owned(short)
}

/// Returns the longest beginning of `text` that takes at most `cells`.
#[must_use]
pub fn head(text: &str, cells: usize) -> &str {
    let mut used = 0;
    let end = text.grapheme_indices(true).find(|(_, grapheme)| {
        used += grapheme.width();
        used > cells
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// Returns `text` cut or filled with spaces to exactly `cells`.
#[must_use]
pub fn fit(text: &str, cells: usize) -> String {
    let mut text = cut(text, cells).into_owned();
    let missing = cells.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// Breaks `text` into lines of at most `cells` (taken as 2 where it is less, so that every letter fits).
///
/// Lines break after white space, which goes, and between letters that are two cells wide, since Japanese and Chinese have
/// no spaces; there, closing marks stay with what precedes them and opening ones with what follows. A word longer than a
/// line is broken between graphemes. An empty text is one empty line, and so is an empty line in it.
#[must_use]
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    wrap_ranges(text, cells).into_iter().map(|line| text.get(line).unwrap_or_default().to_owned()).collect()
}

/// As [`wrap`], telling the bytes of `text` that each line is.
#[must_use]
pub fn wrap_ranges(text: &str, cells: usize) -> Vec<Range<usize>> {
    let cells = cells.max(2);
    let mut lines = Vec::new();
    let mut push = |from: usize, to: usize| {
        let line = text.get(from..to).unwrap_or_default();
        lines.push(from..from + line.trim_end().len());
    };
    let mut begin = 0;
    for paragraph in text.split('\n') {
        let (mut start, mut at, mut used) = (begin, begin, 0);
        for piece in pieces(paragraph.strip_suffix('\r').unwrap_or(paragraph)) {
            let visible = width(piece.trim_end());
            if used > 0 && used + visible > cells {
                push(start, at);
                (start, used) = (at, 0);
            }
            let mut rest = piece;
            while width(rest.trim_end()) > cells {
                let part = head(rest, cells);
                // A single grapheme that is wider than any line (there are such) has one for itself.
                let part = if part.is_empty() { rest.graphemes(true).next().unwrap_or(rest) } else { part };
                // What stands in the line by now has no width.
                at += part.len();
                push(start, at);
                start = at;
                rest = rest.get(part.len()..).unwrap_or("");
            }
            at += rest.len();
            used += width(rest);
        }
        push(start, at);
        begin += paragraph.len() + 1;
    }
    lines
}

/// Splits a line into the pieces between which it may break: a word with the white space behind it, or a wide letter with
/// the marks that belong to it.
fn pieces(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before: Option<&str> = None;
    for (at, grapheme) in line.grapheme_indices(true) {
        if before.is_some_and(|before| may_break(before, grapheme)) {
            pieces.extend(line.get(start..at));
            start = at;
        }
        before = Some(grapheme);
    }
    pieces.extend(line.get(start..).filter(|last| !last.is_empty()));
    pieces
}

fn may_break(before: &str, after: &str) -> bool {
    const CLOSING: &str =
        "、。，．：；！？）」』】〕］｝〉》・ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々…‥,.:;!?)]}%";
    const OPENING: &str = "（「『【〔［｛〈《([{";
    let white = |text: &str| text.chars().all(char::is_whitespace);
    if white(after) {
        return false;
    }
    if white(before) {
        return true;
    }
    (before.width() > 1 || after.width() > 1) && !CLOSING.contains(after) && !OPENING.contains(before)
}

/// Spells a count with its thousands apart: 1,234,567.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Spells a number of bytes with a binary unit: 812 B, 12.3 MiB, 1.0 GiB.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        // What would be rounded to 1024.0 is 1.0 of the next.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Spells a time in seconds: 0.8 s, 42 s, 1 m 05 s, 2 h 07 m, 3 d 04 h. A time that is not finite or not positive is 0 s.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds.is_nan() || seconds <= 0.0 {
        return "0 s".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole, whole / 60, whole / 3600) {
        (seconds, 0, _) => format!("{seconds} s"),
        (seconds, minutes, 0) => format!("{minutes} m {:02} s", seconds % 60),
        (_, minutes, hours) if hours < 24 => format!("{hours} h {:02} m", minutes % 60),
        (_, _, hours) => format!("{} d {:02} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn japanese_takes_two_cells_a_letter() {
        assert_eq!(width("研ぎ togi"), 9);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(cut("研ぎ澄ます", 6), "研ぎ…");
        assert_eq!(cut("研ぎ澄ます", 10), "研ぎ澄ます");
        assert_eq!(fit("研ぎ澄ます", 6), "研ぎ… ");
        assert_eq!([cut("abc", 0), cut("abc", 1), cut("abc", 2)], ["", "…", "a…"]);
        assert_eq!(cut("ne\u{301}e", 2), "n…", "an accent is not cut from its letter");
    }

    #[test]
    fn what_would_break_the_screen_is_not_shown() {
        assert_eq!(display("ﾊﾞｲﾄ ｶﾅ｡"), "バイト カナ。");
        assert_eq!(display("a\u{1b}[31mred\r\n\tx"), "a[31mred\n x");
        assert_eq!(display("❤\u{fe0f} \u{202e}abc\u{200d}"), "❤ abc");
        assert!(matches!(display("plain 漢字\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn escaping_shows_it_all() {
        assert_eq!(escape("a\n\tb\\n\u{1b}\u{200b}é"), "a\\n\\tb\\\\n\\u{1b}\\u{200b}é");
        assert!(matches!(escape("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_break_where_readers_expect_it() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("a\n\nb", 10), ["a", "", "b"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("今日は、雨です。", 6), ["今日", "は、雨", "です。"], "a comma does not begin a line");
        assert_eq!(wrap("彼は「はい」と", 6), ["彼は", "「は", "い」と"], "brackets stay with what they enclose");
    }

    #[test]
    fn numbers_are_spelt_for_people() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([bytes(812), bytes(1024), bytes(12_897_485)], ["812 B", "1.0 KiB", "12.3 MiB"]);
        assert_eq!([bytes(1024 * 1024 - 1), bytes(u64::MAX)], ["1.0 MiB", "16.0 EiB"]);
        let spelt = [0.84, 42.0, 59.6, 65.0, 3599.7, 7620.0, 273_600.0, f64::NAN].map(duration);
        assert_eq!(spelt, ["0.8 s", "42 s", "1 m 00 s", "1 m 05 s", "1 h 00 m", "2 h 07 m", "3 d 04 h", "0 s"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked_and_nothing_but_space_is_lost(text in "[ a-zé、。「」漢字かなｶﾞ\n]{0,60}", cells in 2_usize..30) {
            let text = display(&text).into_owned();
            prop_assert!(width(&cut(&text.replace('\n', ""), cells)) <= cells);
            let lines = wrap(&text, cells);
            prop_assert!(lines.iter().all(|line| width(line) <= cells), "{:?}", lines);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
