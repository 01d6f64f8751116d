//! The pane of the records: a list, and the record at its cursor.

mod command;
mod editor;
mod told;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

pub use editor::{Editor, Watch};

use super::record::{self, Place};
use super::scroll::Scroll;
use super::wish::Found;
use super::{Ask, Conflict, Effect, Opened};
use crate::store::{Origin, Split, Status};

/// What is listed when the workbench opens.
pub const WAITING: &str = "status:inbox,draft";
/// Time without a letter after which what is written is looked at.
const GLANCE: Duration = Duration::from_millis(150);
/// Lines that one scroll goes.
const SCROLL: i32 = 5;
/// Rows kept besides those on the screen.
const MARGIN: usize = 64;
/// Rows kept at most.
const KEPT: usize = 2_000;

/// A record in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// How far people are with it.
    pub status: Status,
    /// What it is used for.
    pub split: Option<Split>,
    /// Where it came from.
    pub origin: Origin,
    /// Its class.
    pub category: Option<String>,
    /// Who is to work on it.
    pub assignee: Option<String>,
    /// Who changed it last.
    pub author: String,
    /// Names of the checks that found something.
    pub flags: Vec<String>,
    /// Who else is at it now.
    pub taken: Option<String>,
    /// What it begins with.
    pub head: String,
}

impl Row {
    /// Whether it waits for somebody to decide on it.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.status, Status::Inbox | Status::Draft)
    }
}

/// The pane.
#[derive(Debug, Default)]
pub struct Data {
    /// The query, as it was typed.
    pub query: String,
    /// Why it is none.
    pub problem: Option<String>,
    /// Whether the first answer has come.
    pub ready: bool,
    /// What it finds.
    pub ids: Vec<i64>,
    /// Where in it the cursor is.
    pub at: usize,
    /// Rows that are known.
    pub rows: HashMap<i64, Row>,
    /// The record at the cursor.
    pub open: Option<Opened>,
    /// What is selected.
    pub selected: BTreeSet<i64>,
    /// The part that is chosen; the answer unless somebody chose.
    pub part: Option<Place>,
    /// Lines by which the record is scrolled from where it stands by itself.
    pub scroll: Scroll,
    /// The part that is being written.
    pub editor: Option<Editor>,
    /// What the record is found to be while it is being written; the last lint's word otherwise.
    pub found: Option<Vec<Found>>,
    /// Texts on their way to the disk.
    pub saving: usize,
    /// Time at the record.
    pub watch: Watch,
    /// Categories there are.
    pub categories: Vec<String>,
    /// People there are.
    pub people: Vec<String>,
    /// Reasons for rejecting, the last first.
    reasons: Vec<String>,
    /// Records opened ahead.
    ahead: HashMap<i64, Opened>,
    /// Rows that were asked for.
    asked: BTreeSet<i64>,
    /// Records that this person decided on since the query was typed: they stay in the list.
    sticky: BTreeSet<i64>,
    /// Those of them that the query no longer finds.
    beyond: BTreeSet<i64>,
    number: u64,
    /// The wish to look at what is being written.
    stamp: u64,
    /// The wish for similar records, and the record.
    near: Option<(u64, i64)>,
    /// The screen's rows.
    height: usize,
    /// Whether the cursor came here by going on, so that a taken record is passed over.
    going_on: bool,
    /// Records that a model is to draft.
    pub(in crate::app) drafting: Vec<i64>,
    /// Texts that met a newer one and that the person has not been asked about.
    conflicts: VecDeque<Box<Conflict>>,
    /// What this session has claimed.
    claimed: Option<i64>,
    /// The record that the cursor wants to be on once the list has it.
    wanted: Option<i64>,
}

impl Data {
    pub(in crate::app) fn start(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.find(WAITING.into(), &mut effects);
        effects.push(Effect::Store(Ask::Names));
        effects.push(Effect::Store(Ask::Systems));
        effects
    }

    /// The record's number at the cursor.
    #[must_use]
    pub fn current(&self) -> Option<i64> {
        self.ids.get(self.at).copied()
    }

    /// The records of the list that the query finds: without those that were decided on and only stay to be gone back to.
    pub(super) fn found(&self) -> BTreeSet<i64> {
        self.ids.iter().copied().filter(|id| !self.beyond.contains(id)).collect()
    }

    /// The record that is being read, where it is the one at the cursor.
    #[must_use]
    pub fn shown(&self) -> Option<&Opened> {
        self.open.as_ref().filter(|open| Some(open.record.id) == self.current())
    }

    /// The part that is chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<Place> {
        let open = self.shown()?;
        let parts = record::parts(&open.record.state);
        let chosen = self.part.clone().filter(|place| parts.iter().any(|part| part.place == *place));
        Some(chosen.unwrap_or_else(|| record::answer(&open.record.state)))
    }

    pub(in crate::app) fn find(&mut self, query: String, effects: &mut Vec<Effect>) {
        if self.query != query || !self.ready {
            self.sticky.clear();
        }
        self.query = query;
        self.again(effects);
    }

    /// Asks anew what the query finds.
    fn again(&mut self, effects: &mut Vec<Effect>) {
        self.number += 1;
        effects.push(Effect::Store(Ask::Find { number: self.number, query: self.query.clone() }));
    }

    /// Rows of the list on a screen of that height: the pane's frame takes the others.
    #[must_use]
    pub fn page(&self) -> usize {
        self.height.saturating_sub(6).max(1)
    }

    /// Asks for what is near the cursor and not known: the rows around it and the records beside it.
    pub(in crate::app) fn fill(&mut self, size: (u16, u16), effects: &mut Vec<Effect>) {
        self.height = usize::from(size.1);
        let from = self.at.saturating_sub(self.page() + MARGIN);
        let to = (self.at + self.page() + MARGIN).min(self.ids.len());
        let unknown = |id: &&i64| !self.rows.contains_key(*id) && !self.asked.contains(*id);
        let near = self.at.saturating_sub(self.page())..(self.at + self.page()).min(self.ids.len());
        // Asked for in good time, but not at every step.
        if self.ids.get(near).is_some_and(|near| near.iter().any(|id| unknown(&id))) {
            let missing: Vec<i64> =
                self.ids.get(from..to).unwrap_or_default().iter().filter(unknown).copied().collect();
            self.asked.extend(&missing);
            effects.push(Effect::Store(Ask::Rows(missing)));
        }
        if self.rows.len() > KEPT {
            let near: BTreeSet<i64> = self.ids.get(from..to).unwrap_or_default().iter().copied().collect();
            self.rows.retain(|id, _| near.contains(id));
        }
    }

    /// Puts the cursor on a place of the list and opens what is there.
    fn put(&mut self, at: usize, now: Duration, effects: &mut Vec<Effect>) {
        self.at = at.min(self.ids.len().saturating_sub(1));
        self.fill((0, u16::try_from(self.height).unwrap_or(u16::MAX)), effects);
        self.show(now, effects);
    }

    /// Opens the record at the cursor, from what was read ahead where it is there.
    fn show(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(id) = self.current() else {
            self.open = None;
            return;
        };
        if self.open.as_ref().is_some_and(|open| open.record.id == id) {
            return;
        }
        self.close(now, effects);
        self.watch.take(now);
        self.scroll.home();
        self.part = None;
        // What is left may be gone back to, and what comes may have been read ahead.
        if let Some(open) = self.open.take() {
            self.ahead.insert(open.record.id, open);
        }
        self.open = self.ahead.remove(&id);
        effects.push(Effect::Store(Ask::Open(id)));
        self.look_ahead(effects);
    }

    /// Asks for the records that may be next.
    fn look_ahead(&mut self, effects: &mut Vec<Effect>) {
        let around = [self.at + 1, self.at + 2, self.at.wrapping_sub(1)];
        let near: Vec<i64> = around.iter().filter_map(|at| self.ids.get(*at).copied()).collect();
        self.ahead.retain(|id, _| near.contains(id));
        for id in near {
            if !self.ahead.contains_key(&id) {
                effects.push(Effect::Store(Ask::Open(id)));
            }
        }
    }

    /// Goes on to the next record that waits, or, from one that does not wait, to the next of the list. `None` where there is none.
    fn next(&self, waiting: bool) -> Option<usize> {
        let free = |at: &usize| {
            let row = self.ids.get(*at).and_then(|id| self.rows.get(id));
            row.is_none_or(|row| row.taken.is_none() && (!waiting || row.waits()))
        };
        let behind = (self.at + 1..self.ids.len()).find(free);
        behind.or_else(|| if waiting { (0..self.at).find(free) } else { None })
    }

    /// Brings a list that was asked for again in, keeping the cursor on its record and what was decided on meanwhile in place.
    fn take_ids(&mut self, mut ids: Vec<i64>, now: Duration, effects: &mut Vec<Effect>) {
        let current = self.wanted.take_if(|id| ids.contains(id)).or(self.current());
        let decided = self.ids.iter().filter(|id| self.sticky.contains(id));
        self.beyond = decided.copied().filter(|id| ids.binary_search(id).is_err()).collect();
        if !self.beyond.is_empty() {
            ids.extend(&self.beyond);
            ids.sort_unstable();
        }
        self.ids = ids;
        self.problem = None;
        let at = current.and_then(|id| match self.ids.binary_search(&id) {
            Ok(at) => Some(at),
            Err(at) => at.checked_sub(usize::from(at == self.ids.len())),
        });
        self.put(at.unwrap_or(0), now, effects);
    }

    /// Takes a reason up among those that are suggested.
    pub(in crate::app) fn remember_reason(&mut self, reason: &str) {
        if !reason.is_empty() {
            self.reasons.retain(|known| known != reason);
            self.reasons.insert(0, reason.to_owned());
        }
    }

    /// The records that a command is about: what is selected, else the one at the cursor.
    #[must_use]
    pub fn about(&self) -> Vec<i64> {
        if self.selected.is_empty() {
            self.current().into_iter().collect()
        } else {
            self.selected.iter().copied().collect()
        }
    }

    /// What copying takes: the chosen part.
    pub(in crate::app) fn copied(&self) -> Option<String> {
        let open = self.shown()?;
        let place = self.chosen()?;
        record::text_of(&open.record.state, &place).filter(|text| !text.is_empty()).or_else(|| {
            let part = record::parts(&open.record.state).into_iter().find(|part| part.place == place);
            part.map(|part| part.text)
        })
    }

    fn claim(&mut self, id: i64, effects: &mut Vec<Effect>) {
        if self.claimed != Some(id) {
            let release = self.claimed.replace(id);
            effects.push(Effect::Store(Ask::Claim { record: Some(id), release }));
        }
    }

    /// Chooses the part `by` further on.
    fn choose(&mut self, by: isize) {
        let Some((open, chosen)) = self.shown().zip(self.chosen()) else { return };
        let parts = record::parts(&open.record.state);
        let Some(at) = parts.iter().position(|part| part.place == chosen) else { return };
        let count = parts.len() as isize;
        let at = (at as isize + by).rem_euclid(count) as usize;
        self.part = parts.get(at).map(|part| part.place.clone());
    }
}

/// So many records, in words.
pub(in crate::app) fn counted(records: usize) -> String {
    if records == 1 { "1 record".into() } else { format!("{} records", crate::text::count(records as u64)) }
}

#[cfg(test)]
pub(in crate::app) mod tests;
