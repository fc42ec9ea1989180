//! A request until it is answered: a race among the doors that were decided on; when none of them has answered, a race among
//! those that are not known to be well; and when nothing of it was answered at all, again in a moment, as a door may be back.

use crate::{
    board::Board,
    decision::{
        reason,
        select::{Ask, Candidate, Decision, last_resort},
    },
    gateway::{
        attempt::{Doors, Template},
        body::Taken,
        failure::Failure,
        head::Head,
        race::{Progress, Race, Unanswered, Won},
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// For how long a request that no door could take is kept and tried again: a door that is started again is known to be back
/// within two probes.
const AGAIN_FOR: Duration = Duration::from_secs(3);

/// How often.
const AGAIN_EVERY: Duration = Duration::from_millis(100);

/// A request that is to be answered.
pub(crate) struct Pursuit<'a> {
    pub(crate) doors: &'a Doors,
    pub(crate) head: &'a Head,
    pub(crate) template: &'a Template,
    pub(crate) body: &'a Taken,
    pub(crate) ask: &'a Ask<'a>,
}

/// An answer, and what it came by.
pub(crate) struct Found {
    pub(crate) won: Won,
    pub(crate) board: Arc<Board>,
    pub(crate) decision: Decision,
    /// Attempts that were begun.
    pub(crate) begun: usize,
}

impl Pursuit<'_> {
    /// Sends the request until there is an answer.
    pub(crate) async fn run(&self, mut board: Arc<Board>, mut decision: Decision) -> Result<Found, Failure> {
        let mut progress = Progress::new(self.doors.router.config().gateway.attempts_max);
        let mut unanswered_since = None;
        loop {
            let Self { doors, head, template, body, .. } = *self;
            let race = Race { doors, board: &board, head, template, body, candidates: &decision.candidates };
            let Unanswered { result, goes_on, costs } = match race.run(&mut progress).await {
                Ok(won) => return Ok(Found { begun: progress.begun, won, board, decision }),
                Err(unanswered) => unanswered,
            };
            let since = *unanswered_since.get_or_insert_with(Instant::now);
            let next = if goes_on { self.further(&mut progress, since).await } else { None };
            let paid = || !costs || doors.router.may_retry();
            match next.filter(|_| paid()) {
                Some(further) => {
                    metrics::counter!("littoral_router_retries_total").increment(1);
                    (board, decision) = further;
                }
                None => return result.map(|won| Found { begun: progress.begun, won, board, decision }),
            }
        }
    }

    /// Doors that the request has not been to, by what is known now; else, after a moment, those that it has been to.
    async fn further(&self, progress: &mut Progress, since: Instant) -> Option<(Arc<Board>, Decision)> {
        let until = (since + AGAIN_FOR).min(self.head.deadline);
        if let Some(further) = self.untried(progress) {
            return Some(further);
        }
        if Instant::now() + AGAIN_EVERY >= until {
            return None;
        }
        tokio::time::sleep(AGAIN_EVERY).await;
        progress.attempts.again();
        self.untried(progress)
    }

    fn untried(&self, progress: &Progress) -> Option<(Arc<Board>, Decision)> {
        let board = self.doors.router.board();
        let mut decision = board.decide(&Ask { limit: usize::MAX, ..*self.ask });
        let is_open = |candidates: &[Candidate]| {
            let doors = candidates.iter().filter_map(|candidate| board.view.members.get(candidate.member));
            progress.attempts.next(doors.map(|member| &*member.door), progress.bound(self.ask.purpose)).is_some()
        };
        if is_open(&decision.candidates) {
            return Some((board, decision));
        }
        let left = last_resort(&board.view, self.ask);
        if !is_open(&left) {
            return None;
        }
        let state = left.first().and_then(|first| board.view.members.get(first.member)).map(|member| member.state);
        decision.reason.kind = state.map_or(decision.reason.kind, reason::Kind::Panic);
        decision.candidates = left;
        Some((board, decision))
    }
}
