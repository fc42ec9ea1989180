//! Request bodies: bounded while they are read, not after, each by itself and all together.

use crate::{Config, failure::Failure};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Smaller bodies are not counted: the bound on connections bounds them too. So whoever sends large ones takes the place
/// of other large ones only, never of reads.
const COUNTED_FROM: usize = 64 << 10;

/// What one permit of the room stands for, in bytes.
const UNIT: usize = 4 << 10;

/// Memory for the large bodies of all requests together.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// A body's part of the room, given back when it is dropped: hold it as long as the body.
#[derive(Debug)]
#[must_use]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl Room {
    /// Room for this many bytes, and at least for one body of any kind.
    pub(crate) fn new(config: &Config) -> Self {
        let one = config.read_bytes_max.max(config.write_bytes_max).max(config.module_bytes_max);
        let units = config.bodies_bytes_max.max(one).div_ceil(UNIT);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// Grows what is held to `bytes`.
    fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), Failure> {
        if bytes <= COUNTED_FROM {
            return Ok(());
        }
        let has = held.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT).saturating_sub(has);
        let more = u32::try_from(more).map_err(|_| Failure::overloaded())?;
        let permit = self.0.clone().try_acquire_many_owned(more).map_err(|_| Failure::overloaded())?;
        match &mut held.0 {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

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
    let mut held = Held(None);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_the_room_and_give_it_back() {
        let mib = 1 << 20;
        let (read_bytes_max, write_bytes_max, module_bytes_max) = (mib, mib, mib);
        let config = Config {
            bodies_bytes_max: 2 * mib,
            read_bytes_max,
            write_bytes_max,
            module_bytes_max,
            ..Config::default()
        };
        let room = Room::new(&config);
        let (mut one, mut other, mut small) = (Held(None), Held(None), Held(None));
        room.grow(&mut one, mib / 2).unwrap();
        room.grow(&mut one, mib).unwrap();
        room.grow(&mut other, mib).unwrap();
        room.grow(&mut small, COUNTED_FROM).unwrap();
        let refused = room.grow(&mut small, COUNTED_FROM + 1).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code), (503, "overloaded"));
        drop(one);
        room.grow(&mut small, mib).unwrap();
    }
}
