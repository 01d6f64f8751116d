//! `togi score`: answers against references, in numbers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::output::{self, say};
use crate::actions::score::{self, CorpusScores, Family, Request, Scored};
use crate::text;

/// Score answers against references: exact match, F1, edit distance, ROUGE, BLEU, chrF, JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  togi score answers.jsonl
  togi score answers.jsonl --corpus --metric bleu,chrf
  togi score answers.jsonl --json > scores.jsonl

A line is {\"hyp\": \"the answer\", \"refs\": [\"a right one\", \"another\"], \"id\": …, \"lang\": \"ja\"};
refs may be one text, id and lang may be left out. A signature is sacreBLEU's and names the version of it
whose numbers these equal. Japanese is cut into words where MeCab's ipadic dictionary is installed
(python3 -m pip install ipadic).")]
pub struct Score {
    /// Answers and references, JSON lines
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Score all lines together (BLEU and chrF over their sum), with signatures
    #[arg(long)]
    corpus: bool,
    /// Only these: em, f1, edit, rouge, bleu, chrf, json
    #[arg(long, value_name = "METRIC", value_delimiter = ',', value_parser = Family::named)]
    metric: Vec<Family>,
    #[arg(
        long,
        value_name = "DIR",
        help = "The folder of MeCab's ipadic dictionary [default: TOGI_MECAB_DICT, else where it is usually installed]"
    )]
    mecab_dict: Option<PathBuf>,
    /// Print one JSON object a line of the file, or with --corpus one in all
    #[arg(long)]
    json: bool,
}

impl Score {
    pub fn run(&self) -> Result<ExitCode> {
        let request = Request { file: self.file.clone(), metrics: self.metric.clone(), mecab: self.mecab_dict.clone() };
        let scored = score::score(&request)?;
        match (self.json, self.corpus) {
            (true, true) => output::json(&scored.corpus_json()?)?,
            (true, false) => {
                for line in scored.lines() {
                    output::json(&line?)?;
                }
            }
            (false, true) => output::print(&corpus(&scored, &scored.corpus()))?,
            (false, false) => {
                output::print(&means(&scored, &scored.corpus()))?;
                if let Some((rouge, bleu)) = scored.fitting() {
                    say!("for this language read ROUGE by {rouge} and BLEU by {bleu} tokens");
                }
            }
        }
        if let Some(why) = &scored.lacking {
            say!("{why}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The means over the lines, each with the tokens it counts.
fn means(scored: &Scored, found: &CorpusScores) -> String {
    let mut cells = vec![head(["mean of", "tokens", &lines(found)])];
    let asked = found.mean.iter().filter(|(name, _)| scored.is_asked(name));
    cells.extend(
        asked.map(|(name, mean)| vec![(*name).to_owned(), score::tokens_of(name).to_owned(), format!("{mean:.4}")]),
    );
    output::table(&cells)
}

/// What sums before it divides, each with its signature.
fn corpus(scored: &Scored, found: &CorpusScores) -> String {
    let mut cells = vec![head(["over all", &lines(found), "signature"])];
    let mut push = |name: &str, score: f64, signature: &str| {
        if scored.is_asked(name) {
            cells.push(vec![name.to_owned(), format!("{score:.2}"), signature.to_owned()]);
        }
    };
    let bleu = &found.bleu;
    let by_tokens = [
        ("bleu_13a", Some(&bleu.mteval13a)),
        ("bleu_13a_lc", Some(&bleu.mteval13a_lc)),
        ("bleu_intl", Some(&bleu.intl)),
        ("bleu_char", Some(&bleu.char)),
        ("bleu_ja-mecab", bleu.ja_mecab.as_ref()),
        ("bleu_none", Some(&bleu.none)),
    ];
    for (name, bleu) in by_tokens {
        if let Some(bleu) = bleu {
            push(name, bleu.score, bleu.signature.as_deref().unwrap_or_default());
        }
    }
    push("chrF2", found.chrf.chrf2.score, &found.chrf.chrf2.signature);
    push("chrF2++", found.chrf.chrf2pp.score, &found.chrf.chrf2pp.signature);
    if let Some(json) = &found.json {
        let of = format!("share of the {} answers that were to be JSON", text::count(json.n as u64));
        push("json_valid", json.valid, &of);
        push("json_exact", json.exact, &of);
        let fields = &json.fields;
        push(
            "json_f1",
            fields.f1,
            &format!(
                "leaves, micro-averaged: {} of {} answered, {} right",
                fields.matched, fields.answered, fields.gold
            ),
        );
    }
    output::table(&cells)
}

fn head(names: [&str; 3]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

fn lines(found: &CorpusScores) -> String {
    format!("{} lines", text::count(found.n as u64))
}
