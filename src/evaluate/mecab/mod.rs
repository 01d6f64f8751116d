//! Words of Japanese by `MeCab`'s ipadic dictionary, the tokens of sacreBLEU's `ja-mecab`.
//!
//! The dictionary is not part of togi (50 MB): it is a folder, given or found in the usual places, which is looked into
//! once when it is opened and never again. The `awabi` crate walks it. As that crate trusts what it reads, the files
//! are gone through first, and [`Mecab::words`] hands it only such text as it can take.
//!
//! This is the one part of `evaluate` that opens files. The words are those of sacreBLEU 2.6.0 with mecab-python3
//! 1.0.12, but for texts it cannot read to their end (those with a NUL character) and those of more than 32,000 bytes,
//! which are cut in pieces.

use std::fmt;
use std::path::{Path, PathBuf};

use awabi::tokenizer::Tokenizer;

use super::tokens::white;

mod check;
mod find;

/// The environment variable that names the dictionary's folder.
pub const VARIABLE: &str = "TOGI_MECAB_DICT";

/// Files that make up a dictionary.
const FILES: [&str; 4] = ["sys.dic", "unk.dic", "char.bin", "matrix.bin"];

/// Words of the IPA dictionary, by which sacreBLEU knows it.
const IPADIC_WORDS: u32 = 392_126;

/// Bytes of text that are cut into words at once. Costs are summed in 32 bits, a byte is a word at least, and a word
/// costs 65,535 at most (two 16-bit costs), so a path through these many bytes cannot overflow.
const PIECE: usize = 32_000;

/// Why there are no Japanese words.
#[derive(Debug, thiserror::Error)]
pub enum MecabError {
    /// There is no dictionary in any of the usual places.
    #[error(
        "no MeCab dictionary is installed, so Japanese text is scored by characters and not by words; get one with \
         `python3 -m pip install ipadic` or Debian's mecab-ipadic-utf8, or name its folder (the one with sys.dic) with \
         --mecab-dict or {VARIABLE}"
    )]
    NotFound,
    /// The folder that was named lacks a file.
    #[error(
        "{} is no MeCab dictionary: it has no {file}; name the folder that holds {} (pip's ipadic calls it dicdir)",
        folder.display(), FILES.join(", ")
    )]
    Missing { folder: PathBuf, file: &'static str },
    /// A file cannot be read.
    #[error("cannot read the MeCab dictionary {}: {cause}", path.display())]
    Read { path: PathBuf, cause: std::io::Error },
    /// A file is not what it should be.
    #[error("{} is damaged or no part of a MeCab dictionary: {why}; install the dictionary anew", path.display())]
    Damaged { path: PathBuf, why: &'static str },
    /// The dictionary is not in UTF-8.
    #[error(
        "the MeCab dictionary in {} is in {charset}, and togi needs one in UTF-8: pip's ipadic or Debian's \
         mecab-ipadic-utf8", folder.display()
    )]
    Charset { folder: PathBuf, charset: String },
}

impl MecabError {
    /// Whether it is only that none is installed, which takes nothing but the Japanese words away.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound)
    }
}

/// An open dictionary. Sharing it between threads is what it is for.
pub struct Mecab {
    tokenizer: Tokenizer,
    folder: PathBuf,
    words: u32,
}

impl fmt::Debug for Mecab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mecab").field("folder", &self.folder).field("words", &self.words).finish_non_exhaustive()
    }
}

impl Mecab {
    /// Opens the dictionary that is `named`, else the one that the variable [`VARIABLE`] names, else the first in the
    /// usual places: where Debian's mecab-ipadic-utf8 and other systems' packages put it, and pip's `ipadic` beside the
    /// Python that is on the path.
    ///
    /// # Errors
    /// [`MecabError::NotFound`] where none is named and none found; else what is wrong with the one that is.
    pub fn find(named: Option<&Path>) -> Result<Self, MecabError> {
        let folder = match named {
            Some(folder) => folder.to_owned(),
            None => find::folder().ok_or(MecabError::NotFound)?,
        };
        Self::open(&folder)
    }

    /// Opens the dictionary in `folder`, after reading it through once (a tenth of a second).
    ///
    /// # Errors
    /// When a file is missing, cannot be read or is damaged, or the dictionary is not in UTF-8.
    pub fn open(folder: &Path) -> Result<Self, MecabError> {
        if let Some(file) = FILES.into_iter().find(|file| !folder.join(file).is_file()) {
            return Err(MecabError::Missing { folder: folder.to_owned(), file });
        }
        let words = check::check(folder)?;
        let unread = |cause| MecabError::Read { path: folder.to_owned(), cause };
        let tokenizer = tokenizer(folder).map_err(unread)?;
        Ok(Self { tokenizer, folder: folder.to_owned(), words })
    }

    /// Where the dictionary lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What sacreBLEU's signature calls these words; another dictionary than ipadic is told apart from it.
    #[must_use]
    pub fn signature(&self) -> String {
        if self.words == IPADIC_WORDS {
            "ja-mecab-0.996-IPA".to_owned()
        } else {
            format!("ja-mecab-0.996-{}words", self.words)
        }
    }

    /// Cuts a text into words. White space separates them and is in none.
    #[must_use]
    pub fn words(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut piece = String::new();
        let mut space = false;
        for c in white::strip(text).chars() {
            if is_separator(c) {
                space = !piece.is_empty();
                continue;
            }
            if !is_in_table(c) {
                self.cut(&mut piece, &mut words);
                words.push(c.to_string());
                space = false;
                continue;
            }
            if piece.len() + c.len_utf8() + 1 > PIECE {
                self.cut(&mut piece, &mut words);
                space = false;
            }
            if std::mem::take(&mut space) {
                piece.push(' ');
            }
            piece.push(c);
        }
        self.cut(&mut piece, &mut words);
        words
    }

    /// Takes the words of `piece` and leaves it empty.
    fn cut(&self, piece: &mut String, words: &mut Vec<String>) {
        if !piece.is_empty() {
            for (word, _) in self.tokenizer.tokenize(piece) {
                words.extend(white::words(&word).map(str::to_owned));
            }
            piece.clear();
        }
    }
}

/// The characters that ipadic skips between words. A run of them counts as one: `awabi` skips no more than one.
fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}')
}

/// Whether the dictionary's table of characters, 65,535 entries by 16-bit number, has one for `c`: the last number,
/// 0xFFFF, has none. Characters beyond the first plane are folded into 16 bits the way `awabi` does.
fn is_in_table(c: char) -> bool {
    let code = u32::from(c);
    let folded = match code.checked_sub(0x1_0000) {
        None => code,
        Some(beyond) => (((beyond / 0x400) << 8) + beyond % 0x400 + 0xDC00) & 0xFFFF,
    };
    folded != 0xFFFF
}

/// Opens `folder` with `awabi`, which takes its place from a configuration file: one is written for the moment. As a
/// path with white space cannot stand in it, a link does.
fn tokenizer(folder: &Path) -> std::io::Result<Tokenizer> {
    let here = tempfile::TempDir::new()?;
    let folder = folder.canonicalize()?;
    let plain = |path: &Path| path.to_str().filter(|path| !path.contains(char::is_whitespace)).map(str::to_owned);
    let place = if let Some(path) = plain(&folder) {
        path
    } else {
        let link = here.path().join("dictionary");
        std::os::unix::fs::symlink(&folder, &link)?;
        plain(&link).ok_or_else(|| {
            std::io::Error::other("neither its path nor the temporary folder's (TMPDIR) is free of white space")
        })?
    };
    let settings = here.path().join("mecabrc");
    std::fs::write(&settings, format!("dicdir = {place}\n"))?;
    let settings = settings.to_str().ok_or_else(|| std::io::Error::other("the temporary folder's path is no text"))?;
    Tokenizer::new(Some(settings))
}

#[cfg(test)]
pub(in crate::evaluate) mod tests;
