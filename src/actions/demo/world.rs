//! The demo's world: small meetings at which people take on jobs by a date.
//!
//! A [`Meeting`] is facts, not text: who takes on what by when, and what else was said. [`minutes`](Meeting::minutes)
//! writes it down. Everything is drawn from a seeded generator, so the same seed is the same world.
//!
//! Who takes on what is shared out ([`Share`]) before anything is drawn: training, validation and test pairs never bind
//! the same person to the same job. The pages do not tell them apart, for in a page anybody takes on anything on any
//! date; what the tuned model answers on a test pair it can have read only in that pair's own minutes.

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
    /// Pages: those of all pairs. Two bindings in ten are in nothing that is stored; they are for trying by hand.
    Page,
    /// Training pairs: five bindings in ten.
    Train,
    /// Validation pairs: one in ten.
    Valid,
    /// Test pairs: two in ten.
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
        self.numbered_actions().map(|(_, action)| action)
    }

    /// The jobs taken on, each with the number of its point, counted from 1.
    pub fn numbered_actions(&self) -> impl Iterator<Item = (usize, &Action)> {
        (1..).zip(&self.points).filter_map(|(number, point)| match point {
            Point::Action(action, _) => Some((number, action)),
            Point::Remark(_) => None,
        })
    }

    /// Writes the minutes: a heading, then the points.
    #[must_use]
    pub fn minutes(&self) -> String {
        let date = date_text(self.language, self.day);
        let present = match (self.language, self.present.split_last()) {
            (_, None) => String::new(),
            (Language::English, Some((last, []))) => format!(" Present: {last}."),
            (Language::English, Some((last, rest))) => format!(" Present: {} and {last}.", rest.join(", ")),
            (Language::Japanese, Some(_)) => format!("出席者は{}。", self.present.join("、")),
        };
        let (comma, stop) = if self.language == Language::English { (", ", ".") } else { ("、", "。") };
        format!("{}{comma}{date}{stop}{present}\n{}", self.group, self.points())
    }

    /// The points of the minutes, each on a line of its own behind its number.
    #[must_use]
    pub fn points(&self) -> String {
        (1..).zip(&self.points).map(|(number, point)| line(self.language, number, &point.sentence())).collect()
    }
}

/// A line that begins with a point's number: `2. Emma will …`, `2.田中さんが…`.
pub(super) fn line(language: Language, number: usize, text: &str) -> String {
    let space = if language == Language::English { " " } else { "" };
    format!("{number}.{space}{text}\n")
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
        (Language::English, 1) => format!("{who} agreed to {what} by {when}."),
        (Language::English, 2) => format!("{who} offered to {what} by {when}."),
        (Language::English, 3) => format!("{who} promised to {what}; the deadline is {when}."),
        (Language::English, 4) => format!("It is up to {who} to {what} by {when}."),
        (Language::English, 5) => format!("We asked {who} to {what} by {when}."),
        (Language::English, 6) => format!("{who} has to {what} and has until {when}."),
        (Language::English, _) => format!("We count on {who} to {what} by {when}."),
        (Language::Japanese, 0) => format!("{who}さんが{what}を{when}までに行う。"),
        (Language::Japanese, 1) => format!("{who}さんは{what}を引き受け、{when}までに終える。"),
        (Language::Japanese, 2) => format!("{who}さんの担当は{what}で、期限は{when}とする。"),
        (Language::Japanese, 3) => format!("{who}さんに{what}を任せ、期限を{when}とする。"),
        (Language::Japanese, 4) => format!("{who}さんに{what}を{when}までにお願いした。"),
        (Language::Japanese, 5) => format!("担当は{who}さん、内容は{what}、期限は{when}である。"),
        (Language::Japanese, 6) => format!("{who}さんが{what}を担当し、{when}までに済ませる。"),
        (Language::Japanese, _) => format!("{who}さんは{what}を{when}までに終える予定である。"),
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

    /// Whether neither job's act goes with the other's thing.
    fn told_apart(&self, one: &Task, other: &Task) -> bool {
        let swapped = |task: &Task| {
            (task.thing == one.thing && task.act == other.act) || (task.thing == other.thing && task.act == one.act)
        };
        !self.tasks.iter().any(swapped)
    }
}

impl Share {
    /// Whether a meeting of this share may bind this person to this job.
    fn has(self, person: Person, task: &Task) -> bool {
        let turn = (person + task.index) % 10;
        match self {
            Self::Page => !matches!(turn, 3 | 7),
            Self::Train => matches!(turn, 0 | 1 | 2 | 4 | 5),
            Self::Valid => turn == 6,
            Self::Test => matches!(turn, 8 | 9),
        }
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

    /// Whether a share has a to-do entry's binding of owner to job; never for an owner whom the world does not know.
    #[must_use]
    pub fn has(&self, share: Share, action: &Action) -> bool {
        let names = self.lexicon(action.task.language).names;
        names.iter().position(|name| *name == action.owner).is_some_and(|person| share.has(person, &action.task))
    }

    fn lexicon(&self, language: Language) -> &Lexicon {
        match language {
            Language::English => &self.english,
            Language::Japanese => &self.japanese,
        }
    }

    /// Draws a meeting: two to four jobs, each with its own person, thing and date, and one or two remarks among them. In
    /// pairs the jobs can be told apart by either of their words, which spares a small model a mistake that pages have:
    /// who cleans the hall while another measures the stage might as well clean the stage.
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
        let mut chosen: Vec<Task> = Vec::new();
        let mut bind = |person: Person, rng: &mut _| {
            let fitting: Vec<&Task> = lexicon
                .tasks
                .iter()
                .filter(|task| share.has(person, task) && chosen.iter().all(|other| other.thing != task.thing))
                .filter(|task| share == Share::Page || chosen.iter().all(|other| lexicon.told_apart(task, other)))
                .collect();
            let task = fitting.choose(rng).map(|task| **task);
            chosen.extend(task);
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
                        Language::Japanese => format!("{name}さんは{}をすでに済ませた。", task.done()),
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
        let pairs = [Share::Train, Share::Valid, Share::Test];
        for share in pairs {
            for (meeting, _) in meetings(share, 200) {
                let only = |action| pairs.iter().all(|&other| world.has(other, action) == (other == share));
                assert!(meeting.actions().all(|action| only(action) && world.has(Share::Page, action)), "{meeting:?}");
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
