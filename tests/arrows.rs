//! The arrows of the house: which top-level module may name which.
//!
//! Reads every source file as tokens (so comments, docs and strings do not count, and the insides of macros do), follows
//! `crate::…`, `super::…`, `self::super::…` and `togi::…` wherever they stand, in `use` or inline, and fails on an arrow that
//! is not in [`ALLOWED`]. What a module re-exports is its own: naming it is an arrow to that module.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Every module may name these two, and itself.
const EVERYWHERE: &[&str] = &["config", "text"];

/// What each module may name besides. `model::tokenizer` stands for that part of `model` and no other.
const ALLOWED: &[(&str, &[&str])] = &[
    ("lib", &[]),
    // The one thing besides: which allocator the program runs on is said in its root.
    ("main", &["cli", "bench::allocations"]),
    ("text", &[]),
    ("config", &[]),
    ("theme", &[]),
    ("keymap", &[]),
    ("evaluate", &[]),
    ("endpoint", &[]),
    ("model", &[]),
    ("project", &[]),
    ("store", &["project"]),
    ("job", &["project"]),
    ("prompt", &["model::tokenizer"]),
    ("data", &["store", "prompt"]),
    ("train", &["model", "prompt", "job"]),
    ("handoff", &["model", "prompt", "job"]),
    ("bench", &["model", "train", "job"]),
    ("worker", &["train", "model", "prompt", "job", "evaluate"]),
    (
        "actions",
        &[
            "project",
            "store",
            "data",
            "prompt",
            "model",
            "job",
            "worker",
            "evaluate",
            "endpoint",
            "handoff",
            "bench",
            "companion",
        ],
    ),
    ("companion", &["store", "prompt"]),
    ("app", &["keymap", "store", "prompt", "job", "evaluate", "data::lint", "companion"]),
    ("view", &["app", "keymap", "theme"]),
    ("terminal", &["app", "view", "keymap", "theme", "actions", "companion"]),
    ("cli", &["actions", "terminal"]),
];

/// A path to another place of the crate: where it is named, and its first two segments.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    line: usize,
    module: String,
    /// `None` where the path ends with the module, or goes on with a `*`.
    part: Option<String>,
}

impl Named {
    fn text(&self) -> String {
        self.part.as_ref().map_or_else(|| self.module.clone(), |part| format!("{}::{part}", self.module))
    }

    fn is_allowed_in(&self, from: &str) -> bool {
        let listed = ALLOWED.iter().find(|(module, _)| *module == from).map_or(&[][..], |(_, list)| list);
        self.module == from
            || EVERYWHERE.contains(&self.module.as_str())
            || listed.iter().any(|arrow| *arrow == self.module || *arrow == self.text())
    }
}

/// Returns the paths that `source`, the file of the module `file` (its path from the root of the crate), names.
fn named(source: &str, file: &[&str]) -> Vec<Named> {
    let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{}: {error}", file.join("::")));
    let mut found = Vec::new();
    let here: Vec<String> = file.iter().map(ToString::to_string).collect();
    walk(&tokens.into_iter().collect::<Vec<_>>(), &here, &mut found);
    found
}

/// Walks over the tokens of a place in the module `here`.
fn walk(tokens: &[TokenTree], here: &[String], found: &mut Vec<Named>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if word(tokens, at).as_deref() == Some("mod")
            && let (Some(name), Some(body)) = (word(tokens, at + 1), braces(tokens, at + 2))
        {
            walk(&body, &[here, &[name]].concat(), found);
            at += 3;
        } else if let TokenTree::Group(group) = token {
            walk(&group.stream().into_iter().collect::<Vec<_>>(), here, found);
            at += 1;
        } else if starts_a_path(tokens, at) {
            at = path(tokens, at, here, None, found);
        } else {
            at += 1;
        }
    }
}

/// Returns whether the word at `at` begins a path within the crate.
fn starts_a_path(tokens: &[TokenTree], at: usize) -> bool {
    // `crate as name` hides the crate behind another name, and what follows would not be seen.
    let goes_on = colons(tokens, at + 1) || word(tokens, at + 1).as_deref() == Some("as");
    goes_on && matches!(word(tokens, at).as_deref(), Some("crate" | "super" | "self" | "togi"))
}

/// Reads the path that begins at `at`, after `before` where it stands in the braces of a `use`; returns where it ends.
fn path(
    tokens: &[TokenTree],
    mut at: usize,
    here: &[String],
    before: Option<&[String]>,
    found: &mut Vec<Named>,
) -> usize {
    let line = tokens.get(at).map_or(0, |token| token.span().start().line);
    let mut segments = before.map_or_else(|| here.to_vec(), <[String]>::to_vec);
    let mut first = before.is_none();
    loop {
        match word(tokens, at).as_deref() {
            Some("crate" | "togi") if first => segments.clear(),
            Some("self") => {}
            Some("super") => {
                segments.pop();
            }
            Some(name) => segments.push(name.to_owned()),
            None => {
                if let Some(TokenTree::Group(group)) = tokens.get(at).filter(|_| is_braces(tokens, at)) {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    for item in inner.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','))
                    {
                        if !item.is_empty() {
                            path(item, 0, here, Some(&segments), found);
                        }
                    }
                    return at + 1;
                }
                // A `*`, or the `<` of a turbofish, ends it.
                break;
            }
        }
        first = false;
        at += 1;
        if !colons(tokens, at) {
            break;
        }
        at += 2;
    }
    let mut segments = segments.into_iter();
    // A path that ends at the root of the crate names all of it.
    let module = segments.next().unwrap_or_else(|| "crate".to_owned());
    found.push(Named { line, module, part: segments.next() });
    at
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(at) && colon(at + 1)
}

fn is_braces(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
}

fn braces(tokens: &[TokenTree], at: usize) -> Option<Vec<TokenTree>> {
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if is_braces(tokens, at) => Some(group.stream().into_iter().collect()),
        _ => None,
    }
}

/// A macro that `#[macro_export]` puts at the root of the crate, with the module that defines it.
struct Exported {
    name: String,
    home: Vec<String>,
}

/// Returns the macros that `source`, the file of the module `file`, exports.
fn exported(source: &str, file: &[&str]) -> Vec<Exported> {
    let tokens: Vec<TokenTree> =
        source.parse::<TokenStream>().map(|tokens| tokens.into_iter().collect()).unwrap_or_default();
    let is_export =
        |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.stream().to_string() == "macro_export");
    let marks = (0..tokens.len()).filter(|&at| is_export(&tokens[at]));
    let names = marks.filter_map(|mark| {
        let rules = (mark..tokens.len()).find(|&at| word(&tokens, at).as_deref() == Some("macro_rules"))?;
        word(&tokens, rules + 2)
    });
    names.map(|name| Exported { name, home: file.iter().map(ToString::to_string).collect() }).collect()
}

/// Returns the arrows of one file that are not allowed, in words. An exported macro counts as of the module it is from.
fn forbidden(source: &str, file: &[&str], macros: &[Exported]) -> Vec<String> {
    let from = file.first().copied().unwrap_or("lib");
    // The binary is a crate of its own: its root is `main`, and its `crate::` is not the library's.
    let here = if from == "main" { &[] } else { file };
    let at_home =
        |named: Named| match macros.iter().find(|exported| named.part.is_none() && exported.name == named.module) {
            Some(Exported { home, .. }) => {
                let mut home = home.iter().cloned();
                Named { module: home.next().unwrap_or_else(|| "crate".to_owned()), part: home.next(), ..named }
            }
            None => named,
        };
    let wrong = named(source, here).into_iter().map(at_home).filter(|named| !named.is_allowed_in(from));
    wrong.map(|named| format!("line {}: {from} names {}", named.line, named.text())).collect()
}

/// Every `.rs` file under `dir`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the sources are readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the module that the file at `path`, relative to `src`, is.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let mut module: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

#[test]
fn every_arrow_is_in_the_table() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<(PathBuf, Vec<String>, String)> = sources(&src)
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&src).unwrap().to_owned();
            let module = module_of(&relative);
            (relative, module, fs::read_to_string(&path).unwrap())
        })
        .collect();
    assert!(files.len() > 5, "no sources under {}", src.display());
    let macros: Vec<Exported> = files
        .iter()
        .flat_map(|(_, module, source)| exported(source, &module.iter().map(String::as_str).collect::<Vec<_>>()))
        .collect();
    let mut report = String::new();
    for (relative, module, source) in &files {
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        let top = module.first().copied().unwrap_or("lib");
        if !ALLOWED.iter().any(|(known, _)| *known == top) {
            let _ = writeln!(report, "src/{}: the table has no row for {top}", relative.display());
        }
        for wrong in forbidden(source, &module, &macros) {
            let _ = writeln!(report, "src/{}, {wrong}", relative.display());
        }
    }
    assert!(report.is_empty(), "arrows that the house does not have:\n{report}");
}

#[test]
fn a_wrong_arrow_is_found_wherever_it_stands() {
    for (file, source) in [
        ("model", "use crate::train::Plan;"),
        ("model::ops", "fn f() { let x = 1 + crate::train::steps(); }"),
        ("model::ops::rope", "use super::super::super::job::Job;"),
        ("model", "use crate::{text::{cut, fit}, project};"),
        ("model", "use crate::{text, project::{Project}};"),
        ("model", "mod tests { use super::*; mod deep { fn f() { super::super::super::job::open() } } }"),
        ("model", "fn f() { println!(\"{}\", crate::job::LAYOUT) }"),
        ("model", "macro_rules! m { () => { $crate::job::LAYOUT }; }"),
        ("model", "impl From<crate::job::JobError> for E {}"),
        ("model", "type T = Vec<self::super::job::Job>;"),
        ("model", "pub use crate::job as work;"),
        ("model", "use crate as all;"),
        ("model", "use crate::*;"),
        ("model", "use super::{job};"),
        ("model", "use ::togi::job;"),
        ("prompt", "use crate::model::decoder::Decoder;"),
        ("prompt", "use crate::model;"),
        ("prompt", "use crate::model::*;"),
        ("prompt", "use crate::model::{tokenizer::Tokenizer, decoder};"),
        ("actions", "use crate::train::plan::Plan;"),
        ("cli", "fn f() { crate::job::send() }"),
        ("main", "fn main() { togi::job::run() }"),
        ("brandnew", "use crate::model::Decoder;"),
    ] {
        let module: Vec<&str> = file.split("::").collect();
        assert_eq!(forbidden(source, &module, &[]).len(), 1, "{file}: {source}");
    }
}

#[test]
fn an_allowed_arrow_passes_and_words_are_no_arrows() {
    for (file, source) in [
        ("train", "use crate::model::decoder::Decoder; use crate::{job::Writer, prompt, text};"),
        ("prompt", "use crate::model::tokenizer::Tokenizer; use crate::model::{tokenizer, tokenizer::Piece};"),
        ("model::ops::rope", "use super::super::decoder; use crate::model::lora; use super::{matmul, norm::*};"),
        ("model", "pub(crate) fn f() {} pub(in crate::model) fn g() { self::f(); Self::h(); super::text::cut() }"),
        ("model", "//! Knows nothing of [`crate::train`].\n/* crate::job */ const S: &str = \"crate::job::Job\";"),
        ("model", "const C: char = '\"'; // crate::job\nfn f<'a>(s: &'a str) { r#\"crate::job\"#; b\"crate::job\"; }"),
        ("model", "mod job { pub fn f() {} } fn g() { job::f(); self::job::f(); other::job::f(); x.job() }"),
        ("model", "mod tests { use super::*; use super::decoder::Decoder; mod more { use super::super::lora; } }"),
        ("main", "fn main() { togi::cli::run() }"),
        ("cli", "use crate::actions; use crate::config::Config;"),
    ] {
        let module: Vec<&str> = file.split("::").collect();
        assert_eq!(forbidden(source, &module, &[]), [""; 0], "{file}: {source}");
    }
}

#[test]
fn an_exported_macro_is_an_arrow_to_where_it_is_defined() {
    let source = "#[macro_export]\n#[doc(hidden)]\nmacro_rules! lanes { () => {} }\nmacro_rules! own { () => {} }";
    let macros = exported(source, &["model", "ops"]);
    assert_eq!(macros.len(), 1);
    let user = "use crate::lanes;";
    assert_eq!(forbidden(user, &["train"], &macros), [""; 0]);
    assert_eq!(forbidden(user, &["job"], &macros), ["line 1: job names model::ops"]);
}

#[test]
fn a_file_is_its_module() {
    let module = |path: &str| module_of(Path::new(path)).join("::");
    assert_eq!(module("model/ops/rope.rs"), "model::ops::rope");
    assert_eq!(module("model/mod.rs"), "model");
    assert_eq!(module("lib.rs"), "");
}
