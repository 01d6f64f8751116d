//! A client for any OpenAI-compatible chat endpoint: many prompts in, answers with their tokens, seconds and money out.
//!
//! It serves as the baseline on a frozen test set: what a ready-made model answers, how fast, and for how much. It owns
//! how an endpoint is asked (its settings, the key, the pace, another attempt, the caps) and what a reply means. It
//! knows no record, project or template: a caller passes messages and stores what is handed to it, and a run goes on
//! where it stopped when the caller passes the prompts that have no answer yet.
//!
//! - [`settings`](Settings): `[endpoints.NAME]` of a project, checked before anything is sent.
//! - `address`, `key`: where to and with what key. The key is read by [`Endpoint::open`], sent in one header to one
//!   host, and never shown; redirects are not followed.
//! - `prompt`, `reply`, `answer`: what is asked, how any server's body is read, what an answer is, figures of many.
//! - `fault`, `backoff`: what can go wrong, whether to try again and when.
//! - `pace`, `purse`: requests and tokens a minute; money and requests in all.
//! - `client`, `run`: one attempt; the loop over all prompts.
//!
//! # How a run goes
//!
//! [`Endpoint::answer_all`] blocks. The network lives on a thread of its own with a runtime of its own, so a caller
//! needs none and may have one; what comes is handed over on the caller's thread, which may write to a database
//! meanwhile. A fault of one prompt leaves the others alone; one that every prompt must meet (the key, the model, the
//! address) ends the run at once and leaves the rest unsent.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

mod address;
mod answer;
mod backoff;
mod client;
mod fault;
mod key;
mod pace;
mod prompt;
mod purse;
mod reply;
mod run;
mod settings;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Figures, Finish, Usage};
pub use fault::Fault;
pub use key::KeyError;
pub use prompt::{Message, Role};
pub use purse::Spent;
pub use settings::{MaxTokensField, Settings, SettingsError, Temperature, Unset};

use client::Client;
use run::Run;

/// How long a caller is left without an event, so that it can ask to stop: a tenth of a second feels prompt.
const TICK: Duration = Duration::from_millis(100);
/// Names of models that are told in a message.
const NAMED: usize = 8;

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// A setting cannot be.
    #[error("the endpoint's settings are wrong: {0}")]
    Settings(String),
    /// The key could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS, a thread or the runtime could not be set up.
    #[error("could not set up the network: {0}")]
    Network(String),
    /// The endpoint answered otherwise than with what was asked for.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What happens in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A prompt was answered. To be stored: it was paid for.
    Answered {
        /// The prompt's place in the list that was passed.
        at: usize,
        /// The answer.
        answer: Answer,
    },
    /// A prompt was given up; the others go on.
    Failed {
        /// The prompt's place.
        at: usize,
        /// Why.
        failure: Failure,
    },
    /// An attempt brought no answer, and another one follows.
    Retrying {
        /// The prompt's place.
        at: usize,
        /// Attempts made.
        attempts: u32,
        /// Seconds until the next.
        wait_seconds: f64,
        /// What went wrong.
        fault: Fault,
    },
    /// How far the run is, after every change.
    Progress(Progress),
    /// Nothing happened for a tenth of a second; the caller can ask to stop.
    Tick,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Prompts answered.
    pub answered: usize,
    /// Prompts given up.
    pub failed: usize,
    /// All prompts.
    pub prompts: usize,
    /// Requests under way.
    pub under_way: usize,
    /// Prompts that wait for another attempt.
    pub waiting: usize,
    /// Money of this run so far, what may have been billed included.
    pub spent: f64,
    /// Seconds since the start.
    pub seconds: f64,
}

/// Why a prompt was given up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("no answer after {attempts} {}: {fault}", if *attempts == 1 { "attempt" } else { "attempts" })]
pub struct Failure {
    /// Attempts made.
    pub attempts: u32,
    /// Seconds since the first.
    pub waited_seconds: f64,
    /// What went wrong with the last.
    pub fault: Fault,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Every prompt was answered or given up.
    Done,
    /// The caller wanted no more.
    Stopped,
    /// The next request could have passed the spend cap.
    SpendCap {
        /// The cap.
        cap: f64,
        /// What the next request could have cost.
        next: f64,
        /// What the money is called.
        currency: String,
    },
    /// All requests that may be sent were sent.
    RequestCap {
        /// The cap.
        cap: u64,
    },
    /// The endpoint asked for a wait that is longer than the settings allow.
    AskedToWait {
        /// What it said.
        fault: Fault,
        /// Seconds.
        seconds: f64,
    },
    /// Every request must meet this fault, so that no more were sent.
    Refused {
        /// The fault.
        fault: Fault,
        /// The models that the endpoint has, where it has not the one asked for and lists them.
        offered: Vec<String>,
    },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("every prompt was asked"),
            Self::Stopped => f.write_str("stopped; run it again to ask the rest"),
            Self::SpendCap { cap, next, currency } => write!(
                f,
                "the next request could cost {next:.6} {currency} and pass the spend cap of {cap} {currency}; \
                 raise spend_cap, or lower max_tokens, to ask the rest"
            ),
            Self::RequestCap { cap } => {
                write!(f, "all {cap} requests of request_cap were sent; raise it to ask the rest")
            }
            Self::AskedToWait { fault, seconds } => {
                write!(f, "the endpoint asks to wait {seconds:.0} s: {fault}; run it again then to ask the rest")
            }
            Self::Refused { fault, offered } => {
                write!(f, "{fault}")?;
                if !offered.is_empty() {
                    let names: Vec<&str> = offered.iter().take(NAMED).map(String::as_str).collect();
                    write!(f, "; it offers {}", names.join(", "))?;
                }
                match offered.len().saturating_sub(NAMED) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

/// A run in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Figures of the answers of this run. Those of a test set answered in several runs: [`Figures::of`].
    pub figures: Figures,
    /// Prompts given up.
    pub failed: usize,
    /// Prompts neither answered nor given up; asked when they are passed again.
    pub left: usize,
    /// Requests sent.
    pub requests: u64,
    /// Of these, attempts after the first.
    pub retries: u64,
    /// Seconds of the whole run.
    pub seconds: f64,
    /// Tokens of answers per second of the run, all requests at once together.
    pub tokens_per_second: f64,
    /// Money of this run, `spent_unknown` included. To be added to [`Spent`] when the run goes on.
    pub spent: f64,
    /// Money that may or may not have been billed, at its worst case: time-outs, requests under way when the run ended,
    /// answers whose tokens were not counted.
    pub spent_unknown: f64,
    /// What the money is called.
    pub currency: String,
    /// What a person should know of the endpoint, each a sentence.
    pub warnings: Vec<String>,
    /// How it ended.
    pub ending: Ending,
}

/// An endpoint that can be asked: settings that were checked, and the key. Its `Debug` shows no key.
#[derive(Debug)]
pub struct Endpoint {
    settings: Settings,
    client: Client,
    warnings: Vec<String>,
}

impl Endpoint {
    /// Reads the table `[endpoints.NAME]`; the same as [`Settings::from_table`].
    ///
    /// # Errors
    /// For a key that is missing, unknown, of another type or out of its range; the message names it.
    pub fn from_table(name: &str, table: &toml::Table) -> Result<Settings, SettingsError> {
        Settings::from_table(name, table)
    }

    /// Checks the settings and reads the key. Nothing is sent.
    ///
    /// # Errors
    /// For settings that cannot be, a key that cannot be had or that others can read, and TLS that cannot be set up.
    pub fn open(settings: Settings) -> Result<Self, EndpointError> {
        settings.check().map_err(EndpointError::Settings)?;
        let base = address::base(&settings.base_url).map_err(EndpointError::Settings)?;
        let key = key::read(&settings)?;
        let mut warnings = Vec::new();
        if key.is_some() && base.scheme() == "http" && !address::is_loopback(&base) {
            warnings.push(format!(
                "The key goes to {} in clear, and so do the prompts: anyone in between can read them; use https.",
                base.host_str().unwrap_or_default()
            ));
        }
        let client = Client::new(&settings, base, key).map_err(EndpointError::Network)?;
        Ok(Self { settings, client, warnings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a person should know of the endpoint before it is asked, each a sentence.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Asks every prompt and hands over what comes, in the order in which it comes, until `see` returns `false`.
    ///
    /// `see` is called on this thread, at least every tenth of a second. After it returned `false` requests under way
    /// are cut off; answers that had come already are still handed over, and what it then returns is not asked.
    /// `before` is what earlier runs over the same test set have spent, [`Spent::default`] for none.
    ///
    /// # Errors
    /// Where the thread or its runtime could not be made. What goes wrong with the endpoint stands in
    /// [`Summary::ending`], beside the numbers of what went well.
    pub fn answer_all(
        &self,
        prompts: &[Vec<Message>],
        before: Spent,
        see: &mut dyn FnMut(Event) -> bool,
    ) -> Result<Summary, EndpointError> {
        let (events, received) = mpsc::channel();
        // Dropping this end stops the run, also when `see` panics.
        let (go_on, stop) = oneshot::channel();
        let run = Run::new(&self.settings, prompts, before, events);
        let mut summary = on_a_thread(
            || run.carry_out(&self.client, stop),
            || {
                let mut go_on = Some(go_on);
                loop {
                    let event = match received.recv_timeout(TICK) {
                        Ok(event) => event,
                        Err(RecvTimeoutError::Timeout) if go_on.is_some() => Event::Tick,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => break,
                    };
                    let wanted = go_on.is_some() || matches!(event, Event::Answered { .. });
                    if wanted && !see(event) {
                        go_on = None;
                    }
                }
            },
        )?;
        summary.warnings.clone_from(&self.warnings);
        Ok(summary)
    }

    /// Asks which models the endpoint offers.
    ///
    /// # Errors
    /// Where it cannot be reached, refuses or lists none, and where the thread or its runtime could not be made.
    pub fn models(&self) -> Result<Vec<String>, EndpointError> {
        Ok(on_a_thread(|| self.client.models(), || ())??)
    }
}

/// Carries a future out on a thread and a runtime of their own, since a runtime cannot be entered from within another;
/// does `meanwhile` on this one.
fn on_a_thread<F: Future<Output: Send>>(
    work: impl FnOnce() -> F + Send,
    meanwhile: impl FnOnce(),
) -> Result<F::Output, EndpointError> {
    let network = |error: std::io::Error| EndpointError::Network(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(network)?;
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("endpoint".to_owned());
        let thread = thread.spawn_scoped(scope, move || runtime.block_on(work())).map_err(network)?;
        meanwhile();
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}
