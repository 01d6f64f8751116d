//! Going about the list, and what it is asked for.

use super::super::super::hand::{Hand, asked, row, wished};
use super::super::super::overlay::Line;
use super::super::super::wish::{Granted, Wish};
use super::super::super::{Ask, Msg, Overlay, Row};
use crate::keymap::Command;

#[test]
pub(in crate::app) fn a_filter_searches_while_one_types_and_leaving_puts_the_old_one_back() {
    let mut hand = Hand::new(2);
    let effects = hand.press("/ f l");
    let queries: Vec<&str> = asked(&effects)
        .into_iter()
        .filter_map(|ask| match ask {
            Ask::Find { query, .. } => Some(query.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(queries, ["status:inbox,draft f", "status:inbox,draft fl"]);
    hand.press("down");
    let effects = hand.press("enter");
    assert!(
        asked(&effects).iter().any(|ask| matches!(ask, Ask::Find { query, .. }
        if query == "status:inbox,draft flag:any")),
        "{effects:?}"
    );
    let effects = hand.press("/ x esc");
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Find { query, .. }
        if query == "status:inbox,draft flag:any")));
    assert_eq!(hand.app.data.query, "status:inbox,draft flag:any");
}

#[test]
pub(in crate::app) fn a_taken_record_is_passed_over() {
    let mut hand = Hand::new(3);
    let effects = hand.press("a");
    assert!(asked(&effects).iter().any(|ask| matches!(ask, Ask::Claim { record: Some(2), .. })));
    hand.give(Msg::Taken { record: 2, by: "aiko".into() });
    assert_eq!(hand.current(), 3);
    hand.give(Msg::Taken { record: 3, by: "aiko".into() });
    hand.press("k");
    assert_eq!(hand.current(), 2, "one may look at it all the same");
}

#[test]
pub(in crate::app) fn the_cursor_goes_by_records_and_by_pages() {
    let mut hand = Hand::new(100);
    let mut at = |command| {
        hand.command(command);
        hand.current()
    };
    assert_eq!((at(Command::ListDown), at(Command::ListUp), at(Command::ListUp)), (2, 1, 1));
    let page = at(Command::ListPageDown) - 1;
    assert!((20..36).contains(&page), "a page of 36 lines has {page} records");
    assert_eq!((at(Command::ListPageDown), at(Command::ListPageUp)), (1 + 2 * page, 1 + page));
    assert_eq!((at(Command::ListBottom), at(Command::ListDown)), (100, 100));
    assert_eq!(at(Command::ListTop), 1);
}

#[test]
pub(in crate::app) fn the_next_with_a_finding_is_found_and_all_are_looked_at_on_demand() {
    let mut hand = Hand::new(4);
    hand.command(Command::NextFlagged);
    assert!(hand.is_told("L looks at all records"));
    let effects = hand.command(Command::Lint);
    let [(number, Wish::Lint)] = wished(&effects)[..] else { panic!("{effects:?}") };
    assert!(hand.is_told("looking"));
    hand.effects.clear();
    hand.give(Msg::Granted { number, granted: Granted::Linted("2 findings in 4 records".into()) });
    assert!(hand.is_told("2 findings"));
    let told = std::mem::take(&mut hand.effects);
    assert!(
        asked(&told).iter().any(|ask| matches!(ask, Ask::Rows(rows) if rows.len() == 4)),
        "their flags are others now"
    );
    hand.give(Msg::Rows([2, 4].map(|id| Row { flags: vec!["length".into()], ..row(id) }).to_vec()));
    let mut seen = Vec::new();
    for _ in 0..3 {
        hand.command(Command::NextFlagged);
        seen.push(hand.current());
    }
    assert_eq!(seen, [2, 4, 2], "round and round");
}

#[test]
pub(in crate::app) fn the_next_that_is_mine_is_found_by_the_store() {
    let mut hand = Hand::new(3);
    assert_eq!(asked(&hand.command(Command::NextMine)), [&Ask::NextMine]);
    hand.give(Msg::GoTo(None));
    assert!(hand.is_told("nothing waits for you"));
    hand.give(Msg::GoTo(Some(3)));
    assert_eq!(hand.current(), 3);
    // One that the filter hides is shown all the same: the filter goes.
    hand.effects.clear();
    hand.give(Msg::GoTo(Some(7)));
    let told = std::mem::take(&mut hand.effects);
    let Some(Ask::Find { number, query }) = asked(&told).first().copied() else { panic!("{told:?}") };
    assert_eq!(query, "");
    hand.give(Msg::Found { number: *number, ids: Ok((1..=9).collect()) });
    assert_eq!(hand.current(), 7);
}

#[test]
pub(in crate::app) fn records_worded_alike_are_shown_and_gone_to() {
    let mut hand = Hand::new(9);
    let number = |effects: &[_]| match wished(effects)[..] {
        [(number, Wish::Near(1))] => number,
        _ => panic!("{effects:?}"),
    };
    let first = number(&hand.command(Command::Neighbours));
    let second = number(&hand.command(Command::Neighbours));
    let near = |number| Msg::Granted { number, granted: Granted::Near(vec![(4, 0.9), (8, 0.5)]) };
    hand.give(near(first));
    assert!(hand.app.overlay.is_none(), "it was asked again since");
    hand.give(near(second));
    hand.commands(&[Command::PickDown, Command::PickDone]);
    assert_eq!(hand.current(), 8);
    hand.command(Command::ListTop);
    let third = number(&hand.command(Command::Neighbours));
    hand.give(Msg::Granted { number: third, granted: Granted::Near(Vec::new()) });
    assert!(hand.app.overlay.is_none() && hand.is_told("no other record is worded like 1"));
    let fourth = number(&hand.command(Command::Neighbours));
    hand.command(Command::Filter);
    hand.give(near(fourth));
    assert_eq!(hand.line(), "status:inbox,draft ", "a filter that is being typed stays");
}

#[test]
pub(in crate::app) fn every_state_of_a_record_is_shown() {
    let mut hand = Hand::new(2);
    assert_eq!(asked(&hand.command(Command::History)), [&Ask::History(1)]);
    let lines = (1..=30).map(|day| Line { head: format!("2026-11-{day:02}"), text: "mika edit".into() }).collect();
    hand.give(Msg::History { record: 1, lines });
    let at = |hand: &Hand| match hand.app.overlay {
        Some(Overlay::History { at, .. }) => at,
        _ => panic!("no history"),
    };
    hand.commands(&[Command::PickPageDown, Command::PickDown, Command::PickUp]);
    assert_eq!(at(&hand), 10);
    hand.command(Command::PickPageUp);
    assert_eq!(at(&hand), 0);
    hand.command(Command::PickDone);
    assert!(hand.app.overlay.is_none() && hand.current() == 1);
}
