//! What the workbench and its companions say to each other: requests as lines of JSON one way, replies the other.
//!
//! The workbench must know neither weights nor tokenizer, and whoever has those must not know the workbench; both know these words.
//! The processes themselves are `actions::companion`'s; what becomes of an answer is the workbench's.

use serde::{Deserialize, Serialize};

use crate::prompt::display::Row as Token;
use crate::store::State;

/// Who answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// The base model alone.
    #[default]
    Base,
    /// With a run's adapter: `RUN` (its best checkpoint), `RUN@STEP`, `RUN@last` or `RUN@now`.
    Run(String),
}

impl System {
    /// Its name, as `--run` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Base => "base",
            Self::Run(run) => run,
        }
    }

    /// Its name in a list to choose from.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Base => "base  the model as it was".to_owned(),
            Self::Run(name) if self.is_moving() => format!("{name}  a snapshot of the run in progress"),
            Self::Run(name) if self.is_run() => format!("{name}  its best checkpoint"),
            Self::Run(name) => name.clone(),
        }
    }

    /// Whether it is a run as such, of which the best checkpoint answers.
    #[must_use]
    pub fn is_run(&self) -> bool {
        matches!(self, Self::Run(name) if !name.contains('@'))
    }

    /// Whether it is another one each time it is asked: the weights of a run in progress.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.name().ends_with("@now")
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// The input of one of the project's records.
    Record(i64),
    /// What a person typed, as `togi generate` takes it.
    Typed(String),
}

/// One answer that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What is asked.
    pub question: Question,
    /// Who answers.
    pub system: System,
    /// A prompt template in place of the project's.
    pub template: Option<String>,
    /// Which of the seed's streams of random numbers it draws from; equal for cells to be compared.
    pub stream: u64,
}

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
#[serde(rename_all = "kebab-case")]
pub enum Wish {
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
    Near(i64),
    /// The prompt, token by token.
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
    /// No more of the answers that were asked for.
    Stop,
}

/// A request and its number, which its replies carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Counts up.
    pub number: u64,
    /// What is asked.
    pub wish: Wish,
}

/// What a check found in a record, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The check.
    pub check: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// In words.
    pub reason: String,
    /// The part, and the bytes of it.
    pub span: Option<(String, usize, usize)>,
}

/// What is told while cells are answered. `cell` is a cell's place among those asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Told {
    /// Who answers the cell, and how long its prompt is.
    Begins {
        /// The cell.
        cell: usize,
        /// The adapter's fingerprint; none for the base.
        adapter: Option<String>,
        /// The checkpoint's folder name.
        checkpoint: Option<String>,
        /// Tokens of the prompt.
        prompt_tokens: usize,
    },
    /// More of its answer: whole characters.
    Text {
        /// The cell.
        cell: usize,
        /// What is new.
        text: String,
    },
    /// How far its logits at the first token are from those of the first cell of the same question.
    Apart {
        /// The cell.
        cell: usize,
        /// The greatest difference; 0 where both compute the same.
        difference: f32,
    },
    /// It is done.
    Done {
        /// The cell.
        cell: usize,
        /// Tokens of the answer.
        tokens: usize,
        /// Why it ended, as `togi generate` says it.
        stop: String,
        /// Seconds from the first prompt token to here.
        seconds: f64,
    },
}

/// What a companion answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granted {
    /// What a record being edited is found to be, in the order of the checks.
    Found(Vec<Found>),
    /// All records were looked at; in words.
    Linted(String),
    /// Records and how alike they are, 0 to 1, the nearest first.
    Near(Vec<(i64, f32)>),
    /// A rendering, and the window of a training in tokens: what is beyond is cut or left out.
    Rendered {
        /// Its tokens.
        tokens: Vec<Token>,
        /// The window.
        window: usize,
    },
    /// More of the answers that were asked for.
    Told(Told),
    /// All that was asked for is told.
    Ended,
    /// It could not be done: why, with the line of a template where it has one.
    Failed(String),
}

/// An answer and the number of what was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub number: u64,
    /// What is told.
    pub granted: Granted,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Content, Status};

    #[test]
    fn what_is_said_is_one_line_and_is_understood() {
        let state = Box::new(State::new(Content::Text { text: "研ぎ\n澄ます".into() }, Status::Inbox));
        let cell = Cell {
            question: Question::Typed("a\nb".into()),
            system: System::Run("a1@now".into()),
            template: None,
            stream: 2,
        };
        let wishes = [
            Wish::Relint { record: 7, state },
            Wish::Lint,
            Wish::Near(7),
            Wish::Render { question: Question::Record(7), template: Some("{{ x }}\n".into()) },
            Wish::Answer { cells: vec![cell], how: How { temperature: 0.8, ..How::default() } },
            Wish::Stop,
        ];
        for (number, wish) in (1..).zip(wishes) {
            let request = Request { number, wish };
            let line = serde_json::to_string(&request).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
        let found = Found {
            check: "length".into(),
            severity: "info".into(),
            reason: "long".into(),
            span: Some(("gold".into(), 0, 3)),
        };
        let replies = [
            Granted::Found(vec![found]),
            Granted::Linted("2 findings".into()),
            Granted::Near(vec![(3, 0.25)]),
            Granted::Rendered { tokens: Vec::new(), window: 512 },
            Granted::Told(Told::Begins {
                cell: 0,
                adapter: None,
                checkpoint: Some("step-000020".into()),
                prompt_tokens: 9,
            }),
            Granted::Told(Told::Text { cell: 1, text: "二\n".into() }),
            Granted::Told(Told::Apart { cell: 1, difference: 0.5 }),
            Granted::Told(Told::Done { cell: 1, tokens: 3, stop: "end".into(), seconds: 0.25 }),
            Granted::Ended,
            Granted::Failed("line 2: no end".into()),
        ];
        for granted in replies {
            let reply = Reply { number: 9, granted };
            let line = serde_json::to_string(&reply).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
        }
    }
}
