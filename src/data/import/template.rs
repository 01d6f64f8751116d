//! `template.json` beside a `train.jsonl`, as `SageMaker` JumpStart has it: which of the row's free fields is the answer.

use std::path::Path;

use serde_json::Value;

/// What a template says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    /// The prompt with `{field}` where fields go.
    pub(super) prompt: String,
    /// The fields that the prompt names.
    pub(super) fields: Vec<String>,
    /// The field that the completion names.
    pub(super) answer: String,
}

/// Reads the template beside a file; `None` where there is none.
///
/// # Errors
/// When there is one whose answer is not just one field, in plain words.
pub(super) fn beside(path: &Path) -> Option<Result<Template, String>> {
    let bytes = std::fs::read(path.with_file_name("template.json")).ok()?;
    let template: Value = serde_json::from_slice(&bytes).ok()?;
    let prompt = template.get("prompt")?.as_str()?.to_owned();
    let completion = template.get("completion")?.as_str()?;
    let names = placeholders(completion);
    Some(match names.as_slice() {
        [answer] if completion.trim() == format!("{{{answer}}}") => {
            Ok(Template { fields: placeholders(&prompt), prompt, answer: answer.clone() })
        }
        _ => Err(format!(
            "the completion of template.json, {completion:?}, is more than one field, and an answer is one"
        )),
    })
}

/// The names in braces, each once.
fn placeholders(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in text.split('{').skip(1) {
        if let Some((name, _)) = part.split_once('}')
            && !name.is_empty()
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}
