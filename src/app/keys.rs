//! From keys to commands, from commands to the pane that carries them out, and from letters to the text that is being written.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{App, Ask, Effect, Overlay, Pane};
use crate::keymap::{self, Command, Meaning, Scope};

impl App {
    pub(super) fn key(&mut self, event: KeyEvent, now: Duration, effects: &mut Vec<Effect>) {
        self.data.watch.touch(now);
        let writing = self.is_writing();
        // In a text a letter is a letter, in full width too.
        if let Some(c) = keymap::letter(event).filter(|_| writing && self.pressed.is_empty()) {
            self.write(c.encode_utf8(&mut [0; 4]), now, effects);
            return;
        }
        self.pressed.push(keymap::normal(event));
        match self.keymap.meaning(&self.scopes(), &self.pressed) {
            Meaning::Command(command) => {
                self.pressed.clear();
                self.command(command, now, effects);
            }
            Meaning::Prefix(_) => {}
            Meaning::Nothing => {
                let alone = self.pressed.len() == 1;
                self.pressed.clear();
                if alone && writing {
                    self.write_key(event, now, effects);
                }
            }
        }
    }

    /// Without a text to write in, an input method's letters are keys like others.
    pub(super) fn keys_of(&mut self, text: &str, now: Duration, effects: &mut Vec<Effect>) {
        for c in text.chars() {
            self.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), now, effects);
        }
    }

    /// The wheel does what the arrow keys do.
    pub(super) fn wheel(&mut self, down: bool, now: Duration, effects: &mut Vec<Effect>) {
        let code = if down { KeyCode::Down } else { KeyCode::Up };
        self.key(KeyEvent::new(code, KeyModifiers::NONE), now, effects);
    }

    /// Gives a command, by its key or from the palette.
    pub fn command(&mut self, command: Command, now: Duration, effects: &mut Vec<Effect>) {
        use Command as C;
        match command {
            C::PaneData => self.show(Pane::Data, effects),
            C::PanePrompt => self.show(Pane::Prompt, effects),
            C::PaneTrain => self.show(Pane::Train, effects),
            C::PaneCompare => self.show(Pane::Compare, effects),
            C::PaneEvaluate => self.show(Pane::Evaluate, effects),
            C::PaneNext => self.show(self.pane.step(1), effects),
            C::PaneBefore => self.show(self.pane.step(Pane::ALL.len() - 1), effects),
            C::Undo | C::Redo if self.pane == Pane::Evaluate => self.mark_again(command == C::Redo, now, effects),
            C::Undo | C::Redo if self.pane == Pane::Prompt => self.prompt_again(command == C::Redo, now),
            // Before an audience nothing is taken back, and a pick is no act on a record.
            C::Undo | C::Redo if self.is_presenting() => {}
            C::Undo | C::Redo if self.is_judging() => {
                let key = self.keymap.first(C::BlindBefore);
                self.note(format!("a pick is kept; {key} goes back to its question, for another"), now);
            }
            C::Undo | C::Redo => {
                self.data.saving += 1;
                effects.push(Effect::Store(Ask::Undo { redo: command == C::Redo }));
            }
            C::Help | C::HelpAnywhere => {
                // Help over help is help for the same place.
                let scopes = match &self.overlay {
                    Some(Overlay::Help { scopes, .. }) => scopes.clone(),
                    _ => self.scopes(),
                };
                self.overlay = Some(Overlay::help(scopes, self.overlay.take()));
            }
            C::Theme => effects.push(Effect::NextTheme),
            C::Repaint => effects.push(Effect::Repaint),
            C::Copy => match self.copied() {
                Some(text) => {
                    effects.push(Effect::Copy(text));
                    self.note("copied", now);
                }
                None => self.note("there is nothing to copy here", now),
            },
            C::Quit | C::Leave => {
                self.data.close(now, effects);
                self.prompt.keep(effects);
                self.quitting = true;
                effects.push(Effect::Quit);
            }
            command if self.overlay.is_some() => self.overlay_command(command, now, effects),
            command if matches!(command.scope(), Scope::Train | Scope::NewRun) => {
                self.train_command(command, now, effects);
            }
            command if matches!(command.scope(), Scope::Evaluate | Scope::EvaluateRow) => {
                self.evaluate_command(command, now, effects);
            }
            command => match self.pane {
                Pane::Compare => self.compare_command(command, now, effects),
                Pane::Prompt => self.prompt_command(command, now, effects),
                _ => self.data_command(command, now, effects),
            },
        }
    }

    /// What copying takes.
    fn copied(&self) -> Option<String> {
        match self.pane {
            Pane::Compare => self.compare_copied(),
            Pane::Prompt => Some(self.prompt.text()).filter(|text| !text.is_empty()),
            Pane::Train => self.train.copied(),
            Pane::Evaluate => self.evaluate.copied(),
            Pane::Data => self.data.copied(),
        }
    }

    pub(super) fn show(&mut self, pane: Pane, effects: &mut Vec<Effect>) {
        self.pane = pane;
        match pane {
            // Who can answer, and what is asked, may be others by now.
            Pane::Compare => effects.extend([Effect::Store(Ask::Systems), Effect::Store(Ask::Questions)]),
            Pane::Prompt => self.prompt_shown(effects),
            // Runs to be measured are found as those to be compared are.
            Pane::Evaluate => effects.push(Effect::Store(Ask::Systems)),
            Pane::Data | Pane::Train => {}
        }
    }

    /// Puts a text at the cursor of what is being written.
    pub(super) fn write(&mut self, text: &str, now: Duration, effects: &mut Vec<Effect>) {
        if let Some(overlay) = &mut self.overlay {
            if let Some(field) = overlay.field_mut() {
                field.insert(text);
            }
            self.overlay_written(effects);
        } else if self.pane == Pane::Prompt {
            if let Some(field) = &mut self.prompt.field {
                field.insert(text);
                self.prompt.was_written(now);
            }
        } else if let Some(editor) = &mut self.data.editor {
            editor.field.insert(text);
            self.data.written(now);
        }
    }

    /// Gives a key that is no command to what is being written.
    fn write_key(&mut self, event: KeyEvent, now: Duration, effects: &mut Vec<Effect>) {
        if let Some(overlay) = &mut self.overlay {
            if overlay.field_mut().is_some_and(|field| field.key(event)) {
                self.overlay_written(effects);
            }
        } else if self.pane == Pane::Prompt {
            if self.prompt.field.as_mut().is_some_and(|field| field.key(event)) {
                self.prompt.was_written(now);
            }
        } else if let Some(editor) = &mut self.data.editor
            && editor.field.key(event)
        {
            self.data.written(now);
        }
    }
}
