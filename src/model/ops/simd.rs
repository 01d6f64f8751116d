//! Vector instructions chosen at run time: one binary for every machine.
//!
//! The crate is compiled for the plainest processor of its architecture. [`multiversion!`](crate::multiversion) compiles
//! one function body three times (AVX-512, AVX2 with FMA, portable) and picks the widest the machine has; `NEON` is part
//! of every aarch64 and needs no choice. A body is written over a level `S`: scalar formulas in `S::fma` and the
//! elementwise functions below, which LLVM turns into vectors when they stand in a plain loop over slices, and explicit
//! vectors `S::V` where registers are to be managed by hand (matrix products).
//!
//! Results are the same bit for bit on one machine whatever the batch; between levels they differ by rounding, since
//! the portable level has no fused multiply-add and the lanes are fewer.

#![allow(unsafe_code)] // Calling a function compiled for more instructions, after asking the processor; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use std::sync::atomic::{AtomicU8, Ordering};

pub use super::elementary::{
    erf, exp, exponentials, gelu_erf, gelu_erf_slope, gelu_tanh, gelu_tanh_slope, sigmoid, silu, silu_slope,
};

/// How wide the machine's vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the architecture has: `SSE2` or `NEON`.
    Base,
    /// AVX2, FMA and F16C: 8 lanes, 16 registers.
    Avx2,
    /// AVX-512 F, BW, DQ, VL: 16 lanes, 32 registers.
    Avx512,
}

impl Level {
    /// The level's name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Base if cfg!(target_arch = "aarch64") => "neon",
            Level::Base => "base",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

/// The widest level this machine has; asked of the processor once.
#[must_use]
#[inline]
pub fn level() -> Level {
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        1 => Level::Base,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => {
            let found = detect();
            KNOWN.store(found as u8 + 1, Ordering::Relaxed);
            found
        }
    }
}

#[cold]
fn detect() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if avx2 && avx512 {
            return Level::Avx512;
        }
        if avx2 {
            return Level::Avx2;
        }
    }
    Level::Base
}

/// A level's arithmetic. Only [`multiversion!`](crate::multiversion) and kernels that have asked [`level`] may name an
/// implementor other than [`Base`]: its vector operations are instructions that another machine does not have.
pub trait Simd: Copy {
    /// A vector of [`Simd::LANES`] numbers.
    type V: Copy;
    /// A vector of [`Simd::LANES`] words of 32 bits that hold packed codes.
    type I: Copy;
    /// Numbers in a vector.
    const LANES: usize;
    /// Whether [`Simd::fma`] rounds once.
    const FUSED: bool;

    /// `a * b + c`, rounded once where the machine can; never a library call.
    #[inline(always)]
    #[must_use]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }

    /// All lanes `x`.
    fn splat(x: f32) -> Self::V;
    /// Lane by lane sum.
    fn add(a: Self::V, b: Self::V) -> Self::V;
    /// Lane by lane product.
    fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// Lane by lane [`Simd::fma`].
    fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The sums over the lanes of four vectors. The order of additions is that of halving (lane `i` with lane
    /// `i + LANES / 2`, and so on down), the same for each of the four.
    fn sums(v: [Self::V; 4]) -> [f32; 4];

    /// Reads [`Simd::LANES`] numbers at `p`.
    ///
    /// # Safety
    /// They must lie within one allocation that may be read.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Reads `count < LANES` numbers at `p`; the other lanes are 0.
    ///
    /// # Safety
    /// The `count` numbers must lie within one allocation that may be read.
    unsafe fn load_part(p: *const f32, count: usize) -> Self::V;
    /// Writes [`Simd::LANES`] numbers at `p`.
    ///
    /// # Safety
    /// They must lie within one allocation that may be written.
    unsafe fn store(p: *mut f32, v: Self::V);

    /// Reads [`Simd::LANES`] words at `p`.
    ///
    /// # Safety
    /// They must lie within one allocation that may be read.
    unsafe fn load_words(p: *const u32) -> Self::I;
    /// Bits `SHIFT..SHIFT + 4` of each word, as a number of `0..=15`.
    fn nibble<const SHIFT: u32>(words: Self::I) -> Self::V;
    /// Bits `24 - LEFT..32 - LEFT` of each word, as a number of `-128..=127`.
    fn byte<const LEFT: u32>(words: Self::I) -> Self::V;
    /// Reads [`Simd::LANES`] half-precision numbers at `p`.
    ///
    /// # Safety
    /// As [`Simd::load_words`].
    unsafe fn load_f16(p: *const u16) -> Self::V;
    /// Reads [`Simd::LANES`] `bfloat16` numbers at `p`.
    ///
    /// # Safety
    /// As [`Simd::load_words`].
    unsafe fn load_bf16(p: *const u16) -> Self::V;
}

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
    unsafe fn load_words(p: *const u32) -> [u32; 4] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    fn nibble<const SHIFT: u32>(words: [u32; 4]) -> [f32; 4] {
        words.map(|word| (word >> SHIFT & 15) as f32)
    }
    #[inline(always)]
    fn byte<const LEFT: u32>(words: [u32; 4]) -> [f32; 4] {
        words.map(|word| ((word << LEFT) as i32 >> 24) as f32)
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::{
        __m128, __m256, __m256i, __m512, __m512i, __mmask16, _mm_add_ps, _mm_loadu_si128, _mm_movehl_ps, _mm_movelh_ps,
        _mm_storeu_ps, _mm_unpackhi_ps, _mm_unpacklo_ps, _mm256_add_ps, _mm256_and_si256, _mm256_castps256_ps128,
        _mm256_castsi256_ps, _mm256_cvtepi32_ps, _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_extractf128_ps,
        _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_slli_epi32, _mm256_sllv_epi32, _mm256_srai_epi32, _mm256_srlv_epi32, _mm256_storeu_ps, _mm512_add_ps,
        _mm512_castps512_ps256, _mm512_castsi512_ps, _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32, _mm512_cvtph_ps,
        _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_maskz_loadu_ps,
        _mm512_mul_ps, _mm512_permutexvar_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_ps, _mm512_slli_epi32,
        _mm512_sllv_epi32, _mm512_srai_epi32, _mm512_srlv_epi32, _mm512_storeu_ps,
    };

    /// The level of AVX2 with FMA.
    #[derive(Clone, Copy)]
    pub struct Avx2;
    /// The level of AVX-512.
    #[derive(Clone, Copy)]
    pub struct Avx512;

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
        unsafe fn load_words(p: *const u32) -> __m256i {
            unsafe { _mm256_loadu_si256(p.cast()) }
        }
        #[inline(always)]
        fn nibble<const SHIFT: u32>(words: __m256i) -> __m256 {
            unsafe {
                let right = _mm256_srlv_epi32(words, _mm256_set1_epi32(SHIFT as i32));
                _mm256_cvtepi32_ps(_mm256_and_si256(right, _mm256_set1_epi32(15)))
            }
        }
        #[inline(always)]
        fn byte<const LEFT: u32>(words: __m256i) -> __m256 {
            unsafe {
                let left = _mm256_sllv_epi32(words, _mm256_set1_epi32(LEFT as i32));
                _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(left))
            }
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

    impl Simd for Avx512 {
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
        unsafe fn load_words(p: *const u32) -> __m512i {
            unsafe { _mm512_loadu_si512(p.cast()) }
        }
        #[inline(always)]
        fn nibble<const SHIFT: u32>(words: __m512i) -> __m512 {
            // A permutation looks at the lowest four bits of each index alone: mask and conversion in one.
            unsafe {
                let table = _mm512_setr_ps(
                    0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
                );
                _mm512_permutexvar_ps(_mm512_srlv_epi32(words, _mm512_set1_epi32(SHIFT as i32)), table)
            }
        }
        #[inline(always)]
        fn byte<const LEFT: u32>(words: __m512i) -> __m512 {
            unsafe {
                let left = _mm512_sllv_epi32(words, _mm512_set1_epi32(LEFT as i32));
                _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(left))
            }
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
}
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Compiles a function for every [`Level`](crate::model::ops::simd::Level) and calls the machine's own.
///
/// ```
/// togi::multiversion! {
///     /// Adds `s * x` to `y`.
///     pub fn axpy<S>(s: f32, x: &[f32], y: &mut [f32]) {
///         for (y, x) in y.iter_mut().zip(x) {
///             *y = S::fma(s, *x, *y);
///         }
///     }
/// }
/// let mut y = [1.0, 2.0];
/// axpy(2.0, &[10.0, 20.0], &mut y);
/// assert_eq!(y, [21.0, 42.0]);
/// ```
///
/// `S` is the level within the body. What the body calls must be `#[inline(always)]` to be compiled for the level too.
#[macro_export]
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$S:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)] // The wrappers are entered only on machines that have their instructions.
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::inline_always, clippy::too_many_arguments, clippy::extra_unused_type_parameters)]
            fn body<$S: $crate::model::ops::simd::Simd>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::model::ops::simd::Avx512>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body::<$crate::model::ops::simd::Avx2>($($arg),*)
                }
                match $crate::model::ops::simd::level() {
                    // SAFETY: `level` has found the instructions on this machine.
                    $crate::model::ops::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::model::ops::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::model::ops::simd::Level::Base => {}
                }
            }
            body::<$crate::model::ops::simd::Base>($($arg),*)
        }
    };
}

/// `sum(a[i] * b[i])` over the shorter of the two; four vectors of partial sums, an order fixed by the length alone.
#[inline(always)]
#[must_use]
pub fn dot<S: Simd>(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (pa, pb) = (a.as_ptr(), b.as_ptr());
    let mut sums = [S::splat(0.0); 4];
    let step = 4 * S::LANES;
    let mut i = 0;
    // SAFETY: every load lies below `n`, the length of the shorter slice.
    unsafe {
        while i + step <= n {
            sums[0] = S::mul_add(S::load(pa.add(i)), S::load(pb.add(i)), sums[0]);
            let j = i + S::LANES;
            sums[1] = S::mul_add(S::load(pa.add(j)), S::load(pb.add(j)), sums[1]);
            let j = i + 2 * S::LANES;
            sums[2] = S::mul_add(S::load(pa.add(j)), S::load(pb.add(j)), sums[2]);
            let j = i + 3 * S::LANES;
            sums[3] = S::mul_add(S::load(pa.add(j)), S::load(pb.add(j)), sums[3]);
            i += step;
        }
        while i + S::LANES <= n {
            sums[0] = S::mul_add(S::load(pa.add(i)), S::load(pb.add(i)), sums[0]);
            i += S::LANES;
        }
        if i < n {
            sums[1] = S::mul_add(S::load_part(pa.add(i), n - i), S::load_part(pb.add(i), n - i), sums[1]);
        }
    }
    let sum = S::add(S::add(sums[0], sums[2]), S::add(sums[1], sums[3]));
    S::sums([sum; 4])[0]
}

/// `sum(a[i])`, in an order fixed by the length alone.
#[inline(always)]
#[must_use]
pub fn sum<S: Simd>(a: &[f32]) -> f32 {
    let (n, pa) = (a.len(), a.as_ptr());
    let mut sums = [S::splat(0.0); 2];
    let mut i = 0;
    // SAFETY: every load lies below `n`.
    unsafe {
        while i + 2 * S::LANES <= n {
            sums[0] = S::add(S::load(pa.add(i)), sums[0]);
            sums[1] = S::add(S::load(pa.add(i + S::LANES)), sums[1]);
            i += 2 * S::LANES;
        }
        if i + S::LANES <= n {
            sums[0] = S::add(S::load(pa.add(i)), sums[0]);
            i += S::LANES;
        }
        if i < n {
            sums[1] = S::add(S::load_part(pa.add(i), n - i), sums[1]);
        }
    }
    S::sums([S::add(sums[0], sums[1]); 4])[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    multiversion! { fn dot_of<S>(a: &[f32], b: &[f32]) -> f32 { dot::<S>(a, b) } }
    multiversion! { fn sum_of<S>(a: &[f32]) -> f32 { sum::<S>(a) } }

    #[test]
    #[allow(clippy::float_cmp)] // sums of small whole numbers are exact in any order
    fn sums_take_every_element_once_at_any_length() {
        for n in [0, 1, 3, 15, 16, 17, 63, 64, 65, 200] {
            let a: Vec<f32> = (0..n).map(|i| (i % 7) as f32 - 2.0).collect();
            let b: Vec<f32> = (0..n).map(|i| (i % 5) as f32 + 1.0).collect();
            let exact: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot_of(&a, &b), exact);
            assert_eq!(dot::<Base>(&a, &b), exact);
            assert_eq!(sum_of(&a), a.iter().sum::<f32>());
        }
    }
}
