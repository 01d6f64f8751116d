//! No answer, white space, and fillers.
//!
//! `TODO` and `???` are never an answer. `N/A`, `none`, `なし` can be one: they are alarmed where others with the same
//! instruction answer otherwise, hardly any with this one, and the prompt does not offer it.

use super::super::group::OWN;
use super::super::index::Said;
use super::super::{Check, Finding, Look, Scope, Severity};
use crate::data::view::Role;
use crate::store::Status;

/// Share of an instruction's answers from which a filler is a label of the task.
const LABEL: f64 = 0.03;

/// How sure it is that an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// Nobody means it.
    Sure,
    /// Some tasks mean it.
    Perhaps,
}

/// `empty`.
pub struct Empty;

/// Whether a whole answer is a filler.
pub(in crate::data::lint) fn filler(answer: &str) -> Option<Filler> {
    const SURE: [&str; 16] = [
        "todo",
        "tbd",
        "tba",
        "tbc",
        "fixme",
        "xxx",
        "xxxx",
        "placeholder",
        "未定",
        "未記入",
        "未入力",
        "後で書く",
        "あとで書く",
        "記入してください",
        "テスト",
        "要確認",
    ];
    const PERHAPS: [&str; 17] = [
        "n/a",
        "na",
        "n.a",
        "none",
        "null",
        "nil",
        "nan",
        "nothing",
        "unknown",
        "empty",
        "なし",
        "無し",
        "特になし",
        "該当なし",
        "不明",
        "ない",
        "わからない",
    ];
    /// Longest of them, in bytes.
    const LONGEST: usize = 40;
    let answer = answer.trim();
    if answer.is_empty() || answer.len() > LONGEST {
        return None;
    }
    if !answer.chars().any(char::is_alphanumeric) {
        // Question marks, dots and dashes; an emoji or an operator is an answer.
        let marks = answer.chars().all(|c| "?？.．。…・-－ー―_*＊~〜 　".contains(c));
        return marks.then_some(Filler::Sure);
    }
    let plain = answer.to_lowercase();
    let plain = plain.trim_matches([
        '.', '。', '(', ')', '[', ']', '<', '>', '（', '）', '【', '】', '!', '！', ' ', '-', '"', '「', '」',
    ]);
    if SURE.contains(&plain) {
        return Some(Filler::Sure);
    }
    PERHAPS.contains(&plain).then_some(Filler::Perhaps)
}

impl Check for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }

    fn why(&self) -> &'static str {
        "a record without an answer teaches the model to say nothing"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let accepted = look.record.state.status == Status::Gold;
        let severity = if accepted { Severity::Error } else { Severity::Warning };
        let group = look.index.group(look.facts);
        match look.facts.said {
            // A set that is still to be answered is work, not a fault.
            Said::Nothing if !accepted && group.answered * 2 < group.records => Vec::new(),
            Said::Nothing => vec![look.finding(self.name(), severity, "there is no answer")],
            Said::Blank => {
                let finding = look.finding(self.name(), severity, "the answer is nothing but white space");
                vec![match look.answer() {
                    Some(part) => finding.over(part),
                    None => finding,
                }]
            }
            Said::Something => self.filled(look, severity).into_iter().collect(),
        }
    }
}

impl Empty {
    fn filled(&self, look: &Look<'_>, severity: Severity) -> Option<Finding> {
        let sure = look.facts.filler?;
        let part = look.answer().filter(|part| part.role == Role::Answer)?;
        let answer = part.text.trim();
        let group = look.index.group(look.facts);
        let alike = look.facts.answer.and_then(|answer| group.answers.get(&answer)).copied().unwrap_or(0);
        let rare = group.share(alike) <= LABEL || alike <= 1;
        let offered = look.parts.iter().any(|part| part.role.is_asked() && part.text.contains(answer));
        // A few records do not show what else could be answered.
        if sure == Filler::Perhaps && (!rare || offered || group.answered < OWN) {
            return None;
        }
        Some(look.finding(self.name(), severity, format!("\"{answer}\" stands in for an answer")).over(part))
    }
}
