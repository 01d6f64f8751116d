//! What the commands of the pane do, and those of the editor in it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Editor, Row, SCROLL, counted};
use crate::app::overlay::{Choice, Purpose};
use crate::app::record::{self, Place};
use crate::app::wish::{System, Wish};
use crate::app::{Act, App, Ask, Effect, Overlay};
use crate::keymap::Command;
use crate::store::{Split, Status};

impl App {
    /// A command of the pane, or of the editor in it.
    pub(in crate::app) fn data_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        let last = self.data.ids.len().saturating_sub(1);
        match command {
            C::ListDown | C::ListUp | C::ListPageDown | C::ListPageUp | C::ListTop | C::ListBottom => {
                self.list_command(command, now, effects);
            }
            C::ScrollDown | C::EditorScrollDown => self.data.scroll.by(SCROLL),
            C::ScrollUp | C::EditorScrollUp => self.data.scroll.by(-SCROLL),
            C::PartNext => self.data.choose(1),
            C::PartBefore => self.data.choose(-1),
            C::Accept => self.do_to(Act::Accept, self.data.about(), now, effects),
            C::Restore => self.do_to(Act::Status(Status::Inbox), self.data.about(), now, effects),
            C::Skip => self.go_on(now, effects),
            C::Reject => {
                let reasons = self.data.reasons.clone();
                self.ask_about("reject, because", Purpose::Reject, String::new(), reasons, now);
            }
            C::Category => {
                let (text, known) = (self.row_text(|row| row.category.clone()), self.data.categories.clone());
                self.ask_about("category (empty for none)", Purpose::Category, text, known, now);
            }
            C::Assign => {
                let (text, known) = (self.row_text(|row| row.assignee.clone()), self.data.people.clone());
                self.ask_about("who is to work on it (empty for nobody)", Purpose::Assign, text, known, now);
            }
            C::Split => {
                let records = self.data.about();
                if records.is_empty() {
                    return self.no_record(now);
                }
                let items = Split::ALL.iter().map(|split| split.word().to_owned()).chain(["none".into()]).collect();
                let title = format!("what {} for", used(records.len()));
                // The split that the record has is marked.
                let split = records.first().and_then(|id| self.data.rows.get(id)).and_then(|row| row.split);
                let at = Split::ALL.iter().position(|one| records.len() == 1 && Some(*one) == split).unwrap_or(0);
                self.overlay = Some(Overlay::Pick { choice: Choice::Split(records), title, items, at });
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
                let Some(id) = self.data.current() else { return self.no_record(now) };
                if !self.data.selected.remove(&id) {
                    self.data.selected.insert(id);
                }
                self.move_to((self.data.at + 1).min(last), now, effects);
            }
            C::SelectAll => {
                let all = self.data.found();
                self.data.selected = if self.data.selected == all { BTreeSet::new() } else { all };
            }
            C::Edit => self.edit_chosen(now, effects),
            C::EditOutside => {
                let Some(id) = self.data.current() else { return self.no_record(now) };
                self.data.claimed = None;
                effects.push(Effect::Store(Ask::Lend(id)));
            }
            C::NextFlagged => self.next_flagged(now, effects),
            C::NextMine => effects.push(Effect::Store(Ask::NextMine)),
            C::Neighbours => {
                let Some(id) = self.data.current() else { return self.no_record(now) };
                self.data.near = Some((self.wish(Wish::Near(id), effects), id));
            }
            C::History => match self.data.current() {
                Some(id) => effects.push(Effect::Store(Ask::History(id))),
                None => self.no_record(now),
            },
            C::Lint => {
                self.note("looking at all records", now);
                self.wish(Wish::Lint, effects);
            }
            C::Drafts => self.choose_drafter(now, effects),
            command => self.editor_command(command, now, effects),
        }
    }

    fn no_record(&mut self, now: Duration) {
        self.note("there is no record here", now);
    }

    /// Opens the editor on the chosen part.
    fn edit_chosen(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(place) = self.data.chosen() else {
            return match self.data.current() {
                Some(id) => self.note(format!("record {id} is still being read"), now),
                None => self.no_record(now),
            };
        };
        // What a model said stays as it is; correcting it makes the gold answer.
        let place = if place == Place::Draft { Place::Gold } else { place };
        if !self.data.edit(place, now, effects) {
            let key = self.keymap.first(Command::EditOutside);
            let words = format!("this part is no plain text of its own: {key} opens the whole record in $EDITOR");
            self.note(words, now);
        }
    }

    /// Asks who is to draft what is selected.
    fn choose_drafter(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.data.drafting = self.data.about();
        if self.data.drafting.is_empty() {
            return self.no_record(now);
        }
        effects.push(Effect::Store(Ask::Systems));
        let known = &self.compare.systems;
        let systems = if known.is_empty() { vec![System::Base] } else { known.clone() };
        let items: Vec<String> = systems.iter().map(System::label).collect();
        let title = format!("who drafts {}", counted(self.data.drafting.len()));
        // The newest run at its best, else the base.
        let at = systems.iter().rposition(System::is_run).unwrap_or(0);
        self.overlay = Some(Overlay::Pick { choice: Choice::Drafter(systems), title, items, at });
    }

    /// Goes to the next record with a finding. Rows that are known tell at once; the store is asked about those that are not.
    fn next_flagged(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let known = |at: &usize| self.data.ids.get(*at).and_then(|id| self.data.rows.get(id));
        let telling = |at: &usize| known(at).is_none_or(|row| !row.flags.is_empty());
        let found = (self.data.at + 1..self.data.ids.len()).chain(0..self.data.at).find(telling);
        match found {
            Some(at) if known(&at).is_some() => self.move_to(at, now, effects),
            Some(_) => {
                let (query, after) = (self.data.query.clone(), self.data.current().unwrap_or_default());
                effects.push(Effect::Store(Ask::NextFlagged { query, after }));
            }
            None => self.nothing_flagged(now),
        }
    }

    /// The store has said which is the next record with a finding.
    pub(super) fn flagged(&mut self, id: Option<i64>, now: Duration, effects: &mut Vec<Effect>) {
        match id.and_then(|id| self.data.ids.binary_search(&id).ok()) {
            Some(at) => self.move_to(at, now, effects),
            None => self.nothing_flagged(now),
        }
    }

    fn nothing_flagged(&mut self, now: Duration) {
        let key = self.keymap.first(Command::Lint);
        self.note(format!("nothing else here has a finding; {key} looks at all records"), now);
    }

    /// The mouse clicked on a line of the list; a second click edits the record.
    pub(in crate::app) fn record_clicked(&mut self, at: usize, now: Duration, effects: &mut Vec<Effect>) {
        if at != self.data.at && at < self.data.ids.len() {
            self.move_to(at, now, effects);
        } else if at == self.data.at && self.data.editor.is_none() {
            self.data_command(Command::Edit, now, effects);
        }
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
            if self.data.edit(place, now, effects) {
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
        now: Duration,
    ) {
        let records = self.data.about();
        if records.is_empty() {
            return self.no_record(now);
        }
        let text = if records.len() > 1 { String::new() } else { text };
        let title = if records.len() > 1 { format!("{title} ({})", counted(records.len())) } else { title.to_owned() };
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
            self.no_record(now);
        } else if self.data.selected.is_empty() {
            self.do_now(&act, records, now, effects);
        } else {
            effects.push(Effect::Store(Ask::Preview { act, records }));
        }
    }

    pub(in crate::app) fn do_now(&mut self, act: &Act, records: Vec<i64>, now: Duration, effects: &mut Vec<Effect>) {
        // What was previewed is no decision on the record that is read, even where the selection was let go of meanwhile.
        let single = self.data.selected.is_empty() && self.data.current().is_some_and(|id| records == [id]);
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
        if matches!(act, Act::Accept | Act::Reject(_)) {
            // Until the store says whether the query still finds it.
            self.data.beyond.insert(id);
        }
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

    pub(super) fn go_on(&mut self, now: Duration, effects: &mut Vec<Effect>) {
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
}

fn used(count: usize) -> String {
    if count == 1 { "this one is".into() } else { format!("these {count} are") }
}
