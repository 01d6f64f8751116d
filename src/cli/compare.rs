//! `togi compare`: base and tuned side by side.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::generate::{How, prompt};
use super::output::{self, say};
use super::{BaseModel, Place, Tuned, progress};
use crate::actions::generate::{self, Compared};
use crate::text;

/// Answer one prompt with base and tuned model side by side, same seed
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi compare \"Name three rivers.\" --run latest
  togi compare \"Name three rivers.\" --adapter ./my-adapter --temperature 0.8 --seed 7 --json

Where the project has a prompt template of its own, give its fields as a JSON object:
  togi compare '{\"instruction\": \"To do:\", \"input\": \"Ben will order the chairs.\"}' --run latest")]
pub struct Compare {
    /// The prompt; - or nothing reads it from standard input
    prompt: Option<String>,
    #[command(flatten)]
    tuned: Tuned,
    #[command(flatten)]
    base: BaseModel,
    #[command(flatten)]
    how: How,
    /// Print both answers as one JSON object when they are done
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let limits = self.how.limits()?;
        let prompt = prompt(self.prompt.as_deref())?;
        let mut context = place.reading(&self.base)?;
        let spinner = progress::spinner("reading the model");
        let mut columns = if self.json { None } else { output::terminal().map(Columns::new) };
        let mut failed = None;
        let both = generate::compare(
            &mut context,
            &self.tuned.choice(),
            &prompt,
            &limits,
            &mut progress::download(&spinner),
            &mut |tuned, piece| {
                if let Some(columns) = &mut columns {
                    spinner.finish_and_clear();
                    columns.push(tuned, piece);
                    failed = output::print(&columns.draw(false)).err();
                }
                failed.is_none()
            },
        );
        spinner.finish_and_clear();
        let both = both?;
        if let Some(error) = failed {
            return Err(error);
        }
        match &mut columns {
            _ if self.json => output::json(&both)?,
            Some(columns) => {
                output::print(&columns.draw(true))?;
                say!("{}", heading(&both));
            }
            None => output::print(&format!("# base\n{}\n\n# {}\n{}\n", both.base, heading(&both), both.tuned))?,
        }
        if let Some(note) = both.note.as_ref().filter(|_| !self.json) {
            say!("{note}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Who the second answer is by. It is called tuned only where the adapter changes something.
fn heading(both: &Compared) -> String {
    if both.differs {
        format!("tuned by adapter {} (logits differ by up to {:.3})", both.adapter, both.difference)
    } else {
        format!("adapter {}, which changes nothing: its logits are the base's", both.adapter)
    }
}

/// Two texts that grow beside each other.
struct Columns {
    height: usize,
    width: usize,
    texts: [String; 2],
    /// Rows that stand for good, and rows below them that are drawn again.
    settled: usize,
    drawn: usize,
    begun: bool,
}

impl Columns {
    fn new((height, columns): (usize, usize)) -> Self {
        let texts = [String::new(), String::new()];
        Self { height, width: (columns.saturating_sub(4) / 2).max(8), texts, settled: 0, drawn: 0, begun: false }
    }

    fn push(&mut self, tuned: bool, piece: &str) {
        if let Some(text) = self.texts.get_mut(usize::from(tuned)) {
            text.push_str(&text::display(piece));
        }
    }

    /// What to write so that the screen shows the texts as they are now. Rows that no later piece can change are written
    /// for good; below them as much as the screen has room for is drawn again each time.
    fn draw(&mut self, last: bool) -> String {
        let [left, right] = self.texts.each_ref().map(|text| text::wrap(text, self.width));
        let row = |l: &str, r: &str| format!("{} │ {}\n", text::fit(l, self.width), r);
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            out.push_str(&row("base", "with the adapter"));
        }
        if self.drawn > 0 {
            out.extend(["\x1b[", &self.drawn.to_string(), "A\r\x1b[J"]);
        }
        let rows: Vec<String> = (self.settled..left.len().max(right.len()))
            .map(|i| row(left.get(i).map_or("", |l| l), right.get(i).map_or("", |r| r)))
            .collect();
        // Of a text that grows only the last line can change.
        let whole = left.len().min(right.len()).saturating_sub(1).saturating_sub(self.settled);
        let whole = if last { rows.len() } else { whole };
        let room = self.height.saturating_sub(2).max(1);
        let (done, live) = rows.split_at(whole.min(rows.len()));
        let shown = live.get(live.len().saturating_sub(room)..).unwrap_or_default();
        out.extend(done.iter().chain(shown).map(String::as_str));
        self.settled += done.len();
        self.drawn = shown.len();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen that knows line ends and the one sequence that goes up and clears.
    #[derive(Default)]
    struct Screen(Vec<String>);

    impl Screen {
        /// Writes; returns how many rows were gone back over.
        fn write(&mut self, mut text: &str) -> usize {
            let mut up = 0;
            while !text.is_empty() {
                if let Some(rest) = text.strip_prefix("\x1b[") {
                    let (rows, rest) = rest.split_once("A\r\x1b[J").unwrap();
                    up = rows.parse().unwrap();
                    self.0.truncate(self.0.len() - up);
                    text = rest;
                } else {
                    let (line, rest) = text.split_once('\n').unwrap();
                    self.0.push(line.to_owned());
                    text = rest;
                }
            }
            up
        }
    }

    #[test]
    fn two_texts_grow_side_by_side_and_end_whole() {
        let (base, tuned) =
            ("one two three four five six\nseven", "研ぎ澄まされた刃を、毎日すこしずつ研いでいく。おわり");
        let mut columns = Columns::new((5, 28));
        let mut screen = Screen::default();
        let mut left = base.chars();
        let mut right = tuned.chars();
        // The shorter text ends early; the other goes on alone.
        loop {
            let (l, r) = (left.next(), right.next());
            for (side, piece) in [(false, l), (true, r)] {
                if let Some(piece) = piece {
                    columns.push(side, &piece.to_string());
                    assert!(screen.write(&columns.draw(false)) < 5, "never back over what has left the screen");
                }
            }
            if l.is_none() && r.is_none() {
                break;
            }
        }
        screen.write(&columns.draw(true));
        let rows: Vec<(&str, &str)> = screen.0.iter().filter_map(|row| row.split_once(" │ ")).collect();
        assert_eq!(rows.len(), screen.0.len());
        assert_eq!(rows[0].0.trim(), "base");
        let whole = |side: Vec<&str>| side.join("").split_whitespace().collect::<String>();
        let joined = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(whole(rows[1..].iter().map(|r| r.0).collect()), joined(base));
        assert_eq!(whole(rows[1..].iter().map(|r| r.1).collect()), joined(tuned));
        assert!(rows.iter().all(|r| text::width(r.0) == 12 && text::width(r.1) <= 16), "{rows:?}");
    }

    #[test]
    fn nothing_is_called_tuned_that_changes_nothing() {
        let mut both = Compared {
            prompt: String::new(),
            base: "a".into(),
            tuned: "a".into(),
            adapter: "f00d".into(),
            differs: false,
            difference: 0.0,
            seconds: 0.0,
            note: None,
        };
        assert!(!heading(&both).contains("tuned") && heading(&both).contains("f00d"));
        both.differs = true;
        assert!(heading(&both).contains("tuned"));
    }
}
