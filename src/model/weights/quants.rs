//! Stored blocks to packed matrices: the codes stay codes, only their order changes.
//!
//! Block layouts are those of GGML (`ggml-common.h`, `ggml-quants.c`): 32 weights with a scale, or super-blocks of 256
//! whose scales are quantised themselves. Those of a super-block are multiplied out; that is exact in `f32`.

use candle_core::quantized::GgmlDType;
use half::f16;

use crate::model::ops::packed::{BLOCK, Code, Panels, Unpacked};

/// Bytes of memory that a tensor of `kind` and `shape` takes once it is read.
#[must_use]
pub fn memory(kind: GgmlDType, shape: &[usize]) -> u64 {
    let count = shape.iter().product::<usize>() as u64;
    let &[outputs, inputs] = shape else { return count * 4 };
    // Codes, and two numbers for every 32 weights: half precision where the block has one scale, `f32` where it is a
    // super-block's.
    let bits = match kind {
        GgmlDType::Q4_0 | GgmlDType::Q4_1 => 4 + 1,
        GgmlDType::Q4K => 4 + 2,
        GgmlDType::Q5_0 | GgmlDType::Q5_1 | GgmlDType::Q8_0 => 8 + 1,
        GgmlDType::Q5K | GgmlDType::Q6K => 8 + 2,
        GgmlDType::BF16 | GgmlDType::F16 => 16,
        _ => 32,
    };
    // Panels are as wide as four of sixteen outputs.
    let padded = (outputs.next_multiple_of(64) as u64).saturating_mul(inputs as u64);
    if inputs.is_multiple_of(BLOCK) && bits < 32 { padded.saturating_mul(bits) / 8 } else { count * 4 }
}

/// Packs a GGML matrix; output `i` is the file's row `order(i)`. `None` for kinds and widths that are not packed.
///
/// # Errors
/// When `bytes` does not hold the matrix.
pub fn packed(
    bytes: &[u8],
    kind: GgmlDType,
    outputs: usize,
    inputs: usize,
    order: &(dyn Fn(usize) -> usize + Sync),
) -> Result<Option<Panels>, String> {
    let code = match kind {
        GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q4K => Code::Four,
        GgmlDType::Q5_0 | GgmlDType::Q5_1 | GgmlDType::Q5K | GgmlDType::Q8_0 => Code::Eight,
        GgmlDType::Q6K => Code::EightBy16,
        GgmlDType::BF16 => return halves(bytes, Code::Bf16, outputs, inputs, order),
        GgmlDType::F16 => return halves(bytes, Code::F16, outputs, inputs, order),
        _ => return Ok(None),
    };
    let (block, size) = (kind.block_size(), kind.type_size());
    let row_bytes = inputs / block * size;
    if !inputs.is_multiple_of(block) || outputs.checked_mul(row_bytes) != Some(bytes.len()) {
        return Err(format!("{} bytes of {kind:?} are not {outputs} rows of {inputs}", bytes.len()));
    }
    let fill = |output: usize, row: &mut Unpacked| {
        let start = order(output) * row_bytes;
        let stored = bytes.get(start..start + row_bytes).ok_or_else(|| format!("row {output} is not there"))?;
        for block in stored.chunks_exact(size) {
            take_block(kind, block, row).ok_or_else(|| format!("a block of {kind:?} is cut short"))?;
        }
        Ok(())
    };
    Panels::pack(code, outputs, inputs, &fill).map(Some)
}

/// Packs a matrix of half-precision numbers, as [`packed`].
///
/// # Errors
/// When `bytes` does not hold the matrix.
pub fn halves(
    bytes: &[u8],
    code: Code,
    outputs: usize,
    inputs: usize,
    order: &(dyn Fn(usize) -> usize + Sync),
) -> Result<Option<Panels>, String> {
    if !inputs.is_multiple_of(BLOCK) {
        return Ok(None);
    }
    let (numbers, rest) = bytes.as_chunks::<2>();
    if outputs.checked_mul(inputs) != Some(numbers.len()) || !rest.is_empty() {
        return Err(format!("{} bytes are not {outputs} rows of {inputs} numbers of 2 bytes", bytes.len()));
    }
    let fill = |output: usize, row: &mut Unpacked| {
        let start = order(output) * inputs;
        let stored = numbers.get(start..start + inputs).ok_or_else(|| format!("row {output} is not there"))?;
        row.halves.extend(stored.iter().map(|&bytes| u16::from_le_bytes(bytes)));
        Ok(())
    };
    Panels::pack(code, outputs, inputs, &fill).map(Some)
}

fn half_at(block: &[u8], at: usize) -> Option<f32> {
    let bytes = block.get(at..at + 2)?;
    Some(f16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]).to_f32())
}

/// Adds the weights of one block of `kind` to a row; `None` where the block is too short.
fn take_block(kind: GgmlDType, block: &[u8], row: &mut Unpacked) -> Option<()> {
    let d = half_at(block, 0)?;
    match kind {
        GgmlDType::Q4_0 => {
            nibbles(block.get(2..18)?, row);
            row.scales.push([d, -8.0 * d]);
        }
        GgmlDType::Q4_1 => {
            nibbles(block.get(4..20)?, row);
            row.scales.push([d, half_at(block, 2)?]);
        }
        GgmlDType::Q5_0 => {
            fives(block.get(2..6)?, block.get(6..22)?, 16, row);
            row.scales.push([d, 0.0]);
        }
        GgmlDType::Q5_1 => {
            fives(block.get(4..8)?, block.get(8..24)?, 0, row);
            row.scales.push([d, half_at(block, 2)?]);
        }
        GgmlDType::Q8_0 => {
            row.codes.extend(block.get(2..34)?.iter().map(|&code| code as i8));
            row.scales.push([d, 0.0]);
        }
        GgmlDType::Q4K => {
            row.scales.extend(scales_of_k(d, half_at(block, 2)?, block.get(4..16)?));
            for codes in block.get(16..144)?.chunks_exact(32) {
                row.codes.extend(codes.iter().map(|code| (code & 15) as i8));
                row.codes.extend(codes.iter().map(|code| (code >> 4) as i8));
            }
        }
        GgmlDType::Q5K => {
            row.scales.extend(scales_of_k(d, half_at(block, 2)?, block.get(4..16)?));
            let high = block.get(16..48)?;
            for (pair, codes) in block.get(48..176)?.chunks_exact(32).enumerate() {
                for (shift, bit) in [(0, 2 * pair), (4, 2 * pair + 1)] {
                    let fifth = |high: &u8| (high >> bit & 1) << 4;
                    row.codes
                        .extend(codes.iter().zip(high).map(|(code, high)| (code >> shift & 15 | fifth(high)) as i8));
                }
            }
        }
        GgmlDType::Q6K => {
            let (low, high) = (block.get(..128)?, block.get(128..192)?);
            let d = half_at(block, 208)?;
            let scale = |at: usize| Some(d * f32::from(*block.get(192 + at)? as i8));
            for (part, (low, high)) in low.chunks_exact(64).zip(high.chunks_exact(32)).enumerate() {
                for quarter in 0..4 {
                    let codes = low.iter().skip(quarter % 2 * 32).zip(high);
                    let bits = |(low, high): (&u8, &u8)| {
                        let low = low >> (quarter / 2 * 4) & 15;
                        (low | (high >> (2 * quarter) & 3) << 4) as i8 - 32
                    };
                    row.codes.extend(codes.map(bits));
                    let first = part * 8 + quarter * 2;
                    row.scales.push([scale(first)?, scale(first + 1)?]);
                }
            }
        }
        _ => return None,
    }
    Some(())
}

/// 32 codes of four bits: the low halves of 16 bytes, then the high ones.
fn nibbles(bytes: &[u8], row: &mut Unpacked) {
    row.codes.extend(bytes.iter().map(|code| (code & 15) as i8));
    row.codes.extend(bytes.iter().map(|code| (code >> 4) as i8));
}

/// 32 codes of five bits, the fifth of each in `high`, less `middle`.
fn fives(high: &[u8], bytes: &[u8], middle: i8, row: &mut Unpacked) {
    let high = high.iter().rev().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
    let fifth = |i: usize| ((high >> i & 1) << 4) as u8;
    row.codes.extend(bytes.iter().enumerate().map(|(i, code)| (code & 15 | fifth(i)) as i8 - middle));
    row.codes.extend(bytes.iter().enumerate().map(|(i, code)| (code >> 4 | fifth(i + 16)) as i8 - middle));
}

/// The scales and leasts of the eight groups of a super-block of `Q4_K` or `Q5_K`, six bits each in twelve bytes.
fn scales_of_k(d: f32, least: f32, bytes: &[u8]) -> impl Iterator<Item = [f32; 2]> {
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    (0..8).map(move |group| {
        let (scale, min) = if group < 4 {
            (at(group) & 63, at(group + 4) & 63)
        } else {
            let (low, s, m) = (at(group + 4), at(group - 4), at(group));
            (low & 15 | s >> 6 << 4, low >> 4 | m >> 6 << 4)
        };
        [d * f32::from(scale), -least * f32::from(min)]
    })
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;

    /// Every bit pattern is a block; only the scales must be numbers of a usual size.
    fn blocks(kind: GgmlDType, count: usize) -> Vec<u8> {
        let size = kind.type_size();
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .take(size * count)
        .collect();
        let halves: &[usize] = match kind {
            GgmlDType::Q4_1 | GgmlDType::Q5_1 | GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
            GgmlDType::Q6K => &[208],
            _ => &[0],
        };
        for (i, block) in bytes.chunks_exact_mut(size).enumerate() {
            for (n, &at) in halves.iter().enumerate() {
                let scale = f16::from_f32(0.013 * (i % 7 + 1) as f32 - 0.03 * n as f32);
                block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn packed_weights_are_those_that_candle_reads_from_the_same_blocks() {
        let (outputs, inputs) = (37, 512);
        for kind in [
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q5_0,
            GgmlDType::Q5_1,
            GgmlDType::Q8_0,
            GgmlDType::Q4K,
            GgmlDType::Q5K,
            GgmlDType::Q6K,
        ] {
            let bytes = blocks(kind, outputs * inputs / kind.block_size());
            let mut wanted = vec![0.0; outputs * inputs];
            values::from_ggml(&bytes, kind, &mut wanted).unwrap();
            let backwards = |row: usize| outputs - 1 - row;
            let panels = packed(&bytes, kind, outputs, inputs, &backwards).unwrap().unwrap();
            let mut turned = vec![0f32; outputs * inputs];
            panels.transposed(0, outputs, &mut turned);
            let mut row = vec![0f32; inputs];
            for output in 0..outputs {
                panels.row(output, &mut row);
                for (i, (&got, wanted)) in row.iter().zip(&wanted[backwards(output) * inputs..]).enumerate() {
                    let close = |x: f32| (x - wanted).abs() <= 1e-6 * wanted.abs().max(0.1);
                    assert!(
                        close(got) && close(turned[i * outputs + output]),
                        "{kind:?} {output},{i}: {got} for {wanted}"
                    );
                }
            }
            assert!(packed(&bytes[1..], kind, outputs, inputs, &|row| row).is_err());
        }
    }

    #[test]
    fn half_precision_is_kept_bit_for_bit() {
        let numbers: Vec<f32> = (0..64 * 3).map(|i| (i as f32 - 90.0) / 16.0).collect();
        let bf16s: Vec<u8> = numbers.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
        let f16s: Vec<u8> = numbers.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        for (bytes, code) in [(bf16s, Code::Bf16), (f16s, Code::F16)] {
            let panels = halves(&bytes, code, 3, 64, &|row| row).unwrap().unwrap();
            let mut row = vec![0f32; 64];
            for output in 0..3 {
                panels.row(output, &mut row);
                assert_eq!(row, numbers[output * 64..(output + 1) * 64], "{code:?}");
            }
            assert!(halves(&bytes, code, 3, 48, &|row| row).unwrap().is_none());
            assert!(halves(&bytes, code, 4, 64, &|row| row).is_err());
        }
    }
}
