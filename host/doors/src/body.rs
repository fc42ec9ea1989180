//! Bodies of requests, read within the bounds of the configuration.

use crate::{Config, failure::Failure};
use bytes::Bytes;
use hyper::body::Incoming;
use littoral_http::{
    BodyBudget, Held, Loads,
    body::{Error, Taken, take},
};
use tokio::time::timeout;

/// Reads a whole body of at most `max` bytes.
pub(crate) async fn read(
    body: Incoming,
    max: usize,
    config: &Config,
    budget: &BodyBudget,
    loads: &Loads,
) -> Result<(Bytes, Held), Failure> {
    match timeout(config.body_timeout(), take(body, max, max, budget, loads)).await {
        Ok(Ok(Taken::Whole(bytes, held))) => Ok((bytes, held)),
        Ok(Ok(Taken::Begun(..))) => Err(Error::TooLarge(max).into()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::body_timeout(config.body_timeout_ms)),
    }
}
