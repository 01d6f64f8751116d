//! The errors that hurt the project's customer: which answers have them before and after, what people said, and what to do next.

use super::super::context::{ActionError, Context, Download};
use super::score::is_unread;
use super::score::question;
use super::{Answers, Measured, Request, System, measure};
use crate::evaluate::errors::advice::{Lines, Systems};
use crate::evaluate::errors::matrix::Marked;
use crate::evaluate::errors::{Advice, Catalogue, Category, Correction};
use crate::store::Store;

pub use crate::evaluate::errors::Matrix;
pub use crate::evaluate::report::Errors;

/// The project's error categories, or the usual ones where it names none.
///
/// # Errors
/// When an `[[errors]]` table is wrong.
pub fn catalogue(context: &Context) -> Result<Catalogue, ActionError> {
    let file = context.project.settings_path();
    let wrong = |why: String| ActionError::Refused(format!("{}: {why}", file.display()));
    let read = |(at, table): (usize, &toml::Table)| -> Result<Category, ActionError> {
        let name =
            table.get("name").and_then(toml::Value::as_str).map_or_else(|| format!("number {}", at + 1), str::to_owned);
        table.clone().try_into().map_err(|error: toml::de::Error| {
            wrong(format!("[[errors]] {name}: {}", error.message().replace('\n', "; ")))
        })
    };
    let categories = context.project.errors().iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    Catalogue::new(categories).map_err(|error| wrong(error.to_string()))
}

/// The errors of the systems measured: from the plain base, or the first, to the last tuned one, or the last. None where fewer
/// than two were.
///
/// # Errors
/// When the categories are wrong or the database cannot be read.
pub(super) fn find(
    context: &Context,
    store: &Store,
    measured: &Measured,
    answers: &Answers,
) -> Result<Option<Errors>, ActionError> {
    let systems = &measured.systems;
    let plain =
        systems.iter().find(|(system, _)| !system.is_tuned() && system.endpoint.is_none() && !system.is_prompted());
    let (Some(before), Some(after)) =
        (plain.or(systems.first()), systems.iter().rev().find(|(system, _)| system.is_tuned()).or(systems.last()))
    else {
        return Ok(None);
    };
    if before.1 == after.1 {
        return Ok(None);
    }
    // Only the very model that was tuned says whether asking it better would do.
    let of = |system: &System| system.base.as_ref().map(|base| base.identity.clone());
    let prompted =
        systems.iter().rev().find(|(system, id)| system.is_prompted() && of(system) == of(&after.0) && *id != before.1);
    let catalogue = catalogue(context)?;
    let marked = |system| marked(&catalogue, store, measured, answers, system);
    let (old, new) = (marked(before)?, marked(after)?);
    let asked = prompted.map(marked).transpose()?;
    let matrix = Matrix::of(&catalogue, &old, &new);
    let advice = after.0.is_tuned().then(|| {
        let systems = Systems { base: &old, prompted: asked.as_ref(), tuned: &new };
        Advice::of(&catalogue, systems, &Lines::default())
    });
    Ok(Some(Errors {
        before: before.0.name.clone(),
        after: after.0.name.clone(),
        prompted: prompted.map(|(system, _)| system.name.clone()),
        matrix,
        advice,
    }))
}

/// The errors of one system's answers: what the rules say, and over that what people say, the last word last. Of a question that the
/// model never saw nothing is learnt: more text or more pairs would not make it shorter.
fn marked(
    catalogue: &Catalogue,
    store: &Store,
    measured: &Measured,
    answers: &Answers,
    (system, id): &(System, i64),
) -> Result<Marked, ActionError> {
    let said = store.marks(measured.test.id, *id)?;
    let mut marked = Marked::default();
    for generation in answers.get(id).into_iter().flatten().filter(|one| !is_unread(one)) {
        let Some(record) = measured.records.get(generation.place) else { continue };
        let corrections: Vec<Correction> = said
            .iter()
            .filter(|mark| mark.place == generation.place)
            .map(|mark| Correction {
                record: record.id.clone(),
                system: system.name.clone(),
                category: mark.category.clone(),
                present: mark.present,
            })
            .collect();
        let corrections: Vec<&Correction> = corrections.iter().collect();
        let marks =
            catalogue.mark_corrected(&generation.answer, &record.accepted(), &question(record).asks, &corrections);
        marked.add(record.id.clone(), &marks);
    }
    Ok(marked)
}

/// Keeps a person's mark: that the answer of a system to a row has the error, or has not.
///
/// # Errors
/// When there is no such row, system or category.
pub fn mark(
    context: &mut Context,
    request: &Request,
    (row, system, category): (&str, &str, &str),
    present: bool,
) -> Result<(), ActionError> {
    let mut store = context.store()?;
    let measured = measured(context, &mut store, request)?;
    let refused = |what: &str, name: &str, there: Vec<String>| {
        ActionError::Refused(format!("there is no {what} {name:?}; there is {}", there.join(", ")))
    };
    let place = measured.records.iter().position(|record| record.id == row);
    let place = place.ok_or_else(|| {
        let there = measured.records.iter().take(5).map(|record| record.id.clone()).collect();
        refused("row", row, there)
    })?;
    let found = measured.systems.iter().find(|(one, _)| one.name == system);
    let (_, id) = found.ok_or_else(|| {
        refused("system", system, measured.systems.iter().map(|(system, _)| system.name.clone()).collect())
    })?;
    let catalogue = catalogue(context)?;
    if !catalogue.categories().any(|one| one.name == category) {
        let there = catalogue.categories().map(|one| one.name.clone()).collect();
        return Err(refused("error category", category, there));
    }
    Ok(store.mark_error(measured.test.id, *id, place, category, present)?)
}

/// The errors of what is stored of a test set; nobody is asked.
///
/// # Errors
/// When nothing is stored, fewer than two systems have answered, or the categories are wrong.
pub fn errors(context: &mut Context, request: &Request) -> Result<Errors, ActionError> {
    let mut store = context.store()?;
    let measured = measured(context, &mut store, request)?;
    let answers = measured.answers(&store)?;
    find(context, &store, &measured, &answers)?.ok_or_else(|| {
        ActionError::Refused(
            "only one system has answered; togi eval --run RUN asks the base and the tuned model".into(),
        )
    })
}

fn measured(context: &mut Context, store: &mut Store, request: &Request) -> Result<Measured, ActionError> {
    let request = Request { stored: true, ..request.clone() };
    let mut tell = |_: Download| ();
    measure(context, store, &request, &mut tell, &mut |_| true)
}
