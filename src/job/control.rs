//! Steering a running job over its socket.
//!
//! The worker's loop asks its [`Control`] between two steps what to do next ([`Control::command`]) and tells it how far it is
//! ([`Control::publish`]); a [`Listener`]'s thread answers the socket from the same [`Control`]. So a request is answered at
//! once, however long a step takes, and takes effect at the next step's end. Requests and answers are lines of JSON:
//!
//! ```text
//! {"op":"pause"}
//! {"ok":{"phase":"paused","step":120,"steps":180,…}}      or      {"error":"…"}
//! ```

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use super::{Hold, SOCKET, socket};
use crate::project::durable::{self, FileError};

/// The longest request, in bytes.
const LONGEST: u64 = 64 * 1024;
/// The most connections that are answered at a time.
const CONNECTIONS: usize = 32;
/// How long a connection may say nothing, and how long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a paused loop looks for a signal, and a listener for its socket.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_FOR_SOCKET: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What can be asked of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// How far it is.
    Status,
    /// To wait after the step it is at.
    Pause,
    /// To go on.
    Resume,
    /// To write a checkpoint and end.
    Stop,
    /// To write a checkpoint and go on.
    Checkpoint,
}

/// What a running job is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Loading weights and inputs.
    #[default]
    Starting,
    /// At its work.
    Running,
    /// Asked to pause; a step may still be going on.
    Paused,
    /// Asked to stop; a step or a checkpoint may still be going on.
    Stopping,
}

/// How far a job is, as its loop last published it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is at; pauses and stops are added by [`Control`].
    pub phase: Phase,
    /// Finished steps (rows, for an evaluation).
    pub step: u64,
    /// Steps (rows) in all.
    pub steps: u64,
    /// The last training loss, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Step of the last checkpoint written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// Seconds that are left, by estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// What its steps are of, in words, where a job has several kinds of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<String>,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It was accepted; how the job stands.
    Ok(Progress),
    /// It was not understood, and why.
    Error(String),
}

/// What a job's loop is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Take the next step.
    Go,
    /// Write a checkpoint, then ask again.
    Checkpoint,
    /// Write a checkpoint and end as stopped.
    Stop,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody answers.
    #[error("{} is not running", .0.display())]
    NotRunning(PathBuf),
    /// The socket belongs to a user who does not share it.
    #[error("{} is run by another user, who does not share it", .0.display())]
    NotShared(PathBuf),
    /// The connection broke or took too long.
    #[error("{} does not answer: {cause}", dir.display())]
    Silent {
        /// The job's directory.
        dir: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// The job refused.
    #[error("{} refused: {reason}", dir.display())]
    Refused {
        /// The job's directory.
        dir: PathBuf,
        /// Its words.
        reason: String,
    },
    /// The socket or the file that names it cannot be made.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The two ends that a job's loop and its socket share. A clone is the same control.
#[derive(Debug, Clone, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    // Apart from the rest, so that a signal handler can set it.
    stop: Arc<AtomicBool>,
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wishes {
    pause: bool,
    checkpoint: bool,
    progress: Progress,
}

impl Control {
    /// Returns a control that wishes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The flag that asks the job to stop, for a signal handler to set.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shared.stop)
    }

    /// Returns whether the job is asked to stop; for long work within a step.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Returns what to do next. Blocks while the job is paused, except for a checkpoint or a stop that is asked for then.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut wishes = self.wishes();
        loop {
            if self.is_stopping() {
                return Command::Stop;
            }
            if std::mem::take(&mut wishes.checkpoint) {
                return Command::Checkpoint;
            }
            if !wishes.pause {
                return Command::Go;
            }
            // With a limit, because a signal handler cannot wake it.
            wishes = self.shared.changed.wait_timeout(wishes, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Tells how far the job is.
    pub fn publish(&self, progress: Progress) {
        self.wishes().progress = progress;
    }

    /// Carries out a request, as if it had come over the socket.
    #[must_use]
    pub fn request(&self, request: Request) -> Progress {
        let mut wishes = self.wishes();
        match request {
            Request::Status => {}
            Request::Pause => wishes.pause = true,
            Request::Resume => wishes.pause = false,
            Request::Stop => self.shared.stop.store(true, Ordering::Relaxed),
            Request::Checkpoint => wishes.checkpoint = true,
        }
        self.shared.changed.notify_all();
        let phase = match wishes.progress.phase {
            _ if self.is_stopping() => Phase::Stopping,
            _ if wishes.pause => Phase::Paused,
            phase => phase,
        };
        Progress { phase, ..wishes.progress.clone() }
    }

    /// Answers the job's socket from a thread of its own, until the listener is dropped.
    ///
    /// # Errors
    ///
    /// Where the socket cannot be made.
    pub fn listen(&self, hold: &Hold) -> Result<Listener, ControlError> {
        let dir = hold.job().dir().to_owned();
        let bound = Bound::new(&dir)?;
        let failed = |error| ControlError::File(FileError::on("listen on", &bound.path)(error));
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        let control = self.clone();
        let thread = thread::Builder::new().name("control".into()).spawn(move || control.serve(bound, &dir, &woken));
        let job = hold.job().dir().to_owned();
        let thread = thread.map_err(FileError::on("start the thread that controls", &job))?;
        Ok(Listener { wake: Some(wake), thread: Some(thread) })
    }

    /// Accepts connections until the other end of `woken` is closed.
    fn serve(&self, mut bound: Bound, dir: &Path, woken: &UnixStream) {
        let connections = Arc::new(AtomicUsize::new(0));
        loop {
            let mut waiting = [PollFd::new(&bound.listener, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
            let _ = rustix::event::poll(&mut waiting, Some(&LOOK_FOR_SOCKET));
            let [socket, end] = waiting.map(|fd| !fd.revents().is_empty());
            if end {
                return;
            }
            if !socket {
                // A job whose directory is gone has nothing to go on for, be it paused.
                if fs::symlink_metadata(dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                    let _ = self.request(Request::Stop);
                    continue;
                }
                // The runtime directory goes when a user's last session ends, and old files under /tmp are swept away;
                // the job goes on, and must be found again by who comes back.
                if !bound.is_there()
                    && let Ok(again) = Bound::new(dir)
                {
                    bound = again;
                }
                continue;
            }
            let Ok((stream, _)) = bound.listener.accept() else { continue };
            if connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (control, count) = (self.clone(), Arc::clone(&connections));
            let answering = thread::Builder::new().name("answer".into()).spawn(move || {
                let _ = control.answer(&stream);
                count.fetch_sub(1, Ordering::Relaxed);
            });
            if answering.is_err() {
                connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Answers the requests of one connection until it is closed or says nothing for too long.
    fn answer(&self, stream: &UnixStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            (&mut lines).take(LONGEST).read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            let response = match serde_json::from_slice(&line) {
                Ok(request) => Response::Ok(self.request(request)),
                Err(error) => Response::Error(format!("the request is not understood: {error}")),
            };
            let mut text = serde_json::to_vec(&response)?;
            text.push(b'\n');
            (&mut &*stream).write_all(&text)?;
        }
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.shared.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a job's socket as long as it lives, and takes the socket away when it is dropped.
#[derive(Debug)]
pub struct Listener {
    wake: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket that listens, its path, and the file that names it; both go when it is dropped.
#[derive(Debug)]
struct Bound {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket, to tell it from another's.
    id: (u64, u64),
    named_in: PathBuf,
}

impl Bound {
    /// Binds the socket of the job in `dir`. Whoever calls this holds the job's lock, so a socket that is there is a dead one.
    fn new(dir: &Path) -> Result<Self, ControlError> {
        let path = socket::path(dir)?;
        let failed = |cause| FileError { action: "listen on", path: path.clone(), cause };
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        socket::share(&path, dir)?;
        let id = fs::metadata(&path).map(|found| (found.dev(), found.ino())).map_err(failed)?;
        let named_in = dir.join(SOCKET);
        let text = format!("{}\n", path.display());
        durable::write(&named_in, text.as_bytes())?;
        Ok(Self { listener, path, id, named_in })
    }

    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.id)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Only what is still this one's: it may have been bound again already.
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.named_in);
        }
    }
}

/// Asks the job in `dir`, which another process runs, and returns how it stands.
///
/// # Errors
///
/// Where the job does not run, is another user's, or does not answer in time.
pub fn send(dir: &Path, request: Request) -> Result<Progress, ControlError> {
    let named_in = dir.join(SOCKET);
    let path = match fs::read_to_string(&named_in) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ControlError::NotRunning(dir.to_owned())),
        read => read.map_err(FileError::on("read", &named_in))?,
    };
    let mut stream = UnixStream::connect(path.trim_end()).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NotRunning(dir.to_owned()),
        io::ErrorKind::PermissionDenied => ControlError::NotShared(dir.to_owned()),
        _ => ControlError::Silent { dir: dir.to_owned(), cause },
    })?;
    let mut ask = || -> io::Result<Response> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut text = serde_json::to_vec(&request)?;
        text.push(b'\n');
        stream.write_all(&text)?;
        let mut line = String::new();
        BufReader::new(&stream).take(LONGEST).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    };
    match ask() {
        Ok(Response::Ok(progress)) => Ok(progress),
        Ok(Response::Error(reason)) => Err(ControlError::Refused { dir: dir.to_owned(), reason }),
        Err(cause) => Err(ControlError::Silent { dir: dir.to_owned(), cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Job, Kind};

    fn held(runs: &Path) -> Hold {
        // A name that no socket could have.
        let deep = runs.join("x".repeat(200));
        Job::create(&deep, Kind::Train).unwrap().seal(&toml::Table::new()).unwrap().hold().unwrap()
    }

    #[test]
    fn a_request_takes_effect_between_steps() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        let dir = hold.job().dir();
        assert!(matches!(send(dir, Request::Status), Err(ControlError::NotRunning(_))));
        let control = Control::new();
        let listener = control.listen(&hold).unwrap();
        assert_eq!(send(dir, Request::Status).unwrap().phase, Phase::Starting);
        control.publish(Progress { phase: Phase::Running, step: 7, steps: 9, loss: Some(1.5), ..Progress::default() });
        assert_eq!(control.command(), Command::Go);

        let paused = send(dir, Request::Pause).unwrap();
        assert_eq!((paused.phase, paused.step, paused.loss), (Phase::Paused, 7, Some(1.5)));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| control.command());
            assert_eq!(send(dir, Request::Checkpoint).unwrap().phase, Phase::Paused);
            assert_eq!(waiting.join().unwrap(), Command::Checkpoint, "a paused job still writes a checkpoint");
            let waiting = scope.spawn(|| control.command());
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            assert_eq!(send(dir, Request::Resume).unwrap().phase, Phase::Running);
            assert_eq!(waiting.join().unwrap(), Command::Go);
        });

        assert_eq!(send(dir, Request::Stop).unwrap().phase, Phase::Stopping);
        assert_eq!(control.command(), Command::Stop);
        drop(listener);
        assert!(matches!(send(dir, Request::Status), Err(ControlError::NotRunning(_))));
        assert!(!dir.join(SOCKET).exists());
    }

    #[test]
    fn a_signal_stops_a_paused_job() {
        let control = Control::new();
        assert_eq!(control.request(Request::Pause).phase, Phase::Paused);
        let flag = control.stop_flag();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| control.command());
            flag.store(true, Ordering::Relaxed);
            assert_eq!(waiting.join().unwrap(), Command::Stop);
        });
    }

    #[test]
    fn what_is_not_understood_is_answered_and_changes_nothing() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        let control = Control::new();
        let _listener = control.listen(&hold).unwrap();
        let path = fs::read_to_string(hold.job().dir().join(SOCKET)).unwrap();
        let mut stream = UnixStream::connect(path.trim_end()).unwrap();
        stream.write_all(b"{\"op\":\"explode\"}\n\xff\xfe\n{\"op\":\"pause\"}\n").unwrap();
        let answers: Vec<_> = BufReader::new(&stream).lines().take(3).map(Result::unwrap).collect();
        assert!(answers[0].contains("error") && answers[0].contains("explode"), "{}", answers[0]);
        assert!(answers[1].contains("error"), "{}", answers[1]);
        assert!(answers[2].contains("paused"), "{}", answers[2]);
    }

    #[test]
    fn a_socket_that_was_swept_away_comes_back() {
        let runs = tempfile::tempdir().unwrap();
        let hold = held(runs.path());
        let dir = hold.job().dir();
        let control = Control::new();
        let _listener = control.listen(&hold).unwrap();
        let path = fs::read_to_string(dir.join(SOCKET)).unwrap();
        fs::remove_file(path.trim_end()).unwrap();
        assert!(matches!(send(dir, Request::Status), Err(ControlError::NotRunning(_))));
        let answered = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(50));
            send(dir, Request::Status).is_ok()
        });
        assert!(answered);
    }
}
