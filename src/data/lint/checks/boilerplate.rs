//! Phrases by which chat models speak of themselves, refuse, or open and close an answer.
//!
//! One that only a model writes ("as an AI language model") is enough. A courtesy that people write as well ("I hope this
//! helps") counts only with a second one: support staff say each of them.

use std::sync::LazyLock;

use regex::Regex;

use super::super::{Check, Finding, Look, Scope, Severity};

/// Share of records with such a phrase from which it is an error (formats.md): the model will learn to say it.
const MANY: f64 = 0.01;

/// `boilerplate`.
pub struct Boilerplate;

static SURE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?-u:\b)as an? (?:ai|artificial intelligence|large language model|language model)(?-u:\b)",
        r"|(?-u:\b)(?:i am|i['’]m) (?:just |only )?an? (?:ai|artificial intelligence|language model)(?-u:\b)",
        r"|(?-u:\b)i (?:can(?:no|['’])t|am unable to|['’]m unable to|am not able to) (?:assist|help) (?:you )?with (?:that|this)(?-u:\b)",
        r"|(?-u:\b)i['’]?m sorry,? but (?:i|as an) (?:can(?:no|['’])t|am unable|ai)(?-u:\b)",
        r"|(?-u:\b)i (?:do not|don['’]t) have (?:personal|my own) (?:opinions|beliefs|feelings|experiences)",
        r"|(?-u:\b)(?:as of|since|before|after) my (?:last |latest )?(?:knowledge|training|update)",
        r"|(?-u:\b)my (?:last |latest )?(?:knowledge|training) (?:cut-?off|update|data)",
        r"|(?:AI|人工知能)(?:の)?(?:大規模)?(?:言語モデル|アシスタント)(?:として|な|で|の)",
        r"|(?:大規模)?言語モデルとして|(?:私|わたし)は(?:人工知能|AI|言語モデル)(?:です|な|で|と|アシ)|AI(?:である)?(?:なので|として|のため)",
        r"|(?:知識|学習データ|トレーニングデータ)(?:の|は)(?:最終更新|カットオフ|\d{4}年)|個人的な(?:意見|感情|見解)(?:を|は)(?:持って|持ち|述べ|ありま)",
    ))
    .ok()
});

static COURTESY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)^(?:certainly|sure|absolutely|of course|great question)[!,.]|(?-u:\b)here(?:['’]s| is| are) (?:the|your|an?) [^.\n]{0,60}you (?:asked|requested)",
        r"|(?-u:\b)i hope this helps|(?-u:\b)let me know if (?:you|there)(?: i['’]?s|['’]?s| have|['’]d| need)? (?:any|anything|other|more|further|like)",
        r"|(?-u:\b)feel free to (?:ask|reach)|(?-u:\b)it['’]?s (?:important|worth) (?:to note|noting)",
        r"|^(?:もちろんです|かしこまりました|承知(?:いた)?しました|はい、(?:もちろん|わかりました))|(?:参考|お役に立て(?:れ|)?)(?:に|れば)(?:なれば|幸い|なりましたら)|(?:他に|ほかに)(?:も)?(?:何か)?(?:ご)?質問",
    ))
    .ok()
});

/// Where the first phrase is that shows a model's hand.
pub(in crate::data::lint) fn first(text: &str) -> Option<(usize, usize)> {
    if let Some(sure) = SURE.as_ref()?.find(text) {
        return Some((sure.start(), sure.end()));
    }
    let mut courtesies = COURTESY.as_ref()?.find_iter(text);
    let (first, _) = (courtesies.next()?, courtesies.next()?);
    Some((first.start(), first.end()))
}

impl Check for Boilerplate {
    fn name(&self) -> &'static str {
        "boilerplate"
    }

    fn why(&self) -> &'static str {
        "a tuned model repeats the phrases of the model that wrote its answers"
    }

    fn scope(&self) -> Scope {
        Scope::Record
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        if !look.facts.boilerplate {
            return Vec::new();
        }
        let totals = look.index.totals();
        let share = totals.boilerplate as f64 / totals.records.max(1) as f64;
        let severity = if share > MANY { Severity::Error } else { Severity::Warning };
        let learned = look.parts.iter().filter(|part| part.role.is_learned());
        let found = learned.filter_map(|part| {
            let (start, end) = first(&part.text)?;
            let phrase = part.text.get(start..end)?.trim();
            let of_all =
                if share > MANY { format!("; {:.1} % of the records have one", share * 100.0) } else { String::new() };
            Some(
                look.finding(self.name(), severity, format!("\"{phrase}\" is a chat model's phrase{of_all}"))
                    .at(part, start, end),
            )
        });
        found.collect()
    }
}
