//! The demo's files, which are part of the binary, and how they are made again.

use std::fmt::Write as _;
use std::path::Path;

use super::pairs::{Pair, pairs};
use super::vocabulary::train_tokenizer;
use super::world::Share;

/// The seed of everything stored.
pub const SEED: u64 = 2026;

/// Number of tokens, special ones included.
pub const VOCABULARY: usize = 2048;

/// Numbers of training, validation and test pairs.
pub const PAIRS: [usize; 3] = [200, 40, 200];

/// The tokenizer, as `tokenizer.json`.
pub const TOKENIZER: &str = include_str!("../../../assets/demo/tokenizer.json");

/// The base model's configuration, as `config.json`.
pub const CONFIG: &str = include_str!("../../../assets/demo/config.json");

/// The base model's weights, `f16` safetensors; `togi demo --make DIR` makes them again.
pub const MODEL: &[u8] = include_bytes!("../../../assets/demo/model.safetensors");

/// The training pairs, JSON lines.
pub const TRAIN: &str = include_str!("../../../assets/demo/train.jsonl");

/// The validation pairs, JSON lines.
pub const VALID: &str = include_str!("../../../assets/demo/valid.jsonl");

/// The test pairs, JSON lines.
pub const TEST: &str = include_str!("../../../assets/demo/test.jsonl");

/// Why the demo's files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] crate::model::tokenizer::TokenizerError),
    /// A file.
    #[error("{path} could not be written: {source}; is the folder there, and may you write in it?")]
    Write {
        /// The file's path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Makes the tokenizer and the pairs again and writes them to `folder`, under the names that they have in `assets/demo`.
///
/// # Errors
/// When the tokenizer cannot be trained or a file cannot be written.
pub fn write_data(folder: &Path) -> Result<(), AssetError> {
    for (name, text) in data()? {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| AssetError::Write { path: path.display().to_string(), source })?;
    }
    Ok(())
}

/// The made files: names and texts.
fn data() -> Result<[(&'static str, String); 4], AssetError> {
    let tokenizer = train_tokenizer(SEED, VOCABULARY)?;
    let json = tokenizer.to_string(false).map_err(|e| crate::model::tokenizer::TokenizerError(e.to_string()))?;
    let [train, valid, test] = PAIRS;
    Ok([
        ("tokenizer.json", json),
        ("train.jsonl", json_lines(&pairs(SEED, Share::Train, train))),
        ("valid.jsonl", json_lines(&pairs(SEED, Share::Valid, valid))),
        ("test.jsonl", json_lines(&pairs(SEED, Share::Test, test))),
    ])
}

fn json_lines(pairs: &[Pair]) -> String {
    let mut text = String::new();
    for pair in pairs {
        // Three strings: neither the JSON nor the writing to a string can fail.
        let _ = writeln!(text, "{}", serde_json::json!(pair));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_files_are_the_ones_that_are_made() {
        let stored = [TOKENIZER, TRAIN, VALID, TEST];
        for ((name, made), stored) in data().expect("the files are made").iter().zip(stored) {
            assert!(made == stored, "assets/demo/{name} is not what the code makes");
        }
    }
}
