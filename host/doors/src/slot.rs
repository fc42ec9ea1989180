//! The slot of a request: among those that run, or, while it waits, among those that wait.
//!
//! A waiting request costs its client nothing, so a client can send any number of them. They have a bound of their own,
//! so that they do not use the slots of requests that run. Clients share both bounds fairly ([`Shares`]).

use crate::{
    access,
    config::Config,
    failure::Failure,
    project::{self, Rate},
    state::State,
};
use littoral_http::{Borrowed, Exceeded, Kind, Loads, Peer, Shares};
use littoral_model::catalogue::Catalogue;
use littoral_read::{Plan, Wait};
use littoral_runtime::trace::{self, Span};
use std::time::Instant;

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
    state: &'a State,
    /// The size of a read that its project has not paid for yet.
    unpaid: Option<ReadSize>,
    client: Requester<'a>,
    /// Held for its lifetime.
    _held: Option<Borrowed<'a>>,
}

/// The size of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadSize {
    /// The rows of its input.
    pub(crate) rows: usize,
    /// The number of values above which it is not executed here.
    pub(crate) values_max: usize,
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

    fn waiting_slot<'a>(&'a self, loads: &'a Loads) -> Result<Borrowed<'a>, Failure> {
        self.waiting.take(loads, 1).map_err(|exceeded| match exceeded {
            Exceeded::Bound => Failure::too_many_waiting(self.waiting.max()),
            Exceeded::Client => exceeded.into(),
        })
    }
}

impl<'a> RequestSlot<'a> {
    /// Returns a slot among those that run. A `vital` request runs without one if none is free: health checks must not
    /// depend on the load.
    pub(crate) fn run(state: &'a State, client: Requester<'a>, vital: bool) -> Result<Self, Failure> {
        match state.slots.running.take(client.loads, 1) {
            Ok(held) => Ok(Self { state, unpaid: None, client, _held: Some(held) }),
            Err(_) if vital => Ok(Self { state, unpaid: None, client, _held: None }),
            Err(exceeded) => Err(exceeded.into()),
        }
    }

    /// Returns a slot among those that wait.
    pub(crate) fn wait(state: &'a State, client: Requester<'a>) -> Result<Self, Failure> {
        Ok(Self { state, unpaid: None, client, _held: Some(state.slots.waiting_slot(client.loads)?) })
    }

    /// Sets the size of the read. Its project pays for it once, when it is executed.
    pub(crate) fn set_read_size(&mut self, size: ReadSize) {
        self.unpaid = Some(size);
    }

    fn pay(&mut self, plan: &Plan) -> Result<(), Failure> {
        let is_executed = |size: &mut ReadSize| size.rows.saturating_mul(plan.outputs.len()) <= size.values_max;
        let Some(size) = self.unpaid.take_if(is_executed) else { return Ok(()) };
        self.state.spend(Rate::RowsRead, size.rows.saturating_mul(plan.lookups.len()) as u64, Instant::now())
    }
}

impl Wait for RequestSlot<'_> {
    type Error = Failure;

    /// Checks every view that the plan reads, those of a module's inputs too, and every module that it calls. The
    /// residency rule is checked again, because a project may not have been known here before the read waited.
    fn check(&mut self, plan: &Plan, catalogue: &Catalogue) -> Result<(), Failure> {
        access::require_views(catalogue, plan.lookups.iter().map(|lookup| lookup.view))?;
        plan.calls.iter().try_for_each(|call| access::require_name(&call.name))?;
        let mut rules = plan.lookups.iter().map(|lookup| catalogue.regions_of(lookup.view));
        rules.try_for_each(|regions| project::check_residency(self.state, regions))?;
        self.pay(plan)
    }

    /// Waits in a slot among those that wait, until the client leaves. Then the request needs a slot among those that
    /// run.
    async fn wait_for<T: Send>(&mut self, future: impl Future<Output = T> + Send) -> Result<T, Failure> {
        self._held = Some(self.state.slots.waiting_slot(self.client.loads)?);
        let span = Span::child("wait for freshness", trace::Kind::Internal);
        let future = trace::within(span.context(), future);
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
        self._held = Some(self.state.slots.running.take(self.client.loads, 1)?);
        Ok(result)
    }
}
