//! The caps hold whatever the endpoint does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::endpoint::Ending;

const MAX_TOKENS: u32 = 10;

/// One unit of money a token, so that money can be counted in whole numbers.
fn priced(server: &MockServer, cap: f64) -> Settings {
    Settings {
        price_input: Some(1e6),
        price_output: Some(1e6),
        spend_cap: Some(cap),
        max_tokens: MAX_TOKENS,
        concurrency: 16,
        ..settings_of(server)
    }
}

fn completion(prompt: u64, completion: u64) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion},
    }))
}

#[tokio::test]
async fn the_cap_is_reached_and_never_passed_though_many_requests_go_at_once() {
    // Bills the most that a request can cost: 1 or 2 bytes, what a template adds, and all of max_tokens.
    let billed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&billed);
    let server = server(move |request: &Request| {
        let prompt = place(request).to_string().len() as u64 + 16 + 256;
        count.fetch_add(prompt + u64::from(MAX_TOKENS), Ordering::SeqCst);
        completion(prompt, MAX_TOKENS.into()).set_delay(Duration::from_millis(2))
    })
    .await;
    let seen = run(priced(&server, 3000.0), &prompts(60));
    let billed = billed.load(Ordering::SeqCst);
    // 283 a request for the first ten, one more where the place has two digits: the eleventh does not fit.
    assert_eq!(billed, 2830);
    assert!((seen.summary.spent - 2830.0).abs() < 1e-6, "{}", seen.summary.spent);
    assert!(matches!(seen.summary.ending, Ending::SpendCap { .. }), "{:?}", seen.summary.ending);
    assert_eq!((seen.answers.len(), seen.summary.left, seen.failures.len()), (10, 50, 0));
    assert!(seen.summary.ending.to_string().contains("raise spend_cap"));
}

#[tokio::test]
async fn a_schema_in_extra_counts_as_part_of_the_prompt() {
    let server = server(completion(5, 1)).await;
    let mut settings = priced(&server, 1000.0);
    settings.extra.insert("response_format".to_owned(), "a".repeat(900).into());
    let seen = run(settings, &prompts(2));
    assert_eq!((asked(&server).await.len(), seen.summary.left), (0, 2));
}

#[tokio::test]
async fn what_was_set_aside_and_not_used_pays_for_others() {
    let server = server(completion(5, 1)).await;
    // A worst case is 283 or 284, and a request costs 6: 60 requests fit though the worst cases of three would not.
    let seen = run(priced(&server, 60.0 * 6.0 + 284.0), &prompts(60));
    assert_eq!((seen.answers.len(), seen.summary.ending), (60, Ending::Done));
    assert!((seen.summary.figures.cost.unwrap() - 360.0).abs() < 1e-6);
    assert!((seen.summary.figures.cost_per_thousand.unwrap() - 6000.0).abs() < 1e-6);
}

#[tokio::test]
async fn attempts_that_may_have_been_billed_count_at_their_worst() {
    let server = server(completion(5, 1).set_delay(Duration::from_mins(1))).await;
    let settings = Settings { timeout_seconds: 0.02, retries: 20, concurrency: 1, ..priced(&server, 900.0) };
    let seen = run(settings, &prompts(5));
    // Three attempts of 283 each are 849; a fourth could pass 900.
    assert_eq!(asked(&server).await.len(), 3);
    assert!((seen.summary.spent - 849.0).abs() < 1e-6 && (seen.summary.spent_unknown - 849.0).abs() < 1e-6);
    assert_eq!(seen.summary.left, 5);
}

#[tokio::test]
async fn refused_requests_cost_nothing() {
    let server = server(error(400, "no")).await;
    let seen = run(priced(&server, 300.0), &prompts(2));
    assert!(seen.summary.spent.abs() < f64::EPSILON, "{}", seen.summary.spent);
}

#[tokio::test]
async fn a_run_that_goes_on_keeps_to_the_cap_of_all() {
    let server = server(completion(5, 1)).await;
    let before = Spent { money: 950.0, requests: 0 };
    let seen = run_until(priced(&server, 1000.0), &prompts(5), before, |_| true);
    assert_eq!((asked(&server).await.len(), seen.summary.left), (0, 5));
}

#[tokio::test]
async fn an_answer_without_usage_is_counted_at_its_worst_and_has_no_cost() {
    let bare = json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]});
    let server = server(ResponseTemplate::new(200).set_body_json(bare)).await;
    let seen = run(priced(&server, 300.0), &prompts(3));
    let (_, answer) = &seen.answers[0];
    assert_eq!((answer.cost, answer.usage, seen.answers.len()), (None, None, 1));
    assert!(answer.notes.iter().any(|note| note.contains("did not count")), "{:?}", answer.notes);
    assert_eq!((seen.summary.figures.cost, seen.summary.figures.uncounted), (None, 1));
    assert!((seen.summary.spent - 283.0).abs() < 1e-6);
}

#[tokio::test]
async fn no_more_requests_are_sent_than_the_cap_and_retries_count() {
    let server = server(|request: &Request| if place(request) == 0 { error(500, "no") } else { good("yes") }).await;
    let settings = Settings { request_cap: Some(7), retries: 20, concurrency: 2, ..settings_of(&server) };
    let seen = run_until(settings, &prompts(50), Spent { money: 0.0, requests: 2 }, |_| true);
    assert_eq!((asked(&server).await.len(), seen.summary.requests), (5, 5));
    assert_eq!(seen.summary.ending, Ending::RequestCap { cap: 7 });
    assert_eq!(seen.summary.left + seen.answers.len(), 50);
}

#[tokio::test]
async fn a_pace_is_kept() {
    let server = server(good("yes")).await;
    // One every 20 ms, and the fourth 60 ms after the first.
    let seen = run(Settings { requests_per_minute: Some(3000.0), ..settings_of(&server) }, &prompts(4));
    assert!(seen.summary.seconds >= 0.06, "{}", seen.summary.seconds);
    assert_eq!(seen.answers.len(), 4);
}
