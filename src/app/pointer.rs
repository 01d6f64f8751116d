//! What a click does: it goes to what was clicked on; a second click on a thing does what enter does there.
//!
//! Where things stand on the screen is the view's to know: a click comes as the thing that it met.

use std::time::Duration;

use super::{App, Effect, Overlay, Pane};

/// A thing that can be clicked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A pane's name in the line above.
    Pane(Pane),
    /// So many lines down the pane's list: a record, a run, a setting, a row.
    Line(usize),
    /// So many lines down the list of what lies over the pane.
    Item(usize),
}

impl App {
    /// Takes a click.
    pub(super) fn clicked(&mut self, spot: Spot, now: Duration, effects: &mut Vec<Effect>) {
        self.data.watch.touch(now);
        self.pressed.clear();
        match spot {
            Spot::Item(at) => self.item_clicked(at, now, effects),
            // What lies over the pane is to be answered first.
            _ if self.overlay.is_some() => {}
            Spot::Pane(pane) => {
                self.data.close(now, effects);
                self.prompt.writing = false;
                self.prompt.keep(effects);
                self.show(pane, effects);
            }
            Spot::Line(at) => match self.pane {
                Pane::Data => self.record_clicked(at, now, effects),
                Pane::Train => self.run_clicked(at),
                Pane::Evaluate => self.row_clicked(at, now, effects),
                Pane::Prompt | Pane::Compare => {}
            },
        }
    }

    fn item_clicked(&mut self, at: usize, now: Duration, effects: &mut Vec<Effect>) {
        let marked = match &mut self.overlay {
            Some(Overlay::Ask(asked)) => asked.at.replace(at),
            Some(
                Overlay::Help { at: marked, .. }
                | Overlay::Pick { at: marked, .. }
                | Overlay::Near { at: marked, .. }
                | Overlay::History { at: marked, .. },
            ) => Some(std::mem::replace(marked, at)),
            _ => return,
        };
        if marked == Some(at) {
            self.take(now, effects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::overlay::{Choice, Purpose};
    use super::super::{Ask, Msg};
    use super::*;
    use crate::keymap::Keymap;

    const NOW: Duration = Duration::from_secs(1);

    fn app() -> App {
        let (mut app, effects) = App::new("desk".into(), "mika".into(), Keymap::default(), (80, 24));
        let asked = effects.iter().find_map(|effect| match effect {
            Effect::Store(Ask::Find { number, .. }) => Some(*number),
            _ => None,
        });
        app.update(Msg::Found { number: asked.unwrap(), ids: Ok((1..=9).collect()) }, NOW);
        app
    }

    #[test]
    fn a_click_goes_to_a_record_and_to_a_pane_and_loses_no_text() {
        let mut app = app();
        app.update(Msg::Click(Spot::Line(4)), NOW);
        assert_eq!(app.data.current(), Some(5));
        app.update(Msg::Click(Spot::Line(400)), NOW);
        assert_eq!(app.data.current(), Some(5), "there is no such line");

        app.update(Msg::Click(Spot::Pane(Pane::Prompt)), NOW);
        app.prompt.field = Some(super::super::field::Field::new("{{ input }}"));
        app.prompt.writing = true;
        app.update(Msg::Commit("、".into()), NOW);
        let effects = app.update(Msg::Click(Spot::Pane(Pane::Train)), NOW);
        assert_eq!((app.pane, app.is_writing()), (Pane::Train, false));
        let kept =
            |effect: &Effect| matches!(effect, Effect::Store(Ask::PromptDraft { text, .. }) if text.ends_with('、'));
        assert!(effects.iter().any(kept), "{effects:?}");
    }

    #[test]
    fn the_first_click_marks_and_the_second_takes() {
        let mut app = app();
        let items = vec!["train".into(), "valid".into(), "test".into()];
        app.overlay = Some(Overlay::Pick { choice: Choice::Split(vec![1]), title: String::new(), items, at: 0 });
        app.update(Msg::Click(Spot::Line(3)), NOW);
        assert_eq!(app.data.current(), Some(1), "the list lies under it");
        app.update(Msg::Click(Spot::Item(2)), NOW);
        assert!(matches!(app.overlay, Some(Overlay::Pick { at: 2, .. })), "{:?}", app.overlay);
        let effects = app.update(Msg::Click(Spot::Item(2)), NOW);
        assert!(app.overlay.is_none());
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Store(Ask::Act { .. }))), "{effects:?}");

        let names = vec!["minutes".to_owned(), "letters".to_owned()];
        app.overlay = Some(Overlay::ask(Purpose::Category(vec![1]), String::new(), "", names));
        app.update(Msg::Click(Spot::Item(1)), NOW);
        assert!(matches!(&app.overlay, Some(Overlay::Ask(asked)) if asked.taken() == "letters"), "{:?}", app.overlay);
    }
}
