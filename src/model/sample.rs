//! Choosing the next token from its logits.
//!
//! The filters run in the order of Hugging Face's `generate`: repetition penalty, temperature, top-k, top-p, min-p. The
//! draw is made by a generator of our own, seeded by a seed and a stream number, so that the same request gives the same
//! answer whatever else is generated beside it; base and tuned draw with the same numbers.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

/// How tokens are chosen. The default is greedy: always the likeliest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy, the likeliest token, of equals the one with the lowest id.
    pub temperature: f32,
    /// Only the `top_k` likeliest tokens; 0 is off.
    pub top_k: usize,
    /// Only the likeliest tokens that together reach this probability (Holtzman et al. 2020); 1 is off.
    pub top_p: f32,
    /// Only tokens at least this share as likely as the likeliest (Nguyen et al. 2024); 0 is off.
    pub min_p: f32,
    /// Divides a positive and multiplies a negative logit of each token that the prompt or the answer has had (Keskar
    /// et al. 2019); 1 is off.
    pub repetition_penalty: f32,
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// Why a token could not be chosen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SampleError {
    #[error("{name} is {value}; {rule}")]
    Setting { name: &'static str, value: f32, rule: &'static str },
    #[error("the model's numbers are not finite, so no token can be chosen; its weights or the adapter are damaged")]
    NotFinite,
}

impl Sampling {
    /// Refuses settings that mean nothing.
    ///
    /// # Errors
    /// Names the first such setting, its value and what it may be.
    pub fn check(&self) -> Result<(), SampleError> {
        let refuse = |name, value, rule| Err(SampleError::Setting { name, value, rule });
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return refuse("temperature", self.temperature, "it must be 0 (greedy) or above");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse("top_p", self.top_p, "it must be above 0 and at most 1 (off)");
        }
        if !(self.min_p >= 0.0 && self.min_p <= 1.0) {
            return refuse("min_p", self.min_p, "it must be from 0 (off) to 1");
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            return refuse("repetition_penalty", self.repetition_penalty, "it must be above 0; 1 is off");
        }
        Ok(())
    }
}

/// A token that may be drawn, with its weight relative to the likeliest one's.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    token: u32,
    score: f32,
    weight: f64,
}

/// The chooser of one answer's tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
    /// Tokens of the prompt and the answer, each once, where a repetition penalty needs them.
    seen: std::collections::BTreeSet<u32>,
}

impl Sampler {
    /// A chooser for an answer to `prompt`; answers with the same seed and `stream` draw the same numbers.
    ///
    /// # Errors
    /// When a setting means nothing.
    pub fn new(sampling: &Sampling, stream: u64, prompt: &[u32]) -> Result<Self, SampleError> {
        sampling.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
        rng.set_stream(stream);
        let mut sampler = Self { sampling: sampling.clone(), rng, seen: std::collections::BTreeSet::new() };
        if sampler.penalises() {
            sampler.seen.extend(prompt);
        }
        Ok(sampler)
    }

    /// Chooses the next token from the logits of all, `[vocab]`.
    ///
    /// # Errors
    /// When no logit is a number to choose by.
    pub fn choose(&mut self, logits: &[f32]) -> Result<u32, SampleError> {
        let token = if self.sampling.temperature == 0.0 { self.likeliest(logits)? } else { self.draw(logits)? };
        if self.penalises() {
            self.seen.insert(token);
        }
        Ok(token)
    }

    /// Whether seen tokens matter.
    fn penalises(&self) -> bool {
        (self.sampling.repetition_penalty - 1.0).abs() > 0.0
    }

    /// The logit after the repetition penalty.
    fn penalised(&self, token: u32, logit: f32) -> f32 {
        let penalty = self.sampling.repetition_penalty;
        if !self.seen.contains(&token) {
            logit
        } else if logit < 0.0 {
            logit * penalty
        } else {
            logit / penalty
        }
    }

    fn likeliest(&self, logits: &[f32]) -> Result<u32, SampleError> {
        let mut best: Option<(u32, f32)> = None;
        for (token, &logit) in (0u32..).zip(logits) {
            if logit.is_nan() || logit == f32::INFINITY {
                return Err(SampleError::NotFinite);
            }
            let score = self.penalised(token, logit);
            if best.is_none_or(|(_, most)| score > most) {
                best = Some((token, score));
            }
        }
        best.filter(|(_, score)| score.is_finite()).map(|(token, _)| token).ok_or(SampleError::NotFinite)
    }

    /// The tokens that the filters leave, likeliest first, of equals the lowest id first; weights are not normalised.
    fn candidates(&self, logits: &[f32]) -> Result<Vec<Candidate>, SampleError> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        if logits.iter().any(|x| x.is_nan() || *x == f32::INFINITY) {
            return Err(SampleError::NotFinite);
        }
        let mut all: Vec<Candidate> = (0u32..)
            .zip(logits)
            .map(|(token, &logit)| Candidate { token, score: self.penalised(token, logit) / temperature, weight: 0.0 })
            .collect();
        let most = all.iter().map(|c| c.score).fold(f32::NEG_INFINITY, f32::max);
        if !most.is_finite() {
            return Err(SampleError::NotFinite);
        }
        for candidate in &mut all {
            candidate.weight = f64::from(candidate.score - most).exp();
        }
        let order = |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then(a.token.cmp(&b.token));
        if top_k > 0 && top_k < all.len() {
            all.select_nth_unstable_by(top_k - 1, order);
            all.truncate(top_k);
        }
        // Far below the likeliest a token's weight is lost in the draw's 53 bits: sorting those is wasted.
        all.retain(|c| c.weight > 1e-18);
        all.sort_unstable_by(order);
        if top_p < 1.0 {
            let goal = f64::from(top_p) * all.iter().map(|c| c.weight).sum::<f64>();
            let mut sum = 0.0;
            let kept = all.iter().take_while(|c| {
                let wanted = sum < goal;
                sum += c.weight;
                wanted
            });
            let kept = kept.count().max(1);
            all.truncate(kept);
        }
        all.retain(|c| c.weight >= f64::from(min_p));
        Ok(all)
    }

    fn draw(&mut self, logits: &[f32]) -> Result<u32, SampleError> {
        let candidates = self.candidates(logits)?;
        let total: f64 = candidates.iter().map(|c| c.weight).sum();
        let mut left = self.rng.random::<f64>() * total;
        for candidate in &candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Ok(candidate.token);
            }
        }
        candidates.last().map(|c| c.token).ok_or(SampleError::NotFinite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits whose softmax is exactly these shares.
    fn logits(shares: &[f32]) -> Vec<f32> {
        shares.iter().map(|p| p.ln()).collect()
    }

    fn kept(sampling: &Sampling, prompt: &[u32], logits: &[f32]) -> Vec<(u32, f64)> {
        let all = Sampler::new(sampling, 0, prompt).unwrap().candidates(logits).unwrap();
        let total: f64 = all.iter().map(|c| c.weight).sum();
        all.iter().map(|c| (c.token, (c.weight / total * 1e4).round() / 1e4)).collect()
    }

    #[test]
    fn greedy_takes_the_likeliest_and_of_equals_the_first() {
        let choose = |logits: &[f32]| Sampler::new(&Sampling::default(), 0, &[]).unwrap().choose(logits);
        assert_eq!(choose(&[0.0, 3.0, 3.0, 1.0]), Ok(1));
        assert_eq!(choose(&[f32::NEG_INFINITY, -5.0]), Ok(1));
        for damaged in [&[0.0, f32::NAN][..], &[f32::INFINITY, 0.0], &[f32::NEG_INFINITY], &[]] {
            assert_eq!(choose(damaged), Err(SampleError::NotFinite));
        }
    }

    #[test]
    fn filters_leave_the_shares_worked_out_by_hand() {
        let shares = logits(&[0.1, 0.4, 0.2, 0.3]);
        let with = |change: fn(&mut Sampling)| {
            let mut sampling = Sampling { temperature: 1.0, ..Sampling::default() };
            change(&mut sampling);
            kept(&sampling, &[], &shares)
        };
        assert_eq!(with(|_| ()), [(1, 0.4), (3, 0.3), (2, 0.2), (0, 0.1)]);
        assert_eq!(with(|s| s.top_k = 2), [(1, 0.5714), (3, 0.4286)]);
        // 0.4 + 0.3 reaches 0.65, 0.4 alone does not.
        assert_eq!(with(|s| s.top_p = 0.65), [(1, 0.5714), (3, 0.4286)]);
        assert_eq!(with(|s| s.top_p = 0.01), [(1, 1.0)]);
        // 0.6 of 0.4 is 0.24.
        assert_eq!(with(|s| s.min_p = 0.6), [(1, 0.5714), (3, 0.4286)]);
        // Squares of the shares.
        assert_eq!(with(|s| s.temperature = 0.5), [(1, 0.5333), (3, 0.3), (2, 0.1333), (0, 0.0333)]);
        // top-k comes first: of 0.4 / 0.7 and 0.3 / 0.7, the first alone reaches 0.55.
        assert_eq!(
            with(|s| {
                s.top_k = 2;
                s.top_p = 0.55;
            }),
            [(1, 1.0)]
        );
    }

    #[test]
    fn the_repetition_penalty_makes_seen_tokens_less_likely_whatever_their_sign() {
        let mut sampler =
            Sampler::new(&Sampling { repetition_penalty: 2.0, ..Sampling::default() }, 0, &[0, 9]).unwrap();
        // 4 / 2 = 2 for token 0; -1 * 2 = -2 for token 9, were it the best.
        assert_eq!(sampler.choose(&[4.0, 3.0, 2.5]), Ok(1));
        assert_eq!(sampler.choose(&[4.0, 3.0, 2.5]), Ok(2));
        let mut negative = Sampler::new(&Sampling { repetition_penalty: 2.0, ..Sampling::default() }, 0, &[0]).unwrap();
        assert_eq!(negative.choose(&[-1.0, -1.5]), Ok(1));
    }

    #[test]
    fn draws_follow_the_shares_and_the_seed() {
        let sampling = Sampling { temperature: 1.0, seed: 4, ..Sampling::default() };
        let shares = [0.1, 0.4, 0.2, 0.3];
        let draw = |stream| {
            let mut sampler = Sampler::new(&sampling, stream, &[]).unwrap();
            (0..10_000).map(|_| sampler.choose(&logits(&shares)).unwrap()).collect::<Vec<_>>()
        };
        let drawn = draw(0);
        let chi: f64 = (0u32..)
            .zip(shares)
            .map(|(token, share)| {
                let expected = f64::from(share) * 10_000.0;
                let got = drawn.iter().filter(|&&t| t == token).count() as f64;
                (got - expected).powi(2) / expected
            })
            .sum();
        assert!(chi < 16.3, "chi-square {chi} is beyond the 99.9 % point of 3 degrees of freedom");
        assert_eq!(drawn, draw(0));
        assert_ne!(drawn, draw(1));
    }

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        for (sampling, name) in [
            (Sampling { temperature: -1.0, ..Sampling::default() }, "temperature"),
            (Sampling { temperature: f32::NAN, ..Sampling::default() }, "temperature"),
            (Sampling { top_p: 0.0, ..Sampling::default() }, "top_p"),
            (Sampling { min_p: 1.1, ..Sampling::default() }, "min_p"),
            (Sampling { repetition_penalty: 0.0, ..Sampling::default() }, "repetition_penalty"),
        ] {
            assert!(Sampler::new(&sampling, 0, &[]).unwrap_err().to_string().starts_with(name));
        }
    }
}
