//! Bodies of requests, read within the bounds of the configuration.

use crate::failure::Failure;
use bytes::Bytes;
use hyper::body::Incoming;
use littoral_http::{
    BodyBudget, Held, Loads,
    body::{Error, Taken, take},
};
use std::time::Duration;
use tokio::time::timeout;

/// Reads a whole body of at most `max` bytes, which must arrive within `time`.
pub(crate) async fn read(
    body: Incoming,
    max: usize,
    time: Duration,
    budget: &BodyBudget,
    loads: &Loads,
) -> Result<(Bytes, Held), Failure> {
    match timeout(time, take(body, max, max, budget, loads)).await {
        Ok(Ok(Taken::Whole(bytes, held))) => Ok((bytes, held)),
        Ok(Ok(Taken::Begun(..))) => Err(Error::TooLarge(max).into()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::body_timeout(time.as_millis())),
    }
}
