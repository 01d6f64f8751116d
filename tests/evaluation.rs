//! Evaluation as a person or a script uses it, on a tiny random model: stored answers, reports, errors, the ladder and what it
//! costs; and an endpoint that answers the same test.

#![allow(clippy::unwrap_used)] // what a test cannot have fails it

use std::fs;

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

mod common;

use common::desk::Desk;

/// The systems' names of a report.
fn names(found: &Value) -> Vec<&str> {
    found["report"]["systems"].as_array().unwrap().iter().map(|system| system["name"].as_str().unwrap()).collect()
}

#[test]
fn the_base_with_examples_stands_beside_the_tuned_model_and_nobody_is_asked_twice() {
    let desk = Desk::with_project();
    let trained = desk.train();
    let run = trained["run"].as_str().unwrap();
    let eval = ["eval", "--data", "test.jsonl", "--max-tokens", "8", "--run", run, "--json"];
    let first = desk.json(&eval);
    // Of the eight records three are the test; examples come from the other five, as many as fit.
    let systems = names(&first);
    assert_eq!((systems.len(), systems[0], systems[2]), (3, "base", run), "{first}");
    assert!(systems[1].starts_with("base + "), "{systems:?}");
    let report = &first["report"];
    assert_eq!((report["counted"].as_u64(), report["pairs"].as_array().unwrap().len()), (Some(3), 3));
    assert!(report["verdict"]["text"].as_str().unwrap().contains("exact") || report["verdict"]["metric"].is_string());
    let keys: Vec<&str> =
        report["metrics"].as_array().unwrap().iter().map(|metric| metric["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"json_valid") && keys.contains(&"field_f1") && keys.contains(&"chrf"), "{keys:?}");

    // Again, and from what is stored alone: the same figures, and the model is not even there.
    let again = desk.json(&eval);
    assert_eq!(again["report"]["systems"], report["systems"]);
    fs::rename(desk.path("model"), desk.path("elsewhere")).unwrap();
    let stored = ["eval", "--data", "test.jsonl", "--stored", "--json"];
    let stored = desk.json(&stored);
    assert_eq!(stored["report"]["systems"], report["systems"]);
    fs::rename(desk.path("elsewhere"), desk.path("model")).unwrap();

    // A part of the rows is stored already; a longer answer is another system's.
    let (_, told) = desk.run(&["eval", "--data", "train.jsonl", "--stored"], 1);
    assert!(told.contains("no system has answered"), "{told}");
    let two = desk.json(&["eval", "--data", "test.jsonl", "--rows", "2", "--stored", "--json"]);
    assert_eq!(two["test_rows"].as_u64(), Some(2));

    // The pages say what the table says.
    let (table, _) =
        desk.run(&["eval", "--data", "test.jsonl", "--stored", "--html", "r.html", "--markdown", "r.md"], 0);
    let verdict = report["verdict"]["text"].as_str().unwrap();
    assert!(table.contains(verdict), "{table}");
    assert!(fs::read_to_string(desk.path("r.md")).unwrap().contains(verdict));
    let html = fs::read_to_string(desk.path("r.html")).unwrap();
    assert!(
        html.contains("<svg") && html.contains("</html>") && !html.contains("http://") && !html.contains("https://")
    );

    let (_, told) = desk.run(&["eval", "--data", "test.jsonl", "--system", "base,shots=2"], 2);
    assert!(told.contains("there is no key shots"), "{told}");
    // Examples that ask what the test asks would make it worthless, whatever else is written beside the question.
    let (_, told) = desk.run(&["eval", "--data", "test.jsonl", "--system", "base,examples=train.jsonl"], 1);
    assert!(told.contains("the example r0 asks what a row of the test asks"), "{told}");
    let rows = fs::read_to_string(desk.path("test.jsonl")).unwrap();
    let mark = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row["category"] = json!("x");
        row.to_string() + "\n"
    };
    fs::write(desk.path("marked.jsonl"), rows.lines().map(mark).collect::<String>()).unwrap();
    let (_, told) = desk.run(&["eval", "--data", "marked.jsonl", "--system", "base,examples=train.jsonl"], 1);
    assert!(told.contains("asks what a row of the test asks"), "{told}");
    // Other settings are another system, and nobody pretends that it had answered.
    let (_, told) = desk.run(&["eval", "--data", "test.jsonl", "--stored", "--system", "base", "--max-tokens", "9"], 1);
    assert!(told.contains("base has not answered") && told.contains("stored is base"), "{told}");
    // Rows without a right answer measure nothing.
    fs::write(desk.path("open.jsonl"), "{\"instruction\": \"say ka\"}\n").unwrap();
    let (_, told) = desk.run(&["eval", "--data", "open.jsonl", "--system", "base"], 1);
    assert!(told.contains("no row with a right answer"), "{told}");
}

#[test]
fn a_question_that_the_model_cannot_read_is_wrong_and_stops_nobody() {
    let desk = Desk::with_project();
    // The model reads 256 bytes. One question is longer; of another only question and answer together are.
    let row =
        |id: &str, asks: &str, gold: &str| json!({ "id": id, "instruction": asks, "output": gold }).to_string() + "\n";
    let rows = [
        row("fits", "say ka", "ka"),
        row("long", &"say ka again and ".repeat(30), "ka"),
        row("wide", &"say it ".repeat(20), &"ka".repeat(80)),
        row("fits-too", "say ki", "ki"),
    ];
    fs::write(desk.path("long.jsonl"), rows.concat()).unwrap();
    let eval = ["eval", "--data", "long.jsonl", "--max-tokens", "4", "--system", "base", "--json"];
    let (out, told) = desk.run(&eval, 0);
    let found: Value = serde_json::from_str(&out).unwrap();
    let report = &found["report"];
    assert_eq!((report["rows"].as_u64(), report["counted"].as_u64()), (Some(4), Some(4)), "{report}");
    assert_eq!(found["test_rows"].as_u64(), Some(4), "the long one is counted, and not right");
    let notes: Vec<&str> = report["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    let unread = notes.iter().find(|note| note.contains("count as wrong")).unwrap();
    assert!(unread.starts_with("base: 1 of the questions") && unread.ends_with(": long"), "{unread}");
    let unlikely = notes.iter().find(|note| note.contains("perplexity")).unwrap();
    assert!(unlikely.contains("2 of the rows") && unlikely.ends_with(": long, wide"), "{unlikely}");
    assert!(told.contains(unread) && report["systems"][0]["perplexity"].as_f64().is_some_and(f64::is_finite), "{told}");
    // It is stored as any other: nobody is asked again, and the stored report says the same.
    let (out, _) = desk.run(&[&eval[..], &["--stored", "--answers", "said.jsonl"]].concat(), 0);
    let stored: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&stored["report"]["notes"], &stored["report"]["systems"]), (&report["notes"], &report["systems"]));
    let said = fs::read_to_string(desk.path("said.jsonl")).unwrap();
    let long: Value = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
    assert_eq!((long["id"].as_str(), long["base"].as_str()), (Some("long"), Some("")), "{said}");
    // Nor does it keep the others from being drafted.
    let asks = ["say ka".to_owned(), "say ka again and ".repeat(30), "say ki".to_owned()];
    let waits: String = asks.iter().map(|asks| json!({ "instruction": asks }).to_string() + "\n").collect();
    fs::write(desk.path("waits.jsonl"), waits).unwrap();
    desk.run(&["import", "waits.jsonl"], 0);
    let (out, _) = desk.run(&["draft", "--query", "status:inbox", "--max-tokens", "4", "--json"], 1);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert!(out.contains("more than the model's context of 256"), "{found}");
    let (listed, _) = desk.run(&["records", "--json"], 0);
    let drafted: Vec<bool> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| record["draft"].is_string())
        .collect();
    assert_eq!(drafted, [true, false, true], "{listed}");
}

#[test]
fn errors_are_named_marked_and_counted() {
    let desk = Desk::with_project();
    let trained = desk.train();
    let run = trained["run"].as_str().unwrap();
    desk.json(&["eval", "--data", "test.jsonl", "--max-tokens", "8", "--run", run, "--examples", "0", "--json"]);
    let asked = ["errors", "--data", "test.jsonl", "--json"];
    let usual = desk.json(&asked);
    let count = |found: &Value, category: &str| {
        let all = found["matrix"]["changes"].as_array().unwrap().clone();
        all.into_iter().find(|change| change["category"] == category).map(|change| change["after"].as_u64().unwrap())
    };
    // Random weights write no JSON.
    assert_eq!(count(&usual, "wrong-format"), Some(3), "{usual}");
    assert!(usual["advice"]["why"].is_string());
    let cause = |category: &str| {
        let all = usual["matrix"]["changes"].as_array().unwrap();
        all.iter().find(|change| change["category"] == category).map(|change| change["cause"].clone())
    };
    assert_eq!((cause("wrong"), cause("wrong-fact")), (Some(json!("unknown")), Some(json!("knowledge"))), "{usual}");

    let settings = desk.path("p/togi.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let own = "\n[[errors]]\nname = \"too-long\"\ncause = \"behaviour\"\nrules = [{ kind = \"length\", max = 0 }]\n\n\
               [[errors]]\nname = \"rude\"\ncause = \"behaviour\"\n";
    fs::write(&settings, format!("{text}{own}")).unwrap();
    let found = desk.json(&asked);
    assert_eq!((count(&found, "rude"), count(&found, "wrong-format")), (Some(0), None));
    let long = count(&found, "too-long").unwrap();
    // A person's word goes over the rules', and can be taken back.
    let mark = |category: &str, not: bool| {
        let mark = ["errors", "--data", "test.jsonl", "--mark", "r0", "--of", run, "--category", category];
        desk.run(&[&mark[..], if not { &["--not"] } else { &[] }].concat(), 0);
    };
    mark("rude", false);
    assert_eq!(count(&desk.json(&asked), "rude"), Some(1));
    mark("rude", true);
    assert_eq!(count(&desk.json(&asked), "rude"), Some(0));
    if long > 0 {
        mark("too-long", true);
        assert!(count(&desk.json(&asked), "too-long").unwrap() <= long);
    }
    let wrong = ["errors", "--data", "test.jsonl", "--mark", "r0", "--of", run, "--category", "slow"];
    let (_, told) = desk.run(&wrong, 1);
    assert!(told.contains("there is too-long, rude"), "{told}");
    fs::write(&settings, format!("{text}\n[[errors]]\nname = \"x\"\ncause = \"fate\"\n")).unwrap();
    let (_, told) = desk.run(&["errors", "--data", "test.jsonl"], 1);
    assert!(told.contains("[[errors]] x") && told.contains("fate"), "{told}");
}

#[test]
fn the_ladder_trains_each_cell_once_and_names_the_smallest_that_will_do() {
    let desk = Desk::with_project();
    let few = ["--set", "steps=3", "--set", "batch=2", "--set", "evaluations=1"];
    let ladder = [
        "ladder",
        "--data",
        "train.jsonl",
        "--test",
        "test.jsonl",
        "--valid",
        "test.jsonl",
        "--sizes",
        "2,5,all",
        "--max-tokens",
        "6",
    ];
    let ask = |more: &[&str]| desk.json(&[&ladder[..], &few, more, &["--json"]].concat());
    let runs = || fs::read_dir(desk.path("p/runs")).unwrap().count();
    let second = ask(&["--cell", "2"]);
    assert_eq!((runs(), second["waiting"].as_u64()), (1, Some(2)), "{second}");
    let all = ask(&["--target", "0.0", "--svg", "ladder.svg"]);
    let rows: Vec<u64> = all["cells"].as_array().unwrap().iter().map(|cell| cell["rows"].as_u64().unwrap()).collect();
    assert_eq!((runs(), rows), (3, vec![0, 2, 5, 8]), "{all}");
    assert!(all["smallest"]["surely"].is_u64());
    assert!(fs::read_to_string(desk.path("ladder.svg")).unwrap().starts_with("<svg"));
    // Nothing is trained again; a smaller set is part of each larger one.
    let again = ask(&[]);
    assert_eq!((runs(), &again["cells"]), (3, &all["cells"]));
    let ids = |run: &str| -> Vec<String> {
        let text = fs::read_to_string(desk.path(&format!("p/runs/{run}/inputs.jsonl"))).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["split"] == "train")
            .map(|line| line["row"]["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let lines = fs::read_to_string(desk.path("p/ladder.jsonl")).unwrap();
    let mut sets: Vec<Vec<String>> =
        lines.lines().map(|line| ids(serde_json::from_str::<Value>(line).unwrap()["run"].as_str().unwrap())).collect();
    sets.sort_by_key(Vec::len);
    assert_eq!(sets.iter().map(Vec::len).collect::<Vec<_>>(), [2, 5, 8]);
    assert!(sets[0].iter().all(|id| sets[1].contains(id)) && sets[1].iter().all(|id| sets[2].contains(id)));
    for (wrong, why) in
        [(["--cell", "9"], "no cell 9"), (["--target", "40"], "no share"), (["--metric", "taste"], "no metric")]
    {
        let code = if wrong[0] == "--target" { 2 } else { 1 };
        let (_, told) = desk.run(&[&ladder[..], &few, &wrong].concat(), code);
        assert!(told.contains(why), "{told}");
    }
    // Other settings are other cells.
    let other = desk.json(&[&ladder[..], &["--plan", "--json"]].concat());
    assert_eq!(other["waiting"].as_u64(), Some(3));
}

#[test]
fn an_endpoint_answers_the_same_test_and_what_it_costs_is_told() {
    let desk = Desk::with_project();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(MockServer::start());
    let answer = |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let asked = body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
        let word = asked.trim_start_matches("say ");
        ResponseTemplate::new(200).set_body_json(json!({
            "model": "big-1",
            "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": format!("{{\"said\": \"{word}\"}}") } }],
            "usage": { "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110 },
        }))
    };
    runtime.block_on(Mock::given(method("POST")).and(path("/v1/chat/completions")).respond_with(answer).mount(&server));
    let settings = desk.path("p/togi.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let table = format!(
        "\n[endpoints.big]\nbase_url = \"{}/v1\"\nmodel = \"big-1\"\nprice_input = 2.0\nprice_output = 10.0\n",
        server.uri()
    );
    fs::write(&settings, format!("{text}{table}")).unwrap();
    let eval =
        ["eval", "--data", "test.jsonl", "--max-tokens", "8", "--system", "base", "--system", "endpoint=big", "--json"];
    let found = desk.json(&eval);
    let big = &found["report"]["systems"][1];
    assert_eq!((big["name"].as_str(), big["scores"]["exact"]["value"].as_f64()), (Some("big"), Some(1.0)), "{found}");
    // 100 tokens at 2 and 10 at 10 a million: 0.0003 an answer.
    assert!((big["cost_per_1000"].as_f64().unwrap() - 0.3).abs() < 1e-9, "{big}");
    assert!(big["seconds"].as_f64().unwrap() > 0.0 && big["tokens"].as_f64() == Some(10.0));
    // Nobody pays twice.
    desk.json(&eval);
    assert_eq!(runtime.block_on(server.received_requests()).unwrap().len(), 3);
    // A cap holds over runs: three requests were sent, and a fourth may not be.
    let capped = format!("{text}{table}request_cap = 3\n");
    fs::write(&settings, &capped).unwrap();
    let (_, told) = desk.run(&["eval", "--data", "train.jsonl", "--system", "endpoint=big"], 0);
    assert!(told.contains("request_cap"), "{told}");
    assert_eq!(runtime.block_on(server.received_requests()).unwrap().len(), 3);
    let page = desk.json(&["cost", "--data", "test.jsonl", "--system", "base", "--json"]);
    assert!((page["costs"]["endpoint_per_1000"].as_f64().unwrap() - 0.3).abs() < 1e-9, "{page}");
    assert_eq!((page["measured"].as_str(), page["endpoint"].as_str()), (Some("base"), Some("big")));
    // Prompts and answers are told apart, and the own cost is made of both.
    let speeds = &found["report"]["systems"][0]["speeds"];
    for (name, speed) in [
        ("prompt_tokens", "prompt_tokens"),
        ("prompt_tokens_per_second", "prompt_tokens_per_s"),
        ("generated_tokens_per_second", "answer_tokens_per_s"),
    ] {
        let all = page["assumptions"].as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == name).unwrap();
        assert_eq!((&one["value"], one["from"].as_str()), (&speeds[speed], Some("measured")));
        assert!(one["value"].as_f64().unwrap() > 0.0, "{one}");
    }
    assert!(found["report"]["systems"][1]["speeds"].is_null(), "an endpoint's seconds are its own");
    // Whatever is shown can be set.
    let page = desk.json(&["cost", "--json"]);
    let names = |list: &str, before: &str| -> Vec<String> {
        let of = |one: &Value| format!("{before}{}", one["name"].as_str().unwrap());
        page[list].as_array().unwrap().iter().map(of).collect()
    };
    let numbers = [names("assumptions", ""), names("assumptions_of_people", "people.")].concat();
    let mut given: Vec<String> = numbers.iter().map(|name| format!("{name}=1")).collect();
    given.extend(["currency=EUR".into(), "paid=bought".into()]);
    let mut asked = vec!["cost", "--json"];
    asked.extend(given.iter().flat_map(|one| ["--set", one.as_str()]));
    let changed = desk.json(&asked);
    for list in ["words", "assumptions", "assumptions_of_people"] {
        let all = changed[list].as_array().unwrap();
        assert!(!all.is_empty() && all.iter().all(|one| one["from"] == "--set"), "{list}: {changed}");
    }
    assert_eq!(
        (changed["currency"].as_str(), changed["of_people"]["rate_per_hour"].as_f64()),
        (Some("EUR"), Some(1.0))
    );
    // What is said of people in the file is, too, and it is said that it is from there.
    let people = format!("{capped}\n[cost.people]\nrate_per_hour = 30\n");
    fs::write(&settings, people).unwrap();
    let (told, _) = desk.run(&["cost", "--set", "t_reply_s=90"], 0);
    let line =
        |name: &str| told.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!((line("people.rate_per_hour")[1], *line("people.rate_per_hour").last().unwrap()), ("30", "togi.toml"));
    assert_eq!((line("people.t_reply_s")[1], *line("people.t_reply_s").last().unwrap()), ("90", "--set"));
    fs::write(&settings, &capped).unwrap();
    let (_, told) = desk.run(&["cost", "--set", "people.rate=1"], 2);
    assert!(told.contains("--set: people") && told.contains("rate"), "{told}");
    let (told, _) = desk.run(&["cost", "--set", "per_hour=0.8"], 0);
    assert!(told.lines().any(|line| line.starts_with("per_hour") && line.ends_with("--set")), "{told}");
    let (_, told) = desk.run(&["cost", "--set", "per_hour"], 2);
    assert!(told.contains("--set per_hour has no value") && told.contains("per_hour=0.8"), "{told}");
    let (_, told) = desk.run(&["cost", "--set", "per_houre=1"], 2);
    assert!(told.contains("per_houre"), "{told}");
    let (_, told) = desk.run(&["eval", "--data", "test.jsonl", "--system", "endpoint=small"], 1);
    assert!(told.contains("[endpoints.small]") && told.contains("there is big"), "{told}");
}
