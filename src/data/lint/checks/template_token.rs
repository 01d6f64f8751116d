//! Tokens and headings of chat formats in what people wrote: left behind by a broken export, they teach a model to print
//! them, and its own end token inside an answer teaches it to stop there.
//!
//! Besides the model's own tokens, those of `ChatML`, Llama 2 and 3, Gemma, Mistral, Phi, `DeepSeek`, Alpaca and rinna are
//! known.
//! Labels of speakers (`Assistant:`, `システム:`) count only at the very beginning of an answer.

use std::sync::LazyLock;

use regex::Regex;

use super::super::{Check, Finding, Look, Scope, Severity};
use crate::data::view::{Role, replace};
use crate::store::State;

/// `template-token`.
pub struct TemplateToken;

static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"<\|[A-Za-z][A-Za-z0-9_▁\-]{0,40}\|>|<｜[^｜\s]{1,40}｜>|</?s>|\[/?INST\]|<</?SYS>>",
        r"|</?(?:start_of_turn|end_of_turn|bos|eos|pad|unk)>|<NL>|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]",
        r"|(?m:^###\s?(?:Response|Instruction|Input|Human|Assistant|User|System|応答|指示|入力|回答)\s*[:：])",
    ))
    .ok()
});

/// A speaker's label at the beginning of an answer.
static LABEL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:(?i:assistant|system|user|human|bot|ai)|ASSISTANT|システム|ユーザー|アシスタント)\s*[:：]").ok()
});

/// What stands at the ends of an answer and can go: tokens, the role behind an opening one, a heading, a label.
static LEADING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^\s*(?:(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>)(?:assistant|model)?(?:<\|end_header_id\|>)?",
        r"|</?s>|<bos>|\[/INST\]|<NL>|<\|assistant\|>|###\s?(?:Response|Assistant|応答|回答)\s*[:：]",
        r"|(?:(?i:assistant)|システム|アシスタント)\s*[:：])\s*",
    ))
    .ok()
});
static TRAILING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\s*(?:<\|(?:im_end|endoftext|eot_id|end|end_of_text|eom_id|im_start)\|>|</s>|<eos>|<end_of_turn>|<NL>)\s*$",
    )
    .ok()
});

/// Where the first known token of a text stands, or, of an answer, a speaker's label at its beginning.
pub(in crate::data::lint) fn first(text: &str, role: Role) -> Option<(usize, usize, &'static str)> {
    if let Some(token) = TOKENS.as_ref()?.find(text) {
        return Some((token.start(), token.end(), "belongs to a chat format, not to a text"));
    }
    let label = LABEL.as_ref()?.find(text).filter(|_| role == Role::Answer)?;
    Some((label.start(), label.end(), "is a speaker's label and no part of the answer"))
}

impl Check for TemplateToken {
    fn name(&self) -> &'static str {
        "template-token"
    }

    fn why(&self) -> &'static str {
        "tokens of a chat format inside a text end answers early or teach the model to write them"
    }

    fn scope(&self) -> Scope {
        Scope::Record
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        let ends = look.measure.map(super::super::Measure::ends).unwrap_or_default();
        let special = look.measure.map(super::super::Measure::special).unwrap_or_default();
        for part in look.parts.iter().filter(|part| part.role.is_asked() || part.role.is_learned()) {
            let text = part.text.as_ref();
            let mut hit = |severity, start: usize, end: usize, reason: String| {
                found.push(look.finding(self.name(), severity, reason).at(part, start, end));
            };
            if part.role.is_learned()
                && let Some((at, end)) = ends.iter().find_map(|end| Some((text.find(end.as_str())?, end)))
            {
                let reason = format!("{end} ends this model's answers, and stands inside this one");
                hit(Severity::Error, at, at + end.len(), reason);
                continue;
            }
            let own = special.iter().filter(|token| token.len() > 2 && !token.trim().is_empty());
            let own = own.filter_map(|token| Some((text.find(token.as_str())?, token))).min();
            if let Some((at, token)) = own {
                hit(Severity::Warning, at, at + token.len(), format!("{token} is a token of this model's own format"));
                continue;
            }
            if let Some((start, end, why)) = first(text, part.role) {
                let token = text.get(start..end).unwrap_or_default().trim();
                hit(Severity::Warning, start, end, format!("{token} {why}"));
            }
        }
        found
    }

    /// Takes tokens away from the ends of an answer. Those in the middle are a person's to judge.
    fn fixes(&self) -> bool {
        true
    }

    fn fix(&self, state: &State, finding: &Finding) -> Option<State> {
        let field = &finding.span.as_ref()?.field;
        let parts = crate::data::view::parts(&state.content, None);
        let part = parts.iter().find(|part| part.field == *field && part.role.is_learned())?;
        let mut text = part.text.as_ref();
        loop {
            let start = LEADING.as_ref()?.find(text).map_or(0, |token| token.end());
            let rest = text.get(start..)?;
            let end = TRAILING.as_ref()?.find(rest).map_or(rest.len(), |token| token.start());
            let inner = rest.get(..end)?;
            if inner.len() == text.len() {
                break;
            }
            text = inner;
        }
        let text = (text.len() < part.text.len() && !text.trim().is_empty()).then(|| text.to_owned())?;
        let mut fixed = state.clone();
        replace(&mut fixed, field, text).then_some(fixed)
    }
}
