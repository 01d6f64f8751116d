//! HTML tags and entities, and placeholders that nobody filled in, in answers where the others have none.
//!
//! Where a tenth of the answers to an instruction have them, or the prompt has, they are the task's own.

use std::sync::LazyLock;

use regex::Regex;

use super::super::{Check, Finding, Look, Scope, Severity};
use crate::data::view::{Role, parts, replace};
use crate::store::State;

/// `markup`.
pub struct Markup;

static KINDS: LazyLock<[(&str, Option<Regex>); 3]> = LazyLock::new(|| {
    let tag = concat!(
        r"(?i)</?(?:a|abbr|article|b|blockquote|body|br|button|center|code|dd|div|dl|dt|em|font|footer|form|h[1-6]|head|header",
        r"|hr|html|i|iframe|img|input|label|li|link|main|meta|nav|ol|option|p|pre|script|section|select|small|span|strong",
        r"|style|sub|sup|table|tbody|td|textarea|tfoot|th|thead|title|tr|u|ul|video)(?:\s[^<>]{0,300})?/?>",
    );
    let entity = r"&(?:nbsp|amp|lt|gt|quot|apos|hellip|mdash|ndash|lsquo|rsquo|ldquo|rdquo|copy|yen|#[0-9]{2,6}|#[xX][0-9a-fA-F]{2,6});";
    let placeholder = concat!(
        r"\{\{[^{}\n]{1,60}\}\}|\$\{[A-Za-z_][A-Za-z0-9_ .]{0,40}\}|\[[A-Z]{2,}(?:[ _][A-Z]+)*\]",
        r"|\[(?i:(?:your|insert|enter|customer|company|user)[ _][^\[\]\n]{1,40})\]|<(?:YOUR|INSERT|NAME|CUSTOMER|COMPANY)[A-Z _]*>",
        r"|【(?:氏名|名前|会社名|日付|ここに[^】\n]{0,20})】|[○〇●]{2,}(?:様|さん|株式会社|会社|県|市)|(?-u:\b)TODO(?-u:\b)\s*[:：]|(?-u:\b)FIXME(?-u:\b)|(?i:(?-u:\b)lorem ipsum(?-u:\b))",
    );
    [
        ("an HTML tag", Regex::new(tag).ok()),
        ("an HTML entity", Regex::new(entity).ok()),
        ("a placeholder that nobody filled in", Regex::new(placeholder).ok()),
    ]
});

/// Whether a text has tags, entities, placeholders.
pub(in crate::data::lint) fn kinds(text: &str) -> [bool; 3] {
    if !text.contains(['<', '&', '{', '[', '【', '○', '〇', '●', 'T', 'F', 'l', 'L']) {
        return [false; 3];
    }
    KINDS.each_ref().map(|(_, kind)| kind.as_ref().is_some_and(|kind| kind.is_match(text)))
}

impl Check for Markup {
    fn name(&self) -> &'static str {
        "markup"
    }

    fn why(&self) -> &'static str {
        "left-over markup and unfilled placeholders are learned as part of the answer"
    }

    fn scope(&self) -> Scope {
        Scope::Across
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let Some(part) = look.answer().filter(|part| part.role == Role::Answer) else { return Vec::new() };
        let group = look.index.group(look.facts);
        let mut found = Vec::new();
        for ((has, count), (what, kind)) in look.facts.markup.iter().zip(group.markup).zip(KINDS.iter()) {
            let Some(kind) = kind.as_ref().filter(|_| *has) else { continue };
            let usual = group.is_usual(count);
            let asked = look.parts.iter().any(|part| part.role.is_asked() && kind.is_match(&part.text));
            if let Some(hit) = kind.find(&part.text).filter(|_| !usual && !asked) {
                let reason = format!("{} is {what}, and the other answers have none", hit.as_str().trim());
                found.push(look.finding(self.name(), Severity::Warning, reason).at(part, hit.start(), hit.end()));
            }
        }
        found
    }

    /// Writes entities out where there are no tags; `&nbsp;` becomes a space.
    fn fixes(&self) -> bool {
        true
    }

    fn fix(&self, state: &State, finding: &Finding) -> Option<State> {
        let field = &finding.span.as_ref()?.field;
        let parts = parts(&state.content, None);
        let part = parts.iter().find(|part| part.field == *field)?;
        let [tag, entity, _] = kinds(&part.text);
        if tag || !entity {
            return None;
        }
        let text = KINDS[1].1.as_ref()?.replace_all(&part.text, |found: &regex::Captures<'_>| {
            let entity = found.get(0).map_or("", |all| all.as_str());
            meant(entity).unwrap_or_else(|| entity.to_owned())
        });
        let text = (text != part.text).then(|| text.into_owned())?;
        let mut fixed = state.clone();
        replace(&mut fixed, field, text).then_some(fixed)
    }
}

/// The character that an entity stands for.
fn meant(entity: &str) -> Option<String> {
    let name = entity.strip_prefix('&')?.strip_suffix(';')?;
    let c = match name {
        "nbsp" => ' ',
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "hellip" => '…',
        "mdash" => '—',
        "ndash" => '–',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "copy" => '©',
        "yen" => '¥',
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
            char::from_u32(hex.unwrap_or_else(|| number.parse()).ok()?).filter(|c| !c.is_control())?
        }
    };
    Some(c.to_string())
}
