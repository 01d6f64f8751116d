//! A tokenizer out of a GGUF file's metadata: `gpt2` (byte-level BPE with a named pre-tokenizer) and `llama`
//! (SentencePiece with scores).
//!
//! The pre-tokenizers are llama.cpp's table (`llm_tokenizer_bpe`): each is a list of expressions, and a text is cut
//! into matches and what lies between them, by each expression in turn.

use std::collections::HashMap;
use std::sync::LazyLock;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::spm::{Piece, Role, Spm};
use super::{Tokenizer, TokenizerError};
use crate::model::weights::gguf::{Header, List, Value};

/// Token types of the specification that matter here (`llama_token_type`).
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const BYTE: i64 = 6;

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// A named pre-tokenizer.
struct Pre {
    expressions: &'static [&'static str],
    /// A word that is a token as a whole is taken without merging.
    ignore_merges: bool,
    /// A begin token is put first unless the metadata says otherwise.
    add_bos: bool,
}

/// What is read, for messages that refuse another name.
const KNOWN: &str = "smollm, gpt-2, default, llama-bpe, qwen2, deepseek-r1-qwen, deepseek-coder, deepseek-v3, starcoder, \
                     command-r, olmo, stablelm2, smaug-bpe and their aliases";

fn pre_tokenizer(name: &str) -> Option<Pre> {
    let expressions: &[&str] = match name {
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "mellum" | "modern-bert" | "exaone4" | "olmo" | "mpt" => &[GPT2],
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => &[r"\p{N}", GPT2],
        "default" => &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "pixtral" | "smaug-bpe" | "dbrx" => &[LLAMA3],
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" => &[QWEN2],
        "deepseek-coder" => &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
        "deepseek-v3" => &[r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3],
        _ => return None,
    };
    let llama3 = matches!(name, "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "pixtral");
    Some(Pre { expressions, ignore_merges: llama3, add_bos: llama3 })
}

/// The tokenizer's facts that are cheap to read: what a description and a chat template need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The begin token, whether or not it is put before texts.
    pub bos: Option<u32>,
    /// Whether it is.
    pub add_bos: bool,
    /// Tokens that end a generation, the end-of-sequence token first.
    pub eos: Vec<u32>,
    pub pad: Option<u32>,
    pub bos_text: Option<String>,
    pub eos_text: Option<String>,
}

/// Tokens that end a turn in a chat. A template that writes one ends turns with it, whatever the metadata says.
const TURN_ENDS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"];

/// Reads a tokenizer's facts.
///
/// # Errors
/// When the file has no vocabulary, or one of a kind that is not read.
pub fn facts(header: &Header, data: &[u8]) -> Result<Facts, TokenizerError> {
    let tokens = tokens(header, data)?;
    let id = |name: &str| {
        let id = header.unsigned(&format!("tokenizer.ggml.{name}_token_id"));
        id.and_then(|id| u32::try_from(id).ok()).filter(|&id| (id as usize) < tokens.len())
    };
    let text = |id: Option<u32>| id.and_then(|id| tokens.get(id as usize)).map(|&text| text.to_owned());
    let default = match header.text("tokenizer.ggml.model") {
        Some("llama") => true,
        _ => named_pre(header).ok().is_some_and(|pre| pre.add_bos),
    };
    let bos = id("bos");
    let mut eos = Vec::new();
    let template = header.text("tokenizer.chat_template").unwrap_or_default();
    let turn_ends = TURN_ENDS.iter().filter(|end| template.contains(**end));
    let turn_ends = turn_ends.filter_map(|end| tokens.iter().position(|token| token == end));
    let turn_ends = turn_ends.filter_map(|id| u32::try_from(id).ok());
    for id in [id("eos"), id("eot"), id("eom")].into_iter().flatten().chain(turn_ends) {
        if !eos.contains(&id) {
            eos.push(id);
        }
    }
    Ok(Facts {
        bos,
        add_bos: bos.is_some() && header.flag("tokenizer.ggml.add_bos_token").unwrap_or(default),
        pad: id("padding"),
        bos_text: text(bos),
        eos_text: text(eos.first().copied()),
        eos,
    })
}

/// Builds the tokenizer of a GGUF file `data` with header `header`.
///
/// # Errors
/// When a list is missing, of the wrong length or kind, or the vocabulary's kind or pre-tokenizer is not supported.
pub fn tokenizer(header: &Header, data: &[u8]) -> Result<Tokenizer, TokenizerError> {
    match header.text("tokenizer.ggml.model") {
        Some("gpt2") => byte_level(header, data),
        Some("llama") => sentence_piece(header, data).map(Tokenizer::from_spm),
        other => Err(TokenizerError(format!(
            "its tokenizer is of kind {:?}; \"gpt2\" and \"llama\" are read. Use the model's Hugging Face folder instead",
            other.unwrap_or("")
        ))),
    }
}

fn list<'a>(header: &'a Header, key: &str) -> Result<&'a List, TokenizerError> {
    match header.get(key) {
        Some(Value::List(list)) => Ok(list),
        Some(_) => Err(TokenizerError(format!("its `{key}` is no list"))),
        None => Err(TokenizerError(format!("it has no `{key}`: it carries no tokenizer"))),
    }
}

fn tokens<'a>(header: &Header, data: &'a [u8]) -> Result<Vec<&'a str>, TokenizerError> {
    let list = list(header, "tokenizer.ggml.tokens")?;
    list.texts(data).ok_or_else(|| TokenizerError("its `tokenizer.ggml.tokens` are no texts".to_owned()))
}

/// A number for each of `count` tokens, or nothing where the metadata has no such list.
fn numbers(header: &Header, data: &[u8], key: &str, count: usize) -> Result<Option<Vec<f64>>, TokenizerError> {
    if header.get(key).is_none() {
        return Ok(None);
    }
    let numbers = list(header, key)?.numbers(data).filter(|numbers| numbers.len() == count);
    numbers.map(Some).ok_or_else(|| TokenizerError(format!("its `{key}` is not one number for each of {count} tokens")))
}

fn named_pre(header: &Header) -> Result<Pre, TokenizerError> {
    let name = header.text("tokenizer.ggml.pre").unwrap_or("default");
    pre_tokenizer(name).ok_or_else(|| {
        TokenizerError(format!(
            "its pre-tokenizer {name:?} is not supported ({KNOWN} are). Use the model's Hugging Face folder instead"
        ))
    })
}

fn byte_level(header: &Header, data: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let failed = |e: tokenizers::Error| TokenizerError(format!("its vocabulary cannot be used: {e}"));
    let tokens = tokens(header, data)?;
    let types = numbers(header, data, "tokenizer.ggml.token_type", tokens.len())?;
    let pre = named_pre(header)?;
    let mut vocab = Vocab::default();
    for (id, token) in (0u32..).zip(&tokens) {
        vocab.insert((*token).to_owned(), id);
    }
    let lines = list(header, "tokenizer.ggml.merges")?.texts(data);
    let lines = lines.ok_or_else(|| TokenizerError("its `tokenizer.ggml.merges` are no texts".to_owned()))?;
    let mut merges = Vec::with_capacity(lines.len());
    for line in lines {
        // A token may begin with a space of its own alphabet, never with U+0020, so the first space after the first
        // character parts the two. The library trusts that a merge's parts and whole are in the vocabulary.
        let parts = line.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty());
        let parts = parts.filter(|(a, b)| {
            vocab.contains_key(*a) && vocab.contains_key(*b) && vocab.contains_key(&format!("{a}{b}"))
        });
        let (a, b) = parts.ok_or_else(|| TokenizerError(format!("its merge {line:?} does not fit its vocabulary")))?;
        merges.push((a.to_owned(), b.to_owned()));
    }
    let bpe =
        BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(pre.ignore_merges).build().map_err(failed)?;
    let mut steps = Vec::new();
    for &expression in pre.expressions {
        let pattern = SplitPattern::Regex(expression.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
        steps.push(PreTokenizerWrapper::Split(split));
    }
    steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false)));
    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let mut added = Vec::new();
    for (token, kind) in tokens.iter().zip(types.unwrap_or_default()) {
        let kind = kind as i64;
        if matches!(kind, CONTROL | UNKNOWN | USER_DEFINED) && !token.is_empty() {
            added.push(AddedToken::from(*token, kind != USER_DEFINED).normalized(false));
        }
    }
    let (special, plain): (Vec<_>, Vec<_>) = added.into_iter().partition(|token| token.special);
    tokenizer.add_special_tokens(special).map_err(failed)?;
    tokenizer.add_tokens(plain).map_err(failed)?;
    Ok(Tokenizer::new(tokenizer))
}

fn sentence_piece(header: &Header, data: &[u8]) -> Result<Spm, TokenizerError> {
    let tokens = tokens(header, data)?;
    let types = numbers(header, data, "tokenizer.ggml.token_type", tokens.len())?.unwrap_or_default();
    let scores = numbers(header, data, "tokenizer.ggml.scores", tokens.len())?;
    let scores = scores.ok_or_else(|| TokenizerError("it has no `tokenizer.ggml.scores`".to_owned()))?;
    let role = |id: usize, text: &str| match types.get(id).map(|&kind| kind as i64) {
        Some(CONTROL | UNKNOWN) => Role::Control,
        Some(USER_DEFINED) => Role::UserDefined,
        Some(BYTE) => spelt_byte(text).map_or(Role::Text, Role::Byte),
        _ => Role::Text,
    };
    let pieces = tokens.iter().zip(&scores).enumerate();
    let pieces = pieces.map(|(id, (text, &score))| Piece {
        text: (*text).to_owned(),
        score: score as f32,
        role: role(id, text),
    });
    let unknown = header.unsigned("tokenizer.ggml.unknown_token_id").and_then(|id| u32::try_from(id).ok());
    let unknown = unknown.filter(|&id| (id as usize) < tokens.len());
    let add_space = header.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    Ok(Spm::new(pieces.collect(), unknown, add_space))
}

/// The byte that a token such as `<0x0A>` spells.
fn spelt_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)
}

/// The bytes a token of a byte-level vocabulary spells in GPT-2's alphabet; its own bytes where it is not in it.
pub(super) fn spelt_bytes(token: &str) -> Vec<u8> {
    static BYTES: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
        // GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from U+0100 on.
        let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let mut table: HashMap<char, u8> = (0..=255).filter(printable).map(|b| (char::from(b), b)).collect();
        table.extend(('\u{100}'..).zip((0..=255).filter(|b| !printable(b))));
        table
    });
    let spelt: Option<Vec<u8>> = token.chars().map(|c| BYTES.get(&c).copied()).collect();
    spelt.unwrap_or_else(|| token.as_bytes().to_vec())
}
