//! What is known of all records at once: facts about each, figures about each instruction, and who says the same as whom.

use std::collections::HashMap;

use rayon::prelude::*;

use super::checks::{boilerplate, empty, markup, repetition, secret, template_token};
use super::group::{Group, OWN};
use super::text::{Language, is_json_container, language_of};
use super::{Settings, parts};
use crate::data::duplicates::normal::{hash, is_wide, join, normal};
use crate::data::duplicates::{Likeness, Outline};
use crate::data::view::{Part, Role};
use crate::store::{Content, Origin, Record, Status};

/// What stands in the place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// No answer at all.
    Nothing,
    /// White space.
    Blank,
    /// Something.
    Something,
}

/// What is found out about a record once.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub struct Facts {
    /// The record brought down to what comparing takes.
    pub outline: Outline,
    /// A number for its instruction and kind.
    pub group: u64,
    /// Whether it is accepted.
    pub gold: bool,
    /// Its class.
    pub category: Option<String>,
    /// Whether it has an answer; of a text, whether it says anything.
    pub said: Said,
    /// A number for the answer.
    pub answer: Option<u64>,
    /// The filler that the answer is, if it is one.
    pub filler: Option<empty::Filler>,
    /// Whether the answer is a JSON list or object.
    pub json: bool,
    /// Whether the answer stands word for word in the prompt.
    pub quoted: bool,
    /// Whether the answer has tags, entities, placeholders.
    pub markup: [bool; 3],
    /// Languages of the parts of the prompt, as far as they can be told.
    pub asked_in: Vec<Language>,
    /// Language of the answer, if it can be told.
    pub language: Option<Language>,
    /// Whether the answer is mostly in letters two cells wide, which say more each.
    pub wide: bool,
    /// Natural logarithm of the answer's letters.
    pub log_length: Option<f64>,
    /// Whether an answer has a stock phrase of a model.
    pub boilerplate: bool,
    /// Whether some word looks like a key by its entropy alone.
    pub dense: bool,
    /// Whether the answer has tokens of a chat format.
    pub tokens: bool,
    /// Whether the answer goes round in circles.
    pub circles: bool,
    /// Whether its gold answer is a model's, unchanged; `None` where there is no gold answer.
    pub machine: Option<bool>,
}

impl Facts {
    pub(super) fn of(record: &Record, parts: &[Part<'_>]) -> Self {
        let state = &record.state;
        let outline = Outline::from_parts(record, parts);
        let answer = parts.iter().find(|part| matches!(part.role, Role::Answer | Role::Document));
        let calls = parts.iter().any(|part| part.role == Role::Call);
        let said = match answer {
            Some(part) if !part.text.trim().is_empty() => Said::Something,
            _ if calls => Said::Something,
            Some(_) => Said::Blank,
            None => Said::Nothing,
        };
        let text = answer.map(|part| part.text.as_ref()).unwrap_or_default();
        let asked = || parts.iter().filter(|part| part.role.is_asked());
        let told = asked().filter(|part| part.role == Role::Instruction).map(|part| hash(&normal(&part.text)));
        let kind = hash(state.content.kind());
        let mut asked_in: Vec<Language> = asked().filter_map(|part| language_of(&part.text)).collect();
        asked_in.sort_unstable();
        asked_in.dedup();
        let trimmed = text.trim();
        let letters = trimmed.chars().count();
        Self {
            group: join(kind, told),
            gold: state.status == Status::Gold,
            category: state.category.clone(),
            said,
            answer: outline.answer,
            filler: empty::filler(trimmed),
            json: is_json_container(trimmed),
            quoted: !trimmed.is_empty() && asked().any(|part| part.text.contains(trimmed)),
            markup: markup::kinds(text),
            asked_in,
            language: language_of(text),
            wide: trimmed.chars().filter(|c| is_wide(*c)).count() * 3 >= letters,
            log_length: (letters > 0).then(|| (letters as f64).ln()),
            boilerplate: parts.iter().any(|part| part.role.is_learned() && boilerplate::first(&part.text).is_some()),
            dense: parts.iter().any(|part| secret::dense(&part.text).next().is_some()),
            tokens: answer.is_some_and(|part| template_token::first(&part.text, part.role).is_some()),
            circles: repetition::circles(text).is_some(),
            machine: machine(record),
            outline,
        }
    }
}

impl Facts {
    /// The order in which equal records are worth keeping: accepted ones first, then by number.
    #[must_use]
    pub fn rank(&self) -> (bool, i64) {
        (!self.gold, self.outline.id)
    }
}

/// Whether a record's gold answer is what a model said; `None` where nobody has accepted an answer.
fn machine(record: &Record) -> Option<bool> {
    let made = record.origin == Origin::Model;
    match &record.state.content {
        Content::Pair { draft, gold: Some(gold), .. } => {
            Some(made && draft.as_ref().is_none_or(|draft| draft.trim() == gold.trim()))
        }
        Content::Chat { turns, .. } if record.state.status == Status::Gold => {
            let said: Vec<_> = turns.iter().filter(|turn| turn.role == "assistant").collect();
            let changed = said.iter().any(|turn| turn.draft.is_some() && turn.draft != turn.content);
            (!said.is_empty()).then_some(made && !changed)
        }
        _ => None,
    }
}

/// Counts over all records.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Records.
    pub records: usize,
    /// Records that are held out.
    pub held: usize,
    /// Records with an answer.
    pub answered: usize,
    /// Records with a stock phrase of a model.
    pub boilerplate: usize,
    /// Records with a word that looks like a key by its entropy alone.
    pub dense: usize,
}

impl Totals {
    fn tally(&mut self, facts: &Facts, add: bool) {
        let mut step = |count: fn(&mut Self) -> &mut usize, on: bool| {
            let count = count(self);
            *count = if add { *count + usize::from(on) } else { count.saturating_sub(usize::from(on)) };
        };
        step(|all| &mut all.records, true);
        step(|all| &mut all.held, facts.outline.held);
        step(|all| &mut all.answered, facts.said == Said::Something);
        step(|all| &mut all.boilerplate, facts.boilerplate);
        step(|all| &mut all.dense, facts.dense);
    }
}

/// All records, for comparing one with them.
#[derive(Debug)]
pub struct Index {
    settings: Settings,
    facts: HashMap<i64, Facts>,
    likeness: Likeness,
    groups: HashMap<u64, Group>,
    /// The groups that are too small to have figures of their own, by kind of record.
    pool: Group,
    totals: Totals,
}

impl Index {
    /// Takes in all records that are not rejected, each once.
    #[must_use]
    pub fn new(records: &[Record], settings: &Settings) -> Self {
        let mut facts: Vec<Facts> = records
            .par_iter()
            .filter(|record| record.state.status != Status::Rejected)
            .map(|record| Facts::of(record, &parts(&record.state.content, settings.prompt_fields.as_deref())))
            .collect();
        // So that what is kept of crowds does not hang on the order in which a store hands records out.
        facts.sort_by_key(|facts| facts.outline.id);
        let mut groups: HashMap<u64, Group> = HashMap::new();
        let mut totals = Totals::default();
        for facts in &facts {
            groups.entry(facts.group).or_default().tally(facts, true);
            totals.tally(facts, true);
        }
        let mut pool = Group::default();
        for facts in &facts {
            if groups.get(&facts.group).is_none_or(|group| group.records < OWN) {
                pool.tally(facts, true);
            }
        }
        let likeness = Likeness::new(facts.iter().map(|facts| facts.outline.clone()).collect());
        let facts = facts.into_iter().map(|facts| (facts.outline.id, facts)).collect();
        Self { settings: settings.clone(), facts, likeness, groups, pool, totals }
    }

    /// Takes in an edited or a new record, in place of what was known of it.
    pub fn update(&mut self, record: &Record) {
        self.remove(record.id);
        if record.state.status == Status::Rejected {
            return;
        }
        let parts = parts(&record.state.content, self.settings.prompt_fields.as_deref());
        let facts = Facts::of(record, &parts);
        self.groups.entry(facts.group).or_default().tally(&facts, true);
        self.totals.tally(&facts, true);
        self.likeness.update(facts.outline.clone());
        self.facts.insert(record.id, facts);
    }

    fn remove(&mut self, id: i64) {
        let Some(old) = self.facts.remove(&id) else { return };
        if let Some(group) = self.groups.get_mut(&old.group) {
            group.tally(&old, false);
        }
        self.totals.tally(&old, false);
        self.likeness.remove(id);
    }

    /// What the checks were set to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is known of a record; `None` for one that is rejected or new.
    #[must_use]
    pub fn facts(&self, id: i64) -> Option<&Facts> {
        self.facts.get(&id)
    }

    /// What is known of all records, in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> Vec<&Facts> {
        let mut all: Vec<&Facts> = self.facts.values().collect();
        all.sort_unstable_by_key(|facts| facts.outline.id);
        all
    }

    /// Who says the same.
    #[must_use]
    pub fn likeness(&self) -> &Likeness {
        &self.likeness
    }

    /// The figures of a record's instruction, or, where few records have it, those of all such records.
    #[must_use]
    pub fn group(&self, facts: &Facts) -> &Group {
        self.groups.get(&facts.group).filter(|group| group.records >= OWN).unwrap_or(&self.pool)
    }

    /// Whether a record's answer is one, right or wrong: not empty, cut off, broken or a refusal. What is wrong with others is
    /// found by other checks, and says nothing about what the right answer is.
    #[must_use]
    pub fn is_sound(&self, facts: &Facts) -> bool {
        let group = self.group(facts);
        let broken = group.wants_json() && !facts.json;
        let marked = facts.markup.iter().zip(group.markup).any(|(has, count)| *has && !group.is_usual(count));
        let foreign = facts.language.is_some_and(|language| {
            !facts.asked_in.is_empty()
                && !facts.asked_in.iter().any(|asked| asked.may_be(language))
                && !group.is_usual_language(language)
        });
        facts.said == Said::Something
            && facts.filler.is_none()
            && !(facts.boilerplate || facts.tokens || facts.circles || broken || marked || foreign)
    }

    /// Counts over all records.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}
