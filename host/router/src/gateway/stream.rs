//! Large bodies: passed on as they come, to the first door that takes the connection. What was begun is not repeated.

use crate::{
    board::Board,
    decision::{outlier::Outcome, select::Candidate},
    gateway::{
        attempt::{Doors, Missed, Template},
        failure::Failure,
        head::Head,
        outgoing::{Outgoing, Passed},
        race::Won,
    },
};

/// Sends a request whose body is not held.
pub(crate) async fn run(
    doors: &Doors,
    board: &Board,
    head: &Head,
    template: &Template,
    body: Box<Passed>,
    candidates: &[Candidate],
) -> Result<Won, Failure> {
    let most = doors.router.config().gateway.attempts_max as usize;
    let sending = async {
        let mut missed = None;
        for (index, candidate) in candidates.iter().take(most).enumerate() {
            let Some(member) = board.view.members.get(candidate.member) else { continue };
            let in_flight = board.enter(candidate.member);
            match doors.connect(&member.door).await {
                Ok(upstream) => {
                    let request = template.request(&member.door, Outgoing::Passed(body));
                    let sent = doors.send(upstream, template, &member.door, in_flight, request).await;
                    let outcome = if sent.is_ok() { Outcome::Success } else { Outcome::Failure };
                    doors.router.recorded(member.door.id, outcome);
                    let lost = |missed: Missed| Failure::lost(missed.reason(), !head.repeatable);
                    return sent.map(|response| Won { response, candidate: index, attempts: index + 1 }).map_err(lost);
                }
                Err(unreached) => {
                    doors.router.recorded(member.door.id, Outcome::Failure);
                    missed = Some(Failure::lost(unreached.reason(), false));
                }
            }
        }
        Err(missed.unwrap_or_else(|| Failure::nothing_left("no healthy door")))
    };
    match tokio::time::timeout_at(head.deadline.into(), sending).await {
        Ok(result) => result,
        Err(_) => Err(Failure::timeout(head.deadline.duration_since(head.began).as_millis())),
    }
}
