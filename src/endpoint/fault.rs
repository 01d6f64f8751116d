//! What goes wrong with an attempt, whether another one may help, and what a person can do.

use reqwest::StatusCode;
use serde_json::Value;

use super::purse::Bill;

/// Characters of a server's message that are shown.
const SHOWN: usize = 300;
/// Error codes that say the account has no money left, though their status (429) says to try again.
/// From the guide to error codes of the interface's inventor (2025); others use the status 402 instead.
const NO_CREDIT: &[&str] = &["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

/// Why an attempt brought no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("could not connect to {host}: {why}; check base_url, and that the server runs")]
    Connect {
        /// Host and port.
        host: String,
        /// The reason.
        why: String,
    },
    /// No whole answer in time.
    #[error("no whole answer within {seconds} s; raise timeout_seconds, or lower max_tokens or concurrency")]
    Timeout {
        /// The setting, in seconds.
        seconds: f64,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection broke before the answer was whole: {0}")]
    Broken(String),
    /// A status that is no success.
    #[error("HTTP {}: {message}{}", status_words(*status), hint(*status, code.as_deref()))]
    Status {
        /// The status.
        status: u16,
        /// The server's error code in words, where it gave one.
        code: Option<String>,
        /// The server's message, cut, without the key.
        message: String,
    },
    /// The endpoint sends on to elsewhere, which is not followed: the key would go along.
    #[error("HTTP {}: the endpoint sends on to {to}; if that is right, give it as base_url", status_words(*status))]
    Redirect {
        /// The status.
        status: u16,
        /// Where to, without the query.
        to: String,
    },
    /// The body is longer than is read.
    #[error("the endpoint's body is longer than {0} bytes; that is no chat completion, check base_url")]
    TooLarge(usize),
    /// The body is not what a chat completion is.
    #[error("the endpoint's body is no chat completion: {what}")]
    Unreadable {
        /// What it is instead, and what to do.
        what: String,
        /// Whether it may have been billed, because a model seems to have answered.
        billed: bool,
    },
}

impl Fault {
    /// Whether another attempt may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken(_) => true,
            Self::Status { status, code, .. } => {
                matches!(status, 408 | 409 | 425 | 429 | 500..=599) && !lacks_credit(code.as_deref())
            }
            Self::Redirect { .. } | Self::TooLarge(_) | Self::Unreadable { .. } => false,
        }
    }

    /// Whether every other request must meet the same, so that none needs to be sent: the key, the account, the address
    /// or the model is wrong. `answered` says whether any request was answered; a 403 after that is about one prompt,
    /// as some providers' filters answer.
    #[must_use]
    pub fn is_of_all(&self, answered: bool) -> bool {
        match self {
            Self::Status { status: 401 | 402 | 404, .. } | Self::Redirect { .. } => true,
            Self::Status { status: 403, .. } => !answered,
            Self::Status { code, .. } => lacks_credit(code.as_deref()) || self.is_not_found(),
            _ => false,
        }
    }

    /// Whether the endpoint says that it has not what was asked for, so that it is worth to list what it has.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
            || matches!(self, Self::Status { code: Some(code), .. } if code == "model_not_found")
    }

    /// What the attempt costs.
    pub(super) fn bill(&self) -> Bill {
        match self {
            // A server that has the prompt may go on and bill, though nobody waits.
            Self::Timeout { .. } | Self::Broken(_) | Self::TooLarge(_) | Self::Unreadable { billed: true, .. } => {
                Bill::Unknown
            }
            _ => Bill::Nothing,
        }
    }

    /// A status that is no success, with what the server says in `body`.
    pub(super) fn of_status(status: u16, body: &[u8], declared_html: bool) -> Self {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        let code = value.as_ref().and_then(error_code);
        let message = value.as_ref().and_then(error_message).unwrap_or_else(|| match page_title(body, declared_html) {
            Some(title) => format!("an HTML page{title}"),
            None => cut(&String::from_utf8_lossy(body)),
        });
        let message = if message.is_empty() { "the server says nothing more".to_owned() } else { message };
        Self::Status { status, code, message }
    }
}

fn lacks_credit(code: Option<&str>) -> bool {
    code.is_some_and(|code| NO_CREDIT.contains(&code))
}

/// A status with its name, as `404 Not Found`.
fn status_words(status: u16) -> String {
    match StatusCode::from_u16(status).ok().and_then(|known| known.canonical_reason()) {
        Some(name) => format!("{status} {name}"),
        None => status.to_string(),
    }
}

/// What a person can do about a status, as the end of a sentence.
fn hint(status: u16, code: Option<&str>) -> &'static str {
    if lacks_credit(code) {
        return "; the account has no credit left";
    }
    match status {
        401 => "; check the key (key_env or key_file)",
        402 => "; the account has no credit left",
        403 => "; the key may not use this model, or the provider's filter refuses the prompt",
        404 => "; check model, and base_url (is /v1 missing or twice?)",
        413 => "; the prompt is too long for the endpoint",
        400 | 422 => "; check the prompt's length, model, max_tokens_field, temperature and extra",
        429 => "; lower concurrency or set requests_per_minute and tokens_per_minute",
        _ => "",
    }
}

/// The message in an error's body: `{"error": {"message": …}}`, `{"error": …}`, `{"message": …}` or `{"detail": …}`.
pub(super) fn error_message(body: &Value) -> Option<String> {
    let error = body.get("error");
    let found = error.and_then(|error| error.get("message")).or(error).or_else(|| body.get("message"));
    match found.or_else(|| body.get("detail"))? {
        Value::Null => None,
        Value::String(text) => Some(cut(text)),
        other => Some(cut(&other.to_string())),
    }
}

/// The code in an error's body in words, else its type.
pub(super) fn error_code(body: &Value) -> Option<String> {
    let error = body.get("error")?;
    let of = |key: &str| error.get(key).and_then(Value::as_str).map(cut);
    of("code").or_else(|| of("type"))
}

/// `, titled "…"` of an HTML page, nothing for a page without title; `None` for what is no HTML.
pub(super) fn page_title(body: &[u8], declared: bool) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let lower = text.trim_start().to_ascii_lowercase();
    if !declared && !lower.starts_with("<!doctype html") && !lower.starts_with("<html") {
        return None;
    }
    let title =
        lower.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map(|(title, _)| cut(title));
    Some(title.filter(|title| !title.is_empty()).map_or_else(String::new, |title| format!(" titled {title:?}")))
}

/// A server's words as one line of at most [`SHOWN`] characters, without anything that would move a terminal's cursor.
pub(super) fn cut(text: &str) -> String {
    let mut line = String::new();
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if count > 0 {
            line.push(' ');
            count += 1;
        }
        for c in word.chars() {
            if count >= SHOWN {
                line.push('…');
                return line;
            }
            line.push(c);
            count += 1;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, body: &str) -> Fault {
        Fault::of_status(status, body.as_bytes(), false)
    }

    #[test]
    fn the_servers_message_is_found_where_servers_put_it() {
        for body in [
            r#"{"error": {"message": "no such thing", "type": "x", "code": null}}"#,
            r#"{"error": "no such thing"}"#,
            r#"{"message": "no such thing"}"#,
            r#"{"detail": "no such thing"}"#,
            "no\n such\u{1b}thing",
        ] {
            let told = status(400, body).to_string();
            assert!(told.starts_with("HTTP 400 Bad Request: no such thing; check"), "{told}");
        }
        let list = status(422, r#"{"detail": [{"loc": ["body", "seed"], "msg": "wrong"}]}"#).to_string();
        assert!(list.contains("seed"), "{list}");
        let page = status(502, "<!DOCTYPE html><html><head><title>Bad\nGateway</title>").to_string();
        assert_eq!(page, "HTTP 502 Bad Gateway: an HTML page titled \"bad gateway\"");
        assert_eq!(status(500, "").to_string(), "HTTP 500 Internal Server Error: the server says nothing more");
        assert!(status(599, &"長".repeat(100_000)).to_string().chars().count() < 350);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for code in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert!(status(code, "").may_pass(), "{code}");
        }
        for code in [400, 401, 402, 403, 404, 413, 422] {
            assert!(!status(code, "").may_pass(), "{code}");
        }
        let quota = status(429, r#"{"error": {"message": "You exceeded", "code": "insufficient_quota"}}"#);
        assert!(!quota.may_pass() && quota.is_of_all(true), "{quota}");
        assert!(quota.to_string().contains("no credit"), "{quota}");
    }

    #[test]
    fn a_403_is_of_all_until_an_answer_came() {
        assert!(status(403, "").is_of_all(false));
        assert!(!status(403, "").is_of_all(true));
        assert!(status(401, "").is_of_all(true));
        assert!(!status(400, "").is_of_all(false));
    }
}
