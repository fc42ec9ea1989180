//! One round of attempts of a request: a retry at the next door when one fails, a concurrent attempt when one is slow,
//! and one deadline for all of them. The first good answer is used; dropping the other attempts ends their work.
//!
//! A write that a door may have accepted is retried only in the region of that door: the leaders of a region know the
//! idempotency keys of that region only, so another region would apply the write again.

use crate::{
    board::Board,
    decision::{
        attempts::Attempts,
        door::{Door, DoorId},
        outlier::Outcome,
        select::{Purpose, RankedDoor},
    },
    gateway::{
        answer::Answer,
        attempt::{AttemptError, Doors, Template},
        body::RequestBody,
        failure::Failure,
        head::Head,
        traced::Why,
        verdict::{Verdict, is_not_ready, is_outside, verdict},
    },
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::Response;
use littoral_model::region::Region;
use littoral_runtime::draining;
use std::time::Instant;
use tokio::time::sleep_until;

/// A round: the request, and the doors that it may be sent to.
pub(crate) struct HedgedAttempts<'a> {
    pub(crate) doors: &'a Doors,
    pub(crate) board: &'a Board,
    pub(crate) head: &'a Head,
    pub(crate) template: &'a Template,
    pub(crate) body: &'a RequestBody,
    pub(crate) ranked: &'a [RankedDoor],
}

/// What one round of attempts leaves to the next round.
pub(crate) struct Progress {
    pub(crate) attempts: Attempts,
    /// The number of attempts that were started.
    pub(crate) started: usize,
    /// The region of a door that may have accepted the request.
    accepted_in: Option<Region>,
    hedged: bool,
}

/// The answer, and the rank of the door that sent it.
pub(crate) struct AttemptAnswer {
    pub(crate) response: Response<Answer>,
    pub(crate) rank: usize,
    /// The number of the attempt, from 1.
    pub(crate) attempt: usize,
}

/// The result of a round in which no door has sent a good answer.
pub(crate) struct Unanswered {
    /// The answer of the request, unless another round has a better one.
    pub(crate) result: Result<AttemptAnswer, Failure>,
    /// Whether the request may be sent to further doors.
    pub(crate) may_continue: bool,
    /// Whether another round must be withdrawn from the retry budget.
    pub(crate) costs_retry: bool,
}

/// An attempt that has ended.
struct Ended {
    rank: usize,
    /// The number of the attempt, from 1.
    attempt: usize,
    result: Result<Response<Answer>, AttemptError>,
}

/// An attempt that was started.
struct Running {
    /// The rank of its door.
    rank: usize,
    door: DoorId,
    began: Instant,
    /// Whether a timeout was recorded for its door.
    timed_out: bool,
    ended: bool,
}

struct State<'a> {
    round: &'a HedgedAttempts<'a>,
    attempts: FuturesUnordered<BoxFuture<'a, Ended>>,
    running: Vec<Running>,
    progress: &'a mut Progress,
}

impl Progress {
    pub(crate) fn new(attempts_max: u32) -> Self {
        Self { attempts: Attempts::new(attempts_max), started: 0, accepted_in: None, hedged: false }
    }

    /// Returns the only region that the request may be sent to, if it is a write that a door of that region may have
    /// accepted.
    pub(crate) fn bound(&self, purpose: Purpose) -> Option<Region> {
        self.accepted_in.filter(|_| purpose == Purpose::Write)
    }
}

impl HedgedAttempts<'_> {
    /// Sends the request until there is an answer or every door was tried.
    pub(crate) async fn run(&self, progress: &mut Progress) -> Result<AttemptAnswer, Unanswered> {
        let mut state =
            State { round: self, attempts: FuturesUnordered::new(), running: Vec::with_capacity(2), progress };
        if !state.start(Why::First) {
            let result = Err(Failure::nothing_left("no healthy door"));
            return Err(Unanswered { result, may_continue: false, costs_retry: false });
        }
        let hedge_at =
            (self.doors.router.hedge_after().filter(|_| self.template.hold)).map(|after| self.head.began + after);
        // The answer if no other attempt has a better one.
        let mut fallback: Option<AttemptAnswer> = None;
        loop {
            let wake = state.wake(hedge_at);
            let ended = tokio::select! {
                biased;
                Some(ended) = state.attempts.next() => ended,
                () = sleep_until(wake.into()) => {
                    if Instant::now() >= self.head.deadline {
                        state.record_timeouts(self.head.deadline);
                        let result = fallback.ok_or_else(|| {
                            Failure::timeout(self.head.deadline.duration_since(self.head.began).as_millis())
                        });
                        return Err(Unanswered { result, may_continue: false, costs_retry: false });
                    }
                    state.start_another(hedge_at);
                    continue;
                }
            };
            let Ended { rank, attempt, result } = ended;
            let (may_continue, unsent, failure) = match result {
                Ok(mut response) => {
                    state.notice_draining(rank, &mut response);
                    let answer = AttemptAnswer { response, rank, attempt };
                    let Verdict::Elsewhere(outcome) = verdict(&answer.response) else {
                        state.finish(rank, Outcome::Success);
                        return Ok(answer);
                    };
                    // A node that accepts no request yet is treated like one that cannot be connected to.
                    let not_ready = is_not_ready(answer.response.headers());
                    // Its region may not have the project's rows, so another region's door has to decide.
                    let outside = is_outside(answer.response.headers());
                    state.finish(rank, outcome);
                    if outside {
                        state.exclude_region(rank);
                    } else if not_ready {
                        state.note_not_accepted(rank);
                    } else {
                        state.note_possibly_accepted(rank);
                    }
                    if !outside || fallback.is_none() {
                        fallback = Some(answer);
                    }
                    (self.head.repeatable || outside, not_ready || outside, None)
                }
                Err(AttemptError::Unreached(reason)) => {
                    state.finish(rank, Outcome::Unreached);
                    (true, true, Some(Failure::lost(&reason, false)))
                }
                Err(AttemptError::Lost(reason)) => {
                    state.finish(rank, Outcome::Lost);
                    state.note_possibly_accepted(rank);
                    (self.head.repeatable, false, Some(Failure::lost(&reason, !self.head.repeatable)))
                }
            };
            let costs_retry = !unsent && state.costs_retry(rank);
            let has_next = may_continue && state.next_rank().is_some();
            if has_next && (!costs_retry || self.doors.router.withdraw_retry()) && state.start(Why::Retry) {
                metrics::counter!("littoral_router_retries_total").increment(1);
                continue;
            }
            if state.attempts.is_empty() {
                // The answer of a door is final, unless the door is not ready, or its region may not hold the rows.
                let is_final = fallback.as_ref().is_some_and(|answer| {
                    !is_not_ready(answer.response.headers()) && !is_outside(answer.response.headers())
                });
                let result = fallback.ok_or_else(|| failure.unwrap_or_else(|| Failure::nothing_left("no door")));
                return Err(Unanswered { result, may_continue: may_continue && !has_next && !is_final, costs_retry });
            }
        }
    }

    fn door(&self, rank: usize) -> Option<&Door> {
        let index = self.ranked.get(rank)?.door;
        Some(&self.board.view.doors.get(index)?.door)
    }
}

impl<'a> State<'a> {
    /// Returns the next door that the request may be sent to. For a write that a door may have accepted, it is in the
    /// region of that door.
    fn next_rank(&self) -> Option<usize> {
        let round = self.round;
        let running = || {
            let running = self.running.iter().find(|running| !running.ended)?;
            round.door(running.rank).map(|door| door.region)
        };
        let is_write = round.head.purpose == Purpose::Write;
        let bound = is_write.then(|| self.progress.accepted_in.or_else(running)).flatten();
        let doors = (0..round.ranked.len()).filter_map(|rank| round.door(rank));
        self.progress.attempts.next(doors, bound)
    }

    /// Returns whether a retry after a failure at this door is withdrawn from the retry budget. It is not if the door
    /// receives no further requests: then all of its requests move to another door, and each of them still uses one
    /// usable door.
    fn costs_retry(&self, rank: usize) -> bool {
        self.round.door(rank).is_none_or(|door| self.round.doors.router.may_receive(door.id))
    }

    fn note_not_accepted(&mut self, rank: usize) {
        if let Some(door) = self.round.door(rank) {
            self.progress.attempts.unreached(door.id);
        }
    }

    fn exclude_region(&mut self, rank: usize) {
        if let Some(door) = self.round.door(rank) {
            self.progress.attempts.exclude(door.region);
        }
    }

    fn note_possibly_accepted(&mut self, rank: usize) {
        self.progress.accepted_in = self.round.door(rank).map(|door| door.region);
    }

    /// Removes the header by which a node announces that it is draining, and records that. No probe may have noticed it
    /// yet.
    fn notice_draining(&self, rank: usize, response: &mut Response<Answer>) {
        if response.headers_mut().remove(draining::HEADER).is_some()
            && let Some(door) = self.round.door(rank)
        {
            self.round.doors.router.note_draining(door.id);
        }
    }

    /// Sends the request to the next door. Returns whether there was one.
    fn start(&mut self, why: Why) -> bool {
        let round: &'a HedgedAttempts<'a> = self.round;
        let Some(rank) = self.next_rank() else { return false };
        let (Some(door), Some(body)) = (round.door(rank), round.body.outgoing()) else { return false };
        let Some(index) = round.ranked.get(rank).map(|ranked| ranked.door) else { return false };
        let in_flight = round.board.enter(index);
        self.progress.attempts.begin(door);
        self.progress.started += 1;
        let (attempt, began) = (self.progress.started, Instant::now());
        self.running.push(Running { rank, door: door.id, began, timed_out: false, ended: false });
        // A further round begins with a retry.
        let why = if attempt > 1 && why == Why::First { Why::Retry } else { why };
        let sent = round.doors.attempt(round.template, door, in_flight, body, (attempt, why));
        self.attempts.push(sent.map(move |result| Ended { rank, attempt, result }).boxed());
        true
    }

    /// Returns when to act if no attempt ends earlier.
    fn wake(&self, hedge_at: Option<Instant>) -> Instant {
        let mut wake = self.round.head.deadline;
        if self.round.head.repeatable && self.next_rank().is_some() {
            let overdue = self.waiting().map(|running| running.began + self.round.head.attempt_timeout).min();
            wake = overdue.map_or(wake, |at| wake.min(at));
            if !self.progress.hedged {
                wake = hedge_at.map_or(wake, |at| wake.min(at));
            }
        }
        wake
    }

    /// Starts a concurrent attempt because the running ones are slow, if the budgets allow it.
    fn start_another(&mut self, hedge_at: Option<Instant>) {
        let now = Instant::now();
        let attempt_timeout = self.round.head.attempt_timeout;
        let overdue = self.waiting().find(|running| now >= running.began + attempt_timeout);
        let overdue = overdue.map(|running| running.rank);
        self.record_timeouts(now);
        if let Some(overdue) = overdue {
            if (!self.costs_retry(overdue) || self.round.doors.router.withdraw_retry()) && self.start(Why::Retry) {
                metrics::counter!("littoral_router_retries_total").increment(1);
            }
        } else if !self.progress.hedged && hedge_at.is_some_and(|at| now >= at) {
            self.progress.hedged = true;
            if self.round.doors.router.withdraw_hedge() && self.start(Why::Hedge) {
                metrics::counter!("littoral_router_hedges_total").increment(1);
            }
        }
    }

    /// Iterates over the attempts that have neither ended nor timed out.
    fn waiting(&self) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(|running| !running.ended && !running.timed_out)
    }

    /// Records a failure of each door that has not answered in time.
    fn record_timeouts(&mut self, now: Instant) {
        for running in self.running.iter_mut().filter(|running| !running.ended && !running.timed_out) {
            if now >= running.began + self.round.head.attempt_timeout {
                running.timed_out = true;
                self.round.doors.router.recorded(running.door, Outcome::Failure);
            }
        }
    }

    fn finish(&mut self, rank: usize, outcome: Outcome) {
        let Some(running) = self.running.iter_mut().find(|running| running.rank == rank) else { return };
        running.ended = true;
        if outcome == Outcome::Unreached {
            self.progress.attempts.unreached(running.door);
        }
        if !running.timed_out {
            self.round.doors.router.recorded(running.door, outcome);
        }
    }
}
