//! Request bodies: bounded while they are read, not after.

use crate::{Config, failure::Failure};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

/// Reads a whole body of at most `max` bytes. The usual one, which came in one piece, is not copied.
pub(crate) async fn read(body: Incoming, max: usize, config: &Config) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > max as u64 {
        return Err(Failure::body_too_large(max));
    }
    match timeout(config.body_timeout(), collect(body, max)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::body_timeout(config.body_timeout_ms)),
    }
}

async fn collect(mut body: Incoming, max: usize) -> Result<Bytes, Failure> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        // The client is gone or sends something else than it announced; whatever is answered, nobody may read it.
        let frame = frame.map_err(|error| Failure::body_broken(&error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let held = rest.as_ref().map_or(first.len(), BytesMut::len);
        if held + data.len() > max {
            return Err(Failure::body_too_large(max));
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut whole = BytesMut::with_capacity((held + data.len()).next_power_of_two().min(max));
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&data);
                rest = Some(whole);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}
