//! Every command is given by a pure test. A new command fails here until the tests of its pane have one for it.

use super::super::hand;
use super::super::{compare, data, evaluate, prompt, train};
use crate::keymap::Command;

/// The tests of each pane, and of what all panes share: each command, and the test that gives it and looks at what it does.
const TABLES: [hand::Given; 6] = [
    super::GIVEN,
    data::tests::GIVEN,
    prompt::tests::GIVEN,
    train::tests::GIVEN,
    compare::tests::GIVEN,
    evaluate::tests::GIVEN,
];

#[test]
fn every_command_is_given_by_the_test_that_is_named_for_it() {
    let tests = || TABLES.into_iter().flatten();
    for command in Command::ALL {
        let named: Vec<fn()> = tests().filter(|(other, _)| other == command).map(|(_, test)| *test).collect();
        let [test] = named[..] else {
            panic!("{command:?} has {} tests in the tables GIVEN of the panes' tests; it is to have one", named.len())
        };
        hand::given();
        test();
        assert!(hand::given().contains(command), "the test that is named for {command:?} does not give it");
    }
}
