//! The companion processes, as the workbench talks to them. Each is started on first need and ends with the workbench.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::actions::adapters::Choice;
use crate::actions::answer::{self, Told};
use crate::actions::companion::{self, Ask, Reply, Request, Tell};
use crate::app::Msg;
use crate::app::wish::{Cell, Found, Granted, How, Question, System, Wish};

/// Similar records that are asked for.
const NEAR: usize = 20;

/// Where answers go.
pub type Teller = Arc<dyn Fn(Msg) + Send + Sync>;

/// The two of them: one with all records and a tokenizer, one with weights, so that a look at a record does not wait for an answer.
pub struct Companions {
    root: PathBuf,
    tell: Teller,
    checks: Option<Companion>,
    answers: Option<Companion>,
}

impl Companions {
    /// None is started yet.
    #[must_use]
    pub fn new(root: &Path, tell: Teller) -> Self {
        Self { root: root.to_owned(), tell, checks: None, answers: None }
    }

    /// Asks; what comes of it comes as messages with the number.
    pub fn ask(&mut self, number: u64, wish: Wish) {
        let answers = matches!(wish, Wish::Answer { .. } | Wish::Stop);
        let slot = if answers { &mut self.answers } else { &mut self.checks };
        if matches!(wish, Wish::Stop) && slot.is_none() {
            return;
        }
        let request = Request { number, ask: ask(wish) };
        // One that ended, of boredom or otherwise, is started again.
        let sent = slot.as_ref().is_some_and(|companion| companion.requests.send(request.clone()).is_ok());
        if !sent {
            match Companion::start(&self.root, Arc::clone(&self.tell)) {
                Ok(companion) => {
                    let _ = companion.requests.send(request);
                    *slot = Some(companion);
                }
                Err(error) => {
                    let granted = Granted::Failed(format!("no companion process could be started: {error}"));
                    (self.tell)(Msg::Granted { number, granted });
                }
            }
        }
    }
}

struct Companion {
    requests: Sender<Request>,
    child: Child,
}

impl Companion {
    fn start(root: &Path, tell: Teller) -> std::io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .arg("--companion")
            .arg("--project")
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let gone = || std::io::Error::other("its pipes are missing");
        let input = child.stdin.take().ok_or_else(gone)?;
        let output = child.stdout.take().ok_or_else(gone)?;
        let (requests, queue) = channel::<Request>();
        let newest = Arc::new(AtomicU64::new(0));
        let asked = Arc::clone(&newest);
        // Writing may wait for a companion that is busy, and the screen must not.
        let write = move || {
            for request in queue {
                asked.store(request.number, Ordering::SeqCst);
                if send(&input, &request).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("asking".into()).spawn(write)?;
        let read = move || {
            let mut answered = 0;
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(reply) = serde_json::from_str::<Reply>(&line) {
                    if !matches!(reply.tell, Tell::Answer { .. }) {
                        answered = reply.number;
                    }
                    tell(message(reply));
                }
            }
            let number = newest.load(Ordering::SeqCst);
            if answered < number {
                let why = "the process that answers has ended: perhaps there was not enough memory for the model";
                tell(Msg::Granted { number, granted: Granted::Failed(why.into()) });
            }
        };
        thread::Builder::new().name("hearing".into()).spawn(read)?;
        Ok(Self { requests, child })
    }
}

impl Drop for Companion {
    /// It writes nothing that could be lost, and may be in the middle of loading a model.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(mut input: &ChildStdin, request: &Request) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    input.write_all(&line)?;
    input.flush()
}

fn question(question: Question) -> answer::Question {
    match question {
        Question::Record(id) => answer::Question::Record(id),
        Question::Typed(text) => answer::Question::Typed(text),
    }
}

fn cell(cell: Cell) -> answer::Cell {
    let Cell { question: asked, system, template, stream } = cell;
    let run = match system {
        System::Base => None,
        System::Run(run) => Some(run),
    };
    answer::Cell { question: question(asked), choice: Choice { run, adapter: None }, template, stream }
}

fn ask(wish: Wish) -> Ask {
    match wish {
        Wish::Relint { record, state } => Ask::Relint { record, state },
        Wish::Lint => Ask::Lint,
        Wish::Near(record) => Ask::Near { record, count: NEAR },
        Wish::Render { question: asked, template } => Ask::Render { question: question(asked), template },
        Wish::Answer { cells, how } => {
            let How { max_tokens, temperature, seed } = how;
            let how = companion::How { max_tokens, temperature, seed };
            Ask::Answer { cells: cells.into_iter().map(cell).collect(), how }
        }
        Wish::Stop => Ask::Stop,
    }
}

fn message(reply: Reply) -> Msg {
    let granted = match reply.tell {
        Tell::Found { found } => {
            let found = found.into_iter().map(|seen| Found {
                check: seen.check,
                severity: seen.severity,
                reason: seen.reason,
                span: seen.span,
            });
            Granted::Found(found.collect())
        }
        Tell::Linted { findings, records, notes } => {
            let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
            let count = |number: usize| crate::text::count(number as u64);
            Granted::Linted(format!("{} findings in {} records{notes}", count(findings), count(records)))
        }
        Tell::Near { near } => Granted::Near(near),
        Tell::Rendered { tokens, window } => Granted::Rendered { tokens, window },
        Tell::Answer { told } => match told {
            Told::Begins { cell, adapter, checkpoint, prompt_tokens } => {
                Granted::Begins { cell, adapter, checkpoint, prompt_tokens }
            }
            Told::Text { cell, text } => Granted::Text { cell, text },
            Told::Apart { cell, difference } => Granted::Apart { cell, difference },
            Told::Done { cell, tokens, stop, seconds } => Granted::Done { cell, tokens, stop, seconds },
        },
        Tell::Ended => Granted::Ended,
        Tell::Failed { reason } => Granted::Failed(reason),
    };
    Msg::Granted { number: reply.number, granted }
}
