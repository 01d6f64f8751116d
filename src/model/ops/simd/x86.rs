//! The levels of x86: AVX2 and AVX-512.

#![allow(unsafe_code)] // Instructions that only some processors have, and vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::Simd;
use std::arch::x86_64::{
    __m128, __m256, __m256i, __m512, __m512i, __mmask16, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0,
    _mm_add_ps, _mm_cvtss_f32, _mm_loadu_ps, _mm_loadu_si128, _mm_max_ps, _mm_max_ss, _mm_movehdup_ps, _mm_movehl_ps,
    _mm_movelh_ps, _mm_packs_epi32, _mm_prefetch, _mm_storeu_ps, _mm_storeu_si128, _mm_unpackhi_ps, _mm_unpacklo_ps,
    _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256, _mm256_andnot_ps, _mm256_castps256_ps128, _mm256_castsi256_ps,
    _mm256_castsi256_si128, _mm256_cvtepi32_ps, _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_cvtps_epi32,
    _mm256_extractf128_ps, _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_max_ps, _mm256_mul_ps, _mm256_round_ps, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_set1_ps, _mm256_setzero_si256, _mm256_shuffle_ps, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srai_epi16,
    _mm256_srai_epi32, _mm256_srlv_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_unpackhi_ps,
    _mm256_unpacklo_ps, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_castps128_ps512,
    _mm512_castps512_ps128, _mm512_castps512_ps256, _mm512_castsi512_ps, _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32,
    _mm512_cvtph_ps, _mm512_cvtps_epi32, _mm512_cvtsepi32_epi16, _mm512_dpwssd_epi32, _mm512_extractf32x4_ps,
    _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_insertf32x4, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_madd_epi16, _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_roundscale_ps, _mm512_set1_epi16,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_ps, _mm512_slli_epi16,
    _mm512_slli_epi32, _mm512_srai_epi16, _mm512_srai_epi32, _mm512_srlv_epi32, _mm512_storeu_ps, _mm512_storeu_si512,
    _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};

/// The level of AVX2 with FMA.
#[derive(Clone, Copy)]
pub struct Avx2;
/// The level of AVX-512, with or without instructions that multiply pairs of whole numbers and add them up.
#[derive(Clone, Copy)]
pub struct Wide<const VNNI: bool>;
/// The level of AVX-512.
pub type Avx512 = Wide<false>;
/// The level of AVX-512 with VNNI, for products of whole numbers.
pub type Avx512Vnni = Wide<true>;

/// The sums of four vectors of four: a transposition and three additions, `(0 + 2) + (1 + 3)` for each.
#[inline(always)]
fn sums4(v: [__m128; 4]) -> [f32; 4] {
    // SAFETY: SSE is part of every x86-64; the store goes to a local array of four.
    unsafe {
        let ab_lo = _mm_unpacklo_ps(v[0], v[1]); // a0 b0 a1 b1
        let ab_hi = _mm_unpackhi_ps(v[0], v[1]); // a2 b2 a3 b3
        let cd_lo = _mm_unpacklo_ps(v[2], v[3]);
        let cd_hi = _mm_unpackhi_ps(v[2], v[3]);
        let ab = _mm_add_ps(ab_lo, ab_hi); // a0+a2 b0+b2 a1+a3 b1+b3
        let cd = _mm_add_ps(cd_lo, cd_hi);
        let sum = _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
        let mut out = [0.0; 4];
        _mm_storeu_ps(out.as_mut_ptr(), sum);
        out
    }
}

#[inline(always)]
fn halve8(v: __m256) -> __m128 {
    // SAFETY: reached only where AVX2 was found.
    unsafe { _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v)) }
}

/// The largest of eight lanes.
#[inline(always)]
fn largest8(v: __m256) -> f32 {
    // SAFETY: reached only where AVX2 was found.
    unsafe {
        let four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
    }
}

#[inline(always)]
fn halve16(v: __m512) -> __m256 {
    // SAFETY: reached only where AVX-512 was found.
    unsafe { _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)) }
}

// SAFETY (both impls): an implementor's operations run only inside wrappers entered after `level()` named it.
impl Simd for Avx2 {
    type V = __m256;
    type I = __m256i;
    const LANES: usize = 8;
    const FUSED: bool = true;

    #[inline(always)]
    fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sums(v: [__m256; 4]) -> [f32; 4] {
        sums4([halve8(v[0]), halve8(v[1]), halve8(v[2]), halve8(v[3])])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, count: usize) -> __m256 {
        let mut part = [0.0; 8];
        unsafe {
            std::ptr::copy_nonoverlapping(p, part.as_mut_ptr(), count.min(8));
            _mm256_loadu_ps(part.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    fn prefetch(p: *const f32) {
        // SAFETY: asking for a line reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            let (a, b) = (Self::load(from), Self::load(from.add(stride)));
            let (c, d) = (Self::load(from.add(2 * stride)), Self::load(from.add(3 * stride)));
            // Of each half: a0 b0 a1 b1, a2 b2 a3 b3, and so of c and d.
            let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let turned = [
                _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
                _mm256_shuffle_ps::<0xEE>(ab_low, cd_low),
                _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm256_shuffle_ps::<0xEE>(ab_high, cd_high),
            ];
            for (i, turned) in turned.into_iter().enumerate() {
                let to = to.add(i * to_stride);
                _mm_storeu_ps(to, _mm256_castps256_ps128(turned));
                _mm_storeu_ps(to.add(4 * to_stride), _mm256_extractf128_ps::<1>(turned));
            }
        }
    }
    #[inline(always)]
    unsafe fn load_words(p: *const u32) -> __m256i {
        unsafe { _mm256_loadu_si256(p.cast()) }
    }
    #[inline(always)]
    fn larger(a: __m256, b: __m256) -> __m256 {
        // The second where either is no number.
        unsafe { _mm256_max_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a), b) }
    }
    #[inline(always)]
    fn largest(v: __m256) -> f32 {
        largest8(v)
    }
    #[inline(always)]
    unsafe fn store_whole(p: *mut i16, v: __m256) -> __m256 {
        unsafe {
            let words = _mm256_cvtps_epi32(v);
            let halves = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(p.cast(), halves);
            _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v)
        }
    }
    #[inline(always)]
    unsafe fn store_words(p: *mut u32, words: __m256i) {
        unsafe { _mm256_storeu_si256(p.cast(), words) }
    }
    #[inline(always)]
    fn no_words() -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn splat_pair(p: *const i16) -> __m256i {
        unsafe { _mm256_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    fn nibbles<const SHIFT: u32>(words: __m256i) -> __m256i {
        unsafe {
            let right = _mm256_srlv_epi32(words, _mm256_set1_epi32(SHIFT as i32));
            _mm256_and_si256(right, _mm256_set1_epi16(15))
        }
    }
    #[inline(always)]
    fn low_bytes(words: __m256i) -> __m256i {
        unsafe { _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(words)) }
    }
    #[inline(always)]
    fn high_bytes(words: __m256i) -> __m256i {
        unsafe { _mm256_srai_epi16::<8>(words) }
    }
    #[inline(always)]
    fn dot_pairs(sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)) }
    }
    #[inline(always)]
    fn whole(words: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(words) }
    }
    #[inline(always)]
    fn lower(words: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(_mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(words))) }
    }
    #[inline(always)]
    fn upper(words: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(_mm256_srai_epi32::<16>(words)) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> __m256 {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> __m256 {
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())))) }
    }
}

impl<const VNNI: bool> Simd for Wide<VNNI> {
    type V = __m512;
    type I = __m512i;
    const LANES: usize = 16;
    const FUSED: bool = true;

    #[inline(always)]
    fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sums(v: [__m512; 4]) -> [f32; 4] {
        // Written out: a closure would be compiled without the level's instructions.
        sums4([halve8(halve16(v[0])), halve8(halve16(v[1])), halve8(halve16(v[2])), halve8(halve16(v[3]))])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, count: usize) -> __m512 {
        let mask: __mmask16 = (1u16 << count.min(15)) - 1;
        unsafe { _mm512_maskz_loadu_ps(mask, p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    fn prefetch(p: *const f32) {
        // SAFETY: asking for a line reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn turn_square(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            for four in 0..4 {
                let from = from.add(4 * four);
                // Four numbers of rows `i`, `i + 4`, `i + 8` and `i + 12`, put together as they are read.
                let mut rows = [_mm512_setzero_ps(); 4];
                for (i, row) in rows.iter_mut().enumerate() {
                    let from = from.add(i * stride);
                    let first = _mm512_castps128_ps512(_mm_loadu_ps(from));
                    let two = _mm512_insertf32x4::<1>(first, _mm_loadu_ps(from.add(4 * stride)));
                    let three = _mm512_insertf32x4::<2>(two, _mm_loadu_ps(from.add(8 * stride)));
                    *row = _mm512_insertf32x4::<3>(three, _mm_loadu_ps(from.add(12 * stride)));
                }
                let [a, b, c, d] = rows;
                let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let to = to.add(4 * four * to_stride);
                Self::store(to, _mm512_shuffle_ps::<0x44>(ab_low, cd_low));
                Self::store(to.add(to_stride), _mm512_shuffle_ps::<0xEE>(ab_low, cd_low));
                Self::store(to.add(2 * to_stride), _mm512_shuffle_ps::<0x44>(ab_high, cd_high));
                Self::store(to.add(3 * to_stride), _mm512_shuffle_ps::<0xEE>(ab_high, cd_high));
            }
        }
    }
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            let (a, b) = (Self::load(from), Self::load(from.add(stride)));
            let (c, d) = (Self::load(from.add(2 * stride)), Self::load(from.add(3 * stride)));
            // Of each quarter: a0 b0 a1 b1, a2 b2 a3 b3, and so of c and d.
            let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let turned = [
                _mm512_shuffle_ps::<0x44>(ab_low, cd_low),
                _mm512_shuffle_ps::<0xEE>(ab_low, cd_low),
                _mm512_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm512_shuffle_ps::<0xEE>(ab_high, cd_high),
            ];
            for (i, turned) in turned.into_iter().enumerate() {
                let to = to.add(i * to_stride);
                _mm_storeu_ps(to, _mm512_castps512_ps128(turned));
                _mm_storeu_ps(to.add(4 * to_stride), _mm512_extractf32x4_ps::<1>(turned));
                _mm_storeu_ps(to.add(8 * to_stride), _mm512_extractf32x4_ps::<2>(turned));
                _mm_storeu_ps(to.add(12 * to_stride), _mm512_extractf32x4_ps::<3>(turned));
            }
        }
    }
    #[inline(always)]
    unsafe fn load_words(p: *const u32) -> __m512i {
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    fn larger(a: __m512, b: __m512) -> __m512 {
        // The second where either is no number.
        unsafe { _mm512_max_ps(_mm512_abs_ps(a), b) }
    }
    #[inline(always)]
    fn largest(v: __m512) -> f32 {
        unsafe { largest8(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))) }
    }
    #[inline(always)]
    unsafe fn store_whole(p: *mut i16, v: __m512) -> __m512 {
        unsafe {
            _mm256_storeu_si256(p.cast(), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
            _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v)
        }
    }
    #[inline(always)]
    unsafe fn store_words(p: *mut u32, words: __m512i) {
        unsafe { _mm512_storeu_si512(p.cast(), words) }
    }
    #[inline(always)]
    fn no_words() -> __m512i {
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn splat_pair(p: *const i16) -> __m512i {
        unsafe { _mm512_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    fn nibbles<const SHIFT: u32>(words: __m512i) -> __m512i {
        unsafe {
            let right = _mm512_srlv_epi32(words, _mm512_set1_epi32(SHIFT as i32));
            _mm512_and_si512(right, _mm512_set1_epi16(15))
        }
    }
    #[inline(always)]
    fn low_bytes(words: __m512i) -> __m512i {
        unsafe { _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(words)) }
    }
    #[inline(always)]
    fn high_bytes(words: __m512i) -> __m512i {
        unsafe { _mm512_srai_epi16::<8>(words) }
    }
    #[inline(always)]
    fn dot_pairs(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        unsafe { if VNNI { _mm512_dpwssd_epi32(sum, a, b) } else { _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)) } }
    }
    #[inline(always)]
    fn whole(words: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(words) }
    }
    #[inline(always)]
    fn lower(words: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_srai_epi32::<16>(_mm512_slli_epi32::<16>(words))) }
    }
    #[inline(always)]
    fn upper(words: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_srai_epi32::<16>(words)) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())))) }
    }
}
