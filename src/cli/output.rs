//! Where words go: results to standard output, prose to standard error, and what happens when nobody reads them.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, IsTerminal, Write};

use color_eyre::eyre::{Report, Result};
use serde::Serialize;

/// Writes a result to standard output.
///
/// # Errors
/// When nobody reads it any more ([`is_closed`]) or the disk is full.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a result to standard output as one line of JSON.
///
/// # Errors
/// As [`print`].
pub fn json(result: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string(result)? + "\n"))
}

/// Writes prose to standard error. That nobody reads it there is no reason to stop.
pub fn tell(words: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Writes one line to standard error: `say!("{rows} rows")`.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::tell(format_args!($($words)*)) };
}
pub(super) use say;

/// Whether the error is that standard output was closed: the end of a pipe has what it wanted.
pub fn is_closed(error: &Report) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Tells a person what went wrong: the message, and of its causes those that it does not name itself.
pub fn complain(error: &Report) {
    let mut told = error.to_string();
    say!("togi: {told}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            say!("  because {cause}");
            told = cause;
        }
    }
}

/// The size of the terminal that standard output is, in rows and columns; `None` where it is none that can move its
/// cursor.
pub fn terminal() -> Option<(usize, usize)> {
    let out = io::stdout();
    if !out.is_terminal() || std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    let usual = |n: u16, otherwise: usize| if n == 0 { otherwise } else { usize::from(n) };
    Some((usual(size.ws_row, 24), usual(size.ws_col, 80)))
}

/// Lays out rows of cells as columns under the first row, their heads: numbers to the right, words to the left.
pub fn table(rows: &[Vec<String>]) -> String {
    use crate::text::width;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let numeric = |cell: &String| cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let layout: Vec<(usize, bool)> = (0..columns)
        .map(|c| (cells(c).map(|cell| width(cell)).max().unwrap_or(0), cells(c).skip(1).all(numeric)))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &(wide, right)) in row.iter().zip(&layout) {
            let space = " ".repeat(wide.saturating_sub(width(cell)));
            let (before, after) = if right { (space.as_str(), "") } else { ("", space.as_str()) };
            line.extend([before, cell, after, "  "]);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
