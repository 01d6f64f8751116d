//! What a column's name says it is.
//!
//! Names are compared without case, the space around them and the width of their letters. Only what is plain is taken:
//! a name that could mean two things is left to a person.

use unicode_normalization::UnicodeNormalization;

/// What a column is to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// The first part of a prompt, and the field it becomes: `instruction`, `prompt` or `question`.
    Head(&'static str),
    /// The second part of a prompt, and the field it becomes: `input` or `context`.
    Tail(&'static str),
    /// What should be answered.
    Answer,
    /// What the model is told before everything else.
    System,
    /// Turns before the prompt, `[[user, assistant], …]`.
    History,
    /// A conversation, role and content or from and value.
    Messages,
    /// The tools offered in a conversation.
    Tools,
    /// The better of two answers.
    Chosen,
    /// The worse of two answers.
    Rejected,
    /// A document.
    Text,
    /// The row's own name.
    Id,
    /// A class.
    Category,
    /// Free words.
    Tags,
    /// Further right answers.
    References,
}

/// The plain names, in the form that [`normal`] gives.
const NAMES: &[(&str, Role)] = &[
    ("instruction", Role::Head("instruction")),
    ("指示", Role::Head("instruction")),
    ("指示文", Role::Head("instruction")),
    ("命令", Role::Head("instruction")),
    ("prompt", Role::Head("prompt")),
    ("query", Role::Head("prompt")),
    ("プロンプト", Role::Head("prompt")),
    ("question", Role::Head("question")),
    ("質問", Role::Head("question")),
    ("質問文", Role::Head("question")),
    ("質問内容", Role::Head("question")),
    ("問い", Role::Head("question")),
    ("問", Role::Head("question")),
    ("問題", Role::Head("question")),
    ("問題文", Role::Head("question")),
    ("設問", Role::Head("question")),
    ("問い合わせ", Role::Head("question")),
    ("問合せ", Role::Head("question")),
    ("お問い合わせ", Role::Head("question")),
    ("input", Role::Tail("input")),
    ("入力", Role::Tail("input")),
    ("入力文", Role::Tail("input")),
    ("context", Role::Tail("context")),
    ("文脈", Role::Tail("context")),
    ("output", Role::Answer),
    ("completion", Role::Answer),
    ("answer", Role::Answer),
    ("response", Role::Answer),
    ("回答", Role::Answer),
    ("回答文", Role::Answer),
    ("回答内容", Role::Answer),
    ("答え", Role::Answer),
    ("答", Role::Answer),
    ("解答", Role::Answer),
    ("出力", Role::Answer),
    ("出力文", Role::Answer),
    ("応答", Role::Answer),
    ("返答", Role::Answer),
    ("返信", Role::Answer),
    ("system", Role::System),
    ("system_prompt", Role::System),
    ("システム", Role::System),
    ("システムプロンプト", Role::System),
    ("history", Role::History),
    ("messages", Role::Messages),
    ("conversations", Role::Messages),
    ("conversation", Role::Messages),
    ("tools", Role::Tools),
    ("chosen", Role::Chosen),
    ("rejected", Role::Rejected),
    ("text", Role::Text),
    ("id", Role::Id),
    ("category", Role::Category),
    ("カテゴリ", Role::Category),
    ("カテゴリー", Role::Category),
    ("分類", Role::Category),
    ("tags", Role::Tags),
    ("タグ", Role::Tags),
    ("references", Role::References),
];

impl Role {
    /// The role that a column's name plainly says, if any.
    pub(super) fn of(name: &str) -> Option<Self> {
        // Most names are written as here already.
        let known = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|&(_, role)| role);
        known(name).or_else(|| known(&normal(name)))
    }

    /// The word for it on a command line and in a preview.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Head(field) | Self::Tail(field) => field,
            Self::Answer => "output",
            Self::System => "system",
            Self::History => "history",
            Self::Messages => "messages",
            Self::Tools => "tools",
            Self::Chosen => "chosen",
            Self::Rejected => "rejected",
            Self::Text => "text",
            Self::Id => "id",
            Self::Category => "category",
            Self::Tags => "tags",
            Self::References => "references",
        }
    }

    /// Whether both are for the same place of a record, which one column has.
    pub(super) fn rivals(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

fn normal(name: &str) -> String {
    let name: String = name.nfkc().flat_map(char::to_lowercase).collect();
    name.trim().replace([' ', '-'], "_")
}
