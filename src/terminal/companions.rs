//! The companion processes, as the workbench talks to them. Each is started on first need and ends with the workbench.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::app::Msg;
use crate::companion::{Granted, Reply, Request, Wish};

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
        let request = Request { number, wish };
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
                if let Ok(Reply { number, granted }) = serde_json::from_str(&line) {
                    if !matches!(granted, Granted::Told(_)) {
                        answered = number;
                    }
                    tell(Msg::Granted { number, granted });
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
