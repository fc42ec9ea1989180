//! A request and its attempts: retries on the next door when one fails, a second one beside it when one is slow, and one
//! deadline over all of them. The first good answer counts; dropping the others ends their work.
//!
//! A write that may have been taken is repeated only within its region: leaders know the idempotency keys of their own
//! region, and another region's would take it a second time.

use crate::{
    board::Board,
    decision::{
        member::Door,
        member::MemberId,
        outlier::Outcome,
        select::{Candidate, Purpose},
    },
    gateway::{
        answer::Answer,
        attempt::{Doors, Missed, Template},
        body::Taken,
        failure::Failure,
        head::Head,
        headers,
    },
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::{Response, StatusCode};
use std::time::Instant;
use tokio::time::sleep_until;

/// A request that may be sent to several doors.
pub(crate) struct Race<'a> {
    pub(crate) doors: &'a Doors,
    pub(crate) board: &'a Board,
    pub(crate) head: &'a Head,
    pub(crate) template: &'a Template,
    pub(crate) body: &'a Taken,
    pub(crate) candidates: &'a [Candidate],
}

/// The answer, and which of the candidates gave it.
pub(crate) struct Won {
    pub(crate) response: Response<Answer>,
    pub(crate) candidate: usize,
    pub(crate) attempts: usize,
}

/// An attempt that has ended.
struct Ended {
    candidate: usize,
    result: Result<Response<Answer>, Missed>,
}

/// An attempt that runs.
struct Running {
    /// Its place among the candidates.
    candidate: usize,
    door: MemberId,
    began: Instant,
    /// Whether its door was already blamed for taking too long.
    blamed: bool,
    ended: bool,
}

struct State<'a> {
    race: &'a Race<'a>,
    attempts: FuturesUnordered<BoxFuture<'a, Ended>>,
    running: Vec<Running>,
    /// The next candidate to try.
    next: usize,
    /// The region in which the request may have been taken.
    taken_in: Option<usize>,
    hedged: bool,
}

/// A node's word for a request whose own demand finds too many others waiting.
const TOO_MANY_WAITING: &str = "too_many_waiting";

/// Whether an answer says that another door should be asked. A node's own 504 does not: the write is durable, and was not made
/// so elsewhere in time.
/// Nor does 503 for the request's own demand: the next door would have to hold the wait instead, and retries would not be there
/// for those who need them.
fn is_elsewhere(answer: &Response<Answer>) -> bool {
    match answer.status() {
        StatusCode::BAD_GATEWAY => true,
        StatusCode::SERVICE_UNAVAILABLE => {
            answer.headers().get(headers::ERROR).is_none_or(|error| error != TOO_MANY_WAITING)
        }
        StatusCode::GATEWAY_TIMEOUT => !answer.headers().contains_key(headers::ERROR),
        _ => false,
    }
}

impl Race<'_> {
    /// Sends the request until there is an answer or nothing is left to try.
    pub(crate) async fn run(&self) -> Result<Won, Failure> {
        let attempts = FuturesUnordered::new();
        let mut state =
            State { race: self, attempts, running: Vec::with_capacity(2), next: 0, taken_in: None, hedged: false };
        if !state.start() {
            return Err(Failure::nothing_left("no healthy door"));
        }
        let hedge_at =
            (self.doors.router.hedge_after().filter(|_| self.template.hold)).map(|after| self.head.began + after);
        // The last resort when nothing better comes.
        let mut fallback: Option<Won> = None;
        loop {
            let wake = state.wake(hedge_at);
            let ended = tokio::select! {
                biased;
                Some(ended) = state.attempts.next() => ended,
                () = sleep_until(wake.into()) => {
                    if Instant::now() >= self.head.deadline {
                        state.blame_slow(self.head.deadline);
                        return fallback.ok_or_else(|| {
                            Failure::timeout(self.head.deadline.duration_since(self.head.began).as_millis())
                        });
                    }
                    state.slow(hedge_at);
                    continue;
                }
            };
            let (attempts, candidate) = (state.running.len(), ended.candidate);
            let (retriable, failure) = match ended.result {
                Ok(response) if !is_elsewhere(&response) => {
                    state.finish(candidate, Outcome::Success);
                    return Ok(Won { response, candidate, attempts });
                }
                Ok(response) => {
                    // A node that says 503 itself is no outlier: probes and load look after it.
                    let spoke = response.status() == StatusCode::SERVICE_UNAVAILABLE;
                    state.finish(candidate, if spoke { Outcome::Success } else { Outcome::Failure });
                    state.may_be_taken(candidate);
                    fallback = Some(Won { response, candidate, attempts });
                    (self.head.repeatable, None)
                }
                Err(missed) => {
                    state.finish(candidate, Outcome::Failure);
                    if matches!(missed, Missed::Lost(_)) {
                        state.may_be_taken(candidate);
                    }
                    let unsent = matches!(missed, Missed::Unreached(_));
                    let failure = Failure::lost(missed.reason(), !unsent && !self.head.repeatable);
                    (unsent || self.head.repeatable, Some(failure))
                }
            };
            let went_on = retriable && state.may_start() && self.doors.router.may_retry() && state.start();
            if went_on {
                metrics::counter!("littoral_router_retries_total").increment(1);
            } else if state.attempts.is_empty() {
                return match (fallback, failure) {
                    (Some(won), _) => Ok(won),
                    (None, failure) => Err(failure.unwrap_or_else(|| Failure::nothing_left("no door"))),
                };
            }
        }
    }

    fn door(&self, candidate: usize) -> Option<&Door> {
        let member = self.candidates.get(candidate)?.member;
        Some(&self.board.view.members.get(member)?.door)
    }
}

impl<'a> State<'a> {
    /// Whether there is another door to try.
    fn may_start(&self) -> bool {
        let most = self.race.doors.router.config().gateway.attempts_max as usize;
        self.running.len() < most && self.next_candidate().is_some()
    }

    /// The next door that the request may go to, which for a write that may have been taken is one of the same region.
    fn next_candidate(&self) -> Option<usize> {
        let candidates = self.race.candidates;
        let region = |candidate: usize| candidates.get(candidate).map(|candidate| candidate.region);
        let under_way =
            || self.running.iter().find(|running| !running.ended).and_then(|running| region(running.candidate));
        let bound = (self.race.head.purpose == Purpose::Write).then(|| self.taken_in.or_else(under_way)).flatten();
        (self.next..candidates.len()).find(|next| bound.is_none() || region(*next) == bound)
    }

    fn may_be_taken(&mut self, candidate: usize) {
        self.taken_in = self.race.candidates.get(candidate).map(|candidate| candidate.region);
    }

    /// Sends the request to the next door.
    fn start(&mut self) -> bool {
        let race: &'a Race<'a> = self.race;
        let Some(candidate) = self.next_candidate() else { return false };
        let (Some(door), Some(body)) = (race.door(candidate), race.body.outgoing()) else { return false };
        let Some(member) = race.candidates.get(candidate).map(|candidate| candidate.member) else { return false };
        let in_flight = race.board.enter(member);
        self.next = candidate + 1;
        self.running.push(Running { candidate, door: door.id, began: Instant::now(), blamed: false, ended: false });
        let attempt = race.doors.attempt(race.template, door, in_flight, body);
        self.attempts.push(attempt.map(move |result| Ended { candidate, result }).boxed());
        true
    }

    /// When something must be done though no attempt has ended.
    fn wake(&self, hedge_at: Option<Instant>) -> Instant {
        let mut wake = self.race.head.deadline;
        if self.race.head.repeatable && self.may_start() {
            let overdue = self.waited_for().map(|running| running.began + self.race.head.patience).min();
            wake = overdue.map_or(wake, |at| wake.min(at));
            if !self.hedged {
                wake = hedge_at.map_or(wake, |at| wake.min(at));
            }
        }
        wake
    }

    /// The attempts take long: another one beside them, if the budgets allow.
    fn slow(&mut self, hedge_at: Option<Instant>) {
        let now = Instant::now();
        let patience = self.race.head.patience;
        let overdue = self.waited_for().any(|running| now >= running.began + patience);
        self.blame_slow(now);
        if overdue {
            if self.race.doors.router.may_retry() && self.start() {
                metrics::counter!("littoral_router_retries_total").increment(1);
            }
        } else if !self.hedged && hedge_at.is_some_and(|at| now >= at) {
            self.hedged = true;
            if self.race.doors.router.may_hedge() && self.start() {
                metrics::counter!("littoral_router_hedges_total").increment(1);
            }
        }
    }

    /// Attempts that may still answer and have not had their time.
    fn waited_for(&self) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(|running| !running.ended && !running.blamed)
    }

    /// Doors that have had their time and gave no answer failed.
    fn blame_slow(&mut self, now: Instant) {
        for running in self.running.iter_mut().filter(|running| !running.ended && !running.blamed) {
            if now >= running.began + self.race.head.patience {
                running.blamed = true;
                self.race.doors.router.recorded(running.door, Outcome::Failure);
            }
        }
    }

    fn finish(&mut self, candidate: usize, outcome: Outcome) {
        let Some(running) = self.running.iter_mut().find(|running| running.candidate == candidate) else { return };
        running.ended = true;
        if !running.blamed {
            self.race.doors.router.recorded(running.door, outcome);
        }
    }
}
