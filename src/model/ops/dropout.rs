//! Inverted dropout whose mask is computed, not stored: element `i` is kept or dropped by a hash of the key and `i`.
//!
//! The backward pass draws the same mask again from the same key, so nothing is kept between the passes and a resumed
//! run draws what the first one would have drawn.

use rayon::prelude::*;

use crate::multiversion;

/// Elements a task takes at once.
const CHUNK: usize = 16_384;

/// One mask: a probability and what it is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f32,
    key: u64,
}

impl Dropout {
    /// A mask that drops each element with `probability`, drawn from the words of `key`; `None` where nothing drops.
    #[must_use]
    pub fn new(probability: f32, key: &[u64]) -> Option<Self> {
        let mixed = key.iter().fold(0x9E37_79B9_7F4A_7C15_u64, |state, word| mix(state ^ word));
        (probability > 0.0).then_some(Self { probability, key: mixed })
    }

    /// `y = mask(x) / (1 - p)`.
    pub fn apply(self, x: &[f32], y: &mut [f32]) {
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(i, (y, x))| {
            let (key, threshold, scale) = self.parts();
            masked(x, y, (i * CHUNK) as u32, key, threshold, scale);
        });
    }

    /// `y += mask(x) / (1 - p)`: the backward of [`apply`](Self::apply), `x` being the gradient behind the mask.
    pub fn add(self, x: &[f32], y: &mut [f32]) {
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(i, (y, x))| {
            let (key, threshold, scale) = self.parts();
            add_masked(x, y, (i * CHUNK) as u32, key, threshold, scale);
        });
    }

    /// The key of the hash, the value from which on an element is kept, and the factor of what is kept.
    pub(crate) fn parts(self) -> ([u32; 2], u32, f32) {
        let threshold = (f64::from(self.probability) * 4_294_967_296.0).min(4_294_967_295.0) as u32;
        ([self.key as u32, (self.key >> 32) as u32], threshold, 1.0 / (1.0 - self.probability))
    }
}

/// The finaliser of splitmix64 (Steele et al. 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A 32-bit hash of an element's index under a key: two rounds of multiply and xor-shift (murmur3's constants).
#[inline(always)]
#[allow(clippy::inline_always)] // compiled for the wider vectors of the kernels that call it
fn draw(index: u32, key: [u32; 2]) -> u32 {
    let mut z = index.wrapping_mul(0x9E37_79B9) ^ key[0];
    z = (z ^ (z >> 16)).wrapping_mul(0x85EB_CA6B).wrapping_add(key[1]);
    z = (z ^ (z >> 13)).wrapping_mul(0xC2B2_AE35);
    z ^ (z >> 16)
}

multiversion! {
    fn masked<S>(x: &[f32], y: &mut [f32], first: u32, key: [u32; 2], threshold: u32, scale: f32) {
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            let keep = if draw(first.wrapping_add(i as u32), key) >= threshold { scale } else { 0.0 };
            *y = x * keep;
        }
    }
}

multiversion! {
    fn add_masked<S>(x: &[f32], y: &mut [f32], first: u32, key: [u32; 2], threshold: u32, scale: f32) {
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            let keep = if draw(first.wrapping_add(i as u32), key) >= threshold { scale } else { 0.0 };
            *y += x * keep;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_share_it_is_told_and_keeps_the_mean() {
        let x = vec![1f32; 200_000];
        let mut y = vec![0f32; x.len()];
        Dropout::new(0.05, &[7, 1, 2]).expect("a probability over zero").apply(&x, &mut y);
        let dropped = y.iter().filter(|&&y| y.abs() < f32::EPSILON).count() as f64 / y.len() as f64;
        // Five standard errors of a binomial share.
        assert!((dropped - 0.05).abs() < 5.0 * (0.05f64 * 0.95 / 200_000.0).sqrt(), "{dropped}");
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / y.len() as f64;
        assert!((mean - 1.0).abs() < 0.005, "{mean}");
    }

    #[test]
    fn the_backward_mask_is_the_forward_mask_and_keys_differ() {
        let x = vec![1f32; 50_000];
        let (mut a, mut b, mut c) = (vec![0f32; x.len()], vec![0f32; x.len()], vec![0f32; x.len()]);
        let mask = Dropout::new(0.5, &[3, 4]).expect("a probability over zero");
        mask.apply(&x, &mut a);
        mask.add(&x, &mut b);
        assert_eq!(a, b);
        Dropout::new(0.5, &[3, 5]).expect("a probability over zero").apply(&x, &mut c);
        let same = a.iter().zip(&c).filter(|(a, c)| (*a - *c).abs() < f32::EPSILON).count();
        assert!((same as f64 / 50_000.0 - 0.5).abs() < 0.02, "{same}");
    }
}
