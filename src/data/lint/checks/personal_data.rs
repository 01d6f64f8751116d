//! What tells who somebody is: e-mail addresses, phone numbers, payment cards, Japanese postcodes and individual numbers,
//! US social security numbers.
//!
//! Long numbers are everywhere in business texts, so a bare one is nothing: a card has a brand's prefix and length and the
//! right check digit (Luhn), an individual number (My Number) has its check digit and is either written 4-4-4 or named, a
//! phone number has the form of one. Addresses at example domains and toll-free numbers are nobody's.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::super::text::Folded;
use super::super::{Check, Finding, Look, Scope, Severity};

/// `personal-data`.
pub struct PersonalData;

static PATTERNS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<mail>[A-Za-z0-9][A-Za-z0-9._%+\-]*@[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,})",
        r"|(?P<post>〒\s?[0-9]{3}-?[0-9]{4}|(?-u:\b)[0-9]{3}-[0-9]{4}\s{0,2}(?:[^\x00-\x7f]{2,3}[都道府県]|[^\x00-\x7f]{1,6}[市区郡]))",
        r"|(?P<ssn>(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b))",
        r"|(?P<phone>\+[0-9]{1,3}[ \-.]?(?:\([0-9]{1,4}\)[ \-.]?)?[0-9]{1,4}(?:[ \-.]?[0-9]{2,4}){2,4}(?-u:\b)",
        r"|(?-u:\b)0[0-9]{1,4}-[0-9]{1,4}-[0-9]{4}(?-u:\b)|(?-u:\b)0[0-9]{1,4}\([0-9]{1,4}\)[0-9]{4}(?-u:\b)|(?-u:\b)0[789]0[ \-]?[0-9]{4}[ \-]?[0-9]{4}(?-u:\b)",
        r"|(?:\([2-9][0-9]{2}\) ?|(?-u:\b)[2-9][0-9]{2}[\-. ])[2-9][0-9]{2}[\-. ][0-9]{4}(?-u:\b))",
        r"|(?P<number>(?-u:\b)[0-9](?:[ \-]?[0-9]){11,18}(?-u:\b))",
    ))
    .ok()
});

/// What introduces an individual number.
static NAMED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)マイナンバー|個人番号|my ?number|individual number").ok());

/// What introduces a number that a shop or an office gave.
static ORDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?-u:\b)(?:order|tracking|invoice|ticket|purchase|shipment|reference|case)(?-u:\b)[^.!?]*$|(?:注文|伝票|受付|追跡|問い?合わ?せ|管理)番号[^。]*$").ok()
});

impl Check for PersonalData {
    fn name(&self) -> &'static str {
        "personal-data"
    }

    fn why(&self) -> &'static str {
        "a tuned model can give away what it was trained on, and people have a right to be left out"
    }

    fn scope(&self) -> Scope {
        Scope::Record
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for part in look.parts {
            let has_digit = |text: &str| {
                text.bytes().any(|byte| byte.is_ascii_digit()) || text.contains(|c| matches!(c, '０'..='９'))
            };
            if !part.text.contains(['@', '＠']) && !has_digit(&part.text) {
                continue;
            }
            let folded = Folded::new(&part.text);
            let Some(patterns) = PATTERNS.as_ref() else { continue };
            for (what, start, end) in patterns.captures_iter(folded.text()).filter_map(|hit| judge(folded.text(), &hit))
            {
                let (start, end) = folded.back(start, end);
                found.push(look.finding(self.name(), Severity::Warning, what).at(part, start, end));
            }
        }
        found
    }
}

/// What a match is, if it is anything.
fn judge(text: &str, hit: &Captures<'_>) -> Option<(&'static str, usize, usize)> {
    let named = |name: &str| hit.name(name);
    let (what, at) = if let Some(mail) = named("mail") {
        let domain = mail.as_str().rsplit('@').next()?.to_ascii_lowercase();
        let nobody =
            ["example.com", "example.org", "example.net", "example.jp", "example.co.jp", "domain.com", "email.com"];
        let placeholder = nobody.iter().any(|example| domain == *example || domain.ends_with(&format!(".{example}")));
        (!placeholder).then_some(("an e-mail address", mail))?
    } else if let Some(post) = named("post") {
        ("a Japanese postcode, and so an address", post)
    } else if let Some(number) = named("ssn") {
        (is_social_security(number.as_str()).then_some(("a US social security number", number)))?
    } else if let Some(phone) = named("phone") {
        (is_phone(text, phone.as_str(), phone.start(), phone.end())).then_some(("a phone number", phone))?
    } else {
        let number = named("number")?;
        let digits = digits(number.as_str());
        let ordered = ORDER.as_ref().is_some_and(|order| order.is_match(before(text, number.start())));
        if ordered || is_joined(text, number.start(), number.end()) {
            return None;
        }
        if is_card(&digits) {
            ("a payment card's number", number)
        } else if is_individual_number(text, number.as_str(), number.start(), &digits) {
            ("an individual number (My Number)", number)
        } else {
            return None;
        }
    };
    Some((what, at.start(), at.end()))
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// Whether a number is part of a longer one, a code or a path.
fn is_joined(text: &str, start: usize, end: usize) -> bool {
    let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_' | '=');
    let before = text.get(..start).and_then(|before| before.chars().next_back());
    let after = text.get(end..).and_then(|after| after.chars().next());
    before.is_some_and(joins) || after.is_some_and(joins)
}

/// What stands before a place, as far as a name for what follows would.
fn before(text: &str, at: usize) -> &str {
    /// In bytes.
    const NEARBY: usize = 48;
    let from = (at.saturating_sub(NEARBY)..=at).find(|from| text.is_char_boundary(*from)).unwrap_or(at);
    text.get(from..at).unwrap_or_default()
}

/// Area 000, 666 and 900 to 999, group 00 and serial 0000 are never given out.
fn is_social_security(text: &str) -> bool {
    let mut parts = text.split('-');
    let (area, group, serial) = (parts.next(), parts.next(), parts.next());
    area.is_some_and(|area| area != "000" && area != "666" && !area.starts_with('9'))
        && group != Some("00")
        && serial != Some("0000")
}

fn is_phone(text: &str, phone: &str, start: usize, end: usize) -> bool {
    /// Paid for by who is called: a business.
    const TOLL_FREE: [&str; 9] = ["0120", "0800", "0570", "0088", "1800", "1888", "1877", "1866", "1855"];
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let local = phone.starts_with('0');
    let count = if phone.starts_with('+') { 9..=15 } else { 10..=11 };
    let us = !local && !phone.starts_with('+');
    let free = TOLL_FREE.iter().any(|free| digits.starts_with(free))
        || us && ["800", "888", "877", "866", "855", "844", "833"].iter().any(|free| digits.starts_with(free));
    count.contains(&digits.len()) && !free && !is_joined(text, start, end)
}

/// Prefixes and lengths of the large brands, and the check digit of ISO/IEC 7812-1 (Luhn).
fn is_card(digits: &[u32]) -> bool {
    let prefix = |count: usize| digits.iter().take(count).fold(0, |number, digit| number * 10 + digit);
    let brand = match digits.len() {
        13 | 19 => prefix(1) == 4,
        14 => matches!(prefix(2), 36 | 38) || matches!(prefix(3), 300..=305),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 65)
                || matches!(prefix(4), 2221..=2720 | 6011)
                || matches!(prefix(4), 3528..=3589)
        }
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    brand && sum.is_multiple_of(10)
}

/// The check digit is that of the ministerial order on individual numbers (2014, article 5): weights 2 to 7, twice, modulo 11.
fn is_individual_number(text: &str, written: &str, start: usize, digits: &[u32]) -> bool {
    let (Some(check), 12) = (digits.last(), digits.len()) else { return false };
    let weights = [2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6];
    let rest = digits.iter().rev().skip(1).zip(weights).map(|(digit, weight)| digit * weight).sum::<u32>() % 11;
    let right = *check == if rest <= 1 { 0 } else { 11 - rest };
    let parts: Vec<&str> = written.split([' ', '-']).collect();
    let by_fours = parts.len() == 3 && parts.iter().all(|part| part.len() == 4);
    right && (by_fours || NAMED.as_ref().is_some_and(|named| named.is_match(before(text, start))))
}
