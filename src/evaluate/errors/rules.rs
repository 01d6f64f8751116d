//! The rules of error categories: what each looks at, and when it fires.

use regex::Regex;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::super::{exact_match, json_valid};
use super::CategoryError;
use super::language::Tongue;

/// A rule; `kind` names it in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Rule {
    /// A regular expression.
    Regex(Pattern),
    /// Texts that should be there, or not.
    Contains(Contains),
    /// A JSON schema: fires where the answer does not keep to it, or is no JSON.
    JsonSchema(JsonSchema),
    /// Fires where the answer is no JSON.
    ValidJson(ValidJson),
    /// The length of the answer, without white space at its ends.
    Length(Length),
    /// Fires where the answer is in another language than it should be, as far as both can be told.
    Language(Language),
    /// Fires where the answer equals a text.
    Equal(Equal),
    /// Fires where the answer does not equal a text.
    NotEqual(NotEqual),
    /// Fires where the answer declines to answer, and the right ones do not.
    Refused(Refused),
}

/// When a rule of presence fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Where it is there.
    #[default]
    Present,
    /// Where it is not.
    Absent,
}

/// See [`Rule::Regex`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// The expression, in the syntax of the `regex` crate (no look-around, no back references).
    pub pattern: String,
    /// Whether it fires where the pattern matches somewhere, or where it does not. Default `present`.
    #[serde(default)]
    pub when: When,
}

/// See [`Rule::Contains`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contains {
    /// The texts.
    pub texts: Vec<String>,
    /// `present` fires where any of the texts is there, `absent` where any is missing. Default `present`.
    #[serde(default)]
    pub when: When,
    /// Whether width and case make no difference (NFKC and case folding). Default true.
    #[serde(default = "yes")]
    pub fold: bool,
}

/// See [`Rule::JsonSchema`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonSchema {
    /// The schema: a table, or a text that holds it as JSON. References to other files or hosts are refused.
    pub schema: serde_json::Value,
}

/// See [`Rule::ValidJson`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidJson {
    /// Only where a right answer is a JSON object or list. Default false.
    pub where_gold_is: bool,
}

/// What a length counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Unicode code points.
    #[default]
    Characters,
    /// Words between white space; Japanese and Chinese have none.
    Words,
}

/// See [`Rule::Length`]; fires where any of the limits that are given is passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Length {
    /// What is counted. Default `characters`.
    pub unit: Unit,
    /// The most.
    pub max: Option<u32>,
    /// The least.
    pub min: Option<u32>,
    /// The most, in lengths of the longest right answer.
    pub max_ratio: Option<f64>,
    /// The least, in lengths of the shortest right answer.
    pub min_ratio: Option<f64>,
    /// How much longer or shorter than the ratios say it may be, in the unit. Default 0.
    pub slack: u32,
}

/// See [`Rule::Language`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Language {
    /// The language asked for, by its English name or its ISO 639-3 code; that of the right answers where none is
    /// named.
    pub is: Option<String>,
}

/// What an answer is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// The right answers; as JSON where both are JSON. Equal to one of them is enough.
    #[default]
    Gold,
    /// The input.
    Input,
}

/// See [`Rule::Equal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Equal {
    /// What it is compared with. Default `gold`.
    pub to: To,
}

/// See [`Rule::NotEqual`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotEqual {
    /// What it is compared with. Default `gold`.
    pub to: To,
    /// Only where no other category was found. Default true.
    pub otherwise: bool,
}

impl Default for NotEqual {
    fn default() -> Self {
        Self { to: To::Gold, otherwise: true }
    }
}

/// See [`Rule::Refused`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refused {
    /// Phrases besides those known in English and Japanese; width and case make no difference.
    pub phrases: Vec<String>,
}

fn yes() -> bool {
    true
}

/// How models decline, in English and Japanese, folded.
const REFUSALS: [&str; 38] = [
    "i cannot help",
    "i can't help",
    "i cannot assist",
    "i can't assist",
    "i cannot provide",
    "i can't provide",
    "i cannot answer",
    "i can't answer",
    "i cannot fulfill",
    "i can't fulfill",
    "i cannot comply",
    "i can't comply",
    "i am unable to",
    "i'm unable to",
    "i am not able to",
    "i'm not able to",
    "i won't be able to",
    "i must decline",
    "i cannot do that",
    "i can't do that",
    "as an ai",
    "i'm just an ai",
    "i don't have access to",
    "お答えできません",
    "お答えすることはできません",
    "回答できません",
    "回答することはできません",
    "お応えできません",
    "お手伝いできません",
    "お手伝いすることはできません",
    "提供できません",
    "提供することはできません",
    "応じられません",
    "応じることはできません",
    "aiとして",
    "aiなので",
    "わかりかねます",
    "分かりかねます",
];

/// What rules look at.
pub(super) struct Look<'a> {
    pub answer: &'a str,
    pub gold: &'a [&'a str],
    pub input: &'a str,
}

/// A rule ready to use.
#[derive(Debug)]
pub(super) enum Compiled {
    Regex(Regex, When),
    /// Texts as given, and as they are looked for.
    Contains(Vec<(String, String)>, When, bool),
    Schema(Box<jsonschema::Validator>),
    ValidJson(ValidJson),
    Length(Length),
    Language(Option<Tongue>),
    Equal(To),
    NotEqual(NotEqual),
    Refused(Vec<String>),
}

impl Rule {
    /// Makes the rule ready, or says what is wrong with it in which category.
    pub(super) fn compile(&self, category: &str) -> Result<Compiled, CategoryError> {
        let category = || category.to_owned();
        let idle = |reason| Err(CategoryError::Rule { category: category(), reason });
        Ok(match self {
            Self::Regex(Pattern { pattern, when }) => match Regex::new(pattern) {
                Ok(regex) => Compiled::Regex(regex, *when),
                Err(source) => {
                    let source = Box::new(source);
                    return Err(CategoryError::Pattern { category: category(), pattern: pattern.clone(), source });
                }
            },
            Self::Contains(Contains { texts, .. }) if texts.is_empty() || texts.iter().any(String::is_empty) => {
                return idle("`texts` of a rule of kind `contains` holds nothing, or an empty text");
            }
            Self::Contains(Contains { texts, when, fold: folds }) => {
                let looked_for = |text: &String| (text.clone(), if *folds { fold(text) } else { text.clone() });
                Compiled::Contains(texts.iter().map(looked_for).collect(), *when, *folds)
            }
            Self::JsonSchema(JsonSchema { schema }) => {
                let wrong = |reason: String| CategoryError::Schema { category: category(), reason };
                let read = |text| serde_json::from_str(text).map_err(|error| wrong(error.to_string()));
                let parsed = schema.as_str().map(read).transpose()?;
                let validator = jsonschema::validator_for(parsed.as_ref().unwrap_or(schema));
                Compiled::Schema(Box::new(validator.map_err(|error| wrong(error.to_string()))?))
            }
            Self::ValidJson(rule) => Compiled::ValidJson(*rule),
            Self::Length(Length { max: None, min: None, max_ratio: None, min_ratio: None, .. }) => {
                return idle("a rule of kind `length` needs `max`, `min`, `max_ratio` or `min_ratio`");
            }
            Self::Length(rule)
                if [rule.max_ratio, rule.min_ratio].iter().flatten().any(|r| r.is_nan() || *r <= 0.0) =>
            {
                return idle("a ratio of a rule of kind `length` must be above 0");
            }
            Self::Length(rule) => Compiled::Length(*rule),
            Self::Language(Language { is }) => {
                let named = |name: &String| {
                    Tongue::named(name)
                        .ok_or_else(|| CategoryError::Language { category: category(), language: name.clone() })
                };
                Compiled::Language(is.as_ref().map(named).transpose()?)
            }
            Self::Equal(Equal { to }) => Compiled::Equal(*to),
            Self::NotEqual(rule) => Compiled::NotEqual(*rule),
            Self::Refused(Refused { phrases }) if phrases.iter().any(String::is_empty) => {
                return idle("`phrases` of a rule of kind `refused` holds an empty text");
            }
            Self::Refused(Refused { phrases }) => {
                Compiled::Refused(phrases.iter().map(|phrase| plain(phrase)).collect())
            }
        })
    }
}

impl Compiled {
    /// Whether the rule only counts where no other category was found.
    pub(super) fn only_otherwise(&self) -> bool {
        matches!(self, Self::NotEqual(NotEqual { otherwise: true, .. }))
    }

    /// Why it fires, in plain words; `None` where it does not.
    pub(super) fn fires(&self, look: &Look<'_>) -> Option<String> {
        let answer = look.answer;
        match self {
            Self::Regex(regex, When::Present) => {
                regex.find(answer).map(|hit| format!("`{}` matches `{}`", short(hit.as_str()), regex.as_str()))
            }
            Self::Regex(regex, When::Absent) => {
                (!regex.is_match(answer)).then(|| format!("nothing matches `{}`", regex.as_str()))
            }
            Self::Contains(texts, when, folds) => {
                let answer = if *folds { fold(answer) } else { answer.to_owned() };
                let wanted = *when == When::Present;
                let hit = texts.iter().find(|(_, text)| answer.contains(text.as_str()) == wanted);
                hit.map(|(text, _)| format!("`{}` is {}", short(text), if wanted { "there" } else { "missing" }))
            }
            Self::Schema(validator) => match serde_json::from_str(answer) {
                Err(error) => Some(format!("it is no JSON: {error}")),
                Ok(value) => validator.validate(&value).err().map(|error| {
                    let at = error.instance_path().to_string();
                    let at = if at.is_empty() { String::new() } else { format!(" at {at}") };
                    format!("it breaks the schema{at}: {}", short(&error.to_string()))
                }),
            },
            Self::ValidJson(rule) => {
                let asked = !rule.where_gold_is || look.gold.iter().any(|gold| is_json_container(gold));
                (asked && !json_valid(answer)).then(|| "it is no JSON".to_owned())
            }
            Self::Length(rule) => rule.fires(look),
            Self::Language(named) => {
                let found = Tongue::of(answer)?;
                let asked: Vec<Tongue> = match named {
                    Some(named) => vec![*named],
                    None => look.gold.iter().filter_map(|gold| Tongue::of(gold)).collect(),
                };
                let first = asked.first()?;
                let fits = asked.iter().any(|asked| asked.may_be(found));
                (!fits).then(|| format!("it is in {}, not in {}", found.name(), first.name()))
            }
            Self::Equal(to) => (to.equals(look)?).then(|| format!("it is the same as the {}", to.name())),
            Self::NotEqual(rule) => (!rule.to.equals(look)?).then(|| format!("it is not the {}", rule.to.name())),
            Self::Refused(more) => {
                let phrase_in = |text: &str| {
                    let text = plain(text);
                    let known = REFUSALS.iter().copied().chain(more.iter().map(String::as_str));
                    known.into_iter().find(|phrase| text.contains(phrase)).map(str::to_owned)
                };
                let phrase = phrase_in(answer)?;
                let rightly = look.gold.iter().any(|gold| phrase_in(gold).is_some());
                (!rightly).then(|| format!("it says `{phrase}`"))
            }
        }
    }
}

impl To {
    /// Whether the answer equals it; `None` where there is nothing to compare with.
    fn equals(self, look: &Look<'_>) -> Option<bool> {
        match self {
            Self::Gold if look.gold.is_empty() => None,
            Self::Gold => Some(exact_match(look.answer, look.gold)),
            Self::Input => Some(exact_match(look.answer, &[look.input])),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gold => "right answer",
            Self::Input => "input",
        }
    }
}

impl Length {
    fn fires(&self, look: &Look<'_>) -> Option<String> {
        let count = |text: &str| match self.unit {
            Unit::Characters => text.trim().chars().count(),
            Unit::Words => text.split_whitespace().count(),
        };
        let unit = match self.unit {
            Unit::Characters => "characters",
            Unit::Words => "words",
        };
        let length = count(look.answer);
        if let Some(max) = self.max.filter(|max| length > *max as usize) {
            return Some(format!("{length} {unit}, over {max}"));
        }
        if let Some(min) = self.min.filter(|min| length < *min as usize) {
            return Some(format!("{length} {unit}, under {min}"));
        }
        let (longest, shortest) =
            (look.gold.iter().map(|gold| count(gold)).max()?, look.gold.iter().map(|gold| count(gold)).min()?);
        let (slack, long) = (f64::from(self.slack), length as f64);
        if let Some(ratio) = self.max_ratio.filter(|ratio| long > ratio * longest as f64 + slack) {
            return Some(format!("{length} {unit}, over {ratio} times the {longest} of the right answer"));
        }
        let ratio = self.min_ratio.filter(|ratio| long < ratio * shortest as f64 - slack)?;
        Some(format!("{length} {unit}, under {ratio} times the {shortest} of the right answer"))
    }
}

fn is_json_container(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && json_valid(text)
}

/// A text in which width and case make no difference: NFKC, then each letter through upper case to lower case, which
/// folds `ß` and `ς` too.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// The same, with typed apostrophes in place of printed ones.
fn plain(text: &str) -> String {
    fold(text).replace(['’', '‘'], "'")
}

/// The beginning of a text, for a reason.
fn short(text: &str) -> String {
    const MOST: usize = 120;
    let mut begun: String = text.chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        begun.push('…');
    }
    begun
}
