//! What is asked of the companions, the processes that hold a tokenizer or weights, and what they answer.

use crate::prompt::display::Row as Token;
use crate::store::State;

/// Who answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
            Self::Run(name) if name.contains('@') => name.clone(),
            Self::Run(name) => format!("{name}  its best checkpoint"),
        }
    }

    /// Whether it is another one each time it is asked: the weights of a run in progress.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.name().ends_with("@now")
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// A record's input.
    Record(i64),
    /// What was typed.
    Typed(String),
}

/// One answer that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is asked.
    pub question: Question,
    /// Who answers.
    pub system: System,
    /// A template in place of the project's.
    pub template: Option<String>,
    /// Which of the seed's streams of random numbers it draws from; equal for cells to be compared.
    pub stream: u64,
}

/// How answers are generated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct How {
    /// Tokens at most.
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
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Look at a record as it is being edited.
    Relint { record: i64, state: Box<State> },
    /// Look at all records.
    Lint,
    /// The records worded most like one.
    Near(i64),
    /// The prompt, token by token.
    Render { question: Question, template: Option<String> },
    /// Answers.
    Answer { cells: Vec<Cell>, how: How },
    /// No more of the answers that were asked for.
    Stop,
}

/// What a check found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What a companion answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Granted {
    /// What a record being edited is found to be.
    Found(Vec<Found>),
    /// All records were looked at; in words.
    Linted(String),
    /// Records and how alike they are, 0 to 1.
    Near(Vec<(i64, f32)>),
    /// A rendering and the window of a training, in tokens.
    Rendered { tokens: Vec<Token>, window: usize },
    /// Who answers a cell: the adapter's fingerprint and checkpoint, and the tokens of the prompt.
    Begins { cell: usize, adapter: Option<String>, checkpoint: Option<String>, prompt_tokens: usize },
    /// More of an answer.
    Text { cell: usize, text: String },
    /// How far a cell's logits are from the first cell's.
    Apart { cell: usize, difference: f32 },
    /// A cell is done.
    Done { cell: usize, tokens: usize, stop: String, seconds: f64 },
    /// All of it is told.
    Ended,
    /// It could not be done.
    Failed(String),
}
