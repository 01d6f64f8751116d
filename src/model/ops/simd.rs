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

/// How wide the machine's vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the architecture has: `SSE2` or `NEON`.
    Base,
    /// AVX2 and FMA: 8 lanes, 16 registers.
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
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
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
}

/// The portable level.
#[derive(Clone, Copy)]
pub struct Base;

impl Simd for Base {
    type V = [f32; 4];
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
        [Self::fma(a[0], b[0], c[0]), Self::fma(a[1], b[1], c[1]), Self::fma(a[2], b[2], c[2]), Self::fma(a[3], b[3], c[3])]
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
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::{
        __m128, __m256, __m512, __mmask16, _mm_add_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_storeu_ps, _mm_unpackhi_ps,
        _mm_unpacklo_ps, _mm256_add_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_castps512_ps256, _mm512_extractf32x8_ps,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_storeu_ps,
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
    }

    impl Simd for Avx512 {
        type V = __m512;
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
            sums4(v.map(|v| halve8(halve16(v))))
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
                #[target_feature(enable = "avx2,fma")]
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

/// `e^x` to about 1 unit in the last place: `x = n ln 2 + r`, a polynomial in `r` (coefficients of Cephes' `expf`, Moshier
/// 1992), times `2^n`. 0 below -86.5, infinite above 88.72; `NaN` stays `NaN`.
#[inline(always)]
#[must_use]
pub fn exp<S: Simd>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits; SSE2 has no rounding instruction.
    const ROUND: f32 = 12_582_912.0;
    const LOW: f32 = -86.5;
    const HIGH: f32 = 88.722_84;
    let clamped = if x < LOW { LOW } else { x };
    let clamped = if clamped > HIGH { HIGH } else { clamped };
    let shifted = S::fma(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = S::fma(n, -0.693_359_4, clamped); // ln 2 in two parts: the first has few bits, so that the product is exact
    let r = S::fma(n, 2.121_944_4e-4, r);
    let mut p = S::fma(1.987_569_1e-4, r, 1.398_2e-3);
    p = S::fma(p, r, 8.333_452e-3);
    p = S::fma(p, r, 4.166_579_6e-2);
    p = S::fma(p, r, 1.666_666_5e-1);
    p = S::fma(p, r, 0.5);
    let y = S::fma(p * r, r, r) + 1.0;
    // 2^(n - 1), so that n = 128 does not overflow before the product does; n >= -125 here.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(126) << 23);
    let y = y * power * 2.0;
    let y = if x < LOW { 0.0 } else { y };
    if x > HIGH { f32::INFINITY } else { y }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
#[must_use]
pub fn sigmoid<S: Simd>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<S>(-x))
}

/// `x * sigmoid(x)`.
#[inline(always)]
#[must_use]
pub fn silu<S: Simd>(x: f32) -> f32 {
    x * sigmoid::<S>(x)
}

/// The derivative of [`silu`].
#[inline(always)]
#[must_use]
pub fn silu_slope<S: Simd>(x: f32) -> f32 {
    let s = sigmoid::<S>(x);
    s * S::fma(x, 1.0 - s, 1.0)
}

/// `sqrt(2 / pi)` and `0.044715`, the constants of the tanh approximation of `GELU` (Hendrycks & Gimpel 2016).
const GELU: (f32, f32) = (0.797_884_6, 0.044_715);

/// `GELU` by its tanh approximation, written as `x * sigmoid(2u)`, which is exact also where tanh would cancel.
#[inline(always)]
#[must_use]
pub fn gelu_tanh<S: Simd>(x: f32) -> f32 {
    let u = GELU.0 * x * S::fma(GELU.1 * x, x, 1.0);
    x * sigmoid::<S>(2.0 * u)
}

/// The derivative of [`gelu_tanh`].
#[inline(always)]
#[must_use]
pub fn gelu_tanh_slope<S: Simd>(x: f32) -> f32 {
    let u = GELU.0 * x * S::fma(GELU.1 * x, x, 1.0);
    let s = sigmoid::<S>(2.0 * u);
    let du = GELU.0 * S::fma(3.0 * GELU.1 * x, x, 1.0);
    S::fma(2.0 * x * du * s, 1.0 - s, s)
}

/// The error function to about 1 unit in the last place: two polynomials, after N. Juffa's `erff` (2018).
#[inline(always)]
#[must_use]
pub fn erf<S: Simd>(x: f32) -> f32 {
    let t = x.abs();
    let t = if t > 4.0 { 4.0 } else { t }; // erf(4) rounds to 1
    let s = t * t;
    let mut far = S::fma(-1.728_534_7e-5, t, 3.831_971_3e-4);
    far = S::fma(far, s, S::fma(-3.883_964_4e-3, t, 2.425_462_2e-2));
    far = S::fma(far, t, -1.067_778_8e-1);
    far = S::fma(far, t, -6.348_467e-1);
    far = S::fma(far, t, -1.287_175_1e-1);
    far = S::fma(far, t, -t);
    let far = 1.0 - exp::<S>(far);
    let mut near = S::fma(-5.967_617e-4, s, 4.991_194_2e-3);
    near = S::fma(near, s, -2.676_813_5e-2);
    near = S::fma(near, s, 1.128_199_25e-1);
    near = S::fma(near, s, -3.761_253_4e-1);
    near = S::fma(near, s, 1.283_791_7e-1);
    let near = S::fma(near, t, t);
    let y = if t > 0.927_734_4 { far } else { near };
    y.copysign(x)
}

/// `GELU` by the error function: `x * (1 + erf(x / sqrt 2)) / 2`.
#[inline(always)]
#[must_use]
pub fn gelu_erf<S: Simd>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<S>(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The derivative of [`gelu_erf`].
#[inline(always)]
#[must_use]
pub fn gelu_erf_slope<S: Simd>(x: f32) -> f32 {
    const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
    let below = 0.5 * (1.0 + erf::<S>(x * std::f32::consts::FRAC_1_SQRT_2));
    S::fma(x * DENSITY, exp::<S>(-0.5 * x * x), below)
}

#[cfg(test)]
mod tests {
    use super::*;

    multiversion! { fn exps<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = exp::<S>(*x); } } }
    multiversion! { fn silus<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = silu::<S>(*x); } } }
    multiversion! { fn erfs<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = erf::<S>(*x); } } }
    multiversion! { fn gelus<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = gelu_tanh::<S>(*x); } } }
    multiversion! { fn dot_of<S>(a: &[f32], b: &[f32]) -> f32 { dot::<S>(a, b) } }
    multiversion! { fn sum_of<S>(a: &[f32]) -> f32 { sum::<S>(a) } }

    /// `erf` in `f64` by its Taylor series, good to 1e-13 for `|x| < 4`.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    fn grid(low: f32, high: f32) -> Vec<f32> {
        (0..40_001u16).map(|i| low + (high - low) * f32::from(i) / 40_000.0).collect()
    }

    fn worst(xs: &[f32], ys: &[f32], exact: impl Fn(f64) -> f64, floor: f64) -> f64 {
        xs.iter().zip(ys).fold(0.0, |worst, (&x, &y)| {
            let e = exact(f64::from(x));
            f64::max(worst, (f64::from(y) - e).abs() / e.abs().max(floor))
        })
    }

    #[test]
    fn exp_is_right_to_the_last_places_and_keeps_the_extremes() {
        let xs = grid(-86.0, 88.7);
        let mut ys = xs.clone();
        exps(&mut ys);
        assert!(worst(&xs, &ys, f64::exp, 0.0) < 2e-7);
        let base: Vec<f32> = xs.iter().map(|&x| exp::<Base>(x)).collect();
        assert!(worst(&xs, &base, f64::exp, 0.0) < 2e-7);
        let mut odd = [f32::NEG_INFINITY, -1000.0, 0.0, f32::INFINITY, f32::NAN];
        exps(&mut odd);
        assert_eq!(&odd[..4], &[0.0, 0.0, 1.0, f32::INFINITY]);
        assert!(odd[4].is_nan());
    }

    #[test]
    fn activations_agree_with_their_formulas() {
        let xs = grid(-12.0, 12.0);
        let apply = |f: fn(&mut [f32])| {
            let mut ys = xs.clone();
            f(&mut ys);
            ys
        };
        assert!(worst(&xs, &apply(silus), |x| x / (1.0 + (-x).exp()), 1e-30) < 4e-7);
        let small = grid(-4.0, 4.0);
        let mut ys = small.clone();
        erfs(&mut ys);
        assert!(worst(&small, &ys, erf_series, 1e-30) < 2e-7);
        let tanh = |x: f64| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh());
        assert!(worst(&xs, &apply(gelus), tanh, 1e-3) < 1e-6);
    }

    #[test]
    fn slopes_are_those_of_the_activations() {
        for (f, slope) in [
            (silu::<Base> as fn(f32) -> f32, silu_slope::<Base> as fn(f32) -> f32),
            (gelu_tanh::<Base>, gelu_tanh_slope::<Base>),
            (gelu_erf::<Base>, gelu_erf_slope::<Base>),
        ] {
            for x in grid(-6.0, 6.0).into_iter().step_by(97) {
                let h = 1e-2;
                let difference = (f64::from(f(x + h)) - f64::from(f(x - h))) / f64::from((x + h) - (x - h));
                assert!((difference - f64::from(slope(x))).abs() < 2e-4, "at {x}: {difference} and {}", slope(x));
            }
        }
    }

    #[test]
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
