//! The place of a request: among those that run, or, while it waits, among those that wait.
//!
//! A waiting request costs its client nothing, so a client can send any number of them. They have a bound of their own, so that
//! they do not use the places of requests that run.

use crate::{config::Config, failure::Failure};
use littoral_http::Peer;
use littoral_read::Wait;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The places of a door.
pub(crate) struct Places {
    running: Semaphore,
    waiting: Semaphore,
    waiting_max: usize,
}

/// The place of a request, returned when it is dropped.
pub(crate) struct Place<'a> {
    places: &'a Places,
    /// The client, if the connection does not notice that it leaves.
    client: Option<&'a Peer>,
    /// Held for its lifetime.
    _held: Option<SemaphorePermit<'a>>,
}

impl Places {
    pub(crate) fn new(config: &Config) -> Self {
        let of = |count: usize| Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            running: of(config.requests_max),
            waiting: of(config.waiting_requests_max),
            waiting_max: config.waiting_requests_max,
        }
    }

    /// Returns a place among those that run. A `vital` request needs none: health checks must not depend on the load.
    pub(crate) fn run<'a>(&'a self, client: Option<&'a Peer>, vital: bool) -> Result<Place<'a>, Failure> {
        match self.running.try_acquire() {
            Ok(held) => Ok(Place { places: self, client, _held: Some(held) }),
            Err(_) if vital => Ok(Place { places: self, client, _held: None }),
            Err(_) => Err(Failure::overloaded()),
        }
    }

    /// Returns a place among those that wait.
    pub(crate) fn wait<'a>(&'a self, client: Option<&'a Peer>) -> Result<Place<'a>, Failure> {
        Ok(Place { places: self, client, _held: Some(self.waiting_place()?) })
    }

    fn waiting_place(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.waiting.try_acquire().map_err(|_| Failure::too_many_waiting(self.waiting_max))
    }
}

impl Wait for Place<'_> {
    type Error = Failure;

    /// Waits in a place among those that wait, until the client leaves. Then the request needs a place among those that run.
    async fn wait_for<T: Send>(&mut self, future: impl Future<Output = T> + Send) -> Result<T, Failure> {
        self._held = Some(self.places.waiting_place()?);
        let result = match self.client {
            None => future.await,
            Some(client) => tokio::select! {
                biased;
                result = future => result,
                () = client.closed() => {
                    metrics::counter!("littoral_gateway_clients_left_total").increment(1);
                    return Err(Failure::client_left());
                }
            },
        };
        self._held = Some(self.places.running.try_acquire().map_err(|_| Failure::overloaded())?);
        Ok(result)
    }
}
