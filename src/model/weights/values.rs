//! Stored numbers to `f32`: GGML blocks by candle, safetensors' floats by hand, rows of work in parallel.
//!
//! Knows bytes and element types; which tensor it is, or how its rows are ordered, is not its business.

use candle_core::CpuStorage;
use candle_core::quantized::GgmlDType;
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::Dtype;

/// Elements a thread turns at a time: a multiple of every block size, small enough to stay in its cache.
const CHUNK: usize = 1 << 16;

/// Turns GGML blocks into the floats of `out`.
///
/// # Errors
/// When `bytes` does not hold exactly as many elements, or candle cannot turn them.
pub fn from_ggml(bytes: &[u8], kind: GgmlDType, out: &mut [f32]) -> Result<(), String> {
    match kind {
        GgmlDType::F32 => return from_float(bytes, Dtype::F32, out),
        GgmlDType::F16 => return from_float(bytes, Dtype::F16, out),
        GgmlDType::BF16 => return from_float(bytes, Dtype::BF16, out),
        _ => {}
    }
    let (block, size, count) = (kind.block_size(), kind.type_size(), out.len());
    if !count.is_multiple_of(block) || (count / block).checked_mul(size) != Some(bytes.len()) {
        return Err(format!("{} bytes of {kind:?} are not {count} numbers", bytes.len()));
    }
    // candle looks at the bytes as blocks in place and asserts that they are aligned for it (4 at most).
    if bytes.as_ptr().align_offset(4) != 0 {
        return Err(format!("{kind:?} blocks are not aligned"));
    }
    let stored = bytes.par_chunks(CHUNK / block * size);
    out.par_chunks_mut(CHUNK).zip(stored).try_for_each(|(out, stored)| {
        match kind.from_data(stored.into()).dequantize(out.len()) {
            Ok(CpuStorage::F32(values)) if values.len() == out.len() => {
                out.copy_from_slice(&values);
                Ok(())
            }
            Ok(_) => Err(format!("{kind:?} blocks did not become floats")),
            Err(e) => Err(e.to_string()),
        }
    })
}

/// Turns little-endian `f32`, `f16` or `bf16` into the floats of `out`.
///
/// # Errors
/// When `bytes` does not hold exactly as many elements, or the type is another.
pub fn from_float(bytes: &[u8], kind: Dtype, out: &mut [f32]) -> Result<(), String> {
    match kind {
        Dtype::F32 => turn(bytes, out, f32::from_le_bytes),
        Dtype::F16 => turn(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => turn(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
        other => Err(format!("is stored as {other:?}, which is not read (F32, F16 and BF16 are)")),
    }
}

fn turn<const N: usize>(bytes: &[u8], out: &mut [f32], one: impl Fn([u8; N]) -> f32 + Sync) -> Result<(), String> {
    let (elements, rest) = bytes.as_chunks::<N>();
    if elements.len() != out.len() || !rest.is_empty() {
        return Err(format!("{} bytes are not {} numbers of {N} bytes", bytes.len(), out.len()));
    }
    out.par_chunks_mut(CHUNK).zip(elements.par_chunks(CHUNK)).for_each(|(out, stored)| {
        for (value, &bytes) in out.iter_mut().zip(stored) {
            *value = one(bytes);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_type_is_read() {
        let wanted = [1.0, -0.5, 0.0, 384.0];
        let f32s: Vec<u8> = wanted.iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
        let f16s: Vec<u8> = wanted.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let bf16s: Vec<u8> = wanted.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
        for (bytes, kind) in [(f32s, Dtype::F32), (f16s, Dtype::F16), (bf16s, Dtype::BF16)] {
            let mut values = vec![9.0; 4];
            from_float(&bytes, kind, &mut values).unwrap();
            assert_eq!(values, wanted);
            assert!(from_float(&bytes, kind, &mut [0.0; 3]).is_err());
            assert!(from_float(&bytes[1..], kind, &mut [0.0; 4]).is_err());
        }
        assert!(from_float(&[0; 8], Dtype::I64, &mut [0.0]).unwrap_err().contains("I64"));
    }

    #[test]
    fn blocks_become_scale_times_quant_across_chunks() {
        // Q8_0: a half-precision scale and 32 signed bytes. More blocks than one chunk holds.
        let blocks = CHUNK / 32 + 3;
        let mut bytes = Vec::new();
        for block in 0..blocks {
            bytes.extend(f16::from_f32(if block % 2 == 0 { 0.5 } else { 2.0 }).to_le_bytes());
            bytes.extend((0..32u8).map(|i| i.wrapping_sub(16)));
        }
        let mut values = vec![0.0; blocks * 32];
        from_ggml(&bytes, GgmlDType::Q8_0, &mut values).unwrap();
        assert_eq!((values[0], values[31], values[32]), (-8.0, 7.5, -32.0));
        assert_eq!(values[(blocks - 1) * 32..], values[..32]);
        assert!(from_ggml(&bytes[..33], GgmlDType::Q8_0, &mut [0.0; 32]).unwrap_err().contains("Q8_0"));
    }
}
