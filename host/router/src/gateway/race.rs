//! A request and its attempts: retries on the next door when one fails, a second one beside it when one is slow, and one
//! deadline over all of them. The first good answer counts; dropping the others ends their work.
//!
//! A write that may have been taken is repeated only within its region: leaders know the idempotency keys of their own
//! region, and another region's would take it a second time.

use crate::{
    board::Board,
    decision::{
        attempts::Attempts,
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
        verdict::{Verdict, is_not_ready, verdict},
    },
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::Response;
use littoral_model::region::Region;
use littoral_runtime::draining;
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

/// What outlives one round of a race.
pub(crate) struct Progress {
    pub(crate) attempts: Attempts,
    /// Attempts that were begun.
    pub(crate) begun: usize,
    /// The region in which the request may have been taken.
    taken_in: Option<Region>,
    hedged: bool,
}

/// The answer, and which of the candidates gave it.
pub(crate) struct Won {
    pub(crate) response: Response<Answer>,
    pub(crate) candidate: usize,
    /// Which attempt it was, from 1 on.
    pub(crate) attempt: usize,
}

/// No candidate has answered well, and none is left.
pub(crate) struct Unanswered {
    /// The answer, when nothing better comes.
    pub(crate) result: Result<Won, Failure>,
    /// Whether further doors may be asked.
    pub(crate) goes_on: bool,
    /// Whether that must be paid for out of the retry budget.
    pub(crate) costs: bool,
}

/// An attempt that has ended.
struct Ended {
    candidate: usize,
    /// Which attempt it was, from 1 on.
    attempt: usize,
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
    progress: &'a mut Progress,
}

impl Progress {
    pub(crate) fn new(attempts_max: u32) -> Self {
        Self { attempts: Attempts::new(attempts_max), begun: 0, taken_in: None, hedged: false }
    }

    /// The only region that the request may go to, if it is a write that may have been taken there.
    pub(crate) fn bound(&self, purpose: Purpose) -> Option<Region> {
        self.taken_in.filter(|_| purpose == Purpose::Write)
    }
}

impl Race<'_> {
    /// Sends the request until there is an answer or no candidate is left to try.
    pub(crate) async fn run(&self, progress: &mut Progress) -> Result<Won, Unanswered> {
        let mut state =
            State { race: self, attempts: FuturesUnordered::new(), running: Vec::with_capacity(2), progress };
        if !state.start() {
            let result = Err(Failure::nothing_left("no healthy door"));
            return Err(Unanswered { result, goes_on: false, costs: false });
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
                        let result = fallback.ok_or_else(|| {
                            Failure::timeout(self.head.deadline.duration_since(self.head.began).as_millis())
                        });
                        return Err(Unanswered { result, goes_on: false, costs: false });
                    }
                    state.slow(hedge_at);
                    continue;
                }
            };
            let Ended { candidate, attempt, result } = ended;
            let (goes_on, unsent, failure) = match result {
                Ok(mut response) => {
                    state.notice_draining(candidate, &mut response);
                    let won = Won { response, candidate, attempt };
                    let Verdict::Elsewhere(outcome) = verdict(&won.response) else {
                        state.finish(candidate, Outcome::Success);
                        return Ok(won);
                    };
                    // A node that takes nothing yet is as good as one that cannot be connected to.
                    let not_ready = is_not_ready(won.response.headers());
                    state.finish(candidate, outcome);
                    if not_ready {
                        state.was_not_taken(candidate);
                    } else {
                        state.may_be_taken(candidate);
                    }
                    fallback = Some(won);
                    (self.head.repeatable, not_ready, None)
                }
                Err(Missed::Unreached(reason)) => {
                    state.finish(candidate, Outcome::Unreached);
                    (true, true, Some(Failure::lost(&reason, false)))
                }
                Err(Missed::Lost(reason)) => {
                    state.finish(candidate, Outcome::Lost);
                    state.may_be_taken(candidate);
                    (self.head.repeatable, false, Some(Failure::lost(&reason, !self.head.repeatable)))
                }
            };
            let costs = !unsent && state.costs(candidate);
            let has_next = goes_on && state.next_candidate().is_some();
            if has_next && (!costs || self.doors.router.may_retry()) && state.start() {
                metrics::counter!("littoral_router_retries_total").increment(1);
                continue;
            }
            if state.attempts.is_empty() {
                // A door that has answered has decided, unless it only waits for its data.
                let decided = fallback.as_ref().is_some_and(|won| !is_not_ready(won.response.headers()));
                let result = fallback.ok_or_else(|| failure.unwrap_or_else(|| Failure::nothing_left("no door")));
                return Err(Unanswered { result, goes_on: goes_on && !has_next && !decided, costs });
            }
        }
    }

    fn door(&self, candidate: usize) -> Option<&Door> {
        let member = self.candidates.get(candidate)?.member;
        Some(&self.board.view.members.get(member)?.door)
    }
}

impl<'a> State<'a> {
    /// The next door that the request may go to, which for a write that may have been taken is one of the same region.
    fn next_candidate(&self) -> Option<usize> {
        let race = self.race;
        let under_way = || {
            let running = self.running.iter().find(|running| !running.ended)?;
            race.door(running.candidate).map(|door| door.region)
        };
        let is_write = race.head.purpose == Purpose::Write;
        let bound = is_write.then(|| self.progress.taken_in.or_else(under_way)).flatten();
        let doors = (0..race.candidates.len()).filter_map(|candidate| race.door(candidate));
        self.progress.attempts.next(doors, bound)
    }

    /// Whether a further attempt after one that has failed at this door is paid for out of the retry budget. It is not when the
    /// door has lost its place: the requests that it had are moved, and each goes to one door that counts, as those do that
    /// come after them.
    fn costs(&self, candidate: usize) -> bool {
        self.race.door(candidate).is_none_or(|door| self.race.doors.router.keeps_its_place(door.id))
    }

    fn was_not_taken(&mut self, candidate: usize) {
        if let Some(door) = self.race.door(candidate) {
            self.progress.attempts.unreached(door.id);
        }
    }

    fn may_be_taken(&mut self, candidate: usize) {
        self.progress.taken_in = self.race.door(candidate).map(|door| door.region);
    }

    /// A door that says that it is about to stop gets nothing more, though no probe has come by yet.
    fn notice_draining(&self, candidate: usize, response: &mut Response<Answer>) {
        if response.headers_mut().remove(draining::HEADER).is_some()
            && let Some(door) = self.race.door(candidate)
        {
            self.race.doors.router.is_draining(door.id);
        }
    }

    /// Sends the request to the next door.
    fn start(&mut self) -> bool {
        let race: &'a Race<'a> = self.race;
        let Some(candidate) = self.next_candidate() else { return false };
        let (Some(door), Some(body)) = (race.door(candidate), race.body.outgoing()) else { return false };
        let Some(member) = race.candidates.get(candidate).map(|candidate| candidate.member) else { return false };
        let in_flight = race.board.enter(member);
        self.progress.attempts.begin(door);
        self.progress.begun += 1;
        let (attempt, began) = (self.progress.begun, Instant::now());
        self.running.push(Running { candidate, door: door.id, began, blamed: false, ended: false });
        let sent = race.doors.attempt(race.template, door, in_flight, body);
        self.attempts.push(sent.map(move |result| Ended { candidate, attempt, result }).boxed());
        true
    }

    /// When something must be done though no attempt has ended.
    fn wake(&self, hedge_at: Option<Instant>) -> Instant {
        let mut wake = self.race.head.deadline;
        if self.race.head.repeatable && self.next_candidate().is_some() {
            let overdue = self.waited_for().map(|running| running.began + self.race.head.patience).min();
            wake = overdue.map_or(wake, |at| wake.min(at));
            if !self.progress.hedged {
                wake = hedge_at.map_or(wake, |at| wake.min(at));
            }
        }
        wake
    }

    /// The attempts take long: another one beside them, if the budgets allow.
    fn slow(&mut self, hedge_at: Option<Instant>) {
        let now = Instant::now();
        let patience = self.race.head.patience;
        let overdue = self.waited_for().find(|running| now >= running.began + patience);
        let overdue = overdue.map(|running| running.candidate);
        self.blame_slow(now);
        if let Some(overdue) = overdue {
            if (!self.costs(overdue) || self.race.doors.router.may_retry()) && self.start() {
                metrics::counter!("littoral_router_retries_total").increment(1);
            }
        } else if !self.progress.hedged && hedge_at.is_some_and(|at| now >= at) {
            self.progress.hedged = true;
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
        if outcome == Outcome::Unreached {
            self.progress.attempts.unreached(running.door);
        }
        if !running.blamed {
            self.race.doors.router.recorded(running.door, outcome);
        }
    }
}
