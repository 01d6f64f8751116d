//! What is wrong with the records.

use std::collections::HashMap;

use serde::Serialize;

use super::import::How;
use super::{Act, Cause, Query, State, Store};
use crate::actions::context::{ActionError, Context};
use crate::data::import::{self, ImportError, Item, Options};
use crate::data::lint::{self, CHECKS, Index, Measure, Rendering, Settings, Span};
use crate::model::weights::hub;
use crate::project::ModelRef;
use crate::prompt::template::Template;
use crate::store::{Flag, Record};
use crate::worker::model::Opened;

/// What is to be looked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Names of checks; all where there are none.
    pub only: Vec<String>,
}

/// A finding as it is printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The record; `None` for what is said of all of them.
    pub record: Option<i64>,
    /// The row's own id, if it had one.
    pub source_id: Option<String>,
    /// The check.
    pub check: &'static str,
    /// `info`, `warning` or `error`.
    pub severity: &'static str,
    /// Field and byte offsets, if it is at one place.
    pub span: Option<Span>,
    /// In words.
    pub reason: String,
    /// The records it was compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<i64>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Linted {
    /// In the order of the records.
    pub findings: Vec<Finding>,
    /// Records that were looked at.
    pub records: usize,
    /// What could not be looked for.
    pub notes: Vec<String>,
}

/// A check, for a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// Why it is there.
    pub why: &'static str,
    /// Whether it can mend what it finds.
    pub fixes: bool,
}

/// All checks.
#[must_use]
pub fn checks() -> Vec<Listed> {
    CHECKS.iter().map(|check| Listed { name: check.name(), why: check.why(), fixes: check.fixes() }).collect()
}

/// Looks at all records and keeps what was found for `flag:` queries.
///
/// # Errors
/// When a check has no such name, the records cannot be read or the prompt template does not parse.
pub fn lint(context: &mut Context, store: &mut Store, request: &Request) -> Result<Linted, ActionError> {
    for name in &request.only {
        named(name)?;
    }
    let wanted = |name: &str| request.only.is_empty() || request.only.iter().any(|only| only == name);
    let Looked { records, found, missing } = look(context, store, wanted)?;
    if request.only.is_empty() {
        store.set_flags(&found.iter().map(flag).collect::<Vec<_>>())?;
    }
    let own: HashMap<i64, String> =
        records.iter().filter_map(|r| Some((r.id, r.source.as_ref()?.id.clone()?))).collect();
    let unanswered = if wanted(EMPTY) { unanswered(store)? } else { Vec::new() };
    let findings = found
        .into_iter()
        .map(|found| Finding {
            record: found.record,
            source_id: found.record.and_then(|record| own.get(&record).cloned()),
            check: found.check,
            severity: found.severity.word(),
            span: found.span,
            reason: found.reason,
            others: found.others,
        })
        .chain(unanswered)
        .collect();
    Ok(Linted { findings, records: records.len(), notes: missing.into_iter().collect() })
}

/// All records and what some of the checks find in them.
struct Looked {
    records: Vec<Record>,
    found: Vec<lint::Finding>,
    /// Why lengths in tokens were not looked at, where they were not.
    missing: Option<String>,
}

fn look(context: &mut Context, store: &Store, wanted: impl Fn(&str) -> bool) -> Result<Looked, ActionError> {
    let records = store.records(&Query::default())?;
    let model = Model::of(context);
    let mut settings = settings(context, model.window)?;
    settings.off = CHECKS.iter().map(|check| check.name()).filter(|name| !wanted(name)).map(str::to_owned).collect();
    let measure = model.opened.as_ref().map(|opened| Rendering::new(&opened.renderer));
    let found = lint::lint(&records, &settings, measure.as_ref().map(|measure| measure as &dyn Measure));
    Ok(Looked { records, found, missing: model.missing })
}

/// Everything that is known of the records, kept so that one of them can be looked at again while somebody writes in it.
pub struct Standing {
    index: Index,
    model: Model,
}

impl Standing {
    /// Reads all records.
    ///
    /// # Errors
    /// When they cannot be read or the prompt template does not parse.
    pub fn new(context: &mut Context, store: &Store) -> Result<Self, ActionError> {
        let records = store.records(&Query::default())?;
        let model = Model::of(context);
        let settings = settings(context, model.window)?;
        Ok(Self { index: Index::new(&records, &settings), model })
    }

    /// What is found in a record as it stands in an editor.
    #[must_use]
    pub fn look(&self, record: &Record) -> Vec<lint::Finding> {
        let measure = self.model.opened.as_ref().map(|opened| Rendering::new(&opened.renderer));
        lint::relint(&self.index, record, measure.as_ref().map(|measure| measure as &dyn Measure))
    }
}

/// The check that is told of rows which no import takes.
const EMPTY: &str = "empty";

/// Rows that wait in quarantine for nothing but an answer. They are no records yet, and still somebody has to write what is
/// missing.
fn unanswered(store: &Store) -> Result<Vec<Finding>, ActionError> {
    let mut found = Vec::new();
    for refused in store.quarantine()? {
        let options = Options { answers: Some(false), ..How::of(&refused).options };
        let mut row = None;
        let read = import::read_bytes(&refused.file, refused.raw.as_bytes(), &options, &mut |item| {
            if let Item::Row(one) = item {
                row = Some(one);
            }
            Ok::<(), ImportError>(())
        });
        if let (Ok(_), Some(row)) = (read, row)
            && row.content.answer().is_none_or(|answer| answer.trim().is_empty())
        {
            found.push(Finding {
                record: None,
                source_id: row.id,
                check: EMPTY,
                severity: lint::Severity::Error.word(),
                span: None,
                reason: format!(
                    "{}, line {}: {}; it waits in quarantine as row {}",
                    refused.file, refused.line, refused.reason, refused.id
                ),
                others: Vec::new(),
            });
        }
    }
    Ok(found)
}

/// What a fix changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fixed {
    /// Records with their text before and after.
    pub changes: Vec<(i64, String, String)>,
    /// Findings of the check that take a person.
    pub left: usize,
}

/// Applies a check's fix to all records it finds something in, in one act.
///
/// # Errors
/// When there is no such check, or it has no fix.
pub fn fix(context: &mut Context, store: &mut Store, check: &str, dry: bool) -> Result<Fixed, ActionError> {
    let name = named(check)?;
    let check = lint::named(name).filter(|check| check.fixes()).ok_or_else(|| {
        let can: Vec<&str> = CHECKS.iter().filter(|check| check.fixes()).map(|check| check.name()).collect();
        ActionError::Asked(format!("{name} takes a person; fixes are there for {}", can.join(", ")))
    })?;
    let Looked { records, found, .. } = look(context, store, |other| other == name)?;
    let by: HashMap<i64, &Record> = records.iter().map(|record| (record.id, record)).collect();
    let mut after: HashMap<i64, State> = HashMap::new();
    let mut fixed = Fixed::default();
    // From the end of each text, so that an earlier finding's place stays where it is.
    for finding in found.iter().rev() {
        let Some(record) = finding.record.and_then(|id| by.get(&id)) else { continue };
        let state = after.get(&record.id).unwrap_or(&record.state);
        match check.fix(state, finding) {
            Some(state) => drop(after.insert(record.id, state)),
            None => fixed.left += 1,
        }
    }
    let mut ids: Vec<i64> = after.keys().copied().collect();
    ids.sort_unstable();
    for id in &ids {
        let (Some(before), Some(after)) = (by.get(id), after.get(id)) else { continue };
        let (before, after) = differing(&before.state, after);
        fixed.changes.push((*id, before, after));
    }
    if !dry {
        let seen: HashMap<i64, &State> = by.iter().map(|(id, record)| (*id, &record.state)).collect();
        store.change(&Act::new(Cause::Fix, name), &ids, |id, state| {
            // Somebody may have changed it while the checks ran.
            after.get(&id).filter(|_| seen.get(&id) == Some(&state)).cloned()
        })?;
    }
    Ok(fixed)
}

/// The first text that differs.
fn differing(before: &State, after: &State) -> (String, String) {
    let texts = |state: &State| -> Vec<String> {
        crate::data::view::parts(&state.content, None).into_iter().map(|part| part.text.into_owned()).collect()
    };
    texts(before).into_iter().zip(texts(after)).find(|(before, after)| before != after).unwrap_or_default()
}

fn named(name: &str) -> Result<&'static str, ActionError> {
    lint::named(name).map(lint::Check::name).ok_or_else(|| {
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name()).collect();
        let hint = match crate::config::nearest(name, &names) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", names.join(", ")),
        };
        ActionError::Asked(format!("there is no check {name}; {hint}"))
    })
}

fn flag(found: &lint::Finding) -> Flag {
    let detail = serde_json::json!({ "span": found.span, "others": found.others });
    Flag {
        record: found.record,
        name: found.check.to_owned(),
        severity: found.severity.word().to_owned(),
        reason: found.reason.clone(),
        detail: detail.to_string(),
    }
}

fn settings(context: &Context, window: Option<usize>) -> Result<Settings, ActionError> {
    let prompt = context.prompt()?;
    let fields = match prompt.template.as_deref() {
        Some(source) => Some(Template::fields(source).map_err(|e| ActionError::Refused(e.to_string()))?.variables()),
        None => None,
    };
    Ok(Settings { max_length: window, prompt_fields: fields, ..Settings::default() })
}

/// The project's tokenizer, where its model is on this machine. A lint never downloads one.
struct Model {
    opened: Option<Opened>,
    window: Option<usize>,
    missing: Option<String>,
}

impl Model {
    fn of(context: &mut Context) -> Self {
        let without = |why: String| Self {
            opened: None,
            window: None,
            missing: Some(format!("{why}; lengths in tokens and the model's own tokens are not looked at")),
        };
        if let Some(ModelRef::Hub { id, revision }) = context.project.model()
            && !hub::is_here(id, revision.as_deref())
        {
            return without(format!("the model {id} has not been fetched yet"));
        }
        let set = context.settings(&[]).map_or(0, |settings| settings.max_length);
        match context.open(&mut |_| {}) {
            Ok((opened, ..)) => {
                let context = opened.source.description().context;
                let window = if set > 0 { set.min(context) } else { context.min(crate::worker::training::LONGEST) };
                Self { opened: Some(opened), window: Some(window), missing: None }
            }
            Err(error) => without(error.to_string()),
        }
    }
}
