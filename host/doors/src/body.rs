//! Request bodies: bounded while they are read, not after, each by itself and all together.

use crate::{
    Config,
    failure::Failure,
    room::{Held, Room},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

/// Reads a whole body of at most `max` bytes. The usual one, which came in one piece, is not copied.
pub(crate) async fn read(body: Incoming, max: usize, config: &Config, room: &Room) -> Result<(Bytes, Held), Failure> {
    if body.size_hint().lower() > max as u64 {
        return Err(Failure::body_too_large(max));
    }
    match timeout(config.body_timeout(), collect(body, max, room)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::body_timeout(config.body_timeout_ms)),
    }
}

async fn collect(mut body: Incoming, max: usize, room: &Room) -> Result<(Bytes, Held), Failure> {
    let mut held = Held::default();
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        // The client is gone or sends something else than it announced; whatever is answered, nobody may read it.
        let frame = frame.map_err(|error| Failure::body_broken(&error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let before = rest.as_ref().map_or(first.len(), BytesMut::len);
        let after = before + data.len();
        if after > max {
            return Err(Failure::body_too_large(max));
        }
        match &mut rest {
            None if first.is_empty() => {
                room.grow(&mut held, after)?;
                first = data;
            }
            rest => {
                let whole = rest.get_or_insert_with(BytesMut::new);
                if whole.capacity() < after {
                    // Not what was announced: room is for those who send, not for those who say that they will.
                    let capacity = after.next_power_of_two().min(max);
                    room.grow(&mut held, capacity)?;
                    whole.reserve(capacity - whole.len());
                    if whole.is_empty() {
                        whole.extend_from_slice(&first);
                    }
                }
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok((rest.map_or(first, BytesMut::freeze), held))
}
