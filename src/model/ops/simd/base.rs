//! The portable level: plain loops, which LLVM makes vectors of where it can.

#![allow(unsafe_code)] // Vector loads by pointer.
#![allow(clippy::inline_always)] // As in the module above.

use super::Simd;

/// The portable level.
#[derive(Clone, Copy)]
pub struct Base;

impl Simd for Base {
    type V = [f32; 4];
    type I = [u32; 4];
    const LANES: usize = 4;
    const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

    #[inline(always)]
    fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }
    #[inline(always)]
    fn mul_add(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        [
            Self::fma(a[0], b[0], c[0]),
            Self::fma(a[1], b[1], c[1]),
            Self::fma(a[2], b[2], c[2]),
            Self::fma(a[3], b[3], c[3]),
        ]
    }
    #[inline(always)]
    fn sums(v: [[f32; 4]; 4]) -> [f32; 4] {
        v.map(|v| (v[0] + v[2]) + (v[1] + v[3]))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 4] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, count: usize) -> [f32; 4] {
        let mut v = [0.0; 4];
        for (i, v) in v.iter_mut().enumerate().take(count) {
            // SAFETY: the caller's promise.
            *v = unsafe { *p.add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 4]) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    fn prefetch(_: *const f32) {}
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| Self::load(from.add(row * stride)));
            for i in 0..4 {
                Self::store(to.add(i * to_stride), [a[i], b[i], c[i], d[i]]);
            }
        }
    }
    #[inline(always)]
    unsafe fn load_words(p: *const u32) -> [u32; 4] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    fn larger(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i].abs() > b[i] { a[i].abs() } else { b[i] })
    }
    #[inline(always)]
    fn largest(v: [f32; 4]) -> f32 {
        v[0].max(v[2]).max(v[1].max(v[3]))
    }
    #[inline(always)]
    unsafe fn store_whole(p: *mut i16, v: [f32; 4]) -> [f32; 4] {
        // Leaves the nearest whole number in the lowest bits of numbers below 2^22.
        const ROUNDING: f32 = 12_582_912.0;
        let rounded = v.map(|x| x + ROUNDING);
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[i16; 4]>().write_unaligned(rounded.map(|x| x.to_bits() as i16)) };
        rounded.map(|x| x - ROUNDING)
    }
    #[inline(always)]
    unsafe fn store_words(p: *mut u32, words: [u32; 4]) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u32; 4]>().write_unaligned(words) }
    }
    #[inline(always)]
    fn no_words() -> [u32; 4] {
        [0; 4]
    }
    #[inline(always)]
    unsafe fn splat_pair(p: *const i16) -> [u32; 4] {
        // SAFETY: the caller's promise.
        [unsafe { p.cast::<u32>().read_unaligned() }; 4]
    }
    #[inline(always)]
    fn nibbles<const SHIFT: u32>(words: [u32; 4]) -> [u32; 4] {
        words.map(|word| word >> SHIFT & 0x000F_000F)
    }
    #[inline(always)]
    fn low_bytes(words: [u32; 4]) -> [u32; 4] {
        words.map(|word| pair((word << 8) as i16 >> 8, (word << 8 >> 16) as i16 >> 8))
    }
    #[inline(always)]
    fn high_bytes(words: [u32; 4]) -> [u32; 4] {
        words.map(|word| pair(word as i16 >> 8, (word >> 16) as i16 >> 8))
    }
    #[inline(always)]
    fn dot_pairs(mut sum: [u32; 4], a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        for (sum, (a, b)) in sum.iter_mut().zip(a.into_iter().zip(b)) {
            let low = i32::from(a as i16) * i32::from(b as i16);
            let high = (a as i32 >> 16) * (b as i32 >> 16);
            *sum = sum.wrapping_add(low as u32).wrapping_add(high as u32);
        }
        sum
    }
    #[inline(always)]
    fn whole(words: [u32; 4]) -> [f32; 4] {
        words.map(|word| word as i32 as f32)
    }
    #[inline(always)]
    fn lower(words: [u32; 4]) -> [f32; 4] {
        words.map(|word| f32::from(word as i16))
    }
    #[inline(always)]
    fn upper(words: [u32; 4]) -> [f32; 4] {
        words.map(|word| f32::from((word >> 16) as i16))
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> [f32; 4] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u16; 4]>().read_unaligned() }.map(|bits| half::f16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> [f32; 4] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u16; 4]>().read_unaligned() }.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
}

/// Two numbers of 16 bits in one word, the first in its lower half.
#[inline(always)]
fn pair(first: i16, second: i16) -> u32 {
    u32::from(first as u16) | u32::from(second as u16) << 16
}
