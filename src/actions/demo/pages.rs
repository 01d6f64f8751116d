//! The pages that the demo's base model is pre-trained on: minutes, and what people write after them.
//!
//! Behind the minutes stand three sections that tell the same facts again, each line behind the number of its point: a recap,
//! questions with their answers, letters, a table, a quotation, a copy, the next meeting's opening. To continue such a
//! page one has to find in the minutes who does what by when, and so the model learns to copy and to keep facts
//! together. No page has the answers' own form or the words that ask for them: the base model continues minutes, and it
//! takes tuning to make it list.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::world::{Action, Language, Meeting, Point, STATEMENTS, Share, World, date_text, line, statement};

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
    let meeting = world.meeting(language, Share::Page, rng);
    let mut text = meeting.minutes();
    let mut kinds = Section::ALL;
    kinds.shuffle(rng);
    for kind in kinds.iter().take(SECTIONS) {
        text.push('\n');
        text.push_str(&kind.write(&meeting, rng));
    }
    text
}

/// Number of sections of a page.
const SECTIONS: usize = 3;

/// What can stand behind the minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Recap,
    Questions,
    Letters,
    Quotation,
    NextMeeting,
    Table,
    Reminders,
    Copy,
}

impl Section {
    const ALL: [Self; 8] = [
        Self::Recap,
        Self::Questions,
        Self::Letters,
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
            Self::Quotation => quotation(meeting, rng),
            Self::NextMeeting => next_meeting(meeting, rng),
            Self::Table => table(meeting, rng),
            Self::Reminders => reminders(meeting, rng),
            Self::Copy => copy(meeting),
        }
    }
}

/// An action's owner, job and date as text.
fn facts(action: &Action) -> (&'static str, String, String) {
    (action.owner, action.task.text(), date_text(action.language(), action.due))
}

/// The numbered actions, in random order.
fn shuffled<'a>(meeting: &'a Meeting, rng: &mut impl Rng) -> Vec<(usize, &'a Action)> {
    let mut actions: Vec<_> = meeting.numbered_actions().collect();
    actions.shuffle(rng);
    actions
}

/// A lead on a line of its own, and a numbered line for each of `actions`.
fn listed<'a>(
    meeting: &Meeting,
    lead: &str,
    actions: impl IntoIterator<Item = (usize, &'a Action)>,
    mut text: impl FnMut(&Action) -> String,
) -> String {
    let lines = actions.into_iter().map(|(number, action)| line(meeting.language, number, &text(action)));
    format!("{lead}\n{}", lines.collect::<String>())
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
    listed(meeting, lead, meeting.numbered_actions(), |action| statement(action, form))
}

/// Questions about the actions in random order, each with its answer.
fn questions(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let lead = match meeting.language {
        Language::English => "Questions and answers.",
        Language::Japanese => "問答。",
    };
    let asked = shuffled(meeting, rng);
    listed(meeting, lead, asked, |action| question(action, rng))
}

/// A letter to each owner in the order of the minutes.
fn letters(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let polite = rng.random_bool(0.5);
    let lead = match meeting.language {
        Language::English => "Letters.",
        Language::Japanese => "連絡。",
    };
    listed(meeting, lead, meeting.numbered_actions(), |action| {
        let (who, what, when) = facts(action);
        match (meeting.language, polite) {
            (Language::English, true) => format!("Dear {who}, please {what} by {when}. Thank you!"),
            (Language::English, false) => format!("Hello {who}, do not forget to {what} by {when}."),
            (Language::Japanese, true) => format!("{who}さんへ。{what}を{when}までにお願いします。"),
            (Language::Japanese, false) => format!("{who}さん、{what}は{when}までです。"),
        }
    })
}

/// Two points of the minutes, word for word.
fn quotation(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let lead = match meeting.language {
        Language::English => "Word for word.",
        Language::Japanese => "記録のとおり。",
    };
    let points: Vec<(usize, &Point)> = (1..).zip(&meeting.points).collect();
    let quote = |(number, point): &(usize, &Point)| line(meeting.language, *number, &point.sentence());
    format!("{lead}\n{}", points.choose_multiple(rng, 2).map(quote).collect::<String>())
}

/// What became of each action.
fn next_meeting(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let lead = match meeting.language {
        Language::English => "At the next meeting we looked back.",
        Language::Japanese => "次の会議で振り返った。",
    };
    listed(meeting, lead, meeting.numbered_actions(), |action| {
        let (who, what, when) = facts(action);
        match (meeting.language, rng.random_bool(0.5)) {
            (Language::English, true) => format!("{who} managed to {what} by {when}."),
            (Language::English, false) => format!("{who} did not {what} by {when}."),
            (Language::Japanese, true) => format!("{who}さんは{what}を{when}に終えた。"),
            (Language::Japanese, false) => format!("{who}さんの{what}は{when}までに終わらなかった。"),
        }
    })
}

/// A table of the actions with its columns in any order but that of the answers.
fn table(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let orders = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let order = orders.choose(rng).copied().unwrap_or([1, 0, 2]);
    let (head, between) = match meeting.language {
        Language::English => (["Who", "What", "When"], " | "),
        Language::Japanese => (["担当", "内容", "期限"], "｜"),
    };
    let lead = order.map(|at| head[at]).join(between);
    listed(meeting, &lead, meeting.numbered_actions(), |action| {
        let (who, what, when) = facts(action);
        order.map(|at| [who, &what, &when][at]).join(between)
    })
}

/// Reminders to the owners in random order.
fn reminders(meeting: &Meeting, rng: &mut impl Rng) -> String {
    let lead = match meeting.language {
        Language::English => "Reminders.",
        Language::Japanese => "念のため。",
    };
    let reminded = shuffled(meeting, rng);
    listed(meeting, lead, reminded, |action| {
        let (who, what, when) = facts(action);
        match meeting.language {
            Language::English => format!("{who}, you wanted to {what} by {when}."),
            Language::Japanese => format!("{who}さん、{what}の期限は{when}です。"),
        }
    })
}

/// All points of the minutes, word for word.
fn copy(meeting: &Meeting) -> String {
    let lead = match meeting.language {
        Language::English => "Copy.",
        Language::Japanese => "写し。",
    };
    format!("{lead}\n{}", meeting.points())
}

/// A question about one thing that somebody took on, and its answer.
fn question(action: &Action, rng: &mut impl Rng) -> String {
    let (who, what, when) = facts(action);
    match (action.language(), rng.random_range(0..4)) {
        (Language::English, 0) => format!("Who will {what}? {who}. By when? By {when}."),
        (Language::English, 1) => format!("What did {who} take on? To {what} by {when}."),
        (Language::English, 2) => format!("What is due by {when}? To {what}. Who does it? {who}."),
        (Language::English, _) => format!("How long does {who} have? Until {when}."),
        (Language::Japanese, 0) => format!("{what}は誰がするのか。{who}さん。いつまでか。{when}。"),
        (Language::Japanese, 1) => format!("{who}さんは何をするのか。{what}。いつまでか。{when}。"),
        (Language::Japanese, 2) => format!("{when}までに何をするのか。{what}。誰がするのか。{who}さん。"),
        (Language::Japanese, _) => format!("{who}さんの期限はいつか。{when}。"),
    }
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
        use super::super::words;
        for page in pretraining_text(3, 2_000) {
            assert!(!page.to_lowercase().contains(&ENGLISH_INSTRUCTION.to_lowercase()), "{page}");
            assert!(!page.contains(JAPANESE_INSTRUCTION), "{page}");
            let names = || words::ENGLISH_NAMES.iter().chain(words::JAPANESE_NAMES);
            let text = |line: &str| line.split_once('.').map(|(_, text)| text.trim_start().to_owned());
            for text in page.lines().filter_map(text) {
                let listed =
                    names().any(|n| text.starts_with(&format!("{n}: ")) || text.starts_with(&format!("{n}、")));
                assert!(!listed, "{page}");
            }
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
