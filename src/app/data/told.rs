//! What the store and a companion tell the pane, and what becomes of it.

use std::time::Duration;

use super::{GLANCE, WAITING, counted};
use crate::app::wish::{Granted, Wish};
use crate::app::{Acted, App, Ask, Effect, Msg, Opened, Overlay, Pane, record};
use crate::store::State;

impl App {
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
            Msg::Conflict(mut conflict) => {
                // What was written since it was sent belongs to it; another record's editor stays as it is.
                if let Some(editor) = self.data.editor.take_if(|editor| editor.record == conflict.record) {
                    self.data.found = None;
                    if !editor.is_saved() {
                        let text = editor.field.text();
                        conflict.ours = conflict.ours.map(|ours| record::put(&ours, &editor.place, &text));
                    }
                }
                effects.push(Effect::Store(Ask::Open(conflict.record)));
                self.trouble(format!("{} was changed by {} meanwhile", conflict.record, conflict.by), now);
                self.data.conflicts.push_back(conflict);
            }
            Msg::Acted(acted) => self.acted(acted, now, effects),
            Msg::Preview { act, records, would, refused } => {
                let words = format!("{} {}", act.words(), counted(records.len()));
                if !self.lay(Overlay::Confirm { act, records, would, refused }) {
                    self.note(format!("nobody was asked whether to {words}: it is not done"), now);
                }
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
            Msg::Flagged(id) => self.flagged(id, now, effects),
            Msg::History { record, lines } => return self.lay(Overlay::History { record, lines, at: 0 }),
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

    /// Asks about the next text that met a newer one, once the person is at nothing else; whether it does.
    pub(in crate::app) fn next_conflict(&mut self) -> bool {
        if self.data.conflicts.is_empty() || !self.is_at_list() {
            return false;
        }
        self.overlay = self.data.conflicts.pop_front().map(Overlay::Conflict);
        true
    }

    /// Whether the person is at the list, and at nothing over it or in a text.
    fn is_at_list(&self) -> bool {
        self.pane == Pane::Data && self.overlay.is_none() && !self.is_writing()
    }

    /// Lays what was asked for a while ago over the list. Not where the person is at something else by now: the keys for that would be
    /// taken for this.
    fn lay(&mut self, overlay: Overlay) -> bool {
        let free = self.is_at_list();
        if free {
            self.overlay = Some(overlay);
        }
        free
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
                let Some((_, record)) = self.data.near.take_if(|(asked, _)| *asked == number) else { return false };
                if near.is_empty() {
                    self.note(format!("no other record is worded like {record}"), now);
                    return true;
                }
                let unknown = near.iter().map(|(id, _)| *id).filter(|id| !self.data.rows.contains_key(id)).collect();
                effects.push(Effect::Store(Ask::Rows(unknown)));
                return self.lay(Overlay::Near { record, near, at: 0 });
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
