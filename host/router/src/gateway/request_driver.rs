//! Drives a request through rounds of attempts until it is answered. The first round uses the doors of the decision. If
//! none of them answers, the next round uses doors that the request has not been sent to, healthy or not. If no such
//! door is left, all doors are tried again after a short time, because one of them may have restarted.

use crate::{
    board::Board,
    decision::{
        attempts::Attempts,
        reason,
        select::{Criteria, Decision, RankedDoor, last_resort},
    },
    gateway::{
        attempt::{Doors, Template},
        body::RequestBody,
        failure::Failure,
        head::Head,
        hedged_attempts::{AttemptAnswer, HedgedAttempts, Progress, Unanswered},
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a request that no door has accepted is retried. The router notices within two probes that a door has
/// restarted.
const RETRY_TIME_MAX: Duration = Duration::from_secs(3);

/// How long to wait before all doors are tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A request, and what its attempts need.
pub(crate) struct RequestDriver<'a> {
    pub(crate) doors: &'a Doors,
    pub(crate) head: &'a Head,
    pub(crate) template: &'a Template,
    pub(crate) body: &'a RequestBody,
    pub(crate) criteria: &'a Criteria<'a>,
}

/// An answer, and the decision that led to it.
pub(crate) struct RoutedAnswer {
    pub(crate) answer: AttemptAnswer,
    pub(crate) board: Arc<Board>,
    pub(crate) decision: Decision,
    /// The number of attempts that were started.
    pub(crate) started: usize,
}

impl RequestDriver<'_> {
    /// Sends the request until there is an answer.
    pub(crate) async fn run(&self, mut board: Arc<Board>, mut decision: Decision) -> Result<RoutedAnswer, Failure> {
        let mut progress = Progress::new(self.doors.router.bounds().attempts_max);
        let mut unanswered_since = None;
        loop {
            let Self { doors, head, template, body, .. } = *self;
            let round = HedgedAttempts { doors, board: &board, head, template, body, ranked: &decision.ranked };
            let Unanswered { result, may_continue, costs_retry } = match round.run(&mut progress).await {
                Ok(answer) => return Ok(RoutedAnswer { started: progress.started, answer, board, decision }),
                Err(unanswered) => unanswered,
            };
            let since = *unanswered_since.get_or_insert_with(Instant::now);
            let next = if may_continue { self.next_round(&mut progress, since).await } else { None };
            let pays = || !costs_retry || doors.router.withdraw_retry();
            match next.filter(|_| pays()) {
                Some(next) => {
                    metrics::counter!("littoral_router_retries_total").increment(1);
                    (board, decision) = next;
                }
                None => {
                    return result.map(|answer| RoutedAnswer { started: progress.started, answer, board, decision });
                }
            }
        }
    }

    /// Returns a decision for doors that the request has not been sent to, by the current view. If there are none,
    /// waits and returns a decision for all doors. `None` if the time for retries has ended.
    async fn next_round(&self, progress: &mut Progress, since: Instant) -> Option<(Arc<Board>, Decision)> {
        let until = (since + RETRY_TIME_MAX).min(self.head.deadline);
        if let Some(next) = self.untried(progress) {
            return Some(next);
        }
        if progress.attempts.has_excluded() && !self.is_any_region_left(progress) {
            return None;
        }
        if Instant::now() + RETRY_INTERVAL >= until {
            return None;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
        progress.attempts.again();
        self.untried(progress)
    }

    /// Returns whether there is a door, tried or not, in a region that is not known to exclude the rows.
    fn is_any_region_left(&self, progress: &Progress) -> bool {
        let mut all = progress.attempts.clone();
        all.again();
        self.open(&all, progress).is_some()
    }

    /// Returns a decision for doors that may be tried, by the current view.
    fn untried(&self, progress: &Progress) -> Option<(Arc<Board>, Decision)> {
        self.open(&progress.attempts, progress)
    }

    fn open(&self, attempts: &Attempts, progress: &Progress) -> Option<(Arc<Board>, Decision)> {
        let board = self.doors.router.board();
        let mut decision = board.decide(&Criteria { limit: usize::MAX, ..*self.criteria });
        let is_open = |ranked: &[RankedDoor]| {
            let doors = ranked.iter().filter_map(|ranked| board.view.doors.get(ranked.door));
            attempts.next(doors.map(|view| &*view.door), progress.bound(self.criteria.purpose)).is_some()
        };
        if is_open(&decision.ranked) {
            return Some((board, decision));
        }
        let others = last_resort(&board.view, self.criteria);
        if !is_open(&others) {
            return None;
        }
        let state = others.first().and_then(|first| board.view.doors.get(first.door)).map(|view| view.state);
        decision.reason.kind = state.map_or(decision.reason.kind, reason::Kind::Panic);
        decision.ranked = others;
        Some((board, decision))
    }
}
