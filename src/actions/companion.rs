//! The workbench's companions: processes that hold what the workbench must not, a tokenizer and all records in one, weights in the
//! other. Each is `togi worker --companion` in the project's folder, answers requests as lines of JSON on its standard input
//! by lines on its standard output, and ends with the workbench that started it, or when nothing was asked for ten minutes.
//!
//! ```text
//! {"ask":"relint","number":7,"record":12,"state":{…}}
//! {"number":7,"tell":"found","found":[…]}
//! ```
//!
//! One request is carried out at a time. What a newer request makes useless is not begun, or stopped at its next token: a text
//! that was written on, another prompt.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::{Answerer, Cell, Question, Told};
use super::context::{ActionError, Context};
use super::generate::{Limits, Sampling};
use super::records::{self, lint};
use super::render::{self, Token};
use crate::data::lint::Finding;
use crate::store::{Record, State, Store};
use crate::worker::model::Kept;

/// How long a companion waits for a next request.
const IDLE: Duration = Duration::from_mins(10);

/// How answers are generated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct How {
    /// Tokens of an answer at most.
    pub max_tokens: usize,
    /// 0 takes the likeliest token.
    pub temperature: f64,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for How {
    fn default() -> Self {
        Self { max_tokens: 256, temperature: 0.0, seed: 0 }
    }
}

/// What is asked of a companion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// Look at a record as it stands in an editor.
    Relint {
        /// The record.
        record: i64,
        /// What it would be.
        state: Box<State>,
    },
    /// Look at all records and keep what is found.
    Lint,
    /// The records worded most like one.
    Near {
        /// The record.
        record: i64,
        /// How many.
        count: usize,
    },
    /// The prompt token by token.
    Render {
        /// Whose.
        question: Question,
        /// A template in place of the project's.
        template: Option<String>,
    },
    /// Answers.
    Answer {
        /// Which.
        cells: Vec<Cell>,
        /// How.
        how: How,
    },
    /// Nothing more of what was asked before.
    Stop,
}

impl Ask {
    /// What a newer request of the same name makes useless: relints, renderings and answers.
    fn kind(&self) -> usize {
        match self {
            Self::Relint { .. } => 0,
            Self::Render { .. } => 1,
            Self::Answer { .. } | Self::Stop => 2,
            Self::Lint | Self::Near { .. } => 3,
        }
    }
}

/// A request and its number, which its answers carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Counts up.
    pub number: u64,
    /// What is asked.
    #[serde(flatten)]
    pub ask: Ask,
}

/// Something found in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The check.
    pub check: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// In words.
    pub reason: String,
    /// The part and its bytes.
    pub span: Option<(String, usize, usize)>,
}

/// What a companion answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "kebab-case")]
pub enum Tell {
    /// What is found in a record.
    Found {
        /// In the order of the checks.
        found: Vec<Seen>,
    },
    /// Everything was looked at.
    Linted {
        /// Findings.
        findings: usize,
        /// Records.
        records: usize,
        /// What could not be looked for.
        notes: Vec<String>,
    },
    /// Records and how alike they are, 0 to 1.
    Near {
        /// The nearest first.
        near: Vec<(i64, f32)>,
    },
    /// A rendering.
    Rendered {
        /// Its tokens.
        tokens: Vec<Token>,
        /// The window of a training, in tokens; what is beyond is cut or left out.
        window: usize,
    },
    /// Something of an answer.
    Answer {
        /// What.
        told: Told,
    },
    /// All that was asked for is told.
    Ended,
    /// It could not be done.
    Failed {
        /// Why, with the line of a template where it has one.
        reason: String,
    },
}

/// An answer and the number of what was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub number: u64,
    /// What is told.
    #[serde(flatten)]
    pub tell: Tell,
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
            if let Some(newest) = reading.get(request.ask.kind()) {
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
    fn carry_out(&mut self, Request { number, ask }: Request) -> Result<(), ActionError> {
        let kind = ask.kind();
        let newest = Arc::clone(&self.newest);
        let wanted =
            move || kind == 3 || newest.get(kind).is_some_and(|newest| newest.load(Ordering::SeqCst) <= number);
        if !wanted() {
            return Ok(());
        }
        let told = match ask {
            Ask::Stop => Ok(Tell::Ended),
            Ask::Answer { cells, how } => self.answer(number, &cells, how, &wanted).map(|()| Tell::Ended),
            Ask::Relint { record, state } => self.relint(record, *state),
            Ask::Lint => self.lint(),
            Ask::Near { record, count } => records::neighbours(&self.store, record, count).map(|near| Tell::Near {
                near: near.into_iter().map(|(record, likeness)| (record.id, likeness)).collect(),
            }),
            Ask::Render { question, template } => self.render(&question, template),
        };
        let tell = told.unwrap_or_else(|error| Tell::Failed { reason: error.to_string() });
        self.tell(number, tell)
    }

    fn tell(&mut self, number: u64, tell: Tell) -> Result<(), ActionError> {
        let gone = |error: &dyn std::fmt::Display| ActionError::Refused(format!("nobody reads the answers: {error}"));
        let mut line = serde_json::to_vec(&Reply { number, tell }).map_err(|error| gone(&error))?;
        line.push(b'\n');
        self.output.write_all(&line).and_then(|()| self.output.flush()).map_err(|error| gone(&error))
    }

    fn answer(&mut self, number: u64, cells: &[Cell], how: How, wanted: &dyn Fn() -> bool) -> Result<(), ActionError> {
        let sampling = Sampling { temperature: how.temperature as f32, seed: how.seed, ..Sampling::default() };
        let limits = Limits { max_tokens: how.max_tokens, sampling, ..Limits::default() };
        let mut answerer = std::mem::take(&mut self.answerer);
        let mut gone = None;
        // The project's prompt or model may have become another since.
        let mut context = Context::find(self.context.project.root(), None)?;
        // The store is this process's own, so that a long answer holds nobody up.
        let store = context.store()?;
        let answered = answerer.answer(&mut context, Some(&store), cells, &limits, &mut |_| {}, &mut |told| {
            if let Err(error) = self.tell(number, Tell::Answer { told }) {
                gone = Some(error);
                return false;
            }
            wanted()
        });
        self.answerer = answerer;
        gone.map_or(answered, Err)
    }

    fn relint(&mut self, record: i64, state: State) -> Result<Tell, ActionError> {
        let newest = self.store.newest()?;
        let standing = match self.standing.take().filter(|(at, _)| newest - at < STALE) {
            Some(standing) => standing,
            None => (newest, lint::Standing::new(&mut self.context, &self.store)?),
        };
        let record = Record { state, ..self.store.get(record)? };
        let found = standing.1.look(&record).iter().map(seen).collect();
        self.standing = Some(standing);
        Ok(Tell::Found { found })
    }

    fn lint(&mut self) -> Result<Tell, ActionError> {
        let linted = lint::lint(&mut self.context, &mut self.store, &lint::Request::default())?;
        Ok(Tell::Linted { findings: linted.findings.len(), records: linted.records, notes: linted.notes })
    }

    fn render(&mut self, question: &Question, template: Option<String>) -> Result<Tell, ActionError> {
        let mut context = Context::find(self.context.project.root(), None)?;
        let record = question.record(Some(&self.store))?;
        let shown = render::with(&mut self.base, &mut context, &record, template, &mut |_| {})?;
        Ok(Tell::Rendered { tokens: shown.rows, window: shown.window })
    }
}

fn seen(finding: &Finding) -> Seen {
    Seen {
        check: finding.check.to_owned(),
        severity: finding.severity.word().to_owned(),
        reason: finding.reason.clone(),
        span: finding.span.as_ref().map(|span| (span.field.clone(), span.start, span.end)),
    }
}
