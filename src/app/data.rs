//! The pane of the records: a list, and the record at its cursor.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::field::Field;
use super::overlay::{Choice, Purpose};
use super::record::{self, Place};
use super::wish::{Found, Granted, Wish};
use super::{Act, Acted, App, Ask, Effect, Msg, Opened, Overlay};
use crate::keymap::Command;
use crate::store::{Origin, Split, State, Status};

/// What is listed when the workbench opens.
pub const WAITING: &str = "status:inbox,draft";
/// Time without a key after which the person counts as gone.
pub const IDLE: Duration = Duration::from_secs(120);
/// Time without a letter after which what is written is saved.
const PAUSE: Duration = Duration::from_millis(1_200);
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

/// Measures the time at a record, without the time when nobody was there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Watch {
    last: Option<Duration>,
    spent: Duration,
}

impl Watch {
    /// A key was pressed.
    pub fn touch(&mut self, now: Duration) {
        if let Some(last) = self.last {
            let gap = now.saturating_sub(last);
            if gap <= IDLE {
                self.spent += gap;
            }
        }
        self.last = Some(now);
    }

    /// The seconds since it was taken last; begins anew.
    pub fn take(&mut self, now: Duration) -> f64 {
        self.touch(now);
        std::mem::take(&mut self.spent).as_secs_f64()
    }
}

/// A part that is being written.
#[derive(Clone, Debug)]
pub struct Editor {
    /// The record.
    pub record: i64,
    /// The revision the text is made on.
    pub base: i64,
    /// The record as it was when it was opened.
    pub before: State,
    /// The part.
    pub place: Place,
    /// The text.
    pub field: Field,
    /// The text as it was opened.
    opened: String,
    /// The text as it was last sent to be saved.
    sent: String,
    /// When it last became another.
    written: Option<Duration>,
    /// Whether it wants to be looked at.
    unseen: bool,
}

impl Editor {
    /// Whether all that is written was sent to be saved.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        self.field.text() == self.sent
    }

    /// The record with the text in its place.
    fn after(&self) -> State {
        record::put(&self.before, &self.place, &self.field.text())
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
    pub scroll: i32,
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
    pub(super) drafting: Vec<i64>,
    /// What this session has claimed.
    claimed: Option<i64>,
    /// The record that the cursor wants to be on once the list has it.
    wanted: Option<i64>,
}

impl Data {
    pub(super) fn start(&mut self) -> Vec<Effect> {
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

    pub(super) fn wake(&self) -> Option<Duration> {
        let editor = self.editor.as_ref()?;
        let written = editor.written.unwrap_or_default();
        if editor.unseen { Some(written + GLANCE) } else { editor.written.map(|written| written + PAUSE) }
    }

    pub(super) fn woken(&mut self, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let Some(written) = self.editor.as_ref().and_then(|editor| editor.written) else { return false };
        if now >= written + PAUSE {
            self.save(now, false, effects);
            return true;
        }
        false
    }

    /// A letter was written.
    pub(super) fn written(&mut self, now: Duration) {
        if let Some(editor) = &mut self.editor {
            editor.written = Some(now);
            editor.unseen = true;
        }
    }

    /// Saves what is written, if it is another text than was sent.
    fn save(&mut self, now: Duration, then_accept: bool, effects: &mut Vec<Effect>) {
        let Some(editor) = &mut self.editor else { return };
        editor.written = None;
        let text = editor.field.text();
        if text == editor.sent && !then_accept {
            return;
        }
        editor.sent = text;
        // Untouched, a draft in the gold's place is no edit; accepting makes it gold.
        let after = if editor.sent_nothing() { editor.before.clone() } else { editor.after() };
        self.saving += 1;
        effects.push(Effect::Store(Ask::Save {
            record: editor.record,
            base: editor.base,
            after: Box::new(after),
            seconds: Some(self.watch.take(now)),
            then_accept,
        }));
    }

    /// Ends writing; what is written is saved.
    pub(super) fn close(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.save(now, false, effects);
        self.editor = None;
        self.found = None;
    }

    pub(super) fn find(&mut self, query: String, effects: &mut Vec<Effect>) {
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
    pub(super) fn fill(&mut self, size: (u16, u16), effects: &mut Vec<Effect>) {
        self.height = usize::from(size.1);
        let from = self.at.saturating_sub(self.page() + MARGIN);
        let to = (self.at + self.page() + MARGIN).min(self.ids.len());
        let unknown = |id: &&i64| !self.rows.contains_key(*id) && !self.asked.contains(*id);
        let near = self.at.saturating_sub(self.page())..(self.at + self.page()).min(self.ids.len());
        // Asked for in good time, but not at every step.
        if self.ids.get(near).is_some_and(|near| near.iter().any(|id| unknown(&id))) {
            let missing: Vec<i64> = self.ids.get(from..to).unwrap_or_default().iter().filter(unknown).copied().collect();
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
        self.scroll = 0;
        self.part = None;
        if let Some(open) = self.ahead.remove(&id) {
            self.open = Some(open);
        }
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
        if !self.sticky.is_empty() {
            let stay = self.ids.iter().copied().filter(|id| self.sticky.contains(id));
            ids.extend(stay.collect::<Vec<_>>());
            ids.sort_unstable();
            ids.dedup();
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
    pub(super) fn remember_reason(&mut self, reason: &str) {
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
    pub(super) fn copied(&self) -> Option<String> {
        let open = self.shown()?;
        let place = self.chosen()?;
        record::text_of(&open.record.state, &place).filter(|text| !text.is_empty()).or_else(|| {
            let part = record::parts(&open.record.state).into_iter().find(|part| part.place == place);
            part.map(|part| part.text)
        })
    }

    fn edit(&mut self, place: Place, now: Duration, effects: &mut Vec<Effect>) -> Result<(), &'static str> {
        let Some(open) = self.shown() else { return Err("there is no record to edit") };
        let text = record::text_of(&open.record.state, &place)
            .ok_or("this part is no plain text of its own: E opens the whole record in $EDITOR")?;
        let (id, base, before) = (open.record.id, open.record.revision, open.record.state.clone());
        self.claim(id, effects);
        self.editor = Some(Editor {
            record: id,
            base,
            before,
            place: place.clone(),
            field: Field::new(&text),
            opened: text.clone(),
            sent: text,
            written: None,
            unseen: true,
        });
        self.part = Some(place);
        self.watch.touch(now);
        Ok(())
    }

    /// Opens the editor with a text that met a newer one.
    pub(super) fn reopen_with(&mut self, id: i64, ours: State, effects: &mut Vec<Effect>) {
        let Some(open) = self.open.as_ref().filter(|open| open.record.id == id) else { return };
        let place = self.part.clone().unwrap_or_else(|| record::answer(&ours));
        let (base, before) = (open.record.revision, open.record.state.clone());
        let (Some(theirs), Some(text)) = (record::text_of(&before, &place), record::text_of(&ours, &place)) else {
            return;
        };
        self.claim(id, effects);
        let mut field = Field::new(&theirs);
        field.set(&text);
        let editor = Editor {
            record: id,
            base,
            before,
            place,
            field,
            opened: theirs.clone(),
            sent: theirs,
            written: None,
            unseen: true,
        };
        self.editor = Some(editor);
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

impl Editor {
    /// Whether nothing of it was saved yet.
    fn sent_nothing(&self) -> bool {
        self.sent == self.opened
    }
}

impl App {
    /// A command of the pane, or of the editor in it.
    pub(super) fn data_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        let last = self.data.ids.len().saturating_sub(1);
        let page = self.data.page();
        match command {
            C::ListDown => self.move_to(self.data.at.saturating_add(1).min(last), now, effects),
            C::ListUp => self.move_to(self.data.at.saturating_sub(1), now, effects),
            C::ListPageDown => self.move_to((self.data.at + page).min(last), now, effects),
            C::ListPageUp => self.move_to(self.data.at.saturating_sub(page), now, effects),
            C::ListTop => self.move_to(0, now, effects),
            C::ListBottom => self.move_to(last, now, effects),
            C::ScrollDown | C::EditorScrollDown => self.data.scroll += SCROLL,
            C::ScrollUp | C::EditorScrollUp => self.data.scroll -= SCROLL,
            C::PartNext => self.data.choose(1),
            C::PartBefore => self.data.choose(-1),
            C::Accept => self.do_to(Act::Accept, self.data.about(), now, effects),
            C::Restore => self.do_to(Act::Status(Status::Inbox), self.data.about(), now, effects),
            C::Skip => self.go_on(now, effects),
            C::Reject => {
                let reasons = self.data.reasons.clone();
                self.ask_about("reject, because", Purpose::Reject, String::new(), reasons);
            }
            C::Category => {
                let (now, known) = (self.row_text(|row| row.category.clone()), self.data.categories.clone());
                self.ask_about("category (empty for none)", Purpose::Category, now, known);
            }
            C::Assign => {
                let (now, known) = (self.row_text(|row| row.assignee.clone()), self.data.people.clone());
                self.ask_about("who is to work on it (empty for nobody)", Purpose::Assign, now, known);
            }
            C::Split => {
                let records = self.data.about();
                if !records.is_empty() {
                    let items = Split::ALL.iter().map(|split| split.word().to_owned()).chain(["none".into()]).collect();
                    let title = format!("what {} for", used(records.len()));
                    self.overlay = Some(Overlay::Pick { choice: Choice::Split(records), title, items, at: 0 });
                }
            }
            C::Filter => {
                let before = self.data.query.clone();
                let suggestions = self.filters();
                let text = if before.is_empty() { String::new() } else { format!("{before} ") };
                self.overlay = Some(Overlay::ask(Purpose::Filter(before), "filter".into(), &text, suggestions));
            }
            C::FilterClear => {
                if !self.data.selected.is_empty() {
                    self.data.selected.clear();
                } else if !self.data.query.is_empty() {
                    self.data.find(String::new(), effects);
                }
            }
            C::Select => {
                if let Some(id) = self.data.current() {
                    if !self.data.selected.remove(&id) {
                        self.data.selected.insert(id);
                    }
                    self.move_to((self.data.at + 1).min(last), now, effects);
                }
            }
            C::SelectAll => {
                let all: BTreeSet<i64> = self.data.ids.iter().copied().collect();
                self.data.selected = if self.data.selected == all { BTreeSet::new() } else { all };
            }
            C::Edit => {
                if let Some(place) = self.data.chosen() {
                    // What a model said stays as it is; correcting it makes the gold answer.
                    let place = if place == Place::Draft { Place::Gold } else { place };
                    if let Err(why) = self.data.edit(place, now, effects) {
                        self.note(why, now);
                    }
                }
            }
            C::EditOutside => {
                if let Some(id) = self.data.current() {
                    self.data.claimed = None;
                    effects.push(Effect::Store(Ask::Lend(id)));
                }
            }
            C::NextFlagged => {
                let flagged = |at: &usize| {
                    let row = self.data.ids.get(*at).and_then(|id| self.data.rows.get(id));
                    row.is_some_and(|row| !row.flags.is_empty())
                };
                match (self.data.at + 1..self.data.ids.len()).chain(0..self.data.at).find(flagged) {
                    Some(at) => self.move_to(at, now, effects),
                    None => self.note("nothing else here has a finding; L looks at all records", now),
                }
            }
            C::NextMine => effects.push(Effect::Store(Ask::NextMine)),
            C::Neighbours => {
                if let Some(id) = self.data.current() {
                    self.data.near = Some((self.wish(Wish::Near(id), effects), id));
                }
            }
            C::History => effects.extend(self.data.current().map(|id| Effect::Store(Ask::History(id)))),
            C::Lint => {
                self.note("looking at all records", now);
                self.wish(Wish::Lint, effects);
            }
            C::Drafts => {
                self.data.drafting = self.data.about();
                effects.push(Effect::Store(Ask::Systems));
                let items: Vec<String> = self.compare.systems.iter().map(|system| system.name().to_owned()).collect();
                let items = if items.is_empty() { vec!["base".into()] } else { items };
                if self.data.drafting.is_empty() {
                    self.note("there is no record here", now);
                } else {
                    let title = format!("who drafts {} records", self.data.drafting.len());
                    let at = items.len() - 1;
                    self.overlay = Some(Overlay::Pick { choice: Choice::Drafter, title, items, at });
                }
            }
            C::EditorDone => self.data.close(now, effects),
            C::EditorSave => {
                if self.data.editor.as_ref().is_some_and(Editor::is_saved) {
                    self.note("saved already", now);
                }
                self.data.save(now, false, effects);
            }
            C::EditorRevert => {
                if let Some(editor) = &mut self.data.editor {
                    let opened = editor.opened.clone();
                    editor.field.set(&opened);
                    self.data.written(now);
                }
            }
            C::EditorAccept => {
                self.data.save(now, true, effects);
                self.data.editor = None;
                self.data.found = None;
                self.decided(&Act::Accept, now, effects);
            }
            C::EditorPartNext | C::EditorPartBefore => self.edit_part(command == C::EditorPartNext, now, effects),
            _ => {}
        }
    }

    /// Goes from the part that is being written to the next one that can be.
    fn edit_part(&mut self, forward: bool, now: Duration, effects: &mut Vec<Effect>) {
        let parts = self.data.shown().map_or(0, |open| record::parts(&open.record.state).len());
        self.data.close(now, effects);
        for _ in 0..parts {
            self.data.choose(if forward { 1 } else { -1 });
            let Some(place) = self.data.chosen().filter(|place| *place != Place::Draft) else { continue };
            if self.data.edit(place, now, effects).is_ok() {
                return;
            }
        }
    }

    fn row_text(&self, of: impl Fn(&Row) -> Option<String>) -> String {
        let row = self.data.current().and_then(|id| self.data.rows.get(&id));
        row.and_then(of).unwrap_or_default()
    }

    fn ask_about(
        &mut self,
        title: &str,
        purpose: impl FnOnce(Vec<i64>) -> Purpose,
        text: String,
        suggestions: Vec<String>,
    ) {
        let records = self.data.about();
        if records.is_empty() {
            return;
        }
        let text = if records.len() > 1 { String::new() } else { text };
        let title = if records.len() > 1 { format!("{title} ({} records)", records.len()) } else { title.to_owned() };
        self.overlay = Some(Overlay::ask(purpose(records), title, &text, suggestions));
    }

    /// What a filter can ask for, for suggestions.
    fn filters(&self) -> Vec<String> {
        let words = |key: &str, words: &[&str]| words.iter().map(|word| format!("{key}:{word}")).collect::<Vec<_>>();
        let quoted = |key: &str, names: &[String]| {
            let quote = |name: &String| {
                let plain = !name.contains([' ', '\u{3000}', '"', ',']);
                if plain { format!("{key}:{name}") } else { format!("{key}:\"{}\"", name.replace('"', "")) }
            };
            names.iter().map(quote).collect::<Vec<_>>()
        };
        let mut all = words("status", &["inbox,draft", "inbox", "draft", "gold", "rejected"]);
        all.extend(words("flag", &["any", "none"]));
        all.extend(words("split", &["train", "valid", "test", "none"]));
        all.extend(words("assignee", &["me", "none"]));
        all.extend(words("author", &["me"]));
        all.extend(words("origin", &["traffic", "human", "model", "import"]));
        all.extend(quoted("category", &self.data.categories));
        all.extend(quoted("assignee", &self.data.people));
        all
    }

    fn move_to(&mut self, at: usize, now: Duration, effects: &mut Vec<Effect>) {
        self.data.going_on = false;
        self.data.put(at, now, effects);
    }

    /// Puts the cursor on a record; where the list does not have it, the filter goes.
    pub(super) fn go_to(&mut self, id: i64, now: Duration, effects: &mut Vec<Effect>) {
        match self.data.ids.binary_search(&id) {
            Ok(at) => self.move_to(at, now, effects),
            Err(_) => {
                self.data.wanted = Some(id);
                self.data.find(String::new(), effects);
            }
        }
    }

    /// Does something to records: at once to the one at the cursor, after a look at what it would do to a selection.
    pub(super) fn do_to(&mut self, act: Act, records: Vec<i64>, now: Duration, effects: &mut Vec<Effect>) {
        if records.is_empty() {
            self.note("there is no record here", now);
        } else if self.data.selected.is_empty() {
            self.do_now(act, records, now, effects);
        } else {
            effects.push(Effect::Store(Ask::Preview { act, records }));
        }
    }

    pub(super) fn do_now(&mut self, act: Act, records: Vec<i64>, now: Duration, effects: &mut Vec<Effect>) {
        let single = self.data.selected.is_empty();
        // Time goes with a decision on the record that was read.
        let seconds = (single && act.goes_on()).then(|| self.data.watch.take(now));
        self.data.saving += 1;
        effects.push(Effect::Store(Ask::Act { act: act.clone(), records, seconds }));
        if single {
            self.decided(&act, now, effects);
        }
        self.data.selected.clear();
    }

    /// The record at the cursor was decided on: its row shows it at once, and the cursor goes on.
    fn decided(&mut self, act: &Act, now: Duration, effects: &mut Vec<Effect>) {
        let Some(id) = self.data.current() else { return };
        self.data.sticky.insert(id);
        let waited = self.data.rows.get(&id).is_none_or(Row::waits);
        if let Some(row) = self.data.rows.get_mut(&id) {
            match act {
                Act::Accept => row.status = Status::Gold,
                Act::Reject(_) => row.status = Status::Rejected,
                _ => {}
            }
        }
        if act.goes_on() {
            self.on_from(waited, now, effects);
        }
    }

    fn go_on(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let waited = self.data.current().and_then(|id| self.data.rows.get(&id)).is_none_or(Row::waits);
        self.on_from(waited, now, effects);
    }

    fn on_from(&mut self, waited: bool, now: Duration, effects: &mut Vec<Effect>) {
        match self.data.next(waited) {
            Some(at) => {
                self.data.going_on = true;
                self.data.put(at, now, effects);
                if let Some(id) = self.data.current() {
                    self.data.claim(id, effects);
                }
            }
            None if waited => self.note("nothing else waits here", now),
            None => self.note("this is the last one", now),
        }
    }

    /// What comes back from the store.
    pub(super) fn data_msg(&mut self, msg: Msg, now: Duration, effects: &mut Vec<Effect>) -> bool {
        match msg {
            Msg::Found { number, ids } if number == self.data.number => {
                let first = !self.data.ready;
                self.data.ready = true;
                match ids {
                    // A project in which nothing waits shows all it has.
                    Ok(ids) if ids.is_empty() && first && self.data.query == WAITING => {
                        self.data.find(String::new(), effects);
                    }
                    Ok(ids) => {
                        self.data.fill(self.size, &mut Vec::new());
                        self.data.take_ids(ids, now, effects);
                    }
                    // The list stays while a filter is half typed.
                    Err(problem) => self.data.problem = Some(problem),
                }
            }
            Msg::Rows(rows) => {
                for row in rows {
                    self.data.asked.remove(&row.id);
                    self.data.rows.insert(row.id, row);
                }
            }
            Msg::Opened(opened) => {
                let elsewhere = self.compare_opened(&opened) | self.prompt_opened(&opened);
                return self.opened(*opened) | elsewhere;
            }
            Msg::Gone(id) => {
                self.data.ahead.remove(&id);
                if self.data.current() == Some(id) {
                    self.data.again(effects);
                }
            }
            Msg::Written => self.data.saving = self.data.saving.saturating_sub(1),
            Msg::Saved { record, revision } => {
                if let Some(editor) = self.data.editor.as_mut().filter(|editor| editor.record == record) {
                    editor.base = revision;
                }
            }
            Msg::Conflict(conflict) => {
                self.data.editor = None;
                effects.push(Effect::Store(Ask::Open(conflict.record)));
                self.trouble(format!("{} was changed by {} meanwhile", conflict.record, conflict.by), now);
                self.overlay = Some(Overlay::Conflict(conflict));
            }
            Msg::Acted(acted) => self.acted(acted, now, effects),
            Msg::Preview { act, records, would, refused } => {
                self.overlay = Some(Overlay::Confirm { act, records, would, refused });
            }
            Msg::Taken { record, by } => {
                if let Some(row) = self.data.rows.get_mut(&record) {
                    row.taken = Some(by.clone());
                }
                self.data.claimed = None;
                if self.data.going_on && self.data.current() == Some(record) && self.data.editor.is_none() {
                    self.go_on(now, effects);
                } else {
                    self.note(format!("{by} is at {record} too"), now);
                }
            }
            Msg::Lent(id) => effects.push(Effect::EditOutside(id)),
            Msg::GoTo(Some(id)) => {
                self.data.claimed = Some(id);
                self.go_to(id, now, effects);
            }
            Msg::GoTo(None) => self.note("nothing waits for you", now),
            Msg::History { record, lines } => self.overlay = Some(Overlay::History { record, lines, at: 0 }),
            Msg::Names { categories, people } => {
                self.data.categories = categories;
                self.data.people = people;
                return false;
            }
            Msg::Changed(ids) => {
                let known: Vec<i64> = ids.iter().copied().filter(|id| self.data.rows.contains_key(id)).collect();
                if !known.is_empty() {
                    effects.push(Effect::Store(Ask::Rows(known)));
                }
                self.data.ahead.retain(|id, _| !ids.contains(id));
                if let Some(id) = self.data.current().filter(|id| ids.contains(id)) {
                    effects.push(Effect::Store(Ask::Open(id)));
                }
                self.data.again(effects);
                return false;
            }
            _ => return false,
        }
        true
    }

    /// Asks a companion; returns the number that its answers carry.
    pub(super) fn wish(&mut self, wish: Wish, effects: &mut Vec<Effect>) -> u64 {
        self.wishes += 1;
        effects.push(Effect::Wish { number: self.wishes, wish });
        self.wishes
    }

    /// Asks what the record that is being written would be found to be, once the person pauses.
    pub(super) fn glance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(editor) = self.data.editor.as_mut().filter(|editor| editor.unseen) else { return };
        if editor.written.is_some_and(|written| now < written + GLANCE) {
            return;
        }
        editor.unseen = false;
        let wish = Wish::Relint { record: editor.record, state: Box::new(editor.after()) };
        self.data.stamp = self.wish(wish, effects);
    }

    /// What a companion answers to the pane.
    pub(super) fn data_granted(
        &mut self,
        number: u64,
        granted: Granted,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> bool {
        match granted {
            Granted::Found(found) if number == self.data.stamp && self.data.editor.is_some() => {
                self.data.found = Some(found);
            }
            Granted::Linted(words) => {
                // A lint is no act: the rows are asked for again because their flags are others now.
                let known = self.data.rows.keys().copied().collect();
                effects.push(Effect::Store(Ask::Rows(known)));
                effects.extend(self.data.current().map(|id| Effect::Store(Ask::Open(id))));
                self.note(words, now);
            }
            Granted::Near(near) => {
                let Some((_, record)) = self.data.near.take().filter(|(asked, _)| *asked == number) else { return false };
                let unknown = near.iter().map(|(id, _)| *id).filter(|id| !self.data.rows.contains_key(id)).collect();
                effects.push(Effect::Store(Ask::Rows(unknown)));
                self.overlay = Some(Overlay::Near { record, near, at: 0 });
            }
            Granted::Failed(why) => self.trouble(why, now),
            _ => return false,
        }
        true
    }

    fn opened(&mut self, opened: Opened) -> bool {
        let id = opened.record.id;
        if self.data.current() != Some(id) {
            self.data.ahead.insert(id, opened);
            return false;
        }
        let same = self.data.open.as_ref() == Some(&opened);
        if let Some(editor) = self.data.editor.as_mut().filter(|editor| editor.record == id && editor.sent_nothing()) {
            // Nothing of it was saved: it can stand on the newer revision as long as its own part is the same there.
            let text = |state: &State| record::text_of(state, &editor.place);
            if text(&opened.record.state) == text(&editor.before) {
                editor.base = opened.record.revision;
                editor.before = opened.record.state.clone();
            }
        }
        self.data.open = Some(opened);
        !same
    }

    fn acted(&mut self, acted: Acted, now: Duration, effects: &mut Vec<Effect>) {
        if acted.tell {
            self.note(acted.words, now);
            if let [only] = acted.changed[..] {
                self.go_to(only, now, effects);
            }
        }
        if let Some((record, why)) = acted.refused.first() {
            let more = acted.refused.len() - 1;
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            self.trouble(format!("{record} stays as it is: {why}{more}"), now);
        }
        for conflict in acted.conflicts {
            let words = format!("{} was changed by {} meanwhile and stays as it is", conflict.record, conflict.by);
            self.trouble(words, now);
        }
    }
}

fn used(count: usize) -> String {
    if count == 1 { "this one is".into() } else { format!("these {count} are") }
}
