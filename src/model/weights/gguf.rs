//! The header of a GGUF file, read as what it is: bytes from a stranger.
//!
//! Owns the container: metadata, the table of tensors, where each one's bytes lie. Knows nothing of models; what a key
//! or a tensor means is said in `families/` and `tokenizer/`. Every count and every offset is checked against the bytes
//! that are there before anything is allocated for it, and lists stay in the file until they are asked for, so a header
//! costs no more memory than the file is long.
//!
//! Layout after the GGUF specification, versions 2 and 3:
//! `"GGUF" u32 version, u64 tensors, u64 entries, entries, tensor infos, padding, tensor data`, little-endian.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use candle_core::quantized::GgmlDType;

/// Alignment of the tensor data where `general.alignment` does not say otherwise (specification).
const ALIGNMENT: usize = 32;
/// Fewest bytes a metadata entry takes: key length, key of one byte, type, a value of one byte.
const SMALLEST_ENTRY: usize = 8 + 1 + 4 + 1;
/// Fewest bytes a tensor info takes: name length, name of one byte, rank, one dimension, type, offset.
const SMALLEST_INFO: usize = 8 + 1 + 4 + 8 + 4 + 8;
/// Keys and tensor names are shorter than this (specification: 65,535 and 64 bytes).
const LONGEST_NAME: usize = 65_535;

/// A metadata value. Lists keep only their place in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    List(List),
}

/// A list in the metadata: `count` elements whose bytes, checked on reading, are `bytes` of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    kind: Kind,
    count: usize,
    bytes: Range<usize>,
}

/// The element types of the specification (`gguf_metadata_value_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    List,
    U64,
    I64,
    F64,
}

impl Kind {
    fn of(code: u32) -> Option<Self> {
        const KINDS: [Kind; 13] = [
            Kind::U8,
            Kind::I8,
            Kind::U16,
            Kind::I16,
            Kind::U32,
            Kind::I32,
            Kind::F32,
            Kind::Bool,
            Kind::Text,
            Kind::List,
            Kind::U64,
            Kind::I64,
            Kind::F64,
        ];
        KINDS.get(code as usize).copied()
    }

    /// Bytes of one value; `None` where the length varies.
    fn size(self) -> Option<usize> {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
            Kind::Text | Kind::List => None,
        }
    }
}

/// One tensor: its shape in row-major order (the file stores it reversed) and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    pub shape: Vec<usize>,
    pub kind: GgmlDType,
    /// Place in the file.
    pub bytes: Range<usize>,
}

/// A GGUF file's header.
#[derive(Clone, Debug, Default)]
pub struct Header {
    entries: HashMap<String, Value>,
    tensors: HashMap<String, Info>,
    /// End of the header proper, in bytes.
    end: usize,
}

impl Header {
    /// Reads the header of the file `data`.
    ///
    /// # Errors
    /// A sentence on what is wrong and at which byte, for any input that is not a whole, consistent GGUF file.
    pub fn parse(data: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { data, at: 0 };
        if reader.take(4, "the magic number")? != b"GGUF" {
            return Err("it does not start with GGUF: this is no GGUF file".to_owned());
        }
        let version = reader.u32("the version")?;
        match version {
            2 | 3 => {}
            1 => {
                return Err(
                    "it is GGUF version 1, from 2023; convert the model again (versions 2 and 3 are read)".into()
                );
            }
            v if v.swap_bytes() <= 3 => return Err("it is a big-endian GGUF; only little-endian ones are read".into()),
            v => return Err(format!("it is GGUF version {v}; versions 2 and 3 are read")),
        }
        let tensor_count = reader.count("the number of tensors", SMALLEST_INFO)?;
        let entry_count = reader.count("the number of metadata entries", SMALLEST_ENTRY)?;
        let mut header = Header::default();
        for _ in 0..entry_count {
            let key = reader.text("a metadata key")?;
            let value = reader.value(&key)?;
            if header.entries.contains_key(&key) {
                return Err(format!("the metadata key {} occurs twice", shown(&key)));
            }
            header.entries.insert(key, value);
        }
        let alignment = match header.entries.get("general.alignment") {
            None => ALIGNMENT,
            Some(Value::Unsigned(n)) if n.is_power_of_two() && (8..=1 << 16).contains(n) => *n as usize,
            Some(other) => {
                return Err(format!("its general.alignment is {other:?}, not a power of two from 8 to 65536"));
            }
        };
        let mut infos = Vec::new();
        let mut names = HashSet::new();
        for _ in 0..tensor_count {
            let (name, info) = reader.info()?;
            if !names.insert(name.clone()) {
                return Err(format!("the tensor {} occurs twice", shown(&name)));
            }
            infos.push((name, info));
        }
        header.end = reader.at;
        let start = header.end.div_ceil(alignment) * alignment;
        header.place(infos, start, alignment, data.len())?;
        Ok(header)
    }

    /// Turns offsets within the tensor data into places in the file, refusing any that overlap or reach past the end.
    fn place(
        &mut self,
        infos: Vec<(String, RawInfo)>,
        start: usize,
        alignment: usize,
        length: usize,
    ) -> Result<(), String> {
        let mut ranges = Vec::with_capacity(infos.len());
        for (name, info) in infos {
            if !info.offset.is_multiple_of(alignment) {
                return Err(format!("tensor {} starts at an unaligned offset {}", shown(&name), info.offset));
            }
            let begin = start.checked_add(info.offset);
            let range = begin.and_then(|b| Some(b..b.checked_add(info.size)?)).filter(|r| r.end <= length);
            let Some(range) = range else {
                return Err(format!(
                    "tensor {} needs {} bytes at offset {} of the data, past the end of the file ({length} bytes): the \
                     file is cut short or damaged; download it again",
                    shown(&name),
                    info.size,
                    info.offset
                ));
            };
            ranges.push((range.start, range.end, name.clone()));
            self.tensors.insert(name, Info { shape: info.shape, kind: info.kind, bytes: range });
        }
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            if let [(_, end, first), (begin, _, second)] = pair
                && begin < end
            {
                return Err(format!("tensors {} and {} overlap", shown(first), shown(second)));
            }
        }
        Ok(())
    }

    /// The entry `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// The entry `key` if it is a text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.entries.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The entry `key` if it is a whole number that is not negative.
    #[must_use]
    pub fn unsigned(&self, key: &str) -> Option<u64> {
        match self.entries.get(key) {
            Some(Value::Unsigned(n)) => Some(*n),
            Some(Value::Signed(n)) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The entry `key` if it is a truth value.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.entries.get(key) {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// The tensor `name`.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Info> {
        self.tensors.get(name)
    }

    /// Every tensor with its name, in no particular order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Info)> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// Length of the header in bytes, from the start of the file.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end
    }

    /// Whether there is neither metadata nor a tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.tensors.is_empty()
    }
}

impl List {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the list has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements as texts out of the file `data` the list was read from; `None` if they are no texts.
    #[must_use]
    pub fn texts<'a>(&self, data: &'a [u8]) -> Option<Vec<&'a str>> {
        if self.kind != Kind::Text {
            return None;
        }
        let mut reader = Reader { data: data.get(..self.bytes.end)?, at: self.bytes.start };
        (0..self.count).map(|_| reader.str("a text of a list").ok()).collect()
    }

    /// The elements as numbers out of the file `data` the list was read from; `None` if they are no numbers.
    #[must_use]
    pub fn numbers(&self, data: &[u8]) -> Option<Vec<f64>> {
        if matches!(self.kind, Kind::Text | Kind::List | Kind::Bool) {
            return None;
        }
        let mut reader = Reader { data: data.get(..self.bytes.end)?, at: self.bytes.start };
        (0..self.count)
            .map(|_| match reader.scalar(self.kind, "a number of a list").ok()? {
                Value::Unsigned(n) => Some(n as f64),
                Value::Signed(n) => Some(n as f64),
                Value::Float(x) => Some(x),
                _ => None,
            })
            .collect()
    }
}

/// A tensor info as it lies in the file.
struct RawInfo {
    shape: Vec<usize>,
    kind: GgmlDType,
    offset: usize,
    size: usize,
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8], String> {
        let bytes = self.at.checked_add(n).and_then(|end| self.data.get(self.at..end));
        let bytes = bytes.ok_or_else(|| {
            format!(
                "it ends at byte {} within {what} (at byte {}, {n} bytes long): the file is cut short or damaged; \
                 download it again",
                self.data.len(),
                self.at
            )
        })?;
        self.at += n;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let bytes = self.take(N, what)?;
        <[u8; N]>::try_from(bytes).map_err(|_| format!("{what} cannot be read"))
    }

    fn u32(&mut self, what: &str) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of things that take at least `smallest` bytes each: no more than the rest of the file can hold.
    fn count(&mut self, what: &str, smallest: usize) -> Result<usize, String> {
        let at = self.at;
        let n = self.u64(what)?;
        let most = (self.data.len() - self.at) / smallest.max(1);
        usize::try_from(n).ok().filter(|&n| n <= most).ok_or_else(|| {
            format!("{what} at byte {at} is {n}, more than the file can hold: the file is cut short or damaged")
        })
    }

    fn str(&mut self, what: &str) -> Result<&'a str, String> {
        let n = self.count(&format!("the length of {what}"), 1)?;
        let at = self.at;
        std::str::from_utf8(self.take(n, what)?).map_err(|_| format!("{what} at byte {at} is not valid UTF-8"))
    }

    fn text(&mut self, what: &str) -> Result<String, String> {
        let text = self.str(what)?;
        if text.is_empty() || text.len() > LONGEST_NAME {
            return Err(format!("{what} before byte {} is {} bytes long", self.at, text.len()));
        }
        Ok(text.to_owned())
    }

    fn kind(&mut self, key: &str) -> Result<Kind, String> {
        let code = self.u32("a value's type")?;
        Kind::of(code).ok_or_else(|| format!("metadata {} has the unknown type {code}", shown(key)))
    }

    fn value(&mut self, key: &str) -> Result<Value, String> {
        let kind = self.kind(key)?;
        if kind == Kind::List { self.list(key).map(Value::List) } else { self.scalar(kind, key) }
    }

    fn scalar(&mut self, kind: Kind, key: &str) -> Result<Value, String> {
        Ok(match kind {
            Kind::U8 => Value::Unsigned(u64::from(u8::from_le_bytes(self.array(key)?))),
            Kind::I8 => Value::Signed(i64::from(i8::from_le_bytes(self.array(key)?))),
            Kind::U16 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array(key)?))),
            Kind::I16 => Value::Signed(i64::from(i16::from_le_bytes(self.array(key)?))),
            Kind::U32 => Value::Unsigned(u64::from(self.u32(key)?)),
            Kind::I32 => Value::Signed(i64::from(i32::from_le_bytes(self.array(key)?))),
            Kind::U64 => Value::Unsigned(self.u64(key)?),
            Kind::I64 => Value::Signed(i64::from_le_bytes(self.array(key)?)),
            Kind::F32 => Value::Float(f64::from(f32::from_le_bytes(self.array(key)?))),
            Kind::F64 => Value::Float(f64::from_le_bytes(self.array(key)?)),
            Kind::Bool => Value::Bool(self.array::<1>(key)? != [0]),
            Kind::Text => Value::Text(self.str(key)?.to_owned()),
            Kind::List => return Err(format!("metadata {} is a list of lists, which is not read", shown(key))),
        })
    }

    /// Walks over a list so that its end is known and every element is whole.
    fn list(&mut self, key: &str) -> Result<List, String> {
        let kind = self.kind(key)?;
        let count = self.count("the length of a list", kind.size().unwrap_or(8))?;
        let start = self.at;
        match kind.size() {
            Some(size) => {
                self.take(count * size, key)?;
            }
            None if kind == Kind::Text => {
                for _ in 0..count {
                    self.str(key)?;
                }
            }
            None => return Err(format!("metadata {} is a list of lists, which is not read", shown(key))),
        }
        Ok(List { kind, count, bytes: start..self.at })
    }

    fn info(&mut self) -> Result<(String, RawInfo), String> {
        let name = self.text("a tensor name")?;
        let rank = self.u32("a tensor's rank")?;
        if rank == 0 || rank > 4 {
            return Err(format!("tensor {} has {rank} dimensions; 1 to 4 are possible", shown(&name)));
        }
        let mut shape = Vec::with_capacity(4);
        for _ in 0..rank {
            let n = self.u64("a tensor's dimension")?;
            let n = usize::try_from(n).ok().filter(|&n| n > 0);
            shape.push(n.ok_or_else(|| format!("tensor {} has an impossible dimension", shown(&name)))?);
        }
        let row = shape.first().copied().unwrap_or(1);
        shape.reverse();
        let code = self.u32("a tensor's type")?;
        let kind = ggml_type(code).ok_or_else(|| {
            format!(
                "tensor {} is stored as {}, which is not read (F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to \
                 Q6_K and Q8_K are); get the model in another quantisation",
                shown(&name),
                type_name(code)
            )
        })?;
        let offset = self.u64("a tensor's offset")?;
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let size = elements
            .filter(|_| row.is_multiple_of(kind.block_size()))
            .and_then(|n| (n / kind.block_size()).checked_mul(kind.type_size()));
        let (Some(size), Ok(offset)) = (size, usize::try_from(offset)) else {
            return Err(format!("tensor {} of shape {shape:?} as {kind:?} is impossible", shown(&name)));
        };
        Ok((name, RawInfo { shape, kind, offset, size }))
    }
}

/// The types candle can turn into floats. `Q8_1` is missing: it exists in memory only, never in files.
fn ggml_type(code: u32) -> Option<GgmlDType> {
    Some(match code {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// ggml's names for the types that are not read, for the message.
fn type_name(code: u32) -> String {
    let name = match code {
        9 => "Q8_1",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("type {code}"),
    };
    name.to_owned()
}

/// A name out of the file for a message: short, and with nothing in it that a terminal would obey.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(80).collect();
    format!("{:?}", if cut.len() < name.len() { format!("{cut}…") } else { cut })
}
