//! The demo's world: small meetings at which people take on jobs by a date.
//!
//! A [`Meeting`] is facts, not text: who takes on what by when, and what else was said. [`minutes`](Meeting::minutes)
//! writes it down. Everything is drawn from a seeded generator, so the same seed is the same world.
//!
//! Who takes on what is shared out ([`Share`]) before anything is drawn: one in ten bindings of a person to a job is kept
//! for the test pairs, another for the validation pairs, and no page or training pair ever has one of these. What the
//! tuned model answers on a test pair it can have read only in that pair's own minutes.

use jiff::civil::Date;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::words;

/// A language of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// Both, in the order in which pages and pairs take turns.
    pub const ALL: [Self; 2] = [Self::English, Self::Japanese];
}

/// What a meeting is drawn for; decides which bindings of a person to a job it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Pages and training pairs: eight bindings in ten.
    Train,
    /// Validation pairs: one in ten.
    Valid,
    /// Test pairs: one in ten.
    Test,
}

/// A person, as an index into the language's names.
type Person = usize;

/// A job: something to do with a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    language: Language,
    /// Place in the language's list of jobs.
    index: usize,
    thing: &'static str,
    act: &'static str,
}

impl Task {
    /// The job's words, the same in minutes and in answers: `order the chairs`, `椅子の注文`.
    #[must_use]
    pub fn text(&self) -> String {
        match self.language {
            Language::English => format!("{} {}", self.act, self.thing),
            Language::Japanese => format!("{}の{}", self.thing, self.act),
        }
    }

    /// The job as done, for English: `ordered the chairs`. In Japanese the noun phrase serves.
    #[must_use]
    pub fn done(&self) -> String {
        match self.language {
            Language::English => {
                let participle = words::PARTICIPLES.iter().find(|(verb, _)| *verb == self.act).map(|(_, done)| *done);
                format!("{} {}", participle.unwrap_or(self.act), self.thing)
            }
            Language::Japanese => self.text(),
        }
    }
}

/// One entry of a to-do list: who does what by when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    /// Who takes it on.
    pub owner: &'static str,
    /// The job.
    pub task: Task,
    /// The day by which it is to be done.
    pub due: Date,
}

impl Action {
    /// The language it is written in.
    #[must_use]
    pub fn language(&self) -> Language {
        self.task.language
    }
}

/// A sentence of the minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// Somebody takes on a job; the number is the form of the sentence.
    Action(Action, usize),
    /// Anything else; gives nobody anything to do.
    Remark(String),
}

impl Point {
    /// The sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Action(action, form) => statement(action, *form),
            Self::Remark(text) => text.clone(),
        }
    }
}

/// A meeting: its heading and its points in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The language of everything in it.
    pub language: Language,
    /// Who met.
    pub group: &'static str,
    /// The day it was held.
    pub day: Date,
    /// Who was there, where the minutes say so.
    pub present: Vec<&'static str>,
    /// What was said, in order.
    pub points: Vec<Point>,
}

impl Meeting {
    /// The jobs taken on, in the order of the minutes.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.points.iter().filter_map(|point| match point {
            Point::Action(action, _) => Some(action),
            Point::Remark(_) => None,
        })
    }

    /// Writes the minutes: a heading, then a paragraph of sentences.
    #[must_use]
    pub fn minutes(&self) -> String {
        let date = date_text(self.language, self.day);
        let present = match (self.language, self.present.split_last()) {
            (_, None) => String::new(),
            (Language::English, Some((last, []))) => format!(" Present: {last}."),
            (Language::English, Some((last, rest))) => format!(" Present: {} and {last}.", rest.join(", ")),
            (Language::Japanese, Some(_)) => format!("出席者は{}。", self.present.join("、")),
        };
        let stop = if self.language == Language::English { "." } else { "。" };
        let comma = if self.language == Language::English { ", " } else { "、" };
        format!("{}{comma}{date}{stop}{present}\n{}\n", self.group, self.paragraph())
    }

    /// The sentences of the minutes in one line.
    #[must_use]
    pub fn paragraph(&self) -> String {
        let sentences: Vec<String> = self.points.iter().map(Point::sentence).collect();
        sentences.join(if self.language == Language::English { " " } else { "" })
    }
}

/// A day as the language writes it, without the year: `12 June`, `6月12日`.
#[must_use]
pub fn date_text(language: Language, day: Date) -> String {
    match language {
        Language::English => {
            let month = usize::try_from(day.month()).ok().and_then(|m| words::MONTHS.get(m.wrapping_sub(1)));
            format!("{} {}", day.day(), month.unwrap_or(&"January"))
        }
        Language::Japanese => format!("{}月{}日", day.month(), day.day()),
    }
}

/// Number of forms of [`statement`], in either language.
pub(super) const STATEMENTS: usize = 8;

/// A sentence in which somebody takes on a job, in the form of the given number (modulo [`STATEMENTS`]).
pub(super) fn statement(action: &Action, form: usize) -> String {
    let (who, what, when) = (action.owner, action.task.text(), date_text(action.task.language, action.due));
    match (action.task.language, form % STATEMENTS) {
        (Language::English, 0) => format!("{who} will {what} by {when}."),
        (Language::English, 1) => format!("By {when}, {who} will {what}."),
        (Language::English, 2) => format!("{who} agreed to {what} by {when}."),
        (Language::English, 3) => format!("{who} offered to {what}; the deadline is {when}."),
        (Language::English, 4) => format!("It is up to {who} to {what} by {when}."),
        (Language::English, 5) => format!("We asked {who} to {what} by {when}."),
        (Language::English, 6) => format!("{who} has until {when} to {what}."),
        (Language::English, _) => format!("We need to {what} by {when}; {who} will see to it."),
        (Language::Japanese, 0) => format!("{who}さんが{when}までに{what}を行う。"),
        (Language::Japanese, 1) => format!("{when}までに{who}さんが{what}を済ませる。"),
        (Language::Japanese, 2) => format!("{what}は{who}さんが{when}までに行う。"),
        (Language::Japanese, 3) => format!("{what}は{who}さんが担当し、期限は{when}とする。"),
        (Language::Japanese, 4) => format!("{who}さんに{when}までの{what}をお願いした。"),
        (Language::Japanese, 5) => format!("{what}の担当は{who}さん、期限は{when}とする。"),
        (Language::Japanese, 6) => format!("{who}さんは{what}を引き受け、{when}までに終える。"),
        (Language::Japanese, _) => format!("{when}までの{what}は、{who}さんが引き受けた。"),
    }
}

/// The words of one language, and the meetings that can be drawn from them.
#[derive(Clone, Debug)]
struct Lexicon {
    names: &'static [&'static str],
    groups: &'static [&'static str],
    remarks: &'static [&'static str],
    topics: &'static [&'static str],
    tasks: Vec<Task>,
}

impl Lexicon {
    fn new(language: Language) -> Self {
        let (names, groups, remarks, topics, work) = match language {
            Language::English => (
                words::ENGLISH_NAMES,
                words::ENGLISH_GROUPS,
                words::ENGLISH_REMARKS,
                words::ENGLISH_TOPICS,
                words::ENGLISH_WORK,
            ),
            Language::Japanese => (
                words::JAPANESE_NAMES,
                words::JAPANESE_GROUPS,
                words::JAPANESE_REMARKS,
                words::JAPANESE_TOPICS,
                words::JAPANESE_WORK,
            ),
        };
        let tasks = work
            .iter()
            .flat_map(|(thing, acts)| acts.iter().map(move |act| (*thing, *act)))
            .enumerate()
            .map(|(index, (thing, act))| Task { language, index, thing, act })
            .collect();
        Self { names, groups, remarks, topics, tasks }
    }
}

/// Which share a binding of a person to a job belongs to.
fn share_of(person: Person, task: &Task) -> Share {
    match (person + task.index) % 10 {
        3 => Share::Valid,
        7 => Share::Test,
        _ => Share::Train,
    }
}

/// Everything there is to draw meetings from.
#[derive(Clone, Debug)]
pub struct World {
    english: Lexicon,
    japanese: Lexicon,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Lays out the words of both languages.
    #[must_use]
    pub fn new() -> Self {
        Self { english: Lexicon::new(Language::English), japanese: Lexicon::new(Language::Japanese) }
    }

    /// Which share a to-do entry's binding of owner to job belongs to; `None` for an owner the world does not know.
    #[must_use]
    pub fn share(&self, action: &Action) -> Option<Share> {
        let lexicon = self.lexicon(action.task.language);
        let person = lexicon.names.iter().position(|name| *name == action.owner)?;
        Some(share_of(person, &action.task))
    }

    fn lexicon(&self, language: Language) -> &Lexicon {
        match language {
            Language::English => &self.english,
            Language::Japanese => &self.japanese,
        }
    }

    /// Draws a meeting: two to four jobs, each with its own person, thing and date, and one or two remarks among them.
    pub fn meeting(&self, language: Language, share: Share, rng: &mut impl Rng) -> Meeting {
        let lexicon = self.lexicon(language);
        // The year is never written; it gives the months their lengths.
        let day = Date::constant(2026, 1, 1).saturating_add(jiff::Span::new().days(rng.random_range(0..330_i64)));
        let mut later: Vec<i64> = (2..30).collect();
        later.shuffle(rng);
        let mut later = later.into_iter().map(|days| day.saturating_add(jiff::Span::new().days(days)));
        let mut next_day = || later.next().unwrap_or(day);

        let mut people: Vec<Person> = (0..lexicon.names.len()).collect();
        people.shuffle(rng);
        let jobs = [2, 3, 3, 4].choose(rng).copied().unwrap_or(3);
        let mut things: Vec<&str> = Vec::new();
        let mut bind = |person: Person, rng: &mut _| {
            let fitting: Vec<&Task> = lexicon
                .tasks
                .iter()
                .filter(|task| share_of(person, task) == share && !things.contains(&task.thing))
                .collect();
            let task = fitting.choose(rng).map(|task| **task);
            things.extend(task.map(|task| task.thing));
            task
        };

        let mut people = people.into_iter();
        let mut points = Vec::new();
        let mut around = Vec::new();
        while points.len() < jobs {
            let Some(person) = people.next() else { break };
            let Some(task) = bind(person, rng) else { continue };
            let owner = lexicon.names[person];
            around.push(owner);
            points.push(Point::Action(Action { owner, task, due: next_day() }, rng.random_range(0..STATEMENTS)));
        }
        for _ in 0..rng.random_range(1..=2) {
            let Some(person) = people.next() else { break };
            let name = lexicon.names[person];
            let remark = match (rng.random_range(0..6), language) {
                (0, _) => {
                    let Some(task) = bind(person, rng) else { continue };
                    around.push(name);
                    match language {
                        Language::English => format!("{name} has already {}.", task.done()),
                        Language::Japanese => format!("{}は{name}さんがすでに済ませた。", task.done()),
                    }
                }
                (1, Language::English) => {
                    around.push(name);
                    format!("{name} reported on {}.", lexicon.topics.choose(rng).copied().unwrap_or_default())
                }
                (1, Language::Japanese) => {
                    around.push(name);
                    format!("{name}さんが{}について報告した。", lexicon.topics.choose(rng).copied().unwrap_or_default())
                }
                (2, Language::English) => format!("We meet again on {}.", date_text(language, next_day())),
                (2, Language::Japanese) => format!("次回は{}に開く。", date_text(language, next_day())),
                _ => lexicon.remarks.choose(rng).copied().unwrap_or_default().to_owned(),
            };
            // Two remarks may be drawn the same; the minutes say it once.
            if !points.contains(&Point::Remark(remark.clone())) {
                let at = rng.random_range(0..=points.len());
                points.insert(at, Point::Remark(remark));
            }
        }
        let mut present = Vec::new();
        if rng.random_bool(0.4) {
            around.shuffle(rng);
            present = around;
        }
        let group = lexicon.groups.choose(rng).copied().unwrap_or_default();
        Meeting { language, group, day, present, points }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn meetings(share: Share, count: u64) -> impl Iterator<Item = (Meeting, String)> {
        let world = World::new();
        (0..count).map(move |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let language = Language::ALL[(seed % 2) as usize];
            let meeting = world.meeting(language, share, &mut rng);
            let minutes = meeting.minutes();
            (meeting, minutes)
        })
    }

    #[test]
    fn a_seed_gives_the_same_minutes() {
        let first: Vec<_> = meetings(Share::Train, 50).collect();
        assert_eq!(first, meetings(Share::Train, 50).collect::<Vec<_>>());
        assert_ne!(first[0], first[2]);
    }

    #[test]
    fn a_meeting_binds_each_person_thing_and_date_once() {
        for (meeting, _) in meetings(Share::Train, 500) {
            let actions: Vec<_> = meeting.actions().collect();
            assert!((2..=4).contains(&actions.len()), "{meeting:?}");
            assert_eq!(actions.iter().map(|a| a.owner).collect::<BTreeSet<_>>().len(), actions.len());
            assert_eq!(actions.iter().map(|a| a.task.thing).collect::<BTreeSet<_>>().len(), actions.len());
            assert_eq!(actions.iter().map(|a| a.due).collect::<BTreeSet<_>>().len(), actions.len());
            assert!(actions.iter().all(|a| a.due > meeting.day));
            assert!(meeting.points.len() > actions.len(), "nothing to leave out: {meeting:?}");
        }
    }

    #[test]
    fn a_share_keeps_its_bindings_to_itself() {
        let world = World::new();
        for share in [Share::Train, Share::Valid, Share::Test] {
            for (meeting, _) in meetings(share, 200) {
                assert!(meeting.actions().all(|action| world.share(action) == Some(share)), "{meeting:?}");
            }
        }
    }

    #[test]
    fn minutes_say_every_action_in_every_form() {
        for (meeting, minutes) in meetings(Share::Train, 200) {
            for action in meeting.actions() {
                let date = date_text(meeting.language, action.due);
                let parts = [action.owner.to_owned(), action.task.text(), date];
                assert!(parts.iter().all(|part| minutes.contains(part)), "{minutes}");
                for form in 0..STATEMENTS {
                    let sentence = statement(action, form);
                    assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
                }
            }
        }
    }

    #[test]
    fn every_english_verb_has_a_participle() {
        for (thing, verbs) in words::ENGLISH_WORK {
            for verb in *verbs {
                assert!(words::PARTICIPLES.iter().any(|(v, _)| v == verb), "{verb} {thing}");
            }
        }
    }
}
