//! The slot of a request: among those that run, or, while it waits, among those that wait.
//!
//! A waiting request costs its client nothing, so a client can send any number of them. They have a bound of their own, so that
//! they do not use the slots of requests that run.

use crate::{access, config::Config, failure::Failure};
use littoral_http::Peer;
use littoral_model::catalogue::Catalogue;
use littoral_read::{Plan, Wait};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The request slots of a door.
pub(crate) struct Slots {
    running: Semaphore,
    waiting: Semaphore,
    waiting_max: usize,
}

/// The slot of a request, returned when it is dropped.
pub(crate) struct RequestSlot<'a> {
    slots: &'a Slots,
    /// The client, if the connection does not notice that it leaves.
    client: Option<&'a Peer>,
    /// Held for its lifetime.
    _held: Option<SemaphorePermit<'a>>,
}

impl Slots {
    pub(crate) fn new(config: &Config) -> Self {
        let of = |count: usize| Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            running: of(config.requests_max),
            waiting: of(config.waiting_requests_max),
            waiting_max: config.waiting_requests_max,
        }
    }

    /// Returns a slot among those that run. A `vital` request runs without one if none is free: health checks must not
    /// depend on the load.
    pub(crate) fn run<'a>(&'a self, client: Option<&'a Peer>, vital: bool) -> Result<RequestSlot<'a>, Failure> {
        match self.running.try_acquire() {
            Ok(held) => Ok(RequestSlot { slots: self, client, _held: Some(held) }),
            Err(_) if vital => Ok(RequestSlot { slots: self, client, _held: None }),
            Err(_) => Err(Failure::overloaded()),
        }
    }

    /// Returns a slot among those that wait.
    pub(crate) fn wait<'a>(&'a self, client: Option<&'a Peer>) -> Result<RequestSlot<'a>, Failure> {
        Ok(RequestSlot { slots: self, client, _held: Some(self.waiting_slot()?) })
    }

    fn waiting_slot(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.waiting.try_acquire().map_err(|_| Failure::too_many_waiting(self.waiting_max))
    }
}

impl Wait for RequestSlot<'_> {
    type Error = Failure;

    /// Checks every view that the plan reads, those of a module's inputs too, and every module that it calls.
    fn check(&self, plan: &Plan, catalogue: &Catalogue) -> Result<(), Failure> {
        access::require_views(catalogue, plan.lookups.iter().map(|lookup| lookup.view))?;
        plan.calls.iter().try_for_each(|call| access::require_name(&call.name))
    }

    /// Waits in a slot among those that wait, until the client leaves. Then the request needs a slot among those that run.
    async fn wait_for<T: Send>(&mut self, future: impl Future<Output = T> + Send) -> Result<T, Failure> {
        self._held = Some(self.slots.waiting_slot()?);
        let result = match self.client {
            None => future.await,
            Some(client) => tokio::select! {
                biased;
                result = future => result,
                () = client.closed() => {
                    metrics::counter!("littoral_door_clients_disconnected_total").increment(1);
                    return Err(Failure::client_left());
                }
            },
        };
        self._held = Some(self.slots.running.try_acquire().map_err(|_| Failure::overloaded())?);
        Ok(result)
    }
}
