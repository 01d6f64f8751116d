//! The client against servers that misbehave in every way a server may.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::{Answer, Endpoint, Event, Failure, Fault, Message, Role, Settings, Spent, Summary};

mod caps;
mod faults;
mod keys;
mod replies;
mod requests;

/// Settings that wait for nothing.
pub(super) fn settings(base_url: &str) -> Settings {
    let table =
        format!("base_url = \"{base_url}\"\nmodel = \"m\"\nbackoff_seconds = 0.001\nbackoff_max_seconds = 0.004");
    Settings::from_table("test", &table.parse().unwrap()).unwrap()
}

/// A server that answers chat completions with `responder`.
async fn server(responder: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/v1/chat/completions")).respond_with(responder).mount(&server).await;
    server
}

fn settings_of(server: &MockServer) -> Settings {
    settings(&format!("{}/v1", server.uri()))
}

/// `count` prompts, each the number of its place.
fn prompts(count: usize) -> Vec<Vec<Message>> {
    (0..count).map(|at| vec![Message::new(Role::User, at.to_string())]).collect()
}

/// The number that the prompt in a request is.
fn place(request: &Request) -> usize {
    let body: serde_json::Value = request.body_json().unwrap();
    body.pointer("/messages/0/content").unwrap().as_str().unwrap().parse().unwrap()
}

/// A good reply of two tokens to a prompt of nine.
fn good(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }))
}

fn error(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": {"message": message}}))
}

/// What a run handed over.
struct Seen {
    answers: Vec<(usize, Answer)>,
    failures: Vec<(usize, Failure)>,
    retries: Vec<(Fault, f64)>,
    most_under_way: usize,
    summary: Summary,
}

impl Seen {
    /// The places that were answered, in order.
    fn places(&self) -> Vec<usize> {
        let mut places: Vec<usize> = self.answers.iter().map(|(at, _)| *at).collect();
        places.sort_unstable();
        places
    }
}

fn run(settings: Settings, prompts: &[Vec<Message>]) -> Seen {
    run_until(settings, prompts, Spent::default(), |_| true)
}

fn run_until(
    settings: Settings,
    prompts: &[Vec<Message>],
    before: Spent,
    mut go_on: impl FnMut(&Event) -> bool,
) -> Seen {
    let (mut answers, mut failures, mut retries, mut most_under_way) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut see = |event: Event| {
        let wanted = go_on(&event);
        match event {
            Event::Answered { at, answer } => answers.push((at, answer)),
            Event::Failed { at, failure } => failures.push((at, failure)),
            Event::Retrying { fault, wait_seconds, .. } => retries.push((fault, wait_seconds)),
            Event::Progress(progress) => most_under_way = most_under_way.max(progress.under_way),
            Event::Tick => {}
        }
        wanted
    };
    let summary = Endpoint::open(settings).unwrap().answer_all(prompts, before, &mut see).unwrap();
    Seen { answers, failures, retries, most_under_way, summary }
}

async fn asked(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}
