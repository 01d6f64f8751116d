//! `togi edit`: a record in the person's own editor, or its answer from the command line.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::{Result, bail, eyre};

use super::Place;
use super::output::say;
use super::records::{open, told};
use crate::actions::ActionError;
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
        let after = if direct {
            Some(self.changed(&record)?)
        } else if let Some(path) = &self.from {
            let edited = std::fs::read_to_string(path).map_err(|error| eyre!("{}: {error}", path.display()))?;
            if let Some((of, revision)) = editor::written_from(&edited) {
                if of != record.id {
                    bail!("{} was written from record {of}, not {}", path.display(), record.id);
                }
                // Somebody may have changed the record since the text was written.
                seen = revision;
            }
            editor::read(&record, &edited).map_err(|why| eyre!("{}: {why}", path.display()))?
        } else {
            let how = editor::How { base: self.base, accept: self.accept, seconds: self.seconds };
            return match editor::edit(&mut store, record.id, &how)? {
                Some(outcome) => told(&outcome, "changed", self.json),
                None => Ok(unchanged()),
            };
        };
        // What was read and accepted as it stands is a change too.
        match after.or_else(|| self.accept.then(|| record.state.clone())) {
            Some(after) => self.save(&mut store, &record, after, seen),
            None => Ok(unchanged()),
        }
    }

    fn save(&self, store: &mut Store, record: &Record, after: State, seen: i64) -> Result<ExitCode> {
        let gold = after.status == Status::Gold;
        let base = self.base.unwrap_or(seen);
        let outcome = records::save(store, record.id, base, after, self.accept, self.seconds)?;
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
                let why = format!("--set {assignment} has no value; write it as --set {assignment}=TEXT");
                return Err(ActionError::Asked(why).into());
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

fn unchanged() -> ExitCode {
    say!("nothing was changed");
    ExitCode::SUCCESS
}
