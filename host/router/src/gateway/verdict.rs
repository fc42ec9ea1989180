//! Evaluates an answer: the outcome for its door, and whether to try another door.

use crate::decision::outlier::Outcome;
use http::{HeaderMap, Response, StatusCode};
use littoral_api::{self as api, code};

/// The consequence of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the answer of the request.
    Final,
    /// Another door may do better. The outcome counts for this door.
    Elsewhere(Outcome),
}

/// The codes of a node that accepts no request yet: it has no data, or is starting.
const NOT_READY: [&str; 2] = [code::NOT_READY, code::STARTING];

/// Evaluates an answer. A node sets the code of an error in `littoral-error`. A server error without a code comes from
/// a server in front of the node and counts as a failure of the door, as does 502. A node's own 503 counts against the
/// door only if the node rejects every request: otherwise one tenant could eject edges for all. With 421 a node states
/// that the rows of the request's project are in other regions. A node's own 504 is the answer of the request: the
/// write is durable, but its concern was not reached in time.
pub(crate) fn verdict<B>(answer: &Response<B>) -> Verdict {
    let word = answer.headers().get(api::headers::ERROR).map(|word| word.to_str().unwrap_or_default());
    match (answer.status(), word) {
        (StatusCode::BAD_GATEWAY, _) => Verdict::Elsewhere(Outcome::Failure),
        (status, None) if status.is_server_error() => Verdict::Elsewhere(Outcome::Failure),
        // The next door would have to hold the wait instead, and the retry budget would be spent on it.
        (StatusCode::SERVICE_UNAVAILABLE, Some(code::TOO_MANY_WAITING)) => Verdict::Final,
        (StatusCode::SERVICE_UNAVAILABLE, Some(word)) => {
            let rejects_all = word == code::OVERLOADED || NOT_READY.contains(&word);
            Verdict::Elsewhere(if rejects_all { Outcome::Rejected } else { Outcome::Success })
        }
        // Either the client has used its share of this door, or the door does not trust the router and counts all of
        // the router's clients as one.
        _ if is_over_share(answer) => Verdict::Elsewhere(Outcome::Success),
        _ if is_outside(answer.headers()) => Verdict::Elsewhere(Outcome::Success),
        _ => Verdict::Final,
    }
}

/// Whether a node accepts no request yet, which is temporary.
pub(crate) fn is_not_ready(headers: &HeaderMap) -> bool {
    headers.get(api::headers::ERROR).is_some_and(|word| NOT_READY.iter().any(|code| word == code))
}

/// Whether a node has rejected a request because it may not hold the rows of the request's project.
pub(crate) fn is_outside(headers: &HeaderMap) -> bool {
    headers.get(api::headers::ERROR).is_some_and(|word| word == code::OUTSIDE_REGIONS)
}

/// Whether a node has rejected a request because its client uses more than its share of the node.
pub(crate) fn is_over_share<B>(answer: &Response<B>) -> bool {
    answer.status() == StatusCode::TOO_MANY_REQUESTS
        && answer.headers().get(api::headers::ERROR).is_some_and(|word| word == code::CLIENT_OVER_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_node_are_distinguished_from_those_of_servers_in_front_of_it() {
        let evaluated = |status: u16, word: Option<&str>| {
            let mut answer = Response::builder().status(status);
            if let Some(word) = word {
                answer = answer.header("littoral-error", word);
            }
            verdict(&answer.body(()).unwrap())
        };
        for status in [500, 502, 503, 504, 520] {
            assert_eq!(evaluated(status, None), Verdict::Elsewhere(Outcome::Failure), "{status}");
        }
        for status in [200, 304, 400, 404, 409] {
            assert_eq!(evaluated(status, None), Verdict::Final, "{status}");
        }
        assert_eq!(evaluated(502, Some("door_lost")), Verdict::Elsewhere(Outcome::Failure), "another router's");
        for word in ["overloaded", "not_ready", "starting"] {
            assert_eq!(evaluated(503, Some(word)), Verdict::Elsewhere(Outcome::Rejected));
        }
        assert_eq!(evaluated(503, Some("module_busy")), Verdict::Elsewhere(Outcome::Success), "one tenant's module");
        assert_eq!(evaluated(503, Some("too_many_waiting")), Verdict::Final, "its own demand");
        assert_eq!(evaluated(421, Some("outside_regions")), Verdict::Elsewhere(Outcome::Success), "another region may");
        let another = Verdict::Elsewhere(Outcome::Success);
        assert_eq!(evaluated(429, Some("client_over_share")), another, "another door may have room");
        assert_eq!(evaluated(429, Some("over_quota")), Verdict::Final);
        assert_eq!(evaluated(504, Some("concern_unmet")), Verdict::Final);
        assert_eq!(evaluated(500, Some("internal")), Verdict::Final);
    }
}
