//! The workbench's companions: processes that hold what the workbench must not, a tokenizer and all records in one, weights in the
//! other. Each is `togi worker --companion` in the project's folder, answers requests as lines of JSON on its standard input
//! by lines on its standard output, and ends with the workbench that started it, or when nothing was asked for ten minutes.
//!
//! ```text
//! {"number":7,"wish":{"relint":{"record":12,"state":{…}}}}
//! {"number":7,"granted":{"found":[…]}}
//! ```
//!
//! One request is carried out at a time. What a newer request makes useless is not begun, or stopped at its next token: a text
//! that was written on, another prompt.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::adapters::Choice;
use super::answer::{self, Answerer};
use super::context::{ActionError, Context};
use super::generate::{Limits, Sampling};
use super::records::{self, lint};
use super::render;
use crate::companion::{Cell, Found, Granted, How, Question, Reply, Request, System, Wish};
use crate::data::lint::Finding;
use crate::store::{Record, State, Store};
use crate::text;
use crate::worker::model::Kept;

/// Similar records that are told.
const NEAR: usize = 20;
/// How long a companion waits for a next request.
const IDLE: Duration = Duration::from_mins(10);

/// What a newer request of the same kind makes useless: relints, renderings and answers. The last kind is always carried out.
fn kind(wish: &Wish) -> usize {
    match wish {
        Wish::Relint { .. } => 0,
        Wish::Render { .. } => 1,
        Wish::Answer { .. } | Wish::Stop => 2,
        Wish::Lint | Wish::Near(_) => 3,
    }
}

/// The newest request of each kind; older ones are not worth going on with.
type Newest = Arc<[AtomicU64; 4]>;

/// Answers requests until there are no more.
///
/// # Errors
/// When the records cannot be opened or nobody reads the answers.
pub fn serve(context: Context, input: impl Read + Send + 'static, output: impl Write) -> Result<(), ActionError> {
    let newest: Newest = Arc::default();
    let (asks, queue) = channel::<Request>();
    let reading = Arc::clone(&newest);
    let read = move || {
        for line in BufReader::new(input).lines().map_while(Result::ok) {
            let Ok(request) = serde_json::from_str::<Request>(&line) else { continue };
            if let Some(newest) = reading.get(kind(&request.wish)) {
                newest.store(request.number, Ordering::SeqCst);
            }
            if asks.send(request).is_err() {
                return;
            }
        }
        // Whoever asked is gone: nobody wants the rest of an answer.
        for newest in reading.iter() {
            newest.store(u64::MAX, Ordering::SeqCst);
        }
    };
    std::thread::Builder::new()
        .name("requests".into())
        .spawn(read)
        .map_err(|error| ActionError::Refused(format!("no thread could be started: {error}")))?;
    let store = context.store()?;
    let mut server =
        Server { context, store, newest, standing: None, answerer: Answerer::default(), base: Kept::default(), output };
    loop {
        match queue.recv_timeout(IDLE) {
            Ok(request) => server.carry_out(request)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

struct Server<W> {
    context: Context,
    store: Store,
    newest: Newest,
    /// What is known of all records, and the newest act it was gathered at.
    standing: Option<(i64, lint::Standing)>,
    answerer: Answerer,
    base: Kept,
    output: W,
}

/// Acts after which what is known of the other records is gathered anew; each costs a reading of all of them.
const STALE: i64 = 200;

impl<W: Write> Server<W> {
    fn carry_out(&mut self, Request { number, wish }: Request) -> Result<(), ActionError> {
        let kind = kind(&wish);
        let newest = Arc::clone(&self.newest);
        let wanted =
            move || kind == 3 || newest.get(kind).is_some_and(|newest| newest.load(Ordering::SeqCst) <= number);
        if !wanted() {
            return Ok(());
        }
        let granted = match wish {
            Wish::Stop => Ok(Granted::Ended),
            Wish::Answer { cells, how } => self.answer(number, cells, how, &wanted).map(|()| Granted::Ended),
            Wish::Relint { record, state } => self.relint(record, *state),
            Wish::Lint => self.lint(),
            Wish::Near(record) => records::neighbours(&self.store, record, NEAR)
                .map(|near| Granted::Near(near.into_iter().map(|(record, likeness)| (record.id, likeness)).collect())),
            Wish::Render { question, template } => self.render(&question, template),
        };
        self.tell(number, granted.unwrap_or_else(|error| Granted::Failed(error.to_string())))
    }

    fn tell(&mut self, number: u64, granted: Granted) -> Result<(), ActionError> {
        let gone = |error: &dyn std::fmt::Display| ActionError::Refused(format!("nobody reads the answers: {error}"));
        let mut line = serde_json::to_vec(&Reply { number, granted }).map_err(|error| gone(&error))?;
        line.push(b'\n');
        self.output.write_all(&line).and_then(|()| self.output.flush()).map_err(|error| gone(&error))
    }

    fn answer(
        &mut self,
        number: u64,
        cells: Vec<Cell>,
        how: How,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(), ActionError> {
        let cells: Vec<answer::Cell> = cells.into_iter().map(cell).collect();
        let sampling = Sampling { temperature: how.temperature as f32, seed: how.seed, ..Sampling::default() };
        let limits = Limits { max_tokens: how.max_tokens, sampling, ..Limits::default() };
        let mut answerer = std::mem::take(&mut self.answerer);
        let mut gone = None;
        // The project's prompt or model may have become another since.
        let mut context = Context::find(self.context.project.root(), None)?;
        // The store is this process's own, so that a long answer holds nobody up.
        let store = context.store()?;
        let answered = answerer.answer(&mut context, Some(&store), &cells, &limits, &mut |_| {}, &mut |told| {
            if let Err(error) = self.tell(number, Granted::Told(told)) {
                gone = Some(error);
                return false;
            }
            wanted()
        });
        self.answerer = answerer;
        gone.map_or(answered, Err)
    }

    fn relint(&mut self, record: i64, state: State) -> Result<Granted, ActionError> {
        let newest = self.store.newest()?;
        let standing = match self.standing.take().filter(|(at, _)| newest - at < STALE) {
            Some(standing) => standing,
            None => (newest, lint::Standing::new(&mut self.context, &self.store)?),
        };
        let record = Record { state, ..self.store.get(record)? };
        let found = standing.1.look(&record).iter().map(seen).collect();
        self.standing = Some(standing);
        Ok(Granted::Found(found))
    }

    fn lint(&mut self) -> Result<Granted, ActionError> {
        let linted = lint::lint(&mut self.context, &mut self.store, &lint::Request::default())?;
        let notes = if linted.notes.is_empty() { String::new() } else { format!(" ({})", linted.notes.join("; ")) };
        let count = |number: usize| text::count(number as u64);
        let (findings, records) = (count(linted.findings.len()), count(linted.records));
        Ok(Granted::Linted(format!("{findings} findings in {records} records{notes}")))
    }

    fn render(&mut self, question: &Question, template: Option<String>) -> Result<Granted, ActionError> {
        let mut context = Context::find(self.context.project.root(), None)?;
        let record = question.record(Some(&self.store))?;
        let shown = render::with(&mut self.base, &mut context, &record, template, &mut |_| {})?;
        Ok(Granted::Rendered { tokens: shown.rows, window: shown.window })
    }
}

fn cell(Cell { question, system, template, stream }: Cell) -> answer::Cell {
    let run = match system {
        System::Base => None,
        System::Run(run) => Some(run),
    };
    answer::Cell { question, choice: Choice { run, adapter: None }, template, stream }
}

fn seen(finding: &Finding) -> Found {
    Found {
        check: finding.check.to_owned(),
        severity: finding.severity.word().to_owned(),
        reason: finding.reason.clone(),
        span: finding.span.as_ref().map(|span| (span.field.clone(), span.start, span.end)),
    }
}
