//! The sparing bytes, read by a terminal emulator, give the screen that ratatui's own give.

use proptest::prelude::*;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::*;

const AREA: Rect = Rect { x: 0, y: 0, width: 24, height: 5 };

/// A terminal, and a backend that writes to it.
struct Both {
    sparing: Sparing,
    screen: vt100::Parser,
    usual: vt100::Parser,
    before: Buffer,
    /// Bytes that each has written.
    bytes: (usize, usize),
}

fn parser(area: Rect) -> vt100::Parser {
    let cells = |number| std::num::NonZeroU16::new(number).unwrap();
    vt100::Parser::new(cells(area.height), cells(area.width), 0)
}

impl Both {
    fn new(area: Rect) -> Self {
        let sparing = Sparing { asked: std::cell::Cell::new(area.as_size()), ..Sparing::default() };
        Self { sparing, screen: parser(area), usual: parser(area), before: Buffer::empty(area), bytes: (0, 0) }
    }

    fn draw(&mut self, next: Buffer) {
        self.sparing.draw(self.before.diff_iter(&next)).unwrap();
        let written = self.sparing.take();
        self.screen.process(&written);
        let mut usual = Vec::new();
        CrosstermBackend::new(&mut usual).draw(self.before.diff_iter(&next)).unwrap();
        self.usual.process(&usual);
        self.bytes = (self.bytes.0 + written.len(), self.bytes.1 + usual.len());
        self.before = next;
    }
}

/// What a person sees of a cell: on a blank, only its ground and what is drawn through it.
fn seen(parser: &vt100::Parser, area: Rect) -> Vec<String> {
    let cell = |x: u16, y: u16| {
        let cell = parser.screen().cell(y, x).unwrap();
        let blank = cell.contents().trim().is_empty() && !cell.is_wide_continuation();
        let letters = if cell.inverse() || !blank { format!("{:?}", cell.fgcolor()) } else { String::new() };
        let weight = if blank { String::new() } else { format!("{} {} {}", cell.bold(), cell.dim(), cell.italic()) };
        let ground = format!("{:?} {} {}", cell.bgcolor(), cell.underline(), cell.inverse());
        if cell.is_wide_continuation() {
            return format!("{x},{y} the right half");
        }
        format!("{x},{y} {:?} {letters} {weight} on {ground}", cell.contents().trim())
    };
    (area.top()..area.bottom())
        .flat_map(|y| (area.left()..area.right()).map(move |x| (x, y)))
        .map(|(x, y)| cell(x, y))
        .collect()
}

fn colour() -> impl Strategy<Value = Color> {
    prop_oneof![
        4 => Just(Color::Reset),
        1 => Just(Color::Red),
        1 => Just(Color::LightBlue),
        1 => (0..=255_u8).prop_map(Color::Indexed),
        1 => Just(Color::Rgb(128, 128, 140)),
    ]
}

fn style() -> impl Strategy<Value = Style> {
    let modifiers = [Modifier::BOLD, Modifier::DIM, Modifier::ITALIC, Modifier::UNDERLINED, Modifier::REVERSED];
    let modifier = prop::collection::vec(prop::sample::select(modifiers.to_vec()), 0..2);
    (colour(), colour(), modifier).prop_map(|(front, back, modifiers)| {
        modifiers.into_iter().fold(Style::new().fg(front).bg(back), Style::add_modifier)
    })
}

/// Where a text begins, the text and its look.
fn words() -> impl Strategy<Value = (u16, u16, String, Style)> {
    let text = prop_oneof!["[a-c ]{1,12}", "[ ]{1,24}", "[a-c日本語。 ]{1,8}", "[▸○│é ]{1,6}",];
    (0..AREA.width, 0..AREA.height, text, style())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_terminal_shows_the_same(frames in prop::collection::vec((any::<bool>(), prop::collection::vec(words(), 0..12)), 1..6)) {
        let mut both = Both::new(AREA);
        for (anew, frame) in frames {
            let mut next = if anew { Buffer::empty(AREA) } else { both.before.clone() };
            for (x, y, text, style) in frame {
                let room = usize::from(AREA.width - x);
                // As the panes do it: a wide letter that begins before and is cut by this goes as a whole.
                if let Some(left) = x.checked_sub(1) && next[(left, y)].cell_width() > 1 {
                    next[(left, y)].reset();
                }
                next.set_stringn(x, y, &text, room, style);
            }
            // The emulator, unlike terminals, knows one of these at a time.
            for cell in next.content.iter_mut().filter(|cell| cell.modifier.contains(Modifier::BOLD)) {
                cell.modifier.remove(Modifier::DIM);
            }
            both.draw(next);
            prop_assert_eq!(seen(&both.screen, AREA), seen(&both.usual, AREA));
        }
    }
}

#[test]
fn what_looks_as_before_is_not_written() {
    let mut both = Both::new(AREA);
    let line = |text: &str, style: Style| {
        let mut buffer = Buffer::empty(AREA);
        buffer.set_string(0, 1, text, style);
        buffer
    };
    both.draw(line("parcel 1 of 9", Style::new().fg(Color::Indexed(244))));
    let first = both.bytes.0;
    // One letter of the same colour: its place, its colour, itself, the pen laid down.
    both.draw(line("parcel 2 of 9", Style::new().fg(Color::Indexed(244))));
    assert_eq!(both.bytes.0 - first, "^[2;8H^[38;5;244m2^[m".len());
    // A blank has no colour of its own.
    let second = both.bytes.0;
    let mut next = both.before.clone();
    next.set_style(Rect { x: 14, width: 10, ..AREA }, Style::new().fg(Color::Red).bold());
    both.draw(next);
    assert_eq!(both.bytes.0, second);
    assert!(both.sparing.take().is_empty());
}

#[test]
fn a_line_that_ends_sooner_is_rubbed_out() {
    let mut both = Both::new(AREA);
    let mut long = Buffer::empty(AREA);
    long.set_string(0, 0, "a line of many letters", Style::new());
    both.draw(long);
    let before = both.bytes.0;
    let mut short = Buffer::empty(AREA);
    short.set_string(0, 0, "a", Style::new());
    both.draw(short);
    assert_eq!(both.screen.screen().contents().trim_end(), "a");
    assert!(both.bytes.0 - before < 14, "{} bytes", both.bytes.0 - before);
}

#[test]
fn the_cursor_and_its_hiding_are_said_once() {
    let mut sparing = Sparing { asked: std::cell::Cell::new(AREA.as_size()), ..Sparing::default() };
    sparing.hide_cursor().unwrap();
    sparing.hide_cursor().unwrap();
    assert_eq!(sparing.take(), b"\x1b[?25l");
    sparing.show_cursor().unwrap();
    sparing.set_cursor_position((3, 1)).unwrap();
    assert_eq!(sparing.take(), b"\x1b[?25h\x1b[2;4H");
    sparing.show_cursor().unwrap();
    sparing.set_cursor_position((3, 1)).unwrap();
    assert!(sparing.take().is_empty());
    // After another program had the terminal, everything is said again.
    sparing.clear().unwrap();
    sparing.take();
    sparing.show_cursor().unwrap();
    assert_eq!(sparing.take(), b"\x1b[?25h");
}
