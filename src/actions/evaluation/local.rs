//! Models on this machine as systems: each base is loaded once, and its systems answer one after another.

use std::time::Instant;

use super::super::context::{ActionError, Context};
use super::super::generate::word;
use super::bases::Bases;
use super::examples::Pool;
use super::system::System;
use super::{Measured, Progress, Stage, Turn, missing};
use crate::model::decoder::Decoder;
use crate::model::device::infer::OnDevice;
use crate::model::generate::Stop;
use crate::prompt::{Mode, Prompt, Record};
use crate::store::{Generation, RowLikelihood, Store, Work};
use crate::worker::answers::{Answering, Limits};
use crate::worker::model::{Opened, read_adapter};
use crate::worker::scoring;

/// Seconds of work that a kill may lose.
const KEEP_AFTER: f64 = 2.0;
/// Longest window of a raw text, in tokens.
const WINDOW: usize = 1024;

/// Has every system on this machine answer what it has not, and find the likelihoods that are not there.
///
/// # Errors
/// When a model cannot be read or is another one than a run was trained on, or `see` stops it.
pub(super) fn answer(
    context: &Context,
    store: &mut Store,
    measured: &Measured,
    bases: &mut Bases,
    see: &mut dyn FnMut(Progress<'_>) -> bool,
) -> Result<(), ActionError> {
    let mut loaded: Option<(String, Decoder, Option<OnDevice>)> = None;
    let test = measured.test.id;
    let local = |system: &System| system.base.as_ref().map(|base| (base.path.clone(), base.identity.clone()));
    // Systems of one base stand together, so that no model is loaded twice.
    let mut order: Vec<&(System, i64)> =
        measured.systems.iter().filter(|(system, _)| local(system).is_some()).collect();
    let first = |system: &System| measured.systems.iter().position(|(other, _)| local(other) == local(system));
    order.sort_by_key(|(system, _)| first(system));
    for (system, id) in order {
        let Some((path, identity)) = local(system) else { continue };
        let asked = missing(store, measured, *id)?;
        let known: std::collections::HashSet<usize> =
            store.likelihoods(test, *id)?.iter().map(|row| row.place).collect();
        let unknown: Vec<(usize, &Record)> =
            measured.records.iter().enumerate().filter(|(place, _)| !known.contains(place)).collect();
        if asked.is_empty() && unknown.is_empty() {
            continue;
        }
        let opened = bases.open(&path, system.prompt.clone())?;
        if opened.source.identity() != identity {
            return Err(ActionError::Refused(format!(
                "{}: {path} is another model now than the one it belongs to ({} is there, {identity} is needed)",
                system.name,
                opened.source.identity()
            )));
        }
        let (decoder, on) = match loaded.take() {
            Some((of, decoder, on)) if of == identity => (decoder, on),
            // The old weights go before the new ones come.
            other => {
                drop(other);
                let decoder = opened.load()?;
                let on = context.on_device(&decoder)?;
                (decoder, on)
            }
        };
        let adapter = system.folder.as_deref().map(|folder| read_adapter(folder, &decoder)).transpose()?;
        let rows = measured.records.len();
        let mut turn = Turn { system: &system.name, stage: Stage::Answers, before: rows - asked.len(), rows, see };
        let answering = Answering { opened: &opened, decoder: &decoder, on: on.as_ref() };
        let work = Task { answering, adapter: adapter.as_ref(), system, of: (test, *id) };
        if !asked.is_empty() {
            work.answers(store, &asked, &mut turn)?;
        }
        if !unknown.is_empty() {
            turn = Turn { stage: Stage::Likelihood, before: rows - unknown.len(), ..turn };
            work.likelihoods(store, &unknown, &mut turn)?;
        }
        loaded = Some((identity, decoder, on));
        bases.keep(opened);
    }
    Ok(())
}

/// One system at work.
struct Task<'a> {
    answering: Answering<'a>,
    adapter: Option<&'a crate::worker::Adapter>,
    system: &'a System,
    /// The test set and the system in the database.
    of: (i64, i64),
}

impl Task<'_> {
    fn answers(&self, store: &mut Store, asked: &[(usize, &Record)], turn: &mut Turn<'_>) -> Result<(), ActionError> {
        let records: Vec<Record> = asked.iter().map(|(_, record)| (*record).clone()).collect();
        let writing = &self.system.writing;
        let limits = Limits { max_tokens: writing.max_tokens, sampling: writing.sampling.clone(), ..Limits::default() };
        let mut waiting: Vec<Generation> = Vec::new();
        let (mut since, mut done) = (Instant::now(), 0);
        let (mut failed, mut stopped) = (None, !turn.done(0));
        let mut keep = |waiting: &mut Vec<Generation>, since: &mut Instant| {
            let sum = |of: fn(&Generation) -> Option<usize>| waiting.iter().filter_map(of).sum();
            let work = Work {
                seconds: since.elapsed().as_secs_f64(),
                rows: waiting.len(),
                prompt_tokens: sum(|g| g.prompt_tokens),
                tokens: sum(|g| g.tokens),
                ..Work::default()
            };
            store.keep_generations(self.of.0, self.of.1, waiting, Some(work))?;
            waiting.clear();
            *since = Instant::now();
            Ok::<(), ActionError>(())
        };
        if !stopped {
            self.answering.each_that_fits(&records, self.adapter, &limits, &mut |told| {
                let answer = told.answer;
                let (Some((place, _)), false) = (asked.get(told.place), answer.stop == Stop::Cancelled) else {
                    return false;
                };
                waiting.push(Generation {
                    place: *place,
                    answer: answer.text.trim().to_owned(),
                    stop: word(&answer.stop).to_owned(),
                    prompt_tokens: Some(told.prompt_tokens),
                    tokens: Some(answer.tokens.len()),
                    prompt_seconds: told.spent.map(|spent| spent.prompt),
                    answer_seconds: told.spent.map(|spent| spent.answer),
                    ..Generation::default()
                });
                done += 1;
                if since.elapsed().as_secs_f64() > KEEP_AFTER
                    && let Err(error) = keep(&mut waiting, &mut since)
                {
                    failed = Some(error);
                    return false;
                }
                stopped = !turn.done(done);
                !stopped
            })?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !waiting.is_empty() {
            keep(&mut waiting, &mut since)?;
        }
        if stopped { Err(turn.stopped()) } else { Ok(()) }
    }

    fn likelihoods(
        &self,
        store: &mut Store,
        unknown: &[(usize, &Record)],
        turn: &mut Turn<'_>,
    ) -> Result<(), ActionError> {
        let records: Vec<Record> = unknown.iter().map(|(_, record)| (*record).clone()).collect();
        let window = WINDOW.min(self.answering.opened.source.description().context);
        let (mut failed, mut stopped, mut done) = (None, false, 0);
        scoring::likelihoods(&self.answering, self.adapter, &records, window, &mut |found| {
            let rows: Vec<RowLikelihood> = found
                .iter()
                .filter_map(|(at, found)| {
                    let (place, _) = *unknown.get(*at)?;
                    Some(RowLikelihood { place, nats: found.nats, tokens: found.tokens, bytes: found.bytes })
                })
                .collect();
            if let Err(error) = store.keep_likelihoods(self.of.0, self.of.1, &rows) {
                failed = Some(error);
                return false;
            }
            done += rows.len();
            stopped = !turn.done(done);
            !stopped
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if stopped { Err(turn.stopped()) } else { Ok(()) }
    }
}

/// The base with up to `count` examples, as many as the model's context takes beside the longest question and its answer, those
/// left aside that it does not take even alone; none where not even one fits or there is none.
///
/// # Errors
/// When the model or a record cannot be read.
pub(super) fn fitting(
    bases: &mut Bases,
    base: &System,
    pool: &Pool,
    count: usize,
    records: &[Record],
) -> Result<Option<System>, ActionError> {
    let Some(model) = base.base.as_ref().filter(|_| !pool.is_empty()) else { return Ok(None) };
    let mut opened = bases.open(&model.path, base.prompt.clone())?;
    let context = opened.source.description().context;
    let fits = |opened: &Opened, record: &Record| {
        let rendered = opened.renderer.render(record, Mode::Generate);
        rendered.is_ok_and(|rendered| rendered.tokens.len() + base.writing.max_tokens <= context)
    };
    let alone: Vec<&Record> = records.iter().filter(|record| fits(&opened, record)).collect();
    let mut examples = if alone.is_empty() { Vec::new() } else { pool.draw(count) };
    let mut found = None;
    while !examples.is_empty() {
        let prompt = Prompt { examples: examples.clone(), ..base.prompt.clone() };
        opened.ask_by(prompt.clone())?;
        if alone.iter().all(|record| fits(&opened, record)) {
            let plural = if examples.len() == 1 { "example" } else { "examples" };
            let name = format!("{} + {} {plural}", base.name, examples.len());
            found = Some(System { name, prompt, prompted: true, ..base.clone() });
            break;
        }
        examples.truncate(examples.len() / 2);
    }
    bases.keep(opened);
    Ok(found)
}
