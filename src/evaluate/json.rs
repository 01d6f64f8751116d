//! JSON as Python reads it, brought to one form: two texts have equal forms where `json.dumps(json.loads(text),
//! sort_keys=True)` gives equal texts.
//!
//! So `1` and `1.0` differ, `1e2` and `100.0` do not; integers have any length; of a repeated key the last value counts;
//! `NaN` and `Infinity` are read; a lone surrogate is a character. A text nested deeper than [`DEPTH`] is not read (Python
//! gives up near its own recursion limit, too).

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Lists and objects inside one another that are read at most.
pub const DEPTH: usize = 500;
/// Python refuses integers with more digits (`sys.int_info.default_max_str_digits`).
const DIGITS: usize = 4300;

/// A value. Strings are UTF-16, as a JSON escape can name half a character.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number in its one form: an integer's digits, or a float's shortest text.
    Number(String),
    /// A text.
    Text(Vec<u16>),
    /// A list.
    List(Vec<Json>),
    /// An object by key.
    Object(BTreeMap<Vec<u16>, Json>),
}

/// Reads `text`, white space around the value allowed; `None` where it is not JSON.
#[must_use]
pub fn parse(text: &str) -> Option<Json> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.space();
    reader.rest.is_empty().then_some(value)
}

/// The one form of a JSON text; `None` where it is not JSON.
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    parse(text).map(|value| value.canonical())
}

impl Json {
    /// The value in its one form: sorted keys, ASCII only.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Self::Number(number) => out.push_str(number),
            Self::Text(units) => write_text(units, out),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(map) => {
                out.push('{');
                for (i, (key, value)) in map.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    write_text(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(units: &[u16], out: &mut String) {
    out.push('"');
    for &unit in units {
        match u8::try_from(unit) {
            Ok(b'"') => out.push_str("\\\""),
            Ok(b'\\') => out.push_str("\\\\"),
            Ok(byte @ b' '..=b'~') => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.push('"');
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, word: &str) -> bool {
        let after = self.rest.strip_prefix(word);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > DEPTH {
            return None;
        }
        self.space();
        let first = self.rest.chars().next()?;
        match first {
            '"' => self.text().map(Json::Text),
            '[' => self.list(depth),
            '{' => self.object(depth),
            _ if self.take("null") => Some(Json::Null),
            _ if self.take("true") => Some(Json::Bool(true)),
            _ if self.take("false") => Some(Json::Bool(false)),
            _ => ["NaN", "Infinity", "-Infinity"]
                .into_iter()
                .find(|word| self.take(word))
                .map(str::to_owned)
                .or_else(|| self.number())
                .map(Json::Number),
        }
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        self.take("[");
        let mut items = Vec::new();
        self.space();
        if self.take("]") {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Some(Json::List(items));
            }
            self.take(",").then_some(())?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.take("{");
        let mut map = BTreeMap::new();
        self.space();
        if self.take("}") {
            return Some(Json::Object(map));
        }
        loop {
            self.space();
            let key = self.text()?;
            self.space();
            self.take(":").then_some(())?;
            map.insert(key, self.value(depth + 1)?);
            self.space();
            if self.take("}") {
                return Some(Json::Object(map));
            }
            self.take(",").then_some(())?;
        }
    }

    fn text(&mut self) -> Option<Vec<u16>> {
        self.take("\"").then_some(())?;
        let mut units = Vec::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    c @ ('"' | '\\' | '/') => units.push(c as u16),
                    'b' => units.push(8),
                    'f' => units.push(12),
                    'n' => units.push(10),
                    'r' => units.push(13),
                    't' => units.push(9),
                    'u' => {
                        let mut unit = 0;
                        for _ in 0..4 {
                            unit = unit * 16 + chars.next()?.to_digit(16)?;
                        }
                        units.push(u16::try_from(unit).ok()?);
                    }
                    _ => return None,
                },
                c if u32::from(c) < 0x20 => return None,
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
        self.rest = chars.as_str();
        Some(units)
    }

    fn number(&mut self) -> Option<String> {
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
        let sign = usize::from(bytes.first() == Some(&b'-'));
        let whole = if bytes.get(sign) == Some(&b'0') { 1 } else { digits(sign) };
        if whole == 0 {
            return None;
        }
        let mut end = sign + whole;
        let mut float = false;
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
            float = true;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let count = digits(end + 1 + signed);
            if count > 0 {
                end += 1 + signed + count;
                float = true;
            }
        }
        let (number, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        if float {
            let value: f64 = number.parse().ok()?;
            // Rust's shortest text of a float always has a point or an exponent, so it is never that of an integer.
            return Some(match value {
                f64::INFINITY => "Infinity".to_owned(),
                f64::NEG_INFINITY => "-Infinity".to_owned(),
                value => format!("{value:?}"),
            });
        }
        (whole <= DIGITS).then(|| if number == "-0" { "0".to_owned() } else { number.to_owned() })
    }
}
