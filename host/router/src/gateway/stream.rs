//! Large bodies: forwarded as they arrive, to the first door that accepts a connection. Once a part of the request was
//! sent, it is not retried.

use crate::{
    board::Board,
    decision::{attempts::Attempts, outlier::Outcome, select::RankedDoor},
    gateway::{
        attempt::{AttemptError, Doors, Template},
        failure::Failure,
        head::Head,
        hedged_attempts::AttemptAnswer,
        outgoing::{Forwarded, Outgoing},
        traced::{self, Why},
        verdict::{Verdict, verdict},
    },
};

/// Sends a request whose body is forwarded.
pub(crate) async fn run(
    doors: &Doors,
    board: &Board,
    head: &Head,
    template: &Template,
    body: Box<Forwarded>,
    doors_by_rank: &[RankedDoor],
) -> Result<AttemptAnswer, Failure> {
    let sending = async {
        let mut error = None;
        let mut attempts = Attempts::new(doors.router.bounds().attempts_max);
        let door_of = |ranked: &RankedDoor| board.view.doors.get(ranked.door).map(|view| &*view.door);
        let mut attempt = 0;
        while let Some(index) = attempts.next(doors_by_rank.iter().filter_map(door_of), None) {
            let Some((ranked, door)) = doors_by_rank.get(index).and_then(|at| Some((at, door_of(at)?))) else { break };
            attempt += 1;
            attempts.begin(door);
            let in_flight = board.enter(ranked.door);
            let why = if attempt > 1 { Why::Retry } else { Why::First };
            let span = traced::attempt(template.context.as_ref(), door, (attempt, why));
            match doors.connect(door).await {
                Ok(upstream) => {
                    let request = template.request(door, Outgoing::Forwarded(body), &span);
                    let sent = doors.send(upstream, template, door, in_flight, request).await;
                    traced::end_attempt(span, &sent);
                    let outcome = match sent.as_ref().map(verdict) {
                        Ok(Verdict::Final) => Outcome::Success,
                        Ok(Verdict::Elsewhere(outcome)) => outcome,
                        Err(AttemptError::Unreached(_)) => Outcome::Unreached,
                        Err(AttemptError::Lost(_)) => Outcome::Lost,
                    };
                    doors.router.recorded(door.id, outcome);
                    let lost = |error: AttemptError| Failure::lost(error.reason(), !head.repeatable);
                    return sent.map(|response| AttemptAnswer { response, rank: index, attempt }).map_err(lost);
                }
                Err(unreached) => {
                    attempts.unreached(door.id);
                    doors.router.recorded(door.id, Outcome::Unreached);
                    error = Some(Failure::lost(unreached.reason(), false));
                    traced::end_attempt(span, &Err(unreached));
                }
            }
        }
        Err(error.unwrap_or_else(|| Failure::nothing_left("no healthy door")))
    };
    match tokio::time::timeout_at(head.deadline.into(), sending).await {
        Ok(result) => result,
        Err(_) => Err(Failure::timeout(head.deadline.duration_since(head.began).as_millis())),
    }
}
