//! An answer that is no JSON list or object where nine in ten of the same instruction's are.

use super::super::index::Said;
use super::super::{Check, Finding, Look, Scope, Severity};
use crate::data::view::Role;

/// `invalid-json`.
pub struct InvalidJson;

impl Check for InvalidJson {
    fn name(&self) -> &'static str {
        "invalid-json"
    }

    fn why(&self) -> &'static str {
        "one broken answer among JSON teaches the model to break off, and whatever reads its answers fails"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let group = look.index.group(look.facts);
        let expected = group.wants_json();
        let Some(part) = look.answer().filter(|part| expected && part.role == Role::Answer) else { return Vec::new() };
        if look.facts.json || look.facts.said != Said::Something {
            return Vec::new();
        }
        let why = match serde_json::from_str::<serde::de::IgnoredAny>(part.text.trim()) {
            Ok(_) => "it is no list and no object".to_owned(),
            Err(error) => error.to_string(),
        };
        let reason = format!("the answer is no JSON as the others are: {why}");
        vec![look.finding(self.name(), Severity::Error, reason).over(part)]
    }
}
