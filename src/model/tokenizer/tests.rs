//! Tokens against llama.cpp's, spans against the text, streams against the whole.

use std::time::Instant;

use super::Tokenizer;
use crate::model::weights::Source;
use crate::model::weights::tests::model_file;

fn load(file: &str) -> Option<Tokenizer> {
    let path = model_file(file)?;
    let start = Instant::now();
    let source = Source::open(&path).unwrap();
    let opened = start.elapsed();
    let tokenizer = source.tokenizer().unwrap().clone();
    println!("{file}: opened in {opened:?}, tokenizer in {:?}", start.elapsed() - opened);
    Some(tokenizer)
}

const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GEMMA3: &str = "gemma-3-270m-q4_k_m.gguf";

#[test]
fn text_survives_encoding_and_decoding() {
    for file in [SMOLLM2, GEMMA3] {
        let Some(tokenizer) = load(file) else { return };
        for text in ["Hello, world!\n", "  two  spaces", "研ぎ澄まされた刃 1234", "👩‍👩‍👧 naïve", ""]
        {
            let encoded = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&encoded.ids, true).unwrap(), text);
        }
    }
}
