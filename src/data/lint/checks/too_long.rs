//! Records that do not fit a run's window: prompt, answer and end together, counted by the one renderer. An answer is never
//! cut, so such a record is left out of a run, or stops it. Texts are cut into windows and always fit.

use super::super::{Check, Finding, Look, Scope, Severity};
use crate::store::Content;

/// `too-long`.
pub struct TooLong;

impl Check for TooLong {
    fn name(&self) -> &'static str {
        "too-long"
    }

    fn why(&self) -> &'static str {
        "a record longer than a run's window cannot be trained on, since an answer is never cut"
    }

    fn scope(&self) -> Scope {
        Scope::Record
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let (Some(measure), Some(window)) = (look.measure, look.index.settings().max_length) else { return Vec::new() };
        if matches!(look.record.state.content, Content::Text { .. }) {
            return Vec::new();
        }
        let length = measure.length(look.record).filter(|length| *length > window);
        let reason = |length| format!("{length} tokens with the end, and a run reads {window}");
        length.map(|length| look.finding(self.name(), Severity::Warning, reason(length))).into_iter().collect()
    }
}
