//! The terminal as the workbench needs it, and as it was before.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::queue;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

/// Whether the terminal is the workbench's at this moment; a panic asks too.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Holds the terminal; dropping it gives it back as it was.
#[derive(Debug)]
pub struct Guard {
    mouse: bool,
}

impl Guard {
    /// Takes the terminal: no echo, no line editing, another screen, pastes told apart from keys.
    ///
    /// # Errors
    /// When it is none, or does not obey.
    pub fn take(mouse: bool) -> io::Result<Self> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let guard = Self { mouse };
        let mut out = Vec::new();
        queue!(out, EnterAlternateScreen, EnableBracketedPaste)?;
        if mouse {
            queue!(out, EnableMouseCapture)?;
        }
        write_whole(&out)?;
        Ok(guard)
    }

    /// Lets another program have the terminal as it was.
    pub fn lend(&self) {
        give_back();
    }

    /// Takes it again.
    ///
    /// # Errors
    /// As [`Guard::take`].
    pub fn retake(&self) -> io::Result<()> {
        std::mem::forget(Self::take(self.mouse)?);
        Ok(())
    }

    /// Forgets the terminal without a word to it: it has gone away.
    pub fn abandon(self) {
        TAKEN.store(false, Ordering::SeqCst);
        // Modes belong to a terminal that is no more; a write to it would only fail.
        let _ = disable_raw_mode();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Puts the terminal back as it was, once.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = Vec::new();
    // What was never switched on may be switched off all the same.
    let _ = queue!(out, DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = write_whole(&out);
    let _ = disable_raw_mode();
}

/// Lets a panic be read: the terminal is given back before its words are printed.
pub fn tell_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        before(panic);
    }));
}

/// Writes bytes to the terminal in one go.
///
/// # Errors
/// When the terminal takes none.
pub fn write_whole(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
