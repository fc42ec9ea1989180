//! The quotas of a project that each door enforces: requests, rows read and rows written in a second, and
//! requests at the same time.
//!
//! A rate is a bucket of tokens that holds one second's worth. A request is admitted while the bucket is not
//! empty, and takes what it costs once that is known. So a request that costs more than a second's worth is
//! admitted and delays the next ones. Time is an argument.

use crate::{failure::Failure, state::State};
use http::StatusCode;
use littoral_api::code;
use littoral_model::{project::Quotas, write::WriteError};
use littoral_runtime::metrics::project_label;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// What a rate limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    Requests,
    RowsRead,
    RowsWritten,
}

/// What a project uses at this door.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Whether there are any quotas; nothing else is needed for most projects.
    limited: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    quotas: Quotas,
    buckets: [Bucket; 3],
    running: u64,
}

/// A request that counts among those at the same time, until it is dropped.
pub(crate) struct Running(Option<Arc<State>>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.usage.inner(|inner| inner.running -= 1);
        }
    }
}

/// A bucket of tokens.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// When it was filled last, and the tokens at that time. Negative after a request that cost more than it held.
    filled: Option<(Instant, f64)>,
}

impl Bucket {
    /// Returns the time until the bucket is not empty; zero if it is not.
    fn wait(&mut self, per_s: u64, now: Instant) -> Duration {
        let per_s = per_s as f64;
        // Requests come in any order. An earlier time must not be stored: the time since then was already counted.
        let now = self.filled.map_or(now, |(at, _)| now.max(at));
        let tokens = match self.filled {
            None => per_s,
            Some((at, tokens)) => (tokens + now.saturating_duration_since(at).as_secs_f64() * per_s).min(per_s),
        };
        self.filled = Some((now, tokens));
        match tokens {
            // A quota of zero admits nothing; the wait is nominal.
            _ if per_s == 0.0 => Duration::from_secs(60),
            tokens if tokens >= 1.0 => Duration::ZERO,
            tokens => Duration::from_secs_f64((1.0 - tokens) / per_s),
        }
    }

    fn take(&mut self, cost: u64) {
        if let Some((_, tokens)) = &mut self.filled {
            *tokens -= cost as f64;
        }
    }
}

impl Rate {
    fn of(self, quotas: &Quotas) -> Option<u64> {
        match self {
            Self::Requests => quotas.requests_per_s,
            Self::RowsRead => quotas.rows_read_per_s,
            Self::RowsWritten => quotas.rows_written_per_s,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_s",
            Self::RowsRead => "rows_read_per_s",
            Self::RowsWritten => "rows_written_per_s",
        }
    }
}

impl Usage {
    fn inner<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the quotas of the project as the catalogue has them now.
    pub(super) fn set_limits(&self, quotas: Quotas) {
        let limited = quotas != Quotas::default();
        if limited || self.limited.load(Relaxed) {
            self.limited.store(limited, Relaxed);
            self.inner(|inner| inner.quotas = quotas);
        }
    }
}

/// Admits a request to its project. It counts among the requests at the same time until the result is dropped.
///
/// # Errors
/// 429 if the project has used up its requests.
pub(super) fn admit(state: &Arc<State>, quotas: &Quotas, now: Instant) -> Result<Running, Failure> {
    state.check_rate(Rate::Requests, now)?;
    state.charge(Rate::Requests, 1);
    let Some(max) = quotas.concurrent_requests else { return Ok(Running(None)) };
    let admitted = state.usage.inner(|inner| {
        let admitted = inner.running < max;
        inner.running += u64::from(admitted);
        admitted
    });
    if admitted {
        Ok(Running(Some(state.clone())))
    } else {
        Err(state.over("concurrent_requests", max, Duration::from_secs(1)))
    }
}

impl State {
    /// Checks that the project may spend more of this rate.
    ///
    /// # Errors
    /// 429 with the time until it may.
    pub(crate) fn check_rate(&self, rate: Rate, now: Instant) -> Result<(), Failure> {
        if !self.usage.limited.load(Relaxed) {
            return Ok(());
        }
        let wait = self.usage.inner(|inner| {
            let per_s = rate.of(&inner.quotas)?;
            Some((per_s, inner.buckets[rate as usize].wait(per_s, now)))
        });
        match wait {
            Some((per_s, wait)) if !wait.is_zero() => Err(self.over(rate.name(), per_s, wait)),
            _ => Ok(()),
        }
    }

    /// Records what a request has cost.
    pub(crate) fn charge(&self, rate: Rate, cost: u64) {
        if self.usage.limited.load(Relaxed) {
            self.usage.inner(|inner| inner.buckets[rate as usize].take(cost));
        }
    }

    fn over(&self, quota: &'static str, max: u64, wait: Duration) -> Failure {
        self.count_rejection(quota);
        let message = format!(
            "project '{}' has used up its quota {quota} = {max} at this node; retry later, or raise the quota \
             (`littoral project apply`)",
            self.project
        );
        Failure::new(StatusCode::TOO_MANY_REQUESTS, code::OVER_QUOTA, message).retry_after(wait)
    }

    /// Returns the failure of a write or of a change, and counts it if the leader's quota has rejected it.
    pub(crate) fn rejected(&self, error: WriteError, quota: &'static str) -> Failure {
        if matches!(error, WriteError::OverQuota(_)) {
            self.count_rejection(quota);
        }
        error.into()
    }

    /// Counts a request that a quota has rejected. Only a project in the catalogue has quotas.
    fn count_rejection(&self, quota: &'static str) {
        let project = project_label(self.project.as_str());
        metrics::counter!("littoral_project_rejected_total", "project" => project, "quota" => quota).increment(1);
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
    fn a_request_with_an_earlier_time_does_not_refill_the_bucket() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.wait(10, later), Duration::ZERO);
        bucket.take(10);
        assert!(!bucket.wait(10, start).is_zero());
        assert_eq!(bucket.wait(10, later), Duration::from_millis(100));
    }

    #[test]
    fn a_request_that_costs_more_than_a_second_delays_the_next_ones() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert_eq!(bucket.wait(10, start), Duration::ZERO);
        bucket.take(30);
        assert_eq!(bucket.wait(10, start), Duration::from_millis(2_100));
        assert_eq!(bucket.wait(10, start + Duration::from_millis(2_101)), Duration::ZERO);
    }

    #[test]
    fn a_quota_of_zero_admits_nothing() {
        assert!(!Bucket::default().wait(0, Instant::now()).is_zero());
    }
}
