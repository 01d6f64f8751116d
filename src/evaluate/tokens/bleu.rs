//! The tokenisers of BLEU: `13a` and `intl`, each a row of substitutions over the characters, one pass a substitution.

use super::{Class, white};

/// `13a`: line breaks and the four common entities resolved, then ASCII punctuation set apart; dots, commas and hyphens
/// stay with digits.
pub fn mteval13a(text: &str) -> Vec<String> {
    let mut line = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if line.contains('&') {
        // One after the other, so `&amp;lt;` ends as `<`, as it does in the reference.
        for (entity, mark) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
            line = line.replace(entity, mark);
        }
    }
    let mut chars = vec![' '];
    chars.extend(line.chars());
    chars.push(' ');
    let apart = |c: char| matches!(c, ' '..='&' | '('..='+' | '/' | ':'..='@' | '['..='`' | '{'..='~');
    let stop = |c: char| matches!(c, '.' | ',');
    let digit = |c: char| c.is_ascii_digit();
    let chars = alone(&chars, apart);
    let chars = pairs(&chars, |a, b| !digit(a) && stop(b), Space::Around);
    let chars = pairs(&chars, |a, b| stop(a) && !digit(b), Space::Before);
    words(&pairs(&chars, |a, b| digit(a) && b == '-', Space::Around))
}

/// `intl`: punctuation is set apart where a neighbour is no number, symbols always.
pub fn international(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let number = |c| Class::Number.holds(c);
    let mark = |c| Class::Punctuation.holds(c);
    let chars = pairs(&chars, |a, b| !number(a) && mark(b), Space::Around);
    let chars = pairs(&chars, |a, b| mark(a) && !number(b), Space::Before);
    words(&alone(&chars, |c| Class::Symbol.holds(c)))
}

/// Where a pair of characters gets spaces.
#[derive(Clone, Copy)]
enum Space {
    /// Around its second one.
    Around,
    /// Around its first one.
    Before,
}

/// Puts spaces around each character that is `apart`.
fn alone(chars: &[char], apart: impl Fn(char) -> bool) -> Vec<char> {
    let mut out = Vec::with_capacity(chars.len() * 2);
    for &c in chars {
        if apart(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Puts spaces into each pair of neighbours that fits, from the left; a character belongs to one pair at most.
fn pairs(chars: &[char], fits: impl Fn(char, char) -> bool, space: Space) -> Vec<char> {
    let mut out = Vec::with_capacity(chars.len() * 2);
    let mut rest = chars;
    loop {
        rest = match rest {
            [a, b, after @ ..] if fits(*a, *b) => {
                match space {
                    Space::Around => out.extend([*a, ' ', *b, ' ']),
                    Space::Before => out.extend([' ', *a, ' ', *b]),
                }
                after
            }
            [a, after @ ..] => {
                out.push(*a);
                after
            }
            [] => return out,
        }
    }
}

fn words(chars: &[char]) -> Vec<String> {
    chars.split(|c| white::is_space(*c)).filter(|word| !word.is_empty()).map(|word| word.iter().collect()).collect()
}
