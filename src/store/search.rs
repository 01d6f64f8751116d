//! What a search reads: a record's texts in the form that a query's words have too.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

use super::{Content, State};

/// What a search reads of a record: every text of it, normalised as a query's words are.
pub(super) fn words(state: &State) -> String {
    let mut all = String::new();
    let mut add = |text: &str| {
        if !all.is_empty() {
            all.push('\n');
        }
        all.push_str(text);
    };
    match &state.content {
        Content::Pair { fields, draft, gold } => {
            for value in fields.values() {
                match value {
                    serde_json::Value::String(text) => add(text),
                    other => add(&other.to_string()),
                }
            }
            if gold != draft {
                draft.as_deref().map(&mut add);
            }
            gold.as_deref().map(&mut add);
        }
        Content::Chat { turns, .. } => {
            for turn in turns {
                turn.content.as_deref().map(&mut add);
                if let Some(calls) = turn.more.get("tool_calls") {
                    add(&calls.to_string());
                }
            }
        }
        Content::Text { text } => add(text),
    }
    if !state.notes.is_empty() {
        add(&state.notes);
    }
    normal(&all)
}

/// The form in which texts are searched: NFKC, lower case.
pub(super) fn normal(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    if is_nfkc_quick(text.chars()) == IsNormalized::Yes {
        return text.to_lowercase();
    }
    text.nfkc().collect::<String>().to_lowercase()
}
