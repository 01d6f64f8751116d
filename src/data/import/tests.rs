//! What a file of each layout gives.

use serde_json::Value;

use super::{ImportError, Item, Options, Row, Summary, read_bytes};
use crate::store::Content;

mod ambiguity;
mod bytes;
mod fuzz;
mod layouts;
mod shared;

/// What a file gave.
#[derive(Debug)]
struct Read {
    items: Vec<Item>,
    summary: Summary,
}

fn read_with(bytes: &[u8], options: &Options) -> Result<Read, ImportError> {
    let mut items = Vec::new();
    let summary = read_bytes::<ImportError>("a file", bytes, options, &mut |item| {
        items.push(item);
        Ok(())
    })?;
    Ok(Read { items, summary })
}

fn read_all(text: &str) -> Read {
    read_with(text.as_bytes(), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn fails(text: &str) -> ImportError {
    match read_with(text.as_bytes(), &Options::default()) {
        Ok(Read { items, .. }) => panic!("gives {items:?}"),
        Err(error) => error,
    }
}

fn options(map: &[(&str, &str)]) -> Options {
    let map = map.iter().map(|(role, column)| ((*role).to_owned(), (*column).to_owned())).collect();
    Options { map, ..Options::default() }
}

fn rows(items: &[Item]) -> Vec<&Row> {
    items.iter().filter_map(|item| if let Item::Row(row) = item { Some(row) } else { None }).collect()
}

fn refused(items: &[Item]) -> Vec<(u64, String)> {
    let refused = |item: &Item| match item {
        Item::Refused { line, reason, .. } => Some((*line, reason.clone())),
        Item::Row(_) => None,
    };
    items.iter().filter_map(refused).collect()
}

/// A pair's fields, draft and gold answer.
fn pair(row: &Row) -> (Value, Option<&str>, Option<&str>) {
    let Content::Pair { fields, draft, gold } = &row.content else { panic!("{row:?} is no pair") };
    (Value::Object(fields.clone()), draft.as_deref(), gold.as_deref())
}
