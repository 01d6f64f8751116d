//! The checks, one a file. Their thresholds are those of the project's design (formats.md, lint thresholds); what a file
//! adds to them is said there.

use super::Check;

pub mod balance;
pub mod boilerplate;
pub mod contradiction;
pub mod empty;
pub mod exact_duplicate;
pub mod invalid_json;
pub mod language;
pub mod leak;
pub mod length;
pub mod machine_written;
pub mod markup;
pub mod mojibake;
pub mod near_duplicate;
pub mod personal_data;
pub mod repetition;
pub mod secret;
pub mod template_token;
pub mod too_long;

/// All checks, in the order in which they are listed.
pub static CHECKS: [&dyn Check; 18] = [
    &exact_duplicate::ExactDuplicate,
    &near_duplicate::NearDuplicate,
    &contradiction::Contradiction,
    &too_long::TooLong,
    &template_token::TemplateToken,
    &boilerplate::Boilerplate,
    &leak::Leak,
    &language::LanguageCheck,
    &length::Length,
    &repetition::Repetition,
    &empty::Empty,
    &markup::Markup,
    &invalid_json::InvalidJson,
    &mojibake::Mojibake,
    &personal_data::PersonalData,
    &secret::Secret,
    &balance::Balance,
    &machine_written::MachineWritten,
];

/// Records that a finding names at most: what thousands of records share, thousands of findings would name in full.
const LISTED: usize = 20;

/// Writes record numbers for a person: at most three, and how many more.
fn list(ids: &[i64]) -> String {
    let shown: Vec<String> = ids.iter().take(3).map(ToString::to_string).collect();
    let records = if ids.len() == 1 { "record" } else { "records" };
    match ids.len().saturating_sub(3) {
        0 => format!("{records} {}", shown.join(", ")),
        more => format!("{records} {} and {more} more", shown.join(", ")),
    }
}
