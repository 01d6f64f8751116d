//! What the terminal's pen is set to, and the shortest words that set it otherwise: SGR, ECMA-48 8.3.117, with the colours of
//! xterm's `ctlseqs` (90 to 97 for the bright ones, 38 and 48 with 5 or 2 for the others).

use std::fmt::Write as _;

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

/// What shows on a cell that has no letter.
const SHOWS_ON_BLANK: Modifier = Modifier::REVERSED
    .union(Modifier::UNDERLINED)
    .union(Modifier::CROSSED_OUT)
    .union(Modifier::SLOW_BLINK)
    .union(Modifier::RAPID_BLINK);

/// Each modifier, the number that sets it and the one that takes it back. Bold and dim share the latter.
const MODIFIERS: [(Modifier, u8, u8); 9] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::SLOW_BLINK, 5, 25),
    (Modifier::RAPID_BLINK, 6, 25),
    (Modifier::REVERSED, 7, 27),
    (Modifier::HIDDEN, 8, 28),
    (Modifier::CROSSED_OUT, 9, 29),
];

/// How letters look that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pen {
    pub front: Color,
    pub back: Color,
    pub line: Color,
    pub modifier: Modifier,
}

impl Pen {
    /// As the terminal has it to begin with.
    pub const PLAIN: Self =
        Self { front: Color::Reset, back: Color::Reset, line: Color::Reset, modifier: Modifier::empty() };

    /// The pen that writes a cell.
    pub fn of(cell: &Cell) -> Self {
        Self { front: cell.fg, back: cell.bg, line: cell.underline_color, modifier: cell.modifier }
    }

    /// Whether nothing but the ground shows where a space is written with it.
    pub fn leaves_blank(self) -> bool {
        !self.modifier.intersects(SHOWS_ON_BLANK)
    }

    /// The pen nearest to this one that leaves nothing but such a ground.
    pub fn blank(self, back: Color) -> Self {
        Self { back, modifier: self.modifier.difference(SHOWS_ON_BLANK), ..self }
    }

    /// Writes what makes this pen of `before`, or of any where that is not known; nothing where they are the same.
    pub fn write(self, before: Option<Self>, out: &mut Vec<u8>) {
        if before == Some(self) {
            return;
        }
        let anew = self.changes(Self::PLAIN, String::from("0"));
        let words = match before {
            Some(before) => {
                let changed = self.changes(before, String::new());
                if changed.len() <= anew.len() { changed } else { anew }
            }
            None => anew,
        };
        // A lone 0 may be left out.
        let words = if words == "0" { "" } else { &words };
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(words.as_bytes());
        out.push(b'm');
    }

    /// The parameters that make this pen of another, after those of `words`.
    fn changes(self, before: Self, mut words: String) -> String {
        let mut add = |parameter: &str| {
            if !words.is_empty() {
                words.push(';');
            }
            words.push_str(parameter);
        };
        let mut have = before.modifier;
        for (modifier, _, off) in MODIFIERS {
            if have.contains(modifier) && !self.modifier.contains(modifier) {
                add(&off.to_string());
                for (other, _, shared) in MODIFIERS {
                    if shared == off {
                        have.remove(other);
                    }
                }
            }
        }
        for (modifier, on, _) in MODIFIERS {
            if self.modifier.contains(modifier) && !have.contains(modifier) {
                add(&on.to_string());
            }
        }
        for (now, then, base) in [(self.front, before.front, 30), (self.back, before.back, 40)] {
            if now != then {
                add(&colour(now, base));
            }
        }
        if self.line != before.line {
            add(&colour(self.line, 50));
        }
        words
    }
}

/// The parameters of a colour: `base` is 30 for letters, 40 for their ground, 50 for the line under them.
fn colour(colour: Color, base: u8) -> String {
    let named = match colour {
        Color::Reset => return (base + 9).to_string(),
        Color::Rgb(red, green, blue) => return format!("{};2;{red};{green};{blue}", base + 8),
        Color::Indexed(index) => return format!("{};5;{index}", base + 8),
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    let mut words = String::new();
    // The line under letters has no short names. Writing to a string does not fail.
    let _ = match named {
        _ if base == 50 => write!(words, "58;5;{named}"),
        0..=7 => write!(words, "{}", base + named),
        _ => write!(words, "{}", base + 60 + named - 8),
    };
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(from: Option<Pen>, to: Pen) -> String {
        let mut out = Vec::new();
        to.write(from, &mut out);
        String::from_utf8(out).unwrap().replace('\x1b', "^")
    }

    #[test]
    fn only_what_differs_is_said() {
        let plain = Pen::PLAIN;
        let dim = Pen { front: Color::Indexed(244), ..plain };
        let bold = Pen { modifier: Modifier::BOLD, ..dim };
        assert_eq!(words(Some(plain), plain), "");
        assert_eq!(words(None, plain), "^[m");
        assert_eq!(words(Some(dim), plain), "^[m", "a lone 39 is longer than nothing at all");
        assert_eq!(words(Some(plain), dim), "^[38;5;244m");
        assert_eq!(words(Some(dim), bold), "^[1m");
        assert_eq!(words(Some(bold), dim), "^[22m");
        assert_eq!(words(Some(Pen { modifier: Modifier::BOLD | Modifier::DIM, ..plain }), bold), "^[0;1;38;5;244m");
        assert_eq!(words(Some(bold), Pen { front: Color::LightRed, ..bold }), "^[91m");
        assert_eq!(words(Some(bold), Pen { back: Color::Blue, ..bold }), "^[44m");
    }
}
