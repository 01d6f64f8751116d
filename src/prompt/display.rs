//! A rendering token by token, so that a person sees what the model reads and what it learns.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::render::{Rendered, Renderer};

/// One token of a rendering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Position in the sequence, from 0.
    pub index: usize,
    /// Token id.
    pub id: u32,
    /// The text it stands for. Tokens that share one character all show that character.
    pub text: String,
    /// Its bytes in the rendered text.
    pub start: usize,
    /// End of its bytes.
    pub end: usize,
    /// Whether it marks structure.
    pub special: bool,
    /// Whether it is learned.
    pub supervised: bool,
    /// Where it is one of several tokens that share a character: which one, from 1, and of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<(usize, usize)>,
}

/// Describes each token of `rendered`.
#[must_use]
pub fn rows(renderer: &Renderer, rendered: &Rendered) -> Vec<Row> {
    let parts = parts(rendered);
    let tokens = rendered.tokens.iter().zip(&rendered.spans).zip(&rendered.loss_mask).zip(parts);
    tokens
        .enumerate()
        .map(|(index, (((&id, span), &supervised), part))| Row {
            index,
            id,
            text: whole_characters(&rendered.text, span.start, span.end),
            start: span.start,
            end: span.end,
            special: renderer.tokenizer().is_special(id),
            supervised,
            part,
        })
        .collect()
}

/// The listing as plain lines: index, id, a mark (`+` learned, `.` read only), the escaped text, and notes.
#[must_use]
pub fn listing(rows: &[Row]) -> String {
    let width = |n: usize| n.to_string().len();
    let index = rows.last().map_or(1, |row| width(row.index));
    let id = rows.iter().map(|row| width(row.id as usize)).max().unwrap_or(1);
    let mut out = String::new();
    for row in rows {
        let mark = if row.supervised { '+' } else { '.' };
        let special = if row.special { "  special" } else { "" };
        let part = row.part.map(|(k, n)| format!("  part {k} of {n}")).unwrap_or_default();
        let text = escape(&row.text);
        let _ = writeln!(out, "{:>index$} {:>id$} {mark} \"{text}\"{special}{part}", row.index, row.id);
    }
    out
}

/// For each token its place among the tokens that share its characters.
fn parts(rendered: &Rendered) -> Vec<Option<(usize, usize)>> {
    let spans = &rendered.spans;
    let mut out = vec![None; spans.len()];
    let mut first = 0;
    while first < spans.len() {
        let mut reach = spans.get(first).map_or(0, |s| s.end);
        let mut next = first + 1;
        while let Some(span) = spans.get(next).filter(|s| s.start < reach) {
            reach = reach.max(span.end);
            next += 1;
        }
        if next - first > 1 {
            for (k, slot) in out.iter_mut().skip(first).take(next - first).enumerate() {
                *slot = Some((k + 1, next - first));
            }
        }
        first = next;
    }
    out
}

/// The characters that `start..end` touches.
fn whole_characters(text: &str, start: usize, end: usize) -> String {
    text.get(text.floor_char_boundary(start)..text.ceil_char_boundary(end)).unwrap_or_default().to_owned()
}

/// Line breaks, tabs and other controls written visibly; everything else, Japanese included, as it is.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Line and paragraph separators, marks of direction, zero-width characters and the byte-order mark.
            c if c.is_control()
                || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}') =>
            {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Mode, Prompt, fixtures};

    #[test]
    fn shows_what_is_read_and_what_is_learned() {
        let renderer = fixtures::chatml(Prompt::default());
        let record = &fixtures::rows(r#"{"instruction":"a\tb","output":"研ぐ"}"#)[0];
        let rendered = renderer.render(record, Mode::Train { supervise_prompt: false }).unwrap();
        let rows = rows(&renderer, &rendered);
        assert_eq!(rows.len(), rendered.tokens.len());
        let text = listing(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with(". \"<|im_start|>\"  special"), "{}", lines[0]);
        assert!(lines.last().unwrap().ends_with("+ \"<|im_end|>\"  special"), "{text}");
        assert!(text.contains("\\t"), "{text}");
        // The small vocabulary has no token for 研, so its three bytes are three tokens.
        assert!(text.contains("+ \"研\"  part 1 of 3\n"), "{text}");
        assert!(text.contains("+ \"研\"  part 3 of 3\n"), "{text}");
        let json = serde_json::to_value(&rows[0]).unwrap();
        assert_eq!(json["special"], true);
        assert_eq!(json["supervised"], false);
        assert!(json.get("part").is_none());
    }

    #[test]
    fn hidden_characters_are_written_out() {
        assert_eq!(escape("a\u{200B}b\u{202E}\u{7}\"\\"), "a\\u{200b}b\\u{202e}\\u{7}\\\"\\\\");
        assert_eq!(escape("研ぎ 𠮷"), "研ぎ 𠮷");
    }
}
