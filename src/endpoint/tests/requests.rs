//! What is sent, and the settings that say so.

use super::*;

fn table(text: &str) -> toml::Table {
    format!("base_url = \"http://localhost:1/v1\"\nmodel = \"m\"\n{text}").parse().unwrap()
}

fn body(text: &str) -> serde_json::Value {
    let settings = Settings::from_table("x", &table(text)).unwrap();
    let messages = [Message::new(Role::System, "Be brief."), Message::new(Role::User, "研ぎ?")];
    crate::endpoint::prompt::body(&settings, &messages)
}

#[test]
fn a_body_is_as_little_as_every_server_knows() {
    assert_eq!(
        body(""),
        json!({
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "研ぎ?"}],
            "max_tokens": 256, "temperature": 0.0, "stream": false,
        })
    );
}

#[test]
fn what_providers_want_otherwise_can_be_set() {
    let body = body(
        "max_tokens = 9\nmax_tokens_field = \"max_completion_tokens\"\ntemperature = \"unset\"\nseed = 7\n\
         [extra]\nreasoning_effort = \"low\"\nprovider = { order = [\"a\", 2], since = 2026-01-02 }",
    );
    assert_eq!(body.get("max_tokens"), None);
    assert_eq!(body.get("temperature"), None);
    assert_eq!(body["max_completion_tokens"], 9);
    assert_eq!(body["seed"], 7);
    assert_eq!(body["reasoning_effort"], "low");
    assert_eq!(body["provider"], json!({"order": ["a", 2], "since": "2026-01-02"}));
}

#[tokio::test]
async fn the_prompts_arrive_as_they_were_given() {
    let server = server(good("yes")).await;
    let prompt = vec![Message::new(Role::User, "a \"quote\"\n\u{0} 🦀"), Message::new(Role::Assistant, "b")];
    let seen = run(settings_of(&server), std::slice::from_ref(&prompt));
    let sent: serde_json::Value = asked(&server).await[0].body_json().unwrap();
    let sent: Vec<Message> = serde_json::from_value(sent["messages"].clone()).unwrap();
    assert_eq!(sent, prompt);
    assert_eq!(seen.summary.figures.models.first().map(String::as_str), Some("m-2026"));
}

#[tokio::test]
async fn no_prompts_are_no_requests() {
    let server = server(good("yes")).await;
    let seen = run(settings_of(&server), &[]);
    assert_eq!((seen.summary.ending.to_string().as_str(), seen.summary.requests), ("every prompt was asked", 0));
}

#[test]
fn a_setting_that_cannot_be_is_named() {
    for (text, words) in [
        ("concurency = 3", "concurency is not a setting of an endpoint; there are base_url"),
        ("concurrency = 0", "concurrency is 0; it goes from 1 to 256"),
        ("concurrency = \"four\"", "concurrency: invalid type"),
        ("max_tokens = -1", "max_tokens: invalid value"),
        ("max_tokens_field = \"tokens\"", "max_tokens_field: unknown variant tokens"),
        ("temperature = 3", "temperature is 3"),
        ("temperature = \"cold\"", "temperature: expected a number from 0 to 2"),
        ("temperature = nan", "temperature is NaN"),
        ("timeout_seconds = 0", "timeout_seconds is 0"),
        ("timeout_seconds = inf", "timeout_seconds is inf"),
        ("retries = 100", "retries is 100; it goes from 0 to 20"),
        ("requests_per_minute = 0", "requests_per_minute is 0"),
        ("tokens_per_minute = -5", "tokens_per_minute is -5"),
        ("key_env = \"A\"\nkey_file = \"b\"", "key_env and key_file are both given"),
        ("key_env = \"A=b\"", "key_env must be the name"),
        ("price_input = 1.0", "give price_input and price_output both"),
        ("price_cached_input = 1.0", "give price_input and price_output both"),
        ("price_input = -1.0\nprice_output = 1.0", "price_input is -1"),
        ("spend_cap = 2.0", "spend_cap needs price_input and price_output"),
        ("request_cap = -1", "request_cap: invalid value"),
        ("extra = 5", "extra: invalid type"),
        ("extra = { n = 5 }", "extra.n cannot be given there"),
        ("extra = { max_tokens = 5 }", "extra.max_tokens cannot be given there: set max_tokens"),
    ] {
        let told = Endpoint::from_table("big", &table(text)).unwrap_err().to_string();
        assert!(told.starts_with("[endpoints.big]: ") && told.contains(words), "{text}: {told}");
    }
    for (text, words) in [
        ("model = \"m\"", "base_url is missing"),
        ("base_url = \"http://a.example\"", "model is missing"),
        ("model = \" \"\nbase_url = \"http://a.example\"", "model is empty"),
        ("model = \"m\"\nbase_url = \"a.example/v1\"", "base_url: \"a.example/v1\" is no URL"),
    ] {
        let told = Endpoint::from_table("big", &text.parse().unwrap()).unwrap_err().to_string();
        assert!(told.contains(words), "{text}: {told}");
    }
}

#[test]
fn settings_are_the_same_after_writing_and_take_whole_numbers() {
    let text = "temperature = 1\nprice_input = 1\nprice_output = 2\nspend_cap = 3\nseed = 4\n[extra]\na = 1";
    let settings = Settings::from_table("x", &table(text)).unwrap();
    let written = toml::Table::try_from(&settings).unwrap();
    assert_eq!(Settings::from_table("x", &written).unwrap(), settings);
}

#[test]
fn the_documented_table_is_one() {
    let source = include_str!("../settings.rs");
    let block = source.split("/// ```").nth(1).unwrap().trim_start_matches("toml\n");
    let text: String =
        block.lines().map(|line| line.trim_start_matches("///").trim_start().to_owned() + "\n").collect();
    let mut table: toml::Table = text.parse().unwrap();
    let table = table["endpoints"]["big"].as_table_mut().unwrap();
    let told = Settings::from_table("big", table).unwrap_err().to_string();
    assert!(told.contains("both given"), "it shows both ways to name a key: {told}");
    table.remove("key_env");
    Settings::from_table("big", table).unwrap();
    // Every setting stands in it.
    let mut written: Vec<_> = table.keys().cloned().chain(["key_env".to_owned()]).collect();
    let unknown = toml::Table::from_iter([("x".to_owned(), 1.into())]);
    let told = Settings::from_table("big", &unknown).unwrap_err().to_string();
    let known = told.split_once("there are ").unwrap().1;
    let mut known: Vec<_> = known.split(", ").map(str::to_owned).collect();
    written.sort();
    known.sort();
    assert_eq!(written, known);
}
