//! What the commands of the pane do, and those of the editor in it.

use std::time::Duration;

use super::super::overlay::{Choice, Purpose};
use super::super::wish::Wish;
use super::super::{App, Ask, Effect, Overlay};
use super::trial::ROWS;
use super::{FIRST, Right, Version};
use crate::keymap::Command;

/// Lines that one scroll goes.
const SCROLL: i32 = 5;
/// How often the same is asked at most.
const TIMES: u64 = 3;

impl App {
    /// A command of the pane, or of the editor in it.
    pub(in crate::app) fn prompt_command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        match command {
            C::PromptEdit => self.prompt.writing = self.prompt.field.is_some(),
            C::EditorDone => {
                self.prompt.writing = false;
                self.prompt.keep(effects);
            }
            C::EditorSave | C::EditorAccept | C::PromptSave => {
                let name = self.prompt.name.clone();
                self.save_as(name, effects);
                self.prompt.writing &= command == C::EditorSave;
            }
            C::EditorRevert | C::PromptRevert => {
                let named = self.prompt.versions.iter().any(|version| version.name == self.prompt.name);
                // What was never saved has no text of its own but the one it began with.
                let before = if named { self.prompt.saved.clone() } else { FIRST.to_owned() };
                if let Some(field) = self.prompt.field.as_mut().filter(|field| field.text() != before) {
                    field.set(&before);
                    self.prompt.was_written(now);
                    self.note("back to the text as it was; ctrl-u while writing brings yours back", now);
                }
            }
            C::PromptNext => self.prompt_step(1, effects),
            C::PromptBefore => self.prompt_step(-1, effects),
            C::PromptVersion => {
                let at = self.prompt.versions.iter().position(|version| version.name == self.prompt.name);
                self.choose_version(Choice::Version, "versions", at.unwrap_or(0), now);
            }
            C::PromptName => {
                let name = self.prompt.name.clone();
                self.overlay = Some(Overlay::ask(Purpose::Name, "save as".into(), &name, Vec::new()));
            }
            C::PromptUse => self.use_version(now, effects),
            C::PromptVariable | C::EditorPartNext => {
                let items = self.prompt.variables();
                if items.is_empty() {
                    self.note("this record has no fields to name", now);
                } else {
                    let title = "put in a field of the record".into();
                    self.overlay = Some(Overlay::Pick { choice: Choice::Variable, title, items, at: 0 });
                }
            }
            C::PromptExample => {
                let Some(id) = self.prompt.looked_at() else { return self.nothing_looked_at(now) };
                let mut ids = self.prompt.examples.clone();
                put_or_take(&mut ids, id);
                effects.push(Effect::Store(Ask::PromptExamples(ids)));
            }
            C::PromptPin => {
                let Some(id) = self.prompt.looked_at() else { return self.nothing_looked_at(now) };
                if self.prompt.pinned.len() >= ROWS && !self.prompt.pinned.contains(&id) {
                    return self.note(format!("{ROWS} records can be read side by side: let one go first"), now);
                }
                put_or_take(&mut self.prompt.pinned, id);
            }
            C::PromptBeside => self.choose_version(Choice::Beside, "try beside, or no longer", 0, now),
            C::PromptRepeat => {
                let times = self.prompt.times() % TIMES + 1;
                self.prompt.repeats = times;
                let words =
                    if times == 1 { "once, the likeliest".into() } else { format!("{times} times, temperature 0.8") };
                self.note(format!("each is asked {words}"), now);
            }
            C::PromptTry => self.try_out(now, effects),
            C::PromptStop => {
                if self.prompt.trying.take().is_some() {
                    self.wish(Wish::Stop, effects);
                }
                self.prompt.right = Right::Tokens;
                self.prompt.scroll.home();
            }
            C::PromptDiff => {
                let diff = self.prompt.right == Right::Diff;
                self.prompt.right = if diff { Right::Tokens } else { Right::Diff };
                self.prompt.scroll.home();
            }
            C::PromptScrollDown | C::EditorScrollDown => self.prompt.scroll.by(SCROLL),
            C::PromptScrollUp | C::EditorScrollUp => self.prompt.scroll.by(-SCROLL),
            _ => {}
        }
    }

    fn nothing_looked_at(&mut self, now: Duration) {
        self.note("there is no record here", now);
    }

    /// Saves what is written under a name. It is a draft until it is saved, so that a text that is refused is not lost.
    fn save_as(&mut self, name: String, effects: &mut Vec<Effect>) {
        if self.prompt.field.is_some() {
            self.prompt.keep(effects);
            effects.push(Effect::Store(Ask::PromptSave { name, text: self.prompt.text() }));
        }
    }

    /// Asks for one of the versions.
    fn choose_version(&mut self, choice: fn(Vec<String>) -> Choice, title: &str, at: usize, now: Duration) {
        if self.prompt.versions.is_empty() {
            let key = self.keymap.first(Command::PromptSave);
            return self.note(format!("no version is saved yet; {key} saves this text as the first"), now);
        }
        let names = self.prompt.versions.iter().map(|version| version.name.clone()).collect();
        let items = self.prompt.versions.iter().map(label).collect();
        self.overlay = Some(Overlay::Pick { choice: choice(names), title: title.to_owned(), items, at });
    }

    /// Lets the project use the version that is shown, as it was saved.
    fn use_version(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let (name, key) = (self.prompt.name.clone(), self.keymap.first(Command::PromptSave));
        if !self.prompt.versions.iter().any(|version| version.name == name && version.is_saved()) {
            return self.note(format!("this text is no version yet; {key} saves it"), now);
        }
        if self.prompt.is_changed() {
            self.note(format!("{name} is used as it was saved; {key} saves what is written now"), now);
        }
        effects.push(Effect::Store(Ask::PromptUse(name)));
    }

    /// Takes back what was written last in the template, or writes it again.
    pub(in crate::app) fn prompt_again(&mut self, redo: bool, now: Duration) {
        if self.prompt.field.as_mut().is_some_and(|field| field.again(redo)) {
            self.prompt.was_written(now);
        } else {
            let what = if redo { "do again" } else { "take back" };
            self.note(format!("there is nothing to {what} in the template"), now);
        }
    }

    fn prompt_step(&mut self, by: isize, effects: &mut Vec<Effect>) {
        let last = self.prompt.records.len().saturating_sub(1);
        self.prompt.at = self.prompt.at.saturating_add_signed(by).min(last);
        self.prompt.scroll.home();
        effects.extend(self.prompt.records.get(self.prompt.at).map(|id| Effect::Store(Ask::Open(*id))));
    }

    /// A version was chosen to be shown.
    pub(in crate::app) fn version_chosen(&mut self, name: &str, effects: &mut Vec<Effect>) {
        self.prompt.keep(effects);
        self.prompt.show(name);
    }

    /// A version was chosen to be tried beside the text, or no longer.
    pub(in crate::app) fn beside_chosen(&mut self, name: &str) {
        match self.prompt.beside.iter().position(|other| other == name) {
            Some(at) => drop(self.prompt.beside.remove(at)),
            None => self.prompt.beside.push(name.to_owned()),
        }
    }

    /// A field was chosen to be named in the text.
    pub(in crate::app) fn variable_chosen(&mut self, at: usize, now: Duration) {
        let name = self.prompt.variables().get(at).cloned();
        if let (Some(name), Some(field)) = (name, &mut self.prompt.field) {
            field.insert(&format!("{{{{ {name} }}}}"));
            self.prompt.was_written(now);
        }
    }

    /// A name was typed to save the text under.
    pub(in crate::app) fn named(&mut self, name: &str, now: Duration, effects: &mut Vec<Effect>) {
        match name.trim() {
            "" => self.note("a version needs a name: it is not saved", now),
            name => self.save_as(name.to_owned(), effects),
        }
    }
}

/// Takes a record out of a list, or puts it at the end.
fn put_or_take(ids: &mut Vec<i64>, id: i64) {
    match ids.iter().position(|other| *other == id) {
        Some(at) => drop(ids.remove(at)),
        None => ids.push(id),
    }
}

fn label(version: &Version) -> String {
    let used = if version.used { " (in use)" } else { "" };
    let draft = if version.draft.is_some() { " (with a text that is not saved)" } else { "" };
    format!("{}{used}{draft}", version.name)
}
