//! The errors that hurt the project's customer: which answers have them before and after, what people said, and what to do next.

use std::collections::{BTreeMap, BTreeSet};

use super::super::context::{ActionError, Context, Download};
use super::score::is_unread;
use super::score::question;
use super::{Answers, Measured, Request, System, measure};
use crate::evaluate::agreement::Agreement;
use crate::evaluate::errors::advice::{Lines, Systems};
use crate::evaluate::errors::matrix::Marked;
use crate::evaluate::errors::{Advice, Catalogue, Category, Correction};
use crate::prompt::Record;
use crate::store::{Mark, Store};

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
    let said = said(store, measured)?;
    let marked = |(_, id): &(System, i64)| marked(&catalogue, measured, answers, &said, *id);
    let (old, new) = (marked(before), marked(after));
    let asked = prompted.map(marked);
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
        agreement: agreement(&catalogue, measured, answers, &said),
        advice,
    }))
}

/// The errors of one system's answers: what the rules say, and over that what people say, the last word last. Of a question that the
/// model never saw nothing is learnt: more text or more pairs would not make it shorter.
fn marked(catalogue: &Catalogue, measured: &Measured, answers: &Answers, said: &Said, id: i64) -> Marked {
    let mut marked = Marked::default();
    for generation in answers.get(&id).into_iter().flatten().filter(|one| !is_unread(one)) {
        let Some(record) = measured.records.get(generation.place) else { continue };
        let said = said.get(&(id, generation.place)).map_or(&[][..], Vec::as_slice);
        marked.add(record.id.clone(), &found(catalogue, record, &generation.answer, said.iter()));
    }
    marked
}

/// What people said about each answer, by system and row, the oldest first.
type Said = BTreeMap<(i64, usize), Vec<Mark>>;

fn said(store: &Store, measured: &Measured) -> Result<Said, ActionError> {
    let mut said = Said::new();
    for (_, id) in &measured.systems {
        for mark in store.marks(measured.test.id, *id)? {
            said.entry((*id, mark.place)).or_default().push(mark);
        }
    }
    Ok(said)
}

/// The errors of an answer by the rules and by what of it was `said`.
pub(super) fn found<'m>(
    catalogue: &Catalogue,
    record: &Record,
    answer: &str,
    said: impl Iterator<Item = &'m Mark>,
) -> Vec<crate::evaluate::errors::Mark> {
    let correction = |mark: &Mark| Correction {
        record: record.id.clone(),
        system: String::new(),
        category: mark.category.clone(),
        present: mark.present,
    };
    let corrections: Vec<Correction> = said.map(correction).collect();
    let corrections: Vec<&Correction> = corrections.iter().collect();
    catalogue.mark_corrected(answer, &record.accepted(), &question(record).asks, &corrections)
}

/// How far people agree who marked the same answers. Each is taken to leave to the rules what they do not speak of; compared is every
/// error of the answer that one of them spoke of.
fn agreement(catalogue: &Catalogue, measured: &Measured, answers: &Answers, said: &Said) -> Option<Agreement> {
    let mut items: Vec<BTreeMap<&str, u32>> = Vec::new();
    for ((id, place), marks) in said {
        let people: BTreeSet<&str> = marks.iter().map(|mark| mark.author.as_str()).collect();
        let answer = answers.get(id).and_then(|all| all.iter().find(|one| one.place == *place && !is_unread(one)));
        let (Some(answer), Some(record), true) = (answer, measured.records.get(*place), people.len() > 1) else {
            continue;
        };
        let of = |person: &&'_ str| {
            let own = marks.iter().filter(|mark| mark.author == *person);
            found(catalogue, record, &answer.answer, own).into_iter().map(|mark| mark.category).collect()
        };
        let by_person: Vec<(&str, BTreeSet<String>)> = people.iter().map(|person| (*person, of(person))).collect();
        let spoken: BTreeSet<&str> = marks.iter().map(|mark| mark.category.as_str()).collect();
        let known = catalogue.categories().map(|category| category.name.as_str());
        items.extend(known.filter(|name| spoken.contains(name)).map(|name| {
            by_person.iter().map(|(person, errors)| (*person, u32::from(errors.contains(name)))).collect()
        }));
    }
    Agreement::of(items)
}

/// Keeps a person's mark: that the answer of a system to a row has the error, or has not; or takes the mark away.
///
/// # Errors
/// When there is no such row, system or category.
pub fn mark(
    context: &mut Context,
    request: &Request,
    (row, system, category): (&str, &str, &str),
    present: Option<bool>,
) -> Result<(), ActionError> {
    let mut store = context.store()?;
    let measured = measured(context, &mut store, request)?;
    let place = place(&measured, row)?;
    let found = measured.systems.iter().find(|(one, _)| one.name == system);
    let (_, id) = found.ok_or_else(|| {
        let there: Vec<&str> = measured.systems.iter().map(|(system, _)| system.name.as_str()).collect();
        ActionError::Refused(format!("there is no system {system:?}; there is {}", there.join(", ")))
    })?;
    let at = super::browse::At { test: measured.test.id, system: *id, place };
    super::browse::say(context, &mut store, at, category, present).map(drop)
}

/// Takes the person's newest mark on a test set back; returns the row's name, the system's and the word that it was.
///
/// # Errors
/// When nothing is stored, or this person has marked nothing.
pub fn unmark(
    context: &mut Context,
    request: &Request,
) -> Result<(String, String, super::browse::TakenBack), ActionError> {
    let mut store = context.store()?;
    let measured = measured(context, &mut store, request)?;
    let none = || ActionError::Refused("there is no mark of yours to take back".into());
    let back = super::browse::take_back(&mut store, measured.test.id)?.ok_or_else(none)?;
    let row = measured.records.get(back.at.place).map_or_else(String::new, |record| record.id.clone());
    let system = measured.systems.iter().find(|(_, id)| *id == back.at.system);
    let system = system.map_or_else(|| format!("system {}", back.at.system), |(system, _)| system.name.clone());
    Ok((row, system, back))
}

/// A row of a test set with what the systems answered to it and the errors of that.
///
/// # Errors
/// When there is no such row, or nothing is stored.
pub fn row(context: &mut Context, request: &Request, row: &str) -> Result<super::browse::Shown, ActionError> {
    let mut store = context.store()?;
    let measured = measured(context, &mut store, request)?;
    let place = place(&measured, row)?;
    let systems: Vec<i64> = measured.systems.iter().map(|(_, id)| *id).collect();
    super::browse::row(context, &store, measured.test.id, place, &systems)
}

/// Where a row stands.
fn place(measured: &Measured, row: &str) -> Result<usize, ActionError> {
    let found = measured.records.iter().position(|record| record.id == row);
    found.ok_or_else(|| {
        let there: Vec<String> = measured.records.iter().take(5).map(|record| record.id.clone()).collect();
        ActionError::Refused(format!("there is no row {row:?}; there is {}", there.join(", ")))
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Generation, TestSet};

    #[test]
    fn agreement_is_told_where_two_people_marked_the_same_answers() {
        let record = |at: usize| {
            let row = serde_json::json!({ "id": format!("r{at}"), "prompt": "when?", "completion": "It opens at 9." });
            Record::from_json(&row, at).unwrap()
        };
        let answer = |place: usize| Generation { place, answer: "It opens at 10.".into(), ..Generation::default() };
        let measured = Measured {
            test: TestSet { id: 1, name: String::new(), hash: String::new(), rows: 6, at: 0 },
            records: (0..6).map(record).collect(),
            systems: Vec::new(),
            notes: Vec::new(),
        };
        let answers = Answers::from([(7, (0..6).map(answer).collect())]);
        let mark = |place: usize, author: &str, category: &str, present: bool| {
            let mark = Mark { place, category: category.into(), present, author: author.into() };
            ((7, place), mark)
        };
        let told = |marks: Vec<((i64, usize), Mark)>| {
            let mut said = Said::new();
            for (at, mark) in marks {
                said.entry(at).or_default().push(mark);
            }
            agreement(&Catalogue::new(Vec::new()).unwrap(), &measured, &answers, &said)
        };
        assert_eq!(told(vec![mark(0, "mika", "wrong-fact", true), mark(1, "jun", "wrong-fact", true)]), None);
        // Each of six answers by both, the same word on all but one.
        let both = |place: usize| {
            let one = if place < 3 { "wrong-fact" } else { "off-task" };
            let other = if place == 5 { "wrong-fact" } else { one };
            [mark(place, "mika", one, true), mark(place, "jun", other, true)]
        };
        let found = told((0..6).flat_map(both).collect()).unwrap();
        assert_eq!(
            (found.people.join(","), found.items),
            ("jun,mika".into(), 7),
            "two errors of the last row are compared"
        );
        assert!(found.lines().iter().any(|line| line.contains("all labels are the same") || line.contains("alpha")));
        // Who says that an error is none disagrees with who leaves it to a rule that finds it.
        let found = told(vec![
            mark(0, "mika", "wrong", false),
            mark(0, "jun", "off-task", false),
            mark(1, "mika", "off-task", true),
            mark(1, "jun", "off-task", true),
        ])
        .unwrap();
        assert_eq!(found.items, 3);
        assert!(found.alpha.is_some_and(|alpha| alpha.value < 0.6), "{found:?}");
    }
}
