//! The slot of a request: among those that run, or, while it waits, among those that wait.
//!
//! A waiting request costs its client nothing, so a client can send any number of them. They have a bound of their own, so that
//! they do not use the slots of requests that run. Clients share both bounds fairly ([`Shares`]).

use crate::{access, config::Config, failure::Failure};
use littoral_http::{Borrowed, Exceeded, Kind, Loads, Peer, Shares};
use littoral_model::catalogue::Catalogue;
use littoral_read::{Plan, Wait};

/// The request slots of a door.
pub(crate) struct Slots {
    running: Shares,
    waiting: Shares,
}

/// The client of a request.
#[derive(Clone, Copy)]
pub(crate) struct Requester<'a> {
    /// Shows whether the client has left, if the connection does not notice it.
    pub(crate) peer: Option<&'a Peer>,
    /// What the request counts towards.
    pub(crate) loads: &'a Loads,
}

/// The slot of a request, returned when it is dropped.
pub(crate) struct RequestSlot<'a> {
    slots: &'a Slots,
    client: Requester<'a>,
    /// Held for its lifetime.
    _held: Option<Borrowed<'a>>,
}

impl Slots {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            running: Shares::new(Kind::Running, config.requests_max),
            waiting: Shares::new(Kind::Waiting, config.waiting_requests_max),
        }
    }

    /// Applies the bounds of a changed configuration.
    pub(crate) fn resize(&self, config: &Config) {
        self.running.set_max(config.requests_max);
        self.waiting.set_max(config.waiting_requests_max);
    }

    /// Returns a slot among those that run. A `vital` request runs without one if none is free: health checks must not
    /// depend on the load.
    pub(crate) fn run<'a>(&'a self, client: Requester<'a>, vital: bool) -> Result<RequestSlot<'a>, Failure> {
        match self.running.take(client.loads, 1) {
            Ok(held) => Ok(RequestSlot { slots: self, client, _held: Some(held) }),
            Err(_) if vital => Ok(RequestSlot { slots: self, client, _held: None }),
            Err(exceeded) => Err(exceeded.into()),
        }
    }

    /// Returns a slot among those that wait.
    pub(crate) fn wait<'a>(&'a self, client: Requester<'a>) -> Result<RequestSlot<'a>, Failure> {
        Ok(RequestSlot { slots: self, client, _held: Some(self.waiting_slot(client.loads)?) })
    }

    fn waiting_slot<'a>(&'a self, loads: &'a Loads) -> Result<Borrowed<'a>, Failure> {
        self.waiting.take(loads, 1).map_err(|exceeded| match exceeded {
            Exceeded::Bound => Failure::too_many_waiting(self.waiting.max()),
            Exceeded::Client => exceeded.into(),
        })
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
        self._held = Some(self.slots.waiting_slot(self.client.loads)?);
        let result = match self.client.peer {
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
        self._held = Some(self.slots.running.take(self.client.loads, 1)?);
        Ok(result)
    }
}
