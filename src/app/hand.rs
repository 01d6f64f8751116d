//! A hand on the workbench's keyboard, for tests: keys and messages go in, effects come out.
//!
//! A command is given by its keys, where the workbench is at that moment: one that cannot be given there fails the test. What is given
//! is written down ([`given`]), so that one test can tell that every command is given by some.

use std::cell::RefCell;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Map, Value};

use super::*;
use crate::keymap;

/// Commands, and for each the test that gives it and looks at what it does.
pub type Given = &'static [(Command, fn())];

thread_local! {
    static GIVEN: RefCell<Vec<Command>> = const { RefCell::new(Vec::new()) };
}

/// The commands that keys have given in this thread since it was asked last.
pub fn given() -> Vec<Command> {
    GIVEN.take()
}

/// What a key means where the workbench is.
fn meant(app: &App, event: KeyEvent) -> Option<Command> {
    if app.is_writing() && app.pressed.is_empty() && keymap::letter(event).is_some() {
        return None;
    }
    let pressed = [app.pressed.clone(), vec![keymap::normal(event)]].concat();
    match app.keymap.meaning(&app.scopes(), &pressed) {
        Meaning::Command(command) => Some(command),
        _ => None,
    }
}

/// Presses a key.
pub fn press(app: &mut App, event: KeyEvent, now: Duration) -> Vec<Effect> {
    GIVEN.with_borrow_mut(|given| given.extend(meant(app, event)));
    app.update(Msg::Key(event), now)
}

/// Gives a command by the first of its keys.
pub fn give(app: &mut App, command: Command, now: Duration) -> Vec<Effect> {
    let keys = app.keymap.keys(command).first().cloned().unwrap_or_default();
    let scopes = app.scopes();
    let (last, before) = keys.split_last().unwrap_or_else(|| panic!("{command:?} has no key"));
    let mut effects: Vec<Effect> = before.iter().flat_map(|key| press(app, (*key).into(), now)).collect();
    assert_eq!(meant(app, (*last).into()), Some(command), "it is to be given in {scopes:?}");
    effects.extend(press(app, (*last).into(), now));
    effects
}

/// A record's state: a question, a draft, and no gold.
pub fn state(id: i64) -> State {
    let mut fields = Map::new();
    fields.insert("question".into(), Value::String(format!("質問 {id}")));
    let draft = Some(format!("draft {id}"));
    State::new(Content::Pair { fields, draft, gold: None }, Status::Inbox)
}

/// A record as the store gives it.
pub fn opened(id: i64) -> Opened {
    opened_as(id, state(id))
}

/// A record that says something else.
pub fn opened_as(id: i64, state: State) -> Opened {
    let record = Record { id, revision: 10 * id, state, origin: Origin::Traffic, source: None };
    Opened { record, flags: Vec::new(), taken: None, conflicts: Vec::new() }
}

/// Its line in the list.
pub fn row(id: i64) -> Row {
    Row {
        id,
        status: Status::Inbox,
        split: None,
        origin: Origin::Traffic,
        category: None,
        assignee: None,
        author: "mika".into(),
        flags: Vec::new(),
        taken: None,
        head: format!("質問 {id}"),
    }
}

/// What the effects ask of the store.
pub fn asked(effects: &[Effect]) -> Vec<&Ask> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Store(ask) => Some(ask),
            _ => None,
        })
        .collect()
}

/// What they do to records: the act and the records.
pub fn acts(effects: &[Effect]) -> Vec<(Act, Vec<i64>)> {
    asked(effects)
        .into_iter()
        .filter_map(|ask| match ask {
            Ask::Act { act, records, .. } => Some((act.clone(), records.clone())),
            _ => None,
        })
        .collect()
}

/// What they wish of a companion, with the number that its answers carry.
pub fn wished(effects: &[Effect]) -> Vec<(u64, Wish)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Wish { number, wish } => Some((*number, wish.clone())),
            _ => None,
        })
        .collect()
}

/// A workbench with records in the inbox, and a hand on its keyboard, which presses two keys a second.
pub struct Hand {
    pub app: App,
    pub now: Duration,
    /// Effects since they were taken last.
    pub effects: Vec<Effect>,
}

impl Hand {
    /// With `count` records, numbered from 1.
    pub fn new(count: i64) -> Self {
        let (app, effects) = App::new("desk".into(), "mika".into(), Keymap::default(), (120, 36));
        let mut hand = Self { app, now: Duration::ZERO, effects };
        let Some(Effect::Store(Ask::Find { number, query })) = hand.effects.first().cloned() else {
            panic!("the list is asked for first: {:?}", hand.effects)
        };
        assert_eq!(query, "status:inbox,draft");
        hand.give(Msg::Found { number, ids: Ok((1..=count).collect()) });
        if count == 0 {
            // Where nothing waits, everything is asked for.
            hand.give(Msg::Found { number: number + 1, ids: Ok(Vec::new()) });
        }
        hand.give(Msg::Rows((1..=count).map(row).collect()));
        hand.answer_opens();
        hand.effects.clear();
        hand
    }

    pub fn give(&mut self, msg: Msg) {
        let effects = self.app.update(msg, self.now);
        self.effects.extend(effects);
    }

    /// Gives the records that were asked for.
    pub fn answer_opens(&mut self) {
        let ids: Vec<i64> = self
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Store(Ask::Open(id)) => Some(*id),
                _ => None,
            })
            .collect();
        for id in ids {
            self.give(Msg::Opened(Box::new(opened(id))));
        }
    }

    /// Gives a command by its keys, with what follows from it.
    pub fn command(&mut self, command: Command) -> Vec<Effect> {
        self.now += Duration::from_millis(500);
        self.effects = give(&mut self.app, command, self.now);
        self.answer_opens();
        std::mem::take(&mut self.effects)
    }

    /// Gives commands one after the other; the effects are the last one's.
    pub fn commands(&mut self, commands: &[Command]) -> Vec<Effect> {
        commands.iter().fold(Vec::new(), |_, command| self.command(*command))
    }

    /// Presses keys, written with blanks between them.
    pub fn press(&mut self, keys: &str) -> Vec<Effect> {
        self.effects.clear();
        for word in keys.split(' ') {
            self.now += Duration::from_millis(500);
            let event = match word {
                "enter" => KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
                "esc" => KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
                "tab" => KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE),
                "space" => KeyEvent::new(KeyCode::Char(' '), KeyModifiers::NONE),
                "down" => KeyEvent::new(KeyCode::Down, KeyModifiers::NONE),
                ctrl if ctrl.starts_with("ctrl-") => {
                    KeyEvent::new(KeyCode::Char(ctrl.chars().last().unwrap()), KeyModifiers::CONTROL)
                }
                letter => KeyEvent::new(KeyCode::Char(letter.chars().next().unwrap()), KeyModifiers::NONE),
            };
            let effects = press(&mut self.app, event, self.now);
            self.effects.extend(effects);
        }
        self.answer_opens();
        std::mem::take(&mut self.effects)
    }

    /// Commits a text, as an input method does.
    pub fn write(&mut self, text: &str) {
        self.give(Msg::Commit(text.into()));
    }

    /// Lets time go by without a key; what is due is done.
    pub fn wait(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.effects.clear();
        self.give(Msg::Wake);
        std::mem::take(&mut self.effects)
    }

    pub fn current(&self) -> i64 {
        self.app.data.current().unwrap()
    }

    /// What the person is told at the moment.
    pub fn notes(&self) -> String {
        self.app.toasts.iter().map(|toast| toast.text.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// Whether the person is told something with these words now; it is gone afterwards.
    pub fn is_told(&mut self, words: &str) -> bool {
        let told = self.notes().contains(words);
        self.app.toasts.clear();
        told
    }

    /// The lines of the list to choose from, and the one that is marked.
    pub fn list(&self) -> (Vec<String>, usize) {
        match &self.app.overlay {
            Some(Overlay::Pick { items, at, .. }) => (items.clone(), *at),
            other => panic!("a list is chosen from, and not {other:?}"),
        }
    }

    /// The line that is asked for, as it is written.
    pub fn line(&self) -> String {
        match &self.app.overlay {
            Some(Overlay::Ask(asked)) => asked.field.text(),
            other => panic!("a line is asked for, and not {other:?}"),
        }
    }
}
