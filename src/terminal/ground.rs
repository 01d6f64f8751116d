//! Whether the terminal is dark or light: asked once, after the first frame, and the answer picked out of what is typed.
//!
//! A terminal answers `OSC 11 ; ? BEL` (xterm's `ctlseqs`, "Operating System Commands") by "typing" `OSC 11 ; rgb:R/G/B` and BEL or
//! ST. A reader that waits for that takes what a person types meanwhile along, so nobody waits here: keys go on as they come, and
//! only those that spell an answer are kept back until it is whole. What turns out to be none is given on, in its order.
//!
//! It knows keys, and neither clock nor screen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What asks the terminal for its ground. Ended by BEL, because rxvt-unicode ends its answer as the question was and gets ST wrong.
pub const ASK: &[u8] = b"\x1b]11;?\x07";

/// More letters than an answer has: `11;rgba:` and four numbers of four digits.
const LONGEST: usize = 32;

/// What comes of a key.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// Keys that a person pressed; none where they may yet be an answer.
    Keys(Vec<KeyEvent>),
    /// The terminal's answer: whether it is light. None where it says what cannot be read.
    Answer(Option<bool>),
}

/// Listens for the answer.
#[derive(Debug, Default)]
pub struct Ground {
    awaited: bool,
    /// Keys that may be an answer, the one that begins it first.
    held: Vec<KeyEvent>,
    /// Escape was the key before: an answer may come in two parts.
    escaped: bool,
}

impl Ground {
    /// Notes that the terminal was asked.
    pub fn asked(&mut self) {
        self.awaited = true;
    }

    /// Whether an answer is still to come.
    pub fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// Whether keys are kept back.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes a key.
    pub fn hear(&mut self, key: KeyEvent) -> Heard {
        if !self.awaited {
            return Heard::Keys(vec![key]);
        }
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        let alt = key.modifiers == KeyModifiers::ALT;
        let escaped = std::mem::replace(&mut self.escaped, key.code == KeyCode::Esc);
        if self.held.is_empty() {
            let begins = key.code == KeyCode::Char(']') && (alt || plain && escaped);
            if !begins {
                return Heard::Keys(vec![key]);
            }
            self.held.push(key);
            return Heard::Keys(Vec::new());
        }
        let ends = match key.code {
            KeyCode::Char('\\') => alt || plain && escaped,
            KeyCode::Char('g') => key.modifiers == KeyModifiers::CONTROL,
            _ => false,
        };
        let text = self.text();
        if ends && may_be(&text) {
            self.held.clear();
            self.awaited = false;
            return Heard::Answer(is_light(&text));
        }
        self.held.push(key);
        let goes_on = key.code == KeyCode::Esc || plain && may_be(&self.text());
        if goes_on && self.held.len() < LONGEST { Heard::Keys(Vec::new()) } else { Heard::Keys(self.give_up()) }
    }

    /// What was kept back: no answer came of it in time.
    pub fn give_up(&mut self) -> Vec<KeyEvent> {
        std::mem::take(&mut self.held)
    }

    /// What the keys kept back spell, after the one that begins.
    fn text(&self) -> String {
        let letters = self.held.iter().skip(1).filter_map(|key| match key.code {
            KeyCode::Char(c) => Some(c),
            _ => None,
        });
        letters.collect()
    }
}

/// Whether an answer may begin like this.
fn may_be(text: &str) -> bool {
    ["11;rgb:", "11;rgba:"].into_iter().any(|head| match text.strip_prefix(head) {
        Some(numbers) => numbers.chars().all(|c| c.is_ascii_hexdigit() || c == '/'),
        None => head.starts_with(text),
    })
}

/// Whether `11;rgb:R/G/B`, each of one to four hexadecimal digits, is nearer to white than to black: by its luma, the weights of
/// ITU-R BT.709.
fn is_light(text: &str) -> Option<bool> {
    let (_, numbers) = text.split_once(':')?;
    let mut parts = numbers.split('/').map(|digits| {
        let most = 16_u32.checked_pow(digits.len().try_into().ok()?)?.checked_sub(1).filter(|most| *most > 0)?;
        Some(f64::from(u32::from_str_radix(digits, 16).ok()?) / f64::from(most))
    });
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    Some(0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys as the reader of keys gives them for what a terminal sends.
    fn keys(text: &str) -> Vec<KeyEvent> {
        let mut keys = Vec::new();
        let mut letters = text.chars();
        while let Some(c) = letters.next() {
            let (c, modifiers) = match c {
                '\x1b' => {
                    let Some(c) = letters.next() else {
                        keys.push(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
                        continue;
                    };
                    (c, KeyModifiers::ALT)
                }
                '\x07' => ('g', KeyModifiers::CONTROL),
                c if c.is_uppercase() => (c, KeyModifiers::SHIFT),
                c => (c, KeyModifiers::NONE),
            };
            keys.push(KeyEvent::new(KeyCode::Char(c), modifiers));
        }
        keys
    }

    fn heard(all: Vec<KeyEvent>) -> (Vec<KeyEvent>, Vec<Option<bool>>) {
        let mut ground = Ground::default();
        ground.asked();
        let (mut pressed, mut answers) = (Vec::new(), Vec::new());
        for key in all {
            match ground.hear(key) {
                Heard::Keys(keys) => pressed.extend(keys),
                Heard::Answer(light) => answers.push(light),
            }
        }
        pressed.extend(ground.give_up());
        (pressed, answers)
    }

    #[test]
    fn an_answer_is_read_and_the_keys_around_it_are_keys() {
        for (ground, light) in
            [("ffff/ffff/ffff", true), ("1e/1e/2E", false), ("FDF6/e3e3/d5d5", true), ("0/0/f", false)]
        {
            for end in ["\x07", "\x1b\\"] {
                let typed = format!("jj\x1b]11;rgb:{ground}{end}k]1");
                assert_eq!(heard(keys(&typed)), (keys("jjk]1"), vec![Some(light)]), "{typed:?}");
            }
        }
        assert_eq!(heard(keys("\x1b]11;rgba:ffff/ffff/ffff/ffff\x07")), (Vec::new(), vec![Some(true)]));
        assert_eq!(heard(keys("\x1b]11;rgb:ffff/\x07j")), (keys("j"), vec![None]), "an answer, but no colour");
    }

    #[test]
    fn an_answer_in_two_parts_is_one() {
        let mut typed = keys("a\x1b");
        typed.extend(keys("]11;rgb:0000/0000/0000\x1b"));
        typed.extend(keys("\\b"));
        let escape = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
        // The first escape had gone on before it was known what it was; nothing reads it as more than one.
        assert_eq!(heard(typed), ([keys("a"), vec![escape], keys("b")].concat(), vec![Some(false)]));
    }

    #[test]
    fn what_is_no_answer_is_given_on_in_its_order() {
        for typed in [
            "\x1b]",
            "\x1b]1j",
            "\x1b]11;rgx",
            "]11;rgb:0/0/0\x07",
            "\x1b]11;rgb:0000/0000/0000/0000/0000/0000",
            "j\x07",
        ] {
            assert_eq!(heard(keys(typed)), (keys(typed), vec![]), "{typed:?}");
        }
        // Nobody asked: nothing is an answer.
        let mut ground = Ground::default();
        let first = keys("\x1b]").remove(0);
        assert_eq!(ground.hear(first), Heard::Keys(vec![first]));
    }
}
