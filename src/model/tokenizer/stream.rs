//! Decoding token by token, handing out only whole characters.

use super::Tokenizer;

/// Tokens that may wait for the rest of a character before they are handed out as they are: a UTF-8 character has at
/// most four bytes, and a decoder may hold back one token more.
const LONGEST_WAIT: usize = 8;

/// The text of tokens as they come. What all calls hand out, put together, is [`Tokenizer::decode`] of all tokens.
pub struct TokenStream {
    tokenizer: Tokenizer,
    skip_special: bool,
    state: State,
}

enum State {
    /// Each token's bytes are known by themselves; those of an unfinished character wait.
    Bytes { pending: Vec<u8>, first: bool },
    /// A token's text depends on its neighbours: a window of tokens is decoded anew, and what is new is handed out.
    Window { ids: Vec<u32>, prefix: usize, read: usize },
}

impl TokenStream {
    pub(super) fn new(tokenizer: Tokenizer, skip_special: bool) -> Self {
        let state = if tokenizer.bytes(0).is_some() {
            State::Bytes { pending: Vec::new(), first: true }
        } else {
            State::Window { ids: Vec::new(), prefix: 0, read: 0 }
        };
        Self { tokenizer, skip_special, state }
    }

    /// Takes the next token and hands out the text that is now certain, if any.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.skip_special && self.tokenizer.is_special(id) {
            return None;
        }
        match &mut self.state {
            State::Bytes { pending, first } => {
                let bytes = self.tokenizer.bytes(id).unwrap_or_default();
                let strip = std::mem::take(first) && self.tokenizer.strips_first_space();
                pending.extend_from_slice(bytes.strip_prefix(b" ").filter(|_| strip).unwrap_or(&bytes));
                some(whole(pending))
            }
            State::Window { ids, prefix, read } => {
                ids.push(id);
                let before = self.tokenizer.decode(ids.get(*prefix..*read)?, self.skip_special).unwrap_or_default();
                let now = self.tokenizer.decode(ids.get(*prefix..)?, self.skip_special).unwrap_or_default();
                let waits = now.ends_with('\u{FFFD}') && ids.len() - *read < LONGEST_WAIT;
                let new = now.strip_prefix(before.as_str()).filter(|new| !new.is_empty() && !waits)?.to_owned();
                (*prefix, *read) = (*read, ids.len());
                if *prefix > 64 {
                    ids.drain(..*prefix);
                    (*prefix, *read) = (0, ids.len());
                }
                Some(new)
            }
        }
    }

    /// Hands out what still waits: the text of tokens that never became whole characters, as U+FFFD.
    #[must_use]
    pub fn finish(self) -> Option<String> {
        match self.state {
            State::Bytes { pending, .. } => some(String::from_utf8_lossy(&pending).into_owned()),
            State::Window { ids, prefix, read } => {
                let before = self.tokenizer.decode(ids.get(prefix..read)?, self.skip_special).ok()?;
                let now = self.tokenizer.decode(ids.get(prefix..)?, self.skip_special).ok()?;
                some(now.strip_prefix(before.as_str())?.to_owned())
            }
        }
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Takes the whole characters off the front of `pending`, invalid bytes as U+FFFD, and leaves an unfinished one.
fn whole(pending: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut done = 0;
    while let Some(rest) = pending.get(done..) {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                done = pending.len();
                break;
            }
            Err(error) => {
                let valid = rest.get(..error.valid_up_to()).unwrap_or_default();
                text.push_str(&String::from_utf8_lossy(valid));
                done += valid.len();
                let Some(bad) = error.error_len() else { break };
                text.push('\u{FFFD}');
                done += bad;
            }
        }
    }
    pending.drain(..done);
    text
}
