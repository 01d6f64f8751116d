//! Scoring of any lines of answers and references, without a project.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::evaluate::mecab::Mecab;
use crate::evaluate::metrics::{self, Row, RowScores};
use crate::prompt::record::kind_of;

use super::ActionError;

pub use crate::evaluate::metrics::{CorpusScores, tokens_of};

/// A family of metrics that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Exact matches.
    ExactMatch,
    /// F1 of bags of words and of characters.
    F1,
    /// Edit distances.
    Edit,
    Rouge,
    Bleu,
    Chrf,
    /// Answers that are to be JSON.
    Json,
}

impl Family {
    /// Every family, with its name.
    pub const ALL: [(&str, Self); 7] = [
        ("em", Self::ExactMatch),
        ("f1", Self::F1),
        ("edit", Self::Edit),
        ("rouge", Self::Rouge),
        ("bleu", Self::Bleu),
        ("chrf", Self::Chrf),
        ("json", Self::Json),
    ];

    /// The family of that name.
    ///
    /// # Errors
    /// When there is none; says which there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
        found.map(|(_, family)| *family).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("there is {}", names.join(", "))
        })
    }

    /// Whether a score's key or a figure's name belongs here.
    fn has(self, name: &str) -> bool {
        match self {
            Self::ExactMatch => name == "em" || name.starts_with("em_"),
            Self::F1 => name.starts_with("f1_"),
            Self::Edit => matches!(name, "lev" | "indel_ratio" | "aio_fuzz"),
            Self::Rouge => name.starts_with("rouge"),
            Self::Bleu => name.starts_with("bleu"),
            Self::Chrf => name.to_ascii_lowercase().starts_with("chrf"),
            Self::Json => name.starts_with("json"),
        }
    }
}

/// What is to be scored.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// JSON lines with `hyp`, `refs`, and perhaps `id` and `lang`.
    pub file: PathBuf,
    /// Only these; all where there is none.
    pub metrics: Vec<Family>,
    /// The folder of `MeCab`'s dictionary, where it is named.
    pub mecab: Option<PathBuf>,
}

/// Scored lines.
pub struct Scored {
    /// Of each line what it calls itself: its `id`, else its number.
    ids: Vec<Value>,
    rows: Vec<RowScores>,
    words: Option<Mecab>,
    metrics: Vec<Family>,
    /// Why there are no Japanese words, though there is Japanese.
    pub lacking: Option<String>,
}

/// Scores the lines of a file.
///
/// # Errors
/// When the file cannot be read, a line of it is not what it should be (named with its number), or the dictionary that
/// was named cannot be opened.
pub fn score(request: &Request) -> Result<Scored, ActionError> {
    let path = request.file.as_path();
    let bytes =
        std::fs::read(path).map_err(|cause| ActionError::File { action: "read", path: path.to_owned(), cause })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        refused(path, line, "it is not UTF-8 text: convert the file, for example with iconv")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty()) {
        lines.push(Line::read(line, number).map_err(|why| refused(path, number, &why))?);
    }
    let mut lacking = None;
    let words = match Mecab::find(request.mecab.as_deref()) {
        Ok(words) => Some(words),
        Err(error) if error.is_not_found() => {
            lacking = Some(error.to_string());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let asked: Vec<Row<'_>> = lines.iter().map(Line::row).collect();
    let rows = metrics::rows(&asked, words.as_ref());
    let lacking = lacking.filter(|_| rows.iter().any(|row| row.tokens.japanese));
    let ids = lines.into_iter().map(|line| line.id).collect();
    Ok(Scored { ids, rows, words, metrics: request.metrics.clone(), lacking })
}

fn refused(path: &Path, line: usize, why: &str) -> ActionError {
    ActionError::Refused(format!("{}, line {line}: {why}", path.display()))
}

/// A line of the file.
struct Line {
    id: Value,
    hyp: String,
    refs: Vec<String>,
    lang: Option<String>,
}

impl Line {
    fn read(line: &str, number: usize) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("it is not JSON: {error}"))?;
        let Value::Object(mut fields) = value else {
            return Err("it is no object; a line is {\"hyp\": \"…\", \"refs\": [\"…\"]}".to_owned());
        };
        let hyp = match fields.remove("hyp") {
            Some(Value::String(hyp)) => hyp,
            Some(other) => return Err(format!("hyp, the answer, is {} and no text", kind_of(&other))),
            None => return Err("it has no hyp, the answer".to_owned()),
        };
        let refs = match fields.remove("refs") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => references(list)?,
            Some(other) => return Err(format!("refs is {}; it is one text or a list of texts", kind_of(&other))),
            None => return Err("it has no refs, the texts that would be right".to_owned()),
        };
        if refs.is_empty() {
            return Err("refs is empty: an answer is scored against one text at least".to_owned());
        }
        let lang = match fields.remove("lang") {
            None | Some(Value::Null) => None,
            Some(Value::String(lang)) => Some(lang),
            Some(other) => return Err(format!("lang is {}; it is a code such as \"en\" or \"ja\"", kind_of(&other))),
        };
        let id = fields.remove("id").filter(|id| !id.is_null()).unwrap_or_else(|| json!(number));
        Ok(Self { id, hyp, refs, lang })
    }

    fn row(&self) -> Row<'_> {
        Row { hyp: &self.hyp, refs: self.refs.iter().map(String::as_str).collect(), lang: self.lang.as_deref() }
    }
}

/// The references of a line; one that is missing (`null`) is passed over.
fn references(list: Vec<Value>) -> Result<Vec<String>, String> {
    let mut refs = Vec::with_capacity(list.len());
    for item in list {
        match item {
            Value::String(text) => refs.push(text),
            Value::Null => {}
            other => return Err(format!("one of refs is {} and no text", kind_of(&other))),
        }
    }
    Ok(refs)
}

impl Scored {
    /// Whether a score of this name was asked for.
    #[must_use]
    pub fn is_asked(&self, name: &str) -> bool {
        self.metrics.is_empty() || self.metrics.iter().any(|family| family.has(name))
    }

    /// Each line's scores as `{"id", "scores"}`, in the order of the file.
    pub fn lines(&self) -> impl Iterator<Item = Result<Value, serde_json::Error>> {
        self.ids.iter().zip(&self.rows).map(|(id, row)| {
            let scores = self.only_asked(serde_json::to_value(row)?);
            Ok(json!({ "id": id, "scores": scores }))
        })
    }

    /// All lines together.
    #[must_use]
    pub fn corpus(&self) -> CorpusScores {
        metrics::corpus(&self.rows, self.words.as_ref())
    }

    /// All lines together, as `{"n", "bleu", "chrf", "mean", …}` with what was asked for.
    ///
    /// # Errors
    /// None that can happen: the scores have a form in JSON.
    pub fn corpus_json(&self) -> Result<Value, serde_json::Error> {
        let mut found = self.only_asked(serde_json::to_value(self.corpus())?);
        if let Some(mean) = found.get_mut("mean").and_then(Value::as_object_mut) {
            mean.retain(|name, _| self.is_asked(name));
        }
        Ok(Value::Object(found))
    }

    /// The tokens to read ROUGE and BLEU by, where all lines agree on them.
    #[must_use]
    pub fn fitting(&self) -> Option<(&'static str, &'static str)> {
        let mut notes = self.rows.iter().map(|row| (row.tokens.rouge, row.tokens.bleu));
        let first = notes.next()?;
        notes.all(|note| note == first).then_some(first)
    }

    fn only_asked(&self, scores: Value) -> Map<String, Value> {
        let Value::Object(mut fields) = scores else { return Map::new() };
        fields.retain(|name, _| matches!(name.as_str(), "n" | "mean" | "tokens") || self.is_asked(name));
        fields
    }
}
