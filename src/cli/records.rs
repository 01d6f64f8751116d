//! `togi records`, and how records are named on the command line.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use super::{BaseModel, Place};
use crate::actions::ActionError;
use crate::actions::records::{self, Content, Listed, Outcome, QUERY_KEYS, Query, Record, Store, StoreError};
use crate::text;

/// Records that are listed where no number is given.
const LIMIT: usize = 100;

/// List records
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi records
  togi records 'status:inbox category:返品 \"exact words\" -word'
  togi records --flag near-duplicate
  togi records --status gold --json | jq .gold

A query's parts all have to hold. Words are looked for anywhere, KEY:VALUE asks for a mark (status, split, category, flag,
author, assignee, origin, tag, kind, source, id), a - in front turns a part round, and commas in a value mean or.")]
pub struct Records {
    /// What to look for
    query: Vec<String>,
    #[command(flatten)]
    marks: Asked,
    /// Show at most so many [default: 100; with --json all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Leave out the first so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
    /// Print how many there are and nothing else
    #[arg(long)]
    count: bool,
    /// Print one JSON object a record
    #[arg(long)]
    json: bool,
}

/// Marks as options.
#[derive(Clone, Debug, Default, Args)]
pub struct Asked {
    /// Only records of this status: inbox, draft, gold, rejected
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only records of this split: train, valid, test, none
    #[arg(long = "of-split", alias = "split", value_name = "SPLIT")]
    split: Option<String>,
    /// Only records that this check flagged
    #[arg(long, value_name = "CHECK")]
    flag: Option<String>,
    /// Only records of this category
    #[arg(long = "of-category", alias = "category", value_name = "CATEGORY")]
    category: Option<String>,
}

impl Asked {
    /// The query with these marks added.
    pub fn query(&self, text: &str) -> Result<Query, ActionError> {
        let mut query = Query::parse(text).map_err(StoreError::from)?;
        let marks =
            [("status", &self.status), ("split", &self.split), ("flag", &self.flag), ("category", &self.category)];
        for (key, value) in marks {
            if let Some(value) = value {
                query = query.and(key, value).map_err(StoreError::from)?;
            }
        }
        Ok(query)
    }
}

impl Records {
    pub fn run(&self, place: &Place) -> Result<ExitCode> {
        let store = open(place)?;
        let query = self.marks.query(&self.query.join(" "))?;
        if self.count {
            output::print(&format!("{}\n", store.ids(&query)?.len()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let limit = self.limit.unwrap_or(if self.json { usize::MAX } else { LIMIT });
        let (listed, total) = records::list(&store, &query, self.offset, limit)?;
        if self.json {
            for one in &listed {
                output::json(one)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if total == 0 {
            if query.is_all() {
                say!("there are no records yet; togi import FILE brings some in");
            } else {
                say!("no record fits; marks to ask for are {}", QUERY_KEYS.map(|(key, _)| key).join(", "));
            }
            return Ok(ExitCode::SUCCESS);
        }
        output::print(&list(&listed))?;
        let shown = listed.len() + self.offset;
        if shown < total {
            say!("{} of {} records; --limit and --offset show others", listed.len(), text::count(total as u64));
        } else {
            say!("{} records", text::count(total as u64));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the project's records.
pub fn open(place: &Place) -> Result<Store, ActionError> {
    place.context(&BaseModel::default())?.store()
}

/// Records as lines, as wide as the terminal: what is asked and answered gets the room that the marks leave.
fn list(listed: &[Listed]) -> String {
    let wide = output::terminal().map_or(120, |(_, columns)| columns).max(60);
    let short = |text: &str, cells| text::fit(&text::escape(text), cells).trim_end().to_owned();
    let mut rows = vec![["id", "status", "split", "category", "", "flags"].map(str::to_owned).to_vec()];
    for Listed { record, flags } in listed {
        rows.push(vec![
            record.id.to_string(),
            record.state.status.to_string(),
            record.state.split.map(|split| split.to_string()).unwrap_or_default(),
            short(record.state.category.as_deref().unwrap_or_default(), 12),
            String::new(),
            short(&flags.join(" "), wide / 4),
        ]);
    }
    // A mark that no record has takes no column.
    for column in [5, 3, 2] {
        if rows.iter().skip(1).all(|row| row.get(column).is_none_or(String::is_empty)) {
            rows.iter_mut().filter_map(|row| row.get_mut(column)).for_each(String::clear);
        }
    }
    let cells = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| text::width(cell)).max();
    let taken: usize = (0..6).map(|column| cells(column).unwrap_or(0) + 2).sum();
    let left = wide.saturating_sub(taken).max(20);
    let middle = std::iter::once("prompt → answer".to_owned()).chain(listed.iter().map(|one| line(&one.record)));
    for (row, words) in rows.iter_mut().zip(middle) {
        if let Some(cell) = row.get_mut(4) {
            *cell = short(&words, left);
        }
    }
    output::table(&rows)
}

/// What is asked and answered, on one line.
pub fn line(record: &Record) -> String {
    let answer = record.state.content.answer().unwrap_or("-");
    format!("{} → {}", asked(record), text::head(answer, 400).replace('\n', " "))
}

/// What is asked, on one line: the last field that is filled, since that is the one that differs between records.
fn asked(record: &Record) -> String {
    let line = match &record.state.content {
        Content::Pair { fields, .. } => fields
            .iter()
            .filter(|(name, _)| !["category", "system"].contains(&name.as_str()))
            .filter_map(|(_, value)| value.as_str())
            .rfind(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned(),
        Content::Chat { turns, .. } => {
            let user = turns.iter().rev().find(|turn| turn.role == "user");
            user.and_then(|turn| turn.content.clone()).unwrap_or_default()
        }
        Content::Text { text } => text::head(text, 200).to_owned(),
    };
    line.replace('\n', " ")
}

/// Which records an act is for.
#[derive(Debug, Args)]
pub struct Chosen {
    /// Records by number
    #[arg(value_name = "ID", required_unless_present = "query")]
    ids: Vec<i64>,
    /// All records that a query finds
    #[arg(long, conflicts_with = "ids")]
    query: Option<String>,
    /// Say how many records it would be, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Chosen {
    /// The numbers; `None` where the person only wanted to know how many.
    pub fn records(&self, store: &Store, what: &str) -> Result<Option<Vec<i64>>> {
        let ids = match &self.query {
            Some(query) => store.ids(&Query::parse(query).map_err(StoreError::from).map_err(ActionError::from)?)?,
            None => self.ids.clone(),
        };
        if self.dry_run {
            say!("would {what} {} records; nothing is changed", text::count(ids.len() as u64));
            return Ok(None);
        }
        Ok(Some(ids))
    }
}

/// Prints what an act did; its exit code is 1 where something was refused.
pub fn told(outcome: &Outcome, what: &str, json: bool) -> Result<ExitCode> {
    if json {
        output::json(outcome)?;
    } else {
        say!("{what} {} records", text::count(outcome.done.changed.len() as u64));
        for (record, why) in &outcome.refused {
            say!("record {record} stays as it is: {why}");
        }
        for conflict in &outcome.done.conflicts {
            if conflict.theirs.is_none() {
                let answer = conflict.ours.as_ref().and_then(|state| state.content.answer()).unwrap_or("-");
                say!(
                    "record {}: {} took it away meanwhile; your text is kept and shows again once the record is back \
                     (their undo or redo, or importing its file again):\n  {}",
                    conflict.record,
                    conflict.by,
                    text::escape(answer)
                );
                continue;
            }
            say!(
                "record {}: {} changed it since revision {}; your text is kept (togi show {} shows both)",
                conflict.record,
                conflict.by,
                conflict.base,
                conflict.record
            );
        }
    }
    let good = outcome.refused.is_empty() && outcome.done.conflicts.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Seconds as a person gives them.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if seconds.is_finite() && seconds >= 0.0 { Ok(seconds) } else { Err("seconds are a number from 0 up".into()) }
}
