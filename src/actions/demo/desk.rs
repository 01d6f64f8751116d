//! The demo's project as a person would find it in the middle of the work: most pairs are gold, some wait with a model's draft.

use std::path::Path;

use serde_json::{Map, Value};

use super::assets::{TEST, TRAIN, VALID};
use super::pairs::Pair;
use super::run::unpack;
use crate::actions::context::{ActionError, Context};
use crate::store::{Act, Cause, Content, New, Origin, Split, State, Status, StoreError};

/// Where the project lies unless a person says otherwise.
pub const DESK: &str = "togi-demo";

/// Training pairs that wait.
const WAITING: usize = 50;

/// Opens the demo's project in `dir`, making it where there is none yet.
///
/// # Errors
/// When it cannot be made or opened.
pub fn desk(dir: &Path) -> Result<Context, ActionError> {
    if !dir.join("togi.toml").exists() {
        unpack(dir)?;
        fill(&Context::find(dir, None)?)?;
    }
    Context::find(dir, None)
}

/// Puts the pairs into the store.
fn fill(context: &Context) -> Result<(), ActionError> {
    let mut store = context.store()?;
    let add = |store: &mut crate::store::Store, words: &str, news: Vec<New>| -> Result<(), ActionError> {
        store.add::<(), StoreError>(&Act::new(Cause::Import, words), |adder| {
            news.iter().try_for_each(|new| adder.add(new).map(drop))
        })?;
        Ok(())
    };
    let train = pairs(TRAIN)?;
    let (done, waiting) = train.split_at(train.len().saturating_sub(WAITING));
    add(&mut store, "the demo's gold pairs", done.iter().map(|pair| gold(pair, Split::Train)).collect())?;
    add(
        &mut store,
        "the demo's validation pairs",
        pairs(VALID)?.iter().map(|pair| gold(pair, Split::Valid)).collect(),
    )?;
    add(&mut store, "the demo's test pairs", pairs(TEST)?.iter().map(|pair| gold(pair, Split::Test)).collect())?;
    let drafts = waiting.iter().enumerate().map(|(index, pair)| draft(pair, index));
    add(&mut store, "the demo's drafts", drafts.collect())
}

fn pairs(lines: &str) -> Result<Vec<Pair>, ActionError> {
    let parsed: Result<Vec<Pair>, _> = lines.lines().map(serde_json::from_str).collect();
    parsed.map_err(|error| ActionError::Refused(format!("the demo's own pairs do not parse: {error}")))
}

fn new(pair: &Pair, origin: Origin, status: Status, draft: Option<String>, gold: Option<String>) -> New {
    let text = |text: &str| Value::String(text.to_owned());
    let fields: Map<String, Value> =
        [("instruction".to_owned(), text(&pair.instruction)), ("input".to_owned(), text(&pair.input))]
            .into_iter()
            .collect();
    let japanese = !pair.instruction.is_ascii();
    let category = Some(if japanese { "日本語" } else { "English" }.to_owned());
    let state = State { category, ..State::new(Content::Pair { fields, draft, gold }, status) };
    New { state, origin, source: None, key: None }
}

fn gold(pair: &Pair, split: Split) -> New {
    let mut new = new(pair, Origin::Human, Status::Gold, None, Some(pair.output.clone()));
    new.state.split = Some(split);
    new
}

/// A pair with the draft of a model that is not there yet: one in four is right.
fn draft(pair: &Pair, index: usize) -> New {
    let mut lines: Vec<String> = pair.output.lines().map(str::to_owned).collect();
    let japanese = !pair.instruction.is_ascii();
    match index % 4 {
        0 => drop(lines.pop()),
        1 => lines.push(
            if japanese {
                "他にもあればお知らせください。"
            } else {
                "Let me know if you need anything else!"
            }
            .into(),
        ),
        2 => {
            if let Some(first) = lines.first_mut() {
                *first = first.replace("by ", "before ").replace('月', "/").replace('日', "");
            }
        }
        _ => {}
    }
    let draft = (!lines.is_empty()).then(|| lines.join("\n"));
    new(pair, Origin::Model, Status::Inbox, draft, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Query;

    #[test]
    fn the_desk_has_gold_to_train_on_and_drafts_to_work_on() {
        let dir = tempfile::tempdir().unwrap();
        let context = desk(&dir.path().join("desk")).unwrap();
        let store = context.store().unwrap();
        let count = |query: &str| store.ids(&Query::parse(query).unwrap()).unwrap().len();
        assert_eq!(count("status:gold split:train"), 150);
        assert_eq!((count("status:gold split:valid"), count("status:gold split:test")), (40, 200));
        assert_eq!(count("status:inbox origin:model split:none"), WAITING);
        drop(store);
        let again = desk(&dir.path().join("desk")).unwrap().store().unwrap();
        assert_eq!(again.ids(&Query::default()).unwrap().len(), 440, "opening it again adds nothing");
    }
}
