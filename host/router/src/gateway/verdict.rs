//! What an answer says of its door, and whether another door should be asked.

use crate::decision::outlier::Outcome;
use http::{HeaderMap, Response, StatusCode};
use littoral_api::{self as api, code};

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the request's answer.
    Final,
    /// Another door may do better; of this one it says so much.
    Elsewhere(Outcome),
}

/// The codes of a node that accepts no request yet: it has no data, or is starting.
const NOT_READY: [&str; 2] = [code::NOT_READY, code::STARTING];

/// Judges an answer. A node names its errors in `littoral-error`. A server's error without a name comes from something before the
/// node, and the door fails its requests; so does 502. A node's own 503 is one of many things: only when the node refuses
/// whatever it is asked does it count against the door, else one tenant could eject edges for all. A node's own 504 is the
/// request's answer: the write is durable, and was not made so elsewhere in time.
pub(crate) fn verdict<B>(answer: &Response<B>) -> Verdict {
    let word = answer.headers().get(api::headers::ERROR).map(|word| word.to_str().unwrap_or_default());
    match (answer.status(), word) {
        (StatusCode::BAD_GATEWAY, _) => Verdict::Elsewhere(Outcome::Failure),
        (status, None) if status.is_server_error() => Verdict::Elsewhere(Outcome::Failure),
        // The next door would have to hold the wait instead, and the retry budget would be spent on it.
        (StatusCode::SERVICE_UNAVAILABLE, Some(code::TOO_MANY_WAITING)) => Verdict::Final,
        (StatusCode::SERVICE_UNAVAILABLE, Some(word)) => {
            let refuses = word == code::OVERLOADED || NOT_READY.contains(&word);
            Verdict::Elsewhere(if refuses { Outcome::Refused } else { Outcome::Success })
        }
        _ => Verdict::Final,
    }
}

/// Whether a node says that it takes nothing yet, which passes.
pub(crate) fn is_not_ready(headers: &HeaderMap) -> bool {
    headers.get(api::headers::ERROR).is_some_and(|word| NOT_READY.iter().any(|code| word == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_own_words_are_told_from_what_stands_before_it() {
        let judged = |status: u16, word: Option<&str>| {
            let mut answer = Response::builder().status(status);
            if let Some(word) = word {
                answer = answer.header("littoral-error", word);
            }
            verdict(&answer.body(()).unwrap())
        };
        for status in [500, 502, 503, 504, 520] {
            assert_eq!(judged(status, None), Verdict::Elsewhere(Outcome::Failure), "{status}");
        }
        for status in [200, 304, 400, 404, 409] {
            assert_eq!(judged(status, None), Verdict::Final, "{status}");
        }
        assert_eq!(judged(502, Some("door_lost")), Verdict::Elsewhere(Outcome::Failure), "another router's");
        for word in ["overloaded", "not_ready", "starting"] {
            assert_eq!(judged(503, Some(word)), Verdict::Elsewhere(Outcome::Refused));
        }
        assert_eq!(judged(503, Some("module_busy")), Verdict::Elsewhere(Outcome::Success), "one tenant's module");
        assert_eq!(judged(503, Some("too_many_waiting")), Verdict::Final, "its own demand");
        assert_eq!(judged(504, Some("concern_unmet")), Verdict::Final);
        assert_eq!(judged(500, Some("internal")), Verdict::Final);
    }
}
