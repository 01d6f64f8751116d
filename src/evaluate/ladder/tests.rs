use std::collections::BTreeSet;

use super::*;

fn cell(model: &str, parameters: u64, rows: usize, (low, quality, high): (f64, f64, f64), cost: Option<f64>) -> Cell {
    let interval = Some(Interval { low, high });
    Cell { model: model.to_owned(), parameters, rows, quality, interval, cost_per_request: cost, fixed_cost: None }
}

#[test]
fn the_smallest_that_reaches_the_target_surely_and_likely() {
    let cells = [
        cell("large", 360, 256, (0.78, 0.82, 0.86), Some(0.02)),
        cell("small", 135, 1_000, (0.75, 0.80, 0.84), Some(0.01)),
        cell("small", 135, 256, (0.60, 0.66, 0.71), Some(0.01)),
        cell("large", 360, 64, (0.70, 0.76, 0.81), Some(0.02)),
        cell("endpoint", 0, 0, (0.85, 0.90, 0.93), None),
    ];
    let found = Smallest::of(&cells, 0.75);
    assert_eq!(
        (found.surely, found.likely, found.best),
        (Some(1), Some(1), Some(4)),
        "cheaper requests before fewer rows"
    );
    let found = Smallest::of(&cells, 0.78);
    assert_eq!((found.surely, found.likely), (Some(0), Some(1)));
    let found = Smallest::of(&cells, 0.8);
    assert_eq!((found.surely, found.likely), (Some(4), Some(1)), "a cost that is not known is the largest");
    let found = Smallest::of(&cells, 0.65);
    assert_eq!((found.surely, found.likely), (Some(1), Some(2)), "the same cost: fewer rows");
    let found = Smallest::of(&cells, 0.99);
    assert_eq!((found.surely, found.likely, found.best), (None, None, Some(4)));
}

#[test]
fn a_cell_without_an_interval_is_never_sure_and_without_quality_nothing() {
    let mut one = cell("a", 1, 1, (0.9, 0.9, 0.9), None);
    one.interval = None;
    let lost = Cell { quality: f64::NAN, ..cell("b", 1, 0, (0.9, 0.9, 0.9), None) };
    let found = Smallest::of(&[lost.clone(), one], 0.5);
    assert_eq!((found.surely, found.likely, found.best), (None, Some(1), Some(1)));
    let found = Smallest::of(&[lost], 0.5);
    assert_eq!((found.surely, found.likely, found.best), (None, None, None));
}

/// Made with Python's `blake3` 1.0.11; stored, as a ladder begun with one version goes on with the next.
const ORDER: [usize; 10] = [8, 1, 3, 6, 9, 0, 4, 7, 2, 5];

#[test]
fn subsets_are_nested_seeded_and_stay() {
    let ids: Vec<String> = (0..10).map(|at| format!("r{at}")).collect();
    let sets = nested(&ids, &[3, 6, usize::MAX, 0], 7);
    assert_eq!(sets.iter().map(Vec::len).collect::<Vec<_>>(), [3, 6, 10, 0]);
    assert_eq!(sets[2], ORDER);
    assert!(sets[2].starts_with(&sets[1]) && sets[1].starts_with(&sets[0]));
    assert_eq!(sets[2].iter().collect::<BTreeSet<_>>().len(), 10);
    assert_ne!(nested(&ids, &[10], 8)[0], sets[2], "another seed, another order");
    let names = |ids: &[String], set: &[usize]| -> Vec<String> { set.iter().map(|at| ids[*at].clone()).collect() };
    let turned: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(
        names(&turned, &nested(&turned, &[6], 7)[0]),
        names(&ids, &sets[1]),
        "where a row stands does not count"
    );
    let mut more = ids.clone();
    more.insert(0, "new".to_owned());
    let kept: Vec<String> = names(&more, &nested(&more, &[11], 7)[0]).into_iter().filter(|id| id != "new").collect();
    assert_eq!(kept, names(&ids, &sets[2]));
    assert_eq!(nested::<&str>(&[], &[3], 1), [[0; 0]]);
    assert_eq!(nested(&["a", "a", "a"], &[2], 1), [[0, 1]]);
}
