//! Vector instructions chosen at run time: one binary for every machine.
//!
//! The crate is compiled for the plainest processor of its architecture. [`multiversion!`](crate::multiversion) compiles
//! one function body three times (AVX-512, AVX2 with FMA, portable) and picks the widest the machine has; `NEON` is part
//! of every aarch64 and needs no choice. `fn f<S, whole>` is compiled a fourth time, for AVX-512 with VNNI, which multiplies pairs
//! of whole numbers and adds them up in one instruction. A body is written over a level `S`: scalar formulas in `S::fma` and the
//! elementwise functions below, which LLVM turns into vectors when they stand in a plain loop over slices, and explicit
//! vectors `S::V` where registers are to be managed by hand (matrix products).
//!
//! Results are the same bit for bit on one machine whatever the batch; between levels they differ by rounding, since
//! the portable level has no fused multiply-add and the lanes are fewer.
//!
//! `TOGI_SIMD=base`, `avx2` or `avx512` in the environment lowers the level to that one, so that a wide machine can try what a
//! narrower one computes; it never raises it. At the portable level the products of training are the `gemm` crate's, which
//! chooses its instructions by itself.

#![allow(unsafe_code)] // Calling a function compiled for more instructions, after asking the processor; vector loads by pointer.
#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

mod base;
#[cfg(target_arch = "x86_64")]
mod x86;

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

/// The level in use: the widest this machine has, or the lower one that `TOGI_SIMD` names. Found out once.
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

/// The environment variable that lowers the level.
const VARIABLE: &str = "TOGI_SIMD";

#[cold]
fn detect() -> Level {
    lowered(widest(), std::env::var(VARIABLE).ok().as_deref())
}

/// The lower of the level that was found and the one that is asked for by name. None is over AVX-512, so its name changes
/// nothing, and neither does a name that no level has.
fn lowered(found: Level, asked: Option<&str>) -> Level {
    match asked {
        Some("base") => Level::Base,
        Some("avx2") => found.min(Level::Avx2),
        _ => found,
    }
}

fn widest() -> Level {
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
/// implementor other than [`Base`]: its vector operations are instructions that another machine does not have (for
/// `Avx512Vnni` it is [`vnni`] that must have been asked).
pub trait Simd: Copy {
    /// A vector of [`Simd::LANES`] numbers.
    type V: Copy;
    /// A vector of [`Simd::LANES`] words of 32 bits: packed codes, pairs of whole numbers of 16 bits, or whole numbers.
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

    /// Asks for the line of the cache at `p`, which need not be there.
    fn prefetch(p: *const f32);

    /// Transposes: four rows of [`Simd::LANES`] numbers, `stride` apart at `from`, become that many rows of four,
    /// `to_stride` apart at `to`.
    ///
    /// # Safety
    /// All numbers must lie within allocations that may be read, and written.
    unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize);

    /// [`Simd::turn`] of [`Simd::LANES`] rows, which become that many rows of as many.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn turn_square(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        for row in (0..Self::LANES).step_by(4) {
            // SAFETY: the caller's promise.
            unsafe { Self::turn(from.add(row * stride), stride, to.add(row), to_stride) };
        }
    }

    /// Reads [`Simd::LANES`] words at `p`.
    ///
    /// # Safety
    /// They must lie within one allocation that may be read.
    unsafe fn load_words(p: *const u32) -> Self::I;
    /// Lane by lane the larger of `|a|` and `b`, which is not negative; `b` where `a` is no number.
    fn larger(a: Self::V, b: Self::V) -> Self::V;
    /// The largest lane.
    fn largest(v: Self::V) -> f32;
    /// Writes the nearest whole numbers at `p`, in 16 bits, and returns them: of numbers between -32,767 and 32,767; of a lane that is no
    /// number, any and that lane.
    ///
    /// # Safety
    /// The [`Simd::LANES`] numbers must lie within one allocation that may be written.
    unsafe fn store_whole(p: *mut i16, v: Self::V) -> Self::V;
    /// Writes [`Simd::LANES`] words at `p`.
    ///
    /// # Safety
    /// They must lie within one allocation that may be written.
    unsafe fn store_words(p: *mut u32, words: Self::I);
    /// All words 0.
    fn no_words() -> Self::I;
    /// Reads the two whole numbers of 16 bits at `p` and repeats them in each word.
    ///
    /// # Safety
    /// They must lie within one allocation that may be read.
    unsafe fn splat_pair(p: *const i16) -> Self::I;
    /// Bits `SHIFT..SHIFT + 4` of each half of a word, as two whole numbers of `0..=15`.
    fn nibbles<const SHIFT: u32>(words: Self::I) -> Self::I;
    /// The lower bytes of each half of a word, as two whole numbers of `-128..=127`.
    fn low_bytes(words: Self::I) -> Self::I;
    /// The upper bytes of each half of a word, as [`Simd::low_bytes`].
    fn high_bytes(words: Self::I) -> Self::I;
    /// `sum + a.0 * b.0 + a.1 * b.1` of each word, `a` and `b` two signed numbers of 16 bits, the sum one of 32.
    fn dot_pairs(sum: Self::I, a: Self::I, b: Self::I) -> Self::I;
    /// Each word, a signed number, as the nearest `f32`.
    fn whole(words: Self::I) -> Self::V;
    /// The lower half of each word, a signed number of 16 bits.
    fn lower(words: Self::I) -> Self::V;
    /// The upper half of each word, a signed number of 16 bits.
    fn upper(words: Self::I) -> Self::V;
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

pub use base::Base;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Avx512Vnni};

/// Whether the machine has instructions that multiply whole numbers and add them up (AVX-512 VNNI), at the level in use.
#[must_use]
#[inline]
pub fn vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        level() == Level::Avx512 && is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

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
/// `S` is the level within the body; `<S, whole>` adds a copy for machines with VNNI. What the body calls must be `#[inline(always)]` to be compiled for the level too.
#[macro_export]
macro_rules! multiversion {
    (@vnni whole, $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {
        #[cfg(target_arch = "x86_64")]
        if $crate::model::ops::simd::vnni() {
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
            fn vnni($($arg: $ty),*) $(-> $ret)? {
                body::<$crate::model::ops::simd::Avx512Vnni>($($arg),*)
            }
            // SAFETY: `vnni` has found the instructions on this machine.
            return unsafe { vnni($($arg),*) };
        }
    };
    (@vnni, $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {};
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$S:ident $(, $whole:ident)?>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)] // The wrappers are entered only on machines that have their instructions.
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::inline_always, clippy::too_many_arguments, clippy::extra_unused_type_parameters)]
            fn body<$S: $crate::model::ops::simd::Simd>($($arg: $ty),*) $(-> $ret)? $body
            $crate::multiversion!(@vnni $($whole)?, $name($($arg: $ty),*) $(-> $ret)?);
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
    fn what_is_asked_for_lowers_the_level_and_never_raises_it() {
        let all = [Level::Base, Level::Avx2, Level::Avx512];
        let to = |asked: Option<&str>| all.map(|found| lowered(found, asked));
        assert_eq!(to(Some("base")), [Level::Base; 3]);
        assert_eq!(to(Some("avx2")), [Level::Base, Level::Avx2, Level::Avx2]);
        for asked in [Some("avx512"), Some("sse9"), Some(""), None] {
            assert_eq!(to(asked), all, "{asked:?}");
        }
    }

    #[test]
    fn turned_rows_are_columns_and_nothing_beside_them_is_written() {
        fn turned<S: Simd>() {
            let (stride, to_stride) = (S::LANES + 3, S::LANES + 5);
            let from: Vec<f32> = (0..S::LANES * stride).map(|i| i as f32).collect();
            for rows in [4, S::LANES] {
                let mut to = vec![-1.0; S::LANES * to_stride];
                let turn = if rows == 4 { S::turn } else { S::turn_square };
                // SAFETY: both hold what is read and written, and the level was found.
                unsafe { turn(from.as_ptr(), stride, to.as_mut_ptr(), to_stride) };
                for (at, &got) in to.iter().enumerate() {
                    let (row, column) = (at / to_stride, at % to_stride);
                    let want = if column < rows { from[column * stride + row] } else { -1.0 };
                    assert!(
                        (got - want).abs() < f32::EPSILON,
                        "{rows} of {} lanes, ({row}, {column}): {got}",
                        S::LANES
                    );
                }
            }
        }
        turned::<Base>();
        #[cfg(target_arch = "x86_64")]
        {
            if level() >= Level::Avx2 {
                turned::<Avx2>();
            }
            if level() == Level::Avx512 {
                turned::<Avx512>();
            }
        }
    }

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
