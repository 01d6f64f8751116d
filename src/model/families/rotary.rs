//! Rotary settings, which `config.json` has written in three ways over the years and GGUF in two more.

use std::f64::consts::TAU;

use super::FamilyError;
use super::fields::{Config, Keys};
use crate::model::description::RotaryScaling;

/// Context that Llama 3 was trained on before its frequencies were stretched (Llama 3.1's `config.json`).
const LLAMA3_CONTEXT: usize = 8192;

/// The rotary base and scaling of a configuration, for the layers of kind `layers` (`full_attention`) where it tells
/// kinds apart: `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` before it.
pub(super) fn from_config(
    config: &Config,
    layers: &str,
    default_theta: f64,
) -> Result<(f64, RotaryScaling), FamilyError> {
    let parameters = config.object("rope_parameters");
    let parameters = parameters.map(|all| all.object(layers).unwrap_or(all));
    let theta = match &parameters {
        Some(parameters) => parameters.number_maybe("rope_theta")?,
        None => None,
    };
    let theta = match theta {
        Some(theta) => theta,
        None => config.number("rope_theta", default_theta)?,
    };
    let scaling = match parameters.or_else(|| config.object("rope_scaling")) {
        Some(scaling) => scaling_of(&scaling)?,
        None => RotaryScaling::None,
    };
    Ok((theta, scaling))
}

fn scaling_of(scaling: &Config) -> Result<RotaryScaling, FamilyError> {
    let factor = || {
        let factor = scaling.number_maybe("factor")?;
        factor.filter(|&f| f >= 1.0).ok_or_else(|| FamilyError("rotary scaling without a `factor` of 1 or more".into()))
    };
    match scaling.text("rope_type").or_else(|| scaling.text("type")).unwrap_or("default") {
        "default" => Ok(RotaryScaling::None),
        "linear" => Ok(RotaryScaling::Linear { factor: factor()? }),
        "llama3" => {
            let (low, high) = (scaling.number("low_freq_factor", 1.0)?, scaling.number("high_freq_factor", 4.0)?);
            if low >= high || low <= 0.0 {
                return Err(FamilyError(format!("llama3 rotary scaling from {low} to {high} is impossible")));
            }
            Ok(RotaryScaling::Llama3 {
                factor: factor()?,
                low_freq_factor: low,
                high_freq_factor: high,
                original_context: scaling.count("original_max_position_embeddings")?,
            })
        }
        other => {
            Err(FamilyError(format!("its rotary scaling {other:?} is not supported (default, linear and llama3 are)")))
        }
    }
}

/// The rotary scaling that GGUF metadata names; Llama 3's is not named but lies in a tensor, see [`llama3_factors`].
pub(super) fn from_gguf(keys: &Keys) -> Result<RotaryScaling, FamilyError> {
    let factor = match keys.number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.number("rope.scale_linear")?,
    };
    let named = keys.text("rope.scaling.type").map(str::to_owned);
    match (named.as_deref().unwrap_or(if factor.is_some() { "linear" } else { "none" }), factor) {
        ("none", _) | ("linear", None) => Ok(RotaryScaling::None),
        ("linear", Some(factor)) if factor <= 0.0 || (factor - 1.0).abs() < 1e-9 => Ok(RotaryScaling::None),
        ("linear", Some(factor)) => Ok(RotaryScaling::Linear { factor }),
        (other, _) => {
            Err(FamilyError(format!("its rotary scaling {other:?} is not supported (none, linear and Llama 3's are)")))
        }
    }
}

/// How much Llama 3's rule divides each of `dims / 2` frequencies of base `theta` (transformers,
/// `_compute_llama3_parameters`).
pub(super) fn llama3_factors(dims: usize, theta: f64, scaling: RotaryScaling) -> Vec<f64> {
    let RotaryScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_context } = scaling
    else {
        return vec![1.0; dims / 2];
    };
    let context = original_context as f64;
    let one = |i: usize| {
        let wavelength = TAU * theta.powf(2.0 * i as f64 / dims as f64);
        if wavelength < context / high {
            1.0
        } else if wavelength > context / low {
            factor
        } else {
            let smooth = (context / wavelength - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    };
    (0..dims / 2).map(one).collect()
}

/// Finds Llama 3's scaling in the divisors that GGUF stores as `rope_freqs.weight`: the published rule with the factor
/// that the slowest frequency has, checked against every divisor.
///
/// # Errors
/// When the divisors follow another rule.
pub fn recognise_llama3(divisors: &[f32], dims: usize, theta: f64) -> Result<RotaryScaling, FamilyError> {
    let factor = f64::from(divisors.last().copied().unwrap_or(1.0));
    if divisors.len() == dims / 2 && divisors.iter().all(|&d| (d - 1.0).abs() < 1e-6) {
        return Ok(RotaryScaling::None);
    }
    let scaling =
        RotaryScaling::Llama3 { factor, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: LLAMA3_CONTEXT };
    let expected = llama3_factors(dims, theta, scaling);
    let near = |(&stored, &expected): (&f32, &f64)| (f64::from(stored) - expected).abs() <= 1e-4 * expected;
    if expected.len() == divisors.len() && factor > 1.0 && divisors.iter().zip(&expected).all(near) {
        return Ok(scaling);
    }
    Err(FamilyError(
        "its rope_freqs.weight does not follow Llama 3's rule, and no other is supported; use the model's Hugging Face \
         folder instead"
            .to_owned(),
    ))
}
