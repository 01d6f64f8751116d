//! The pages that the demo's base model is pre-trained on: minutes, and what people write after them.
//!
//! Behind the minutes stand three or four sections that tell the same facts again: a recap, questions with their answers, a
//! letter, a calendar, a quotation, a copy, the next meeting's opening. To continue such a page one has to find in the minutes
//! who does what by when, and so the model learns to copy and to keep facts together. No page has the answers' own form
//! or the words that ask for them: the base model continues minutes, and it takes tuning to make it list.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::world::{Action, Language, Meeting, Point, STATEMENTS, Share, World, date_text, statement};

/// The pages of a seed: page `i` is the same whatever the number of pages.
pub fn pretraining_text(seed: u64, pages: usize) -> impl Iterator<Item = String> {
    let world = World::new();
    (0..pages).map(move |index| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index as u64);
        page(&world, &mut rng)
    })
}

/// Draws one page.
pub fn page(world: &World, rng: &mut impl Rng) -> String {
    let language = Language::ALL.choose(rng).copied().unwrap_or(Language::English);
    let meeting = world.meeting(language, Share::Train, rng);
    let mut text = meeting.minutes();
    let mut kinds = Section::ALL;
    kinds.shuffle(rng);
    let sections = rng.random_range(3..=4);
    // A copy says everything once more word for word, which is where a model first learns to copy: half of the pages.
    if let Some(at) = kinds.iter().position(|kind| *kind == Section::Copy)
        && rng.random_bool(0.3)
    {
        kinds.swap(0, at);
    }
    for kind in kinds.iter().take(sections) {
        text.push('\n');
        text.push_str(&kind.write(&meeting, rng));
    }
    text
}

/// What can stand behind the minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Recap,
    Questions,
    Letters,
    Calendar,
    Quotation,
    NextMeeting,
    Table,
    Reminders,
    Copy,
}

impl Section {
    const ALL: [Self; 9] = [
        Self::Recap,
        Self::Questions,
        Self::Letters,
        Self::Calendar,
        Self::Quotation,
        Self::NextMeeting,
        Self::Table,
        Self::Reminders,
        Self::Copy,
    ];

    fn write(self, meeting: &Meeting, rng: &mut impl Rng) -> String {
        match self {
            Self::Recap => recap(meeting, rng),
            Self::Questions => questions(meeting, rng),
            Self::Letters => letters(meeting, rng),
            Self::Calendar => calendar(meeting),
            Self::Quotation => quotation(meeting, rng),
            Self::NextMeeting => next_meeting(meeting, rng),
            Self::Table => table(meeting, rng),
            Self::Reminders => reminders(meeting, rng),
            Self::Copy => copy(meeting, rng),
        }
    }
}

/// An action's owner, job and date as text.
fn facts(action: &Action) -> (&'static str, String, String) {
    (action.owner, action.task.text(), date_text(action.language(), action.due))
}

/// The actions in random order.
fn shuffled<'a>(meeting: &'a Meeting, rng: &mut impl Rng) -> Vec<&'a Action> {
    let mut actions: Vec<&Action> = meeting.actions().collect();
    actions.shuffle(rng);
    actions
}

/// All actions in the order of the minutes, in sentences of one form.
fn recap(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let leads = match meeting.language {
        Language::English => ["In short:", "To sum up:", "As agreed above:", "Once more:"],
        Language::Japanese => {
            ["以上をまとめる。", "要点は次のとおり。", "上で決めたことを繰り返す。", "もう一度確認する。"]
        }
    };
    let lead = leads.choose(rng).copied().unwrap_or_default();
    let form = rng.random_range(0..STATEMENTS);
    paragraph(meeting.language, lead, meeting.actions().map(|action| statement(action, form)))
}

/// Questions about the actions in random order, each with its answer.
fn questions(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let lead = match meeting.language {
        Language::English => "Questions.",
        Language::Japanese => "問答。",
    };
    let asked: Vec<String> = shuffled(meeting, rng).into_iter().map(|action| question(action, rng)).collect();
    paragraph(meeting.language, lead, asked.into_iter())
}

/// A letter to one owner, or to each in the order of the minutes.
fn letters(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let chosen: Vec<&Action> = if rng.random_bool(0.5) {
        meeting.actions().collect()
    } else {
        shuffled(meeting, rng).into_iter().take(1).collect()
    };
    let letter = |action: &Action| {
        let (who, what, when) = facts(action);
        match meeting.language {
            Language::English => format!("Dear {who}, please {what} by {when}. Thank you!\n"),
            Language::Japanese => format!("{who}様。{what}を{when}までにお願いします。\n"),
        }
    };
    chosen.into_iter().map(letter).collect()
}

/// The actions by date.
fn calendar(meeting: &Meeting) -> String {
    let mut actions: Vec<&Action> = meeting.actions().collect();
    actions.sort_by_key(|action| action.due);
    let lead = match meeting.language {
        Language::English => "Calendar.",
        Language::Japanese => "日程。",
    };
    let entry = |action: &Action| {
        let (who, what, when) = facts(action);
        match meeting.language {
            Language::English => format!("{when}, {what}, {who}."),
            Language::Japanese => format!("{when}、{what}、{who}さん。"),
        }
    };
    paragraph(meeting.language, lead, actions.into_iter().map(entry))
}

/// Two sentences of the minutes, word for word.
fn quotation(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let quote = |point: &Point| {
        let said = point.sentence();
        match meeting.language {
            Language::English => format!("We quote: \"{said}\"\n"),
            Language::Japanese => format!("記録には「{said}」とある。\n"),
        }
    };
    meeting.points.choose_multiple(rng, 2).map(quote).collect()
}

/// What became of each action.
fn next_meeting(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let lead = match meeting.language {
        Language::English => "At the next meeting we looked back.",
        Language::Japanese => "次の会議で振り返った。",
    };
    let outcome = |action: &Action| {
        let (who, what, when) = facts(action);
        match (meeting.language, rng.random_bool(0.5)) {
            (Language::English, true) => format!("{who} has {}; the deadline was {when}.", action.task.done()),
            (Language::English, false) => format!("{who} did not {what} by {when}."),
            (Language::Japanese, true) => format!("{who}さんは{what}を終えた。期限は{when}だった。"),
            (Language::Japanese, false) => format!("{who}さんの{what}は{when}までに終わらなかった。"),
        }
    };
    let outcomes: Vec<String> = meeting.actions().map(outcome).collect();
    paragraph(meeting.language, lead, outcomes.into_iter())
}

/// A table of the actions with its columns in any order but that of the answers.
fn table(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let orders = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let order = orders.choose(rng).copied().unwrap_or([1, 0, 2]);
    let (head, open, between, close) = match meeting.language {
        Language::English => (["who", "what", "when"], "| ", " | ", " |\n"),
        Language::Japanese => (["担当", "内容", "期限"], "｜", "｜", "｜\n"),
    };
    let row = |cells: [&str; 3]| format!("{open}{}{close}", order.map(|at| cells[at]).join(between));
    let rows = meeting.actions().map(|action| {
        let (who, what, when) = facts(action);
        row([who, &what, &when])
    });
    row(head) + &rows.collect::<String>()
}

/// Reminders to two owners.
fn reminders(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let reminder = |action: &Action| {
        let (who, what, when) = facts(action);
        match meeting.language {
            Language::English => format!("Reminder to {who}: you have until {when} to {what}.\n"),
            Language::Japanese => format!("{who}さんへの連絡、{what}の期限は{when}です。\n"),
        }
    };
    shuffled(meeting, rng).into_iter().take(2).map(reminder).collect()
}

/// All sentences of the minutes, word for word.
fn copy(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let name = shuffled(meeting, rng).first().map_or("", |action| action.owner);
    let said = meeting.paragraph();
    match meeting.language {
        Language::English => format!("Copy for {name}.\n{said}\n"),
        Language::Japanese => format!("{name}さんのための写し。\n{said}\n"),
    }
}

/// A question about one thing that somebody took on, and its answer.
fn question(action: &Action, rng: &mut impl Rng) -> String {
    let (who, what, when) = facts(action);
    match (action.language(), rng.random_range(0..5)) {
        (Language::English, 0) => format!("Who will {what}? {who}. By when? By {when}."),
        (Language::English, 1) => format!("Who has until {when}? {who}."),
        (Language::English, 2) => format!("What did {who} promise? To {what} by {when}."),
        (Language::English, 3) => format!("What is due by {when}? To {what}."),
        (Language::English, _) => format!("How long does {who} have? Until {when}."),
        (Language::Japanese, 0) => format!("{what}は誰がするのか。{who}さん。いつまでか。{when}。"),
        (Language::Japanese, 1) => format!("期限が{when}なのは誰か。{who}さん。"),
        (Language::Japanese, 2) => format!("{who}さんは何をするのか。{what}。いつまでか。{when}。"),
        (Language::Japanese, 3) => format!("{when}までに何をするのか。{what}。"),
        (Language::Japanese, _) => format!("{who}さんの期限はいつか。{when}。"),
    }
}

/// A lead and sentences in one line, with a space between English sentences.
fn paragraph(language: Language, lead: &str, sentences: impl Iterator<Item = String>) -> String {
    let space = if language == Language::English { " " } else { "" };
    let mut text = lead.to_owned();
    for sentence in sentences {
        text.push_str(space);
        text.push_str(&sentence);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_does_not_depend_on_how_many_are_drawn() {
        let few: Vec<_> = pretraining_text(1, 10).collect();
        let more: Vec<_> = pretraining_text(1, 20).collect();
        assert_eq!(few, more[..10]);
        assert_ne!(few, pretraining_text(2, 10).collect::<Vec<_>>());
    }

    #[test]
    fn no_page_has_the_answers_form_or_the_words_that_ask_for_them() {
        use super::super::pairs::{ENGLISH_INSTRUCTION, JAPANESE_INSTRUCTION};
        for page in pretraining_text(3, 2_000) {
            assert!(!page.to_lowercase().contains(&ENGLISH_INSTRUCTION.to_lowercase()), "{page}");
            assert!(!page.contains(JAPANESE_INSTRUCTION), "{page}");
            assert!(page.lines().all(|line| !line.starts_with('-') && !line.starts_with('・')), "{page}");
        }
    }

    #[test]
    fn a_page_tells_of_its_meeting_again() {
        for page in pretraining_text(4, 500) {
            let (minutes, rest) = page.split_once("\n\n").expect("sections behind the minutes");
            let named = |name: &&&str| minutes.contains(**name) && rest.contains(**name);
            let names = super::super::words::ENGLISH_NAMES.iter().chain(super::super::words::JAPANESE_NAMES);
            assert!(names.filter(|name| named(name)).count() > 0, "{page}");
        }
    }
}
