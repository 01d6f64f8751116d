//! Records to draw examples from, and what makes two records the same question.

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::context::{ActionError, Context};
use crate::data::view::rendered;
use crate::evaluate::metrics::nfkc;
use crate::prompt::record::user_text;
use crate::prompt::{Kind, Record};
use crate::store::{Query, Store, StoreError};

/// Records to draw examples from, none of them of the test set.
pub struct Pool {
    records: Vec<Record>,
}

impl Pool {
    /// The records that `run` was trained on, or else the project's gold ones that are not kept for a test; without those that
    /// ask what a row of `test` asks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn find(context: &Context, store: &Store, run: Option<&str>, test: &[Record]) -> Result<Self, ActionError> {
        let mut records = if let Some(run) = run {
            let name = run.split_once('@').map_or(run, |(name, _)| name);
            context.run(name)?.inputs::<Record>("train")?
        } else {
            let query = Query::parse("status:gold split:train,none").map_err(StoreError::from)?;
            store.records(&query)?.iter().map(rendered).collect()
        };
        let asked: BTreeSet<String> = test.iter().map(asks).collect();
        records.retain(|record| {
            matches!(record.kind, Kind::Pair { .. }) && record.answer().is_some() && !asked.contains(&asks(record))
        });
        Ok(Self { records })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The first `count` in an order that a fixed seed shuffles, so that fewer are the beginning of more.
    #[must_use]
    pub fn draw(&self, count: usize) -> Vec<Record> {
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
        order.iter().take(count).filter_map(|&at| self.records.get(at).cloned()).collect()
    }
}

/// What a record asks, without its answer and whatever else is known of it: the same question is the same text.
pub(super) fn asks(record: &Record) -> String {
    match &record.kind {
        Kind::Pair { fields, .. } => {
            let named =
                || fields.iter().filter(|(key, _)| !["category", "source", "id", "split"].contains(&key.as_str()));
            let all = || named().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join("\n");
            nfkc(&user_text(fields).unwrap_or_else(all))
        }
        Kind::Chat { messages, .. } => {
            let end = messages.len() - usize::from(messages.last().is_some_and(|m| m.role == "assistant"));
            serde_json::to_string(messages.get(..end).unwrap_or_default()).unwrap_or_default()
        }
        Kind::Text { text } => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fewer_examples_are_the_beginning_of_more() {
        let record = |n: usize| Record::from_json(&json!({ "prompt": format!("p{n}"), "completion": "c" }), n).unwrap();
        let pool = Pool { records: (0..50).map(record).collect() };
        let (few, many) = (pool.draw(3), pool.draw(8));
        assert_eq!(few.as_slice(), many.get(..3).unwrap());
        assert!(many.iter().map(asks).collect::<std::collections::BTreeSet<_>>().len() == 8);
    }
}
