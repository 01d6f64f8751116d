//! What errors say should be done next.
//!
//! The gap is read in this order, and the first that holds is the advice:
//!
//! 1. few enough records have an error after tuning: **ready**;
//! 2. a better prompt, or examples in it, does as well as tuning: **prompt better**, it is cheaper;
//! 3. what remains is mostly a lack of knowledge: **continue pre-training** on texts that hold it;
//! 4. what remains is mostly behaviour: **instruction-tune** on more or better pairs.
//!
//! Each needs more than chance: a share has Wilson's interval, a comparison McNemar's test. An error whose category does not
//! tell its cause counts against whichever of 3 and 4 would be said, so neither is said unless it holds whatever these errors
//! are. Where that leaves it open, the advice is that it cannot be told, with what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::super::interval::{Interval, wilson95};
use super::super::significance::McNemar;
use super::matrix::Marked;
use super::{Catalogue, Cause};

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Use it.
    Ready,
    /// Use the better prompt.
    PromptBetter,
    /// Train on texts about what it does not know.
    ContinuePretraining,
    /// Train on more or better pairs.
    InstructionTune,
    /// The records do not say.
    CannotTell,
}

/// Where the lines are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lines {
    /// The share of records that may have an error for the model to be ready, 0 to 1. Default 0.05.
    pub ready: f64,
    /// The share of what tuning fixed that the better prompt must be without error on, 0 to 1. Default 0.8.
    pub covers: f64,
}

impl Default for Lines {
    fn default() -> Self {
        Self { ready: 0.05, covers: 0.8 }
    }
}

/// The systems whose errors are read, each on the same records.
#[derive(Clone, Copy, Debug)]
pub struct Systems<'a> {
    /// The base model with the plain prompt.
    pub base: &'a Marked,
    /// The base model with a better prompt or with examples, where somebody tried.
    pub prompted: Option<&'a Marked>,
    /// The tuned model.
    pub tuned: &'a Marked,
}

/// Counts of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Records that all systems answered.
    pub records: usize,
    /// Those with an error of the base.
    pub base: usize,
    /// Those with an error of the base with the better prompt; none where nobody tried one.
    pub prompted: Option<usize>,
    /// Those with an error of the tuned model.
    pub tuned: usize,
    /// Of the tuned model's: with a lack of knowledge and nothing else.
    pub knowledge: usize,
    /// With behaviour and nothing else.
    pub behaviour: usize,
    /// With both.
    pub both: usize,
    /// With nothing but errors whose category does not tell the cause.
    #[serde(default)]
    pub unknown: usize,
}

/// What to do next, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// What to do.
    pub verdict: Verdict,
    /// Why, in plain words with the counts.
    pub why: String,
    /// The records that the advice rests on.
    pub records: Vec<String>,
    /// The counts.
    pub gap: Gap,
    /// Wilson's 95 % interval of the share of records with an error of the tuned model.
    pub tuned_errors: Interval,
    /// Base against tuned, right being "without an error".
    pub base_tuned: McNemar,
    /// The better prompt against tuned.
    pub prompted_tuned: Option<McNemar>,
    /// Knowledge against behaviour among what remains.
    pub causes: McNemar,
    /// What else is worth knowing, in plain words.
    pub notes: Vec<String>,
}

/// One record.
struct Row<'a> {
    record: &'a str,
    base: bool,
    prompted: Option<bool>,
    /// What the tuned model's errors come from.
    causes: Vec<Cause>,
}

impl Row<'_> {
    /// Whether the tuned model has an error.
    fn is_wrong(&self) -> bool {
        !self.causes.is_empty()
    }

    fn has(&self, cause: Cause) -> bool {
        self.causes.contains(&cause)
    }

    /// Whether it has one and no category tells what it comes from.
    fn is_open(&self) -> bool {
        self.is_wrong() && self.causes.iter().all(|cause| *cause == Cause::Unknown)
    }
}

impl Advice {
    /// Reads the gap.
    #[must_use]
    pub fn of(catalogue: &Catalogue, systems: Systems<'_>, lines: &Lines) -> Self {
        let rows = rows(catalogue, systems);
        let count = |is: &dyn Fn(&Row<'_>) -> bool| rows.iter().filter(|row| is(row)).count();
        let gap = Gap {
            records: rows.len(),
            base: count(&|row| row.base),
            prompted: systems.prompted.map(|_| count(&|row| row.prompted == Some(true))),
            tuned: count(&|row| row.is_wrong()),
            knowledge: count(&|row| row.has(Cause::Knowledge) && !row.has(Cause::Behaviour)),
            behaviour: count(&|row| row.has(Cause::Behaviour) && !row.has(Cause::Knowledge)),
            both: count(&|row| row.has(Cause::Behaviour) && row.has(Cause::Knowledge)),
            unknown: count(&|row| row.is_open()),
        };
        let test = |lost: usize, gained: usize| McNemar::of(lost as u64, gained as u64);
        let base_tuned = test(count(&|row| !row.base && row.is_wrong()), count(&|row| row.base && !row.is_wrong()));
        let prompted_tuned = systems.prompted.map(|_| {
            let lost = count(&|row| row.prompted == Some(false) && row.is_wrong());
            test(lost, count(&|row| row.prompted == Some(true) && !row.is_wrong()))
        });
        let mut advice = Self {
            verdict: Verdict::CannotTell,
            why: String::new(),
            records: Vec::new(),
            gap,
            tuned_errors: wilson95(gap.tuned, gap.records),
            base_tuned,
            prompted_tuned,
            causes: test(gap.knowledge, gap.behaviour),
            notes: Vec::new(),
        };
        advice.take_notes();
        advice.decide(&rows, lines);
        advice
    }

    /// The first of the records it rests on, in words; `None` where it rests on none.
    #[must_use]
    pub fn rests_on(&self) -> Option<String> {
        const SHOWN: usize = 8;
        let shown: Vec<&str> = self.records.iter().take(SHOWN).map(String::as_str).collect();
        let more = self.records.len().saturating_sub(shown.len());
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!shown.is_empty()).then(|| format!("it rests on {}{rest}", shown.join(", ")))
    }

    fn take_notes(&mut self) {
        let Gap { base, tuned, records, prompted, .. } = self.gap;
        let p = self.base_tuned.mid_p;
        if !self.base_tuned.is_significant() && records > 0 {
            self.notes.push(format!(
                "tuning made no difference that can be told from chance: {base} of {records} records had an error before, \
                 {tuned} after (McNemar mid-p {p:.3})"
            ));
        } else if tuned > base {
            self.notes
                .push(format!("tuning made it worse: {base} of {records} records had an error before, {tuned} after"));
        }
        if prompted.is_none() {
            self.notes.push(
                "nobody tried a better prompt or examples on these records: that is the cheapest remedy".to_owned(),
            );
        }
    }

    fn decide(&mut self, rows: &[Row<'_>], lines: &Lines) {
        let Gap { records, tuned, .. } = self.gap;
        let named = |is: &dyn Fn(&Row<'_>) -> bool| -> Vec<String> {
            rows.iter().filter(|row| is(row)).map(|row| row.record.to_owned()).collect()
        };
        if records == 0 {
            "no record was answered by all systems: let each answer the same test set".clone_into(&mut self.why);
            return;
        }
        if self.tuned_errors.high <= lines.ready {
            self.verdict = Verdict::Ready;
            self.why = format!(
                "{tuned} of {records} records have an error, at most {:.1} % with 95 % confidence; {:.1} % was asked for",
                self.tuned_errors.high * 100.0,
                lines.ready * 100.0
            );
            self.records = named(&|row| row.is_wrong());
            return;
        }
        if let Some((verdict, why)) = self.weigh_prompt(rows, lines) {
            self.verdict = verdict;
            self.why = why;
            self.records = match verdict {
                Verdict::PromptBetter => named(&|row| row.base && row.prompted == Some(false)),
                _ => named(&|row| row.prompted.is_some_and(|prompted| prompted != row.is_wrong())),
            };
            return;
        }
        if tuned as f64 <= lines.ready * records as f64 {
            self.why = format!(
                "{tuned} of {records} records have an error, which may be few enough, but these records allow up to {:.1} %: \
                 test on more of them",
                self.tuned_errors.high * 100.0
            );
            self.records = named(&|row| row.is_wrong());
            return;
        }
        self.name_cause(rows);
    }

    /// What the remaining errors come from, where their categories tell it whatever those are that tell nothing.
    fn name_cause(&mut self, rows: &[Row<'_>]) {
        let Gap { tuned, knowledge, behaviour, both, unknown, .. } = self.gap;
        let named = |is: &dyn Fn(&Row<'_>) -> bool| -> Vec<String> {
            rows.iter().filter(|row| is(row)).map(|row| row.record.to_owned()).collect()
        };
        let mut counts = format!(
            "of {tuned} records with an error {knowledge} lack knowledge, {behaviour} are behaviour and {both} both (mid-p {:.3})",
            self.causes.mid_p
        );
        if unknown > 0 {
            let _ = write!(counts, "; of {unknown} no category tells the cause");
        }
        let at_worst = |one: usize, other: usize| McNemar::of(one as u64, (other + unknown) as u64).is_significant();
        if knowledge > behaviour + unknown && at_worst(knowledge, behaviour) {
            self.verdict = Verdict::ContinuePretraining;
            self.why = format!("{counts}: continue pre-training on texts that hold what it does not know");
            self.records = named(&|row| row.has(Cause::Knowledge));
        } else if behaviour > knowledge + unknown && at_worst(behaviour, knowledge) {
            self.verdict = Verdict::InstructionTune;
            self.why = format!("{counts}: tune on more or better pairs that show what it should do");
            self.records = named(&|row| row.has(Cause::Behaviour));
        } else if unknown > 0 {
            self.why = format!(
                "{counts}, so the categories do not tell whether knowledge or behaviour is lacking: read these records; then name \
                 the errors you see as [[errors]] in togi.toml, each with its cause, or mark them by hand (togi errors --mark ROW \
                 --of SYSTEM --category NAME)"
            );
            self.records = named(&|row| row.is_open());
        } else {
            self.why =
                format!("{counts}: which of the two it is cannot be told; test on more records, or sort these by hand");
            self.records = named(&|row| row.is_wrong());
        }
    }

    /// Whether the better prompt does what tuning does; `None` where tuning is better, where no prompt was tried, or
    /// where the one tried did not help by more than chance.
    fn weigh_prompt(&mut self, rows: &[Row<'_>], lines: &Lines) -> Option<(Verdict, String)> {
        let (test, prompted) = (self.prompted_tuned?, self.gap.prompted?);
        let Gap { tuned, records, base, .. } = self.gap;
        let count =
            |was: bool, is: bool| rows.iter().filter(|row| row.base == was && row.prompted == Some(is)).count() as u64;
        let helps = McNemar::of(count(false, true), count(true, false)).is_significant();
        if prompted >= base || !helps {
            return None;
        }
        let fixed = rows.iter().filter(|row| row.base && !row.is_wrong());
        let (fixed, covered) = fixed.fold((0_usize, 0_usize), |(fixed, covered), row| {
            (fixed + 1, covered + usize::from(row.prompted == Some(false)))
        });
        let counts = format!(
            "of {records} records {prompted} have an error with the better prompt and {tuned} after tuning (McNemar mid-p {:.3}); \
             the prompt is right on {covered} of the {fixed} that tuning fixed",
            test.mid_p
        );
        if test.is_significant() {
            return (prompted < tuned).then(|| (Verdict::PromptBetter, format!("{counts}: use the prompt")));
        }
        if prompted <= tuned && covered as f64 >= lines.covers * fixed as f64 {
            return Some((Verdict::PromptBetter, format!("{counts}: it does as well without tuning")));
        }
        let why = format!("{counts}: which of the two is better cannot be told; test on more records");
        Some((Verdict::CannotTell, why))
    }
}

fn rows<'a>(catalogue: &Catalogue, systems: Systems<'a>) -> Vec<Row<'a>> {
    let causes: BTreeMap<&str, Cause> =
        catalogue.categories().map(|category| (category.name.as_str(), category.cause)).collect();
    let cause_of = |name: &String| causes.get(name.as_str()).copied();
    let any = |categories: &BTreeSet<String>| categories.iter().any(|name| cause_of(name).is_some());
    let base = systems.base.by_record();
    let prompted = systems.prompted.map(Marked::by_record);
    let tuned = systems.tuned.by_record();
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for (record, _) in &systems.tuned.records {
        let record = record.as_str();
        let (Some(was), Some(is), true) = (base.get(record), tuned.get(record), seen.insert(record)) else { continue };
        let prompt = match &prompted {
            None => None,
            Some(prompted) => match prompted.get(record) {
                Some(categories) => Some(any(categories)),
                None => continue,
            },
        };
        rows.push(Row { record, base: any(was), prompted: prompt, causes: is.iter().filter_map(cause_of).collect() });
    }
    rows
}
