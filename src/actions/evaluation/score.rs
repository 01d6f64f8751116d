//! What is stored, scored and put together: the same answers give the same report, without any model.

use super::super::context::ActionError;
use super::system::System;
use super::{Evaluated, Measured, Request, Summary, added, rate};
use crate::evaluate::report::{self, Candidate, EXACT, Given, Metric, Question, Report, Test};
use crate::evaluate::{Scores, exact_match, json, score};
use crate::prompt::{Kind, Record};
use crate::store::{Generation, Store};

/// The share of right answers that must be JSON objects or lists for the answers to be scored as JSON.
const JSON_TASK: f64 = 0.9;

/// Scores what is stored of the systems.
///
/// # Errors
/// When the database cannot be read, or nothing is there that could be scored.
pub(super) fn report(store: &Store, measured: &Measured, request: &Request) -> Result<Evaluated, ActionError> {
    let records = &measured.records;
    let test = Test {
        name: measured.test.name.clone(),
        hash: measured.test.hash.clone(),
        questions: records.iter().map(question).collect(),
    };
    let asks = records.iter().any(|record| !matches!(record.kind, Kind::Text { .. }));
    let metrics = if asks { metrics(records) } else { Vec::new() };
    let mut candidates = Vec::new();
    let mut summary = Summary { test_rows: records.len(), ..Summary::default() };
    let (mut adapter, mut generated_per_s) = (None, 0.0);
    let mut plain_base = true;
    for (system, id) in &measured.systems {
        let generations = store.generations(measured.test.id, *id)?;
        let likelihoods = store.likelihoods(measured.test.id, *id)?;
        let kept: Vec<_> = likelihoods.into_iter().filter(|row| row.place < records.len()).collect();
        let work = store.work(measured.test.id, *id)?;
        generated_per_s = rate(&work).unwrap_or(generated_per_s);
        let likelihood = added(&kept);
        if system.endpoint.is_none() {
            let scores = if asks { scores(records, &generations) } else { None };
            if system.is_tuned() {
                summary = summary.with_tuned(scores.as_ref(), Some(&likelihood));
                adapter = system.adapter.as_ref().map(|hash| hash.chars().take(12).collect());
            } else if plain_base {
                // The first model that is not tuned is the one that `base` has always meant.
                summary = summary.with_base(scores.as_ref(), Some(&likelihood));
                plain_base = false;
            }
        }
        candidates.push(candidate(system, records, &metrics, generations, &kept, rate(&work)));
    }
    let mut report: Report = if asks {
        report::build(&test, &metrics, &candidates, &request.resampling)
    } else {
        report::build_texts(&test, &candidates)
    };
    report.notes.splice(0..0, measured.notes.iter().cloned());
    let said = |c: &Candidate| c.answers.iter().map(|given| given.as_ref().map(|given| given.text.clone())).collect();
    let answers = candidates.iter().map(|c| (c.name.clone(), said(c))).collect();
    let ids = records.iter().map(|record| record.id.clone()).collect();
    Ok(Evaluated { summary, generated_per_s, seconds: 0.0, adapter, report, answers, ids })
}

/// The figures that `togi eval --json` has always had.
fn scores(records: &[Record], generations: &[Generation]) -> Option<Scores> {
    let pairs: Vec<(&str, Vec<String>)> = generations
        .iter()
        .filter_map(|g| Some((g.answer.as_str(), records.get(g.place)?.accepted())))
        .collect();
    (!pairs.is_empty()).then(|| score(&pairs))
}

/// A row as a person reads it in a report.
fn question(record: &Record) -> Question {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let asks = match &record.kind {
        Kind::Pair { fields, .. } => {
            let own: Vec<String> = ["input", "question", "prompt"].iter().filter_map(|key| fields.get(*key)).map(text).collect();
            let all = || fields.values().map(text).collect::<Vec<_>>().join("\n");
            if own.iter().all(String::is_empty) { all() } else { own.join("\n") }
        }
        Kind::Chat { messages, .. } => {
            let asked = messages.iter().rev().find(|message| message.role == "user");
            asked.and_then(|message| message.content.clone()).unwrap_or_default()
        }
        Kind::Text { text } => text.chars().take(200).collect(),
    };
    let gold = record.accepted().into_iter().next().unwrap_or_default();
    Question { id: record.id.clone(), category: record.category.clone(), asks, gold }
}

/// The metrics that fit the right answers.
fn metrics(records: &[Record]) -> Vec<Metric> {
    let metric = |key: &str, name: &str, tokens: &str| Metric { key: key.into(), name: name.into(), tokens: tokens.into() };
    let mut metrics = vec![metric(EXACT, "exact answers", "")];
    if is_json(records) {
        metrics.push(metric("json_valid", "answers that are JSON", ""));
    }
    metrics
}

/// Whether the answers are to be JSON.
fn is_json(records: &[Record]) -> bool {
    let gold: Vec<String> = records.iter().filter_map(|record| record.accepted().into_iter().next()).collect();
    let objects = gold.iter().filter(|text| matches!(json::parse(text), Some(json::Json::Object(_) | json::Json::List(_))));
    !gold.is_empty() && objects.count() as f64 >= JSON_TASK * gold.len() as f64
}

fn candidate(
    system: &System,
    records: &[Record],
    metrics: &[Metric],
    generations: Vec<Generation>,
    likelihoods: &[crate::store::RowLikelihood],
    tokens_per_s: Option<f64>,
) -> Candidate {
    let mut answers: Vec<Option<Given>> = vec![None; records.len()];
    for generation in generations {
        let (Some(record), Some(slot)) = (records.get(generation.place), answers.get_mut(generation.place)) else {
            continue;
        };
        let right = record.accepted();
        let value = |key: &str| match key {
            EXACT => f64::from(u8::from(exact_match(&generation.answer, &right))),
            _ => f64::from(u8::from(json::canonical(&generation.answer).is_some())),
        };
        *slot = Some(Given {
            scores: metrics.iter().map(|metric| Some(value(&metric.key))).collect(),
            text: generation.answer,
            tokens: generation.tokens,
            cut: generation.stop == "length" || generation.stop == "context",
            seconds: generation.seconds,
            cost: generation.cost,
        });
    }
    let mut found = vec![None; records.len()];
    for row in likelihoods {
        if let Some(slot) = found.get_mut(row.place) {
            *slot = Some((row.nats, row.tokens, row.bytes));
        }
    }
    Candidate {
        name: system.name.clone(),
        about: system.to_string(),
        tuned: system.is_tuned(),
        prompted: system.is_prompted(),
        answers,
        likelihoods: found,
        tokens_per_s,
    }
}
