//! What `togi eval` and `togi errors` print of evaluations that are stored or run: test sets, jobs, a row.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use color_eyre::eyre::Result;

use super::output::{self, say};
use super::progress;
use crate::actions::Context;
use crate::actions::evaluation::Request;
use crate::actions::evaluation::background::{self, Evaluation};
use crate::actions::evaluation::browse::{self, Shown};
use crate::actions::runs;
use crate::text;

/// Starts an evaluation in the background and says what was begun.
pub fn begin(context: &mut Context, request: &Request, json: bool) -> Result<ExitCode> {
    let spinner = progress::spinner("reading model and data");
    let begun = background::start(context, request, &mut progress::download(&spinner));
    spinner.finish_and_clear();
    let begun = begun?;
    if json {
        output::json(&begun)?;
    } else {
        begun.notes.iter().for_each(|note| say!("{note}"));
        say!(
            "evaluation {}: {} answer {} rows; togi eval --jobs tells how it stands, --test {} --stored reports",
            begun.evaluation,
            begun.systems.join(", "),
            text::count(begun.rows as u64),
            begun.test
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks something of an evaluation in the background.
pub fn control(context: &Context, name: &str, request: runs::Request, json: bool) -> Result<ExitCode> {
    let name = background::control(context, name, request)?;
    let (word, words) = match request {
        runs::Request::Pause => ("pausing", "waits after what it is at"),
        runs::Request::Stop => ("stopping", "ends after what it is at; what is answered stays"),
        runs::Request::Resume | runs::Request::Checkpoint | runs::Request::Status => ("continuing", "goes on"),
    };
    if json {
        output::json(&serde_json::json!({ "evaluation": name, word: true }))?;
    } else {
        say!("evaluation {name} {words}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists test sets or jobs.
pub fn told(context: &Context, tests: bool, json: bool) -> Result<ExitCode> {
    let store = context.store()?;
    if tests {
        let tests = browse::tests(&store, &mut BTreeMap::new())?;
        let mut rows = vec![["test", "rows", "system", "answered", "who"].map(str::to_owned).to_vec()];
        for test in &tests {
            if json {
                output::json(test)?;
                continue;
            }
            for (at, system) in test.systems.iter().enumerate() {
                let (number, count) = if at == 0 {
                    (format!("{}  {}", test.test.id, test.test.name), test.test.rows.to_string())
                } else {
                    (String::new(), String::new())
                };
                let answered = format!("{} of {}", system.answered, test.asked);
                rows.push(vec![number, count, system.name.clone(), answered, system.about.clone()]);
            }
        }
        if tests.is_empty() {
            say!("no system has answered a test yet; togi eval asks");
        } else if !json {
            output::print(&output::table(&rows))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let jobs = background::list(context, &store)?;
    for job in &jobs {
        if json {
            output::json(job)?;
        } else {
            output::print(&line(job))?;
        }
    }
    if jobs.is_empty() {
        say!("there is no evaluation in the background; togi eval --background starts one");
    }
    Ok(ExitCode::SUCCESS)
}

/// An evaluation as a person reads it.
fn line(job: &Evaluation) -> String {
    let phase = job.phase.as_ref().unwrap_or(&job.state);
    let share = if job.steps > 0 { format!(" {} of {}", job.step, job.steps) } else { String::new() };
    let left = job.seconds_left.map(|left| format!(", about {} left", text::duration(left))).unwrap_or_default();
    let mut out = format!("{}  {phase}{share}{left}  {}\n", job.evaluation, job.test);
    for system in &job.systems {
        let _ = writeln!(out, "  {}: {} of {} rows answered", system.name, system.answered, system.rows);
    }
    if let Some(reason) = &job.reason {
        let _ = writeln!(out, "  {reason}");
    }
    out
}

/// Prints a row with every answer and its errors.
pub fn row(shown: &Shown, json: bool) -> Result<ExitCode> {
    if json {
        output::json(shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = format!("{}\n  asks: {}\n", shown.row.id, text::escape(&shown.row.asks));
    for right in &shown.right {
        let _ = writeln!(out, "  right: {}", text::escape(right));
    }
    for answer in &shown.answers {
        let said = answer.answer.as_deref().map_or("(not answered)".into(), |said| text::escape(said).into_owned());
        let _ = writeln!(out, "{}: {said}", answer.name);
        for error in &answer.errors {
            let _ = writeln!(out, "  {}: {}", error.category, error.reason);
        }
    }
    output::print(&out)?;
    Ok(ExitCode::SUCCESS)
}
