//! The layouts by name, as `--as` takes them and `--json` says them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Makes the enum and its words.
macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// How a file lays its records out.
        ///
        /// For JSON this is what its objects hold; a table, a sheet or a parquet file is named as such, whatever its columns
        /// hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Format { $($(#[$doc])* #[serde(rename = $word)] $name,)+ }

        impl Format {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

formats! {
    /// `instruction`, `input`, `output`, perhaps `system` and `history`.
    Alpaca = "alpaca",
    /// `conversations` of `from` and `value`.
    ShareGpt = "sharegpt",
    /// `messages` of `role` and `content`.
    Messages = "messages",
    /// `prompt` and `completion`, texts or messages.
    PromptCompletion = "prompt-completion",
    /// `chosen` and `rejected`, with a `prompt`.
    Preference = "preference",
    /// `text`, or a whole file that is one document.
    Text = "text",
    /// `instruction`, `context`, `response`, `category`.
    Dolly = "dolly",
    /// Free field names that a `template.json` beside the file puts together.
    JumpStart = "jumpstart",
    /// JSON objects with other names for prompt and answer.
    Pairs = "pairs",
    /// A table with commas or semicolons.
    Csv = "csv",
    /// A table with tabs.
    Tsv = "tsv",
    /// A workbook of Excel.
    Xlsx = "xlsx",
    /// Apache Parquet.
    Parquet = "parquet",
    /// `conversations.json` of a `ChatGPT` account.
    ChatGptExport = "chatgpt",
    /// Questions and answers in Markdown.
    Markdown = "markdown",
}

impl Format {
    /// Whether it names the kind of file and not what the rows of it hold.
    pub(super) const fn is_container(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::Xlsx | Self::Parquet)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|one| one.word() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|one| one.word()).collect();
            format!("{text:?} is none of {}", known.join(", "))
        })
    }
}
