//! Keeps requests and tokens a minute under their limits: a token bucket for each.
//!
//! Pure: the time goes in with every call.

use std::time::{Duration, Instant};

/// One bucket. It fills at a steady rate up to its capacity; what passes is taken from it. One thing larger than the
/// capacity passes when the bucket is full and leaves it in debt, or it would never pass.
#[derive(Debug, Clone)]
struct Bucket {
    rate_per_second: f64,
    capacity: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    fn new(rate_per_second: f64, capacity: f64, now: Instant) -> Self {
        Self { rate_per_second, capacity, level: capacity, filled: now }
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + seconds * self.rate_per_second).min(self.capacity);
        self.filled = self.filled.max(now);
    }

    /// How long until `amount` may pass; nothing where it may now.
    fn wait(&mut self, amount: f64, now: Instant) -> Duration {
        self.fill(now);
        let missing = amount.min(self.capacity) - self.level;
        // A millionth is what rounding may leave missing after the wait that was asked for.
        if missing <= 1e-6 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.rate_per_second).unwrap_or(Duration::MAX)
    }
}

/// The limits of one endpoint, and until when it asked to be left alone.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    held_until: Option<Instant>,
}

impl Pace {
    /// `requests_per_minute` and `tokens_per_minute` are the limits, `None` for none.
    ///
    /// Requests are spaced evenly. Of the tokens a sixth, ten seconds' worth, may go at once and the rest follows
    /// evenly, so that no minute has more than the limit, but for one request that is larger than that sixth.
    pub(super) fn new(requests_per_minute: Option<f64>, tokens_per_minute: Option<f64>, now: Instant) -> Self {
        Self {
            requests: requests_per_minute.map(|limit| Bucket::new(limit / 60.0, 1.0, now)),
            tokens: tokens_per_minute.map(|limit| Bucket::new(limit * 5.0 / 6.0 / 60.0, limit / 6.0, now)),
            held_until: None,
        }
    }

    /// How long until a request of `tokens` tokens may go; nothing where it may now.
    pub(super) fn wait(&mut self, tokens: f64, now: Instant) -> Duration {
        let held = self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let requests = self.requests.as_mut().map_or(Duration::ZERO, |bucket| bucket.wait(1.0, now));
        let tokens = self.tokens.as_mut().map_or(Duration::ZERO, |bucket| bucket.wait(tokens, now));
        held.max(requests).max(tokens)
    }

    /// Counts a request that goes now.
    pub(super) fn take(&mut self, tokens: f64) {
        if let Some(bucket) = &mut self.requests {
            bucket.level -= 1.0;
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.level -= tokens;
        }
    }

    /// Puts `real` tokens in the place of the `guessed` ones that were taken.
    pub(super) fn settle(&mut self, guessed: f64, real: f64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.level = (bucket.level + guessed - real).min(bucket.capacity);
        }
    }

    /// Lets nothing go before `until`.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `count` requests of `tokens` each as early as they may go; returns when each went, in seconds.
    fn sent(pace: &mut Pace, tokens: f64, count: usize, start: Instant) -> Vec<f64> {
        let mut now = start;
        let mut times = Vec::new();
        for _ in 0..count {
            loop {
                let wait = pace.wait(tokens, now);
                if wait.is_zero() {
                    break;
                }
                now += wait;
            }
            pace.take(tokens);
            times.push((now - start).as_secs_f64());
        }
        times
    }

    #[test]
    fn no_minute_has_more_requests_than_the_limit() {
        let start = Instant::now();
        let times = sent(&mut Pace::new(Some(90.0), None, start), 1.0, 300, start);
        for from in &times {
            let within = times.iter().filter(|time| (*from..*from + 59.999).contains(*time)).count();
            assert!(within <= 90, "{within} requests in the minute from {from} s");
        }
        // And not slower than it: 300 requests at 90 a minute take 299 / 1.5 seconds.
        assert!((times[299] - 299.0 / 1.5).abs() < 0.01, "{}", times[299]);
    }

    #[test]
    fn no_minute_has_more_tokens_than_the_limit() {
        let start = Instant::now();
        let times = sent(&mut Pace::new(None, Some(6000.0), start), 50.0, 600, start);
        for from in &times {
            let within = times.iter().filter(|time| (*from..*from + 59.999).contains(*time)).count() * 50;
            assert!(within <= 6050, "{within} tokens in the minute from {from} s");
        }
        assert!(times[19] < 1e-9, "a sixth goes at once");
    }

    #[test]
    fn a_request_larger_than_the_bucket_passes_and_is_paid_for_afterwards() {
        let start = Instant::now();
        let times = sent(&mut Pace::new(None, Some(600.0), start), 500.0, 2, start);
        // The bucket of 100 is left at -400 and fills at 500 a minute: 60 seconds until it is full again.
        assert!(times[0] < 1e-9);
        assert!((times[1] - 60.0).abs() < 0.01, "{}", times[1]);
    }

    #[test]
    fn tokens_that_were_not_used_come_back() {
        let start = Instant::now();
        let mut pace = Pace::new(None, Some(600.0), start);
        pace.take(100.0);
        assert!(pace.wait(100.0, start) > Duration::from_secs(10));
        pace.settle(100.0, 0.0);
        assert_eq!(pace.wait(100.0, start), Duration::ZERO);
    }

    #[test]
    fn a_hold_is_kept_and_a_shorter_one_does_not_end_it() {
        let start = Instant::now();
        let mut pace = Pace::new(None, None, start);
        pace.hold(start + Duration::from_secs(5));
        pace.hold(start + Duration::from_secs(2));
        assert_eq!(pace.wait(1.0, start + Duration::from_secs(1)), Duration::from_secs(4));
        assert_eq!(pace.wait(1.0, start + Duration::from_secs(5)), Duration::ZERO);
    }
}
