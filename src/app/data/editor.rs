//! The part of a record that is being written: when it is saved, on which revision, and the time a person is at it.

use std::time::Duration;

use super::{Data, GLANCE};
use crate::app::field::Field;
use crate::app::record::{self, Place};
use crate::app::{Ask, Conflict, Effect};
use crate::store::State;

/// Time without a key after which the person counts as gone.
pub const IDLE: Duration = Duration::from_mins(2);
/// Time without a letter after which what is written is saved.
const PAUSE: Duration = Duration::from_millis(1_200);

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
    pub(super) opened: String,
    /// The text as it was last sent to be saved.
    pub(super) sent: String,
    /// When it last became another.
    pub(super) written: Option<Duration>,
    /// Whether it wants to be looked at.
    pub(super) unseen: bool,
    touched: bool,
}

impl Editor {
    /// Whether anything was written since it was opened.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.touched
    }

    /// Whether all that is written was sent to be saved.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        self.field.text() == self.sent
    }

    /// The record with the text in its place.
    pub(super) fn after(&self) -> State {
        record::put(&self.before, &self.place, &self.field.text())
    }

    /// Whether nothing of it was saved yet.
    pub(super) fn sent_nothing(&self) -> bool {
        self.sent == self.opened
    }
}

impl Data {
    pub(in crate::app) fn wake(&self) -> Option<Duration> {
        let editor = self.editor.as_ref()?;
        let written = editor.written.unwrap_or_default();
        if editor.unseen { Some(written + GLANCE) } else { editor.written.map(|written| written + PAUSE) }
    }

    pub(in crate::app) fn woken(&mut self, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let Some(written) = self.editor.as_ref().and_then(|editor| editor.written) else { return false };
        if now >= written + PAUSE {
            self.save(now, false, effects);
            return true;
        }
        false
    }

    /// A letter was written.
    pub(in crate::app) fn written(&mut self, now: Duration) {
        if let Some(editor) = &mut self.editor {
            editor.written = Some(now);
            editor.unseen = true;
            editor.touched = true;
        }
    }

    /// Saves what is written, if it is another text than was sent.
    pub(super) fn save(&mut self, now: Duration, then_accept: bool, effects: &mut Vec<Effect>) {
        let Some(editor) = &mut self.editor else { return };
        editor.written = None;
        let text = editor.field.text();
        if text == editor.sent && !then_accept {
            return;
        }
        editor.sent = text;
        // Untouched, a draft in the gold's place is no edit; accepting makes it gold.
        let after = if editor.sent_nothing() { editor.before.clone() } else { editor.after() };
        // What is edited next begins with it, whether or not the disk has it by then.
        if let Some(open) = self.open.as_mut().filter(|open| open.record.id == editor.record) {
            open.record.state = after.clone();
        }
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
    pub(in crate::app) fn close(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.save(now, false, effects);
        self.editor = None;
        self.found = None;
    }

    /// Opens the editor on a part; whether it can be edited in place.
    pub(super) fn edit(&mut self, place: Place, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let Some(open) = self.shown() else { return false };
        let Some(text) = record::text_of(&open.record.state, &place) else { return false };
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
            touched: false,
        });
        self.part = Some(place);
        self.watch.touch(now);
        true
    }

    /// Opens the editor with a text that met a newer one, to be saved on that one; whether it could.
    pub(in crate::app) fn reopen_with(&mut self, conflict: &Conflict, effects: &mut Vec<Effect>) -> bool {
        let (Some(ours), Some(theirs)) = (&conflict.ours, &conflict.theirs) else { return false };
        if self.current() != Some(conflict.record) {
            return false;
        }
        let differs = |place: &Place| record::text_of(ours, place) != record::text_of(theirs, place);
        let parts = self.part.clone().into_iter().chain(record::parts(ours).into_iter().map(|part| part.place));
        let place = parts.into_iter().find(differs).unwrap_or_else(|| record::answer(ours));
        let (Some(before), Some(text)) = (record::text_of(theirs, &place), record::text_of(ours, &place)) else {
            return false;
        };
        self.claim(conflict.record, effects);
        let mut field = Field::new(&before);
        field.set(&text);
        self.editor = Some(Editor {
            record: conflict.record,
            base: conflict.head,
            before: theirs.clone(),
            place: place.clone(),
            field,
            opened: before.clone(),
            sent: before,
            written: None,
            unseen: true,
            touched: false,
        });
        self.part = Some(place);
        true
    }
}
