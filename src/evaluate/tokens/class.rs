//! Unicode's general categories, as sets to look a character up in.

use std::sync::LazyLock;

use regex::Regex;

/// A major general category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// P*.
    Punctuation,
    /// S*.
    Symbol,
    /// N*.
    Number,
    /// L*.
    Letter,
}

/// Ranges of code points, both ends inside, in order.
type Ranges = Vec<(char, char)>;

static PUNCTUATION: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{P}+"));
static SYMBOL: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{S}+"));
static NUMBER: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{N}+"));
static LETTER: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{L}+"));

/// Planes 0 to 3. The ones above hold tags, variation selectors and private use, which are in none of the categories.
const END: char = '\u{40000}';

/// Where in the order of code points the pattern, one class repeated, matches.
fn ranges(pattern: &str) -> Ranges {
    let all: String = ('\0'..END).collect();
    let Ok(regex) = Regex::new(pattern) else { return Ranges::new() };
    regex
        .find_iter(&all)
        .filter_map(|run| Some((run.as_str().chars().next()?, run.as_str().chars().next_back()?)))
        .collect()
}

impl Class {
    /// Whether `c` is of the category.
    #[must_use]
    pub fn holds(self, c: char) -> bool {
        if c.is_ascii() {
            // ASCII's 32 marks are punctuation but for these nine, which are symbols.
            let symbol = matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
            return match self {
                Self::Punctuation => c.is_ascii_punctuation() && !symbol,
                Self::Symbol => symbol,
                Self::Number => c.is_ascii_digit(),
                Self::Letter => c.is_ascii_alphabetic(),
            };
        }
        let ranges = match self {
            Self::Punctuation => &PUNCTUATION,
            Self::Symbol => &SYMBOL,
            Self::Number => &NUMBER,
            Self::Letter => &LETTER,
        };
        let after = ranges.partition_point(|(first, _)| *first <= c);
        after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| c <= *last)
    }
}
