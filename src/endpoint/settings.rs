//! What an endpoint's settings are, their defaults, and how they are read from a table of `togi.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Body fields that have a setting of their own or that would change what a reply is, and so may not stand in `extra`.
const RESERVED: &[(&str, &str)] = &[
    ("model", "set model"),
    ("messages", "the prompts are the messages"),
    ("max_tokens", "set max_tokens"),
    ("max_completion_tokens", "set max_tokens, and max_tokens_field = \"max_completion_tokens\""),
    ("temperature", "set temperature"),
    ("seed", "set seed"),
    ("stream", "answers are read whole"),
    ("stream_options", "answers are read whole"),
    ("n", "one answer is asked for a prompt"),
];

/// Headers that every request has, and so cannot carry the key.
const OWN_HEADERS: &[&str] =
    &["accept", "content-type", "content-length", "host", "user-agent", "connection", "transfer-encoding", "te"];
/// Characters of a header's name: many times the usual ones, and fewer than most keys have.
const MAX_HEADER: usize = 32;

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[endpoints.{name}]: {reason}")]
pub struct SettingsError {
    /// The endpoint's name.
    pub name: String,
    /// The key, and what is wrong with it.
    pub reason: String,
}

/// The settings of one endpoint, `[endpoints.NAME]`.
///
/// ```toml
/// [endpoints.big]
/// base_url = "https://api.example.com/v1"  # required: what stands before /chat/completions, taken as given
/// model = "big-1"                          # required: the model's name there
/// key_env = "EXAMPLE_API_KEY"              # the environment variable that holds the key; or
/// key_file = "~/.config/example.key"       # a file that only its owner may read (0600); neither: no key is sent
/// key_header = "api-key"                   # the header that carries the key alone; default: Authorization: Bearer
/// max_tokens = 256                         # tokens of an answer at most, reasoning included
/// max_tokens_field = "max_tokens"          # what the body calls it: max_tokens or max_completion_tokens
/// temperature = 0.0                        # 0 to 2; "unset": not sent, for models that refuse it
/// seed = 1                                 # default: not sent
/// concurrency = 4                          # requests at once, 1 to 256
/// requests_per_minute = 60.0               # default: no limit
/// tokens_per_minute = 60000.0              # prompt and answer together; default: no limit
/// timeout_seconds = 60.0                   # of one attempt, from sending to the last byte
/// connect_timeout_seconds = 10.0           # of that, until the connection stands
/// retries = 5                              # attempts after the first, 0 to 20
/// backoff_seconds = 0.5                    # the longest wait before the first retry; it doubles with each
/// backoff_max_seconds = 30.0               # the longest wait before any
/// retry_after_max_seconds = 120.0          # an endpoint that asks for a longer wait than this ends the run
/// price_input = 0.15                       # money per million tokens of prompt; default: unknown
/// price_output = 0.60                      # money per million tokens of answer; default: unknown
/// price_cached_input = 0.075               # the same, read from the endpoint's cache; default: price_input
/// currency = "USD"                         # what the money is called
/// spend_cap = 2.0                          # money that is never passed; needs both prices; default: no cap
/// request_cap = 2000                       # requests sent at most, retries counted; default: no cap
/// [endpoints.big.extra]                    # further fields of the body, sent as they are
/// reasoning_effort = "low"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What stands before `/chat/completions`, with or without a slash at the end. Taken as given: no `/v1` is added.
    pub base_url: String,
    /// The model's name at the endpoint.
    pub model: String,
    /// The environment variable that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// The file that holds the key, readable by its owner alone. A leading `~/` is the home folder; another relative
    /// path starts at the working folder, unless the caller made it whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The header that carries the key and nothing else, such as `api-key` or `x-api-key`: `Authorization`, with `Bearer` before
    /// the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_header: Option<String>,
    /// Tokens of an answer at most, 1 to 1,000,000, reasoning included: 256.
    #[serde(default = "defaults::max_tokens")]
    pub max_tokens: u32,
    /// What the body calls the limit of tokens: `max_tokens`.
    #[serde(default)]
    pub max_tokens_field: MaxTokensField,
    /// The sampling temperature: 0, which is greedy where the endpoint keeps to it.
    #[serde(default)]
    pub temperature: Temperature,
    /// The seed of the sampling: not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Requests at once, 1 to 256, those that wait for another attempt included: 4.
    #[serde(default = "defaults::concurrency")]
    pub concurrency: usize,
    /// Requests a minute at most: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<f64>,
    /// Tokens a minute at most, prompt and answer together: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<f64>,
    /// Seconds of one attempt, from sending to the last byte, up to 86,400: 60.
    #[serde(default = "defaults::timeout")]
    pub timeout_seconds: f64,
    /// Seconds until the connection stands, up to 86,400: 10.
    #[serde(default = "defaults::connect_timeout")]
    pub connect_timeout_seconds: f64,
    /// Attempts after the first, 0 to 20: 5.
    #[serde(default = "defaults::retries")]
    pub retries: u32,
    /// Seconds that the wait before the first retry may take at most; it doubles with each: 0.5.
    #[serde(default = "defaults::backoff")]
    pub backoff_seconds: f64,
    /// Seconds that the wait before any retry may take at most, unless the endpoint asks for more: 30.
    #[serde(default = "defaults::backoff_max")]
    pub backoff_max_seconds: f64,
    /// Seconds of wait that the endpoint may ask for (`Retry-After`); a longer one ends the run: 120.
    #[serde(default = "defaults::retry_after_max")]
    pub retry_after_max_seconds: f64,
    /// Money per million tokens of prompt: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_input: Option<f64>,
    /// Money per million tokens of answer: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_output: Option<f64>,
    /// Money per million tokens of prompt that the endpoint had in its cache: as `price_input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_cached_input: Option<f64>,
    /// What the money is called: `USD`.
    #[serde(default = "defaults::currency")]
    pub currency: String,
    /// Money that is never passed: no cap. Needs both prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend_cap: Option<f64>,
    /// Requests sent at most, retries counted: no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_cap: Option<u64>,
    /// Further fields of the body, sent as they are.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub extra: toml::Table,
}

/// What the body calls the limit of tokens. Newer models of some providers take only the longer name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which servers of one's own know.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The field's name in the body.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// The sampling temperature, or that none is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number from 0 to 2, or \"unset\" so that none is sent")]
pub enum Temperature {
    /// Sent, 0 to 2.
    At(f64),
    /// Not sent; the endpoint takes its own.
    Not(Unset),
}

/// The word for a temperature that is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unset {
    /// `"unset"`.
    Unset,
}

impl Default for Temperature {
    fn default() -> Self {
        Self::At(0.0)
    }
}

mod defaults {
    pub(super) fn max_tokens() -> u32 {
        256
    }
    pub(super) fn concurrency() -> usize {
        4
    }
    pub(super) fn timeout() -> f64 {
        60.0
    }
    pub(super) fn connect_timeout() -> f64 {
        10.0
    }
    pub(super) fn retries() -> u32 {
        5
    }
    pub(super) fn backoff() -> f64 {
        0.5
    }
    pub(super) fn backoff_max() -> f64 {
        30.0
    }
    pub(super) fn retry_after_max() -> f64 {
        120.0
    }
    pub(super) fn currency() -> String {
        "USD".to_owned()
    }
}

impl Settings {
    /// Reads the table `[endpoints.NAME]` and checks every value. Nothing is opened and nobody is asked.
    ///
    /// # Errors
    /// For a key that is missing, unknown, of another type or out of its range; the message names it.
    pub fn from_table(name: &str, table: &toml::Table) -> Result<Self, SettingsError> {
        let error = |reason: String| SettingsError { name: name.to_owned(), reason };
        let settings: Self = table.clone().try_into().map_err(|cause: toml::de::Error| error(told(table, &cause)))?;
        settings.check().map_err(error)?;
        Ok(settings)
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        super::address::base(&self.base_url).map_err(|error| format!("base_url: {error}"))?;
        if self.model.trim().is_empty() {
            return Err("model is empty; give the model's name at the endpoint".to_owned());
        }
        if self.key_env.is_some() && self.key_file.is_some() {
            return Err("key_env and key_file are both given; keep one".to_owned());
        }
        if self.key_env.as_deref().is_some_and(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err("key_env must be the name of an environment variable, not the key".to_owned());
        }
        self.check_key_header()?;
        whole("max_tokens", u64::from(self.max_tokens), 1, 1_000_000)?;
        whole("concurrency", self.concurrency as u64, 1, 256)?;
        whole("retries", u64::from(self.retries), 0, 20)?;
        if let Temperature::At(temperature) = self.temperature {
            within("temperature", temperature, 0.0, 2.0)?;
        }
        for (key, rate) in
            [("requests_per_minute", self.requests_per_minute), ("tokens_per_minute", self.tokens_per_minute)]
        {
            rate.map_or(Ok(()), |rate| within(key, rate, 0.01, 1e12))?;
        }
        within("timeout_seconds", self.timeout_seconds, 0.001, 86_400.0)?;
        within("connect_timeout_seconds", self.connect_timeout_seconds, 0.001, 86_400.0)?;
        within("backoff_seconds", self.backoff_seconds, 0.0, 3_600.0)?;
        within("backoff_max_seconds", self.backoff_max_seconds, 0.0, 3_600.0)?;
        within("retry_after_max_seconds", self.retry_after_max_seconds, 0.0, 86_400.0)?;
        for (key, price) in [
            ("price_input", self.price_input),
            ("price_output", self.price_output),
            ("price_cached_input", self.price_cached_input),
        ] {
            price.map_or(Ok(()), |price| within(key, price, 0.0, 1e9))?;
        }
        let one_alone = self.price_input.is_some() != self.price_output.is_some();
        if one_alone || (self.price_cached_input.is_some() && self.price_input.is_none()) {
            return Err("give price_input and price_output both, or no price at all".to_owned());
        }
        if let Some(cap) = self.spend_cap {
            within("spend_cap", cap, 0.0, 1e9)?;
            if self.price_input.is_none() {
                return Err("spend_cap needs price_input and price_output; give both (0 where it is free)".to_owned());
            }
        }
        self.check_extra()
    }

    fn check_key_header(&self) -> Result<(), String> {
        let Some(header) = &self.key_header else { return Ok(()) };
        if self.key_env.is_none() && self.key_file.is_none() {
            return Err("key_header names where the key goes, but there is no key; give key_env or key_file".to_owned());
        }
        // The value is not repeated: it may be the key itself, at the wrong place.
        if reqwest::header::HeaderName::from_bytes(header.as_bytes()).is_err() || header.len() > MAX_HEADER {
            return Err("key_header must be the name of a header, such as api-key, and not the key".to_owned());
        }
        if OWN_HEADERS.iter().any(|own| header.eq_ignore_ascii_case(own)) {
            return Err(format!(
                "key_header cannot be {header}, which the request has already; leave it out for a bearer"
            ));
        }
        Ok(())
    }

    fn check_extra(&self) -> Result<(), String> {
        for (key, instead) in RESERVED {
            if self.extra.contains_key(*key) {
                return Err(format!("extra.{key} cannot be given there: {instead}"));
            }
        }
        Ok(())
    }
}

/// What is wrong with a table that is no settings, in words that name the key.
fn told(table: &toml::Table, cause: &toml::de::Error) -> String {
    let reason = |cause: &toml::de::Error| cause.message().trim().replace('`', "");
    // The error of the whole table does not say whose value has the wrong type, so each key is tried beside good ones.
    let wrong = table.iter().find_map(|(key, value)| {
        let mut alone = toml::Table::new();
        alone.insert("base_url".to_owned(), "http://localhost".into());
        alone.insert("model".to_owned(), "any".into());
        alone.insert(key.clone(), value.clone());
        alone.try_into::<Settings>().err().map(|cause| (key, reason(&cause)))
    });
    match (wrong, reason(cause)) {
        (Some((key, reason)), _) if reason.starts_with("unknown field") => {
            let known = reason.split_once("expected one of ").map_or("", |(_, known)| known);
            format!("{key} is not a setting of an endpoint; there are {known}")
        }
        (Some((key, reason)), _) => format!("{key}: {reason}"),
        (None, reason) => match reason.strip_prefix("missing field ") {
            Some(key) => format!("{key} is missing; every endpoint needs base_url and model"),
            None => reason,
        },
    }
}

/// Refuses a whole number outside of its range.
fn whole(key: &str, value: u64, from: u64, to: u64) -> Result<(), String> {
    if (from..=to).contains(&value) { Ok(()) } else { Err(format!("{key} is {value}; it goes from {from} to {to}")) }
}

/// Refuses a number outside of its range, and what is no number.
fn within(key: &str, value: f64, from: f64, to: f64) -> Result<(), String> {
    if (from..=to).contains(&value) { Ok(()) } else { Err(format!("{key} is {value}; it goes from {from} to {to}")) }
}
