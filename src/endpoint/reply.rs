//! Reads the body of a chat completion, whatever a server left out, added or wrote in its own way.
//!
//! By hand and not by the types of a client library: those are closed (an unknown `finish_reason`, a missing `created`
//! or a `content` in parts is an error to them), and a server that is merely another one would lose every answer.

use serde_json::Value;

use super::answer::{Finish, Usage};
use super::fault::{Fault, cut, error_code, error_message, page_title};

/// What a body says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) text: String,
    pub(super) finish: Finish,
    pub(super) refused: bool,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
    pub(super) notes: Vec<String>,
}

/// Reads the body of a success.
pub(super) fn read(body: &[u8], declared_html: bool) -> Result<Reply, Fault> {
    let unreadable = |what: String, billed| Fault::Unreadable { what, billed };
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return Err(unreadable(told(body, declared_html, &error), !body.is_empty())),
    };
    // Some relays answer 200 with the error of the provider behind them.
    if value.get("error").is_some_and(|error| !error.is_null()) {
        return Err(relayed(&value));
    }
    let usage = usage(&value);
    let choices = value.get("choices").and_then(Value::as_array);
    let Some(choice) = choices.and_then(|choices| choices.first()) else {
        let what = if choices.is_some() { "its list of choices is empty" } else { "it has no choices" };
        return Err(unreadable(format!("{what}: {}", cut(&value.to_string())), usage.is_some()));
    };
    let message = choice.get("message").unwrap_or(&Value::Null);
    let text = message.get("content").and_then(|content| said(content, "text"));
    // Servers of plain completions put the text here.
    let text = text.or_else(|| choice.get("text").and_then(Value::as_str).map(str::to_owned)).unwrap_or_default();
    let refusal = message.get("refusal").and_then(|refusal| said(refusal, "refusal"));
    let refusal = refusal
        .or_else(|| message.get("content").and_then(|content| said(content, "refusal").filter(|_| content.is_array())));
    let refusal = refusal.filter(|words| !words.trim().is_empty());
    let refused = refusal.is_some();
    let mut reply = Reply {
        text: if text.trim().is_empty() { refusal.unwrap_or(text) } else { text },
        finish: finish(choice.get("finish_reason")),
        refused,
        usage,
        model: value.get("model").and_then(Value::as_str).map(cut),
        notes: Vec::new(),
    };
    reply.notes = notes(&reply, message);
    Ok(reply)
}

/// What the words of a reply need beside them.
fn notes(reply: &Reply, message: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    if reply.refused {
        note("The model declined to answer.");
    }
    match (&reply.finish, reply.text.trim().is_empty()) {
        (Finish::Length, true) => {
            note("No text: max_tokens was used up before any, as models that reason do; raise max_tokens.");
        }
        (Finish::Length, false) => note("Cut at max_tokens."),
        (Finish::ContentFilter, true) => note("Withheld by the provider's filter."),
        (Finish::ContentFilter, false) => note("Cut by the provider's filter."),
        (Finish::ToolCalls, true) => note("The model called a tool and gave no text."),
        (Finish::Other(word), _) => note(&format!("Ended for a reason of the endpoint's own: {word}.")),
        (_, true) if message.is_null() => note("No text: the reply has no message."),
        (_, true) => note("No text."),
        _ => {}
    }
    if reply.usage.is_none() {
        note("The endpoint did not count the tokens.");
    }
    notes
}

/// The text in `content`, a string or a list of parts whose `field` holds it; `None` where there is none.
fn said(content: &Value, field: &str) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| {
                let kind = part.get("type").and_then(Value::as_str);
                // A part of reasoning holds a text too, which is no part of the answer.
                let is_answer = kind.is_none_or(|kind| matches!(kind, "text" | "output_text" | "refusal"));
                let bare = part.as_str().filter(|_| field == "text");
                bare.or_else(|| part.get(field).and_then(Value::as_str).filter(|_| is_answer))
            });
            let texts: Vec<&str> = texts.collect();
            if texts.is_empty() { None } else { Some(texts.concat()) }
        }
        _ => None,
    }
}

fn finish(word: Option<&Value>) -> Finish {
    match word.and_then(Value::as_str) {
        None | Some("") => Finish::Missing,
        Some("stop" | "eos" | "end_turn" | "stop_sequence") => Finish::Stop,
        Some("length" | "max_tokens") => Finish::Length,
        Some("content_filter") => Finish::ContentFilter,
        Some("tool_calls" | "function_call") => Finish::ToolCalls,
        Some(other) => Finish::Other(cut(other)),
    }
}

/// The tokens of a body. Where a total is more than its parts, the rest is reasoning that a provider left out of
/// `completion_tokens` and bills as such.
fn usage(body: &Value) -> Option<Usage> {
    let usage = body.get("usage")?;
    let count = |path: &str| usage.pointer(path).and_then(whole);
    let (prompt, completion) = (count("/prompt_tokens"), count("/completion_tokens"));
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let prompt = prompt.or_else(|| count("/total_tokens")?.checked_sub(completion?))?;
    let rest = count("/total_tokens").map_or(0, |total| total.saturating_sub(prompt));
    Some(Usage {
        prompt,
        cached: count("/prompt_tokens_details/cached_tokens")
            .or_else(|| count("/prompt_cache_hit_tokens"))
            .unwrap_or(0),
        completion: completion.unwrap_or(0).max(rest),
    })
}

/// A count, which some servers write as `12.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| (0.0..1e15).contains(number))?;
        Some(number.round() as u64)
    })
}

/// The error in a body that came with a success.
fn relayed(body: &Value) -> Fault {
    let code = body.pointer("/error/code");
    let status = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    match status.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status)) {
        Some(status) => Fault::Status {
            status,
            code: error_code(body),
            message: error_message(body).unwrap_or_else(|| cut(&body.to_string())),
        },
        None => Fault::Unreadable {
            what: format!("it is an error, {}", error_message(body).unwrap_or_else(|| cut(&body.to_string()))),
            billed: false,
        },
    }
}

/// What a body is that is no JSON.
fn told(body: &[u8], declared_html: bool, error: &serde_json::Error) -> String {
    if body.trim_ascii().is_empty() {
        return "it is empty; check base_url".to_owned();
    }
    if let Some(title) = page_title(body, declared_html) {
        return format!("it is an HTML page{title}; check base_url, which may need /v1 at its end");
    }
    let start = cut(&String::from_utf8_lossy(body));
    if body.starts_with(b"data:") {
        return format!("it is a stream of events though none was asked for: {start}");
    }
    format!("it is no JSON ({error}): {start}")
}

/// The names in a list of models: `{"data": [{"id": …}]}`, as others write it `{"models": [{"name": …}]}`, or the list
/// alone.
pub(super) fn models(body: &[u8], declared_html: bool) -> Result<Vec<String>, Fault> {
    let unreadable = |what| Fault::Unreadable { what, billed: false };
    let value: Value = serde_json::from_slice(body).map_err(|error| unreadable(told(body, declared_html, &error)))?;
    let list = value.get("data").or_else(|| value.get("models")).unwrap_or(&value).as_array();
    let list = list.ok_or_else(|| unreadable(format!("it lists no models: {}", cut(&value.to_string()))))?;
    let name = |model: &Value| {
        let of = |key: &str| model.get(key).and_then(Value::as_str);
        model.as_str().or_else(|| of("id")).or_else(|| of("name")).or_else(|| of("model")).map(cut)
    };
    Ok(list.iter().filter_map(name).collect())
}
