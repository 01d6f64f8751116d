//! What is stored, scored and put together: the same answers give the same report, without any model.

use std::path::Path;

use super::super::context::ActionError;
use super::system::System;
use super::{Answers, Evaluated, Figures, Measured, Request, Summary, added, rate};
use crate::evaluate::mecab::Mecab;
use crate::evaluate::metrics::{self, Row, RowScores};
use crate::evaluate::report::{self, Candidate, EXACT, Given, Metric, Pool, Question, Report, Speeds, Sums, Test};
use crate::evaluate::script::{is_han, is_japanese, is_kana};
use crate::evaluate::{Scores, exact_match, json, score};
use crate::prompt::{Kind, Record};
use crate::store::{Generation, RowLikelihood, Store};

/// The share of right answers that must be JSON objects or lists for the answers to be scored as JSON.
const JSON_TASK: f64 = 0.9;
/// The stop reason of an answer that came to the end of the model's context.
const CONTEXT: &str = "context";
/// Rows that a note names.
const NAMED: usize = 5;

/// Scores what is stored of the systems.
///
/// # Errors
/// When the database cannot be read, or nothing is there that could be scored.
pub(super) fn report(
    store: &Store,
    measured: &Measured,
    answers: &Answers,
    request: &Request,
) -> Result<Evaluated, ActionError> {
    let records = &measured.records;
    let test = Test {
        name: measured.test.name.clone(),
        hash: measured.test.hash.clone(),
        questions: records.iter().map(question).collect(),
    };
    let asks = records.iter().any(|record| !matches!(record.kind, Kind::Text { .. }));
    let task = Task::of(records);
    // Words of Japanese need a dictionary; without one characters are counted, and the report says which it was.
    let mut unread = None;
    let words = if task == Task::Japanese {
        Mecab::find(None).map_err(|error| unread = (!error.is_not_found()).then(|| error.to_string())).ok()
    } else {
        None
    };
    let metrics = if asks { task.metrics(words.is_some()) } else { Vec::new() };
    let scorer = Scorer { task, words, metrics: &metrics, right: records.iter().map(Record::accepted).collect() };
    let mut candidates = Vec::new();
    let mut summary = Summary { test_rows: records.len(), ..Summary::default() };
    let (mut adapter, mut generated_per_s) = (None, 0.0);
    let mut long = Vec::new();
    // `base` has always meant the model as it came under the project's own prompt; else the first that is not tuned.
    let untuned = |system: &&(System, i64)| !system.0.is_tuned() && system.0.endpoint.is_none();
    let plain = measured.systems.iter().filter(untuned).find(|(system, _)| !system.is_prompted());
    let plain = plain.or_else(|| measured.systems.iter().find(untuned)).map(|(_, id)| *id);
    for (system, id) in &measured.systems {
        let generations = answers.get(id).map_or(&[][..], Vec::as_slice);
        let likelihoods = store.likelihoods(measured.test.id, *id)?;
        let kept: Vec<_> = likelihoods.into_iter().filter(|row| row.place < records.len()).collect();
        long.extend(too_long(system, records, generations, &kept));
        let work = store.work(measured.test.id, *id)?;
        generated_per_s = rate(&work).unwrap_or(generated_per_s);
        let likelihood = added(&kept);
        if system.endpoint.is_none() {
            let scores = if asks { scores(records, generations) } else { None };
            if system.is_tuned() {
                summary = summary.with_tuned(scores.as_ref(), Some(&likelihood));
                adapter = system.adapter.as_ref().map(|hash| hash.chars().take(12).collect());
            } else if plain == Some(*id) {
                summary = summary.with_base(scores.as_ref(), Some(&likelihood));
            }
        }
        candidates.push(candidate(system, &scorer, generations, &kept, rate(&work)));
    }
    let mut report: Report = if asks {
        report::build(&test, &metrics, &candidates, &request.resampling)
    } else {
        report::build_texts(&test, &candidates)
    };
    report.notes.splice(0..0, measured.notes.iter().cloned().chain(long));
    report.notes.extend(unread.map(|why| format!("{why}; characters are counted in place of words")));
    let said = |c: &Candidate| c.answers.iter().map(|given| given.as_ref().map(|given| given.text.clone())).collect();
    let answers = candidates.iter().map(|c| (c.name.clone(), said(c))).collect();
    let ids = records.iter().map(|record| record.id.clone()).collect();
    Ok(Evaluated { summary, generated_per_s, seconds: 0.0, adapter, report, answers, ids })
}

/// Writes every system's answers, one JSON object a row: `{"id", "base", "answer"}` for the plain base and the tuned model, and
/// all systems by their names under `systems`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_answers(found: &Evaluated, path: &Path) -> Result<(), ActionError> {
    let of = |tuned: bool| {
        let own = |figures: &&Figures| figures.tuned == tuned && figures.seconds.is_none();
        let mut systems = found.report.systems.iter().filter(own);
        let named = if tuned { systems.next_back() } else { systems.next() };
        named.and_then(|figures| found.answers.iter().find(|(name, _)| *name == figures.name))
    };
    let (base, tuned) = (of(false), of(true));
    let mut text = String::new();
    for (place, id) in found.ids.iter().enumerate() {
        let said = |answers: &Vec<Option<String>>| answers.get(place).cloned().flatten();
        let mut line = serde_json::Map::new();
        line.insert("id".into(), id.clone().into());
        for (key, of) in [("base", base), ("answer", tuned)] {
            if let Some(answer) = of.and_then(|(_, answers)| said(answers)) {
                line.insert(key.into(), answer.into());
            }
        }
        let all = found.answers.iter().filter_map(|(name, answers)| Some((name.clone(), said(answers)?.into())));
        line.insert("systems".into(), serde_json::Value::Object(all.collect()));
        text.push_str(&serde_json::Value::Object(line).to_string());
        text.push('\n');
    }
    std::fs::write(path, text).map_err(|cause| ActionError::File { action: "write", path: path.to_owned(), cause })
}

/// How fast prompts were read and answers written, over the answers of which both are known.
fn speeds(generations: &[Generation]) -> Option<Speeds> {
    let (mut rows, mut prompt, mut answer) = (0usize, (0usize, 0.0), (0usize, 0.0));
    for g in generations {
        let (Some(reading), Some(writing)) = (g.prompt_seconds, g.answer_seconds) else { continue };
        rows += 1;
        prompt = (prompt.0 + g.prompt_tokens.unwrap_or(0), prompt.1 + reading);
        answer = (answer.0 + g.tokens.unwrap_or(0), answer.1 + writing);
    }
    let rate = |(tokens, seconds): (usize, f64)| (tokens > 0 && seconds > 0.0).then(|| tokens as f64 / seconds);
    Some(Speeds {
        prompt_tokens: prompt.0 as f64 / rows.max(1) as f64,
        prompt_tokens_per_s: rate(prompt)?,
        answer_tokens_per_s: rate(answer)?,
    })
}

/// The figures that `togi eval --json` has always had.
fn scores(records: &[Record], generations: &[Generation]) -> Option<Scores> {
    let pairs: Vec<(&str, Vec<String>)> =
        generations.iter().filter_map(|g| Some((g.answer.as_str(), records.get(g.place)?.accepted()))).collect();
    (!pairs.is_empty()).then(|| score(&pairs))
}

/// A row as a person reads it in a report.
pub(super) fn question(record: &Record) -> Question {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let asks = match &record.kind {
        Kind::Pair { fields, .. } => {
            let own: Vec<String> =
                ["input", "question", "prompt"].iter().filter_map(|key| fields.get(*key)).map(text).collect();
            let all = || fields.values().map(text).collect::<Vec<_>>().join("\n");
            if own.iter().all(String::is_empty) { all() } else { own.join("\n") }
        }
        Kind::Chat { messages, .. } => {
            let asked = messages.iter().rev().find(|message| message.role == "user");
            asked.and_then(|message| message.content.clone()).unwrap_or_default()
        }
        Kind::Text { text } => text.chars().take(200).collect(),
    };
    let gold = record.accepted().into_iter().next().unwrap_or_default();
    Question { id: record.id.clone(), category: record.category.clone(), asks, gold }
}

/// What kind of answers is asked for, which says what to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Json,
    Japanese,
    Text,
}

impl Task {
    fn of(records: &[Record]) -> Self {
        let gold: Vec<String> = records.iter().filter_map(|record| record.accepted().into_iter().next()).collect();
        let ours = |text: &&String| text.chars().any(|c| is_kana(c) || is_han(c));
        if is_json(records) {
            Self::Json
        } else if is_japanese(&gold) && gold.iter().filter(ours).count() * 2 > gold.len() {
            Self::Japanese
        } else {
            Self::Text
        }
    }

    /// The metrics, with the tokens that each counts.
    fn metrics(self, words: bool) -> Vec<Metric> {
        let metric = |key: &str, name: &str, tokens: &str, pool| Metric {
            key: key.into(),
            name: name.into(),
            tokens: tokens.into(),
            pool,
        };
        let mean = |key, name, tokens| metric(key, name, tokens, Pool::Mean);
        let mut metrics = vec![mean(EXACT, "exact answers", "")];
        match self {
            Self::Json => {
                metrics.push(mean("json_valid", "answers that are JSON", ""));
                metrics.push(metric("field_f1", "F1 of fields", "micro", Pool::MicroF1));
            }
            Self::Japanese => {
                let (rouge, bleu) = if words { ("mecab", "ja-mecab") } else { ("characters", "char") };
                metrics.push(mean("em_aio", "exact, normalised", "AI王"));
                metrics.push(mean("f1", "F1", "characters"));
                metrics.push(mean("rouge_l", "ROUGE-L", rouge));
                metrics.push(metric("bleu", "BLEU", bleu, Pool::CorpusBleu));
            }
            Self::Text => {
                metrics.push(mean("em_squad", "exact, normalised", "SQuAD"));
                metrics.push(mean("f1", "F1", "SQuAD words"));
                metrics.push(mean("rouge_l", "ROUGE-L", "words, stemmed"));
                metrics.push(metric("bleu", "BLEU", "13a", Pool::CorpusBleu));
            }
        }
        metrics.push(mean("chrf", "chrF2", "characters"));
        metrics.push(mean("indel", "likeness", "characters"));
        metrics
    }
}

/// The keys of the metrics that fit a test set.
pub(super) fn keys(records: &[Record]) -> Vec<String> {
    Task::of(records).metrics(false).into_iter().map(|metric| metric.key).collect()
}

/// One metric's score of a row, 0 to 1, and its counts where it pools.
fn value(task: Task, key: &str, exact: bool, scores: &RowScores) -> (Option<f64>, Sums) {
    let japanese = task == Task::Japanese;
    let bleu = match &scores.bleu.ja_mecab {
        Some(words) if japanese => words,
        None if japanese => &scores.bleu.char,
        _ => &scores.bleu.mteval13a,
    };
    let mut sums = Sums::default();
    let score = match key {
        EXACT => Some(f64::from(u8::from(exact))),
        "json_valid" => scores.json_valid,
        "field_f1" => {
            if let Some(fields) = scores.json_f1 {
                (sums[0], sums[1], sums[2]) = (fields.matched, fields.answered, fields.gold);
            }
            scores.json_f1.map(|fields| fields.f1)
        }
        "em_aio" => Some(scores.em.aio),
        "em_squad" => Some(scores.em.squad),
        "f1" => Some(if japanese { scores.f1_char[2] } else { scores.f1_squad[2] }),
        "rouge_l" => {
            let rouge = if japanese { scores.rouge.mecab.unwrap_or(scores.rouge.char) } else { scores.rouge.stem };
            Some(rouge.rouge_l[2])
        }
        "bleu" => {
            sums = bleu.sums();
            Some(bleu.score / 100.0)
        }
        "chrf" => Some(scores.chrf2 / 100.0),
        "indel" => Some(scores.indel_ratio),
        _ => None,
    };
    (score, sums)
}

/// Whether the answers are to be JSON.
fn is_json(records: &[Record]) -> bool {
    let gold: Vec<String> = records.iter().filter_map(|record| record.accepted().into_iter().next()).collect();
    let objects =
        gold.iter().filter(|text| matches!(json::parse(text), Some(json::Json::Object(_) | json::Json::List(_))));
    !gold.is_empty() && objects.count() as f64 >= JSON_TASK * gold.len() as f64
}

/// Whether the question was longer than the model's context, so that the model never saw it.
pub(super) fn is_unread(generation: &Generation) -> bool {
    generation.stop == CONTEXT && generation.tokens == Some(0)
}

/// What a reader must know of the rows that were too long for a system.
fn too_long(
    system: &System,
    records: &[Record],
    generations: &[Generation],
    likelihoods: &[RowLikelihood],
) -> Vec<String> {
    let named = |places: &[usize]| {
        let shown: Vec<&str> =
            places.iter().take(NAMED).filter_map(|&place| Some(records.get(place)?.id.as_str())).collect();
        let more = places.len() - shown.len().min(places.len());
        if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
    };
    let mut notes = Vec::new();
    let unread: Vec<usize> =
        generations.iter().filter(|g| is_unread(g) && g.place < records.len()).map(|g| g.place).collect();
    if !unread.is_empty() {
        let longest = generations.iter().filter(|g| is_unread(g)).filter_map(|g| g.prompt_tokens).max().unwrap_or(0);
        notes.push(format!(
            "{}: {} of the questions are longer than the model's context (up to {longest} tokens); their answers are empty and count \
             as wrong: {}",
            system.name,
            unread.len(),
            named(&unread)
        ));
    }
    let has_answer = |place: usize| {
        records.get(place).is_some_and(|record| !matches!(record.kind, Kind::Text { .. }) && record.answer().is_some())
    };
    let unknown: Vec<usize> =
        likelihoods.iter().filter(|row| row.tokens == 0 && has_answer(row.place)).map(|row| row.place).collect();
    if !unknown.is_empty() {
        notes.push(format!(
            "{}: question and right answer together do not fit the model's context in {} of the rows; loss, perplexity and bits a \
             byte are of the other rows, for every system: {}",
            system.name,
            unknown.len(),
            named(&unknown)
        ));
    }
    notes
}

/// What answers are scored by.
struct Scorer<'a> {
    task: Task,
    words: Option<Mecab>,
    metrics: &'a [Metric],
    /// The right answers of each row.
    right: Vec<Vec<String>>,
}

fn candidate(
    system: &System,
    scorer: &Scorer<'_>,
    generations: &[Generation],
    likelihoods: &[RowLikelihood],
    tokens_per_s: Option<f64>,
) -> Candidate {
    let rows = scorer.right.len();
    let mut answers: Vec<Option<Given>> = vec![None; rows];
    let there: Vec<(&Generation, &Vec<String>)> =
        generations.iter().filter_map(|g| Some((g, scorer.right.get(g.place)?))).collect();
    let asked: Vec<Row<'_>> = there
        .iter()
        .map(|(g, right)| Row { hyp: &g.answer, refs: right.iter().map(String::as_str).collect(), lang: None })
        .collect();
    let scored = metrics::rows(&asked, scorer.words.as_ref());
    for ((generation, right), scores) in there.iter().zip(&scored) {
        let exact = exact_match(&generation.answer, right);
        let of = |metric: &Metric| value(scorer.task, &metric.key, exact, scores);
        let (scores, sums) = scorer.metrics.iter().map(of).unzip();
        if let Some(slot) = answers.get_mut(generation.place) {
            *slot = Some(Given {
                text: generation.answer.clone(),
                tokens: generation.tokens,
                cut: (generation.stop == "length" || generation.stop == CONTEXT) && !is_unread(generation),
                seconds: generation.seconds,
                cost: generation.cost,
                scores,
                sums,
            });
        }
    }
    let mut found = vec![None; rows];
    // Where one system found nothing, the others' figures would be of more rows than its own.
    for row in likelihoods.iter().filter(|row| row.tokens > 0) {
        if let Some(slot) = found.get_mut(row.place) {
            *slot = Some((row.nats, row.tokens, row.bytes));
        }
    }
    Candidate {
        name: system.name.clone(),
        about: system.to_string(),
        tuned: system.is_tuned(),
        prompted: system.is_prompted(),
        speeds: speeds(generations),
        answers,
        likelihoods: found,
        tokens_per_s,
    }
}
