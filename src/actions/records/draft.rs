//! Drafts by a model: what it would answer, for people to correct.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Act, Cause, Content, Outcome, State, Status, Store};
use crate::actions::adapters::Choice;
use crate::actions::context::{ActionError, Context};
use crate::actions::generate::Limits;
use crate::data::view::rendered;
use crate::model::generate::Stop;
use crate::model::weights::hub;
use crate::prompt::Kind;
use crate::worker::answers::Answering;
use crate::worker::model::read_adapter;

/// Records that are answered and saved together: what is done stays done when the rest is stopped.
const BATCH: usize = 64;

/// Lets a model write drafts for records that wait: pairs without a gold answer, in the inbox or drafts. `see` learns how many
/// of how many are done and may stop it by returning false. Each batch is one act. A record whose question is longer than the model's
/// context gets no draft and is among the refused; the others are drafted.
///
/// # Errors
/// When model, adapter or prompt cannot be read, or the database cannot be written; what was saved stays.
pub fn draft(
    context: &mut Context,
    store: &mut Store,
    ids: &[i64],
    choice: &Choice,
    limits: &Limits,
    tell: &mut dyn FnMut(hub::Progress),
    see: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Outcome, ActionError> {
    let mut outcome = Outcome::default();
    let mut wanted = Vec::new();
    for &id in ids {
        let record = store.get(id)?;
        match takes_draft(&record.state) {
            Ok(()) => wanted.push(record),
            Err(why) => outcome.refused.push((id, why.to_owned())),
        }
    }
    if wanted.is_empty() {
        return Ok(outcome);
    }
    let chosen = choice.find(context)?;
    let opened = chosen.open(context, tell)?;
    let decoder = opened.load()?;
    let adapter = chosen.folder.as_deref().map(|folder| read_adapter(folder, &decoder)).transpose()?;
    let on = context.on_device(&decoder)?;
    let answering = Answering { opened: &opened, decoder: &decoder, on: on.as_ref() };
    let context_length = decoder.description.context;
    let note = choice.run.as_ref().map_or_else(|| "by the base model".to_owned(), |run| format!("by run {run}"));
    let (mut done, all) = (0, wanted.len());
    for batch in wanted.chunks(BATCH) {
        let asked: Vec<_> = batch
            .iter()
            .map(|record| {
                let mut asked = rendered(record);
                if let Kind::Pair { answer, .. } = &mut asked.kind {
                    *answer = None;
                }
                asked
            })
            .collect();
        let (mut goes_on, mut count) = (true, 0);
        let mut written: HashMap<i64, String> = HashMap::new();
        answering.each_that_fits(&asked, adapter.as_ref(), limits, &mut |told| {
            let Some(record) = batch.get(told.place) else { return true };
            let (answer, tokens) = (told.answer, told.prompt_tokens);
            // What could not even be read has no draft; one that came to the context's end on the way has what there was room for.
            if answer.stop == Stop::Context && answer.tokens.is_empty() {
                let why =
                    format!("its question has {tokens} tokens, more than the model's context of {context_length}");
                outcome.refused.push((record.id, why));
            } else if answer.stop != Stop::Cancelled {
                written.insert(record.id, answer.text.trim().to_owned());
            }
            count += 1;
            goes_on = see(done + count, all);
            goes_on
        })?;
        if !goes_on {
            break;
        }
        let ids: Vec<i64> = batch.iter().map(|record| record.id).filter(|id| written.contains_key(id)).collect();
        let act = store.change(&Act::new(Cause::Draft, note.clone()), &ids, |id, state| {
            // Somebody may have written an answer meanwhile.
            takes_draft(state).ok().and_then(|()| Some(with_draft(state, written.get(&id)?)))
        })?;
        outcome.done.act = act.act.or(outcome.done.act);
        outcome.done.changed.extend(act.changed);
        done += batch.len();
    }
    Ok(outcome)
}

/// Whether a draft could be written into a record; otherwise why not.
fn takes_draft(state: &State) -> Result<(), &'static str> {
    match (&state.content, state.status) {
        (_, Status::Gold | Status::Rejected) => Err("it has been decided on"),
        (Content::Pair { gold: Some(_), .. }, _) => Err("somebody has begun to write its answer"),
        (Content::Pair { .. }, _) => Ok(()),
        _ => Err("only pairs take drafts"),
    }
}

fn with_draft(state: &State, text: &str) -> State {
    let mut after = state.clone();
    if let Content::Pair { draft, .. } = &mut after.content {
        *draft = Some(text.to_owned());
    }
    after
}

/// Starts `togi draft` in a process and a session of its own, so that it outlives the terminal; its words come over its standard
/// error as long as somebody listens.
///
/// # Errors
/// When it cannot be started.
pub fn start(root: &Path, ids: &[i64], run: Option<&str>) -> Result<Child, ActionError> {
    let togi = std::env::current_exe().map_err(|cause| ActionError::File {
        action: "find the program",
        path: "togi".into(),
        cause,
    })?;
    let mut command = Command::new(&togi);
    command.arg("draft").arg("--detached").arg("--project").arg(root);
    if let Some(run) = run {
        command.args(["--run", run]);
    }
    command.arg("--").args(ids.iter().map(ToString::to_string));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|cause| ActionError::File { action: "start", path: togi, cause })
}
