//! Bodies of requests: bounded while they are read, each by itself and all of them together.

use crate::{BodyBudget, Exceeded, Held, Loads};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

/// A body, or its beginning if it is larger than may be held.
#[derive(Debug)]
pub enum Taken {
    /// The whole body, with its share of the budget.
    Whole(Bytes, Held),
    /// The beginning of a body that is larger than may be held, and the rest to pass on.
    Begun(Begun, Held),
}

/// A body of which a part has arrived.
#[derive(Debug)]
pub struct Begun {
    /// What has arrived.
    pub first: Bytes,
    /// What has not.
    pub rest: Incoming,
    /// The number of bytes that `rest` may have.
    pub left: u64,
}

/// Why a body was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is larger than allowed.
    #[error("the body is larger than {0} bytes; send it in parts")]
    TooLarge(usize),
    /// The client left, or did not send what it announced.
    #[error("the body could not be read: {0}")]
    Broken(String),
    /// There is no memory for it.
    #[error(transparent)]
    Full(#[from] Exceeded),
}

/// Reads a body of at most `max` bytes. Holds it whole if it has at most `hold` bytes. Most bodies arrive in one piece,
/// which is not copied. The memory counts towards `loads`.
///
/// # Errors
/// [`Error`].
pub async fn take(
    mut body: Incoming,
    hold: usize,
    max: usize,
    budget: &BodyBudget,
    loads: &Loads,
) -> Result<Taken, Error> {
    if body.size_hint().lower() > max as u64 {
        return Err(Error::TooLarge(max));
    }
    let mut held = Held::by(loads);
    let mut first = Bytes::new();
    let mut joined: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        // The client closed the connection, or broke the framing that it announced. It may never read the answer.
        let frame = frame.map_err(|error| Error::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let before = joined.as_ref().map_or(first.len(), BytesMut::len);
        let after = before + data.len();
        if after > max {
            return Err(Error::TooLarge(max));
        }
        match &mut joined {
            None if first.is_empty() => {
                budget.grow(&mut held, after)?;
                first = data;
            }
            joined => {
                let joined = joined.get_or_insert_with(BytesMut::new);
                if joined.capacity() < after {
                    // Grows with the bytes that arrive, not to the announced length: a client may announce a length and
                    // send nothing.
                    let capacity = after.next_power_of_two().min(max).min(hold.max(after));
                    budget.grow(&mut held, capacity)?;
                    joined.reserve(capacity - joined.len());
                    if joined.is_empty() {
                        joined.extend_from_slice(&first);
                    }
                }
                joined.extend_from_slice(&data);
            }
        }
        if after > hold {
            let first = joined.map_or(first, BytesMut::freeze);
            return Ok(Taken::Begun(Begun { first, rest: body, left: (max - after) as u64 }, held));
        }
    }
    Ok(Taken::Whole(joined.map_or(first, BytesMut::freeze), held))
}
