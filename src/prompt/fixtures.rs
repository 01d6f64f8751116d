//! Small tokenizers and renderers for this module's tests.

use std::path::PathBuf;
use std::sync::Arc;

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerImpl};

use super::record::parse_jsonl;
use super::{Prompt, Record, Renderer, Special};
use crate::model::tokenizer::Tokenizer;

/// The chat template of many models, with an end token after every turn.
pub(super) const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] \
+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Special tokens of the small vocabulary; their ids are their places here.
pub(super) const SPECIALS: [&str; 8] =
    ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<|eot_id|>"];

/// A byte-level vocabulary trained here and now; merges cross no word, yet join words with the space before them.
pub(super) fn tokenizer() -> Arc<Tokenizer> {
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(420)
        .show_progress(false)
        .special_tokens(SPECIALS.iter().map(|s| AddedToken::from(*s, true)).collect())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut inner: TokenizerImpl<BPE, tokenizers::NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel> =
        TokenizerImpl::new(BPE::default());
    inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    inner.with_post_processor(Some(ByteLevel::new(false, true, true)));
    inner.with_decoder(Some(ByteLevel::default()));
    let text =
        ["user assistant system hello hello world Say hello. What is it? One two three\n\n lines\n answers answer"; 20];
    inner.train(&mut trainer, text.iter()).unwrap();
    inner.add_special_tokens(SPECIALS.iter().map(|s| AddedToken::from(*s, true))).unwrap();
    let json = inner.to_string(false).unwrap();
    Arc::new(Tokenizer::new(json.parse().unwrap()))
}

pub(super) fn special(eos: &str) -> Special {
    let tokenizer = tokenizer();
    let id = |name: &str| tokenizer.id_of(name).unwrap();
    let bos = Some((id("<bos>"), "<bos>".to_owned()));
    Special { bos, add_bos: false, eos: (id(eos), eos.to_owned()), pad: Some(id(eos)) }
}

/// A renderer whose model has `template`, and ends sequences with `eos`.
pub(super) fn renderer(template: Option<&str>, eos: &str, prompt: Prompt) -> Renderer {
    Renderer::new(tokenizer(), template, special(eos), prompt).unwrap()
}

pub(super) fn chatml(prompt: Prompt) -> Renderer {
    renderer(Some(CHATML), "<|im_end|>", prompt)
}

pub(super) fn rows(jsonl: &str) -> Vec<Record> {
    let rows = parse_jsonl(jsonl.as_bytes());
    assert_eq!(rows.errors, []);
    rows.records
}

/// The folder named by `variable`, or else `fallback` beside the crate; `None`, said aloud, where it is not there.
pub(super) fn folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(fallback));
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"),
        "{variable}: {} is not there",
        path.display()
    );
    eprintln!("skipped: {} is not there (set {variable})", path.display());
    None
}
