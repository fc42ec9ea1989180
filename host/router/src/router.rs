//! The state that a router's front ends share: the fleet, the view that decisions use, locations, and the budgets.

use crate::{
    board::Board,
    config::Config,
    database::Database,
    decision::{
        Moment,
        budget::Budget,
        door::{Door, DoorId},
        fleet::{Event, Fleet},
        health::Finding,
        hedge::Durations,
        location::{Location, Locations},
        outlier::Outcome,
        subnets::Subnets,
    },
    gateway,
    topology::Topology,
};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use littoral_tls::Tls;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often the view is renewed without events: the shares of returning doors grow with time.
const VIEW_INTERVAL: Duration = Duration::from_millis(100);

/// A router's state. Clones share it.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

/// How a router's connections to doors are secured.
#[derive(Debug, Default)]
pub struct Security {
    /// The TLS of the connections. Without it they are plain.
    pub tls: Option<Tls>,
    /// Whether the router sends requests only to doors that authenticate their clients, because it is exposed and does
    /// not authenticate clients itself.
    pub only_authenticating: bool,
}

struct Shared {
    config: Config,
    /// The bounds of requests; a copy of those in `config` until they are changed.
    gateway: ArcSwap<gateway::Config>,
    security: Security,
    /// The doors that authenticate their clients, by their last status.
    authenticating: RwLock<HashSet<DoorId>>,
    began: Instant,
    dice: AtomicU64,
    fleet: Mutex<Fleet>,
    board: ArcSwap<Board>,
    places: ArcSwap<Locations<Database>>,
    trusted: Subnets<()>,
    spending: Mutex<Spending>,
    /// The current problem with the topology's file, if there is one.
    topology_problem: ArcSwap<Option<String>>,
}

struct Spending {
    retries: Budget,
    hedges: Budget,
    reads: Durations,
    hedge_after: Option<Duration>,
    until_hedge_after: u32,
}

/// The number of reads after which the hedging delay is computed again.
const HEDGE_DELAY_READS: u32 = 64;

// === impl Router ===

impl Router {
    /// Creates a router for a topology, before any probe.
    ///
    /// # Errors
    /// If the location database cannot be opened: which, why, and what to do.
    pub fn new(config: Config, topology: Topology, security: Security) -> Result<Self, String> {
        let fleet = Fleet::new(Arc::new(topology), config.health.clone(), config.outlier.clone());
        let places = places(&config)?;
        let spending = Spending {
            retries: Budget::new(&config.retry),
            hedges: Budget::new(&config.hedge.budget()),
            reads: Durations::default(),
            hedge_after: None,
            until_hedge_after: 0,
        };
        let board = Board::new(fleet.view(Moment::ZERO), None);
        Ok(Self(Arc::new(Shared {
            trusted: config.place.trusted_proxies.iter().map(|network| (*network, ())).collect(),
            began: Instant::now(),
            dice: AtomicU64::new(std::process::id().into()),
            fleet: Mutex::new(fleet),
            board: ArcSwap::from_pointee(board),
            places: ArcSwap::from_pointee(places),
            spending: Mutex::new(spending),
            topology_problem: ArcSwap::from_pointee(None),
            authenticating: RwLock::default(),
            gateway: ArcSwap::from_pointee(config.gateway.clone()),
            config,
            security,
        })))
    }

    /// Returns the TLS of connections to doors. Without it they are plain.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        self.0.security.tls.as_ref()
    }

    /// Checks that requests may be sent to a door.
    ///
    /// # Errors
    /// If the router sends requests only to doors that authenticate their clients, and this one has not reported that
    /// it does.
    pub fn may_use(&self, door: &Door) -> Result<(), String> {
        if !self.0.security.only_authenticating || self.0.authenticating.read().contains(&door.id) {
            return Ok(());
        }
        Err(format!(
            "{}: the door does not authenticate its clients, and this router is exposed; configure [auth] at the door, or let \
             the router listen on loopback",
            door.address
        ))
    }

    /// Records whether a door authenticates its clients, by its status.
    pub fn note_authentication(&self, door: &Door, authenticates: bool) {
        let mut authenticating = self.0.authenticating.write();
        if authenticates {
            authenticating.insert(door.id);
        } else {
            authenticating.remove(&door.id);
        }
    }

    /// Returns the settings with which it was started.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Returns the bounds of requests that begin now. The guard must not be held for long; clone the `Arc` for that.
    #[must_use]
    pub fn bounds(&self) -> arc_swap::Guard<Arc<gateway::Config>> {
        self.0.gateway.load()
    }

    /// Applies changed bounds to requests that begin from now on, except the keys of [`gateway::Config::FIXED`].
    pub fn set_bounds(&self, config: gateway::Config) {
        let config = config.with_fixed(&self.bounds());
        self.0.gateway.store(Arc::new(config));
    }

    /// Returns the current moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.began.elapsed()
    }

    /// Returns a number that is unique to this call.
    #[must_use]
    pub fn dice(&self) -> u64 {
        // The core turns neighbouring numbers into unlike ones.
        self.0.dice.fetch_add(1, Relaxed)
    }

    /// Returns the current view and counts.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        self.0.board.load_full()
    }

    /// Returns the location of an address.
    #[must_use]
    pub fn location_of(&self, address: IpAddr) -> Location {
        self.0.places.load().of(address)
    }

    /// Returns how many bits of a network's address another address must share to have the same location.
    #[must_use]
    pub fn scope_of(&self, network: IpNet, place: &Location) -> u8 {
        self.0.places.load().scope_of(network, place)
    }

    /// Returns whether locations depend on addresses.
    #[must_use]
    pub fn depends_on_addresses(&self) -> bool {
        self.0.places.load().depend_on_addresses()
    }

    /// Returns the networks whose `x-forwarded-for` is trusted.
    #[must_use]
    pub fn trusted(&self) -> &Subnets<()> {
        &self.0.trusted
    }

    /// Returns the problem with the topology's file, if there is one.
    #[must_use]
    pub fn topology_problem(&self) -> Option<String> {
        self.0.topology_problem.load().as_ref().clone()
    }

    /// Returns all current doors.
    #[must_use]
    pub fn doors(&self) -> Vec<Arc<Door>> {
        self.0.fleet.lock().doors().cloned().collect()
    }

    /// Replaces the topology.
    pub fn adopt(&self, topology: Topology) {
        let name = topology.name.clone();
        let mut fleet = self.0.fleet.lock();
        if **fleet.topology() != topology {
            fleet.adopt(Arc::new(topology), self.now());
            self.publish(&fleet);
            tracing::info!(topology = name, "the topology is in effect");
            metrics::counter!("littoral_router_topology_changes_total").increment(1);
        }
        drop(fleet);
        self.0.topology_problem.store(Arc::new(None));
    }

    /// Records a problem with the topology's file; the last valid topology stays.
    pub fn reject_topology(&self, problem: String) {
        tracing::error!(problem, "rejected the topology file; the last valid topology stays in effect");
        metrics::counter!("littoral_router_topology_rejected_total").increment(1);
        self.0.topology_problem.store(Arc::new(Some(problem)));
    }

    /// Reads the location database again.
    ///
    /// # Errors
    /// As [`Router::new`]; the last database stays in use.
    pub fn reload_locations(&self) -> Result<(), String> {
        self.0.places.store(Arc::new(places(&self.0.config)?));
        Ok(())
    }

    /// Records a probe.
    pub fn probed(&self, id: DoorId, finding: Finding, took: Option<Duration>) {
        let mut fleet = self.0.fleet.lock();
        if let Some(event) = fleet.probed(id, finding, took, self.now()) {
            self.publish(&fleet);
            drop(fleet);
            log_event(&event);
        }
    }

    /// Records that a door's answer announced that its node is draining.
    pub fn note_draining(&self, id: DoorId) {
        self.probed(id, Finding::Draining, None);
    }

    /// Returns whether a door may receive requests now.
    #[must_use]
    pub fn may_receive(&self, id: DoorId) -> bool {
        self.0.fleet.lock().may_receive(id, self.now())
    }

    /// Records the end of a request.
    pub fn recorded(&self, id: DoorId, outcome: Outcome) {
        let mut fleet = self.0.fleet.lock();
        if let Some(event) = fleet.recorded(id, outcome, self.now()) {
            self.publish(&fleet);
            drop(fleet);
            log_event(&event);
        }
    }

    /// Renews the view as time passes, until dropped.
    pub async fn keep_up(self) {
        let mut tick = tokio::time::interval(VIEW_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut known = BTreeSet::new();
        loop {
            tick.tick().await;
            let events = {
                let mut fleet = self.0.fleet.lock();
                let events = fleet.returns(self.now());
                self.publish(&fleet);
                events
            };
            events.iter().for_each(log_event);
            self.record_metrics(&mut known);
        }
    }

    /// Sets the gauges of the topology. Regions that left it have no doors.
    fn record_metrics(&self, known: &mut BTreeSet<String>) {
        let board = self.board();
        let mut doors: BTreeMap<String, (u32, u32)> = known.iter().map(|region| (region.clone(), (0, 0))).collect();
        for view in &board.view.doors {
            let (all, usable) = doors.entry(view.door.region.to_string()).or_default();
            *all += 1;
            *usable += u32::from(view.usable);
        }
        for (region, (all, usable)) in doors {
            metrics::gauge!("littoral_router_doors", "region" => region.clone()).set(all);
            metrics::gauge!("littoral_router_doors_usable", "region" => region.clone()).set(usable);
            known.insert(region);
        }
        let invalid = self.0.topology_problem.load().is_some();
        metrics::gauge!("littoral_router_topology_invalid").set(u8::from(invalid));
    }

    /// Counts a request in the budgets.
    pub fn deposit(&self) {
        let mut spending = self.0.spending.lock();
        spending.retries.deposit();
        spending.hedges.deposit();
    }

    /// Withdraws a retry from the budget, if one remains. Returns whether it did.
    #[must_use]
    pub fn withdraw_retry(&self) -> bool {
        self.0.spending.lock().retries.withdraw()
    }

    /// Withdraws a hedge from the budget, if one remains. Returns whether it did.
    #[must_use]
    pub fn withdraw_hedge(&self) -> bool {
        self.0.spending.lock().hedges.withdraw()
    }

    /// Returns the duration after which a read is hedged; `None` if it is not known yet, or if hedging is disabled.
    #[must_use]
    pub fn hedge_after(&self) -> Option<Duration> {
        self.0.spending.lock().hedge_after
    }

    /// Records the duration of a read.
    pub fn read_took(&self, took: Duration) {
        let mut spending = self.0.spending.lock();
        spending.reads.observe(took);
        if spending.until_hedge_after == 0 {
            spending.until_hedge_after = HEDGE_DELAY_READS;
            spending.hedge_after = self.0.config.hedge.delay(&spending.reads);
        }
        spending.until_hedge_after -= 1;
    }

    /// Publishes the fleet's state as the view for decisions. The caller holds the fleet's lock, so that views are
    /// published in order.
    fn publish(&self, fleet: &Fleet) {
        let old = self.0.board.load();
        self.0.board.store(Arc::new(Board::new(fleet.view(self.now()), Some(&old))));
    }
}

fn places(config: &Config) -> Result<Locations<Database>, String> {
    let open = |path: &std::path::PathBuf| {
        Database::open(path).map_err(|error| {
            format!(
                "place.database: {} cannot be used: {error}; name a MaxMind DB file, or omit the key",
                path.display()
            )
        })
    };
    let subnets = config.place.subnets.iter().filter_map(|subnet| {
        let coordinates = crate::decision::coordinates::Coordinates::new(subnet.latitude, subnet.longitude).ok()?;
        Some((subnet.network, coordinates))
    });
    Ok(Locations {
        subnets: subnets.collect(),
        database: config.place.database.as_ref().map(open).transpose()?,
        fallback: config.place.fallback,
    })
}

fn log_event(event: &Event) {
    match event {
        Event::Health { door, was, is } => {
            tracing::info!(region = %door.region, node = door.name, door = door.address, was = was.as_str(), is = is.as_str(), "health changed");
            metrics::counter!("littoral_router_health_changes_total", "to" => is.as_str()).increment(1);
        }
        Event::Ejected { door, lasts } => {
            tracing::warn!(region = %door.region, node = door.name, door = door.address, ?lasts, "ejected a door because its requests fail");
            metrics::counter!("littoral_router_ejections_total").increment(1);
        }
        Event::RegionEjected { region, lasts } => {
            tracing::warn!(%region, ?lasts, "ejected a region because requests to too many of its doors fail");
            metrics::counter!("littoral_router_region_ejections_total").increment(1);
        }
        Event::RegionRetried { region } => {
            tracing::info!(%region, "trying an ejected region again; it returns slowly");
        }
        Event::Returned { door } => {
            tracing::info!(region = %door.region, node = door.name, door = door.address, "the ejection of a door has ended; it returns slowly");
        }
    }
}
