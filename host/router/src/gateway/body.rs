//! Bodies of requests: held whole up to a bound, so that they can be sent again; passed on beyond it.

use crate::gateway::{
    failure::Failure,
    outgoing::{Outgoing, Passed},
    room::{Held, Room},
};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::collections::VecDeque;

/// A request's body.
pub(crate) enum Taken {
    /// All of it, and the room that it takes for as long.
    Whole(Bytes, #[allow(dead_code, reason = "held, not read")] Held),
    /// More than is held.
    Large(Box<Passed>, Held),
}

impl Taken {
    /// The body to send; a whole one any number of times.
    pub(crate) fn outgoing(&self) -> Option<Outgoing> {
        match self {
            Self::Whole(bytes, _) => Some(Outgoing::Whole(bytes.clone())),
            Self::Large(..) => None,
        }
    }
}

/// Takes a body of at most `most` bytes and holds it whole if it has at most `hold`.
pub(crate) async fn take(mut body: Incoming, hold: usize, most: usize, room: &Room) -> Result<Taken, Failure> {
    if body.is_end_stream() {
        return Ok(Taken::Whole(Bytes::new(), Held::default()));
    }
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(Failure::body_too_large(most));
    }
    let mut held = room.take(announced.min(hold)).ok_or_else(Failure::overloaded)?;
    let mut first = VecDeque::new();
    let mut length = 0usize;
    let mut counted = announced.min(hold);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::body_broken(&error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > most {
            return Err(Failure::body_too_large(most));
        }
        if length > counted {
            // It did not say how long it is: room for twice as much each time.
            counted = length.saturating_mul(2).min(hold.max(length));
            drop(held);
            held = room.take(counted).ok_or_else(Failure::overloaded)?;
        }
        first.push_back(data);
        if length > hold {
            let left = (most - length) as u64;
            return Ok(Taken::Large(Box::new(Passed { first, rest: body, left }), held));
        }
    }
    let whole = match first.len() {
        0 => Bytes::new(),
        1 => first.pop_front().unwrap_or_default(),
        _ => {
            let mut joined = BytesMut::with_capacity(length);
            first.iter().for_each(|part| joined.extend_from_slice(part));
            joined.freeze()
        }
    };
    Ok(Taken::Whole(whole, held))
}
