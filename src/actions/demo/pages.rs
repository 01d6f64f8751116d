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
        let language = meeting.language;
        let english = language == Language::English;
        let mut actions: Vec<&Action> = meeting.actions().collect();
        let when = |action: &Action| date_text(language, action.due);
        match self {
            Self::Recap => {
                let lead: &[&str] = if english {
                    &["In short:", "To sum up:", "As agreed above:", "Once more:"]
                } else {
                    &["以上をまとめる。", "要点は次のとおり。", "上で決めたことを繰り返す。", "もう一度確認する。"]
                };
                let lead = lead.choose(rng).copied().unwrap_or_default();
                let form = rng.random_range(0..STATEMENTS);
                paragraph(language, lead, actions.iter().map(|action| statement(action, form)))
            }
            Self::Questions => {
                actions.shuffle(rng);
                let lead = if english { "Questions." } else { "問答。" };
                let asked: Vec<String> = actions.iter().map(|action| question(action, rng)).collect();
                paragraph(language, lead, asked.into_iter())
            }
            Self::Letters => {
                let kept = if rng.random_bool(0.5) { actions.len() } else { 1 };
                if kept == 1 {
                    actions.shuffle(rng);
                }
                let lines = actions.iter().take(kept).map(|action| {
                    let (who, what, when) = (action.owner, action.task.text(), when(action));
                    if english {
                        format!("Dear {who}, please {what} by {when}. Thank you!\n")
                    } else {
                        format!("{who}様。{what}を{when}までにお願いします。\n")
                    }
                });
                lines.collect()
            }
            Self::Calendar => {
                actions.sort_by_key(|action| action.due);
                let lead = if english { "Calendar." } else { "日程。" };
                let days = actions.iter().map(|action| {
                    let (who, what, when) = (action.owner, action.task.text(), when(action));
                    if english {
                        format!("{when}, {what}, {who}.")
                    } else {
                        format!("{when}、{what}、{who}さん。")
                    }
                });
                paragraph(language, lead, days)
            }
            Self::Quotation => {
                let quoted: Vec<&Point> = meeting.points.choose_multiple(rng, 2).collect();
                let lines = quoted.iter().map(|point| {
                    let said = point.sentence();
                    if english {
                        format!("We quote: \"{said}\"\n")
                    } else {
                        format!("記録には「{said}」とある。\n")
                    }
                });
                lines.collect()
            }
            Self::Copy => {
                let name = actions.choose(rng).map_or("", |action| action.owner);
                let head =
                    if english { format!("Copy for {name}.") } else { format!("{name}さんのための写し。") };
                format!("{head}\n{}\n", meeting.paragraph())
            }
            Self::NextMeeting => {
                let lead =
                    if english { "At the next meeting we looked back." } else { "次の会議で振り返った。" };
                let looks: Vec<String> = actions
                    .iter()
                    .map(|action| {
                        let (who, what, done, when) =
                            (action.owner, action.task.text(), action.task.done(), when(action));
                        match (english, rng.random_bool(0.5)) {
                            (true, true) => format!("{who} has {done}; the deadline was {when}."),
                            (true, false) => format!("{who} did not {what} by {when}."),
                            (false, true) => format!("{who}さんは{what}を終えた。期限は{when}だった。"),
                            (false, false) => format!("{who}さんの{what}は{when}までに終わらなかった。"),
                        }
                    })
                    .collect();
                paragraph(language, lead, looks.into_iter())
            }
            Self::Table => {
                let mut order = [0, 1, 2];
                order.shuffle(rng);
                // Person, job, day is the order of the answers; a table has any other.
                if order == [0, 1, 2] {
                    order = [1, 0, 2];
                }
                let row = |cells: [String; 3]| {
                    let cells = order.map(|at| cells[at].clone());
                    if english {
                        format!("| {} |\n", cells.join(" | "))
                    } else {
                        format!("｜{}｜\n", cells.join("｜"))
                    }
                };
                let head = if english { ["who", "what", "when"] } else { ["担当", "内容", "期限"] };
                let rows = actions
                    .iter()
                    .map(|action| row([action.owner.to_owned(), action.task.text(), when(action)]))
                    .collect::<String>();
                row(head.map(str::to_owned)) + &rows
            }
            Self::Reminders => {
                actions.shuffle(rng);
                let lines = actions.iter().take(2).map(|action| {
                    let (who, what, when) = (action.owner, action.task.text(), when(action));
                    if english {
                        format!("Reminder to {who}: you have until {when} to {what}.\n")
                    } else {
                        format!("{who}さんへの連絡、{what}の期限は{when}です。\n")
                    }
                });
                lines.collect()
            }
        }
    }
}

/// A question about one thing that somebody took on, and its answer.
fn question(action: &Action, rng: &mut impl Rng) -> String {
    let language = action.language();
    let (who, what, when) = (action.owner, action.task.text(), date_text(language, action.due));
    match (language, rng.random_range(0..5)) {
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
