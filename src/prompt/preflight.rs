//! What a set of records would train on, and what stands against it, found before step 0.
//!
//! Renders every record once (in parallel, the result in the records' order) and counts; it changes nothing and drops
//! nothing. Whether too long an answer stops a run or is left out is the caller's decision: an answer is never cut.

use rayon::prelude::*;
use serde::Serialize;

use super::record::{Kind, Record};
use super::render::{Mode, RenderError, Rendered, Renderer};

/// The findings. Every list names records by id, in the records' order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preflight {
    /// Tokens of each record, prompt, answer and end together; `None` where it could not be rendered.
    pub lengths: Vec<Option<usize>>,
    /// Supervised tokens of each record, 0 for one that could not be rendered.
    #[serde(skip)]
    pub supervisions: Vec<usize>,
    /// Pairs and chats longer than the window, with their tokens. A text may be cut into windows, so it is never here.
    pub too_long: Vec<(String, usize)>,
    /// Records that would teach nothing, with the reason.
    pub without_supervision: Vec<(String, String)>,
    /// Records that cannot be rendered (a missing field, a template's refusal), with the reason.
    pub failed: Vec<(String, String)>,
    /// Records whose answer holds a token that ends answers: training on them teaches to stop there.
    pub end_inside: Vec<String>,
    /// The length that 99 of 100 records do not pass, by nearest rank; 0 where there is no record.
    pub percentile99: usize,
    /// Tokens of all records.
    pub tokens: usize,
    /// Supervised tokens of all records.
    pub supervised: usize,
}

impl Preflight {
    /// Whether every record renders, fits, and teaches something.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.too_long.is_empty()
            && self.without_supervision.is_empty()
            && self.failed.is_empty()
            && !self.lengths.is_empty()
    }

    /// The same of some of its records alone, `kept` saying of each whether it is one of them: lengths and tokens. What stands
    /// against the others stays named.
    #[must_use]
    pub fn of_kept(mut self, kept: &[bool]) -> Self {
        let is_kept = |i: usize| kept.get(i).copied().unwrap_or(false);
        let both = self.lengths.iter().zip(&self.supervisions).enumerate().filter(|(i, _)| is_kept(*i));
        (self.lengths, self.supervisions) = both.map(|(_, (length, count))| (*length, *count)).unzip();
        self.tokens = self.lengths.iter().flatten().sum();
        self.supervised = self.supervisions.iter().sum();
        self
    }

    /// The ids of the records that cannot be trained on with the given window, whatever the reason.
    pub fn unusable(&self) -> impl Iterator<Item = &str> {
        let long = self.too_long.iter().map(|(id, _)| id.as_str());
        long.chain(self.without_supervision.iter().chain(&self.failed).map(|(id, _)| id.as_str()))
    }
}

/// Renders `records` as for training and reports. `max_length` is the window in tokens.
#[must_use]
pub fn preflight(renderer: &Renderer, records: &[Record], max_length: usize, supervise_prompt: bool) -> Preflight {
    keeping(renderer, records, max_length, supervise_prompt, &[]).0
}

/// The same, and gives out the renderings of the records `wanted` (by index), each with whether it is a text, in that order;
/// those that failed are left out.
#[must_use]
pub fn keeping(
    renderer: &Renderer,
    records: &[Record],
    max_length: usize,
    supervise_prompt: bool,
    wanted: &[usize],
) -> (Preflight, Vec<(bool, Rendered)>) {
    let mode = Mode::Train { supervise_prompt };
    let mut seen: Vec<_> = records.par_iter().map(|record| renderer.render(record, mode)).collect();
    let found = report(renderer, records, max_length, &seen);
    let mut kept = Vec::with_capacity(wanted.len());
    for &i in wanted {
        let (Some(record), Some(Ok(rendered))) = (records.get(i), seen.get_mut(i)) else { continue };
        kept.push((matches!(record.kind, Kind::Text { .. }), std::mem::take(rendered)));
    }
    (found, kept)
}

fn report(
    renderer: &Renderer,
    records: &[Record],
    max_length: usize,
    seen: &[Result<Rendered, RenderError>],
) -> Preflight {
    let stops = renderer.stops();
    let mut found = Preflight::default();
    for (record, seen) in records.iter().zip(seen) {
        let id = record.id.clone();
        match seen {
            Ok(rendered) => {
                let length = rendered.tokens.len();
                if length > max_length && !matches!(record.kind, Kind::Text { .. }) {
                    found.too_long.push((id.clone(), length));
                }
                let answer = rendered.tokens.get(rendered.prompt_tokens..).unwrap_or_default();
                let pair = matches!(record.kind, Kind::Pair { .. });
                if matches!(&record.kind, Kind::Pair { answer: Some(text), .. } if text.trim().is_empty()) {
                    // Its end alone would teach to say nothing.
                    found.without_supervision.push((id.clone(), "its answer is empty".into()));
                }
                if pair && answer.iter().filter(|token| stops.contains(token)).count() > 1 {
                    found.end_inside.push(id);
                }
                found.lengths.push(Some(length));
                found.tokens += length;
                found.supervisions.push(rendered.supervised());
                found.supervised += rendered.supervised();
            }
            Err(error) => {
                found.lengths.push(None);
                found.supervisions.push(0);
                let teaches_nothing = matches!(error, RenderError::NoAnswer | RenderError::NothingSupervised(_));
                let list = if teaches_nothing { &mut found.without_supervision } else { &mut found.failed };
                list.push((id, error.to_string()));
            }
        }
    }
    let mut sorted: Vec<usize> = found.lengths.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let rank = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    found.percentile99 = sorted.get(rank).copied().unwrap_or(0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Prompt;
    use crate::prompt::fixtures;

    #[test]
    fn reports_each_kind_of_trouble_by_id() {
        let renderer = fixtures::chatml(Prompt::default());
        let records = fixtures::rows(
            r#"{"id":"good","instruction":"Say hello.","output":"hello"}
{"id":"silent","instruction":"Say hello."}
{"id":"blank","instruction":"Say hello.","output":" \n"}
{"id":"strange","sound":"moo","output":"cow"}
{"id":"long","instruction":"Say hello hello hello hello hello hello hello hello hello hello hello.","output":"hello"}
{"id":"stops","instruction":"Say hello.","output":"hel<|im_end|>lo"}
{"id":"muted","messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"hello","weight":0}]}"#,
        );
        let good = renderer.render(&records[0], Mode::Train { supervise_prompt: false }).unwrap();
        let stops = renderer.render(&records[5], Mode::Train { supervise_prompt: false }).unwrap();
        let found = preflight(&renderer, &records, stops.tokens.len(), false);
        let ids = |list: &[(String, String)]| list.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found.without_supervision), ["silent", "blank", "muted"]);
        assert_eq!(ids(&found.failed), ["strange"]);
        assert!(found.failed[0].1.contains("sound"), "{}", found.failed[0].1);
        assert_eq!(found.too_long.len(), 1);
        assert_eq!(found.too_long[0].0, "long");
        assert_eq!(found.end_inside, ["stops"]);
        assert_eq!(found.lengths[0], Some(good.tokens.len()));
        assert_eq!(found.lengths[1], None);
        assert_eq!(found.percentile99, found.too_long[0].1, "of four lengths the longest");
        assert_eq!(found.tokens, found.lengths.iter().flatten().sum::<usize>());
        assert!(!found.is_clean());
        assert_eq!(found.unusable().count(), 5);
        assert!(preflight(&renderer, &records[..1], 64, false).is_clean());
        let text = fixtures::rows(r#"{"text":"hello hello hello"}"#);
        assert!(preflight(&renderer, &text, 2, false).is_clean(), "a text is cut into windows");
        assert!(!preflight(&renderer, &[], 64, false).is_clean(), "no records is not clean");
    }
}
