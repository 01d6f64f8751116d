//! One attempt: a request out, a body in.

use std::error::Error;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};

use super::fault::{Fault, cut};
use super::reply::Reply;
use super::settings::Settings;
use super::{address, backoff, key, reply};

/// Bytes of a body that are read: many times a long answer, and the list of models of a relay that has thousands.
pub(super) const MAX_BODY: usize = 8 << 20;
/// Bytes of an error's body that are read.
const MAX_ERROR_BODY: usize = 64 << 10;
/// Who asks, for the server's log.
const USER_AGENT: &str = concat!("togi/", env!("CARGO_PKG_VERSION"));

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) result: Result<Reply, Fault>,
    /// The wait that the endpoint asks for.
    pub(super) asked_wait: Option<Duration>,
    /// Seconds from sending to the last byte.
    pub(super) seconds: f64,
}

/// A connection pool to one endpoint. Its `Debug` shows no key.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
    /// The header that carries the key alone; none for a bearer.
    key_header: Option<HeaderName>,
    timeout: Duration,
}

/// The start of a body that was read, and what its headers say.
struct Body {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
    whole: bool,
}

impl Body {
    fn is_html(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        kind.trim_start().to_ascii_lowercase().starts_with("text/html")
    }
}

impl Client {
    /// Makes the pool. Nothing is sent.
    ///
    /// # Errors
    /// The reason where TLS cannot be set up.
    pub(super) fn new(settings: &Settings, base: Url, key: Option<SecretString>) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(Duration::from_secs_f64(settings.connect_timeout_seconds))
            // A redirect would carry the prompts elsewhere, and a POST would turn into a GET.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never());
        if address::is_loopback(&base) {
            // A proxy of the environment must not get what stays on this machine.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| causes(&error))?;
        let key_header = settings.key_header.as_ref().map(|name| HeaderName::from_bytes(name.as_bytes()));
        let key_header = key_header.transpose().map_err(|_| "key_header is no header's name".to_owned())?;
        Ok(Self { http, base, key, key_header, timeout: Duration::from_secs_f64(settings.timeout_seconds) })
    }

    /// Asks for one chat completion, once.
    pub(super) async fn complete(&self, body: &serde_json::Value) -> Attempt {
        let start = Instant::now();
        let request = self.request(Method::POST, address::chat(&self.base)).header(CONTENT_TYPE, "application/json");
        let (result, asked_wait) = match self.fetch(request.body(body.to_string())).await {
            Ok(body) => (self.understood(&body, reply::read), backoff::asked(&body.headers, Timestamp::now())),
            Err(fault) => (Err(self.without_key(fault)), None),
        };
        Attempt { result, asked_wait, seconds: start.elapsed().as_secs_f64() }
    }

    /// Asks which models the endpoint has, once.
    pub(super) async fn models(&self) -> Result<Vec<String>, Fault> {
        let request = self.request(Method::GET, address::models(&self.base));
        let body = self.fetch(request).await.map_err(|fault| self.without_key(fault))?;
        self.understood(&body, reply::models)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url).timeout(self.timeout).header(ACCEPT, "application/json");
        let Some(key) = &self.key else { return request };
        let (name, value) = match &self.key_header {
            Some(name) => (name.clone(), HeaderValue::from_str(key.expose_secret())),
            None => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))),
        };
        match value {
            Ok(mut value) => {
                // Keeps it out of Debug and out of the compression tables of HTTP/2.
                value.set_sensitive(true);
                request.header(name, value)
            }
            // Keys are checked for their characters when they are read.
            Err(_) => request,
        }
    }

    /// Sends, and reads the body as far as its limit.
    async fn fetch(&self, request: RequestBuilder) -> Result<Body, Fault> {
        let mut response = request.send().await.map_err(|error| self.fault(error))?;
        let limit = if response.status().is_success() { MAX_BODY } else { MAX_ERROR_BODY };
        let (bytes, whole) = match read(&mut response, limit).await {
            Ok(read) => read,
            // The status says more than the torn page that came with it.
            Err(_) if !response.status().is_success() => (Vec::new(), false),
            Err(error) => return Err(self.fault(error)),
        };
        Ok(Body { status: response.status().as_u16(), headers: response.headers().clone(), bytes, whole })
    }

    /// Reads a body that came with a success; no fault holds any of the key, in case the server repeats what it was
    /// sent.
    fn understood<T>(&self, body: &Body, read: impl Fn(&[u8], bool) -> Result<T, Fault>) -> Result<T, Fault> {
        let once = |bytes: &[u8]| self.success(body, bytes).and_then(|()| read(bytes, body.is_html()));
        let first = match once(&body.bytes) {
            Ok(found) => return Ok(found),
            Err(fault) => fault,
        };
        // From the whole body and not from the message, whose cut may go through the key. A key that is gone from a
        // body may leave no JSON behind, where the key is a short word.
        let bytes = key::scrubbed(&String::from_utf8_lossy(&body.bytes), self.key.as_ref()).into_bytes();
        Err(self.without_key(once(&bytes).err().unwrap_or(first)))
    }

    /// Refuses a body whose status is no success, or that was too long to read.
    fn success(&self, body: &Body, bytes: &[u8]) -> Result<(), Fault> {
        match body.status {
            200..=299 if body.whole => Ok(()),
            200..=299 => Err(Fault::TooLarge(MAX_BODY)),
            status @ (301 | 302 | 303 | 307 | 308) => {
                let to = body.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
                let to = self.base.join(to).map_or_else(|_| to.to_owned(), |url| address::shown(&url));
                Err(Fault::Redirect { status, to: cut(&to) })
            }
            status => Err(Fault::of_status(status, bytes, body.is_html())),
        }
    }

    /// What the transport's error means.
    fn fault(&self, error: reqwest::Error) -> Fault {
        // The URL may hold a key in its query.
        let error = error.without_url();
        let why = causes(&error);
        if error.is_connect() {
            let port = self.base.port_or_known_default().map_or_else(String::new, |port| format!(":{port}"));
            Fault::Connect { host: format!("{}{port}", self.base.host_str().unwrap_or_default()), why }
        } else if error.is_timeout() {
            Fault::Timeout { seconds: self.timeout.as_secs_f64() }
        } else {
            Fault::Broken(why)
        }
    }

    /// Takes the key out of every text of a fault.
    fn without_key(&self, mut fault: Fault) -> Fault {
        let scrub = |text: &mut String| *text = key::scrubbed(text, self.key.as_ref());
        match &mut fault {
            Fault::Status { message, code, .. } => {
                scrub(message);
                code.iter_mut().for_each(scrub);
            }
            Fault::Redirect { to: text, .. }
            | Fault::Unreadable { what: text, .. }
            | Fault::Broken(text)
            | Fault::Connect { why: text, .. } => scrub(text),
            Fault::Timeout { .. } | Fault::TooLarge(_) => {}
        }
        fault
    }
}

/// Reads a body up to `limit` bytes; `false` where there is more.
async fn read(response: &mut Response, limit: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - bytes.len();
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

/// An error with its causes, the last of which mostly says what happened.
fn causes(error: &dyn Error) -> String {
    let mut told = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if told.last().is_none_or(|last| !last.contains(&words)) {
            told.push(words);
        }
        next = cause.source();
    }
    cut(&told.join(": "))
}
