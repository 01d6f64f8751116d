//! What the pane of the records does: by its keys, and when the store or a companion answers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Editor, GLANCE, Row, SCROLL, WAITING};
use crate::app::overlay::{Choice, Purpose};
use crate::app::record::{self, Place};
use crate::app::wish::{Granted, Wish};
use crate::app::{Act, Acted, App, Ask, Effect, Msg, Opened, Overlay};
use crate::keymap::Command;
use crate::store::{Split, State, Status};

impl App {
    /// A command of the pane, or of the editor in it.
    pub(in crate::app) fn data_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        let last = self.data.ids.len().saturating_sub(1);
        match command {
            C::ListDown | C::ListUp | C::ListPageDown | C::ListPageUp | C::ListTop | C::ListBottom => {
                self.list_command(command, now, effects);
            }
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
            C::Split => self.choose_split(),
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
            C::NextFlagged => self.next_flagged(now, effects),
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
                    let count = self.data.drafting.len();
                    let plural = if count == 1 { "" } else { "s" };
                    let title = format!("who drafts {} record{plural}", crate::text::count(count as u64));
                    let at = items.len() - 1;
                    self.overlay = Some(Overlay::Pick { choice: Choice::Drafter, title, items, at });
                }
            }
            command => self.editor_command(command, now, effects),
        }
    }

    /// Asks what records are used for; the split that the record has is marked.
    fn choose_split(&mut self) {
        let records = self.data.about();
        if records.is_empty() {
            return;
        }
        let items = Split::ALL.iter().map(|split| split.word().to_owned()).chain(["none".into()]).collect();
        let title = format!("what {} for", used(records.len()));
        let split = records.first().and_then(|id| self.data.rows.get(id)).and_then(|row| row.split);
        let at = Split::ALL.iter().position(|one| records.len() == 1 && Some(*one) == split).unwrap_or(0);
        self.overlay = Some(Overlay::Pick { choice: Choice::Split(records), title, items, at });
    }

    /// Goes to the next record with a finding. Rows that are known tell at once; the store is asked about those that are not.
    fn next_flagged(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let telling = |at: &usize| {
            let row = self.data.ids.get(*at).and_then(|id| self.data.rows.get(id));
            row.is_none_or(|row| !row.flags.is_empty())
        };
        match (self.data.at + 1..self.data.ids.len()).chain(0..self.data.at).find(telling) {
            Some(at) if self.data.ids.get(at).is_some_and(|id| self.data.rows.contains_key(id)) => {
                self.move_to(at, now, effects);
            }
            Some(_) => {
                let (query, after) = (self.data.query.clone(), self.data.current().unwrap_or_default());
                effects.push(Effect::Store(Ask::NextFlagged { query, after }));
            }
            None => self.nothing_flagged(now),
        }
    }

    /// The mouse clicked on a line of the list; a second click edits the record.
    pub(in crate::app) fn record_clicked(&mut self, at: usize, now: Duration, effects: &mut Vec<Effect>) {
        if at != self.data.at && at < self.data.ids.len() {
            self.move_to(at, now, effects);
        } else if at == self.data.at && self.data.editor.is_none() {
            self.data_command(Command::Edit, now, effects);
        }
    }

    fn nothing_flagged(&mut self, now: Duration) {
        let look = self.keymap.first(Command::Lint);
        self.note(format!("nothing else here has a finding; {look} looks at all records"), now);
    }

    /// A command that moves the list's cursor.
    fn list_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        let last = self.data.ids.len().saturating_sub(1);
        let page = self.data.page();
        let at = self.data.at;
        let to = match command {
            C::ListDown => at + 1,
            C::ListUp => at.saturating_sub(1),
            C::ListPageDown => at + page,
            C::ListPageUp => at.saturating_sub(page),
            C::ListTop => 0,
            _ => last,
        };
        self.move_to(to.min(last), now, effects);
    }

    /// A command of the editor.
    fn editor_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        match command {
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
        let count = crate::text::count(records.len() as u64);
        let title = if records.len() > 1 { format!("{count} records: {title}") } else { title.to_owned() };
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
    pub(in crate::app) fn go_to(&mut self, id: i64, now: Duration, effects: &mut Vec<Effect>) {
        if let Ok(at) = self.data.ids.binary_search(&id) {
            self.move_to(at, now, effects);
        } else {
            self.data.wanted = Some(id);
            self.data.find(String::new(), effects);
        }
    }

    /// Does something to records: at once to the one at the cursor, after a look at what it would do to a selection.
    pub(in crate::app) fn do_to(&mut self, act: Act, records: Vec<i64>, now: Duration, effects: &mut Vec<Effect>) {
        if records.is_empty() {
            self.note("there is no record here", now);
        } else if self.data.selected.is_empty() {
            self.do_now(&act, records, now, effects);
        } else {
            effects.push(Effect::Store(Ask::Preview { act, records }));
        }
    }

    pub(in crate::app) fn do_now(&mut self, act: &Act, records: Vec<i64>, now: Duration, effects: &mut Vec<Effect>) {
        let single = self.data.selected.is_empty();
        // Time goes with a decision on the record that was read.
        let seconds = (single && act.goes_on()).then(|| self.data.watch.take(now));
        self.data.saving += 1;
        effects.push(Effect::Store(Ask::Act { act: act.clone(), records, seconds }));
        if single {
            self.decided(act, now, effects);
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
    pub(in crate::app) fn data_msg(&mut self, msg: Msg, now: Duration, effects: &mut Vec<Effect>) -> bool {
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
            Msg::Flagged(id) => match id.and_then(|id| self.data.ids.binary_search(&id).ok()) {
                Some(at) => self.move_to(at, now, effects),
                None => self.nothing_flagged(now),
            },
            Msg::History { record, lines } => self.overlay = Some(Overlay::History { record, lines, at: 0 }),
            Msg::Names { categories, people } => {
                self.data.categories = categories;
                self.data.people = people;
                return false;
            }
            Msg::Changed(ids) => {
                // No act, and yet something is written: a claim, or what a lint found. The rows on the screen tell.
                let page = self.data.page();
                let near = self.data.at.saturating_sub(page)..(self.data.at + page).min(self.data.ids.len());
                let asked = if ids.is_empty() { self.data.ids.get(near).unwrap_or_default() } else { &ids };
                let known: Vec<i64> = asked.iter().copied().filter(|id| self.data.rows.contains_key(id)).collect();
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
    pub(in crate::app) fn wish(&mut self, wish: Wish, effects: &mut Vec<Effect>) -> u64 {
        self.wishes += 1;
        effects.push(Effect::Wish { number: self.wishes, wish });
        self.wishes
    }

    /// Asks what the record that is being written would be found to be, once the person pauses.
    pub(in crate::app) fn glance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(editor) = self.data.editor.as_mut().filter(|editor| editor.unseen) else { return };
        if editor.written.is_some_and(|written| now < written + GLANCE) {
            return;
        }
        editor.unseen = false;
        let wish = Wish::Relint { record: editor.record, state: Box::new(editor.after()) };
        self.data.stamp = self.wish(wish, effects);
    }

    /// What a companion answers to the pane.
    pub(in crate::app) fn data_granted(
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
                let Some((_, record)) = self.data.near.take().filter(|(asked, _)| *asked == number) else {
                    return false;
                };
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
            // To see it; but nobody's filter goes for that.
            if let [only] = acted.changed[..]
                && self.data.ids.binary_search(&only).is_ok()
            {
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
