//! `togi edit`: a record in the person's own editor, or its answer from the command line.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Args;
use color_eyre::eyre::{Report, Result, bail, eyre};

use super::Place;
use super::output::say;
use super::records::{open, told};
use crate::actions::records::{self, Record, State, Status, Store, editor};

/// Edit a record
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi edit 12
  togi edit 12 --gold '返品は10日以内です' --accept
  togi edit 12 --base 40 --gold-file answer.txt

Without options it opens $VISUAL or $EDITOR. An edit never overwrites another person's: if the record has changed meanwhile,
your text is kept beside it.")]
pub struct Edit {
    /// The record's number
    #[arg(value_name = "ID")]
    record: i64,
    /// The answer
    #[arg(long, value_name = "TEXT", conflicts_with = "gold_file")]
    gold: Option<String>,
    /// The answer, from a file; - is standard input
    #[arg(long, value_name = "FILE")]
    gold_file: Option<PathBuf>,
    /// Which of the assistant's turns in a chat, from 1 [default: the last]
    #[arg(long, value_name = "N")]
    turn: Option<usize>,
    /// A field of a pair
    #[arg(long, value_name = "FIELD=TEXT")]
    set: Vec<String>,
    /// The whole record, as the editor left it in a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gold", "gold_file", "set", "notes"])]
    from: Option<PathBuf>,
    /// What you want to note about it
    #[arg(long)]
    notes: Option<String>,
    /// Accept it with this edit
    #[arg(long)]
    accept: bool,
    /// The revision you have seen [default: the newest; with --from the one the text was written from]
    #[arg(long, value_name = "REVISION")]
    base: Option<i64>,
    /// Seconds that were spent on it [default: while the editor was open]
    #[arg(long, value_name = "S", value_parser = super::records::seconds)]
    seconds: Option<f64>,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

impl Edit {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let mut store = open(place)?;
        let record = store.get(self.record)?;
        let mut seen = record.revision;
        let direct = self.gold.is_some() || self.gold_file.is_some() || !self.set.is_empty() || self.notes.is_some();
        let mut written = None;
        let (after, seconds) = if direct {
            (Some(self.changed(&record)?), self.seconds)
        } else if let Some(path) = &self.from {
            let edited = std::fs::read_to_string(path).map_err(|error| eyre!("{}: {error}", path.display()))?;
            if let Some((of, revision)) = editor::written_from(&edited) {
                if of != record.id {
                    bail!("{} was written from record {of}, not {}", path.display(), record.id);
                }
                // Somebody may have changed the record since the text was written.
                seen = revision;
            }
            let after = editor::read(&record, &edited).map_err(|why| eyre!("{}: {why}", path.display()))?;
            (after, self.seconds)
        } else {
            store.claim(record.id)?;
            let begun = Instant::now();
            let (after, path) = in_editor(&store, &record)?;
            written = Some(path);
            // Whoever leaves an editor open over lunch was not at the record all the time.
            (after, self.seconds.or(Some(begun.elapsed().as_secs_f64().min(editor::IDLE))))
        };
        // What was read and accepted as it stands is a change too.
        let after = after.or_else(|| self.accept.then(|| record.state.clone()));
        let saved = if let Some(after) = after {
            self.save(&mut store, &record, after, seen, seconds)
        } else {
            say!("nothing was changed");
            Ok(ExitCode::SUCCESS)
        };
        match (saved, written) {
            (Err(why), Some(path)) => Err(kept(&why.to_string(), &path, &record)),
            (saved, path) => {
                if let Some(path) = path {
                    let _ = std::fs::remove_file(path);
                }
                saved
            }
        }
    }

    fn save(
        &self,
        store: &mut Store,
        record: &Record,
        mut after: State,
        seen: i64,
        seconds: Option<f64>,
    ) -> Result<ExitCode> {
        if self.accept {
            after = records::accepted(&after).map_err(|why| eyre!("record {}: {why}", record.id))?;
        } else if after.status == Status::Inbox {
            after.status = Status::Draft;
        }
        let gold = after.status == Status::Gold;
        let outcome = records::save(store, record.id, self.base.unwrap_or(seen), after, seconds)?;
        if gold && !outcome.done.changed.is_empty() && store.get(record.id)?.state.status != Status::Gold {
            say!("record {} has no answer, so it is a draft and not gold", record.id);
        }
        told(&outcome, "changed", self.json)
    }

    /// The state with what the options say.
    fn changed(&self, record: &Record) -> Result<State> {
        let mut after = record.state.clone();
        let gold = match &self.gold_file {
            Some(path) if path.as_os_str() == "-" => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                Some(text)
            }
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| eyre!("{}: {error}", path.display()))?),
            None => self.gold.clone(),
        };
        if let Some(gold) = gold {
            let gold = gold.strip_suffix('\n').unwrap_or(&gold);
            after = editor::set_answer(&after, gold, self.turn).map_err(|why| eyre!("record {}: {why}", record.id))?;
        }
        for assignment in &self.set {
            let Some((name, value)) = assignment.split_once('=') else {
                bail!("--set {assignment} has no value; write it as --set {assignment}=TEXT");
            };
            let records::Content::Pair { fields, .. } = &mut after.content else {
                bail!("record {} is a {} and has no fields", record.id, record.state.content.kind());
            };
            if !fields.contains_key(name) {
                let names: Vec<&str> = fields.keys().map(String::as_str).collect();
                bail!("record {} has no field {name}; it has {}", record.id, names.join(", "));
            }
            fields.insert(name.to_owned(), value.into());
        }
        if let Some(notes) = &self.notes {
            after.notes.clone_from(notes);
        }
        Ok(after)
    }
}

/// The failure, and where the person's text is.
fn kept(why: &str, path: &Path, record: &Record) -> Report {
    eyre!("{why}\nyour text is in {}; mend it and: togi edit {} --from FILE", path.display(), record.id)
}

/// Opens the record in the person's editor. What they leave stays in the file, which is returned too, until it is saved.
fn in_editor(store: &Store, record: &Record) -> Result<(Option<State>, PathBuf)> {
    let named = |name| std::env::var_os(name).filter(|program| !program.is_empty());
    let program = ["VISUAL", "EDITOR"].into_iter().find_map(named);
    let program = program.unwrap_or_else(|| "vi".into());
    let folder = store.path().parent().unwrap_or(store.path());
    let path = folder.join(format!(".togi-edit-{}-{}.toml", record.id, std::process::id()));
    std::fs::write(&path, editor::text(record))?;
    // The editor may be a command with options.
    let ran =
        Command::new("sh").arg("-c").arg(format!("{} \"$1\"", program.to_string_lossy())).arg("sh").arg(&path).status();
    let keep = |why: String| kept(&why, &path, record);
    let status = ran.map_err(|error| keep(format!("the editor {} did not start: {error}", program.display())))?;
    if !status.success() {
        return Err(keep(format!("the editor {} ended with {status}", program.display())));
    }
    let edited = std::fs::read_to_string(&path).map_err(|error| keep(error.to_string()))?;
    let after = editor::read(record, &edited).map_err(|why| keep(format!("record {}: {why}", record.id)))?;
    Ok((after, path))
}
