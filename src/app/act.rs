//! What is done to records, and what came of it.

use super::{Conflict, Split, Status};

/// One thing that is done to records, through the verb's own action.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Accept as gold.
    Accept,
    /// Reject for a reason.
    Reject(String),
    /// Set the category; empty for none.
    Category(String),
    /// Set the split.
    Split(Option<Split>),
    /// Say who is to work on it; empty for nobody.
    Assign(String),
    /// Set the status.
    Status(Status),
}

impl Act {
    /// What is done, as in "accept 3 records".
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Accept => "accept".into(),
            Self::Reject(why) if why.is_empty() => "reject".into(),
            Self::Reject(why) => format!("reject ({why})"),
            Self::Category(name) if name.is_empty() => "take the category from".into(),
            Self::Category(name) => format!("give the category {name} to"),
            Self::Split(None) => "take the split from".into(),
            Self::Split(Some(split)) => format!("give the split {split} to"),
            Self::Assign(name) if name.is_empty() => "free".into(),
            Self::Assign(name) => format!("assign to {name}"),
            Self::Status(status) => format!("put back as {status}"),
        }
    }

    /// Whether the person goes on to the next record after it.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::Accept | Self::Reject(_))
    }
}

/// What was done to records.
#[derive(Clone, Debug, PartialEq)]
pub struct Acted {
    /// In words: "accepted 412".
    pub words: String,
    /// Records that changed.
    pub changed: Vec<i64>,
    /// Records that could not be, and why.
    pub refused: Vec<(i64, String)>,
    /// Texts that met a newer one.
    pub conflicts: Vec<Conflict>,
    /// Whether it is to be told even where nothing went wrong.
    pub tell: bool,
}
