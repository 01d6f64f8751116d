//! The real binary in a pseudo-terminal: keys go in, and a terminal emulator tells what a person would see.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// How long something may take that takes milliseconds: machines are shared.
const PATIENCE: Duration = Duration::from_secs(30);

/// A workbench on a screen.
pub struct Screen {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    pub child: Box<dyn Child + Send + Sync>,
    parser: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    written: Arc<AtomicUsize>,
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Screen {
    /// Opens the workbench on the project in `dir`, which has a `config.toml`.
    pub fn open(dir: &Path, columns: u16, rows: u16) -> Self {
        let mut command = CommandBuilder::new(assert_cmd::cargo::cargo_bin("togi"));
        command.cwd(dir);
        Self::run(command, dir, columns, rows)
    }

    /// Runs a command on a screen.
    pub fn run(mut command: CommandBuilder, dir: &Path, columns: u16, rows: u16) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        // What a terminal shows is guessed from a dozen variables (`CI` is one of them): only those that are named here count.
        let kept = |name: &str| {
            ["PATH", "HOME", "TMPDIR"].contains(&name) || name.starts_with("TOGI_") || name.starts_with("XDG_")
        };
        let all: Vec<_> =
            command.iter_full_env_as_str().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        command.env_clear();
        for (name, value) in all.into_iter().filter(|(name, _)| kept(name)) {
            command.env(name, value);
        }
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8")] {
            command.env(name, value);
        }
        command.env("TOGI_CONFIG", dir.join("config.toml"));
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let parser = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::new(AtomicUsize::new(0));
        let (into, all, count) = (Arc::clone(&parser), Arc::clone(&raw), Arc::clone(&written));
        thread::spawn(move || {
            let mut bytes = vec![0; 65536];
            while let Ok(read) = reader.read(&mut bytes) {
                if read == 0 {
                    break;
                }
                into.lock().unwrap().process(&bytes[..read]);
                all.lock().unwrap().extend_from_slice(&bytes[..read]);
                count.fetch_add(read, Ordering::SeqCst);
            }
        });
        let writer = Some(pair.master.take_writer().unwrap());
        Self { master: Some(pair.master), writer, child, parser, raw, written }
    }

    /// Presses keys, as the bytes that a terminal sends for them.
    pub fn keys(&mut self, keys: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// What is on the screen.
    pub fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Where the terminal's cursor is: row, column; and whether it shows.
    pub fn cursor(&self) -> ((u16, u16), bool) {
        let parser = self.parser.lock().unwrap();
        (parser.screen().cursor_position(), !parser.screen().hide_cursor())
    }

    /// Everything that was written to the terminal.
    pub fn raw(&self) -> Vec<u8> {
        self.raw.lock().unwrap().clone()
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// Waits until the screen is as wanted; fails with what it is.
    pub fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Duration {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if wanted(&text) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "{what} did not come:\n{text}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a text is on the screen.
    pub fn wait_for(&self, text: &str) -> Duration {
        self.wait(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Waits until nothing has been written for a while.
    pub fn settle(&self) {
        assert!(self.settle_for(Duration::from_millis(600), PATIENCE), "it never comes to rest");
    }

    /// Waits until nothing has been written for so long, or until patience ends; whether it came to rest.
    pub fn settle_for(&self, rest: Duration, patience: Duration) -> bool {
        let begun = Instant::now();
        let mut before = self.written();
        let mut since = Instant::now();
        while since.elapsed() < rest {
            if begun.elapsed() > patience {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
            let now = self.written();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
        true
    }

    /// Gives the screen another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(cells(rows), cells(columns));
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
    }

    /// Whether the terminal echoes what is typed and gathers lines, as a shell wants it.
    pub fn is_cooked(&self) -> bool {
        // ECHO and ICANON, as Linux numbers them.
        const WANTED: u32 = 0o10 | 0o2;
        self.master.as_ref().unwrap().get_termios().unwrap().local_flags.bits() & WANTED == WANTED
    }

    /// Waits until the process has ended and returns its exit code.
    pub fn ended(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.process_id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Takes the terminal away, as a dropped connection does.
    pub fn hang_up(&mut self) {
        // Dropping it would type an end of file, which a connection that breaks does not.
        std::mem::forget(self.writer.take());
        self.master = None;
        // The kernel tells the session's leader; what reads the terminal's end keeps it open here, so say it as well.
        self.signal(Signal::HUP);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
