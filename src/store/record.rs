//! What a record is: the part that people change ([`State`], kept whole in every revision) and the part that stays.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Content {
    /// Named fields and an answer to them.
    Pair {
        /// Fields by name, in the source's order.
        fields: Map<String, Value>,
        /// What a model (or an unchecked source) said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draft: Option<String>,
        /// What it should say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gold: Option<String>,
    },
    /// A conversation.
    Chat {
        /// Its turns, in order.
        turns: Vec<Turn>,
        /// The tools that were offered, as a chat template expects them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tools: Option<Value>,
    },
    /// One document.
    Text {
        /// The document.
        text: String,
    },
}

/// One turn of a chat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// `system`, `developer`, `user`, `assistant`, `tool` or `function`.
    pub role: String,
    /// What is said, or should be; `None` for a turn that only calls tools.
    pub content: Option<String>,
    /// 0 leaves an assistant's turn out of the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// What an assistant's turn said before somebody changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
    /// `tool_calls`, `tool_call_id`, `name` and the like, as a chat template expects them.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Content {
    /// The answer as it stands: gold where there is one, else the draft; of a chat what the assistant says last.
    #[must_use]
    pub fn answer(&self) -> Option<&str> {
        match self {
            Self::Pair { draft, gold, .. } => gold.as_deref().or(draft.as_deref()),
            Self::Chat { turns, .. } => {
                turns.iter().rev().find(|turn| turn.role == "assistant").and_then(|turn| turn.content.as_deref())
            }
            Self::Text { .. } => None,
        }
    }

    /// The name of the kind: `pair`, `chat` or `text`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pair { .. } => "pair",
            Self::Chat { .. } => "chat",
            Self::Text { .. } => "text",
        }
    }
}

/// Makes an enum of plain words that SQL, JSON and the command line all write alike.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|one| one.word() == text).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|one| one.word()).collect();
                    format!("{text:?} is none of {}", known.join(", "))
                })
            }
        }
    };
}

words! {
    /// How far people are with a record.
    Status {
        /// Untouched.
        Inbox = "inbox",
        /// Being worked on.
        Draft = "draft",
        /// Accepted: good to train on.
        Gold = "gold",
        /// Not to be used.
        Rejected = "rejected",
    }
}

words! {
    /// What a record is used for.
    Split {
        /// Trained on.
        Train = "train",
        /// Watched while training.
        Valid = "valid",
        /// Kept for evaluation.
        Test = "test",
    }
}

words! {
    /// Where a record came from.
    Origin {
        /// Not known.
        Import = "import",
        /// Real use.
        Traffic = "traffic",
        /// Written by a person.
        Human = "human",
        /// Generated.
        Model = "model",
    }
}

/// What people change of a record. A revision keeps all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Fields, turns or text, and the answers.
    #[serde(flatten)]
    pub content: Content,
    /// How far people are with it.
    pub status: Status,
    /// What it is used for; `None` until somebody or `togi split` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// A class, for balance and figures per class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Free words, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Answers that count as right, where there are more than the gold one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Who is to work on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// What people wrote about it; why it was rejected, for one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// What a file said of a chat or a text besides its content. A pair has it among its fields.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl State {
    /// A state with nothing but content and status.
    #[must_use]
    pub fn new(content: Content, status: Status) -> Self {
        Self {
            content,
            status,
            split: None,
            category: None,
            tags: Vec::new(),
            references: Vec::new(),
            assignee: None,
            notes: String::new(),
            extra: Map::new(),
        }
    }

    /// The state as rejected, with the reason among its notes, once.
    #[must_use]
    pub fn rejected(&self, why: &str) -> Self {
        let mut after = Self { status: Status::Rejected, ..self.clone() };
        if !why.is_empty() && !after.notes.lines().any(|line| line == why) {
            if !after.notes.is_empty() {
                after.notes.push('\n');
            }
            after.notes.push_str(why);
        }
        after
    }
}

/// Where a record was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name as it was given.
    pub file: String,
    /// Line, row or element, from 1.
    pub line: u64,
    /// The row's own id, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A record as the store holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Its number in the project, from 1; never used again.
    pub id: i64,
    /// The revision that `state` is; what an edit is based on.
    pub revision: i64,
    /// What people change.
    #[serde(flatten)]
    pub state: State,
    /// Where it came from.
    pub origin: Origin,
    /// The file and line it was read from; `None` for what was written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}
