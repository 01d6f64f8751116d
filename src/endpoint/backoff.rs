//! How long to wait before another attempt.
//!
//! Exponential back-off with full jitter: a uniform draw between nothing and a bound that doubles with each attempt
//! (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), so that requests that failed together
//! do not come again together. What the endpoint asks for is kept: `retry-after-ms` first, else `Retry-After` (RFC
//! 9110, section 10.2.3) in seconds or as a date.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rand::Rng as _;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Draws the wait before attempt `attempt + 1`, where `attempt` attempts, 1 or more, have failed.
pub(super) fn jittered(attempt: u32, base: Duration, most: Duration) -> Duration {
    let doublings = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX).min(62);
    let bound = (base.as_secs_f64() * 2.0_f64.powi(doublings)).min(most.as_secs_f64());
    Duration::from_secs_f64(bound * rand::rng().random_range(0.0..=1.0))
}

/// The wait that the headers of a reply ask for, at `now`; a date in the past is no wait.
pub(super) fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    if let Some(wait) = text("retry-after-ms").and_then(number) {
        return Some(wait / 1000);
    }
    let told = text(RETRY_AFTER.as_str())?;
    number(told).or_else(|| {
        let until = date(told)?;
        // Measured on the server's clock where it told the time, so that a wrong clock here changes nothing.
        let from = text(DATE.as_str()).and_then(date).unwrap_or(now);
        Some(Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO))
    })
}

/// An HTTP date in the form that servers must send. The two old forms of RFC 9110 are taken for no date.
fn date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text).ok().map(|found| found.timestamp())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_the_endpoint_asks_for_is_read_in_every_form() {
        let now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        let wait = |pairs: &[(&'static str, &'static str)]| asked(&headers(pairs), now);
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(wait(&[("retry-after", "7"), ("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
        assert_eq!(wait(&[("retry-after", "7"), ("retry-after-ms", "soon")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")]), Some(Duration::from_secs(3)));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:40:00 GMT")]), Some(Duration::ZERO));
        let own_clock = [("retry-after", "Tue, 01 Nov 2022 10:00:09 GMT"), ("date", "Tue, 01 Nov 2022 10:00:04 GMT")];
        assert_eq!(wait(&own_clock), Some(Duration::from_secs(5)));
        for nothing in ["", "later", "-3", "NaN", "1e400", "inf"] {
            assert_eq!(wait(&[("retry-after", nothing)]), None, "{nothing}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn waits_fill_the_range_up_to_a_bound_that_doubles_and_ends() {
        let (base, most) = (Duration::from_millis(100), Duration::from_secs(1));
        for (attempt, bound) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (4_000_000_000, 1000)] {
            let bound = Duration::from_millis(bound);
            let drawn: Vec<_> = (0..200).map(|_| jittered(attempt, base, most)).collect();
            assert!(drawn.iter().all(|wait| *wait <= bound));
            // Each of these fails by chance once in 10^25 runs or less (0.75^200).
            assert!(drawn.iter().any(|wait| *wait > bound.mul_f64(0.75)), "attempt {attempt}");
            assert!(drawn.iter().any(|wait| *wait < bound.mul_f64(0.25)), "attempt {attempt}");
        }
    }
}
