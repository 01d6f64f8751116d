//! A text that is being written: `ratatui-textarea`'s editor, with what Japanese needs.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, Input, Key, TextArea, WrapMode};
use unicode_normalization::UnicodeNormalization;

/// A text of one line or several, with its cursor and its own undo.
#[derive(Clone, Debug)]
pub struct Field {
    area: TextArea<'static>,
    one_line: bool,
    /// Hashes of texts without what was replaced and without what replaced it: the editor's undo stops at them, and nobody saw them.
    between: BTreeSet<u64>,
}

impl Field {
    /// A text of several lines, the cursor at its end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut field = Self::of(text.split('\n').map(str::to_owned).collect(), false);
        field.area.set_wrap_mode(WrapMode::WordOrGlyph);
        field.go_to_end();
        field
    }

    /// A text of one line; line breaks in it become blanks.
    #[must_use]
    pub fn line(text: &str) -> Self {
        let mut field = Self::of(vec![text.replace(['\n', '\r'], " ")], true);
        field.go_to_end();
        field
    }

    fn of(lines: Vec<String>, one_line: bool) -> Self {
        Self { area: blank(lines), one_line, between: BTreeSet::new() }
    }

    /// What is written.
    #[must_use]
    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    /// Puts another text in its place, as one step of its undo.
    pub fn set(&mut self, text: &str) {
        self.area.select_all();
        self.insert(text);
    }

    /// Selects everything, so that what is written next takes its place; moving the cursor lets go of it.
    pub fn select(&mut self) {
        self.area.select_all();
    }

    /// Inserts a text at the cursor as one step of undo: what an input method commits, or a paste. It is brought to NFC, since
    /// the editor moves by code points.
    pub fn insert(&mut self, text: &str) {
        let text: String = text.replace("\r\n", "\n").replace('\r', "\n").nfc().collect();
        let text = if self.one_line { text.replace('\n', " ") } else { text };
        // Inserting over a selection needs a text; deleting it does not.
        if text.is_empty() {
            self.area.cut();
            return;
        }
        if self.area.selection_range().is_some_and(|(start, end)| start != end) {
            self.area.delete_char();
            self.between.insert(hash(&self.text()));
        }
        self.area.insert_str(text);
    }

    /// Takes back what was written last, or writes it again; whether the text is another one now.
    pub fn again(&mut self, redo: bool) -> bool {
        let changed = self.step(redo);
        while changed && self.between.contains(&hash(&self.text())) && self.step(redo) {}
        changed
    }

    fn step(&mut self, redo: bool) -> bool {
        if redo { self.area.redo() } else { self.area.undo() }
    }

    /// Takes a key that is no command; whether the text is another one now.
    pub fn key(&mut self, event: KeyEvent) -> bool {
        if self.one_line && matches!(event.code, KeyCode::Enter) {
            return false;
        }
        if event.code == KeyCode::Tab {
            return false;
        }
        // A line feed, which some terminals send for enter with shift, begins a line; the editor would delete one.
        if matches!(event.code, KeyCode::Char('j' | 'm')) && event.modifiers.contains(KeyModifiers::CONTROL) {
            if !self.one_line {
                self.area.insert_newline();
            }
            return !self.one_line;
        }
        match event.code {
            KeyCode::Char('u') if event.modifiers == KeyModifiers::CONTROL => self.again(false),
            KeyCode::Char('r') if event.modifiers == KeyModifiers::CONTROL => self.again(true),
            _ => self.area.input(input(event)),
        }
    }

    /// Where the cursor stands: row and column in characters.
    #[must_use]
    pub fn cursor(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        (cursor.0, cursor.1)
    }

    /// Puts the cursor at a row and column.
    pub fn go_to(&mut self, row: usize, column: usize) {
        let small = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
        self.area.move_cursor(CursorMove::Jump(small(row), small(column)));
    }

    /// The editor, to be drawn.
    #[must_use]
    pub fn area(&self) -> &TextArea<'static> {
        &self.area
    }

    fn go_to_end(&mut self) {
        self.area.move_cursor(CursorMove::Bottom);
        self.area.move_cursor(CursorMove::End);
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// An editor that draws nothing but its text: the terminal's own cursor shows where one writes.
fn blank(lines: Vec<String>) -> TextArea<'static> {
    let mut area = TextArea::new(lines);
    area.set_cursor_style(ratatui::style::Style::new());
    area.set_cursor_line_style(ratatui::style::Style::new());
    area.set_selection_style(ratatui::style::Style::new().reversed());
    area.set_max_histories(1_000);
    area
}

fn input(event: KeyEvent) -> Input {
    let key = match event.code {
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Enter => Key::Enter,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Delete => Key::Delete,
        KeyCode::Esc => Key::Esc,
        _ => Key::Null,
    };
    let has = |modifier| event.modifiers.contains(modifier);
    Input { key, ctrl: has(KeyModifiers::CONTROL), alt: has(KeyModifiers::ALT), shift: has(KeyModifiers::SHIFT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(field: &mut Field, code: KeyCode, modifiers: KeyModifiers) -> bool {
        field.key(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn a_commit_of_an_input_method_is_one_step() {
        let mut field = Field::new("研ぎ");
        field.insert("澄ます");
        assert_eq!(field.text(), "研ぎ澄ます");
        press(&mut field, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert_eq!(field.text(), "研ぎ", "one undo takes all of it");
        press(&mut field, KeyCode::Char('r'), KeyModifiers::CONTROL);
        assert_eq!(field.text(), "研ぎ澄ます");
    }

    #[test]
    fn what_takes_the_place_of_another_text_is_one_step() {
        let mut field = Field::new("研ぎ\n澄ます");
        field.set("x");
        field.insert("y");
        for (redo, text) in [(false, "x"), (false, "研ぎ\n澄ます"), (true, "x"), (true, "xy")] {
            assert!(field.again(redo));
            assert_eq!(field.text(), text);
        }
        assert!(!field.again(true));
        press(&mut field, KeyCode::Char('u'), KeyModifiers::CONTROL);
        press(&mut field, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert_eq!(field.text(), "研ぎ\n澄ます", "by its keys too");
        assert!(!field.again(false));
        field.set("");
        assert!(field.again(false));
        assert_eq!(field.text(), "研ぎ\n澄ます");
    }

    #[test]
    fn a_line_feed_begins_a_line_and_deletes_none() {
        let mut field = Field::new("one");
        assert!(press(&mut field, KeyCode::Char('j'), KeyModifiers::CONTROL));
        assert_eq!(field.text(), "one\n");
    }

    #[test]
    fn what_is_inserted_is_composed_and_keeps_to_its_line() {
        let mut field = Field::new("");
        field.insert("cafe\u{301}\r\nx");
        assert_eq!(field.text(), "café\nx");
        let mut line = Field::line("a\nb");
        line.insert("c\nd");
        assert!(!press(&mut line, KeyCode::Enter, KeyModifiers::NONE));
        assert_eq!(line.text(), "a bc d");
        line.set("");
        assert_eq!(line.text(), "");
    }
}
