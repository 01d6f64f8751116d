//! A model in a GGUF file: weights and tokenizer in one, the weights mostly quantised.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

use super::gguf::{Header, Info};
use super::mapped::Mapped;
use super::{Facts, SourceError, fingerprint, quants, values};
use crate::model::description::{Description, Linear, Slot};
use crate::model::families;
use crate::model::ops::packed::Panels;
use crate::model::tokenizer::{self, Tokenizer, TokenizerError};

pub(super) struct GgufFile {
    map: Mapped,
    header: Header,
}

impl GgufFile {
    pub(super) fn open(path: &Path) -> Result<(Facts, Self), SourceError> {
        let map = Mapped::open(path)?;
        if map.is_empty() {
            let reason = "it is empty; copy or download it again".to_owned();
            return Err(SourceError::NoModel { path: path.to_owned(), reason });
        }
        if !map.starts_with(b"GGUF") {
            let reason = "it is no GGUF file; give a .gguf file or a Hugging Face folder".to_owned();
            return Err(SourceError::NoModel { path: path.to_owned(), reason });
        }
        let header = Header::parse(&map).map_err(|e| SourceError::broken(path, e))?;
        let file = Self { map, header };
        let mut description = families::from_gguf(&file.header).map_err(|e| SourceError::broken(path, e))?;
        if let Some(divisors) = file.rope_divisors().map_err(|e| SourceError::broken(path, e))? {
            let (dims, theta) = (description.rotary.dims, description.rotary.theta);
            let scaling = families::recognise_llama3(&divisors, dims, theta);
            description.rotary.scaling = scaling.map_err(|e| SourceError::broken(path, e))?;
        }
        let tokens = tokenizer::gguf::facts(&file.header, &file.map).map_err(|e| SourceError::broken(path, e))?;
        description.bos = tokens.bos.filter(|_| tokens.add_bos);
        description.eos = tokens.eos;
        let mut hasher = blake3::Hasher::new();
        let mut ranges: Vec<Range<usize>> = file.header.tensors().map(|(_, info)| info.bytes.clone()).collect();
        fingerprint(&mut hasher, &file.map, file.header.len(), &mut ranges);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let facts = Facts {
            name: file.header.text("general.name").filter(|name| !name.trim().is_empty()).map_or(stem, str::to_owned),
            description,
            chat_template: file.header.text("tokenizer.chat_template").map(str::to_owned),
            bos_text: tokens.bos_text,
            eos_text: tokens.eos_text,
            pad: tokens.pad,
            identity: hasher.finalize().to_hex().to_string(),
            file_bytes: file.map.len() as u64,
        };
        Ok((facts, file))
    }

    /// The divisors of the rotary frequencies that Llama 3's files carry.
    fn rope_divisors(&self) -> Result<Option<Vec<f32>>, String> {
        let Some(info) = self.header.tensor("rope_freqs.weight") else { return Ok(None) };
        let count: usize = info.shape.iter().product();
        let bytes = self.map.get(info.bytes.clone()).unwrap_or_default();
        let mut divisors = vec![0.0; count];
        values::from_ggml(bytes, info.kind, &mut divisors).map(|()| Some(divisors))
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.header.tensors().map(|(name, _)| name).collect()
    }

    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.header.tensor(name).map(|info| info.shape.clone())
    }

    /// Bytes of memory that all tensors take once they are read, those named `plain` as `f32`.
    pub(super) fn memory(&self, plain: &HashSet<String>) -> u64 {
        let kind = |name: &str, kind| if plain.contains(name) { GgmlDType::F32 } else { kind };
        self.header.tensors().map(|(name, info)| quants::memory(kind(name, info.kind), &info.shape)).sum()
    }

    pub(super) fn tokenizer(&self) -> Result<Tokenizer, TokenizerError> {
        tokenizer::gguf::tokenizer(&self.header, &self.map)
    }

    /// Shows `read` the bytes of a tensor and gives their pages back.
    fn once<T>(&self, name: &str, read: impl FnOnce(&Info, &[u8]) -> Result<T, String>) -> Result<T, String> {
        let info = self.header.tensor(name).ok_or_else(|| "is missing".to_owned())?;
        let bytes = self.map.get(info.bytes.clone()).ok_or_else(|| "lies outside its file".to_owned())?;
        let found = read(info, bytes);
        self.map.give_back(info.bytes.clone());
        found
    }

    /// Reads a matrix in Hugging Face's layout, packed as it is stored; `None` where it can only be had as `f32`.
    pub(super) fn packed(&self, name: &str, slot: Slot, description: &Description) -> Result<Option<Panels>, String> {
        let turned = matches!(slot, Slot::Weight(_, Linear::Query | Linear::Key));
        let head_dim = description.head_dim;
        let paired = (turned && families::gguf_permutes(description.family)).then_some(head_dim);
        let order = |row: usize| paired.map_or(row, |head_dim| paired_row(row, head_dim));
        self.once(name, |info, bytes| {
            let &[outputs, inputs] = info.shape.as_slice() else { return Ok(None) };
            quants::packed(bytes, info.kind, outputs, inputs, &order)
        })
    }

    /// Reads a tensor in Hugging Face's layout into `out`.
    pub(super) fn read(
        &self,
        name: &str,
        slot: Slot,
        description: &Description,
        out: &mut [f32],
    ) -> Result<(), String> {
        let turned =
            matches!(slot, Slot::Weight(_, Linear::Query | Linear::Key) | Slot::Bias(_, Linear::Query | Linear::Key));
        if !turned || !families::gguf_permutes(description.family) {
            return self.once(name, |info, bytes| values::from_ggml(bytes, info.kind, out));
        }
        let mut stored = vec![0.0; out.len()];
        self.once(name, |info, bytes| values::from_ggml(bytes, info.kind, &mut stored))?;
        let width = if matches!(slot, Slot::Weight(..)) { description.hidden } else { 1 };
        half_split(&stored, description.head_dim, width, out);
        Ok(())
    }
}

/// For a row of a tensor in halves the row of the file, whose pairs lie side by side within each head.
fn paired_row(row: usize, head_dim: usize) -> usize {
    let (head, at) = (row / head_dim, row % head_dim);
    let half = head_dim / 2;
    head * head_dim + if at < half { 2 * at } else { 2 * (at - half) + 1 }
}

/// Turns rows whose pairs lie side by side (`x0 y0 x1 y1 …` within each head) into halves (`x0 x1 … y0 y1 …`).
fn half_split(interleaved: &[f32], head_dim: usize, width: usize, out: &mut [f32]) {
    let head = head_dim * width;
    out.par_chunks_exact_mut(head).zip(interleaved.par_chunks_exact(head)).for_each(|(out, rows)| {
        let (first, second) = out.split_at_mut(head / 2);
        let halves = first.chunks_exact_mut(width).zip(second.chunks_exact_mut(width));
        for ((x, y), pair) in halves.zip(rows.chunks_exact(2 * width)) {
            let (even, odd) = pair.split_at(width);
            x.copy_from_slice(even);
            y.copy_from_slice(odd);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_halves_within_each_head() {
        // Two heads of four rows, two wide: head 0 holds x0 y0 x1 y1, head 1 the same plus ten.
        let rows = [0.0, 0.5, 2.0, 2.5, 1.0, 1.5, 3.0, 3.5];
        let stored: Vec<f32> = rows.iter().copied().chain(rows.iter().map(|x| x + 10.0)).collect();
        let expected = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
        let expected: Vec<f32> = expected.iter().copied().chain(expected.iter().map(|x| x + 10.0)).collect();
        let split = |stored: &[f32], width: usize| {
            let mut out = vec![0.0; stored.len()];
            half_split(stored, 4, width, &mut out);
            out
        };
        assert_eq!(split(&stored, 2), expected);
        let rows: Vec<&[f32]> = (0..8).map(|row| &stored[2 * paired_row(row, 4)..][..2]).collect();
        assert_eq!(rows.concat(), expected);
        assert_eq!(split(&[0.0, 2.0, 1.0, 3.0], 1), [0.0, 1.0, 2.0, 3.0]);
    }
}
