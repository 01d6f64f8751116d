//! A ready-made model as a system: an endpoint of `togi.toml`, asked in messages with a prompt of its own.

use serde_json::{Value, json};

use super::super::context::{ActionError, Context};
use super::Turn;
use super::system::System;
use crate::endpoint::{Ending, Endpoint, EndpointError, Event, Message, Role, Settings, Spent};
use crate::prompt::{Questions, Record};
use crate::store::{Generation, Store, Work};

/// Answers kept in one transaction; each was paid for, so they are not held back for long.
const KEPT: usize = 4;

/// The settings of `[endpoints.NAME]`.
///
/// # Errors
/// When there is no such table, or it is wrong.
pub fn settings(context: &Context, name: &str) -> Result<Settings, ActionError> {
    let file = context.project.settings_path();
    let tables = context.project.endpoints();
    let Some(table) = tables.get(name).and_then(toml::Value::as_table) else {
        let there: Vec<&str> = tables.keys().map(String::as_str).collect();
        let known =
            if there.is_empty() { "there is none yet".to_owned() } else { format!("there is {}", there.join(", ")) };
        return Err(ActionError::Refused(format!(
            "{} has no [endpoints.{name}] with base_url and model; {known}",
            file.display()
        )));
    };
    let mut settings = Settings::from_table(name, table)
        .map_err(|error| ActionError::Refused(format!("{}: {error}", file.display())))?;
    // A path in togi.toml is relative to the project.
    if let Some(key) = settings.key_file.as_mut().filter(|path| path.is_relative() && !path.starts_with("~")) {
        *key = context.project.root().join(&*key);
    }
    Ok(settings)
}

/// What of an endpoint's settings decides its answers: not its key, its pace or its price.
///
/// # Errors
/// As [`settings`].
pub fn about(context: &Context, name: &str) -> Result<Value, ActionError> {
    let s = settings(context, name)?;
    Ok(json!({
        "base_url": s.base_url,
        "model": s.model,
        "max_tokens": s.max_tokens,
        "temperature": s.temperature,
        "seed": s.seed,
        "extra": s.extra,
    }))
}

/// What is asked for a record.
fn messages(questions: &Questions, record: &Record) -> Result<Vec<Message>, ActionError> {
    let wrong = |why: String| ActionError::Refused(format!("record {}: {why}", record.id));
    let asked = questions.messages(record).map_err(|error| wrong(error.to_string()))?;
    asked
        .into_iter()
        .map(|message| {
            let role = match message.role.as_str() {
                "system" => Role::System,
                "developer" => Role::Developer,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                other => return Err(wrong(format!("an endpoint is not asked with messages of the role {other}"))),
            };
            Ok(Message::new(role, message.content.unwrap_or_default()))
        })
        .collect()
}

/// Asks what is missing and keeps each answer; returns what a person should know: warnings, rows that were given up, why it
/// ended early.
///
/// # Errors
/// When the endpoint cannot be set up, or every request meets the same fault.
pub fn answer(
    context: &Context,
    store: &mut Store,
    system: &System,
    (test, id): (i64, i64),
    missing: &[(usize, &Record)],
    turn: &mut Turn<'_>,
) -> Result<Vec<String>, ActionError> {
    let name = system.endpoint.as_deref().unwrap_or_default();
    let fault = |error: EndpointError| ActionError::Refused(format!("endpoint {name}: {error}"));
    let endpoint = Endpoint::open(settings(context, name)?).map_err(fault)?;
    let questions = Questions::new(system.prompt.clone()).map_err(|error| ActionError::Refused(error.to_string()))?;
    let prompts =
        missing.iter().map(|(_, record)| messages(&questions, record)).collect::<Result<Vec<_>, ActionError>>()?;
    // The caps hold for the endpoint, whatever it was asked before and with what prompt.
    let mut spent = Spent::default();
    for (about, money, requests) in store.spent()? {
        let same = serde_json::from_str::<System>(&about).is_ok_and(|other| other.endpoint == system.endpoint);
        if same {
            spent.money += money;
            spent.requests += requests;
        }
    }
    let mut notes: Vec<String> = Vec::new();
    let mut waiting: Vec<Generation> = Vec::new();
    let mut failed: Option<ActionError> = None;
    let mut given_up = 0usize;
    let mut done = 0usize;
    let summary = endpoint
        .answer_all(&prompts, spent, &mut |event| match event {
            Event::Answered { at, answer } => {
                let Some((place, _)) = missing.get(at) else { return true };
                done += 1;
                let usage = answer.usage;
                waiting.push(Generation {
                    place: *place,
                    answer: answer.text.trim().to_owned(),
                    stop: stop_of(&answer.finish),
                    prompt_tokens: usage.map(|usage| usage.prompt as usize),
                    tokens: usage.map(|usage| usage.completion as usize),
                    seconds: Some(answer.latency_seconds),
                    prompt_seconds: None,
                    answer_seconds: None,
                    cost: answer.cost,
                });
                if waiting.len() >= KEPT {
                    match store.keep_generations(test, id, &waiting, None) {
                        Ok(()) => waiting.clear(),
                        Err(error) => {
                            failed = Some(error.into());
                            return false;
                        }
                    }
                }
                turn.done(done)
            }
            Event::Failed { at, failure } => {
                given_up += 1;
                if given_up <= 3 {
                    let row = missing.get(at).map_or("", |(_, record)| record.id.as_str());
                    notes.push(format!("{name} did not answer {row}: {failure}"));
                }
                turn.done(done)
            }
            Event::Retrying { .. } | Event::Progress(_) | Event::Tick => turn.done(done),
        })
        .map_err(fault)?;
    let work = Work {
        seconds: summary.seconds,
        rows: done,
        money: summary.spent,
        requests: summary.requests,
        ..Work::default()
    };
    store.keep_generations(test, id, &waiting, Some(work))?;
    if let Some(error) = failed {
        return Err(error);
    }
    notes.extend(summary.warnings);
    if given_up > 3 {
        notes.push(format!("{name} did not answer {given_up} rows in all; the same command asks them again"));
    }
    match summary.ending {
        Ending::Done => {}
        Ending::Stopped => return Err(turn.stopped()),
        ending @ Ending::Refused { .. } => return Err(ActionError::Refused(format!("endpoint {name}: {ending}"))),
        ending => notes.push(format!("{name}: {ending}")),
    }
    Ok(notes)
}

/// Why an answer ended, in the words of the models on this machine where they fit.
fn stop_of(finish: &crate::endpoint::Finish) -> String {
    use crate::endpoint::Finish;
    match finish {
        Finish::Stop => "end".into(),
        Finish::Length => "length".into(),
        Finish::ContentFilter => "filtered".into(),
        Finish::ToolCalls => "tool-calls".into(),
        Finish::Other(word) => word.clone(),
        Finish::Missing => "unknown".into(),
    }
}
