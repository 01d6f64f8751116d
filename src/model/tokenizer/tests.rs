//! Tokens against llama.cpp's, spans against the text, streams against the whole.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;

use super::Tokenizer;
use crate::model::weights::Source;
use crate::model::weights::gguf::Header;
use crate::model::weights::tests::{model_file, model_folder};

const MODELS: [(&str, &str); 2] =
    [("smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"), ("gemma3", "gemma-3-270m-q4_k_m.gguf")];

/// Texts that pre-tokenizers and merges part at: letters, digits, kana, emoji, runs of spaces, code.
const TEXTS: [&str; 9] = [
    "Hello, world!\n",
    "  two  spaces",
    "研ぎ澄まされた刃 1234、𠮷野家",
    "👩‍👩‍👧 naïve e\u{301}",
    "fn main() {\n    println!(\"{}\", 1);\n}\n",
    "a\n\n\n\nb",
    "",
    " ",
    "\u{1}\u{7f}",
];

/// The tokenizer of a GGUF file that need not hold a model.
fn vocabulary(path: &Path) -> Tokenizer {
    let data = std::fs::read(path).unwrap();
    super::gguf::tokenizer(&Header::parse(&data).unwrap(), &data).unwrap()
}

fn load(file: &str) -> Option<Tokenizer> {
    let path = model_file(file)?;
    let start = Instant::now();
    let source = Source::open(&path).unwrap();
    let opened = start.elapsed();
    let start = Instant::now();
    let tokenizer = source.tokenizer().unwrap().clone();
    println!("{file}: opened in {opened:?}, tokenizer in {:?}", start.elapsed());
    Some(tokenizer)
}

#[test]
fn text_survives_encoding_and_decoding() {
    for (_, file) in MODELS {
        let Some(tokenizer) = load(file) else { continue };
        for text in TEXTS {
            let encoded = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&encoded.ids, true).unwrap(), text, "{file}");
        }
    }
}

#[test]
fn spans_cover_the_text_in_order_and_fall_on_characters() {
    for (_, file) in MODELS {
        let Some(tokenizer) = load(file) else { continue };
        for text in TEXTS {
            let encoded = tokenizer.encode(text).unwrap();
            assert_eq!(encoded.ids.len(), encoded.spans.len());
            let mut covered = 0;
            for span in &encoded.spans {
                assert!(text.get(span.clone()).is_some(), "{span:?} cuts a character of {text:?}");
                assert!(span.start <= covered, "{file}: a gap before {span:?} in {text:?}");
                covered = covered.max(span.end);
            }
            assert_eq!(covered, text.len(), "{file}: {text:?}");
        }
    }
}

#[test]
fn special_tokens_are_recognised_where_they_are_written() {
    let Some(tokenizer) = load(MODELS[0].1) else { return };
    let ids = tokenizer.encode("<|im_start|>user\nhi<|im_end|>").unwrap().ids;
    assert_eq!((ids.first(), ids.last()), (Some(&1), Some(&2)));
    assert!(tokenizer.is_special(1) && !tokenizer.is_special(ids[1]));
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "user\nhi");
    assert_eq!((tokenizer.id_of("<|im_end|>"), tokenizer.token(2).as_deref()), (Some(2), Some("<|im_end|>")));
    assert_eq!(tokenizer.len(), 49_152);
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> (String, Vec<String>) {
    let mut stream = tokenizer.stream(true);
    let mut pieces: Vec<String> = ids.iter().filter_map(|&id| stream.push(id)).collect();
    pieces.extend(stream.finish());
    (pieces.concat(), pieces)
}

#[test]
fn a_stream_hands_out_whole_characters_and_in_the_end_the_whole_text() {
    let mut tokenizers: Vec<Tokenizer> = MODELS.iter().filter_map(|(_, file)| load(file)).collect();
    // The folder's tokenizer.json of Gemma decodes by a chain of steps, so its stream works on a window.
    if let Some(folder) = model_folder("gemma3") {
        tokenizers.push(Source::open(&folder).unwrap().tokenizer().unwrap().clone());
    }
    for tokenizer in tokenizers {
        for text in TEXTS {
            let ids = tokenizer.encode(text).unwrap().ids;
            let (whole, pieces) = streamed(&tokenizer, &ids);
            assert_eq!(whole, text);
            assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')), "{pieces:?}");
        }
    }
}

#[test]
fn a_stream_cut_within_a_character_says_so_at_the_end() {
    for (_, file) in MODELS {
        let Some(tokenizer) = load(file) else { continue };
        // A character that no vocabulary of these has: its bytes are tokens of their own.
        let ids = tokenizer.encode("ok𩸽").unwrap().ids;
        let cut = &ids[..ids.len() - 1];
        let (whole, pieces) = streamed(&tokenizer, cut);
        assert_eq!(whole, tokenizer.decode(cut, true).unwrap());
        assert_eq!((pieces[0].as_str(), whole.as_str()), ("ok", "ok\u{FFFD}"));
    }
}

#[derive(Deserialize)]
struct Line {
    text: String,
    ids: Vec<u32>,
}

/// The ids are llama.cpp's (llama-cpp-python 0.3.36, `tokenize(text, add_bos=False, special=True)`).
#[test]
fn tokens_are_llama_cpps_on_tricky_texts() {
    for (name, file) in MODELS {
        let Some(tokenizer) = load(file) else { continue };
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/tokens_{name}.json"));
        let lines: Vec<Line> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(lines.len() >= 40);
        for Line { text, ids } in lines {
            assert_eq!(tokenizer.encode(&text).unwrap().ids, ids, "{name}: {text:?}");
        }
    }
}

/// `TOGI_TOKENS` names a folder with `lines.txt` and, for each `NAME.gguf` in it (a vocabulary is enough), what
/// `peer_llama.py --tokens` says of the lines: `NAME.ids`, a JSON list of ids a line. Lines in which a special token is written are passed over: that script reads
/// them as plain text.
#[test]
fn tokens_are_llama_cpps_on_many_lines() {
    let Some(folder) = std::env::var_os("TOGI_TOKENS").map(PathBuf::from) else {
        println!("skipped: TOGI_TOKENS is not set");
        return;
    };
    let lines = std::fs::read_to_string(folder.join("lines.txt")).unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    assert!(!files.is_empty(), "{} has no .gguf", folder.display());
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy();
        let tokenizer = vocabulary(&path);
        let ids = std::fs::read_to_string(path.with_extension("ids")).unwrap();
        let (mut same, mut all) = (0, 0);
        let mut first = None;
        let start = Instant::now();
        for (line, ids) in lines.split_terminator('\n').zip(ids.lines()) {
            let ids: Vec<u32> = serde_json::from_str(ids).unwrap();
            let ours = tokenizer.encode(line).unwrap().ids;
            if ours.iter().any(|&id| tokenizer.is_special(id)) {
                continue;
            }
            all += 1;
            if ours == ids {
                same += 1;
            } else {
                first.get_or_insert_with(|| (line.to_owned(), ours, ids));
            }
        }
        println!("{name}: {same} of {all} lines in {:?}", start.elapsed());
        assert_eq!((same, first), (all, None), "{name}");
    }
}
