//! A dictionary read through before it is trusted: after this no text leads its reader past the end of a file.
//!
//! Layout, all numbers little-endian: `sys.dic` and `unk.dic` have a header of 72 bytes (file size xor [`MAGIC`],
//! version 102, type, words, left ids, right ids, bytes of the trie, of the tokens and of the features, 0, then the
//! character set in 32 bytes), a double-array trie (`i32` base, `u32` check), tokens of 16 bytes and features that end
//! with NUL. `matrix.bin` has both counts of ids as `u16` and a cost (`i16`) for each pair. `char.bin` has the count of
//! categories, their names in 32 bytes each, and 65,535 entries of 4 bytes.

use std::fs;
use std::path::{Path, PathBuf};

use super::MecabError;

/// What a dictionary's size is mixed with in its first number.
const MAGIC: u32 = 0xef71_8f77;
const VERSION: u32 = 102;
const HEADER: usize = 72;
const TOKEN: usize = 16;
const UNIT: usize = 8;
/// Entries of `char.bin`.
const CHARS: usize = 0xffff;
const NAME: usize = 32;

/// One file in memory, with its path for what is to be said of it.
struct Bytes {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Bytes {
    fn read(path: PathBuf) -> Result<Self, MecabError> {
        match fs::read(&path) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(cause) => Err(MecabError::Read { path, cause }),
        }
    }

    fn damaged(&self, why: &'static str) -> MecabError {
        MecabError::Damaged { path: self.path.clone(), why }
    }

    fn u32(&self, at: usize) -> Result<u32, MecabError> {
        let four = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        four.map(|four| u32::from_le_bytes(*four)).ok_or_else(|| self.damaged("it is cut off"))
    }

    fn u16(&self, at: usize) -> Result<u16, MecabError> {
        let two = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        two.map(|two| u16::from_le_bytes(*two)).ok_or_else(|| self.damaged("it is cut off"))
    }

    /// The text in the field from `at`, which a NUL ends.
    fn name(&self, at: usize) -> Option<&str> {
        let field = self.bytes.get(at..at.checked_add(NAME)?)?;
        let end = field.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(field.get(..end)?).ok()
    }
}

/// Checks the dictionary in `folder` and returns how many words it has.
pub fn check(folder: &Path) -> Result<u32, MecabError> {
    let matrix = Bytes::read(folder.join("matrix.bin"))?;
    let (left, right) = (matrix.u16(0)?, matrix.u16(2)?);
    if matrix.bytes.len() != 4 + 2 * usize::from(left) * usize::from(right) {
        return Err(matrix.damaged("its size is not what its header says"));
    }
    let words = dictionary(&Bytes::read(folder.join("sys.dic"))?, folder, (left, right))?.words;
    let unknown = Bytes::read(folder.join("unk.dic"))?;
    let trie = dictionary(&unknown, folder, (left, right))?;
    categories(&Bytes::read(folder.join("char.bin"))?, &trie)?;
    Ok(words)
}

/// The trie of a dictionary that holds, and the number of its words.
struct Trie<'a> {
    words: u32,
    units: &'a [u8],
}

impl Trie<'_> {
    /// Base and check of a state.
    fn unit(&self, at: i64) -> Option<(i64, i64)> {
        let at = usize::try_from(at).ok()?.checked_mul(UNIT)?;
        let (base, check) = self.units.get(at..at.checked_add(UNIT)?)?.split_first_chunk()?;
        let check: &[u8; 4] = check.first_chunk()?;
        Some((i64::from(i32::from_le_bytes(*base)), i64::from(u32::from_le_bytes(*check))))
    }

    fn has(&self, word: &str) -> bool {
        let Some((mut base, _)) = self.unit(0) else { return false };
        for byte in word.bytes() {
            match self.unit(base + i64::from(byte) + 1) {
                Some((next, check)) if check == base => base = next,
                _ => return false,
            }
        }
        self.unit(base).is_some_and(|(value, check)| check == base && value < 0)
    }
}

fn dictionary<'a>(file: &'a Bytes, folder: &Path, ids: (u16, u16)) -> Result<Trie<'a>, MecabError> {
    let size = u32::try_from(file.bytes.len()).unwrap_or(u32::MAX);
    if file.u32(0)? ^ MAGIC != size || file.u32(4)? != VERSION {
        return Err(file.damaged("its header is not that of a compiled dictionary"));
    }
    let charset = file.name(40).ok_or_else(|| file.damaged("its header names no character set"))?;
    if !["utf-8", "utf8", "utf_8"].contains(&charset.to_ascii_lowercase().as_str()) {
        return Err(MecabError::Charset { folder: folder.to_owned(), charset: charset.to_owned() });
    }
    let section = |at: usize| file.u32(at).map(|bytes| bytes as usize);
    let (trie, tokens, features) = (section(24)?, section(28)?, section(32)?);
    if HEADER as u64 + trie as u64 + tokens as u64 + features as u64 != u64::from(size) {
        return Err(file.damaged("its parts do not add up to its size"));
    }
    let rest = file.bytes.get(HEADER..).unwrap_or_default();
    let parts = rest.split_at_checked(trie).and_then(|(units, rest)| Some((units, rest.split_at_checked(tokens)?)));
    let Some((units, (tokens, features))) = parts else { return Err(file.damaged("it is cut off")) };
    let features = std::str::from_utf8(features).map_err(|_| file.damaged("its features are not in UTF-8"))?;
    if !features.ends_with('\0') {
        return Err(file.damaged("its last feature does not end"));
    }
    for token in tokens.chunks(TOKEN) {
        let [l0, l1, r0, r1, _, _, _, _, f0, f1, f2, f3, ..] = token else {
            return Err(file.damaged("its last word is cut off"));
        };
        // A word's left id is the right-hand one of the pair that is looked up, so each is held against the other
        // count.
        let left = u16::from_le_bytes([*l0, *l1]);
        let right = u16::from_le_bytes([*r0, *r1]);
        let feature = u32::from_le_bytes([*f0, *f1, *f2, *f3]) as usize;
        if right >= ids.0 || left >= ids.1 || feature >= features.len() || !features.is_char_boundary(feature) {
            return Err(file.damaged("a word refers to what is not there"));
        }
    }
    if !holds(units, tokens.len() / TOKEN, rest.len() / UNIT) {
        return Err(file.damaged("its index of words does not hold"));
    }
    Ok(Trie { words: file.u32(12)?, units })
}

/// Whether every step in the trie stays within the file (`units` long from the trie on), and every value within
/// `tokens`.
fn holds(trie: &[u8], tokens: usize, units: usize) -> bool {
    trie.chunks(UNIT).enumerate().all(|(at, unit)| {
        let Some((base, check)) = unit.split_first_chunk() else { return false };
        let Some(check) = check.first_chunk() else { return false };
        let (base, check) = (i32::from_le_bytes(*base), u32::from_le_bytes(*check) as usize);
        let Ok(state) = usize::try_from(base) else {
            // A value, at the place of the state it belongs to, so that no byte leads there.
            let value = base.unsigned_abs() as usize - 1;
            return check == at && value & 0xff > 0 && (value >> 8) + (value & 0xff) <= tokens;
        };
        // A state: its value lies at its base, what follows on a byte at most 256 further.
        state + 256 < units
    })
}

/// Checks the table of characters: each one's category exists and has its unknown words.
fn categories(file: &Bytes, unknown: &Trie<'_>) -> Result<(), MecabError> {
    let count = file.u32(0)? as usize;
    if count > 18 || file.bytes.len() != 4 + count * NAME + CHARS * 4 {
        return Err(file.damaged("its size is not what its header says"));
    }
    if !(0..count).all(|at| file.name(4 + at * NAME).is_some_and(|name| unknown.has(name))) {
        return Err(file.damaged("unk.dic does not know one of its categories"));
    }
    let table = file.bytes.get(4 + count * NAME..).unwrap_or_default();
    let known = |entry: &[u8]| {
        let bits = entry.first_chunk().map_or(u32::MAX, |four| u32::from_le_bytes(*four));
        ((bits >> 18) & 0xff) < count as u32
    };
    if table.chunks(4).all(known) { Ok(()) } else { Err(file.damaged("a character has no category")) }
}
