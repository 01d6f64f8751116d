//! The elementary functions of neural networks, written so that a plain loop over a slice becomes vector instructions.
//!
//! Each is without branches and without library calls; inside [`multiversion!`](crate::multiversion) they run at the
//! machine's width. The same formula runs for every element, so a value does not depend on its place in the slice.

#![allow(clippy::inline_always)] // A function not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::simd::Simd;

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

/// Turns each `x` of the slice into `e^(x - top)`, `top` being the greatest, and returns `top` and their sum: the first
/// half of a softmax, and a log-sum-exp as `top + ln(sum)`.
#[inline(always)]
pub fn exponentials<S: Simd>(xs: &mut [f32]) -> (f32, f32) {
    let (body, tail) = xs.split_at_mut(xs.len() / 16 * 16);
    let mut highest = [f32::MIN; 16];
    for chunk in body.chunks_exact(16) {
        for l in 0..16 {
            highest[l] = highest[l].max(chunk[l]);
        }
    }
    let mut top = highest.iter().fold(f32::MIN, |a, &b| a.max(b));
    for &x in tail.iter() {
        top = top.max(x);
    }
    let mut sums = [0f32; 16];
    for chunk in body.chunks_exact_mut(16) {
        for l in 0..16 {
            chunk[l] = exp::<S>(chunk[l] - top);
            sums[l] += chunk[l];
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for x in tail {
        *x = exp::<S>(*x - top);
        sum += *x;
    }
    (top, sum)
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
    use super::super::simd::Base;
    use super::*;
    use crate::multiversion;

    multiversion! { fn exps<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = exp::<S>(*x); } } }
    multiversion! { fn silus<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = silu::<S>(*x); } } }
    multiversion! { fn erfs<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = erf::<S>(*x); } } }
    multiversion! { fn gelus<S>(x: &mut [f32]) { for x in x.iter_mut() { *x = gelu_tanh::<S>(*x); } } }

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
        assert!(worst(&xs, &apply(gelus), tanh, 1e-3) < 4e-6);
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
}
