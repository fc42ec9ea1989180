//! A request's place: among those that run, or, while it waits for others, among those that wait.
//!
//! What waits costs a client nothing and could be asked for any number of times. So it has a bound of its own, and
//! requests that wait for nobody find the places of those that run free.

use crate::{config::Config, failure::Failure};
use littoral_http::Peer;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The places of a door.
pub(crate) struct Places {
    running: Semaphore,
    waiting: Semaphore,
    waiting_max: usize,
}

/// A request's place, given back when dropped.
pub(crate) struct Place<'a> {
    places: &'a Places,
    /// The client, where its leaving is not noticed otherwise.
    client: Option<&'a Peer>,
    /// Held but for its time.
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

    /// A place among those that run. A `vital` request goes on without one: what tells whether the node lives must not wait
    /// behind its load.
    pub(crate) fn run<'a>(&'a self, client: Option<&'a Peer>, vital: bool) -> Result<Place<'a>, Failure> {
        match self.running.try_acquire() {
            Ok(held) => Ok(Place { places: self, client, _held: Some(held) }),
            Err(_) if vital => Ok(Place { places: self, client, _held: None }),
            Err(_) => Err(Failure::overloaded()),
        }
    }

    /// A place among those that wait, for a request that will.
    pub(crate) fn wait<'a>(&'a self, client: Option<&'a Peer>) -> Result<Place<'a>, Failure> {
        Ok(Place { places: self, client, _held: Some(self.waiting_place()?) })
    }

    fn waiting_place(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.waiting.try_acquire().map_err(|_| Failure::too_many_waiting(self.waiting_max))
    }
}

impl Place<'_> {
    /// Waits for something on the client's behalf, at a place among those that wait, and ends the wait when the client leaves.
    /// Then the request runs on, if there is a place.
    pub(crate) async fn wait_for<T>(&mut self, something: impl Future<Output = T>) -> Result<T, Failure> {
        self._held = Some(self.places.waiting_place()?);
        let came = match self.client {
            None => something.await,
            Some(client) => tokio::select! {
                biased;
                came = something => came,
                () = client.closed() => {
                    metrics::counter!("littoral_gateway_clients_left_total").increment(1);
                    return Err(Failure::client_left());
                }
            },
        };
        self._held = Some(self.places.running.try_acquire().map_err(|_| Failure::overloaded())?);
        Ok(came)
    }
}
