//! Runs the Jinja templates that Hugging Face models carry, and a project's own, the way Python's jinja2 runs them.
//!
//! Owns the minijinja environment and everything that makes it agree with `transformers.apply_chat_template`:
//! `trim_blocks` and `lstrip_blocks`, Python's string methods, `raise_exception`, `strftime_now`, a `tojson` that is
//! `json.dumps`, values printed as Python prints them, CRLF read as LF, loop controls, and `{% generation %}` blocks,
//! which are rewritten to call blocks so that they also yield the character ranges of the assistant's turns.
//!
//! A template comes with a model and is untrusted: it can read no file, its steps, its recursion and its
//! output are bounded. `strftime_now` gives the moment the template was read, not the moment of each call, so that all
//! rows of a run carry one date. Knows nothing of records, tokens or masks.

mod python;

use std::fmt::Write as _;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};

/// Instructions one rendering may take. The longest chat template seen takes about 2,000 for ten messages.
const FUEL: u64 = 5_000_000;
/// Depth of macros, includes and call blocks.
const RECURSION: usize = 100;
/// Bytes one rendering may write.
const OUTPUT: usize = 64 << 20;
/// Open and close an assistant's turn in the raw output; noncharacters, removed from the text again.
const MARKS: [char; 2] = ['\u{FDD0}', '\u{FDD1}'];
/// The variable that says whether assistant's turns are marked.
const MARKED: &str = "togi_marked";
const NAME: &str = "template";

/// Why a template could not be read or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}: {reason}", line.map(|l| format!(", line {l}")).unwrap_or_default())]
pub struct TemplateError {
    /// Which template, in words: "the model's chat template".
    pub what: String,
    /// Line in the template, from 1, where known.
    pub line: Option<usize>,
    /// What went wrong; the template's own words when it called `raise_exception`.
    pub reason: String,
}

/// A rendered text and the byte ranges of its `{% generation %}` blocks, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The text.
    pub text: String,
    /// Byte ranges of `text` written inside `{% generation %}` blocks.
    pub generations: Vec<Range<usize>>,
}

/// A template that parsed.
#[derive(Debug)]
pub struct Template {
    what: String,
    environment: Environment<'static>,
}

impl Template {
    /// Reads a model's chat template: missing variables are empty, one final newline is dropped, as in jinja2.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn chat(source: &str) -> Result<Self, TemplateError> {
        Self::read("the chat template", source, UndefinedBehavior::Lenient, false)
    }

    /// Reads a project's own template over a record's fields: printing a missing field is an error (asking for it with
    /// `{% if field %}` is not), and a final newline stays, because what follows it is the answer.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn fields(source: &str) -> Result<Self, TemplateError> {
        Self::read("the prompt template", source, UndefinedBehavior::SemiStrict, true)
    }

    fn read(what: &str, source: &str, undefined: UndefinedBehavior, keep_newline: bool) -> Result<Self, TemplateError> {
        let now = jiff::Zoned::now();
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(keep_newline)
            .build()
            .map_err(|e| describe(what, &e))?;
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(undefined);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_recursion_limit(RECURSION);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(|out, state, value| {
            let strict = state.undefined_behavior() != UndefinedBehavior::Lenient;
            if value.is_undefined() && strict {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            out.write_str(&python::text_of(value)).map_err(Error::from)
        });
        environment.add_filter("tojson", python::tojson);
        environment.add_filter("string", |value: Value| python::text_of(&value));
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", move |format: String| -> Result<String, Error> {
            jiff::fmt::strtime::format(format.as_str(), &now)
                .map_err(|e| Error::new(ErrorKind::InvalidOperation, format!("strftime_now(\"{format}\"): {e}")))
        });
        environment.add_function("togi_generation", generation);
        let source = open_generation(&source.replace("\r\n", "\n"));
        environment.add_template_owned(NAME, source).map_err(|e| describe(what, &e))?;
        Ok(Self { what: what.to_owned(), environment })
    }

    /// The names the template takes from outside, its loops' and its own left out, sorted.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let Ok(template) = self.environment.get_template(NAME) else { return Vec::new() };
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        names.retain(|name| !globals.contains(&name.as_str()));
        names.sort();
        names
    }

    /// Renders over `context`, an object of variables.
    ///
    /// # Errors
    /// When the template refuses (`raise_exception`), uses what it was not given, or passes its bounds.
    pub fn render(&self, context: &serde_json::Map<String, serde_json::Value>) -> Result<Output, TemplateError> {
        let fail = |e: &Error| describe(&self.what, e);
        let template = self.environment.get_template(NAME).map_err(|e| fail(&e))?;
        // Data that holds the marks itself is rendered without them.
        let marked = !serde_json::to_string(context).unwrap_or_default().contains(MARKS);
        let mut context = context.clone();
        context.insert(MARKED.to_owned(), serde_json::Value::Bool(marked));
        let mut bounded = Bounded(Vec::new());
        template.render_captured_to(Value::from(Serde(context)), &mut bounded).map_err(|e| fail(&e))?;
        let raw = String::from_utf8(bounded.0).map_err(|e| TemplateError {
            what: self.what.clone(),
            line: None,
            reason: e.to_string(),
        })?;
        Ok(if marked { split_marks(&raw) } else { Output { text: raw, generations: Vec::new() } })
    }
}

/// A buffer that refuses to grow over [`OUTPUT`].
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT {
            return Err(std::io::Error::other(format!("the template writes more than {OUTPUT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Marks what an assistant's block wrote, unless the data itself holds the marks.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands keyword arguments over by value")]
fn generation(state: &mut State, options: Kwargs) -> Result<Value, Error> {
    let caller: Value = options.get("caller")?;
    let text = python::text_of(&caller.call(state, &[])?);
    let [open, close] = MARKS;
    let marked = state.lookup(MARKED).is_some_and(|v| v.is_true());
    Ok(Value::from(if marked { format!("{open}{text}{close}") } else { text }))
}

/// Takes the marks out of a rendering and keeps where they were.
fn split_marks(raw: &str) -> Output {
    let mut output = Output { text: String::with_capacity(raw.len()), generations: Vec::new() };
    let mut start = None;
    for c in raw.chars() {
        if c == MARKS[0] {
            start = Some(output.text.len());
        } else if c == MARKS[1] {
            if let Some(start) = start.take() {
                output.generations.push(start..output.text.len());
            }
        } else {
            output.text.push(c);
        }
    }
    output
}

/// Rewrites `{% generation %}` and `{% endgeneration %}` (any white-space control) to a call block.
fn open_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{%") {
        out.push_str(before);
        let Some((inside, next)) = after.split_once("%}") else {
            out.push_str("{%");
            rest = after;
            continue;
        };
        let signs = ['-', '+'];
        let word = inside.trim_start_matches(signs).trim_end_matches(signs).trim();
        let new = match word {
            "generation" => "call togi_generation()",
            "endgeneration" => "endcall",
            _ => {
                out.push_str("{%");
                rest = after;
                continue;
            }
        };
        let _ = write!(out, "{{%{}%}}", inside.replace(word, new));
        rest = next;
    }
    out.push_str(rest);
    out
}

fn describe(what: &str, error: &Error) -> TemplateError {
    let mut reason = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("it takes more than {FUEL} steps; it may never end"),
        (ErrorKind::UndefinedError, None) => "it prints a value that is not there".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    let mut line = error.line();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<Error>() {
            line = line.or(inner.line());
            if let Some(detail) = inner.detail() {
                detail.clone_into(&mut reason);
            }
        } else {
            reason = inner.to_string();
        }
        source = inner.source();
    }
    TemplateError { what: what.to_owned(), line, reason }
}

#[cfg(test)]
mod tests;
