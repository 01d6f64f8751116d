//! Text that was read in the wrong encoding: replacement characters, C1 controls, UTF-8 read as Latin-1 (`Ã©`, `â€™`) or as
//! `Shift_JIS` (縺, 繧, 繝 in a row), runs of half-width kana.
//!
//! 縺れる and 繧繝 are words, so one such letter, or these, are no sign. Half-width kana are how some systems write names: their runs
//! alone are good to know, no more.

use std::sync::LazyLock;

use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::super::{Check, Finding, Look, Scope, Severity};
use crate::data::view::{parts, replace};
use crate::store::State;

/// `mojibake`.
pub struct Mojibake;

static BROKEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        "\u{fffd}|[\u{80}-\u{84}\u{86}-\u{9f}]+",
        // The first byte of a two-byte letter read as Latin-1, and a continuation byte.
        r"|[ÃÂ][\u{a0}-\u{bf}]|Ã[ŠŽšžŒœ€‚ƒ„…†‡ˆ‰‹‘’“”•–—˜™›]|â€[™œ\u{9d}˜“”¦¢\u{a0}-\u{bf}]|ã[\u{80}-\u{83}‚ƒ€][\u{80}-\u{bf}‚-›]",
        r"|(?:(?:縺[^れらりるっ]|繧[^繝]|繝[^錦縁彩])[^縺繧繝]{0,6}){3}|[\u{f8f0}-\u{f8f3}]",
    ))
    .ok()
});
static HALF_WIDTH: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("[\u{ff66}-\u{ff9f}]{4,}").ok());

fn broken(text: &str) -> Option<(usize, usize)> {
    if text.is_ascii() {
        return None;
    }
    BROKEN.as_ref()?.find(text).map(|found| (found.start(), found.end()))
}

impl Check for Mojibake {
    fn name(&self) -> &'static str {
        "mojibake"
    }

    fn why(&self) -> &'static str {
        "text read in the wrong encoding is noise to the model, and it learns to write such noise"
    }

    fn scope(&self) -> Scope {
        Scope::Record
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let found = look.parts.iter().filter(|part| !part.text.is_ascii()).filter_map(|part| {
            if let Some((start, end)) = broken(&part.text) {
                let how = if mended(&part.text).is_some() { "; it can be read back" } else { "" };
                let reason = format!("this was read in the wrong encoding{how}");
                return Some(look.finding(self.name(), Severity::Warning, reason).at(part, start, end));
            }
            let kana = HALF_WIDTH.as_ref()?.find(&part.text)?;
            let reason = "half-width kana, which models split into many tokens; no fault where they are meant";
            Some(look.finding(self.name(), Severity::Info, reason).at(part, kana.start(), kana.end()))
        });
        found.collect()
    }

    /// Reads the text back where all of it goes back and comes out as sound UTF-8; half-width kana become full-width.
    fn fixes(&self) -> bool {
        true
    }

    fn fix(&self, state: &State, finding: &Finding) -> Option<State> {
        let field = &finding.span.as_ref()?.field;
        let parts = parts(&state.content, None);
        let text = parts.iter().find(|part| part.field == *field)?.text.as_ref();
        let text = if broken(text).is_some() {
            mended(text)?
        } else {
            let half = HALF_WIDTH.as_ref()?;
            half.replace_all(text, |kana: &regex::Captures<'_>| {
                kana.get(0).map_or("", |all| all.as_str()).nfkc().collect::<String>()
            })
            .into_owned()
        };
        let mut fixed = state.clone();
        replace(&mut fixed, field, text).then_some(fixed)
    }
}

/// The text as it was before it was read in the wrong encoding, if every letter of it can be traced back.
fn mended(text: &str) -> Option<String> {
    [latin_bytes(text), japanese_bytes(text)].into_iter().flatten().find_map(|bytes| {
        let read = String::from_utf8(bytes).ok()?;
        (read != text && broken(&read).is_none()).then_some(read)
    })
}

/// The bytes that read as `text` in windows-1252, where the five bytes that it leaves out are the controls of their number.
fn latin_bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letter = [0; 4];
    for c in text.chars() {
        // What windows-1252 leaves out of 0x80 to 0x9f, browsers and most programs read as the control of that number.
        if let Ok(byte @ 0..=0x9f) = u8::try_from(u32::from(c)) {
            bytes.push(byte);
            continue;
        }
        let (encoded, _, lost) = WINDOWS_1252.encode(c.encode_utf8(&mut letter));
        if lost {
            return None;
        }
        bytes.extend_from_slice(&encoded);
    }
    Some(bytes)
}

/// The bytes that read as `text` in `Shift_JIS`.
fn japanese_bytes(text: &str) -> Option<Vec<u8>> {
    let (bytes, _, lost) = SHIFT_JIS.encode(text);
    (!lost).then(|| bytes.into_owned())
}
