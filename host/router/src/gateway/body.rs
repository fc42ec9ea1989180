//! Bodies of requests: held whole up to a bound, so that they can be sent again, and forwarded as they arrive beyond
//! it.

use crate::gateway::{
    failure::Failure,
    outgoing::{Forwarded, Outgoing},
};
use bytes::Bytes;
use hyper::body::Incoming;
use littoral_http::{BodyBudget, Held, Loads, body};

/// The body of a request.
pub(crate) enum RequestBody {
    /// The whole body, with its share of the budget.
    Whole(Bytes, #[allow(dead_code, reason = "held, not read")] Held),
    /// A body that is larger than may be held.
    Large(Box<Forwarded>, Held),
}

impl RequestBody {
    /// Returns the body to send, any number of times. `None` for a body that can be sent only once.
    pub(crate) fn outgoing(&self) -> Option<Outgoing> {
        match self {
            Self::Whole(bytes, _) => Some(Outgoing::Whole(bytes.clone())),
            Self::Large(..) => None,
        }
    }
}

/// Reads a body of at most `max` bytes. Holds it whole if it has at most `hold` bytes.
pub(crate) async fn take(
    body: Incoming,
    hold: usize,
    max: usize,
    budget: &BodyBudget,
    loads: &Loads,
) -> Result<RequestBody, Failure> {
    Ok(match body::take(body, hold, max, budget, loads).await? {
        body::Taken::Whole(bytes, held) => RequestBody::Whole(bytes, held),
        body::Taken::Begun(body::Begun { first, rest, left }, held) => {
            RequestBody::Large(Box::new(Forwarded { first, rest, left }), held)
        }
    })
}
