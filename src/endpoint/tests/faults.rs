//! What goes wrong on the way, and that the rest goes on or stops as it should.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::endpoint::Ending;

/// Replies of one server in their order; the last one goes on.
fn in_turn(replies: Vec<ResponseTemplate>) -> impl Respond + 'static {
    let next = AtomicUsize::new(0);
    move |_: &Request| replies[next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1)].clone()
}

#[tokio::test]
async fn a_wait_that_the_endpoint_asks_for_is_kept_and_then_it_answers() {
    let wait = ResponseTemplate::new(429).insert_header("retry-after-ms", "60");
    let now = ResponseTemplate::new(503).insert_header("Retry-After", "0");
    let server = server(in_turn(vec![wait, now, good("yes")])).await;
    let seen = run(settings_of(&server), &prompts(1));
    let (_, answer) = &seen.answers[0];
    assert_eq!((answer.text.as_str(), answer.attempts), ("yes", 3));
    assert!(seen.retries[0].1 >= 0.06, "{:?}", seen.retries);
    assert!(seen.retries[1].1 < 0.06, "{:?}", seen.retries);
    assert!(answer.waited_seconds >= 0.06 && answer.waited_seconds > answer.latency_seconds, "{answer:?}");
    assert_eq!((seen.summary.requests, seen.summary.retries, seen.summary.figures.retried), (3, 2, 1));
}

#[tokio::test]
async fn a_wait_for_the_account_holds_all_prompts() {
    let came = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&came);
    let server = server(move |request: &Request| {
        let mut came = log.lock().unwrap();
        came.push((place(request), Instant::now()));
        match place(request) {
            0 if came.iter().filter(|(at, _)| *at == 0).count() == 1 => {
                ResponseTemplate::new(429).insert_header("retry-after-ms", "70")
            }
            _ => good("yes").set_delay(Duration::from_millis(5)),
        }
    })
    .await;
    let seen = run(Settings { concurrency: 2, ..settings_of(&server) }, &prompts(4));
    assert_eq!(seen.places(), [0, 1, 2, 3]);
    let came = came.lock().unwrap();
    let refused = came.iter().find(|(at, _)| *at == 0).unwrap().1;
    // The second was under way when the first was refused.
    for (at, when) in came.iter().filter(|(at, _)| *at > 1) {
        assert!(*when - refused >= Duration::from_millis(70), "prompt {at} came early");
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_ends_the_run() {
    let server = server(ResponseTemplate::new(429).insert_header("Retry-After", "7200")).await;
    let seen = run(settings_of(&server), &prompts(20));
    assert!(matches!(seen.summary.ending, Ending::AskedToWait { seconds, .. } if (seconds - 7200.0).abs() < 1e-9));
    assert_eq!((seen.summary.left, seen.summary.failed), (20, 0), "all may be asked again");
    assert!(seen.summary.ending.to_string().contains("asks to wait 7200 s"));
    assert!(asked(&server).await.len() <= 4);
}

#[tokio::test]
async fn every_passing_trouble_is_tried_again() {
    let statuses = [408, 409, 425, 429, 500, 502, 503, 504];
    let mut replies: Vec<_> = statuses.iter().map(|status| ResponseTemplate::new(*status)).collect();
    replies.push(good("at last"));
    let server = server(in_turn(replies)).await;
    let settings = Settings { retries: 8, ..settings_of(&server) };
    let seen = run(settings, &prompts(1));
    assert_eq!(seen.answers[0].1.attempts, 9);
}

#[tokio::test]
async fn a_prompt_is_given_up_after_its_attempts_and_the_others_go_on() {
    let server =
        server(|request: &Request| if place(request) == 1 { error(500, "it broke") } else { good("yes") }).await;
    let seen = run(Settings { retries: 2, ..settings_of(&server) }, &prompts(5));
    assert_eq!(seen.places(), [0, 2, 3, 4]);
    let (at, failure) = &seen.failures[0];
    assert_eq!((*at, failure.attempts, seen.failures.len()), (1, 3, 1));
    assert_eq!(failure.to_string(), "no answer after 3 attempts: HTTP 500 Internal Server Error: it broke");
    assert_eq!((seen.summary.ending, seen.summary.left), (Ending::Done, 0));
}

#[tokio::test]
async fn a_refused_key_stops_everything_at_once() {
    let server = server(error(401, "no such key")).await;
    let seen = run(Settings { concurrency: 3, ..settings_of(&server) }, &prompts(100));
    assert!(asked(&server).await.len() <= 3);
    assert_eq!((seen.summary.left, seen.answers.len(), seen.failures.len()), (100, 0, 0));
    let told = seen.summary.ending.to_string();
    assert_eq!(told, "HTTP 401 Unauthorized: no such key; check the key (key_env or key_file)");
}

#[tokio::test]
async fn an_unknown_model_stops_everything_and_what_there_is_is_told() {
    let server = server(error(404, "The model `m` does not exist")).await;
    let list = json!({"object": "list", "data": [{"id": "one"}, {"id": "two", "owned_by": "me"}]});
    Mock::given(method("GET"))
        .and(path("/v1/models"))
        .respond_with(ResponseTemplate::new(200).set_body_json(list))
        .mount(&server)
        .await;
    let seen = run(settings_of(&server), &prompts(9));
    let told = seen.summary.ending.to_string();
    assert!(told.contains("The model `m` does not exist") && told.ends_with("it offers one, two"), "{told}");
    assert_eq!(Endpoint::open(settings_of(&server)).unwrap().models().unwrap(), ["one", "two"]);
}

#[tokio::test]
async fn a_prompt_that_is_refused_is_not_tried_again() {
    let server = server(|request: &Request| match place(request) {
        0 => good("yes"),
        2 => error(400, "the prompt has 9000 tokens"),
        3 => error(403, "flagged by the filter"),
        _ => good("no"),
    })
    .await;
    let seen = run(Settings { concurrency: 1, ..settings_of(&server) }, &prompts(6));
    assert_eq!(asked(&server).await.len(), 6);
    assert_eq!(seen.places(), [0, 1, 4, 5]);
    assert!(seen.failures[0].1.to_string().contains("the prompt has 9000 tokens"));
    assert!(seen.failures[1].1.to_string().contains("flagged by the filter"));
}

#[tokio::test]
async fn the_same_refusal_of_every_prompt_ends_the_run() {
    let server = server(error(400, "max_tokens is not supported with this model")).await;
    let seen = run(Settings { concurrency: 1, ..settings_of(&server) }, &prompts(50));
    assert_eq!(asked(&server).await.len(), 3);
    assert_eq!((seen.summary.failed, seen.summary.left), (3, 47));
    let told = seen.summary.ending.to_string();
    assert!(told.contains("max_tokens is not supported") && told.contains("max_tokens_field"), "{told}");
}

#[tokio::test]
async fn an_empty_account_is_not_asked_again_though_it_says_429() {
    let quota = json!({"error": {"message": "You exceeded your quota", "type": "insufficient_quota"}});
    let server = server(ResponseTemplate::new(429).set_body_json(quota)).await;
    let seen = run(Settings { concurrency: 1, ..settings_of(&server) }, &prompts(5));
    assert_eq!((asked(&server).await.len(), seen.summary.left), (1, 5));
    assert!(seen.summary.ending.to_string().contains("no credit left"));
}

#[tokio::test]
async fn a_slow_answer_is_a_timeout_and_may_have_been_billed() {
    let server = server(good("late").set_delay(Duration::from_mins(1))).await;
    let priced = Settings { price_input: Some(1.0), price_output: Some(1.0), ..settings_of(&server) };
    let seen = run(Settings { timeout_seconds: 0.03, retries: 1, ..priced }, &prompts(1));
    let (_, failure) = &seen.failures[0];
    assert_eq!((failure.attempts, &failure.fault), (2, &Fault::Timeout { seconds: 0.03 }));
    assert!(failure.to_string().contains("timeout_seconds"));
    assert!(seen.summary.spent_unknown > 0.0, "two prompts that the server may have worked on");
}

/// A server without manners: takes connections and does `answer` with each.
fn rude(answer: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            answer(&mut stream);
        }
    });
    format!("http://{address}/v1")
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    let url = rude(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\"");
    });
    let seen = run(Settings { retries: 1, ..settings(&url) }, &prompts(1));
    let (_, failure) = &seen.failures[0];
    assert!(matches!(failure.fault, Fault::Broken(_)), "{failure:?}");
    assert_eq!(failure.attempts, 2);
}

#[test]
fn what_speaks_no_http_is_told_and_does_not_hang() {
    let url = rude(|stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
    });
    let seen = run(Settings { retries: 0, ..settings(&url) }, &prompts(1));
    assert!(matches!(seen.failures[0].1.fault, Fault::Broken(_)), "{:?}", seen.failures);
}

#[test]
fn a_server_that_is_not_there_ends_the_run_after_three_prompts() {
    // Bound and dropped, so that nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = settings(&format!("http://127.0.0.1:{port}/v1"));
    let seen = run(Settings { retries: 1, concurrency: 1, ..settings }, &prompts(30));
    assert_eq!((seen.summary.failed, seen.summary.left, seen.summary.requests), (3, 27, 6));
    let told = seen.summary.ending.to_string();
    assert!(told.contains(&format!("could not connect to 127.0.0.1:{port}")), "{told}");
    assert!(seen.summary.spent_unknown.abs() < f64::EPSILON, "nothing arrived, so nothing is billed");
}

#[tokio::test]
async fn a_body_that_is_no_completion_is_told_in_words() {
    let giant = format!("{{\"choices\": \"{}\"}}", "x".repeat(9 << 20));
    let cases = [
        (ResponseTemplate::new(200).set_body_string("{\"choices\": [{\"mess"), "it is no JSON"),
        (ResponseTemplate::new(200).set_body_string(""), "it is empty"),
        (ResponseTemplate::new(200).set_body_string("data: {\"choices\": []}\n\n"), "a stream of events"),
        (ResponseTemplate::new(200).set_body_raw("<p>Log in</p>", "text/html; charset=utf-8"), "it is an HTML page"),
        (ResponseTemplate::new(200).set_body_string("<html><title>Portal</title></html>"), "page titled \"portal\""),
        (ResponseTemplate::new(200).set_body_string(giant), "longer than 8388608 bytes"),
        (ResponseTemplate::new(200).set_body_json(json!({"choices": []})), "list of choices is empty"),
        (ResponseTemplate::new(200).set_body_json(json!({"result": "hi"})), "it has no choices"),
        (ResponseTemplate::new(200).set_body_json(json!([1, 2])), "it has no choices"),
        (ResponseTemplate::new(200).set_body_json(json!({"error": {"message": "overheated"}})), "overheated"),
        (ResponseTemplate::new(204), "it is empty"),
    ];
    for (reply, words) in cases {
        let server = server(reply).await;
        let seen = run(settings_of(&server), &prompts(1));
        let told = seen.failures[0].1.to_string();
        assert!(told.contains(words), "{words}: {told}");
        assert!(told.chars().count() < 500, "{told}");
        assert_eq!(asked(&server).await.len(), 1, "{words}");
    }
}

#[tokio::test]
async fn the_error_of_a_provider_behind_a_relay_is_tried_again() {
    let relayed = json!({"error": {"message": "upstream is busy", "code": 502}});
    let server = server(in_turn(vec![ResponseTemplate::new(200).set_body_json(relayed), good("yes")])).await;
    let seen = run(settings_of(&server), &prompts(1));
    assert_eq!(seen.answers[0].1.attempts, 2);
}

#[tokio::test]
async fn cancelling_returns_while_requests_are_under_way() {
    let server = server(|request: &Request| match place(request) {
        0 => good("yes"),
        _ => good("never").set_delay(Duration::from_mins(10)),
    })
    .await;
    let priced =
        Settings { price_input: Some(1.0), price_output: Some(1.0), timeout_seconds: 600.0, ..settings_of(&server) };
    let mut answered = false;
    let seen = run_until(priced, &prompts(50), Spent::default(), |event| {
        answered |= matches!(event, Event::Answered { .. });
        !(answered && matches!(event, Event::Tick))
    });
    assert_eq!((seen.places(), seen.summary.left), (vec![0], 49));
    assert_eq!(seen.summary.ending, Ending::Stopped);
    assert!(seen.summary.spent_unknown > 0.0, "four requests were under way");
}

#[tokio::test]
async fn a_stopped_run_goes_on_with_what_is_missing() {
    let server = server(|request: &Request| good(&place(request).to_string())).await;
    let all = prompts(12);
    let mut stored = vec![None; 12];
    let mut spent = Spent::default();
    for _ in 0..12 {
        let missing: Vec<usize> = (0..12).filter(|at| stored[*at].is_none()).collect();
        let left: Vec<_> = missing.iter().map(|at| all[*at].clone()).collect();
        let mut count = 0;
        let settings = Settings { concurrency: 2, ..settings_of(&server) };
        let seen = run_until(settings, &left, spent, |event| {
            count += usize::from(matches!(event, Event::Answered { .. }));
            count < 4
        });
        spent.requests += seen.summary.requests;
        for (at, answer) in seen.answers {
            assert!(stored[missing[at]].replace(answer.text).is_none(), "no prompt is paid for twice");
        }
    }
    let want: Vec<_> = (0..12).map(|at| Some(at.to_string())).collect();
    assert_eq!(stored, want);
    // A request that was cut off may not have arrived, and counts all the same.
    assert!((12..=spent.requests).contains(&(asked(&server).await.len() as u64)), "{spent:?}");
}

#[tokio::test]
async fn no_more_requests_go_at_once_than_is_set() {
    let server = server(good("yes").set_delay(Duration::from_millis(5))).await;
    let seen = run(Settings { concurrency: 3, ..settings_of(&server) }, &prompts(20));
    assert_eq!((seen.most_under_way, seen.answers.len()), (3, 20));
}
