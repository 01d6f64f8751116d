//! Which records are trained on, watched, and kept for the test.
//!
//! - **Duplicates never straddle**: records that say or ask the same go together.
//! - **Stratified**: each category gives its share, as nearly as whole records allow.
//! - **Stable**: a record that has a split keeps it, so records that are added later change nothing; and who goes where
//!   depends on the seed and the record's number only, not on the order or the moment.

use std::collections::{BTreeMap, HashMap};

use crate::store::{Record, Split, Status};

/// How much of the records is held out, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// For validation.
    pub valid: f64,
    /// For the test.
    pub test: f64,
}

/// Says where each record without a split belongs. `sets` are those that must stay together. Rejected records are left
/// out, and texts that stand alone in their set are treated as any other.
#[must_use]
pub fn split(records: &[Record], sets: &[Vec<i64>], shares: Shares, seed: u64) -> Vec<(i64, Split)> {
    let records: Vec<&Record> = records.iter().filter(|record| record.state.status != Status::Rejected).collect();
    let place: HashMap<i64, usize> = records.iter().enumerate().map(|(i, record)| (record.id, i)).collect();
    let mut unit_of: Vec<Option<usize>> = vec![None; records.len()];
    let mut units: Vec<Vec<usize>> = Vec::new();
    for set in sets {
        let members: Vec<usize> = set.iter().filter_map(|id| place.get(id).copied()).collect();
        for &member in &members {
            if let Some(slot) = unit_of.get_mut(member) {
                *slot = Some(units.len());
            }
        }
        units.push(members);
    }
    units.extend(unit_of.iter().enumerate().filter(|(_, unit)| unit.is_none()).map(|(record, _)| vec![record]));
    units.retain(|members| !members.is_empty());

    // What is settled: a unit with a member that has a split follows it. Where members are in several, what was held out
    // stays held out.
    let held = |split: Split| match split {
        Split::Test => 2,
        Split::Valid => 1,
        Split::Train => 0,
    };
    let mut found = Vec::new();
    let mut open: BTreeMap<&str, Vec<Vec<usize>>> = BTreeMap::new();
    let mut have: BTreeMap<&str, Have> = BTreeMap::new();
    for members in units {
        let category = members.first().and_then(|&m| records[m].state.category.as_deref()).unwrap_or("");
        let settled = members.iter().filter_map(|&m| records[m].state.split).max_by_key(|&split| held(split));
        let of = have.entry(category).or_default();
        of.all += members.len();
        match settled {
            Some(split) => {
                for &member in &members {
                    of.add(records[member].state.split.unwrap_or(split), 1);
                    if records[member].state.split.is_none() {
                        found.push((records[member].id, split));
                    }
                }
            }
            None => open.entry(category).or_default().push(members),
        }
    }

    // What a category's share leaves over in fractions of a record goes on to the next one, so that the whole has its share.
    let (mut over_test, mut over_valid) = (0.0, 0.0);
    for (category, mut units) in open {
        let of = have.entry(category).or_default();
        let quota = |share: f64, has: usize, over: &mut f64| -> usize {
            let want = of.all as f64 * share.clamp(0.0, 1.0) + *over;
            let whole = want.round().max(0.0);
            *over = want - whole;
            (whole as usize).saturating_sub(has)
        };
        let mut test = quota(shares.test, of.test, &mut over_test);
        let mut valid = quota(shares.valid, of.valid, &mut over_valid);
        units.sort_by_key(|members| {
            let first = members.iter().map(|&m| records[m].id).min().unwrap_or(0);
            (order(seed, first), first)
        });
        for members in units {
            let size = members.len();
            let split = if size <= test {
                test -= size;
                Split::Test
            } else if size <= valid {
                valid -= size;
                Split::Valid
            } else {
                Split::Train
            };
            found.extend(members.iter().map(|&m| (records[m].id, split)));
        }
        // What large sets did not fit into is owed to the next category.
        over_test += test as f64;
        over_valid += valid as f64;
    }
    found.sort_unstable_by_key(|(record, _)| *record);
    found
}

#[derive(Default)]
struct Have {
    all: usize,
    valid: usize,
    test: usize,
}

impl Have {
    fn add(&mut self, split: Split, count: usize) {
        match split {
            Split::Train => {}
            Split::Valid => self.valid += count,
            Split::Test => self.test += count,
        }
    }
}

/// A record's place in the draw.
fn order(seed: u64, record: i64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&record.to_le_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Content, Origin, State};
    use proptest::prelude::*;

    fn record(id: i64, category: &str, split: Option<Split>) -> Record {
        let fields = serde_json::Map::from_iter([("instruction".to_owned(), id.to_string().into())]);
        let content = Content::Pair { fields, draft: None, gold: Some("a".into()) };
        let state = State { category: Some(category.into()), split, ..State::new(content, Status::Gold) };
        Record { id, revision: id, state, origin: Origin::Human, source: None }
    }

    fn records(count: i64) -> Vec<Record> {
        (1..=count).map(|id| record(id, if id % 4 == 0 { "rare" } else { "usual" }, None)).collect()
    }

    fn apply(records: &mut [Record], found: &[(i64, Split)]) {
        for (id, split) in found {
            records.iter_mut().find(|record| record.id == *id).unwrap().state.split = Some(*split);
        }
    }

    fn count(records: &[Record], category: &str, split: Split) -> usize {
        let of = |r: &&Record| r.state.category.as_deref() == Some(category) && r.state.split == Some(split);
        records.iter().filter(of).count()
    }

    const TENTHS: Shares = Shares { valid: 0.1, test: 0.2 };

    #[test]
    fn every_category_gives_its_share() {
        let mut all = records(400);
        let found = split(&all, &[], TENTHS, 7);
        apply(&mut all, &found);
        for (category, size) in [("rare", 100), ("usual", 300)] {
            assert_eq!(count(&all, category, Split::Valid), size / 10);
            assert_eq!(count(&all, category, Split::Test), size / 5);
        }
        assert_eq!(split(&records(400), &[], TENTHS, 7), found, "the same seed draws the same");
        assert_ne!(split(&records(400), &[], TENTHS, 8), found);
        // Categories too small to give a whole record still add up to the share.
        let mut small: Vec<Record> = (1..=100).map(|id| record(id, &format!("c{}", id % 25), None)).collect();
        let found = split(&small, &[], TENTHS, 7);
        apply(&mut small, &found);
        assert_eq!(small.iter().filter(|r| r.state.split == Some(Split::Valid)).count(), 10);
    }

    #[test]
    fn records_that_are_added_later_move_nobody() {
        let mut all = records(200);
        let found = split(&all, &[], TENTHS, 7);
        apply(&mut all, &found);
        let before = all.clone();
        all.extend((201..=300).map(|id| record(id, "usual", None)));
        let found = split(&all, &[], TENTHS, 7);
        assert!(found.iter().all(|(id, _)| *id > 200));
        apply(&mut all, &found);
        assert_eq!(all[..200], before[..]);
        assert_eq!(count(&all, "usual", Split::Test), 50);
        // One that says the same as a held-out record is held out with it.
        let test = all.iter().find(|r| r.state.split == Some(Split::Test)).unwrap().id;
        all.push(record(301, "usual", None));
        assert_eq!(split(&all, &[vec![test, 301]], TENTHS, 7), [(301, Split::Test)]);
    }

    #[test]
    fn a_rejected_record_goes_nowhere() {
        let mut all = records(10);
        all[3].state.status = Status::Rejected;
        assert!(split(&all, &[], TENTHS, 1).iter().all(|(id, _)| *id != 4));
    }

    proptest! {
        #[test]
        fn no_set_is_torn(pairs in proptest::collection::vec((1i64..120, 1i64..120), 0..40), seed in any::<u64>()) {
            // Sets as a reader of duplicates gives them: apart from each other.
            let mut owner: Vec<i64> = (0..=120).collect();
            for (a, b) in pairs {
                let (from, to) = (owner[a as usize], owner[b as usize]);
                owner.iter_mut().filter(|o| **o == from).for_each(|o| *o = to);
            }
            let mut sets: HashMap<i64, Vec<i64>> = HashMap::new();
            for id in 1..=120 {
                sets.entry(owner[id as usize]).or_default().push(id);
            }
            let sets: Vec<Vec<i64>> = sets.into_values().filter(|set| set.len() > 1).collect();
            let mut all = records(120);
            let found = split(&all, &sets, TENTHS, seed);
            prop_assert_eq!(found.len(), 120);
            apply(&mut all, &found);
            for set in sets {
                let splits: Vec<_> = set.iter().map(|id| all[*id as usize - 1].state.split).collect();
                prop_assert!(splits.windows(2).all(|two| two[0] == two[1]));
            }
            let held = all.iter().filter(|r| r.state.split != Some(Split::Train)).count();
            prop_assert!(held <= 40, "{held}");
        }
    }
}
