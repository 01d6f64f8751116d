//! Which encoding a text file is in, and the way from there to UTF-8.
//!
//! Everything behind this module reads UTF-8. What could not be decoded is not replaced: a byte that no UTF-8 text holds
//! ([`BAD`]) takes its place, so the row it is in is refused, and its neighbours are not.

use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, DecoderResult, EUC_JP, Encoding, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE};
use memchr::memchr_iter;

use super::error::ImportError;
use super::source::{PIECE, Source, Stream};

/// Stands for what could not be decoded.
pub(super) const BAD: u8 = 0xFF;
/// As much of a file's lines beyond ASCII is looked at to tell one old encoding from another, in bytes.
const SAMPLE: usize = 1 << 20;

/// An encoding, and the bytes at the beginning that only name it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    encoding: &'static Encoding,
    mark: usize,
}

impl Found {
    /// What the file is read in when it is no text at all but holds UTF-8 by its own rules.
    pub(super) const INSIDE: Self = Self { encoding: UTF_8, mark: 0 };

    /// Its name as people (and Python) write it: `utf-8`, `utf-8-sig`, `utf-16le`, `cp932`, `euc-jp`, `windows-1252`.
    pub(super) fn name(self) -> String {
        if self.encoding == UTF_8 && self.mark > 0 {
            "utf-8-sig".to_owned()
        } else if self.encoding == SHIFT_JIS {
            "cp932".to_owned()
        } else {
            self.encoding.name().to_ascii_lowercase()
        }
    }

    /// The whole of `source` as UTF-8, without a mark, with [`BAD`] where it does not decode.
    pub(super) fn stream<'s>(self, source: &'s Source<'_>) -> Result<Stream<'s>, ImportError> {
        let mut bytes = source.open()?;
        let mut mark = [0; 4];
        bytes.read_exact(mark.get_mut(..self.mark).unwrap_or_default()).map_err(|e| source.fails(e))?;
        if self.encoding == UTF_8 {
            return Ok(Box::new(BufReader::with_capacity(2 * PIECE, bytes)));
        }
        let decoding = Decoding {
            bytes: BufReader::with_capacity(PIECE, bytes),
            decoder: self.encoding.new_decoder_without_bom_handling(),
            over: false,
        };
        Ok(Box::new(BufReader::with_capacity(2 * PIECE, decoding)))
    }
}

/// Finds the encoding of a text; `label` is what a person said it is.
pub(super) fn find(source: &Source<'_>, label: Option<&str>) -> Result<Found, ImportError> {
    let start = source.start(4096)?;
    let marked = |encoding, mark| Found { encoding, mark };
    let by_mark = match start.as_slice() {
        [0xEF, 0xBB, 0xBF, ..] => Some(marked(UTF_8, 3)),
        [0xFF, 0xFE, ..] => Some(marked(UTF_16LE, 2)),
        [0xFE, 0xFF, ..] => Some(marked(UTF_16BE, 2)),
        _ => None,
    };
    if let Some(label) = label {
        let python = label.trim().to_ascii_lowercase();
        let name = match python.as_str() {
            "cp932" => "shift_jis",
            "utf-8-sig" => "utf-8",
            other => other,
        };
        let encoding = Encoding::for_label(name.as_bytes())
            .filter(|e| *e != encoding_rs::REPLACEMENT)
            .ok_or_else(|| ImportError::Encoding { label: label.to_owned() })?;
        return Ok(by_mark.filter(|found| found.encoding == encoding).unwrap_or(marked(encoding, 0)));
    }
    if let Some(found) = by_mark {
        return Ok(found);
    }
    let wide = unmarked_utf16(&start);
    if let Some(Wide { encoding, surely: true }) = wide {
        return Ok(marked(encoding, 0));
    }
    let (good, bad) = count_utf8(source)?;
    // One bad byte among good text is a bad row; where nothing but bad bytes goes beyond ASCII it is another encoding.
    let encoding = match wide {
        _ if bad == 0 || good / 4 >= bad => UTF_8,
        Some(Wide { encoding, .. }) => encoding,
        None => old(&lines_beyond_ascii(source)?),
    };
    Ok(marked(encoding, 0))
}

/// One of the two UTF-16, found without a mark.
struct Wide {
    encoding: &'static Encoding,
    /// Whether the zero bytes are so many that it is nothing else, even where it would also pass for UTF-8.
    surely: bool,
}

/// Tells UTF-16 without a mark by where its zero bytes are: half of each character below U+0100, so of every line end.
///
/// A zero byte may also stray into a text of any other encoding. So either more than a fifth of the characters have one,
/// or, as in Japanese with hardly a letter of ASCII, the line ends do.
fn unmarked_utf16(start: &[u8]) -> Option<Wide> {
    let start = start.get(..start.len() & !1).unwrap_or_default();
    let zeros = |odd: usize| start.iter().skip(odd).step_by(2).filter(|&&b| b == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    // The other half is zero in 一, U+4E00, and in the wide space, but in no line's end.
    let encoding = match even.cmp(&odd) {
        Ordering::Less => UTF_16LE,
        Ordering::Greater => UTF_16BE,
        Ordering::Equal => return None,
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(start)?;
    // What is read right is text: it has no characters that nobody writes.
    let strange = text.chars().filter(|c| c.is_control() && !c.is_ascii_whitespace()).count();
    let surely = 5 * even.max(odd) > start.len() / 2;
    // Not every such byte ends a line: 《 is U+300A.
    let ends = memchr_iter(b'\n', text.as_bytes()).count();
    let wide_ends = ends > 0 && 2 * ends >= memchr_iter(b'\n', start).count();
    (strange == 0 && (surely || wide_ends)).then_some(Wide { encoding, surely })
}

/// Counts the characters beyond ASCII that are UTF-8, and the places that are not.
fn count_utf8(source: &Source<'_>) -> Result<(u64, u64), ImportError> {
    let mut bytes = source.open()?;
    let (mut good, mut bad) = (0u64, 0u64);
    let mut held = vec![0; PIECE];
    let mut carried = 0;
    loop {
        let len = read_some(&mut bytes, held.get_mut(carried..).unwrap_or_default()).map_err(|e| source.fails(e))?;
        let last = len == 0;
        let end = carried + len;
        let mut rest = held.get(..end).unwrap_or_default();
        loop {
            let (valid, stop) = match std::str::from_utf8(rest) {
                Ok(_) => (rest.len(), None),
                Err(e) => (e.valid_up_to(), Some(e.error_len())),
            };
            good += rest.iter().take(valid).filter(|&&b| b >= 0xC0).count() as u64;
            rest = rest.get(valid..).unwrap_or_default();
            match stop {
                None => break,
                Some(None) if !last => break,
                Some(len) => {
                    bad += 1;
                    rest = rest.get(len.unwrap_or(rest.len())..).unwrap_or_default();
                }
            }
        }
        if last {
            return Ok((good, bad));
        }
        carried = rest.len();
        held.copy_within(end - carried..end, 0);
    }
}

fn read_some(bytes: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match bytes.read(into) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The lines that hold more than ASCII, as many as [`SAMPLE`] takes.
fn lines_beyond_ascii(source: &Source<'_>) -> Result<Vec<u8>, ImportError> {
    let mut stream = BufReader::with_capacity(PIECE, source.open()?);
    let mut sample = Vec::new();
    while sample.len() < SAMPLE {
        // A line without an end is taken in pieces.
        let from = sample.len();
        let len = stream.by_ref().take(PIECE as u64).read_until(b'\n', &mut sample).map_err(|e| source.fails(e))?;
        if len == 0 {
            break;
        }
        if sample.get(from..).is_none_or(<[u8]>::is_ascii) {
            sample.truncate(from);
        }
    }
    Ok(sample)
}

/// Tells the encodings from before UTF-8 apart. chardetng gives an encoding up at its first bad byte, so the two Japanese
/// ones are each tried on the sample without what they cannot read; few such places are bad rows, many another encoding.
fn old(sample: &[u8]) -> &'static Encoding {
    let mut tried: Vec<(usize, &'static Encoding)> = Vec::new();
    for encoding in [SHIFT_JIS, EUC_JP] {
        let (clean, beyond, bad) = without_bad(encoding, sample);
        if (bad <= 1 || bad <= beyond / 50) && beyond > 2 * bad && guess(&clean) == encoding {
            tried.push((bad, encoding));
        }
    }
    tried.into_iter().min_by_key(|&(bad, _)| bad).map_or_else(|| guess(sample), |(_, encoding)| encoding)
}

fn guess(sample: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, true);
    detector.guess(None, Utf8Detection::Deny)
}

/// The bytes that decode, how many characters beyond ASCII they are, and how many places do not decode.
fn without_bad(encoding: &'static Encoding, sample: &[u8]) -> (Vec<u8>, usize, usize) {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut out = vec![0; 3 * PIECE];
    let (mut clean, mut beyond, mut bad) = (Vec::with_capacity(sample.len()), 0, 0);
    let mut rest = sample;
    loop {
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(rest, &mut out, true);
        beyond += out.iter().take(written).filter(|&&b| b >= 0xC0).count();
        let (taken, after) = rest.split_at_checked(read).unwrap_or((rest, &[]));
        rest = after;
        match result {
            DecoderResult::InputEmpty => {
                clean.extend_from_slice(taken);
                return (clean, beyond, bad);
            }
            DecoderResult::OutputFull => clean.extend_from_slice(taken),
            DecoderResult::Malformed(len, after) => {
                bad += 1;
                let good = taken.len().saturating_sub(usize::from(len) + usize::from(after));
                clean.extend(taken.iter().take(good));
            }
        }
    }
}

/// Turns another encoding into UTF-8 while it is read.
struct Decoding<R> {
    bytes: BufReader<R>,
    decoder: Decoder,
    over: bool,
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // encoding_rs needs room for one character, and one byte more may stand for what is bad.
        let Some(room) = into.len().checked_sub(1).filter(|&room| room >= 4) else {
            return Err(io::Error::other("a decoder is read in pieces of five bytes and more"));
        };
        loop {
            if self.over {
                return Ok(0);
            }
            let bytes = self.bytes.fill_buf()?;
            let last = bytes.is_empty();
            let out = into.get_mut(..room).unwrap_or_default();
            let (result, read, mut written) = self.decoder.decode_to_utf8_without_replacement(bytes, out, last);
            self.bytes.consume(read);
            match result {
                DecoderResult::InputEmpty => self.over = last,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    if let Some(place) = into.get_mut(written) {
                        *place = BAD;
                    }
                    written += 1;
                }
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}
