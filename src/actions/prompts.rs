//! Versions of the prompt template: files under `prompts/`, of which `togi.toml` names the one in use.
//!
//! A version that exists is not written over by another text: saving makes a new one, so what a run was trained with and what was tried
//! last week is still there. A text that is being written is kept beside its version as a draft until it is saved.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::{ActionError, Context, read_template};
use crate::data::view::rendered;
use crate::project::durable;
use crate::prompt::template::Template;
use crate::store::Store;

/// The ending of a template's file.
const ENDING: &str = "jinja";
/// The ending of a text that is not saved yet.
const DRAFT: &str = "draft";
/// The file of the examples that the pane chooses.
const EXAMPLES: &str = "examples.jsonl";

/// A version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The file's name without its ending.
    pub name: String,
    /// What it says.
    pub text: String,
    /// What was written in it and not saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
    /// Whether the project uses it.
    pub used: bool,
}

/// The versions there are, by name, and the records shown as examples before every question, as far as they are records of the
/// project.
///
/// # Errors
/// When a file cannot be read.
pub fn versions(context: &Context) -> Result<Vec<Version>, ActionError> {
    let used = context.project.prompt().template.clone();
    let mut paths = files(context, ENDING)?;
    // The template in use may lie elsewhere.
    paths.extend(used.iter().filter(|used| used.is_file()).cloned());
    paths.sort();
    paths.dedup();
    let version = |path: &PathBuf| {
        Ok(Version {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            text: read_template(path)?,
            draft: std::fs::read_to_string(path.with_extension(DRAFT)).ok(),
            used: used.as_ref() == Some(path),
        })
    };
    let mut versions: Vec<Version> = paths.iter().map(version).collect::<Result<_, ActionError>>()?;
    versions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(versions)
}

/// The files of the prompts' folder with an ending.
fn files(context: &Context, ending: &str) -> Result<Vec<PathBuf>, ActionError> {
    let folder = context.project.prompts_dir();
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(ActionError::File { action: "read the folder", path: folder, cause }),
    };
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    Ok(paths)
}

/// Texts that were written and never saved as a version, by name: each with its draft and no text of its own.
///
/// # Errors
/// When the folder cannot be read.
pub fn unsaved(context: &Context) -> Result<Vec<Version>, ActionError> {
    let drafts = files(context, DRAFT)?.into_iter().filter(|path| !path.with_extension(ENDING).exists());
    let version = |path: PathBuf| {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        let draft = std::fs::read_to_string(&path).ok()?;
        Some(Version { name, text: String::new(), draft: Some(draft), used: false })
    };
    Ok(drafts.filter_map(version).collect())
}

fn path(context: &Context, name: &str) -> Result<PathBuf, ActionError> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if !plain {
        return Err(ActionError::Refused(format!("{name:?} cannot be a template's name: it is part of a file's name")));
    }
    Ok(context.project.prompts_dir().join(format!("{name}.{ENDING}")))
}

/// Saves a text as a version and returns its name: `name`, or, where that is there with another text, the first of `name-2`,
/// `name-3`, … that is free. The draft of `name` goes. A text that does not parse is not saved.
///
/// # Errors
/// With the line where it does not parse, or when a file cannot be written.
pub fn save(context: &Context, name: &str, text: &str) -> Result<String, ActionError> {
    Template::fields(text).map_err(|error| ActionError::Refused(error.to_string()))?;
    let base = path(context, name)?;
    // to-do-2 is followed by to-do-3, not by to-do-2-2.
    let stem = match name.rsplit_once('-') {
        Some((stem, number)) if !stem.is_empty() && number.parse::<u32>().is_ok() => stem,
        _ => name,
    };
    let mut count = 1;
    let mut chosen = (name.to_owned(), base.clone());
    while chosen.1.exists() && read_template(&chosen.1)? != text {
        count += 1;
        let next = format!("{stem}-{count}");
        chosen = (next.clone(), path(context, &next)?);
    }
    write(&chosen.1, &format!("{text}\n"))?;
    let _ = std::fs::remove_file(base.with_extension(DRAFT));
    Ok(chosen.0)
}

/// Keeps what is being written in a version; nothing where it is the version's own text, or none at all of a version that is not there.
///
/// # Errors
/// When the file cannot be written.
pub fn keep_draft(context: &Context, name: &str, text: &str) -> Result<(), ActionError> {
    let path = path(context, name)?;
    let draft = path.with_extension(DRAFT);
    let own = if path.exists() { read_template(&path)? } else { String::new() };
    if own == text {
        let _ = std::fs::remove_file(draft);
        return Ok(());
    }
    write(&draft, text)
}

/// Makes a version the one that the project uses from now on.
///
/// # Errors
/// When there is none of that name or `togi.toml` cannot be written.
pub fn choose(context: &mut Context, name: &str) -> Result<(), ActionError> {
    let path = path(context, name)?;
    if !path.is_file() {
        let names: Vec<String> = versions(context)?.into_iter().map(|version| version.name).collect();
        return Err(ActionError::Refused(format!("there is no template {name}; there are {}", names.join(", "))));
    }
    context.project.set("prompt", "template", format!("prompts/{name}.{ENDING}"))?;
    Ok(())
}

/// Shows these gold records as examples before every question (none: no examples).
///
/// # Errors
/// When a record has no answer, or a file cannot be written.
pub fn set_examples(context: &mut Context, store: &Store, ids: &[i64]) -> Result<(), ActionError> {
    let mut lines = String::new();
    for id in ids {
        let record = store.get(*id)?;
        let one = rendered(&record);
        let Some(answer) = one.answer().filter(|answer| !answer.trim().is_empty()) else {
            return Err(ActionError::Refused(format!("record {id} has no answer to show")));
        };
        let crate::prompt::Kind::Pair { fields, .. } = &one.kind else {
            return Err(ActionError::Refused(format!("record {id} is no pair: only pairs are shown as examples")));
        };
        let mut line = fields.clone();
        line.insert("output".into(), answer.into());
        line.insert("id".into(), id.to_string().into());
        lines.push_str(&serde_json::Value::Object(line).to_string());
        lines.push('\n');
    }
    let file = context.project.prompts_dir().join(EXAMPLES);
    write(&file, &lines)?;
    context.project.set("prompt", "examples", format!("prompts/{EXAMPLES}"))?;
    Ok(())
}

/// The project's records among the examples, by number.
///
/// # Errors
/// When the file of the examples cannot be read.
pub fn examples(context: &Context) -> Result<Vec<i64>, ActionError> {
    Ok(context.prompt()?.examples.iter().filter_map(|example| example.id.parse().ok()).collect())
}

fn write(path: &Path, text: &str) -> Result<(), ActionError> {
    let refused = |error: durable::FileError| ActionError::Refused(error.to_string());
    durable::create_dir_all(durable::parent(path)).map_err(refused)?;
    durable::write(path, text.as_bytes()).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{ModelRef, Project};

    fn context(dir: &Path) -> Context {
        Project::init(dir, &ModelRef::parse("somebody/model")).unwrap();
        Context::find(dir, None).unwrap()
    }

    #[test]
    fn saving_never_writes_over_another_version() {
        let dir = tempfile::tempdir().unwrap();
        let mut context = context(dir.path());
        assert_eq!(save(&context, "short", "{{ question }}").unwrap(), "short");
        assert_eq!(save(&context, "short", "{{ question }}").unwrap(), "short", "the same text is the same version");
        assert_eq!(save(&context, "short", "Q: {{ question }}").unwrap(), "short-2");
        assert_eq!(save(&context, "short-2", "質問: {{ question }}").unwrap(), "short-3");
        choose(&mut context, "short-2").unwrap();
        let all = versions(&context).unwrap();
        let told: Vec<(&str, bool)> = all.iter().map(|version| (version.name.as_str(), version.used)).collect();
        assert_eq!(told, [("short", false), ("short-2", true), ("short-3", false)]);
        assert_eq!(context.prompt().unwrap().template.as_deref(), Some("Q: {{ question }}"));
    }

    #[test]
    fn a_text_that_does_not_parse_is_kept_as_a_draft_and_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        save(&context, "short", "{{ question }}").unwrap();
        let broken = "one\n{% if x %}\nthree";
        let why = save(&context, "short", broken).unwrap_err().to_string();
        assert!(why.contains("line"), "{why}");
        keep_draft(&context, "short", broken).unwrap();
        let version = versions(&context).unwrap().remove(0);
        assert_eq!((version.text.as_str(), version.draft.as_deref()), ("{{ question }}", Some(broken)));
        keep_draft(&context, "short", "{{ question }}").unwrap();
        assert_eq!(versions(&context).unwrap()[0].draft, None, "back to its own text: nothing to keep");
        // What was never saved is there again when the workbench is opened again.
        keep_draft(&context, "first", "{{ x").unwrap();
        let first = Version { name: "first".into(), text: String::new(), draft: Some("{{ x".into()), used: false };
        assert_eq!((unsaved(&context).unwrap(), versions(&context).unwrap().len()), (vec![first], 1));
        save(&context, "first", "{{ x }}").unwrap();
        assert_eq!(unsaved(&context).unwrap(), []);
        keep_draft(&context, "second", "x").unwrap();
        keep_draft(&context, "second", "").unwrap();
        assert_eq!(unsaved(&context).unwrap(), [], "nothing is no text");
        for name in ["", "../x", "a/b", ".x"] {
            assert!(save(&context, name, "x").is_err(), "{name:?}");
        }
    }
}
