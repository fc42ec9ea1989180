//! The quotas of a project that each door enforces: requests, rows read and rows written in a second, and
//! requests at the same time.
//!
//! A rate is a [`Bucket`], from which a request takes what it costs before it is executed. So a request that costs
//! more than a second's worth is admitted and delays the next ones. Time is an argument.

use crate::{failure::Failure, state::State};
use http::StatusCode;
use littoral_api::code;
use littoral_model::{project::Quotas, write::WriteError};
use littoral_runtime::{Bucket, metrics::project_label};
use std::{
    sync::{Arc, Mutex, PoisonError},
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
pub(crate) struct Usage(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
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

/// A quota that is used up.
struct Exceeded {
    quota: &'static str,
    max: u64,
    /// When to retry.
    wait: Duration,
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
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn admit(&mut self, quotas: &Quotas, now: Instant) -> Result<(), Exceeded> {
        if let Some(max) = quotas.concurrent_requests
            && self.running >= max
        {
            return Err(Exceeded { quota: "concurrent_requests", max, wait: Duration::from_secs(1) });
        }
        self.spend(Rate::Requests, 1, quotas, now)?;
        self.running += u64::from(quotas.concurrent_requests.is_some());
        Ok(())
    }

    fn spend(&mut self, rate: Rate, cost: u64, quotas: &Quotas, now: Instant) -> Result<(), Exceeded> {
        let Some(max) = rate.of(quotas) else { return Ok(()) };
        let wait = self.buckets[rate as usize].spend(max, cost, now);
        if wait.is_zero() { Ok(()) } else { Err(Exceeded { quota: rate.name(), max, wait }) }
    }
}

/// Admits a request to its project. It counts among the requests at the same time until the result is dropped.
///
/// # Errors
/// 429 if the project has used up its requests.
pub(super) fn admit(state: &Arc<State>, quotas: &Quotas, now: Instant) -> Result<Running, Failure> {
    if quotas.requests_per_s.is_none() && quotas.concurrent_requests.is_none() {
        return Ok(Running(None));
    }
    let admitted = state.usage.inner(|inner| inner.admit(quotas, now));
    admitted.map_err(|exceeded| state.over(&exceeded))?;
    Ok(Running(quotas.concurrent_requests.map(|_| state.clone())))
}

impl State {
    /// Spends as much of this rate as a request costs, before the request is executed.
    ///
    /// # Errors
    /// 429 if the project has used it up, with the time until it may spend more.
    pub(crate) fn spend(&self, rate: Rate, cost: u64, now: Instant) -> Result<(), Failure> {
        let quotas = self.rules().quotas;
        if rate.of(&quotas).is_none() {
            return Ok(());
        }
        let spent = self.usage.inner(|inner| inner.spend(rate, cost, &quotas, now));
        spent.map_err(|exceeded| self.over(&exceeded))
    }

    fn over(&self, exceeded: &Exceeded) -> Failure {
        let Exceeded { quota, max, wait } = *exceeded;
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
    fn requests_at_the_same_time_do_not_use_up_the_rate_when_they_are_rejected() {
        let quotas = Quotas { requests_per_s: Some(2), concurrent_requests: Some(1), ..Quotas::default() };
        let (mut inner, now) = (Inner::default(), Instant::now());
        let quota = |admitted: Result<(), Exceeded>| admitted.err().map(|exceeded| exceeded.quota);
        assert_eq!(quota(inner.admit(&quotas, now)), None);
        for _ in 0..3 {
            assert_eq!(quota(inner.admit(&quotas, now)), Some("concurrent_requests"));
        }
        inner.running = 0;
        assert_eq!(quota(inner.admit(&quotas, now)), None);
        inner.running = 0;
        assert_eq!(quota(inner.admit(&quotas, now)), Some("requests_per_s"));
        assert_eq!(inner.running, 0, "a request that is rejected does not run");
    }
}
