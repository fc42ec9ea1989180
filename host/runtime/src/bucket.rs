//! A rate: a bucket of tokens that holds one second's worth. Time is an argument.

use std::time::{Duration, Instant};

/// A bucket of tokens, which begins full. Something is admitted while the bucket is not empty, and takes what it costs.
/// So what costs more than the bucket holds is admitted too, and delays what comes after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// When it was filled last, and the tokens at that time. Negative after something that cost more than it held.
    filled: Option<(Instant, f64)>,
}

impl Bucket {
    /// Returns the time until the bucket is not empty; zero if it is not.
    pub fn wait(&mut self, per_s: u64, now: Instant) -> Duration {
        let per_s = per_s as f64;
        // Calls come in any order. An earlier time must not be stored: the time since then was already counted.
        let now = self.filled.map_or(now, |(at, _)| now.max(at));
        let tokens = match self.filled {
            None => per_s,
            Some((at, tokens)) => (tokens + now.saturating_duration_since(at).as_secs_f64() * per_s).min(per_s),
        };
        self.filled = Some((now, tokens));
        match tokens {
            // A rate of zero admits nothing; the wait is nominal.
            _ if per_s == 0.0 => Duration::from_secs(60),
            tokens if tokens >= 1.0 => Duration::ZERO,
            tokens => Duration::from_secs_f64((1.0 - tokens) / per_s),
        }
    }

    /// Takes tokens, also if the bucket holds fewer.
    pub fn take(&mut self, cost: u64) {
        if let Some((_, tokens)) = &mut self.filled {
            *tokens -= cost as f64;
        }
    }

    /// Takes tokens if the bucket is not empty. Returns the time until it is not; zero if it has taken them.
    pub fn spend(&mut self, per_s: u64, cost: u64, now: Instant) -> Duration {
        let wait = self.wait(per_s, now);
        if wait.is_zero() {
            self.take(cost);
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_second_and_refills_at_its_rate() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        for _ in 0..10 {
            assert_eq!(bucket.wait(10, at(0)), Duration::ZERO);
            bucket.take(1);
        }
        assert_eq!(bucket.wait(10, at(0)), Duration::from_millis(100));
        assert!(!bucket.wait(10, at(99)).is_zero());
        assert_eq!(bucket.wait(10, at(101)), Duration::ZERO);
        // However long it rests, it holds no more than a second.
        assert_eq!(bucket.wait(10, at(60_000)), Duration::ZERO);
        bucket.take(10);
        assert!(!bucket.wait(10, at(60_000)).is_zero());
    }

    #[test]
    fn an_earlier_time_does_not_refill_the_bucket() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.wait(10, later), Duration::ZERO);
        bucket.take(10);
        assert!(!bucket.wait(10, start).is_zero());
        assert_eq!(bucket.wait(10, later), Duration::from_millis(100));
    }

    #[test]
    fn what_costs_more_than_a_second_delays_the_next() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert_eq!(bucket.wait(10, start), Duration::ZERO);
        bucket.take(30);
        assert_eq!(bucket.wait(10, start), Duration::from_millis(2_100));
        assert_eq!(bucket.wait(10, start + Duration::from_millis(2_101)), Duration::ZERO);
    }

    #[test]
    fn a_rate_of_zero_admits_nothing() {
        assert!(!Bucket::default().wait(0, Instant::now()).is_zero());
    }
}
