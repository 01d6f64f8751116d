//! What answering costs on one's own machine and at an endpoint, and what suggestions save the people who get them. Every
//! assumption is a key of `[cost]` in `togi.toml`, measured where something was measured, and shown beside the result.

use std::path::PathBuf;

use serde::Serialize;

use super::context::{ActionError, Context, Download, assigned};
use super::evaluation::{self, Figures, Request};
use crate::evaluate::cost::{Assumptions, Costs, Field, Paid};
use crate::evaluate::encs::{Judged, Judgement, Kind, Times};
use crate::evaluate::significance::Resampling;
use crate::store::{Content, Query, Status, Store, StoreError};

pub use crate::evaluate::cost::{BreakEven, Side};
pub use crate::evaluate::encs::Savings;

/// The table within `[cost]` that is about people.
const PEOPLE: &str = "people";
/// Its keys that `[cost]` itself has not; the others are named with `people.` before them.
const ONLY_PEOPLE: [&str; 4] = ["rate_per_hour", "t_reply_s", "cost_per_suggestion", "messages_per_month"];

/// What is to be computed with.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// A test set that was evaluated, from which speed and tokens are taken.
    pub data: Option<PathBuf>,
    /// The own system by its name in the report; without one the last tuned one, or the last on this machine.
    pub system: Option<String>,
    /// `KEY=VALUE` over `[cost]` for once; `people.KEY=VALUE` over `[cost.people]`.
    pub set: Vec<String>,
}

/// An assumption and where it comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Assumed {
    /// The assumption.
    #[serde(flatten)]
    pub field: Field,
    /// `default`, `togi.toml`, `measured` or `--set`.
    pub from: &'static str,
}

/// An assumption that is a word.
#[derive(Clone, Debug, Serialize)]
pub struct Word {
    /// Its name in a file.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// As of [`Assumed`].
    pub from: &'static str,
}

/// An assumption about people and where it comes from.
#[derive(Clone, Debug, Serialize)]
pub struct AssumedOfPeople {
    /// Its name in `[cost.people]`.
    pub name: &'static str,
    /// Its value; none where nobody has said it.
    pub value: Option<f64>,
    /// The unit; `currency` stands for the currency.
    pub unit: &'static str,
    /// `default`, `togi.toml`, `--set`, `a request here`, or `not said`.
    pub from: &'static str,
}

/// The page.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// The currency of all amounts.
    pub currency: String,
    /// The system that was measured, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// The endpoint that was measured, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What is assumed that is no number.
    pub words: Vec<Word>,
    /// Every number that is assumed.
    pub assumptions: Vec<Assumed>,
    /// What that comes to.
    pub costs: Costs,
    /// What is assumed of the people who get suggestions: `[cost.people]`.
    pub of_people: Times,
    /// The same, each with where it comes from.
    pub assumptions_of_people: Vec<AssumedOfPeople>,
    /// What suggestions save, from what people did with drafts; none where nobody has decided on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<People>,
}

/// What people did with drafts, and what that saves.
#[derive(Clone, Debug, Serialize)]
pub struct People {
    /// Counts, times and the expected net savings with their intervals.
    pub judged: Judged,
    /// The savings; none where a kind was never measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub savings: Option<Savings>,
}

fn wrong(context: &Context, why: &str) -> ActionError {
    ActionError::Refused(format!("{}: [cost]: {why}", context.project.settings_path().display()))
}

/// The assumptions of `[cost]`.
///
/// # Errors
/// When the table is wrong.
pub fn assumptions(context: &Context) -> Result<Assumptions, ActionError> {
    let mut table = context.project.cost().clone();
    table.remove(PEOPLE);
    table.try_into().map_err(|error: toml::de::Error| wrong(context, error.message()))
}

/// What is assumed of people: `[cost.people]`.
///
/// # Errors
/// When the table is wrong.
pub fn times(context: &Context) -> Result<Times, ActionError> {
    match context.project.cost().get(PEOPLE) {
        None => Ok(Times { currency: assumptions(context)?.currency, ..Times::default() }),
        Some(table) => table
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| wrong(context, &format!("people: {}", error.message()))),
    }
}

/// What a request to a measured system costs on a machine as busy as it can be; none where its speed was not measured.
///
/// # Errors
/// When the assumptions cannot be.
pub fn per_request(assumed: &Assumptions, figures: &Figures) -> Result<Option<f64>, ActionError> {
    let mut assumed = assumed.clone();
    if measured_into(&mut assumed, figures).is_empty() {
        return Ok(None);
    }
    let costs = assumed.costs().map_err(|refusal| ActionError::Refused(format!("[cost]: {refusal}")))?;
    Ok(Some(costs.own_per_request_busy))
}

/// What the machine costs for so many seconds of work.
///
/// # Errors
/// When the assumptions cannot be.
pub fn of_seconds(assumed: &Assumptions, seconds: f64) -> Result<f64, ActionError> {
    // A request of one second, on a machine that is busy all the time.
    let one = Assumptions {
        prompt_tokens: 0.0,
        generated_tokens: 1.0,
        generated_tokens_per_second: 1.0,
        utilisation: 1.0,
        ..assumed.clone()
    };
    let costs = one.costs().map_err(|refusal| ActionError::Refused(format!("[cost]: {refusal}")))?;
    Ok(costs.own_per_request_busy * seconds)
}

/// Puts what was measured of a system on this machine into the assumptions and returns the names of those; none where its speed was
/// not measured. Where prompts and answers were not told apart, as by an older togi, the seconds of answers include reading their
/// prompts, and no tokens of prompts are counted beside them.
fn measured_into(assumed: &mut Assumptions, figures: &Figures) -> Vec<&'static str> {
    let Some(tokens) = figures.tokens.filter(|tokens| *tokens > 0.0) else { return Vec::new() };
    let mut names = vec!["prompt_tokens", "generated_tokens", "generated_tokens_per_second"];
    if let Some(speeds) = figures.speeds {
        assumed.prompt_tokens = speeds.prompt_tokens;
        assumed.prompt_tokens_per_second = speeds.prompt_tokens_per_s;
        assumed.generated_tokens_per_second = speeds.answer_tokens_per_s;
        names.push("prompt_tokens_per_second");
    } else if let Some(speed) = figures.tokens_per_s.filter(|speed| *speed > 0.0) {
        assumed.prompt_tokens = 0.0;
        assumed.generated_tokens_per_second = speed;
    } else {
        return Vec::new();
    }
    assumed.generated_tokens = tokens;
    names
}

/// The page: assumptions, costs, break-even and savings.
///
/// # Errors
/// When a table is wrong, an assumption cannot be, or the test set was not evaluated.
pub fn page(context: &mut Context, asked: &Asked) -> Result<Page, ActionError> {
    let store = context.store()?;
    let mut assumed = assumptions(context)?;
    let (mut measured, mut endpoint) = (None, None);
    let (mut from_measure, mut notes): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    if asked.data.is_some() || asked.system.is_some() {
        let request = Request { data: asked.data.clone(), stored: true, ..Request::default() };
        let found = evaluation::evaluate(context, &request, &mut |_: Download| (), &mut |_| true)?;
        let systems = &found.report.systems;
        let own = match &asked.system {
            Some(name) => Some(systems.iter().find(|f| f.name == *name).ok_or_else(|| {
                let there: Vec<&str> = systems.iter().map(|f| f.name.as_str()).collect();
                ActionError::Refused(format!("no system {name:?} has answered; there is {}", there.join(", ")))
            })?),
            None => systems.iter().rev().find(|f| f.tuned).or(systems.iter().rev().find(|f| f.seconds.is_none())),
        };
        if let Some(own) = own {
            from_measure = measured_into(&mut assumed, own);
            measured = (!from_measure.is_empty()).then(|| own.name.clone());
            if measured.is_some() && own.speeds.is_none() {
                notes.push(format!(
                    "{} was measured by an older togi, which did not tell prompts and answers apart: its seconds an answer include \
                     the prompt, so no tokens of prompts are counted beside them",
                    own.name
                ));
            }
        }
        if let Some(other) = systems.iter().rev().find(|f| f.cost_per_1000.is_some()) {
            let cost = other.cost_per_1000.unwrap_or(0.0) / 1000.0;
            // The price of a request as it was billed, whatever it was made of.
            assumed.endpoint_prompt_tokens = 0.0;
            assumed.endpoint_generated_tokens = other.tokens.unwrap_or(1.0).max(1.0);
            assumed.endpoint_output_per_million = 1e6 * cost / assumed.endpoint_generated_tokens;
            endpoint = Some(other.name.clone());
            from_measure.extend(["endpoint_prompt_tokens", "endpoint_generated_tokens", "endpoint_output_per_million"]);
        }
    }
    let mut table = toml::Table::try_from(&assumed).unwrap_or_default();
    let (mut from_set, mut of_people) = (Vec::new(), toml::Table::new());
    for assignment in &asked.set {
        let (key, value) = assigned(assignment, "per_hour=0.8")?;
        // Every amount is a number that may have a fraction.
        let value = match value {
            toml::Value::Integer(n) => toml::Value::Float(n as f64),
            other => other,
        };
        let own = key.strip_prefix("people.").or_else(|| ONLY_PEOPLE.contains(&key.as_str()).then_some(key.as_str()));
        if let Some(key) = own {
            of_people.insert(key.to_owned(), value);
        } else {
            table.insert(key.clone(), value);
            from_set.push(key);
        }
    }
    let assumed: Assumptions =
        table.try_into().map_err(|error: toml::de::Error| ActionError::Asked(format!("--set: {}", error.message())))?;
    let costs = assumed.costs().map_err(|refusal| wrong(context, &refusal.to_string()))?;
    let written = context.project.cost();
    let from = |name: &str| {
        if from_set.iter().any(|key| key == name) {
            "--set"
        } else if from_measure.contains(&name) {
            "measured"
        } else if written.contains_key(name) {
            "togi.toml"
        } else {
            "default"
        }
    };
    let mut costs = costs;
    costs.notes.extend(notes);
    let (spoken, assumptions_of_people) = spoken(context, &of_people, &assumed.currency, &costs)?;
    let people = people(&store, &spoken)?;
    let word = |name: &'static str, value: &str| Word { name, value: value.to_owned(), from: from(name) };
    let paid = match assumed.paid {
        Paid::Hourly => "hourly",
        Paid::Bought => "bought",
    };
    Ok(Page {
        currency: assumed.currency.clone(),
        measured,
        endpoint,
        words: vec![word("currency", &assumed.currency), word("paid", paid)],
        assumptions: assumed.fields().into_iter().map(|field| Assumed { from: from(field.name), field }).collect(),
        costs,
        of_people: spoken,
        assumptions_of_people,
        people,
    })
}

/// What is assumed of people, with what was given for this once, and where each of it comes from.
fn spoken(
    context: &Context,
    given: &toml::Table,
    currency: &str,
    costs: &Costs,
) -> Result<(Times, Vec<AssumedOfPeople>), ActionError> {
    let written = context.project.cost().get(PEOPLE).and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let mut table = written.clone();
    table.extend(given.clone());
    let mut spoken: Times = table.clone().try_into().map_err(|error: toml::de::Error| {
        let why = format!("people: {}", error.message());
        if written.clone().try_into::<Times>().is_ok() {
            ActionError::Asked(format!("--set: {why}"))
        } else {
            wrong(context, &why)
        }
    })?;
    let from = |name: &str, otherwise: &'static str| {
        if given.contains_key(name) {
            "--set"
        } else if written.contains_key(name) {
            "togi.toml"
        } else {
            otherwise
        }
    };
    if !table.contains_key("cost_per_suggestion") {
        spoken.cost_per_suggestion = costs.own_per_request.unwrap_or(0.0);
    }
    if !table.contains_key("currency") {
        currency.clone_into(&mut spoken.currency);
    }
    let of = |name, value, unit, from| AssumedOfPeople { name, value, unit, from };
    let shown = vec![
        of("rate_per_hour", Some(spoken.rate_per_hour), "currency an hour", from("rate_per_hour", "default")),
        of("t_reply_s", Some(spoken.t_reply_s), "seconds unaided", from("t_reply_s", "default")),
        of(
            "cost_per_suggestion",
            Some(spoken.cost_per_suggestion),
            "currency a suggestion",
            from("cost_per_suggestion", "a request here"),
        ),
        of("fixed_cost", Some(spoken.fixed_cost), "currency", from("fixed_cost", "default")),
        of("messages_per_month", spoken.messages_per_month, "messages a month", from("messages_per_month", "not said")),
    ];
    Ok((spoken, shown))
}

/// What people did with the drafts of models: used as they were, edited, ignored; with the seconds they were at the record.
///
/// # Errors
/// When the database cannot be read.
pub fn judged(store: &Store) -> Result<Vec<Judgement>, ActionError> {
    let query = Query::parse("status:gold,rejected").map_err(StoreError::from)?;
    let mut judgements = Vec::new();
    for record in store.records(&query)? {
        let Content::Pair { draft: Some(draft), gold, .. } = &record.state.content else { continue };
        let kind = match (record.state.status, gold) {
            (Status::Rejected, _) => Kind::Ignore,
            (_, Some(gold)) if gold.trim() == draft.trim() => Kind::Accept,
            (_, Some(_)) => Kind::Edit,
            (_, None) => continue,
        };
        let history = store.history(record.id)?;
        let seconds: Vec<f64> =
            history.iter().filter(|revision| !revision.reverted).filter_map(|revision| revision.seconds).collect();
        // Nobody was timed where it was decided in bulk: it is counted, its time is not.
        let seconds = if seconds.is_empty() { -1.0 } else { seconds.iter().sum() };
        judgements.push(Judgement { kind, seconds });
    }
    Ok(judgements)
}

fn people(store: &Store, times: &Times) -> Result<Option<People>, ActionError> {
    let judgements = judged(store)?;
    if judgements.is_empty() {
        return Ok(None);
    }
    let refused = |refusal: crate::evaluate::encs::Refusal| ActionError::Refused(format!("[cost.people]: {refusal}"));
    let judged = Judged::of(&judgements, times, &Resampling::default()).map_err(refused)?;
    let savings = judged.assumptions.savings().ok();
    Ok(Some(People { judged, savings }))
}
