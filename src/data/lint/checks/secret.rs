//! Keys, tokens and passwords: by the form that their makers give them, by a name before them, or, for long words that are
//! none of these, by their entropy.
//!
//! Entropy alone is a weak sign. It counts for words of at least 24 characters with small and capital letters and digits,
//! outside of web addresses, and not where one record in twenty has such words: there they are the data's own.

use std::sync::LazyLock;

use regex::Regex;

use super::super::{Check, Finding, Look, Scope, Severity};

/// Bits a character (formats.md).
const ENTROPY: f64 = 4.5;
/// Characters under which no word reaches that by chance.
const LONG: usize = 24;
/// Share of records from which such words are the data's own.
const USUAL: f64 = 0.05;

/// `secret`.
pub struct Secret;

static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?P<key>(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_\-]{20,}",
        r"|xox[abprs]-[A-Za-z0-9\-]{10,}|AIza[A-Za-z0-9_\-]{35}|sk-(?:ant-|proj-)?[A-Za-z0-9_\-]{20,}|hf_[A-Za-z0-9]{30,}",
        r"|[rs]k_live_[A-Za-z0-9]{16,}|eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*)",
        r"|(?P<pem>-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----)",
        r"|(?:(?:(?-u:\b)|_)(?i:password|passwd|pwd|passphrase|secret(?:[_\-]?key)?|api[_\-]?key|access[_\-]?token|auth[_\-]?token)",
        r"|パスワード|暗証番号)",
        r#"["']?\s{0,2}(?P<sign>[=:：＝]|は)\s{0,2}["'「]?(?P<value>[^\s"'「」、。,;]{4,80})"#,
    ))
    .ok()
});

static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/=_\-]{24,200}").ok());

impl Check for Secret {
    fn name(&self) -> &'static str {
        "secret"
    }

    fn why(&self) -> &'static str {
        "a key or password in the data is in every copy of it, and a tuned model can say it"
    }

    fn scope(&self) -> Scope {
        Scope::Record
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        let totals = look.index.totals();
        let usual = totals.dense > 3 && totals.dense as f64 > USUAL * totals.records as f64;
        for part in look.parts {
            let before = found.len();
            for hit in KEYS.iter().flat_map(|keys| keys.captures_iter(&part.text)) {
                let (Some(all), value) = (hit.get(0), hit.name("value")) else { continue };
                let (what, at) = match (hit.name("pem"), value) {
                    (Some(pem), _) => ("a private key", pem),
                    (_, Some(value)) if is_password(value.as_str(), hit.name("sign").map_or("", |s| s.as_str())) => {
                        ("a password or key behind its name", value)
                    }
                    (_, Some(_)) => continue,
                    _ => ("a key of a known form", all),
                };
                found.push(look.finding(self.name(), Severity::Error, what).at(part, at.start(), at.end()));
            }
            if found.len() == before && !usual {
                found.extend(dense(&part.text).map(|(start, end)| {
                    look.finding(self.name(), Severity::Warning, "a long word without order, as keys are")
                        .at(part, start, end)
                }));
            }
        }
        found
    }
}

/// Whether what stands behind `password=` can be one, and not a name for one, a rule about them, or a sentence.
fn is_password(value: &str, sign: &str) -> bool {
    let open = value.starts_with(['{', '<', '[', '$', '*', '%', '(', '（', '●'])
        || value.chars().all(|c| c == 'x' || c == 'X');
    let lower = value.to_ascii_lowercase();
    let stand_in =
        ["your", "example", "null", "none", "true", "false", "os.", "process.", "env", "settings", "config", "get"];
    let digit = value.chars().any(|c| c.is_ascii_digit());
    let ascii = value.chars().all(|c| c.is_ascii_graphic());
    // `password: minimum eight characters` is a rule; `password=hunter2` is one. Behind a word, digits decide.
    let looks =
        if sign == "=" { digit || value.len() >= 8 } else { digit && value.chars().any(|c| !c.is_ascii_digit()) };
    ascii && !open && looks && !stand_in.iter().any(|word| lower.starts_with(word))
}

/// Words that look like keys by their entropy alone, in bytes.
pub(in crate::data::lint) fn dense(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let words = WORD.as_ref().filter(|_| text.len() >= LONG).into_iter().flat_map(|word| word.find_iter(text));
    words
        .filter(|word| is_dense(word.as_str()) && !in_address(text, word.start()))
        .map(|word| (word.start(), word.end()))
}

fn is_dense(word: &str) -> bool {
    let mut counts = [0_u32; 128];
    for byte in word.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let has = |range: std::ops::RangeInclusive<u8>| word.bytes().filter(|byte| range.contains(byte)).count();
    // Words joined by hyphens, slashes or underscores are names and paths.
    let longest = word.split(['/', '-', '_', '=']).map(str::len).max().unwrap_or(0);
    if has(b'a'..=b'z') < 3 || has(b'A'..=b'Z') < 3 || has(b'0'..=b'9') < 3 || longest < 16 {
        return false;
    }
    let length = word.len() as f64;
    let bits: f64 =
        counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length).map(|p| -p * p.log2()).sum();
    bits > ENTROPY
}

/// Whether a place lies within a web address or a `data:` one.
fn in_address(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    // As far as addresses reach; looking further would make long lines slow.
    let from = (at.saturating_sub(300)..=at).find(|start| text.is_char_boundary(*start)).unwrap_or(at);
    let near = before.get(from..).unwrap_or_default();
    let word = near.rsplit(|c: char| c.is_whitespace() || matches!(c, '"' | '(' | '<')).next().unwrap_or_default();
    word.contains("://") || word.contains("www.") || word.contains("data:")
}
