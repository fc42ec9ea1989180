//! Large bodies: forwarded as they arrive, to the first door that asks for the body. Once a part of it was sent, the
//! request is not sent to another door.

use crate::{
    board::Board,
    decision::{attempts::Attempts, outlier::Outcome, select::RankedDoor},
    gateway::{
        attempt::{AttemptError, Doors, Template},
        failure::Failure,
        head::Head,
        hedged_attempts::AttemptAnswer,
        outgoing::{Forwarded, Gate, Outgoing},
        traced::{self, Why},
        verdict::{Verdict, is_not_ready, is_outside, verdict},
    },
};
use http::{HeaderValue, Request, StatusCode, header};
use std::{pin::pin, time::Duration};

/// How long a door may take to ask for the body. A server in front of the door may not know how to, so the body is sent
/// then.
const ASK_TIME_MAX: Duration = Duration::from_secs(1);

/// Sends a request whose body is forwarded.
pub(crate) async fn run(
    doors: &Doors,
    board: &Board,
    head: &Head,
    template: &Template,
    mut body: Box<Forwarded>,
    doors_by_rank: &[RankedDoor],
) -> Result<AttemptAnswer, Failure> {
    let sending = async {
        let (mut error, mut rejection) = (None, None);
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
                    let gate = Gate::closed(body);
                    let request = asking(template.request(door, Outgoing::Forwarded(gate.clone()), &span), &gate);
                    let mut sent = pin!(doors.send(upstream, template, door, in_flight, request));
                    let sent = tokio::select! {
                        sent = &mut sent => sent,
                        () = tokio::time::sleep(ASK_TIME_MAX) => {
                            gate.open();
                            sent.await
                        }
                    };
                    traced::end_attempt(span, &sent);
                    let outcome = match sent.as_ref().map(verdict) {
                        Ok(Verdict::Final) => Outcome::Success,
                        Ok(Verdict::Elsewhere(outcome)) => outcome,
                        Err(AttemptError::Unreached(_)) => Outcome::Unreached,
                        Err(AttemptError::Lost(_)) => Outcome::Lost,
                    };
                    doors.router.recorded(door.id, outcome);
                    let lost = |error: AttemptError| Failure::lost(error.reason(), !head.repeatable);
                    let response = sent.map_err(lost)?;
                    let outside = is_outside(response.headers());
                    let may_continue = outside || is_not_ready(response.headers());
                    let answer = AttemptAnswer { response, rank: index, attempt };
                    let Some(unsent) = may_continue.then(|| gate.take_back()).flatten() else { return Ok(answer) };
                    if outside {
                        attempts.exclude(door.region);
                    }
                    metrics::counter!("littoral_router_retries_total").increment(1);
                    (body, rejection) = (unsent, Some(answer));
                }
                Err(unreached) => {
                    attempts.unreached(door.id);
                    doors.router.recorded(door.id, Outcome::Unreached);
                    error = Some(Failure::lost(unreached.reason(), false));
                    traced::end_attempt(span, &Err(unreached));
                }
            }
        }
        rejection.ok_or_else(|| error.unwrap_or_else(|| Failure::nothing_left("no healthy door")))
    };
    match tokio::time::timeout_at(head.deadline.into(), sending).await {
        Ok(result) => result,
        Err(_) => Err(Failure::timeout(head.deadline.duration_since(head.began).as_millis())),
    }
}

/// Makes a request wait with its body until the door asks for it.
fn asking(mut request: Request<Outgoing>, gate: &Gate) -> Request<Outgoing> {
    request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
    let gate = gate.clone();
    hyper::ext::on_informational(&mut request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            gate.open();
        }
    });
    request
}
